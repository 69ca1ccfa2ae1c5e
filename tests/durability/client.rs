//! A client that keeps to the specification, and the observer on its shoulder.
//!
//! ```text
//!            connect            CONNACK               DISCONNECT
//!   Away ─────────────> Connecting ────> Connected ────────────────> Leaving
//!     ^                      │               │                          │ the broker closes
//!     └──────────────────────┴───────────────┴──────────────────────────┘ the broker is killed
//!                                   vanish
//! ```
//!
//! Its Session outlives every connection: it comes back with Clean Start 0 and goes on where it was, with what
//! it has under way (`exchanges.rs`) and with the requests that were not answered (`requests.rs`). The
//! observer half writes the [`History`] and complains about what no broker may send.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dunlin_codec::{
    Acknowledgement, ConnAck, Connect, ConnectProperties, Disconnect, MessageProperties, Packet,
    PacketIdentifier, PacketType, ProtocolVersion, Publish, QoS, ReasonCode, Split, Will, decode, split,
};

use crate::checks::check_arrival;
use crate::connection::Connection;
use crate::exchanges::{Receiver, Sender};
use crate::history::{Arrival, Count, History, Kind};
use crate::requests::Request;

/// Bytes of a Will behind its number.
const WILL_FILLER_LENGTH: usize = 40;

