//! Provider presets: server, TLS, identity rule, limits. Data with its source and date; no behaviour.
//!
//! A preset fills in what a sender leaves out; whatever the sender says wins. The limits are the provider's published
//! ones, for a sender that gives none itself; nothing here counts.

use super::model::TlsMode;
use crate::limits::window::Window;
use std::time::Duration;

/// One provider.
#[derive(Debug)]
pub struct Preset {
    /// The name in `provider = "..."`.
    pub name: &'static str,
    /// Its servers, the preferred one first. `{region}` stands for the sender's `region`.
    pub hosts: &'static [&'static str],
    /// Its ports, the preferred one first.
    pub ports: &'static [Port],
    /// The only AUTH mechanism that works there (SASL name); `None`: whatever both sides know.
    pub auth: Option<&'static str>,
    /// The login, where it is the same for everybody.
    pub user: Option<&'static str>,
    /// The server refuses or silently rewrites a From that is not the account's.
    pub must_match: bool,
    /// What it allows.
    pub limits: Limits,
    /// What the SPF record of a domain needs that sends from there.
    pub spf: Spf,
    /// What a person must know, one line.
    pub notes: &'static str,
}

/// What receivers look at for SPF (RFC 7208).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spf {
    /// The record of the sender's domain, which is to include this one (section 5.2).
    Include(&'static str),
    /// The provider's own record, as it puts a domain of its own, or one that it manages, into MAIL.
    ProvidersDomain,
    /// The provider publishes nothing of it.
    Unknown,
}

/// A port and its protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The TCP port.
    pub port: u16,
    /// TLS at once or STARTTLS.
    pub tls: TlsMode,
}

/// What a provider allows; `None` and empty: not published.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What may be sent in how long: the limits of a sender that gives none itself.
    pub windows: &'static [Window],
    /// Recipients of one message.
    pub recipients_per_message: Option<u32>,
    /// Connections at a time.
    pub connections: Option<u32>,
    /// Messages over one connection.
    pub messages_per_connection: Option<u32>,
    /// Octets of a message.
    pub size: Option<u64>,
}

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

const TLS: Port = Port { port: 465, tls: TlsMode::Implicit };
const SUBMISSION: Port = Port { port: 587, tls: TlsMode::StartTls };
const ALTERNATIVE: Port = Port { port: 2525, tls: TlsMode::StartTls };

const UNKNOWN: Limits =
    Limits { windows: &[], recipients_per_message: None, connections: None, messages_per_connection: None, size: None };

const BASE: Preset = Preset {
    name: "",
    hosts: &[],
    ports: &[TLS, SUBMISSION],
    auth: None,
    user: None,
    must_match: false,
    limits: UNKNOWN,
    spf: Spf::Unknown,
    notes: "",
};

