//! Publications that concern several shards and that nobody would send again after a crash.
//!
//! Each shard records its part of a publication in a turn of its own, and a crash can lie between: the store
//! then knows that the publication was taken in, and not what a peer did with it. At QoS 1 the publisher sends it
//! again, and who has had it gets it twice. At QoS 2 it must be neither lost nor repeated, and a Will has no
//! publisher any more. Hence:
//!
//! ```text
//!   received ──> Routing, what this shard does with it, Received: one turn, durable as a whole
//!      peers are told ──> each records its part and RoutedTo: one turn each, durable after the first
//!         all have applied it, durably ──> PUBREC (a Will has none); Routed is recorded
//! ```
//!
//! After a crash, what has Routing and no Routed is routed again by every shard, before anything else, except to
//! who was at home on a shard that had done its part ([`Unrouted`]), whatever number of shards there is now. A
//! subscription made on such a shard later than the publication thus does not get it either.

use super::Shard;
use crate::connection::{Mark, Until};
use crate::image::{Home, Unrouted};
use crate::journal::{Record, Segment};
use crate::message::{ApplicationMessage, MessageId, Publication};
use crate::peer::PeerMessage;
use crate::router::Target;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;

/// Publications that are not known to be everywhere yet.
#[derive(Debug, Default)]
pub(crate) struct Forwards {
    told: VecDeque<Forward>,
    /// What recovery found under way, and what this shard has not done its part of yet.
    unrouted: Arc<Vec<Unrouted>>,
}

#[derive(Debug)]
struct Forward {
    id: MessageId,
    /// Where its Routing stands, or behind it.
    recorded_in: Segment,
    /// What the peers have to have applied.
    barrier: Vec<Mark>,
}

impl Forwards {
    /// Whether recovery has left some to be told.
    pub fn have_unrouted(&self) -> bool {
        !self.unrouted.is_empty()
    }

    /// Whether any began before this segment. What tells who has had them must not be forgotten.
    pub fn began_before(&self, segment: Segment) -> bool {
        self.have_unrouted() || self.told.front().is_some_and(|first| first.recorded_in < segment)
    }
}

impl Shard {
    /// Records, before anything else about it, that a publication is to be routed to peers and that nobody
    /// would send it again. True if there are any; then [`Self::await_forwarded`] must follow.
    pub(super) fn record_routing(&mut self, publication: &mut Publication<'_>) -> bool {
        if self.peers.count() == 1 || !self.clients.journal.is_enabled() {
            return false;
        }
        let is_for_peers = publication.retain
            || self.router.matches(publication.topic).any(|found| matches!(found.target(), Target::Peer(_)));
        if is_for_peers {
            let (message, from) = (publication.keep(&self.clients.gauge), self.home());
            self.clients.journal.stage(|| Record::Routing { message, from });
        }
        is_for_peers
    }

    /// Notes that a publication is on its way, so that its arrival everywhere is recorded.
    pub(super) fn await_forwarded(&mut self, id: MessageId) {
        let barrier = self.barrier_of_all(Until::AllStored).peers.into_vec();
        let recorded_in = self.clients.journal.segment();
        self.forwards.told.push_back(Forward { id, recorded_in, barrier });
    }

    /// Records which publications are everywhere by now.
    pub(super) fn record_routed(&mut self) {
        while let Some(Forward { id, barrier, .. }) = self.forwards.told.front() {
            if !barrier.iter().all(|mark| self.peers.have_passed(mark)) {
                return;
            }
            let id = *id;
            self.forwards.told.pop_front();
            self.clients.journal.stage(|| Record::Routed { id });
        }
    }

    /// Takes up what was under way when the process ended.
    pub(super) fn restore_forwards(&mut self, unrouted: Arc<Vec<Unrouted>>) {
        self.forwards.unrouted = unrouted;
    }

    /// Does this shard's part of what recovery found under way. Called before anything else is published here, so
    /// that nothing overtakes it, and after the peers have told what they want.
    pub(super) fn route_recovered(&mut self, now: Timestamp) {
        if self.forwards.unrouted.is_empty() {
            return;
        }
        let unrouted = std::mem::take(&mut self.forwards.unrouted);
        for unrouted in &*unrouted {
            self.route_exactly(now, &unrouted.message, Reach::HereBut(unrouted));
        }
        // One shard sees to it that all have done so.
        if self.peers.own > 0 {
            return;
        }
        for peer in self.peers.others() {
            if let Some(link) = self.peers.link(peer) {
                link.stage(PeerMessage::RouteRecovered);
            }
        }
        for Unrouted { message, .. } in &*unrouted {
            let barrier = self.barrier_of_all(Until::AllStored).peers.into_vec();
            // It began before everything that this life of the process records.
            let recorded_in = Segment::default();
            self.forwards.told.push_back(Forward { id: message.id, recorded_in, barrier });
        }
        self.record_routed();
    }

    /// Does this shard's part of a publication that nobody would send again, and records that it is done.
    pub(super) fn route_exactly(&mut self, now: Timestamp, message: &ApplicationMessage, reach: Reach<'_>) {
        self.last_message_at = self.last_message_at.max(message.id.received_at);
        self.route(now, &mut Publication::of(message), reach);
        let (id, home) = (message.id, self.home());
        self.clients.journal.stage(|| Record::RoutedTo { id, home });
    }

    fn home(&self) -> Home {
        Home { shard: self.peers.own, shards: self.peers.count() }
    }
}

/// Whom a publication is routed to.
#[derive(Clone, Copy)]
pub(super) enum Reach<'a> {
    /// Everybody: it was published here. The flag says that nobody would send it again.
    Everywhere { exactly: bool },
    /// Everybody on this shard: a peer has sent it.
    Here,
    /// Everybody on this shard who has not had it before a restart.
    HereBut(&'a Unrouted),
}

impl Reach<'_> {
    /// Whether a Session, a group or a topic of this name gets it.
    #[inline]
    pub fn includes<'n>(self, name: impl FnOnce() -> Option<&'n str>) -> bool {
        match self {
            Self::Everywhere { .. } | Self::Here => true,
            Self::HereBut(known) => name().is_none_or(|name| !known.done.iter().any(|home| home.has(name))),
        }
    }
}
