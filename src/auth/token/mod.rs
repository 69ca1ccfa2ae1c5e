//! Tokens (JWT, RFC 7519) as credentials: what `auth.jwt` describes.
//!
//! A token is judged with keys in memory, which costs about as much as a part of a TLS handshake, so the thread that
//! serves connections does it. Only a token whose key is not there may wait, elsewhere, until an address has been
//! asked for it (`key_address.rs`). `login.rs` has the two ways in: as the Password of CONNECT, and as the
//! Authentication Data of the method `JWT`, which can also renew it.
//!
//! What must stay true: the algorithm of the header only chooses among the keys of its family and among those that
//! the operator allows; a claim that the configuration asks for is there, or the token is refused; why a token is
//! refused is told to the log (level debug) and not to the Client; no token reaches the log.

mod key_address;
mod keys;
mod login;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub use login::{TokenLogin, TokenMethod, WaitingTokenLogin};

use self::key_address::{FETCH_TIME_LIMIT, KeyAddress, Pace};
use self::keys::KeySet;
use super::authenticator::Identity;
use super::grants::Grants;
use super::text_file;
use super::web::Web;
use crate::config::{JwtOptions, SignatureAlgorithm};

/// No token is valid for longer: 9999-12-31, which every clock can tell.
const EXPIRY_MAX_S: f64 = 253_402_300_799.0;

/// Judges tokens.
pub struct TokenVerifier {
    options: JwtOptions,
    /// Those of files.
    keys: KeySet,
    address: Option<KeyAddress>,
}

/// What cannot be used of an `auth.jwt` table.
#[derive(Debug)]
pub struct TokenOptionError {
    /// The option.
    pub option: &'static str,
    /// What is wrong with what it names.
    pub problem: String,
}

/// What is wrong with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// None of the keys in memory is its key; an address may have it.
    UnknownKey,
    /// It is refused; the text says why.
    Wrong(String),
}

impl TokenVerifier {
    /// Reads the files of a table.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn load(options: &JwtOptions) -> Result<Self, TokenOptionError> {
        let mut keys = KeySet::default();
        if let Some(path) = &options.secret_file {
            keys.merge(read(path, true, KeySet::of_secret).map_err(about("secret_file"))?);
        }
        if let Some(path) = &options.key_file {
            keys.merge(read(path, false, KeySet::of_file).map_err(about("key_file"))?);
        }
        let address = options.jwks_url.as_ref().map(|url| {
            if url.is_readable_on_the_way() {
                tracing::warn!(%url, "keys for tokens come without TLS: whoever can change them on their way can forge tokens");
            }
            let web = Web::new(url, options.ca_file.as_deref(), FETCH_TIME_LIMIT).map_err(about("ca_file"))?;
            Ok(KeyAddress::new(web, Pace::refreshing_every(options.jwks_refresh)))
        });
        Ok(Self::new(options.clone(), keys, address.transpose()?))
    }

    fn new(options: JwtOptions, keys: KeySet, address: Option<KeyAddress>) -> Self {
        Self { options, keys, address }
    }

    /// Whether a key that is not in memory may be had from somewhere.
    pub fn has_address(&self) -> bool {
        self.address.is_some()
    }

    /// Whose token it is, by the keys in memory.
    fn judge(&self, token: &str) -> Result<Identity, Fault> {
        // Whatever is in there was written by a stranger, so it is not repeated in the log.
        let header = decode_header(token)
            .map_err(|_| wrong("its header cannot be used, or names an algorithm that is not known here"))?;
        if header.crit.is_some() {
            return Err(wrong("it has a critical header (crit), and none is understood here"));
        }
        if !self.allows(header.alg) {
            return Err(Fault::Wrong(format!("{:?} is not one of auth.jwt.algorithms", header.alg)));
        }
        let name = header.kid.as_deref();
        let fetched = self.address.as_ref().and_then(KeyAddress::keys);
        let sets = [Some(&self.keys), fetched.as_deref()];
        let validation = self.validation(header.alg);
        let mut was_tried = false;
        for key in sets.into_iter().flatten().flat_map(|keys| keys.candidates(header.alg, name)) {
            match self.claims(token, key, &validation) {
                Ok(claims) => return self.identity(&claims),
                Err(Some(problem)) => return Err(Fault::Wrong(problem)),
                Err(None) => was_tried = true,
            }
        }
        let is_named = name.is_some_and(|name| sets.into_iter().flatten().any(|keys| keys.has_name(name)));
        match (&self.address, is_named) {
            (Some(_), false) => Err(Fault::UnknownKey),
            _ if was_tried => Err(wrong("no key verifies its signature")),
            _ => Err(Fault::Wrong(format!("there is no key for {:?} with its kid {name:?}", header.alg))),
        }
    }

    /// Whether the operator allows an algorithm; unset, the keys decide.
    fn allows(&self, algorithm: Algorithm) -> bool {
        let allowed = &self.options.algorithms;
        allowed.is_empty() || allowed.iter().any(|allowed| library_algorithm(*allowed) == algorithm)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let options = &self.options;
        let mut validation = Validation::new(algorithm);
        validation.leeway = options.leeway.as_secs();
        validation.validate_nbf = true;
        let mut required = Vec::new();
        if options.require_expiry {
            required.push("exp");
        }
        if let Some(issuer) = &options.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        // Without one, a token that is meant for an audience is refused: it is meant for somebody else.
        if !options.audience.is_empty() {
            validation.set_audience(&options.audience);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    /// The claims, if this key has signed them; `Err(None)` if it has not.
    fn claims(
        &self,
        token: &str,
        key: &DecodingKey,
        validation: &Validation,
    ) -> Result<Map<String, Value>, Option<String>> {
        match decode::<Map<String, Value>>(token, key, validation) {
            Ok(data) => Ok(data.claims),
            // A key that cannot be used for the algorithm has not signed it either.
            Err(error) => Err(match error.kind() {
                ErrorKind::InvalidSignature
                | ErrorKind::InvalidAlgorithm
                | ErrorKind::InvalidEcdsaKey
                | ErrorKind::InvalidEddsaKey
                | ErrorKind::InvalidRsaKey(_)
                | ErrorKind::InvalidKeyFormat => None,
                ErrorKind::InvalidAudience if self.options.audience.is_empty() => {
                    Some("it is for an audience (aud), and auth.jwt.audience names none".to_owned())
                }
                ErrorKind::InvalidIssuer => Some("its issuer (iss) is not auth.jwt.issuer".to_owned()),
                ErrorKind::InvalidAudience => {
                    Some("its audience (aud) is not in auth.jwt.audience".to_owned())
                }
                ErrorKind::ExpiredSignature => Some("it has expired (exp)".to_owned()),
                ErrorKind::ImmatureSignature => Some("it is not valid yet (nbf)".to_owned()),
                ErrorKind::MissingRequiredClaim(claim) => Some(format!("it has no usable claim {claim}")),
                ErrorKind::InvalidClaimFormat(claim) => Some(format!("its claim {claim} cannot be used")),
                _ => Some("its claims are no JSON object".to_owned()),
            }),
        }
    }

    fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, Fault> {
        let claim = &self.options.user_claim;
        let user_name = match claims.get(claim) {
            Some(Value::String(name)) if !name.is_empty() && !name.contains(char::is_control) => name,
            _ => return Err(Fault::Wrong(format!("its claim {claim} is no name of a user"))),
        };
        let mut identity = Identity::user(user_name);
        if let Some(expiry_s) = claims.get("exp").and_then(Value::as_f64) {
            let expiry = Duration::from_secs_f64(expiry_s.clamp(0.0, EXPIRY_MAX_S));
            identity = identity.valid_until(UNIX_EPOCH + expiry + self.options.leeway);
        }
        if let Some(claim) = &self.options.permissions_claim {
            // Without it there would be no rights at all, or those of everybody: neither is what was meant.
            let rights = claims.get(claim).ok_or(Fault::Wrong(format!("it has no claim {claim}")))?;
            let grants = Grants::parse(&rights.to_string())
                .map_err(|problem| Fault::Wrong(format!("in its claim {claim}, {problem}")))?;
            identity = identity.with_grants(grants);
        }
        Ok(identity)
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("options", &self.options).field("keys", &self.keys).finish()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey => f.write_str("nobody has its key"),
            Self::Wrong(problem) => f.write_str(problem),
        }
    }
}

