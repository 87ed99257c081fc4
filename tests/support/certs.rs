//! A certificate authority and server certificates, good and bad in every way that a client has to see.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Name, X509NameBuilder};

/// What is right or wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For 127.0.0.1, localhost and smtp.example.com.
    Valid,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// For another name.
    WrongName,
    /// By itself rather than by the authority.
    SelfSigned,
    /// For clients alone (extended key usage).
    ClientOnly,
    /// The common name is localhost, and there is no subjectAltName.
    CommonName,
    /// As `Valid`, with an RSA key.
    Rsa,
    /// By an authority that nobody trusts, of the same name.
    UnknownAuthority,
}

/// An authority.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: X509,
    /// Its key.
    pub key: PKey<Private>,
}

impl Authority {
    /// A new one, valid from yesterday for two months, so that nothing is said of a near end.
    pub fn new() -> Self {
        let key = new_key();
        let name = name("postrider test authority");
        let certificate = certificate(&name, &key, (&name, &key), (-86_400, 60 * 86_400), |builder| {
            builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
            builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        });
        Self { certificate, key }
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// A server certificate of that kind.
    pub fn issue(&self, kind: Kind) -> Identity {
        if kind == Kind::UnknownAuthority {
            return Self::new().issue(Kind::Valid);
        }
        let key = match kind {
            Kind::Rsa => PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap(),
            _ => new_key(),
        };
        let subject = name("localhost");
        let issuer_name = self.certificate.subject_name().to_owned().unwrap();
        let issuer = if kind == Kind::SelfSigned { (&*subject, &key) } else { (&*issuer_name, &self.key) };
        let day = 86_400;
        let validity = match kind {
            Kind::Expired => (-2 * day, -day),
            Kind::NotYetValid => (day, 2 * day),
            _ => (-day, 60 * day),
        };
        let certificate = certificate(&subject, &key, issuer, validity, |builder| {
            let mut usage = ExtendedKeyUsage::new();
            if kind == Kind::ClientOnly {
                usage.client_auth()
            } else {
                usage.server_auth()
            };
            builder.append_extension(usage.build().unwrap()).unwrap();
            if kind == Kind::CommonName {
                return;
            }
            let mut names = SubjectAlternativeName::new();
            match kind {
                Kind::WrongName => names.dns("other.example.com"),
                _ => names.ip("127.0.0.1").dns("localhost").dns("smtp.example.com"),
            };
            let names = names.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
            builder.append_extension(names).unwrap();
        });
        Identity { certificate, key }
    }
}

impl Identity {
    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// The key in PEM (PKCS #8).
    pub fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    /// The SHA-256 fingerprint, as `AB:CD:...`.
    pub fn fingerprint(&self) -> String {
        let digest = self.certificate.digest(MessageDigest::sha256()).unwrap();
        digest.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn name(common: &str) -> X509Name {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, common).unwrap();
    name.build()
}

fn certificate(
    subject: &openssl::x509::X509NameRef,
    key: &PKey<Private>,
    issuer: (&openssl::x509::X509NameRef, &PKey<Private>),
    validity: (i64, i64),
    extend: impl FnOnce(&mut openssl::x509::X509Builder),
) -> X509 {
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(127, MsbOption::ONE, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer.0).unwrap();
    builder.set_pubkey(key).unwrap();
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(now + validity.0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + validity.1).unwrap()).unwrap();
    extend(&mut builder);
    builder.sign(issuer.1, MessageDigest::sha256()).unwrap();
    builder.build()
}
