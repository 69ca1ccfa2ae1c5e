//! From the first byte to an accepted CONNECT.
//!
//! A client is nobody until its CONNECT has been read, judged and authenticated, and which shard it belongs to is known only
//! then. A [`Handshake`] is that part of a connection: it lives wherever the connection was accepted, holds a few bytes, and ends in a
//! [`ConnectRequest`] for the Session's shard or in a refusal.
//!
//! ```text
//!                       CONNECT                      credentials judged
//!   AwaitingConnect ───────────────> AwaitingVerdict ───────────────────> accepted
//!          │                                                                 ▲
//!          │ CONNECT with Authentication Method      AUTH 0x18 ⇄             │
//!          └────────────────────────────────────> Challenging ───────────────┘
//! ```
//!
//! What a CONNECT breaks is answered with the CONNACK of its version, where the specification allows one.

use crate::authenticate::{Mechanism, Mechanisms, Step};
use crate::identity::{ClientIdentifier, Identity};
use crate::settings::{SessionExpiryInterval, Settings};
use dunlin_codec::{
    Auth, ConnAck, ConnAckProperties, Connect, ConnectError, Frame, MalformedPacket, Packet, PacketType,
    ProtocolVersion, QoS, ReasonCode, TopicName, decode, decode_connect,
};
use std::fmt;

/// A Will as the client brought it (5.0 section 3.1.2.5).
#[derive(Clone, Debug)]
pub struct WillMessage {
    /// Where it goes.
    pub topic: Box<str>,
    /// At which QoS.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// How long after the connection it waits, in seconds.
    pub delay_s: u32,
    /// How long it is worth sending once it is published, in seconds.
    pub expiry_s: Option<u32>,
    /// Its other properties, encoded.
    pub forwarded: Box<[u8]>,
    /// Its payload.
    pub payload: Box<[u8]>,
}

/// A password on its way to whoever verifies it. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<[u8]>);

impl Password {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The enhanced authentication that admitted a client.
#[derive(Debug)]
pub struct Authentication {
    /// The Authentication Method of CONNECT.
    pub method: Box<str>,
    /// The Authentication Data for CONNACK.
    pub data: Option<Box<[u8]>>,
}

/// A CONNECT, judged and owned: what a Session's shard needs.
#[derive(Debug)]
pub struct ConnectRequest {
    /// Of the protocol.
    pub version: ProtocolVersion,
    /// Clean Start (5.0), Clean Session (3.x).
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 is off.
    pub keep_alive_s: u16,
    /// Whose Session.
    pub client_identifier: ClientIdentifier,
    /// Whether the Server chose it.
    pub is_assigned: bool,
    /// As asked for; in 3.x `Never` without Clean Session.
    pub session_expiry: SessionExpiryInterval,
    /// The client's Receive Maximum.
    pub receive_maximum: u16,
    /// The client's Maximum Packet Size in bytes.
    pub maximum_packet_size_bytes: u32,
    /// Topic Aliases we may use.
    pub topic_alias_maximum: u16,
    /// Whether Reason Strings are welcome everywhere.
    pub request_problem_information: bool,
    /// Whether Response Information is wanted.
    pub request_response_information: bool,
    /// The Will.
    pub will: Option<Box<WillMessage>>,
    /// User Name.
    pub user_name: Option<Box<str>>,
    /// Password; gone once verified.
    pub password: Option<Password>,
    /// Who the client turned out to be.
    pub identity: Identity,
    /// Enhanced authentication, where the client asked for it.
    pub authentication: Option<Authentication>,
    /// The largest packet we accept from it, in bytes: the listener's limit.
    pub accepted_packet_size_bytes: u32,
}

impl ConnectRequest {
    /// The Keep Alive the Server imposes, if the client's is longer than allowed or off. 3.x has no way to say so, so there it is
    /// not imposed.
    pub fn server_keep_alive_s(&self, settings: &Settings) -> Option<u16> {
        let maximum_s = settings.keep_alive_max_s;
        let is_too_long = self.keep_alive_s == 0 || self.keep_alive_s > maximum_s;
        (self.version == ProtocolVersion::V5 && maximum_s > 0 && is_too_long).then_some(maximum_s)
    }
}

/// Why a connection did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code, as in 5.0.
    pub reason_code: ReasonCode,
    /// What was wrong, for the log and the Reason String.
    pub detail: &'static str,
}

