//! SPF as a receiver evaluates it: check_host() of RFC 7208 section 4, with its limits on lookups.
//!
//! Records come from a `Zone`, so that everything here is values.

pub mod macros;
pub mod record;

use macros::Values;
use record::{Directive, Mechanism, Record};
use std::net::IpAddr;

/// The most terms that look something up (section 4.6.4), and the most mail servers or names of one of them.
const LOOKUPS: usize = 10;
/// The most lookups that find nothing.
const VOIDS: usize = 2;

/// Where records come from. No records are an empty answer; `Err` is no answer, and why.
pub trait Zone {
    /// TXT records.
    fn texts(&self, name: &str) -> Result<Vec<String>, String>;
    /// A or AAAA records.
    fn addresses(&self, name: &str, v6: bool) -> Result<Vec<IpAddr>, String>;
    /// MX records.
    fn exchanges(&self, name: &str) -> Result<Vec<String>, String>;
    /// PTR records of an address.
    fn names(&self, address: IpAddr) -> Result<Vec<String>, String>;
}

/// What a receiver makes of it (section 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No record.
    None,
    /// The domain says nothing of this address.
    Neutral,
    /// The domain lets this address send.
    Pass,
    /// It does not.
    Fail,
    /// It does not, but is not sure.
    SoftFail,
    /// No answer from DNS.
    TempError,
    /// The record is wrong.
    PermError,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        })
    }
}

/// A verdict and what led to it: the terms that matched, or the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, without a period.
    pub why: String,
}

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'s> {
    /// The address that the receiver sees.
    pub ip: IpAddr,
    /// The envelope sender.
    pub sender: &'s str,
    /// The name in HELO.
    pub helo: &'s str,
}

/// Evaluates the record of a domain for one sending host. IPv4 in IPv6 form is IPv4.
pub fn check_host(zone: &dyn Zone, domain: &str, sending: Sending<'_>) -> Outcome {
    let sending = Sending { ip: sending.ip.to_canonical(), ..sending };
    let mut check = Check { zone, sending, lookups: 0, voids: 0 };
    match check.host(domain) {
        Ok(outcome) => outcome,
        Err(Stop::Temporary(why)) => Outcome { verdict: Verdict::TempError, why },
        Err(Stop::Permanent(why)) => Outcome { verdict: Verdict::PermError, why },
    }
}

/// An address out of what a domain's record lets send, its includes too: of the first network that is found.
///
/// # Errors
/// No answer from DNS.
pub fn some_address(zone: &dyn Zone, domain: &str) -> Result<Option<IpAddr>, String> {
    let mut names = vec![domain.to_owned()];
    for _ in 0..LOOKUPS {
        let Some(name) = names.pop() else { break };
        for text in zone.texts(&name)?.into_iter().filter(|text| record::is_spf(text)) {
            let Ok(record) = Record::parse(&text) else { continue };
            let fixed = |name: &String| (!name.contains('%')).then(|| name.clone());
            names.extend(record.redirect.as_ref().and_then(fixed));
            for directive in record.directives.iter().rev().filter(|directive| directive.qualifier == '+') {
                match &directive.mechanism {
                    Mechanism::Net(address, _) => return Ok(Some(*address)),
                    Mechanism::Include(name) => names.extend(fixed(name)),
                    _ => {}
                }
            }
        }
    }
    Ok(None)
}

/// Why there is no evaluation.
enum Stop {
    Temporary(String),
    Permanent(String),
}

fn permanent<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Permanent(why.into()))
}

struct Check<'c> {
    zone: &'c dyn Zone,
    sending: Sending<'c>,
    lookups: usize,
    voids: usize,
}

