//! The password of a 1C-Bitrix sender as its OPTIONS hold it.
//!
//! With a key: base64(iv, AES-256-CTR(SHA-256(password), password)), where the cipher's key is SHA-256(iv, crypto_key) and
//! iv 16 octets. Without one: base64 alone. The digest tells a wrong key from a right one.

use crate::secret::Secret;
use openssl::base64::decode_block;
use openssl::sha::Sha256;
use openssl::symm::{Cipher, decrypt};
use zeroize::Zeroizing;

/// Octets of the initialization vector.
const IV: usize = 16;
/// Octets of the digest before the password.
const DIGEST: usize = 32;
/// The longest that is looked at.
const LONGEST: usize = 64 * 1024;

/// Reads the password; `key` is the `crypto_key` of `.settings.php`.
///
/// # Errors
/// Why it cannot be read and what mends it, without any of it.
pub(super) fn open(stored: &str, encrypted: bool, key: Option<&[u8]>) -> Result<Secret, String> {
    let compact: Zeroizing<String> = Zeroizing::new(stored.split_ascii_whitespace().collect());
    if compact.len() > LONGEST {
        return Err("the password is too long".into());
    }
    let data =
        decode_block(&compact).map_err(|_| "the password is not in base64, as the product keeps it".to_owned())?;
    let data = Zeroizing::new(data);
    if !encrypted {
        return text(&data).ok_or_else(|| "the password is no text".into());
    }
    let key = key.ok_or("the password is encrypted; name .settings.php too, with its crypto_key")?;
    let wrong =
        || "the password does not open with the crypto_key of .settings.php; is it of the same site?".to_owned();
    let (iv, sealed) = data.split_at_checked(IV).ok_or_else(wrong)?;
    let opened = decrypt(Cipher::aes_256_ctr(), &digest(&[iv, key]), Some(iv), sealed).map_err(|_| wrong())?;
    let opened = Zeroizing::new(opened);
    let (want, password) = opened.split_at_checked(DIGEST).ok_or_else(wrong)?;
    if digest(&[password]) != want {
        return Err(wrong());
    }
    text(password).ok_or_else(|| "the password is no text".into())
}

fn digest(parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finish()
}

fn text(octets: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control))?;
    Some(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::base64::encode_block;
    use proptest::prelude::*;

    fn seal(password: &[u8], key: &[u8], iv: [u8; IV]) -> String {
        let plain = [digest(&[password]).as_slice(), password].concat();
        let sealed = openssl::symm::encrypt(Cipher::aes_256_ctr(), &digest(&[&iv, key]), Some(&iv), &plain).unwrap();
        encode_block(&[iv.as_slice(), &sealed].concat())
    }

    /// Made with PHP's own openssl_encrypt and hash as the page describes it.
    #[test]
    fn as_the_product_makes_it() {
        let stored = "MDEyMzQ1Njc4OWFiY2RlZovZQmDu0Jsuz9NAcmzaBw+diURGrZkAZ/v9uT3t+BypFTB8GOIFVOE=";
        let opened = open(stored, true, Some(b"k3y of the site"));
        assert_eq!(opened.ok().unwrap().expose(), "tanstaaf");
    }

    #[test]
    fn wrong_keys_and_wrong_text_are_told() {
        let sealed = seal(b"hunter2", b"key", [7; IV]);
        assert_eq!(open(&sealed, true, Some(b"key")).ok().unwrap().expose(), "hunter2");
        assert_eq!(open("aHVudGVyMg==", false, None).ok().unwrap().expose(), "hunter2");
        for (stored, encrypted, key, why) in [
            (sealed.as_str(), true, Some(b"other".as_slice()), "does not open"),
            (&sealed, true, None, ".settings.php"),
            ("AAAA", true, Some(b"key"), "does not open"),
            ("hunter2!", false, None, "base64"),
            ("AAAA", false, None, "no text"),
        ] {
            let error = open(stored, encrypted, key).err().unwrap();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens(password in "\\PC{1,40}", key in prop::collection::vec(any::<u8>(), 1..40), iv: [u8; IV]) {
            let opened = open(&seal(password.as_bytes(), &key, iv), true, Some(&key)).map_err(TestCaseError::fail)?;
            prop_assert_eq!(opened.expose(), password);
        }
    }
}
