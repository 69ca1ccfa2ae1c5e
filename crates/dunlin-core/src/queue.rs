//! The messages that wait for one Session or one shared group: some of them in memory, the rest in the store alone.
//!
//! ```text
//!   front                                              back
//!   Here Here │ Stored Stored Stored ... Stored Stored │ Here Here
//!   next to   │ no bodies; they are loaded a few       │ came just now,
//!   be sent   │ at a time when it is nearly their turn │ or not durable yet
//! ```
//!
//! A million messages for a client that is away would cost a million bodies. Once the memory for bodies is used
//! up, a message that is durable and that nobody will send soon gives up its body: what stays is where the store
//! has it and what is particular to this delivery. The front is loaded again in order (`shard/load.rs`).
//!
//! A message takes 32 bytes here, with or without its body, which others may share: a hundred thousand Sessions
//! that wait for one message are a hundred thousand slots.
//!
//! What must stay true: orders ascend from front to back; a message without a record is never `Stored`.

use crate::delivery::{Delivery, Finished, Identifiers};
use crate::journal::{Budget, Segment};
use crate::message::ApplicationMessage;
use crate::time::Timestamp;
use dunlin_codec::QoS;
use std::collections::VecDeque;

/// Messages at the front that keep their bodies while the client is connected, so that it does not wait for each.
const FRONT_MESSAGES: usize = 16;

/// Messages that cannot give up their bodies, after which nobody looks for others.
const WHOLE_MAX: usize = 64;

/// Messages loaded at once.
const LOAD_MESSAGES: usize = 256;

/// Bytes of messages after which no more are loaded at once.
const LOAD_BYTES: usize = 1024 * 1024;

/// A message in memory, without what a [`Delivery`] has for rare cases.
#[derive(Debug)]
struct Here {
    message: ApplicationMessage,
    /// The lower half of its order.
    order: u32,
    /// Its Subscription Identifier, 0 for none.
    identifier: u32,
    /// The segment in which it was recorded; 0 if it was not.
    recorded_in: u32,
    qos: QoS,
    retain: bool,
}

/// A message that is in the store alone.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// Where the store has its body.
    location: u64,
    /// The lower half of its order.
    order: u32,
    /// Bytes of its topic, forwarded properties and payload.
    content_bytes: u32,
    /// Its Subscription Identifier, 0 for none.
    identifier: u32,
    qos: QoS,
    retain: bool,
    /// By how many segments its own record may be older than its body.
    segments_behind: u8,
    /// Its body is counted here as something that the store keeps: when it gave it up, nobody else had it in
    /// memory.
    is_counted: bool,
}

impl Here {
    fn new(delivery: &Delivery) -> Option<Self> {
        let identifier = match delivery.identifiers {
            Identifiers::None => 0,
            Identifiers::One(one) => one,
            Identifiers::Many(_) => return None,
        };
        delivery.ticket.is_none().then(|| Self {
            message: delivery.message.clone(),
            order: delivery.order as u32,
            identifier,
            // Segments count from 1.
            recorded_in: delivery.recorded_in.map_or(0, |segment| segment.0),
            qos: delivery.qos,
            retain: delivery.retain,
        })
    }

    fn into_delivery(self, order: u64) -> Delivery {
        Delivery {
            message: self.message,
            qos: self.qos,
            retain: self.retain,
            identifiers: identifiers(self.identifier),
            ticket: None,
            order,
            recorded_in: (self.recorded_in > 0).then_some(Segment(self.recorded_in)),
        }
    }

    /// What is left without the body, if the store has that.
    fn to_stored(&self) -> Option<Stored> {
        let location = self.message.location();
        if location == 0 || self.recorded_in == 0 {
            return None;
        }
        // A body that is older than its record is still to be written again with it, and goes from where it is.
        let behind = (location >> 32).checked_sub(u64::from(self.recorded_in))?;
        Some(Stored {
            location,
            order: self.order,
            content_bytes: u32::try_from(self.message.content_bytes()).ok()?,
            identifier: self.identifier,
            qos: self.qos,
            retain: self.retain,
            segments_behind: u8::try_from(behind).ok()?,
            is_counted: self.message.is_sole(),
        })
    }
}

impl Stored {
    fn recorded_in(&self) -> Segment {
        Segment(((self.location >> 32) as u32).saturating_sub(u32::from(self.segments_behind)))
    }

