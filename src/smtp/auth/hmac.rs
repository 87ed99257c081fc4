//! HMAC (RFC 2104) over OpenSSL, for the mechanisms that answer a challenge.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use zeroize::Zeroizing;

/// The HMAC of `data`.
///
/// # Errors
/// OpenSSL does not offer the digest (MD5 on a host that forbids it), or the key is empty; in words.
pub fn hmac(digest: MessageDigest, key: &[u8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let run = || {
        let key = PKey::hmac(key)?;
        let mut signer = Signer::new(digest, &key)?;
        signer.sign_oneshot_to_vec(data)
    };
    run().map(Zeroizing::new).map_err(|_| "OpenSSL on this host does not make the digest that this login needs".into())
}
