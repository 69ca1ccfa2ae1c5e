//! The Reason Codes of MQTT 5.0 and the return codes of MQTT 3.x.
//!
//! There is one table (section 2.4): code, name, the packets in which it may stand. Everything else follows
//! from it, and decoding uses it to judge the codes that a peer sends. MQTT 3.x knows five refusals in
//! CONNACK; the core thinks in Reason Codes only, and the two functions at the end translate.

use std::fmt;

use crate::packet_type::{PacketType, bit::*};

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $code:literal $variant:ident $name:literal in $($packet:ident)|+;)+) => {
        /// Why something was done or refused (section 2.4). Codes from 0x80 are failures.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        pub enum ReasonCode {
            $(#[doc = concat!("`", stringify!($code), "` ", $name, ".")] $(#[$doc])* $variant = $code,)+
        }

        impl ReasonCode {
            /// All codes in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The Reason Code with this number, or `None` when the specification has none.
            #[inline]
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The name in the specification's table.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            const fn packets(self) -> u16 {
                match self {
                    $(Self::$variant => $($packet)|+,)+
                }
            }
        }
    };
}

reason_codes! {
    /// Also Normal disconnection (DISCONNECT) and Granted QoS 0 (SUBACK).
    0x00 Success "Success" in CONNACK | PUBACK | PUBREC | PUBREL | PUBCOMP | SUBACK | UNSUBACK | AUTH | DISCONNECT;
    0x01 GrantedQoS1 "Granted QoS 1" in SUBACK;
    0x02 GrantedQoS2 "Granted QoS 2" in SUBACK;
    0x04 DisconnectWithWillMessage "Disconnect with Will Message" in DISCONNECT;
    0x10 NoMatchingSubscribers "No matching subscribers" in PUBACK | PUBREC;
    0x11 NoSubscriptionExisted "No subscription existed" in UNSUBACK;
    0x18 ContinueAuthentication "Continue authentication" in AUTH;
    0x19 ReAuthenticate "Re-authenticate" in AUTH;
    0x80 UnspecifiedError "Unspecified error" in CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT;
    0x81 MalformedPacket "Malformed Packet" in CONNACK | DISCONNECT;
    0x82 ProtocolError "Protocol Error" in CONNACK | DISCONNECT;
    0x83 ImplementationSpecificError "Implementation specific error"
        in CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT;
    0x84 UnsupportedProtocolVersion "Unsupported Protocol Version" in CONNACK;
    0x85 ClientIdentifierNotValid "Client Identifier not valid" in CONNACK;
    0x86 BadUserNameOrPassword "Bad User Name or Password" in CONNACK;
    0x87 NotAuthorized "Not authorized" in CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT;
    0x88 ServerUnavailable "Server unavailable" in CONNACK;
    0x89 ServerBusy "Server busy" in CONNACK | DISCONNECT;
    0x8A Banned "Banned" in CONNACK;
    0x8B ServerShuttingDown "Server shutting down" in DISCONNECT;
    0x8C BadAuthenticationMethod "Bad authentication method" in CONNACK | DISCONNECT;
    0x8D KeepAliveTimeout "Keep Alive timeout" in DISCONNECT;
    0x8E SessionTakenOver "Session taken over" in DISCONNECT;
    0x8F TopicFilterInvalid "Topic Filter invalid" in SUBACK | UNSUBACK | DISCONNECT;
    0x90 TopicNameInvalid "Topic Name invalid" in CONNACK | PUBACK | PUBREC | DISCONNECT;
    0x91 PacketIdentifierInUse "Packet Identifier in use" in PUBACK | PUBREC | SUBACK | UNSUBACK;
    0x92 PacketIdentifierNotFound "Packet Identifier not found" in PUBREL | PUBCOMP;
    0x93 ReceiveMaximumExceeded "Receive Maximum exceeded" in DISCONNECT;
    0x94 TopicAliasInvalid "Topic Alias invalid" in DISCONNECT;
    0x95 PacketTooLarge "Packet too large" in CONNACK | DISCONNECT;
    0x96 MessageRateTooHigh "Message rate too high" in DISCONNECT;
    0x97 QuotaExceeded "Quota exceeded" in CONNACK | PUBACK | PUBREC | SUBACK | DISCONNECT;
    0x98 AdministrativeAction "Administrative action" in DISCONNECT;
    0x99 PayloadFormatInvalid "Payload format invalid" in CONNACK | PUBACK | PUBREC | DISCONNECT;
    0x9A RetainNotSupported "Retain not supported" in CONNACK | DISCONNECT;
    0x9B QoSNotSupported "QoS not supported" in CONNACK | DISCONNECT;
    0x9C UseAnotherServer "Use another server" in CONNACK | DISCONNECT;
    0x9D ServerMoved "Server moved" in CONNACK | DISCONNECT;
    0x9E SharedSubscriptionsNotSupported "Shared Subscriptions not supported" in SUBACK | DISCONNECT;
    0x9F ConnectionRateExceeded "Connection rate exceeded" in CONNACK | DISCONNECT;
    0xA0 MaximumConnectTime "Maximum connect time" in DISCONNECT;
    0xA1 SubscriptionIdentifiersNotSupported "Subscription Identifiers not supported" in SUBACK | DISCONNECT;
    0xA2 WildcardSubscriptionsNotSupported "Wildcard Subscriptions not supported" in SUBACK | DISCONNECT;
}

impl ReasonCode {
    /// The number on the wire.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether this is a failure: 0x80 or above.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.code() >= 0x80
    }

    /// Whether section 2.4 lists this code for that packet type.
    #[inline]
    #[must_use]
    pub const fn allowed_in(self, packet_type: PacketType) -> bool {
        self.packets() & packet_type.bit() != 0
    }

    /// Whether a Client may send this code in DISCONNECT (the column "Sent by" of section 3.14.2.1).
    #[must_use]
    pub const fn client_may_disconnect_with(self) -> bool {
        matches!(
            self,
            Self::Success
                | Self::DisconnectWithWillMessage
                | Self::UnspecifiedError
                | Self::MalformedPacket
                | Self::ProtocolError
                | Self::ImplementationSpecificError
                | Self::TopicNameInvalid
                | Self::ReceiveMaximumExceeded
                | Self::TopicAliasInvalid
                | Self::PacketTooLarge
                | Self::MessageRateTooHigh
                | Self::QuotaExceeded
                | Self::AdministrativeAction
                | Self::PayloadFormatInvalid
        )
    }

    /// The code that grants this QoS in SUBACK.
    #[inline]
    #[must_use]
    pub const fn granted(qos: crate::QoS) -> Self {
        match qos {
            crate::QoS::AtMostOnce => Self::Success,
            crate::QoS::AtLeastOnce => Self::GrantedQoS1,
            crate::QoS::ExactlyOnce => Self::GrantedQoS2,
        }
    }

    /// The Reason Code that says what this return code of a 3.x CONNACK says; `None` for the reserved ones
    /// (from 6).
    #[must_use]
    pub const fn from_return_code(return_code: u8) -> Option<Self> {
        Some(match return_code {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }

    /// The return code of a 3.x CONNACK (0 to 5) that comes nearest to this Reason Code.
    #[must_use]
    pub const fn return_code(self) -> u8 {
        match self {
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::Banned | Self::BadAuthenticationMethod => 5,
            other if other.is_error() => 3,
            _ => 0,
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
