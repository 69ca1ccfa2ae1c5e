//! The files of a log that is being written: the segment at its end, those before it, and spares.
//!
//! ```text
//!              begin: header, sync, name, sync names               close: end frame, sync
//!   spare ───────────────────────────────────────────> current ─────────────────────────> complete
//!     ^                                                                                      │
//!     └──────────────────────────── free (at most two are kept, others are deleted) <────────┘
//! ```
//!
//! A spare is allocated ahead: a full disk then shows while a segment of room is left, and what is
//! acknowledged and removed can still be written. Freed segments become spares because writing to blocks that
//! have been written before is the cheapest way to commit: the file system has nothing to note down.
//!
//! What must stay true: a segment has its header, and its name on the disk, before its first frame; it is
//! complete and synced before the next one begins. So nothing but the last segment can be torn.

use super::frame::HEADER_BYTES;
use super::reading::Findings;
use super::segment::{self, SEGMENT_HEADER_BYTES, Salt};
use super::{Disk, DiskFile, StoreError};
use dunlin_core::journal::Segment;
use std::collections::VecDeque;
use std::io;
use std::path::Path;

/// Spares that are kept when segments are freed.
const SPARES_MAX: usize = 2;

/// What went wrong, and whether it may be tried again.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing is lost: the same can be tried again when there is room.
    Retry(String),
    /// A sync failed: what it should have made durable may be lost, and no later sync would tell.
    Final(String),
}

impl Failure {
    fn retry(attempt: &str, path: &Path, error: &io::Error) -> Self {
        Self::Retry(format!("{} cannot be {attempt}: {error}", path.display()))
    }

    /// One sentence about it.
    pub fn into_reason(self) -> String {
        match self {
            Self::Retry(reason) | Self::Final(reason) => reason,
        }
    }

    fn last(path: &Path, error: &io::Error) -> Self {
        Self::Final(format!("{} could not be synced: {error}", path.display()))
    }
}

/// The segment that frames are appended to.
struct Current<F> {
    segment: Segment,
    salt: Salt,
    file: F,
    /// Where the next frame goes.
    end: u64,
    length_bytes: u64,
}

struct Spare<F> {
    name: String,
    file: F,
    length_bytes: u64,
}

/// See the top of the file.
pub(super) struct Segments<D: Disk> {
    disk: D,
    segment_bytes: u64,
    complete: VecDeque<(Segment, u64)>,
    current: Option<Current<D::File>>,
    /// The number of the newest segment; 0 before the first.
    newest: Segment,
    spares: Vec<Spare<D::File>>,
    next_spare: u32,
}

impl<D: Disk> Segments<D> {
    /// Takes up the files of a log that was read. Its last frames must be known to be synced.
    pub fn resume(disk: D, segment_bytes: u64, findings: &Findings) -> Result<Self, StoreError> {
        let mut complete: VecDeque<_> = findings.segments.iter().copied().collect();
        let mut current = None;
        if let Some(last) = &findings.last {
            let (segment, name) = (last.held.segment, segment::name(last.held.segment));
            if !last.is_complete {
                complete.pop_back();
                let file = disk
                    .open(&name)
                    .map_err(|error| StoreError::unusable("opened", disk.path(&name), error))?;
                let (end, length_bytes) = (last.end as u64, last.held.bytes.len() as u64);
                current = Some(Current { segment, salt: last.held.salt, file, end, length_bytes });
            }
        }
        let newest = findings.segments.last().map(|(segment, _)| *segment).unwrap_or_default();
        let mut segments =
            Self { disk, segment_bytes, complete, current, newest, spares: Vec::new(), next_spare: 0 };
        segments.tidy(findings)?;
        Ok(segments)
    }

    /// Removes what an interrupted deletion left, and takes up the spares.
    fn tidy(&mut self, findings: &Findings) -> Result<(), StoreError> {
        let unusable = |error| StoreError::unusable("tidied up", self.disk.path(""), error);
        for segment in &findings.leftovers {
            self.disk.remove(&segment::name(*segment)).map_err(unusable)?;
        }
        for name in self.disk.list().map_err(unusable)? {
            let Some(number) = segment::parse_spare_name(&name) else { continue };
            self.next_spare = self.next_spare.max(number.saturating_add(1));
            let file = self.disk.open(&name).map_err(unusable)?;
            let length_bytes = file.length_bytes().map_err(unusable)?;
            if length_bytes == self.segment_bytes && self.spares.len() < SPARES_MAX {
                self.spares.push(Spare { name, file, length_bytes });
            } else {
                self.disk.remove(&name).map_err(unusable)?;
            }
        }
        self.disk.sync_directory().map_err(unusable)
    }

    /// The newest segment.
    pub fn newest(&self) -> Segment {
        self.newest
    }

    /// Where the next frame goes, and the salt of that segment; none before [`Segments::begin`].
    pub fn place(&self) -> Option<(Segment, u64, Salt)> {
        self.current.as_ref().map(|current| (current.segment, current.end, current.salt))
    }

