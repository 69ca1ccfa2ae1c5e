//! A broker in memory: `dunlin_core` shards, virtual time, no threads.
//!
//! Every call runs until nothing is left to do, so what has not come by then does not come. Records of the
//! store become durable one step after everything else has come to rest, or when the script lets them: an
//! acknowledgement that does not wait for them is seen. What was durable is all that a crash leaves.

use crate::decode::frame_length;
use crate::run::{Driver, Received};
use crate::script::Setup;
use crate::setup::{Questions, Rules, announced, settings, verify};
use crate::value::Value;
use dunlin_codec::{ReasonCode, Split, split};
use dunlin_core::authenticate::Mechanisms;
use dunlin_core::authorize::Authorizer;
use dunlin_core::handshake::{Handshake, Next, refusal_bytes};
use dunlin_core::identity::partition;
use dunlin_core::image::Image;
use dunlin_core::journal::{Position, Record, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, Publication};
use dunlin_core::session::Place;
use dunlin_core::settings::Settings;
use dunlin_core::shard::{NextInput, Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::{Shard, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A rule of thumb for an end: a broker that is still busy after so many rounds goes round in circles.
const ROUNDS_MAX: usize = 100_000;

/// Where a connection is.
enum Stage {
    Handshake(Box<Handshake>),
    Accepted { shard: usize, key: Key },
    Closed,
}

/// A client's connection, both ends.
struct Link {
    stage: Stage,
    /// From the client, not consumed by the broker.
    unread: Vec<u8>,
    /// From the broker, not taken by the script.
    received: Vec<u8>,
    /// A packet has come in part: nothing to do before more comes.
    is_starved: bool,
    is_paused: bool,
    does_read: bool,
}

/// See the top of the file.
pub struct Memory {
    settings: Arc<Settings>,
    credentials: Option<(String, Vec<u8>)>,
    authorizer: Option<Arc<dyn Authorizer>>,
    shards: Vec<Shard>,
    durable: Vec<Position>,
    /// Records of each shard that are not durable.
    staged: Vec<Vec<Record>>,
    /// Those that are, if they will be needed.
    log: Vec<Record>,
    keeps_log: bool,
    /// What is in the store, by location, if it will be read.
    bodies: HashMap<u64, ApplicationMessage>,
    keeps_bodies: bool,
    is_store_held: bool,
    now: Timestamp,
    links: BTreeMap<String, Link>,
    /// Counts up, which is random enough for identifiers that must differ.
    random: u128,
}

impl Memory {
    /// A broker of so many shards. The error names a setting that does not exist.
    pub fn new(setup: &Setup, shards: u16, is_durable: bool) -> Result<Self, String> {
        let settings = Arc::new(settings(setup, is_durable)?);
        let rules = Rules(setup.denied.clone());
        let authorizer = (!setup.denied.is_empty()).then(|| Arc::new(rules) as Arc<dyn Authorizer>);
        Ok(Self {
            credentials: setup.credentials.clone(),
            shards: (0..shards).map(|id| shard(id, shards, &settings, authorizer.as_ref())).collect(),
            authorizer,
            durable: vec![Position::default(); usize::from(shards)],
            staged: (0..shards).map(|_| Vec::new()).collect(),
            log: Vec::new(),
            keeps_log: setup.has_crash,
            bodies: HashMap::new(),
            keeps_bodies: settings.body_memory_bytes == 0,
            is_store_held: false,
            now: Timestamp::from_micros(1_700_000_000_000_000),
            links: BTreeMap::new(),
            random: 1,
            settings,
        })
    }

    /// Runs until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let was_busy =
                self.read_all() | self.exchange() | self.flush_all() | self.outputs() | self.timeouts();
            if !was_busy && !self.make_durable() {
                return;
            }
        }
        panic!("the broker does not come to rest");
    }

    fn read_all(&mut self) -> bool {
        let names: Vec<String> = self.links.keys().cloned().collect();
        names.iter().fold(false, |was_busy, name| was_busy | self.read(name))
    }

    /// Feeds the broker what a client has sent, once.
    fn read(&mut self, name: &str) -> bool {
        let Some(link) = self
            .links
            .get_mut(name)
            .filter(|link| !link.unread.is_empty() && !link.is_paused && !link.is_starved)
        else {
            return false;
        };
        match &mut link.stage {
            Stage::Closed => link.unread.clear(),
            Stage::Accepted { shard, key } => {
                let progress = self.shards[*shard].handle_input(self.now, *key, &link.unread);
                link.unread.drain(..progress.consumed);
                match progress.next {
                    NextInput::Read { .. } => link.is_starved = true,
                    NextInput::Pause => link.is_paused = true,
                    NextInput::Yield => {}
                    NextInput::Close => link.unread.clear(),
                }
            }
            Stage::Handshake(handshake) => {
                self.random += 1;
                let (next, length) = match split(&link.unread, self.settings.maximum_packet_size_bytes) {
                    Err(error) => (handshake.handle_malformed(error), link.unread.len()),
                    Ok(Split::Incomplete { .. }) => {
                        link.is_starved = true;
                        return false;
                    }
                    Ok(Split::Packet { frame, length }) => {
                        let questions: Arc<dyn Mechanisms> = Arc::new(Questions);
                        (handshake.handle_frame(frame, &self.settings, &questions, self.random), length)
                    }
                };
                link.unread.drain(..length);
                let next = match next {
                    Next::Verify => verify(handshake, self.credentials.as_ref()),
                    next => next,
                };
                self.go_on(name, next);
            }
        }
        true
    }

    fn go_on(&mut self, name: &str, next: Next) {
        let Some(link) = self.links.get_mut(name) else {
            return;
        };
        match next {
            Next::Read(bytes) => link.received.extend(bytes),
            Next::Refused(bytes, _) => {
                link.received.extend(bytes);
                link.stage = Stage::Closed;
            }
            Next::Accepted(request) => {
                let shard =
                    usize::from(partition(request.client_identifier.as_str(), self.shards.len() as u16));
                if !self.shards[shard].may_leave_will(&request) {
                    let (version, maximum) = (request.version, request.maximum_packet_size_bytes);
                    link.received.extend(refusal_bytes(
                        version,
                        ReasonCode::NotAuthorized,
                        Some("the Will is not allowed"),
                        maximum,
                    ));
                    link.stage = Stage::Closed;
                    return;
                }
                let key = self.shards[shard].handle_connect(self.now, *request);
                link.stage = Stage::Accepted { shard, key };
            }
            Next::Verify => unreachable!("credentials are verified before"),
        }
    }

    /// Carries what shards say to each other.
    fn exchange(&mut self) -> bool {
        let mut was_busy = false;
        for from in 0..self.shards.len() {
            for to in 0..self.shards.len() {
                let mut has_messages = false;
                while let Some(message) = self.shards[from].poll_peer(to as u16) {
                    self.shards[to].handle_peer(self.now, from as u16, message);
                    has_messages = true;
                }
                if has_messages {
                    self.shards[to].handle_peer_batch_end(from as u16);
                }
                was_busy |= has_messages;
            }
        }
        was_busy
    }

    fn flush_all(&mut self) -> bool {
        let mut was_busy = false;
        for shard in 0..self.shards.len() {
            while let Some(key) = self.shards[shard].poll_flush() {
                was_busy |= self.flush(shard, key);
            }
        }
        was_busy
    }

    fn flush(&mut self, shard: usize, key: Key) -> bool {
        let link = self.links.values_mut().find(
            |link| matches!(link.stage, Stage::Accepted { shard: other, key: other_key } if (other, other_key) == (shard, key)),
        );
        let (Some(link), Some(outbox)) = (link, self.shards[shard].outbox(key)) else {
            return false;
        };
        if !link.does_read {
            return false;
        }
        let before = link.received.len();
        outbox.chunks().for_each(|chunk| link.received.extend_from_slice(chunk));
        outbox.advance(link.received.len() - before);
        self.shards[shard].handle_flushed(self.now, key);
        true
    }

    fn outputs(&mut self) -> bool {
        let mut was_busy = false;
        for shard in 0..self.shards.len() {
            while let Some(output) = self.shards[shard].poll_output() {
                was_busy = true;
                if let Output::Load { holder, places } = output {
                    let read = |place: Place| (place.order, self.bodies.get(&place.location).map(copy));
                    let messages = places.into_iter().map(read).collect();
                    self.shards[shard].handle_loaded(self.now, holder, messages);
                    continue;
                }
                let (Output::Close { connection: key, .. } | Output::Resume { connection: key }) = output
                else {
                    continue;
                };
                self.flush(shard, key);
                let link = self.links.values_mut().find(
                    |link| matches!(link.stage, Stage::Accepted { shard: other, key: other_key } if (other, other_key) == (shard, key)),
                );
                match (output, link) {
                    (Output::Resume { .. }, Some(link)) => link.is_paused = false,
                    (Output::Resume { .. } | Output::Refused { .. }, _) => {}
                    (Output::Vacated { .. } | Output::Load { .. } | Output::Traced { .. }, _) => {}
                    (Output::Close { .. }, link) => {
                        self.shards[shard].remove(key);
                        if let Some(link) = link {
                            link.stage = Stage::Closed;
                        }
                    }
                }
            }
        }
        was_busy
    }

    fn timeouts(&mut self) -> bool {
        let now = self.now;
        let due = |shard: &&mut Shard| shard.poll_timeout().is_some_and(|at| at <= now);
        self.shards.iter_mut().filter(due).map(|shard| shard.handle_timeout(now)).count() > 0
    }

    fn make_durable(&mut self) -> bool {
        let mut was_busy = false;
        for ((shard, durable), waiting) in self.shards.iter_mut().zip(&mut self.durable).zip(&mut self.staged)
        {
            waiting.extend(std::iter::from_fn(|| shard.poll_record()));
            let staged = shard.staged_position();
            if !self.is_store_held && staged > *durable {
                *durable = staged;
                for message in waiting.iter().filter_map(Record::message).filter(|it| it.location() == 0) {
                    let location = u64::from(SEGMENT.0) << 32 | (self.bodies.len() as u64 + 1);
                    message.set_location(location);
                    if self.keeps_bodies {
                        self.bodies.insert(location, copy(message));
                    }
                }
                // A log in memory would count as memory for messages.
                if self.keeps_log {
                    self.log.append(waiting)
                } else {
                    waiting.clear()
                }
                shard.handle_durable(self.now, staged, SEGMENT);
                was_busy = true;
            }
        }
        was_busy
    }
}

