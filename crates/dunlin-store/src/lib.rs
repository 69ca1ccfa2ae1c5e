//! The log under the broker: what the shards record is on disk before they acknowledge it.
//!
//! One append-only log for the whole broker, written by one thread. A shard hands over the records of a turn
//! as a [`Batch`]; the thread takes what has come from all shards, writes it as one frame, syncs once, and
//! tells each shard how far its records are durable ([`Event::Durable`]). So a thousand acknowledgements cost
//! one commit, and no worker ever waits for a disk.
//!
//! At start, [`open`] reads the log from its beginning and folds it into an `Image`, from which the shards
//! are restored. Space comes back by vacating: the shards say again what they hold from the oldest segments
//! ([`Event::Vacate`]), and those segments are deleted.
//!
//! What must stay true:
//!
//! * A batch is durable as a whole or not at all; and nothing is told durable that was not synced (as far as
//!   [`SyncPolicy`] says so).
//! * A failed sync is final. The kernel may have dropped the bytes it could not write, and a second sync that
//!   succeeds proves nothing about them.
//! * A record that refers to a message body is never further from it than vacating can see (`log.rs`).
//!
//! Read `segment.rs` and `frame.rs` for what is on disk, `record_writer.rs` for what is in a frame, then
//! `log.rs`. `Log` works without its thread and without a real disk, which is how the tests cut the power.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

mod clock;
mod segment;
mod frame;
mod record_writer;
mod record_reader;
mod varint;
mod frame_bodies;
mod written_again;
mod log;
mod segments;
mod space;
mod reading;
mod replay;
mod bodies;
mod recovery;
mod disk;
mod thread;
pub mod loader;
mod health;
mod figures;
mod backup;
mod salvage;
mod inventory;
mod error;

pub use backup::{BackupReport, backup};
pub use clock::Clock;
pub use disk::{Disk, DiskFile, RealDisk};
pub use error::StoreError;
pub use figures::CommitFigures;
pub use health::StoreHealth;
pub use inventory::{Holding, Inventory, check, inventory};
pub use loader::{Loaded, LoaderHandle};
pub use log::Log;
pub use recovery::{Opened, RecoveryReport, TornTail, open};
pub use salvage::{Loss, SalvageReport, salvage};
pub use thread::{Store, StoreHandle, Tell};

use dunlin_core::identity::ShardId;
use dunlin_core::journal::{Position, Record, Segment};
use dunlin_core::shard::StoreState;
use std::time::Duration;

/// The directory of the log in the data directory.
const LOG_DIRECTORY: &str = "log";

/// When what was written counts as durable (`store.sync`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncPolicy {
    /// When it has been synced. A power cut loses nothing that was acknowledged.
    Always,
    /// When it has been written; it is synced at least this often. A power cut loses at most what was
    /// acknowledged in that time.
    Interval(Duration),
    /// When it has been written. The system decides when it reaches the disk; a crash of the process alone
    /// loses nothing.
    Never,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreOptions {
    /// When what was written counts as durable.
    pub sync: SyncPolicy,
    /// For how long a commit waits for more; zero for not at all.
    pub commit_delay: Duration,
    /// The size of a segment file in bytes.
    pub segment_bytes: u64,
    /// Bytes of message bodies above which recovery leaves those in the store that only wait.
    pub memory_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::Always,
            commit_delay: Duration::ZERO,
            segment_bytes: 16 * 1024 * 1024,
            memory_bytes: 64 * 1024 * 1024,
        }
    }
}

/// The records of one turn of one shard. They are durable as a whole or not at all.
#[derive(Debug)]
pub struct Batch {
    /// Whose.
    pub shard: ShardId,
    /// In order.
    pub records: Vec<Record>,
    /// The shard's position after them.
    pub end: Position,
    /// Up to which position something waits. A batch that lies behind it may wait for the next.
    pub awaited: Position,
    /// The segment of the shard's journal when the batch was taken from it: none of the records was staged in
    /// a later one.
    pub segment: Segment,
}

/// About what a record takes without its body.
const RECORD_BYTES: usize = 16;

impl Batch {
    /// About what it takes in a frame, if all its bodies must be written.
    fn size_bytes(&self) -> usize {
        let bodies = self.records.iter().filter_map(Record::message).map(|message| message.content_bytes());
        bodies.sum::<usize>() + self.records.len() * RECORD_BYTES
    }
}

/// What the log tells a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Everything before `position` is durable, and the log has come to `segment`.
    Durable {
        /// Of the shard's own records.
        position: Position,
        /// Where records are written from now on.
        segment: Segment,
    },
    /// Say again what was recorded before this segment, then answer [`StoreHandle::vacated`].
    Vacate {
        /// The first segment that stays.
        before: Segment,
    },
    /// Whether the log can be written.
    State(StoreState),
}

#[cfg(test)]
mod tests;
