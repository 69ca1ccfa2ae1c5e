//! What other shards say, and how they are answered.

use super::Shard;
use super::complete::Answer;
use super::forward::Reach;
use super::shared::{Joining, ROUTE_ONLY};
use crate::connection::{Barrier, Slowed};
use crate::group::MemberId;
use crate::identity::ShardId;
use crate::journal::Position;
use crate::message::Publication;
use crate::peer::{Link, PeerMessage};
use crate::router::Target;
use crate::slots::Key;
use crate::time::Timestamp;

impl Shard {
    /// Takes a message from another shard. Messages from one shard must come in the order in which it sent
    /// them.
    pub fn handle_peer(&mut self, now: Timestamp, from: ShardId, message: PeerMessage) {
        self.clients.turn.begin(now);
        self.clients.journal.begin_input();
        if let PeerMessage::Applied { .. } | PeerMessage::Settled(_) = message {
            self.apply(now, from, message);
        } else if let Some(link) = self.peers.link(from) {
            link.receive(message);
            self.apply_received(now, from);
        }
        self.run_follow_ups(now);
    }

    /// The end of a batch from a shard: tells it how much is applied, and what of it is still to become durable.
    pub fn handle_peer_batch_end(&mut self, from: ShardId) {
        let journal = &self.clients.journal;
        let Some(link) = self.peers.link(from) else {
            return;
        };
        let received = link.received();
        if let Some((applied, unsettled)) = link.applied_to_tell(|position| journal.is_durable(position)) {
            link.stage(applied);
            if let Some(position) = unsettled {
                self.waiting_settled.push_back((position, from, received));
            }
        }
    }

    /// Applies what a shard has sent. What runs into a slow consumer holds the rest up, as it would pause a
    /// publisher of this shard; so does a store that is far behind; and a large fan-out goes on after the flush.
    fn apply_received(&mut self, now: Timestamp, from: ShardId) {
        while !self.clients.wire.is_turn_full()
            && !self.clients.journal.is_behind()
            && let Some(message) = self.peers.link(from).and_then(|link| link.next_received())
        {
            self.clients.journal.begin_input();
            self.apply(now, from, message);
            self.run_follow_ups(now);
            let position = self.clients.journal.position_of_input();
            if position > Position::default()
                && let Some(link) = self.peers.link(from)
            {
                link.recorded.push((link.received(), position));
            }
        }
    }

    /// Whether anything of what peers have sent can be applied now.
    pub(super) fn has_peer_work(&self) -> bool {
        self.peers.have_work() && !self.clients.journal.is_behind()
    }

    /// Goes on with what peers have sent.
    pub(super) fn continue_peers(&mut self, now: Timestamp) {
        for peer in self.peers.others() {
            if self.has_peer_work() && self.peers.link(peer).is_some_and(|link| link.has_work()) {
                self.apply_received(now, peer);
                self.handle_peer_batch_end(peer);
            }
        }
    }

    /// Sends a message to a shard, or applies it here if this is the one.
    pub(super) fn tell(&mut self, now: Timestamp, to: ShardId, message: PeerMessage) {
        if to == self.peers.own {
            self.apply(now, to, message);
        } else if let Some(link) = self.peers.link(to) {
            link.stage(message);
        }
    }

