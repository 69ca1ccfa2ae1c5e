//! The store seam: every durable change as a value, and the position an acknowledgement waits for.
//!
//! Memory is a fold of the records ([`Image`](crate::image::Image)). A shard stages a [`Record`] at the
//! moment it changes what must survive a crash (a persistent Session, a Retained Message), the runtime takes
//! the records at the end of a turn ([`Shard::poll_record`](crate::Shard::poll_record)) and hands them to a
//! store, and the store's progress comes back through `handle_durable`. Acknowledgements carry the position
//! after their records and leave when that is durable.
//!
//! What the store relies on, so that it may forget the oldest part of its log:
//!
//! * Each thing (a Session, a message in its queue, a topic's Retained Message, a message of a group) is told
//!   of by one shard only, in order; and the last record about it says all there is to know.
//! * So a record may be staged again at any time with the same meaning, and whatever removes a thing comes
//!   after everything that made it.
//! * Whoever keeps something remembers the [`Segment`] it was staged in. When the store wants to forget the
//!   segments before a certain one, the shards stage again what they hold from there (`shard/vacate.rs`).
//!
//! With `Settings::durable` off nothing is staged and every position is durable at once.

use crate::elastic::ElasticQueue;
use crate::identity::ClientIdentifier;
use crate::image::Home;
use crate::message::{ApplicationMessage, MessageId};
use crate::router::Subscription;
use crate::session::Identifiers;
use crate::settings::SessionExpiryInterval;
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{PacketIdentifier, QoS};
use std::sync::Arc;

/// A point in a shard's sequence of records: everything staged before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Position(pub u64);

/// A part of the store's log, counted up from 1. A record staged while the log is in a segment is written
/// there or later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Segment(pub u32);

/// Names a Session in records. Never used again in the life of a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionNumber(pub u64);

/// Names a shared group in records, and to other shards. Never used again in the life of a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupNumber(pub u64);