    fn size_bytes(&self) -> usize {
        size_bytes_of(self.content_bytes as usize, self.identifier)
    }

    fn counted_bytes(&self) -> usize {
        if self.is_counted { self.content_bytes as usize } else { 0 }
    }
}

/// What a message with so much content costs in the queue.
fn size_bytes_of(content_bytes: usize, identifier: u32) -> usize {
    ApplicationMessage::size_bytes_of(content_bytes) + size_of_val(identifiers(identifier).as_slice())
}

fn identifiers(identifier: u32) -> Identifiers {
    if identifier == 0 { Identifiers::None } else { Identifiers::One(identifier) }
}

#[derive(Debug)]
enum Slot {
    Here(Here),
    Stored(Stored),
    /// One that a member has of its group, or with several Subscription Identifiers.
    Whole(Box<Delivery>),
}

impl Slot {
    fn new(delivery: Delivery) -> Self {
        match Here::new(&delivery) {
            Some(here) => Self::Here(here),
            None => Self::Whole(Box::new(delivery)),
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Here(here) => size_bytes_of(here.message.content_bytes(), here.identifier),
            Self::Stored(stored) => stored.size_bytes(),
            Self::Whole(delivery) => delivery.size_bytes(),
        }
    }

    /// One that is in the store alone is not known to.
    fn is_expired(&self, now: Timestamp) -> bool {
        match self {
            Self::Here(here) => here.message.is_expired(now),
            Self::Stored(_) => false,
            Self::Whole(delivery) => delivery.message.is_expired(now),
        }
    }

    /// The lower half of its order.
    fn order(&self) -> u32 {
        match self {
            Self::Here(here) => here.order,
            Self::Stored(stored) => stored.order,
            Self::Whole(delivery) => delivery.order as u32,
        }
    }
}

/// Where the body of a message is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The place of the message among all of the Session or group.
    pub order: u64,
    /// Where the store has its body ([`Head::location`](crate::message::Head::location)).
    pub location: u64,
    /// Bytes of its topic, forwarded properties and payload; the store's record is not much longer.
    pub content_bytes: usize,
}

/// A message whose body is in the store alone, as recovery finds it.
#[derive(Clone, Copy, Debug)]
pub struct StoredDelivery {
    /// Which message, and where its body is.
    pub place: Place,
    /// At which QoS it is delivered.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// With which Subscription Identifier; 0 for none.
    pub identifier: u32,
    /// The store's log has its record in this segment or later, and not after its body.
    pub recorded_in: Segment,
    /// Whether its body counts here as something that the store keeps: in one place of all where it waits.
    pub is_counted: bool,
}

/// What of a queue is to be said again ([`Queue::record_again`]).
#[derive(Debug, Default)]
pub struct Again {
    /// Messages that still wait.
    pub deliveries: Vec<Delivery>,
    /// The orders of messages that have expired, and that the store may forget.
    pub expired: Vec<u64>,
}

impl Again {
    /// The last message that was looked at and is to be said anything about.
    pub fn last(&self) -> Option<u64> {
        self.deliveries.last().map(|delivery| delivery.order).max(self.expired.last().copied())
    }
}

/// See the top of the file.
#[derive(Debug, Default)]
pub struct Queue {
    slots: VecDeque<Slot>,
    bytes: usize,
    /// Messages that are in the store alone.
    stored: usize,
    /// Their content, as far as it is counted here.
    stored_bytes: usize,
    /// An order that is not after the first: the lower half of an order tells how far behind this it is.
    base_order: u64,
    is_loading: bool,
}

impl Queue {
    /// Nothing waits.
    pub const EMPTY: Self = Self {
        slots: VecDeque::new(),
        bytes: 0,
        stored: 0,
        stored_bytes: 0,
        base_order: 0,
        is_loading: false,
    };

    /// What a message takes here, its body aside.
    pub const SLOT_BYTES: usize = size_of::<Slot>();

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes that wait, in memory or not.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Topics, properties and payloads of the messages that are in the store alone, each counted in one queue.
    pub fn stored_bytes(&self) -> usize {
        self.stored_bytes
    }

    /// Adds a message.
    pub fn push_back(&mut self, delivery: Delivery) {
        self.push(delivery.order, Slot::new(delivery));
    }

