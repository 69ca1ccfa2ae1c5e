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
use crate::group::Ticket;
use crate::identity::partition;
use crate::journal::{Budget, Record, Segment, SessionNumber};
use crate::router::Target;
use crate::session::{Exchange, Session};
use crate::slots::Key;
use crate::time::Timestamp;

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
    /// Messages of that Session are being read.
    is_waiting: bool,
    /// Where the walk over the Retained Messages is.
    retained: String,
    /// The slot of the group that comes next.
    group: u32,
    /// The walk is over. What waits is that publications that began before it are everywhere.
    is_over: bool,
}

impl Shard {
    /// The store wants to forget all segments before this one.
    pub fn handle_vacate(&mut self, before: Segment) {
        // The log is there at least. What is staged from here on must not be taken for older, or the body it
        // refers to would be left in a segment that goes.
        self.clients.journal.set_segment(before);
        let retained = String::new();
        let start = Vacating {
            before,
            session: 0,
            order: 0,
            is_described: false,
            is_waiting: false,
            retained,
            group: 0,
            is_over: false,
        };
        self.vacating = Some(start);
    }

    /// Whether the walk has something to do now. It does not run further ahead of the store than publishers.
    pub(super) fn can_vacate(&self) -> bool {
        let is_free = |vacating: &Vacating| {
            !vacating.is_waiting && (!vacating.is_over || !self.forwards.began_before(vacating.before))
        };
        self.vacating.as_ref().is_some_and(is_free) && !self.clients.journal.is_behind()
    }

    /// Messages of a Session have been read, from this place on. If the walk has waited for them, it goes on
    /// there, and the answer is true.
    pub(super) fn vacating_goes_on(&mut self, session: Key, from: u64) -> bool {
        if let Some(vacating) = self.vacating.as_mut().filter(|vacating| vacating.session == session.index)
            && std::mem::take(&mut vacating.is_waiting)
        {
            vacating.order = from;
            return true;
        }
        false
    }

    /// One slice of the walk.
    pub(super) fn continue_vacating(&mut self, now: Timestamp) {
        if !self.can_vacate() {
            return;
        }
        let Some(mut vacating) = self.vacating.take() else {
            return;
        };
        let mut budget = Budget::new(self.clients.settings.vacating_slice);
        vacating.is_over = vacating.is_over
            || self.vacate_sessions(now, &mut vacating, &mut budget)
                && self.vacate_retained(&mut vacating, &mut budget)
                && self.vacate_groups(&mut vacating, &mut budget);
        if vacating.is_over && !self.forwards.began_before(vacating.before) {
            self.clients.outputs.push_back(Output::Vacated { before: vacating.before });
        } else {
            self.vacating = Some(vacating);
        }
    }

    fn vacate_sessions(&mut self, now: Timestamp, vacating: &mut Vacating, budget: &mut Budget) -> bool {
        while vacating.session < self.clients.sessions.end_index() {
            if budget.is_used_up() {
                return false;
            }
            if let Some(key) = self.clients.sessions.key_at(vacating.session)
                && let Some(number) = self.clients.sessions.get(key).and_then(|value| value.number)
            {
                if !std::mem::replace(&mut vacating.is_described, true) {
                    self.describe_session(key, number, vacating.before);
                }
                if let Some(order) =
                    self.clients.say_queue_again(now, key, number, vacating.order, vacating.before, budget)
                {
                    vacating.order = order;
                    return false;
                }
                if self.clients.load_before(key, vacating.before) {
                    vacating.is_waiting = true;
                    return false;
                }
                // Last, because what has waited may have been sent meanwhile, and never waits again.
                self.clients.say_exchanges_again(key, number, vacating.before);
            }
            budget.use_for(0);
            (vacating.order, vacating.is_described) = (0, false);
            vacating.session += 1;
        }
        true
    }

