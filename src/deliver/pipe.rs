//! Delivery to a program: the message on its standard input, the envelope in its environment, its exit status as the
//! verdict (sysexits.h). No shell has a part in it.
//!
//! Lines end with LF; `Return-Path` and `Delivered-To` stand first. 0 is delivered. 71 to 75 (system, files, temporary),
//! 126 and 127 (no such program), the end by a signal or by the time limit and a program that cannot be started are tried
//! again; every other status is final.

use super::as_user::client::Keeper;
use super::maildir;
use super::trouble::{self, Trouble};
use crate::envelope::ReversePath;
use crate::message::Message;
use crate::message::address::Address;
use crate::rules::Pipe;
use crate::sys::spawn::{self, Ended, Fed};
use crate::sys::users::{self, Account};
use std::io::Write;
use std::net::IpAddr;

/// Characters of a program's last line that are told.
const SHOWN: usize = 300;

/// What a program is told of a message besides its text.
#[derive(Clone, Debug)]
pub struct Letter<'l> {
    /// The envelope sender.
    pub from: &'l ReversePath,
    /// The recipient.
    pub to: &'l Address,
    /// The message's number in the queue.
    pub queued: String,
    /// The name of the rule.
    pub rule: &'l str,
    /// The client that brought it, where one did.
    pub client: Option<IpAddr>,
    /// The message.
    pub message: &'l Message,
}

/// Gives a message to a program; its last line where it is delivered. The keeper runs those of other users.
///
/// # Errors
/// It was not delivered: now, or at all.
pub fn deliver(pipe: &Pipe, letter: &Letter<'_>, keeper: Option<&Keeper>) -> Result<String, Trouble> {
    let later = |what: String| trouble::judge_local(what, None);
    let runs_as =
        user_of(pipe.user.as_deref(), rustix::process::geteuid().as_raw(), keeper.is_some()).map_err(later)?;
    let (message, head) = (letter.message.clone(), head(letter));
    let write = move |out: &mut dyn Write| {
        out.write_all(head.as_bytes())?;
        maildir::lines(&message, &mut |piece| out.write_all(piece))
    };
    let facts = facts(letter);
    let ended = match (runs_as, keeper) {
        (RunsAs::Another, Some(keeper)) => keeper.run(letter.rule, pipe, facts, write),
        _ => {
            let account = pipe.user.as_deref().and_then(users::account);
            let environment: Vec<_> = facts.into_iter().chain(account.iter().flat_map(Account::variables)).collect();
            let fed = Fed { argv: &pipe.argv, environment: &environment, limit: pipe.timeout };
            spawn::feed(&fed, write).map_err(|error| error.to_string())
        }
    };
    verdict(&ended.map_err(later)?)
}

/// Whose rights a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsAs {
    /// This process's own user's.
    Own,
    /// Another's, whom the keeper becomes.
    Another,
}

/// Whose rights a program of that user has here, where this process has that id, and a keeper or none.
///
/// # Errors
/// There is no such user, or nobody here may become it.
pub fn user_of(user: Option<&str>, own: u32, keeper: bool) -> Result<RunsAs, String> {
    let Some(name) = user else { return Ok(RunsAs::Own) };
    let account = users::account(name).ok_or_else(|| format!("there is no user {name}"))?;
    match account.uid {
        uid if uid == own => Ok(RunsAs::Own),
        0 => Err("no program is run as root but by a daemon that is root; leave user out, or name another".into()),
        _ if keeper => Ok(RunsAs::Another),
        _ => Err(format!(
            "this daemon may not run a program as {name}: it lacks CAP_SETUID and CAP_SETGID, which the drop-in \
             pipe-users.conf gives its helper (README: Rules); install it, or leave user out"
        )),
    }
}

/// What a program is told of a letter: the variables of `as_user::FACTS`.
fn facts(letter: &Letter<'_>) -> Vec<(&'static str, String)> {
    let local = letter.to.local().to_owned();
    let extension = local.split_once('+').map_or("", |(_, extension)| extension).to_owned();
    vec![
        ("SENDER", letter.from.address().map_or_else(String::new, ToString::to_string)),
        ("RECIPIENT", letter.to.to_string()),
        ("LOCAL", local),
        ("DOMAIN", letter.to.domain().to_owned()),
        ("EXTENSION", extension),
        ("CLIENT_ADDRESS", letter.client.map_or_else(String::new, |client| client.to_string())),
        ("QUEUE_ID", letter.queued.clone()),
        ("RULE", letter.rule.to_owned()),
        ("SIZE", letter.message.wire_size().to_string()),
    ]
}

fn head(letter: &Letter<'_>) -> String {
    let from = letter.from.address().map_or_else(String::new, ToString::to_string);
    format!("Return-Path: <{from}>\nDelivered-To: {}\n", letter.to)
}

