//! What the TLS keys of a sender and of an msmtprc have in common: fingerprints and time-honoured AUTH names.
//!
//! Values only.

use super::model::{AuthChoice, Fingerprint};

/// The AUTH mechanisms that may be named, by SASL name (IANA SASL registry).
const MECHANISMS: [&str; 10] = [
    "PLAIN",
    "LOGIN",
    "XOAUTH2",
    "OAUTHBEARER",
    "CRAM-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "EXTERNAL",
];

/// Mechanisms that exist but are not offered.
const DROPPED: [&str; 3] = ["NTLM", "GSSAPI", "DIGEST-MD5"];

/// A mechanism by its name in any case.
///
/// # Errors
/// For people, without the text.
pub(super) fn mechanism(name: &str) -> Result<AuthChoice, String> {
    let upper = name.to_ascii_uppercase();
    if MECHANISMS.contains(&upper.as_str()) {
        return Ok(AuthChoice::Only(upper));
    }
    if let Some(dropped) = DROPPED.iter().find(|known| **known == upper) {
        return Err(format!(
            "{} is not supported; use plain, login or a scram method over TLS",
            dropped.to_ascii_lowercase()
        ));
    }
    Err(format!("unknown method; one of {}", MECHANISMS.join(", ").to_ascii_lowercase()))
}

/// A digest in hex, with or without colons: 32 octets are SHA-256, 20 SHA-1, 16 MD5.
///
/// # Errors
/// For people, without the text.
pub(super) fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    let bad = || "a fingerprint is 64 (SHA-256), 40 (SHA-1) or 32 (MD5) hex digits, with or without colons".to_owned();
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    let octets: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    match digits.len() {
        64 => Ok(Fingerprint::Sha256(octets)),
        40 => Ok(Fingerprint::Sha1(octets)),
        32 => Ok(Fingerprint::Md5(octets)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_digests() {
        assert_eq!(mechanism("xoauth2"), Ok(AuthChoice::Only("XOAUTH2".into())));
        assert!(mechanism("ntlm").unwrap_err().contains("not supported"));
        assert!(mechanism("hunter2").is_err_and(|error| !error.contains("hunter2")));
        assert_eq!(fingerprint(&"aB:".repeat(20)), Ok(Fingerprint::Sha1(vec![0xab; 20])));
        assert!(matches!(fingerprint(&"0".repeat(64)), Ok(Fingerprint::Sha256(_))));
        assert!(matches!(fingerprint(&"0".repeat(32)), Ok(Fingerprint::Md5(_))));
        for bad in ["", "zz", "é", &"0".repeat(63)] {
            assert!(fingerprint(bad).is_err());
        }
    }
}
