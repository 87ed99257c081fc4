//! The lines of MAIL and RCPT with their parameters: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), and delivery
//! status notifications (RFC 3461). Values only; a parameter appears only where the server offers it.

use super::adapt::Path;
use crate::envelope::{Dsn, Notify, Return};
use crate::message::Message;
use crate::smtp::ehlo::Capabilities;
use std::fmt::Write as _;

/// MAIL FROM for a message; `utf8`: an address of the transaction needs SMTPUTF8.
pub fn mail(offered: &Capabilities, from: &Path, utf8: bool, message: &Message, dsn: &Dsn) -> String {
    let mut command = format!("MAIL FROM:<{}>", from.as_str());
    if offered.size {
        let _ = write!(command, " SIZE={}", message.wire_size());
    }
    let utf8 = offered.utf8 && (utf8 || message.header_needs_utf8());
    if offered.eight_bit && (message.needs_8bit() || message.header_needs_utf8() || utf8) {
        command.push_str(" BODY=8BITMIME");
    }
    if utf8 {
        command.push_str(" SMTPUTF8");
    }
    if offered.dsn {
        dsn_of_mail(dsn, &mut command);
    }
    command
}

/// RCPT TO for a recipient.
pub fn rcpt(offered: &Capabilities, to: &Path, notify: Option<Notify>) -> String {
    let mut command = format!("RCPT TO:<{}>", to.as_str());
    if let (true, Some(notify)) = (offered.dsn, notify) {
        dsn_of_rcpt(notify, to, &mut command);
    }
    command
}

/// RET and ENVID (RFC 3461 section 4.3 and 4.4).
fn dsn_of_mail(dsn: &Dsn, command: &mut String) {
    match dsn.ret {
        Some(Return::Headers) => command.push_str(" RET=HDRS"),
        Some(Return::Full) => command.push_str(" RET=FULL"),
        None => {}
    }
    if let Some(envid) = dsn.envid.as_deref().filter(|envid| !envid.is_empty()) {
        let _ = write!(command, " ENVID={}", xtext(envid));
    }
}

/// NOTIFY and ORCPT (RFC 3461 section 4.1 and 4.2).
fn dsn_of_rcpt(notify: Notify, to: &Path, command: &mut String) {
    let events = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let wanted: Vec<&str> = events.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    match (notify.never, wanted.is_empty()) {
        (true, _) => command.push_str(" NOTIFY=NEVER"),
        (false, true) => return,
        (false, false) => {
            let _ = write!(command, " NOTIFY={}", wanted.join(","));
        }
    }
    if to.as_str().is_ascii() {
        let _ = write!(command, " ORCPT=rfc822;{}", xtext(to.as_str()));
    }
}

/// xtext (RFC 3461 section 4): `+` and two upper-case hex digits for all but printable ASCII without `+` and `=`.
fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'!'..=b'~' if octet != b'+' && octet != b'=' => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "+{octet:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::address::Address;

    #[test]
    fn dsn_parameters() {
        assert_eq!(xtext("a+b=c d\te"), "a+2Bb+3Dc+20d+09e");
        let mut command = String::new();
        dsn_of_mail(&Dsn { notify: None, ret: Some(Return::Headers), envid: Some("QQ=1".into()) }, &mut command);
        assert_eq!(command, " RET=HDRS ENVID=QQ+3D1");
        command.clear();
        let notify = Notify { success: true, delay: true, ..Notify::default() };
        dsn_of_rcpt(notify, &Path::of(&Address::parse("a+b@c.test").unwrap(), false).unwrap(), &mut command);
        assert_eq!(command, " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.test");
        command.clear();
        dsn_of_rcpt(Notify::default(), &Path::of(&Address::parse("a@c.test").unwrap(), false).unwrap(), &mut command);
        assert_eq!(command, "");
    }
}
