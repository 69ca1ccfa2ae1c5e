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
use super::retain::is_told_by;
use super::{Holder, Output, Shard};
use crate::group::Ticket;
use crate::journal::{Budget, GroupNumber, Record, Segment, SessionNumber};
use crate::router::Target;
use crate::session::{Delivery, Exchange, Session};
use crate::slots::Key;
use crate::time::Timestamp;

/// How far the walk has come.
#[derive(Debug)]
pub(crate) struct Vacating {
    /// What was recorded before this is recorded again.
    before: Segment,
    /// The slot of the Session that comes next.
    session: u32,
    /// The messages of that Session, or then of that group, before this place are done.
    order: u64,
    /// Whether the rest of it is done.
    is_described: bool,
    /// Whose messages are being read.
    waits_for: Option<Holder>,
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
            waits_for: None,
            retained,
            group: 0,
            is_over: false,
        };
        self.vacating = Some(start);
    }

    /// Whether the walk has something to do now. It does not run further ahead of the store than publishers.
    pub(super) fn can_vacate(&self) -> bool {
        let is_free = |vacating: &Vacating| {
            vacating.waits_for.is_none()
                && (!vacating.is_over || !self.forwards.began_before(vacating.before))
        };
        self.vacating.as_ref().is_some_and(is_free) && !self.clients.journal.is_behind()
    }

    /// Messages have been read, from this place on. If the walk has waited for them, it goes on there, and the
    /// answer is true.
    pub(super) fn vacating_goes_on(&mut self, holder: Holder, from: u64) -> bool {
        if let Some(vacating) = self.vacating.as_mut()
            && vacating.waits_for.take_if(|waits_for| *waits_for == holder).is_some()
        {
            vacating.order = from;
            return true;
        }
        false
    }

    /// A message comes back to this place of a group, perhaps where the walk has been.
    pub(super) fn vacating_goes_back(&mut self, group: Key, place: u64) {
        if let Some(vacating) = self.vacating.as_mut().filter(|vacating| vacating.group == group.index) {
            vacating.order = vacating.order.min(place);
        }
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
                && self.vacate_groups(now, &mut vacating, &mut budget);
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
                && let Some(number) = self.clients.sessions.get(key).and_then(|value| value.extras.number)
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
                let holder = Holder::Session(key);
                if self.load_before(holder, vacating.before) {
                    vacating.waits_for = Some(holder);
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
        let Some(value) =
            self.clients.sessions.get_mut(key).filter(|value| value.extras.recorded_in < before)
        else {
            return;
        };
        let extras = value.extras.make();
        extras.recorded_in = segment;
        let memberships = extras.memberships.clone();
        let owed = extras.retained.iter().filter(|delivery| delivery.is_recorded);
        let owed: Vec<_> = owed.map(|delivery| (delivery.filter.clone(), delivery.passed.clone())).collect();
        let received: Vec<_> = extras.inbound.iter().collect();
        let filters: Vec<Box<str>> = value.filters.iter().map(Box::from).collect();
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
            let is_ours = || is_told_by(kept.message.topic(), own, shards);
            if kept.recorded_in < vacating.before && is_ours() {
                kept.recorded_in = segment;
                budget.use_for(kept.message.content_bytes());
                let message = kept.message.clone();
                self.clients.journal.stage(|| Record::Retained { message });
            }
        }
    }

    fn vacate_groups(&mut self, now: Timestamp, vacating: &mut Vacating, budget: &mut Budget) -> bool {
        while vacating.group < self.groups.end_index() {
            if budget.is_used_up() {
                return false;
            }
            if let Some(key) = self.groups.key_at(vacating.group)
                && let Some((number, recorded_in)) =
                    self.groups.get(key).and_then(|group| Some((group.number, group.recorded_in?)))
            {
                if !std::mem::replace(&mut vacating.is_described, true) {
                    self.describe_group(key, recorded_in, vacating.before);
                }
                if let Some(order) =
                    self.say_group_again(now, key, number, vacating.order, vacating.before, budget)
                {
                    vacating.order = order;
                    return false;
                }
                let holder = Holder::Group(key);
                if self.load_before(holder, vacating.before) {
                    vacating.waits_for = Some(holder);
                    return false;
                }
                // Once more, because what has waited may have been sent meanwhile.
                self.say_lent_again(key, vacating.before);
            }
            budget.use_for(0);
            (vacating.order, vacating.is_described) = (0, false);
            vacating.group += 1;
        }
        true
    }

    /// Says the name of a group again, and the messages that its members have.
    fn describe_group(&mut self, key: Key, recorded_in: Segment, before: Segment) {
        let segment = self.clients.journal.segment();
        if let Some(group) = self.groups.get_mut(key).filter(|_| recorded_in < before) {
            group.recorded_in = Some(segment);
            let (number, name) = (group.number, group.name.clone());
            self.clients.journal.stage(|| Record::Group { group: number, name });
        }
        self.say_lent_again(key, before);
    }

    /// Says the messages again that members of a group have: not more than there are Packet Identifiers.
    fn say_lent_again(&mut self, key: Key, before: Segment) {
        let segment = self.clients.journal.segment();
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let number = group.number;
        for lent in group.lent_mut().filter(|lent| lent.recorded_in.is_some_and(|place| place < before)) {
            lent.recorded_in = Some(segment);
            let (sequence, message) = (lent.sequence, lent.message.clone());
            self.clients.journal.stage(|| Record::GroupQueued { group: number, sequence, message });
        }
    }

    /// Says the messages that wait for a group again, as [`Clients::say_queue_again`] does.
    fn say_group_again(
        &mut self,
        now: Timestamp,
        key: Key,
        group: GroupNumber,
        from: u64,
        before: Segment,
        budget: &mut Budget,
    ) -> Option<u64> {
        let segment = self.clients.journal.segment();
        let queue = self.groups.get_mut(key)?.queue_mut();
        let again = queue.record_again(from, before, segment, now, budget);
        let last = again.last();
        for sequence in again.expired {
            self.clients.journal.stage(|| Record::GroupTaken { group, sequence });
        }
        for Delivery { order: sequence, message, .. } in again.deliveries {
            self.clients.journal.stage(|| Record::GroupQueued { group, sequence, message });
        }
        if let Some(last) = last {
            self.clients.note_queued(Holder::Group(key), last);
        }
        budget.is_used_up().then(|| last.map_or(from, |last| last + 1))
    }

    /// Has messages read that are in the store alone and must be said again. False if there are none.
    fn load_before(&mut self, holder: Holder, before: Segment) -> bool {
        let places = self.with_queue(holder, |queue| {
            let is_loading = queue.is_loading();
            let places = if is_loading { Vec::new() } else { queue.begin_loading_before(before) };
            (is_loading, places)
        });
        match places {
            None => false,
            Some((true, _)) => true,
            Some((false, places)) if places.is_empty() => false,
            Some((false, places)) => {
                self.clients.outputs.push_back(Output::Load { holder, places });
                true
            }
        }
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
        let last = again.last();
        for order in again.expired {
            self.journal.stage(|| Record::Removed { session, order });
        }
        for delivery in again.deliveries {
            self.journal.stage(|| queued(session, &delivery));
        }
        if let Some(last) = last {
            self.note_queued(Holder::Session(key), last);
        }
        budget.is_used_up().then(|| last.map_or(from, |last| last + 1))
    }
}