fn wrong(problem: &str) -> Fault {
    Fault::Wrong(problem.to_owned())
}

fn about(option: &'static str) -> impl Fn(String) -> TokenOptionError {
    move |problem| TokenOptionError { option, problem }
}

/// Reads a file of keys.
fn read(
    path: &Path,
    is_secret: bool,
    understand: fn(&[u8]) -> Result<KeySet, String>,
) -> Result<KeySet, String> {
    let (bytes, readable_by_others) =
        text_file::read::<std::convert::Infallible>(path).map_err(|error| error.to_string())?;
    if is_secret && readable_by_others {
        tracing::warn!(file = ?path, "other users of this machine can read the secret that signs tokens: chmod 600 it");
    }
    understand(&Zeroizing::new(bytes)).map_err(|problem| format!("{}: {problem}", path.display()))
}

/// The text of a Password that looks like a token: three parts, of which the first is a JSON object with an `alg`.
fn as_token(password: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(password).ok()?;
    let mut parts = text.split('.');
    let (header, rest) = (parts.next()?, [parts.next()?, parts.next()?]);
    let is_base64 =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if parts.next().is_some() || !rest.into_iter().all(is_base64) {
        return None;
    }
    let header: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    header.get("alg")?.is_string().then_some(text)
}

fn library_algorithm(algorithm: SignatureAlgorithm) -> Algorithm {
    match algorithm {
        SignatureAlgorithm::Hs256 => Algorithm::HS256,
        SignatureAlgorithm::Hs384 => Algorithm::HS384,
        SignatureAlgorithm::Hs512 => Algorithm::HS512,
        SignatureAlgorithm::Rs256 => Algorithm::RS256,
        SignatureAlgorithm::Rs384 => Algorithm::RS384,
        SignatureAlgorithm::Rs512 => Algorithm::RS512,
        SignatureAlgorithm::Ps256 => Algorithm::PS256,
        SignatureAlgorithm::Ps384 => Algorithm::PS384,
        SignatureAlgorithm::Ps512 => Algorithm::PS512,
        SignatureAlgorithm::Es256 => Algorithm::ES256,
        SignatureAlgorithm::Es384 => Algorithm::ES384,
        SignatureAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}
