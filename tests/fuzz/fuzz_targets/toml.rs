//! A postrider.toml: any text gives senders or errors of one line each; nothing that it names is opened.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::config::parse;

fuzz_target!(|text: &str| {
    for errors in [parse::main_file(text), parse::fragment(text)] {
        for error in errors {
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
});
