//! Address lists: every address that comes out is safe in an SMTP command and stays itself when it is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::message::address::{Address, Mailbox, parse_argument, parse_list, parse_reverse_path};

fn check(found: &[Mailbox]) {
    for one in found {
        let text = one.address.as_str();
        assert!(!text.chars().any(char::is_control) && !one.name.as_deref().unwrap_or_default().contains(['\r', '\n']));
        assert!(one.address.local().len() <= 64 && one.address.domain().len() <= 255);
        assert_eq!(Address::parse(text).as_ref(), Ok(&one.address), "an address reads back as itself");
        let listed = parse_list(format!("x@y.test, <{text}>").as_bytes(), "local.test");
        assert_eq!(listed.as_ref().ok().and_then(|list| list.get(1)).map(|last| &last.address), Some(&one.address));
        let _ = (one.address.key(), one.address.canonical());
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(found) = parse_list(data, "local.test") {
        check(&found);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(found) = parse_argument(text, "local.test") {
            check(&found);
        }
        let _ = parse_reverse_path(text, "local.test");
    }
});
