//! PUBLISH from a 3.x client for which the store has no room: put aside, and taken in when there is room.
//!
//! 3.x has no words for "not now". So the packet is neither acknowledged nor refused; what else the client sends
//! is heard meanwhile (its acknowledgements make room), and its own window of unacknowledged messages slows it
//! down. What is more than a few KiB is not put aside: then the connection is closed, and the client sends again
//! when it is back. A 5.0 client is told (0x97).

use super::{Shard, StoreState};
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{ProtocolVersion, Publish, QoS, ReasonCode, Split, decode, split};

/// Bytes put aside for one connection.
const CONNECTION_BYTES_MAX: usize = 64 * 1024;

/// Bytes put aside in all.
const SHARD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Who has packets put aside, in the order of the first, and how much that is.
#[derive(Default)]
pub(super) struct Parking {
    connections: Vec<Key>,
    bytes: usize,
}

impl Shard {
    /// Puts a PUBLISH aside that can be taken in neither now nor with an acknowledgement; true if it did.
    pub(super) fn park(&mut self, key: Key, bytes: &[u8], publish: &Publish<'_>) -> bool {
        if self.store_state != StoreState::Full || publish.qos == QoS::AtMostOnce {
            return false;
        }
        let Some(connection) = self.connection(key).filter(|value| value.version != ProtocolVersion::V5)
        else {
            return false;
        };
        let parked_bytes = connection.extras.as_ref().map_or(0, |extras| extras.parked.len());
        let (is_first, session) = (parked_bytes == 0, connection.session);
        let has_room = parked_bytes + bytes.len() <= CONNECTION_BYTES_MAX
            && self.parking.bytes + bytes.len() <= SHARD_BYTES_MAX;
        if !has_room {
            return false;
        }
        // What comes behind one that waits stays behind it.
        if is_first && !self.has_no_room_for(session, publish) {
            return false;
        }
        if let Some(connection) = self.clients.connections.get_mut(key) {
            connection.extras_mut().parked.extend_from_slice(bytes);
        }
        if is_first {
            self.parking.connections.push(key);
        }
        self.parking.bytes += bytes.len();
        true
    }

    /// Whether a publication is refused because there is no room, and for nothing else.
    fn has_no_room_for(&mut self, session: Key, publish: &Publish<'_>) -> bool {
        let is_known = publish.qos == QoS::ExactlyOnce
            && publish.packet_identifier.is_some_and(|packet_identifier| {
                let value = self.clients.sessions.get(session);
                value.is_some_and(|value| value.extras.inbound.contains(packet_identifier))
            });
        let refusal = self.judge(session, publish.topic, publish);
        let refusal = refusal.or_else(|| self.judge_store(publish.topic, publish));
        !is_known && refusal == Some(ReasonCode::QuotaExceeded)
    }

    /// There is room again, or there will be none: what was put aside is taken in or refused.
    pub(super) fn unpark(&mut self, now: Timestamp) {
        for key in std::mem::take(&mut self.parking.connections) {
            let parked = self.take_parked(key);
            let mut rest = &parked[..];
            while let Some(value) = self.connection(key).filter(|value| !value.is_closing) {
                let (version, size_max) = (value.version, value.accepted_packet_size_bytes);
                let Ok(Split::Packet { frame, length }) = split(rest, size_max) else { break };
                rest = rest.get(length..).unwrap_or_default();
                let result = decode(frame, version).and_then(|packet| self.handle_packet(now, key, &packet));
                self.finish_packet(now, key, result);
            }
        }
    }

    /// What was put aside for a connection, which has it no more.
    pub(super) fn take_parked(&mut self, key: Key) -> Vec<u8> {
        let extras = self.clients.connections.get_mut(key).and_then(|value| value.extras.as_mut());
        let parked = extras.map(|extras| std::mem::take(&mut extras.parked)).unwrap_or_default();
        self.parking.bytes -= parked.len();
        parked
    }
}
