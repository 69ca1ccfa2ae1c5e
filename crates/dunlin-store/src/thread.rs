//! The thread that writes the log: a thin loop around [`Log`].
//!
//! It takes one batch, then whatever else has come, and commits them together. Under load commits thus grow
//! by themselves; alone, a batch waits for nobody unless `commit_delay` says so.
//!
//! If the thread panics, the log has failed like one that cannot be synced, and everybody is told: shards would
//! otherwise wait for ever for what nobody writes.

use super::log::COMMIT_BYTES;
use super::{Batch, Clock, CommitFigures, Disk, Event, Log, RealDisk, StoreHealth};
use dunlin_core::identity::ShardId;
use dunlin_core::journal::Segment;
use dunlin_core::message::MemoryGauge;
use dunlin_core::shard::StoreState;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::Instant;

/// What the thread is told.
enum Message {
    Append(Batch),
    Vacated(ShardId, Segment),
    Stop,
}

/// The running log. Dropped without [`Store::stop`], it ends when the last handle is dropped.
pub struct Store {
    handle: StoreHandle,
    health: Arc<StoreHealth>,
    commits: Arc<CommitFigures>,
    thread: JoinHandle<()>,
}

/// How shards hand over records.
#[derive(Clone)]
pub struct StoreHandle(Sender<Message>);

/// Carries events to the shards; must not block.
pub type Tell = Box<dyn Fn(ShardId, Event) + Send>;

impl Store {
    /// Starts the thread. `tell` is for the shards 0 to `shards` - 1. The first thing that every shard is told is the
    /// segment that the log is in.
    //
    // Not generic: what is generic is compiled with whoever calls it, and the broker's own crate is built to be small.
    pub fn start(
        log: Log<RealDisk>,
        shards: u16,
        gauges: Vec<MemoryGauge>,
        clock: Clock,
        tell: Tell,
    ) -> io::Result<Self> {
        Self::start_on(log, shards, gauges, clock, tell)
    }

    /// The same on any disk.
    pub(super) fn start_on<D: Disk>(
        mut log: Log<D>,
        shards: u16,
        gauges: Vec<MemoryGauge>,
        clock: Clock,
        tell: impl Fn(ShardId, Event) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let health = log.health();
        let failed = Arc::clone(&health);
        let commits = Arc::<CommitFigures>::default();
        let noted = Arc::clone(&commits);
        log.serve(shards, gauges);
        let run = move || {
            // The log may be in any state then. It is not used any more.
            let run = || Writer { log, receiver, clock, commits: noted, tell: &tell }.run();
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                fail(&failed, shards, tell);
            }
        };
        let thread = std::thread::Builder::new().name("dunlin-store".into()).spawn(run)?;
        Ok(Self { handle: StoreHandle(sender), health, commits, thread })
    }

    /// For a shard.
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// Readable from any thread.
    pub fn health(&self) -> Arc<StoreHealth> {
        Arc::clone(&self.health)
    }

    /// How long its commits take; readable from any thread.
    pub fn commits(&self) -> Arc<CommitFigures> {
        Arc::clone(&self.commits)
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

/// What runs on the thread.
struct Writer<D: Disk, T> {
    log: Log<D>,
    receiver: Receiver<Message>,
    clock: Clock,
    commits: Arc<CommitFigures>,
    tell: T,
}

impl<D: Disk, T: Fn(ShardId, Event)> Writer<D, T> {
    fn run(mut self) {
        self.tell();
        while self.turn().is_continue() {
            self.tell();
        }
        self.log.stop(self.clock.now());
        self.tell();
    }

    fn tell(&mut self) {
        while let Some((shard, event)) = self.log.poll_event() {
            if let (0, Event::State(state)) = (shard, event) {
                say_state(state, self.log.health().reason());
            }
            (self.tell)(shard, event);
        }
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) -> ControlFlow<()> {
        let deadline = self.log.poll_timeout().map(|at| self.clock.instant(at));
        let mut next = self.receive(deadline);
        if matches!(next, Received::Message(Message::Append(_))) && !self.log.commit_delay().is_zero() {
            std::thread::sleep(self.log.commit_delay());
        }
        let mut batches = Vec::new();
        let mut bytes = 0;
        let end = loop {
            match next {
                Received::Message(Message::Append(batch)) => {
                    bytes += batch.size_bytes();
                    batches.push(batch);
                }
                other => break other,
            }
            if bytes > COMMIT_BYTES {
                break Received::Nothing;
            }
            next = self.receive_now();
        };
        let now = self.clock.now();
        if !batches.is_empty() {
            let began = Instant::now();
            self.log.commit(now, batches);
            self.commits.note(began.elapsed());
        }
        match end {
            Received::Message(Message::Vacated(shard, before)) => self.log.vacated(now, shard, before),
            Received::Message(Message::Stop) | Received::Closed => return ControlFlow::Break(()),
            Received::Message(Message::Append(_)) | Received::Nothing => {}
        }
        if self.log.poll_timeout().is_some_and(|at| at <= now) {
            self.log.handle_timeout(now);
        }
        ControlFlow::Continue(())
    }

    /// The next message, if there is one.
    fn receive_now(&self) -> Received {
        match self.receiver.try_recv() {
            Ok(message) => Received::Message(message),
            Err(TryRecvError::Empty) => Received::Nothing,
            Err(TryRecvError::Disconnected) => Received::Closed,
        }
    }

    /// The next message, if it comes before the deadline.
    fn receive(&self, deadline: Option<Instant>) -> Received {
        let received = match deadline {
            None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(message) => Received::Message(message),
            Err(RecvTimeoutError::Timeout) => Received::Nothing,
            Err(RecvTimeoutError::Disconnected) => Received::Closed,
        }
    }
}

/// Says that the log is not written any more, because its thread panicked.
fn fail(health: &StoreHealth, shards: u16, tell: impl Fn(ShardId, Event)) {
    health.set(StoreState::Failed, "what writes the store panicked; please report this".into());
    say_state(StoreState::Failed, health.reason());
    (0..shards).for_each(|shard| tell(shard, Event::State(StoreState::Failed)));
}

/// Tells the operator, once for all shards.
fn say_state(state: StoreState, reason: Option<String>) {
    let reason = reason.unwrap_or_default();
    match state {
        StoreState::Writing => tracing::info!("the store can be written again"),
        StoreState::Full => {
            tracing::error!(reason, "what would have to be stored is refused until the store can be written");
        }
        StoreState::Failed => {
            tracing::error!(
                reason,
                "the store is not written any more: restart the broker when its disk is well"
            );
        }
    }
}

/// What came from the shards.
enum Received {
    Message(Message),
    Nothing,
    Closed,
}