/// All providers. The numbers are what the providers published for their plans as collected by November 2026; they
/// change, and a sender's own settings win.
pub static PRESETS: [Preset; 15] = [
    Preset {
        name: "yandex",
        hosts: &["smtp.yandex.ru"],
        must_match: true,
        // Yandex Mail, sending limits of a free mailbox (collected by November 2026).
        limits: Limits { windows: &[Window::recipients(500, DAY)], recipients_per_message: Some(35), ..UNKNOWN },
        spf: Spf::Include("_spf.yandex.net"),
        notes: "needs an app password; once blocked for spam, each further try prolongs the block of 24 hours",
        ..BASE
    },
    Preset {
        name: "yandex360",
        hosts: &["smtp.yandex.ru"],
        must_match: true,
        // Yandex 360 for business: up to 5,000 a day by plan (collected by November 2026).
        limits: Limits { windows: &[Window::recipients(5_000, DAY)], ..UNKNOWN },
        spf: Spf::Include("_spf.yandex.net"),
        notes: "needs an app password; the daily limit depends on the plan",
        ..BASE
    },
    Preset {
        name: "mailru",
        hosts: &["smtp.mail.ru"],
        must_match: true,
        // Mail.ru help (collected by November 2026).
        limits: Limits { windows: &[Window::recipients(500, DAY)], ..UNKNOWN },
        spf: Spf::Include("_spf.mail.ru"),
        notes: "needs an app password",
        ..BASE
    },
    Preset {
        name: "gmail",
        hosts: &["smtp.gmail.com"],
        must_match: true,
        // Gmail help: 500 recipients in rolling 24 hours, 2,000 with Workspace (collected by November 2026).
        limits: Limits { windows: &[Window::recipients(500, DAY)], ..UNKNOWN },
        spf: Spf::Include("_spf.google.com"),
        notes: "needs an app password or XOAUTH2; a foreign From is silently replaced; Workspace allows 2,000 a day",
        ..BASE
    },
    Preset {
        name: "gmail-relay",
        hosts: &["smtp-relay.gmail.com"],
        ports: &[SUBMISSION],
        // Workspace SMTP relay: 10,000 recipients a user and day (collected by November 2026).
        limits: Limits { windows: &[Window::recipients(10_000, DAY)], ..UNKNOWN },
        spf: Spf::Include("_spf.google.com"),
        notes: "the Workspace administrator allows addresses or logins",
        ..BASE
    },
    Preset {
        name: "microsoft365",
        hosts: &["smtp.office365.com"],
        ports: &[SUBMISSION],
        auth: Some("XOAUTH2"),
        must_match: true,
        // Exchange Online limits (collected by November 2026).
        limits: Limits {
            windows: &[Window::messages(30, MINUTE), Window::recipients(10_000, DAY)],
            recipients_per_message: Some(500),
            connections: Some(3),
            ..UNKNOWN
        },
        spf: Spf::Include("spf.protection.outlook.com"),
        notes: "XOAUTH2; Basic is off by default after December 2026; another From needs the SendAs right",
        ..BASE
    },
    Preset {
        name: "ses",
        hosts: &["email-smtp.{region}.amazonaws.com"],
        ports: &[
            SUBMISSION,
            TLS,
            Port { port: 25, tls: TlsMode::StartTls },
            Port { port: 2587, tls: TlsMode::StartTls },
            Port { port: 2465, tls: TlsMode::Implicit },
        ],
        // Amazon SES quotas (collected by November 2026); a new account's sandbox has 200 a day and one a second.
        limits: Limits { recipients_per_message: Some(50), size: Some(40 << 20), ..UNKNOWN },
        spf: Spf::ProvidersDomain,
        notes: "needs region = \"...\"; the login is the SMTP credentials, not the AWS keys",
        ..BASE
    },
    Preset {
        name: "sendgrid",
        hosts: &["smtp.sendgrid.net"],
        ports: &[SUBMISSION, ALTERNATIVE, TLS],
        user: Some("apikey"),
        // SendGrid documentation (collected by November 2026).
        limits: Limits { messages_per_connection: Some(5_000), ..UNKNOWN },
        spf: Spf::ProvidersDomain,
        notes: "the password is an API key; From must be a verified sender",
        ..BASE
    },
    Preset {
        name: "mailgun",
        hosts: &["smtp.mailgun.org"],
        ports: &[SUBMISSION, ALTERNATIVE, TLS],
        spf: Spf::Include("mailgun.org"),
        notes: "logins belong to one domain each; the EU region has server = \"smtp.eu.mailgun.org\"",
        ..BASE
    },
    Preset {
        name: "postmark",
        hosts: &["smtp.postmarkapp.com"],
        ports: &[SUBMISSION, ALTERNATIVE],
        spf: Spf::ProvidersDomain,
        notes: "the server token is both user and password; From must be a sender signature",
        ..BASE
    },
    Preset {
        name: "brevo",
        hosts: &["smtp-relay.brevo.com"],
        ports: &[SUBMISSION, ALTERNATIVE, TLS],
        // Brevo's free plan (collected by November 2026).
        limits: Limits { windows: &[Window::recipients(300, DAY)], ..UNKNOWN },
        spf: Spf::ProvidersDomain,
        notes: "the password is an SMTP key, not an API key; paid plans have other limits",
        ..BASE
    },
    Preset {
        name: "zoho",
        hosts: &["smtp.zoho.com"],
        must_match: true,
        spf: Spf::Include("zohomail.com"),
        notes: "needs an app password; From is the account or an alias of it; other regions have other servers",
        ..BASE
    },
    Preset {
        name: "fastmail",
        hosts: &["smtp.fastmail.com"],
        must_match: true,
        spf: Spf::Include("spf.messagingengine.com"),
        notes: "needs an app password; From is the account or a verified alias",
        ..BASE
    },
    Preset {
        name: "icloud",
        hosts: &["smtp.mail.me.com"],
        ports: &[SUBMISSION],
        must_match: true,
        spf: Spf::Include("icloud.com"),
        notes: "needs an app-specific password; From is an @icloud.com, @me.com or @mac.com address of the account",
        ..BASE
    },
    Preset {
        name: "unisender-go",
        hosts: &["smtp.go1.unisender.ru", "smtp.go2.unisender.ru"],
        ports: &[SUBMISSION, TLS],
        // Unisender Go documentation: 3,000 an hour over each of up to 50 connections (collected by November 2026). That
        // is no limit of the account.
        limits: Limits { connections: Some(50), ..UNKNOWN },
        notes: "the login is the user id, the password the API key; accounts on the second node give its server",
        ..BASE
    },
];

/// The preset of that name (lower case, as in `PRESETS`).
#[must_use]
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The preset whose server a host is.
#[must_use]
pub fn of_host(host: &str) -> Option<&'static Preset> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is = |pattern: &&str| match pattern.split_once("{region}") {
        Some((before, behind)) => host.strip_prefix(before).is_some_and(|rest| rest.ends_with(behind)),
        None => host == **pattern,
    };
    PRESETS.iter().find(|preset| preset.hosts.iter().any(&is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_complete_and_found() {
        for (index, preset) in PRESETS.iter().enumerate() {
            assert!(std::ptr::eq(find(preset.name).unwrap(), preset), "{index}: {} twice", preset.name);
            assert!(!preset.hosts.is_empty() && !preset.ports.is_empty() && !preset.notes.is_empty());
            assert!(preset.ports.iter().all(|port| port.tls != TlsMode::Plain));
        }
        assert!(find("hotmail").is_none());
        for (host, name) in [("smtp.Gmail.com.", "gmail"), ("email-smtp.eu-west-1.amazonaws.com", "ses")] {
            assert_eq!(of_host(host).map(|preset| preset.name), Some(name));
        }
        assert!(of_host("smtp.gmail.com.example.com").is_none() && of_host("amazonaws.com").is_none());
    }
}
