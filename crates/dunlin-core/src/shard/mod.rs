//! A shard: one partition of the broker, and the one place where Sessions, connections and the router meet.
//!
//! # Driving it
//!
//! The runtime owns a shard from one thread and repeats a *turn*:
//!
//! 1. feed inputs: [`handle_connect`](Shard::handle_connect) for an accepted CONNECT,
//!    [`handle_input`](Shard::handle_input) for bytes read, [`handle_lost`](Shard::handle_lost) for a
//!    connection that ended, [`handle_peer`](Shard::handle_peer) for what another shard said,
//!    [`handle_timeout`](Shard::handle_timeout) when [`poll_timeout`](Shard::poll_timeout) has passed,
//!    [`handle_durable`](Shard::handle_durable) when the store has advanced,
//!    [`handle_vacate`](Shard::handle_vacate) when it wants to forget its oldest records;
//! 2. then take the outputs until there are none: [`poll_record`](Shard::poll_record) for the store,
//!    [`poll_peer`](Shard::poll_peer) for the other shards, [`poll_flush`](Shard::poll_flush) for connections
//!    with bytes to write, [`poll_output`](Shard::poll_output) for the rest.
//!
//! Nothing is written while inputs are handled: many messages for one client become one write.
//!
//! # One file per packet
//!
//! `connect`, `publish`, `acknowledge`, `subscribe` (with UNSUBSCRIBE), `disconnect`, `reauthenticate`; what
//! several of them share is in `clients`, `deliver`, `send`, `pace`, `complete`, `retain`, `cleared`, `shared` and
//! `peers`; for the store, `restore` is the way back from an [`Image`](crate::image::Image), `vacate` says again what it
//! wants to forget, `load` has bodies that memory has no room for, `forward` is exactly once across shards, and
//! `park` is where 3.x clients wait while there is no room. `traceparent` tells of publications
//! that carry the context of a trace, and `trace` of clients and topics that an operator watches.

mod interface;
mod latency;
mod counters;
mod client_index;
mod clients;
mod deliver;
mod frames;
mod send;
mod pace;
mod complete;
mod connect;
mod publish;
mod park;
mod acknowledge;
mod subscribe;
mod retain;
mod cleared;
mod load;
mod forward;
mod vacate;
mod restore;
mod shared;
mod peers;
mod disconnect;
mod reauthenticate;
mod timeouts;
mod traceparent;
mod observe;
mod trace;
mod client_detail;
mod groups_page;
mod tap;
mod topic_counts;
mod operate;

pub use client_detail::{ClientDetail, InFlightView, QueuedView, SubscriptionPlace, SubscriptionView};
pub use counters::{Counters, DropReason, SubscriptionRefusal};
pub use groups_page::{GroupView, GroupsPage};
pub use interface::{Holder, NextInput, Output, Progress, ShardConfig, StoreState};
pub use latency::{LATENCY_BOUNDS_US, Latencies};
pub use observe::{ClientSight, ClientView, ConnectionView, LevelView};
pub use operate::{OwnMessage, Unpublished};
pub use tap::{TAPPED_MAX, Tapped};
pub use topic_counts::{TOPICS_MAX, TopicCount, TopicWindow, WINDOW_MIN};
pub use trace::{TraceEvent, TraceWish, Traced, TracedPacket};
pub use traceparent::TracedPublication;

use crate::connection::{Cause, Connection, Outbox};
use crate::group::{Group, Ticket};
use crate::identity::{ClientIdentifier, ShardId};
use crate::journal::{GroupNumber, Position, Record, Segment};
use crate::message::MemoryGauge;
use crate::peer::{PeerMessage, Peers};
use crate::retained::RetainedTree;
use crate::router::Router;
use crate::settings::Settings;
use crate::slots::{Key, Slots};
use crate::time::Timestamp;
use cleared::Cleared;
use clients::Clients;
use complete::Answer;
use dunlin_codec::{MalformedPacket, Packet, PacketType, ReasonCode, Split, decode, split};
use foldhash::fast::FixedState;
use forward::Forwards;
use hashbrown::HashMap;
use park::Parking;
use retain::Kept;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use tap::Taps;
use vacate::Vacating;

