//! How names and passwords are written in mechanisms: SASLprep (RFC 4013) and the escapes of RFC 5801 section 4.

use zeroize::Zeroizing;

/// A login or password as SCRAM wants it; ASCII stays as it is.
///
/// # Errors
/// It holds a character that no login or password may hold: which of the two, in words.
pub fn prepared(text: &str, what: &str) -> Result<Zeroizing<String>, String> {
    match stringprep::saslprep(text) {
        Ok(text) => Ok(Zeroizing::new(text.into_owned())),
        Err(_) => Err(format!("the {what} holds a character that this login method does not allow (SASLprep)")),
    }
}

/// A name in a GS2 header: `=` and `,` escaped.
pub fn escaped(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_rfc_4013() {
        for (text, want) in
            [("I\u{ad}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{aa}", "a"), ("\u{2168}", "IX")]
        {
            assert_eq!(prepared(text, "login").unwrap().as_str(), want);
        }
        assert!(prepared("\u{7}", "login").unwrap_err().contains("the login"));
        assert!(prepared("\u{627}1", "password").is_err());
        assert_eq!(escaped("a=b,c"), "a=3Db=2Cc");
    }
}
