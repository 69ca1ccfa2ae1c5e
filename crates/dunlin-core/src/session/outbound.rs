//! The sending half of a Session: what is unacknowledged, and what waits behind it.
//!
//! ```text
//!   enqueue ──> queue ──begin──> in flight ──> done
//!                                    QoS 1: AwaitingPubAck ──PUBACK──┐
//!                                    QoS 2: AwaitingPubRec ──PUBREC──> AwaitingPubComp ──PUBCOMP──> done
//! ```
//!
//! Packet Identifiers are handed out in sequence (1 to 65,535, then again from 1), and the in-flight list is
//! a window over that sequence: an identifier is found by arithmetic, and the order of sending, which is the
//! order of any resending, is the order of the list. A delivery that is over leaves a hole, and holes at the
//! front are dropped. An identifier is reused only after the window has passed it.
//!
//! Each Network Connection begins with a full quota and resends from the front ([MQTT-4.4.0-1]); nothing is
//! resent at any other time.

use crate::delivery::{Delivery, Finished};
use crate::group::Ticket;
use crate::queue::{Queue, StoredDelivery};
use crate::rare::{Empty, Rare};
use crate::settings::{OverflowPolicy, Settings};
use crate::time::Timestamp;
use dunlin_codec::{PacketIdentifier, QoS};
use std::collections::VecDeque;

/// Packet Identifiers there are, and so the widest window.
const IDENTIFIERS: u64 = 65_535;

/// How far an exchange has come. A PUBLISH is owed until its acknowledgement, a PUBREL until its own.
#[derive(Debug)]
enum Stage {
    /// A hole: over, but something before it is not.
    Done,
    /// PUBLISH sent or owed.
    Publish(Delivery),
    /// PUBREC came; PUBREL sent or owed. The message itself is needed no longer.
    PubRel(Finished),
}

#[derive(Debug)]
struct InFlight {
    stage: Stage,
    /// Whether it takes part of this connection's quota.
    counts: bool,
}

/// What is to be sent next.
#[derive(Debug)]
pub enum Resend<'a> {
    /// A PUBLISH with DUP set.
    Publish(PacketIdentifier, &'a Delivery),
    /// A PUBREL.
    PubRel(PacketIdentifier),
}

/// What an acknowledgement did.
#[derive(Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// PUBACK, PUBCOMP or a PUBREC that says no: the exchange is over.
    Done(Finished),
    /// PUBREC for a message: the client has it, and PUBREL is to be sent.
    Release(Finished),
    /// The same PUBREC again: PUBREL is said again.
    ReleaseAgain,
    /// No such exchange.
    Unknown,
    /// The exchange is of the other QoS: PUBACK for QoS 2, or the reverse.
    WrongQoS,
}

/// What became of a message that was to wait.
#[derive(Debug)]
pub enum Enqueued {
    /// It waits.
    Accepted,
    /// It waits, and these went to make room.
    Displaced(Vec<Finished>),
    /// There is no room, and the policy says to drop the new one: the last of these. Before it, what had
    /// expired.
    Refused(Vec<Finished>),
    /// There is no room, and the policy says to disconnect a connected client. The same are dropped.
    Overflow(Vec<Finished>),
}

/// What the store kept of a message.
#[derive(Debug)]
pub enum Restored {
    /// It waits.
    Waiting(Delivery),
    /// It waits, and its body is in the store alone.
    Stored(StoredDelivery),
    /// Its PUBLISH is unacknowledged.
    Begun(PacketIdentifier, Delivery),
    /// Its PUBREL is.
    Released(PacketIdentifier, Finished),
}

