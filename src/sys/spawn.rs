//! Child processes: the only place that starts one.
//!
//! `output` runs a helper, `run` a program on given input, `attached` a user's own command in the foreground.
//! A helper that prints a secret gets no standard input (it must not eat the message), an environment of a few known
//! variables, a time limit, and is killed with its process group when that has passed.

#![expect(clippy::disallowed_methods, reason = "children are started and their environment is chosen here")]

use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
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
    let mut child = piped(program, arguments, Stdio::null()).spawn().map_err(SpawnError::Start)?;
    let group = Pid::from_child(&child);
    let pipes = (child.stdout.take(), child.stderr.take());
    let (tell, told) = std::sync::mpsc::channel();
    let errors = beside(group, move || read_bounded(pipes.1))?;
    beside(group, move || {
        let printed = read_bounded(pipes.0);
        let _ = tell.send((printed, child.wait()));
    })?;
    let Ok((printed, ended)) = told.recv_timeout(limit) else {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        return Err(SpawnError::TimedOut(limit));
    };
    match ended {
        // Looked at before the status: who prints too much is ended by the pipe being closed.
        Ok(_) if printed.len() as u64 > OUTPUT => Err(SpawnError::TooMuch),
        Ok(status) if status.success() => Ok(printed),
        Ok(status) => {
            let said = errors.join().unwrap_or_default();
            let last = String::from_utf8_lossy(&said).lines().rfind(|line| !line.trim().is_empty()).map(clean);
            Err(SpawnError::Failed(last.map_or(status.to_string(), |line| format!("{status}: {line}"))))
        }
        // A caller that ignores SIGCHLD takes the status away; what was printed has to do.
        Err(error) if error.raw_os_error() == Some(Errno::CHILD.raw_os_error()) && !printed.is_empty() => Ok(printed),
        Err(error) => Err(SpawnError::Start(error)),
    }
}

/// How a command ended, and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; 128 and the signal's number where a signal ended it, as shells have it.
    pub status: i32,
    /// Standard output, the first 64 KiB.
    pub stdout: Vec<u8>,
    /// Standard error, the first 64 KiB.
    pub stderr: Vec<u8>,
}

/// Runs a program with `input` as its standard input and only the known variables and `environment` around it.
///
/// # Errors
/// When it cannot be started, or takes longer than `limit`.
pub fn run(
    program: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    input: Vec<u8>,
    limit: Duration,
) -> Result<Ended, SpawnError> {
    let mut child = piped(program, arguments, Stdio::piped())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .spawn()
        .map_err(SpawnError::Start)?;
    let group = Pid::from_child(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // A program that does not read its input is no failure of the writing.
    beside(group, move || stdin.map(|mut pipe| pipe.write_all(&input)))?;
    let errors = beside(group, move || read_and_drain(stderr))?;
    let (tell, told) = std::sync::mpsc::channel();
    beside(group, move || {
        let printed = read_and_drain(stdout);
        let _ = tell.send((printed, errors.join().unwrap_or_default(), child.wait()));
    })?;
    let Ok((stdout, stderr, ended)) = told.recv_timeout(limit) else {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        return Err(SpawnError::TimedOut(limit));
    };
    ended.map(|status| Ended { status: number(status), stdout, stderr }).map_err(SpawnError::Start)
}

/// Runs a program on this process's own input and output, in its environment and `environment`, for as long as it
/// takes. Gives the exit status as in [`Ended`].
///
/// # Errors
/// When it cannot be started.
pub fn attached(
    program: &OsString,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
) -> Result<i32, SpawnError> {
    let environment = environment.iter().map(|(name, value)| (name, value));
    Command::new(program).args(arguments).envs(environment).status().map(number).map_err(SpawnError::Start)
}

/// A program that is given something to read.
#[derive(Debug)]
pub struct Fed<'f> {
    /// The program and its arguments.
    pub argv: &'f [String],
    /// Its whole environment, besides `PATH` and `LANG`.
    pub environment: &'f [(&'f str, String)],
    /// The user and group that it runs as, without any other group; this process's own where none is given.
    pub rights: Option<(u32, u32)>,
    /// How long it may take.
    pub limit: Duration,
}

