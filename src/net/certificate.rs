//! Certificates: a server's in words and by its fingerprint, the client's own from its files. Values but for those files.

use crate::config::Fingerprint;
use crate::sys;
use native_tls::{Certificate, Identity};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509NameRef};
use std::net::IpAddr;
use std::path::Path;

/// The most names of one certificate that are shown.
const NAMES: usize = 20;

/// What a server's certificate says, cleaned for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The names it is for; the common name where it has no others.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// First moment of its time.
    pub from: String,
    /// Last moment of its time.
    pub until: String,
    /// SHA-256 over its DER form, hex digits in pairs with colons.
    pub sha256: String,
}

impl Presented {
    /// Reads a certificate; `None` where OpenSSL cannot.
    #[must_use]
    pub fn read(certificate: &Certificate) -> Option<Self> {
        let certificate = X509::from_der(&certificate.to_der().ok()?).ok()?;
        let digest = certificate.digest(MessageDigest::sha256()).ok()?;
        Some(Self {
            names: names(&certificate),
            issuer: name(certificate.issuer_name(), &[Nid::COMMONNAME, Nid::ORGANIZATIONNAME]),
            from: certificate.not_before().to_string(),
            until: certificate.not_after().to_string(),
            sha256: digest.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":"),
        })
    }

    /// One line: names, issuer, last day.
    #[must_use]
    pub fn line(&self) -> String {
        format!("for {}, issued by {}, until {}", self.names.join(", "), self.issuer, self.until)
    }
}

fn names(certificate: &X509) -> Vec<String> {
    let mut found = Vec::new();
    for one in certificate.subject_alt_names().iter().flatten().take(NAMES) {
        if let Some(name) = one.dnsname() {
            found.push(clean(name));
        } else if let Some(address) = one.ipaddress().and_then(address) {
            found.push(address.to_string());
        }
    }
    if found.is_empty() {
        found.push(name(certificate.subject_name(), &[Nid::COMMONNAME]));
    }
    found
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// The first of the entries that is there.
fn name(name: &X509NameRef, entries: &[Nid]) -> String {
    let mut all = entries.iter().flat_map(|&nid| name.entries_by_nid(nid));
    all.find_map(|entry| entry.data().to_string().ok()).map_or("nobody".into(), |text| clean(&text))
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect()
}

/// Whether a certificate has the fingerprint. Compared in constant time.
#[must_use]
pub fn has_fingerprint(certificate: &Certificate, wanted: &Fingerprint) -> bool {
    let (method, wanted) = match wanted {
        Fingerprint::Sha256(octets) => (MessageDigest::sha256(), octets),
        Fingerprint::Sha1(octets) => (MessageDigest::sha1(), octets),
        Fingerprint::Md5(octets) => (MessageDigest::md5(), octets),
    };
    let digest = certificate.to_der().ok().and_then(|der| openssl::hash::hash(method, &der).ok());
    digest.is_some_and(|digest| digest.len() == wanted.len() && openssl::memcmp::eq(&digest, wanted))
}

/// The client's certificate, with its chain, and its key: PKCS#8 or the traditional forms, both PEM, without a
/// passphrase.
///
/// # Errors
/// A file cannot be read or does not hold it, or the two do not fit; the text names the files.
pub fn identity(certificate: &Path, key: &Path) -> Result<Identity, String> {
    let read = |path: &Path| sys::files::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let (chain, _) = read(certificate).map_err(|error| format!("client certificate {error}"))?;
    let (pem, _) = read(key).map_err(|error| format!("client key {error}"))?;
    let pem = zeroize::Zeroizing::new(pem);
    // An empty passphrase, so that OpenSSL does not ask for one on the terminal.
    let private = PKey::private_key_from_pem_passphrase(&pem, b"")
        .map_err(|_| format!("client key {}: no private key in PEM form without a passphrase", key.display()))?;
    let own = X509::stack_from_pem(&chain).ok().and_then(|all| all.into_iter().next());
    let own = own.ok_or_else(|| format!("client certificate {}: no certificate in PEM form", certificate.display()))?;
    if !own.public_key().is_ok_and(|public| public.public_eq(&private)) {
        return Err(format!("client key {} does not belong to {}", key.display(), certificate.display()));
    }
    let pkcs8 = private.private_key_to_pem_pkcs8().map(zeroize::Zeroizing::new);
    let pkcs8 = pkcs8.map_err(|_| format!("client key {} cannot be used", key.display()))?;
    Identity::from_pkcs8(&chain, &pkcs8)
        .map_err(|error| format!("client certificate {}: {error}", certificate.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::pkey::Private;
    use openssl::x509::X509Name;
    use std::io::Write;

    fn key() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    fn file(octets: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(octets).unwrap();
        file
    }

    fn certificate(key: &PKey<Private>) -> X509 {
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "client\u{7}.test").unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(86_400).unwrap()).unwrap();
        builder.sign(key, MessageDigest::sha256()).unwrap();
        builder.build()
    }

    #[test]
    fn a_certificate_in_words_and_by_fingerprint() {
        let x509 = certificate(&key());
        let shown = Certificate::from_der(&x509.to_der().unwrap()).unwrap();
        let read = Presented::read(&shown).unwrap();
        assert_eq!(read.names, ["client\u{fffd}.test"], "cleaned; the common name where there are no others");
        assert!(read.line().ends_with("until Jan  2 00:00:00 1970 GMT") && read.sha256.len() == 95);
        let digest = |method| x509.digest(method).unwrap().to_vec();
        assert!(has_fingerprint(&shown, &Fingerprint::Sha256(digest(MessageDigest::sha256()))));
        assert!(has_fingerprint(&shown, &Fingerprint::Sha1(digest(MessageDigest::sha1()))));
        assert!(has_fingerprint(&shown, &Fingerprint::Md5(digest(MessageDigest::md5()))));
        for other in [Vec::new(), digest(MessageDigest::sha1()), vec![0; 32]] {
            assert!(!has_fingerprint(&shown, &Fingerprint::Sha256(other)));
        }
    }

    #[test]
    fn client_keys_in_either_form() {
        let key = key();
        let own = file(&certificate(&key).to_pem().unwrap());
        let traditional = key.ec_key().unwrap().private_key_to_pem().unwrap();
        for pem in [key.private_key_to_pem_pkcs8().unwrap(), traditional] {
            assert!(identity(own.path(), file(&pem).path()).is_ok());
        }
        let error = |key: &[u8]| identity(own.path(), file(key).path()).err().unwrap();
        let other = super::tests::key().private_key_to_pem_pkcs8().unwrap();
        assert!(error(&other).contains("does not belong to"));
        assert!(error(b"").contains("no private key"));
        assert!(
            identity(Path::new("/nonexistent"), own.path())
                .err()
                .unwrap()
                .starts_with("client certificate /nonexistent")
        );
    }
}
