//! A terminal with a program on it, as a person has one: a pseudo-terminal that is the program's controlling terminal.

use super::run::Home;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The terminal as the person sees it.
pub struct Pty {
    near: File,
    /// Held open, so that the terminal outlives its program.
    _far: File,
    shown: Arc<Mutex<String>>,
    child: Child,
}

impl Pty {
    /// Runs a line of `sh` in this home, as the terminal's own session.
    pub fn start(home: &Home, script: &str) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let near = openpt(flags).expect("a terminal");
        grantpt(&near).expect("its rights");
        unlockpt(&near).expect("its lock");
        let far = File::from(ioctl_tiocgptpeer(&near, flags).expect("its other end"));
        let end = || far.try_clone().expect("a descriptor");
        let mut command = Command::new("/usr/bin/setsid");
        command.args(["--ctty", "/bin/sh", "-c", script]).env_clear().envs(home.surroundings());
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().expect("setsid starts");
        let near = File::from(near);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, sink) = (near.try_clone().expect("a descriptor"), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                sink.lock().expect("a lock").push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        Self { near, _far: far, shown, child }
    }

    /// What was shown so far.
    pub fn shown(&self) -> String {
        self.shown.lock().expect("a lock").clone()
    }

    /// Waits until this is shown.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.until(text, || self.shown().contains(text));
    }

    /// Types.
    pub fn types(&mut self, text: &str) {
        self.near.write_all(text.as_bytes()).expect("typing");
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.near).expect("its modes").local_modes.contains(LocalModes::ECHO)
    }

    /// The process in the terminal's foreground.
    pub fn process(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// The exit status; 128 and the signal's number where a signal ended it.
    #[track_caller]
    pub fn ends(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("a code");
            }
            assert!(begun.elapsed() < LIMIT, "it does not end: {}", self.shown());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it does not become so within a minute.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < LIMIT, "{what}: {}", self.shown());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
