//! Child processes: the only place that starts one.
//!
//! `output` runs a helper, `run` a program on given input, `attached` a user's own command in the foreground.
//! A helper that prints a secret gets no standard input (it must not eat the message), an environment of a few known
//! variables, a time limit, and is killed with its process group when that has passed.
//!
//! The child's own end counts. Processes that it leaves behind may hold its pipes for as long as they like, in whatever
//! session: nothing is read from them beyond that end (`talk`).

#![expect(clippy::disallowed_methods, reason = "children are started and their environment is chosen here")]

mod talk;

use super::owners::{self, Foreign};
use super::{env, rights};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use talk::{Heard, Keep, Talk};

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

/// Those of them that name a directory which helpers take their own configuration from.
const HOMES: [&str; 3] = ["HOME", "GNUPGHOME", "XDG_RUNTIME_DIR"];

/// The most that a helper may print, octets.
const OUTPUT: u64 = 64 * 1024;
/// So much is kept of the end of what a program prints that is fed, octets.
const LAST: usize = 8 << 10;
/// How long what a helper started may go on printing once the helper itself has ended.
const REST: Duration = Duration::from_millis(500);

/// Why a helper gave nothing.
#[derive(Debug)]
pub enum SpawnError {
    /// It could not be started.
    Start(std::io::Error),
    /// Somebody else may change it.
    Foreign(Foreign),
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
            Self::Foreign(foreign) => {
                write!(f, "is not run: {}", foreign.advice("who may change a program decides what is run"))
            }
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
    let child = piped(program, arguments, Stdio::null())?.spawn().map_err(SpawnError::Start)?;
    let Heard { ended, stdout: printed, stderr } =
        Talk { limit, rest: REST, stdout: Keep::AtMost(most()), stderr: Keep::First(most()), with_group: false }
            .with(child, None::<fn(&mut dyn Write) -> std::io::Result<()>>)?;
    match ended {
        Ok(status) if status.success() => Ok(printed),
        Ok(status) => {
            let last = String::from_utf8_lossy(&stderr).lines().rfind(|line| !line.trim().is_empty()).map(clean);
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
    let child = piped(program, arguments, Stdio::piped())?
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .spawn()
        .map_err(SpawnError::Start)?;
    let talk = Talk { limit, rest: REST, stdout: Keep::First(most()), stderr: Keep::First(most()), with_group: false };
    // A program that does not read its input is no failure of the writing.
    let heard = talk.with(child, Some(move |pipe: &mut dyn Write| pipe.write_all(&input)))?;
    heard.ended()
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

/// Starts this very program once more by another name, with a descriptor as its standard input; of the environment it has
/// `PATH` and `LANG`. What this program's file is called by now does not matter.
///
/// # Errors
/// When it cannot be started.
pub fn again(name: &str, arguments: &[&OsStr], input: OwnedFd) -> std::io::Result<Child> {
    let own = Path::new("/proc/self/exe");
    let program = own.exists().then(|| own.to_owned()).or_else(env::program);
    let mut command = Command::new(program.ok_or(std::io::ErrorKind::NotFound)?);
    command.arg0(name).args(arguments).env_clear().current_dir("/").stdin(input).stdout(Stdio::null()).process_group(0);
    command.envs(["PATH", "LANG"].into_iter().filter_map(|name| env::var(name).map(|value| (name, value))));
    command.spawn()
}

/// A program that is given something to read.
#[derive(Debug)]
pub struct Fed<'f> {
    /// The program and its arguments.
    pub argv: &'f [String],
    /// Its whole environment, besides `PATH`, `LANG` and `SHELL`.
    pub environment: &'f [(&'f str, String)],
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
    let mut command = piped(program, arguments, Stdio::piped())?;
    for name in KEPT.iter().filter(|name| !["PATH", "LANG"].contains(name)) {
        command.env_remove(name);
    }
    command.env("SHELL", "/bin/sh").envs(fed.environment.iter().map(|(name, value)| (name, value))).current_dir("/");
    let child = command.spawn().map_err(SpawnError::Start)?;
    let last = Keep::Last(LAST);
    let talk = Talk { limit: fed.limit, rest: Duration::ZERO, stdout: last, stderr: last, with_group: true };
    talk.with(child, Some(write))?.ended()
}

fn most() -> usize {
    usize::try_from(OUTPUT).unwrap_or(usize::MAX)
}

fn number(status: std::process::ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// A line of a helper without control characters, at most 200 characters.
fn clean(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// A child in a process group of its own, with pipes for its output, an environment of the kept variables, and nothing
/// else that is open here. Only root and this process's user may have written the program.
fn piped(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>], input: Stdio) -> Result<Command, SpawnError> {
    let argv: Vec<&OsStr> = std::iter::once(program.as_ref()).chain(arguments.iter().map(AsRef::as_ref)).collect();
    owners::check_program(&argv, &[rustix::process::geteuid().as_raw()]).map_err(SpawnError::Foreign)?;
    rights::close_on_exec();
    let kept = |name: &str| match HOMES.contains(&name) {
        true => env::own_directory(name).map(OsString::from),
        false => env::var(name),
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| kept(name).map(|value| (name, value))))
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    Ok(command)
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
        assert_eq!(sh("setsid --fork sleep 60; echo word").unwrap(), b"word\n", "another holds its output");
        assert_eq!(sh("(sleep 0.1; echo late) &").unwrap(), b"late\n");
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
        assert_eq!(run("setsid --fork sleep 60; exit 5", &[0; 200_000]).unwrap().status, 5);
        let status = attached(&"/bin/sh".into(), &script("test $WORD = here && exit 3"), &environment);
        assert_eq!(status.unwrap(), 3);
    }
}
