//! Why there is no connection, or no longer: each a sentence that says whose fault it is.

use std::fmt;
use std::io;

use dunlin_codec::{MalformedPacket, ProtocolVersion, ReasonCode};

/// Why a client cannot go on with its connection.
#[derive(Debug)]
pub enum ClientError {
    /// The host name has no address.
    NoSuchHost {
        /// The name.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// Nobody can be reached there.
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// The TLS handshake failed.
    Tls {
        /// With whom.
        address: String,
        /// What is wrong.
        problem: String,
    },
    /// What is there is no WebSocket for MQTT.
    WebSocket {
        /// Where.
        address: String,
        /// What was answered.
        problem: String,
    },
    /// The broker did not answer CONNECT in time.
    NoAnswer {
        /// Where.
        address: String,
    },
    /// The broker refused CONNECT.
    Refused {
        /// Why.
        reason_code: ReasonCode,
        /// The version that was spoken.
        version: ProtocolVersion,
        /// The broker's Reason String or Server Reference.
        explanation: Option<String>,
    },
    /// The broker sent DISCONNECT.
    Disconnected {
        /// Why.
        reason_code: ReasonCode,
        /// The broker's Reason String or Server Reference.
        explanation: Option<String>,
    },
    /// The connection ended without a word.
    Lost(Option<io::Error>),
    /// The broker did not answer PINGREQ within the Keep Alive.
    Silent,
    /// The broker broke the protocol.
    Broken(MalformedPacket),
    /// The broker sent a packet that only a client sends, or one that has no place here.
    Unexpected(&'static str),
    /// The broker wants to go on with enhanced authentication.
    AuthenticationContinues,
    /// What would have to be sent is larger than the broker's Maximum Packet Size.
    TooLarge {
        /// The packet's length in bytes.
        length: usize,
        /// The limit.
        maximum: usize,
    },
}

impl ClientError {
    /// Whether the same may work in a while.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoSuchHost { .. }
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Lost(_)
            | Self::Silent => true,
            Self::Refused { reason_code, .. } | Self::Disconnected { reason_code, .. } => matches!(
                reason_code,
                ReasonCode::Success
                    | ReasonCode::UnspecifiedError
                    | ReasonCode::ServerUnavailable
                    | ReasonCode::ServerBusy
                    | ReasonCode::ServerShuttingDown
                    | ReasonCode::KeepAliveTimeout
                    | ReasonCode::MessageRateTooHigh
                    | ReasonCode::QuotaExceeded
                    | ReasonCode::ConnectionRateExceeded
                    | ReasonCode::MaximumConnectTime
            ),
            Self::Tls { .. }
            | Self::WebSocket { .. }
            | Self::Broken(_)
            | Self::Unexpected(_)
            | Self::AuthenticationContinues
            | Self::TooLarge { .. } => false,
        }
    }

    /// What a 5.0 client tells the broker that is to blame.
    pub(super) fn complaint(&self) -> Option<ReasonCode> {
        match self {
            Self::Broken(error) => Some(error.reason_code),
            Self::Unexpected(_) => Some(ReasonCode::ProtocolError),
            Self::AuthenticationContinues => Some(ReasonCode::ImplementationSpecificError),
            _ => None,
        }
    }
}

/// A Reason Code by name and number.
pub(super) fn named(reason_code: ReasonCode) -> String {
    format!("{reason_code} (0x{:02X})", reason_code.code())
}

/// A text from elsewhere, for a terminal: control characters are shown and not obeyed.
pub fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => harmless.extend(character.escape_default()),
            false => harmless.push(character),
        }
    }
    harmless
}

fn explained(f: &mut fmt::Formatter<'_>, explanation: Option<&str>) -> fmt::Result {
    explanation.map_or(Ok(()), |explanation| write!(f, ": {}", harmless(explanation)))
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchHost { host, error } => write!(f, "the host {host:?} is not known: {error}"),
            Self::Unreachable { address, error } => write!(f, "no broker answers at {address}: {error}"),
            Self::Tls { address, problem } => write!(f, "no TLS with {address}: {problem}"),
            Self::WebSocket { address, problem } => write!(f, "no WebSocket at {address}: {problem}"),
            Self::NoAnswer { address } => {
                write!(f, "what listens at {address} does not answer CONNECT: is it an MQTT broker?")
            }
            Self::Refused { reason_code, version, explanation } => {
                write!(f, "the broker refuses the connection: ")?;
                match version {
                    ProtocolVersion::V5 => f.write_str(&named(*reason_code))?,
                    _ => write!(f, "{reason_code} (return code {})", reason_code.return_code())?,
                }
                explained(f, explanation.as_deref())
            }
            Self::Disconnected { reason_code, explanation } => {
                write!(f, "the broker ends the connection: {}", named(*reason_code))?;
                explained(f, explanation.as_deref())
            }
            Self::Lost(None) => f.write_str("the connection was lost: the broker has closed it"),
            Self::Lost(Some(error)) => write!(f, "the connection was lost: {error}"),
            Self::Silent => f.write_str("the connection was lost: the broker does not answer PINGREQ"),
            Self::Broken(error) => write!(f, "the broker broke the protocol: {error}"),
            Self::Unexpected(packet) => write!(f, "the broker broke the protocol: it sent {packet}"),
            Self::AuthenticationContinues => f.write_str(
                "the broker goes on with enhanced authentication (AUTH), which this client cannot",
            ),
            Self::TooLarge { length, maximum } => write!(
                f,
                "a packet of {length} bytes cannot be sent: the broker takes {maximum} (Maximum Packet Size)"
            ),
        }
    }
}

impl std::error::Error for ClientError {}
