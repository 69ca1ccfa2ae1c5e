//! A password file as lines to be edited: what `dunlin passwd` changes of it.
//!
//! Everything that does not concern the user stays as it is, byte for byte: comments, blank lines, other users,
//! and even lines that nobody understands, or a broken file could not be mended.
//!
//! The new text replaces the file as a whole (`whole_file.rs`) and is its owner's alone. Two editors at once wait for
//! each other, or one of them would undo what the other has done.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::password_file::PasswordFileError;
use super::text_file::{self, FileError};
use crate::whole_file::{self, directory_of};

/// A password file that is being edited. Nothing is changed before [`save`](Self::save).
pub struct PasswordLines {
    path: PathBuf,
    /// The directory of the file, locked while this value lives.
    _directory: File,
    text: Zeroizing<Vec<u8>>,
    exists: bool,
}

impl PasswordLines {
    /// Opens the file at `path`; one that is missing has no lines.
    ///
    /// # Errors
    /// When the file, or the directory it should be in, cannot be read.
    pub fn open(path: &Path) -> Result<Self, PasswordFileError> {
        let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
        // A link stays a link: it is the file behind it that is replaced.
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(unreadable(error)),
        };
        let directory = File::open(directory_of(&path)).map_err(unreadable)?;
        // Where a file system has no locks, one editor at a time is the operator's business.
        let _ = directory.lock();
        let exists = match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(unreadable(io::Error::other("it is not a regular file")));
            }
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(unreadable(error)),
        };
        let text = if exists { text_file::read(&path)?.0 } else { Vec::new() };
        Ok(Self { path, _directory: directory, text: Zeroizing::new(text), exists })
    }

    /// Whether the file is there already.
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// What the file says now, with the edits.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The users, in the order of the file.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.lines().filter_map(user_of)
    }

    /// The hash that a user has, if it is there.
    pub fn hash_of(&self, user_name: &str) -> Option<&str> {
        let line = self.lines().find(|line| user_of(line) == Some(user_name))?;
        let (_, hash) = std::str::from_utf8(line).ok()?.split_once(':')?;
        Some(hash.trim())
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split_inclusive(|byte| *byte == b'\n')
    }

    /// Gives a user this hash, in the place of the line it has or at the end. Returns whether it had one.
    pub fn set(&mut self, user_name: &str, hash: &str) -> bool {
        let line = format!("{user_name}:{hash}\n");
        self.replace(user_name, Some(&line))
    }

    /// Removes a user. Returns whether it was there.
    pub fn remove(&mut self, user_name: &str) -> bool {
        self.replace(user_name, None)
    }

    /// Puts `new` in the place of the user's first line; further lines of the user, which no broker would load, go.
    fn replace(&mut self, user_name: &str, mut new: Option<&str>) -> bool {
        let mut text = Zeroizing::new(Vec::with_capacity(self.text.len() + new.map_or(0, str::len) + 1));
        let mut was_there = false;
        for line in self.lines() {
            if user_of(line) == Some(user_name) {
                was_there = true;
                text.extend_from_slice(new.take().unwrap_or_default().as_bytes());
            } else {
                text.extend_from_slice(line);
            }
        }
        if let Some(new) = new {
            if text.last().is_some_and(|byte| *byte != b'\n') {
                text.push(b'\n');
            }
            text.extend_from_slice(new.as_bytes());
        }
        self.text = text;
        was_there
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written, or would change its owner; then the old file stays as it was.
    pub fn save(self) -> io::Result<()> {
        whole_file::replace(&self.path, &self.text, whole_file::Mode::OwnerAlone)
    }
}

/// What is wrong with a user name that is to have a line in a password file, if anything is.
pub fn user_name_problem(user_name: &str) -> Option<&'static str> {
    if user_name.is_empty() {
        Some("is empty")
    } else if user_name.contains(':') {
        Some("has a colon, which ends the name in a password file")
    } else if user_name.chars().any(char::is_control) {
        Some("has a line break or another control character")
    } else if user_name.trim() != user_name {
        Some("begins or ends with a blank, which a password file ignores")
    } else if user_name.starts_with('#') {
        Some("begins with #, as comments do in a password file")
    } else {
        None
    }
}

/// The user that a line is about.
fn user_of(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let (user_name, _) = line.split_once(':')?;
    (!line.starts_with('#')).then(|| user_name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, edit: impl FnOnce(&mut PasswordLines)) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwords");
        fs::write(&path, text).unwrap();
        let mut lines = PasswordLines::open(&path).unwrap();
        edit(&mut lines);
        lines.save().unwrap();
        fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn a_new_user_comes_last_on_a_line_of_its_own() {
        assert_eq!(edited("", |lines| assert!(!lines.set("a", "1"))), "a:1\n");
        assert_eq!(edited("# x\nb:2", |lines| assert!(!lines.set("a", "1"))), "# x\nb:2\na:1\n");
    }

    #[test]
    fn a_known_user_keeps_its_place_and_everything_else_stays_as_it_is() {
        let text = "# a:comment\r\n\r\nab:0\r\n  a : old\r\nnonsense\n#a:1";
        let expected = "# a:comment\r\n\r\nab:0\r\na:new\nnonsense\n#a:1";
        assert_eq!(edited(text, |lines| assert!(lines.set("a", "new"))), expected);
    }

    #[test]
    fn of_a_user_with_two_lines_one_is_left_or_none() {
        let text = "a:1\nb:2\na:3\n";
        assert_eq!(edited(text, |lines| assert!(lines.set("a", "4"))), "a:4\nb:2\n");
        assert_eq!(edited(text, |lines| assert!(lines.remove("a"))), "b:2\n");
    }

    #[test]
    fn nothing_is_removed_of_others() {
        let text = "ab:1\nA:2\n# a:3\n";
        assert_eq!(edited(text, |lines| assert!(!lines.remove("a"))), text);
    }

    #[cfg(unix)]
    #[test]
    fn the_new_file_is_its_owners_alone_and_a_link_to_it_stays_a_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("passwords"), directory.path().join("link"));
        fs::write(&path, "a:1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&path, &link).unwrap();
        let mut lines = PasswordLines::open(&link).unwrap();
        lines.set("b", "2");
        lines.save().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a:1\nb:2\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn editors_wait_for_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwords");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let mut lines = PasswordLines::open(path).unwrap();
                    lines.set(&format!("user{number}"), "1");
                    lines.save().unwrap();
                });
            }
        });
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 8);
    }

    #[test]
    fn a_name_that_would_not_be_read_back_as_it_is_is_no_user_name() {
        for bad in ["", "a:b", "a\nb", "a\rb", "a\0", " a", "a\t", "#a"] {
            assert!(user_name_problem(bad).is_some(), "{bad:?}");
        }
        for good in ["a", "a b", "a#b", "Zoë", "a/b", "a,b=c", "$a"] {
            assert_eq!(user_name_problem(good), None, "{good:?}");
        }
    }
}
