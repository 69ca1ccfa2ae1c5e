//! One password hash of a password file: reading it, checking a password against it, making a new one.
//!
//! | in the file | what it is | written by |
//! |---|---|---|
//! | `$argon2id$v=19$m=..,t=..,p=..$salt$hash` | argon2id in the PHC string format | Dunlin, mosquitto 2.1 |
//! | `$7$iterations$salt$hash` | PBKDF2 with HMAC-SHA512 | mosquitto 2.0 |
//! | `$6$salt$hash` | SHA-512 of password and salt, not crypt(3)'s | mosquitto 1.x, kept for its users |
//! | `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` | a verifier (`scram/verifier.rs`) | Dunlin, PostgreSQL |
//!
//! The PHC string is read here and not by a library: mosquitto writes 64 bytes of salt, libraries stop at 48.
//! Costs have upper limits, because a hash is checked once per login: a slip of a digit in the file must not
//! turn a login into a minute of work or a gigabyte of memory. Comparisons take the same time wherever they
//! differ.

use std::{fmt, io};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::scram::{self, ScramVerifier};

/// Memory of a new hash. Of the settings that OWASP holds equal (46 MiB once, 19 MiB twice, 12 MiB three
/// times, ...) this one keeps a handful of simultaneous logins under 100 MB, so that a small gateway can
/// afford them.
const NEW_HASH_MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory; belongs to the setting above.
const NEW_HASH_PASSES: u32 = 2;
/// One lane: logins of different Clients already run side by side.
const NEW_HASH_LANES: u32 = 1;
/// Salt of a new hash, the length that RFC 9106 recommends.
const NEW_SALT_BYTES: usize = 16;
/// A new hash; 256 bits as in RFC 9106.
const NEW_HASH_BYTES: usize = 32;

const ARGON2_MEMORY_KIB_MAX: u32 = 256 * 1024;
const ARGON2_PASSES_MAX: u32 = 64;
const ARGON2_LANES_MAX: u32 = 64;
pub(super) const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
const ARGON2_HASH_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
const SHA512_BYTES: usize = 64;

/// Standard base64, with or without the `=` at its end: mosquitto writes it in `$6$` and `$7$`, PHC strings
/// do not.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why the text after a user name is not a password hash. Never holds any of that text: it might be a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashProblem {
    /// There is nothing.
    Missing,
    /// The text begins like no hash, so that it is probably the password itself.
    NotHashed,
    /// A kind of hash that mosquitto does not write either.
    UnknownKind,
    /// A known kind, but its fields are not what they should be.
    Malformed {
        /// The kind, as it begins in the file: `$6$`, `$7$`, `$argon2id$` or `SCRAM-SHA-256$`.
        kind: &'static str,
        /// What is wrong with which field.
        detail: &'static str,
    },
}

impl fmt::Display for HashProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("has no password hash after the colon"),
            Self::NotHashed => f.write_str(
                "has a password that is not hashed; `dunlin passwd add` gives it a hash, \
                 `mosquitto_passwd -U` hashes the whole file",
            ),
            Self::UnknownKind => f.write_str(
                "has a hash of an unknown kind; \
                 known are `$argon2id$`, `$7$` and `$6$` as mosquitto writes them, and `SCRAM-SHA-256$`",
            ),
            Self::Malformed { kind, detail } => write!(f, "has a malformed `{kind}` hash: {detail}"),
        }
    }
}

/// A hash that passwords can be checked against. `Debug` shows the kind only.
pub(super) enum PasswordHash {
    Argon2id { argon2: Box<Argon2<'static>>, salt: Box<[u8]>, hash: Box<[u8]> },
    Pbkdf2 { iterations: u32, salt: Box<[u8]>, hash: Box<[u8]> },
    SaltedSha512 { salt: Box<[u8]>, hash: Box<[u8]> },
    Scram(Box<ScramVerifier>),
}

impl PasswordHash {
    pub(super) fn parse(text: &str) -> Result<Self, HashProblem> {
        if text.is_empty() {
            return Err(HashProblem::Missing);
        }
        if let Some(fields) = text.strip_prefix(scram::PREFIX) {
            let verifier = ScramVerifier::parse(fields)
                .map_err(|detail| HashProblem::Malformed { kind: scram::PREFIX, detail })?;
            return Ok(Self::Scram(Box::new(verifier)));
        }
        let Some(text) = text.strip_prefix('$') else {
            return Err(HashProblem::NotHashed);
        };
        let (kind, fields) = text.split_once('$').ok_or(HashProblem::UnknownKind)?;
        let fields: Vec<&str> = fields.split('$').collect();
        match kind {
            "6" => {
                parse_salted_sha512(&fields).map_err(|detail| HashProblem::Malformed { kind: "$6$", detail })
            }
            "7" => parse_pbkdf2(&fields).map_err(|detail| HashProblem::Malformed { kind: "$7$", detail }),
            "argon2id" => parse_argon2id(&fields)
                .map_err(|detail| HashProblem::Malformed { kind: "$argon2id$", detail }),
            _ => Err(HashProblem::UnknownKind),
        }
    }

    pub(super) fn scram_verifier(&self) -> Option<&ScramVerifier> {
        match self {
            Self::Scram(verifier) => Some(verifier),
            _ => None,
        }
    }