    fn apply(&mut self, now: Timestamp, from: ShardId, message: PeerMessage) {
        if matches!(message, PeerMessage::Publish(_) | PeerMessage::PublishExactly(_)) {
            self.route_recovered(now);
        }
        let member = |session| MemberId { shard: from, session };
        match message {
            PeerMessage::Publish(message) => {
                // Whatever is published here after this message was acknowledged is newer than it, whatever
                // the clocks say.
                self.last_message_at = self.last_message_at.max(message.id.received_at);
                self.route(now, &mut Publication::of(&message), Reach::Here);
                self.hold_up(now, from);
            }
            PeerMessage::PublishExactly(message) => {
                self.route_exactly(now, &message, Reach::Here);
                self.hold_up(now, from);
            }
            PeerMessage::RouteRecovered => self.route_recovered(now),
            PeerMessage::Interest { filter, is_added: true } => {
                self.router.insert(&filter, Target::Peer(from), ROUTE_ONLY);
            }
            PeerMessage::Interest { filter, is_added: false } => {
                self.router.remove(&filter, Target::Peer(from));
            }
            PeerMessage::GroupJoin { name, session, subscription, is_online, is_durable, token } => {
                let joining = Joining { name, id: member(session), subscription, is_online, is_durable };
                self.group_join(now, joining, token);
            }
            PeerMessage::GroupJoined { token } => self.join_answered(now, token),
            PeerMessage::GroupLeave { name, session } => self.group_leave(&name, member(session)),
            PeerMessage::GroupOrphan { session, message } => self.adopt_orphan(now, session, message),
            PeerMessage::GroupReady { name, session } => self.group_ready(now, &name, member(session)),
            PeerMessage::GroupAway { name, session } => self.group_away(&name, member(session)),
            PeerMessage::GroupDeliver { name, session, ticket, subscription, message } => {
                self.deliver_for_group(now, &name, session, ticket, subscription, message);
            }
            PeerMessage::GroupDone { ticket, session } => self.group_done(now, ticket, member(session)),
            PeerMessage::GroupReturn { ticket, session, message, is_busy } => {
                self.group_returned(now, ticket, member(session), message, is_busy);
            }
            PeerMessage::Newer { than } => self.last_message_at = self.last_message_at.max(than),
            PeerMessage::Applied { received, unsettled } => {
                self.peer_answered(now, from, |link| link.set_applied(received, unsettled));
            }
            PeerMessage::Settled(sequence) => {
                self.peer_answered(now, from, |link| link.set_settled(sequence));
            }
        }
    }

    /// A publication of a peer has run into a slow consumer here: what the peer has sent waits until that is
    /// over, and in the end its publishers do.
    fn hold_up(&mut self, now: Timestamp, from: ShardId) {
        let Some(consumer) = self.clients.slow_consumer.take() else {
            return;
        };
        let is_waiting = self
            .clients
            .connections
            .get(consumer)
            .and_then(|connection| connection.extras.as_ref())
            .is_some_and(|extras| extras.slowed.contains(&Slowed::Peer(from)));
        if !is_waiting
            && self.slow_down(now, consumer, Slowed::Peer(from))
            && let Some(link) = self.peers.link(from)
        {
            link.held_up_by += 1;
        }
    }

    /// A slow consumer no longer holds a peer up.
    pub(super) fn stop_holding_up(&mut self, peer: ShardId) {
        if let Some(link) = self.peers.link(peer) {
            link.held_up_by = link.held_up_by.saturating_sub(1);
        }
    }

    fn peer_answered(&mut self, now: Timestamp, from: ShardId, note: impl FnOnce(&mut Link)) {
        let Some(link) = self.peers.link(from) else {
            return;
        };
        note(link);
        if link.has_caught_up() {
            for publisher in std::mem::take(&mut link.slowed) {
                self.resume_publisher(publisher);
            }
        }
        for key in self.peers.link(from).map(Link::take_waiting).unwrap_or_default() {
            self.release(now, key);
        }
        self.send_answers(now);
        self.record_routed();
    }

    /// Answers a shard about a group it joined, when the barrier opens.
    pub(super) fn answer(&mut self, now: Timestamp, barrier: Barrier, to: ShardId, token: u64) {
        self.answers.push_back(Answer { barrier, to, token });
        self.send_answers(now);
    }

    /// Each barrier contains those before it, so only the first can be the next to open.
    fn send_answers(&mut self, now: Timestamp) {
        while let Some(answer) = self.answers.front() {
            if !answer.barrier.peers.iter().all(|mark| self.peers.have_passed(mark)) {
                return;
            }
            if let Some(Answer { to, token, .. }) = self.answers.pop_front() {
                self.tell(now, to, PeerMessage::GroupJoined { token });
            }
        }
    }

    /// A token for the joins of one SUBSCRIBE.
    pub(super) fn next_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// One more join whose answer the SUBACK of a connection waits for.
    pub(super) fn expect_join(&mut self, token: u64, connection: Key) {
        self.waiting_joins.entry(token).or_insert((connection, 0)).1 += 1;
    }

    pub(super) fn is_join_pending(&self, token: u64) -> bool {
        self.waiting_joins.contains_key(&token)
    }
}