    /// Adds a message whose body is in the store alone.
    pub fn push_back_stored(&mut self, delivery: &StoredDelivery) {
        let Place { order, location, content_bytes } = delivery.place;
        // Bodies are smaller than a packet may be, and recovery finds none later than its record.
        let behind = ((location >> 32) as u32).saturating_sub(delivery.recorded_in.0);
        let stored = Stored {
            location,
            order: order as u32,
            content_bytes: u32::try_from(content_bytes).unwrap_or(u32::MAX),
            identifier: delivery.identifier,
            qos: delivery.qos,
            retain: delivery.retain,
            segments_behind: u8::try_from(behind).unwrap_or(u8::MAX),
            is_counted: delivery.is_counted,
        };
        self.stored += 1;
        self.stored_bytes += stored.counted_bytes();
        self.push(order, Slot::Stored(stored));
    }

    /// Puts a message to its place among the others.
    pub fn insert(&mut self, delivery: Delivery) {
        let (order, position) = (delivery.order, self.position(delivery.order));
        if position == self.slots.len() {
            return self.push_back(delivery);
        }
        self.base_order = self.base_order.min(order);
        let slot = Slot::new(delivery);
        self.bytes += slot.size_bytes();
        self.slots.insert(position, slot);
    }

    fn push(&mut self, order: u64, slot: Slot) {
        if self.slots.is_empty() {
            self.base_order = order;
        }
        self.bytes += slot.size_bytes();
        self.slots.push_back(slot);
    }

    /// What waits, from the front on: at which QoS, how long topic, properties and payload are together, and the
    /// message, unless it is in the store alone.
    pub fn iter(&self) -> impl Iterator<Item = (QoS, usize, Option<&ApplicationMessage>)> {
        self.slots.iter().map(|slot| match slot {
            Slot::Here(here) => (here.qos, here.message.content_bytes(), Some(&here.message)),
            Slot::Stored(stored) => (stored.qos, stored.content_bytes as usize, None),
            Slot::Whole(delivery) => {
                (delivery.qos, delivery.message.content_bytes(), Some(&delivery.message))
            }
        })
    }

    /// Takes the first message, if it is in memory.
    pub fn pop_front(&mut self) -> Option<Delivery> {
        if matches!(self.slots.front()?, Slot::Stored(_)) {
            return None;
        }
        let order = self.order_of(self.slots.front()?.order());
        let slot = self.take(0)?;
        match slot {
            Slot::Here(here) => Some(here.into_delivery(order)),
            Slot::Whole(delivery) => Some(*delivery),
            Slot::Stored(_) => None,
        }
    }

    /// Drops the first message, wherever it is.
    pub fn drop_front(&mut self) -> Option<Finished> {
        self.drop_at(0)
    }

    /// Drops the last message, wherever it is.
    pub fn drop_back(&mut self) -> Option<Finished> {
        self.drop_at(self.slots.len().checked_sub(1)?)
    }

    fn drop_at(&mut self, position: usize) -> Option<Finished> {
        let order = self.order_of(self.slots.get(position)?.order());
        Some(match self.take(position)? {
            Slot::Here(here) => Finished::from(here.into_delivery(order)),
            Slot::Stored(stored) => Finished { order, recorded_in: Some(stored.recorded_in()), ticket: None },
            Slot::Whole(delivery) => Finished::from(*delivery),
        })
    }

    /// Whether the first message is known to have expired.
    pub fn front_is_expired(&self, now: Timestamp) -> bool {
        self.slots.front().is_some_and(|slot| slot.is_expired(now))
    }

    /// Whether the last message is known to have expired.
    pub fn back_is_expired(&self, now: Timestamp) -> bool {
        self.slots.back().is_some_and(|slot| slot.is_expired(now))
    }

    /// Takes out the messages of shared groups.
    pub fn take_shared(&mut self) -> Vec<Delivery> {
        let is_shared = |slot: &Slot| matches!(slot, Slot::Whole(delivery) if delivery.ticket.is_some());
        let mut shared = Vec::new();
        if self.slots.iter().any(is_shared) {
            for slot in std::mem::take(&mut self.slots) {
                match slot {
                    Slot::Whole(delivery) if delivery.ticket.is_some() => {
                        self.bytes -= delivery.size_bytes();
                        shared.push(*delivery);
                    }
                    own => self.slots.push_back(own),
                }
            }
        }
        shared
    }

