//! The runner: one program as one user. It believes the daemon nothing: which program as which user, and for how long, is
//! looked up in the configuration, and that one root alone may change.

use super::{Answer, FACTS, Request, put, take};
use crate::config::programs;
use crate::exit::Status;
use crate::rules::Pipe;
use crate::sys::spawn::{self, Fed};
use crate::sys::users::{self, Account};
use crate::sys::{descriptors, rights, signals};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the daemon may take for what it says.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the program that the daemon asks for at the other end of standard input.
#[must_use]
pub fn run(config: &Path) -> Status {
    let Ok(stream) = descriptors::stdin_stream().and_then(|stream| signals::outlive_the_end().map(|()| stream)) else {
        return Status::Os;
    };
    let answer = serve(&stream, config).unwrap_or_else(Answer::Not);
    match put(&mut &stream, &answer) {
        Ok(()) => Status::Ok,
        Err(_) => Status::Io,
    }
}

fn serve(stream: &UnixStream, config: &Path) -> Result<Answer, String> {
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    let request: Request = take(&mut &*stream).map_err(|error| error.to_string())?;
    let pipe = listed(&request, config)?;
    let (account, groups) = account(&request.user)?;
    let environment = environment(&request, &account)?;
    rights::become_user(account.uid, account.gid, &groups)
        .map_err(|error| format!("cannot become {}: {error}", account.name))?;
    // The message comes at the daemon's pace, and the program's limit ends both.
    let input = stream.set_read_timeout(None).and_then(|()| stream.try_clone()).map_err(|error| error.to_string())?;
    let fed = Fed { argv: &pipe.argv, environment: &environment, limit: pipe.timeout };
    let ended =
        spawn::feed(&fed, move |out| io::copy(&mut &input, out).map(drop)).map_err(|error| error.to_string())?;
    Ok(Answer::Ended { status: ended.status, stdout: ended.stdout, stderr: ended.stderr })
}

/// The rule's program, as the configuration has it.
fn listed(request: &Request, config: &Path) -> Result<Pipe, String> {
    let mut rules = programs::of(config).map_err(|error| error.to_string())?.into_iter();
    let same = |pipe: &Pipe| pipe.argv == request.argv && pipe.user.as_ref() == Some(&request.user);
    rules.find(|(rule, pipe)| *rule == request.rule && same(pipe)).map(|(_, pipe)| pipe).ok_or_else(|| {
        format!("{} has no rule {} with this program and user; postrider reload", config.display(), request.rule)
    })
}

/// The user, and the ids of all groups that the user is in.
fn account(user: &str) -> Result<(Account, Vec<u32>), String> {
    let account = users::account(user).ok_or_else(|| format!("there is no user {user}"))?;
    if account.uid == 0 {
        return Err("no program is run as root".into());
    }
    let groups = account.gids();
    Ok((account, groups))
}

fn environment<'e>(request: &'e Request, account: &Account) -> Result<Vec<(&'e str, String)>, String> {
    let known = |name: &String| FACTS.contains(&name.as_str());
    if let Some((name, _)) = request.facts.iter().find(|(name, value)| !known(name) || value.contains('\0')) {
        return Err(format!("the variable {} is none of a letter's", name.escape_debug()));
    }
    let facts = request.facts.iter().map(|(name, value)| (name.as_str(), value.clone()));
    Ok(facts.chain(account.variables()).collect())
}
