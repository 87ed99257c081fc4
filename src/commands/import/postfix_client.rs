//! Postfix's smtp client as one service of master.cf has it: main.cf under the service's own `-o` settings, its logins and
//! its TLS policies. What it makes of a next hop is an account.

use super::model::{Account, Context, Findings, Level, Password, Refusal, Tls, host_and_port, port, server_url};
use super::postfix_main::Main;
use super::postfix_map::{Entry, Map};
use crate::config::{Place, server};
use crate::message::address::Address;
use crate::secret::Secret;
use std::collections::HashSet;

/// One service that sends.
pub(super) struct Client<'s> {
    main: Main<'s>,
    whole: Place,
    logins: Option<Map>,
    policies: Option<Map>,
    /// Logins are looked up by the sender first.
    by_sender: bool,
}

impl<'s> Client<'s> {
    /// The client with these parameters; `whole` is main.cf.
    ///
    /// # Errors
    /// A table that cannot be read.
    pub fn new(main: Main<'s>, whole: &Place, context: &Context<'_>, findings: &mut Findings) -> Result<Self, Refusal> {
        let logins = table(&main, "smtp_sasl_password_maps", context, findings)?;
        let logins = logins.filter(|_| {
            let on = main.on("smtp_sasl_auth_enable");
            if !on && let Some(place) = main.place("smtp_sasl_password_maps") {
                findings.note(place, "smtp_sasl_auth_enable is not yes, so no login is used");
            }
            on
        });
        let policies = table(&main, "smtp_tls_policy_maps", context, findings)?;
        let by_sender = main.on("smtp_sender_dependent_authentication");
        Ok(Self { main, whole: whole.clone(), logins, policies, by_sender })
    }

    /// Addresses that have a login of their own, each with its place.
    pub fn senders(&self) -> impl Iterator<Item = (&Place, &str)> {
        let entries = self.logins.as_ref().filter(|_| self.by_sender).map(Map::entries).unwrap_or_default();
        entries.iter().filter(|entry| entry.key.contains('@')).map(|entry| (&entry.place, entry.key.as_str()))
    }

    /// The account for a next hop, as a sender where one is given.
    pub fn account(&self, hop: &str, sender: Option<&str>, place: &Place, findings: &mut Findings) -> Option<Account> {
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
        let policy = self.policy(hop);
        let tls = self.protection(policy, findings);
        let url = server_url(host, Some(number), tls, place, findings)?;
        let mut account = Account { place: Some(place.clone()), servers: vec![url], ..Account::default() };
        if let Some(entry) = self.login(hop, host, sender) {
            login(entry, &mut account, findings);
            account.in_clear(place, findings);
            self.mechanisms(&mut account, findings);
        }
        if tls != Tls::Off {
            self.certificates(&mut account, findings);
            self.expected(policy, &mut account, findings);
        }
        self.connection(&mut account, findings);
        Some(account)
    }

    /// The login: by sender where that is asked for, then by next hop and host.
    fn login(&self, hop: &str, host: &str, sender: Option<&str>) -> Option<&Entry> {
        let logins = self.logins.as_ref()?;
        let sender = sender.filter(|_| self.by_sender);
        let domain = sender.and_then(|sender| sender.rfind('@').map(|at| &sender[at..]));
        [sender, domain, Some(hop), Some(host)].into_iter().flatten().find_map(|key| logins.get(key))
    }

    /// The TLS policy of a next hop: a name without brackets and port has those of the domains above it too.
    fn policy(&self, hop: &str) -> Option<&Entry> {
        let policies = self.policies.as_ref()?;
        let mut name = Some(hop);
        while let Some(key) = name {
            if let Some(entry) = policies.get(key) {
                return Some(entry);
            }
            let is_name = !hop.starts_with('[') && !hop.contains(':');
            name = key.get(1..).and_then(|rest| rest.find('.').map(|at| &rest[at..])).filter(|_| is_name);
        }
        None
    }

    /// Says which policies are of destinations that no mail goes to.
    pub fn unused(&self, hops: &HashSet<String>, findings: &mut Findings) {
        let used: HashSet<&str> = hops.iter().filter_map(|hop| Some(self.policy(hop)?.key.as_str())).collect();
        for entry in self.policies.as_ref().map(Map::entries).unwrap_or_default() {
            if !used.contains(entry.key.as_str()) {
                findings.lost(&entry.place, "a TLS policy of a destination that no relay host is; it was left out");
            }
        }
    }

