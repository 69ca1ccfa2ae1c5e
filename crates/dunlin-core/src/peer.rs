//! What shards tell each other.
//!
//! Each ordered pair of shards has one first-in, first-out stream of [`PeerMessage`]s, carried in batches by
//! the runtime. The receiver counts what it has applied and tells the count back, and which messages have made
//! it record something that is not durable yet; an acknowledgement that depends on a peer waits for "peer p has
//! applied n", and for "has stored it" where there is something to store (`Link::has_come`). The count bounds how
//! far a fast shard can run ahead of a slow one, whatever the disk does.
//!
//! Interest is always about the sender's own shard ("I have subscribers for this filter"), so the streams
//! need no order among each other. Retained Messages are kept by every shard, so that a subscriber finds them
//! in the same order as the live messages; the greater [`MessageId`](crate::message::MessageId) wins where
//! two shards publish to one topic at once.

use crate::connection::{Mark, Until};
use crate::elastic::ElasticQueue;
use crate::group::Ticket;
use crate::identity::ShardId;
use crate::journal::Position;
use crate::message::ApplicationMessage;
use crate::router::Subscription;
use crate::slots::Key;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;

/// One message from one shard to another.
#[derive(Clone, Debug)]
pub enum PeerMessage {
    /// A message that the receiver's subscribers, groups or retained tree want; the receiver expands it.
    Publish(ApplicationMessage),
    /// The same for a message that nobody would send again: the receiver records that it has done its part.
    PublishExactly(ApplicationMessage),
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
        message: ApplicationMessage,
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
        message: ApplicationMessage,
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
        message: ApplicationMessage,
        /// Whether the member is full (and not away).
        is_busy: bool,
    },
    /// What the receiver publishes from now on is newer than this, whatever the clocks say: the sender waits until
    /// nothing older comes from it.
    Newer {
        /// When the sender's newest message was taken in.
        than: Timestamp,
    },
    /// Of the receiver's messages, so many are applied.
    Applied {
        /// How many.
        received: u64,
        /// Those of them, since the last time, that have made the sender record something that is not durable
        /// yet.
        unsettled: Vec<u64>,
    },
    /// What the receiver's messages up to this one have made the sender record is durable.
    Settled(u64),
}

/// Bytes of publications to a peer that it has not applied, above which publishers are slowed.
const AHEAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What every unapplied message counts beyond its body.
const AHEAD_OVERHEAD_BYTES: usize = 64;

/// The stream to and from one peer.
#[derive(Debug, Default)]
pub struct Link {
    outgoing: ElasticQueue<PeerMessage>,
    sent: u64,
    applied: u64,
    /// Sequence and size of what is sent and not applied.
    ahead: ElasticQueue<(u64, usize)>,
    ahead_bytes: usize,
    /// Messages that the peer has applied, and not stored what it has recorded because of them.
    unsettled: VecDeque<u64>,
    /// Connections whose acknowledgements wait for the peer, and for what.
    waiting: Vec<(u64, Until, Key)>,
    /// Publishers that wait until the peer has caught up.
    pub(crate) slowed: Vec<Key>,
    /// What the peer has sent and is not applied yet: it waits while a slow consumer holds the peer up.
    incoming: ElasticQueue<PeerMessage>,
    received: u64,
    told: u64,
    /// The peer's messages that have made this shard record something, and the position after that, since the
    /// peer was told last.
    pub(crate) recorded: Vec<(u64, Position)>,
    /// Slow consumers here that the peer's publications have run into, and that it waits for.
    pub(crate) held_up_by: u32,
}

impl Link {
    /// Stages a message and returns its number.
    pub(crate) fn stage(&mut self, message: PeerMessage) -> u64 {
        if !matches!(message, PeerMessage::Applied { .. } | PeerMessage::Settled(_)) {
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

    /// Whether this has become of a message.
    pub(crate) fn has_come(&self, sequence: u64, until: Until) -> bool {
        sequence <= self.applied
            && match until {
                Until::Applied => true,
                Until::Stored => self.unsettled.binary_search(&sequence).is_err(),
                Until::AllStored => self.unsettled.front().is_none_or(|first| *first > sequence),
            }
    }

    /// The peer says that what it has recorded up to this message is durable.
    pub(crate) fn set_settled(&mut self, sequence: u64) {
        while self.unsettled.front().is_some_and(|first| *first <= sequence) {
            self.unsettled.pop_front();
        }
    }

    /// The peer says how much it has applied.
    pub(crate) fn set_applied(&mut self, sequence: u64, unsettled: Vec<u64>) {
        self.unsettled.extend(unsettled);
        self.applied = self.applied.max(sequence);
        let applied = self.applied;
        while let Some((_, size)) = self.ahead.pop_front_if(|(number, _)| *number <= applied) {
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

    /// `connection` has an acknowledgement that waits until this has become of a message.
    pub(crate) fn wait(&mut self, sequence: u64, until: Until, connection: Key) {
        self.waiting.push((sequence, until, connection));
    }

    /// The connections whose waits may be over, each once.
    pub(crate) fn take_waiting(&mut self) -> Vec<Key> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut over = Vec::new();
        for (sequence, until, key) in waiting {
            if !self.has_come(sequence, until) {
                self.waiting.push((sequence, until, key));
            } else if over.last() != Some(&key) {
                over.push(key);
            }
        }
        over
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

    /// Messages that have come so far, applied or not.
    pub(crate) fn arrived(&self) -> u64 {
        self.received + self.incoming.len() as u64
    }

    /// What to tell the peer now that `received` of its messages are applied, if that is news. `is_durable` judges
    /// what they have made this shard record; the position that is left to wait for comes with it.
    pub(crate) fn applied_to_tell(
        &mut self,
        is_durable: impl Fn(Position) -> bool,
    ) -> Option<(PeerMessage, Option<Position>)> {
        if self.told == self.received {
            return None;
        }
        self.told = self.received;
        let mut unsettled = Vec::new();
        let mut last = None;
        for (sequence, position) in self.recorded.drain(..).filter(|(_, position)| !is_durable(*position)) {
            unsettled.push(sequence);
            last = Some(position);
        }
        Some((PeerMessage::Applied { received: self.received, unsettled }, last))
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

    /// Whether a peer has done what a barrier wants of it.
    pub(crate) fn have_passed(&self, mark: &Mark) -> bool {
        self.links.get(usize::from(mark.peer)).is_none_or(|link| link.has_come(mark.sequence, mark.until))
    }

    /// The link to a peer.
    pub fn link(&mut self, shard: ShardId) -> Option<&mut Link> {
        self.links.get_mut(usize::from(shard))
    }
}
