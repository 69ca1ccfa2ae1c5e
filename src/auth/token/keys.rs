//! The keys that signatures of tokens are verified with.
//!
//! A secret and a public key must never stand in for each other: a token "signed" with the public key as an HMAC
//! secret is the oldest forgery there is. So they come from different files (`secret_file`, `key_file`), a key set
//! gives public keys only, and a key is asked only about algorithms of its own family.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// The shortest secret (RFC 7518, section 3.2: as long as the hash of HS256).
const SECRET_BYTES_MIN: usize = 32;

/// Keys in one set. A set beyond it is refused.
const KEYS_MAX: usize = 100;

/// Keys without a name that are tried for one token: each costs a verification.
const TRIES_MAX: usize = 8;

/// One key. `Debug` shows its name and nothing else.
#[derive(Clone)]
struct Key {
    name: Option<String>,
    /// The only algorithm it is for, if it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// Keys, with their names (`kid`) where they have some.
#[derive(Clone, Default, Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// A secret, from the bytes of its file.
    pub fn of_secret(bytes: &[u8]) -> Result<Self, String> {
        let secret = bytes.trim_ascii_end();
        if secret.starts_with(b"-----BEGIN ") {
            return Err("is a PEM file, not a secret; set key_file for a public key".to_owned());
        }
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!(
                "has a secret of {} bytes; {SECRET_BYTES_MIN} are needed at least (openssl rand -base64 48)",
                secret.len()
            ));
        }
        Ok(Self::of(DecodingKey::from_secret(secret)))
    }

    /// Public keys, from the bytes of a file: PEM or a key set in JSON.
    pub fn of_file(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is neither PEM nor JSON".to_owned())?;
        if text.trim_start().starts_with('{') { Self::of_json(text) } else { Self::of_pem(text) }
    }

    /// The public keys of a key set (RFC 7517). What is not for verifying signatures, or of a kind that is not
    /// known here, is left out, as the RFC demands.
    pub fn of_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_str(text)
            .map_err(|_| "is no key set: a JSON object with a list \"keys\" is needed".to_owned())?;
        if set.keys.len() > KEYS_MAX {
            return Err(format!("has {} keys; {KEYS_MAX} are read at most", set.keys.len()));
        }
        let keys: Vec<_> = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok())
            .filter_map(|jwk: Jwk| of_jwk(&jwk))
            .collect();
        if keys.is_empty() {
            return Err(
                "has no public key that verifies signatures (RSA, P-256, P-384 or Ed25519)".to_owned()
            );
        }
        Ok(Self { keys })
    }

    fn of_pem(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        let mut rest = text;
        while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
            let incomplete = || "has a PEM block without its end".to_owned();
            let (label, content) = begun.split_once("-----").ok_or_else(incomplete)?;
            let end = format!("-----END {label}-----");
            let (content, after) = content.split_once(&end).ok_or_else(incomplete)?;
            rest = after;
            if label.contains("PRIVATE") {
                return Err(
                    "has a private key; the public key is enough to verify tokens, and nothing else should \
                     lie here (openssl pkey -in FILE -pubout)"
                        .to_owned(),
                );
            }
            if !matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY") {
                return Err(format!(
                    "has a block {label:?}, and public keys are needed (openssl x509 -in FILE -noout -pubkey gives that of \
                     a certificate)"
                ));
            }
            let pem = format!("-----BEGIN {label}-----{content}{end}\n");
            let key = DecodingKey::from_rsa_pem(pem.as_bytes())
                .or_else(|_| DecodingKey::from_ec_pem(pem.as_bytes()))
                .or_else(|_| DecodingKey::from_ed_pem(pem.as_bytes()))
                .map_err(|_| "has a public key that is none of RSA, P-256, P-384 or Ed25519".to_owned())?;
            set.merge(Self::of(key));
        }
        match set.keys.len() {
            0 => {
                Err("has neither a PEM public key (-----BEGIN PUBLIC KEY-----) nor a key set in JSON"
                    .to_owned())
            }
            1..=KEYS_MAX => Ok(set),
            count => Err(format!("has {count} keys; {KEYS_MAX} are read at most")),
        }
    }

    fn of(key: DecodingKey) -> Self {
        Self { keys: vec![Key { name: None, algorithm: None, key }] }
    }

    /// Both.
    pub fn merge(&mut self, other: Self) {
        self.keys.extend(other.keys);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether some key has this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name.as_deref() == Some(name))
    }

    /// The keys that may have signed a token whose header has this algorithm and `kid`: those of the name, or else
    /// those without one. A token without a `kid` may be signed with any key.
    pub fn candidates(&self, algorithm: Algorithm, name: Option<&str>) -> impl Iterator<Item = &DecodingKey> {
        let is_named = name.is_some_and(|name| self.has_name(name));
        self.keys
            .iter()
            .filter(move |key| {
                let fits_name = match (name, is_named) {
                    (Some(_), true) => key.name.as_deref() == name,
                    (Some(_), false) => key.name.is_none(),
                    (None, _) => true,
                };
                fits_name
                    && key.key.family() == algorithm.family()
                    && key.algorithm.is_none_or(|only| only == algorithm)
            })
            .map(|key| &key.key)
            .take(TRIES_MAX)
    }
}

/// A key of a key set, if it is one to verify with.
fn of_jwk(jwk: &Jwk) -> Option<Key> {
    let common = &jwk.common;
    let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies =
        common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let curve_algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => None,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(Algorithm::ES256),
            EllipticCurve::P384 => Some(Algorithm::ES384),
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Some(Algorithm::EdDSA)
        }
        // A secret that anybody can read is none.
        _ => return None,
    };
    let stated: Option<Algorithm> = match &common.key_algorithm {
        Some(stated) => Some(Algorithm::try_from(*stated).ok()?),
        None => None,
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let algorithm = stated.or(curve_algorithm);
    (is_for_signatures && verifies).then(|| Key { name: common.key_id.clone(), algorithm, key })
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.name, self.key.family())
    }
}
