//! The seam to the file system: all that the log asks of a disk, and the disk of the operating system.
//!
//! The log knows one flat directory of files that are as large from the beginning as they will ever be.
//! Behind this trait the tests put a disk that loses and tears what was not synced, and that fails.
//!
//! What a [`Disk`] promises is what POSIX promises, no more: bytes are durable after `sync_data`, names after
//! `sync_directory`, and whatever was not synced may or may not be there after a power cut, in any
//! combination.

use super::{LOG_DIRECTORY, Opened, StoreError, StoreOptions, open};
use dunlin_core::Timestamp;
use dunlin_core::message::MemoryGauge;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A directory of files.
pub trait Disk: Send + 'static {
    /// An open file of it.
    type File: DiskFile;

    /// The names of its files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A new file of so many bytes, all of them zero, whose blocks are allocated.
    fn create(&self, name: &str, length_bytes: u64) -> io::Result<Self::File>;
    /// A file that exists.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// What the user knows a file by; the directory itself without a name.
    fn path(&self, name: &str) -> PathBuf;
}

/// An open file.
pub trait DiskFile: Send {
    /// Its length in bytes.
    fn length_bytes(&self) -> io::Result<u64>;
    /// Fills the buffer with the bytes from `offset` on; an error if there are not so many.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all the bytes at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable, the length included.
    fn sync_data(&self) -> io::Result<()>;
}

/// A directory of the operating system.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    is_writable: bool,
}

impl RealDisk {
    /// The directory, which is created if it is missing, readable by its owner alone.
    pub fn create(directory: &Path) -> io::Result<Self> {
        if !directory.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            // A directory is a name in its parent, and all is gone without it. The data directory above may
            // be new as well.
            let mut above = directory.ancestors().skip(1).map(|path| match path.as_os_str().is_empty() {
                true => Path::new("."),
                false => path,
            });
            above.by_ref().take(1).try_for_each(|parent| File::open(parent)?.sync_all())?;
            if let Some(Ok(grandparent)) = above.next().map(File::open) {
                grandparent.sync_all()?;
            }
        }
        Ok(Self { directory: directory.to_owned(), is_writable: true })
    }

    /// A directory that exists, and in which nothing is changed.
    pub fn read_only(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), is_writable: false }
    }

    /// The log in a data directory, or the place for one.
    pub fn of_broker(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(LOG_DIRECTORY);
        Self::create(&path).map_err(|error| StoreError::unusable("created", path, error))
    }

    /// Reads the log on it, to go on with it.
    pub fn open_log(
        self,
        options: StoreOptions,
        gauges: &[MemoryGauge],
        now: Timestamp,
    ) -> Result<Opened<Self>, StoreError> {
        open(self, options, gauges, now)
    }

    /// The log in a data directory, to be read.
    pub fn of_reader(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(LOG_DIRECTORY);
        if path.is_dir() {
            return Ok(Self::read_only(&path));
        }
        let error = io::Error::new(io::ErrorKind::NotFound, "there is no such directory");
        Err(StoreError::unusable("opened", path, error))
    }

    /// The place of a log in a data directory that has none.
    pub fn of_copy(data_dir: &Path) -> Result<Self, StoreError> {
        let disk = Self::of_broker(data_dir)?;
        let refused = match disk.list() {
            Ok(names) if names.is_empty() => return Ok(disk),
            Ok(_) => io::Error::new(io::ErrorKind::AlreadyExists, "it is not empty"),
            Err(error) => error,
        };
        Err(StoreError::unusable("created", disk.directory, refused))
    }
}

impl Disk for RealDisk {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            // What is not text is not one of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str, length_bytes: u64) -> io::Result<File> {
        let path = self.path(name);
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let allocated = allocate(&file, length_bytes);
        if allocated.is_err() {
            // Half of it would only take the room that is missing.
            let _ = fs::remove_file(&path);
        }
        allocated.map(|()| file)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        File::options().read(true).write(self.is_writable).open(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.directory.clone() } else { self.directory.join(name) }
    }
}

/// Reserves the blocks, without writing them: zeros would only wear out flash memory.
fn allocate(file: &File, length_bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, length_bytes) {
        Ok(()) => Ok(()),
        // A file system that cannot reserve says so when a block is written.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(length_bytes),
        Err(error) => Err(error.into()),
    }
}

impl DiskFile for File {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
