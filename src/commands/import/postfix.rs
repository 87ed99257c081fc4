//! Postfix as a relay client: main.cf and master.cf with relayhost, sender-dependent relay hosts, transports and logins,
//! and TLS by destination.
//!
//! Tables are read as the texts that postmap was given.

use super::model::{Account, Context, Fallback, Findings, Imported, Password, Refusal, Source};
use super::postfix_client::{Client, table};
use super::postfix_main::Main;
use super::postfix_map::Map;
use super::postfix_master::Master;
use crate::config::{Place, server};
use openssl::sha::sha256;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The service that sends where nothing else is said.
const SMTP: &str = "smtp";

/// Imports a main.cf, the master.cf beside it and the tables that it names.
pub(super) fn import(sources: &[Source], context: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let source = &sources[0];
    for other in &sources[1..] {
        imported.findings.note(&other.at(0), "left out: only main.cf is named, its tables are found by themselves");
    }
    let main = Main::parse(source, context.hostname, &mut imported.findings);
    let whole = source.at(0);
    let beside = super::beside(&whole, "master.cf");
    let master = (context.read)(&beside).map_err(|what| Refusal(source.at(0), what))?;
    let master = master.as_ref().map(|source| Master::parse(source, &mut imported.findings)).unwrap_or_default();
    names(&main, imported);
    let mut office =
        Office { main: &main, whole: &whole, master: &master, context, clients: BTreeMap::new(), hops: HashSet::new() };
    let relayhost = main.get("relayhost");
    let hop = office.fallback(relayhost.as_deref(), &mut imported.findings)?;
    match &hop {
        Some(hop) => {
            if let Some(account) = office.account(hop, None, &mut imported.findings)? {
                imported.default = Fallback::Server(Box::new(account));
            }
        }
        None => {
            let what =
                "there is no relayhost: Postfix brings mail to each domain's own server, which postrider does not";
            imported.findings.lost(&whole, what);
            imported.default = Fallback::Refuse("Postfix had no relayhost: no server to send to.".into());
        }
    }
    office.senders(hop.as_ref(), imported)?;
    for client in office.clients.values() {
        client.unused(&office.hops, &mut imported.findings);
    }
    remarks(&main, imported);
    Ok(())
}

/// Where a message goes: by which service of master.cf, to which host, and where that is said.
#[derive(Clone)]
struct Hop {
    service: String,
    next: String,
    place: Place,
}

/// What tells accounts apart: servers, login, digest of the password.
type Login = (Vec<String>, Option<String>, [u8; 32]);

/// The services that send, each made when it is first needed.
struct Office<'o, 's> {
    main: &'o Main<'s>,
    whole: &'o Place,
    master: &'o Master<'s>,
    context: &'o Context<'o>,
    clients: BTreeMap<String, Client<'s>>,
    /// All hosts that mail goes to.
    hops: HashSet<String>,
}

