//! Connecting: CONNECT and SUBSCRIBE over a blocking socket, before the poll loop takes the connection over.
//!
//! Nothing here is measured, so it is written for clear errors and not for speed: every packet is decoded
//! whole, and every answer has ten seconds.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::Duration;

use dunlin_codec::{
    Connect, ConnectProperties, Packet, PacketIdentifier, ProtocolVersion, QoS, Split, Subscribe,
    SubscribeFilters, SubscriptionFilter, SubscriptionOptions, UserProperties, VARIABLE_BYTE_INTEGER_MAX,
    decode, encode_subscribe_filters, split,
};

use crate::Error;

/// How long the broker may take for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Long enough that no run outlives one and a half of it, and not 0: a broker that keeps a timer per
/// connection shall keep it.
const KEEP_ALIVE_S: u16 = 3_600;

/// Where the broker is and which protocol to speak.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Where the broker listens for plain MQTT.
    pub address: SocketAddr,
    /// What is spoken.
    pub version: ProtocolVersion,
}

/// A connection on which the broker has accepted CONNECT.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) stream: TcpStream,
    /// The broker's Receive Maximum; 65,535 unless it said otherwise.
    pub(crate) receive_maximum: u16,
    /// Bytes that came with the last answer and belong to what follows.
    pub(crate) unread: Vec<u8>,
    version: ProtocolVersion,
}

impl Target {
    /// Connects with a clean Session.
    pub(crate) fn connect(&self, client_identifier: &str) -> Result<Connected, Error> {
        let failed = || Error::io(format!("connect {client_identifier} to {}", self.address));
        let stream = TcpStream::connect_timeout(&self.address, ANSWER_TIMEOUT).map_err(failed())?;
        stream.set_nodelay(true).map_err(failed())?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed())?;
        let mut connected =
            Connected { stream, receive_maximum: u16::MAX, unread: Vec::new(), version: self.version };
        let connect = Connect {
            version: self.version,
            clean_start: true,
            keep_alive_s: KEEP_ALIVE_S,
            properties: ConnectProperties::default(),
            client_identifier,
            will: None,
            user_name: None,
            password: None,
        };
        let mut packet = Vec::new();
        connect.encode(self.version, &mut packet);
        let receive_maximum = connected.exchange(&packet, |answer| match answer {
            Packet::ConnAck(connack) if !connack.reason_code.is_error() => {
                Ok(connack.properties.receive_maximum.unwrap_or(u16::MAX))
            }
            Packet::ConnAck(connack) => {
                Err(Error::Peer(format!("the broker refused {client_identifier}: {}", connack.reason_code)))
            }
            other => Err(Error::Peer(format!("the broker answered CONNECT with {other:?}"))),
        })?;
        connected.receive_maximum = receive_maximum;
        Ok(connected)
    }
}

impl Connected {
    /// Subscribes to one Topic Filter and waits until the broker has granted the QoS.
    pub(crate) fn subscribe(&mut self, topic_filter: &str, qos: QoS) -> Result<(), Error> {
        let filter = SubscriptionFilter::parse(topic_filter)
            .map_err(|error| Error::Usage(format!("cannot subscribe to \"{topic_filter}\": {error}")))?;
        let filters = encode_subscribe_filters(&[(filter, SubscriptionOptions::with_qos(qos))]);
        let subscribe = Subscribe {
            packet_identifier: PacketIdentifier::from(NonZeroU16::MIN),
            subscription_identifier: None,
            user_properties: UserProperties::default(),
            filters: SubscribeFilters::from_encoded(&filters),
        };
        let mut packet = Vec::new();
        subscribe.encode(self.version, &mut packet);
        self.exchange(&packet, |answer| match answer {
            Packet::SubAck(suback) if suback.reason_codes == [qos.bits()] => Ok(()),
            Packet::SubAck(suback) => Err(Error::Peer(format!(
                "the broker answered a Subscription to \"{topic_filter}\" at QoS {} with reason codes {:?}",
                qos.bits(),
                suback.reason_codes
            ))),
            other => Err(Error::Peer(format!("the broker answered SUBSCRIBE with {other:?}"))),
        })
    }

    fn exchange<T>(
        &mut self,
        packet: &[u8],
        judge: impl FnOnce(Packet<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.stream.write_all(packet).map_err(Error::io("send to the broker"))?;
        let mut chunk = [0; 4096];
        loop {
            if let Split::Packet { frame, length } = split(&self.unread, VARIABLE_BYTE_INTEGER_MAX)? {
                let judged = judge(decode(frame, self.version)?)?;
                self.unread.drain(..length);
                return Ok(judged);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    return Err(Error::Peer(
                        "the broker closed the connection instead of answering".to_owned(),
                    ));
                }
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Io { doing: "read the broker's answer".to_owned(), source });
                }
            }
        }
    }
}
