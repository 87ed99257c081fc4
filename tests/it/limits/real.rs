//! Three senders with different limits before a real Postfix: the totals are exact.

use super::served::Daemon;
use crate::support::postfix::{Delivered, Postfix};
use crate::support::skip;
use postrider::daemon::protocol::{Reply, Request};
use std::collections::BTreeMap;
use std::time::Duration;

const PASSWORD: &str = "s3cret of many";
/// Messages for each sender, and how many of them its limits let go at first, of 100.
const SENDERS: [(&str, usize, usize); 3] = [("shop", 50, 30), ("news", 30, 25), ("office", 20, 20)];

/// The configuration; without `limited` the limits are out of reach.
fn senders(postfix: &Postfix, unit: usize, limited: bool) -> String {
    let account = |(name, _, most): (&str, usize, usize)| {
        let most = if limited { most * unit } else { 1_000_000 };
        let limits = match name {
            "shop" => format!("{{ messages = {most}, per = \"24h\" }}, {{ recipients = 1000000, per = \"1h\" }}"),
            "news" => format!("{{ messages = 1000000, per = \"1h\" }}, {{ recipients = {most}, per = \"7d\" }}"),
            _ => "{ recipients = 1000000, per = \"day\" }".to_owned(),
        };
        format!(
            "[[sender]]\nname = \"{name}\"\nfrom = \"{name}@example.com\"\nserver = \"smtp://127.0.0.1:{}\"\n\
             ca_file = \"{}\"\nuser = \"{name}@example.com\"\npassword = {{ file = \"password\" }}\nlimits = [{limits}]\ntimezone = \"Asia/Tokyo\"\n",
            postfix.starttls_port,
            postfix.ca_file.display()
        )
    };
    SENDERS.map(account).concat()
}

/// The messages of a sender, in dialogues with `sendmail -bs`, several at a time.
fn submit(daemon: &Daemon, name: &str, count: usize) {
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                let mut dialogue = "EHLO me\r\n".to_owned();
                for number in (0..count).filter(|number| number % 4 == part) {
                    dialogue += &format!(
                        "MAIL FROM:<{name}@example.com>\r\nRCPT TO:<you@example.org>\r\nDATA\r\nFrom: {name}@example.com\r\n\
                         Subject: {name} {number}\r\n\r\nhello\r\n.\r\n"
                    );
                }
                let run = daemon.home.run("sendmail", &["-bs"], dialogue + "QUIT\r\n").expect(0);
                assert!(!run.stdout.lines().any(|line| line.starts_with(['4', '5'])), "{}", run.stdout);
            });
        }
    });
}

/// How many messages of each account came, and whether each came once.
fn totals(messages: &[Delivered]) -> BTreeMap<String, usize> {
    let mut subjects = BTreeMap::new();
    let mut totals = BTreeMap::new();
    for message in messages {
        let text = String::from_utf8_lossy(&message.text).into_owned();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
        let account = message.account.clone().unwrap();
        assert_eq!(account.strip_suffix("@example.com"), subject.split(' ').next(), "over its own account");
        *totals.entry(account).or_insert(0) += 1;
        assert!(subjects.insert(subject, ()).is_none(), "twice: {text}");
    }
    totals
}

fn expected(count: impl Fn(usize, usize) -> usize) -> BTreeMap<String, usize> {
    SENDERS.map(|(name, all, most)| (format!("{name}@example.com"), count(all, most))).into_iter().collect()
}

#[test]
fn three_senders_before_postfix_keep_to_their_limits_exactly() {
    let test = "three_senders_before_postfix_keep_to_their_limits_exactly";
    let Some(postfix) = Postfix::start(test) else { return };
    // 10,000 messages where there is time for that, else 600.
    let unit = if skip::slow(&format!("{test} with 10,000 messages")) { 100 } else { 6 };
    SENDERS.iter().for_each(|(name, ..)| postfix.add_account(&format!("{name}@example.com"), PASSWORD));
    let mut daemon = Daemon::start("", &senders(&postfix, unit, true));
    daemon.be_patient(Duration::from_secs(300));
    daemon.home.write("password", format!("{PASSWORD}\n"));
    std::thread::scope(|scope| {
        let daemon = &daemon;
        SENDERS.iter().for_each(|(name, all, _)| drop(scope.spawn(move || submit(daemon, name, all * unit))));
    });
    let first: usize = SENDERS.iter().map(|(.., most)| most * unit).sum();
    let queued = || match daemon.ask(&Request::Status) {
        Reply::Status { messages, .. } => messages as usize,
        other => panic!("{other:?}"),
    };
    daemon.until("all that the limits let go", || queued() == 100 * unit - first);
    let messages = postfix.messages_within(first, Duration::from_secs(120));
    assert_eq!(totals(&messages), expected(|_, most| most * unit));
    for (name, _, most) in SENDERS {
        let shown = daemon.home.run("postrider", &["senders", name, "--json"], "").expect(0).stdout;
        let sender: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let limits = sender["limits"].as_array().unwrap();
        // A day may have ended meanwhile.
        let rolling = limits.iter().filter(|limit| !limit["limit"].as_str().unwrap().contains("day"));
        assert!(rolling.into_iter().all(|limit| limit["used"] == most * unit), "{shown}");
    }

    // Higher limits, and the rest goes: all of it, once.
    daemon.configure("", &senders(&postfix, unit, false));
    daemon.ask(&Request::Reload);
    daemon.until("the rest", || queued() == 0);
    let messages = postfix.messages_within(100 * unit, Duration::from_secs(120));
    assert_eq!(totals(&messages), expected(|all, _| all * unit));
}
