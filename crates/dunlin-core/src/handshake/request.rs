//! A CONNECT once it has been judged: values that own what the packet only lent.

use crate::authenticate::Mechanisms;
use crate::identity::{ClientIdentifier, Identity};
use crate::settings::{SessionExpiryInterval, Settings};
use dunlin_codec::{ProtocolVersion, QoS};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroize;

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

/// A password on its way to whoever verifies it. Never shown, and zeroed when it is not needed any more.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<[u8]>);

impl Password {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
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
    /// What its listener supports, for when it authenticates again.
    pub mechanisms: Arc<dyn Mechanisms>,
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
    /// The most that is granted, where that is less than `Settings::session_expiry_max`.
    pub session_expiry_max: SessionExpiryInterval,
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
    /// A 3.x client is disconnected when it may not publish what it publishes; else the message is acknowledged and
    /// dropped. The listener says so.
    pub closes_when_denied: bool,
    /// The largest packet we accept from it, in bytes: the listener's limit.
    pub accepted_packet_size_bytes: u32,
}

impl ConnectRequest {
    /// The Session Expiry Interval that the client gets.
    pub fn granted_expiry(&self, settings: &Settings) -> SessionExpiryInterval {
        self.session_expiry.min(self.session_expiry_max).min(settings.session_expiry_max)
    }

    /// The Keep Alive the Server imposes, if the client's is longer than allowed or off. 3.x has no way to
    /// say so, so there it is not imposed.
    pub fn server_keep_alive_s(&self, settings: &Settings) -> Option<u16> {
        let maximum_s = settings.keep_alive_max_s;
        let is_too_long = self.keep_alive_s == 0 || self.keep_alive_s > maximum_s;
        (self.version == ProtocolVersion::V5 && maximum_s > 0 && is_too_long).then_some(maximum_s)
    }
}