    /// Says everything about a Session but its messages again.
    fn describe_session(&mut self, key: Key, number: SessionNumber, before: Segment) {
        let segment = self.clients.journal.segment();
        let Some(value) = self.clients.sessions.get_mut(key).filter(|value| value.recorded_in < before)
        else {
            return;
        };
        value.recorded_in = segment;
        let filters = value.filters.clone();
        let memberships = value.memberships.clone();
        let owed = value.retained.iter().filter(|delivery| delivery.is_recorded);
        let owed: Vec<_> = owed.map(|delivery| (delivery.filter.clone(), delivery.passed.clone())).collect();
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
        for (filter, after) in owed {
            self.clients.journal.stage(|| Record::RetainedOwed { session: number, filter, after });
        }
        for packet_identifier in received {
            self.clients.journal.stage(|| Record::Received { session: number, packet_identifier });
        }
        self.record_will(key, false);
    }

    fn vacate_retained(&mut self, vacating: &mut Vacating, budget: &mut Budget) -> bool {
        let segment = self.clients.journal.segment();
        let (own, shards) = (self.peers.own, self.peers.count());
        loop {
            if budget.is_used_up() {
                return false;
            }
            let Some(kept) = self.retained.next_mut(&mut vacating.retained) else {
                return true;
            };
            budget.use_for(0);
            let is_ours = || partition(kept.message.topic(), shards) == own;
            if kept.recorded_in < vacating.before && is_ours() {
                kept.recorded_in = segment;
                budget.use_for(kept.message.content_bytes());
                let message = kept.message.clone();
                self.clients.journal.stage(|| Record::Retained { message });
            }
        }
    }

    fn vacate_groups(&mut self, vacating: &mut Vacating, budget: &mut Budget) -> bool {
        while vacating.group < self.groups.end_index() {
            if budget.is_used_up() {
                return false;
            }
            budget.use_for(0);
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
                    budget.use_for(held.message.content_bytes());
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
    /// Says the exchanges of a Session again. There are not more of them than Packet Identifiers.
    fn say_exchanges_again(&mut self, key: Key, session: SessionNumber, before: Segment) {
        let segment = self.journal.segment();
        let is_old = |recorded_in: Option<Segment>| recorded_in.is_some_and(|place| place < before);
        let Some(value) = self.sessions.get_mut(key) else {
            return;
        };
        for exchange in value.outbound.exchanges_mut() {
            match exchange {
                Exchange::Begun(packet_identifier, delivery) if is_old(delivery.recorded_in) => {
                    delivery.recorded_in = Some(segment);
                    self.journal.stage(|| queued(session, delivery));
                    let order = delivery.order;
                    self.journal.stage(|| Record::Sent { session, order, packet_identifier });
                }
                Exchange::Released(packet_identifier, finished) if is_old(finished.recorded_in) => {
                    finished.recorded_in = Some(segment);
                    let (order, ticket) = (finished.order, finished.ticket.as_deref().map(Ticket::place));
                    self.journal.stage(|| Record::Released { session, order, packet_identifier, ticket });
                }
                _ => {}
            }
        }
    }

    /// Says the messages that wait again, from a place on and as far as the budget goes; where to go on, if it
    /// did not suffice.
    fn say_queue_again(
        &mut self,
        now: Timestamp,
        key: Key,
        session: SessionNumber,
        from: u64,
        before: Segment,
        budget: &mut Budget,
    ) -> Option<u64> {
        let segment = self.journal.segment();
        let value = self.sessions.get_mut(key)?;
        let again = value.outbound.queue_mut().record_again(from, before, segment, now, budget);
        let last = again.last().map(|delivery| delivery.order);
        for delivery in again {
            self.journal.stage(|| queued(session, &delivery));
        }
        if let Some(last) = last {
            self.note_queued(key, last);
        }
        budget.is_used_up().then(|| last.map_or(from, |last| last + 1))
    }

    /// Has messages read that are in the store alone and must be said again. False if there are none.
    fn load_before(&mut self, session: Key, before: Segment) -> bool {
        let Some(value) = self.sessions.get_mut(session) else {
            return false;
        };
        let queue = value.outbound.queue_mut();
        if queue.is_loading() {
            return true;
        }
        let places = queue.begin_loading_before(before);
        let is_wanted = !places.is_empty();
        if is_wanted {
            self.outputs.push_back(Output::Load { session, places });
        }
        is_wanted
    }
}