/// How the handshake goes on.
#[derive(Debug)]
pub enum Next {
    /// Read the next packet, after sending these bytes.
    Read(Vec<u8>),
    /// Verify the credentials in [`Handshake::request`], then call [`Handshake::accept`] or [`Handshake::refuse`].
    Verify,
    /// Hand the request to its shard.
    Accepted(Box<ConnectRequest>),
    /// Send these bytes (none, or a CONNACK), then close.
    Refused(Vec<u8>, Refusal),
}

enum State {
    AwaitingConnect,
    AwaitingVerdict,
    Challenging(Box<dyn Mechanism>),
    Over,
}

/// A connection that is not yet anybody's.
pub struct Handshake {
    state: State,
    version: ProtocolVersion,
    request: Option<Box<ConnectRequest>>,
    accepted_packet_size_bytes: u32,
}

impl Handshake {
    /// A handshake on a listener that accepts packets up to this size.
    pub fn new(accepted_packet_size_bytes: u32) -> Self {
        Self {
            state: State::AwaitingConnect,
            version: ProtocolVersion::V3_1_1,
            request: None,
            accepted_packet_size_bytes,
        }
    }

    /// The request whose credentials are to be verified.
    pub fn request(&self) -> Option<&ConnectRequest> {
        self.request.as_deref()
    }

    /// Takes one frame. `random` gives an identifier to a client without one.
    pub fn handle_frame(
        &mut self,
        frame: Frame<'_>,
        settings: &Settings,
        mechanisms: &dyn Mechanisms,
        random: u128,
    ) -> Next {
        match std::mem::replace(&mut self.state, State::Over) {
            State::AwaitingConnect => self.handle_connect(frame, settings, mechanisms, random),
            State::Challenging(mechanism) => self.handle_auth(frame, mechanism),
            // spec(v5): [MQTT-3.1.4-6]
            // spec(v3.1.1): [MQTT-3.1.4-5]
            State::AwaitingVerdict | State::Over => {
                self.refuse(ReasonCode::ProtocolError, "a packet before CONNACK")
            }
        }
    }

    /// The frame could not be split off.
    pub fn handle_malformed(&mut self, error: MalformedPacket) -> Next {
        // Nothing says that this is a client of any version: it gets no answer.
        // spec(v3.1.1): [MQTT-3.1.4-1]
        self.state = State::Over;
        Next::Refused(Vec::new(), Refusal { reason_code: error.reason_code, detail: error.detail })
    }

    /// The credentials are good.
    pub fn accept(&mut self, identity: Identity) -> Next {
        self.state = State::Over;
        match self.request.take() {
            Some(mut request) => {
                request.identity = identity;
                request.password = None;
                Next::Accepted(request)
            }
            None => self.refuse(ReasonCode::UnspecifiedError, "no CONNECT to accept"),
        }
    }

    /// The connection is refused: a CONNACK of the client's version.
    // spec(v5): [MQTT-3.2.2-6] [MQTT-3.2.2-8]
    // spec(v3.1.1): [MQTT-3.2.2-4]
    pub fn refuse(&mut self, reason_code: ReasonCode, detail: &'static str) -> Next {
        self.state = State::Over;
        let maximum_packet_size =
            self.request.as_ref().map_or(u32::MAX, |request| request.maximum_packet_size_bytes);
        let is_welcome = self.request.as_ref().is_none_or(|request| request.request_problem_information);
        let bytes =
            refusal_bytes(self.version, reason_code, is_welcome.then_some(detail), maximum_packet_size);
        Next::Refused(bytes, Refusal { reason_code, detail })
    }

