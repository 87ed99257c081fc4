//! The daemon's side: the keeper is started while the daemon still has the capabilities, and asked for every program.

use super::{Answer, NAME, Request, put, take};
use crate::rules::Pipe;
use crate::sys::spawn::{self, Ended};
use crate::sys::{descriptors, rights};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much longer than a program may take its answer is waited for: the runner ends the program itself.
const GRACE: Duration = Duration::from_secs(30);

/// The way to the keeper.
#[derive(Debug)]
pub struct Keeper {
    /// The configuration that programs are looked up in.
    config: PathBuf,
    /// Its end of the channel. A daemon that is root starts the keeper with the first program.
    channel: Mutex<Option<OwnedFd>>,
}

impl Keeper {
    /// Starts the keeper where this process may change its user, and gives that right up; `None` where it may not. The
    /// configuration is the one that programs are looked up in. To be called before threads begin.
    ///
    /// # Errors
    /// What the system says; then the right may still be there.
    pub fn start(config: &Path) -> io::Result<Option<Self>> {
        if !rights::may_change_user() {
            return Ok(None);
        }
        let keeper = Self { config: std::path::absolute(config)?, channel: Mutex::default() };
        if !rustix::process::geteuid().is_root() {
            rights::hand_down_change_of_user()?;
            drop(keeper.open()?);
            rights::give_up_change_of_user()?;
        }
        Ok(Some(keeper))
    }

    /// The channel to the keeper, which is started where there is none.
    fn open(&self) -> io::Result<MutexGuard<'_, Option<OwnedFd>>> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if channel.is_none() {
            let (near, far) = descriptors::channel()?;
            // It ends with the channel, or with the message that it cannot go on.
            drop(spawn::again(NAME, &[OsStr::new("keep"), self.config.as_os_str()], far)?);
            *channel = Some(near);
        }
        Ok(channel)
    }

    /// Hands the keeper an end of a connection.
    fn hand_over(&self, stream: UnixStream) -> Result<(), String> {
        let sent = self.open().and_then(|channel| match channel.as_ref() {
            Some(channel) => descriptors::send(channel, &stream),
            None => Err(io::ErrorKind::NotConnected.into()),
        });
        sent.map_err(|error| {
            format!("the helper that runs programs as other users cannot be reached ({error}); restart the daemon")
        })
    }

    /// Runs a rule's program as its user, on what `write` writes.
    ///
    /// # Errors
    /// It was not run, or not to its end: why.
    pub fn run(
        &self,
        rule: &str,
        pipe: &Pipe,
        facts: Vec<(&'static str, String)>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Result<Ended, String> {
        let gone = |error: io::Error| format!("the helper that runs programs as other users: {error}");
        let (near, far) = UnixStream::pair().map_err(gone)?;
        self.hand_over(far)?;
        let user = pipe.user.clone().unwrap_or_default();
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let request = Request { rule: rule.to_owned(), user, argv: pipe.argv.clone(), facts };
        let wait = Some(pipe.timeout.saturating_add(GRACE));
        near.set_write_timeout(wait).and_then(|()| near.set_read_timeout(wait)).map_err(gone)?;
        let mut input = io::BufWriter::with_capacity(64 << 10, near.try_clone().map_err(gone)?);
        let sent = std::thread::Builder::new().spawn(move || {
            // What a program does not care to read is no failure; one that is refused is told in the answer.
            let _ = put(&mut input, &request).and_then(|()| write(&mut input)).and_then(|()| input.flush());
            let _ = input.get_ref().shutdown(Shutdown::Write);
        });
        sent.map_err(gone)?;
        match take(&mut &near) {
            Ok(Answer::Ended { status, stdout, stderr }) => Ok(Ended { status, stdout, stderr }),
            Ok(Answer::Not(why)) => Err(why),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(format!("gave no answer within {} s and was given up", pipe.timeout.as_secs_f32()))
            }
            Err(error) => Err(gone(error)),
        }
    }
}
