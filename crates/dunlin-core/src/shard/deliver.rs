//! From a matched message to the receiver's outbox, or to its queue.
//!
//! QoS 0 goes to connected clients at once or nowhere. QoS 1 and 2 go at once while the client has quota and
//! reads; otherwise they wait in the Session's queue. How a message becomes bytes is in `send.rs`, who waits for
//! a slow reader in `pace.rs`.

use super::clients::Clients;
use super::{DropReason, FollowUp, Holder};
use crate::connection::Cause;
use crate::group::Ticket;
use crate::journal::{Record, SessionNumber};
use crate::message::Publication;
use crate::session::{Delivery, Enqueued, Finished, Identifiers};
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{QoS, ReasonCode};

/// What letting a message wait counts towards the bounds of a turn: about what it costs in time.
const QUEUEING_BYTES: usize = 64;

/// How one subscription wants a message.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub maximum_qos: QoS,
    pub retain: bool,
    pub identifiers: &'a [u32],
}

impl Clients {
    /// Delivers a publication to one Session.
    // spec(v5): [MQTT-3.3.4-2] [MQTT-3.8.4-8] [MQTT-4.5.0-1]
    // spec(v3.1.1): [MQTT-3.3.5-1] [MQTT-3.8.4-6] [MQTT-4.5.0-1] [MQTT-3.1.2-5]
    pub fn deliver(
        &mut self,
        now: Timestamp,
        session: Key,
        publication: &mut Publication<'_>,
        wanted: Wanted<'_>,
        ticket: Option<Ticket>,
    ) {
        if !self.may_receive(session, publication.topic) {
            if let Some(ticket) = ticket {
                self.follow_ups.push_back(FollowUp::TicketDone { session, ticket });
            }
            return self.drop_for(session, Some(publication.topic), DropReason::NotAuthorized);
        }
        let qos = publication.qos.min(wanted.maximum_qos);
        let live = self.live_connection(session);
        if qos == QoS::AtMostOnce {
            return match live {
                Some(connection) => self.deliver_at_most_once(now, connection, publication, wanted),
                None => self.drop_for(session, Some(publication.topic), DropReason::Away),
            };
        }
        let has_room = live.is_some_and(|connection| self.outbox_has_room(connection));
        let Some(value) = self.sessions.get_mut(session) else {
            return;
        };
        // A message of a group is the group's until it is done with; only an exchange at QoS 2 is the
        // member's own business.
        let is_recorded = value.is_durable() && (ticket.is_none() || qos == QoS::ExactlyOnce);
        let delivery = Delivery {
            message: publication.keep(&self.gauge),
            qos,
            retain: wanted.retain,
            identifiers: Identifiers::from_slice(wanted.identifiers),
            ticket: ticket.map(Box::new),
            order: value.outbound.take_order(),
            recorded_in: is_recorded.then(|| self.journal.segment()),
        };
        if let Some(number) = value.extras.number.filter(|_| is_recorded) {
            self.journal.stage(|| queued(number, &delivery));
        }
        match live {
            Some(connection) if has_room && value.outbound.has_room() => {
                self.send_new(now, session, connection, delivery, publication);
            }
            _ => self.enqueue(now, session, delivery),
        }
    }

    fn deliver_at_most_once(
        &mut self,
        now: Timestamp,
        connection: Key,
        publication: &mut Publication<'_>,
        wanted: Wanted<'_>,
    ) {
        let Some(value) = self.connections.get(connection) else {
            return;
        };
        let waiting = value.outbox_bytes();
        if waiting > self.settings.outbox_bytes_max {
            if value.is_lagging || waiting > 2 * self.settings.outbox_bytes_max {
                let session = value.session;
                return self.drop_for(session, Some(publication.topic), DropReason::SlowConsumer);
            }
            self.note_slow(now, connection);
        }
        self.transmit(
            now,
            connection,
            publication,
            QoS::AtMostOnce,
            wanted.retain,
            wanted.identifiers,
            None,
            false,
        );
    }

    fn enqueue(&mut self, now: Timestamp, session: Key, delivery: Delivery) {
        let Some(value) = self.sessions.get_mut(session) else {
            return;
        };
        self.wire.queueing_bytes += QUEUEING_BYTES;
        let (order, is_recorded) = (delivery.order, delivery.recorded_in.is_some());
        let stored_before = value.outbound.queue().stored_bytes();
        let result = value.outbound.enqueue(delivery, &self.settings, now);
        self.gauge.note_stored(stored_before, value.outbound.queue().stored_bytes());
        let dropped = match result {
            Enqueued::Accepted => Vec::new(),
            Enqueued::Displaced(dropped) | Enqueued::Refused(dropped) => dropped,
            Enqueued::Overflow(dropped) => {
                if let Some(connection) = value.connection {
                    let cause = Cause::Server {
                        reason_code: ReasonCode::QuotaExceeded,
                        detail: "the queue of the Session is full",
                    };
                    self.follow_ups.push_back(FollowUp::Disconnect { connection, cause });
                }
                dropped
            }
        };
        if is_recorded {
            self.note_queued(Holder::Session(session), order);
        }
        self.count_memory(session);
        for finished in dropped {
            self.note_dropped(session, finished, DropReason::QueueFull);
        }
        let Some(value) = self.sessions.get(session) else {
            return;
        };
        // A connected consumer with that much waiting slows its publishers, within its grace.
        if value.outbound.queued_bytes() > self.settings.outbox_bytes_max
            && let Some(key) = value.connection
            && self.connections.get(key).is_some_and(|connection| !connection.is_lagging)
        {
            self.note_slow(now, key);
        }
    }

    /// A message does not reach a Session, or is not accepted from it.
    pub fn drop_for(&mut self, session: Key, topic: Option<&str>, reason: DropReason) {
        self.counters.drop(reason);
        // What was refused is told as that.
        if self.trace.is_some() && reason != DropReason::Refused {
            self.trace_dropped(session, topic, reason);
        }
        if let Some(value) = self.sessions.get_mut(session) {
            value.dropped = value.dropped.wrapping_add(1);
        }
    }

    pub fn note_dropped(&mut self, session: Key, finished: Finished, reason: DropReason) {
        self.drop_for(session, None, reason);
        self.exchange_over(session, finished);
    }
}

/// The record of a message that waits for a Session.
pub(super) fn queued(session: SessionNumber, delivery: &Delivery) -> Record {
    Record::Queued {
        session,
        order: delivery.order,
        message: delivery.message.clone(),
        qos: delivery.qos,
        retain: delivery.retain,
        identifiers: delivery.identifiers.clone(),
        ticket: delivery.ticket.as_deref().map(Ticket::place),
    }
}
