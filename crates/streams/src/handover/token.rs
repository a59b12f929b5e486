//! The secret that admits one consumer, and how both ends prove that they know it without sending it.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::error::{Attempt, HandoverError};

/// A 128-bit secret, good for one connection.
///
/// Hand it to the other process by an inherited descriptor or its standard input: arguments and environments of a
/// process are visible to others. `Debug` does not show it. Comparison takes the same time for any two tokens.
#[derive(Clone)]
pub struct Token([u8; 16]);

impl Token {
    /// A new token from the system's random numbers.
    ///
    /// # Errors
    ///
    /// [`HandoverError::System`] if the system has none.
    pub fn random() -> Result<Self, HandoverError> {
        random().map(Self)
    }

    /// The token as 32 hexadecimal digits.
    #[must_use]
    pub fn reveal(&self) -> String {
        hex(&self.0)
    }

    /// What an end in `role` answers to `nonce`: HMAC-SHA-256 (RFC 2104) with the token as key. A proof of one role is
    /// of no use to the other.
    pub(super) fn proof(&self, role: Role, nonce: &[u8; 16]) -> [u8; 32] {
        self.mac(role, nonce).finalize().into_bytes().into()
    }

    /// Whether `proof` is this token's, found out in constant time.
    pub(super) fn proves(&self, role: Role, nonce: &[u8; 16], proof: &[u8; 32]) -> bool {
        self.mac(role, nonce).verify_slice(proof).is_ok()
    }

    fn mac(&self, role: Role, nonce: &[u8; 16]) -> Hmac<Sha256> {
        let mut key = [0; 64];
        key[..16].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(match role {
            Role::Server => b"ottava handover server",
            Role::Client => b"ottava handover client",
        });
        mac.update(nonce);
        mac
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The producer, which listens.
    Server,
    /// The consumer, which connects.
    Client,
}

/// Sixteen random bytes.
pub(super) fn random() -> Result<[u8; 16], HandoverError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from).attempt("get random bytes")?;
    Ok(bytes)
}

/// Lower-case hexadecimal digits of `bytes`.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl FromStr for Token {
    type Err = HandoverError;

    fn from_str(text: &str) -> Result<Self, HandoverError> {
        let refused = || HandoverError::Token { length: text.chars().count() };
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refused());
        }
        u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| refused())
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_debug_hides() {
        let token = Token::random().unwrap();
        assert_eq!(token.reveal().parse::<Token>().unwrap(), token);
        assert!(!format!("{token:?}").contains(&token.reveal()));
        assert!("abc".parse::<Token>().is_err());
        assert!("+123456789012345678901234567890f".parse::<Token>().is_err());
    }

    #[test]
    fn a_proof_fits_one_token_role_and_nonce() {
        let (token, other) = (Token::random().unwrap(), Token::random().unwrap());
        let proof = token.proof(Role::Client, &[1; 16]);
        assert!(token.proves(Role::Client, &[1; 16], &proof));
        assert!(!token.proves(Role::Server, &[1; 16], &proof));
        assert!(!token.proves(Role::Client, &[2; 16], &proof));
        assert!(!other.proves(Role::Client, &[1; 16], &proof));
    }
}