impl<'s> Office<'_, 's> {
    /// The smtp client of that name, with the settings that master.cf gives it.
    fn client(&mut self, service: &str, findings: &mut Findings) -> Result<&Client<'s>, Refusal> {
        if !self.clients.contains_key(service) {
            let main = self.main.with(self.master.overrides(service, findings));
            let client = Client::new(main, self.whole, self.context, findings)?;
            self.clients.insert(service.to_owned(), client);
        }
        Ok(&self.clients[service])
    }

    fn account(
        &mut self,
        hop: &Hop,
        sender: Option<&str>,
        findings: &mut Findings,
    ) -> Result<Option<Account>, Refusal> {
        self.hops.insert(hop.next.clone());
        Ok(self.client(&hop.service, findings)?.account(&hop.next, sender, &hop.place, findings))
    }

    /// `service:host`, as a transport is written; the host is `next` where it has none.
    fn hop(&self, transport: &str, next: Option<&str>, place: &Place, findings: &mut Findings) -> Option<Hop> {
        let (service, host) = match transport.split_once(':') {
            Some((service, host)) if !transport.starts_with('[') => (service, host.trim()),
            _ => (transport, ""),
        };
        let service = if service.is_empty() { SMTP } else { service };
        if !self.master.sends(service) {
            findings.lost(place, format!("transport {service} is no SMTP client of master.cf; it was left out"));
            return None;
        }
        let next = if host.is_empty() { next? } else { host };
        Some(Hop { service: service.to_owned(), next: next.to_owned(), place: place.clone() })
    }

    /// Where mail goes that no table of senders has.
    fn fallback(&self, relayhost: Option<&str>, findings: &mut Findings) -> Result<Option<Hop>, Refusal> {
        let transport = self.main.get("default_transport");
        let at = if relayhost.is_some() { "relayhost" } else { "default_transport" };
        let place = self.main.place(at).unwrap_or(self.whole);
        Ok(match transport {
            Some(transport) => {
                let place =
                    if transport.contains(':') { self.main.place("default_transport") } else { None }.unwrap_or(place);
                self.hop(&transport, relayhost, place, findings)
            }
            None => relayhost.map(|next| {
                let next = next.strip_prefix("smtp:").or_else(|| next.strip_prefix("relay:")).unwrap_or(next);
                Hop { service: SMTP.into(), next: next.trim().to_owned(), place: place.clone() }
            }),
        })
    }

    /// What the tables say of senders: each address or domain with its hop. A transport's own host wins over a relay host's.
    fn wanted(
        &mut self,
        fallback: Option<&Hop>,
        findings: &mut Findings,
    ) -> Result<Vec<(Place, String, Option<Hop>)>, Refusal> {
        let origin = self.main.get("myorigin").filter(|origin| !origin.starts_with('/')).unwrap_or_default();
        let relays = table(self.main, "sender_dependent_relayhost_maps", self.context, findings)?;
        let transports = table(self.main, "sender_dependent_default_transport_maps", self.context, findings)?;
        let full = |key: &str| if key.contains('@') { key.to_owned() } else { format!("{key}@{origin}") };
        let relay = |key: &str| {
            let domain = key.rfind('@').map(|at| &key[at..]).unwrap_or_default();
            let found = relays.as_ref().and_then(|relays| relays.get(key).or_else(|| relays.get(domain)))?;
            (!found.value.eq_ignore_ascii_case("dunno")).then(|| found.value.to_string())
        };
        let mut wanted = Vec::new();
        for entry in transports.as_ref().map(Map::entries).unwrap_or_default() {
            if entry.value.eq_ignore_ascii_case("dunno") {
                continue;
            }
            let next = relay(&entry.key).or_else(|| fallback.map(|hop| hop.next.clone()));
            if let Some(hop) = self.hop(&entry.value, next.as_deref(), &entry.place, findings) {
                wanted.push((entry.place.clone(), full(&entry.key), Some(hop)));
            }
        }
        let service = fallback.map_or(SMTP, |hop| hop.service.as_str()).to_owned();
        for entry in relays.as_ref().map(Map::entries).unwrap_or_default() {
            let own = (!entry.value.eq_ignore_ascii_case("dunno")).then(|| Hop {
                service: service.clone(),
                next: entry.value.trim().to_owned(),
                place: entry.place.clone(),
            });
            wanted.push((entry.place.clone(), full(&entry.key), own));
        }
        let logins = self.client(&service, findings)?;
        wanted.extend(logins.senders().map(|(place, key)| (place.clone(), key.to_owned(), None)));
        Ok(wanted)
    }

    /// A sender for each account that sender addresses have of their own.
    fn senders(&mut self, fallback: Option<&Hop>, imported: &mut Imported) -> Result<(), Refusal> {
        let wanted = self.wanted(fallback, &mut imported.findings)?;
        if wanted.is_empty() {
            return Ok(());
        }
        imported.findings.note(
            self.whole,
            "Postfix chooses by the envelope sender; here the From address does, and -f where there is none",
        );
        let mut seen = HashSet::new();
        let mut known: HashMap<Login, usize> = HashMap::new();
        for (place, key, hop) in wanted.into_iter().filter(|(_, key, _)| seen.insert(key.clone())) {
            let Some(hop) = hop.or_else(|| fallback.cloned()) else {
                imported.findings.lost(&place, format!("{key} has a login, but there is no relayhost for it"));
                continue;
            };
            let hop = Hop { place, ..hop };
            let Some(account) = self.account(&hop, Some(&key), &mut imported.findings)? else { continue };
            let digest = match &account.password {
                Some(Password::Known(secret)) => sha256(secret.expose().as_bytes()),
                _ => [0; 32],
            };
            let mut servers = account.servers.clone();
            servers.push(hop.service);
            let same = (servers, account.user.clone(), digest);
            match known.get(&same).and_then(|at| imported.senders.get_mut(*at)) {
                Some((_, first)) => first.from.push(key),
                None => {
                    known.insert(same, imported.senders.len());
                    imported.sender(&key, Account { from: vec![key.clone()], ..account });
                }
            }
        }
        Ok(())
    }
}