/// The same message, as the store gives it back: it counts as memory elsewhere.
fn copy(message: &ApplicationMessage) -> ApplicationMessage {
    let elsewhere = MemoryGauge::default();
    let (id, qos, retain) = (message.id, message.qos, message.retain);
    let mut publication = Publication::new(id, message.topic(), qos, retain);
    (publication.publisher, publication.expires_at) = (message.publisher, message.expires_at);
    (publication.forwarded, publication.payload) = (message.forwarded(), message.payload());
    let copy = publication.keep(&elsewhere);
    copy.set_location(message.location());
    copy
}

/// There is one segment, and it is never left.
const SEGMENT: Segment = Segment(1);

fn shard(id: u16, shards: u16, settings: &Arc<Settings>, authorizer: Option<&Arc<dyn Authorizer>>) -> Shard {
    Shard::new(ShardConfig {
        id,
        shards,
        authorizer: authorizer.cloned(),
        seed: 7,
        boot_epoch: 1,
        ..ShardConfig::single(Settings::clone(settings))
    })
}

impl Driver for Memory {
    fn send(&mut self, client: &str, bytes: &[u8]) -> Result<(), String> {
        let maximum = self.settings.maximum_packet_size_bytes;
        let link = self.links.entry(client.to_owned()).or_insert_with(|| Link {
            stage: Stage::Handshake(Box::new(Handshake::new(maximum))),
            unread: Vec::new(),
            received: Vec::new(),
            is_starved: false,
            is_paused: false,
            does_read: true,
        });
        link.unread.extend_from_slice(bytes);
        link.is_starved = false;
        self.settle();
        Ok(())
    }

