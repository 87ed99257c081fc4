//! `postrider test`: goes with each sender as far as a delivery would go before the message, and tells the time of every
//! step; with `--dns` what the domains say, with `--send-to` what becomes of a real message.

mod domain;
mod report;
mod send;
mod spf;
mod watch;

use super::mailq::Form;
use super::misconfigured;
use super::surroundings::Surroundings;
use crate::config::nearest;
use crate::config::presets::Spf;
use crate::config::{Account, Config, DefaultRelay, Relay, Sender, Via};
use crate::deliver::attempt;
use crate::deliver::context::Context;
use crate::deliver::gate::Gate;
use crate::deliver::status;
use crate::exit::Status;
use crate::message::address::Address;
use crate::net::dns::Dns;
use crate::report as tell;
use crate::secret::fetch::{self, FetchContext};
use crate::smtp::client::TAKEN;
use crate::sys::env;
use domain::Source;
use report::{DomainSaid, Report};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use watch::Watch;

/// What is tested, and how it is shown.
#[derive(Clone, Debug, Default)]
pub struct Test {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// The senders by name; all where none is given.
    pub senders: Vec<String>,
    /// `--send-to`.
    pub send_to: Option<String>,
    /// `--dns`.
    pub dns: bool,
    /// `--resolver`: asked in place of the system's.
    pub resolver: Option<SocketAddr>,
    /// `--sends-from`: the address that receivers see.
    pub sends_from: Option<IpAddr>,
    /// JSON, one object a line.
    pub json: bool,
}

/// What a test works with.
struct Bench<'b> {
    config: &'b Config,
    around: &'b Surroundings,
    to: Option<Address>,
    dns: Option<Dns>,
    sends_from: Option<IpAddr>,
    daemon: bool,
}

/// Tests; the status is that of the worst.
#[must_use]
pub fn run(test: &Test) -> Status {
    match tested(test) {
        Ok(status) => status,
        Err((status, what)) => {
            tell::stderr(&format!("postrider test: {what}"));
            status
        }
    }
}

fn tested(test: &Test) -> Result<Status, (Status, String)> {
    let around = Surroundings::look();
    let config = around.load(test.config.clone()).map_err(|errors| (Status::Config, misconfigured::line(&errors)))?;
    let to = test.send_to.as_deref().map(Address::parse).transpose();
    let to = to.map_err(|error| (Status::Usage, format!("--send-to: {error}")))?;
    let dns = test.dns.then(|| Dns::new(test.resolver)).transpose().map_err(|what| (Status::Os, what))?;
    let daemon = test.config.is_none() && env::path("POSTRIDER_CONFIG").is_none();
    let bench = Bench { config: &config, around: &around, to, dns, sends_from: test.sends_from, daemon };
    let mut worst = Status::Ok;
    for via in chosen(&config, &test.senders).map_err(|what| (Status::Usage, what))? {
        let report = bench.test(via);
        let text = match Form::of(test.json) {
            Form::Json => serde_json::to_string(&report).unwrap_or_default() + "\n",
            Form::Table => report.block(),
        };
        tell::stdout(&text);
        let status = Status::of_code(report.status).unwrap_or(Status::Software);
        worst = if status.code() > worst.code() { status } else { worst };
    }
    Ok(worst)
}

/// The accounts that can be named, each with the name.
fn accounts(config: &Config) -> Vec<(&str, Via<'_>)> {
    let mut all: Vec<_> = config.senders.iter().map(|sender| (sender.name.as_str(), Via::Sender(sender))).collect();
    match &config.default {
        DefaultRelay::Server(sender) => all.push(("default", Via::Default(sender))),
        DefaultRelay::Msmtprc(msmtprc) => {
            let usable = msmtprc.accounts.iter().filter(|account| account.check().is_ok());
            all.extend(usable.map(|account| (account.name.as_str(), Via::Account(account))));
        }
        DefaultRelay::Refuse(_) | DefaultRelay::Missing => {}
    }
    all
}

/// The named ones, or all that are enabled.
fn chosen<'c>(config: &'c Config, names: &[String]) -> Result<Vec<Via<'c>>, String> {
    let all = accounts(config);
    if names.is_empty() {
        let off = |via: &Via<'_>| matches!(via, Via::Sender(sender) if !sender.enabled);
        let on: Vec<Via<'_>> = all.into_iter().map(|(_, via)| via).filter(|via| !off(via)).collect();
        return if on.is_empty() {
            Err("there is no sender to test; postrider setup makes one".into())
        } else {
            Ok(on)
        };
    }
    let find = |name: &String| {
        let same = |known: &&(&str, Via<'_>)| known.0.to_lowercase() == name.to_lowercase();
        all.iter().find(same).map(|(_, via)| *via).ok_or_else(|| unknown(name, &all))
    };
    names.iter().map(find).collect()
}

