//! PUBACK, PUBREC, PUBREL and PUBCOMP from a client.

use super::{Shard, Violation};
use crate::connection::{Mark, Owed, Until};
use crate::journal::Record;
use crate::session::{Acknowledged, Outbound};
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{Acknowledgement, PacketIdentifier, ReasonCode};

const WRONG_QOS: Violation = Violation {
    reason_code: ReasonCode::ProtocolError,
    statement: "4.3",
    detail: "the acknowledgement does not fit the QoS of the PUBLISH",
};

impl Shard {
    pub(super) fn handle_puback(
        &mut self,
        now: Timestamp,
        key: Key,
        packet: Acknowledgement<'_>,
    ) -> Result<(), Violation> {
        self.finish_exchange(now, key, packet, |outbound, identifier| outbound.acknowledge(identifier))
    }

    pub(super) fn handle_pubcomp(
        &mut self,
        now: Timestamp,
        key: Key,
        packet: Acknowledgement<'_>,
    ) -> Result<(), Violation> {
        self.finish_exchange(now, key, packet, |outbound, identifier| outbound.complete(identifier))
    }

    fn finish_exchange(
        &mut self,
        now: Timestamp,
        key: Key,
        packet: Acknowledgement<'_>,
        apply: impl FnOnce(&mut Outbound, PacketIdentifier) -> Acknowledged,
    ) -> Result<(), Violation> {
        let Some((session, value)) = self.clients.session_of(key) else {
            return Ok(());
        };
        let result = apply(&mut value.outbound, packet.packet_identifier);
        // An identifier nobody knows is not answered: the exchange may have ended with an earlier connection.
        if self.clients.acknowledged(session, packet.packet_identifier, result).map_err(|_| WRONG_QOS)? {
            self.pump(now, session);
        }
        Ok(())
    }

    // spec(v5): [MQTT-4.3.3-4] [MQTT-3.6.2-1]
    // spec(v3.1.1): [MQTT-4.3.3-1] [MQTT-4.6.0-4]
    pub(super) fn handle_pubrec(
        &mut self,
        now: Timestamp,
        key: Key,
        packet: Acknowledgement<'_>,
    ) -> Result<(), Violation> {
        let is_error = packet.reason_code.is_error();
        let Some((session, value)) = self.clients.session_of(key) else {
            return Ok(());
        };
        let result = value.outbound.receive(packet.packet_identifier, is_error);
        let is_release = matches!(result, Acknowledged::Release(_) | Acknowledged::ReleaseAgain);
        let ticket = match &result {
            Acknowledged::Release(finished) => finished.ticket.as_deref().copied(),
            _ => None,
        };
        let is_known =
            self.clients.acknowledged(session, packet.packet_identifier, result).map_err(|_| WRONG_QOS)?;
        // The client has it: the group must never give it to another member, so PUBREL waits for that, too.
        if let Some(ticket) = ticket {
            self.ticket_done(now, session, ticket);
        }
        let mut barrier = self.barrier_of_records();
        if let Some(owner) = ticket.map(|ticket| ticket.group.owner).filter(|owner| *owner != self.peers.own)
            && let Some(link) = self.peers.link(owner)
        {
            barrier.peers.push(Mark { peer: owner, sequence: link.sent(), until: Until::Stored });
        }
        if is_release {
            self.owe(now, key, barrier, Owed::PubRel(packet.packet_identifier, ReasonCode::Success));
        } else if !is_known && !is_error {
            let reason_code = ReasonCode::PacketIdentifierNotFound;
            self.owe(now, key, barrier, Owed::PubRel(packet.packet_identifier, reason_code));
        } else {
            self.pump(now, session);
        }
        Ok(())
    }

    // The exchange goes on whatever became of the message.
    // spec(v5): [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT-4.3.3-13] [MQTT-3.7.2-1]
    // spec(v3.1.1): [MQTT-4.3.3-2]
    pub(super) fn handle_pubrel(
        &mut self,
        now: Timestamp,
        key: Key,
        packet: Acknowledgement<'_>,
    ) -> Result<(), Violation> {
        let packet_identifier = packet.packet_identifier;
        let Some((session_key, session)) = self.clients.session_of(key) else {
            return Ok(());
        };
        let was_known =
            session.extras.existing().is_some_and(|extras| extras.inbound.remove(packet_identifier));
        if was_known {
            self.clients.record(session_key, |session, _| Record::Completed { session, packet_identifier });
        }
        let reason_code = if was_known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        let barrier = self.barrier_of_records();
        self.owe(now, key, barrier, Owed::PubComp(packet_identifier, reason_code));
        Ok(())
    }
}