    fn handle_connect(
        &mut self,
        frame: Frame<'_>,
        settings: &Settings,
        mechanisms: &dyn Mechanisms,
        random: u128,
    ) -> Next {
        // spec(v5): [MQTT-3.1.0-1]
        // spec(v3.1.1): [MQTT-3.1.0-1]
        if !matches!(frame.packet_type(), Ok(PacketType::Connect)) {
            return Next::Refused(
                Vec::new(),
                Refusal { reason_code: ReasonCode::ProtocolError, detail: "the first packet is not CONNECT" },
            );
        }
        match decode_connect(frame) {
            Ok(connect) => {
                self.version = connect.version;
                self.judge(connect, settings, mechanisms, random)
            }
            // spec(v5): [MQTT-3.1.2-1] [MQTT-3.1.2-2]
            // spec(v3.1.1): [MQTT-3.1.2-1] [MQTT-3.1.2-2]
            Err(ConnectError::UnsupportedProtocol { level, name_is_known }) => {
                let refusal = Refusal {
                    reason_code: ReasonCode::UnsupportedProtocolVersion,
                    detail: "the protocol name or version is not supported",
                };
                if !name_is_known {
                    return Next::Refused(Vec::new(), refusal);
                }
                // Bit 7 marks bridges of 3.x, which understand only an answer in 3.x.
                let version = if level & 0x7F >= 5 { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 };
                Next::Refused(
                    refusal_bytes(version, refusal.reason_code, Some(refusal.detail), u32::MAX),
                    refusal,
                )
            }
            // spec(v5): [MQTT-3.1.4-1] [MQTT-4.13.1-1]
            // spec(v3.1.1): [MQTT-3.1.4-1] [MQTT-3.2.2-6]
            Err(ConnectError::Malformed { version, error }) => {
                let bytes = match version {
                    ProtocolVersion::V5 => {
                        refusal_bytes(version, error.reason_code, Some(error.detail), u32::MAX)
                    }
                    ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => Vec::new(),
                };
                Next::Refused(bytes, Refusal { reason_code: error.reason_code, detail: error.detail })
            }
            Err(ConnectError::Unreadable(error)) => self.handle_malformed(error),
        }
    }

