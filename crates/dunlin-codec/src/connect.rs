//! CONNECT (section 3.1): the first packet of a connection, and the only one that names its protocol version.
//!
//! [`decode_connect`] therefore fails in three ways that a Server answers differently: a version it does not
//! speak (CONNACK 0x84 or return code 1), a packet of a known version that is wrong (CONNACK of that
//! version), and bytes that are no CONNECT at all (close, say nothing).
//!
//! Name and level are judged strictly as pairs. The bit 7 with which mosquitto marks bridges makes an unknown
//! level, and such bridges then try again without it.

use std::fmt;

use crate::error::MalformedPacket;
use crate::frame::Frame;
use crate::packet_type::{PacketType, bit};
use crate::property::{MaximumPacketSize, Property, ReceiveMaximum, put};
use crate::property_block::{PropertyBlock, judge_authentication};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::ProtocolVersion;
use crate::will::Will;
use crate::writer::{put_binary, put_frame, put_string, put_two_byte_integer, put_with_length};

/// A Client's request to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Protocol name and level.
    pub version: ProtocolVersion,
    /// Clean Start; Clean Session in 3.x, where it also means that the Session ends with the connection.
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 turns it off.
    pub keep_alive_s: u16,
    /// MQTT 5.0 only.
    pub properties: ConnectProperties<'a>,
    /// May be empty: whether that is accepted is the core's decision.
    pub client_identifier: &'a str,
    /// The Will Message, if any.
    pub will: Option<Will<'a>>,
    /// User Name.
    pub user_name: Option<&'a str>,
    /// Password: binary, up to 65,535 bytes.
    pub password: Option<&'a [u8]>,
}

/// The properties of CONNECT (section 3.1.2.11). What is absent has the default that the specification gives
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Session Expiry Interval in seconds; absent means 0, 0xFFFFFFFF means never.
    pub session_expiry_interval_s: Option<u32>,
    /// Receive Maximum, not 0; absent means 65,535.
    pub receive_maximum: Option<u16>,
    /// Maximum Packet Size in bytes, not 0; absent means no limit.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum; absent means 0.
    pub topic_alias_maximum: Option<u16>,
    /// Request Response Information; absent means false.
    pub request_response_information: Option<bool>,
    /// Request Problem Information; absent means true.
    pub request_problem_information: Option<bool>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
    /// Authentication Method; present when the Client wants enhanced authentication.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data; never without a method.
    pub authentication_data: Option<&'a [u8]>,
}

/// Why bytes that should be a CONNECT are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectError {
    /// The protocol name and level are readable, and not a pair that Dunlin speaks.
    UnsupportedProtocol {
        /// The protocol level that was asked for.
        level: u8,
        /// Whether the name was `MQTT` or `MQIsdp`.
        name_is_known: bool,
    },
    /// The version is known, the packet is wrong.
    Malformed {
        /// The version to answer in.
        version: ProtocolVersion,
        /// What is wrong.
        error: MalformedPacket,
    },
    /// Not even protocol name and level can be read, or it is another packet.
    Unreadable(MalformedPacket),
}

