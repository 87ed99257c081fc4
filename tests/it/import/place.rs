//! The place of these tests: a home, and the server that all configurations send to, in each kind of protection.

use super::import;
use crate::support::certs::{Authority, Kind};
use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use crate::support::server::{Connection, Server};

const LOGINS: [(&str, &str); 4] =
    [("robot", "tan:st'aaf \"1"), ("shop@example.com", "tanstaaf2"), ("news", "tanstaaf3"), ("anna", "tanstaaf4")];

/// The server that all of them send to, in each kind of protection.
pub struct Place {
    pub home: Home,
    pub starttls: Server,
    pub tls: Server,
    pub clear: Server,
    fingerprint: String,
}

impl Place {
    pub fn new() -> Self {
        Self::with(|script| script)
    }

    /// The same with something more in what its servers do.
    pub fn with(more: fn(Script) -> Script) -> Self {
        let authority = Authority::new();
        let identity = authority.issue(Kind::Valid);
        let logins = |script: Script| {
            let script = more(script.offer("8BITMIME").offer("PIPELINING"));
            LOGINS.iter().fold(script, |script, (user, password)| script.auth(user, password, &["PLAIN", "LOGIN"]))
        };
        let home = Home::new();
        let ca = home.write("ca.pem", authority.pem());
        let digest = identity.certificate.digest(openssl::hash::MessageDigest::sha256()).unwrap();
        Self {
            // For configurations that cannot name an authority.
            home: home.env("SSL_CERT_FILE", ca),
            starttls: logins(Script::new()).starttls(&identity).start(),
            tls: logins(Script::new()).implicit_tls(&identity).start(),
            clear: logins(Script::new().auth_in_clear()).start(),
            fingerprint: digest.iter().map(|octet| format!("{octet:02x}")).collect(),
        }
    }

    /// Writes a source, with the ports and files in place of their names.
    pub fn source(&self, name: &str, text: &str) -> &Self {
        self.home.write(&format!("source/{name}"), self.filled(text));
        self
    }

    /// A text with the ports and files in place of their names.
    pub fn filled(&self, text: &str) -> String {
        text.replace("STARTTLS_PORT", &self.starttls.port.to_string())
            .replace("TLS_PORT", &self.tls.port.to_string())
            .replace("CLEAR_PORT", &self.clear.port.to_string())
            .replace("CA_PEM", self.home.path("ca.pem").to_str().unwrap())
            .replace("DIGEST", &self.fingerprint)
    }

    /// Imports, and looks at the result with `check`, which opens the secrets too.
    pub fn import(&self, program: &str, files: &[&str], more: &[&str]) -> &Self {
        let write = format!("--write={}", self.home.path("etc").display());
        import(&self.home, program, files, &[more, &[&write, "--force"]].concat()).expect(0);
        self.imported()
    }

    /// What was imported into `etc` is looked at, and made to keep to this home.
    pub fn imported(&self) -> &Self {
        let toml = self.home.path("etc/postrider.toml");
        // What counts for limits stays in this home, whoever runs the test.
        let mut text = std::fs::read_to_string(&toml).unwrap();
        text.push_str(&format!("\n[limits]\nfile = \"{}\"\n", self.home.path("limits.db").display()));
        std::fs::write(&toml, text).unwrap();
        self.home.run("postrider", &["--config", toml.to_str().unwrap(), "check"], "").expect(0);
        self
    }

    pub fn send(&self, arguments: &[&str], message: &str) -> Finished {
        let toml = self.home.path("etc/postrider.toml");
        let all = [&["--config", toml.to_str().unwrap(), "sendmail"], arguments].concat();
        self.home.run("postrider", &all, message).expect(0)
    }

    /// Sends with this From, and gives what arrived: login, envelope sender, From line.
    pub fn from(&self, server: &Server, address: &str) -> (String, String, String) {
        let before = server.connections().len();
        self.send(&["-t", "-i"], &format!("From: {address}\nTo: you@example.org\nSubject: x\n\nhello\n"));
        let connections = server.connections();
        assert_eq!(connections.len(), before + 1, "{address} went elsewhere");
        seen(&connections[before])
    }
}

/// Login, envelope sender and From line of the one message of a connection.
pub fn seen(connection: &Connection) -> (String, String, String) {
    let [message] = connection.messages.as_slice() else { panic!("{connection:?}") };
    assert_eq!(message.recipients, ["you@example.org"]);
    let text = String::from_utf8(message.text.clone()).unwrap();
    assert!(text.ends_with("\r\n\r\nhello\r\n"), "{text}");
    let from = text.lines().find_map(|line| line.strip_prefix("From: ")).unwrap_or_default().to_owned();
    (connection.account.clone().unwrap_or_default(), message.from.clone(), from)
}
