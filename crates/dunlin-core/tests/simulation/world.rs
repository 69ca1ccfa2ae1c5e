//! Shards, the network and the store, without any of them.
//!
//! The [`World`] stands where the runtime stands in the product and drives the shards as `shard/mod.rs` says. It adds what
//! a real network, a real scheduler and a real disk add: bytes travel in pieces of any size, messages between shards wait
//! (in order for each pair), the store is late, a peer vanishes with bytes on the way. It decides nothing by itself: the
//! scenario says what moves next.
//!
//! Three rules are checked here because only here both sides are visible: acknowledgements wait for the store and for the
//! other shards, Session Present tells the truth, and the bytes that wait for a client are bounded.

use crate::history::{History, Session};
use crate::random::Random;
use dunlin_codec::{Packet, PacketType, ProtocolVersion, Publish, QoS, ReasonCode, Split, decode, split};
use dunlin_core::Shard;
use dunlin_core::authenticate::NoMechanisms;
use dunlin_core::connection::Cause;
use dunlin_core::handshake::{ConnectRequest, Handshake, Next};
use dunlin_core::identity::{Identity, partition};
use dunlin_core::journal::{Position, Record};
use dunlin_core::message::{ApplicationMessage, MessageId};
use dunlin_core::peer::PeerMessage;
use dunlin_core::settings::{SessionExpiryInterval, Settings};
use dunlin_core::shard::{NextInput, Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A shard and the store behind it.
pub struct Node {
    pub shard: Shard,
    pub staged: u64,
    pub durable: u64,
}

/// An acknowledgement that must not come before something.
#[derive(Default)]
struct Promise {
    /// Records that must be durable: shard and position.
    records: Vec<(usize, u64)>,
    /// The message that every shard it went to must have applied.
    message: Option<MessageId>,
}

/// A Network Connection.
pub struct Wire {
    pub client: usize,
    version: ProtocolVersion,
    handshake: Handshake,
    place: Option<(usize, Key)>,
    to_broker: VecDeque<u8>,
    inbox: Vec<u8>,
    to_client: VecDeque<u8>,
    /// Bytes the client has sent, and how many of them the broker has used.
    pub sent: u64,
    pub used: u64,
    pub is_paused: bool,
    is_closing: bool,
    /// The client has not gone.
    pub client_is_there: bool,
    /// The broker has not closed.
    pub broker_is_there: bool,
    /// When the broker gave the connection up.
    pub closed: Option<u64>,
    /// The Will that the CONNECT brought, and its delay in seconds.
    will: Option<(usize, u32)>,
    session_present: bool,
    promises: HashMap<(PacketType, u16), Promise>,
    tapped: Vec<u8>,
}

/// What the broker has to remember about a client, as a reader of the specification would say.
#[derive(Default)]
struct Expectation {
    session: Option<usize>,
    wire: Option<usize>,
    expiry: Option<SessionExpiryInterval>,
    absent_since: Option<Timestamp>,
}

/// See the top of the file.
pub struct World {
    pub now: Timestamp,
    pub random: Random,
    pub settings: Arc<Settings>,
    pub history: History,
    pub nodes: Vec<Node>,
    pub wires: Vec<Wire>,
    mail: Vec<VecDeque<PeerMessage>>,
    by_key: HashMap<(usize, Key), usize>,
    expectations: HashMap<usize, Expectation>,
    /// On which other shards, and at which position, a message is kept.
    applied: HashMap<MessageId, Vec<(usize, u64)>>,
    /// Whether to say what happens, for whoever investigates a seed.
    traces: bool,
    /// A planted fault: the shards are told that everything is durable.
    pub store_lies: bool,
    /// A planted fault: one closed connection is never removed.
    pub forgets_to_remove: bool,
}

/// Bytes that answers (as opposed to messages) may add to an outbox in these scenarios.
const ANSWERS_BYTES_MAX: usize = 8 * 1024;

/// The longest frame of a message in these scenarios.
pub const FRAME_BYTES_MAX: usize = 4 * 1024;

impl World {
    /// A broker of so many shards, nothing in it.
    pub fn new(random: Random, settings: Settings, shards: u16) -> Self {
        let settings = Arc::new(settings);
        let nodes = (0..shards).map(|id| {
            let config = ShardConfig {
                id,
                shards,
                settings: settings.clone(),
                ..ShardConfig::single(Settings::default())
            };
            Node { shard: Shard::new(config), staged: 0, durable: 0 }
        });
        Self {
            now: Timestamp::from_micros(1_700_000_000_000_000),
            random,
            history: History::default(),
            nodes: nodes.collect(),
            wires: Vec::new(),
            mail: (0..shards * shards).map(|_| VecDeque::new()).collect(),
            by_key: HashMap::new(),
            expectations: HashMap::new(),
            applied: HashMap::new(),
            traces: std::env::var_os("DUNLIN_TRACE").is_some(),
            store_lies: false,
            forgets_to_remove: false,
            settings,
        }
    }

    /// Says what happens, in a run with `DUNLIN_TRACE`.
    fn trace(&self, what: impl FnOnce() -> String) {
        if self.traces {
            let mut line = format!("{:>10} {}", self.now.as_micros() % 10_000_000_000, what());
            line.truncate(line.floor_char_boundary(240));
            println!("{line}");
        }
    }

    fn describe(&self, packet: &Packet<'_>) -> String {
        match packet {
            Packet::Publish(publish) => {
                let Publish { topic, qos, dup, retain, packet_identifier, .. } = publish;
                let number = self.history.recognise(publish.payload);
                format!(
                    "PUBLISH {packet_identifier:?} message {number:?} {topic} {qos:?} dup {dup} retain {retain}"
                )
            }
            other => format!("{other:?}"),
        }
    }

    /// The shard on which a client's Session lives.
    pub fn home(&self, client_identifier: &str) -> usize {
        usize::from(partition(client_identifier, self.nodes.len() as u16))
    }

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
            closed: None,
            will,
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

    /// The Session that the broker has for a client.
    pub fn session_of(&self, client: usize) -> Option<usize> {
        self.expectations.get(&client).and_then(|expectation| expectation.session)
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
            value.used += used as u64;
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
        let next = match handshake.handle_frame(frame, &self.settings, &NoMechanisms, 7) {
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
        // A Session that ends with its connection ends when that is taken over, and the count stays the same. CONNACK will tell.
        let has_replaced = expectation.session.is_some()
            && expectation.expiry == Some(SessionExpiryInterval::WITH_CONNECTION);
        let is_new = clean_start || has_grown || has_replaced;
        let must_be_present = match (expectation.session, expectation.absent_since, expectation.expiry) {
            _ if clean_start || has_replaced => false,
            (Some(_), None, _) | (Some(_), _, Some(SessionExpiryInterval::Never)) => true,
            (Some(_), Some(since), Some(SessionExpiryInterval::After(seconds))) => {
                self.now < since.after_s(seconds)
            }
            _ => false,
        };
        if must_be_present == is_new {
            let complaint =
                format!("client {client}: the Session should be present: {must_be_present}, new: {is_new}");
            self.history.complain(complaint);
        }
        if is_new {
            if let Some(session) = expectation.session {
                self.history.sessions[session].is_over = true;
            }
            expectation.session = Some(self.history.sessions.len());
            self.history.sessions.push(Session {
                client,
                subscriptions: Vec::new(),
                arrivals: Vec::new(),
                is_over: false,
                maximum_packet_size: None,
            });
        }
        (expectation.wire, expectation.expiry, expectation.absent_since) = (Some(wire), Some(expiry), None);
        self.wires[wire].place = Some((shard, key));
        self.wires[wire].session_present = !is_new;
        self.by_key.insert((shard, key), wire);
        let position = self.collect(shard).into_iter().rfind(|(_, record)| {
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

    /// Notes what the answer to a packet has to wait for.
    fn expect_answer(
        &mut self,
        wire: usize,
        shard: usize,
        packet: &Packet<'_>,
        records: &[(u64, Record)],
        newest: Option<MessageId>,
    ) {
        let last = |is_wanted: &dyn Fn(&Record) -> bool| {
            records.iter().rfind(|(_, record)| is_wanted(record)).map(|(position, _)| (shard, *position))
        };
        let (answer, identifier, record, message) = match packet {
            Packet::Publish(publish) => {
                let Some(identifier) = publish.packet_identifier else { return };
                // A copy of an earlier transmission may still be on its way; only at QoS 2 is it the same message.
                let is_it = |it: &&ApplicationMessage| {
                    let is_new = publish.qos == QoS::ExactlyOnce || Some(it.id) > newest;
                    it.payload() == publish.payload && is_new && !publish.payload.is_empty()
                };
                let message = self.on_their_way().filter(is_it).map(|it| it.id).max();
                let answer = if publish.qos.bits() == 1 { PacketType::PubAck } else { PacketType::PubRec };
                let record = last(&|record| match record {
                    Record::Received { packet_identifier, .. } => *packet_identifier == identifier,
                    other => kept(other).is_some_and(|message| message.payload() == publish.payload),
                });
                (answer, identifier, record, message)
            }
            Packet::PubRel(pubrel) => {
                let record = last(&|record| matches!(record, Record::Completed { .. }));
                (PacketType::PubComp, pubrel.packet_identifier, record, None)
            }
            Packet::PubRec(pubrec) => {
                let record = last(&|record| matches!(record, Record::Released { .. }));
                (PacketType::PubRel, pubrec.packet_identifier, record, None)
            }
            Packet::Subscribe(subscribe) => {
                let record = last(&|record| matches!(record, Record::Subscribed { .. }));
                (PacketType::SubAck, subscribe.packet_identifier, record, None)
            }
            Packet::Unsubscribe(unsubscribe) => {
                let record = last(&|record| matches!(record, Record::Unsubscribed { .. }));
                (PacketType::UnsubAck, unsubscribe.packet_identifier, record, None)
            }
            _ => return,
        };
        let records = record.into_iter().collect();
        self.promise(wire, answer, identifier.get(), Promise { records, message });
    }

    fn promise(&mut self, wire: usize, answer: PacketType, identifier: u16, promise: Promise) {
        self.wires[wire].promises.insert((answer, identifier), promise);
    }

    /// Takes everything a shard puts out, and returns its new records with their positions.
    fn collect(&mut self, shard: usize) -> Vec<(u64, Record)> {
        let shards = self.nodes.len();
        let node = &mut self.nodes[shard];
        let mut records = Vec::new();
        while let Some(record) = node.shard.poll_record() {
            node.staged += 1;
            records.push((node.staged, record));
        }
        assert_eq!(node.shard.staged_position(), Position(node.staged));
        for peer in 0..shards {
            while let Some(message) = node.shard.poll_peer(peer as u16) {
                self.mail[shard * shards + peer].push_back(message);
            }
        }
        let bytes_max = 2 * self.settings.outbox_bytes_max + FRAME_BYTES_MAX + ANSWERS_BYTES_MAX;
        while let Some(key) = node.shard.poll_flush() {
            let waiting = node.shard.outbox(key).map_or(0, |outbox| outbox.len());
            if waiting > bytes_max {
                self.history.complain(format!("{waiting} bytes wait for a client that may have {bytes_max}"));
            }
        }
        while let Some(output) = self.nodes[shard].shard.poll_output() {
            match output {
                Output::Resume { connection } => {
                    if let Some(wire) = self.by_key.get(&(shard, connection)) {
                        self.wires[*wire].is_paused = false;
                    }
                }
                Output::Close { connection, cause } => self.close(shard, connection, cause),
                // Only the log hears of it.
                Output::Refused { reason_code, topic, .. } => {
                    self.history.complain(format!("a correct client was refused {topic}: {reason_code}"));
                }
            }
        }
        records
    }

    fn close(&mut self, shard: usize, connection: Key, cause: Cause) {
        let wire = self.by_key[&(shard, connection)];
        self.trace(|| format!("shard {shard} closes {wire}: {}", cause.detail()));
        let event = self.history.event();
        let value = &mut self.wires[wire];
        (value.is_closing, value.closed) = (true, Some(event));
        let will = value.will;
        if let Cause::Violation { detail, .. } = cause {
            self.history.complain(format!("a correct client was refused: {detail}"));
        }
        if let Some((will, delay_s)) = will {
            let will = &mut self.history.publications[will];
            if cause == Cause::ClientDisconnected(ReasonCode::Success) {
                will.withdrawn = Some(event);
            } else if delay_s == 0 {
                // It is published now, and nobody waits for an acknowledgement.
                (will.began, will.acknowledged) = (Some(event), Some(event));
            }
        }
        let now = self.now;
        if let Some(expectation) = self.expectations.get_mut(&self.wires[wire].client)
            && expectation.wire == Some(wire)
        {
            expectation.absent_since = Some(now);
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

    /// Looks at what the broker sends: acknowledgements must keep their promises.
    fn tap(&mut self, wire: usize, bytes: &[u8]) {
        let mut tapped = std::mem::take(&mut self.wires[wire].tapped);
        tapped.extend(bytes);
        let mut start = 0;
        while let Split::Packet { frame, length } = split(&tapped[start..], u32::MAX).unwrap() {
            let packet = decode(frame, self.wires[wire].version).unwrap();
            start += length;
            self.trace(|| {
                format!("client {} on {wire} <- {}", self.wires[wire].client, self.describe(&packet))
            });
            let key = match packet {
                Packet::ConnAck(connack) => {
                    if connack.session_present != self.wires[wire].session_present {
                        self.history.complain(String::from("Session Present does not tell the truth"));
                    }
                    (PacketType::ConnAck, 0)
                }
                Packet::PubAck(packet) => (PacketType::PubAck, packet.packet_identifier.get()),
                Packet::PubRec(packet) => (PacketType::PubRec, packet.packet_identifier.get()),
                Packet::PubRel(packet) => (PacketType::PubRel, packet.packet_identifier.get()),
                Packet::PubComp(packet) => (PacketType::PubComp, packet.packet_identifier.get()),
                Packet::SubAck(packet) => (PacketType::SubAck, packet.packet_identifier.get()),
                Packet::UnsubAck(packet) => (PacketType::UnsubAck, packet.packet_identifier.get()),
                _ => continue,
            };
            if let Some(promise) = self.wires[wire].promises.remove(&key) {
                self.check_promise(key, &promise);
            }
        }
        tapped.drain(..start);
        self.wires[wire].tapped = tapped;
    }

    fn check_promise(&mut self, (answer, identifier): (PacketType, u16), promise: &Promise) {
        let elsewhere = promise.message.and_then(|message| self.applied.get(&message));
        for (shard, position) in promise.records.iter().chain(elsewhere.into_iter().flatten()) {
            let durable = self.nodes[*shard].durable;
            if *position > durable {
                self.history.complain(format!(
                    "{answer:?} {identifier} left before its record was durable: shard {shard}, {position} > {durable}"
                ));
            }
        }
        if self.on_their_way().any(|message| Some(message.id) == promise.message) {
            self.history
                .complain(format!("{answer:?} {identifier} left before every shard had applied the message"));
        }
    }

    /// Messages that one shard has sent and another has not received.
    fn on_their_way(&self) -> impl Iterator<Item = &ApplicationMessage> {
        self.mail.iter().flatten().filter_map(|message| match message {
            PeerMessage::Publish(message) => Some(&**message),
            _ => None,
        })
    }

    /// Up to `count` messages from one shard reach another.
    pub fn deliver_mail(&mut self, from: usize, to: usize, count: usize) -> bool {
        let place = from * self.nodes.len() + to;
        let count = count.min(self.mail[place].len());
        for message in self.mail[place].drain(..count).collect::<Vec<_>>() {
            let published = match &message {
                PeerMessage::Publish(message) => Some(message.clone()),
                _ => None,
            };
            self.trace(|| match &message {
                PeerMessage::Publish(message) | PeerMessage::GroupDeliver { message, .. } => {
                    format!(
                        "shard {from} -> {to}: message {:?} {:?}",
                        self.history.recognise(message.payload()),
                        message.id
                    )
                }
                other => format!("shard {from} -> {to}: {other:?}"),
            });
            self.nodes[to].shard.handle_peer(self.now, from as u16, message);
            let records = self.collect(to);
            if let Some(message) = published {
                self.note_applied(to, &message, &records);
            }
        }
        if count > 0 {
            self.nodes[to].shard.handle_peer_batch_end(from as u16);
            self.collect(to);
        }
        count > 0
    }

    fn note_applied(&mut self, shard: usize, message: &ApplicationMessage, records: &[(u64, Record)]) {
        let is_kept = |record: &Record| kept(record).is_some_and(|other| other.id == message.id);
        let position = records.iter().rfind(|(_, record)| is_kept(record)).map(|(position, _)| *position);
        if let Some(position) = position {
            self.applied.entry(message.id).or_default().push((shard, position));
        }
    }

    /// The store of a shard makes up to `count` more records durable.
    pub fn advance_store(&mut self, shard: usize, count: usize) -> bool {
        let node = &mut self.nodes[shard];
        let durable = node.staged.min(node.durable + count as u64);
        let told = if self.store_lies { node.staged } else { durable };
        let has_news = durable > node.durable || self.store_lies;
        node.durable = durable;
        if has_news {
            node.shard.handle_durable(self.now, Position(told));
            self.collect(shard);
        }
        has_news && !self.store_lies
    }

    /// Time passes, and shards do what is due.
    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        for shard in 0..self.nodes.len() {
            self.do_due(shard);
        }
    }

    /// One shard does what is due.
    pub fn do_due(&mut self, shard: usize) -> bool {
        let node = &mut self.nodes[shard];
        let is_due = node.shard.poll_timeout().is_some_and(|at| at <= self.now);
        if is_due {
            node.shard.handle_timeout(self.now);
            self.collect(shard);
        }
        is_due
    }

    /// Moves everything that can move without time passing; true if anything did.
    pub fn move_all(&mut self) -> bool {
        let mut has_moved = false;
        for wire in 0..self.wires.len() {
            if self.wires[wire].broker_is_there {
                has_moved |= self.carry(wire, usize::MAX);
                has_moved |= self.write(wire, usize::MAX);
            }
        }
        for shard in 0..self.nodes.len() {
            has_moved |= self.do_due(shard);
            has_moved |= self.advance_store(shard, usize::MAX / 2);
            for from in 0..self.nodes.len() {
                has_moved |= self.deliver_mail(from, shard, usize::MAX);
            }
        }
        has_moved
    }
}

/// The message that a record keeps.
fn kept(record: &Record) -> Option<&ApplicationMessage> {
    match record {
        Record::Queued { message, .. }
        | Record::Retained { message }
        | Record::GroupQueued { message, .. } => Some(message),
        _ => None,
    }
}
