//! Sending to one client: what is new, what is owed from before, what waits, and the bytes of each.

use super::clients::Clients;
use super::frames::{self, is_shared};
use super::{DropReason, FollowUp};
use crate::connection::{Alias, Barrier, Connection, Owed};
use crate::group::Ticket;
use crate::journal::{Position, Record};
use crate::message::Publication;
use crate::session::{Acknowledged, Delivery, Finished, Resend};
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{PacketIdentifier, PacketType, ProtocolVersion, QoS, ReasonCode};

impl Clients {
    /// Begins an exchange and sends its PUBLISH.
    // spec(v5): [MQTT-4.3.2-2] [MQTT-4.3.3-2]
    pub fn send_new(
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
        let (qos, retain, order) = (delivery.qos, delivery.retain, delivery.order);
        let is_recorded = delivery.recorded_in.is_some();
        let size_bytes = delivery.message.content_bytes();
        let identifiers = delivery.identifiers.clone();
        let packet_identifier = value.outbound.begin(delivery);
        if is_recorded {
            self.record(session, |session, _| Record::Sent { session, order, packet_identifier });
            // A client that has seen the identifier knows the message by it. If we could forget which was
            // which, we would deliver it again under another, or another under this.
            let position = self.journal.position();
            if qos == QoS::ExactlyOnce && !self.journal.is_durable(position) {
                return self.owe_publication(connection, packet_identifier, size_bytes, position);
            }
        }
        if self.connections.get(connection).is_some_and(Connection::has_waiting_publications) {
            return self.owe_publication(connection, packet_identifier, size_bytes, Position::default());
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
            self.abandon(session, packet_identifier);
        }
    }

    /// Sends a PUBLISH when the store has its Packet Identifier, and after those that wait for that already.
    fn owe_publication(
        &mut self,
        key: Key,
        packet_identifier: PacketIdentifier,
        size_bytes: usize,
        position: Position,
    ) {
        if let Some(connection) = self.connections.get_mut(key) {
            let barrier = Barrier { position, ..Barrier::default() };
            connection.extras_mut().complete_later(barrier, Owed::Publish { packet_identifier, size_bytes });
            if !self.journal.is_durable(position) {
                self.wait_until_durable(position, key);
            }
        }
    }

    /// The PUBLISH that [`Self::owe_publication`] put off. False if it made room for another instead.
    pub fn send_owed_publication(
        &mut self,
        now: Timestamp,
        session: Key,
        connection: Key,
        packet_identifier: PacketIdentifier,
    ) -> bool {
        let delivery =
            self.sessions.get(session).and_then(|value| value.outbound.delivery(packet_identifier));
        delivery.cloned().is_none_or(|delivery| {
            if !self.may_receive(session, delivery.message.topic()) {
                self.drop_for(session, Some(delivery.message.topic()), DropReason::NotAuthorized);
                self.abandon(session, packet_identifier);
                return false;
            }
            self.transmit_kept(now, session, connection, packet_identifier, &delivery, false)
        })
    }

    /// Sends the PUBLISH of an exchange that has begun. False if the client does not take frames of that size.
    fn transmit_kept(
        &mut self,
        now: Timestamp,
        session: Key,
        connection: Key,
        packet_identifier: PacketIdentifier,
        delivery: &Delivery,
        dup: bool,
    ) -> bool {
        self.frames.reset();
        let was_sent = self.transmit(
            now,
            connection,
            &mut Publication::of(&delivery.message),
            delivery.qos,
            delivery.retain,
            delivery.identifiers.as_slice(),
            Some(packet_identifier),
            dup,
        );
        if !was_sent {
            self.abandon(session, packet_identifier);
        }
        was_sent
    }

    /// The client does not take frames of that size, or may no longer have the message: it counts as delivered.
    fn abandon(&mut self, session: Key, packet_identifier: PacketIdentifier) {
        let value = self.sessions.get_mut(session);
        if let Some(finished) = value.and_then(|value| value.outbound.abandon(packet_identifier)) {
            self.exchange_over(session, finished);
        }
    }

    /// A message is done with: whoever lent the message hears of it, unless it has already.
    pub fn exchange_over(&mut self, session: Key, finished: Finished) {
        let Finished { order, recorded_in, ticket } = finished;
        if let Some(ticket) = ticket {
            self.follow_ups.push_back(FollowUp::TicketDone { session, ticket: *ticket });
        }
        if recorded_in.is_some() {
            self.record(session, |session, _| Record::Removed { session, order });
        }
    }

