//! Shared Subscriptions: who gets the next message of a group, and what happens when members come, go or are
//! full.
//!
//! All of it is spoken in [`PeerMessage`]s: a member on this shard is told directly, one on another shard
//! through its link, and the code is the same ([`Shard::tell`]).

use super::deliver::Wanted;
use super::{DropReason, Holder, Shard};
use crate::connection::{Barrier, Mark, Until};
use crate::delivery::Finished;
use crate::group::{Group, GroupId, Member, MemberId, Ticket, Waiting};
use crate::identity::ShardId;
use crate::journal::{GroupNumber, Record, Segment};
use crate::message::{ApplicationMessage, Publication};
use crate::peer::PeerMessage;
use crate::queue::Queue;
use crate::router::{Subscription, Target};
use crate::settings::OverflowPolicy;
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::QoS;
use smallvec::SmallVec;
use std::sync::Arc;

/// A route to a group or to a peer: the options are applied where the subscriber is.
pub(super) const ROUTE_ONLY: Subscription =
    Subscription { maximum_qos: 2, no_local: false, retain_as_published: true, identifier: 0 };

/// The place of a message in its group, and where the store has it.
#[derive(Clone, Copy)]
struct Place {
    sequence: u64,
    recorded_in: Option<Segment>,
}

/// What a member's options make of a message.
fn wanted<'a>(subscription: &Subscription, identifier: &'a [u32; 1], is_retain: bool) -> Wanted<'a> {
    Wanted {
        maximum_qos: QoS::from_bits(subscription.maximum_qos).unwrap_or_default(),
        retain: is_retain && subscription.retain_as_published,
        identifiers: if subscription.identifier == 0 { &[] } else { identifier },
    }
}

/// Who joins a group.
pub(super) struct Joining {
    pub name: Arc<str>,
    pub id: MemberId,
    pub subscription: Subscription,
    pub is_online: bool,
    pub is_durable: bool,
}

impl Shard {
    /// Gives a new message to a member, or lets it wait. If a member's Session outlives connections, the store
    /// has the message until a member is done with it.
    // spec(v5): [MQTT-4.8.2-3]
    pub(super) fn route_to_group(
        &mut self,
        now: Timestamp,
        index: u32,
        publication: &mut Publication<'_>,
        barrier: &mut Barrier,
    ) {
        let (Some(key), Some(group)) = (self.groups.key_at(index), self.groups.at_mut(index)) else {
            return;
        };
        let needs_quota = publication.qos != QoS::AtMostOnce;
        let place = Place { sequence: group.take_sequence(), recorded_in: None };
        let is_first = !needs_quota || group.queue().is_empty();
        let is_recorded = needs_quota && self.clients.journal.is_enabled() && group.is_durable();
        let place = if is_recorded { self.record_place(key, place, publication) } else { place };
        if is_first && self.assign(now, key, publication, place, barrier) {
            return;
        }
        if needs_quota {
            let Place { sequence, recorded_in } = place;
            self.let_wait(
                now,
                key,
                Waiting { sequence, message: publication.keep(&self.clients.gauge), recorded_in },
            );
        } else {
            self.clients.counters.drop(DropReason::NoMember);
        }
    }

    /// Tells the store of a message of a group, and of the group if it does not know it.
    fn record_place(&mut self, key: Key, place: Place, publication: &mut Publication<'_>) -> Place {
        let Some(group) = self.groups.get_mut(key) else {
            return place;
        };
        let (number, name) = (group.number, group.name.clone());
        let segment = self.clients.journal.segment();
        if group.recorded_in.is_none() {
            group.recorded_in = Some(segment);
            self.clients.journal.stage(|| Record::Group { group: number, name });
        }
        let (sequence, message) = (place.sequence, publication.keep(&self.clients.gauge));
        self.clients.journal.stage(|| Record::GroupQueued { group: number, sequence, message });
        Place { recorded_in: Some(segment), ..place }
    }

    /// A message of a group is done with.
    fn record_taken(&mut self, group: GroupNumber, sequence: u64, recorded_in: Option<Segment>) {
        if recorded_in.is_some() {
            self.clients.journal.stage(|| Record::GroupTaken { group, sequence });
        }
    }

