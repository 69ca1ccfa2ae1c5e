//! A shared group: the Session members of one Shared Subscription, and the work that waits for them.
//!
//! `$share/name/filter` is a work queue (5.0 section 4.8.2). A group lives on the shard that its text hashes
//! to; members may live anywhere. A message is given to a member only at the moment that member can take it,
//! so nothing ever waits behind a member that is away or full:
//!
//! ```text
//!   publish ──> pick a ready member ──> Taken ──────────────> outstanding + 1 ──> done ──> outstanding - 1
//!                    │                    └── Busy: not ready until it says so
//!                    └── nobody ready ──> queue, in order of `sequence`
//!   a member leaves: its unacknowledged QoS 1 messages come back and go to their old place in the queue
//! ```
//!
//! This file is the group alone; who sends and who tells whom is in `shard/shared.rs`.

use crate::delivery::{Delivery, Identifiers};
use crate::identity::ShardId;
use crate::journal::{GroupNumber, Segment};
use crate::message::ApplicationMessage;
use crate::queue::Queue;
use crate::router::Subscription;
use crate::slots::Key;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names a group to other shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupId {
    /// The shard it lives on.
    pub owner: ShardId,
    /// Its number.
    pub number: GroupNumber,
}

/// Goes with a message of a group to a member, so that it can come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// Where it belongs.
    pub group: GroupId,
    /// Its place in the group's order.
    pub sequence: u64,
}

impl Ticket {
    /// The ticket as records have it.
    pub fn place(&self) -> (GroupNumber, u64) {
        (self.group.number, self.sequence)
    }
}

/// A Session as a member: its shard and its key there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberId {
    /// The shard of the Session.
    pub shard: ShardId,
    /// The Session.
    pub session: Key,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub id: MemberId,
    /// Its own options: members of one group may differ in QoS and identifier.
    pub subscription: Subscription,
    /// Whether its Session outlives connections.
    pub is_durable: bool,
    /// Whether it is connected.
    pub is_online: bool,
    /// Whether it can take a QoS 1 or 2 message as far as is known.
    pub is_ready: bool,
    /// Messages given to it and not finished.
    pub outstanding: u32,
}

/// A message that waits for a member, or that a member has.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its place.
    pub sequence: u64,
    /// The message.
    pub message: ApplicationMessage,
    /// The store's log has it in this segment or later; none if the store does not know it.
    pub recorded_in: Option<Segment>,
}

impl Waiting {
    /// As it stands in the queue. How it is delivered is decided by the member's options.
    pub fn into_delivery(self) -> Delivery {
        let Self { sequence, message, recorded_in } = self;
        let (qos, retain) = (message.qos, message.retain);
        Delivery {
            message,
            qos,
            retain,
            identifiers: Identifiers::None,
            ticket: None,
            order: sequence,
            recorded_in,
        }
    }
}

impl From<Delivery> for Waiting {
    fn from(Delivery { order, message, recorded_in, .. }: Delivery) -> Self {
        Self { sequence: order, message, recorded_in }
    }
}

/// The members and the queue of one shared subscription.
#[derive(Debug)]
pub struct Group {
    /// The whole filter, `$share/...` included.
    pub name: Arc<str>,
    /// What other shards and the store call it.
    pub number: GroupNumber,
    /// The store's log has its name in this segment or later; none if the store does not know it.
    pub recorded_in: Option<Segment>,
    members: Vec<Member>,
    /// What waits, at the place of each.
    queue: Queue,
    /// Messages that the store knows and a member has, by place: they are the group's until it is done.
    lent: BTreeMap<u64, Waiting>,
    next_sequence: u64,
    last_picked: usize,
}

impl Group {
    /// A group without members.
    pub fn new(number: GroupNumber, name: Arc<str>) -> Self {
        Self {
            name,
            number,
            recorded_in: None,
            members: Vec::new(),
            queue: Queue::default(),
            lent: BTreeMap::new(),
            next_sequence: 0,
            last_picked: 0,
        }
    }

    /// The filter beneath `$share/name/`.
    pub fn topic_filter(&self) -> &str {
        self.name.splitn(3, '/').nth(2).unwrap_or_default()
    }

