//! A client that keeps to the specification, and the observer on its shoulder.
//!
//! The client half is ordinary: it keeps its half of the Session (what it has in flight, which QoS 2 messages
//! it has received and not released), sends again on reconnect in order, and acknowledges in order, at once
//! or when the scenario says. What it may do and many do not is to read slowly, to leave at any byte and to
//! come back with or without its Session.
//!
//! The observer half writes the [`History`](crate::history::History) and complains about what no broker may
//! send.

mod arrivals;
mod requests;

use crate::history::Arrival;
use crate::world::World;
use dunlin_codec::{
    Acknowledgement, ConnAck, Connect, ConnectProperties, Disconnect, MessageProperties, Packet,
    PacketIdentifier, PacketType, ProtocolVersion, QoS, ReasonCode, Split, Will, decode, split,
};
use std::collections::{HashMap, HashSet, VecDeque};

/// What is particular to one client for a whole run.
pub struct Habits {
    pub version: ProtocolVersion,
    /// It never wants its Session back.
    pub is_clean: bool,
    /// Session Expiry Interval in seconds; 3.1.1 has none.
    pub expiry_s: u32,
    pub receive_maximum: u16,
    pub maximum_packet_size: Option<u32>,
    pub topic_alias_maximum: u16,
    pub keep_alive_s: u16,
    /// It acknowledges when the scenario says instead of at once.
    pub acknowledges_late: bool,
    /// It sends PINGREQ without waiting for CONNACK.
    pub is_hasty: bool,
    /// Its shared subscription.
    pub share: Option<&'static str>,
    /// The topic of its Will, and the delay in seconds.
    pub will: Option<(&'static str, u32)>,
}

/// A fault of the broker, played by the harness to see whether it is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    LoseMessage,
    RepeatMessage,
    SwapMessages,
    DamageMessage,
    AcknowledgeEarly,
    KeepConnection,
    ShowOldRetained,
    ForgetBatch,
    LieAndCrash,
    DeleteEarly,
}

impl Fault {
    /// Whether it is one of the store.
    pub fn is_of_store(self) -> bool {
        matches!(self, Self::AcknowledgeEarly | Self::ForgetBatch | Self::LieAndCrash | Self::DeleteEarly)
    }
}

/// A QoS 1 or 2 message on its way to the broker.
struct Outgoing {
    identifier: PacketIdentifier,
    publication: usize,
    is_received: bool,
}

/// See the top of the file.
pub struct Client {
    pub number: usize,
    pub identifier: String,
    pub habits: Habits,
    pub wire: Option<usize>,
    pub is_connected: bool,
    /// A clean start was begun and is not known to have happened.
    owes_clean_start: bool,
    session: Option<usize>,
    outgoing: VecDeque<Outgoing>,
    window: usize,
    next_identifier: u16,
    incoming: HashMap<u16, usize>,
    unacknowledged: HashSet<u16>,
    owed: VecDeque<(PacketType, PacketIdentifier, Option<usize>)>,
    subscribing: HashMap<u16, Vec<usize>>,
    unsubscribing: HashSet<u16>,
    aliases: HashMap<u16, String>,
    buffer: Vec<u8>,
    pub fault: Option<Fault>,
    held_back: Option<Arrival>,
    /// Retained Messages received since the last SUBSCRIBE, for a client that looks at them.
    pub retained: Vec<(String, Vec<u8>)>,
}

impl Client {
    pub fn new(number: usize, identifier: String, habits: Habits) -> Self {
        Self {
            number,
            identifier,
            habits,
            wire: None,
            is_connected: false,
            owes_clean_start: false,
            session: None,
            outgoing: VecDeque::new(),
            window: 0,
            next_identifier: 0,
            incoming: HashMap::new(),
            unacknowledged: HashSet::new(),
            owed: VecDeque::new(),
            subscribing: HashMap::new(),
            unsubscribing: HashSet::new(),
            aliases: HashMap::new(),
            buffer: Vec::new(),
            fault: None,
            held_back: None,
            retained: Vec::new(),
        }
    }