/// An exchange that is not over, as [`Outbound::exchanges_mut`] shows it.
#[derive(Debug)]
pub enum Exchange<'a> {
    /// Its PUBLISH is unacknowledged.
    Begun(PacketIdentifier, &'a mut Delivery),
    /// Its PUBREL is.
    Released(PacketIdentifier, &'a mut Finished),
}

/// See the top of the file.
#[derive(Debug, Default)]
pub struct Outbound {
    /// What `unacknowledged` may reach; 0 without a connection.
    quota: u16,
    sending: Rare<Sending>,
}

/// What a client needs that is sent anything at QoS 1 or 2.
#[derive(Debug)]
struct Sending {
    in_flight: VecDeque<InFlight>,
    /// Sequence number of the front of `in_flight`.
    first: u64,
    /// Sequence number from which resending goes on.
    resend_from: u64,
    /// PUBLISHes of this connection without their acknowledgement.
    unacknowledged: u16,
    queue: Queue,
    next_order: u64,
}

impl Sending {
    const NOTHING: Self = Self {
        in_flight: VecDeque::new(),
        first: 0,
        resend_from: 0,
        unacknowledged: 0,
        queue: Queue::EMPTY,
        next_order: 0,
    };
}

impl Default for Sending {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl Empty for Sending {
    const EMPTY: &'static Self = &Self::NOTHING;
}

fn identifier_of(sequence: u64) -> PacketIdentifier {
    // 1 to 65,535 by construction; the fallback is never taken.
    PacketIdentifier::new((sequence % IDENTIFIERS) as u16 + 1).unwrap_or_else(|| identifier_of(0))
}

impl Outbound {
    /// A Network Connection begins with this quota: everything unacknowledged is owed again.
    // spec(v5): [MQTT-4.9.0-1] [MQTT-4.4.0-1]
    // spec(v3.1.1): [MQTT-4.4.0-1]
    pub fn begin_connection(&mut self, quota: u16) {
        self.quota = quota;
        let Some(sending) = self.sending.existing() else {
            return;
        };
        sending.unacknowledged = 0;
        sending.resend_from = sending.first;
        for entry in &mut sending.in_flight {
            entry.counts = false;
        }
    }

    /// The Network Connection ended. QoS 1 messages of shared groups, sent or not, and unsent QoS 2 ones go
    /// back to their group and are returned here in order; an exchange that is recorded stays: one at QoS 2, or of a
    /// member that has left.
    // spec(v5): [MQTT-4.8.2-4] [MQTT-4.8.2-5]
    pub fn end_connection(&mut self) -> Vec<Delivery> {
        self.quota = 0;
        let mut returned = Vec::new();
        let Some(sending) = self.sending.existing() else {
            return returned;
        };
        for entry in &mut sending.in_flight {
            let goes_back = |delivery: &Delivery| {
                delivery.ticket.is_some()
                    && delivery.qos == QoS::AtLeastOnce
                    && delivery.recorded_in.is_none()
            };
            if matches!(&entry.stage, Stage::Publish(delivery) if goes_back(delivery))
                && let Stage::Publish(delivery) = std::mem::replace(&mut entry.stage, Stage::Done)
            {
                returned.push(delivery);
            }
        }
        sending.drop_holes();
        returned.extend(sending.queue.take_shared());
        returned
    }

    /// Whether a new message may be sent at once: quota left, nothing owed before it.
    // spec(v5): [MQTT-4.9.0-2] [MQTT-3.3.4-9]
    #[inline]
    pub fn has_room(&self) -> bool {
        self.sending.queue.is_empty() && self.may_begin()
    }

    #[inline]
    fn may_begin(&self) -> bool {
        let sending = &*self.sending;
        sending.unacknowledged < self.quota
            && !sending.owes_resend()
            && (sending.in_flight.len() as u64) < IDENTIFIERS
    }

    /// The place of the next message among all of the Session.
    pub fn take_order(&mut self) -> u64 {
        let sending = self.sending.make();
        sending.next_order += 1;
        sending.next_order
    }

    /// Lets a message wait, within the limits.
    pub fn enqueue(&mut self, delivery: Delivery, settings: &Settings, now: Timestamp) -> Enqueued {
        let size = delivery.size_bytes();
        let queue = &mut self.sending.make().queue;
        let mut displaced = Vec::new();
        // A message that would not fit into an empty queue displaces nobody.
        let could_fit = size <= settings.queued_bytes_max && settings.queued_messages_max > 0;
        while could_fit
            && is_full_for(queue, size, settings)
            && (settings.overflow == OverflowPolicy::DropOldest || queue.front_is_expired(now))
            && let Some(front) = queue.drop_front()
        {
            displaced.push(front);
        }
        if is_full_for(queue, size, settings) {
            displaced.push(delivery.into());
            return match settings.overflow {
                OverflowPolicy::Disconnect => Enqueued::Overflow(displaced),
                OverflowPolicy::DropOldest | OverflowPolicy::DropNewest => Enqueued::Refused(displaced),
            };
        }
        queue.push_back(delivery);
        if displaced.is_empty() { Enqueued::Accepted } else { Enqueued::Displaced(displaced) }
    }

    /// Begins the exchange of a message for which there is room ([`Self::has_room`], or [`Self::next_queued`]
    /// gave it).
    // spec(v5): [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
    // spec(v3.1.1): [MQTT-2.3.1-4]
    #[inline]
    pub fn begin(&mut self, delivery: Delivery) -> PacketIdentifier {
        let sending = self.sending.make();
        let sequence = sending.next_sequence();
        sending.in_flight.push_back(InFlight { stage: Stage::Publish(delivery), counts: true });
        sending.unacknowledged += 1;
        sending.resend_from = sequence + 1;
        identifier_of(sequence)
    }

    /// Takes the next message that waits, if it may be sent now.
    pub fn next_queued(&mut self) -> Option<Delivery> {
        if !self.may_begin() {
            return None;
        }
        self.sending.existing()?.queue.pop_front()
    }

    /// The messages that wait.
    pub fn queue(&self) -> &Queue {
        &self.sending.queue
    }

    /// The messages that wait.
    pub fn queue_mut(&mut self) -> &mut Queue {
        &mut self.sending.make().queue
    }

    /// Gives up what [`Self::begin`] began: the frame is larger than the client takes.
    pub fn abandon(&mut self, packet_identifier: PacketIdentifier) -> Option<Finished> {
        match self.sending.existing()?.over(packet_identifier) {
            Acknowledged::Done(finished) => Some(finished),
            _ => None,
        }
    }

    /// The message whose exchange has this Packet Identifier, while its PUBLISH is owed.
    pub fn delivery(&self, packet_identifier: PacketIdentifier) -> Option<&Delivery> {
        match self.sending.stage_of(packet_identifier) {
            Some(Stage::Publish(delivery)) => Some(delivery),
            _ => None,
        }
    }

    /// What is owed from an earlier connection, one at a time, in the order it was first sent. A PUBLISH
    /// needs quota, a PUBREL does not.
    // spec(v5): [MQTT-4.4.0-1] [MQTT-3.3.1-1]
    // spec(v3.1.1): [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-3.3.1-1]
    pub fn next_resend(&mut self) -> Option<Resend<'_>> {
        let sending = self.sending.existing()?;
        loop {
            let offset = usize::try_from(sending.resend_from.checked_sub(sending.first)?).ok()?;
            let entry = sending.in_flight.get(offset)?;
            match entry.stage {
                Stage::Done => sending.resend_from += 1,
                Stage::Publish(_) if sending.unacknowledged >= self.quota => return None,
                Stage::Publish(_) | Stage::PubRel(_) => {
                    let packet_identifier = identifier_of(sending.resend_from);
                    sending.resend_from += 1;
                    let entry = sending.in_flight.get_mut(offset)?;
                    return match &entry.stage {
                        Stage::Publish(delivery) => {
                            entry.counts = true;
                            sending.unacknowledged += 1;
                            Some(Resend::Publish(packet_identifier, delivery))
                        }
                        _ => Some(Resend::PubRel(packet_identifier)),
                    };
                }
            }
        }
    }

    /// PUBACK.
    // spec(v5): [MQTT-4.3.2-3]
    // spec(v3.1.1): [MQTT-4.3.2-1]
    pub fn acknowledge(&mut self, packet_identifier: PacketIdentifier) -> Acknowledged {
        let Some(sending) = self.sending.existing() else {
            return Acknowledged::Unknown;
        };
        match sending.stage_of(packet_identifier) {
            Some(Stage::Publish(delivery)) if delivery.qos == QoS::AtLeastOnce => {
                sending.over(packet_identifier)
            }
            Some(Stage::Publish(_) | Stage::PubRel(_)) => Acknowledged::WrongQoS,
            Some(Stage::Done) | None => Acknowledged::Unknown,
        }
    }

    /// PUBREC. An error code ends the exchange.
    // spec(v5): [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-6] [MQTT-4.4.0-2] [MQTT-4.8.2-6]
    // spec(v3.1.1): [MQTT-4.3.3-1]
    pub fn receive(&mut self, packet_identifier: PacketIdentifier, is_error: bool) -> Acknowledged {
        let Some(sending) = self.sending.existing() else {
            return Acknowledged::Unknown;
        };
        match sending.stage_of(packet_identifier) {
            Some(Stage::Publish(delivery)) if delivery.qos == QoS::ExactlyOnce => {
                if is_error {
                    return sending.over(packet_identifier);
                }
                let Some(entry) = sending.entry_mut(packet_identifier) else {
                    return Acknowledged::Unknown;
                };
                match std::mem::replace(&mut entry.stage, Stage::Done) {
                    Stage::Publish(delivery) => {
                        let finished = Finished::from(delivery);
                        entry.stage = Stage::PubRel(finished.clone());
                        Acknowledged::Release(finished)
                    }
                    other => {
                        entry.stage = other;
                        Acknowledged::Unknown
                    }
                }
            }
            Some(Stage::Publish(_)) => Acknowledged::WrongQoS,
            Some(Stage::PubRel(_)) => Acknowledged::ReleaseAgain,
            Some(Stage::Done) | None => Acknowledged::Unknown,
        }
    }

    /// PUBCOMP.
    // spec(v5): [MQTT-4.3.3-5]
    pub fn complete(&mut self, packet_identifier: PacketIdentifier) -> Acknowledged {
        let Some(sending) = self.sending.existing() else {
            return Acknowledged::Unknown;
        };
        match sending.stage_of(packet_identifier) {
            Some(Stage::PubRel(_)) => sending.over(packet_identifier),
            Some(Stage::Publish(_)) => Acknowledged::WrongQoS,
            Some(Stage::Done) | None => Acknowledged::Unknown,
        }
    }

    /// Takes up what the store kept, in order: a message that waits, or an exchange that had begun. The next
    /// Packet Identifiers go on behind the last exchange.
    pub fn restore(&mut self, restored: Restored) {
        let sending = self.sending.make();
        match restored {
            Restored::Waiting(delivery) => {
                sending.next_order = sending.next_order.max(delivery.order);
                sending.queue.push_back(delivery);
            }
            Restored::Stored(stored) => {
                sending.next_order = sending.next_order.max(stored.place.order);
                sending.queue.push_back_stored(&stored);
            }
            Restored::Begun(packet_identifier, delivery) => {
                sending.next_order = sending.next_order.max(delivery.order);
                sending.restore_exchange(packet_identifier, Stage::Publish(delivery));
            }
            Restored::Released(packet_identifier, finished) => {
                sending.next_order = sending.next_order.max(finished.order);
                sending.restore_exchange(packet_identifier, Stage::PubRel(finished));
            }
        }
    }

    /// The exchanges that are not over, with their Packet Identifiers.
    pub fn exchanges_mut(&mut self) -> impl Iterator<Item = Exchange<'_>> {
        let first = self.sending.first;
        let in_flight = self.sending.existing().map(|sending| &mut sending.in_flight);
        in_flight.into_iter().flatten().enumerate().filter_map(move |(offset, entry)| {
            let packet_identifier = identifier_of(first + offset as u64);
            match &mut entry.stage {
                Stage::Done => None,
                Stage::Publish(delivery) => Some(Exchange::Begun(packet_identifier, delivery)),
                Stage::PubRel(finished) => Some(Exchange::Released(packet_identifier, finished)),
            }
        })
    }

    /// The exchanges that are not over: the Packet Identifier, and the message while its PUBLISH is unacknowledged.
    pub fn exchanges(&self) -> impl Iterator<Item = (PacketIdentifier, Option<&Delivery>)> {
        let first = self.sending.first;
        self.sending.in_flight.iter().enumerate().filter_map(move |(offset, entry)| {
            let packet_identifier = identifier_of(first + offset as u64);
            match &entry.stage {
                Stage::Done => None,
                Stage::Publish(delivery) => Some((packet_identifier, Some(delivery))),
                Stage::PubRel(_) => Some((packet_identifier, None)),
            }
        })
    }

    /// Whether the client has received a message of a shared group whose exchange is not over.
    pub fn has_received_shared(&self) -> bool {
        self.sending
            .in_flight
            .iter()
            .any(|entry| matches!(&entry.stage, Stage::PubRel(finished) if finished.ticket.is_some()))
    }

    /// The messages of shared groups that were sent and not acknowledged.
    pub fn begun_shared(&self) -> impl Iterator<Item = (Ticket, &Delivery)> {
        self.sending.in_flight.iter().filter_map(|entry| match &entry.stage {
            Stage::Publish(delivery) => Some((*delivery.ticket.as_deref()?, delivery)),
            Stage::PubRel(_) | Stage::Done => None,
        })
    }

    /// Messages that wait.
    pub fn queued_messages(&self) -> usize {
        self.sending.queue.len()
    }

    /// Bytes that wait.
    pub fn queued_bytes(&self) -> usize {
        self.sending.queue.bytes()
    }

    /// Exchanges that are not over.
    pub fn in_flight_messages(&self) -> usize {
        self.sending.in_flight.iter().filter(|entry| !matches!(entry.stage, Stage::Done)).count()
    }

    /// Whether anything of an earlier connection is still to be resent.
    pub fn owes_resend(&self) -> bool {
        self.sending.owes_resend()
    }

    /// About what it takes beside its own fields, the bodies of its messages aside.
    pub fn size_bytes(&self) -> usize {
        self.sending.size_bytes() + self.sending.queue.len() * Queue::SLOT_BYTES
    }
}