    /// Adds a member, or replaces its options.
    pub fn join(&mut self, id: MemberId, subscription: Subscription, is_durable: bool) {
        match self.member_mut(id) {
            Some(member) => member.subscription = subscription,
            None => {
                self.members.push(Member {
                    id,
                    subscription,
                    is_durable,
                    is_online: false,
                    is_ready: false,
                    outstanding: 0,
                });
            }
        }
    }

    /// Removes a member; false if it was none.
    pub fn leave(&mut self, id: MemberId) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.id != id);
        self.members.len() < before
    }

    /// A member.
    pub fn member_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// All members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether messages for it must survive the process: a member does.
    pub fn is_durable(&self) -> bool {
        self.members.iter().any(|member| member.is_durable)
    }

    /// The least loaded member that can take a message now; among equals, the one whose turn it is. A QoS 0
    /// message needs a connected member only.
    pub fn pick(&mut self, needs_quota: bool) -> Option<Member> {
        let count = self.members.len();
        let candidates = (1..=count).map(|step| (self.last_picked + step) % count);
        let (position, member) = candidates
            .filter_map(|position| self.members.get(position).map(|member| (position, member)))
            .filter(|(_, member)| member.is_online && (member.is_ready || !needs_quota))
            .min_by_key(|(_, member)| member.outstanding)?;
        let member = member.clone();
        self.last_picked = position;
        Some(member)
    }

    /// The place of the next new message.
    pub fn take_sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence
    }

    /// What waits for a member.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What waits for a member.
    pub fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Whether a member is connected and can take a QoS 1 or 2 message as far as is known.
    pub fn has_ready_member(&self) -> bool {
        self.members.iter().any(|member| member.is_online && member.is_ready)
    }

    /// Whether a member is connected.
    pub fn has_online_member(&self) -> bool {
        self.members.iter().any(|member| member.is_online)
    }

    /// Notes a message, if the store knows it, that a member has now.
    pub fn lend(&mut self, waiting: Waiting) {
        if waiting.recorded_in.is_some() {
            self.lent.insert(waiting.sequence, waiting);
        }
    }

    /// A member has finished with a message, or gives it back.
    pub fn take_back(&mut self, sequence: u64) -> Option<Waiting> {
        self.lent.remove(&sequence)
    }

    /// No new message gets a place up to this one.
    pub fn continue_after(&mut self, sequence: u64) {
        self.next_sequence = self.next_sequence.max(sequence);
    }

    /// Messages that members have and that the store knows.
    pub fn lent(&self) -> usize {
        self.lent.len()
    }

    /// The messages that members have.
    pub fn lent_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.lent.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(index: u32) -> MemberId {
        MemberId { shard: 0, session: Key { index, generation: 1 } }
    }

    const OPTIONS: Subscription =
        Subscription { maximum_qos: 2, no_local: false, retain_as_published: false, identifier: 0 };

    fn group(name: &str) -> Group {
        Group::new(GroupNumber(1), Arc::from(name))
    }

    fn group_of(count: u32) -> Group {
        let mut group = group("$share/workers/jobs/#");
        for index in 0..count {
            group.join(member(index), OPTIONS, false);
            if let Some(member) = group.member_mut(member(index)) {
                (member.is_online, member.is_ready) = (true, true);
            }
        }
        group
    }

    #[test]
    fn the_filter_beneath_keeps_its_own_slashes() {
        assert_eq!(group("$share/workers/jobs/+/new").topic_filter(), "jobs/+/new");
        assert_eq!(group("$share/workers//new").topic_filter(), "/new");
    }

    #[test]
    fn equal_members_take_turns() {
        let mut group = group_of(3);
        let picked: Vec<u32> = (0..6).filter_map(|_| group.pick(true)).map(|m| m.id.session.index).collect();
        assert_eq!(picked, [1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn the_least_loaded_member_is_preferred_and_one_that_is_not_ready_is_passed_over() {
        let mut group = group_of(3);
        group.member_mut(member(0)).unwrap().outstanding = 5;
        group.member_mut(member(1)).unwrap().outstanding = 1;
        group.member_mut(member(2)).unwrap().is_ready = false;
        assert_eq!(group.pick(true).unwrap().id, member(1));
        assert_eq!(group.pick(false).unwrap().id, member(2), "QoS 0 needs no quota");
        group.member_mut(member(2)).unwrap().is_online = false;
        assert_eq!(group.pick(false).unwrap().id, member(1));
    }
}
