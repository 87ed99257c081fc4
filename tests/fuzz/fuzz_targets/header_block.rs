//! Messages: what goes to the server has CRLF line ends alone, is as long as it was announced, keeps its header apart
//! from its body, and reads back as itself. What is rewritten adds no field that nobody asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::message::address::Address;
use postrider::message::read::{ReadRules, read};
use postrider::message::{Message, recipients, rewrite};
use std::io::Read;

fn wire(message: &Message) -> Vec<u8> {
    let mut octets = Vec::new();
    message.wire().read_to_end(&mut octets).expect("a message in memory can be read");
    assert_eq!(octets.len() as u64, message.wire_size());
    for (at, octet) in octets.iter().enumerate() {
        match octet {
            b'\n' => assert!(at > 0 && octets[at - 1] == b'\r', "bare LF"),
            b'\r' => assert!(octets.get(at + 1) == Some(&b'\n'), "bare CR"),
            _ => {}
        }
    }
    octets
}

/// Reading what went out gives the same again.
fn stays(octets: &[u8]) {
    let again = read(&mut &octets[..], ReadRules::default()).expect("what was sent can be read");
    assert!(wire(&again) == octets, "what was sent reads back as something else");
}

fuzz_target!(|data: &[u8]| {
    for dot_ends in [false, true] {
        let Ok(message) = read(&mut &data[..], ReadRules { dot_ends }) else { continue };
        stays(&wire(&message));
        let fields = message.header.fields().len();
        let _ = (recipients::extract(&message.header, "local.test"), recipients::from(&message.header, "local.test"));
        let _ = recipients::sender(&message.header, "local.test");
        if let Ok(reencoded) = message.reencoded() {
            assert!(!reencoded.has_long_lines());
            stays(&wire(&reencoded));
        }
        let mut rewritten = message.clone();
        rewrite::strip_bcc(&mut rewritten);
        assert!(rewritten.header.first("Bcc").is_none());
        rewrite::qualify(&mut rewritten, "local.test");
        let address = Address::parse("shop@example.com").expect("a good address");
        rewrite::set_from(&mut rewritten, &address, Some("Sh\u{f6}p"));
        assert!(rewritten.header.fields().len() <= fields + 3);
        stays(&wire(&rewritten));
    }
});
