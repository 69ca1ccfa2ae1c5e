//! MQTT Control Packets: bytes to values and back, for MQTT 3.1, 3.1.1 and 5.0.
//!
//! The crate has no state, no IO and no clock. [`split`] cuts the first packet off a buffer, [`decode`]
//! judges it whole and gives a view that borrows from the buffer, and every packet has an `encode` that
//! appends a frame. A value of a type from here is valid: constructors parse.
//!
//! What must stay true:
//! * whatever one packet alone shows to be wrong is refused here, with the Reason Code that the specification
//!   gives and the statement that was violated ([`MalformedPacket`]); what needs knowledge of the connection
//!   or the Session is the core's to judge;
//! * no bytes, however hostile, cause a panic or an allocation;
//! * a packet means the same in all protocol versions: the few differences are decided in the file of that
//!   packet.
//!
//! ```
//! use dunlin_codec::{Packet, ProtocolVersion, Split, decode, split};
//!
//! let received = b"\x30\x07\x00\x03a/bhi\xC0\x00"; // a PUBLISH, and then a PINGREQ
//! let Ok(Split::Packet { frame, length }) = split(received, 1_000_000) else { panic!("more bytes are needed") };
//! let Ok(Packet::Publish(publish)) = decode(frame, ProtocolVersion::V3_1_1) else { panic!("not a PUBLISH") };
//! assert_eq!((publish.topic, publish.payload), ("a/b", &b"hi"[..]));
//! assert_eq!(received[length..], [0xC0, 0x00]);
//!
//! let mut sent = Vec::new();
//! publish.encode(ProtocolVersion::V5, &mut sent);
//! assert_eq!(sent, b"\x30\x08\x00\x03a/b\x00hi");
//! ```
//!
//! There is one file per packet type; `property.rs` holds the one table of MQTT 5.0 properties and
//! `reason_code.rs` the one table of Reason Codes.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

// MQTT's words.
mod packet_identifier;
mod packet_type;
mod qos;
mod reason_code;
mod share;
mod subscription_options;
mod topic;
mod version;

// From a buffer to a packet.
mod error;
mod frame;
mod packet;

// The packets.
mod connect;
mod will;

mod connack;

mod publish;
mod publish_parts;

mod acknowledgement;

mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

mod auth;
mod disconnect;

// Properties of MQTT 5.0.
mod message_properties;
mod property;
mod property_block;
mod subscription_identifiers;
mod user_properties;

// Data types as bytes.
mod reader;
mod scan;
mod writer;

pub use acknowledgement::Acknowledgement;
pub use auth::Auth;
pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectError, ConnectProperties, decode_connect};
pub use disconnect::Disconnect;
pub use error::MalformedPacket;
pub use frame::{Frame, Split, split};
pub use message_properties::{MessageProperties, decode_forwarded};
pub use packet::{Packet, decode};
pub use packet_identifier::PacketIdentifier;
pub use packet_type::PacketType;
pub use publish::Publish;
pub use publish_parts::PublishParts;
pub use qos::QoS;
pub use reason_code::ReasonCode;
pub use share::{ShareName, SubscriptionFilter};
pub use suback::SubAck;
pub use subscribe::{Subscribe, SubscribeFilters, encode_subscribe_filters};
pub use subscription_identifiers::{SubscriptionIdentifiers, encode_subscription_identifiers};
pub use subscription_options::{RetainHandling, SubscriptionOptions};
pub use topic::{TopicError, TopicFilter, TopicName};
pub use unsuback::UnsubAck;
pub use unsubscribe::{Unsubscribe, UnsubscribeFilters, encode_unsubscribe_filters};
pub use user_properties::{UserProperties, encode_user_properties};
pub use version::ProtocolVersion;
pub use will::Will;

/// The largest value of a Variable Byte Integer, and so of the Remaining Length: 268,435,455 (section 1.5.5).
pub const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;
