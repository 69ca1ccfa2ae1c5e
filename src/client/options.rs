//! What a client is told before it begins: where the broker is, and what CONNECT and DISCONNECT shall say.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_codec::{Connect, ConnectProperties, Disconnect, Packet, ProtocolVersion, QoS, ReasonCode};

use super::address::Address;
use super::message::{Properties, UserProperties};
use super::secret::Secret;
use super::tls::TlsClient;

/// What becomes of a client whose connection is lost or not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// It ends.
    Never,
    /// It connects again if it has been connected before.
    WhenLost,
    /// It tries until there is a connection.
    Always,
}

/// The way a packet takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the broker.
    In,
    /// To the broker.
    Out,
}

/// Is shown each packet, for those who want to see what happens: the client identifier, the way, the packet.
pub type Observer = Arc<dyn Fn(&str, Way, &Packet<'_>) + Send + Sync>;

/// The Will Message.
#[derive(Clone, Debug, Default)]
pub struct Will {
    /// A valid Topic Name.
    pub topic: String,
    /// The message itself.
    pub payload: Bytes,
    /// The QoS to publish with.
    pub qos: QoS,
    /// Whether to publish as a Retained Message.
    pub retain: bool,
    /// Will Delay Interval in seconds.
    pub delay_interval_s: Option<u32>,
    /// What travels with it.
    pub properties: Properties,
}

/// What DISCONNECT says.
#[derive(Clone, Debug, Default)]
pub struct DisconnectOptions {
    /// Session Expiry Interval in seconds, instead of that of CONNECT.
    pub session_expiry_interval_s: Option<u32>,
    /// User Properties.
    pub user_properties: UserProperties,
}

/// See the top of the file.
#[derive(Clone)]
pub struct ClientOptions {
    /// Where the broker is.
    pub address: Address,
    /// TLS, for an address that has it.
    pub tls: Option<TlsClient>,
    /// The own address to connect from.
    pub bind: Option<IpAddr>,
    /// What to do without a connection.
    pub reconnect: Reconnect,
    /// The version to speak.
    pub version: ProtocolVersion,
    /// May be empty.
    pub client_identifier: String,
    /// Clean Start; Clean Session in 3.x.
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 turns it off.
    pub keep_alive_s: u16,
    /// User Name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// The Will Message.
    pub will: Option<Will>,
    /// Session Expiry Interval in seconds.
    pub session_expiry_interval_s: Option<u32>,
    /// Receive Maximum.
    pub receive_maximum: Option<u16>,
    /// The largest packet that is taken, in bytes.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: Option<u16>,
    /// Request Response Information.
    pub request_response_information: Option<bool>,
    /// Request Problem Information.
    pub request_problem_information: Option<bool>,
    /// Authentication Method.
    pub authentication_method: Option<String>,
    /// Authentication Data.
    pub authentication_data: Option<Secret>,
    /// User Properties of CONNECT.
    pub user_properties: UserProperties,
    /// The most messages of QoS 1 and 2 on their way at once; the broker's Receive Maximum may be less.
    pub in_flight_max: u16,
    /// Is shown each packet.
    pub observer: Option<Observer>,
}

impl ClientOptions {
    /// A new Session at this address, without a name, that ends with the connection.
    pub fn new(address: Address, version: ProtocolVersion) -> Self {
        Self {
            address,
            tls: None,
            bind: None,
            reconnect: Reconnect::Never,
            version,
            client_identifier: String::new(),
            clean_start: true,
            keep_alive_s: 60,
            user_name: None,
            password: None,
            will: None,
            session_expiry_interval_s: None,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: None,
            request_response_information: None,
            request_problem_information: None,
            authentication_method: None,
            authentication_data: None,
            user_properties: UserProperties::default(),
            in_flight_max: 20,
            observer: None,
        }
    }

    /// CONNECT.
    pub(super) fn connect(&self) -> Connect<'_> {
        let will = self.will.as_ref().map(|will| dunlin_codec::Will {
            qos: will.qos,
            retain: will.retain,
            topic: &will.topic,
            payload: &will.payload,
            delay_interval_s: will.delay_interval_s,
            properties: will.properties.view(),
        });
        Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_s: self.keep_alive_s,
            properties: ConnectProperties {
                session_expiry_interval_s: self.session_expiry_interval_s,
                receive_maximum: self.receive_maximum,
                maximum_packet_size: self.maximum_packet_size,
                topic_alias_maximum: self.topic_alias_maximum,
                request_response_information: self.request_response_information,
                request_problem_information: self.request_problem_information,
                user_properties: self.user_properties.view(),
                authentication_method: self.authentication_method.as_deref(),
                authentication_data: self.authentication_data.as_ref().map(Secret::as_bytes),
            },
            client_identifier: &self.client_identifier,
            will,
            user_name: self.user_name.as_deref(),
            password: self.password.as_ref().map(Secret::as_bytes),
        }
    }

    /// Shows a packet to who wants to see it.
    pub(super) fn observe(&self, way: Way, packet: &Packet<'_>) {
        if let Some(observer) = &self.observer {
            observer(&self.client_identifier, way, packet);
        }
    }
}

impl DisconnectOptions {
    /// DISCONNECT with this Reason Code.
    pub(super) fn disconnect(&self, reason_code: ReasonCode) -> Disconnect<'_> {
        Disconnect {
            session_expiry_interval_s: self.session_expiry_interval_s,
            user_properties: self.user_properties.view(),
            ..Disconnect::new(reason_code)
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("address", &self.address)
            .field("version", &self.version)
            .field("client_identifier", &self.client_identifier)
            .finish_non_exhaustive()
    }
}