fn is_full_for(queue: &Queue, size_bytes: usize, settings: &Settings) -> bool {
    queue.len() >= settings.queued_messages_max || queue.bytes() + size_bytes > settings.queued_bytes_max
}

impl Sending {
    fn next_sequence(&self) -> u64 {
        self.first + self.in_flight.len() as u64
    }

    fn owes_resend(&self) -> bool {
        self.resend_from < self.next_sequence()
    }

    fn restore_exchange(&mut self, packet_identifier: PacketIdentifier, stage: Stage) {
        if self.in_flight.is_empty() {
            self.first = u64::from(packet_identifier.get()) - 1;
        }
        // What lies between two exchanges was over before.
        while self.in_flight.len() < self.offset(packet_identifier) {
            self.in_flight.push_back(InFlight { stage: Stage::Done, counts: false });
        }
        self.in_flight.push_back(InFlight { stage, counts: false });
        self.resend_from = self.first;
    }

    fn over(&mut self, packet_identifier: PacketIdentifier) -> Acknowledged {
        match self.finish(packet_identifier) {
            Some(Stage::Publish(delivery)) => Acknowledged::Done(delivery.into()),
            // Its group heard at PUBREC that the client has it.
            Some(Stage::PubRel(finished)) => Acknowledged::Done(Finished { ticket: None, ..finished }),
            Some(Stage::Done) | None => Acknowledged::Unknown,
        }
    }

