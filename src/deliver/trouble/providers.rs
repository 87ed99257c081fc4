//! What the replies of known providers mean, and of servers at large. Data with its source and date; no behaviour.
//!
//! Collected by November 2026 from the providers' help pages and from replies as their servers gave them. Providers change
//! their words: `replies` of a sender and `[[reply]]` win over everything here.

use crate::config::replies::{Enhanced, ReplyRule, Then};
use crate::smtp::phase::Phase;
use std::time::Duration;

/// One rule.
pub(super) type Row = ReplyRule<&'static str>;

const DAY: Duration = Duration::from_secs(86_400);
const TEN_MINUTES: Duration = Duration::from_secs(600);

const ANY: Row = Row { code: None, enhanced: None, text: None, phase: None, then: Then::Retry, advice: None };

/// A rule for a code and an enhanced code.
const fn on(code: u16, class: u8, subject: u16, detail: u16, then: Then) -> Row {
    let enhanced = Some(Enhanced(Some(class), Some(subject), Some(detail)));
    Row { code: Some(code), enhanced, then, ..ANY }
}

/// A rule for a code and a text, in lower case.
const fn said(code: u16, text: &'static str, then: Then) -> Row {
    Row { code: Some(code), text: Some(text), then, ..ANY }
}

const fn advised(row: Row, advice: &'static str) -> Row {
    Row { advice: Some(advice), ..row }
}

/// All servers.
pub(super) static ALL: &[Row] = &[
    // RFC 3463 has x.4.5 for a congested system; submission servers say it of the account's quota.
    Row { enhanced: Some(Enhanced(None, Some(4), Some(5))), then: Then::Hold(None), ..ANY },
    // RFC 5321 section 4.5.3.1.10.
    Row { phase: Some(Phase::Rcpt), ..on(452, 4, 5, 3, Then::Split) },
    Row { phase: Some(Phase::Rcpt), ..on(552, 5, 5, 3, Then::Split) },
    // Rate limits of submission services, by their words.
    said(454, "throttling", Then::BackOff(Some(TEN_MINUTES))),
    Row { text: Some("*daily*sending*limit*"), then: Then::Hold(None), ..ANY },
    Row { text: Some("*daily*sending*quota*"), then: Then::Hold(None), ..ANY },
];

const OWN_ADDRESS: &str = "From and Sender must be the login's own address: set must_match = true, and on_mismatch = \"rewrite\" for foreign ones";

/// Yandex Mail and Yandex 360: help "Why messages are not sent", replies of smtp.yandex.ru (collected by November 2026).
static YANDEX: &[Row] = &[
    advised(on(553, 5, 7, 1, Then::Fault), OWN_ADDRESS),
    advised(on(550, 5, 7, 0, Then::Fault), OWN_ADDRESS),
    advised(Row { text: Some("not owned by auth"), then: Then::Fault, ..ANY }, OWN_ADDRESS),
    // Once blocked for spam, each try within 24 hours prolongs the block.
    advised(
        Row { text: Some("spam"), ..on(554, 5, 7, 1, Then::Hold(Some(DAY))) },
        "nothing is tried for 24 hours, as each try prolongs the block; look at what was sent",
    ),
];

/// Mail.ru: replies of smtp.mail.ru (collected by November 2026).
static MAILRU: &[Row] = &[
    advised(said(550, "not local sender over smtp", Then::Fault), OWN_ADDRESS),
    advised(
        said(550, "message sending for this account is disabled", Then::Hold(None)),
        "the provider has blocked sending: unlock the account in its web interface",
    ),
];

/// Gmail and the Workspace relay: Google's "SMTP error codes" (collected by November 2026).
static GMAIL: &[Row] = &[
    on(550, 5, 4, 5, Then::Hold(None)),
    on(421, 4, 7, 0, Then::BackOff(None)),
    on(450, 4, 2, 1, Then::BackOff(None)),
    on(454, 4, 7, 0, Then::BackOff(None)),
    on(452, 4, 5, 3, Then::Split),
    on(451, 4, 3, 0, Then::Split),
];

/// Exchange Online: Microsoft's "Exchange Online limits" and the errors of SMTP AUTH submission (collected by November 2026).
static MICROSOFT365: &[Row] = &[
    on(432, 4, 3, 2, Then::Hold(None)),
    on(554, 5, 2, 0, Then::Hold(None)),
    advised(
        on(550, 5, 7, 60, Then::Fault),
        "the mailbox has no SendAs right for this From: grant it, or send as the mailbox's own address",
    ),
    advised(
        Row { enhanced: Some(Enhanced(Some(5), Some(7), Some(30))), then: Then::Fault, ..ANY },
        "password logins are switched off: use auth = \"xoauth2\" with a token, or allow SMTP AUTH for the mailbox",
    ),
];

/// Amazon SES: "Amazon SES SMTP issues", 454 Throttling failure (collected by November 2026).
static SES: &[Row] = &[said(454, "throttling", Then::BackOff(Some(TEN_MINUTES)))];

/// SendGrid: "SMTP errors and troubleshooting" (collected by November 2026).
static SENDGRID: &[Row] = &[
    Row { code: Some(403), then: Then::Bounce, advice: Some("From must be a verified sender of the account"), ..ANY },
    advised(
        said(451, "credit", Then::Hold(None)),
        "the plan's credits are used up: they come back with the next period",
    ),
    Row { code: Some(452), then: Then::Hold(None), ..ANY },
];

/// Brevo: help on SMTP keys (collected by November 2026).
static BREVO: &[Row] = &[Row {
    code: Some(535),
    then: Then::Fault,
    advice: Some("the password is an SMTP key (of the SMTP tab), not an API key"),
    ..ANY
}];

/// Zoho Mail: help "SMTP errors" (collected by November 2026).
static ZOHO: &[Row] = &[advised(
    said(553, "relaying disallowed", Then::Fault),
    "From must be the account's address or an alias of it: add the alias at the provider, or set must_match = true",
)];

/// The rules of a provider, by its preset's name.
pub(super) fn of(name: &str) -> &'static [Row] {
    match name {
        "yandex" | "yandex360" => YANDEX,
        "mailru" => MAILRU,
        "gmail" | "gmail-relay" => GMAIL,
        "microsoft365" => MICROSOFT365,
        "ses" => SES,
        "sendgrid" => SENDGRID,
        "brevo" => BREVO,
        "zoho" => ZOHO,
        _ => &[],
    }
}
