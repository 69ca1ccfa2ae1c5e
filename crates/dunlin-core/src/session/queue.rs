//! The messages that wait for one Session: some of them in memory, the rest in the store alone.
//!
//! ```text
//!   front                                              back
//!   Here Here │ Stored Stored Stored ... Stored Stored │ Here Here
//!   next to   │ 24 bytes each; their messages are      │ came just now,
//!   be sent   │ loaded a few at a time when it is      │ or not durable yet
//!             │ nearly their turn                      │
//! ```
//!
//! A queue of a million messages for a client that is away would cost a million bodies. Once the memory for
//! bodies is used up, a message that is durable and that nobody will send soon gives up its body: what stays
//! is where the store has it and what is particular to this delivery ([`Stored`]). The front is loaded again
//! in order (`shard/load.rs`).
//!
//! What must stay true: orders ascend from front to back; a message without a record is never `Stored`.

use super::{Delivery, Finished, Identifiers};
use crate::journal::Segment;
use crate::message::ApplicationMessage;
use crate::time::Timestamp;
use dunlin_codec::QoS;
use std::collections::VecDeque;
use std::sync::Arc;

/// Messages at the front that keep their bodies, so that a client that comes back gets the first at once.
const FRONT_MESSAGES: usize = 16;

/// Messages loaded at once.
const LOAD_MESSAGES: usize = 256;

/// Bytes of messages after which no more are loaded at once.
const LOAD_BYTES: usize = 1024 * 1024;

/// A message that is in the store alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    /// Where the store has its body.
    location: u64,
    /// The lower half of its order.
    order: u32,
    /// What it costs in the queue, in bytes.
    size_bytes: u32,
    /// Its Subscription Identifier, 0 for none.
    identifier: u32,
    qos: QoS,
    retain: bool,
    /// By how many segments its own record may be older than its body.
    segments_behind: u8,
}

impl Stored {
    fn recorded_in(&self) -> Segment {
        Segment(((self.location >> 32) as u32).saturating_sub(u32::from(self.segments_behind)))
    }
}

#[derive(Debug)]
enum Slot {
    Here(Box<Delivery>),
    Stored(Stored),
}

/// Where the body of a message is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The place of the message among all of the Session.
    pub order: u64,
    /// Where the store has its body ([`ApplicationMessage::location`]).
    pub location: u64,
    /// Bytes of the message in memory; the store's record is not much longer.
    pub size_bytes: usize,
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
}

/// See the top of the file.
#[derive(Debug, Default)]
pub struct Queue {
    slots: VecDeque<Slot>,
    bytes: usize,
    /// The upper half of the orders of `Stored` is that of this one, or one more.
    base_order: u64,
    is_loading: bool,
}

impl Queue {
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

    /// Adds a message.
    pub fn push_back(&mut self, delivery: Delivery) {
        if self.slots.is_empty() {
            self.base_order = delivery.order;
        }
        self.bytes += delivery.size_bytes();
        self.slots.push_back(Slot::Here(Box::new(delivery)));
    }

    /// Adds a message whose body is in the store alone.
    pub fn push_back_stored(&mut self, delivery: &StoredDelivery) {
        let Place { order, location, size_bytes } = delivery.place;
        if self.slots.is_empty() {
            self.base_order = order;
        }
        self.bytes += size_bytes;
        // Bodies are smaller than a packet may be, and recovery finds none later than its record.
        let behind = ((location >> 32) as u32).saturating_sub(delivery.recorded_in.0);
        self.slots.push_back(Slot::Stored(Stored {
            location,
            order: order as u32,
            size_bytes: u32::try_from(size_bytes).unwrap_or(u32::MAX),
            identifier: delivery.identifier,
            qos: delivery.qos,
            retain: delivery.retain,
            segments_behind: u8::try_from(behind).unwrap_or(u8::MAX),
        }));
    }

    /// Takes the first message, if it is in memory.
    pub fn pop_front(&mut self) -> Option<Delivery> {
        match self.slots.pop_front()? {
            Slot::Here(delivery) => {
                self.bytes -= delivery.size_bytes();
                self.shrink();
                Some(*delivery)
            }
            stored => {
                self.slots.push_front(stored);
                None
            }
        }
    }

