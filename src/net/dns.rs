//! Records by the resolver library, for `test --dns` and `check --dns`: blocking, with a time limit. Nothing else asks
//! here, so that its runtime exists in no other command.

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Until a server answers, and how often it is asked.
const ANSWER: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 2;
/// Until one lookup is over, whatever the servers do.
const LIMIT: Duration = Duration::from_secs(10);
/// The most records of a name that are looked at.
const RECORDS: usize = 100;

/// A resolver.
pub struct Dns {
    runtime: Runtime,
    resolver: TokioResolver,
}

impl Dns {
    /// That server, or those of the system.
    ///
    /// # Errors
    /// The system's configuration cannot be read: why, one line.
    pub fn new(server: Option<SocketAddr>) -> Result<Self, String> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("the resolver cannot be set up: {error}"))?;
        let builder = match server {
            None => Resolver::builder_tokio().map_err(|error| format!("/etc/resolv.conf: {error}"))?,
            Some(server) => Resolver::builder_with_config(only(server), TokioRuntimeProvider::default()),
        };
        let mut builder = builder;
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (ANSWER, ATTEMPTS);
        // What others see counts, not what this machine's /etc/hosts says.
        options.use_hosts_file = ResolveHosts::Never;
        let resolver = {
            let _inside = runtime.enter();
            builder.build().map_err(|error| format!("the resolver cannot be set up: {error}"))?
        };
        Ok(Self { runtime, resolver })
    }

    /// The TXT records of a name, each with its strings joined (RFC 7208 section 3.3); none where it has none.
    ///
    /// # Errors
    /// No answer, or one that makes no sense: why, one line.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let texts = self.records(name, RecordType::TXT)?.into_iter().filter_map(|data| match data {
            RData::TXT(txt) => Some(txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>()),
            _ => None,
        });
        Ok(texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
    }

    /// The mail exchangers of a name, the preferred one first, without the last dot; none where it has none. An empty name
    /// says that the domain takes no mail (RFC 7505).
    ///
    /// # Errors
    /// As `texts`.
    pub fn exchangers(&self, name: &str) -> Result<Vec<String>, String> {
        let of = |data| match data {
            RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii().trim_end_matches('.').to_owned())),
            _ => None,
        };
        let mut all: Vec<(u16, String)> = self.records(name, RecordType::MX)?.into_iter().filter_map(of).collect();
        all.sort();
        Ok(all.into_iter().map(|(_, name)| name).collect())
    }

    /// The addresses of a name, of both families; none where it has none.
    ///
    /// # Errors
    /// As `texts`.
    pub fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        Ok([self.addresses_of(name, false)?, self.addresses_of(name, true)?].concat())
    }

    /// The addresses of a name, of one family; none where it has none.
    ///
    /// # Errors
    /// As `texts`.
    pub fn addresses_of(&self, name: &str, v6: bool) -> Result<Vec<IpAddr>, String> {
        let kind = if v6 { RecordType::AAAA } else { RecordType::A };
        let of = |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        Ok(self.records(name, kind)?.into_iter().filter_map(of).collect())
    }

    /// The names of an address, with the last dot.
    ///
    /// # Errors
    /// As `texts`.
    pub fn names(&self, address: IpAddr) -> Result<Vec<String>, String> {
        let of = |data| match data {
            RData::PTR(name) => Some(name.0.to_ascii()),
            _ => None,
        };
        let name = Name::from(address).to_ascii();
        Ok(self.records(&name, RecordType::PTR)?.into_iter().filter_map(of).collect())
    }

    fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, String> {
        // The name is whole: no search list.
        let whole = format!("{}.", name.trim_end_matches('.'));
        let asked = async { tokio::time::timeout(LIMIT, self.resolver.lookup(whole, kind)).await };
        match self.runtime.block_on(asked) {
            Err(_) => Err(format!("{name}: no answer within {} s", LIMIT.as_secs())),
            Ok(Err(error)) if error.is_no_records_found() => Ok(Vec::new()),
            Ok(Err(error)) => Err(format!("{name}: {error}")),
            Ok(Ok(answer)) => Ok(answer.answers().iter().take(RECORDS).map(|record| record.data.clone()).collect()),
        }
    }
}

fn only(server: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut one| {
        one.port = server.port();
        one
    });
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}