/// What is particular to one client for a whole run.
pub struct Habits {
    pub version: ProtocolVersion,
    /// Messages it has under way at once.
    pub window: usize,
    pub receive_maximum: u16,
    /// Where it publishes.
    pub topics: &'static [&'static str],
    /// It publishes Retained Messages, and clears them.
    pub retains: bool,
    /// A filter that it subscribes to and unsubscribes from, over and over.
    pub wanders: Option<(&'static str, QoS)>,
    /// It acknowledges at some later time.
    pub acknowledges_late: bool,
    /// How often in a thousand rounds it goes.
    pub leaves_per_mille: usize,
    /// For how many events it is away, at least and at most.
    pub absence_events: (usize, usize),
    /// The topic of its Will, and the delay in seconds.
    pub will: Option<(&'static str, u32)>,
}

/// See the top of the file.
#[derive(PartialEq)]
pub enum Presence {
    Away,
    Connecting,
    Connected,
    Leaving,
}

/// See the top of the file.
pub struct Client {
    pub number: usize,
    pub identifier: String,
    pub habits: Habits,
    pub presence: Presence,
    /// The event after which it comes back.
    pub returns_at: u64,
    pub(crate) connection: Option<Connection>,
    pub(crate) sender: Sender,
    receiver: Receiver,
    pub(crate) requests: BTreeMap<u16, Request>,
    /// A CONNACK has said that the broker has its Session.
    has_session: bool,
    will: Option<usize>,
}

impl Client {
    /// A client that has never connected.
    pub fn new(number: usize, identifier: String, habits: Habits) -> Self {
        Self {
            number,
            identifier,
            habits,
            presence: Presence::Away,
            returns_at: 0,
            connection: None,
            sender: Sender::default(),
            receiver: Receiver::default(),
            requests: BTreeMap::new(),
            has_session: false,
            will: None,
        }
    }

    /// Opens a connection and sends CONNECT.
    pub fn connect(&mut self, address: SocketAddr, history: &mut History) {
        let version = self.habits.version;
        let is_v5 = version == ProtocolVersion::V5;
        self.will = self.habits.will.map(|(topic, _)| {
            history.announce(Kind::Will, self.number, topic, QoS::ExactlyOnce, WILL_FILLER_LENGTH)
        });
        let payload = self.will.map(|number| history.payload(number)).unwrap_or_default();
        let properties = ConnectProperties {
            session_expiry_interval_s: Some(u32::MAX),
            receive_maximum: Some(self.habits.receive_maximum),
            ..ConnectProperties::default()
        };
        let will = self.habits.will.map(|(topic, delay_s)| Will {
            qos: QoS::ExactlyOnce,
            retain: false,
            topic,
            payload: &payload,
            delay_interval_s: is_v5.then_some(delay_s),
            properties: MessageProperties::default(),
        });
        let connect = Connect {
            version,
            clean_start: false,
            keep_alive_s: 0,
            properties: if is_v5 { properties } else { ConnectProperties::default() },
            client_identifier: &self.identifier,
            will,
            user_name: None,
            password: None,
        };
        let mut connection = Connection::open(address, version);
        connection.send(&Packet::Connect(connect));
        self.connection = Some(connection);
        self.presence = Presence::Connecting;
    }

    /// Goes without a word.
    pub fn vanish(&mut self, history: &mut History) {
        if self.presence != Presence::Away {
            self.lose_connection(history);
        }
    }

    /// Sends DISCONNECT; the broker closes.
    pub fn disconnect(&mut self) {
        let packet = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
        self.send(&packet);
        self.presence = Presence::Leaving;
    }

    /// Sends PINGREQ, to which a PINGRESP must come.
    pub fn ping(&mut self) {
        self.send(&Packet::PingReq);
        self.requests.insert(0, Request::Ping);
    }

    /// The broker was killed: what it said before is read, and the connection is over.
    pub fn outlive(&mut self, history: &mut History) {
        while self.connection.as_ref().is_some_and(|connection| !connection.is_over()) {
            self.take_in(history);
        }
        self.vanish(history);
    }

    /// Reads and writes what can be; whether anything moved.
    pub fn pump(&mut self, history: &mut History) -> bool {
        let has_moved = self.take_in(history);
        if !self.habits.acknowledges_late {
            self.acknowledge(usize::MAX);
        }
        if self.connection.as_ref().is_some_and(Connection::is_over) {
            if self.presence != Presence::Leaving {
                history.complain(format!("the broker closed the connection of {}", self.identifier));
            }
            self.leave(history);
            return true;
        }
        has_moved
    }

    /// Sends up to `count` acknowledgements, in the order in which it owes them.
    pub fn acknowledge(&mut self, count: usize) {
        if self.presence != Presence::Connected {
            return;
        }
        for _ in 0..count {
            let Some((packet_type, identifier)) = self.receiver.acknowledge() else { return };
            let acknowledgement = Acknowledgement::new(identifier, ReasonCode::Success);
            self.send(&match packet_type {
                PacketType::PubAck => Packet::PubAck(acknowledgement),
                PacketType::PubRec => Packet::PubRec(acknowledgement),
                _ => Packet::PubComp(acknowledgement),
            });
        }
    }

    /// Whether nothing is under way in either direction, as far as it knows.
    pub fn is_quiet(&self) -> bool {
        self.presence == Presence::Connected
            && self.sender.outgoing.is_empty()
            && self.receiver.is_quiet()
            && self.requests.is_empty()
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        if let Some(connection) = &mut self.connection {
            connection.send(packet);
        }
    }

    /// The connection has ended without the end of its Will.
    fn lose_connection(&mut self, history: &mut History) {
        let delay_s = self.habits.will.map_or(0, |(_, delay_s)| delay_s);
        if let Some(will) = self.will.take().filter(|_| delay_s == 0) {
            history.begin(will);
            // Before CONNACK nobody knows whether the broker has the Will, after DISCONNECT whether it still
            // has it.
            if self.presence == Presence::Connected {
                history.acknowledge(will);
            }
        }
        self.forget_connection();
    }

    /// The broker has taken DISCONNECT, and with it the Will.
    fn leave(&mut self, history: &mut History) {
        if let Some(will) = self.will.take() {
            history.publications[will].is_withdrawn = true;
        }
        self.forget_connection();
    }

    fn forget_connection(&mut self) {
        (self.connection, self.presence) = (None, Presence::Away);
        self.receiver.end_connection();
        self.requests.clear();
    }

    /// Moves bytes and handles every packet that is whole; whether anything moved.
    fn take_in(&mut self, history: &mut History) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let has_moved = connection.pump();
        while let Some(frame) = self.connection.as_mut().and_then(Connection::frame) {
            let Ok(Split::Packet { frame, .. }) = split(&frame, u32::MAX) else {
                panic!("a frame is whole");
            };
            let packet = decode(frame, self.habits.version).expect("the broker sends what MQTT allows");
            if let Err(complaint) = self.handle(packet, history) {
                history.complain(format!("{} complains: {complaint}", self.identifier));
            }
        }
        has_moved
    }

    fn handle(&mut self, packet: Packet<'_>, history: &mut History) -> Result<(), String> {
        match packet {
            Packet::ConnAck(connack) => self.handle_connack(&connack, history),
            Packet::Publish(publish) => self.handle_publish(&publish, history),
            // PUBCOMP may say that a PUBREL that is sent again was known before (0x92).
            Packet::PubAck(packet) | Packet::PubRec(packet) if packet.reason_code.is_error() => {
                Err(format!("a message is refused: {packet:?}"))
            }
            Packet::PubAck(packet) => {
                let publication = self.sender.handle(PacketType::PubAck, packet.packet_identifier)?;
                history.acknowledge(publication);
                Ok(())
            }
            Packet::PubRec(packet) => {
                let publication = self.sender.handle(PacketType::PubRec, packet.packet_identifier)?;
                history.acknowledge(publication);
                self.send_pubrel(packet.packet_identifier);
                Ok(())
            }
            Packet::PubComp(packet) => {
                self.sender.handle(PacketType::PubComp, packet.packet_identifier).map(drop)
            }
            Packet::PubRel(packet) => {
                self.receiver.handle_pubrel(packet.packet_identifier);
                Ok(())
            }
            Packet::SubAck(suback) => {
                self.handle_answer(suback.packet_identifier.get(), suback.reason_codes, history)
            }
            Packet::UnsubAck(unsuback) => {
                self.handle_answer(unsuback.packet_identifier.get(), unsuback.reason_codes, history)
            }
            Packet::PingResp => self.handle_answer(0, &[], history),
            other => Err(format!("this should not come: {other:?}")),
        }
    }

    fn handle_connack(&mut self, connack: &ConnAck<'_>, history: &mut History) -> Result<(), String> {
        if self.presence != Presence::Connecting || connack.reason_code != ReasonCode::Success {
            return Err(format!("this should not come: {connack:?}"));
        }
        history.event();
        history.count(Count::Connections);
        // spec(v5): [MQTT-3.2.2-3]
        if self.has_session && !connack.session_present {
            return Err(format!("the broker has lost its Session, after {} kills", history.kills));
        }
        (self.presence, self.has_session) = (Presence::Connected, true);
        self.send_again(history);
        self.ask_again(history);
        Ok(())
    }

    fn handle_publish(&mut self, publish: &Publish<'_>, history: &mut History) -> Result<(), String> {
        let publication = history.recognise(publish.payload);
        let is_clearing = publish.payload.is_empty() && publish.topic.starts_with("r/");
        if publication.is_none() && !is_clearing {
            return Err(format!("nobody sent this: {publish:?}"));
        }
        if let Some(number) = publication
            && history.publications[number].topic != publish.topic
        {
            return Err(format!("{} came with the topic {}", history.describe(number), publish.topic));
        }
        let is_new = match publish.packet_identifier {
            Some(identifier) => {
                self.receiver.handle_publish(identifier, publish.qos, publish.dup, publication)?
            }
            None => true,
        };
        let maximum = usize::from(self.habits.receive_maximum);
        if self.habits.version == ProtocolVersion::V5 && self.receiver.unacknowledged() > maximum {
            return Err(format!("more than its Receive Maximum of {maximum} came"));
        }
        if let Some(publication) = publication.filter(|_| is_new) {
            let (qos, retain) = (publish.qos, publish.retain);
            let arrival = Arrival { client: self.number, publication, qos, retain };
            check_arrival(history, &arrival)?;
            history.arrive(arrival);
        }
        Ok(())
    }

    pub(crate) fn send_pubrel(&mut self, identifier: PacketIdentifier) {
        self.send(&Packet::PubRel(Acknowledgement::new(identifier, ReasonCode::Success)));
    }
}