/// Decodes the first packet of a connection.
///
/// # Errors
/// See [`ConnectError`].
pub fn decode_connect(frame: Frame<'_>) -> Result<Connect<'_>, ConnectError> {
    // spec(v5): [MQTT-3.1.0-1]
    // spec(v3.1.1): [MQTT-3.1.0-1]
    if frame.packet_type().map_err(ConnectError::Unreadable)? != PacketType::Connect {
        let detail = "the first packet is not CONNECT";
        return Err(ConnectError::Unreadable(MalformedPacket::protocol_error("MQTT-3.1.0-1", detail)));
    }
    let mut reader = Reader::new(frame.body);
    let name = reader.binary().map_err(ConnectError::Unreadable)?;
    let level = reader.byte().map_err(ConnectError::Unreadable)?;
    // spec(v5): [MQTT-3.1.2-1] [MQTT-3.1.2-2]
    // spec(v3.1.1): [MQTT-3.1.2-1] [MQTT-3.1.2-2]
    let version = match (name, level) {
        (b"MQTT", 5) => ProtocolVersion::V5,
        (b"MQTT", 4) => ProtocolVersion::V3_1_1,
        (b"MQIsdp", 3) => ProtocolVersion::V3_1,
        _ => {
            let name_is_known = matches!(name, b"MQTT" | b"MQIsdp");
            return Err(ConnectError::UnsupportedProtocol { level, name_is_known });
        }
    };
    // spec(v5): [MQTT-3.1.4-1]
    // spec(v3.1.1): [MQTT-3.1.4-1]
    read_after_level(reader, version).map_err(|error| ConnectError::Malformed { version, error })
}

fn read_after_level(
    mut reader: Reader<'_>,
    version: ProtocolVersion,
) -> Result<Connect<'_>, MalformedPacket> {
    let flags = ConnectFlags::parse(reader.byte()?, version)?;
    let keep_alive_s = reader.two_byte_integer()?;
    let properties = match version {
        ProtocolVersion::V5 => read_properties(&mut reader)?,
        _ => ConnectProperties::default(),
    };
    // spec(v5): [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4]
    // spec(v3.1.1): [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4]
    let client_identifier = reader.string()?;
    let will = match flags.will {
        Some((qos, retain)) => Some(Will::read(&mut reader, version, qos, retain)?),
        None => None,
    };
    // MQTT 3.1 lets the Remaining Length take precedence over these two flags: what the flags announce may be
    // missing.
    let may_be_missing = version == ProtocolVersion::V3_1;
    // spec(v5): [MQTT-3.1.2-17] [MQTT-3.1.3-12]
    // spec(v3.1.1): [MQTT-3.1.2-19] [MQTT-3.1.3-11]
    let user_name = match flags.user_name && !(may_be_missing && reader.is_empty()) {
        true => Some(reader.string()?),
        false => None,
    };
    // spec(v5): [MQTT-3.1.2-19]
    // spec(v3.1.1): [MQTT-3.1.2-21]
    let password = match flags.password && !(may_be_missing && reader.is_empty()) {
        true => Some(reader.binary()?),
        false => None,
    };
    // A field without its flag shows as bytes that are left.
    // spec(v5): [MQTT-3.1.2-16] [MQTT-3.1.2-18]
    // spec(v3.1.1): [MQTT-3.1.2-18] [MQTT-3.1.2-20]
    reader.finish()?;
    let clean_start = flags.clean_start;
    Ok(Connect {
        version,
        clean_start,
        keep_alive_s,
        properties,
        client_identifier,
        will,
        user_name,
        password,
    })
}

/// The Connect Flags (section 3.1.2.3).
struct ConnectFlags {
    clean_start: bool,
    will: Option<(QoS, bool)>,
    password: bool,
    user_name: bool,
}

impl ConnectFlags {
    fn parse(bits: u8, version: ProtocolVersion) -> Result<Self, MalformedPacket> {
        // spec(v5): [MQTT-3.1.2-3]
        // spec(v3.1.1): [MQTT-3.1.2-3]
        if bits & 0b0000_0001 != 0 {
            return Err(MalformedPacket::malformed("MQTT-3.1.2-3", "the reserved Connect Flag is 1"));
        }
        let clean_start = bits & 0b0000_0010 != 0;
        let has_will = bits & 0b0000_0100 != 0;
        let will_qos_bits = bits >> 3 & 0b11;
        let will_retain = bits & 0b0010_0000 != 0;
        let password = bits & 0b0100_0000 != 0;
        let user_name = bits & 0b1000_0000 != 0;
        // spec(v5): [MQTT-3.1.2-12]
        // spec(v3.1.1): [MQTT-3.1.2-14]
        let Some(will_qos) = QoS::from_bits(will_qos_bits) else {
            return Err(MalformedPacket::malformed("MQTT-3.1.2-12", "the Will QoS is 3"));
        };
        // spec(v5): [MQTT-3.1.2-11]
        // spec(v3.1.1): [MQTT-3.1.2-11] [MQTT-3.1.2-13]
        if !has_will && will_qos != QoS::AtMostOnce {
            return Err(MalformedPacket::malformed("MQTT-3.1.2-11", "there is a Will QoS but no Will"));
        }
        // spec(v5): [MQTT-3.1.2-13]
        // spec(v3.1.1): [MQTT-3.1.2-11] [MQTT-3.1.2-15]
        if !has_will && will_retain {
            return Err(MalformedPacket::malformed(
                "MQTT-3.1.2-13",
                "Will Retain is set but there is no Will",
            ));
        }
        // spec(v3.1.1): [MQTT-3.1.2-22]
        if version != ProtocolVersion::V5 && password && !user_name {
            let detail = "there is a Password but no User Name";
            return Err(MalformedPacket::malformed("MQTT-3.1.2-22 of 3.1.1", detail));
        }
        Ok(Self { clean_start, will: has_will.then_some((will_qos, will_retain)), password, user_name })
    }
}

