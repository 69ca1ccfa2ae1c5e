//! Noticing that files have changed, by looking at them every so often.
//!
//! A look is a system call for each file, and it sees what inotify needs a watch for each directory along the way for:
//! a renamed file, a link that points elsewhere (an ACME client's `live/`, a Kubernetes secret), a link in between that
//! does, a network file system. A change counts once two looks in a row have seen the same, so that of files that
//! belong together, such as a certificate and its key, not one is read without the other.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The time between two looks; a change is in effect after at most two of them.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// How some files look from outside, in their order. One that cannot be looked at is told apart from one that can, no
/// more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Option<Stamp>>);

/// How one file looks, wherever links lead.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    /// How they look now.
    pub fn of<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self(paths.into_iter().map(|path| Stamp::of(path.as_ref())).collect())
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            place: (metadata.dev(), metadata.ino()),
            size_bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Files that are watched.
#[derive(Debug)]
pub(crate) struct FileWatch {
    /// How they looked before they were read.
    read: Stamps,
    /// How they looked last.
    seen: Stamps,
}

impl FileWatch {
    /// Files that looked like this before they were read: what changes meanwhile is noticed by the next look.
    pub fn new(stamps: Stamps) -> Self {
        Self { seen: stamps.clone(), read: stamps }
    }

    /// Whether they have changed since they were read, and are no longer changing. If so, the caller reads them, with
    /// whatever outcome: they are not named twice for one change.
    pub fn have_changed(&mut self, stamps: Stamps) -> bool {
        let has_settled = stamps == self.seen;
        self.seen = stamps.clone();
        if stamps == self.read || !has_settled {
            return false;
        }
        self.read = stamps;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_when_two_looks_have_seen_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, missing) = (directory.path().join("file"), directory.path().join("missing"));
        let write = |text: &str| fs::write(&file, text).expect("it can be written");
        let look = || Stamps::of([&file, &missing]);
        write("1");
        let mut watch = FileWatch::new(look());
        assert!(!watch.have_changed(look()));
        write("12");
        assert!(!watch.have_changed(look()), "it may still be changing");
        write("123");
        assert!(!watch.have_changed(look()), "it was");
        assert!(watch.have_changed(look()));
        assert!(!watch.have_changed(look()), "that is known");
        fs::rename(&file, &missing).expect("it can be renamed");
        assert!(!watch.have_changed(look()));
        assert!(watch.have_changed(look()));
    }
}
