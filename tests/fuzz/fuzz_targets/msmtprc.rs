//! An msmtprc: any text gives accounts or one error of one line; nothing is opened and no command is run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::config::msmtprc::{Facts, parse};
use std::path::Path;
use zeroize::Zeroizing;

fuzz_target!(|data: &[u8]| {
    let facts = Facts {
        home: Some(Path::new("/home/u")),
        hostname: "host.test",
        canonical: "host.test",
        mailname: Some("mail.test"),
    };
    let mut eval = |command: &str| match command.len() % 3 {
        0 => Err("the command failed".to_owned()),
        _ => Ok(Zeroizing::new(command.as_bytes().to_vec())),
    };
    if let Err(error) = parse(data, Path::new("msmtprc"), &facts, &mut eval) {
        let text = error.to_string();
        assert!(text.starts_with("msmtprc") && !text.chars().any(char::is_control), "{text:?}");
    }
});
