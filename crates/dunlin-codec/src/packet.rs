//! All packets as one type, and the way from a frame to it.
//!
//! This file only branches; each packet type has its own file, where its fields, their order and the
//! differences between the protocol versions are. Decoding is the same for both directions: that a Server
//! gets no CONNACK is for the core to see.

use crate::acknowledgement::Acknowledgement;
use crate::auth::Auth;
use crate::connack::ConnAck;
use crate::connect::{Connect, decode_connect};
use crate::disconnect::Disconnect;
use crate::error::MalformedPacket;
use crate::frame::Frame;
use crate::packet_type::PacketType;
use crate::publish::Publish;
use crate::suback::SubAck;
use crate::subscribe::Subscribe;
use crate::unsuback::UnsubAck;
use crate::unsubscribe::Unsubscribe;
use crate::version::ProtocolVersion;

/// Any MQTT Control Packet, as a view of the bytes it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A Client asks to connect.
    Connect(Connect<'a>),
    /// The Server answers.
    ConnAck(ConnAck<'a>),
    /// An Application Message.
    Publish(Publish<'a>),
    /// QoS 1 is complete.
    PubAck(Acknowledgement<'a>),
    /// QoS 2, first answer.
    PubRec(Acknowledgement<'a>),
    /// QoS 2, second step of the sender.
    PubRel(Acknowledgement<'a>),
    /// QoS 2 is complete.
    PubComp(Acknowledgement<'a>),
    /// A Client asks for Subscriptions.
    Subscribe(Subscribe<'a>),
    /// The Server answers.
    SubAck(SubAck<'a>),
    /// A Client ends Subscriptions.
    Unsubscribe(Unsubscribe<'a>),
    /// The Server answers.
    UnsubAck(UnsubAck<'a>),
    /// A Client asks whether the Server is there.
    PingReq,
    /// The Server answers.
    PingResp,
    /// The sender closes the connection.
    Disconnect(Disconnect<'a>),
    /// Enhanced authentication, MQTT 5.0 only.
    Auth(Auth<'a>),
}

/// Decodes a packet of a connection whose version is known.
///
/// # Errors
/// When the packet violates the specification in a way that it shows by itself.
#[inline]
pub fn decode<'a>(frame: Frame<'a>, version: ProtocolVersion) -> Result<Packet<'a>, MalformedPacket> {
    let packet_type = frame.packet_type()?;
    let body = frame.body;
    let acknowledgement = || Acknowledgement::decode(packet_type, body, version);
    match packet_type {
        PacketType::Publish => Publish::decode(frame, version).map(Packet::Publish),
        PacketType::PubAck => acknowledgement().map(Packet::PubAck),
        PacketType::PubRec => acknowledgement().map(Packet::PubRec),
        PacketType::PubRel => acknowledgement().map(Packet::PubRel),
        PacketType::PubComp => acknowledgement().map(Packet::PubComp),
        PacketType::PingReq => without_content(body, Packet::PingReq),
        PacketType::PingResp => without_content(body, Packet::PingResp),
        PacketType::Subscribe => Subscribe::decode(body, version).map(Packet::Subscribe),
        PacketType::SubAck => SubAck::decode(body, version).map(Packet::SubAck),
        PacketType::Unsubscribe => Unsubscribe::decode(body, version).map(Packet::Unsubscribe),
        PacketType::UnsubAck => UnsubAck::decode(body, version).map(Packet::UnsubAck),
        PacketType::Connect => {
            decode_connect(frame).map(Packet::Connect).map_err(|error| error.as_malformed_packet())
        }
        PacketType::ConnAck => ConnAck::decode(body, version).map(Packet::ConnAck),
        PacketType::Disconnect => Disconnect::decode(body, version).map(Packet::Disconnect),
        PacketType::Auth if version == ProtocolVersion::V5 => Auth::decode(body).map(Packet::Auth),
        PacketType::Auth => {
            Err(MalformedPacket::malformed("2.1.2", "packet type 15 does not exist in MQTT 3.x"))
        }
    }
}

fn without_content<'a>(body: &[u8], packet: Packet<'a>) -> Result<Packet<'a>, MalformedPacket> {
    if !body.is_empty() {
        return Err(MalformedPacket::malformed("3.12", "a PINGREQ or PINGRESP has content"));
    }
    Ok(packet)
}

impl Packet<'_> {
    /// The type of the packet.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Appends the packet. What `version` cannot say is left out; for AUTH in 3.x that is the whole packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Self::Connect(packet) => packet.encode(version, out),
            Self::ConnAck(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::PubAck(packet) | Self::PubRec(packet) | Self::PubRel(packet) | Self::PubComp(packet) => {
                packet.encode(self.packet_type(), version, out);
            }
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::SubAck(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::UnsubAck(packet) => packet.encode(version, out),
            Self::PingReq | Self::PingResp => out.extend_from_slice(&[self.packet_type().first_byte(), 0]),
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(version, out),
        }
    }
}
