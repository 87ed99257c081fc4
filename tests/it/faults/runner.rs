//! Runs scenarios side by side through the real binary, and holds each to what must be true of all of them.

use crate::support::certs::{Authority, Identity, Kind};
use crate::support::run::{Finished, Home};
use crate::support::script::{Fault, Script};
use crate::support::server::{Message, Server};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

/// The password of every login; no run may show it.
pub const PASSWORD: &str = "tanstaafl-4711";
/// The user of every login.
pub const USER: &str = "tim";
/// The most address space of a run, KiB: more than its memory can ever be.
const MEMORY: u32 = 64 * 1024;
/// A run that takes longer hangs.
const HANGS: Duration = Duration::from_secs(25);
/// Runs side by side.
const WORKERS: usize = 6;
/// The body of every message that has no other.
const BODY: &str = "one\r\n.two\r\n\r\nthree\r\n";

/// The authority that runs trust.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static VALID: LazyLock<Identity> = LazyLock::new(|| AUTHORITY.issue(Kind::Valid));

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all; the login goes in clear.
    Plain,
    /// STARTTLS.
    StartTls,
    /// TLS from the start.
    Implicit,
    /// LMTP, without TLS and login.
    Lmtp,
}

/// What the server may have at the end.
#[derive(Clone, Debug)]
pub enum Taken {
    /// The message once for each of these recipients, and for nobody else.
    By(Vec<&'static str>),
    /// The message once for everybody, or for nobody: the run has to say that it does not know.
    Unknown,
}

/// One fault and what has to come of it.
#[derive(Clone)]
pub struct Scenario {
    /// Its name in failures.
    pub name: String,
    /// The server.
    pub script: Script,
    mode: Mode,
    recipients: Vec<&'static str>,
    body: String,
    keys: Vec<String>,
    config: &'static str,
    /// Time limits for one try and the next: a busy machine may run into the first where nothing hangs.
    limits: Vec<&'static str>,
    status: i32,
    says: Vec<String>,
    taken: Option<Taken>,
    unseen: Vec<&'static str>,
    elsewhere: bool,
}

impl Scenario {
    /// A scenario with a login where the mode has one; it has to end well unless said otherwise.
    pub fn new(name: impl Into<String>, mode: Mode) -> Self {
        let script = match mode {
            Mode::Plain => Script::new().auth_in_clear(),
            Mode::StartTls => Script::new().starttls(&VALID),
            Mode::Implicit => Script::new().implicit_tls(&VALID),
            Mode::Lmtp => Script::new().lmtp(),
        };
        let script = if mode == Mode::Lmtp { script } else { script.auth(USER, PASSWORD, &["PLAIN", "LOGIN"]) };
        Self {
            name: name.into(),
            script: script.offer("ENHANCEDSTATUSCODES"),
            mode,
            recipients: vec!["ann@example.org"],
            body: BODY.into(),
            keys: Vec::new(),
            config: "tempfail_exit = 75\n",
            limits: vec!["20s"],
            status: 0,
            says: Vec::new(),
            taken: None,
            unseen: Vec::new(),
            elsewhere: false,
        }
    }

    /// The status that is due.
    pub fn status(&self) -> i32 {
        self.status
    }

    /// Changes the server.
    pub fn server(self, change: impl FnOnce(Script) -> Script) -> Self {
        Self { script: change(self.script), ..self }
    }