    /// Judges what a well-formed CONNECT asks for.
    fn judge(
        &mut self,
        connect: Connect<'_>,
        settings: &Settings,
        mechanisms: &dyn Mechanisms,
        random: u128,
    ) -> Next {
        let version = connect.version;
        let is_v5 = version == ProtocolVersion::V5;
        // Any text is an identifier here, far beyond the 23 letters and digits every Server must allow.
        // spec(v5): [MQTT-3.1.3-5] [MQTT-3.1.3-8]
        // spec(v3.1.1): [MQTT-3.1.3-5]
        let client_identifier = match ClientIdentifier::new(connect.client_identifier) {
            Some(identifier) => identifier,
            // spec(v3.1.1): [MQTT-3.1.3-8] [MQTT-3.1.3-9]
            // MQTT 3.1 knows no empty identifier at all (1 to 23 characters).
            None if (!is_v5 && !connect.clean_start) || version == ProtocolVersion::V3_1 => {
                return self.refuse(
                    ReasonCode::ClientIdentifierNotValid,
                    "an empty client identifier needs Clean Session",
                );
            }
            // spec(v5): [MQTT-3.1.3-7]
            None => ClientIdentifier::assigned(random),
        };
        if let Some(will) = &connect.will
            && let Err(detail) = check_topic(will.topic, settings)
        {
            return self.refuse(ReasonCode::TopicNameInvalid, detail);
        }
        if let Some(will) = &connect.will
            && will.properties.payload_format_is_utf8 == Some(true)
            && std::str::from_utf8(will.payload).is_err()
        {
            return self.refuse(ReasonCode::PayloadFormatInvalid, "the Will payload is not UTF-8 as it says");
        }
        let method = connect.properties.authentication_method;
        let session_expiry = match connect.properties.session_expiry_interval_s {
            _ if !is_v5 && connect.clean_start => SessionExpiryInterval::WITH_CONNECTION,
            _ if !is_v5 => SessionExpiryInterval::Never,
            seconds => SessionExpiryInterval::from_seconds(seconds.unwrap_or(0)),
        };
        let properties = &connect.properties;
        self.request = Some(Box::new(ConnectRequest {
            version,
            clean_start: connect.clean_start,
            keep_alive_s: connect.keep_alive_s,
            is_assigned: connect.client_identifier.is_empty(),
            client_identifier,
            session_expiry,
            receive_maximum: properties.receive_maximum.unwrap_or(u16::MAX),
            maximum_packet_size_bytes: properties.maximum_packet_size.unwrap_or(u32::MAX),
            topic_alias_maximum: properties.topic_alias_maximum.unwrap_or(0),
            request_problem_information: properties.request_problem_information.unwrap_or(true),
            request_response_information: properties.request_response_information.unwrap_or(false),
            will: connect.will.map(|will| {
                let mut forwarded = Vec::new();
                will.properties.write_forwarded(&mut forwarded);
                Box::new(WillMessage {
                    topic: will.topic.into(),
                    qos: will.qos,
                    retain: will.retain,
                    delay_s: will.delay_interval_s.unwrap_or(0),
                    expiry_s: will.properties.message_expiry_interval_s,
                    forwarded: forwarded.into(),
                    payload: will.payload.into(),
                })
            }),
            user_name: connect.user_name.map(Into::into),
            password: connect.password.map(|password| Password(password.into())),
            identity: Identity::default(),
            authentication: method.map(|method| Authentication { method: method.into(), data: None }),
            accepted_packet_size_bytes: self.accepted_packet_size_bytes,
        }));
        // spec(v5): [MQTT-3.1.2-24]
        let fits = self.request.as_ref().is_none_or(|request| {
            connack(request, settings, false).len() <= request.maximum_packet_size_bytes as usize
        });
        if !fits {
            return self.refuse(
                ReasonCode::PacketTooLarge,
                "the client's Maximum Packet Size leaves no room for CONNACK",
            );
        }
        match method {
            None => {
                self.state = State::AwaitingVerdict;
                Next::Verify
            }
            Some(method) => match mechanisms.begin(method) {
                Some(mechanism) => self.advance(mechanism, connect.properties.authentication_data),
                // spec(v5): [MQTT-4.12.0-1]
                None => self.refuse(
                    ReasonCode::BadAuthenticationMethod,
                    "the Authentication Method is not supported",
                ),
            },
        }
    }

    fn handle_auth(&mut self, frame: Frame<'_>, mechanism: Box<dyn Mechanism>) -> Next {
        match decode(frame, self.version) {
            // spec(v5): [MQTT-4.12.0-3] [MQTT-4.12.0-5]
            Ok(Packet::Auth(auth))
                if auth.reason_code == ReasonCode::ContinueAuthentication && auth.method == self.method() =>
            {
                self.advance(mechanism, auth.data)
            }
            Ok(Packet::Disconnect(_)) => Next::Refused(
                Vec::new(),
                Refusal { reason_code: ReasonCode::Success, detail: "the client gave up authentication" },
            ),
            // spec(v5): [MQTT-3.1.2-30]
            Ok(_) => self.refuse(ReasonCode::ProtocolError, "only AUTH may follow during authentication"),
            Err(error) => self.refuse(error.reason_code, error.detail),
        }
    }

    fn method(&self) -> Option<&str> {
        self.request
            .as_ref()
            .and_then(|request| request.authentication.as_ref())
            .map(|authentication| &*authentication.method)
    }

    fn advance(&mut self, mut mechanism: Box<dyn Mechanism>, data: Option<&[u8]>) -> Next {
        match mechanism.step(data) {
            Step::Continue(data) => {
                self.state = State::Challenging(mechanism);
                Next::Read(auth_bytes(ReasonCode::ContinueAuthentication, self.method(), Some(&data)))
            }
            Step::Success { data, identity } => {
                let authentication =
                    self.request.as_mut().and_then(|request| request.authentication.as_mut());
                if let Some(authentication) = authentication {
                    authentication.data = data.map(Into::into);
                }
                self.accept(identity)
            }
            // spec(v5): [MQTT-4.12.0-4]
            Step::Refuse(reason_code) => self.refuse(reason_code, "authentication failed"),
        }
    }
}