fn read_properties<'a>(reader: &mut Reader<'a>) -> Result<ConnectProperties<'a>, MalformedPacket> {
    let mut block = PropertyBlock::read(reader, bit::CONNECT)?;
    let mut read = ConnectProperties::default();
    while let Some(property) = block.next()? {
        match property {
            Property::SessionExpiryInterval(value) => read.session_expiry_interval_s = Some(value),
            Property::ReceiveMaximum(ReceiveMaximum(value)) => read.receive_maximum = Some(value),
            Property::MaximumPacketSize(MaximumPacketSize(value)) => read.maximum_packet_size = Some(value),
            Property::TopicAliasMaximum(value) => read.topic_alias_maximum = Some(value),
            Property::RequestResponseInformation(value) => read.request_response_information = Some(value),
            Property::RequestProblemInformation(value) => read.request_problem_information = Some(value),
            Property::AuthenticationMethod(value) => read.authentication_method = Some(value),
            Property::AuthenticationData(value) => read.authentication_data = Some(value),
            _ => {}
        }
    }
    read.user_properties = block.user_properties();
    judge_authentication(read.authentication_method, read.authentication_data)?;
    Ok(read)
}

impl Connect<'_> {
    /// Appends the packet as one of `version`, which need not be the version it was decoded with.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_frame(out, PacketType::Connect, |out| {
            put_string(out, version.protocol_name());
            out.push(version.level());
            out.push(self.flags(version));
            put_two_byte_integer(out, self.keep_alive_s);
            if version == ProtocolVersion::V5 {
                put_with_length(out, |out| self.properties.write(out));
            }
            put_string(out, self.client_identifier);
            if let Some(will) = &self.will {
                will.write(version, out);
            }
            if let Some(user_name) = self.user_name {
                put_string(out, user_name);
            }
            if let Some(password) = self.encoded_password(version) {
                put_binary(out, password);
            }
        });
    }

    /// The password, unless 3.x cannot carry it because there is no user name.
    fn encoded_password(&self, version: ProtocolVersion) -> Option<&[u8]> {
        let fits = self.user_name.is_some() || version == ProtocolVersion::V5;
        self.password.filter(|_| fits)
    }

    fn flags(&self, version: ProtocolVersion) -> u8 {
        let mut flags = u8::from(self.clean_start) << 1;
        if let Some(will) = &self.will {
            flags |= 0b100 | will.qos.bits() << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.encoded_password(version).is_some()) << 6;
        flags | u8::from(self.user_name.is_some()) << 7
    }
}

impl ConnectProperties<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.session_expiry_interval_s.map(Property::SessionExpiryInterval));
        put(out, self.authentication_method.map(Property::AuthenticationMethod));
        put(out, self.authentication_data.map(Property::AuthenticationData));
        put(out, self.request_problem_information.map(Property::RequestProblemInformation));
        put(out, self.request_response_information.map(Property::RequestResponseInformation));
        put(out, self.receive_maximum.map(ReceiveMaximum).map(Property::ReceiveMaximum));
        put(out, self.topic_alias_maximum.map(Property::TopicAliasMaximum));
        put(out, self.maximum_packet_size.map(MaximumPacketSize).map(Property::MaximumPacketSize));
        self.user_properties.write(out);
    }
}

impl ConnectError {
    /// The same violation for a peer whose version is already known, as in a second CONNECT.
    pub(crate) const fn as_malformed_packet(&self) -> MalformedPacket {
        match self {
            Self::UnsupportedProtocol { .. } => MalformedPacket::new(
                ReasonCode::UnsupportedProtocolVersion,
                "MQTT-3.1.2-2",
                "the protocol name and level are not supported",
            ),
            Self::Malformed { error, .. } | Self::Unreadable(error) => *error,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedProtocol { level, name_is_known: true } => {
                write!(f, "protocol level {level} is not supported")
            }
            Self::UnsupportedProtocol { .. } => f.write_str("the protocol name is unknown"),
            Self::Malformed { error, .. } | Self::Unreadable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}
