//! The verifiers of users who do not exist.
//!
//! A challenge shows the salt and the iterations of a user before anything is proven. Somebody who asks for many
//! names must not see which of them exist, however often and whenever: so an unknown name gets a salt by a keyed
//! hash, and the iterations of some user of the file. The key is kept in the data directory, because a salt that
//! changed with a restart would give its name away. Without a data directory it lives as long as the process.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use super::super::password_file::PasswordFile;
use super::verifier::{KEY_BYTES, ScramVerifier, hmac};

/// Where the key is kept, in the data directory.
const FILE: &str = "decoy-key";

/// The key by which decoys are made. Cheap to clone; says nothing about any user.
#[derive(Clone)]
pub(in crate::auth) struct DecoyKey(Arc<Zeroizing<[u8; KEY_BYTES]>>);

impl From<[u8; KEY_BYTES]> for DecoyKey {
    fn from(key: [u8; KEY_BYTES]) -> Self {
        Self(Arc::new(Zeroizing::new(key)))
    }
}

impl DecoyKey {
    /// The key in this data directory, or else that of this process. Writes nothing.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub(in crate::auth) fn load(data_dir: Option<&Path>) -> io::Result<Self> {
        static OF_THIS_PROCESS: OnceLock<DecoyKey> = OnceLock::new();
        let kept = data_dir.and_then(|data_dir| fs::read(data_dir.join(FILE)).ok());
        if let Some(key) = kept.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok()) {
            return Ok(key.into());
        }
        if let Some(key) = OF_THIS_PROCESS.get() {
            return Ok(key.clone());
        }
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        Ok(OF_THIS_PROCESS.get_or_init(|| key.into()).clone())
    }

    /// Keeps the key in the data directory, readable by its owner alone, if it is not there yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::auth) fn keep(&self, data_dir: &Path) -> io::Result<()> {
        let path = data_dir.join(FILE);
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == KEY_BYTES as u64) {
            return Ok(());
        }
        let mut file = tempfile::Builder::new().prefix(".decoy-key-").tempfile_in(data_dir)?;
        file.write_all(&**self.0)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// What stands for a user of this name; `None` for a file without verifiers.
    pub(super) fn verifier_for(&self, user_name: &str, passwords: &PasswordFile) -> Option<ScramVerifier> {
        let draw = self.hash("draw", user_name);
        let model = passwords.draw_scram_verifier(u64::from_le_bytes(*draw.first_chunk()?))?;
        let salt = [self.hash("salt", user_name), self.hash("more salt", user_name)].concat();
        let salt = &salt[..model.salt().len().min(salt.len())];
        Some(ScramVerifier::decoy(model.iterations(), salt, self.hash("key", user_name)))
    }

    fn hash(&self, purpose: &str, user_name: &str) -> [u8; KEY_BYTES] {
        hmac(&**self.0, format!("{purpose}:{user_name}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_same_after_a_restart() {
        let data_dir = tempfile::tempdir().unwrap();
        let first = DecoyKey::from([1; KEY_BYTES]);
        first.keep(data_dir.path()).unwrap();
        let second = DecoyKey::load(Some(data_dir.path())).unwrap();
        assert_eq!(second.0, first.0);
        DecoyKey::from([2; KEY_BYTES]).keep(data_dir.path()).unwrap();
        assert_eq!(DecoyKey::load(Some(data_dir.path())).unwrap().0, first.0, "a key that is there stays");
    }

    #[test]
    fn a_key_that_is_damaged_is_replaced() {
        let data_dir = tempfile::tempdir().unwrap();
        fs::write(data_dir.path().join(FILE), "short").unwrap();
        let key = DecoyKey::load(Some(data_dir.path())).unwrap();
        assert_eq!(key.0, DecoyKey::load(None).unwrap().0);
        key.keep(data_dir.path()).unwrap();
        assert_eq!(fs::read(data_dir.path().join(FILE)).unwrap(), **key.0);
    }

    #[test]
    fn unknown_users_get_the_iterations_of_some_user_in_the_proportions_of_the_file() {
        let line = |name: &str, iterations| {
            let keys = "A".repeat(43);
            format!("{name}:SCRAM-SHA-256${iterations}:W22ZaJ0SNY7soEsUEjb6gQ==${keys}=:{keys}=\n")
        };
        let text = line("anna", 4096) + &line("boris", 8192);
        let passwords = PasswordFile::parse(text.as_bytes(), "passwords").unwrap();
        let key = DecoyKey::from([3; KEY_BYTES]);
        let few = (0..200).filter(|number| {
            let decoy = key.verifier_for(&format!("nobody{number}"), &passwords).unwrap();
            assert_eq!(decoy.salt().len(), 16);
            decoy.iterations() == 4096
        });
        assert!((40..160).contains(&few.count()));
    }
}