/// What an exit status means, with the last line that the program printed.
fn verdict(ended: &Ended) -> Result<String, Trouble> {
    let last = last_line(&ended.stderr).or_else(|| last_line(&ended.stdout));
    let said = last.as_ref().map_or_else(String::new, |last| format!(": {last}"));
    match ended.status {
        0 => Ok(last.unwrap_or_default()),
        status @ (71..=75 | 126 | 127) => Err(trouble::judge_local(format!("exit status {status}{said}"), None)),
        status @ 129.. => {
            Err(trouble::judge_local(format!("ended by signal {}{said}", status.saturating_sub(128)), None))
        }
        status => {
            let enhanced = match status {
                67 => (5, 1, 1),
                77 => (5, 7, 1),
                65 => (5, 6, 0),
                _ => (5, 3, 0),
            };
            let text = last.unwrap_or_else(|| "the message was not accepted".into());
            Err(trouble::judge_local(format!("exit status {status}"), Some((enhanced, text))))
        }
    }
}

/// The last line with anything on it, without control characters.
fn last_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().rfind(|line| !line.trim().is_empty())?;
    Some(crate::report::printable(line.trim()).chars().take(SHOWN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::trouble::Permanence;
    use std::time::Duration;

    fn sh(script: &str, millis: u64) -> Result<String, Trouble> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let pipe = Pipe { argv, user: None, timeout: Duration::from_millis(millis) };
        let text = b"Subject: x\r\n\r\nbody\r\n".as_slice();
        let rules = crate::message::read::ReadRules { dot_ends: false };
        let message = crate::message::read::read(&mut { text }, rules).unwrap();
        let (from, to) = (ReversePath::Null, Address::parse("bob+box@example.com").unwrap());
        let client = Some("192.0.2.1".parse().unwrap());
        let letter = Letter { from: &from, to: &to, queued: "0000000A".into(), rule: "r", client, message: &message };
        deliver(&pipe, &letter, None)
    }

    fn permanence(script: &str) -> (Permanence, String) {
        let trouble = sh(script, 20_000).unwrap_err();
        (trouble.permanence, trouble.line("rule r", None))
    }

    #[test]
    fn the_message_and_its_envelope_arrive() {
        let text = sh("cat | tr '\\n' '|'", 20_000).unwrap();
        assert_eq!(text, "Return-Path: <>|Delivered-To: bob+box@example.com|Subject: x||body|");
        let text =
            sh("echo \"$SENDER,$RECIPIENT,$EXTENSION,$CLIENT_ADDRESS,$QUEUE_ID,$RULE,$DOMAIN\"", 20_000).unwrap();
        assert_eq!(text, ",bob+box@example.com,box,192.0.2.1,0000000A,r,example.com");
        assert_eq!(sh("exec <&-; exit 0", 20_000).unwrap(), "", "what is not read is no failure");
    }

    #[test]
    fn the_facts_are_those_that_a_runner_takes() {
        let (from, to) = (ReversePath::Null, Address::parse("bob@example.com").unwrap());
        let rules = crate::message::read::ReadRules { dot_ends: false };
        let message = crate::message::read::read(&mut b"x: y\n\n".as_slice(), rules).unwrap();
        let letter = Letter { from: &from, to: &to, queued: "1".into(), rule: "r", client: None, message: &message };
        assert!(facts(&letter).iter().map(|(name, _)| *name).eq(crate::deliver::as_user::FACTS));
    }

    #[test]
    fn whose_rights_a_program_has() {
        assert_eq!(user_of(None, 5, false), Ok(RunsAs::Own));
        assert_eq!(user_of(Some("root"), 0, false), Ok(RunsAs::Own));
        assert_eq!(user_of(Some("daemon"), 65_000, true), Ok(RunsAs::Another));
        assert!(user_of(Some("daemon"), 65_000, false).unwrap_err().contains("pipe-users.conf"));
        assert!(user_of(Some("root"), 65_000, true).unwrap_err().contains("as root"));
        assert!(user_of(Some("no-such-user"), 0, true).is_err());
    }

    #[test]
    fn the_exit_status_decides() {
        assert_eq!(
            permanence("echo later >&2; exit 75"),
            (Permanence::Temporary, "rule r: exit status 75: later".into())
        );
        assert_eq!(permanence("exit 127").0, Permanence::Temporary);
        assert_eq!(permanence("kill -9 $$"), (Permanence::Temporary, "rule r: ended by signal 9".into()));
        let (permanence, line) = permanence("echo one; echo no such ticket >&2; exit 1");
        assert_eq!(permanence, Permanence::Permanent);
        assert_eq!(line, "rule r: exit status 1: 550 5.3.0 no such ticket");
    }

    #[test]
    fn one_that_hangs_or_floods_or_leaves_others_behind_holds_nobody_up() {
        let hung = sh("sleep 600", 300).unwrap_err();
        assert!(hung.permanence == Permanence::Temporary && hung.what.contains("no answer"), "{hung:?}");
        assert_eq!(sh("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end", 20_000).unwrap(), "end");
        assert_eq!(sh("sleep 600 & echo done", 20_000).unwrap(), "done");
    }
}
