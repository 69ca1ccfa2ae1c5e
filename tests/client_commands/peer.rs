//! A broker that does what a test says and nothing else, in MQTT 5.0: it loses connections at the right moment.

use std::net::{SocketAddr, TcpListener};

use dunlin_codec::{
    Acknowledgement, ConnAck, ConnAckProperties, Connect, Packet, PacketIdentifier, Publish, QoS, ReasonCode,
    SubAck,
};

use crate::support::client::{Client, bytes_of};
use crate::support::process::DEADLINE;

/// Where it listens.
pub struct Peer {
    listener: TcpListener,
}

/// One connection of a client to it.
pub struct Visit {
    stream: Client,
}

/// An identifier.
pub fn identifier(number: u16) -> PacketIdentifier {
    PacketIdentifier::new(number).expect("it is not 0")
}

impl Peer {
    pub fn open() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a port is free") }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it listens")
    }

    /// Waits for a client, looks at its CONNECT and accepts it.
    pub fn welcome(
        &self,
        session_present: bool,
        properties: ConnAckProperties<'_>,
        judge: impl FnOnce(Connect<'_>),
    ) -> Visit {
        let (stream, _) = self.listener.accept().expect("a client comes");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        let mut visit = Visit { stream: Client::over(stream) };
        visit.expect(|packet| match packet {
            Packet::Connect(connect) => judge(connect),
            other => panic!("{other:?} instead of CONNECT"),
        });
        visit.send(&Packet::ConnAck(ConnAck {
            session_present,
            reason_code: ReasonCode::Success,
            properties,
        }));
        visit
    }

    /// The same without a look.
    pub fn accept(&self, session_present: bool) -> Visit {
        self.welcome(session_present, ConnAckProperties::default(), |_| {})
    }
}

impl Visit {
    pub fn send(&mut self, packet: &Packet<'_>) {
        self.stream.send(&bytes_of(packet));
    }

    /// Sends packets as one piece.
    pub fn send_together(&mut self, packets: &[Packet<'_>]) {
        let bytes: Vec<u8> = packets.iter().flat_map(bytes_of).collect();
        self.stream.send(&bytes);
    }

    /// Reads a packet.
    pub fn expect<T>(&mut self, judge: impl FnOnce(Packet<'_>) -> T) -> T {
        self.stream.next(|packet| judge(packet.expect("the client has more to say")))
    }

    /// Reads a PUBLISH: DUP, identifier, payload.
    pub fn message(&mut self) -> (bool, u16, String) {
        self.expect(|packet| match packet {
            Packet::Publish(publish) => (
                publish.dup,
                publish.packet_identifier.map_or(0, PacketIdentifier::get),
                String::from_utf8_lossy(publish.payload).into_owned(),
            ),
            other => panic!("{other:?} instead of PUBLISH"),
        })
    }

    /// Answers a SUBSCRIBE.
    pub fn grant(&mut self) {
        let packet_identifier = self.expect(|packet| match packet {
            Packet::Subscribe(subscribe) => subscribe.packet_identifier,
            other => panic!("{other:?} instead of SUBSCRIBE"),
        });
        self.send(&Packet::SubAck(SubAck::new(packet_identifier, &[2])));
    }

    /// Sends a PUBLISH at QoS 2.
    pub fn publish(&mut self, number: u16, dup: bool, payload: &[u8]) {
        self.send(&Packet::Publish(Publish {
            dup,
            qos: QoS::ExactlyOnce,
            topic: "t",
            packet_identifier: Some(identifier(number)),
            payload,
            ..Publish::default()
        }));
    }

    /// Reads exactly this packet.
    #[track_caller]
    pub fn expect_exactly(&mut self, expected: &Packet<'_>) {
        self.stream.expect(expected);
    }

    /// Reads DISCONNECT and the end: the client has nothing more to say.
    pub fn expect_goodbye(&mut self) {
        self.expect(|packet| {
            assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?} instead of DISCONNECT")
        });
        assert_eq!(self.stream.frame(), None);
    }
}

/// An acknowledgement of this message.
pub fn success(number: u16) -> Acknowledgement<'static> {
    Acknowledgement::new(identifier(number), ReasonCode::Success)
}
