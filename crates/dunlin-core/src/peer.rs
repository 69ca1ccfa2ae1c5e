//! What shards tell each other.
//!
//! Each ordered pair of shards has one first-in, first-out stream of [`PeerMessage`]s, carried in batches by
//! the runtime. The receiver counts what it has applied (durably, where that matters) and tells the count
//! back; an acknowledgement that depends on a peer waits for "peer p has applied n" (`Link::has_applied`).
//! The same count bounds how far a fast shard can run ahead of a slow one.
//!
//! Interest is always about the sender's own shard ("I have subscribers for this filter"), so the streams
//! need no order among each other. Retained Messages are kept by every shard, so that a subscriber finds them
//! in the same order as the live messages; the greater [`MessageId`](crate::message::MessageId) wins where
//! two shards publish to one topic at once.

use crate::group::Ticket;
use crate::identity::ShardId;
use crate::journal::Position;
use crate::message::ApplicationMessage;
use crate::router::Subscription;
use crate::slots::Key;
use std::collections::VecDeque;
use std::sync::Arc;

/// One message from one shard to another.
#[derive(Clone, Debug)]
pub enum PeerMessage {
    /// A message that the receiver's subscribers, groups or retained tree want; the receiver expands it.
    Publish(Arc<ApplicationMessage>),
    /// The same for a message that nobody would send again: the receiver records that it has done its part.
    PublishExactly(Arc<ApplicationMessage>),
    /// The receiver must have done its part of what recovery found under way.
    RouteRecovered,
    /// The sender has its first subscriber for this filter, or has lost its last.
    Interest {
        /// The filter.
        filter: Arc<str>,
        /// First or last.
        is_added: bool,
    },
    /// A Session of the sender joins the group, or changes its options.
    GroupJoin {
        /// The whole shared filter.
        name: Arc<str>,
        /// The Session.
        session: Key,
        /// Its options.
        subscription: Subscription,
        /// Whether it is connected now.
        is_online: bool,
        /// Whether it outlives its connection.
        is_durable: bool,
        /// Named in the answer.
        token: u64,
    },
    /// The answer, once every shard knows that the group wants messages.
    GroupJoined {
        /// Of the question.
        token: u64,
    },
    /// A Session of the sender leaves the group for good.
    GroupLeave {
        /// The whole shared filter.
        name: Arc<str>,
        /// The Session.
        session: Key,
    },
    /// A member connected, or can take messages again.
    GroupReady {
        /// The whole shared filter.
        name: Arc<str>,
        /// The Session.
        session: Key,
    },
    /// A member's connection ended.
    GroupAway {
        /// The whole shared filter.
        name: Arc<str>,
        /// The Session.
        session: Key,
    },
    /// The answer to a return when the group has ended meanwhile: what the member was given is its own.
    GroupOrphan {
        /// The Session.
        session: Key,
        /// The message.
        message: Arc<ApplicationMessage>,
    },
    /// A message for a member.
    GroupDeliver {
        /// The whole shared filter.
        name: Arc<str>,
        /// The Session.
        session: Key,
        /// Where it comes from.
        ticket: Ticket,
        /// The member's options.
        subscription: Subscription,
        /// The message.
        message: Arc<ApplicationMessage>,
    },
    /// The member has finished with a message.
    GroupDone {
        /// Where it came from.
        ticket: Ticket,
        /// The Session.
        session: Key,
    },
    /// The member did not take a message, or left with it unacknowledged.
    GroupReturn {
        /// Where it came from.
        ticket: Ticket,
        /// The Session.
        session: Key,
        /// The message.
        message: Arc<ApplicationMessage>,
        /// Whether the member is full (and not away).
        is_busy: bool,
    },
    /// Of the receiver's messages, so many are applied.
    Applied(u64),
}

/// Bytes of publications to a peer that it has not applied, above which publishers are slowed.
const AHEAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What every unapplied message counts beyond its body.
const AHEAD_OVERHEAD_BYTES: usize = 64;

/// The stream to and from one peer.
#[derive(Debug, Default)]
pub struct Link {
    outgoing: VecDeque<PeerMessage>,
    sent: u64,
    applied: u64,
    /// Sequence and size of what is sent and not applied.
    ahead: VecDeque<(u64, usize)>,
    ahead_bytes: usize,
    /// Connections whose acknowledgements wait for the peer, by what they wait for.
    waiting: VecDeque<(u64, Key)>,
    /// Publishers that wait until the peer has caught up.
    pub(crate) slowed: Vec<Key>,
    /// What the peer has sent and is not applied yet: it waits while a slow consumer holds the peer up.
    incoming: VecDeque<PeerMessage>,
    received: u64,
    /// Up to where the peer's messages have made this shard stage records.
    pub(crate) staged_until: Position,
    told: u64,
    /// Slow consumers here that the peer's publications have run into, and that it waits for.
    pub(crate) held_up_by: u32,
}