/// Topics whose routes are remembered.
const MATCH_CACHE_TOPICS: usize = 16 * 1024;

/// What the shard itself still has to do, decided while something was borrowed.
#[derive(Debug)]
pub(crate) enum FollowUp {
    /// A message of a shared group is finished with.
    TicketDone { session: Key, ticket: Ticket },
    /// A policy wants this connection closed.
    Disconnect { connection: Key, cause: Cause },
}

/// A packet that must not be: what to tell the client, and the statement that says so.
pub(crate) type Violation = MalformedPacket;

/// See the module.
pub struct Shard {
    clients: Clients,
    router: Router,
    retained: RetainedTree<Kept>,
    retained_bytes: usize,
    /// Topics of the broker's own among them (`$SYS`), whose bytes do not count.
    reserved_retained: usize,
    /// Topics cleared lately, so that an older message from another shard does not come back.
    cleared: Cleared,
    /// When Retained Messages expire.
    retained_expiries: BTreeSet<(Timestamp, Box<str>)>,
    /// When the next of them is looked at.
    retained_timer_at: Option<Timestamp>,
    /// Sessions whose Retained Messages go on in the next turn.
    retained_continues: VecDeque<Key>,
    groups: Slots<Group>,
    groups_by_name: HashMap<Arc<str>, Key, FixedState>,
    groups_by_number: HashMap<GroupNumber, Key, FixedState>,
    /// The last number given to a Session or a group, before it is made this shard's own.
    last_number: u64,
    /// What is left of the store's wish that its oldest segments be vacated.
    vacating: Option<Vacating>,
    store_state: StoreState,
    parking: Parking,
    forwards: Forwards,
    peers: Peers,
    boot_epoch: u32,
    last_message_at: Timestamp,
    /// Sessions whose end is not durable yet, by the hash of the client identifier: one for each such record.
    ended_sessions: HashMap<u64, Position, FixedState>,
    /// Peers that hear up to which of their messages the store has what they made this shard record, by
    /// position.
    waiting_settled: VecDeque<(Position, ShardId, u64)>,
    /// Connections whose SUBACK waits for groups, and for how many, by token.
    waiting_joins: HashMap<u64, (Key, u32), FixedState>,
    next_token: u64,
    /// Answers owed to peers.
    answers: VecDeque<Answer>,
    /// Forwarded properties of the publication being routed.
    forwarded: Vec<u8>,
    /// Who listens to what is published here, or counts it, without being a client.
    taps: Taps,
}

impl Shard {
    /// An empty shard.
    pub fn new(config: ShardConfig) -> Self {
        let hasher = FixedState::with_seed(config.seed);
        Self {
            clients: Clients::new(
                config.settings,
                config.authorizer,
                config.seed,
                config.gauge,
                config.subscriptions,
            ),
            router: Router::new(config.seed, MATCH_CACHE_TOPICS),
            retained: RetainedTree::new(),
            retained_bytes: 0,
            reserved_retained: 0,
            cleared: Cleared::new(&hasher),
            retained_expiries: BTreeSet::new(),
            retained_timer_at: None,
            retained_continues: VecDeque::new(),
            groups: Slots::default(),
            groups_by_name: HashMap::with_hasher(hasher.clone()),
            groups_by_number: HashMap::with_hasher(hasher.clone()),
            last_number: 0,
            vacating: None,
            store_state: StoreState::default(),
            parking: Parking::default(),
            forwards: Forwards::default(),
            peers: Peers::new(config.id, config.shards),
            boot_epoch: config.boot_epoch,
            last_message_at: Timestamp::ZERO,
            ended_sessions: HashMap::with_hasher(hasher.clone()),
            waiting_settled: VecDeque::new(),
            waiting_joins: HashMap::with_hasher(hasher.clone()),
            next_token: 0,
            answers: VecDeque::new(),
            forwarded: Vec::new(),
            taps: Taps::default(),
        }
    }

