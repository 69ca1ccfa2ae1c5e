//! Shards, the network and the store, without any of them.
//!
//! The [`World`] stands where the runtime stands in the product and drives the shards as `shard/mod.rs` says.
//! It adds what a real network, a real scheduler and a real disk add: bytes travel in pieces of any size,
//! messages between shards wait (in order for each pair), the store is late, a peer vanishes with bytes on
//! the way. It decides nothing by itself: the scenario says what moves next.
//!
//! Two rules are checked here because only here both sides are visible: Session Present tells the truth, and
//! the bytes that wait for a client are bounded. That acknowledgements wait for the store and for the other
//! shards is checked in `promises.rs`, on the way in and on the way out.

mod promises;
mod wires;

use crate::history::History;
use crate::random::Random;
use dunlin_core::Shard;
use dunlin_core::identity::partition;
use dunlin_core::journal::{Position, Record, Segment};
use dunlin_core::message::MessageId;
use dunlin_core::peer::PeerMessage;
use dunlin_core::settings::{SessionExpiryInterval, Settings};
use dunlin_core::shard::{Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use wires::Wire;

/// A shard and the store behind it.
pub struct Node {
    pub shard: Shard,
    pub staged: u64,
    pub durable: u64,
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

    /// The shard on which a client's Session lives.
    pub fn home(&self, client_identifier: &str) -> usize {
        usize::from(partition(client_identifier, self.nodes.len() as u16))
    }

    /// The Session that the broker has for a client.
    pub fn session_of(&self, client: usize) -> Option<usize> {
        self.expectations.get(&client).and_then(|expectation| expectation.session)
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
                Output::Vacated { .. } | Output::Load { .. } => {}
                // Only the log hears of it.
                Output::Refused { reason_code, topic, .. } => {
                    self.history.complain(format!("a correct client was refused {topic}: {reason_code}"));
                }
            }
        }
        records
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

    /// The store of a shard makes up to `count` more records durable.
    pub fn advance_store(&mut self, shard: usize, count: usize) -> bool {
        let node = &mut self.nodes[shard];
        let durable = node.staged.min(node.durable + count as u64);
        let told = if self.store_lies { node.staged } else { durable };
        let has_news = durable > node.durable || self.store_lies;
        node.durable = durable;
        if has_news {
            node.shard.handle_durable(self.now, Position(told), Segment(1));
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
