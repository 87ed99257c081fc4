//! What replies mean: the providers' words, rules of one's own, and their order.

use super::*;
use crate::config::Endpoint;
use crate::config::replies::{Enhanced, ReplyRule, Then};
use crate::smtp::reply::Parser;
use proptest::prelude::*;

fn reply(wire: &str) -> Reply {
    let mut parser = Parser::default();
    parser.feed(format!("{wire}\r\n").as_bytes()).unwrap().1.unwrap()
}

fn relay(host: &str) -> crate::config::Relay {
    let mut relay = crate::smtp::client::tests::server::relay(0, crate::config::TlsMode::StartTls);
    relay.endpoint = Endpoint::Tcp(host.into(), 587);
    relay
}

fn judged(host: &str, phase: Phase, wire: &str) -> Trouble {
    judge(&Failure::new(phase, Cause::Refused(reply(wire))), &Rules::of(&relay(host)))
}

#[test]
fn what_a_broken_pipeline_says() {
    let lost = |phase, wire: &str| may_be_lost_in_pipeline(&Failure::new(phase, Cause::Refused(reply(wire))));
    for (phase, wire) in [
        (Phase::Mail, "503 5.5.0 improper command pipelining"),
        (Phase::Mail, "554 SMTP synchronization error"),
        (Phase::Rcpt, "421 4.5.0 pipelining? bye"),
        (Phase::Rcpt, "503 bad sequence of commands"),
        (Phase::Data, "503 5.5.1 RCPT first"),
    ] {
        assert!(lost(phase, wire), "{phase:?} {wire}");
    }
    for (phase, wire) in [
        (Phase::Mail, "503 bad sequence of commands"),
        (Phase::Rcpt, "550 5.1.1 <pipeline@example.com>: unknown"),
        (Phase::Rcpt, "450 4.2.1 no synchronization now"),
        (Phase::End, "554 5.7.1 the text on pipelining is spam"),
        (Phase::Body, "554 synchronization"),
    ] {
        assert!(!lost(phase, wire), "{phase:?} {wire}");
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const TEN: Duration = Duration::from_secs(600);

/// Every row of the providers' table, in their own words.
#[test]
fn providers_in_their_own_words() {
    use Kind::{Config, RecipientRefused, Refused};
    for (host, phase, wire, scope, permanence, kind, wait) in [
        (
            "smtp.yandex.ru",
            Phase::End,
            "554 5.7.1 [2] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc",
            Scope::Site,
            Temporary,
            Refused,
            Wait::Firm(DAY),
        ),
        (
            "smtp.yandex.ru",
            Phase::Rcpt,
            "553 5.7.1 Sender address rejected: not owned by auth user.",
            Scope::Site,
            Permanent,
            Config,
            Wait::Growing,
        ),
        (
            "smtp.yandex.ru",
            Phase::End,
            "550 5.7.0 From address is not owned by authorized user",
            Scope::Site,
            Permanent,
            Config,
            Wait::Growing,
        ),
        (
            "smtp.yandex.ru",
            Phase::Rcpt,
            "554 5.7.1 <a@b.test>: Relay access denied",
            Scope::Recipient,
            Permanent,
            RecipientRefused,
            Wait::Growing,
        ),
        ("smtp.mail.ru", Phase::Mail, "550 not local sender over smtp", Scope::Site, Permanent, Config, Wait::Growing),
        (
            "smtp.mail.ru",
            Phase::End,
            "550 5.7.1 Message sending for this account is disabled. Details: https://x",
            Scope::Site,
            Temporary,
            Refused,
            Wait::Window,
        ),
        (
            "smtp.gmail.com",
            Phase::End,
            "550-5.4.5 Daily user sending limit exceeded. For more\r\n550 5.4.5 https://support.google.com",
            Scope::Site,
            Temporary,
            Refused,
            Wait::Window,
        ),
        (
            "smtp.gmail.com",
            Phase::Mail,
            "421 4.7.0 Try again later",
            Scope::Site,
            Temporary,
            Refused,
            Wait::UpTo(crate::config::replies::LONGEST),
        ),
        (
            "smtp.gmail.com",
            Phase::Rcpt,
            "450 4.2.1 receiving mail at a rate that",
            Scope::Site,
            Temporary,
            Refused,
            Wait::UpTo(crate::config::replies::LONGEST),
        ),
        (
            "smtp.gmail.com",
            Phase::Rcpt,
            "452 4.5.3 Your message has too many recipients",
            Scope::Recipient,
            Temporary,
            RecipientRefused,
            Wait::Growing,
        ),
        (
            "smtp.gmail.com",
            Phase::End,
            "451 4.3.0 Multiple destination domains per transaction is unsupported",
            Scope::Message,
            Temporary,
            Refused,
            Wait::Growing,
        ),
        (
            "smtp.office365.com",
            Phase::Auth,
            "432 4.3.2 Concurrent connections limit exceeded",
            Scope::Site,
            Temporary,
            Kind::Auth,
            Wait::Window,
        ),
        (
            "smtp.office365.com",
            Phase::End,
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
            Scope::Site,
            Temporary,
            Refused,
            Wait::Window,
        ),
        (
            "smtp.office365.com",
            Phase::End,
            "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
            Scope::Site,
            Permanent,
            Config,
            Wait::Growing,
        ),
        (
            "smtp.office365.com",
            Phase::Auth,
            "535 5.7.30 Basic authentication is not supported",
            Scope::Site,
            Permanent,
            Kind::Auth,
            Wait::Growing,
        ),
        (
            "email-smtp.eu-west-1.amazonaws.com",
            Phase::End,
            "454 Throttling failure: Maximum sending rate exceeded.",
            Scope::Site,
            Temporary,
            Refused,
            Wait::UpTo(TEN),
        ),
        (
            "smtp.sendgrid.net",
            Phase::Mail,
            "451 Authentication failed: Maximum credits exceeded",
            Scope::Site,
            Temporary,
            Refused,
            Wait::Window,
        ),
        (
            "smtp.sendgrid.net",
            Phase::Rcpt,
            "452 Too many recipients received this hour",
            Scope::Site,
            Temporary,
            Refused,
            Wait::Window,
        ),
        (
            "smtp.sendgrid.net",
            Phase::Mail,
            "403 You are not authorized to send from that email address",
            Scope::Message,
            Permanent,
            Refused,
            Wait::Growing,
        ),
        (
            "smtp-relay.brevo.com",
            Phase::Auth,
            "535 5.7.8 Authentication failed",
            Scope::Site,
            Permanent,
            Kind::Auth,
            Wait::Growing,
        ),
        (
            "smtp.zoho.com",
            Phase::Rcpt,
            "553 Relaying disallowed as shop@example.com",
            Scope::Site,
            Permanent,
            Config,
            Wait::Growing,
        ),
        // Any server.
        ("mx.example.com", Phase::Rcpt, "450 4.4.5 enough for today", Scope::Site, Temporary, Refused, Wait::Window),
        (
            "mx.example.com",
            Phase::Rcpt,
            "550 5.1.1 no such user",
            Scope::Recipient,
            Permanent,
            RecipientRefused,
            Wait::Growing,
        ),
        (
            "mx.example.com",
            Phase::Rcpt,
            "553 Relaying disallowed",
            Scope::Recipient,
            Permanent,
            RecipientRefused,
            Wait::Growing,
        ),
    ] {
        let trouble = judged(host, phase, wire);
        let found = (trouble.scope, trouble.permanence, trouble.kind, trouble.wait);
        assert_eq!(found, (scope, permanence, kind, wait), "{host}: {wire}: {trouble:?}");
        assert_eq!((trouble.phase, trouble.reply.as_ref()), (phase, Some(&reply(wire))));
    }
}

#[test]
fn configuration_faults_say_what_to_change() {
    for (host, phase, wire, advice) in [
        ("smtp.yandex.ru", Phase::Mail, "553 5.7.1 not owned by auth user", "on_mismatch = \"rewrite\""),
        ("smtp.office365.com", Phase::End, "550 5.7.60 no", "SendAs"),
        ("smtp-relay.brevo.com", Phase::Auth, "535 no", "SMTP key"),
        ("smtp.zoho.com", Phase::Mail, "553 Relaying disallowed", "add the alias"),
    ] {
        let line = judged(host, phase, wire).line("server", None);
        assert!(line.contains(advice) && line.contains(wire), "{line}");
    }
}

fn rule(code: Option<u16>, enhanced: Option<&str>, text: Option<&str>, phase: Option<Phase>, then: Then) -> ReplyRule {
    let enhanced = enhanced.map(|text| Enhanced::parse(text).unwrap());
    ReplyRule { code, enhanced, text: text.map(str::to_owned), phase, then, advice: None }
}

fn found(own: Vec<ReplyRule>, all: Vec<ReplyRule>, wire: &str) -> Option<Then> {
    let mut relay = relay("smtp.gmail.com");
    (relay.replies.own, relay.replies.all) = (own, all.into());
    Rules::of(&relay).find(Phase::Rcpt, &reply(wire)).map(|found| found.then)
}

#[test]
fn the_most_specific_rule_of_the_first_table_wins() {
    let hours = |hours: u64| Then::Hold(Some(Duration::from_secs(hours * 3600)));
    let wire = "550 5.4.5 Daily user SENDING limit exceeded";
    let one = |then| vec![rule(Some(550), None, None, None, then)];
    assert_eq!(found(vec![], vec![], wire), Some(Then::Hold(None)), "the provider's");
    assert_eq!(found(vec![], one(Then::Bounce), wire), Some(Then::Bounce), "[[reply]] before the provider's");
    assert_eq!(found(one(Then::Retry), one(Then::Bounce), wire), Some(Then::Retry), "the sender's before [[reply]]");
    assert_eq!(found(vec![], one(Then::Bounce), "554 5.4.5 x"), Some(Then::Hold(None)), "where it fits");

    // Within a table: the number of conditions, then what they say, whatever the order.
    let mut table = vec![
        rule(Some(550), None, None, None, hours(1)),
        rule(None, Some("x.4.5"), None, None, hours(2)),
        rule(None, Some("5.4.5"), None, None, hours(3)),
        rule(Some(550), Some("5.4.5"), None, None, hours(4)),
        rule(Some(550), None, Some("limit"), None, hours(5)),
        rule(Some(550), None, Some("*daily*limit*"), None, hours(6)),
        rule(Some(550), Some("5.4.5"), None, Some(Phase::Rcpt), hours(7)),
        rule(Some(550), Some("5.4.5"), Some("daily"), Some(Phase::Rcpt), hours(8)),
        rule(Some(550), Some("5.4.5"), Some("weekly"), Some(Phase::Rcpt), hours(9)),
        rule(Some(550), Some("5.4.5"), Some("daily"), Some(Phase::End), hours(10)),
    ];
    for expected in [8, 7, 6, 5, 4, 3, 2, 1] {
        assert_eq!(found(table.clone(), vec![], wire), Some(hours(expected)));
        let mut turned = table.clone();
        turned.reverse();
        assert_eq!(found(turned, vec![], wire), Some(hours(expected)), "backwards");
        table.retain(|rule| rule.then != hours(expected));
    }
    let twins = vec![rule(Some(550), None, None, None, hours(1)), rule(Some(550), None, None, None, hours(2))];
    assert_eq!(found(twins, vec![], wire), Some(hours(1)), "of equals the first");
}

#[test]
fn what_asks_for_smaller_transactions() {
    let gmail = relay("smtp.gmail.com");
    let sendgrid = relay("smtp.sendgrid.net");
    let other = relay("mx.example.com");
    for (relay, phase, wire, splits) in [
        (&gmail, Phase::End, "451 4.3.0 Multiple destination domains", true),
        (&gmail, Phase::Rcpt, "452 4.5.3 too many", true),
        (&other, Phase::End, "451 4.3.0 mail system is full", false),
        (&other, Phase::Rcpt, "452 too many", true),
        (&other, Phase::Rcpt, "552 5.5.3 too many", true),
        (&other, Phase::End, "452 4.5.3 too many", false),
        (&sendgrid, Phase::Rcpt, "452 too many this hour", false),
    ] {
        assert_eq!(Rules::of(relay).splits(phase, &reply(wire)), splits, "{wire}");
    }
    assert!(Rules::of(&gmail).splits_late() && !Rules::of(&other).splits_late() && !Rules::general().splits_late());
}

#[test]
fn a_server_is_down_where_it_cannot_be_asked() {
    let down = |host: &str, phase, wire: &str| judged(host, phase, wire).is_down();
    assert!(down("mx.example.com", Phase::Greeting, "554 5.7.1 go away"));
    assert!(down("mx.example.com", Phase::Auth, "535 no") && down("smtp-relay.brevo.com", Phase::Auth, "535 no"));
    assert!(!down("smtp.office365.com", Phase::Auth, "432 4.3.2 connections"), "a quota is another matter");
    assert!(
        !down("mx.example.com", Phase::Mail, "530 login first") && !down("smtp.gmail.com", Phase::End, "550 5.4.5 x")
    );
    let lost = judge(&Failure::new(Phase::Connect, Cause::Closed), &Rules::general());
    assert!(lost.is_down());
}

proptest! {
    /// Whatever a server says and whatever rules there are, there is a verdict.
    #[test]
    fn any_reply_has_a_verdict(code in 400u16..600, text in "\\PC{0,200}", pattern in "[a-z*?. ]{1,20}", late: bool) {
        let mut relay = relay("smtp.yandex.ru");
        relay.replies.own = vec![rule(None, None, Some(&pattern), None, Then::Fault)];
        let phase = if late { Phase::End } else { Phase::Greeting };
        let said = Reply { code, enhanced: None, lines: vec![text] };
        let trouble = judge(&Failure::new(phase, Cause::Refused(said)), &Rules::of(&relay));
        prop_assert!(trouble.line("server", None).chars().all(|c| !c.is_control()));
    }
}
