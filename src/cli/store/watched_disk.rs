//! A disk whose user sees how much of it was read: for commands that read a whole store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use dunlin_store::{Disk, DiskFile};

use crate::progress::Progress;

/// See the top of the file. All files that were there at the start count once.
pub(super) struct WatchedDisk<D> {
    disk: D,
    progress: Arc<Progress>,
}

/// A file of it.
pub(super) struct WatchedFile<F> {
    file: F,
    progress: Arc<Progress>,
}

impl<D: Disk> WatchedDisk<D> {
    pub fn new(disk: D) -> Self {
        // What cannot be listed or opened now fails again where it is told.
        let names = disk.list().unwrap_or_default();
        let lengths =
            names.iter().filter_map(|name| disk.open(name).and_then(|file| file.length_bytes()).ok());
        let progress = Arc::new(Progress::of_bytes(lengths.sum()));
        Self { disk, progress }
    }
}

impl<D: Disk> Disk for WatchedDisk<D> {
    type File = WatchedFile<D::File>;

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str, length_bytes: u64) -> io::Result<Self::File> {
        let file = self.disk.create(name, length_bytes)?;
        Ok(WatchedFile { file, progress: Arc::clone(&self.progress) })
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        let file = self.disk.open(name)?;
        Ok(WatchedFile { file, progress: Arc::clone(&self.progress) })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

impl<F: DiskFile> DiskFile for WatchedFile<F> {
    fn length_bytes(&self) -> io::Result<u64> {
        self.file.length_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)?;
        self.progress.add(buffer.len() as u64);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
