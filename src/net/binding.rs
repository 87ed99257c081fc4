//! What ties a login to one TLS connection: channel bindings (RFC 5929, RFC 9266). Values of the connection; no IO.

use super::certificate;
use openssl::ssl::{SslRef, SslVersion};
use openssl::x509::X509Ref;

/// The label of tls-exporter, and how many octets it has (RFC 9266 section 2).
const EXPORTER: &str = "EXPORTER-Channel-Binding";
const EXPORTED: usize = 32;

/// A channel binding of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelBinding {
    /// Its registered name, as SCRAM says it.
    pub kind: &'static str,
    /// What both sides know alone.
    pub data: Vec<u8>,
}

/// The bindings of a connection, the one to be tried first at the begin. TLS 1.3 has tls-exporter as its usual one (RFC 9266
/// section 3). Before, that was tls-unique, which is safe only with an extension that OpenSSL's bindings do not tell of (RFC
/// 7627): tls-server-end-point is safe in any version.
#[must_use]
pub fn of(connection: &SslRef, certificate: Option<&X509Ref>) -> Vec<ChannelBinding> {
    let exporter = (connection.version2() == Some(SslVersion::TLS1_3)).then(|| exporter(connection)).flatten();
    let end_point = certificate.and_then(certificate::end_point);
    let end_point = end_point.map(|data| ChannelBinding { kind: "tls-server-end-point", data });
    exporter.into_iter().chain(end_point).collect()
}

fn exporter(connection: &SslRef) -> Option<ChannelBinding> {
    let mut data = vec![0; EXPORTED];
    connection.export_keying_material(&mut data, EXPORTER, Some(&[])).ok()?;
    Some(ChannelBinding { kind: "tls-exporter", data })
}
