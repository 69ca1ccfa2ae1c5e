//! A client that does nothing by itself: it sends the bytes it is told to, and shows what comes back.
//!
//! It runs over any stream (a socket, TLS, WebSocket frames) and speaks MQTT 5.0. Nothing is acknowledged,
//! answered or repeated behind a test's back, and every wait ends at [`DEADLINE`], at which the socket gives
//! an error.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use dunlin_codec::{
    Acknowledgement, Connect, ConnectProperties, Disconnect, Packet, PacketIdentifier, ProtocolVersion,
    Publish, QoS, ReasonCode, RetainHandling, Split, Subscribe, SubscribeFilters, SubscriptionFilter,
    SubscriptionOptions, Unsubscribe, UnsubscribeFilters, decode, encode_subscribe_filters,
    encode_unsubscribe_filters, split,
};

use super::process::DEADLINE;

/// What a client runs over.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// See the top of the file.
pub struct Client {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

/// A message that came.
#[derive(Debug, PartialEq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    /// For its acknowledgement; 0 at QoS 0.
    pub packet_identifier: u16,
}

/// A TCP connection that waits no longer than a test may.
pub fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the broker listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(DEADLINE)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("small packets can be sent at once");
    stream
}

/// A CONNECT of this client, with a new Session and a Keep Alive that plays no role.
pub fn hello(client_identifier: &str) -> Connect<'_> {
    Connect {
        version: ProtocolVersion::V5,
        clean_start: true,
        keep_alive_s: 600,
        properties: ConnectProperties::default(),
        client_identifier,
        will: None,
        user_name: None,
        password: None,
    }
}

/// A CONNECT that goes on with the Session, if there is one, and keeps it for ever.
pub fn persistent(client_identifier: &str) -> Connect<'_> {
    let properties =
        ConnectProperties { session_expiry_interval_s: Some(u32::MAX), ..ConnectProperties::default() };
    Connect { clean_start: false, properties, ..hello(client_identifier) }
}

/// The bytes of a packet.
pub fn bytes_of(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(ProtocolVersion::V5, &mut bytes);
    bytes
}

/// The bytes of a PUBLISH; the packet identifier counts at QoS 1 and 2.
pub fn publish(topic: &str, payload: &[u8], qos: QoS, packet_identifier: u16) -> Vec<u8> {
    let packet_identifier = match qos {
        QoS::AtMostOnce => None,
        _ => PacketIdentifier::new(packet_identifier),
    };
    bytes_of(&Packet::Publish(Publish { qos, topic, packet_identifier, payload, ..Publish::default() }))
}

/// The bytes of a SUBSCRIBE at QoS 2.
pub fn subscribe(filter: &str) -> Vec<u8> {
    let options = SubscriptionOptions {
        maximum_qos: QoS::ExactlyOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::SendAtSubscribe,
    };
    let filters =
        encode_subscribe_filters(&[(SubscriptionFilter::parse(filter).expect("a filter"), options)]);
    bytes_of(&Packet::Subscribe(Subscribe {
        packet_identifier: PacketIdentifier::new(1).expect("1 is one"),
        subscription_identifier: None,
        user_properties: Default::default(),
        filters: SubscribeFilters::from_encoded(&filters),
    }))
}

/// The bytes of an UNSUBSCRIBE.
pub fn unsubscribe(filter: &str) -> Vec<u8> {
    let filters = encode_unsubscribe_filters(&[SubscriptionFilter::parse(filter).expect("a filter")]);
    bytes_of(&Packet::Unsubscribe(Unsubscribe {
        packet_identifier: PacketIdentifier::new(1).expect("1 is one"),
        user_properties: Default::default(),
        filters: UnsubscribeFilters::from_encoded(&filters),
    }))
}

/// An acknowledgement without a complaint.
pub fn success(packet_identifier: u16) -> Acknowledgement<'static> {
    let packet_identifier =
        PacketIdentifier::new(packet_identifier).expect("a message of QoS 1 or 2 has one");
    Acknowledgement::new(packet_identifier, ReasonCode::Success)
}