    /// Other recipients.
    pub fn to(self, recipients: &[&'static str]) -> Self {
        Self { recipients: recipients.to_vec(), ..self }
    }

    /// A body of that many lines.
    pub fn lines(self, count: usize) -> Self {
        Self { body: format!("{}\r\n", "0123456789 ".repeat(6)).repeat(count), ..self }
    }

    /// A line of the account's configuration.
    pub fn key(mut self, line: impl Into<String>) -> Self {
        self.keys.push(line.into());
        self
    }

    /// The top of the configuration; otherwise it has temporary failures end with 75, to tell them from others.
    pub fn config(self, config: &'static str) -> Self {
        Self { config, ..self }
    }

    /// The server stalls: short limits.
    pub fn stalls(self) -> Self {
        Self { limits: vec!["400ms", "3s", "12s"], ..self }
    }

    /// It must end with this status, and these words on standard error.
    pub fn ends(self, status: i32, says: &[&str]) -> Self {
        let says = says.iter().map(|word| (*word).to_owned()).collect();
        Self { status, says, ..self }
    }

    /// The error is not one of this server.
    pub fn elsewhere(self) -> Self {
        Self { elsewhere: true, ..self }
    }

    /// What the server must have at the end; otherwise all or nothing, by the status.
    pub fn taken(self, taken: Taken) -> Self {
        Self { taken: Some(taken), ..self }
    }

    /// Verbs that the server must never have seen.
    pub fn unseen(self, verbs: &[&'static str]) -> Self {
        Self { unseen: verbs.to_vec(), ..self }
    }

    /// Runs it, and gives what was wrong.
    fn check(&self) -> Result<(), String> {
        let mut wrong = String::new();
        for limit in &self.limits {
            let tried = catch_unwind(AssertUnwindSafe(|| self.attempt(limit)));
            match tried.unwrap_or_else(|panic| Err(words(panic.as_ref()))) {
                Ok(()) => return Ok(()),
                Err(why) => wrong = why,
            }
        }
        Err(format!("{}: {wrong}", self.name))
    }

    fn attempt(&self, limit: &str) -> Result<(), String> {
        let server = self.script.clone().start();
        let home = self.home(&server, limit);
        let input = format!("From: shop@example.com\r\nTo: ann@example.org\r\nSubject: x\r\n\r\n{}", self.body);
        let ended = bounded(&home, &self.recipients, &input);
        let judged = self.judge(&server, &ended);
        judged.map_err(|why| format!("{why}\n    status {}, stderr: {}", ended.status, ended.stderr.trim_end()))
    }

    /// A home with a configuration for this server.
    pub fn home(&self, server: &Server, limit: &str) -> Home {
        let home = Home::new().limit(HANGS);
        let authority = home.write("authority.pem", AUTHORITY.pem());
        home.write("password", PASSWORD);
        let scheme = match self.mode {
            Mode::Plain => "smtp+plain",
            Mode::StartTls => "smtp",
            Mode::Implicit => "smtps",
            Mode::Lmtp => "lmtp",
        };
        let mut lines = vec![format!("{}\n[log]\nto = \"off\"\n[default]", self.config)];
        let mut usual = |key: &str, line: String| {
            if !self.keys.iter().any(|own| own.starts_with(key)) {
                lines.push(line);
            }
        };
        usual("server", format!("server = \"{scheme}://{}\"", server.address()));
        usual(
            "timeouts",
            format!("timeouts = {{ connect = \"{limit}\", command = \"{limit}\", data_end = \"{limit}\" }}"),
        );
        if self.mode != Mode::Lmtp && !self.keys.iter().any(|own| own.starts_with("auth = \"off\"")) {
            usual("user", format!("user = \"{USER}\""));
            usual("password", "password = { file = \"password\" }".into());
        }
        match self.mode {
            Mode::Plain => usual("allow_plaintext", "allow_plaintext_password = true".into()),
            Mode::Lmtp => {}
            _ => usual("ca_file", format!("ca_file = \"{}\"", authority.display())),
        }
        lines.extend(self.keys.iter().map(|line| line.replace("{server}", &server.address())));
        home.config(&lines.join("\n"))
    }

    fn judge(&self, server: &Server, ended: &Finished) -> Result<(), String> {
        require(ended.status == self.status, || format!("status {} was due", self.status))?;
        self.judge_words(server, ended)?;
        let messages = server.messages();
        let taken = self.taken.clone().unwrap_or_else(|| match ended.status {
            0 => Taken::By(self.recipients.clone()),
            _ => Taken::By(Vec::new()),
        });
        self.judge_taken(&taken, &messages)?;
        for connection in server.connections() {
            let verbs = connection.verbs();
            let seen = self.unseen.iter().find(|verb| verbs.iter().any(|said| said == *verb));
            require(seen.is_none(), || format!("{seen:?} was said: {verbs:?}"))?;
        }
        Ok(())
    }

    /// One line that names the server, without control characters and without the password; none on success.
    fn judge_words(&self, server: &Server, ended: &Finished) -> Result<(), String> {
        let said = &ended.stderr;
        require(ended.stdout.is_empty(), || format!("stdout: {}", ended.stdout))?;
        if ended.status == 0 {
            return require(said.is_empty(), || "words on success".into());
        }
        let begin = format!("sendmail: server {}, ", server.address());
        require(self.elsewhere || said.starts_with(&begin), || "the server is not named".into())?;
        require(said.ends_with('\n') && said.lines().count() == 1, || "not one line".into())?;
        require(said.len() < 1500 && !said.trim_end().chars().any(char::is_control), || "unfit for people".into())?;
        let missing = self.says.iter().find(|word| !said.contains(word.as_str()));
        require(missing.is_none(), || format!("'{}' is not said", missing.map_or("", String::as_str)))?;
        let doubt = matches!(self.taken, Some(Taken::Unknown));
        require(doubt == said.contains("it may have been delivered"), || format!("in doubt: {doubt}"))?;
        let encoded = openssl::base64::encode_block(format!("\0{USER}\0{PASSWORD}").as_bytes());
        require(!said.contains(PASSWORD) && !said.contains(&encoded), || "the password is shown".into())
    }

    fn judge_taken(&self, taken: &Taken, messages: &[Message]) -> Result<(), String> {
        let count = |who: &str| messages.iter().flat_map(|message| &message.recipients).filter(|to| *to == who).count();
        for who in &self.recipients {
            let found = count(who);
            let fits = match taken {
                Taken::By(some) => found == usize::from(some.contains(who)),
                Taken::Unknown => found <= 1,
            };
            require(fits, || format!("{who} got it {found} times"))?;
        }
        for message in messages.iter().filter(|message| !message.recipients.is_empty()) {
            let whole = message.text.ends_with(format!("\r\n\r\n{}", self.body).as_bytes());
            require(whole, || format!("the message is damaged: {} octets", message.text.len()))?;
        }
        let nobody = messages.iter().filter(|message| message.recipients.is_empty());
        require(nobody.clone().all(|message| message.text.is_empty()), || "a message to nobody".into())
    }
}

/// Runs sendmail with so little address space that its memory cannot grow beyond the gate.
pub fn bounded(home: &Home, recipients: &[&str], input: &str) -> Finished {
    let line = format!("ulimit -v {MEMORY}; exec sendmail \"$@\"");
    let arguments = [&["-c", &line, "sendmail", "-i", "-f", "shop@example.com", "--"], recipients].concat();
    home.program(std::path::Path::new("/bin/sh"), &arguments, input)
}

fn require(fits: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if fits { Ok(()) } else { Err(why()) }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
}

/// Runs a table, and fails with all that was wrong in it.
pub fn run(table: Vec<Scenario>) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(scenario) = table.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(why) = scenario.check() {
                        wrong.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} scenarios:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

#[test]
fn the_runner_sees_what_is_wrong() {
    let well = || Scenario::new("well", Mode::Plain);
    let refused = || well().server(|script| script.reply("MAIL", "550 no")).ends(69, &["550 no"]);
    assert_eq!((well().check(), refused().check()), (Ok(()), Ok(())));
    let lost = || well().server(|script| script.on("DOT", Fault::Lose)).ends(69, &[]);
    for (wrong, why) in [
        (well().ends(69, &[]), "status 69 was due"),
        (refused().ends(69, &["551"]), "'551' is not said"),
        (well().taken(Taken::By(Vec::new())), "ann@example.org got it 1 times"),
        (refused().taken(Taken::By(vec!["ann@example.org"])), "ann@example.org got it 0 times"),
        (refused().taken(Taken::Unknown), "in doubt: true"),
        (lost(), "in doubt: false"),
        (well().unseen(&["MAIL"]), "was said"),
    ] {
        let found = wrong.check().expect_err(why);
        assert!(found.contains(why), "{found}");
    }
}

#[test]
fn the_memory_limit_bites() {
    let home = Home::new().limit(HANGS);
    let line = format!("ulimit -v {MEMORY}; exec dd if=/dev/zero of=/dev/null bs=64M count=1");
    assert_ne!(home.program(std::path::Path::new("/bin/sh"), &["-c", &line], "").status, 0);
}