impl Check<'_> {
    fn host(&mut self, domain: &str) -> Result<Outcome, Stop> {
        if !is_domain(domain) {
            return Ok(Outcome { verdict: Verdict::None, why: format!("{domain} is no domain") });
        }
        let texts = self.zone.texts(domain).map_err(Stop::Temporary)?;
        let mut texts = texts.into_iter().filter(|text| record::is_spf(text));
        let (first, second) = (texts.next(), texts.next());
        let Some(text) = first else {
            return Ok(Outcome { verdict: Verdict::None, why: format!("{domain} has no SPF record") });
        };
        if second.is_some() {
            return permanent(format!("{domain} has more than one SPF record, which counts as none; join them"));
        }
        let record = Record::parse(&text).or_else(|fault| permanent(format!("{domain}: {fault}")))?;
        for directive in &record.directives {
            if let Some(how) = self.matches(directive, domain)? {
                let verdict = match directive.qualifier {
                    '-' => Verdict::Fail,
                    '~' => Verdict::SoftFail,
                    '?' => Verdict::Neutral,
                    _ => Verdict::Pass,
                };
                return Ok(Outcome { verdict, why: how });
            }
        }
        let Some(target) = &record.redirect else {
            return Ok(Outcome { verdict: Verdict::Neutral, why: "no term of it matches".into() });
        };
        self.count(domain)?;
        let target = self.name(Some(target), domain)?;
        let outcome = self.host(&target)?;
        if outcome.verdict == Verdict::None {
            return permanent(format!("redirect={target}: {}", outcome.why));
        }
        Ok(Outcome { why: format!("redirect={target}, {}", outcome.why), ..outcome })
    }

    /// How a mechanism matches; `None` where it does not.
    fn matches(&mut self, directive: &Directive, domain: &str) -> Result<Option<String>, Stop> {
        let text = &directive.text;
        if !matches!(directive.mechanism, Mechanism::All | Mechanism::Net(..)) {
            self.count(domain)?;
        }
        let matched = match &directive.mechanism {
            Mechanism::All => true,
            Mechanism::Net(address, length) => within(self.sending.ip, *address, *length),
            Mechanism::Include(name) => return self.include(&self.name(Some(name), domain)?, text),
            Mechanism::A(name, v4, v6) => {
                let name = self.name(name.as_ref(), domain)?;
                self.addressed(&name, *v4, *v6)?
            }
            Mechanism::Mx(name, v4, v6) => {
                let name = self.name(name.as_ref(), domain)?;
                self.exchange(&name, *v4, *v6)?
            }
            Mechanism::Ptr(name) => {
                let name = self.name(name.as_ref(), domain)?;
                self.named(&name)?
            }
            Mechanism::Exists(name) => {
                let name = self.name(Some(name), domain)?;
                let answer = self.zone.addresses(&name, false);
                !self.asked(&name, answer)?.is_empty()
            }
        };
        Ok(matched.then(|| text.clone()))
    }

    fn include(&mut self, name: &str, text: &str) -> Result<Option<String>, Stop> {
        let outcome = self.host(name)?;
        match outcome.verdict {
            Verdict::Pass => Ok(Some(format!("{text}, {}", outcome.why))),
            Verdict::None => permanent(format!("{text}: {}", outcome.why)),
            _ => Ok(None),
        }
    }

    fn addressed(&mut self, name: &str, v4: u8, v6: u8) -> Result<bool, Stop> {
        let ip = self.sending.ip;
        let answer = self.zone.addresses(name, ip.is_ipv6());
        let length = if ip.is_ipv6() { v6 } else { v4 };
        Ok(self.asked(name, answer)?.into_iter().any(|address| within(ip, address, length)))
    }

    fn exchange(&mut self, name: &str, v4: u8, v6: u8) -> Result<bool, Stop> {
        let answer = self.zone.exchanges(name);
        let exchanges = self.asked(name, answer)?;
        if exchanges.len() > LOOKUPS {
            return permanent(format!("{name} has more than {LOOKUPS} mail servers"));
        }
        for exchange in exchanges {
            if self.addressed(exchange.trim_end_matches('.'), v4, v6)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a name of the address, which has the address, is this one or below it. What DNS does not answer is no match.
    fn named(&mut self, name: &str) -> Result<bool, Stop> {
        let ip = self.sending.ip;
        let Ok(names) = self.zone.names(ip) else { return Ok(false) };
        let own = |other: &str| {
            let (other, name) = (other.to_ascii_lowercase(), name.to_ascii_lowercase());
            other == name || other.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'))
        };
        let names = names.iter().take(LOOKUPS).map(|name| name.trim_end_matches('.')).filter(|name| own(name));
        Ok(names.into_iter().any(|name| self.zone.addresses(name, ip.is_ipv6()).is_ok_and(|all| all.contains(&ip))))
    }

    /// One more term that looks something up.
    fn count(&mut self, domain: &str) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS {
            return permanent(format!("more than {LOOKUPS} lookups, at the record of {domain}, which counts as none"));
        }
        Ok(())
    }

    /// An answer; one more without records counts too.
    fn asked<T>(&mut self, name: &str, answer: Result<Vec<T>, String>) -> Result<Vec<T>, Stop> {
        let answer = answer.map_err(Stop::Temporary)?;
        if answer.is_empty() {
            self.voids += 1;
            if self.voids > VOIDS {
                return permanent(format!("more than {VOIDS} lookups find nothing, the last one {name}"));
            }
        }
        Ok(answer)
    }

    fn name(&self, spec: Option<&String>, domain: &str) -> Result<String, Stop> {
        let Some(spec) = spec else { return Ok(domain.to_owned()) };
        let values = Values { sender: self.sending.sender, domain, ip: self.sending.ip, helo: self.sending.helo };
        macros::expand(spec, &values).map_or_else(|| permanent(format!("{spec} is no name")), Ok)
    }
}

/// Labels of 1 to 63 octets, at least two of them (section 4.3).
fn is_domain(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.len() <= 253 && name.contains('.') && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// Whether an address is in a network.
fn within(ip: IpAddr, network: IpAddr, length: u8) -> bool {
    ipnet::IpNet::new(network, length).is_ok_and(|network| network.contains(&ip))
}

#[cfg(test)]
mod tests;
