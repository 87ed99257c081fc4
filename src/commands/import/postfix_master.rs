//! master.cf: which services are SMTP clients, and the `-o` settings that each has of its own. Pure.

use super::model::{Findings, Source};
use crate::config::Place;
use std::collections::HashMap;

/// Settings of a client that an account can have, or that change nothing of what is sent.
const CARRIED: [&str; 26] = [
    "smtp_helo_name",
    "myhostname",
    "smtp_bind_address",
    "smtp_sasl_auth_enable",
    "smtp_sasl_password_maps",
    "smtp_sender_dependent_authentication",
    "smtp_sasl_mechanism_filter",
    "smtp_sasl_security_options",
    "smtp_sasl_tls_security_options",
    "smtp_tls_security_level",
    "smtp_tls_wrappermode",
    "smtp_enforce_tls",
    "smtp_use_tls",
    "smtp_tls_policy_maps",
    "smtp_tls_CAfile",
    "smtp_tls_CApath",
    "smtp_tls_cert_file",
    "smtp_tls_key_file",
    "smtp_tls_fingerprint_cert_match",
    "smtp_tls_secure_cert_match",
    "smtp_tls_verify_cert_match",
    "smtp_tls_loglevel",
    "smtp_tls_session_cache_database",
    "smtp_tls_note_starttls_offer",
    "always_bcc",
    "syslog_name",
];

/// A setting of a service: where it stands, its name, its value.
type Setting<'s> = (Place, &'s str, String);

/// The services of a master.cf that send by SMTP.
#[derive(Default)]
pub(super) struct Master<'s>(Option<HashMap<&'s str, Vec<Setting<'s>>>>);

impl<'s> Master<'s> {
    /// Reads a master.cf. Services that take mail are a finding.
    pub fn parse(source: &'s Source, findings: &mut Findings) -> Self {
        let mut clients = HashMap::new();
        for words in entries(source, findings) {
            let [(place, name), (_, kind), rest @ ..] = words.as_slice() else { continue };
            // private, unprivileged, chroot, wakeup, limit, and then the program.
            let [_, _, _, _, _, (_, program), arguments @ ..] = rest else {
                findings.lost(place, "this service has no program; it was left out");
                continue;
            };
            match (*kind, *program) {
                ("unix", "smtp" | "lmtp") => {
                    let settings = settings(arguments, findings);
                    clients.insert(*name, settings);
                }
                ("inet", "smtpd") => findings.note(
                    place,
                    format!("{name}: a service that takes mail over SMTP; where programs need it, give a [[listen]]"),
                ),
                _ => {}
            }
        }
        Self(Some(clients))
    }

    /// Whether a service is an SMTP client. Without a master.cf, Postfix's usual two are.
    pub fn sends(&self, service: &str) -> bool {
        match &self.0 {
            Some(clients) => clients.contains_key(service),
            None => matches!(service, "smtp" | "relay"),
        }
    }

    /// What a service sets otherwise than main.cf. A setting without a counterpart is a finding.
    pub fn overrides(&self, service: &str, findings: &mut Findings) -> Vec<(&'s str, Place, String)> {
        let settings = self.0.as_ref().and_then(|clients| clients.get(service)).map(Vec::as_slice).unwrap_or_default();
        let mut carried = Vec::new();
        for (place, name, value) in settings {
            match CARRIED.contains(name) {
                true => carried.push((*name, place.clone(), value.clone())),
                false => findings.lost(place, format!("-o {name} of service {service} has no counterpart")),
            }
        }
        carried
    }
}

/// A word and where it stands.
type Word<'s> = (Place, &'s str);

/// The words of each service; a line that begins with a blank goes on with the one before.
fn entries<'s>(source: &'s Source, findings: &mut Findings) -> Vec<Vec<Word<'s>>> {
    let mut entries: Vec<Vec<Word<'s>>> = Vec::new();
    for (place, line) in source.lines(findings) {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let words = words(line).into_iter().map(|word| (place.clone(), word));
        match entries.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some(last) => last.extend(words),
            None => entries.push(words.collect()),
        }
    }
    entries
}

/// Words between blanks; what stands in braces is one.
fn words(line: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in line.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ' ' | '\t' if depth == 0 => {
                found.push(&line[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&line[from..]);
    found.retain(|word| !word.is_empty());
    found
}

/// `-o name=value` and `-o { name = value }`.
fn settings<'s>(arguments: &[Word<'s>], findings: &mut Findings) -> Vec<Setting<'s>> {
    let mut settings = Vec::new();
    let mut words = arguments.iter();
    while let Some((place, word)) = words.next() {
        let (place, setting) = match word.strip_prefix("-o") {
            Some("") => match words.next() {
                Some((place, setting)) => (place, *setting),
                None => (place, ""),
            },
            Some(setting) => (place, setting),
            None => continue,
        };
        let inner = setting.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(setting);
        match inner.split_once('=') {
            Some((name, value)) => settings.push((place.clone(), name.trim(), value.trim().to_owned())),
            None => findings.lost(place, "-o without name=value; it was left out"),
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(text: &str) -> Source {
        Source { path: "master.cf".into(), data: zeroize::Zeroizing::new(text.as_bytes().to_vec()) }
    }

    #[test]
    fn services_and_their_settings() {
        let text = "# x\nsmtp inet n - y - - smtpd\nsmtp unix - - y - - smtp\nslow  unix  -  -  n  -  1  smtp\n  -o smtp_helo_name=slow.example.com\n\
                    # between\n\t-osmtp_bind_address=192.0.2.9 -v\n  -o { smtp_tls_policy_maps = inline:{ a=b } } -o smtp_connect_timeout=5s -o x\n\
                    pickup unix n - y 60 1 pickup\nbroken unix -\n";
        let (source, mut findings) = (source(text), Findings::default());
        let master = Master::parse(&source, &mut findings);
        assert!(master.sends("smtp") && master.sends("slow") && !master.sends("pickup") && !master.sends("relay"));
        assert!(master.overrides("smtp", &mut findings).is_empty());
        let settings = master.overrides("slow", &mut findings);
        let shown: Vec<String> =
            settings.iter().map(|(name, place, value)| format!("{place} {name} {value}")).collect();
        assert_eq!(
            shown,
            [
                "master.cf:5 smtp_helo_name slow.example.com",
                "master.cf:7 smtp_bind_address 192.0.2.9",
                "master.cf:8 smtp_tls_policy_maps inline:{ a=b }"
            ]
        );
        let found: Vec<String> = findings.all().iter().map(|finding| finding.place.to_string()).collect();
        assert_eq!(found, ["master.cf:2", "master.cf:8", "master.cf:10", "master.cf:8"]);
        assert!(Master::default().sends("relay") && !Master::default().sends("slow"));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(a|smtp|unix|-o|[ \t\n{}=-]){0,40}") {
            let source = source(&text);
            Master::parse(&source, &mut Findings::default());
        }
    }
}
