//! From a matched message to the receiver's outbox, or to its queue.
//!
//! QoS 0 goes to connected clients at once or nowhere. QoS 1 and 2 go at once while the client has quota and
//! reads; otherwise they wait in the Session's queue. A consumer whose outbox or queue passes its mark is
//! noted: its publisher is slowed for a short grace, and when that is over the consumer is left behind (its
//! QoS 0 messages are dropped) until it has caught up.

use super::clients::Clients;
use super::frames::{self, is_shared};
use super::{DropReason, FollowUp};
use crate::connection::{Alias, Cause};
use crate::group::Ticket;
use crate::journal::Record;
use crate::message::Publication;
use crate::session::{Acknowledged, Delivery, Enqueued, Identifiers, Resend};
use crate::slots::Key;
use crate::time::Timestamp;
use crate::timers::Timer;
use dunlin_codec::{PacketIdentifier, PacketType, ProtocolVersion, QoS, ReasonCode};

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
        if !self.is_allowed(session, |authorizer, who| authorizer.may_receive(who, publication.topic)) {
            if let Some(ticket) = ticket {
                self.follow_ups.push_back(FollowUp::TicketDone { session, ticket });
            }
            return self.counters.drop(DropReason::NotAuthorized);
        }
        let qos = publication.qos.min(wanted.maximum_qos);
        let live = self.live_connection(session);
        if qos == QoS::AtMostOnce {
            return match live {
                Some(connection) => self.deliver_at_most_once(now, connection, publication, wanted),
                None => self.counters.drop(DropReason::Away),
            };
        }
        let has_room = live.is_some_and(|connection| self.outbox_has_room(connection));
        let Some(value) = self.sessions.get_mut(session) else {
            return;
        };
        let delivery = Delivery {
            message: publication.keep(),
            qos,
            retain: wanted.retain,
            identifiers: Identifiers::from_slice(wanted.identifiers),
            ticket: ticket.map(Box::new),
        };
        if value.is_durable() {
            self.journal.stage(|| Record::Queued {
                client: value.client_identifier.clone(),
                message: delivery.message.clone(),
                qos,
                retain: delivery.retain,
                identifiers: wanted.identifiers.into(),
            });
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
                return self.counters.drop(DropReason::SlowConsumer);
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
        self.wire.turn_bytes += QUEUEING_BYTES;
        let dropped = match value.outbound.enqueue(delivery, &self.settings, now) {
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
        for delivery in dropped {
            self.note_dropped(session, &delivery, DropReason::QueueFull);
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

    pub fn note_dropped(&mut self, session: Key, delivery: &Delivery, reason: DropReason) {
        self.counters.drop(reason);
        if let Some(ticket) = &delivery.ticket {
            self.follow_ups.push_back(FollowUp::TicketDone { session, ticket: **ticket });
        }
        if let Some(value) = self.sessions.get(session).filter(|value| value.is_durable()) {
            self.journal.stage(|| Record::Dropped {
                client: value.client_identifier.clone(),
                message: delivery.message.id,
            });
        }
    }

    /// Begins an exchange and sends its PUBLISH.
    // spec(v5): [MQTT-4.3.2-2] [MQTT-4.3.3-2]
    fn send_new(
        &mut self,
        now: Timestamp,
        session: Key,
        connection: Key,
        delivery: Delivery,
        publication: &mut Publication<'_>,
    ) {
        let Some(value) = self.sessions.get_mut(session) else {
            return;
        };
        let (qos, retain, message) = (delivery.qos, delivery.retain, delivery.message.id);
        let identifiers = delivery.identifiers.clone();
        let packet_identifier = value.outbound.begin(delivery);
        if value.is_durable() {
            let client = &value.client_identifier;
            self.journal.stage(|| Record::Sent { client: client.clone(), message, packet_identifier });
        }
        let identifiers = identifiers.as_slice();
        let was_sent = self.transmit(
            now,
            connection,
            publication,
            qos,
            retain,
            identifiers,
            Some(packet_identifier),
            false,
        );
        if !was_sent {
            // spec(v5): [MQTT-3.1.2-25]
            let ticket =
                self.sessions.get_mut(session).and_then(|value| value.outbound.abandon(packet_identifier));
            self.exchange_over(session, packet_identifier, ticket);
        }
    }

    /// An exchange is over: whoever lent the message hears of it.
    pub fn exchange_over(
        &mut self,
        session: Key,
        packet_identifier: PacketIdentifier,
        ticket: Option<Box<Ticket>>,
    ) {
        if let Some(ticket) = ticket {
            self.follow_ups.push_back(FollowUp::TicketDone { session, ticket: *ticket });
        }
        if let Some(value) = self.sessions.get(session).filter(|value| value.is_durable()) {
            let client = &value.client_identifier;
            self.journal.stage(|| Record::Delivered { client: client.clone(), packet_identifier });
        }
    }

    /// Sends what is owed from before, then what waits, as far as quota and outbox allow.
    // spec(v5): [MQTT-3.3.2-5]
    pub fn pump(&mut self, now: Timestamp, session: Key) {
        let Some(connection) = self.live_connection(session) else {
            return;
        };
        while self.outbox_has_room(connection) && self.resend_one(now, session, connection) {}
        while self.outbox_has_room(connection) {
            let Some(delivery) =
                self.sessions.get_mut(session).and_then(|value| value.outbound.next_queued())
            else {
                break;
            };
            if delivery.message.is_expired(now) {
                self.note_dropped(session, &delivery, DropReason::Expired);
                continue;
            }
            let message = delivery.message.clone();
            self.frames.reset();
            self.send_new(now, session, connection, delivery, &mut Publication::of(&message));
        }
    }

    fn resend_one(&mut self, now: Timestamp, session: Key, connection: Key) -> bool {
        let Some(resend) = self.sessions.get_mut(session).and_then(|value| value.outbound.next_resend())
        else {
            return false;
        };
        match resend {
            // spec(v5): [MQTT-4.3.3-7]
            Resend::Publish(packet_identifier, delivery) => {
                let delivery = delivery.clone();
                self.frames.reset();
                let mut publication = Publication::of(&delivery.message);
                let identifiers = delivery.identifiers.as_slice();
                let (qos, retain) = (delivery.qos, delivery.retain);
                let was_sent = self.transmit(
                    now,
                    connection,
                    &mut publication,
                    qos,
                    retain,
                    identifiers,
                    Some(packet_identifier),
                    true,
                );
                if !was_sent {
                    let ticket = self
                        .sessions
                        .get_mut(session)
                        .and_then(|value| value.outbound.abandon(packet_identifier));
                    self.exchange_over(session, packet_identifier, ticket);
                }
            }
            Resend::PubRel(packet_identifier) => {
                self.send_acknowledgement(
                    connection,
                    PacketType::PubRel,
                    packet_identifier,
                    ReasonCode::Success,
                );
            }
        }
        true
    }

    /// Appends one PUBLISH to an outbox. False if the client does not take frames of that size: the message
    /// counts as delivered.
    ///
    /// `dup` is ours alone to say: what the publisher's packet had does not matter.
    // spec(v5): [MQTT-3.1.2-24] [MQTT-3.1.2-25] [MQTT-3.3.1-3]
    // spec(v3.1.1): [MQTT-3.3.1-3]
    #[expect(clippy::too_many_arguments, reason = "the one place where a delivery becomes bytes")]
    fn transmit(
        &mut self,
        now: Timestamp,
        key: Key,
        publication: &mut Publication<'_>,
        qos: QoS,
        retain: bool,
        identifiers: &[u32],
        packet_identifier: Option<PacketIdentifier>,
        dup: bool,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(key) else {
            return true;
        };
        let version = connection.version;
        let maximum = connection.maximum_packet_size_bytes as usize;
        let aliases = connection.extras.as_mut().and_then(|extras| extras.server_aliases.as_mut());
        let is_plain = version != ProtocolVersion::V5 || (identifiers.is_empty() && aliases.is_none());
        let shared = is_shared(publication).then(|| publication.keep().shared_payload());
        if is_plain && !dup {
            let frame = self.frames.get(publication, version, qos, retain, now);
            let length = frame.bytes.len() + shared.as_ref().map_or(0, |payload| payload.len());
            let fits = length <= maximum;
            if fits {
                self.wire.append(key, connection, |outbox| {
                    match packet_identifier {
                        Some(identifier) => {
                            outbox.push_patched(frame.bytes, frame.packet_identifier_at, identifier.get());
                        }
                        None => outbox.push(frame.bytes),
                    }
                    if let Some(payload) = shared {
                        outbox.push_shared(payload);
                    }
                });
            }
            return self.count_sent(fits);
        }
        let mut parts = frames::parts(publication, qos, retain, now);
        (parts.dup, parts.packet_identifier, parts.subscription_identifiers) =
            (dup, packet_identifier, identifiers);
        if parts.frame_length(version) > maximum {
            return self.count_sent(false);
        }
        if let Some(aliases) = aliases {
            let found = aliases.of(publication.topic);
            match found {
                Alias::None => {}
                Alias::New(alias) => parts.topic_alias = Some(alias),
                Alias::Known(alias) => (parts.topic_alias, parts.topic) = (Some(alias), ""),
            }
            // An alias can be what makes the packet too large: a new one adds three bytes, a known one can be
            // longer than its topic. Then without.
            if parts.frame_length(version) > maximum {
                (parts.topic_alias, parts.topic) = (None, publication.topic);
                if matches!(found, Alias::New(_)) {
                    aliases.give_back(publication.topic);
                }
            }
        }
        self.wire.append(key, connection, |outbox| {
            outbox.encode(|bytes| {
                parts.encode_head(version, bytes);
            });
            match shared {
                Some(payload) => outbox.push_shared(payload),
                None => outbox.push(publication.payload),
            }
        });
        self.count_sent(true)
    }

    fn count_sent(&mut self, fits: bool) -> bool {
        if fits {
            self.counters.messages_sent += 1;
        } else {
            self.counters.drop(DropReason::TooLargeForClient);
        }
        fits
    }

    /// Whether more may be encoded for this client now.
    pub fn outbox_has_room(&self, connection: Key) -> bool {
        self.connections
            .get(connection)
            .is_some_and(|connection| connection.outbox_bytes() <= self.settings.outbox_bytes_max)
    }

    /// Whether a member of a shared group can take a QoS 1 or 2 message this moment.
    pub fn can_take(&self, session: Key) -> bool {
        self.live_connection(session).is_some_and(|connection| {
            self.outbox_has_room(connection)
                && self.sessions.get(session).is_some_and(|value| value.outbound.has_room())
        })
    }

    /// Whether a consumer has caught up: half of the mark.
    pub fn has_caught_up(&self, connection: Key) -> bool {
        let mark = self.settings.outbox_bytes_max / 2;
        self.connections.get(connection).is_none_or(|value| {
            value.is_closing
                || (value.outbox_bytes() <= mark
                    && self
                        .sessions
                        .get(value.session)
                        .is_none_or(|session| session.outbound.queued_bytes() <= mark))
        })
    }

    /// A message has run into a consumer that is behind. The grace runs from the first such message, so that
    /// many dead consumers share it; after that it is left behind.
    fn note_slow(&mut self, now: Timestamp, key: Key) {
        let grace = self.settings.slow_consumer_grace;
        let Some(connection) = self.connections.get_mut(key).filter(|connection| !connection.is_lagging)
        else {
            return;
        };
        let since = *connection.extras_mut().slow_since.get_or_insert(now);
        if since + grace <= now {
            connection.is_lagging = true;
        } else {
            self.slow_consumer = Some(key);
        }
    }

    /// Arms the timer of a slow consumer for whom somebody waits since then.
    pub fn arm_grace(&mut self, since: Timestamp, consumer: Key) {
        self.timers.arm(since + self.settings.slow_consumer_grace, Timer::SlowConsumer(consumer));
    }

    /// Applies an acknowledgement from the client to its Session.
    pub fn acknowledged(
        &mut self,
        session: Key,
        packet_identifier: PacketIdentifier,
        result: Acknowledged,
    ) -> Result<bool, ReasonCode> {
        match result {
            Acknowledged::Done(ticket) => {
                self.exchange_over(session, packet_identifier, ticket);
                Ok(true)
            }
            Acknowledged::Release => {
                if let Some(value) = self.sessions.get(session).filter(|value| value.is_durable()) {
                    let client = &value.client_identifier;
                    self.journal.stage(|| Record::Released { client: client.clone(), packet_identifier });
                }
                Ok(true)
            }
            Acknowledged::Unknown => Ok(false),
            Acknowledged::WrongQoS => Err(ReasonCode::ProtocolError),
        }
    }
}