    /// The messages in memory whose place is `from` or later and whose records stand before a segment, as many as
    /// the budget allows: they are recorded again in another, or not at all any more.
    pub fn record_again(
        &mut self,
        from: u64,
        before: Segment,
        segment: Segment,
        now: Timestamp,
        budget: &mut Budget,
    ) -> Again {
        let (start, base) = (self.position(from), self.base_order);
        let mut again = Again::default();
        for slot in self.slots.range_mut(start..) {
            if budget.is_used_up() {
                break;
            }
            match slot {
                // Nobody will get it. The store is told now, because its record may stand in a later segment than the
                // shard knows, and would then refer to a body that is gone.
                Slot::Here(here) if here.message.is_expired(now) && here.recorded_in > 0 => {
                    here.recorded_in = 0;
                    budget.use_for(0);
                    again.expired.push(order_behind(base, here.order));
                }
                Slot::Here(here) if (1..before.0).contains(&here.recorded_in) => {
                    here.recorded_in = segment.0;
                    let order = order_behind(base, here.order);
                    let copy = Here { message: here.message.clone(), ..*here };
                    budget.use_for(here.message.content_bytes());
                    again.deliveries.push(copy.into_delivery(order));
                }
                Slot::Whole(delivery) if delivery.recorded_in.is_some_and(|place| place < before) => {
                    delivery.recorded_in = Some(segment);
                    budget.use_for(delivery.message.content_bytes());
                    again.deliveries.push(Delivery::clone(delivery));
                }
                _ => {}
            }
        }
        again
    }

    /// The messages up to this place are durable: those that will not be sent soon give up their bodies. With
    /// nobody connected that is all of them.
    pub fn give_up_bodies(&mut self, until: u64, is_connected: bool) {
        let end = self.position(until.saturating_add(1));
        let front = if is_connected { FRONT_MESSAGES.min(end) } else { 0 };
        let mut whole = 0;
        for slot in self.slots.range_mut(front..end).rev() {
            match slot {
                // What is before it has given up its own, but for what was loaded at the front.
                Slot::Stored(_) => break,
                Slot::Whole(_) if whole == WHOLE_MAX => break,
                Slot::Whole(_) => whole += 1,
                Slot::Here(_) => self.stored += usize::from(give_up(slot, &mut self.stored_bytes)),
            }
        }
        if !is_connected {
            for slot in self.slots.range_mut(..end) {
                match slot {
                    Slot::Here(_) => self.stored += usize::from(give_up(slot, &mut self.stored_bytes)),
                    Slot::Stored(_) | Slot::Whole(_) => break,
                }
            }
        }
    }

    /// Whether the front, or what comes soon, is in the store alone and nobody has asked for it yet.
    pub fn needs_loading(&self) -> bool {
        if self.is_loading || self.stored == 0 {
            return false;
        }
        self.slots.iter().take(LOAD_MESSAGES / 2).any(|slot| matches!(slot, Slot::Stored(_)))
    }

    /// The bodies of which messages are to be read now: those at the front.
    pub fn begin_loading(&mut self) -> Vec<Place> {
        self.is_loading = true;
        self.places(|_| true)
    }

    /// The bodies of which messages are to be read because their records stand before this segment.
    pub fn begin_loading_before(&mut self, before: Segment) -> Vec<Place> {
        let places = self.places(|stored| stored.recorded_in() < before);
        self.is_loading |= !places.is_empty();
        places
    }

    /// Whether bodies are being read.
    pub fn is_loading(&self) -> bool {
        self.is_loading
    }

    /// What was asked for has come, or will not.
    pub fn end_loading(&mut self) {
        self.is_loading = false;
    }

    /// The body of a message, if it still waits for it.
    pub fn load(&mut self, order: u64, message: ApplicationMessage) {
        let Some((position, stored)) = self.stored(order) else {
            return;
        };
        let here = Here {
            message,
            order: stored.order,
            identifier: stored.identifier,
            recorded_in: stored.recorded_in().0,
            qos: stored.qos,
            retain: stored.retain,
        };
        if let Some(slot) = self.slots.get_mut(position) {
            self.stored -= 1;
            self.stored_bytes -= stored.counted_bytes();
            self.bytes -= slot.size_bytes();
            *slot = Slot::Here(here);
            self.bytes += slot.size_bytes();
        }
    }

