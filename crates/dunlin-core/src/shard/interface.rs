//! What a shard is made of, and what it says to its runtime.

use super::traceparent::TracedPublication;
use crate::authorize::Authorizer;
use crate::connection::Cause;
use crate::identity::ShardId;
use crate::journal::Segment;
use crate::message::MemoryGauge;
use crate::session::Place;
use crate::settings::Settings;
use crate::slots::Key;
use crate::tally::SubscriptionTally;
use dunlin_codec::ReasonCode;
use std::sync::Arc;

/// What a shard is made of.
pub struct ShardConfig {
    /// Its number.
    pub id: ShardId,
    /// How many shards the broker has.
    pub shards: u16,
    /// Limits and choices.
    pub settings: Arc<Settings>,
    /// Who may do what; none allows everything.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Seeds hashes.
    pub seed: u64,
    /// Distinguishes the lives of the process.
    pub boot_epoch: u32,
    /// Counts the bytes of messages that the shard takes in.
    pub gauge: MemoryGauge,
    /// Counts the subscriptions of all shards.
    pub subscriptions: SubscriptionTally,
}

/// What the store can do, as far as the shard must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StoreState {
    /// It writes, or there is none.
    #[default]
    Writing,
    /// There is no room: what would have to be stored is refused, all else goes on.
    Full,
    /// It does not write any more. What would have to be stored is refused, and what waits for it waits.
    Failed,
}

impl ShardConfig {
    /// A broker of one shard that allows everything.
    pub fn single(settings: Settings) -> Self {
        Self {
            id: 0,
            shards: 1,
            settings: Arc::new(settings),
            authorizer: None,
            seed: 0,
            boot_epoch: 0,
            gauge: MemoryGauge::default(),
            subscriptions: SubscriptionTally::default(),
        }
    }
}

/// How far [`Shard::handle_input`](crate::Shard::handle_input) came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes used up; the caller keeps the rest and hands it in again with more.
    pub consumed: usize,
    /// How to go on.
    pub next: NextInput,
}

/// How the caller goes on after [`Shard::handle_input`](crate::Shard::handle_input).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextInput {
    /// Read more. Once the fixed header is there, the length of the whole packet is known.
    Read {
        /// Of the packet that is incomplete.
        packet_length: Option<u32>,
    },
    /// Flush, then hand in the rest.
    Yield,
    /// Wait for [`Output::Resume`], then hand in the rest.
    Pause,
    /// Nothing more is read from this connection.
    Close,
}

/// Whom messages wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A Session.
    Session(Key),
    /// A shared group.
    Group(Key),
}

/// What the runtime is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Write what is in the outbox, close, then call [`Shard::remove`](crate::Shard::remove).
    Close {
        /// Which.
        connection: Key,
        /// Why, for the log.
        cause: Cause,
    },
    /// A paused publisher may go on.
    Resume {
        /// Which.
        connection: Key,
    },
    /// Read the bodies of messages that wait, then call
    /// [`Shard::handle_loaded`](crate::Shard::handle_loaded).
    Load {
        /// For whom.
        holder: Holder,
        /// Where they are.
        places: Vec<Place>,
    },
    /// Everything recorded before this segment is recorded again, or needed no longer.
    Vacated {
        /// The segment that [`Shard::handle_vacate`](crate::Shard::handle_vacate) named.
        before: Segment,
    },
    /// A publication that carries the context of a trace was routed.
    Traced {
        /// Whose it was.
        connection: Key,
        /// What there is to say of it.
        publication: Box<TracedPublication>,
    },
    /// A client was refused something for the first time on its connection, for the log.
    Refused {
        /// Which.
        connection: Key,
        /// With this code.
        reason_code: ReasonCode,
        /// The Topic Name or Topic Filter.
        topic: Box<str>,
    },
}
