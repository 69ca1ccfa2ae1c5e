//! The password file: `user:hash` per line, as mosquitto keeps it (`auth.password_file`). `dunlin passwd` edits it
//! (`password_lines.rs`).
//!
//! mosquitto skips lines that it does not understand; we refuse to load the file. A broker that starts with
//! half of its users is found out by the other half, at night.
//!
//! An attacker must not learn from the time of a refusal whether a user exists. A name that is not in the
//! file is therefore checked against the hash of some user all the same and the result thrown away. Which
//! user is drawn by a secret hash of the name: in a file of mixed kinds, unknown names cost what the known
//! ones cost, in the same proportions, and the same name costs the same every time.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use super::authenticator::{Authenticator, Cost, Credentials, Decision, Identity, RefuseReason};
use super::password_hash::{HashProblem, PasswordHash};
use super::scram::ScramVerifier;
use super::text_file::{self, FileError};

/// The users of a password file and their hashes. `Debug` shows neither.
pub struct PasswordFile {
    path: PathBuf,
    readable_by_others: bool,
    hashes: Vec<PasswordHash>,
    index_by_user_name: HashMap<Box<str>, usize>,
    /// Which of the hashes are verifiers of SCRAM.
    scram_verifiers: Vec<usize>,
    /// Draws the hash that an unknown user name is checked against.
    decoy_seed: RandomState,
}

/// Why a password file was not loaded.
pub type PasswordFileError = FileError<PasswordFileProblem>;

/// What is wrong with a line of a password file. Never holds a password or a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordFileProblem {
    /// The line has no colon.
    NoColon,
    /// The line begins with its colon.
    EmptyUserName,
    /// The user has a line already.
    DuplicateUser {
        /// The user.
        user_name: String,
        /// The line that came first, counted from 1.
        first_line: u32,
    },
    /// The user's hash cannot be used.
    Hash {
        /// The user.
        user_name: String,
        /// What is wrong with the hash.
        problem: HashProblem,
    },
}

impl fmt::Display for PasswordFileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => f.write_str("a line should read USER:HASH, but has no colon"),
            Self::EmptyUserName => f.write_str("a line should read USER:HASH, but the user name is empty"),
            Self::DuplicateUser { user_name, first_line } => {
                write!(f, "user {user_name:?} is on line {first_line} already; keep one of the two lines")
            }
            Self::Hash { user_name, problem } => write!(f, "user {user_name:?} {problem}"),
        }
    }
}

/// What a password file says about a user name and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The user exists and this is the password.
    Correct,
    /// The user exists and this is not the password.
    WrongPassword,
    /// There is no such user.
    UnknownUser,
}

impl PasswordFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, or any of its lines is not `user:hash` with a known kind of hash, or a
    /// user has two lines.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PasswordFileError> {
        let path = path.as_ref();
        let (bytes, readable_by_others) = text_file::read(path)?;
        let mut file = Self::parse(&bytes, path)?;
        file.readable_by_others = readable_by_others;
        Ok(file)
    }

    /// Understands `bytes` as the content of a password file; `path` is for error messages.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self, PasswordFileError> {
        let path = path.as_ref();
        let mut hashes: Vec<PasswordHash> = Vec::new();
        let mut lines = Vec::new();
        let mut index_by_user_name: HashMap<Box<str>, usize> = HashMap::new();
        text_file::for_each_line(path, bytes, |line, text| {
            let (user_name, hash) = text.split_once(':').ok_or(PasswordFileProblem::NoColon)?;
            let (user_name, hash) = (user_name.trim(), hash.trim());
            if user_name.is_empty() {
                return Err(PasswordFileProblem::EmptyUserName);
            }
            if let Some(first) = index_by_user_name.get(user_name) {
                let first_line = lines[*first];
                return Err(PasswordFileProblem::DuplicateUser {
                    user_name: user_name.to_owned(),
                    first_line,
                });
            }
            let hash = PasswordHash::parse(hash)
                .map_err(|problem| PasswordFileProblem::Hash { user_name: user_name.to_owned(), problem })?;
            index_by_user_name.insert(user_name.into(), hashes.len());
            hashes.push(hash);
            lines.push(line);
            Ok(())
        })?;
        let scram_verifiers =
            (0..hashes.len()).filter(|index| hashes[*index].scram_verifier().is_some()).collect();
        Ok(Self {
            path: path.to_owned(),
            readable_by_others: false,
            hashes,
            index_by_user_name,
            scram_verifiers,
            decoy_seed: RandomState::new(),
        })
    }

    /// Checks a password. Takes as long as the hash in the file asks for (20 ms and 19 MiB for one of ours),
    /// for unknown users as for known ones, so call it on a thread that may block.
    pub fn verify(&self, user_name: &str, password: &[u8]) -> Verdict {
        match self.hash_of(user_name) {
            Some(hash) if hash.verify(password) => Verdict::Correct,
            Some(_) => Verdict::WrongPassword,
            None => {
                if let Some(decoy) = self.decoy_for(user_name) {
                    std::hint::black_box(decoy.verify(password));
                }
                Verdict::UnknownUser
            }
        }
    }

    /// The file these users came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many users there are.
    pub fn user_count(&self) -> usize {
        self.hashes.len()
    }

    /// Whether every user of this machine could read the file when it was loaded, which deserves a warning.
    /// Always false where the operating system has no Unix permissions.
    pub fn is_readable_by_others(&self) -> bool {
        self.readable_by_others
    }

    fn hash_of(&self, user_name: &str) -> Option<&PasswordHash> {
        self.index_by_user_name.get(user_name).map(|index| &self.hashes[*index])
    }

    /// The verifier of a user, if it has one.
    pub(super) fn scram_verifier_of(&self, user_name: &str) -> Option<&ScramVerifier> {
        self.hash_of(user_name)?.scram_verifier()
    }

    /// Whether any user has one.
    pub(super) fn has_scram_verifiers(&self) -> bool {
        !self.scram_verifiers.is_empty()
    }

    /// That of the user whom this number draws.
    pub(super) fn draw_scram_verifier(&self, draw: u64) -> Option<&ScramVerifier> {
        let draw = draw.checked_rem(self.scram_verifiers.len() as u64)?;
        self.hashes[self.scram_verifiers[draw as usize]].scram_verifier()
    }

    /// The hash whose cost stands for the missing one of `user_name`; `None` in a file without users, which
    /// has nothing to hide.
    fn decoy_for(&self, user_name: &str) -> Option<&PasswordHash> {
        let draw = self.decoy_seed.hash_one(user_name).checked_rem(self.hashes.len() as u64)?;
        self.hashes.get(draw as usize)
    }
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordFile({}, {} users)", self.path.display(), self.hashes.len())
    }
}

