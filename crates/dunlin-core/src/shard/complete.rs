//! Acknowledgements leave here: at once when nothing is in their way, otherwise in order when it is gone.
//!
//! Persist before acknowledge, and apply before acknowledge, are one rule: [`Shard::owe`] is the only way to
//! send CONNACK, PUBACK, PUBREC, PUBCOMP, SUBACK and UNSUBACK to a client.

use super::Shard;
use crate::connection::{Barrier, Cause, Mark, Owed, Until};
use crate::identity::ShardId;
use crate::journal::{Position, Segment};
use crate::peer::PeerMessage;
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{PacketType, ReasonCode, SubAck, UnsubAck, UserProperties};

/// An answer owed to a peer shard once its barrier is open.
#[derive(Debug)]
pub(crate) struct Answer {
    pub barrier: Barrier,
    pub to: ShardId,
    pub token: u64,
}

impl Shard {
    /// The barrier of what the input has staged, and of everything this shard has said to others so far.
    pub(super) fn barrier_of_all(&mut self, until: Until) -> Barrier {
        let mut barrier = self.barrier_of_records();
        for peer in self.peers.others() {
            if let Some(link) = self.peers.link(peer)
                && !link.has_come(link.sent(), until)
            {
                barrier.peers.push(Mark { peer, sequence: link.sent(), until });
            }
        }
        barrier
    }

    /// The barrier of what the input that is being handled has staged for the store.
    pub(super) fn barrier_of_records(&self) -> Barrier {
        Barrier { position: self.clients.journal.position_of_input(), ..Barrier::default() }
    }

