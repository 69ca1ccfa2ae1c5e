//! Why a store cannot be opened or read. Each prints as one sentence that names the file and says what to do.
//!
//! A store that is damaged is not opened: whoever started a broker on it would silently lose what is behind
//! the damage. `dunlin store salvage` takes out what is whole, when its owner has decided so.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// See the top of the file.
#[derive(Debug)]
pub enum StoreError {
    /// A file or the directory cannot be used.
    Unusable {
        /// What was tried: `opened`, `created`, ...
        attempt: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The first segment cannot be begun, for this reason.
    NotBegun(String),
    /// Bytes cannot be read.
    Unreadable {
        /// From which file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What the system says.
        error: io::Error,
    },
    /// Bytes that were durable are not what was written.
    Damaged {
        /// In which file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// A segment between others is not there.
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A later version of Dunlin wrote it.
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format version.
        version: u16,
    },
}

impl StoreError {
    pub(super) fn unusable(attempt: &'static str, path: PathBuf, error: io::Error) -> Self {
        Self::Unusable { attempt, path, error }
    }
}

/// What to do about a store that is not whole.
const ADVICE: &str = "restore a backup, or take out what is whole with `dunlin store salvage`";

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { attempt, path, error } => {
                write!(f, "{} of the store cannot be {attempt}: {error}", path.display())
            }
            Self::NotBegun(reason) => write!(f, "the store cannot be begun: {reason}"),
            Self::Unreadable { path, offset, error } => write!(
                f,
                "the store cannot be read at byte {offset} of {}: {error}; {ADVICE}",
                path.display()
            ),
            Self::Damaged { path, offset, problem } => {
                write!(f, "the store is damaged at byte {offset} of {}: {problem}; {ADVICE}", path.display())
            }
            Self::Missing { path } => {
                write!(f, "the store is damaged: {} is missing; {ADVICE}", path.display())
            }
            Self::Newer { path, version } => write!(
                f,
                "{} was written by a newer Dunlin (format {version}); use that version, or a backup from before",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StoreError {}
