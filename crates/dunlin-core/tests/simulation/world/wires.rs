//! Network Connections: bytes from a client to its shard and back, and the life between CONNECT and the last
//! byte.

use super::World;
use super::promises::Promise;
use super::recovery::has_passed;
use crate::history::Session;
use dunlin_codec::{Packet, PacketType, ProtocolVersion, ReasonCode, Split, decode, split};
use dunlin_core::authenticate::no_mechanisms;
use dunlin_core::connection::Cause;
use dunlin_core::handshake::{ConnectRequest, Handshake, Next};
use dunlin_core::identity::Identity;
use dunlin_core::journal::Record;
use dunlin_core::settings::SessionExpiryInterval;
use dunlin_core::shard::NextInput;
use dunlin_core::slots::Key;
use dunlin_core::time::Timestamp;
use std::collections::{HashMap, VecDeque};

/// A Network Connection.
pub struct Wire {
    pub client: usize,
    pub(super) version: ProtocolVersion,
    handshake: Handshake,
    pub(super) place: Option<(usize, Key)>,
    pub(super) to_broker: VecDeque<u8>,
    pub(super) inbox: Vec<u8>,
    pub(super) to_client: VecDeque<u8>,
    /// Bytes the client has sent, and how many of them the broker has certainly acted on.
    pub sent: u64,
    pub used: u64,
    pub is_paused: bool,
    is_closing: bool,
    /// The client has not gone.
    pub client_is_there: bool,
    /// The broker has not closed.
    pub broker_is_there: bool,
    /// When the broker heard that the client leaves.
    pub(super) left_at: Option<Timestamp>,
    /// And the event of that.
    pub left: Option<u64>,
    /// When the broker gave the connection up.
    pub closed: Option<u64>,
    /// The Will that the CONNECT brought, and its delay in seconds.
    pub(super) will: Option<(usize, u32)>,
    /// The life of the Session that it belongs to.
    pub session: Option<usize>,
    /// Its CONNACK has left.
    pub(super) is_known: bool,
    pub(super) session_present: bool,
    pub(super) promises: HashMap<(PacketType, u16), Promise>,
    pub(super) tapped: Vec<u8>,
}

impl World {
    /// A client opens a connection.
    pub fn open(&mut self, client: usize, version: ProtocolVersion, will: Option<(usize, u32)>) -> usize {
        self.wires.push(Wire {
            client,
            version,
            handshake: Handshake::new(self.settings.maximum_packet_size_bytes),
            place: None,
            to_broker: VecDeque::new(),
            inbox: Vec::new(),
            to_client: VecDeque::new(),
            sent: 0,
            used: 0,
            is_paused: false,
            is_closing: false,
            client_is_there: true,
            broker_is_there: true,
            left_at: None,
            left: None,
            closed: None,
            will,
            session: None,
            is_known: false,
            session_present: false,
            promises: HashMap::new(),
            tapped: Vec::new(),
        });
        self.wires.len() - 1
    }

    /// A client sends. Returns how much it has sent by then.
    pub fn send(&mut self, wire: usize, bytes: &[u8]) -> u64 {
        let wire = &mut self.wires[wire];
        wire.to_broker.extend(bytes);
        wire.sent += bytes.len() as u64;
        wire.sent
    }

    /// A client has gone: the network may lose the end of what it sent, and loses what was to come.
    pub fn leave(&mut self, wire: usize, is_abrupt: bool) {
        let keep =
            if is_abrupt { self.random.below(self.wires[wire].to_broker.len() + 1) } else { usize::MAX };
        let wire = &mut self.wires[wire];
        wire.client_is_there = false;
        wire.to_broker.truncate(keep);
        wire.to_client.clear();
    }

    /// Up to `count` bytes reach the client.
    pub fn read(&mut self, wire: usize, count: usize) -> Vec<u8> {
        let waiting = &mut self.wires[wire].to_client;
        waiting.drain(..count.min(waiting.len())).collect()
    }

    /// Whether the client would see the end of the stream now.
    pub fn is_at_end(&self, wire: usize) -> bool {
        !self.wires[wire].broker_is_there && self.wires[wire].to_client.is_empty()
    }

    /// Up to `count` bytes reach the broker, or the end of the stream does.
    pub fn carry(&mut self, wire: usize, count: usize) -> bool {
        let value = &mut self.wires[wire];
        if !value.broker_is_there || value.is_closing {
            value.to_broker.clear();
            return false;
        }
        let piece: Vec<u8> = value.to_broker.drain(..count.min(value.to_broker.len())).collect();
        value.inbox.extend(&piece);
        let is_fed = self.feed(wire);
        let value = &mut self.wires[wire];
        let is_gone =
            !value.client_is_there && value.to_broker.is_empty() && !value.is_paused && !value.is_closing;
        if is_gone && value.broker_is_there {
            match value.place {
                Some((shard, key)) => {
                    self.nodes[shard].shard.handle_lost(self.now, key);
                    self.collect(shard);
                }
                None => value.broker_is_there = false,
            }
            return true;
        }
        !piece.is_empty() || is_fed
    }

