//! Why an attempt did not end in delivery, in so few words that equal ones can be counted. Pure.

use crate::deliver::trouble::{Kind, Permanence, Trouble};
use crate::queue::Fate;

/// The reply's codes where there was one, and the kind of failure: `550 5.1.1 recipient refused`, `no connection`. What
/// was given up after trying for too long says so.
#[must_use]
pub fn of(trouble: &Trouble, fate: Fate) -> String {
    let kind = kind(trouble.kind);
    let expired = fate == Fate::Failed && trouble.permanence != Permanence::Permanent;
    let begin = if expired { "expired: " } else { "" };
    match &trouble.reply {
        None => format!("{begin}{kind}"),
        Some(reply) => match reply.enhanced {
            Some((class, subject, detail)) => format!("{begin}{} {class}.{subject}.{detail} {kind}", reply.code),
            None => format!("{begin}{} {kind}", reply.code),
        },
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::UnknownHost => "server unknown",
        Kind::Network => "no connection",
        Kind::Tls => "TLS",
        Kind::Protocol => "no SMTP",
        Kind::Auth => "login",
        Kind::Secret => "no password",
        Kind::Config => "configuration",
        Kind::Refused => "refused",
        Kind::RecipientRefused => "recipient refused",
        Kind::Message => "message unsuitable",
        Kind::Io => "message unreadable",
        Kind::Counters => "limits not counted",
    }
}