    /// Sends an acknowledgement as soon as its barrier opens and those before it have left.
    // Quota never delays it.
    // spec(v5): [MQTT-3.3.4-10] [MQTT-4.9.0-3]
    // spec(v5): [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    // spec(v3.1.1): [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    pub(super) fn owe(&mut self, now: Timestamp, key: Key, barrier: Barrier, owed: Owed) {
        let is_open = barrier.peers.is_empty()
            && barrier.joins.is_none()
            && self.clients.journal.is_durable(barrier.position);
        let Some(connection) = self.clients.connections.get_mut(key) else {
            return;
        };
        let nothing_before = connection.extras.as_ref().is_none_or(|extras| extras.completions.is_empty());
        if is_open && nothing_before {
            return self.send_owed(now, key, owed);
        }
        for Mark { peer, sequence, until } in &barrier.peers {
            if let Some(link) = self.peers.link(*peer) {
                link.wait(*sequence, *until, key);
            }
        }
        let position = barrier.position;
        connection.extras_mut().complete_later(barrier, owed);
        if !self.clients.journal.is_durable(position) {
            self.clients.wait_until_durable(position, key);
        }
    }

    /// The store has made everything before `position` durable, and its log has come to `segment`.
    pub fn handle_durable(&mut self, now: Timestamp, position: Position, segment: Segment) {
        self.clients.journal.set_durable(position);
        self.clients.journal.set_segment(segment);
        if !self.ended_sessions.is_empty() {
            let journal = &self.clients.journal;
            self.ended_sessions.retain(|_, position| !journal.is_durable(*position));
        }
        while let Some((position, key)) = self.clients.waiting_durable.front().copied() {
            if !self.clients.journal.is_durable(position) {
                break;
            }
            self.clients.waiting_durable.pop_front();
            self.release(now, key);
        }
        self.resume_slowed_by_store();
        self.clients.close_waiting();
        self.give_up_bodies();
        while let Some((position, peer, received)) = self.waiting_settled.front().copied() {
            if !self.clients.journal.is_durable(position) {
                break;
            }
            self.waiting_settled.pop_front();
            if let Some(link) = self.peers.link(peer) {
                link.stage(PeerMessage::Settled(received));
            }
        }
        self.run_follow_ups(now);
    }

    /// Lets go whoever waited for the store, if it has caught up.
    pub(super) fn resume_slowed_by_store(&mut self) {
        if self.clients.journal.has_caught_up() {
            for publisher in std::mem::take(&mut self.clients.journal.slowed) {
                self.resume_publisher(publisher);
            }
        }
    }

    /// Sends the connection's acknowledgements whose turn has come.
    pub(super) fn release(&mut self, now: Timestamp, key: Key) {
        while self.first_is_open(key) {
            let extras = self.clients.connections.get_mut(key).and_then(|value| value.extras.as_mut());
            let Some(completion) = extras.and_then(|extras| extras.next_completion()) else {
                return;
            };
            self.send_owed(now, key, completion.owed);
        }
        let half = usize::from(self.clients.settings.receive_maximum / 2);
        if self.connection(key).is_some_and(|connection| connection.owed_answers() <= half) {
            self.let_go(now, key);
        }
        // Whoever only waited for a SUBACK is idle from here on; a publisher will wait again.
        if let Some(connection) = self.clients.connections.get_mut(key).filter(|c| c.inbound_outstanding == 0)
        {
            connection.shed_extras();
        }
    }

    fn first_is_open(&mut self, key: Key) -> bool {
        let extras = self.clients.connections.get(key).and_then(|connection| connection.extras.as_ref());
        let Some(completion) = extras.and_then(|extras| extras.completions.front()) else {
            return false;
        };
        let barrier = &completion.barrier;
        barrier.joins.is_none_or(|token| !self.waiting_joins.contains_key(&token))
            && self.clients.journal.is_durable(barrier.position)
            && barrier.peers.iter().all(|mark| self.peers.have_passed(mark))
    }

    /// A group has answered: one thing less in the way of a SUBACK.
    pub(super) fn join_answered(&mut self, now: Timestamp, token: u64) {
        let Some((connection, pending)) = self.waiting_joins.get_mut(&token) else {
            return;
        };
        *pending -= 1;
        if *pending == 0 {
            let connection = *connection;
            self.waiting_joins.remove(&token);
            self.release(now, connection);
        }
    }

    fn send_owed(&mut self, now: Timestamp, key: Key, owed: Owed) {
        let Some(connection) =
            self.clients.connections.get_mut(key).filter(|connection| !connection.is_closing)
        else {
            return;
        };
        let version = connection.version;
        match owed {
            Owed::ConnAck(bytes) => {
                connection.is_established = true;
                // It had to wait for this.
                connection.silent_since = now;
                let session = connection.session;
                self.clients.write(key, PacketType::ConnAck, |outbox| outbox.push(&bytes));
                self.let_go(now, key);
                self.resume(now, session);
            }
            Owed::Publish { packet_identifier, .. } => {
                let session = connection.session;
                if !self.clients.send_owed_publication(now, session, key, packet_identifier) {
                    self.pump(now, session);
                }
            }
            Owed::PubAck(packet_identifier, reason_code) => {
                connection.inbound_outstanding = connection.inbound_outstanding.saturating_sub(1);
                self.clients.send_acknowledgement(key, PacketType::PubAck, packet_identifier, reason_code);
            }
            Owed::PubRec(packet_identifier, reason_code) => {
                if reason_code.is_error() {
                    connection.inbound_outstanding = connection.inbound_outstanding.saturating_sub(1);
                }
                self.clients.send_acknowledgement(key, PacketType::PubRec, packet_identifier, reason_code);
            }
            Owed::PubRel(packet_identifier, reason_code) => {
                self.clients.send_acknowledgement(key, PacketType::PubRel, packet_identifier, reason_code);
            }
            Owed::PubComp(packet_identifier, reason_code) => {
                if reason_code == ReasonCode::Success {
                    connection.inbound_outstanding = connection.inbound_outstanding.saturating_sub(1);
                }
                self.clients.send_acknowledgement(key, PacketType::PubComp, packet_identifier, reason_code);
            }
            // spec(v5): [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-2.2.1-6]
            // spec(v3.1.1): [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-2.3.1-7]
            Owed::SubAck { packet_identifier, reason_codes } => {
                let session = connection.session;
                let reason_codes = &reason_codes[..];
                let user_properties = UserProperties::default();
                let suback = SubAck { packet_identifier, reason_codes, reason_string: None, user_properties };
                if self.send_if_it_fits(now, key, PacketType::SubAck, |bytes| suback.encode(version, bytes)) {
                    self.begin_retained(now, session, packet_identifier);
                }
            }
            // spec(v5): [MQTT-3.10.4-4] [MQTT-3.10.4-5]
            // spec(v3.1.1): [MQTT-3.10.4-4] [MQTT-3.10.4-5]
            Owed::UnsubAck { packet_identifier, reason_codes } => {
                let reason_codes = &reason_codes[..];
                let user_properties = UserProperties::default();
                let unsuback =
                    UnsubAck { packet_identifier, reason_codes, reason_string: None, user_properties };
                self.send_if_it_fits(now, key, PacketType::UnsubAck, |bytes| unsuback.encode(version, bytes));
            }
        }
    }

    /// Sends an answer that grows with its request. A client that asked for more than it takes an answer for
    /// is disconnected.
    // spec(v5): [MQTT-3.1.2-24]
    fn send_if_it_fits(
        &mut self,
        now: Timestamp,
        key: Key,
        packet_type: PacketType,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        let maximum = self.connection(key).map_or(0, |connection| connection.maximum_packet_size_bytes);
        let fits = bytes.len() <= maximum as usize;
        if fits {
            self.clients.write(key, packet_type, |outbox| outbox.push(&bytes));
        } else {
            let detail = "the answer is larger than the client's Maximum Packet Size";
            self.end_connection(now, key, Cause::Server { reason_code: ReasonCode::PacketTooLarge, detail });
        }
        fits
    }
}
