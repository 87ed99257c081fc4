//! Who may use the options of msmtp's command line that reach further than the message.
//!
//! A web form that gets at the arguments of PHP's mail() could otherwise run programs and write files with them. They are
//! for root, for a person at a terminal, and for whom the environment or the machine's configuration allows them; that is
//! said of the user alone who is behind the process, never of one who runs it with the rights of another.

use super::surroundings::ETC;
use crate::cli::invocation::{Invocation, Mode, MsmtpOptions, Reach, Reaches};
use crate::config::LogConfig;
use crate::config::load::{MAIN, Sources};
use crate::config::msmtp::{self, MsmtpOptions as Said};
use crate::exit::Status;
use crate::report::{self, log};
use crate::sys::users::{Caller, Ids};
use crate::sys::{env, owners, person};
use std::io::ErrorKind;
use std::path::Path;

/// The variable that allows them to a program.
const VARIABLE: &str = "POSTRIDER_MSMTP_OPTIONS";

/// Looks whether the caller may use all options of his command line.
///
/// # Errors
/// The status, where he may not; what it is about was said and logged.
pub fn check(invocation: &Invocation) -> Result<(), Status> {
    let Some(own) = &invocation.msmtp else { return Ok(()) };
    if matches!(invocation.mode, Mode::Help | Mode::Version) {
        return Ok(());
    }
    // With `--host` the account is the command line's own, and none of a file's is changed.
    let host = own.settings.iter().any(|(name, _)| name == "host");
    let concerned = |reach: &&Reach| match reach.reaches {
        Reaches::Program | Reaches::File | Reaches::Configuration => true,
        Reaches::Login => !host,
        Reaches::Search => host,
    };
    let ids = Ids::current();
    let mut reach = own.reach.iter().filter(concerned).peekable();
    if reach.peek().is_none() || is_trusted(ids) {
        return Ok(());
    }
    let harmless = |reach: &Reach| reach.reaches == Reaches::Configuration && file_is_harmless(own, ids);
    reach.find(|reach| !harmless(reach)).map_or(Ok(()), |reach| Err(refuse(reach, invocation, ids)))
}

/// Whether everything is allowed to this caller.
fn is_trusted(ids: Ids) -> bool {
    let Some(uid) = ids.only() else { return false };
    let said = || msmtp::options_of(Path::new(MAIN), uid, Caller::current().gids());
    uid == 0
        || env::var(VARIABLE).is_some_and(|value| value == "all")
        || said() == Said::All
        || person::is_at_terminal(ids)
}

/// Whether the file of `-C` is the caller's own msmtprc, which is read without it too, or one that neither he nor another
/// person could have written.
fn file_is_harmless(own: &MsmtpOptions, ids: Ids) -> bool {
    let Some(file) = &own.file else { return true };
    let real = Caller::current();
    let sources = Sources { explicit: None, home: real.home.clone(), uid: real.uid, etc: ETC.into() };
    if sources.own_msmtprcs().contains(file) {
        return true;
    }
    let effective = Caller::of(ids.users.1, ids.groups.1);
    let gids = [real.gids(), effective.gids()].concat();
    let written = |uid| owners::could_have_written(file, uid, gids.clone());
    [ids.users.0, ids.users.1].into_iter().all(|uid| match written(uid) {
        // Nor may another person, who would have his commands run as this caller.
        Ok(written) => !written && owners::is_the_systems(file),
        // It cannot be read either, which is told as of any file.
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied),
    })
}

/// Says why not, and what allows it.
fn refuse(reach: &Reach, invocation: &Invocation, ids: Ids) -> Status {
    let what = match reach.reaches {
        Reaches::Program => "names a program",
        Reaches::File => "names a file",
        Reaches::Configuration => "names a configuration that the caller, or another person, could have written",
        Reaches::Login => "takes the protection from the account's password",
        Reaches::Search => "has a password looked for, for a server that the command line names",
    };
    let line = format!(
        "{} {what}, which only root and a person at a terminal may do; nothing was sent. To allow it to this program, set \
         {VARIABLE}=all in its environment; to everybody, write options = \"all\" below [msmtp] in {MAIN}",
        reach.option
    );
    report::stderr(&format!("msmtp: {line}"));
    let _ = log::open(&LogConfig::default(), "msmtp");
    log::refused(&line, Status::Usage, invocation.options.log_tag.as_deref(), ids.users.0);
    Status::Usage
}
