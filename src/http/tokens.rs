//! The tokens of the API: `tokens.toml` in the data directory, which `dunlin token` keeps and the broker follows.
//!
//! A token is 32 random bytes, so its SHA-256 is as hard to invert as to guess: what makes a hash of passwords slow
//! would protect nothing here. The file has hashes only; who reads it can use none. It is looked at with every
//! request, so a token that is removed opens nothing from then on, and a file that cannot be understood whole opens
//! nothing at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use time::serde::rfc3339;
use zeroize::Zeroizing;

use crate::config::Scope;

/// The file in the data directory.
pub const TOKENS_FILE: &str = "tokens.toml";

/// How each token begins, so that scanners for secrets know one when they see it.
const PREFIX: &str = "dunlin_";

/// Tokens in a file; each is compared with what every request shows.
const TOKENS_MAX: usize = 1000;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// The largest file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

const HEAD: &str =
    "# Tokens of the API. `dunlin token` keeps this file; the broker follows it while it runs.\n";

/// A token as the file has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// What it is called, also in the audit log.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// Its SHA-256, in hexadecimal.
    sha256: String,
    /// When it was made.
    #[serde(with = "rfc3339")]
    pub created: OffsetDateTime,
    /// When it ends by itself.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires: Option<OffsetDateTime>,
}

/// The content of the file.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// In the order in which they were made.
    #[serde(default)]
    pub token: Vec<TokenEntry>,
}

impl TokenEntry {
    /// Whether its time is over.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Tokens {
    /// Reads the file; one that is missing has none. The error is one sentence.
    pub fn read(path: &Path) -> Result<Self, String> {
        let unreadable = |error: io::Error| format!("{}: cannot be read: {error}", path.display());
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(error)),
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return Err(format!("{}: is larger than {FILE_BYTES_MAX} bytes", path.display()));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text).map_err(|problem| format!("{}: {problem}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let tokens: Self = toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        if tokens.token.len() > TOKENS_MAX {
            return Err(format!("has more than {TOKENS_MAX} tokens"));
        }
        for (index, entry) in tokens.token.iter().enumerate() {
            if let Some(problem) = name_problem(&entry.name) {
                return Err(format!("the name {:?} {problem}", entry.name));
            }
            if tokens.token[..index].iter().any(|earlier| earlier.name == entry.name) {
                return Err(format!("has the name {:?} twice", entry.name));
            }
            let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if entry.sha256.len() != 64 || !entry.sha256.bytes().all(is_hexadecimal) {
                return Err(format!("sha256 of {:?} must be 64 hexadecimal digits", entry.name));
            }
        }
        Ok(tokens)
    }

    /// The content of the file.
    pub fn to_text(&self) -> Result<String, String> {
        toml::to_string(self).map(|text| format!("{HEAD}{text}")).map_err(|error| error.to_string())
    }

    /// Makes a token, which is returned and nowhere else; the error is one sentence.
    pub fn create(
        &mut self,
        name: &str,
        scope: Scope,
        now: OffsetDateTime,
        expires: Option<OffsetDateTime>,
    ) -> Result<Zeroizing<String>, String> {
        if let Some(problem) = name_problem(name) {
            return Err(format!("the name {name:?} {problem}"));
        }
        if self.token.iter().any(|entry| entry.name == name) {
            return Err(format!(
                "there is a token {name:?} already: remove it first, or choose another name"
            ));
        }
        if self.token.len() >= TOKENS_MAX {
            return Err(format!("there are {TOKENS_MAX} tokens already, which is the most"));
        }
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| format!("there is no randomness: {error}"))?;
        let token = Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes)));
        let created = now.replace_nanosecond(0).unwrap_or(now);
        let (name, sha256) = (name.to_owned(), digest(&token));
        self.token.push(TokenEntry { name, scope, sha256, created, expires });
        Ok(token)
    }

    /// Removes a token. Returns whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.token.len();
        self.token.retain(|entry| entry.name != name);
        self.token.len() < before
    }

    /// The entry of a token that somebody shows, unless its time is over.
    pub fn of(&self, shown: &str, now: OffsetDateTime) -> Option<&TokenEntry> {
        let shown = digest(shown);
        let is_it = |entry: &&TokenEntry| bool::from(entry.sha256.as_bytes().ct_eq(shown.as_bytes()));
        self.token.iter().find(is_it).filter(|entry| !entry.is_expired(now))
    }

    /// Whether any of them opens anything.
    pub fn any_valid(&self, now: OffsetDateTime) -> bool {
        self.token.iter().any(|entry| !entry.is_expired(now))
    }
}

