//! The store seam: every durable change as a value, and the position an acknowledgement waits for.
//!
//! Memory is a fold of the records. A shard stages a [`Record`] at the moment it changes what must survive a
//! crash (a persistent Session, a Retained Message), the runtime takes the records at the end of a turn
//! ([`Shard::poll_record`](crate::Shard::poll_record)) and hands them to a store, and the store's progress
//! comes back through `handle_durable`. Acknowledgements carry the position after their records and leave
//! when that is durable.
//!
//! With `Settings::durable` off nothing is staged and every position is durable at once.

use crate::identity::ClientIdentifier;
use crate::message::{ApplicationMessage, MessageId};
use crate::settings::SessionExpiryInterval;
use crate::time::Timestamp;
use dunlin_codec::{PacketIdentifier, QoS, SubscriptionOptions};
use std::collections::VecDeque;
use std::sync::Arc;

/// A point in a shard's sequence of records: everything staged before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Position(pub u64);

/// One durable change.
#[derive(Clone, Debug)]
pub enum Record {
    /// A Session that outlives its connection began, or its expiry changed.
    Session {
        /// Whose.
        client: ClientIdentifier,
        /// For how long after the connection.
        expiry: SessionExpiryInterval,
    },
    /// The client is away since then; the expiry runs.
    SessionAway {
        /// Whose.
        client: ClientIdentifier,
        /// Since when.
        since: Timestamp,
    },
    /// The Session ended with everything in it.
    SessionEnded {
        /// Whose.
        client: ClientIdentifier,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// Whose.
        client: ClientIdentifier,
        /// The whole filter, `$share/...` included.
        filter: Box<str>,
        /// Its options.
        options: SubscriptionOptions,
        /// Its Subscription Identifier.
        identifier: Option<u32>,
    },
    /// A subscription was removed.
    Unsubscribed {
        /// Whose.
        client: ClientIdentifier,
        /// The whole filter.
        filter: Box<str>,
    },
    /// A message waits for a Session. The body is stored with its first reference.
    Queued {
        /// For whom.
        client: ClientIdentifier,
        /// What.
        message: Arc<ApplicationMessage>,
        /// At which QoS it will be delivered.
        qos: QoS,
        /// With which RETAIN flag.
        retain: bool,
        /// With which Subscription Identifiers.
        identifiers: Box<[u32]>,
    },
    /// The oldest message that waits got a Packet Identifier.
    Sent {
        /// To whom.
        client: ClientIdentifier,
        /// What.
        message: MessageId,
        /// Its Packet Identifier.
        packet_identifier: PacketIdentifier,
    },
    /// PUBREC came: only PUBREL is owed from now on.
    Released {
        /// From whom.
        client: ClientIdentifier,
        /// Which.
        packet_identifier: PacketIdentifier,
    },
    /// The delivery is over.
    Delivered {
        /// To whom.
        client: ClientIdentifier,
        /// Which.
        packet_identifier: PacketIdentifier,
    },
    /// A message that waited was dropped: expired, or no room.
    Dropped {
        /// For whom.
        client: ClientIdentifier,
        /// Which.
        message: MessageId,
    },
    /// A QoS 2 publication was taken in; until PUBREL the same Packet Identifier means the same message.
    Received {
        /// From whom.
        client: ClientIdentifier,
        /// Which.
        packet_identifier: PacketIdentifier,
    },
    /// PUBREL came for it.
    Completed {
        /// From whom.
        client: ClientIdentifier,
        /// Which.
        packet_identifier: PacketIdentifier,
    },
    /// A Retained Message was set; an empty payload clears.
    Retained {
        /// The message.
        message: Arc<ApplicationMessage>,
    },
    /// A Will was set.
    WillSet {
        /// Whose.
        client: ClientIdentifier,
        /// What.
        message: Arc<ApplicationMessage>,
        /// After how many seconds of absence.
        delay_s: u32,
    },
    /// The Will was published or deleted.
    WillRemoved {
        /// Whose.
        client: ClientIdentifier,
    },
    /// A message waits for a shared group, at this place in its order.
    GroupQueued {
        /// Which group: its whole filter, `$share/...` included.
        group: Arc<str>,
        /// What.
        message: Arc<ApplicationMessage>,
        /// The place.
        sequence: u64,
    },
    /// A message of a group went to a member, or was dropped.
    GroupTaken {
        /// Which group: its whole filter, `$share/...` included.
        group: Arc<str>,
        /// The place it had.
        sequence: u64,
    },
}

/// The records of one shard that are not durable yet.
#[derive(Debug, Default)]
pub struct Journal {
    enabled: bool,
    staged: VecDeque<Record>,
    end: Position,
    durable: Position,
}

impl Journal {
    /// A journal; when not `enabled` it swallows records and everything is durable.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, ..Self::default() }
    }

    /// Stages the record that `record` makes, if anybody keeps records.
    #[inline]
    pub fn stage(&mut self, record: impl FnOnce() -> Record) {
        if self.enabled {
            self.staged.push_back(record());
            self.end.0 += 1;
        }
    }

    /// The position after everything staged so far.
    #[inline]
    pub fn position(&self) -> Position {
        self.end
    }

    /// Whether everything before `position` is durable.
    #[inline]
    pub fn is_durable(&self, position: Position) -> bool {
        position <= self.durable
    }

    /// The store has made everything before `position` durable.
    pub fn set_durable(&mut self, position: Position) {
        self.durable = self.durable.max(position.min(self.end));
    }

    /// Takes the next record for the store.
    pub fn poll(&mut self) -> Option<Record> {
        self.staged.pop_front()
    }
}