/// Whether an error of a read or write means that the other side has closed.
fn is_closed(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

impl Client {
    /// A client over a stream, before its CONNECT.
    pub fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    /// A client that is connected.
    pub fn connected(stream: impl Stream + 'static, client_identifier: &str) -> Self {
        let mut client = Self::over(stream);
        let reason = client.connect(&hello(client_identifier));
        assert_eq!(reason, ReasonCode::Success, "{client_identifier} is refused");
        client
    }

    /// Sends CONNECT and returns what CONNACK says.
    pub fn connect(&mut self, connect: &Connect<'_>) -> ReasonCode {
        self.send(&bytes_of(&Packet::Connect(*connect)));
        self.connack()
    }

    /// Sends a CONNECT that is accepted, and returns Session Present.
    pub fn resume(&mut self, connect: &Connect<'_>) -> bool {
        self.send(&bytes_of(&Packet::Connect(*connect)));
        self.next(|packet| match packet {
            Some(Packet::ConnAck(connack)) if connack.reason_code == ReasonCode::Success => {
                connack.session_present
            }
            other => panic!("{other:?} instead of a CONNACK that accepts"),
        })
    }

    /// Reads CONNACK.
    pub fn connack(&mut self) -> ReasonCode {
        self.next(|packet| match packet {
            Some(Packet::ConnAck(connack)) => connack.reason_code,
            other => panic!("{other:?} instead of CONNACK"),
        })
    }

    /// Sends bytes, if the other side takes them.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush())
    }

    /// Sends bytes. A broker that has closed does not take them; what it said before is still to be read.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.try_send(bytes) {
            Err(error) if !is_closed(&error) => panic!("nothing can be sent: {error}"),
            _ => {}
        }
    }

    /// The next frame whole; `None` when the connection has ended.
    pub fn frame(&mut self) -> Option<Vec<u8>> {
        loop {
            match split(&self.unread, u32::MAX).expect("the broker sends what MQTT allows") {
                Split::Packet { length, .. } => return Some(self.unread.drain(..length).collect()),
                Split::Incomplete { .. } => {}
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if is_closed(&error) => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// Reads one packet, or the end.
    pub fn next<T>(&mut self, judge: impl FnOnce(Option<Packet<'_>>) -> T) -> T {
        let Some(bytes) = self.frame() else {
            return judge(None);
        };
        let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else {
            panic!("a frame is whole");
        };
        judge(Some(decode(frame, ProtocolVersion::V5).expect("the broker sends what MQTT allows")))
    }

    /// Subscribes at QoS 2.
    pub fn subscribe(&mut self, filter: &str) {
        self.send(&subscribe(filter));
        self.next(|packet| match packet {
            Some(Packet::SubAck(suback)) => assert_eq!(suback.reason_codes, [2], "{filter}"),
            other => panic!("{other:?} instead of SUBACK"),
        });
    }

    /// Publishes at QoS 1 and waits for the PUBACK.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.send(&publish(topic, payload, QoS::AtLeastOnce, 1));
        self.next(|packet| match packet {
            Some(Packet::PubAck(ack)) => assert!(!ack.reason_code.is_error(), "{}", ack.reason_code),
            other => panic!("{other:?} instead of PUBACK"),
        });
    }

    /// Reads exactly this packet.
    #[track_caller]
    pub fn expect(&mut self, packet: &Packet<'_>) {
        self.next(|next| assert_eq!(next, Some(*packet)));
    }

    /// Reads a PUBLISH.
    pub fn message(&mut self) -> Message {
        self.next(|packet| match packet {
            Some(Packet::Publish(publish)) => Message {
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_vec(),
                qos: publish.qos,
                packet_identifier: publish.packet_identifier.map_or(0, PacketIdentifier::get),
            },
            other => panic!("{other:?} instead of PUBLISH"),
        })
    }

    /// Acknowledges a message of QoS 1.
    pub fn acknowledge(&mut self, packet_identifier: u16) {
        self.send(&bytes_of(&Packet::PubAck(success(packet_identifier))));
    }

    /// Shows that the connection works: a PINGRESP comes for a PINGREQ, and nothing before it.
    pub fn ping(&mut self) {
        self.send(&bytes_of(&Packet::PingReq));
        self.next(|packet| {
            assert!(matches!(packet, Some(Packet::PingResp)), "{packet:?} instead of PINGRESP")
        });
    }

    /// Reads to the end of the connection; the Reason Code of the last packet, if that was a DISCONNECT or a
    /// CONNACK.
    pub fn end(&mut self) -> Option<ReasonCode> {
        let mut last = None;
        loop {
            let reason = self.next(|packet| {
                Some(match packet? {
                    Packet::Disconnect(disconnect) => Some(disconnect.reason_code),
                    Packet::ConnAck(connack) => Some(connack.reason_code),
                    _ => None,
                })
            });
            match reason {
                Some(reason) => last = reason,
                None => return last,
            }
        }
    }

    /// Says goodbye and waits for the end.
    pub fn disconnect(mut self) {
        self.send(&bytes_of(&Packet::Disconnect(Disconnect::new(ReasonCode::Success))));
        assert_eq!(self.end(), None);
    }
}