    /// Hands in what has arrived, as far as the broker takes it.
    fn feed(&mut self, wire: usize) -> bool {
        let mut is_fed = false;
        loop {
            let value = &mut self.wires[wire];
            if !value.broker_is_there || value.is_closing || value.is_paused || value.inbox.is_empty() {
                return is_fed;
            }
            let input = std::mem::take(&mut value.inbox);
            let used = match value.place {
                None => self.shake_hands(wire, &input),
                Some((shard, key)) => self.hand_in(wire, shard, key, &input),
            };
            let value = &mut self.wires[wire];
            // What came with the packet that ended the connection may have been thrown away.
            if !value.is_closing {
                value.used += used as u64;
            }
            value.inbox = input[used..].to_vec();
            if used == 0 {
                return is_fed;
            }
            is_fed = true;
        }
    }

    fn shake_hands(&mut self, wire: usize, input: &[u8]) -> usize {
        let Split::Packet { frame, length } = split(input, u32::MAX).unwrap() else { return 0 };
        let handshake = &mut self.wires[wire].handshake;
        let next = match handshake.handle_frame(frame, &self.settings, &no_mechanisms(), 7) {
            Next::Verify => handshake.accept(Identity::default()),
            other => other,
        };
        match next {
            Next::Accepted(request) => self.accept(wire, *request),
            other => self.history.complain(format!("a good CONNECT was not accepted: {other:?}")),
        }
        length
    }

    fn accept(&mut self, wire: usize, request: ConnectRequest) {
        let shard = self.home(request.client_identifier.as_str());
        let (client, clean_start, expiry) =
            (self.wires[wire].client, request.clean_start, request.session_expiry);
        let node = &mut self.nodes[shard];
        let before = node.shard.sessions_count();
        let key = node.shard.handle_connect(self.now, request);
        let has_grown = node.shard.sessions_count() > before;
        let expectation = self.expectations.entry(client).or_default();
        // A Session that ends with its connection ends when that is taken over, and the count stays the same.
        // CONNACK will tell.
        let has_replaced = expectation.session.is_some()
            && expectation.expiry == Some(SessionExpiryInterval::WITH_CONNECTION);
        let is_new = clean_start || has_grown || has_replaced;
        let has_expired = has_passed(expectation.expiry, expectation.absent_since, self.now);
        let must_be_present = match (expectation.session, expectation.absent_since, expectation.expiry) {
            _ if clean_start || has_replaced => false,
            (Some(_), None, _) => true,
            (Some(_), Some(_), Some(_)) => !has_expired,
            _ => false,
        };
        if must_be_present == is_new {
            let complaint =
                format!("client {client}: the Session should be present: {must_be_present}, new: {is_new}");
            self.history.complain(complaint);
        }
        if is_new {
            if let Some(session) = expectation.session {
                let session = &mut self.history.sessions[session];
                session.is_over = true;
                session.is_gone = has_expired || !clean_start;
            }
            expectation.session = Some(self.history.sessions.len());
            self.history.sessions.push(Session {
                client,
                subscriptions: Vec::new(),
                arrivals: Vec::new(),
                is_over: false,
                maximum_packet_size: None,
                number: None,
                is_known: false,
                is_gone: false,
                absences: Vec::new(),
            });
        }
        (expectation.wire, expectation.expiry, expectation.absent_since) = (Some(wire), Some(expiry), None);
        (expectation.will, self.wires[wire].session) = (None, expectation.session);
        self.trace(|| {
            format!("client {client} connects on {wire}: {expiry:?}, new {is_new}, clean {clean_start}")
        });
        self.wires[wire].place = Some((shard, key));
        self.wires[wire].session_present = !is_new;
        self.by_key.insert((shard, key), wire);
        let records = self.collect(shard);
        let number = records.iter().rev().find_map(|(_, record)| match record {
            Record::Session { session, .. } => Some(*session),
            _ => None,
        });
        if let (Some(number), Some(life)) = (number, self.wires[wire].session) {
            self.numbers.insert(number, life);
            self.history.sessions[life].number = Some(number);
        }
        let position = records.into_iter().rfind(|(_, record)| {
            matches!(record, Record::Session { .. } | Record::WillSet { .. } | Record::SessionEnded { .. })
        });
        let records = position.map(|(position, _)| (shard, position)).into_iter().collect();
        self.promise(wire, PacketType::ConnAck, 0, Promise { records, message: None });
    }