/// One durable change.
#[derive(Clone, Debug)]
pub enum Record {
    /// A Session that outlives its connection, all but its subscriptions and messages. The first such record
    /// begins it.
    Session {
        /// Its name in other records.
        session: SessionNumber,
        /// Whose.
        client: ClientIdentifier,
        /// Who that client turned out to be.
        user_name: Option<Box<str>>,
        /// What its authorizer knows of it beside that.
        policy: Option<Box<str>>,
        /// For how long after the connection.
        expiry: SessionExpiryInterval,
        /// Since when the client is away; none while it is connected.
        away_since: Option<Timestamp>,
    },
    /// The client is away since then; the expiry runs.
    SessionAway {
        /// Which.
        session: SessionNumber,
        /// Since when.
        since: Timestamp,
    },
    /// The Session ended with everything in it.
    SessionEnded {
        /// Which.
        session: SessionNumber,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// Whose.
        session: SessionNumber,
        /// The whole filter, `$share/...` included.
        filter: Box<str>,
        /// Its options and its Subscription Identifier.
        subscription: Subscription,
    },
    /// A subscription was removed.
    Unsubscribed {
        /// Whose.
        session: SessionNumber,
        /// The whole filter.
        filter: Box<str>,
    },
    /// A new subscription is owed its Retained Messages, but for those up to a topic in their order, which wait or
    /// were sent.
    RetainedOwed {
        /// Whose.
        session: SessionNumber,
        /// The whole filter.
        filter: Box<str>,
        /// The topic; none at the beginning.
        after: Option<Box<str>>,
    },
    /// It is owed no more of them.
    RetainedSent {
        /// Whose.
        session: SessionNumber,
        /// The whole filter.
        filter: Box<str>,
    },
    /// A message waits for a Session. The body is stored with its first reference.
    Queued {
        /// For whom.
        session: SessionNumber,
        /// Its place among all messages of the Session.
        order: u64,
        /// What.
        message: ApplicationMessage,
        /// At which QoS it will be delivered.
        qos: QoS,
        /// With which RETAIN flag.
        retain: bool,
        /// With which Subscription Identifiers.
        identifiers: Identifiers,
        /// The group it belongs to, and its place there.
        ticket: Option<(GroupNumber, u64)>,
    },
    /// A message that waited got a Packet Identifier.
    Sent {
        /// To whom.
        session: SessionNumber,
        /// Which.
        order: u64,
        /// Its Packet Identifier.
        packet_identifier: PacketIdentifier,
    },
    /// PUBREC came: only PUBREL is owed from now on.
    Released {
        /// From whom.
        session: SessionNumber,
        /// Which.
        order: u64,
        /// Its Packet Identifier.
        packet_identifier: PacketIdentifier,
        /// The group it belongs to, and its place there.
        ticket: Option<(GroupNumber, u64)>,
    },
    /// A message is done with: acknowledged, expired or dropped.
    Removed {
        /// For whom it was.
        session: SessionNumber,
        /// Which.
        order: u64,
    },
    /// A QoS 2 publication was taken in; until PUBREL the same Packet Identifier means the same message.
    Received {
        /// From whom.
        session: SessionNumber,
        /// Which.
        packet_identifier: PacketIdentifier,
    },
    /// A QoS 2 publication was taken in and is about to be routed to several shards. Comes before everything
    /// else about it.
    Routing {
        /// The message.
        message: ApplicationMessage,
        /// The shard that has taken it in, and whose own part is durable together with this.
        from: Home,
    },
    /// A shard has recorded its part of it.
    RoutedTo {
        /// Which message.
        id: MessageId,
        /// The shard.
        home: Home,
    },
    /// All shards have recorded their part of it.
    Routed {
        /// Which message.
        id: MessageId,
    },
    /// PUBREL came for it.
    Completed {
        /// From whom.
        session: SessionNumber,
        /// Which.
        packet_identifier: PacketIdentifier,
    },
    /// A Retained Message was set; an empty payload clears.
    Retained {
        /// The message.
        message: ApplicationMessage,
    },
    /// A Will was set.
    WillSet {
        /// Whose.
        session: SessionNumber,
        /// What.
        message: ApplicationMessage,
        /// Its Message Expiry Interval in seconds, counted from when it is published.
        expiry_s: Option<u32>,
        /// After how many seconds of absence.
        delay_s: u32,
    },
    /// The Will was published or deleted.
    WillRemoved {
        /// Whose.
        session: SessionNumber,
    },
    /// A shared group that messages wait for.
    Group {
        /// Its name in other records.
        group: GroupNumber,
        /// Its whole filter, `$share/...` included.
        name: Arc<str>,
    },
    /// A message waits for a shared group, at this place in its order, or is with a member.
    GroupQueued {
        /// Which group.
        group: GroupNumber,
        /// The place.
        sequence: u64,
        /// What.
        message: ApplicationMessage,
    },
    /// A member has finished with a message of a group, or it was dropped.
    GroupTaken {
        /// Which group.
        group: GroupNumber,
        /// The place it had.
        sequence: u64,
    },
    /// The group ended with everything in it.
    GroupEnded {
        /// Which.
        group: GroupNumber,
    },
}

