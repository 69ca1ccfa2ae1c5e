//! Bodies of messages, read back from the log for those that wait in long queues.
//!
//! A thread of its own, so that neither the log nor a worker waits for a disk that is busy. What it is asked
//! for is durable and is not vacated while the question is open: a shard does not say that it has vacated a
//! segment before it has its answers.
//!
//! A read that panics is one that fails: it is tried again for a while, and then that message alone counts as
//! lost. Whoever asked needs an answer, or would deliver nothing more and no segment could be vacated.
//!
//! Messages that were queued one after the other stand one after the other in the log, so most of an answer
//! comes from one read.

use super::record_reader::Body;
use super::segment;
use super::{Disk, DiskFile};
use dunlin_core::identity::ShardId;
use dunlin_core::journal::Segment;
use dunlin_core::message::{ApplicationMessage, MemoryGauge};
use dunlin_core::session::Place;
use dunlin_core::shard::Holder;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Bytes read at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// What the record of a body takes at the most beyond its content.
const OVERHEAD_BYTES: usize = 80;

/// Segment files that are kept open.
const FILES_MAX: usize = 8;

/// How long a read that fails is tried again before the message counts as lost, and how often. Many errors
/// pass: too many open files, a disk that is being plugged in again.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What was read: each message by its place, or none if it cannot be read any more.
pub type Loaded = Vec<(u64, Option<ApplicationMessage>)>;

/// How shards ask.
#[derive(Clone)]
pub struct LoaderHandle(Sender<Request>);

struct Request {
    shard: ShardId,
    holder: Holder,
    places: Vec<Place>,
}

impl LoaderHandle {
    /// Reads messages that wait for somebody of a shard.
    pub fn load(&self, shard: ShardId, holder: Holder, places: Vec<Place>) {
        // The thread listens for as long as there is a handle.
        let _ = self.0.send(Request { shard, holder, places });
    }
}

/// Starts the thread, which ends with the last handle. `tell` carries the answers; the bytes of the messages
/// count for the gauge of the shard that asks.
pub fn start<D: Disk>(
    disk: D,
    gauges: Vec<MemoryGauge>,
    tell: impl Fn(ShardId, Holder, Loaded) + Send + 'static,
) -> io::Result<LoaderHandle> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("dunlin-loader".into()).spawn(move || {
        let mut loader = Loader::default();
        let mut postponed: VecDeque<(Request, Instant)> = VecDeque::new();
        loop {
            let received = match postponed.is_empty() {
                true => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => receiver.recv_timeout(RETRY_INTERVAL),
            };
            let due: Vec<_> = match received {
                Ok(request) => vec![(request, Instant::now())],
                Err(RecvTimeoutError::Timeout) => postponed.drain(..).collect(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            for (request, since) in due {
                let nobody = MemoryGauge::default();
                let gauge = gauges.get(usize::from(request.shard)).unwrap_or(&nobody);
                let is_last = since.elapsed() > PATIENCE;
                match loader.answer(&disk, &request.places, gauge, is_last) {
                    Some(loaded) => tell(request.shard, request.holder, loaded),
                    None => postponed.push_back((request, since)),
                }
            }
        }
    })?;
    Ok(LoaderHandle(sender))
}

/// Reads bodies by their location.
pub(super) struct Loader<F> {
    files: VecDeque<(Segment, F)>,
    /// What was read last: where it begins, and the bytes.
    window: (u64, Vec<u8>),
}

impl<F> Default for Loader<F> {
    fn default() -> Self {
        Self { files: VecDeque::new(), window: (0, Vec::new()) }
    }
}

impl<F: DiskFile> Loader<F> {
    /// The log may have grown since.
    pub fn forget_window(&mut self) {
        self.window.1.clear();
    }

    /// The messages at these places; none at all if one of them may be read later.
    pub(super) fn answer(
        &mut self,
        disk: &impl Disk<File = F>,
        places: &[Place],
        gauge: &MemoryGauge,
        is_last_try: bool,
    ) -> Option<Loaded> {
        self.forget_window();
        let mut loaded = Loaded::with_capacity(places.len());
        for place in places {
            let message = match self.read_place(disk, place, gauge) {
                Ok(message) => Some(message),
                Err(error) => {
                    let file = disk.path(&segment::name(segment_of(place.location)));
                    let offset = place.location as u32;
                    if may_pass(&error) && !is_last_try {
                        tracing::warn!(?file, offset, %error, "messages that wait cannot be read from the store; tried again");
                        return None;
                    }
                    tracing::error!(?file, offset, %error, "a message that waits cannot be read from the store: it is lost");
                    None
                }
            };
            loaded.push((place.order, message));
        }
        Some(loaded)
    }

    /// The same as [`Loader::read`]; a panic is an error.
    fn read_place(
        &mut self,
        disk: &impl Disk<File = F>,
        place: &Place,
        gauge: &MemoryGauge,
    ) -> io::Result<ApplicationMessage> {
        let read = || self.read(disk, place.location, place.content_bytes, gauge);
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
            // It may have been in the midst of a change.
            *self = Self::default();
            Err(io::Error::other("reading it panicked; please report this"))
        })
    }

    /// The message whose body is there.
    pub fn read(
        &mut self,
        disk: &impl Disk<File = F>,
        location: u64,
        content_bytes: usize,
        gauge: &MemoryGauge,
    ) -> io::Result<ApplicationMessage> {
        let bytes = self.bytes_at(disk, location, content_bytes + OVERHEAD_BYTES)?;
        let body =
            Body::alone(bytes).map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))?;
        let message = body.message(gauge);
        message.set_location(location);
        Ok(message)
    }

    /// At least so many bytes from there on, or all that the segment has.
    fn bytes_at(&mut self, disk: &impl Disk<File = F>, location: u64, count: usize) -> io::Result<&[u8]> {
        let (start, bytes) = &self.window;
        let is_held = location.checked_sub(*start).is_some_and(|skip| skip as usize + count <= bytes.len());
        if !is_held {
            let offset = u64::from(location as u32);
            let mut window = std::mem::take(&mut self.window.1);
            let file = self.file(disk, segment_of(location))?;
            let left = file.length_bytes()?.saturating_sub(offset);
            window.resize(WINDOW_BYTES.max(count).min(usize::try_from(left).unwrap_or(usize::MAX)), 0);
            let read = file.read_at(offset, &mut window);
            self.window = (location, window);
            if let Err(error) = read {
                self.forget_window();
                return Err(error);
            }
        }
        let skip = (location - self.window.0) as usize;
        Ok(self.window.1.get(skip..).unwrap_or_default())
    }

    fn file(&mut self, disk: &impl Disk<File = F>, segment: Segment) -> io::Result<&F> {
        if !self.files.iter().any(|(held, _)| *held == segment) {
            let file = disk.open(&segment::name(segment))?;
            if self.files.len() == FILES_MAX {
                self.files.pop_front();
            }
            self.files.push_back((segment, file));
        }
        let found = self.files.iter().find(|(held, _)| *held == segment);
        found.map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Whether an error says something about the moment, and not about what is on the disk.
fn may_pass(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
    )
}

fn segment_of(location: u64) -> Segment {
    Segment((location >> 32) as u32)
}
