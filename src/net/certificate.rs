//! Certificates: a server's in words and by its fingerprint, the client's own from its files. Values but for those files.

use crate::config::Fingerprint;
use crate::secret::Secret;
use crate::sys;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509NameRef, X509Ref};
use std::net::IpAddr;
use std::path::Path;
use zeroize::Zeroizing;

/// The most names of one certificate that are shown.
const NAMES: usize = 20;

/// What a server's certificate says, cleaned for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The names it is for; the common name where it has no others.
    pub names: Vec<String>,
    /// They are the common name: it has no subjectAltName.
    pub by_subject: bool,
    /// Who issued it.
    pub issuer: String,
    /// First moment of its time.
    pub from: String,
    /// Last moment of its time.
    pub until: String,
    /// SHA-256 over its DER form, hex digits in pairs with colons.
    pub sha256: String,
    /// Last moment of its time in seconds since 1970.
    pub expires: i64,
}

impl Presented {
    /// Reads a certificate; `None` where OpenSSL cannot.
    #[must_use]
    pub fn read(certificate: &X509Ref) -> Option<Self> {
        let digest = certificate.digest(MessageDigest::sha256()).ok()?;
        let (names, by_subject) = names(certificate);
        Some(Self {
            names,
            by_subject,
            issuer: name(certificate.issuer_name(), &[Nid::COMMONNAME, Nid::ORGANIZATIONNAME]),
            from: certificate.not_before().to_string(),
            until: certificate.not_after().to_string(),
            sha256: digest.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":"),
            expires: expires(certificate)?,
        })
    }

    /// Whole days that it is still valid for at a time in seconds since 1970; negative where it is over.
    #[must_use]
    pub fn days_left(&self, now: i64) -> i64 {
        self.expires.saturating_sub(now).div_euclid(86_400)
    }

    /// One line: names, issuer, last day.
    #[must_use]
    pub fn line(&self) -> String {
        format!("for {}, issued by {}, until {}", self.names.join(", "), self.issuer, self.until)
    }
}

fn expires(certificate: &X509Ref) -> Option<i64> {
    let left = Asn1Time::from_unix(0).ok()?.diff(certificate.not_after()).ok()?;
    Some(i64::from(left.days) * 86_400 + i64::from(left.secs))
}

