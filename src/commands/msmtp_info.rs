//! What msmtp tells without sending anything: `--pretend`, `--serverinfo`, `--version`.
//!
//! Passwords are neither fetched nor shown, and the server hears no login and no address.

use super::misconfigured;
use super::surroundings::Surroundings;
use crate::cli::invocation::Invocation;
use crate::config::msmtprc::show;
use crate::config::{AuthChoice, Config, Protocol, Relay, Via};
use crate::deliver::attempt;
use crate::deliver::context::Context;
use crate::deliver::gate::Gate;
use crate::deliver::open::Opened;
use crate::deliver::status;
use crate::envelope::ReversePath;
use crate::exit::Status;
use crate::message::address::{self, Address};
use crate::message::read::{self, ReadRules};
use crate::message::recipients;
use crate::report::{self, printable, transcript::Transcripts};
use crate::route::{RouteError, choose};
use crate::secret::SecretSource;
use crate::smtp::client::TAKEN;

/// Shows the account that a message would take and what it is set to; nothing is sent. Standard input is read only
/// where `--read-envelope-from` makes the From header choose.
#[must_use]
pub fn pretend(invocation: &Invocation) -> Status {
    with_account(invocation, |_, config, choice| {
        let mut text = format!("using {} ({}): {}\n", choice.via.name(), choice.via.place(), choice.rule);
        let lines = match choice.via {
            Via::Account(account) => show::account(account),
            Via::Sender(sender) | Via::Default(sender) => show::relay(&sender.relay),
        };
        for (name, value) in lines {
            text.push_str(&format!("{name} = {}\n", printable(&value)));
        }
        if let Some(staging) = &config.staging {
            text.push_str(&format!(
                "staging: mail goes to {}, not to its recipients\n",
                printable(&staging.to_string())
            ));
        }
        let header = if invocation.options.extract { " and from the header" } else { "" };
        text.push_str(&format!("recipients come from the command line{header}\n"));
        report::stdout(&text);
        Status::Ok
    })
}

/// Connects, protects and greets as for a message, and shows what the server is and offers.
#[must_use]
pub fn server_info(invocation: &Invocation) -> Status {
    with_account(invocation, |around, config, choice| {
        let relay = Relay { auth: AuthChoice::Off, ..choice.via.relay().clone() };
        let mut transcripts = Transcripts::open(choice.via, invocation.options.verbose);
        let mut context = Context {
            host: &around.hostname,
            transcript: &mut transcripts,
            secret: &|_: &SecretSource, _| Err("no login is made".into()),
            gate: Gate::of(config, choice.via.name()),
            before_mail: &|| (),
            taken: TAKEN,
        };
        let server = relay.endpoint.to_string();
        match attempt::probe(&relay, &mut context) {
            Ok(opened) => {
                report::stdout(&described(&relay, &server, &opened));
                Status::Ok
            }
            Err(trouble) => {
                report::stderr(&format!("msmtp: {}", trouble.line(&server, None)));
                status::of_trouble_msmtp(&trouble)
            }
        }
    })
}

/// The version, and the files that are read.
#[must_use]
pub fn version() -> Status {
    let around = Surroundings::look();
    let home = around.who.home.as_deref().map_or("~".into(), |home| home.display().to_string());
    report::stdout(&format!(
        "postrider {}, called as msmtp\nSystem configuration file: /etc/msmtprc\nUser configuration file: {home}/.msmtprc\n",
        env!("CARGO_PKG_VERSION")
    ));
    Status::Ok
}

/// Loads the configuration and chooses the account; a fault is one line and its status.
fn with_account(
    invocation: &Invocation,
    then: impl FnOnce(&Surroundings, &Config, choose::Choice<'_>) -> Status,
) -> Status {
    let around = Surroundings::look();
    let config = match around.load_for(invocation, None) {
        Ok(config) => config,
        Err(errors) => return fault(&misconfigured::line(&errors), misconfigured::status(invocation, &errors)),
    };
    match chosen(&around, invocation, &config) {
        Ok(choice) => then(&around, &config, choice),
        Err(error) => fault(&error.what, error.status),
    }
}

fn fault(what: &str, status: Status) -> Status {
    report::stderr(&format!("msmtp: {what}"));
    status
}

fn chosen<'c>(
    around: &Surroundings,
    invocation: &Invocation,
    config: &'c Config,
) -> Result<choose::Choice<'c>, RouteError> {
    let identity = identity(invocation, around.domain(config))?;
    let identities: Vec<&Address> = identity.iter().collect();
    let named = invocation.options.account.as_deref();
    let choice = choose::choose(config, named, &identities, &around.who)?;
    if let Via::Account(account) = choice.via {
        account.check().map_err(|error| RouteError { status: Status::Config, what: error.to_string() })?;
    }
    Ok(choice)
}

/// The address that chooses: `-f`, or under `--read-envelope-from` the one in From.
fn identity(invocation: &Invocation, domain: &str) -> Result<Option<Address>, RouteError> {
    let wrong = |what: String| RouteError { status: Status::Data, what };
    if invocation.options.read_envelope_from {
        let message = read::read(&mut std::io::stdin().lock(), ReadRules { dot_ends: false })
            .map_err(|error| RouteError { status: error.status(), what: error.to_string() })?;
        let from = recipients::from(&message.header, domain).map_err(|error| wrong(format!("From header: {error}")))?;
        return Ok(from.into_iter().next().map(|mailbox| mailbox.address));
    }
    let path = invocation.options.from.as_deref().map(|text| address::parse_reverse_path(text, domain));
    let path = path.transpose().map_err(|error| wrong(format!("-f: {error}")))?;
    Ok(path.as_ref().and_then(ReversePath::address).cloned())
}

/// The server in words.
fn described(relay: &Relay, server: &str, opened: &Opened) -> String {
    let protocol = if relay.protocol == Protocol::Lmtp { "LMTP" } else { "SMTP" };
    let mut text = format!("{protocol} server {server}\n");
    if let Some(greeting) = &opened.greeting {
        text.push_str(&format!("  greeting: {}\n", printable(&greeting.to_string())));
    }
    text.push_str(&format!("  TLS: {}\n", opened.tls));
    if let Some(certificate) = &opened.certificate {
        for (what, value) in [
            ("for", certificate.names.join(", ")),
            ("issued by", certificate.issuer.clone()),
            ("valid from", certificate.from.clone()),
            ("valid until", certificate.until.clone()),
            ("SHA-256", certificate.sha256.clone()),
        ] {
            text.push_str(&format!("  certificate {what}: {}\n", printable(&value)));
        }
    }
    text.push_str("  offers:\n");
    for offer in offers(opened) {
        text.push_str(&format!("    {}\n", printable(&offer)));
    }
    text
}

/// The extensions that matter here, as EHLO names them.
fn offers(opened: &Opened) -> Vec<String> {
    let offered = &opened.capabilities;
    let plain = [
        (offered.starttls, "STARTTLS"),
        (offered.pipelining, "PIPELINING"),
        (offered.eight_bit, "8BITMIME"),
        (offered.utf8, "SMTPUTF8"),
        (offered.dsn, "DSN"),
        (offered.chunking, "CHUNKING"),
    ];
    let mut all: Vec<String> = plain.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()).collect();
    if offered.size {
        all.push(offered.size_limit.map_or("SIZE".into(), |limit| format!("SIZE {limit} (octets a message)")));
    }
    if !offered.auth.is_empty() {
        all.push(format!("AUTH {}", offered.auth.join(" ")));
    }
    if all.is_empty() {
        all.push("nothing".into());
    }
    all
}
