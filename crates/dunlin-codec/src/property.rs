//! The properties of MQTT 5.0 (section 2.2.2.2): the one table of identifier, type and the packets they may
//! stand in.
//!
//! The macro makes of each row a variant of [`Property`], its decoding, its encoding and the question where
//! it is allowed. A value that its own property forbids (a Receive Maximum of 0, say) is refused while it is
//! read, so no packet has to. To add a property: a row here, a field in its packet, one line where that
//! packet is decoded and one where it is encoded, and vectors.

use std::num::NonZeroU16;

use crate::error::MalformedPacket;
use crate::packet_type::bit::*;
use crate::qos::QoS;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::topic::TopicName;
use crate::writer::{
    put_binary, put_four_byte_integer, put_string, put_two_byte_integer, put_variable_byte_integer,
};

macro_rules! properties {
    ($($identifier:literal $name:ident ($type:ty) in $($packet:ident)|+;)+) => {
        /// One property with its value.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(crate) enum Property<'a> {
            $($name($type),)+
        }

        impl<'a> Property<'a> {
            /// The set of packets in which this identifier may stand; `None` when there is no such property.
            #[inline]
            pub(crate) const fn packets(identifier: u8) -> Option<u16> {
                match identifier {
                    $($identifier => Some($($packet)|+),)+
                    _ => None,
                }
            }

            /// Reads the value that follows this identifier.
            #[inline]
            pub(crate) fn read_value(identifier: u8, reader: &mut Reader<'a>) -> Result<Self, MalformedPacket> {
                match identifier {
                    $($identifier => Ok(Self::$name(Value::read(reader)?)),)+
                    _ => Err(unknown_identifier()),
                }
            }

            /// Appends identifier and value.
            pub(crate) fn write(self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(value) => {
                        out.push($identifier);
                        value.write(out);
                    })+
                }
            }
        }
    };
}

properties! {
    0x01 PayloadFormatIndicator (bool) in PUBLISH | WILL;
    0x02 MessageExpiryInterval (u32) in PUBLISH | WILL;
    0x03 ContentType (&'a str) in PUBLISH | WILL;
    0x08 ResponseTopic (ResponseTopic<'a>) in PUBLISH | WILL;
    0x09 CorrelationData (&'a [u8]) in PUBLISH | WILL;
    0x0B SubscriptionIdentifier (SubscriptionIdentifier) in PUBLISH | SUBSCRIBE;
    0x11 SessionExpiryInterval (u32) in CONNECT | CONNACK | DISCONNECT;
    0x12 AssignedClientIdentifier (&'a str) in CONNACK;
    0x13 ServerKeepAlive (u16) in CONNACK;
    0x15 AuthenticationMethod (&'a str) in CONNECT | CONNACK | AUTH;
    0x16 AuthenticationData (&'a [u8]) in CONNECT | CONNACK | AUTH;
    0x17 RequestProblemInformation (bool) in CONNECT;
    0x18 WillDelayInterval (u32) in WILL;
    0x19 RequestResponseInformation (bool) in CONNECT;
    0x1A ResponseInformation (&'a str) in CONNACK;
    0x1C ServerReference (&'a str) in CONNACK | DISCONNECT;
    0x1F ReasonString (&'a str)
        in CONNACK | PUBACK | PUBREC | PUBREL | PUBCOMP | SUBACK | UNSUBACK | DISCONNECT | AUTH;
    0x21 ReceiveMaximum (ReceiveMaximum) in CONNECT | CONNACK;
    0x22 TopicAliasMaximum (u16) in CONNECT | CONNACK;
    0x23 TopicAlias (NonZeroU16) in PUBLISH;
    0x24 MaximumQoS (QoS) in CONNACK;
    0x25 RetainAvailable (bool) in CONNACK;
    0x26 User ((&'a str, &'a str))
        in CONNECT | CONNACK | PUBLISH | WILL | PUBACK | PUBREC | PUBREL | PUBCOMP | SUBSCRIBE | SUBACK | UNSUBSCRIBE
            | UNSUBACK | DISCONNECT | AUTH;
    0x27 MaximumPacketSize (MaximumPacketSize) in CONNECT | CONNACK;
    0x28 WildcardSubscriptionAvailable (bool) in CONNACK;
    0x29 SubscriptionIdentifiersAvailable (bool) in CONNACK;
    0x2A SharedSubscriptionAvailable (bool) in CONNACK;
}

pub(crate) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
pub(crate) const USER_PROPERTY: u8 = 0x26;

/// Appends the property if there is one.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, property: Option<Property<'_>>) {
    if let Some(property) = property {
        property.write(out);
    }
}

#[cold]
pub(crate) fn unknown_identifier() -> MalformedPacket {
    MalformedPacket::malformed("2.2.2.2", "a property has an identifier that does not exist")
}

/// A type that a property's value can have, with the range that the specification gives it.
trait Value<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MalformedPacket>;
    fn write(self, out: &mut Vec<u8>);
}

/// A Subscription Identifier: 1 to 268,435,455.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SubscriptionIdentifier(pub(crate) u32);

/// A Receive Maximum: not 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ReceiveMaximum(pub(crate) u16);

/// A Maximum Packet Size in bytes: not 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MaximumPacketSize(pub(crate) u32);

/// A Response Topic, which is a valid Topic Name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ResponseTopic<'a>(pub(crate) &'a str);

impl Value<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => {
                Err(MalformedPacket::protocol_error("2.2.2.2", "a property that is 0 or 1 has another value"))
            }
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        out.push(u8::from(self));
    }
}

impl Value<'_> for u16 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        reader.two_byte_integer()
    }

    fn write(self, out: &mut Vec<u8>) {
        put_two_byte_integer(out, self);
    }
}

impl Value<'_> for u32 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        reader.four_byte_integer()
    }

    fn write(self, out: &mut Vec<u8>) {
        put_four_byte_integer(out, self);
    }
}

impl<'a> Value<'a> for &'a str {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MalformedPacket> {
        reader.string()
    }

    fn write(self, out: &mut Vec<u8>) {
        put_string(out, self);
    }
}

