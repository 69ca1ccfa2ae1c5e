//! What a SCRAM Server keeps of a password: enough to judge a proof, and not enough to make one.
//!
//! ```text
//! SaltedPassword = PBKDF2-HMAC-SHA-256(password, salt, iterations)        slow
//! StoredKey      = SHA-256(HMAC(SaltedPassword, "Client Key"))            judges the Client's proof
//! ServerKey      = HMAC(SaltedPassword, "Server Key")                     signs, so that the Client knows us
//! ```
//!
//! In a password file it is written as PostgreSQL writes it (`pg_authid.rolpassword`):
//! `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`, each in base64. A plain password can be verified against it, too,
//! as slowly as a Client computes its proof.

use std::borrow::Cow;
use std::{fmt, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::password_hash::{BASE64, PBKDF2_ITERATIONS_MAX, decode_salt, parse_number};

/// How a verifier begins in a password file.
pub(in crate::auth) const PREFIX: &str = "SCRAM-SHA-256$";

/// Bytes of a key, a proof and a signature.
pub(in crate::auth) const KEY_BYTES: usize = 32;

/// The fewest iterations that RFC 7677 allows.
const ITERATIONS_MIN: u32 = 4096;

/// Salt of a new verifier, as long as PostgreSQL's.
const NEW_SALT_BYTES: usize = 16;

/// See the top of the file.
#[derive(Clone)]
pub(in crate::auth) struct ScramVerifier {
    iterations: u32,
    salt: Box<[u8]>,
    stored_key: [u8; KEY_BYTES],
    server_key: [u8; KEY_BYTES],
}

/// Why a password gets no verifier.
#[derive(Debug)]
pub enum ScramProblem {
    /// It is not UTF-8, or has a character that SASLprep does not allow.
    Password,
    /// The iterations are not in their range.
    Iterations,
    /// The operating system has no randomness for the salt.
    Randomness(io::Error),
}

impl fmt::Display for ScramProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password => f.write_str(
                "the password is not UTF-8 or has a control character or another that SASLprep (RFC 4013) does \
                 not allow, so that a SCRAM client could not use it",
            ),
            Self::Iterations => {
                write!(f, "the iterations must be {ITERATIONS_MIN} to {PBKDF2_ITERATIONS_MAX}")
            }
            Self::Randomness(error) => write!(f, "there is no randomness for the salt: {error}"),
        }
    }
}

impl std::error::Error for ScramProblem {}

/// Makes the verifier of a password for a password file. Takes as long as a Client needs for a proof: 20 to 50 ms for
/// 100,000 iterations on a PC, seconds on a microcontroller.
///
/// # Errors
/// When SASLprep does not allow the password, or the iterations are too few or too many.
pub fn scram_verifier(password: &[u8], iterations: u32) -> Result<String, ScramProblem> {
    if !(ITERATIONS_MIN..=PBKDF2_ITERATIONS_MAX).contains(&iterations) {
        return Err(ScramProblem::Iterations);
    }
    let password = std::str::from_utf8(password).ok().and_then(prepared).map(zeroizing);
    let password = password.ok_or(ScramProblem::Password)?;
    let mut salt = [0; NEW_SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| ScramProblem::Randomness(error.into()))?;
    Ok(ScramVerifier::new(password.as_bytes(), &salt, iterations).to_text())
}

/// Whether a user name is what SASLprep makes of it, so that a SCRAM Client can be that user.
pub fn is_prepared_name(user_name: &str) -> bool {
    prepared(user_name).is_some_and(|prepared| prepared == user_name)
}

/// A name or a password in the form in which SCRAM compares it: SASLprep (RFC 4013). `None` if it has a character
/// that is not allowed.
pub(super) fn prepared(text: &str) -> Option<Cow<'_, str>> {
    stringprep::saslprep(text).ok()
}

fn zeroizing(text: Cow<'_, str>) -> Zeroizing<String> {
    Zeroizing::new(text.into_owned())
}

impl ScramVerifier {
    /// That of a password which is prepared already.
    fn new(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let mut salted_password = Zeroizing::new([0; KEY_BYTES]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut *salted_password);
        let client_key = Zeroizing::new(hmac(&*salted_password, b"Client Key"));
        Self {
            iterations,
            salt: salt.into(),
            stored_key: Sha256::digest(*client_key).into(),
            server_key: hmac(&*salted_password, b"Server Key"),
        }
    }

    /// One that stands for a user who does not exist.
    pub(super) fn decoy(iterations: u32, salt: &[u8], stored_key: [u8; KEY_BYTES]) -> Self {
        Self { iterations, salt: salt.into(), stored_key, server_key: stored_key }
    }

    /// Understands what follows [`PREFIX`]; the error says what is wrong.
    pub(in crate::auth) fn parse(text: &str) -> Result<Self, &'static str> {
        let halves =
            text.split_once('$').and_then(|(left, right)| left.split_once(':').zip(right.split_once(':')));
        let ((iterations, salt), (stored_key, server_key)) =
            halves.ok_or("it should read SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY")?;
        let iterations = parse_number(iterations, ITERATIONS_MIN, PBKDF2_ITERATIONS_MAX)
            .ok_or("the iterations should be a number from 4,096 to 10,000,000")?;
        let key = |text: &str| BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            iterations,
            salt: decode_salt(salt)?,
            stored_key: key(stored_key).ok_or("the StoredKey should be 32 bytes in base64")?,
            server_key: key(server_key).ok_or("the ServerKey should be 32 bytes in base64")?,
        })
    }

    /// What a password file has of it.
    fn to_text(&self) -> String {
        let [salt, stored_key, server_key] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        format!("{PREFIX}{}:{salt}${stored_key}:{server_key}", self.iterations)
    }

    pub(super) fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Whether this is the verifier of `password`. Slow on purpose.
    pub(in crate::auth) fn verify(&self, password: &[u8]) -> bool {
        // What SASLprep does not allow is taken as it is, as PostgreSQL takes it.
        let prepared = std::str::from_utf8(password).ok().and_then(prepared).map(zeroizing);
        let password = prepared.as_ref().map_or(password, |prepared| prepared.as_bytes());
        let other = Self::new(password, &self.salt, self.iterations);
        other.stored_key.ct_eq(&self.stored_key).into()
    }

    /// Our signature of what was said, if the proof is right.
    pub(super) fn accept(&self, said: &[u8], proof: &[u8; KEY_BYTES]) -> Option<[u8; KEY_BYTES]> {
        let signature = hmac(&self.stored_key, said);
        let mut client_key = Zeroizing::new(*proof);
        for (byte, mask) in client_key.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        let is_right = Sha256::digest(*client_key).ct_eq(&self.stored_key);
        let answer = hmac(&self.server_key, said);
        bool::from(is_right).then_some(answer)
    }
}

/// HMAC-SHA-256.
pub(super) fn hmac(key: &[u8], text: &[u8]) -> [u8; KEY_BYTES] {
    // Every length is one that HMAC takes.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}
