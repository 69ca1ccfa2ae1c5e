//! Tokens that are as they should be, and every way in which they are not. Here is what the tests are made of.

mod judging;

mod address;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{AlgorithmFamily, EncodingKey, Header, encode};
use serde_json::json;

use super::*;
use crate::auth::authenticator::{Authenticator, Cost, Credentials, Decision, RefuseReason};
use crate::auth::method::{AuthenticationMethod, ExchangeStep};
use crate::auth::service::{Reply, Service};
use crate::config::WebUrl;

const SECRET: &[u8] = b"a secret that is as long as the RFC wants it to be";
const LONG: Duration = Duration::from_secs(3600);

/// A key of one family.
struct Pair {
    signs: EncodingKey,
    public_pem: String,
}

fn pair(family: AlgorithmFamily, index: usize) -> &'static Pair {
    static PAIRS: OnceLock<Vec<(AlgorithmFamily, Pair)>> = OnceLock::new();
    let pairs = PAIRS.get_or_init(|| {
        let mut pairs = Vec::new();
        for _ in 0..2 {
            let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
            let signs = EncodingKey::from_rsa_pem(rsa.serialize_pem().as_bytes()).unwrap();
            pairs.push((AlgorithmFamily::Rsa, Pair { signs, public_pem: rsa.public_key_pem() }));
            let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            // The library wants the first version of PKCS #8, without the public key.
            let seed = &ed.serialize_der()[16..48];
            let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
            let signs = EncodingKey::from_ed_der(&[&prefix[..], seed].concat());
            pairs.push((AlgorithmFamily::Ed, Pair { signs, public_pem: ed.public_key_pem() }));
            let ec = ec_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
            pairs.push((AlgorithmFamily::Ec, ec));
        }
        pairs
    });
    &pairs.iter().filter(|(found, _)| *found == family).nth(index).expect("there are two of each").1
}

fn ec_pair(kind: &'static rcgen::SignatureAlgorithm) -> Pair {
    let ec = rcgen::KeyPair::generate_for(kind).unwrap();
    let signs = EncodingKey::from_ec_pem(ec.serialize_pem().as_bytes()).unwrap();
    Pair { signs, public_pem: ec.public_key_pem() }
}

fn seconds(from_now: i64) -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() + from_now
}

fn good_claims() -> Value {
    json!({"sub": "anna", "exp": seconds(3600)})
}

fn sign(algorithm: Algorithm, kid: Option<&str>, claims: &Value, key: &EncodingKey) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

fn signed(claims: &Value) -> String {
    sign(Algorithm::HS256, None, claims, &EncodingKey::from_secret(SECRET))
}

fn with_secret(options: JwtOptions) -> TokenVerifier {
    TokenVerifier::new(options, KeySet::of_secret(SECRET).unwrap(), None)
}

fn with_key(pem: &str) -> TokenVerifier {
    TokenVerifier::new(JwtOptions::default(), KeySet::of_file(pem.as_bytes()).unwrap(), None)
}

fn why(judgement: Result<Identity, Fault>) -> String {
    match judgement {
        Ok(identity) => panic!("{identity:?} was let in"),
        Err(fault) => fault.to_string(),
    }
}

fn password(token: &str) -> Credentials<'_> {
    Credentials::new("client", Some("anna"), Some(token.as_bytes()))
}

/// A key set with one key for each name.
fn key_set(names: &[(&str, AlgorithmFamily, Algorithm, usize)]) -> String {
    let keys: Vec<_> = names
        .iter()
        .map(|(name, family, algorithm, index)| {
            let mut jwk = Jwk::from_encoding_key(&pair(*family, *index).signs, *algorithm).unwrap();
            jwk.common.key_id = Some((*name).to_owned());
            serde_json::to_value(&jwk).unwrap()
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

const RS: (AlgorithmFamily, Algorithm) = (AlgorithmFamily::Rsa, Algorithm::RS256);
