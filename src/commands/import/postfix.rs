//! Postfix as a relay client: main.cf with relayhost, sender-dependent relay hosts and logins, and TLS.
//!
//! Tables are read as the texts that postmap was given.

use super::model::{
    Account, Context, Fallback, Findings, Imported, Level, Password, Refusal, Source, Tls, host_and_port, port,
    server_url,
};
use super::postfix_main::Main;
use super::postfix_map::{Entry, Map};
use crate::config::{Place, server};
use crate::message::address::Address;
use crate::secret::Secret;
use openssl::sha::sha256;
use std::collections::HashMap;

/// Imports a main.cf and the tables that it names.
pub(super) fn import(sources: &[Source], context: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let source = &sources[0];
    for other in &sources[1..] {
        imported.findings.note(&other.at(0), "left out: only main.cf is named, its tables are found by themselves");
    }
    let main = Main::parse(source, context.hostname, &mut imported.findings);
    let whole = source.at(0);
    let table = |name: &str, findings: &mut Findings| match main.get(name) {
        Some(spec) => Map::load(&spec, main.place(name).unwrap_or(&whole), context, findings).map(Some),
        None => Ok(None),
    };
    let relays = table("sender_dependent_relayhost_maps", &mut imported.findings)?;
    let logins = table("smtp_sasl_password_maps", &mut imported.findings)?;
    let logins = logins.filter(|_| {
        let on = main.on("smtp_sasl_auth_enable");
        if !on && let Some(place) = main.place("smtp_sasl_password_maps") {
            imported.findings.note(place, "smtp_sasl_auth_enable is not yes, so no login is used");
        }
        on
    });
    names(&main, imported);
    let mut shop = Shop {
        main: &main,
        whole: &whole,
        logins: logins.as_ref(),
        by_sender: main.on("smtp_sender_dependent_authentication"),
    };
    let relayhost = main.get("relayhost");
    match &relayhost {
        Some(hop) => {
            let place = main.place("relayhost").unwrap_or(&whole).clone();
            if let Some(account) = shop.account(hop, None, &place, &mut imported.findings) {
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
    shop.senders(relays.as_ref(), relayhost.as_deref(), imported);
    remarks(&main, imported);
    Ok(())
}

/// What tells accounts apart: servers, login, digest of the password.
type Login = (Vec<String>, Option<String>, [u8; 32]);

/// What accounts are made of.
struct Shop<'m> {
    main: &'m Main<'m>,
    whole: &'m Place,
    logins: Option<&'m Map>,
    /// Logins are looked up by the sender first.
    by_sender: bool,
}

impl Shop<'_> {
    /// The account for a next hop, as a sender where one is given.
    fn account(&mut self, hop: &str, sender: Option<&str>, place: &Place, findings: &mut Findings) -> Option<Account> {
        let hop = hop.strip_prefix("smtp:").or_else(|| hop.strip_prefix("relay:")).unwrap_or(hop).trim();
        let (host, given) = host_and_port(hop);
        let host = host.strip_prefix("IPv6:").or_else(|| host.strip_prefix("ipv6:")).unwrap_or(host);
        if !hop.starts_with('[') {
            let what =
                format!("Postfix asks for the MX of {host}; here the host itself is connected to (as for [{host}])");
            findings.differs(place, what);
        }
        let number = given.map_or(Some(25), port);
        let Some(number) = number else {
            findings.lost(place, "the service of this relay host is not known; write the port as a number");
            return None;
        };
        let tls = self.protection(findings);
        let url = server_url(host, Some(number), tls, place, findings)?;
        let mut account = Account { place: Some(place.clone()), servers: vec![url], ..Account::default() };
        if let Some(entry) = self.login(hop, host, sender) {
            login(entry, &mut account, findings);
            account.in_clear(place, findings);
            self.mechanisms(&mut account, findings);
        }
        if tls != Tls::Off {
            self.certificates(&mut account, findings);
        }
        self.connection(&mut account, findings);
        Some(account)
    }

    /// The login: by sender where that is asked for, then by next hop and host.
    fn login(&self, hop: &str, host: &str, sender: Option<&str>) -> Option<&Entry> {
        let logins = self.logins?;
        let sender = sender.filter(|_| self.by_sender);
        let domain = sender.and_then(|sender| sender.rfind('@').map(|at| &sender[at..]));
        [sender, domain, Some(hop), Some(host)].into_iter().flatten().find_map(|key| logins.get(key))
    }

    fn protection(&self, findings: &mut Findings) -> Tls {
        let place = |name: &str| self.main.place(name).unwrap_or(self.whole);
        if self.main.on("smtp_tls_wrappermode") {
            return Tls::AtOnce;
        }
        let level = self.main.get("smtp_tls_security_level").unwrap_or_else(|| {
            let old = |name: &str| self.main.on(name);
            if old("smtp_enforce_tls") {
                "encrypt".into()
            } else if old("smtp_use_tls") {
                "may".into()
            } else {
                "none".into()
            }
        });
        let at = place("smtp_tls_security_level");
        match level.as_str() {
            "none" => return Tls::Off,
            "may" => findings.once(Level::Differs, at,
                "smtp_tls_security_level = may goes on without TLS where the server offers none, and checks no certificate; \
                 here TLS is required and checked",
            ),
            "encrypt" => findings.once(Level::Differs, at,
                "smtp_tls_security_level = encrypt does not check the server's certificate, postrider does; for a \
                 certificate of your own: ca_file = \"...\"",
            ),
            "verify" | "secure" | "fingerprint" => {}
            "dane" | "dane-only" => findings.differs(at, "DANE is not done: the certificate is checked by its chain and name"),
            _ => findings.lost(at, "an unknown smtp_tls_security_level; TLS is required and checked"),
        }
        Tls::StartTls
    }

    fn certificates(&self, account: &mut Account, findings: &mut Findings) {
        let file = |name: &str| self.main.get(name).filter(|path| path.starts_with('/'));
        if let Some(file) = file("smtp_tls_CAfile") {
            account.text("ca_file", file);
        }
        if let Some(place) = self.main.place("smtp_tls_CApath").filter(|_| self.main.get("smtp_tls_CApath").is_some()) {
            findings.note(
                place,
                "smtp_tls_CApath: the system's certificates are used; others go into one file for ca_file",
            );
        }
        if let (Some(cert), key) = (file("smtp_tls_cert_file"), file("smtp_tls_key_file")) {
            account.text("client_key", key.unwrap_or_else(|| cert.clone()));
            account.text("client_cert", cert);
        }
        if let Some(place) = self.main.place("smtp_tls_fingerprint_cert_match") {
            let digest = self.main.get("smtp_tls_fingerprint_cert_match").unwrap_or_default();
            let digits = digest.chars().filter(|c| *c != ':').count();
            if matches!(digits, 32 | 40 | 64) && digest.chars().all(|c| c == ':' || c.is_ascii_hexdigit()) {
                account.text("fingerprint", digest);
            } else {
                findings
                    .lost(place, "smtp_tls_fingerprint_cert_match: fingerprint takes one digest of the certificate");
            }
        }
    }

    /// One mechanism alone is carried over; several are what `auto` chooses from.
    fn mechanisms(&self, account: &mut Account, findings: &mut Findings) {
        let Some(place) = self.main.place("smtp_sasl_mechanism_filter") else { return };
        let filter = self.main.get("smtp_sasl_mechanism_filter").unwrap_or_default().to_ascii_lowercase();
        let known = ["plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256", "xoauth2", "oauthbearer"];
        match filter.as_str() {
            one if known.contains(&one) => account.auth = Some(one.to_owned()),
            "" => {}
            _ => findings
                .note(place, "smtp_sasl_mechanism_filter: auth = \"auto\" takes the strongest that the server offers"),
        }
    }

    fn connection(&self, account: &mut Account, findings: &mut Findings) {
        if let (Some(to), Some(place)) = (self.main.get("always_bcc"), self.main.place("always_bcc")) {
            match Address::parse(&to) {
                Ok(to) => account.keys.push(("bcc", ::toml::Value::Array(vec![::toml::Value::String(to.to_string())]))),
                Err(error) => findings.lost(place, format!("always_bcc: {error}")),
            }
        }
        for name in ["smtp_helo_name", "myhostname"] {
            let Some(place) = self.main.place(name) else { continue };
            let Some(helo) = self.main.get(name) else { continue };
            match server::check_host(&helo) {
                Ok(()) => account.text("ehlo", helo),
                Err(error) => findings.lost(place, error),
            }
            break;
        }
        if let Some(place) = self.main.place("smtp_bind_address") {
            match self.main.get("smtp_bind_address").unwrap_or_default().parse::<std::net::IpAddr>() {
                Ok(address) => account.text("source", address.to_string()),
                Err(_) => findings.lost(place, "smtp_bind_address is no IP address"),
            }
        }
    }

    /// A sender for each account that sender addresses have of their own.
    fn senders(&mut self, relays: Option<&Map>, relayhost: Option<&str>, imported: &mut Imported) {
        let origin = self.main.get("myorigin").filter(|origin| !origin.starts_with('/')).unwrap_or_default();
        let mut wanted: Vec<(Place, String, Option<String>)> = Vec::new();
        for entry in relays.map(Map::entries).unwrap_or_default() {
            let key = if entry.key.contains('@') { entry.key.clone() } else { format!("{}@{origin}", entry.key) };
            let own = !entry.value.eq_ignore_ascii_case("dunno");
            wanted.push((entry.place.clone(), key, own.then(|| entry.value.to_string())));
        }
        for entry in self.logins.filter(|_| self.by_sender).map(Map::entries).unwrap_or_default() {
            if entry.key.contains('@') {
                wanted.push((entry.place.clone(), entry.key.clone(), None));
            }
        }
        if wanted.is_empty() {
            return;
        }
        imported.findings.note(
            self.whole,
            "Postfix chooses by the envelope sender; here the From address does, and -f where there is none",
        );
        let mut seen = std::collections::HashSet::new();
        let mut known: HashMap<Login, usize> = HashMap::new();
        for (place, key, hop) in wanted.into_iter().filter(|(_, key, _)| seen.insert(key.clone())) {
            let Some(hop) = hop.as_deref().or(relayhost) else {
                imported.findings.lost(&place, format!("{key} has a login, but there is no relayhost for it"));
                continue;
            };
            let Some(account) = self.account(hop, Some(&key), &place, &mut imported.findings) else { continue };
            let digest = match &account.password {
                Some(Password::Known(secret)) => sha256(secret.expose().as_bytes()),
                _ => [0; 32],
            };
            let same = (account.servers.clone(), account.user.clone(), digest);
            match known.get(&same).and_then(|at| imported.senders.get_mut(*at)) {
                Some((_, first)) => first.from.push(key),
                None => {
                    known.insert(same, imported.senders.len());
                    imported.sender(&key, Account { from: vec![key.clone()], ..account });
                }
            }
        }
    }
}

/// `user:password` of a password table.
fn login(entry: &Entry, account: &mut Account, findings: &mut Findings) {
    let (user, password) = entry.value.split_once(':').unwrap_or((entry.value.as_str(), ""));
    let password = (!password.is_empty()).then(|| Password::Known(Secret::new(password.to_owned())));
    account.login(user, password, &entry.place, findings);
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
        (
            "smtp_tls_policy_maps",
            "TLS by destination: give each sender its server as smtps://, smtp:// or smtp+plain://",
        ),
        ("smtp_generic_maps", "addresses are not rewritten; names of a sender and on_mismatch = \"rewrite\" come near"),
        (
            "sender_canonical_maps",
            "addresses are not rewritten; names of a sender and on_mismatch = \"rewrite\" come near",
        ),
        ("canonical_maps", "addresses are not rewritten"),
        ("masquerade_domains", "addresses are not rewritten"),
        ("transport_maps", "mail is not routed by recipient"),
        ("sender_dependent_default_transport_maps", "other transports than SMTP to a relay host are not known"),
        ("default_transport", "other transports than SMTP to a relay host are not known"),
        ("virtual_alias_maps", "there are no aliases of full addresses"),
        ("header_checks", "headers are not changed"),
        ("smtp_header_checks", "headers are not changed"),
        ("sender_bcc_maps", "give each sender its bcc = [\"...\"]"),
        ("smtpd_milters", "there are no milters; DKIM is signed by the provider"),
        ("non_smtpd_milters", "there are no milters; DKIM is signed by the provider"),
        ("content_filter", "there is no content filter"),
    ];
    for (name, what) in lost {
        let plain = name == "default_transport" && main.get(name).as_deref() == Some("smtp");
        if let Some(place) = main.place(name).filter(|_| main.get(name).is_some() && !plain) {
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