    fn hand_in(&mut self, wire: usize, shard: usize, key: Key, input: &[u8]) -> usize {
        let version = self.wires[wire].version;
        // With a store, one packet at a time: its records are then known.
        let first = match split(input, u32::MAX) {
            Ok(Split::Packet { length, .. }) if self.settings.durable => length,
            _ => input.len(),
        };
        let newest =
            self.on_their_way().map(|message| message.id).filter(|id| usize::from(id.origin) == shard).max();
        let progress = self.nodes[shard].shard.handle_input(self.now, key, &input[..first]);
        if let Ok(Split::Packet { frame, .. }) = split(input, u32::MAX)
            && let Ok(Packet::Disconnect(disconnect)) = decode(frame, version)
            && progress.next == NextInput::Close
        {
            self.note_absence(wire, disconnect.reason_code == ReasonCode::Success);
        }
        match progress.next {
            NextInput::Pause => self.wires[wire].is_paused = true,
            NextInput::Yield | NextInput::Read { .. } | NextInput::Close => {}
        }
        let records = self.collect(shard);
        if progress.consumed == first
            && let Ok(Split::Packet { frame, .. }) = split(input, u32::MAX)
            && let Ok(packet) = decode(frame, version)
        {
            self.trace(|| {
                format!("client {} on {wire} -> shard {shard}: {packet:?}", self.wires[wire].client)
            });
            self.expect_answer(wire, shard, &packet, &records, newest);
        }
        progress.consumed
    }

    pub(super) fn close(&mut self, shard: usize, connection: Key, cause: Cause) {
        let wire = self.by_key[&(shard, connection)];
        self.trace(|| format!("shard {shard} closes {wire}: {}", cause.detail()));
        if let Cause::Violation { detail, .. } = cause {
            self.history.complain(format!("a correct client was refused: {detail}"));
        }
        let event = self.history.event();
        let value = &mut self.wires[wire];
        (value.is_closing, value.closed) = (true, Some(event));
        self.note_absence(wire, cause == Cause::ClientDisconnected(ReasonCode::Success));
    }

    /// The client is away from now on, unless it has been for a while: after a DISCONNECT the connection ends when
    /// the store has what that changed.
    fn note_absence(&mut self, wire: usize, will_is_deleted: bool) {
        let now = self.now;
        let value = &mut self.wires[wire];
        if value.left_at.replace(now).is_some() {
            return;
        }
        let event = self.history.event();
        value.left = Some(event);
        let (client, will, session) = (value.client, value.will, value.session);
        if let Some(session) = session.map(|life| &mut self.history.sessions[life]) {
            session.absences.push(now);
        }
        if let Some((will, _)) = will.filter(|_| will_is_deleted) {
            self.history.publications[will].withdrawn = Some(event);
        }
        let mut will = will.filter(|_| !will_is_deleted).map(|(will, delay_s)| (will, now.after_s(delay_s)));
        if let Some(expectation) = self.expectations.get_mut(&client).filter(|it| it.wire == Some(wire)) {
            (expectation.absent_since, expectation.absent_event) = (Some(now), event);
            if let (Some(SessionExpiryInterval::After(seconds)), Some((_, due_at))) =
                (expectation.expiry, &mut will)
            {
                // It is sent at the latest when its Session ends.
                *due_at = now.after_s(seconds).min(*due_at);
            }
            expectation.will = will;
        }
        if let Some((will, _)) = will.filter(|(_, due_at)| *due_at <= now) {
            // It is published now, and nobody waits for an acknowledgement.
            let will = &mut self.history.publications[will];
            (will.began, will.acknowledged) = (Some(event), Some(event));
            if let Some(expectation) = self.expectations.get_mut(&client).filter(|it| it.wire == Some(wire)) {
                expectation.will = None;
            }
        }
    }

    /// Up to `count` bytes leave a connection's outbox.
    pub fn write(&mut self, wire: usize, count: usize) -> bool {
        let value = &self.wires[wire];
        let (Some((shard, key)), true) = (value.place, value.broker_is_there) else { return false };
        let node = &mut self.nodes[shard];
        let mut bytes: Vec<u8> = Vec::new();
        if let Some(outbox) = node.shard.outbox(key) {
            bytes.extend(outbox.chunks().flatten().take(count));
            outbox.advance(bytes.len());
        }
        let is_empty = node.shard.outbox(key).is_none_or(|outbox| outbox.is_empty());
        if !bytes.is_empty() {
            self.tap(wire, &bytes);
            if self.wires[wire].client_is_there {
                self.wires[wire].to_client.extend(&bytes);
            }
            self.nodes[shard].shard.handle_flushed(self.now, key);
            self.collect(shard);
        }
        if self.wires[wire].is_closing && is_empty {
            if !std::mem::take(&mut self.forgets_to_remove) {
                self.nodes[shard].shard.remove(key);
            }
            self.wires[wire].broker_is_there = false;
            self.wires[wire].inbox.clear();
            return true;
        }
        !bytes.is_empty()
    }
}