    /// Sends what is owed from before, then what waits, as far as quota and outbox allow.
    pub fn pump(&mut self, now: Timestamp, session: Key) {
        let Some(value) = self.sessions.get(session) else {
            return;
        };
        // After most acknowledgements there is nothing.
        if value.outbound.owes_resend() || !value.outbound.queue().is_empty() {
            self.send_waiting(now, session);
        }
        self.count_memory(session);
    }

    // spec(v5): [MQTT-3.3.2-5]
    fn send_waiting(&mut self, now: Timestamp, session: Key) {
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
                self.note_dropped(session, delivery.into(), DropReason::Expired);
                continue;
            }
            let message = delivery.message.clone();
            // The right may have gone while it waited.
            if !self.may_receive(session, message.topic()) {
                self.note_dropped(session, delivery.into(), DropReason::NotAuthorized);
                continue;
            }
            self.frames.reset();
            self.send_new(now, session, connection, delivery, &mut Publication::of(&message));
        }
        self.load_front(session);
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
                if self.may_receive(session, delivery.message.topic()) {
                    self.transmit_kept(now, session, connection, packet_identifier, &delivery, true);
                } else {
                    self.drop_for(session, Some(delivery.message.topic()), DropReason::NotAuthorized);
                    self.abandon(session, packet_identifier);
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
    pub fn transmit(
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
        let shared = is_shared(publication).then(|| publication.keep(&self.gauge).shared_payload());
        if is_plain && !dup {
            let frame = self.frames.get(publication, version, qos, retain, now);
            let length = frame.bytes.len() + shared.as_ref().map_or(0, |payload| payload.len());
            let fits = length <= maximum;
            if fits {
                connection.messages_sent = connection.messages_sent.wrapping_add(1);
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
            if !fits {
                return self.too_large();
            }
            self.note_sent(now, key, version, qos, retain, publication);
            return true;
        }
        let mut parts = frames::parts(publication, qos, retain, now);
        (parts.dup, parts.packet_identifier, parts.subscription_identifiers) =
            (dup, packet_identifier, identifiers);
        if parts.frame_length(version) > maximum {
            return self.too_large();
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
        connection.messages_sent = connection.messages_sent.wrapping_add(1);
        self.wire.append(key, connection, |outbox| {
            outbox.encode(|bytes| {
                parts.encode_head(version, bytes);
            });
            match shared {
                Some(payload) => outbox.push_shared(payload),
                None => outbox.push(publication.payload),
            }
        });
        self.note_sent(now, key, version, qos, retain, publication);
        true
    }

    fn too_large(&mut self) -> bool {
        self.counters.drop(DropReason::TooLargeForClient);
        false
    }

    #[inline]
    fn note_sent(
        &mut self,
        now: Timestamp,
        key: Key,
        version: ProtocolVersion,
        qos: QoS,
        retain: bool,
        publication: &Publication<'_>,
    ) {
        self.counters.message_sent(version, qos, publication.payload.len());
        if self.trace.is_some() {
            self.trace_sent(key, Some(publication.topic));
        }
        let received_at = publication.id.received_at;
        if self.turn.is_old(now, received_at) {
            self.note_old_message(now, received_at, retain);
        }
    }

    /// Applies an acknowledgement from the client to its Session.
    pub fn acknowledged(
        &mut self,
        session: Key,
        packet_identifier: PacketIdentifier,
        result: Acknowledged,
    ) -> Result<bool, ReasonCode> {
        match result {
            Acknowledged::Done(finished) => {
                self.exchange_over(session, finished);
                Ok(true)
            }
            Acknowledged::Release(Finished { order, recorded_in, ticket }) => {
                if recorded_in.is_some() {
                    let ticket = ticket.as_deref().map(Ticket::place);
                    self.record(session, |session, _| Record::Released {
                        session,
                        order,
                        packet_identifier,
                        ticket,
                    });
                }
                Ok(true)
            }
            Acknowledged::ReleaseAgain => Ok(true),
            Acknowledged::Unknown => Ok(false),
            Acknowledged::WrongQoS => Err(ReasonCode::ProtocolError),
        }
    }
}
