//! Random rules asked about a random message: the decision is the same each time, what is refused while RCPT is answered is
//! refused with the message there too, and sorting loses no recipient and invents none.
//!
//! The input: lines up to a NUL, each a letter and a value (`KEYS`; `R` begins a rule, `e` is the envelope sender, `r` a
//! recipient), and behind it the message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::config::{Config, parse};
use postrider::envelope::{Dsn, Envelope, ReversePath};
use postrider::message::address::Address;
use postrider::message::read::{self, ReadRules};
use postrider::rules::sort::{Mail, sort, sort_kept};
use postrider::rules::{Mailboxes, Facts, Fate, Kind, Rules, decide, lane, path};
use std::collections::{BTreeMap, BTreeSet};

/// What a letter stands for: a key, and what surrounds the value.
const KEYS: [(u8, &str, &str, &str); 20] = [
    (b't', "to", "\"", "\""),
    (b'f', "from", "\"", "\""),
    (b'o', "header_from", "\"", "\""),
    (b'p', "header_to", "[\"a@b.example\", \"", "\"]"),
    (b's', "subject", "\"", "\""),
    (b'S', "subject", "{ regex = '", "' }"),
    (b'h', "header", "{ X-A = \"", "\" }"),
    (b'H', "header", "{ X-A = [\"x\", { regex = '", "' }] }"),
    (b'l', "larger", "\"", "\""),
    (b'm', "smaller", "\"", "\""),
    (b'i', "listener", "\"", "\""),
    (b'c', "client", "\"", "\""),
    (b'n', "not", "{ to = \"", "\", larger = \"40\" }"),
    (b'M', "maildir", "\"/m/", "\""),
    (b'P', "pipe", "[\"/bin/x\", \"", "\"]"),
    (b'F', "forward", "\"", "\""),
    (b'K', "mark", "{ X-A = \"", "\" }"),
    (b'U', "refuse", "\"", "\""),
    (b'D', "drop", "true", ""),
    (b'E', "stop", "true", ""),
];

fn toml(lines: &[&[u8]]) -> String {
    let mut rules: Vec<BTreeMap<&str, String>> = Vec::new();
    for line in lines {
        let Some((letter, value)) = line.split_first() else { continue };
        if *letter == b'R' && rules.len() < 12 {
            rules.push(BTreeMap::new());
        }
        let Some((_, key, before, after)) = KEYS.iter().find(|(own, ..)| own == letter) else { continue };
        let text = String::from_utf8_lossy(value);
        let plain: String =
            text.chars().map(|c| if c.is_control() || matches!(c, '"' | '\\' | '\'') { '_' } else { c }).collect();
        // A regular expression may have its backslashes: it stands in quotes that know no escapes.
        let value = if before.ends_with('\'') { text.replace(['\'', '\r'], "_") } else { plain };
        let value = if after.is_empty() { String::new() } else { value };
        if let Some(rule) = rules.last_mut() {
            rule.insert(key, format!("{before}{value}{after}"));
        }
    }
    let table = |(number, rule): (usize, &BTreeMap<&str, String>)| {
        let keys: String = rule.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("[[rule]]\nname = \"r{number}\"\n{keys}")
    };
    rules.iter().enumerate().map(table).collect()
}

fn fate(rules: &Rules, facts: &Facts<'_>) -> (String, Vec<String>) {
    let decision = decide(rules, facts, &mut |_, _| {});
    let lanes = decision.deliveries.iter().map(|one| format!("{} {:?}", lane(&one.rule.name, one.kind), one.marks));
    let fate = match decision.fate {
        Fate::Refused(rule) => format!("refused by {}", rule.name),
        other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
    };
    (fate, lanes.collect())
}

fn check(mail: &Mail<'_>, rules: &Rules) {
    for to in mail.envelope.recipients() {
        let facts = mail.facts(to);
        let (with, lanes) = fate(rules, &facts);
        assert_eq!((&with, &lanes), (&fate(rules, &facts).0, &fate(rules, &facts).1));
        assert_ne!(with, "Unknown");
        let (early, already) = fate(rules, &Facts { content: None, ..facts });
        assert!(early == "Unknown" || (early, already) == (with, lanes));
        for rule in &rules.list {
            if let Some(maildir) = &rule.actions.maildir {
                let place = path::expand(&maildir.template, to).path();
                assert!(place.starts_with("/m") && place.components().all(|part| part.as_os_str() != ".."));
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|octet| *octet == 0).unwrap_or(data.len());
    let lines: Vec<&[u8]> = data[..at].split(|octet| *octet == b'\n').collect();
    let Ok(rules) = parse::rules(&toml(&lines)) else { return };
    let text = data.get(at + 1..).unwrap_or_default();
    let Ok(message) = read::read(&mut { text }, ReadRules { dot_ends: false }) else { return };
    let named = |letter: u8| {
        let values = lines.iter().filter_map(move |line| line.strip_prefix(&[letter]));
        values.filter_map(|value| Address::parse(&String::from_utf8_lossy(value)).ok()).take(8)
    };
    let from = named(b'e').next().map_or(ReversePath::Null, ReversePath::Address);
    let Some(envelope) = Envelope::new(from, named(b'r').collect(), Dsn::default()) else { return };
    let client = Some("192.0.2.7".parse().expect("an address"));
    let mail = Mail { envelope: &envelope, message: &message, listener: Some("0.0.0.0:25"), client, mailboxes: Mailboxes(&|place| place.below.len() % 2 == 0) };
    check(&mail, &rules);
    let forwards = rules.list.iter().any(|rule| rule.actions.has(Kind::Forward));
    let config = Config { rules, ..Config::empty() };
    let all: BTreeSet<String> = envelope.recipients().iter().map(Address::canonical).collect();
    let Ok(parts) = sort_kept(&config, &mail) else { return };
    let of = |to: &[Address]| to.iter().map(Address::canonical).collect::<BTreeSet<_>>();
    let sorted: BTreeSet<String> = parts.iter().flat_map(|part| of(part.envelope.recipients())).collect();
    // Nothing forwards without a sender, so that nobody else appears.
    assert_eq!(sorted, all, "forwards: {forwards}");
    let pairs: Vec<(&str, BTreeSet<String>)> =
        parts.iter().map(|part| (part.lane.as_str(), of(part.envelope.recipients()))).collect();
    match sort(&config, &mail) {
        Ok(again) => {
            let again: Vec<_> =
                again.iter().map(|part| (part.lane.as_str(), of(part.envelope.recipients()))).collect();
            assert_eq!(again, pairs);
        }
        Err(_) => assert!(pairs.iter().all(|(lane, _)| lane.ends_with(" refuse"))),
    }
});
