//! TXT records by the resolver library, for `test --dns`: blocking, with a time limit. Nothing else asks here, so that its
//! runtime exists in no other command.

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{Resolver, TokioResolver};
use std::net::SocketAddr;
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
pub struct Txt {
    runtime: Runtime,
    resolver: TokioResolver,
}

impl Txt {
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
    pub fn records(&self, name: &str) -> Result<Vec<String>, String> {
        // The name is whole: no search list.
        let whole = format!("{}.", name.trim_end_matches('.'));
        let asked = async { tokio::time::timeout(LIMIT, self.resolver.txt_lookup(whole)).await };
        let answer = match self.runtime.block_on(asked) {
            Err(_) => return Err(format!("{name}: no answer within {} s", LIMIT.as_secs())),
            Ok(Err(error)) if error.is_no_records_found() => return Ok(Vec::new()),
            Ok(Err(error)) => return Err(format!("{name}: {error}")),
            Ok(Ok(answer)) => answer,
        };
        let texts = answer.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>()),
            _ => None,
        });
        Ok(texts.take(RECORDS).map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
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
