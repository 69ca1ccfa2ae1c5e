//! Message bodies by their place in the log, for queues that are larger than memory.
//!
//! A body is read without the frame around it, so it has a checksum of its own. Whoever asks holds a record
//! of it, so its segment is there: what is in a segment is said again before the segment is deleted, and with
//! that it has another place. Should it be gone all the same, or damaged, there is an error and no message.
//!
//! Reading does not disturb the thread that writes; any thread can have a reader of its own.

use super::record_reader::Body;
use super::{Disk, DiskFile, StoreError, segment};
use dunlin_core::journal::Segment;
use dunlin_core::message::{ApplicationMessage, MemoryGauge};
use std::collections::VecDeque;
use std::sync::Arc;

/// Files kept open.
const OPEN_FILES_MAX: usize = 8;

/// What a record takes beyond topic, properties and payload, nearly always; more is read when it does not.
const OVERHEAD_BYTES: usize = 64;

/// See the top of the file.
pub struct BodyReader<D: Disk> {
    disk: D,
    gauge: MemoryGauge,
    /// The one used last is at the back.
    open: VecDeque<(Segment, D::File)>,
}

impl<D: Disk> BodyReader<D> {
    /// A reader whose messages count for `gauge`.
    pub fn new(disk: D, gauge: MemoryGauge) -> Self {
        Self { disk, gauge, open: VecDeque::new() }
    }

    /// Reads the message at an [`ApplicationMessage::location`]. `content_bytes` says about how long topic,
    /// properties and payload are together; if that is wrong, it is read in two steps.
    pub fn read(
        &mut self,
        location: u64,
        content_bytes: usize,
    ) -> Result<Arc<ApplicationMessage>, StoreError> {
        let (segment, offset) = (Segment((location >> 32) as u32), location & u64::from(u32::MAX));
        let path = self.disk.path(&segment::name(segment));
        let damaged = |problem| StoreError::Damaged { path: path.clone(), offset, problem };
        let unreadable = |error| StoreError::Unreadable { path: path.clone(), offset, error };
        let file = self.file(segment)?;
        let rest_bytes = file.length_bytes().map_err(unreadable)?.saturating_sub(offset);
        let rest_bytes = usize::try_from(rest_bytes).unwrap_or(usize::MAX);
        let mut bytes = vec![0; (content_bytes + OVERHEAD_BYTES).min(rest_bytes)];
        file.read_at(offset, &mut bytes).map_err(unreadable)?;
        if let Err(length) = Body::read_alone(&bytes).map_err(damaged)? {
            if length > rest_bytes {
                return Err(damaged("a message is cut off"));
            }
            bytes.resize(length, 0);
            file.read_at(offset, &mut bytes).map_err(unreadable)?;
        }
        let body = Body::read_alone(&bytes).map_err(damaged)?.map_err(|_| damaged("a message is cut off"))?;
        let message = body.message(&self.gauge);
        message.set_location(location);
        Ok(message)
    }

    fn file(&mut self, segment: Segment) -> Result<&D::File, StoreError> {
        let file = match self.open.iter().position(|(open, _)| *open == segment) {
            Some(position) => self.open.remove(position),
            None => {
                let name = segment::name(segment);
                let opened = self.disk.open(&name);
                let file =
                    opened.map_err(|error| StoreError::unusable("opened", self.disk.path(&name), error))?;
                Some((segment, file))
            }
        };
        self.open.extend(file);
        if self.open.len() > OPEN_FILES_MAX {
            self.open.pop_front();
        }
        match self.open.back() {
            Some((_, file)) => Ok(file),
            None => Err(StoreError::Missing { path: self.disk.path(&segment::name(segment)) }),
        }
    }
}