    /// Takes bytes that were read from a connection.
    pub fn handle_input(&mut self, now: Timestamp, connection: Key, input: &[u8]) -> Progress {
        self.clients.turn.begin(now);
        let mut consumed = 0;
        let next = loop {
            let Some(value) = self.clients.connections.get_mut(connection).filter(|value| !value.is_closing)
            else {
                consumed = input.len();
                break NextInput::Close;
            };
            if value.is_paused {
                break NextInput::Pause;
            }
            // Nothing is answered before CONNACK; who reads no answers, or is owed many, asks no more
            // questions.
            // spec(v5): [MQTT-3.2.0-1]
            // spec(v3.1.1): [MQTT-3.2.0-1]
            let settings = &self.clients.settings;
            if !value.is_established
                || value.outbox_bytes() > 2 * settings.outbox_bytes_max
                || value.owed_answers() > usize::from(settings.receive_maximum)
            {
                if !std::mem::replace(&mut value.is_held, true) {
                    // It speaks, if unheard.
                    value.silent_since = now;
                }
                break NextInput::Pause;
            }
            if self.clients.wire.is_turn_full() {
                break NextInput::Yield;
            }
            let (version, size_max) = (value.version, value.accepted_packet_size_bytes);
            let result = match split(input.get(consumed..).unwrap_or_default(), size_max) {
                Ok(Split::Incomplete { packet_length }) => {
                    // A packet is at most 268,435,460 bytes long.
                    break NextInput::Read { packet_length: packet_length.map(|length| length as u32) };
                }
                Ok(Split::Packet { frame, length }) => {
                    let bytes = input.get(consumed..consumed + length).unwrap_or_default();
                    consumed += length;
                    match &decode(frame, version) {
                        Ok(Packet::Publish(publish)) if self.park(connection, bytes, publish) => Ok(()),
                        Ok(packet @ Packet::Publish(_)) => self.handle_packet(now, connection, packet),
                        Ok(packet) => {
                            if self.clients.trace.is_some() {
                                self.clients.trace_received(connection, None, bytes);
                            }
                            self.clients.counters.packet_received(version, packet.packet_type());
                            self.handle_packet(now, connection, packet)
                        }
                        Err(violation) => Err(*violation),
                    }
                }
                Err(error) => Err(error),
            };
            self.finish_packet(now, connection, result);
        };
        self.clients.counters.bytes_received += consumed as u64;
        // Only whole packets count for Keep Alive: a byte now and then is not a client that lives.
        if consumed > 0
            && let Some(value) = self.clients.connections.get_mut(connection)
        {
            value.silent_since = now;
        }
        Progress { consumed, next }
    }

    /// A packet was handled, or must not be.
    // spec(v5): [MQTT-4.13.1-1]
    // spec(v3.1.1): [MQTT-4.8.0-1]
    fn finish_packet(&mut self, now: Timestamp, connection: Key, result: Result<(), Violation>) {
        if let Err(Violation { reason_code, statement, detail }) = result {
            self.end_connection(now, connection, Cause::Violation { reason_code, detail, statement });
        }
        self.run_follow_ups(now);
    }

