//! What a server offers in its reply to EHLO: keywords come out in upper case, once, and the case of the server's words
//! makes no difference.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::smtp::ehlo::Capabilities;
use postrider::smtp::reply::Reply;

fn parse(lines: Vec<String>) -> Capabilities {
    Capabilities::parse(&Reply { code: 250, enhanced: None, lines })
}

fuzz_target!(|text: &str| {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let found = parse(lines.clone());
    assert_eq!(found, parse(lines.iter().map(|line| line.to_ascii_lowercase()).collect()));
    assert!(found.size || found.size_limit.is_none());
    for (at, name) in found.auth.iter().enumerate() {
        assert!(!name.is_empty() && *name == name.to_ascii_uppercase() && !found.auth[..at].contains(name));
    }
});