/// Says "not mine" to Clients without a User Name and to users that the file does not have, so that another
/// authenticator may know them. A User Name without a Password is refused or passed on without any hashing,
/// which again costs the same for known and unknown users.
impl Authenticator for PasswordFile {
    fn authenticate(&self, request: &Credentials<'_>) -> Decision {
        let Some(user_name) = request.user_name() else {
            return Decision::NotMine;
        };
        let verdict = match request.password() {
            Some(password) => self.verify(user_name, password),
            None if self.index_by_user_name.contains_key(user_name) => Verdict::WrongPassword,
            None => Verdict::UnknownUser,
        };
        match verdict {
            Verdict::Correct => Decision::Allow(Identity::user(user_name)),
            Verdict::WrongPassword => Decision::Refuse(RefuseReason::BadUserNameOrPassword),
            Verdict::UnknownUser => Decision::NotMine,
        }
    }

    fn cost(&self, request: &Credentials<'_>) -> Cost {
        let has_both = request.user_name().is_some() && request.password().is_some();
        if has_both { Cost::Computing } else { Cost::Instant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: &str = "anna:$6$Xa/7+hTQ/sB56g3a$GYacnl6rsmaO6MwJCRTQc+4XAOykCNtDPicB10Yu5pIhIl2Tw36FRHMIAo+yyR077Q++bgWGfcAwoDKKFzlvgg==\n\
        boris:$7$101$Mh6Qi1c2Mm1VviYl$/RqYtTe7sEuzdUIYAJW3ax543IOKl7iLkpuFW7iEG6kBmwOUZVvW+ZO26ljA7Ki5BkSIzwxQJBaMevC4WjyM+w==\n";

    #[test]
    fn an_unknown_user_costs_what_some_user_of_the_file_costs_and_the_same_every_time() {
        let file = PasswordFile::parse(KINDS.as_bytes(), "passwd").expect("two good lines");
        let mut drawn = [0; 2];
        for number in 0..200 {
            let user_name = format!("nobody{number}");
            let decoy = file.decoy_for(&user_name).expect("the file has users");
            assert!(std::ptr::eq(decoy, file.decoy_for(&user_name).expect("the file has users")));
            drawn[usize::from(matches!(decoy, PasswordHash::Pbkdf2 { .. }))] += 1;
        }
        assert!(drawn.iter().all(|count| *count > 40), "drawn evenly: {drawn:?}");
    }

    #[test]
    fn the_password_of_the_user_whose_cost_is_borrowed_lets_no_unknown_user_in() {
        let file = PasswordFile::parse(KINDS.as_bytes(), "passwd").expect("two good lines");
        for number in 0..50 {
            let user_name = format!("nobody{number}");
            assert_eq!(file.verify(&user_name, b"correct horse"), Verdict::UnknownUser);
            assert_eq!(file.verify(&user_name, b"battery staple"), Verdict::UnknownUser);
        }
    }
}