    /// Whether a frame fits behind the last one, and an end frame behind it.
    pub fn has_room(&self, frame_bytes: usize) -> bool {
        let needed = (frame_bytes + HEADER_BYTES) as u64;
        self.current.as_ref().is_some_and(|current| current.end + needed <= current.length_bytes)
    }

    /// The size of a segment.
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Bytes that the current segment has left.
    pub fn room_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.length_bytes - current.end)
    }

    /// Bytes of all segments, the last one only as far as it is written.
    pub fn total_bytes(&self) -> u64 {
        let complete: u64 = self.complete.iter().map(|(_, bytes)| bytes).sum();
        complete + self.current.as_ref().map_or(0, |current| current.end)
    }

    /// The complete segments, oldest first, with their lengths.
    pub fn complete(&self) -> impl Iterator<Item = (Segment, u64)> {
        self.complete.iter().copied()
    }

    /// Appends a frame, for which there is room.
    pub fn append(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let Some(current) = &mut self.current else {
            return Err(Failure::Retry("no segment was begun".into()));
        };
        current.file.write_at(current.end, frame).map_err(|error| {
            Failure::retry("written", &self.disk.path(&segment::name(current.segment)), &error)
        })?;
        current.end += frame.len() as u64;
        Ok(())
    }

    /// Makes everything that was appended durable.
    pub fn sync(&mut self) -> Result<(), Failure> {
        let Some(current) = &self.current else { return Ok(()) };
        current
            .file
            .sync_data()
            .map_err(|error| Failure::last(&self.disk.path(&segment::name(current.segment)), &error))
    }

    /// The newest segment is complete: its end frame was appended, and everything synced.
    pub fn close(&mut self) {
        self.complete.extend(self.current.take().map(|current| (current.segment, current.length_bytes)));
    }

    /// Begins the next segment, with room for a frame of this size at least.
    pub fn begin(&mut self, frame_bytes: usize) -> Result<(), Failure> {
        let needed = (SEGMENT_HEADER_BYTES + frame_bytes + HEADER_BYTES) as u64;
        // A frame that is larger than a segment has one of its own.
        let spare = match self.spares.iter().position(|spare| spare.length_bytes >= needed) {
            Some(position) => self.spares.swap_remove(position),
            None => self.create(needed.max(self.segment_bytes))?,
        };
        let (next, salt) = (Segment(self.newest.0 + 1), Salt::random());
        let header = segment::header(next, salt);
        let path = self.disk.path(&spare.name);
        if let Err(error) = spare.file.write_at(0, &header) {
            self.spares.push(spare);
            return Err(Failure::retry("written", &path, &error));
        }
        spare.file.sync_data().map_err(|error| Failure::last(&path, &error))?;
        if let Err(error) = self.disk.rename(&spare.name, &segment::name(next)) {
            self.spares.push(spare);
            return Err(Failure::retry("renamed", &path, &error));
        }
        self.sync_names()?;
        let (file, end, length_bytes) = (spare.file, header.len() as u64, spare.length_bytes);
        self.newest = next;
        self.current = Some(Current { segment: next, salt, file, end, length_bytes });
        Ok(())
    }

    /// Allocates a spare, if there is none.
    pub fn keep_spare(&mut self) -> Result<(), Failure> {
        if self.spares.is_empty() {
            let spare = self.create(self.segment_bytes)?;
            self.spares.push(spare);
        }
        Ok(())
    }

    fn create(&mut self, length_bytes: u64) -> Result<Spare<D::File>, Failure> {
        let name = segment::spare_name(self.next_spare);
        let file = self
            .disk
            .create(&name, length_bytes)
            .map_err(|error| Failure::retry("allocated", &self.disk.path(&name), &error))?;
        self.next_spare += 1;
        Ok(Spare { name, file, length_bytes })
    }

    /// Forgets the segments before this one. That the log begins with it must be durable. Gives the bytes
    /// that were freed.
    pub fn free(&mut self, before: Segment) -> Result<u64, Failure> {
        let mut freed_bytes = 0;
        while let Some((oldest, bytes)) = self.complete.front().copied().filter(|(it, _)| *it < before) {
            let name = segment::name(oldest);
            let is_kept = bytes == self.segment_bytes && self.spares.len() < SPARES_MAX;
            let freed = if is_kept { self.recycle(&name) } else { self.disk.remove(&name) };
            if freed.is_err() {
                // It takes up room until the next pass, or the next start, tries again.
                break;
            }
            self.complete.pop_front();
            freed_bytes += bytes;
        }
        // Before this is durable, a spare must not be written to: it may still bear its old name.
        self.sync_names()?;
        Ok(freed_bytes)
    }

    fn recycle(&mut self, segment: &str) -> io::Result<()> {
        let file = self.disk.open(segment)?;
        let name = segment::spare_name(self.next_spare);
        self.disk.rename(segment, &name)?;
        self.next_spare += 1;
        self.spares.push(Spare { name, file, length_bytes: self.segment_bytes });
        Ok(())
    }

    fn sync_names(&self) -> Result<(), Failure> {
        self.disk.sync_directory().map_err(|error| Failure::last(&self.disk.path(""), &error))
    }
}