    fn handle_packet(
        &mut self,
        now: Timestamp,
        connection: Key,
        packet: &Packet<'_>,
    ) -> Result<(), Violation> {
        self.clients.journal.begin_input();
        match packet {
            Packet::Publish(publish) => self.handle_publish(now, connection, publish),
            Packet::PubAck(packet) => self.handle_puback(now, connection, *packet),
            Packet::PubRec(packet) => self.handle_pubrec(now, connection, *packet),
            Packet::PubRel(packet) => self.handle_pubrel(now, connection, *packet),
            Packet::PubComp(packet) => self.handle_pubcomp(now, connection, *packet),
            Packet::Subscribe(subscribe) => self.handle_subscribe(now, connection, *subscribe),
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(now, connection, *unsubscribe),
            // spec(v5): [MQTT-3.12.4-1]
            // spec(v3.1.1): [MQTT-3.12.4-1]
            Packet::PingReq => {
                self.clients.write(connection, PacketType::PingResp, |outbox| outbox.push(&[0xD0, 0]));
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.handle_disconnect(now, connection, *disconnect),
            Packet::Auth(auth) => self.handle_auth(connection, *auth),
            // spec(v5): [MQTT-3.1.0-2]
            // spec(v3.1.1): [MQTT-3.1.0-2]
            Packet::Connect(_) => Err(protocol_error("MQTT-3.1.0-2", "a second CONNECT")),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(protocol_error("4.13", "a packet that only a Server sends"))
            }
        }
    }

    fn run_follow_ups(&mut self, now: Timestamp) {
        while let Some(follow_up) = self.clients.follow_ups.pop_front() {
            match follow_up {
                FollowUp::TicketDone { session, ticket } => self.ticket_done(now, session, ticket),
                FollowUp::Disconnect { connection, cause } => self.end_connection(now, connection, cause),
            }
        }
    }

    /// A connection with bytes to write; each once per turn.
    pub fn poll_flush(&mut self) -> Option<Key> {
        loop {
            let Some(key) = self.clients.wire.dirty.pop() else {
                self.clients.counters.bytes_sent += self.clients.wire.take_turn_bytes() as u64;
                return None;
            };
            if let Some(connection) = self.clients.connections.get_mut(key) {
                connection.is_dirty = false;
                return Some(key);
            }
        }
    }

    /// Whether [`Self::poll_flush`] has anything.
    pub fn has_flush(&self) -> bool {
        !self.clients.wire.dirty.is_empty()
    }

    /// The bytes that wait for a connection; none when there are none.
    pub fn outbox(&mut self, connection: Key) -> Option<&mut Outbox> {
        self.clients.connections.get_mut(connection)?.outbox.as_deref_mut()
    }

    /// The network took of the connection's outbox what it could: what waited for that goes on.
    pub fn handle_flushed(&mut self, now: Timestamp, connection: Key) {
        self.note_progress(now, connection);
        self.clients.recycle(connection);
        if self.clients.has_caught_up(connection) {
            self.caught_up(connection);
        }
        // However long its queue is: what fits is sent, or nothing would ever shorten it.
        let mark = self.clients.settings.outbox_bytes_max / 2;
        if self.connection(connection).is_some_and(|value| value.outbox_bytes() <= mark) {
            self.let_go(now, connection);
        }
        if !self.clients.outbox_has_room(connection) {
            return;
        }
        if let Some((session, value)) = self.clients.session_of(connection)
            && (!value.outbound.queue().is_empty()
                || value.outbound.owes_resend()
                || value.is_busy
                || !value.extras.retained.is_empty())
        {
            self.pump(now, session);
            self.run_follow_ups(now);
        }
    }

    /// Who is not read because it does not read shows by reading that it lives. That a write was tried shows
    /// nothing.
    fn note_progress(&mut self, now: Timestamp, key: Key) {
        if let Some(connection) = self.clients.connections.get_mut(key)
            && connection.outbox.as_mut().is_some_and(|outbox| outbox.take_progress())
            && connection.is_held
        {
            connection.silent_since = now;
        }
    }

    /// Input that was held back for the sake of this connection itself may come.
    fn let_go(&mut self, now: Timestamp, key: Key) {
        if let Some(connection) = self.clients.connections.get_mut(key)
            && connection.is_established
            && std::mem::take(&mut connection.is_held)
        {
            // What it sent meanwhile is still to be read.
            connection.silent_since = now;
            self.clients.outputs.push_back(Output::Resume { connection: key });
        }
    }

    /// The runtime does not read this connection for a while. That is not its silence.
    pub fn handle_unread(&mut self, key: Key) {
        if let Some(connection) = self.clients.connections.get_mut(key) {
            connection.is_unread = true;
        }
    }

