//! Whether mail for the domains of the listeners comes here (`check --dns`): each domain's mail exchangers, or its own
//! addresses where it has none (RFC 5321 section 5.1), beside the addresses that are listened at.
//!
//! Records and the machine's own addresses come from functions, so that everything here but `look` is values.

use super::Scene;
use super::finding::Finding;
use crate::config::{ListenAddress, Listener, Purpose};
use crate::net::connect;
use crate::net::dns::Dns;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

const AREA: &str = "dns";
/// The port that mail for a domain comes to.
const SMTP: u16 = 25;
/// The most exchangers of a domain that are looked at.
const EXCHANGERS: usize = 20;

/// What DNS and the machine say.
struct World<'w> {
    /// The mail exchangers of a domain, the preferred one first; an empty name says that it takes no mail.
    exchangers: &'w dyn Fn(&str) -> Result<Vec<String>, String>,
    /// The addresses of a name.
    addresses: &'w dyn Fn(&str) -> Result<Vec<IpAddr>, String>,
    /// Whether an address is one of this machine.
    own: &'w dyn Fn(IpAddr) -> bool,
    /// The machine's name, for what to write.
    host: &'w str,
}

/// Asks about every domain that a listener takes mail in for.
pub(super) fn look(scene: &Scene<'_>, resolver: Option<SocketAddr>, findings: &mut Vec<Finding>) {
    let incoming = scene.config.listen.iter().filter(|listener| listener.purpose == Purpose::Incoming);
    let asked: Vec<(&Listener, BTreeSet<String>)> = incoming.map(|listener| (listener, domains(listener))).collect();
    if asked.is_empty() {
        return findings
            .push(Finding::ok(AREA, "no [[listen]] takes mail for this machine in (purpose = \"incoming\")"));
    }
    let dns = match Dns::new(resolver) {
        Ok(dns) => dns,
        Err(what) => return findings.push(Finding::warning(AREA, what).fix("--resolver 192.0.2.1:53")),
    };
    let world = World {
        exchangers: &|name| dns.exchangers(name),
        addresses: &|name| dns.addresses(name),
        own: &connect::is_own,
        host: &scene.around.hostname,
    };
    for (listener, domains) in asked {
        findings.extend(domains.iter().map(|domain| world.of(listener, domain).at(&listener.place)));
    }
}

/// The domains of a listener as DNS has them; what is no domain name is a fault of the configuration that it reports.
fn domains(listener: &Listener) -> BTreeSet<String> {
    let addresses = listener.recipients.iter().map(|address| address.domain());
    let all = listener.domains.iter().map(String::as_str).chain(addresses);
    all.filter(|domain| !domain.starts_with('[')).filter_map(|domain| idna::domain_to_ascii(domain).ok()).collect()
}

/// How near an address is to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leads {
    /// To another machine.
    Away,
    /// To this machine, but the listener has other addresses.
    Here,
    /// To the listener, which has another port than senders come to.
    Port(u16),
    /// To the listener.
    There,
}

impl World<'_> {
    fn of(&self, listener: &Listener, domain: &str) -> Finding {
        let host = listener.hostname.as_deref().unwrap_or(self.host);
        let add = format!("add the DNS record \"{domain}. MX 10 {host}.\"");
        let names = match (self.exchangers)(domain) {
            Err(why) => {
                return Finding::warning(AREA, why).fix("try again, or ask another server: --resolver 192.0.2.1:53");
            }
            Ok(names) => names,
        };
        if names.iter().all(String::is_empty) && !names.is_empty() {
            let what = format!("{domain} says in DNS that it takes no mail (MX 0 .)");
            return Finding::error(AREA, what).fix(format!("remove that record, and {add}"));
        }
        let record = if names.is_empty() { "its own address, as it has no MX" } else { "its MX" };
        let own = [domain.to_owned()];
        let names = if names.is_empty() { &own[..] } else { &names[..] };
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|name| !name.is_empty()).take(EXCHANGERS) {
            match (self.addresses)(name) {
                Ok(addresses) => found.extend(addresses.into_iter().map(|address| (name, address))),
                Err(why) => faults.push(why),
            }
        }
        let best = found.iter().map(|(name, address)| (self.leads(listener, *address), *name, *address));
        // Of those that lead as near, the preferred one.
        let Some((leads, name, address)) = best.rev().max_by_key(|(leads, ..)| *leads) else {
            return match faults.pop() {
                Some(why) => {
                    Finding::warning(AREA, why).fix("try again, or ask another server: --resolver 192.0.2.1:53")
                }
                None if record == "its MX" => {
                    let what = format!("the MX of {domain}, {}, has no address", names.join(", "));
                    Finding::error(AREA, what).fix(format!("add an A or AAAA record for {}", names[0]))
                }
                None => Finding::error(AREA, format!("{domain} has neither MX nor address: nobody can write to it"))
                    .fix(add),
            };
        };
        let way = match record {
            "its MX" => format!("mail for {domain} goes to {name} ({address}), {record}"),
            _ => format!("mail for {domain} goes to {address}, {record}"),
        };
        said(listener, leads, &way, &add)
    }

    fn leads(&self, listener: &Listener, address: IpAddr) -> Leads {
        let here = (self.own)(address);
        let to = |place: &ListenAddress| match place {
            ListenAddress::Ip(at) => {
                let same = at.ip().to_canonical() == address.to_canonical();
                let any = at.ip().is_unspecified() && at.is_ipv4() == address.is_ipv4() && here;
                match at.port() {
                    _ if !same && !any => None,
                    SMTP => Some(Leads::There),
                    port => Some(Leads::Port(port)),
                }
            }
            // Where that listens is in the unit of the service manager.
            ListenAddress::Passed(_) => here.then_some(Leads::There),
            ListenAddress::Unix(_) => None,
        };
        let nearest = listener.addresses.iter().filter_map(to).max();
        nearest.unwrap_or(if here { Leads::Here } else { Leads::Away })
    }
}