    /// Drops the first message, wherever it is.
    pub fn drop_front(&mut self) -> Option<Finished> {
        let finished = match self.slots.pop_front()? {
            Slot::Here(delivery) => {
                self.bytes -= delivery.size_bytes();
                Finished::from(*delivery)
            }
            Slot::Stored(stored) => {
                self.bytes -= stored.size_bytes as usize;
                let recorded_in = Some(stored.recorded_in());
                Finished { order: self.order_of(&stored), recorded_in, ticket: None }
            }
        };
        self.shrink();
        Some(finished)
    }

    /// Whether the first message is known to have expired.
    pub fn front_is_expired(&self, now: Timestamp) -> bool {
        matches!(self.slots.front(), Some(Slot::Here(delivery)) if delivery.message.is_expired(now))
    }

    /// Takes out the messages of shared groups.
    pub fn take_shared(&mut self) -> Vec<Delivery> {
        let is_shared = |slot: &Slot| matches!(slot, Slot::Here(delivery) if delivery.ticket.is_some());
        if !self.slots.iter().any(is_shared) {
            return Vec::new();
        }
        let mut shared = Vec::new();
        for slot in std::mem::take(&mut self.slots) {
            match slot {
                Slot::Here(delivery) if delivery.ticket.is_some() => {
                    self.bytes -= delivery.size_bytes();
                    shared.push(*delivery);
                }
                own => self.slots.push_back(own),
            }
        }
        shared
    }

    /// The messages in memory whose place is `from` or later.
    pub fn here_mut(&mut self, from: u64) -> impl Iterator<Item = &mut Delivery> {
        let start = self.position(from);
        self.slots.range_mut(start..).filter_map(|slot| match slot {
            Slot::Here(delivery) => Some(&mut **delivery),
            Slot::Stored(_) => None,
        })
    }

    /// The messages up to this place are durable: those that will not be sent soon give up their bodies.
    pub fn give_up_bodies(&mut self, until: u64) {
        let end = self.position(until + 1);
        for slot in self.slots.range_mut(FRONT_MESSAGES.min(end)..end).rev() {
            match slot {
                // What is before it has given up its own.
                Slot::Stored(_) => return,
                Slot::Here(delivery) => {
                    if let Some(stored) = stored(delivery) {
                        *slot = Slot::Stored(stored);
                    }
                }
            }
        }
    }

    /// Whether the front, or what comes soon, is in the store alone and nobody has asked for it yet.
    pub fn needs_loading(&self) -> bool {
        let mut soon = self.slots.iter().take(LOAD_MESSAGES / 2);
        !self.is_loading && soon.any(|slot| matches!(slot, Slot::Stored(_)))
    }

    /// The bodies of which messages are to be read now: those at the front.
    pub fn begin_loading(&mut self) -> Vec<Place> {
        self.is_loading = true;
        self.places(0, |_| true)
    }

