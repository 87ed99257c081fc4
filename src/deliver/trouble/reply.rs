//! What a 4xx or 5xx means: by the rule that fits it, else by phase and code (RFC 5321 section 4.2.3, RFC 3463).

use super::Permanence::{Permanent, Temporary};
use super::rules::{Found, Rules};
use super::{Kind, Permanence, Scope, Trouble, Wait};
use crate::config::replies::{LONGEST, Then};
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;

/// What a 4xx or 5xx means, by phase and code.
pub(super) fn judge(phase: Phase, reply: &Reply, rules: &Rules<'_>) -> Trouble {
    let usual = usual(phase, reply);
    match rules.find(phase, reply) {
        Some(rule) => apply(&rule, usual),
        None => usual,
    }
}

/// What it means where no rule fits.
fn usual(phase: Phase, reply: &Reply) -> Trouble {
    let permanence = if reply.is_transient() { Temporary } else { Permanent };
    let trouble = match (phase, reply.code) {
        (_, 421) => Trouble::new(Scope::Site, Temporary, Kind::Refused, phase, "the server ends the session for now"),
        (Phase::Auth, code) => judge_auth(code, permanence),
        (_, 530) => judge_auth(530, Permanent),
        (Phase::StartTls, _) => Trouble::new(Scope::Site, permanence, Kind::Tls, phase, "STARTTLS was refused"),
        (Phase::Greeting | Phase::Ehlo, _) => {
            Trouble::new(Scope::Site, permanence, Kind::Refused, phase, "the server does not serve this host")
        }
        _ => judge_transaction(phase, reply, permanence),
    };
    Trouble { phase, reply: Some(reply.clone()), ..trouble }
}

/// What a rule makes of a reply that would otherwise mean `usual`.
fn apply(rule: &Found<'_>, usual: Trouble) -> Trouble {
    let phase = usual.phase;
    let asked = matches!(phase, Phase::Mail | Phase::Rcpt | Phase::Data | Phase::Body | Phase::End);
    // A login stays a login: the caller's status says so.
    let kind = |other: Kind| if usual.kind == Kind::Auth { Kind::Auth } else { other };
    let scope = match phase {
        Phase::Rcpt => Scope::Recipient,
        _ => Scope::Message,
    };
    let refused = if phase == Phase::Rcpt { Kind::RecipientRefused } else { kind(Kind::Refused) };
    let site =
        |wait, what: &str| Trouble { wait, ..Trouble::new(Scope::Site, Temporary, kind(Kind::Refused), phase, what) };
    let trouble = match rule.then {
        Then::Hold(None) => site(Wait::Window, "the account's sending limit is reached")
            .advise("its mail waits until the provider's window frees"),
        Then::Hold(Some(time)) => site(Wait::Firm(time), "the server has shut the account out")
            .advise(format!("nothing is tried for {}, as each try would prolong it", humantime::format_duration(time))),
        Then::BackOff(most) => site(Wait::UpTo(most.unwrap_or(LONGEST)), "the server wants less mail for now"),
        Then::Fault => {
            let what = if asked { "the account may not send this as it is configured" } else { &usual.what };
            let fault = Trouble::new(Scope::Site, Permanent, kind(Kind::Config), phase, what);
            Trouble { advice: usual.advice.clone().filter(|_| !asked), ..fault }
                .or_advise("compare the account's settings with what the provider says")
        }
        Then::Split => Trouble::new(scope, Temporary, refused, phase, "the server takes fewer recipients at a time"),
        Then::Bounce => Trouble::new(scope, Permanent, refused, phase, "refused"),
        Then::Retry => Trouble::new(scope, Temporary, refused, phase, "refused for now"),
    };
    let trouble = Trouble { reply: usual.reply, ..trouble };
    match rule.advice {
        Some(advice) => trouble.advise(advice),
        None => trouble,
    }
}

/// Whether a server complains that commands came together: in words, or, later than MAIL, that one came out of turn. Words
/// within an address, or of a verdict on the text, are not such a complaint.
pub(super) fn wants_lockstep(reply: &Reply, phase: Phase) -> bool {
    let command =
        matches!(phase, Phase::Mail | Phase::Rcpt | Phase::Data) && matches!(reply.code, 421 | 500 | 503 | 550 | 554);
    let text = reply.lines.join(" ").to_ascii_lowercase();
    let mut words = text.split_whitespace().filter(|word| !word.contains('@'));
    let named = words.any(|word| word.contains("pipelin") || word.contains("synchroni"));
    let out_of_turn = matches!(reply.code, 500 | 503) && reply.enhanced.is_none_or(|(_, subject, _)| subject == 5);
    command && (named || phase != Phase::Mail && out_of_turn)
}

fn judge_auth(code: u16, permanence: Permanence) -> Trouble {
    let (what, advice) = match code {
        530 => ("the server wants a login", "configure user and password for this account"),
        534 => ("the login was refused", "the provider may want an app password or another login method"),
        538 => ("the login was refused", "the server wants TLS before the login"),
        400..=499 => ("the login failed for now", "too many tries in a short time may be the reason"),
        _ => ("the login was refused", "check user and password; many providers want an app password here"),
    };
    Trouble::new(Scope::Site, permanence, Kind::Auth, Phase::Auth, what).advise(advice)
}

/// MAIL, RCPT, DATA and the end of the message.
fn judge_transaction(phase: Phase, reply: &Reply, permanence: Permanence) -> Trouble {
    let subject = reply.enhanced.map(|(_, subject, detail)| (subject, detail));
    match (phase, subject) {
        // The server's own state (RFC 3463 section 3.4), storage among it; x.3.4 is the message's size.
        (Phase::Mail | Phase::Data | Phase::End, Some((3, detail))) if permanence == Temporary && detail != 4 => {
            Trouble::new(Scope::Site, Temporary, Kind::Refused, phase, "the server cannot take mail for now")
        }
        (Phase::Rcpt, _) => {
            let what = if permanence == Temporary { "refused for now" } else { "refused" };
            let trouble = Trouble::new(Scope::Recipient, permanence, Kind::RecipientRefused, phase, what);
            match subject {
                Some((7, 1)) if permanence == Permanent => {
                    trouble.advise("the account may not send to this recipient, or wants a login")
                }
                _ => trouble,
            }
        }
        (Phase::Mail, _) => judge_mail(reply, permanence),
        _ => {
            let what =
                if permanence == Temporary { "the message was refused for now" } else { "the message was refused" };
            Trouble::new(Scope::Message, permanence, Kind::Refused, phase, what)
        }
    }
}

fn judge_mail(reply: &Reply, permanence: Permanence) -> Trouble {
    let subject = reply.enhanced.map(|(_, subject, detail)| (subject, detail));
    let too_big = reply.code == 552 || subject == Some((3, 4));
    let what = match (permanence, too_big) {
        (Temporary, _) => "the sender address was refused for now",
        (_, true) => "the message is too big for this server",
        _ => "the sender address was refused",
    };
    let trouble = Trouble::new(Scope::Message, permanence, Kind::Refused, Phase::Mail, what);
    match too_big || permanence == Temporary {
        true => trouble,
        false => trouble.advise("the account may only send as its own addresses"),
    }
}