    /// It reads it again.
    pub fn handle_read_again(&mut self, now: Timestamp, key: Key) {
        if let Some(connection) = self.clients.connections.get_mut(key)
            && std::mem::take(&mut connection.is_unread)
        {
            connection.silent_since = now;
        }
    }

    /// Whether input of this connection waits for [`Output::Resume`].
    pub fn is_paused(&self, connection: Key) -> bool {
        self.connection(connection)
            .is_some_and(|value| !value.is_closing && (value.is_paused || value.is_held))
    }

    /// What the runtime is asked to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.clients.outputs.pop_front()
    }

    /// The next message for a peer.
    pub fn poll_peer(&mut self, peer: ShardId) -> Option<PeerMessage> {
        self.peers.link(peer)?.poll()
    }

    /// The next record for the store.
    pub fn poll_record(&mut self) -> Option<Record> {
        self.clients.journal.poll()
    }

    /// The position after all records taken so far.
    pub fn staged_position(&self) -> Position {
        self.clients.journal.position()
    }

    /// Up to where the store should write at once; what comes after that has time.
    pub fn awaited_position(&self) -> Position {
        self.clients.journal.awaited()
    }

    /// The segment in which the records are written at the earliest.
    pub fn journal_segment(&self) -> Segment {
        self.clients.journal.segment()
    }

    /// A number for a Session or a group that no other shard gives.
    fn take_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number * u64::from(self.peers.count()) + u64::from(self.peers.own)
    }

    /// What the store can do at present.
    pub fn handle_store_state(&mut self, now: Timestamp, state: StoreState) {
        self.store_state = state;
        if state == StoreState::Failed {
            self.clients.journal.fail();
            self.resume_slowed_by_store();
            self.clients.close_waiting();
        }
        if state != StoreState::Full {
            self.unpark(now);
        }
    }

    /// Forgets a connection whose last byte is written, or cannot be.
    pub fn remove(&mut self, connection: Key) {
        self.take_parked(connection);
        let Some(value) = self.clients.connections.remove(connection) else {
            return;
        };
        if value.keep_alive_s > 0 {
            self.clients.timers.forget();
        }
        if value.identity_timer_at.is_some() {
            self.clients.timers.forget();
        }
        self.sweep_timers();
    }

    /// The client identifier behind a connection.
    pub fn client_identifier(&self, connection: Key) -> Option<&ClientIdentifier> {
        let session = self.clients.connections.get(connection)?.session;
        self.clients.sessions.get(session).map(|session| &session.client_identifier)
    }

    /// Goes on with other settings, from the next packet on. `receive_maximum` and `topic_alias_maximum` must be the
    /// same, because connected clients hold the Server to them; so must `durable`. What is beyond a limit that has
    /// become smaller stays.
    pub fn handle_settings(&mut self, settings: Arc<Settings>) {
        self.clients.settings = settings;
    }

    /// Its settings.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.clients.settings)
    }

    /// Sessions, connected or not.
    pub fn sessions_count(&self) -> usize {
        self.clients.sessions.len()
    }

    /// Connections, those about to close included.
    pub fn connections_count(&self) -> usize {
        self.clients.connections.len()
    }

    /// Subscriptions, the interest of peers included.
    pub fn subscriptions_count(&self) -> usize {
        self.router.subscriptions_count()
    }

    /// Retained Messages.
    pub fn retained_count(&self) -> usize {
        self.retained.len()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.clients.counters
    }

    /// Counts the bytes of messages that this shard took in and somebody keeps.
    pub fn memory_gauge(&self) -> &MemoryGauge {
        &self.clients.gauge
    }

    fn connection(&self, key: Key) -> Option<&Connection> {
        self.clients.connections.get(key)
    }
}

/// A Protocol Error (0x82).
pub(crate) fn protocol_error(statement: &'static str, detail: &'static str) -> Violation {
    Violation { reason_code: ReasonCode::ProtocolError, statement, detail }
}