    /// Opens a connection, leaving an earlier one behind as it is.
    pub fn connect(&mut self, world: &mut World, clean_start: bool, expiry_s: u32) {
        self.owes_clean_start |= clean_start;
        let is_v5 = self.habits.version == ProtocolVersion::V5;
        let will = self.habits.will.map(|(topic, delay_s)| {
            let publication = self.announce(world, topic, QoS::AtLeastOnce, false, 12, None);
            world.history.publications[publication].is_will = true;
            (publication, if is_v5 { delay_s } else { 0 })
        });
        let payload = will.map(|(publication, _)| world.history.payload(publication));
        let properties = ConnectProperties {
            session_expiry_interval_s: Some(expiry_s),
            receive_maximum: Some(self.habits.receive_maximum),
            maximum_packet_size: self.habits.maximum_packet_size,
            topic_alias_maximum: Some(self.habits.topic_alias_maximum),
            ..ConnectProperties::default()
        };
        let connect = Connect {
            version: self.habits.version,
            clean_start: if is_v5 { self.owes_clean_start } else { self.owes_clean_start || expiry_s == 0 },
            keep_alive_s: self.habits.keep_alive_s,
            properties: if is_v5 { properties } else { ConnectProperties::default() },
            client_identifier: &self.identifier,
            will: will.zip(payload.as_ref()).map(|((publication, delay_s), payload)| Will {
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: world.history.publications[publication].topic,
                payload,
                delay_interval_s: (delay_s > 0).then_some(delay_s),
                properties: MessageProperties::default(),
            }),
            user_name: None,
            password: None,
        };
        let mut bytes = Vec::new();
        connect.encode(self.habits.version, &mut bytes);
        if self.habits.is_hasty {
            bytes.extend([0xC0, 0]);
        }
        let wire = world.open(self.number, self.habits.version, will);
        if let Some((publication, _)) = will {
            let event = world.history.event();
            world.history.publications[publication].began = Some(event);
        }
        world.send(wire, &bytes);
        self.forget_connection();
        self.wire = Some(wire);
    }

    fn forget_connection(&mut self) {
        (self.wire, self.is_connected) = (None, false);
        self.unacknowledged.clear();
        self.owed.clear();
        self.subscribing.clear();
        self.unsubscribing.clear();
        self.aliases.clear();
        self.buffer.clear();
    }

    /// Goes without a word.
    pub fn vanish(&mut self, world: &mut World) {
        if let Some(wire) = self.wire {
            world.leave(wire, true);
        }
        self.forget_connection();
    }

    /// Sends DISCONNECT and goes.
    pub fn disconnect(&mut self, world: &mut World, reason_code: ReasonCode) {
        if let Some(wire) = self.wire.filter(|_| self.is_connected) {
            let mut bytes = Vec::new();
            Disconnect::new(reason_code).encode(self.habits.version, &mut bytes);
            world.send(wire, &bytes);
            world.leave(wire, false);
            self.forget_connection();
        }
    }

    /// Sends PINGREQ.
    pub fn ping(&mut self, world: &mut World) {
        if let Some(wire) = self.wire.filter(|_| self.is_connected) {
            world.send(wire, &[0xC0, 0]);
        }
    }

    /// Whether nothing is on its way in either direction, as far as the client knows.
    pub fn is_quiet(&self) -> bool {
        self.outgoing.is_empty()
            && self.incoming.is_empty()
            && self.owed.is_empty()
            && self.subscribing.is_empty()
    }

    /// Sends up to `count` acknowledgements, in the order in which it owes them.
    pub fn acknowledge(&mut self, world: &mut World, count: usize) -> bool {
        let Some(wire) = self.wire else { return false };
        let count = count.min(self.owed.len());
        for (packet_type, packet_identifier, arrival) in self.owed.drain(..count) {
            let mut bytes = Vec::new();
            let acknowledgement = Acknowledgement::new(packet_identifier, ReasonCode::Success);
            acknowledgement.encode(packet_type, self.habits.version, &mut bytes);
            let sent = world.send(wire, &bytes);
            if packet_type != PacketType::PubRec {
                self.unacknowledged.remove(&packet_identifier.get());
            }
            if let (Some(arrival), Some(session)) = (arrival, self.session) {
                world.history.sessions[session].arrivals[arrival].acknowledged_at = Some(sent);
            }
        }
        count > 0
    }