    fn receive(&mut self, clients: &[String]) -> Result<(String, Received), String> {
        for client in clients {
            if let Some(received) = self.received_already(client) {
                return Ok((client.clone(), received));
            }
        }
        Ok((clients[0].clone(), Received::Nothing))
    }

    fn received_already(&mut self, client: &str) -> Option<Received> {
        let link = self.links.get_mut(client)?;
        // A packet of which only a part has come goes to the script as it is, which says what is wrong with
        // it.
        let length = frame_length(&link.received).ok().flatten().unwrap_or(link.received.len());
        match (length, &link.stage) {
            (1.., _) => Some(Received::Packet(link.received.drain(..length).collect())),
            (0, Stage::Closed) => Some(Received::Close),
            (0, _) => None,
        }
    }

    fn catch_up(&mut self, clients: &[String]) -> Result<(), String> {
        // Every call settles, so there is nothing to wait for; that a connection still answers is worth
        // asking.
        for client in clients {
            let before = self.links.get(client).map_or(0, |link| link.received.len());
            self.send(client, &[0xC0, 0])?;
            let link = self.links.get_mut(client).filter(|link| !matches!(link.stage, Stage::Closed));
            if let Some(link) = link
                && link.received.split_off(before) != [0xD0, 0]
            {
                return Err(format!("{client} got no PINGRESP"));
            }
        }
        Ok(())
    }

