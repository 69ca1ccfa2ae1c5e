//! Encode once per wire shape.
//!
//! A message for a thousand clients has few shapes on the wire: the protocol version, the QoS and the RETAIN
//! flag tell them apart, and the Packet Identifier is two bytes to patch. Each shape is encoded when its
//! first receiver is met, and copied for the rest. Subscription Identifiers and Topic Aliases make a frame
//! particular to one client; those are encoded in place.

use crate::connection::SHARED_PAYLOAD_MIN_BYTES;
use crate::message::Publication;
use crate::time::Timestamp;
use dunlin_codec::{PacketIdentifier, ProtocolVersion, PublishParts, QoS};

/// Stands in the encoded frame until the receiver's own is patched in.
const PLACEHOLDER: PacketIdentifier = match PacketIdentifier::new(1) {
    Some(identifier) => identifier,
    None => panic!("1 is a Packet Identifier"),
};

#[derive(Clone, Copy, Default)]
struct Shape {
    start: usize,
    end: usize,
    packet_identifier_at: usize,
}

/// The shapes of the publication being routed.
#[derive(Default)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    shapes: [Shape; 12],
    /// Which of them this publication has: a bit each.
    encoded: u16,
}

/// An encoded frame, its payload included if that is copied.
pub(crate) struct EncodedFrame<'a> {
    pub bytes: &'a [u8],
    pub packet_identifier_at: usize,
}

/// Whether the payload is appended by reference, after the head.
pub(crate) fn is_shared(publication: &Publication<'_>) -> bool {
    publication.payload.len() >= SHARED_PAYLOAD_MIN_BYTES
}

/// The parts of the PUBLISH for a publication, without what is particular to a client.
// spec(v5): [MQTT-4.3.1-1]
// spec(v3.1.1): [MQTT-4.3.1-1]
// spec(v5): [MQTT-3.3.2-4] [MQTT-3.3.2-6] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
// [MQTT-3.3.2-20]
pub(crate) fn parts<'a>(
    publication: &Publication<'a>,
    qos: QoS,
    retain: bool,
    now: Timestamp,
) -> PublishParts<'a> {
    PublishParts {
        dup: false,
        qos,
        retain,
        topic: publication.topic,
        packet_identifier: (qos != QoS::AtMostOnce).then_some(PLACEHOLDER),
        message_expiry_interval_s: publication.expires_at.map(|at| at.seconds_from(now)),
        topic_alias: None,
        subscription_identifiers: &[],
        forwarded: publication.forwarded,
        payload_length: publication.payload.len(),
    }
}

impl Frames {
    /// Forgets the last publication.
    pub fn reset(&mut self) {
        self.buffer.clear();
        self.encoded = 0;
    }

    /// The frame of this shape.
    pub fn get(
        &mut self,
        publication: &Publication<'_>,
        version: ProtocolVersion,
        qos: QoS,
        retain: bool,
        now: Timestamp,
    ) -> EncodedFrame<'_> {
        let is_v5 = version == ProtocolVersion::V5;
        let index = usize::from(is_v5) * 6 + usize::from(qos.bits()) * 2 + usize::from(retain);
        let mut shape = self.shapes.get(index).copied().unwrap_or_default();
        if self.encoded & (1 << index) == 0 {
            self.encoded |= 1 << index;
            shape.start = self.buffer.len();
            let offset = parts(publication, qos, retain, now).encode_head(version, &mut self.buffer);
            shape.packet_identifier_at = offset.map_or(0, |offset| offset - shape.start);
            if !is_shared(publication) {
                self.buffer.extend_from_slice(publication.payload);
            }
            shape.end = self.buffer.len();
            if let Some(place) = self.shapes.get_mut(index) {
                *place = shape;
            }
        }
        EncodedFrame {
            bytes: self.buffer.get(shape.start..shape.end).unwrap_or_default(),
            packet_identifier_at: shape.packet_identifier_at,
        }
    }
}