impl Record {
    /// The message it refers to.
    pub fn message(&self) -> Option<&ApplicationMessage> {
        match self {
            Self::Queued { message, .. }
            | Self::Retained { message }
            | Self::Routing { message, .. }
            | Self::WillSet { message, .. }
            | Self::GroupQueued { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Whether it is early enough to write it with the next record that somebody waits for: at worst, a message
    /// that the client has acknowledged is sent to it again.
    fn has_time(&self) -> bool {
        matches!(
            self,
            Self::Sent { .. } | Self::Removed { .. } | Self::GroupTaken { .. } | Self::RetainedSent { .. }
        )
    }
}

/// What may be looked at, or recorded again, in one slice of a longer work.
#[derive(Debug)]
pub struct Budget {
    left: usize,
}

/// Bytes of messages that count as much as looking at one more thing.
const BYTES_A_THING: usize = 4096;

impl Budget {
    /// So many things.
    pub fn new(things: usize) -> Self {
        Self { left: things }
    }

    /// Whether the slice is over.
    pub fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Something was looked at, with a message of so many bytes if one was recorded again.
    pub fn use_for(&mut self, content_bytes: usize) {
        self.left = self.left.saturating_sub(1 + content_bytes / BYTES_A_THING);
    }
}

/// The records of one shard that are not durable yet.
#[derive(Debug, Default)]
pub struct Journal {
    enabled: bool,
    staged: ElasticQueue<Record>,
    end: Position,
    durable: Position,
    /// The store should not put off what is before this.
    awaited: Position,
    segment: Segment,
    /// The end when the input began that is being handled.
    input_began: Position,
    /// About how many bytes are staged and not durable.
    ahead_bytes: usize,
    /// Publishers that wait until the store has caught up.
    pub(crate) slowed: Vec<Key>,
    /// Nobody writes records any more.
    has_failed: bool,
}

/// Bytes that are staged and not durable, above which publishers are slowed.
const AHEAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a record counts beyond the body of its message.
const RECORD_BYTES: usize = 64;

impl Journal {
    /// A journal; when not `enabled` it swallows records and everything is durable.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, segment: Segment(1), ..Self::default() }
    }

    /// Whether anybody keeps records.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Stages the record that `record` makes, if anybody keeps records.
    #[inline]
    pub fn stage(&mut self, record: impl FnOnce() -> Record) {
        if self.enabled {
            let record = record();
            self.ahead_bytes += RECORD_BYTES + record.message().map_or(0, |message| message.content_bytes());
            let has_time = record.has_time();
            if !self.has_failed {
                self.staged.push_back(record);
            }
            self.end.0 += 1;
            if !has_time {
                self.awaited = self.end;
            }
        }
    }

    /// The segment in which, or after which, what is staged now is written.
    #[inline]
    pub fn segment(&self) -> Segment {
        self.segment
    }

    /// The store's log has come to this segment.
    pub fn set_segment(&mut self, segment: Segment) {
        self.segment = self.segment.max(segment);
    }

    /// The position after everything staged so far.
    #[inline]
    pub fn position(&self) -> Position {
        self.end
    }

    /// Up to where the store should write at once. What comes after may wait for company.
    pub fn awaited(&self) -> Position {
        self.awaited
    }

    /// Something waits until everything before `position` is durable.
    pub fn wait_for(&mut self, position: Position) {
        self.awaited = self.awaited.max(position);
    }

    /// An input begins to be handled.
    #[inline]
    pub fn begin_input(&mut self) {
        self.input_began = self.end;
    }

    /// The answer to the input that is being handled depends on something that was recorded before.
    pub fn depend_on_earlier(&mut self) {
        self.input_began = Position::default();
    }

    /// What the answer to the input that is being handled waits for: its own records, if there are any.
    /// Whose request changes nothing durable never waits for the store.
    #[inline]
    pub fn position_of_input(&self) -> Position {
        if self.end > self.input_began { self.end } else { Position::default() }
    }

    /// Whether everything before `position` is durable.
    #[inline]
    pub fn is_durable(&self, position: Position) -> bool {
        position <= self.durable
    }

    /// The store has made everything before `position` durable.
    pub fn set_durable(&mut self, position: Position) {
        let position = position.min(self.end);
        if position > self.durable {
            // Records differ in size, but which of them are left is not worth remembering.
            let (left, all) = (self.end.0 - position.0, self.end.0 - self.durable.0);
            self.ahead_bytes = (self.ahead_bytes as u128 * u128::from(left) / u128::from(all)) as usize;
            self.durable = position;
        }
    }

    /// The store has given up: nothing that is not durable will ever be, and nobody waits for it to catch up.
    pub fn fail(&mut self) {
        self.has_failed = true;
        self.staged.clear();
    }

    /// Whether it has.
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether publishers run too far ahead of the store.
    #[inline]
    pub fn is_behind(&self) -> bool {
        !self.has_failed && self.ahead_bytes > AHEAD_BYTES_MAX
    }

    /// Whether it has caught up so far that slowed publishers may go on.
    pub fn has_caught_up(&self) -> bool {
        self.has_failed || self.ahead_bytes <= AHEAD_BYTES_MAX / 2
    }

    /// Takes the next record for the store.
    pub fn poll(&mut self) -> Option<Record> {
        self.staged.pop_front()
    }
}