    /// A message whose body the store could not read is gone.
    pub fn forget(&mut self, order: u64) -> Option<Finished> {
        let (position, stored) = self.stored(order)?;
        self.take(position)?;
        Some(Finished { order, recorded_in: Some(stored.recorded_in()), ticket: None })
    }

    fn stored(&self, order: u64) -> Option<(usize, Stored)> {
        let position = self.position(order);
        match self.slots.get(position) {
            Some(Slot::Stored(stored)) if self.order_of(stored.order) == order => Some((position, *stored)),
            _ => None,
        }
    }

    fn places(&self, is_wanted: impl Fn(&Stored) -> bool) -> Vec<Place> {
        let mut places = Vec::new();
        let mut bytes = 0;
        for slot in &self.slots {
            if places.len() >= LOAD_MESSAGES || bytes >= LOAD_BYTES {
                break;
            }
            if let Slot::Stored(stored) = slot
                && is_wanted(stored)
            {
                let order = self.order_of(stored.order);
                let content_bytes = stored.content_bytes as usize;
                places.push(Place { order, location: stored.location, content_bytes });
                bytes += content_bytes;
            }
        }
        places
    }

    fn take(&mut self, position: usize) -> Option<Slot> {
        let slot = self.slots.remove(position)?;
        self.bytes -= slot.size_bytes();
        if let Slot::Stored(stored) = &slot {
            self.stored -= 1;
            self.stored_bytes -= stored.counted_bytes();
        }
        if let Some(first) = self.slots.front() {
            self.base_order = self.order_of(first.order());
        }
        // A long queue leaves memory behind.
        if self.slots.capacity() > 64 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
        Some(slot)
    }

    /// The position of the first message whose order is `order` or more.
    fn position(&self, order: u64) -> usize {
        self.slots.partition_point(|slot| self.order_of(slot.order()) < order)
    }

    fn order_of(&self, lower_half: u32) -> u64 {
        order_behind(self.base_order, lower_half)
    }
}

/// Takes the body out of a slot; false if the store does not have it.
fn give_up(slot: &mut Slot, stored_bytes: &mut usize) -> bool {
    let Slot::Here(here) = slot else {
        return false;
    };
    let Some(stored) = here.to_stored() else {
        return false;
    };
    *stored_bytes += stored.counted_bytes();
    *slot = Slot::Stored(stored);
    true
}