    /// Whether this is the hash of `password`. Slow on purpose, except for `$6$`.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let mut computed = Zeroizing::new([0; SHA512_BYTES]);
        let hash = match self {
            Self::Scram(verifier) => return verifier.verify(password),
            Self::Argon2id { argon2, salt, hash } => {
                let computed = &mut computed[..hash.len()];
                if argon2.hash_password_into(password, salt, computed).is_err() {
                    return false;
                }
                hash
            }
            Self::Pbkdf2 { iterations, salt, hash } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, *iterations, &mut *computed);
                hash
            }
            Self::SaltedSha512 { salt, hash } => {
                computed.copy_from_slice(&Sha512::new().chain_update(password).chain_update(salt).finalize());
                hash
            }
        };
        computed[..hash.len()].ct_eq(hash).into()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2id { .. } => "$argon2id$(redacted)",
            Self::Pbkdf2 { .. } => "$7$(redacted)",
            Self::SaltedSha512 { .. } => "$6$(redacted)",
            Self::Scram(_) => "SCRAM-SHA-256$(redacted)",
        })
    }
}

/// Hashes a password for a password file: argon2id with a fresh salt, 19 MiB, 2 passes, 1 lane. mosquitto 2.1
/// reads the result too. Takes some 20 ms.
///
/// # Errors
/// When the operating system has no randomness for the salt, or the password has more than 4 GiB.
pub fn hash_password(password: &[u8]) -> io::Result<String> {
    let mut salt = [0; NEW_SALT_BYTES];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    let params = Params::new(NEW_HASH_MEMORY_KIB, NEW_HASH_PASSES, NEW_HASH_LANES, Some(NEW_HASH_BYTES));
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(io::Error::other)?);
    let mut hash = [0; NEW_HASH_BYTES];
    argon2.hash_password_into(password, &salt, &mut hash).map_err(io::Error::other)?;
    Ok(format!(
        "$argon2id$v=19$m={NEW_HASH_MEMORY_KIB},t={NEW_HASH_PASSES},p={NEW_HASH_LANES}${}${}",
        BASE64.encode(salt),
        BASE64.encode(hash)
    ))
}

fn parse_salted_sha512(fields: &[&str]) -> Result<PasswordHash, &'static str> {
    let [salt, hash] = fields else {
        return Err("it should read $6$SALT$HASH");
    };
    Ok(PasswordHash::SaltedSha512 { salt: decode_salt(salt)?, hash: decode_sha512(hash)? })
}

fn parse_pbkdf2(fields: &[&str]) -> Result<PasswordHash, &'static str> {
    let [iterations, salt, hash] = fields else {
        return Err("it should read $7$ITERATIONS$SALT$HASH");
    };
    let iterations = parse_number(iterations, 1, PBKDF2_ITERATIONS_MAX)
        .ok_or("the iterations should be a number from 1 to 10,000,000")?;
    Ok(PasswordHash::Pbkdf2 { iterations, salt: decode_salt(salt)?, hash: decode_sha512(hash)? })
}

fn parse_argon2id(fields: &[&str]) -> Result<PasswordHash, &'static str> {
    // A string without a version is one of version 1.0, from before the field existed.
    let (version, costs, salt, hash) = match fields {
        [costs, salt, hash] if costs.starts_with("m=") => (Version::V0x10, costs, salt, hash),
        ["v=16", costs, salt, hash] => (Version::V0x10, costs, salt, hash),
        ["v=19", costs, salt, hash] => (Version::V0x13, costs, salt, hash),
        [_, _, _, _] => return Err("the version should be v=19"),
        _ => return Err("it should read $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH"),
    };
    let mut costs = costs.split(',');
    let mut cost = |name: &str, min, max| {
        costs.next().and_then(|cost| cost.strip_prefix(name)).and_then(|cost| parse_number(cost, min, max))
    };
    let memory_kib =
        cost("m=", 8, ARGON2_MEMORY_KIB_MAX).ok_or("m= should come first, from 8 to 262,144 KiB")?;
    let passes = cost("t=", 1, ARGON2_PASSES_MAX).ok_or("t= should come second, from 1 to 64 passes")?;
    let lanes = cost("p=", 1, ARGON2_LANES_MAX).ok_or("p= should come third, from 1 to 64 lanes")?;
    if costs.next().is_some() {
        return Err("there should be no parameters but m=, t= and p=");
    }
    let salt = decode_salt(salt)?;
    let hash = decode(hash).ok_or("the hash is not base64")?;
    if !ARGON2_HASH_BYTES.contains(&hash.len()) {
        return Err("the hash should have 16 to 64 bytes");
    }
    let params = Params::new(memory_kib, passes, lanes, Some(hash.len()))
        .map_err(|_| "m= should be at least 8 times p=")?;
    let argon2 = Box::new(Argon2::new(Algorithm::Argon2id, version, params));
    Ok(PasswordHash::Argon2id { argon2, salt, hash })
}

/// Plain decimal digits; `str::parse` alone would also take a leading `+`.
pub(super) fn parse_number(text: &str, min: u32, max: u32) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| (min..=max).contains(number))
}

fn decode(text: &str) -> Option<Box<[u8]>> {
    BASE64.decode(text).ok().map(Vec::into_boxed_slice)
}

pub(super) fn decode_salt(text: &str) -> Result<Box<[u8]>, &'static str> {
    let salt = decode(text).ok_or("the salt is not base64")?;
    if SALT_BYTES.contains(&salt.len()) { Ok(salt) } else { Err("the salt should have 8 to 64 bytes") }
}

fn decode_sha512(text: &str) -> Result<Box<[u8]>, &'static str> {
    let hash = decode(text).ok_or("the hash is not base64")?;
    if hash.len() == SHA512_BYTES { Ok(hash) } else { Err("the hash should have 64 bytes") }
}
