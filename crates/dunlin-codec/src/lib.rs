//! MQTT Control Packets: bytes to values and back, for MQTT 3.1, 3.1.1 and 5.0.
//!
//! The crate has no state, no IO and no clock. [`split`] cuts the first packet off a buffer, [`decode`] judges it
//! whole and gives a view that borrows from the buffer, and every packet has an `encode` that appends a frame. A
//! value of a type from here is valid: constructors parse.
//!
//! What must stay true:
//! * whatever one packet alone shows to be wrong is refused here, with the Reason Code that the specification gives
//!   and the statement that was violated ([`MalformedPacket`]); what needs knowledge of the connection or the Session
//!   is the core's to judge;
//! * no bytes, however hostile, cause a panic or an allocation;
//! * a packet means the same in all protocol versions: the few differences are decided in the file of that packet.
//!
//! There is one file per packet type; `property.rs` holds the one table of MQTT 5.0 properties and `reason_code.rs`
//! the one table of Reason Codes.
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

mod acknowledgement;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod error;
mod frame;
mod message_properties;
mod packet;
mod packet_identifier;
mod packet_type;
mod property;
mod property_block;
mod publish;
mod publish_parts;
mod qos;
mod reader;
mod reason_code;
mod scan;
mod share;
mod suback;
mod subscribe;
mod subscription_identifiers;
mod subscription_options;
mod topic;
mod unsuback;
mod unsubscribe;
mod user_properties;
mod version;
mod will;
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
