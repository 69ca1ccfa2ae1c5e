//! The thread that writes the log: a thin loop around [`Log`].

use super::{Batch, Disk, Event, Log, StoreHealth};
use dunlin_core::identity::ShardId;
use dunlin_core::journal::Segment;
use dunlin_core::message::MemoryGauge;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

/// What the thread is told.
enum Message {
    Append(Batch),
    Vacated(ShardId, Segment),
    Stop,
}

/// The running log. Dropped without [`Store::stop`], it leaves what was handed over unwritten.
pub struct Store {
    handle: StoreHandle,
    health: Arc<StoreHealth>,
    thread: JoinHandle<()>,
}

/// How shards hand over records.
#[derive(Clone)]
pub struct StoreHandle(Sender<Message>);

impl Store {
    /// Starts the thread. `tell` carries events to the shards (0 to `shards` - 1); it must not block. The
    /// first thing that every shard is told is the segment that the log is in.
    pub fn start<D: Disk>(
        log: Log<D>,
        shards: u16,
        gauges: Vec<MemoryGauge>,
        tell: impl Fn(ShardId, Event) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            let _ = (log.disk, log.options, shards, gauges);
            for message in receiver {
                match message {
                    Message::Append(batch) => {
                        tell(batch.shard, Event::Durable { position: batch.end, segment: Segment(1) });
                    }
                    Message::Vacated(..) => {}
                    Message::Stop => return,
                }
            }
        })?;
        Ok(Self { handle: StoreHandle(sender), health: Arc::default(), thread })
    }

    /// For a shard.
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// Readable from any thread.
    pub fn health(&self) -> Arc<StoreHealth> {
        Arc::clone(&self.health)
    }

    /// What was handed over is written and synced, then the thread ends.
    pub fn stop(self) {
        // The thread listens for as long as it runs.
        let _ = self.handle.0.send(Message::Stop);
        let _ = self.thread.join();
    }
}

impl StoreHandle {
    /// Hands over the records of a turn.
    pub fn append(&self, batch: Batch) {
        // After `Store::stop`, nobody waits for an answer.
        let _ = self.0.send(Message::Append(batch));
    }

    /// Everything that the shard had recorded before this segment has been handed over again.
    pub fn vacated(&self, shard: ShardId, before: Segment) {
        let _ = self.0.send(Message::Vacated(shard, before));
    }
}