/// myorigin, the name that bare senders get. The host's own is the default of both.
fn names(main: &Main<'_>, imported: &mut Imported) {
    let Some(place) = main.place("myorigin").or_else(|| main.place("myhostname")) else { return };
    let Some(origin) = main.get("myorigin") else { return };
    if origin.starts_with('/') {
        return imported
            .findings
            .note(place, format!("myorigin = {origin}: postrider reads /etc/mailname by itself; else set domain"));
    }
    match server::check_host(&origin) {
        Ok(()) => imported.top.push(("domain", ::toml::Value::String(origin))),
        Err(error) => imported.findings.lost(place, error),
    }
}

/// Aliases and the names of this host. What no alias takes is sent on, not delivered.
fn local(main: &Main<'_>, imported: &mut Imported) {
    if let Some(place) = main.place("alias_maps") {
        let maps = main.get("alias_maps").unwrap_or_default();
        let mut files = maps.split([',', ' ', '\t']).filter_map(|map| map.split_once(':'));
        match (files.next(), files.next()) {
            (None, _) => imported.set("aliases", "off"),
            (Some(("hash" | "texthash" | "lmdb" | "btree" | "cdb", path)), None) if path.starts_with('/') => {
                if path != "/etc/aliases" {
                    imported.set("aliases", path);
                }
            }
            _ => imported.findings.lost(place, "alias_maps: one text file is read; give it as aliases = \"...\""),
        }
    }
    let Some(place) = main.place("mydestination") else { return };
    let names = main.get("mydestination").unwrap_or_default();
    let names = names.split([',', ' ', '\t']).filter(|name| server::check_host(name).is_ok());
    let names = names.take(100).map(|name| ::toml::Value::String(name.to_owned())).collect();
    imported.top.push(("local_domains", ::toml::Value::Array(names)));
    let what =
        "mydestination: mail of local users that no alias takes is sent to the server and not delivered into mailboxes";
    imported.findings.lost(place, what);
}

/// Parameters that change what is sent, and have no counterpart.
fn remarks(main: &Main<'_>, imported: &mut Imported) {
    let lost = [
        ("smtp_fallback_relay", "a second server: server = [\"...\", \"...\"], where the same login is good for it"),
        ("smtp_tls_per_site", "TLS by destination is read from smtp_tls_policy_maps alone"),
        ("smtp_tls_mandatory_protocols", "the TLS versions are TLS 1.2 and later"),
        ("smtp_tls_mandatory_ciphers", "the ciphers are those of the system's policy"),
        ("smtp_generic_maps", "addresses are not rewritten; names of a sender and on_mismatch = \"rewrite\" come near"),
        (
            "sender_canonical_maps",
            "addresses are not rewritten; names of a sender and on_mismatch = \"rewrite\" come near",
        ),
        ("canonical_maps", "addresses are not rewritten"),
        ("masquerade_domains", "addresses are not rewritten"),
        ("transport_maps", "mail is not routed by recipient"),
        ("virtual_alias_maps", "there are no aliases of full addresses"),
        ("header_checks", "headers are not changed"),
        ("smtp_header_checks", "headers are not changed"),
        ("sender_bcc_maps", "give each sender its bcc = [\"...\"]"),
        ("smtpd_milters", "there are no milters; DKIM is signed by the provider"),
        ("non_smtpd_milters", "there are no milters; DKIM is signed by the provider"),
        ("content_filter", "there is no content filter"),
    ];
    for (name, what) in lost {
        if let Some(place) = main.place(name).filter(|_| main.get(name).is_some()) {
            imported.findings.lost(place, format!("{name}: {what}"));
        }
    }
    local(main, imported);
    for name in ["maximal_queue_lifetime", "smtp_destination_rate_delay", "default_destination_rate_delay"] {
        if let Some(place) = main.place(name) {
            imported.findings.note(place, format!("{name}: see expire_after in [queue], and limits of a sender"));
        }
    }
}
