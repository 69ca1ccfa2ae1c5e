//! Replacing a small file as a whole.
//!
//! A broker may read it at any moment, and the machine may fail at any moment, so the new content is written to a file
//! beside it, synced, and renamed into its place: there is the old file or the new one, never a part. The owner stays
//! who it was; of a file that is new, it is who owns the directory, because `root` makes files for the user of the
//! service.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

/// Who may read the file afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its owner alone (0600).
    OwnerAlone,
    /// Who could before; if it is new, its owner alone.
    Keep,
}

/// Puts `content` into the place of the file at `path`. A link stays a link: what it leads to is replaced.
///
/// # Errors
/// When it cannot be written, or would change its owner; then the old file stays as it was.
pub fn replace(path: &Path, content: &[u8], mode: Mode) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        other => other?,
    };
    let directory = File::open(directory_of(&path))?;
    let old = match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        other => Some(other?),
    };
    // Its mode is 0600.
    let mut file = tempfile::Builder::new().prefix(".dunlin-").tempfile_in(directory_of(&path))?;
    file.write_all(content)?;
    match &old {
        Some(old) => give_to(file.as_file(), old)?,
        // Whoever may not give it away keeps it.
        None => drop(give_to(file.as_file(), &directory.metadata()?)),
    }
    if let (Some(old), Mode::Keep) = (&old, mode) {
        // What its group could do is not for another group.
        let kept = if file.as_file().metadata()?.gid() == old.gid() { 0o777 } else { 0o707 };
        file.as_file().set_permissions(Permissions::from_mode(old.permissions().mode() & kept))?;
    }
    file.as_file().sync_all()?;
    file.persist(&path)?;
    // The name is as durable as the content.
    directory.sync_all()
}

/// The directory that a path is in.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    }
}

/// Makes `file` belong to whom `model` belongs to.
fn give_to(file: &File, model: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (model.uid(), model.gid()) {
        return Ok(());
    }
    match fchown(file, Some(model.uid()), Some(model.gid())) {
        // The group may do nothing with a file of this mode.
        Err(_) if own.uid() == model.uid() => Ok(()),
        Err(_) => Err(io::Error::new(
            ErrorKind::PermissionDenied,
            "it belongs to another user, and only that user or root can replace it",
        )),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_mode_if_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace(&path, b"1", Mode::Keep).unwrap();
        assert_eq!((mode_of(&path), &*fs::read(&path).unwrap()), (0o600, &b"1"[..]));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"2", Mode::Keep).unwrap();
        assert_eq!((mode_of(&path), &*fs::read(&path).unwrap()), (0o644, &b"2"[..]));
        replace(&path, b"3", Mode::OwnerAlone).unwrap();
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&path, "old").unwrap();
        symlink(&path, &link).unwrap();
        replace(&link, b"new", Mode::Keep).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
