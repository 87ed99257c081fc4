//! Random octets from the kernel, for message identifiers and challenges.

use rustix::rand::{GetRandomFlags, getrandom};

/// Sixteen random octets as 32 lower-case hex digits.
///
/// # Errors
/// Where the kernel has no random source (then the clock and process id must do; see the caller).
pub fn token() -> std::io::Result<String> {
    let mut octets = [0u8; 16];
    // So few octets come in one piece or not at all.
    match getrandom(&mut octets, GetRandomFlags::empty())? {
        16 => Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect()),
        _ => Err(std::io::Error::other("no random octets")),
    }
}

/// A nonce for a login: 24 random octets in base64, 32 characters without a comma (RFC 5802 section 5.1).
///
/// # Errors
/// Where there is no random source: then there is no login.
pub fn nonce() -> std::io::Result<String> {
    let mut octets = [0u8; 24];
    openssl::rand::rand_bytes(&mut octets).map_err(std::io::Error::other)?;
    Ok(openssl::base64::encode_block(&octets))
}
