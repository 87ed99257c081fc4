//! Random octets from the kernel, for message identifiers and challenges.

/// Sixteen random octets as 32 lower-case hex digits.
///
/// # Errors
/// Where the kernel has no random source (then the clock and process id must do; see the caller).
pub fn token() -> std::io::Result<String> {
    let octets: [u8; 16] = octets()?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// A number to spread things in time with; without a random source any will do.
#[must_use]
pub fn number() -> u32 {
    token().ok().and_then(|digits| u32::from_str_radix(digits.get(..8)?, 16).ok()).unwrap_or_default()
}

/// A nonce for a login: 24 random octets in base64, 32 characters without a comma (RFC 5802 section 5.1).
///
/// # Errors
/// Where there is no random source: then there is no login.
pub fn nonce() -> std::io::Result<String> {
    let octets: [u8; 24] = octets()?;
    Ok(openssl::base64::encode_block(&octets))
}

/// The salt of a password's hash.
///
/// # Errors
/// Where there is no random source.
pub fn salt() -> std::io::Result<[u8; 16]> {
    octets()
}

/// Random octets from the kernel itself: OpenSSL would first set up all of its library, milliseconds that a delivery
/// without TLS does not need.
fn octets<const COUNT: usize>() -> std::io::Result<[u8; COUNT]> {
    let mut octets = [0; COUNT];
    let mut filled = 0;
    while filled < COUNT {
        match rustix::rand::getrandom(&mut octets[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert!(one.len() == 32 && one != other && one.bytes().all(|octet| octet.is_ascii_hexdigit()));
        assert_eq!(nonce().unwrap().len(), 32);
    }
}