    /// The bodies of messages from a place on whose records stand before this segment.
    pub fn begin_loading_before(&mut self, from: u64, before: Segment) -> Vec<Place> {
        let places = self.places(self.position(from), |stored| stored.recorded_in() < before);
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
    pub fn load(&mut self, order: u64, message: Arc<ApplicationMessage>) {
        let position = self.position(order);
        let Some(Slot::Stored(stored)) = self.slots.get(position) else {
            return;
        };
        if self.order_of(stored) != order {
            return;
        }
        let delivery = Delivery {
            message,
            qos: stored.qos,
            retain: stored.retain,
            identifiers: match stored.identifier {
                0 => Identifiers::None,
                one => Identifiers::One(one),
            },
            ticket: None,
            order,
            recorded_in: Some(stored.recorded_in()),
        };
        self.bytes = self.bytes - stored.size_bytes as usize + delivery.size_bytes();
        if let Some(slot) = self.slots.get_mut(position) {
            *slot = Slot::Here(Box::new(delivery));
        }
    }

    /// A message whose body the store could not read is gone.
    pub fn forget(&mut self, order: u64) -> Option<Finished> {
        let position = self.position(order);
        let Some(Slot::Stored(stored)) = self.slots.get(position) else {
            return None;
        };
        let (found, recorded_in, size) = (self.order_of(stored), stored.recorded_in(), stored.size_bytes);
        if found != order {
            return None;
        }
        self.bytes -= size as usize;
        self.slots.remove(position);
        Some(Finished { order, recorded_in: Some(recorded_in), ticket: None })
    }

    fn places(&self, start: usize, is_wanted: impl Fn(&Stored) -> bool) -> Vec<Place> {
        let mut places = Vec::new();
        let mut bytes = 0;
        for slot in self.slots.range(start.min(self.slots.len())..) {
            if places.len() >= LOAD_MESSAGES || bytes >= LOAD_BYTES {
                break;
            }
            if let Slot::Stored(stored) = slot
                && is_wanted(stored)
            {
                let size_bytes = stored.size_bytes as usize;
                places.push(Place { order: self.order_of(stored), location: stored.location, size_bytes });
                bytes += size_bytes;
            }
        }
        places
    }

    /// The position of the first message whose order is `order` or more.
    fn position(&self, order: u64) -> usize {
        self.slots.partition_point(|slot| match slot {
            Slot::Here(delivery) => delivery.order < order,
            Slot::Stored(stored) => self.order_of(stored) < order,
        })
    }

    fn order_of(&self, stored: &Stored) -> u64 {
        // Less than 2^32 messages wait, so the lower half tells how far behind the base it is.
        self.base_order + u64::from(stored.order.wrapping_sub(self.base_order as u32))
    }

    /// Gives back memory that a long queue has left behind.
    fn shrink(&mut self) {
        if let Some(Slot::Here(first)) = self.slots.front() {
            self.base_order = first.order;
        }
        if self.slots.capacity() > 64 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }
}

/// A message without its body, if it can do without.
fn stored(delivery: &Delivery) -> Option<Stored> {
    let location = delivery.message.location();
    let recorded_in = delivery.recorded_in.filter(|_| location != 0 && delivery.ticket.is_none())?;
    let identifier = match delivery.identifiers {
        Identifiers::None => 0,
        Identifiers::One(one) => one,
        Identifiers::Many(_) => return None,
    };
    Some(Stored {
        location,
        order: delivery.order as u32,
        size_bytes: u32::try_from(delivery.size_bytes()).ok()?,
        identifier,
        qos: delivery.qos,
        retain: delivery.retain,
        segments_behind: u8::try_from((location >> 32).saturating_sub(u64::from(recorded_in.0))).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MemoryGauge, MessageId, Publication};

    fn delivery(order: u64, gauge: &MemoryGauge) -> Delivery {
        let id = MessageId { received_at: Timestamp::from_micros(order), boot_epoch: 0, origin: 0 };
        let mut publication = Publication::new(id, "t", QoS::AtLeastOnce, false, gauge);
        publication.payload = b"payload";
        let message = publication.keep();
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
    fn a_stored_message_takes_twenty_four_bytes() {
        assert_eq!(size_of::<Slot>(), 24);
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
        queue.give_up_bodies(first + 899);
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
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn what_is_dropped_or_forgotten_meanwhile_is_not_loaded() {
        let gauge = MemoryGauge::default();
        let mut queue = Queue::default();
        (1..=40).for_each(|order| queue.push_back(delivery(order, &gauge)));
        queue.give_up_bodies(40);
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
    fn only_what_stands_before_a_segment_is_loaded_to_be_said_again() {
        let gauge = MemoryGauge::default();
        let mut queue = Queue::default();
        (1..=40).for_each(|order| queue.push_back(delivery(order, &gauge)));
        queue.give_up_bodies(40);
        assert!(queue.begin_loading_before(1, Segment(4)).is_empty());
        let places = queue.begin_loading_before(30, Segment(5));
        assert_eq!(places.first().map(|place| place.order), Some(30));
        assert_eq!(places.len(), 11);
        assert!(queue.is_loading());
    }
}
