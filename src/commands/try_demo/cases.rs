//! The trial's messages, and what should become of each.

use super::server::Seen;
use crate::exit::Status;
use crate::sys::spawn::Ended;

/// One message and what should become of it.
pub(super) struct Case {
    /// What it shows.
    pub title: &'static str,
    /// The From address.
    pub from: &'static str,
    /// The sender that should be chosen; `None`: the default relay.
    pub sender: Option<&'static str>,
    /// The account that should log in, or be refused.
    pub account: &'static str,
    /// TLS from the start, rather than STARTTLS.
    pub implicit: bool,
    /// Recipients that the server should take.
    pub taken: &'static [&'static str],
    /// Recipients that it should refuse.
    pub refused: &'static [&'static str],
    /// The exit status.
    pub status: Status,
}

/// What was found out about a case.
pub(super) struct Evidence {
    /// What the server saw.
    pub seen: Vec<Seen>,
    /// How sendmail ended, or why it could not be run.
    pub ended: Result<Ended, String>,
    /// `sender` and `rule` as `explain` told them, where it did.
    pub explained: Option<(String, String)>,
}

const SENT: Case = Case {
    title: "",
    from: "shop@example.com",
    sender: Some("shop"),
    account: "shop@example.com",
    implicit: false,
    taken: &["customer@example.org"],
    refused: &[],
    status: Status::Ok,
};

/// All cases, in the order in which they are shown.
pub(super) const CASES: [Case; 7] = [
    Case { title: "From is an address of a sender", ..SENT },
    Case { title: "From is an alias of a sender", from: "marketing@example.com", ..SENT },
    Case {
        title: "From matches a sender's pattern",
        from: "weekly@eu.news.example.com",
        sender: Some("news"),
        account: "news@example.com",
        implicit: true,
        ..SENT
    },
    Case {
        title: "no sender matches: the default relay",
        from: "anybody@elsewhere.example",
        sender: None,
        account: "relay@example.net",
        ..SENT
    },
    Case {
        title: "one of two recipients is refused: the other gets the message",
        refused: &["refused@example.org"],
        status: Status::Unavailable,
        ..SENT
    },
    Case {
        title: "all recipients are refused",
        taken: &[],
        refused: &["refused@example.org"],
        status: Status::NoUser,
        ..SENT
    },
    Case {
        title: "the password is wrong",
        from: "stale@example.com",
        sender: Some("stale"),
        account: "stale@example.com",
        taken: &[],
        status: Status::NoPerm,
        ..SENT
    },
];

impl Case {
    /// The message. The recipients stand in To; where none should be reached, one is named all the same.
    pub(super) fn message(&self) -> String {
        let named: Vec<&str> = self.refused.iter().chain(self.taken).copied().collect();
        let to = if named.is_empty() { "customer@example.org".to_owned() } else { named.join(", ") };
        let (from, line) = (self.from, self.body());
        format!("From: {from}\nTo: {to}\nSubject: postrider try\n\n{line}\n.\nThe line above holds a single dot.\n")
    }

    fn body(&self) -> String {
        format!("A message of the trial: {}.", self.title)
    }

    /// What went otherwise than it should, in words; empty where all is well.
    pub(super) fn faults(&self, evidence: &Evidence) -> Vec<String> {
        let mut faults = Vec::new();
        let mut expect = |what: &str, wanted: &str, found: &str| {
            if wanted != found {
                faults.push(format!("{what} should be {wanted}, and is {found}"));
            }
        };
        let wanted = self.status.code().to_string();
        match &evidence.ended {
            Ok(ended) => expect("the exit status", &wanted, &ended.status.to_string()),
            Err(error) => expect("the exit status", &wanted, error),
        }
        if let Some((sender, _)) = &evidence.explained {
            let name = sender.split([' ', ',', ':']).next().unwrap_or_default();
            expect("the sender", self.sender.unwrap_or("default"), name);
        }
        let refused_logins = evidence.seen.iter().any(|seen| seen.refused_login.is_some());
        let login_refused = self.status == Status::NoPerm;
        expect("a refused login", yes(login_refused), yes(refused_logins));
        let sent: Vec<&Seen> = evidence.seen.iter().filter(|seen| seen.message.is_some()).collect();
        expect("the number of messages sent", if self.taken.is_empty() { "0" } else { "1" }, &sent.len().to_string());
        for seen in &evidence.seen {
            let account = seen.account.as_ref().or(seen.refused_login.as_ref());
            expect("the account", self.account, account.map_or("none", String::as_str));
            expect("TLS from the start", yes(self.implicit), yes(seen.implicit));
        }
        let refused: Vec<&str> = evidence.seen.iter().flat_map(|seen| &seen.refused).map(String::as_str).collect();
        expect("the refused recipients", &list(self.refused), &list(&refused));
        for seen in sent {
            let taken: Vec<&str> = seen.taken.iter().map(String::as_str).collect();
            expect("the recipients", &list(self.taken), &list(&taken));
            expect("the envelope sender", self.from, &seen.from);
            let text = format!("\r\n\r\n{}\r\n.\r\nThe line above holds a single dot.\r\n", self.body());
            let whole = seen.message.as_ref().is_some_and(|message| message.ends_with(text.as_bytes()));
            expect("the text", "as it was written", if whole { "as it was written" } else { "another" });
        }
        faults
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn list(addresses: &[&str]) -> String {
    if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") }
}
