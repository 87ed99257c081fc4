//! Runs the real program by one of its names, in an environment of its own.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit status; 128 and the signal's number where a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A home directory with the program's names in its `bin`, and what a run in it is given.
pub struct Home {
    directory: TempDir,
    environment: Vec<(OsString, OsString)>,
    limit: Duration,
}

impl Home {
    /// An empty home. Runs in it see PATH and HOME alone, and are killed after 30 seconds.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("postrider-it-").tempdir().expect("a temporary directory");
        let bin = directory.path().join("bin");
        std::fs::create_dir(&bin).expect("a directory");
        // As it is installed: the small program is `sendmail`, and becomes the other where that is called for.
        let link = |program, name| std::os::unix::fs::symlink(program, bin.join(name)).expect("a link");
        link(env!("CARGO_BIN_EXE_postrider-sendmail"), "sendmail");
        for name in ["mailq", "newaliases", "msmtp", "postrider"] {
            link(env!("CARGO_BIN_EXE_postrider"), name);
        }
        Self { directory, environment: Vec::new(), limit: Duration::from_secs(30) }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in it, mode 0600, and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .expect("a file");
        file.write_all(content.as_ref()).expect("writing");
        path
    }

    /// Sets a variable for all further runs.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Writes `postrider.toml` and points POSTRIDER_CONFIG to it. Unless it names an alias file there is none: this
    /// machine's is no part of a test.
    pub fn config(self, toml: &str) -> Self {
        let own = toml.lines().any(|line| line.trim_start().starts_with("aliases = "));
        // Behind what is there, as far as it goes, so that lines keep their numbers.
        let end = toml.find("\n[").map_or(toml.len(), |at| at + 1);
        let (top, tables) = toml.split_at(if toml.starts_with('[') { 0 } else { end });
        let line = if own { "" } else { "\naliases = \"off\"\n" };
        let path = self.write("postrider.toml", format!("{top}{line}{tables}"));
        self.env("POSTRIDER_CONFIG", path)
    }

    /// Kills runs that take longer.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.allow(limit);
        self
    }

    /// The same from now on.
    pub fn allow(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Runs the program by that name with these arguments and this standard input.
    ///
    /// # Panics
    /// When it does not end within the limit.
    pub fn run<S: AsRef<OsStr>>(&self, name: &str, arguments: &[S], input: impl AsRef<[u8]>) -> Finished {
        self.program(&self.path("bin").join(name), arguments, input)
    }

    /// The whole environment of a run.
    pub fn surroundings(&self) -> Vec<(OsString, OsString)> {
        let mut path = self.path("bin").into_os_string();
        path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut all = vec![
            ("PATH".into(), path),
            ("HOME".into(), self.directory.path().into()),
            ("POSTRIDER_SOCKET".into(), self.path("no-daemon").into()),
        ];
        all.extend(self.environment.iter().cloned());
        all
    }

    /// Runs another program in this home, which finds `sendmail` and the other names first on its PATH.
    pub fn program<S: AsRef<OsStr>>(&self, program: &Path, arguments: &[S], input: impl AsRef<[u8]>) -> Finished {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.surroundings())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the program starts");
        let group = rustix::process::Pid::from_child(&child);
        let (mut stdin, input) = (child.stdin.take().expect("a pipe"), input.as_ref().to_vec());
        std::thread::spawn(move || stdin.write_all(&input));
        let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(child.wait()));
        let ended = told.recv_timeout(self.limit).unwrap_or_else(|_| {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            panic!("{} took longer than {:?}", program.display(), self.limit);
        });
        let status = ended.expect("a status");
        let status = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("a code");
        Finished { status, stdout: stdout.join().expect("output"), stderr: stderr.join().expect("errors") }
    }
}

impl Finished {
    /// The status, or a panic that shows what was said instead.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut data = Vec::new();
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut data));
        String::from_utf8_lossy(&data).into_owned()
    })
}