    /// What waited for a group is dropped.
    pub(super) fn note_dropped_by_group(&mut self, key: Key, dropped: Finished, reason: DropReason) {
        self.clients.counters.drop(reason);
        if let Some(number) = self.groups.get(key).map(|group| group.number) {
            self.record_taken(number, dropped.order, dropped.recorded_in);
        }
    }

    /// Finds a member that can take the message now.
    fn assign(
        &mut self,
        now: Timestamp,
        key: Key,
        publication: &mut Publication<'_>,
        place: Place,
        barrier: &mut Barrier,
    ) -> bool {
        let own = self.peers.own;
        let Some(number) = self.groups.get(key).map(|group| group.number) else {
            return false;
        };
        let Place { sequence, recorded_in } = place;
        let ticket = Ticket { group: GroupId { owner: own, number }, sequence };
        while let Some(member) =
            self.groups.get_mut(key).and_then(|group| group.pick(publication.qos != QoS::AtMostOnce))
        {
            let Member { id, subscription, .. } = member;
            let is_counted = publication.qos != QoS::AtMostOnce && subscription.maximum_qos > 0;
            if id.shard == own && is_counted && !self.clients.can_take(id.session) {
                self.member_is_busy(key, id);
                continue;
            }
            if let Some(group) = self.groups.get_mut(key) {
                if is_counted && let Some(member) = group.member_mut(id) {
                    member.outstanding += 1;
                }
                if recorded_in.is_some() {
                    if is_counted {
                        group.lend(Waiting {
                            sequence,
                            message: publication.keep(&self.clients.gauge),
                            recorded_in,
                        });
                    } else {
                        self.record_taken(number, sequence, recorded_in);
                    }
                }
            }
            if id.shard == own {
                let identifier = [subscription.identifier];
                let wanted = wanted(&subscription, &identifier, publication.retain);
                self.clients.deliver(now, id.session, publication, wanted, is_counted.then_some(ticket));
            } else if let Some(name) = self.groups.get(key).map(|group| group.name.clone())
                && let Some(link) = self.peers.link(id.shard)
            {
                let (session, message) = (id.session, publication.keep(&self.clients.gauge));
                let deliver = PeerMessage::GroupDeliver { name, session, ticket, subscription, message };
                let sequence = link.stage(deliver);
                barrier.peers.push(Mark { peer: id.shard, sequence, until: Until::Stored });
            }
            return true;
        }
        false
    }

    /// A member is full: it says so when it is not.
    fn member_is_busy(&mut self, key: Key, id: MemberId) {
        if let Some(member) = self.groups.get_mut(key).and_then(|group| group.member_mut(id)) {
            member.is_ready = false;
        }
        if let Some(session) = self.clients.sessions.get_mut(id.session) {
            session.is_busy = true;
        }
    }

    fn let_wait(&mut self, now: Timestamp, key: Key, waiting: Waiting) {
        let settings = Arc::clone(&self.clients.settings);
        let holder = Holder::Group(key);
        let (sequence, is_recorded) = (waiting.sequence, waiting.recorded_in.is_some());
        self.vacating_goes_back(key, sequence);
        self.with_queue(holder, |queue| queue.insert(waiting.into_delivery()));
        while let Some(queue) = self.groups.get(key).map(Group::queue)
            && (queue.len() > settings.queued_messages_max || queue.bytes() > settings.queued_bytes_max)
        {
            let is_oldest = settings.overflow == OverflowPolicy::DropOldest;
            let is_expired = if is_oldest { queue.front_is_expired(now) } else { queue.back_is_expired(now) };
            let dropped =
                self.with_queue(holder, if is_oldest { Queue::drop_front } else { Queue::drop_back });
            let Some(dropped) = dropped.flatten() else {
                return;
            };
            let reason = if is_expired { DropReason::Expired } else { DropReason::QueueFull };
            self.note_dropped_by_group(key, dropped, reason);
        }
        if is_recorded {
            self.clients.note_queued(holder, sequence);
        }
    }