impl<'a> Value<'a> for &'a [u8] {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MalformedPacket> {
        reader.binary()
    }

    fn write(self, out: &mut Vec<u8>) {
        put_binary(out, self);
    }
}

impl<'a> Value<'a> for (&'a str, &'a str) {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MalformedPacket> {
        // spec(v5): [MQTT-1.5.7-1]
        Ok((reader.string()?, reader.string()?))
    }

    fn write(self, out: &mut Vec<u8>) {
        put_string(out, self.0);
        put_string(out, self.1);
    }
}

impl Value<'_> for QoS {
    fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        match reader.byte()? {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            _ => Err(MalformedPacket::protocol_error("3.2.2.3.4", "the Maximum QoS is neither 0 nor 1")),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        out.push(self.bits());
    }
}

impl Value<'_> for NonZeroU16 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        // spec(v5): [MQTT-3.3.2-8]
        Self::new(reader.two_byte_integer()?).ok_or(MalformedPacket::new(
            ReasonCode::TopicAliasInvalid,
            "MQTT-3.3.2-8",
            "the Topic Alias is 0",
        ))
    }

    fn write(self, out: &mut Vec<u8>) {
        put_two_byte_integer(out, self.get());
    }
}

impl Value<'_> for SubscriptionIdentifier {
    fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        match reader.variable_byte_integer()? {
            0 => Err(MalformedPacket::protocol_error("3.8.2.1.2", "a Subscription Identifier is 0")),
            identifier => Ok(Self(identifier)),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        put_variable_byte_integer(out, self.0);
    }
}

impl Value<'_> for ReceiveMaximum {
    fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        match reader.two_byte_integer()? {
            0 => Err(MalformedPacket::protocol_error("3.1.2.11.3", "the Receive Maximum is 0")),
            maximum => Ok(Self(maximum)),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        put_two_byte_integer(out, self.0);
    }
}

impl Value<'_> for MaximumPacketSize {
    fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        match reader.four_byte_integer()? {
            0 => Err(MalformedPacket::protocol_error("3.1.2.11.4", "the Maximum Packet Size is 0")),
            maximum => Ok(Self(maximum)),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        put_four_byte_integer(out, self.0);
    }
}

impl<'a> Value<'a> for ResponseTopic<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MalformedPacket> {
        // spec(v5): [MQTT-3.3.2-13]
        let topic = reader.string()?;
        // spec(v5): [MQTT-3.3.2-14] [MQTT-4.7.3-1]
        TopicName::parse(topic).map_err(|_| {
            MalformedPacket::protocol_error(
                "MQTT-3.3.2-14",
                "the Response Topic is empty or contains a wildcard",
            )
        })?;
        Ok(Self(topic))
    }

    fn write(self, out: &mut Vec<u8>) {
        put_string(out, self.0);
    }
}
