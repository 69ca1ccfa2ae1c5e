//! The exit status for each way in which a client can end badly.
//!
//! They are mosquitto's: the broker's code where the broker has refused something, otherwise libmosquitto's number
//! for the kind of error, and 1 for all that has none. A wrong option ends with 2, as in every command of `dunlin`.

use dunlin_codec::{ProtocolVersion, ReasonCode};

use crate::client::ClientError;

/// All went well.
pub const SUCCESS: u8 = 0;

/// Something failed that has no number of its own.
pub const FAILURE: u8 = 1;

/// The time of `-W` is over.
pub const TIMED_OUT: u8 = 27;

const PROTOCOL_ERROR: u8 = 2;
const CONNECTION_LOST: u8 = 7;
const TLS: u8 = 8;
const AUTHENTICATION: u8 = 11;
const KEEP_ALIVE: u8 = 19;

/// The status for an error.
pub fn of(error: &ClientError) -> u8 {
    match error {
        ClientError::Refused { reason_code, version: ProtocolVersion::V5, .. } => reason_code.code(),
        ClientError::Refused { reason_code, .. } => reason_code.return_code(),
        ClientError::Disconnected { reason_code, .. } if reason_code.is_error() => reason_code.code(),
        ClientError::Disconnected { .. } | ClientError::Lost(_) => CONNECTION_LOST,
        ClientError::Silent => KEEP_ALIVE,
        ClientError::Tls { .. } => TLS,
        ClientError::Broken(_) | ClientError::Unexpected(_) => PROTOCOL_ERROR,
        ClientError::AuthenticationContinues => AUTHENTICATION,
        ClientError::TooLarge { .. } => ReasonCode::PacketTooLarge.code(),
        ClientError::NoSuchHost { .. }
        | ClientError::Unreachable { .. }
        | ClientError::WebSocket { .. }
        | ClientError::NoAnswer { .. } => FAILURE,
    }
}
