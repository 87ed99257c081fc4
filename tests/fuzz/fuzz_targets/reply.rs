//! The reply reader (RFC 5321 section 4.2): octets in pieces of any size give the same replies as in one piece, bounded
//! and printable.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::smtp::reply::{Parser, Reply, ReplyError};

/// All replies of the octets, and the error that ended them.
fn read(data: &[u8], piece: usize) -> (Vec<Reply>, Option<ReplyError>) {
    let (mut parser, mut replies) = (Parser::default(), Vec::new());
    for mut rest in data.chunks(piece) {
        while !rest.is_empty() {
            match parser.feed(rest) {
                Err(error) => return (replies, Some(error)),
                Ok((taken, reply)) => {
                    rest = &rest[taken..];
                    replies.extend(reply);
                }
            }
        }
    }
    (replies, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, data)) = data.split_first() else { return };
    let whole = read(data, data.len().max(1));
    assert_eq!(whole, read(data, usize::from(size).max(1)));
    for reply in &whole.0 {
        assert!((200..600).contains(&reply.code));
        assert!(!reply.to_string().chars().any(char::is_control));
        assert!(reply.clone().short().to_string().len() <= reply.to_string().len());
        let _ = (reply.is_positive(), reply.too_many_recipients());
    }
});
