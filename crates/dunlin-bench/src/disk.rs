//! Where brokers keep their data during a comparison, and what that disk can do.
//!
//! A figure of durability means nothing without its disk, so every report names the file system and how often
//! it commits. Memory that looks like a disk is refused. Each broker gets a directory of its own below this
//! one and takes it along when it ends; what a killed generator leaves behind is called `dunlin-bench-*`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tempfile::TempDir;

use crate::Error;
use crate::commits::{CommitFigures, Preparation, RawLoop};

/// File systems that keep everything in memory.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
/// What the directories of brokers are called, up to a random end.
const PREFIX: &str = "dunlin-bench-";
/// The unit of `st_blocks`, whatever the file system's own is.
const BLOCK_BYTES: u64 = 512;

/// A directory on a disk, for the time of a comparison.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    file_system: FileSystem,
    created: bool,
}

/// A disk as a report names it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiskFigures {
    /// The file system and its device.
    pub file_system: FileSystem,
    /// Commits of one record after the other.
    pub commits: CommitFigures,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSystem {
    /// Its type, such as `ext4`.
    pub kind: String,
    /// Its device.
    pub device: String,
}

impl Disk {
    /// The disk that holds this directory, which is created when it is missing.
    ///
    /// # Errors
    /// When it cannot be created, or is in memory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = || Error::io(format!("use the directory {}", path.display()));
        let created = !path.exists();
        fs::create_dir_all(path).map_err(failed())?;
        let path = fs::canonicalize(path).map_err(failed())?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(Error::io("read the mounts"))?;
        let file_system = file_system_of(&mounts, &path)
            .ok_or_else(|| Error::Usage(format!("no file system is known for {}", path.display())))?;
        let disk = Self { path, file_system, created };
        if IN_MEMORY.contains(&disk.file_system.kind.as_str()) {
            let (path, kind) = (disk.path.display(), &disk.file_system.kind);
            return Err(Error::Usage(format!(
                "{path} is on {kind}, which is memory; name a --data-dir on a disk"
            )));
        }
        Ok(disk)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Commits one record after the other for a second.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn measure(&self) -> Result<DiskFigures, Error> {
        let raw_loop = RawLoop {
            directory: self.path.clone(),
            record_bytes: 256,
            batch: 1,
            duration: Duration::from_secs(1),
            preparation: Preparation::Written,
        };
        Ok(DiskFigures { file_system: self.file_system.clone(), commits: raw_loop.run()? })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.created {
            // It stays when somebody else has put something there.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// A directory below `parent` that is removed with this value.
pub(crate) fn directory_below(parent: &Path) -> Result<TempDir, Error> {
    let created = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent);
    created.map_err(Error::io(format!("create a directory in {}", parent.display())))
}

/// The space that the files below a directory take on their disk.
pub(crate) fn space_of(directory: &Path) -> Result<u64, Error> {
    let failed = || Error::io(format!("read {}", directory.display()));
    let mut space_bytes = 0;
    for entry in fs::read_dir(directory).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        // A file that was just removed takes no space.
        let Ok(metadata) = entry.metadata() else { continue };
        space_bytes += match metadata.is_dir() {
            true => space_of(&entry.path())?,
            false => metadata.blocks() * BLOCK_BYTES,
        };
    }
    Ok(space_bytes)
}

/// The file system of the longest mount point above `path`, in `/proc/self/mountinfo`: fields 5, and the
/// first two after the hyphen.
fn file_system_of(mounts: &str, path: &Path) -> Option<FileSystem> {
    let mounted = mounts.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let point = Path::new(mount.split(' ').nth(4)?);
        let mut source = source.split(' ');
        let file_system = FileSystem { kind: source.next()?.to_owned(), device: source.next()?.to_owned() };
        path.starts_with(point).then(|| (point.components().count(), file_system))
    });
    // Of two on the same point, the later one hides the earlier.
    mounted.max_by_key(|&(length, _)| length).map(|(_, file_system)| file_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 27 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:22 / /data rw - xfs /dev/vdb rw
24 22 0:23 / /dev/shm rw - tmpfs tmpfs rw
25 22 0:24 / /data rw - btrfs /dev/vdc rw
";

    #[test]
    fn a_directory_is_on_the_file_system_mounted_last_on_the_nearest_point_above_it() {
        let of = |path: &str| file_system_of(MOUNTS, Path::new(path)).unwrap().kind;
        assert_eq!(of("/home/me"), "ext4");
        assert_eq!(of("/data/me"), "btrfs");
        assert_eq!(of("/database"), "ext4");
    }

    #[test]
    fn memory_is_no_disk() {
        let shared_memory = Path::new("/dev/shm");
        if !shared_memory.exists() {
            return;
        }
        let error = Disk::open(shared_memory).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }

    #[test]
    fn space_counts_files_at_every_depth_and_a_directory_goes_with_its_value() {
        let root = tempfile::tempdir().unwrap();
        let directory = directory_below(root.path()).unwrap();
        fs::create_dir(directory.path().join("a")).unwrap();
        fs::write(directory.path().join("a/b"), [1; 10_000]).unwrap();
        assert!(space_of(root.path()).unwrap() >= 10_000);
        drop(directory);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