/// What is wrong with a name, if anything is.
fn name_problem(name: &str) -> Option<&'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        Some("must have 1 to 100 characters")
    } else if !name.bytes().all(is_plain) {
        Some("may have letters, digits and - _ . @ only")
    } else {
        None
    }
}

fn digest(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file, followed.
pub(super) struct FollowedTokens {
    path: PathBuf,
    seen: Mutex<(Option<Stamp>, Arc<Tokens>)>,
}

/// How a file looks from outside; another file in its place looks different.
#[derive(PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl FollowedTokens {
    pub fn new(data_dir: &Path) -> Self {
        Self { path: data_dir.join(TOKENS_FILE), seen: Mutex::new((None, Arc::default())) }
    }

    /// What the file says now.
    pub fn now(&self) -> Arc<Tokens> {
        let stamp = stamp(&self.path);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 != stamp {
            *seen = match Tokens::read(&self.path) {
                Ok(tokens) => (stamp, Arc::new(tokens)),
                Err(error) => {
                    tracing::error!(%error, "no token opens the API until this file can be read");
                    // Looked at again each time: what is wrong may be no matter of the file.
                    (None, Arc::default())
                }
            };
        }
        Arc::clone(&seen.1)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), length: metadata.len(), inode: metadata.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn a_token_is_known_by_its_hash_alone_until_it_expires() {
        let mut tokens = Tokens::default();
        let grafana = tokens.create("grafana", Scope::Read, at(100), Some(at(200))).unwrap();
        let ci = tokens.create("ci", Scope::Admin, at(100), None).unwrap();
        let text = tokens.to_text().unwrap();
        assert!(!text.contains(grafana.as_str()) && !text.contains(&grafana[PREFIX.len()..]));
        let read = Tokens::parse(&text).unwrap();
        let name_of = |token: &str, now| read.of(token, at(now)).map(|entry| (&*entry.name, entry.scope));
        assert_eq!(name_of(&grafana, 199), Some(("grafana", Scope::Read)));
        assert_eq!(name_of(&grafana, 200), None);
        assert_eq!(name_of(&ci, 1 << 32), Some(("ci", Scope::Admin)));
        assert_eq!(name_of(&read.token[0].sha256, 100), None, "the hash opens nothing");
        assert_eq!(name_of("", 100), None);
    }

    #[test]
    fn a_file_that_is_not_understood_whole_is_refused_with_the_reason() {
        let entry = |name: &str, more: &str| {
            let hash = "0".repeat(64);
            format!(
                "[[token]]\nname = '{name}'\nscope = 'read'\nsha256 = '{hash}'\ncreated = '2026-01-01T00:00:00Z'\n{more}"
            )
        };
        assert!(Tokens::parse(&entry("a", "")).is_ok());
        for (text, said) in [
            (entry("a", "colour = 1"), "colour"),
            (entry("a", "expires = 'tomorrow'"), "expires"),
            (entry("a b", ""), "letters"),
            (entry("a", "") + &entry("a", ""), "twice"),
            (entry("a", "").replace("'read'", "'write'"), "write"),
            (entry("a", "").replace("00000000", "x"), "64 hexadecimal digits"),
        ] {
            let problem = Tokens::parse(&text).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }

    #[test]
    fn what_the_file_says_holds_at_once_and_a_broken_one_opens_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(TOKENS_FILE);
        let followed = FollowedTokens::new(directory.path());
        assert!(followed.now().token.is_empty());
        let mut tokens = Tokens::default();
        let token = tokens.create("ci", Scope::Admin, at(100), None).unwrap();
        fs::write(&path, tokens.to_text().unwrap()).unwrap();
        assert!(followed.now().of(&token, at(100)).is_some());
        fs::write(&path, "nonsense").unwrap();
        assert!(followed.now().of(&token, at(100)).is_none());
        fs::write(&path, tokens.to_text().unwrap()).unwrap();
        assert!(followed.now().of(&token, at(100)).is_some());
        fs::remove_file(&path).unwrap();
        assert!(followed.now().of(&token, at(100)).is_none());
    }
}
