//! Child processes: the only place that starts one.
//!
//! A helper that prints a secret gets no standard input (it must not eat the message), an environment of a few known
//! variables, a time limit, and is killed with its process group when that has passed.

#![expect(clippy::disallowed_methods, reason = "children are started and their environment is chosen here")]

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The variables that a helper keeps.
const KEPT: [&str; 9] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "LANG",
    "GNUPGHOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
];

/// The most that a helper may print, octets.
const OUTPUT: u64 = 64 * 1024;

/// Why a helper gave nothing.
#[derive(Debug)]
pub enum SpawnError {
    /// It could not be started.
    Start(std::io::Error),
    /// It ran longer than the limit and was killed.
    TimedOut(Duration),
    /// It ended otherwise than with 0; its last line on stderr, cleaned.
    Failed(String),
    /// It printed more than 64 KiB.
    TooMuch,
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(error) => write!(f, "cannot be started: {error}"),
            Self::TimedOut(limit) => write!(f, "gave no answer within {} s and was stopped", limit.as_secs_f32()),
            Self::Failed(how) => write!(f, "failed: {how}"),
            Self::TooMuch => write!(f, "printed more than {} KiB", OUTPUT / 1024),
        }
    }
}

impl std::error::Error for SpawnError {}

/// Runs a helper and returns what it printed on standard output.
///
/// # Errors
/// When it cannot be started, fails, prints too much or takes longer than `limit`.
pub fn output(argv: &[String], limit: Duration) -> Result<Vec<u8>, SpawnError> {
    let (program, arguments) = argv.split_first().ok_or_else(|| SpawnError::Failed("empty command".into()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(SpawnError::Start)?;
    let group = rustix::process::Pid::from_child(&child);
    let pipes = (child.stdout.take(), child.stderr.take());
    let (tell, told) = std::sync::mpsc::channel();
    let errors = std::thread::spawn(move || read_bounded(pipes.1));
    std::thread::spawn(move || {
        let printed = read_bounded(pipes.0);
        let _ = tell.send((printed, child.wait()));
    });
    let Ok((printed, ended)) = told.recv_timeout(limit) else {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        return Err(SpawnError::TimedOut(limit));
    };
    match ended {
        Ok(status) if status.success() && printed.len() as u64 > OUTPUT => Err(SpawnError::TooMuch),
        Ok(status) if status.success() => Ok(printed),
        Ok(status) => {
            let said = errors.join().unwrap_or_default();
            let last = String::from_utf8_lossy(&said).lines().rfind(|line| !line.trim().is_empty()).map(clean);
            Err(SpawnError::Failed(last.map_or(status.to_string(), |line| format!("{status}: {line}"))))
        }
        Err(error) => Err(SpawnError::Start(error)),
    }
}

/// At most one octet more than allowed, so that too much is seen.
fn read_bounded(pipe: Option<impl Read>) -> Vec<u8> {
    let mut data = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.take(OUTPUT + 1).read_to_end(&mut data);
    }
    data
}

/// A line of a helper without control characters, at most 200 characters.
fn clean(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Result<Vec<u8>, SpawnError> {
        output(&["/bin/sh".into(), "-c".into(), script.into()], Duration::from_millis(1500))
    }

    #[test]
    fn prints_fails_and_stalls() {
        assert_eq!(sh("echo word; echo noise >&2").unwrap(), b"word\n");
        assert_eq!(sh("cat").unwrap(), b"", "no standard input");
        assert!(matches!(sh("echo why >&2; exit 3"), Err(SpawnError::Failed(how)) if how.ends_with("why")));
        assert!(matches!(sh("head -c 100000 /dev/zero"), Err(SpawnError::TooMuch)));
        assert!(matches!(sh("sleep 60 & sleep 60"), Err(SpawnError::TimedOut(_))));
        assert!(matches!(output(&["/nonexistent".into()], Duration::from_secs(1)), Err(SpawnError::Start(_))));
    }
}