/// An AUTH packet. Only 5.0 clients that named a method get one.
// spec(v5): [MQTT-4.12.0-2] [MQTT-4.12.0-6]
pub(crate) fn auth_bytes(reason_code: ReasonCode, method: Option<&str>, data: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let auth = Auth { data, ..Auth::new(reason_code, method) };
    auth.encode(ProtocolVersion::V5, &mut bytes);
    bytes
}

/// The CONNACK that accepts.
pub(crate) fn connack(request: &ConnectRequest, settings: &Settings, session_present: bool) -> Vec<u8> {
    let granted_expiry = request.session_expiry.min(settings.session_expiry_max);
    let authentication = request.authentication.as_ref();
    // spec(v5): [MQTT-3.1.2-28]
    let response_information = settings
        .response_information
        .as_ref()
        .filter(|_| request.request_response_information)
        .map(|template| template.replace("%c", request.client_identifier.as_str()));
    let properties = ConnAckProperties {
        session_expiry_interval_s: (granted_expiry != request.session_expiry)
            .then(|| granted_expiry.as_seconds()),
        receive_maximum: (settings.receive_maximum != u16::MAX).then_some(settings.receive_maximum),
        maximum_packet_size: Some(request.accepted_packet_size_bytes),
        // spec(v5): [MQTT-3.2.2-16]
        assigned_client_identifier: request.is_assigned.then_some(request.client_identifier.as_str()),
        topic_alias_maximum: (settings.topic_alias_maximum > 0).then_some(settings.topic_alias_maximum),
        // spec(v5): [MQTT-3.1.2-21]
        server_keep_alive_s: request.server_keep_alive_s(settings),
        response_information: response_information.as_deref(),
        // spec(v5): [MQTT-4.12.0-5] [MQTT-4.12.0-6]
        authentication_method: authentication.map(|authentication| &*authentication.method),
        authentication_data: authentication.and_then(|authentication| authentication.data.as_deref()),
        ..ConnAckProperties::default()
    };
    let mut bytes = Vec::new();
    let connack = ConnAck { session_present, reason_code: ReasonCode::Success, properties };
    connack.encode(request.version, &mut bytes);
    bytes
}

/// A CONNACK that refuses. The Reason String is left out if it would not fit, and if nothing fits there are no bytes.
// spec(v5): [MQTT-3.2.2-19] [MQTT-3.1.2-24]
pub fn refusal_bytes(
    version: ProtocolVersion,
    reason_code: ReasonCode,
    detail: Option<&str>,
    maximum_packet_size_bytes: u32,
) -> Vec<u8> {
    let encode = |reason_string| {
        let mut bytes = Vec::new();
        let properties = ConnAckProperties { reason_string, ..ConnAckProperties::default() };
        ConnAck { session_present: false, reason_code, properties }.encode(version, &mut bytes);
        bytes
    };
    let fits = |bytes: &Vec<u8>| bytes.len() <= maximum_packet_size_bytes as usize;
    [detail, None].into_iter().map(encode).find(fits).unwrap_or_default()
}

/// Judges a Topic Name's length and levels against the limits.
pub(crate) fn check_topic(topic: &str, settings: &Settings) -> Result<(), &'static str> {
    if topic.len() > settings.topic_length_max {
        return Err("the topic is longer than this Server accepts");
    }
    // Only a topic long enough to have too many levels is worth counting.
    if topic.len() >= settings.topic_levels_max
        && topic.bytes().filter(|byte| *byte == b'/').count() >= settings.topic_levels_max
    {
        return Err("the topic has more levels than this Server accepts");
    }
    debug_assert!(topic.contains(['+', '#']) || topic.is_empty() || TopicName::parse(topic).is_ok());
    Ok(())
}