/// Runs a program that reads what `write` writes. Its end counts, not that of processes that it leaves behind: they are
/// ended with it. What it did not care to read is no failure. The output is the end of what it printed, at most 8 KiB.
///
/// # Errors
/// When it cannot be started, or takes longer than its limit; it is killed then.
pub fn feed(
    fed: &Fed<'_>,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
) -> Result<Ended, SpawnError> {
    let (program, arguments) = fed.argv.split_first().ok_or_else(|| SpawnError::Failed("empty command".into()))?;
    let mut command = piped(program, arguments, Stdio::piped());
    for name in KEPT.iter().filter(|name| !["PATH", "LANG"].contains(name)) {
        command.env_remove(name);
    }
    command.envs(fed.environment.iter().map(|(name, value)| (name, value))).current_dir("/");
    if let Some((user, group)) = fed.rights {
        // Other groups are given up with the change of user.
        command.uid(user).gid(group);
    }
    let mut child = command.spawn().map_err(SpawnError::Start)?;
    let group = Pid::from_child(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    beside(group, move || {
        let mut pipe = std::io::BufWriter::with_capacity(64 << 10, stdin?);
        write(&mut pipe).and_then(|()| pipe.flush()).ok()
    })?;
    let (errors, printed) = (beside(group, move || tail(stderr))?, beside(group, move || tail(stdout))?);
    let (tell, told) = std::sync::mpsc::channel();
    beside(group, move || {
        // Its number stays its own until it has been waited for, so that nobody else's group is hit below.
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        while let Err(Errno::INTR) = rustix::process::waitid(rustix::process::WaitId::Pid(group), options) {}
        let _ = tell.send(());
    })?;
    let in_time = told.recv_timeout(fed.limit).is_ok();
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let status = child.wait().map_err(SpawnError::Start)?;
    if !in_time {
        return Err(SpawnError::TimedOut(fed.limit));
    }
    let (stdout, stderr) = (printed.join().unwrap_or_default(), errors.join().unwrap_or_default());
    Ok(Ended { status: number(status), stdout, stderr })
}

/// Work beside a child. Where no thread is to be had, the child is ended with its group.
fn beside<T: Send + 'static>(
    group: Pid,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<std::thread::JoinHandle<T>, SpawnError> {
    std::thread::Builder::new().spawn(work).map_err(|error| {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = rustix::process::waitpid(Some(group), rustix::process::WaitOptions::empty());
        SpawnError::Start(error)
    })
}

/// The last 8 KiB of what comes.
fn tail(pipe: Option<impl Read>) -> Vec<u8> {
    const LAST: usize = 8 << 10;
    let (mut last, mut block) = (Vec::new(), vec![0; LAST]);
    let Some(mut pipe) = pipe else { return last };
    while let Ok(count @ 1..) = pipe.read(&mut block) {
        last.extend_from_slice(&block[..count]);
        let beyond = last.len().saturating_sub(LAST);
        last.drain(..beyond);
    }
    last
}

fn number(status: std::process::ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// The first 64 KiB; the rest is read and dropped, so that the writer does not wait for ever.
fn read_and_drain(pipe: Option<impl Read>) -> Vec<u8> {
    let mut data = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.by_ref().take(OUTPUT).read_to_end(&mut data);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    }
    data
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

/// A child in a process group of its own, with pipes for its output and an environment of the kept variables.
fn piped(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>], input: Stdio) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))))
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
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

    #[test]
    fn runs_with_input_and_environment() {
        let script = |script: &str| [OsString::from("-c"), script.into()];
        let environment = [("WORD".into(), "here".into())];
        let run = |text: &str, input: &[u8]| {
            let limit = Duration::from_millis(1500);
            run(Path::new("/bin/sh"), &script(text), &environment, input.to_vec(), limit)
        };
        let ended = run("cat; echo $WORD >&2; exit 7", b"in").unwrap();
        assert_eq!(ended, Ended { status: 7, stdout: b"in".to_vec(), stderr: b"here\n".to_vec() });
        assert_eq!(run("kill -9 $$", &[0; 200_000]).unwrap().status, 137);
        assert_eq!(run("head -c 1000000 /dev/zero", b"").unwrap().stdout.len() as u64, OUTPUT);
        assert!(matches!(run("sleep 60", b""), Err(SpawnError::TimedOut(_))));
        let status = attached(&"/bin/sh".into(), &script("test $WORD = here && exit 3"), &environment);
        assert_eq!(status.unwrap(), 3);
    }
}
