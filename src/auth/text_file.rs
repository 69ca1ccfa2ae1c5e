//! What the password file and the ACL file have in common: numbered lines of UTF-8, and errors that name the
//! file and the line.
//!
//! A file is read whole before its first line is judged, so that a load either gives everything or nothing.
//! The size is limited because a path in a configuration can point anywhere, also at `/dev/zero`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest file that is read: room for about half a million users.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a file was not loaded. `P` says what is wrong with a line, and what would be right.
#[derive(Debug)]
pub enum FileError<P> {
    /// The operating system does not give us the file.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file has more than 64 MiB.
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is not UTF-8.
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u32,
    },
    /// A line does not say anything we understand.
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u32,
        /// What is wrong with it.
        problem: P,
    },
}

impl<P: fmt::Display> fmt::Display for FileError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "{}: cannot be read: {source}", path.display()),
            Self::TooLarge { path } => {
                write!(f, "{}: has more than {FILE_BYTES_MAX} bytes; is it the right file?", path.display())
            }
            Self::NotUtf8 { path, line } => {
                write!(f, "{}:{line}: is not UTF-8; save the file in that encoding", path.display())
            }
            Self::Line { path, line, problem } => write!(f, "{}:{line}: {problem}", path.display()),
        }
    }
}

impl<P: fmt::Debug + fmt::Display> std::error::Error for FileError<P> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The bytes of the file, and whether users other than its owner and its group may read it.
pub(super) fn read<P>(path: &Path) -> Result<(Vec<u8>, bool), FileError<P>> {
    let read = || -> io::Result<(Vec<u8>, bool)> {
        let file = File::open(path)?;
        let readable_by_others = is_readable_by_others(&file)?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok((bytes, readable_by_others))
    };
    let (bytes, readable_by_others) =
        read().map_err(|source| FileError::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    Ok((bytes, readable_by_others))
}

/// Calls `on_line` with the number and the text of every line that is neither blank nor a comment. Blanks
/// around the text are gone.
pub(super) fn for_each_line<P>(
    path: &Path,
    bytes: &[u8],
    mut on_line: impl FnMut(u32, &str) -> Result<(), P>,
) -> Result<(), FileError<P>> {
    for (line, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(FileError::NotUtf8 { path: path.to_owned(), line });
        };
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        on_line(line, text).map_err(|problem| FileError::Line { path: path.to_owned(), line, problem })?;
    }
    Ok(())
}

#[cfg(unix)]
fn is_readable_by_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_file: &File) -> io::Result<bool> {
    Ok(false)
}