fn unknown(name: &str, all: &[(&str, Via<'_>)]) -> String {
    match nearest::slip(name, all.iter().map(|(known, _)| *known)) {
        Some(near) => format!("no sender is named \"{name}\"; did you mean \"{near}\"?"),
        None => format!(
            "no sender is named \"{name}\"; there are {}",
            all.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ")
        ),
    }
}

impl Bench<'_> {
    fn test(&self, via: Via<'_>) -> Report {
        let relay = via.relay();
        let own = own_address(via);
        let to = self.to.as_ref().or(own.as_ref());
        let mut watch = Watch::start();
        let (opened, result) = self.rehearse(via, own.as_ref().zip(to), &mut watch);
        let trouble = result.err();
        let status = trouble.as_ref().map_or(Status::Ok, |one| status::of_trouble(one, self.config.tempfail_exit));
        let address = watch.address();
        let steps = watch.steps(opened.lookup);
        let mut report = Report::new(via.name().as_ref(), via.place().to_string(), &opened, steps, trouble.as_ref());
        report.status = status.code();
        if let Via::Sender(sender) | Via::Default(sender) = via {
            report.compare(self.config, sender);
            self.domains(sender, address, &mut report);
        }
        if own.is_none() {
            report.notes.push("MAIL was not tried: neither user nor from is an address".into());
        } else if trouble.is_none() {
            self.send(via, own.as_ref(), &mut report);
        }
        if relay.tls_options.no_check {
            report.notes.push("the server's certificate is not checked (tls_check = false)".into());
        }
        report
    }

    fn rehearse(
        &self,
        via: Via<'_>,
        parties: Option<(&Address, &Address)>,
        watch: &mut Watch,
    ) -> (crate::deliver::open::Opened, Result<(), crate::deliver::trouble::Trouble>) {
        let relay: &Relay = via.relay();
        let who = &self.around.who;
        let fetching = FetchContext::of(relay, who.uid, who.home.as_deref(), true);
        let mut context = Context {
            host: &self.around.hostname,
            transcript: watch,
            secret: &|source, limit| {
                fetch::fetch(source, &FetchContext { limit, ..fetching }).map_err(|error| error.to_string())
            },
            gate: Gate::of(self.config, via.name()),
            before_mail: &|| (),
            taken: TAKEN,
        };
        attempt::rehearse(relay, parties, &mut context)
    }

    /// What the domains of a sender say; `server` is the address that answered.
    fn domains(&self, sender: &Sender, server: Option<IpAddr>, report: &mut Report) {
        let Some(dns) = &self.dns else { return };
        let of_provider = || match sender.provider?.spf {
            Spf::Include(include) => Some(Source::Include(include)),
            Spf::ProvidersDomain => Some(Source::ProvidersDomain(sender.provider?.name)),
            Spf::Unknown => Some(Source::Unknown),
        };
        let source = self.sends_from.map(Source::Address).or_else(of_provider);
        let source = source.or_else(|| server.map(Source::Server)).unwrap_or(Source::Unknown);
        for domain in domains(sender) {
            let said = domain::look(&domain, &source, sender.dkim_selector.as_deref(), dns);
            if said.iter().any(|one| !one.ok) {
                report.ok = false;
                report.status = report.status.max(Status::Findings.code());
            }
            report.dns.push(DomainSaid { domain, said });
        }
    }

    fn send(&self, via: Via<'_>, from: Option<&Address>, report: &mut Report) {
        let (Some(to), Some(from)) = (&self.to, from) else { return };
        let account = match via {
            Via::Sender(sender) => Some(sender.name.clone()),
            Via::Account(account) => Some(account.name.clone()),
            Via::Default(_) => None,
        };
        let trial = send::Trial { config: self.config, around: self.around, account, from, to, daemon: self.daemon };
        let (status, what) = trial.send();
        if status == Status::Ok {
            report.sent = Some(what);
        } else {
            (report.ok, report.error) = (false, Some(what));
            report.status = report.status.max(status.code());
        }
    }
}

impl spf::Zone for Dns {
    fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        Self::texts(self, name)
    }

    fn addresses(&self, name: &str, v6: bool) -> Result<Vec<IpAddr>, String> {
        self.addresses_of(name, v6)
    }

    fn exchanges(&self, name: &str) -> Result<Vec<String>, String> {
        self.exchangers(name)
    }

    fn names(&self, address: IpAddr) -> Result<Vec<String>, String> {
        Self::names(self, address)
    }
}

fn own_address(via: Via<'_>) -> Option<Address> {
    let of_account = |account: &Account| {
        let texts = [account.from.as_deref(), account.relay.user.as_deref()];
        texts
            .into_iter()
            .flatten()
            .find_map(|text| Address::parse(text).ok().filter(|_| !text.contains(['*', '%', '?'])))
    };
    match via {
        Via::Sender(sender) | Via::Default(sender) => sender.own_address(),
        Via::Account(account) => of_account(account),
    }
}

/// The domains that a sender sends for; a wildcard in a domain stands for none.
fn domains(sender: &Sender) -> BTreeSet<String> {
    let claims = sender.claims().into_iter().map(|pattern| pattern.to_string());
    let claims = claims.chain(sender.own_address().filter(|_| sender.from.is_empty()).map(|own| own.to_string()));
    let domains = claims.filter_map(|claim| Some(claim.rsplit_once('@')?.1.to_lowercase()));
    let domains = domains.filter(|domain| !domain.contains(['*', '?', '[']));
    domains.filter_map(|domain| idna::domain_to_ascii(&domain).ok()).collect()
}