impl Link {
    /// Stages a message and returns its number.
    pub(crate) fn stage(&mut self, message: PeerMessage) -> u64 {
        if !matches!(message, PeerMessage::Applied(_)) {
            self.sent += 1;
        }
        if let PeerMessage::Publish(message)
        | PeerMessage::PublishExactly(message)
        | PeerMessage::GroupDeliver { message, .. } = &message
        {
            let size = message.size_bytes() + AHEAD_OVERHEAD_BYTES;
            self.ahead.push_back((self.sent, size));
            self.ahead_bytes += size;
        }
        self.outgoing.push_back(message);
        self.sent
    }

    pub(crate) fn poll(&mut self) -> Option<PeerMessage> {
        self.outgoing.pop_front()
    }

    /// The number of the last message sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the peer has applied everything up to `sequence`.
    pub(crate) fn has_applied(&self, sequence: u64) -> bool {
        sequence <= self.applied
    }

    /// The peer says how much it has applied.
    pub(crate) fn set_applied(&mut self, sequence: u64) {
        self.applied = self.applied.max(sequence);
        while let Some((number, size)) = self.ahead.front().copied() {
            if number > self.applied {
                break;
            }
            self.ahead.pop_front();
            self.ahead_bytes -= size;
        }
    }

    /// Whether publishers run too far ahead of the peer.
    pub(crate) fn is_behind(&self) -> bool {
        self.ahead_bytes > AHEAD_BYTES_MAX
    }

    /// Whether it has caught up so far that slowed publishers may go on.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.ahead_bytes <= AHEAD_BYTES_MAX / 2
    }

    /// `connection` has an acknowledgement that waits until the peer has applied `sequence`.
    pub(crate) fn wait(&mut self, sequence: u64, connection: Key) {
        self.waiting.push_back((sequence, connection));
    }

    /// A connection whose wait may be over.
    pub(crate) fn pop_waiting(&mut self) -> Option<Key> {
        match self.waiting.front() {
            Some((sequence, _)) if *sequence <= self.applied => self.waiting.pop_front().map(|(_, key)| key),
            _ => None,
        }
    }

    /// Takes in a message from the peer.
    pub(crate) fn receive(&mut self, message: PeerMessage) {
        self.incoming.push_back(message);
    }

    /// Whether there is a message to apply, and nobody holds the peer up.
    pub(crate) fn has_work(&self) -> bool {
        self.held_up_by == 0 && !self.incoming.is_empty()
    }

    /// The next message to apply.
    pub(crate) fn next_received(&mut self) -> Option<PeerMessage> {
        if self.held_up_by > 0 {
            return None;
        }
        let message = self.incoming.pop_front()?;
        self.received += 1;
        Some(message)
    }

    /// Messages applied so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// What to tell the peer when `received` of its messages are applied: the count, if it has grown.
    pub(crate) fn applied_to_tell(&mut self, received: u64) -> Option<u64> {
        (self.told < received).then(|| {
            self.told = received;
            received
        })
    }
}

/// All links of a shard, by peer; its own place is empty.
#[derive(Debug)]
pub struct Peers {
    /// The shard they belong to.
    pub own: ShardId,
    links: Vec<Link>,
}

impl Peers {
    /// The links of shard `own` among `count`.
    pub fn new(own: ShardId, count: u16) -> Self {
        Self { own, links: (0..count).map(|_| Link::default()).collect() }
    }

    /// How many shards there are.
    pub fn count(&self) -> u16 {
        self.links.len() as u16
    }

    /// The other shards.
    pub fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.own;
        (0..self.links.len() as u16).filter(move |shard| *shard != own)
    }

    /// Whether any peer's messages could be applied now.
    pub(crate) fn have_work(&self) -> bool {
        self.links.iter().any(Link::has_work)
    }

    /// Whether a peer has applied so many of our messages.
    pub(crate) fn has_applied(&self, shard: ShardId, sequence: u64) -> bool {
        self.links.get(usize::from(shard)).is_none_or(|link| link.has_applied(sequence))
    }

    /// The link to a peer.
    pub fn link(&mut self, shard: ShardId) -> Option<&mut Link> {
        self.links.get_mut(usize::from(shard))
    }
}
