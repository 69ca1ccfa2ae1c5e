//! Shards, the network and the store, without any of them.
//!
//! The [`World`] stands where the runtime stands in the product and drives the shards as `shard/mod.rs` says.
//! It adds what a real network, a real scheduler and a real disk add: bytes travel in pieces of any size,
//! messages between shards wait (in order for each pair), the store is late, a peer vanishes with bytes on
//! the way. It decides nothing by itself: the scenario says what moves next. The store is in `log.rs`, a crash
//! and what comes after it in `recovery.rs`.
//!
//! Two rules are checked here because only here both sides are visible: Session Present tells the truth, and
//! the bytes that wait for a client are bounded. That acknowledgements wait for the store and for the other
//! shards is checked in `promises.rs`, on the way in and on the way out.

mod log;
mod recovery;
mod promises;
mod wires;

use crate::history::History;
use crate::random::Random;
use dunlin_core::Shard;
use dunlin_core::identity::partition;
use dunlin_core::journal::{Position, Record, Segment, SessionNumber};
use dunlin_core::message::{MemoryGauge, MessageId};
use dunlin_core::peer::PeerMessage;
use dunlin_core::session::Place;
use dunlin_core::settings::{SessionExpiryInterval, Settings};
use dunlin_core::shard::{Holder, Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::tally::SubscriptionTally;
use dunlin_core::time::Timestamp;
use log::{Batch, Log};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use wires::Wire;

/// A shard, how far it has staged records, how far they are durable, and what it knows of that.
pub struct Node {
    pub shard: Shard,
    pub staged: u64,
    pub durable: u64,
    told: (u64, Segment),
}

/// What the broker has to remember about a client, as a reader of the specification would say.
#[derive(Default)]
struct Expectation {
    session: Option<usize>,
    wire: Option<usize>,
    expiry: Option<SessionExpiryInterval>,
    absent_since: Option<Timestamp>,
    /// The event with which that began.
    absent_event: u64,
    /// The Will of the absent client that is still to be published, and when.
    will: Option<(usize, Timestamp)>,
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
    /// By the same places: how many messages a shard has sent, and how many the other says it has applied.
    applied_counts: Vec<(u64, u64)>,
    by_key: HashMap<(usize, Key), usize>,
    expectations: HashMap<usize, Expectation>,
    /// On which other shards, and at which position, a message is kept.
    applied: HashMap<MessageId, Vec<(usize, u64)>>,
    log: Log,
    /// Messages that shards have asked the log for: shard, Session, and which.
    loads: VecDeque<(usize, Holder, Vec<Place>)>,
    /// What the shards of this life take in counts there.
    gauge: MemoryGauge,
    /// And what their clients subscribe to, here.
    pub subscriptions: SubscriptionTally,
    /// How often its oldest segments were vacated and deleted.
    pub vacated: usize,
    /// How often the log goes on in a new segment, in batches of a hundred.
    pub rolls_percent: u32,
    /// Which life of a Session has a number in records.
    numbers: HashMap<SessionNumber, usize>,
    /// The process's lives so far.
    life: u32,
    /// When last nothing was on its way between shards and to the disk.
    settled_at: u64,
    /// Whether to say what happens, for whoever investigates a seed.
    traces: bool,
    /// A planted fault: the shards are told that everything is durable.
    pub store_lies: bool,
    /// And what comes of that is to be noticed after a crash, not before.
    pub overlooks_lies: bool,
    /// A planted fault: at a crash the last durable batch is lost.
    pub forgets_batches: bool,
    /// A planted fault: segments are deleted while shards still have things there.
    pub deletes_early: bool,
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
        let mut world = Self {
            now: Timestamp::from_micros(1_700_000_000_000_000),
            random,
            history: History::default(),
            nodes: Vec::new(),
            wires: Vec::new(),
            mail: Vec::new(),
            applied_counts: Vec::new(),
            by_key: HashMap::new(),
            expectations: HashMap::new(),
            applied: HashMap::new(),
            log: Log::new(),
            loads: VecDeque::new(),
            gauge: MemoryGauge::default(),
            subscriptions: SubscriptionTally::default(),
            vacated: 0,
            rolls_percent: 0,
            numbers: HashMap::new(),
            life: 0,
            settled_at: 0,
            traces: std::env::var_os("DUNLIN_TRACE").is_some(),
            store_lies: false,
            overlooks_lies: false,
            forgets_batches: false,
            deletes_early: false,
            forgets_to_remove: false,
            settings,
        };
        world.renew(shards, MemoryGauge::default());
        world
    }

    /// Shards with nothing in them, and nothing between them: a life of the process begins.
    fn renew(&mut self, shards: u16, gauge: MemoryGauge) {
        let places = usize::from(shards * shards);
        self.mail = (0..places).map(|_| VecDeque::new()).collect();
        self.applied_counts = vec![(0, 0); places];
        self.by_key.clear();
        self.applied.clear();
        self.life += 1;
        self.subscriptions = SubscriptionTally::default();
        let node = |id| {
            let config = ShardConfig {
                id,
                shards,
                settings: self.settings.clone(),
                boot_epoch: self.life,
                gauge: gauge.clone(),
                subscriptions: self.subscriptions.clone(),
                ..ShardConfig::single(Settings::default())
            };
            Node { shard: Shard::new(config), staged: 0, durable: 0, told: (0, Segment(1)) }
        };
        self.nodes = (0..shards).map(node).collect();
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

    /// Takes everything a shard puts out, and returns its new records with their positions. The records go to
    /// the log before anybody hears of what they stand for.
    fn collect(&mut self, shard: usize) -> Vec<(u64, Record)> {
        let shards = self.nodes.len();
        let node = &mut self.nodes[shard];
        let mut records = Vec::new();
        while let Some(record) = node.shard.poll_record() {
            node.staged += 1;
            records.push((node.staged, record));
        }
        assert_eq!(node.shard.staged_position(), Position(node.staged));
        for (position, record) in &records {
            self.trace(|| {
                let number = record.message().map(|message| self.history.recognise(message.payload()));
                format!("shard {shard} records {position}: message {number:?}, {record:?}")
            });
        }
        let node = &mut self.nodes[shard];
        if !records.is_empty() {
            let (end, segment) = (node.staged, node.shard.journal_segment());
            let records = records.iter().map(|(_, record): &(u64, Record)| record.clone()).collect();
            self.log.hand_over(Batch { shard, end, segment, records });
        }
        for peer in 0..shards {
            while let Some(message) = node.shard.poll_peer(peer as u16) {
                let is_counted = !matches!(message, PeerMessage::Applied { .. } | PeerMessage::Settled(_));
                self.applied_counts[shard * shards + peer].0 += u64::from(is_counted);
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
                Output::Traced { .. } => {}
                Output::Resume { connection } => {
                    if let Some(wire) = self.by_key.get(&(shard, connection)) {
                        self.wires[*wire].is_paused = false;
                    }
                }
                Output::Close { connection, cause } => self.close(shard, connection, cause),
                Output::Vacated { before } => self.log.vacated(shard, before),
                Output::Load { holder, places } => {
                    self.trace(|| format!("shard {shard} asks for {places:x?} of {holder:?}"));
                    self.loads.push_back((shard, holder, places));
                }
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
                PeerMessage::Publish(message) | PeerMessage::PublishExactly(message) => Some(message.clone()),
                _ => None,
            };
            self.trace(|| match &message {
                PeerMessage::Publish(message)
                | PeerMessage::PublishExactly(message)
                | PeerMessage::GroupDeliver { message, .. } => {
                    format!(
                        "shard {from} -> {to}: message {:?} {:?}",
                        self.history.recognise(message.payload()),
                        message.id
                    )
                }
                other => format!("shard {from} -> {to}: {other:?}"),
            });
            if let PeerMessage::Applied { received: count, .. } = message {
                self.applied_counts[to * self.nodes.len() + from].1 = count;
            }
            self.nodes[to].shard.handle_peer(self.now, from as u16, message);
            let records = self.collect(to);
            if let Some(message) = published {
                self.note_applied(to, &message, &records);
            }
        }
        if count > 0 {
            self.nodes[to].shard.handle_peer_batch_end(from as u16);
            self.collect(to);
            self.note_settled();
        }
        count > 0
    }

    /// Time passes, and shards do what is due.
    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.note_due_wills();
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
        has_moved |= self.write_log(usize::MAX);
        for shard in 0..self.nodes.len() {
            has_moved |= self.do_due(shard);
            has_moved |= self.read_bodies(shard);
            has_moved |= self.tell(shard);
            for from in 0..self.nodes.len() {
                has_moved |= self.deliver_mail(from, shard, usize::MAX);
            }
        }
        has_moved
    }
}
