//! The data directory: created when missing, owned by one broker at a time.
//!
//! Two brokers that share a directory would each believe to be the only writer of its files, so the first one
//! locks a file in it. The lock belongs to the process and vanishes with it, however it ends; the file itself
//! stays and means nothing.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file that is locked.
const LOCK_FILE: &str = "lock";

/// A directory that this process has for itself as long as the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be used. Prints as one sentence.
#[derive(Debug)]
pub enum DataDirError {
    /// It cannot be created or its lock file cannot be opened.
    Unusable(PathBuf, io::Error),
    /// Another broker has it.
    InUse(PathBuf),
}

impl DataDir {
    /// Creates the directory if it is missing (readable by its owner alone) and locks it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |error| DataDirError::Unusable(path.to_owned(), error);
        create(path).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

impl std::fmt::Display for DataDirError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unusable(path, error) => {
                write!(f, "the data directory {} cannot be used: {error}", path.display())
            }
            Self::InUse(path) => {
                write!(
                    f,
                    "another dunlin uses the data directory {}; choose another with --data-dir",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for DataDirError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_broker_is_told_that_the_directory_is_in_use() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/data");
        let first = DataDir::open(&path).unwrap();
        assert_eq!(first.path(), path);
        let error = DataDir::open(&path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "another dunlin uses the data directory {}; choose another with --data-dir",
                path.display()
            )
        );
    }

    #[test]
    fn a_directory_is_free_again_when_its_broker_has_ended() {
        let temporary = tempfile::tempdir().unwrap();
        drop(DataDir::open(temporary.path()).unwrap());
        DataDir::open(temporary.path()).unwrap();
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_reported() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("data");
        fs::write(&path, "").unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Unusable(..))));
    }
}