fn names(certificate: &X509Ref) -> (Vec<String>, bool) {
    let mut found = Vec::new();
    for one in certificate.subject_alt_names().iter().flatten().take(NAMES) {
        if let Some(name) = one.dnsname() {
            found.push(clean(name));
        } else if let Some(address) = one.ipaddress().and_then(address) {
            found.push(address.to_string());
        }
    }
    match found.is_empty() {
        true => (vec![name(certificate.subject_name(), &[Nid::COMMONNAME])], true),
        false => (found, false),
    }
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
pub fn has_fingerprint(certificate: &X509Ref, wanted: &Fingerprint) -> bool {
    let (method, wanted) = match wanted {
        Fingerprint::Sha256(octets) => (MessageDigest::sha256(), octets),
        Fingerprint::Sha1(octets) => (MessageDigest::sha1(), octets),
        Fingerprint::Md5(octets) => (MessageDigest::md5(), octets),
    };
    let digest = certificate.digest(method);
    digest.is_ok_and(|digest| digest.len() == wanted.len() && openssl::memcmp::eq(&digest, wanted))
}

/// What ties a login to the server of this certificate: tls-server-end-point (RFC 5929 section 4.1), its digest by the
/// hash of its signature, SHA-256 in place of MD5 and SHA-1. `None` where the signature has no such hash.
#[must_use]
pub fn end_point(certificate: &X509Ref) -> Option<Vec<u8>> {
    let hash = certificate.signature_algorithm().object().nid().signature_algorithms()?.digest;
    let method = match hash {
        Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
        other => MessageDigest::from_nid(other)?,
    };
    certificate.digest(method).ok().map(|digest| digest.to_vec())
}

/// The client's own certificate, its key, and the certificates between it and its authority.
pub struct Identity {
    /// The certificate.
    pub certificate: X509,
    /// Its private key.
    pub key: PKey<Private>,
    /// The rest of the chain.
    pub chain: Vec<X509>,
}

/// The client's certificate and key: PEM, the key in PKCS#8 or a traditional form; or one PKCS#12 file for both paths.
///
/// # Errors
/// A file cannot be read or does not hold it, the passphrase does not open it, or the two do not fit; the text names the
/// files.
pub fn identity(certificate: &Path, key: &Path, passphrase: Option<&Secret>) -> Result<Identity, String> {
    let read = |path: &Path| sys::files::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let (chain, _) = read(certificate).map_err(|error| format!("client certificate {error}"))?;
    let chain = Zeroizing::new(chain);
    let passphrase = passphrase.map_or("", Secret::expose);
    if certificate == key && memchr::memmem::find(&chain, b"-----BEGIN").is_none() {
        return pkcs12(&chain, passphrase)
            .map_err(|why| format!("client certificate {}: {why}", certificate.display()));
    }
    let (pem, _) = read(key).map_err(|error| format!("client key {error}"))?;
    let pem = Zeroizing::new(pem);
    // Even an empty passphrase is given, so that OpenSSL does not ask for one on the terminal.
    let private = PKey::private_key_from_pem_passphrase(&pem, passphrase.as_bytes());
    let private = private.map_err(|_| {
        let path = key.display();
        format!("client key {path}: no private key in PEM form, or client_password does not open it")
    })?;
    let mut all = X509::stack_from_pem(&chain).unwrap_or_default().into_iter();
    let own = all.next();
    let own = own.ok_or_else(|| format!("client certificate {}: no certificate in PEM form", certificate.display()))?;
    if !own.public_key().is_ok_and(|public| public.public_eq(&private)) {
        return Err(format!("client key {} does not belong to {}", key.display(), certificate.display()));
    }
    Ok(Identity { certificate: own, key: private, chain: all.collect() })
}

fn pkcs12(der: &[u8], passphrase: &str) -> Result<Identity, String> {
    let file = Pkcs12::from_der(der).map_err(|_| "neither PEM nor PKCS#12")?;
    let parts = file.parse2(passphrase).map_err(
        |_| "client_password does not open this PKCS#12 file, or it is encrypted in a way that OpenSSL no longer knows",
    )?;
    let (Some(certificate), Some(key)) = (parts.cert, parts.pkey) else {
        return Err("this PKCS#12 file does not hold a certificate and its key".into());
    };
    let chain = parts.ca.map(|chain| chain.into_iter().collect()).unwrap_or_default();
    Ok(Identity { certificate, key, chain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::symm::Cipher;
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
        let shown = &x509;
        let read = Presented::read(shown).unwrap();
        assert_eq!((read.days_left(0), read.days_left(86_401)), (1, -1));
        assert_eq!(end_point(shown).unwrap().len(), 32);
        assert_eq!(read.names, ["client\u{fffd}.test"], "cleaned; the common name where there are no others");
        assert!(read.line().ends_with("until Jan  2 00:00:00 1970 GMT") && read.sha256.len() == 95);
        let digest = |method| x509.digest(method).unwrap().to_vec();
        assert!(has_fingerprint(shown, &Fingerprint::Sha256(digest(MessageDigest::sha256()))));
        assert!(has_fingerprint(shown, &Fingerprint::Sha1(digest(MessageDigest::sha1()))));
        assert!(has_fingerprint(shown, &Fingerprint::Md5(digest(MessageDigest::md5()))));
        for other in [Vec::new(), digest(MessageDigest::sha1()), vec![0; 32]] {
            assert!(!has_fingerprint(shown, &Fingerprint::Sha256(other)));
        }
    }

    #[test]
    fn client_keys_in_every_form() {
        let key = key();
        let own = file(&certificate(&key).to_pem().unwrap());
        let (right, wrong) = (Secret::new("hunter2".into()), Secret::new("other".into()));
        let traditional = key.ec_key().unwrap().private_key_to_pem().unwrap();
        for pem in [key.private_key_to_pem_pkcs8().unwrap(), traditional] {
            assert!(identity(own.path(), file(&pem).path(), None).is_ok());
        }
        let locked = file(&key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"hunter2").unwrap());
        assert!(identity(own.path(), locked.path(), Some(&right)).is_ok());
        let error = |key: &Path, secret| identity(own.path(), key, secret).err().unwrap();
        assert!(error(locked.path(), Some(&wrong)).contains("client_password"));
        assert!(error(locked.path(), None).contains("client_password"));
        let other = file(&super::tests::key().private_key_to_pem_pkcs8().unwrap());
        assert!(error(other.path(), None).contains("does not belong to"));
        assert!(error(file(b"").path(), None).contains("no private key"));
        let absent = identity(Path::new("/nonexistent"), own.path(), None).err().unwrap();
        assert!(absent.starts_with("client certificate /nonexistent"));
    }

    #[test]
    fn one_file_for_certificate_and_key() {
        let key = key();
        let own = certificate(&key);
        let both = [own.to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap()].concat();
        let both = file(&both);
        assert!(identity(both.path(), both.path(), None).is_ok());
        let mut builder = Pkcs12::builder();
        let pkcs12 = builder.name("x").pkey(&key).cert(&own).build2("hunter2").unwrap().to_der().unwrap();
        let pkcs12 = file(&pkcs12);
        let open = |secret: &str| identity(pkcs12.path(), pkcs12.path(), Some(&Secret::new(secret.into())));
        assert!(open("hunter2").is_ok());
        let error = open("wrong").err().unwrap();
        assert!(error.contains("client_password") && !error.contains("wrong"), "{error}");
        let junk = file(b"junk");
        assert!(identity(junk.path(), junk.path(), None).err().unwrap().ends_with("neither PEM nor PKCS#12"));
    }
}
