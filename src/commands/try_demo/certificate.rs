//! A certificate authority and a server certificate for the trial, made on the spot and never written but for the
//! authority's certificate. Valid for an hour, for `127.0.0.1` and `localhost`.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// What a TLS server needs, and what its client must trust.
pub(super) struct Certificate {
    /// The authority's certificate in PEM.
    pub authority: Vec<u8>,
    /// The server's certificate.
    pub server: X509,
    /// Its key.
    pub key: PKey<Private>,
}

/// Makes a new authority and a server certificate of it.
pub(super) fn make() -> Result<Certificate, ErrorStack> {
    let (authority_key, key) = (new_key()?, new_key()?);
    let authority_name = name("postrider try")?;
    let mut authority = begin(&authority_name, &authority_name, &authority_key)?;
    authority.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    authority.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
    authority.sign(&authority_key, MessageDigest::sha256())?;
    let authority = authority.build();

    let mut server = begin(&name("localhost")?, &authority_name, &key)?;
    server.append_extension(BasicConstraints::new().critical().build()?)?;
    server.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let names = SubjectAlternativeName::new()
        .ip("127.0.0.1")
        .dns("localhost")
        .build(&server.x509v3_context(Some(&authority), None))?;
    server.append_extension(names)?;
    server.sign(&authority_key, MessageDigest::sha256())?;
    Ok(Certificate { authority: authority.to_pem()?, server: server.build(), key })
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)
}

fn name(common: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, common)?;
    Ok(name.build())
}

fn begin(subject: &X509Name, issuer: &X509Name, key: &PKey<Private>) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    // A day before, for clocks that are set while the trial runs; a month, so that nothing is said of a near end.
    let now = crate::sys::clock::now().timestamp();
    let (start, end) = (Asn1Time::from_unix(now - 86_400)?, Asn1Time::from_unix(now + 30 * 86_400)?);
    builder.set_not_before(&start)?;
    builder.set_not_after(&end)?;
    Ok(builder)
}
