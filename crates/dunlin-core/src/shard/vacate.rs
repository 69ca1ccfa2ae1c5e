//! The store wants to forget the oldest segments of its log: what the shard still holds from there is said
//! again, and so moves to the log's end.
//!
//! The shard walks over everything durable that it owns, a slice in each turn: Sessions with their
//! subscriptions and messages, Retained Messages, groups. Whatever was recorded before the wanted segment is
//! recorded anew. When the walk is over, everything that it staged is in the hands of the store before
//! [`Output::Vacated`] is, and the store can delete the segments once that is durable.
//!
//! A walk costs what the shard holds, not what its history was, and the store asks for one only when the log
//! has grown in proportion.

use super::clients::Clients;
use super::deliver::queued;
use super::{Output, Shard};
use crate::identity::partition;
use crate::journal::{Record, Segment, SessionNumber};
use crate::router::Target;
use crate::session::{Held, Session};
use crate::slots::Key;

/// Things looked at in one turn.
const SLICE: usize = 512;

/// How far the walk has come.
#[derive(Debug)]
pub(crate) struct Vacating {
    /// What was recorded before this is recorded again.
    before: Segment,
    /// The slot of the Session that comes next.
    session: u32,
    /// The messages of that Session before this place are done.
    order: u64,
    /// Whether the rest of that Session is done.
    is_described: bool,
    /// Where the walk over the Retained Messages is.
    retained: String,
    /// The slot of the group that comes next.
    group: u32,
}

impl Shard {
    /// The store wants to forget all segments before this one.
    pub fn handle_vacate(&mut self, before: Segment) {
        // The log is there at least. What is staged from here on must not be taken for older, or the body it
        // refers to would be left in a segment that goes.
        self.clients.journal.set_segment(before);
        let retained = String::new();
        self.vacating =
            Some(Vacating { before, session: 0, order: 0, is_described: false, retained, group: 0 });
    }

    /// One slice of the walk.
    pub(super) fn continue_vacating(&mut self) {
        let Some(mut vacating) = self.vacating.take() else {
            return;
        };
        let mut budget = SLICE;
        let is_over = self.vacate_sessions(&mut vacating, &mut budget)
            && self.vacate_retained(&mut vacating, &mut budget)
            && self.vacate_groups(&mut vacating, &mut budget);
        if is_over {
            self.clients.outputs.push_back(Output::Vacated { before: vacating.before });
        } else {
            self.vacating = Some(vacating);
        }
    }

    fn vacate_sessions(&mut self, vacating: &mut Vacating, budget: &mut usize) -> bool {
        while vacating.session < self.clients.sessions.end_index() {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            if let Some(key) = self.clients.sessions.key_at(vacating.session)
                && let Some(number) = self.clients.sessions.get(key).and_then(|value| value.number)
            {
                if !std::mem::replace(&mut vacating.is_described, true) {
                    self.describe_session(key, number, vacating.before);
                }
                match self.clients.say_again(key, number, vacating.order, vacating.before, budget) {
                    Some(order) => {
                        vacating.order = order;
                        return false;
                    }
                    None => vacating.order = 0,
                }
            }
            vacating.is_described = false;
            vacating.session += 1;
        }
        true
    }

    /// Says everything about a Session but its messages again.
    fn describe_session(&mut self, key: Key, number: SessionNumber, before: Segment) {
        let segment = self.clients.journal.segment();
        let Some(value) = self.clients.sessions.get_mut(key).filter(|value| value.recorded_in < before) else {
            return;
        };
        value.recorded_in = segment;
        let filters = value.filters.clone();
        let memberships = value.memberships.clone();
        let received: Vec<_> = value.inbound.iter().collect();
        self.clients.record(key, Session::record);
        for filter in filters {
            if let Some(subscription) = self.router.get(&filter, Target::Session(key.index)) {
                self.clients.journal.stage(|| Record::Subscribed { session: number, filter, subscription });
            }
        }
        for membership in memberships {
            let (filter, subscription) = (Box::from(&*membership.name), membership.subscription);
            self.clients.journal.stage(|| Record::Subscribed { session: number, filter, subscription });
        }
        for packet_identifier in received {
            self.clients.journal.stage(|| Record::Received { session: number, packet_identifier });
        }
        self.record_will(key, false);
    }

    fn vacate_retained(&mut self, vacating: &mut Vacating, budget: &mut usize) -> bool {
        let segment = self.clients.journal.segment();
        let (own, shards) = (self.peers.own, self.peers.count());
        loop {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let Some(kept) = self.retained.next_mut(&mut vacating.retained) else {
                return true;
            };
            let is_ours = || partition(kept.message.topic(), shards) == own;
            if kept.recorded_in < vacating.before && is_ours() {
                kept.recorded_in = segment;
                let message = kept.message.clone();
                self.clients.journal.stage(|| Record::Retained { message });
            }
        }
    }

    fn vacate_groups(&mut self, vacating: &mut Vacating, budget: &mut usize) -> bool {
        while vacating.group < self.groups.end_index() {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let segment = self.clients.journal.segment();
            if let Some(group) = self.groups.at_mut(vacating.group)
                && let Some(recorded_in) = group.recorded_in
            {
                let (number, name) = (group.number, group.name.clone());
                if recorded_in < vacating.before {
                    group.recorded_in = Some(segment);
                    self.clients.journal.stage(|| Record::Group { group: number, name });
                }
                let is_old =
                    |recorded_in: Option<Segment>| recorded_in.is_some_and(|place| place < vacating.before);
                for held in group.held_mut().filter(|held| is_old(held.recorded_in)) {
                    held.recorded_in = Some(segment);
                    let (sequence, message) = (held.sequence, held.message.clone());
                    self.clients.journal.stage(|| Record::GroupQueued { group: number, sequence, message });
                }
            }
            vacating.group += 1;
        }
        true
    }
}

impl Clients {
    /// Says a Session's messages from a place on again, as far as the budget goes; where to go on, if it did
    /// not suffice.
    fn say_again(
        &mut self,
        key: Key,
        session: SessionNumber,
        from: u64,
        before: Segment,
        budget: &mut usize,
    ) -> Option<u64> {
        let segment = self.journal.segment();
        let value = self.sessions.get_mut(key)?;
        for held in value.outbound.held(from) {
            if *budget == 0 {
                return Some(held.order());
            }
            *budget -= 1;
            let is_old = |recorded_in: Option<Segment>| recorded_in.is_some_and(|place| place < before);
            match held {
                Held::Delivery(packet_identifier, delivery) if is_old(delivery.recorded_in) => {
                    delivery.recorded_in = Some(segment);
                    self.journal.stage(|| queued(session, delivery));
                    let order = delivery.order;
                    if let Some(packet_identifier) = packet_identifier {
                        self.journal.stage(|| Record::Sent { session, order, packet_identifier });
                    }
                }
                Held::Released(packet_identifier, finished) if is_old(finished.recorded_in) => {
                    finished.recorded_in = Some(segment);
                    let (order, ticket) = (finished.order, finished.ticket.as_deref().map(|it| it.place()));
                    self.journal.stage(|| Record::Released { session, order, packet_identifier, ticket });
                }
                _ => {}
            }
        }
        None
    }
}
