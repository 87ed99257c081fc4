//! Hashes of passwords that clients log in with: Argon2id (RFC 9106) in the PHC string form.
//!
//! Made once by `postrider passwd`, checked at every login. A check costs time and memory on purpose; whoever calls it
//! sees that not many run at once.

use super::WorkMemory;
use crate::secret::Secret;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use zeroize::Zeroizing;

/// The most memory that one check may take, KiB: a hash says itself how much it needs.
const MEMORY: u32 = 256 << 10;
/// The most rounds of one check.
const ROUNDS: u32 = 100;
/// Octets of a password; more is an attack on time.
const LONGEST: usize = 1024;

/// The hash of a password with a salt of random octets, by the parameters that Argon2's authors recommend (19 MiB, two
/// rounds).
///
/// # Errors
/// An empty password or one of more than 1024 octets.
pub fn make(password: &Secret, salt: &[u8; 16]) -> Result<String, &'static str> {
    let octets = password.expose().as_bytes();
    if octets.is_empty() || octets.len() > LONGEST {
        return Err("a password has 1 to 1024 octets");
    }
    let made: Result<PasswordHash, _> = Argon2::default().hash_password_with_salt(octets, salt);
    made.map(|hash| hash.to_string()).map_err(|_| "the hash cannot be made")
}

/// Whether a text is a hash that a password can be checked against, at a bearable price.
///
/// # Errors
/// For people, without the text.
pub fn check(hash: &Secret) -> Result<(), &'static str> {
    const FORM: &str = "no Argon2 hash ($argon2id$v=19$m=...,t=...,p=...$salt$hash); `postrider passwd` prints one";
    let hash = PasswordHash::new(hash.expose()).map_err(|_| FORM)?;
    let params = Params::try_from(&hash).map_err(|_| FORM)?;
    let known = matches!(hash.algorithm.as_str(), "argon2id" | "argon2i" | "argon2d");
    match hash.salt.is_some() && hash.hash.is_some() && known {
        false => Err(FORM),
        true if params.m_cost() > MEMORY || params.t_cost() > ROUNDS => {
            Err("its check would take more than 256 MiB or 100 rounds")
        }
        true => Ok(()),
    }
}

/// How much memory the check of a hash takes, KiB; for what is no hash, the least there is.
#[must_use]
pub fn kib(hash: &Secret) -> usize {
    let params = PasswordHash::new(hash.expose()).ok().and_then(|hash| Params::try_from(&hash).ok());
    params.map_or(Params::MIN_M_COST as usize, |params| params.block_count())
}

/// Whether a password has this hash, worked out in that memory. Compared in constant time.
#[must_use]
pub fn fits(password: &Secret, hash: &Secret, memory: &mut WorkMemory) -> bool {
    let octets = password.expose().as_bytes();
    octets.len() <= LONGEST && verify(octets, hash, memory).unwrap_or(false)
}

fn verify(password: &[u8], hash: &Secret, memory: &mut WorkMemory) -> Option<bool> {
    let hash = PasswordHash::new(hash.expose()).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let (salt, wanted) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let mut found = Zeroizing::new(vec![0; wanted.as_ref().len()]);
    let argon2 = Argon2::new(algorithm, version, Params::try_from(&hash).ok()?);
    argon2.hash_password_into_with_memory(password, salt.as_ref(), &mut found, memory.as_blocks()).ok()?;
    Some(openssl::memcmp::eq(&found, wanted.as_ref()))
}

/// Whether two passwords are the same. Compared in constant time.
#[must_use]
pub fn same(one: &Secret, other: &Secret) -> bool {
    let (one, other) = (one.expose().as_bytes(), other.expose().as_bytes());
    one.len() == other.len() && openssl::memcmp::eq(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(password: &Secret, hash: &Secret) -> bool {
        super::fits(password, hash, &mut WorkMemory::new(kib(hash)).unwrap())
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_password_fits_its_own_hash_alone() {
        let hash = make(&secret("tanstaaf"), b"0123456789abcdef").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !hash.contains("tanstaaf"), "{hash}");
        let hash = secret(&hash);
        assert_eq!(check(&hash), Ok(()));
        assert!(fits(&secret("tanstaaf"), &hash));
        assert!(!fits(&secret("tanstaafl"), &hash) && !fits(&secret(""), &hash));
        assert!(make(&secret(""), b"0123456789abcdef").is_err());
        assert!(make(&secret(&"x".repeat(1025)), b"0123456789abcdef").is_err());
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused() {
        for bad in
            ["", "tanstaaf", "$argon2id$", "$6$salt$hash", "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg"]
        {
            assert!(check(&secret(bad)).unwrap_err().contains("postrider passwd"), "{bad}");
            assert!(!fits(&secret("tanstaaf"), &secret(bad)), "{bad}");
        }
        let dear = "$argon2id$v=19$m=4000000,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
        assert!(check(&secret(dear)).unwrap_err().contains("256 MiB"));
    }
}