    /// Reads up to `count` bytes, and sees the end of the stream.
    pub fn read(&mut self, world: &mut World, count: usize) -> bool {
        let Some(wire) = self.wire else { return false };
        let bytes = world.read(wire, count);
        self.buffer.extend(&bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut start = 0;
        while let Split::Packet { frame, length } = split(&buffer[start..], u32::MAX).unwrap() {
            if self.habits.maximum_packet_size.is_some_and(|maximum| length > maximum as usize) {
                world.history.complain(format!("{} bytes for a client that takes fewer", length));
            }
            match decode(frame, self.habits.version) {
                Ok(packet) => self.handle(world, wire, packet),
                Err(error) => {
                    world.history.complain(format!("the broker sent what cannot be decoded: {error:?}"))
                }
            }
            start += length;
        }
        self.buffer = buffer[start..].to_vec();
        if !self.habits.acknowledges_late {
            self.acknowledge(world, usize::MAX);
        }
        if self.wire.is_some() && world.is_at_end(wire) {
            world.leave(wire, true);
            self.forget_connection();
            return true;
        }
        !bytes.is_empty()
    }

    fn handle(&mut self, world: &mut World, wire: usize, packet: Packet<'_>) {
        if !self.is_connected && !matches!(packet, Packet::ConnAck(_)) {
            world.history.complain(format!("before CONNACK came {packet:?}"));
        }
        match packet {
            Packet::ConnAck(connack) => self.handle_connack(world, wire, &connack),
            Packet::Publish(publish) => self.handle_publish(world, wire, &publish),
            Packet::PubAck(packet) => self.handle_acknowledged(world, packet, QoS::AtLeastOnce),
            Packet::PubRec(packet) => self.handle_acknowledged(world, packet, QoS::ExactlyOnce),
            Packet::PubComp(packet) => {
                let is_it = |outgoing: &Outgoing| {
                    outgoing.identifier == packet.packet_identifier && outgoing.is_received
                };
                match self.outgoing.iter().position(is_it) {
                    Some(position) => drop(self.outgoing.remove(position)),
                    None => world.history.complain(format!("PUBCOMP for nothing: {packet:?}")),
                }
            }
            Packet::PubRel(packet) => {
                self.incoming.remove(&packet.packet_identifier.get());
                self.owed.push_back((PacketType::PubComp, packet.packet_identifier, None));
            }
            Packet::SubAck(suback) => {
                self.handle_suback(world, suback.packet_identifier.get(), suback.reason_codes)
            }
            Packet::UnsubAck(unsuback) => {
                if !self.unsubscribing.remove(&unsuback.packet_identifier.get()) {
                    world.history.complain(format!("UNSUBACK for nothing: {unsuback:?}"));
                }
            }
            Packet::PingResp | Packet::Disconnect(_) => {}
            other => world.history.complain(format!("a packet that no Server sends: {other:?}")),
        }
    }

    fn handle_connack(&mut self, world: &mut World, wire: usize, connack: &ConnAck<'_>) {
        (self.is_connected, self.owes_clean_start) = (true, false);
        self.window = usize::from(connack.properties.receive_maximum.unwrap_or(10)).min(10);
        if world.wires[wire].session != self.session {
            self.session = world.wires[wire].session;
            self.outgoing.clear();
            self.incoming.clear();
            self.held_back = None;
            if let Some(session) = self.session {
                world.history.sessions[session].maximum_packet_size = self.habits.maximum_packet_size;
            }
        }
        let Some(session) = self.session else { return };
        let again: Vec<(PacketIdentifier, usize, bool)> = self
            .outgoing
            .iter()
            .map(|outgoing| (outgoing.identifier, outgoing.publication, outgoing.is_received))
            .collect();
        for (identifier, publication, is_received) in again {
            if is_received {
                self.send_pubrel(world, wire, identifier);
            } else {
                self.transmit(world, wire, session, publication, Some(identifier), true);
            }
        }
    }

    fn send_pubrel(&mut self, world: &mut World, wire: usize, identifier: PacketIdentifier) {
        let mut bytes = Vec::new();
        let pubrel = Acknowledgement::new(identifier, ReasonCode::Success);
        pubrel.encode(PacketType::PubRel, self.habits.version, &mut bytes);
        world.send(wire, &bytes);
    }

    fn handle_acknowledged(&mut self, world: &mut World, packet: Acknowledgement<'_>, qos: QoS) {
        let is_it = |outgoing: &Outgoing| {
            outgoing.identifier == packet.packet_identifier
                && world.history.publications[outgoing.publication].qos == qos
        };
        let position = self.outgoing.iter().position(is_it);
        let Some(position) = position.filter(|_| !packet.reason_code.is_error()) else {
            return world
                .history
                .complain(format!("an acknowledgement for nothing, or an error: {packet:?}"));
        };
        let event = world.history.event();
        world.history.publications[self.outgoing[position].publication].acknowledged.get_or_insert(event);
        if qos == QoS::ExactlyOnce {
            self.outgoing[position].is_received = true;
            if let Some(wire) = self.wire {
                self.send_pubrel(world, wire, packet.packet_identifier);
            }
        } else {
            self.outgoing.remove(position);
        }
    }

    fn handle_suback(&mut self, world: &mut World, identifier: u16, reason_codes: &[u8]) {
        let (Some(numbers), Some(session)) = (self.subscribing.remove(&identifier), self.session) else {
            return world.history.complain(format!("SUBACK for nothing: {identifier}"));
        };
        let event = world.history.event();
        for (number, reason_code) in numbers.into_iter().zip(reason_codes) {
            let subscription = &mut world.history.sessions[session].subscriptions[number];
            if *reason_code != subscription.qos.bits() {
                let complaint = format!("{} was not granted: {reason_code:#x}", subscription.filter);
                return world.history.complain(complaint);
            }
            subscription.acknowledged = Some(event);
        }
    }
}
