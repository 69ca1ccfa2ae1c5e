//! From the first byte to an accepted CONNECT.
//!
//! A client is nobody until its CONNECT has been read, judged and authenticated, and which shard it belongs
//! to is known only then. A [`Handshake`] is that part of a connection: it lives wherever the connection was
//! accepted, holds a few bytes, and ends in a [`ConnectRequest`] for the Session's shard or in a refusal.
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

mod packets;
mod request;

pub use packets::refusal_bytes;
pub(crate) use packets::{auth_bytes, connack};
pub use request::{Authentication, ConnectRequest, Password, WillMessage};

use crate::authenticate::{Mechanism, Mechanisms, Step};
use crate::identity::{ClientIdentifier, Identity};
use crate::settings::{SessionExpiryInterval, Settings};
use dunlin_codec::{
    Connect, ConnectError, Frame, MalformedPacket, Packet, PacketType, ProtocolVersion, ReasonCode, Will,
    decode, decode_connect,
};
use std::sync::Arc;

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
    /// Verify the credentials in [`Handshake::request`], then call [`Handshake::accept`] or
    /// [`Handshake::refuse`].
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

    /// The user whose password the client shows to know with the next frame, or guesses.
    pub fn claimed_user(&self) -> Option<&str> {
        match &self.state {
            State::Challenging(mechanism) => mechanism.claimed_user(),
            _ => None,
        }
    }

    /// Takes one frame. `random` gives an identifier to a client without one.
    pub fn handle_frame(
        &mut self,
        frame: Frame<'_>,
        settings: &Settings,
        mechanisms: &Arc<dyn Mechanisms>,
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
        mechanisms: &Arc<dyn Mechanisms>,
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
        mechanisms: &Arc<dyn Mechanisms>,
        random: u128,
    ) -> Next {
        let version = connect.version;
        let is_v5 = version == ProtocolVersion::V5;
        // Any text is an identifier here, far beyond the 23 letters and digits every Server must allow.
        // spec(v5): [MQTT-3.1.3-5]
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
        let will_refusal = connect.will.as_ref().and_then(|will| judge_will(will, settings));
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
            session_expiry_max: SessionExpiryInterval::Never,
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
            password: connect.password.map(Password::new),
            identity: Identity::default(),
            authentication: method.map(|method| Authentication {
                method: method.into(),
                data: None,
                mechanisms: Arc::clone(mechanisms),
            }),
            closes_when_denied: false,
            accepted_packet_size_bytes: self.accepted_packet_size_bytes,
        }));
        if let Some(Refusal { reason_code, detail }) = will_refusal {
            return self.refuse(reason_code, detail);
        }
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

/// Why a Will is not accepted, if it is not.
fn judge_will(will: &Will<'_>, settings: &Settings) -> Option<Refusal> {
    if let Err(detail) = settings.judge_topic(will.topic) {
        return Some(Refusal { reason_code: ReasonCode::TopicNameInvalid, detail });
    }
    if Settings::is_reserved(will.topic) {
        let detail = "the Will's topic is the Server's own";
        return Some(Refusal { reason_code: ReasonCode::NotAuthorized, detail });
    }
    let is_utf8 = will.properties.payload_format_is_utf8 == Some(true);
    (is_utf8 && std::str::from_utf8(will.payload).is_err()).then_some(Refusal {
        reason_code: ReasonCode::PayloadFormatInvalid,
        detail: "the Will payload is not UTF-8 as it says",
    })
}