    fn offset(&self, packet_identifier: PacketIdentifier) -> usize {
        let wanted = u64::from(packet_identifier.get()) - 1;
        let front = self.first % IDENTIFIERS;
        ((wanted + IDENTIFIERS - front) % IDENTIFIERS) as usize
    }

    fn stage_of(&self, packet_identifier: PacketIdentifier) -> Option<&Stage> {
        self.in_flight.get(self.offset(packet_identifier)).map(|entry| &entry.stage)
    }

    fn entry_mut(&mut self, packet_identifier: PacketIdentifier) -> Option<&mut InFlight> {
        let offset = self.offset(packet_identifier);
        self.in_flight.get_mut(offset)
    }

    fn finish(&mut self, packet_identifier: PacketIdentifier) -> Option<Stage> {
        let entry = self.entry_mut(packet_identifier)?;
        let stage = std::mem::replace(&mut entry.stage, Stage::Done);
        if std::mem::take(&mut entry.counts) {
            self.unacknowledged -= 1;
        }
        self.drop_holes();
        Some(stage)
    }

    fn drop_holes(&mut self) {
        while self.in_flight.front().is_some_and(|entry| matches!(entry.stage, Stage::Done)) {
            self.in_flight.pop_front();
            self.first += 1;
        }
        self.resend_from = self.resend_from.max(self.first);
    }
}