/// Less than 2^32 messages wait, so the lower half of an order tells how far behind the base it is.
fn order_behind(base: u64, lower_half: u32) -> u64 {
    base + u64::from(lower_half.wrapping_sub(base as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MemoryGauge, MessageId, Publication};

    fn delivery(order: u64, gauge: &MemoryGauge) -> Delivery {
        let id = MessageId { received_at: Timestamp::from_micros(order), boot_epoch: 0, origin: 0 };
        let mut publication = Publication::new(id, "t", QoS::AtLeastOnce, false);
        publication.payload = b"payload";
        let message = publication.keep(gauge);
        message.set_location(5 << 32 | order);
        Delivery {
            message,
            qos: QoS::AtLeastOnce,
            retain: true,
            identifiers: Identifiers::One(7),
            ticket: None,
            order,
            recorded_in: Some(Segment(4)),
        }
    }

    #[test]
    fn a_message_that_waits_takes_thirty_two_bytes() {
        assert_eq!(size_of::<Slot>(), 32);
    }

    #[test]
    fn bodies_are_given_up_behind_the_front_and_loaded_again_in_order() {
        let gauge = MemoryGauge::default();
        let mut queue = Queue::default();
        // Across the end of the lower half.
        let first = u64::from(u32::MAX) - 20;
        for order in first..first + 1000 {
            queue.push_back(delivery(order, &gauge));
        }
        let (bytes, all) = (queue.bytes(), gauge.bytes());
        queue.give_up_bodies(first + 899, true);
        assert_eq!((queue.len(), queue.bytes()), (1000, bytes));
        assert_eq!(gauge.bytes() * 1000, all * (FRONT_MESSAGES + 100));
        for order in first..first + 1000 {
            if queue.needs_loading() {
                let places = queue.begin_loading();
                assert!(!queue.needs_loading(), "it is asked for once");
                for place in places {
                    assert_eq!(place.location, 5 << 32 | place.order);
                    queue.load(place.order, delivery(place.order, &gauge).message);
                }
                queue.end_loading();
            }
            let next = queue.pop_front().expect("it is there");
            assert_eq!((next.order, next.retain, next.recorded_in), (order, true, Some(Segment(4))));
            assert_eq!(next.identifiers, Identifiers::One(7));
        }
        assert!(queue.is_empty());
        assert_eq!((queue.bytes(), queue.stored_bytes(), gauge.bytes()), (0, 0, 0));
    }

    #[test]
    fn what_has_expired_is_said_to_be_gone_once_instead_of_being_said_again() {
        let gauge = MemoryGauge::default();
        let mut queue = Queue::default();
        let publication = |order: u64, expires_at: Option<Timestamp>| {
            let id = MessageId { received_at: Timestamp::from_micros(order), boot_epoch: 0, origin: 0 };
            let mut publication = Publication::new(id, "t", QoS::AtLeastOnce, false);
            publication.expires_at = expires_at;
            Delivery { message: publication.keep(&gauge), ..delivery(order, &gauge) }
        };
        queue.push_back(publication(1, Some(Timestamp::from_micros(10))));
        queue.push_back(publication(2, None));
        let mut again = |from| {
            let now = Timestamp::from_micros(11);
            queue.record_again(from, Segment(5), Segment(6), now, &mut Budget::new(usize::MAX))
        };
        let first = again(0);
        assert_eq!(first.expired, [1]);
        assert_eq!(first.deliveries.iter().map(|delivery| delivery.order).collect::<Vec<_>>(), [2]);
        assert_eq!(first.last(), Some(2));
        let second = again(0);
        assert!(second.expired.is_empty() && second.deliveries.is_empty());
    }

    #[test]
    fn what_is_dropped_or_forgotten_meanwhile_is_not_loaded() {
        let gauge = MemoryGauge::default();
        let mut queue = Queue::default();
        (1..=40).for_each(|order| queue.push_back(delivery(order, &gauge)));
        queue.give_up_bodies(40, true);
        (0..17).for_each(|_| drop(queue.drop_front()));
        queue.load(17, delivery(17, &gauge).message);
        assert_eq!(queue.forget(18).map(|finished| finished.order), Some(18));
        assert_eq!(queue.forget(18), None);
        assert!(queue.pop_front().is_none(), "the first is not in memory");
        queue.load(19, delivery(19, &gauge).message);
        assert_eq!(queue.pop_front().map(|delivery| delivery.order), Some(19));
        assert_eq!(queue.len(), 21);
    }

    #[test]
    fn what_comes_back_goes_to_its_place_among_those_in_the_store() {
        let gauge = MemoryGauge::default();
        let mut queue = Queue::default();
        // Across the end of the lower half.
        let first = u64::from(u32::MAX) - 1;
        (first..first + 4)
            .filter(|order| order % 2 == 1)
            .for_each(|order| queue.push_back(delivery(order, &gauge)));
        queue.give_up_bodies(first + 4, false);
        (first..first + 4)
            .filter(|order| order % 2 == 0)
            .for_each(|order| queue.insert(delivery(order, &gauge)));
        let dropped: Vec<_> =
            std::iter::from_fn(|| queue.drop_back()).map(|finished| finished.order).collect();
        assert_eq!(dropped, [first + 3, first + 2, first + 1, first]);
        assert_eq!((queue.bytes(), queue.stored_bytes()), (0, 0));
    }

    #[test]
    fn only_what_stands_before_a_segment_is_loaded_to_be_said_again() {
        let gauge = MemoryGauge::default();
        let mut queue = Queue::default();
        (1..=40).for_each(|order| queue.push_back(delivery(order, &gauge)));
        queue.give_up_bodies(40, true);
        assert!(queue.begin_loading_before(Segment(4)).is_empty());
        let places = queue.begin_loading_before(Segment(5));
        assert_eq!(places.first().map(|place| place.order), Some(17));
        assert_eq!(places.len(), 24);
        assert!(queue.is_loading());
    }
}