    /// The level of TLS, and whether it begins at once.
    fn protection(&self, policy: Option<&Entry>, findings: &mut Findings) -> Tls {
        let (level, name, at) = self.level(policy);
        let wrapped = self.main.on("smtp_tls_wrappermode");
        match level.as_str() {
            "none" if wrapped => {
                let what =
                    "smtp_tls_wrappermode needs TLS, which the security level turns off; TLS is required and checked";
                findings.differs(self.main.place("smtp_tls_wrappermode").unwrap_or(&self.whole), what);
            }
            "none" => return Tls::Off,
            "may" if !wrapped => findings.once(
                Level::Differs,
                at,
                format!(
                    "{name} = may goes on without TLS where the server offers none, and checks no certificate; \
                     here TLS is required and checked"
                ),
            ),
            "may" | "encrypt" => findings.once(
                Level::Differs,
                at,
                format!(
                    "{name} = {level} does not check the server's certificate, postrider does; for a certificate of \
                     your own: ca_file = \"...\""
                ),
            ),
            "verify" | "secure" | "fingerprint" => {}
            "dane" | "dane-only" => {
                findings.differs(at, "DANE is not done: the certificate is checked by its chain and name")
            }
            _ => findings.lost(at, format!("{name}: an unknown level; TLS is required and checked")),
        }
        if wrapped { Tls::AtOnce } else { Tls::StartTls }
    }

    /// The level that holds, its name for people, and where it stands.
    fn level<'m>(&'m self, policy: Option<&'m Entry>) -> (String, &'static str, &'m Place) {
        if let Some(entry) = policy {
            let level = entry.value.split([' ', '\t', ',']).next().unwrap_or_default();
            return (level.to_owned(), "smtp_tls_policy_maps", &entry.place);
        }
        let name = "smtp_tls_security_level";
        let old = |name: &str| self.main.on(name);
        let level = self.main.get(name).unwrap_or_else(|| match () {
            () if old("smtp_enforce_tls") => "encrypt".into(),
            () if old("smtp_use_tls") => "may".into(),
            () => "none".into(),
        });
        (level, name, self.main.place(name).unwrap_or(&self.whole))
    }

    /// What a policy says of the certificate, else what main.cf does.
    fn expected(&self, policy: Option<&Entry>, account: &mut Account, findings: &mut Findings) {
        let (level, _, at) = self.level(policy);
        for attribute in policy.map(|entry| entry.value.split([' ', '\t', ',']).skip(1)).into_iter().flatten() {
            match attribute.split_once('=') {
                Some(("match", wanted)) if level == "fingerprint" => fingerprint(wanted, at, account, findings),
                Some(("match", wanted)) => name(wanted, at, account, findings),
                Some(("tafile", path)) if path.starts_with('/') => {
                    account.keys.retain(|(key, _)| *key != "ca_file");
                    account.text("ca_file", path);
                }
                Some((key, _)) => findings.lost(at, format!("{key}= of this TLS policy has no counterpart")),
                None if attribute.is_empty() => {}
                None => findings.lost(at, "a word of this TLS policy is no attribute=value"),
            }
        }
        let global = match level.as_str() {
            "verify" => "smtp_tls_verify_cert_match",
            "secure" => "smtp_tls_secure_cert_match",
            "fingerprint" => "smtp_tls_fingerprint_cert_match",
            _ => return,
        };
        let said = account.keys.iter().any(|(key, _)| matches!(*key, "tls_name" | "fingerprint"));
        if let (Some(wanted), Some(place), false) = (self.main.get(global), self.main.place(global), said) {
            match level.as_str() {
                "fingerprint" => fingerprint(&wanted, place, account, findings),
                _ => name(&wanted, place, account, findings),
            }
        }
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
}

/// The tables that a parameter names.
///
/// # Errors
/// One that cannot be read.
pub(super) fn table(
    main: &Main<'_>,
    name: &str,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Result<Option<Map>, Refusal> {
    match (main.get(name), main.place(name)) {
        (Some(spec), Some(place)) => Map::load(&spec, place, context, findings).map(Some),
        _ => Ok(None),
    }
}

/// The name that the certificate is to have; Postfix's own words for "the server's" need none.
fn name(wanted: &str, place: &Place, account: &mut Account, findings: &mut Findings) {
    let mut names = wanted.split([':', ',', ' ']).filter(|name| !name.is_empty());
    match (names.next(), names.next()) {
        (Some("nexthop" | "hostname" | "dot-nexthop"), _) | (None, _) => {}
        (Some(one), None) if server::check_host(one).is_ok() => account.text("tls_name", one),
        _ => findings.lost(place, "the names that the certificate may have: tls_name takes one"),
    }
}

/// The digest that the certificate is to have.
fn fingerprint(digest: &str, place: &Place, account: &mut Account, findings: &mut Findings) {
    let digits = digest.chars().filter(|c| *c != ':').count();
    if matches!(digits, 32 | 40 | 64) && digest.chars().all(|c| c == ':' || c.is_ascii_hexdigit()) {
        account.text("fingerprint", digest);
    } else {
        findings.lost(place, "the certificate's fingerprint: fingerprint takes one digest of the certificate");
    }
}

/// `user:password` of a password table.
fn login(entry: &Entry, account: &mut Account, findings: &mut Findings) {
    let (user, password) = entry.value.split_once(':').unwrap_or((entry.value.as_str(), ""));
    let password = (!password.is_empty()).then(|| Password::Known(Secret::new(password.to_owned())));
    account.login(user, password, &entry.place, findings);
}
