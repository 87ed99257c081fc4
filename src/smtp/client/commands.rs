//! The lines of MAIL and RCPT with their parameters: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), and delivery
//! status notifications (RFC 3461). Values only; a parameter appears only where the server offers it.

use super::adapt::Path;
use crate::envelope::{Dsn, Notify, OriginalRecipient, RecipientDsn, Return};
use crate::message::Message;
use crate::smtp::ehlo::Capabilities;
use crate::smtp::xtext;
use std::borrow::Cow;
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

/// RCPT TO for a recipient, and what was asked about it.
pub fn rcpt(offered: &Capabilities, to: &Path, dsn: &RecipientDsn) -> String {
    let mut command = format!("RCPT TO:<{}>", to.as_str());
    if offered.dsn {
        dsn_of_rcpt(dsn, to, &mut command);
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
        let _ = write!(command, " ENVID={}", xtext::encode(envid));
    }
}

/// NOTIFY and ORCPT (RFC 3461 section 4.1 and 4.2). An ORCPT that came with the recipient always goes on; where a
/// notification is asked for and none came, the recipient's own address is the original one.
fn dsn_of_rcpt(dsn: &RecipientDsn, to: &Path, command: &mut String) {
    let notify = dsn.notify.and_then(notify_value);
    let orcpt = match &dsn.orcpt {
        None => notify.as_ref().map(|_| Cow::Owned(OriginalRecipient::of(to.as_str()))),
        came => came.as_ref().map(Cow::Borrowed),
    };
    if let Some(notify) = notify {
        let _ = write!(command, " NOTIFY={notify}");
    }
    // A path beyond ASCII was made for a transaction with SMTPUTF8; elsewhere the form in ASCII is always right.
    if let Some(orcpt) = orcpt.and_then(|orcpt| orcpt.parameter(!to.as_str().is_ascii())) {
        let _ = write!(command, " ORCPT={orcpt}");
    }
}

fn notify_value(notify: Notify) -> Option<String> {
    if notify.never {
        return Some("NEVER".to_owned());
    }
    let events = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let wanted: Vec<&str> = events.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    (!wanted.is_empty()).then(|| wanted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::address::Address;

    #[test]
    fn dsn_parameters() {
        let mut command = String::new();
        let dsn = Dsn { ret: Some(Return::Headers), envid: Some("QQ=1".into()), ..Dsn::default() };
        dsn_of_mail(&dsn, &mut command);
        assert_eq!(command, " RET=HDRS ENVID=QQ+3D1");
    }

    #[test]
    fn parameters_of_a_recipient() {
        let said = |to: &str, notify: Option<Notify>, orcpt: Option<&str>| {
            let orcpt = orcpt.map(|value| OriginalRecipient::parse(value).unwrap());
            let mut command = String::new();
            let path = Path::of(&Address::parse(to).unwrap(), true).unwrap();
            dsn_of_rcpt(&RecipientDsn { notify, orcpt }, &path, &mut command);
            command
        };
        let some = Some(Notify { success: true, delay: true, ..Notify::default() });
        assert_eq!(said("a+b@c.test", some, None), " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.test");
        assert_eq!(said("a@c.test", Some(Notify::default()), None), "");
        assert_eq!(said("a@c.test", None, Some("rfc822;A+2Bb@D.test")), " ORCPT=rfc822;A+2Bb@D.test");
        assert_eq!(said("a@c.test", some, Some("x;y")), " NOTIFY=SUCCESS,DELAY ORCPT=x;y");
        assert_eq!(said("\u{fc}@c.test", some, None), " NOTIFY=SUCCESS,DELAY ORCPT=utf-8;\u{fc}@c.test");
        assert_eq!(said("a@c.test", None, Some("utf-8;\u{fc}@c.test")), " ORCPT=utf-8;\\x{FC}@c.test");
    }
}