fn said(listener: &Listener, leads: Leads, way: &str, add: &str) -> Finding {
    match leads {
        Leads::There => Finding::ok(AREA, format!("{way}, where the listener is")),
        Leads::Port(port) => {
            let what = format!("{way}, port {SMTP}; the listener there has port {port}");
            Finding::warning(AREA, what).fix(format!(
                "listen at port {SMTP}, or have the firewall lead port {SMTP} to {port} (README: Ports below 1024)"
            ))
        }
        Leads::Here => {
            let at: Vec<String> = listener.addresses.iter().map(ToString::to_string).collect();
            let what = format!("{way}: an address of this machine, but the listener is at {}", at.join(", "));
            Finding::warning(AREA, what).fix("address = [\"0.0.0.0:25\", \"[::]:25\"]")
        }
        Leads::Away => {
            let what = format!("{way}, which is no address of this machine");
            Finding::warning(AREA, what)
                .fix(format!("{add}; where another machine passes it on (NAT, a relay before this one) all is well"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use crate::config::parse;

    fn exchangers(name: &str) -> Result<Vec<String>, String> {
        Ok(match name {
            "good.test" => vec!["mx1.test".to_owned(), "mx2.test".into()],
            "backup.test" => vec!["far.test".to_owned(), "mx2.test".into()],
            "null.test" => vec![String::new()],
            "lost.test" => vec!["nowhere.test".to_owned()],
            "six.test" => vec!["six.mx.test".to_owned()],
            "far.test" => vec!["far.test".to_owned()],
            "broken.test" => return Err("broken.test: no answer".into()),
            _ => Vec::new(),
        })
    }

    fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
        let all: &[&str] = match name {
            "mx1.test" => &["192.0.2.1"],
            "mx2.test" => &["192.0.2.2"],
            "six.mx.test" => &["2001:db8::1"],
            "far.test" | "bare-far.test" => &["198.51.100.1"],
            "bare.test" => &["192.0.2.1"],
            _ => &[],
        };
        Ok(all.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn of(address: &str, domain: &str) -> (Level, String) {
        let toml = format!(
            "[[listen]]\naddress = {address}\npurpose = \"incoming\"\ndomains = [\"{domain}\"]\nhostname = \"mx.test\"\n"
        );
        let listener = parse::listeners(&toml).unwrap().remove(0);
        let own = |address: IpAddr| ["192.0.2.1", "192.0.2.2", "2001:db8::1"].contains(&address.to_string().as_str());
        let world = World { exchangers: &exchangers, addresses: &addresses, own: &own, host: "host.test" };
        let finding = world.of(&listener, domain);
        (finding.level, finding.line())
    }

    #[test]
    fn mail_comes_here() {
        for (address, domain) in [
            ("\"0.0.0.0:25\"", "good.test"),
            ("\"192.0.2.2:25\"", "good.test"),
            ("\"[::]:25\"", "six.test"),
            ("\"0.0.0.0:25\"", "backup.test"),
            ("\"0.0.0.0:25\"", "bare.test"),
            ("\"fd:smtp\"", "good.test"),
        ] {
            let (level, line) = of(address, domain);
            assert_eq!(level, Level::Ok, "{address} {domain}: {line}");
        }
        assert_eq!(
            of("\"0.0.0.0:25\"", "good.test").1,
            "ok: mail for good.test goes to mx1.test (192.0.2.1), its MX, where the listener is"
        );
    }

    #[test]
    fn mail_goes_elsewhere() {
        let add = |domain: &str| format!("add the DNS record \"{domain}. MX 10 mx.test.\"");
        for (address, domain, level, words) in [
            ("\"0.0.0.0:25\"", "far.test", Level::Warning, "no address of this machine".to_owned()),
            ("\"0.0.0.0:25\"", "bare-far.test", Level::Warning, add("bare-far.test")),
            ("\"127.0.0.1:25\"", "good.test", Level::Warning, "but the listener is at 127.0.0.1:25; mend it".into()),
            ("\"0.0.0.0:2525\"", "good.test", Level::Warning, "port 25; the listener there has port 2525".into()),
            ("\"0.0.0.0:25\"", "six.test", Level::Warning, "but the listener is at 0.0.0.0:25".into()),
            ("\"0.0.0.0:25\"", "null.test", Level::Error, "takes no mail (MX 0 .)".into()),
            ("\"0.0.0.0:25\"", "lost.test", Level::Error, "nowhere.test, has no address".into()),
            ("\"0.0.0.0:25\"", "none.test", Level::Error, add("none.test")),
            ("\"0.0.0.0:25\"", "broken.test", Level::Warning, "broken.test: no answer".into()),
        ] {
            let (found, line) = of(address, domain);
            assert!(found == level && line.contains(&words), "{address} {domain}: {line}");
        }
    }
}