    /// Hands out what waits, in order, while somebody can take it.
    pub(super) fn drain(&mut self, now: Timestamp, key: Key) {
        let holder = Holder::Group(key);
        while self.groups.get(key).is_some_and(Group::has_ready_member) {
            let Some(delivery) = self.with_queue(holder, Queue::pop_front).flatten() else {
                break;
            };
            let waiting = Waiting::from(delivery);
            let Waiting { sequence, ref message, recorded_in } = waiting;
            if message.is_expired(now) {
                let dropped = Finished { order: sequence, recorded_in, ticket: None };
                self.note_dropped_by_group(key, dropped, DropReason::Expired);
                continue;
            }
            let message = message.clone();
            self.clients.frames.reset();
            let mut publication = Publication::of(&message);
            let place = Place { sequence, recorded_in };
            if !self.assign(now, key, &mut publication, place, &mut Barrier::default()) {
                self.with_queue(holder, |queue| queue.insert(waiting.into_delivery()));
                break;
            }
        }
        self.load_front_of_group(key);
    }

    /// A Session of this shard has finished with a message of a group.
    pub(super) fn ticket_done(&mut self, now: Timestamp, session: Key, ticket: Ticket) {
        self.tell(now, ticket.group.owner, PeerMessage::GroupDone { ticket, session });
    }

    /// A member of this shard can take messages again.
    pub(super) fn tell_ready(&mut self, now: Timestamp, session: Key) {
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        value.is_busy = false;
        let memberships: SmallVec<[(Arc<str>, ShardId); 2]> = value
            .extras
            .memberships
            .iter()
            .map(|membership| (membership.name.clone(), membership.owner))
            .collect();
        for (name, owner) in memberships {
            self.tell(now, owner, PeerMessage::GroupReady { name, session });
        }
    }

    pub(super) fn group_done(&mut self, now: Timestamp, ticket: Ticket, id: MemberId) {
        let Some((key, group)) = self.group_numbered(ticket.group.number) else {
            return;
        };
        if let Some(member) = group.member_mut(id) {
            member.outstanding = member.outstanding.saturating_sub(1);
            member.is_ready = true;
        }
        let has_waiting = !group.queue().is_empty();
        if let Some(Waiting { sequence, recorded_in, .. }) = group.take_back(ticket.sequence) {
            self.record_taken(ticket.group.number, sequence, recorded_in);
        }
        if has_waiting {
            self.drain(now, key);
        }
    }

    fn group_numbered(&mut self, number: GroupNumber) -> Option<(Key, &mut Group)> {
        let key = *self.groups_by_number.get(&number)?;
        self.groups.get_mut(key).map(|group| (key, group))
    }

    /// A message comes back: the member is full, or left without acknowledging it. It goes to its old place.
    pub(super) fn group_returned(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        id: MemberId,
        message: ApplicationMessage,
        is_busy: bool,
    ) {
        let Some((key, group)) = self.group_numbered(ticket.group.number) else {
            if is_busy {
                return self.clients.counters.drop(DropReason::NoMember);
            }
            let orphan = PeerMessage::GroupOrphan { session: id.session, message };
            return self.tell(now, id.shard, orphan);
        };
        if let Some(member) = group.member_mut(id) {
            member.outstanding = member.outstanding.saturating_sub(1);
            if is_busy {
                member.is_ready = false;
            }
        }
        let sequence = ticket.sequence;
        let waiting = group.take_back(sequence).unwrap_or(Waiting { sequence, message, recorded_in: None });
        self.let_wait(now, key, waiting);
        self.drain(now, key);
    }

    /// A message of a group on another shard, for a Session here. If it cannot be taken this moment, it goes
    /// back.
    pub(super) fn deliver_for_group(
        &mut self,
        now: Timestamp,
        name: &str,
        session: Key,
        ticket: Ticket,
        subscription: Subscription,
        message: ApplicationMessage,
    ) {
        // It may have left while the message was on its way.
        // spec(v5): [MQTT-3.10.4-2]
        if self.clients.sessions.get(session).is_none_or(|value| value.membership(name).is_err()) {
            let returned = PeerMessage::GroupReturn { ticket, session, message, is_busy: true };
            return self.tell(now, ticket.group.owner, returned);
        }
        let is_counted = message.qos != QoS::AtMostOnce && subscription.maximum_qos > 0;
        if is_counted && !self.clients.can_take(session) {
            let is_busy = self.clients.live_connection(session).is_some();
            if let Some(value) = self.clients.sessions.get_mut(session) {
                value.is_busy |= is_busy;
            }
            let returned = PeerMessage::GroupReturn { ticket, session, message, is_busy };
            return self.tell(now, ticket.group.owner, returned);
        }
        self.clients.frames.reset();
        let identifier = [subscription.identifier];
        let wanted = wanted(&subscription, &identifier, message.retain);
        self.clients.deliver(
            now,
            session,
            &mut Publication::of(&message),
            wanted,
            is_counted.then_some(ticket),
        );
    }

