//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), as values: written apart from the
//! program's own on purpose.

use openssl::base64::{decode_block, encode_block};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

const ROUNDS: usize = 4096;
const SALT: &[u8] = b"a salt of the test";

/// A login under way.
pub struct Scram {
    /// Who logs in.
    pub user: String,
    /// The channel binding that the client chose, where it chose one.
    pub binding: Option<String>,
    gs2: String,
    first: String,
    challenge: String,
}

impl Scram {
    /// Reads the client's first message.
    pub fn begin(message: &str) -> Option<Self> {
        let mut parts = message.splitn(3, ',');
        let (flag, authorization, first) = (parts.next()?, parts.next()?, parts.next()?);
        let binding = flag.strip_prefix("p=").map(str::to_owned);
        let (user, nonce) = first.strip_prefix("n=")?.split_once(",r=")?;
        let challenge = format!("r={nonce}server,s={},i={ROUNDS}", encode_block(SALT));
        let gs2 = format!("{flag},{authorization},");
        Some(Self { user: user.to_owned(), binding, gs2, first: first.to_owned(), challenge })
    }

    /// The server's first message, in base64.
    pub fn challenge(&self) -> String {
        encode_block(self.challenge.as_bytes())
    }

    /// The server's last message, in base64, where the client's proves the password and `bound`, the data of its binding.
    pub fn verify(&self, message: &str, password: &str, bound: &[u8]) -> Option<String> {
        let (without, proof) = message.rsplit_once(",p=")?;
        let (bound_by_client, nonce) = without.strip_prefix("c=")?.split_once(",r=")?;
        let same = decode_block(bound_by_client).ok()? == [self.gs2.as_bytes(), bound].concat();
        if !same || !self.challenge.starts_with(&format!("r={nonce},")) {
            return None;
        }
        let mut salted = [0; 32];
        openssl::pkcs5::pbkdf2_hmac(password.as_bytes(), SALT, ROUNDS, MessageDigest::sha256(), &mut salted).ok()?;
        let all = format!("{},{},{without}", self.first, self.challenge);
        let signature = hmac(&openssl::sha::sha256(&hmac(&salted, b"Client Key")), all.as_bytes());
        let key: Vec<u8> = decode_block(proof).ok()?.iter().zip(&signature).map(|(proof, sign)| proof ^ sign).collect();
        let proven = key == hmac(&salted, b"Client Key");
        let answer = hmac(&hmac(&salted, b"Server Key"), all.as_bytes());
        proven.then(|| encode_block(format!("v={}", encode_block(&answer)).as_bytes()))
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = PKey::hmac(key).unwrap();
    Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(text).unwrap()
}