    fn let_pass(&mut self, _last: &str) -> Result<(), String> {
        Ok(())
    }

    fn cut(&mut self, client: &str) {
        if let Some(Link { stage: Stage::Accepted { shard, key }, .. }) = self.links.remove(client) {
            self.shards[shard].handle_lost(self.now, key);
        }
        self.settle();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let next = self.shards.iter().filter_map(Shard::poll_timeout).min().filter(|at| *at <= end);
            let Some(next) = next else {
                break;
            };
            self.now = next.max(self.now);
        }
        self.now = end;
    }

    fn set_reading(&mut self, client: &str, does_read: bool) {
        let Some(link) = self.links.get_mut(client) else {
            return;
        };
        link.does_read = does_read;
        if let (true, Stage::Accepted { shard, key }) = (does_read, &link.stage) {
            let (shard, key) = (*shard, *key);
            self.flush(shard, key);
        }
        self.settle();
    }

    fn hold_store(&mut self, is_held: bool) {
        self.is_store_held = is_held;
        self.settle();
    }

    fn stop(&mut self) {
        for shard in &mut self.shards {
            shard.disconnect_all(self.now, ReasonCode::ServerShuttingDown, "the server is shutting down");
        }
        self.settle();
    }

    fn crash(&mut self, downtime: Duration) {
        let ended_at = self.now;
        self.now = self.now + downtime;
        self.links.clear();
        let mut image = Image::default();
        for record in &self.log {
            image.apply(record.clone(), SEGMENT);
        }
        let count = self.shards.len() as u16;
        self.staged.iter_mut().for_each(Vec::clear);
        self.durable.fill(Position::default());
        self.shards =
            (0..count).map(|id| shard(id, count, &self.settings, self.authorizer.as_ref())).collect();
        for (shard, part) in self.shards.iter_mut().zip(image.split(count)) {
            shard.restore(self.now, part, ended_at);
        }
        // What shards tell each other at the start comes before anything else.
        while self.exchange() {}
        self.settle();
    }

    fn announced(&self) -> Vec<(String, Value)> {
        announced(&self.settings)
    }
}