    /// A message that a Session had of a group, which has ended while the Session was away: its delivery has
    /// begun and will be completed.
    // spec(v5): [MQTT-3.10.4-3]
    // spec(v3.1.1): [MQTT-3.10.4-3]
    pub(super) fn adopt_orphan(&mut self, now: Timestamp, session: Key, message: ApplicationMessage) {
        let wanted = Wanted { maximum_qos: QoS::AtLeastOnce, retain: false, identifiers: &[] };
        self.clients.frames.reset();
        self.clients.deliver(now, session, &mut Publication::of(&message), wanted, None);
    }

    /// A Session joins, or changes its options. The group exists from here on; the answer waits until every
    /// shard knows.
    pub(super) fn group_join(&mut self, now: Timestamp, joining: Joining, token: u64) {
        let Joining { name, id, subscription, is_online, is_durable } = joining;
        let key = match self.groups_by_name.get(&name) {
            Some(key) => *key,
            None => {
                let number = GroupNumber(self.take_number());
                self.insert_group(Group::new(number, name.clone()))
            }
        };
        if let Some(group) = self.groups.get_mut(key) {
            group.join(id, subscription, is_durable);
            let filter = Box::<str>::from(group.topic_filter());
            if self.router.insert(&filter, Target::Group(key.index), ROUTE_ONLY).is_first_local {
                self.announce(&filter, true);
            }
        }
        let barrier = self.barrier_of_all(Until::Applied);
        self.answer(now, barrier, id.shard, token);
        if is_online {
            self.group_ready(now, &name, id);
        }
    }

    pub(super) fn insert_group(&mut self, group: Group) -> Key {
        let (number, name) = (group.number, group.name.clone());
        let key = self.groups.insert(group);
        self.groups_by_name.insert(name, key);
        self.groups_by_number.insert(number, key);
        key
    }

    pub(super) fn group_ready(&mut self, now: Timestamp, name: &str, id: MemberId) {
        let Some(key) = self.groups_by_name.get(name).copied() else {
            return;
        };
        if let Some(member) = self.groups.get_mut(key).and_then(|group| group.member_mut(id)) {
            (member.is_online, member.is_ready) = (true, true);
            self.drain(now, key);
        }
    }

    pub(super) fn group_away(&mut self, name: &str, id: MemberId) {
        if let Some(key) = self.groups_by_name.get(name).copied()
            && let Some(member) = self.groups.get_mut(key).and_then(|group| group.member_mut(id))
        {
            (member.is_online, member.is_ready) = (false, false);
            if self.groups.get(key).is_some_and(|group| !group.has_online_member()) {
                // What was loaded for its members is not needed now.
                self.clients.note_queued(Holder::Group(key), u64::MAX);
                self.give_up_bodies();
            }
        }
    }

    /// A member leaves for good; with the last one the group ends, and what waits in it.
    pub(super) fn group_leave(&mut self, name: &str, id: MemberId) {
        let Some(key) = self.groups_by_name.get(name).copied() else {
            return;
        };
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        if !group.leave(id) {
            return;
        }
        if group.members().is_empty() {
            self.end_group(key);
        }
    }

    fn end_group(&mut self, key: Key) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        self.clients.counters.drop_many(DropReason::NoMember, group.queue().len() as u64);
        self.clients.gauge.note_stored(group.queue().stored_bytes(), 0);
        let filter = Box::<str>::from(group.topic_filter());
        let (number, name) = (group.number, group.name.clone());
        if group.recorded_in.is_some() {
            self.clients.journal.stage(|| Record::GroupEnded { group: number });
        }
        self.groups_by_name.remove(&name);
        self.groups_by_number.remove(&number);
        self.groups.remove(key);
        self.remove_route(&filter, Target::Group(key.index));
    }
}
