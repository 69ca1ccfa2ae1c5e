//! Sessions and their connections: everything a message passes between the router and a socket.
//!
//! [`Clients`] is the part of a shard that a delivery may touch while the router's match is still borrowed.
//! It sends packets, keeps the list of connections to flush, and owns the timers and the journal.

use super::client_index::ClientIndex;
use super::frames::Frames;
use super::latency::TurnClock;
use super::trace::Trace;
use super::{Counters, FollowUp, Holder, Output};
use crate::authorize::{Asked, Authorizer, Who};
use crate::connection::{Cause, Connection, Outbox};
use crate::identity::{ClientIdentifier, Identity};
use crate::journal::{Journal, Position, Record, SessionNumber};
use crate::message::{ApplicationMessage, MemoryGauge};
use crate::session::Session;
use crate::settings::Settings;
use crate::slots::{Key, Slots};
use crate::tally::SubscriptionTally;
use crate::time::Timestamp;
use crate::timers::{Timer, Timers};
use dunlin_codec::{
    Acknowledgement, Disconnect, PacketIdentifier, PacketType, ProtocolVersion, QoS, ReasonCode,
    SubscriptionFilter, UserProperties,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Empty outboxes kept for the next connection that needs one.
const POOL_MAX: usize = 256;

/// Bytes of them.
const POOL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// See the top of the file.
pub(crate) struct Clients {
    pub settings: Arc<Settings>,
    pub authorizer: Option<Arc<dyn Authorizer>>,
    pub sessions: Slots<Session>,
    pub by_identifier: ClientIndex,
    pub connections: Slots<Connection>,
    pub timers: Timers,
    pub journal: Journal,
    /// Connections whose acknowledgements wait for the store, by position.
    pub waiting_durable: VecDeque<(Position, Key)>,
    /// Messages that give up their bodies when they are durable: Session and place, by position.
    pub giving_up: VecDeque<(Position, Holder, u64)>,
    /// Connections that are closed when the store has what their DISCONNECT changed.
    pub waiting_close: VecDeque<(Position, Key, Cause)>,
    pub outputs: VecDeque<Output>,
    /// What the shard does before it returns to its caller.
    pub follow_ups: VecDeque<FollowUp>,
    pub wire: Wire,
    pub frames: Frames,
    pub counters: Counters,
    pub turn: TurnClock,
    /// What is watched; mostly nothing.
    pub trace: Option<Box<Trace>>,
    pub gauge: MemoryGauge,
    pub subscriptions: SubscriptionTally,
    /// A slow consumer that the publication being routed has run into.
    pub slow_consumer: Option<Key>,
}

/// What is to be written at the end of the turn, and the outboxes nobody uses.
#[derive(Default)]
pub(crate) struct Wire {
    pub dirty: Vec<Key>,
    /// Bytes appended to outboxes since the runtime last flushed.
    turn_bytes: usize,
    /// Where in its outbox the last packet was appended.
    last_at: usize,
    /// What letting messages wait counts beside them.
    pub queueing_bytes: usize,
    #[expect(clippy::vec_box, reason = "the boxes move between the pool and idle-small connections")]
    pool: Vec<Box<Outbox>>,
    /// What they hold.
    pool_bytes: usize,
}

/// Bytes for each connection that is written to, with which a turn is full: more in one write saves nothing, and
/// what waits for it leaves the processor's cache. With 4 MiB for ten of them, saturated QoS 0 took a fifth longer.
const TURN_BYTES_EACH: usize = 32 * 1024;

/// Bytes with which no turn is full, and with which every turn is, so that a large fan-out stays bounded.
const TURN_BYTES_MIN: usize = 256 * 1024;
const TURN_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Wire {
    /// Whether so much was routed in this turn that input waits for the flush.
    #[inline]
    pub fn is_turn_full(&self) -> bool {
        let enough = self.dirty.len().saturating_mul(TURN_BYTES_EACH);
        self.turn_bytes + self.queueing_bytes > enough.clamp(TURN_BYTES_MIN, TURN_BYTES_MAX)
    }

    /// Where in its outbox the last packet was appended.
    pub fn last_at(&self) -> usize {
        self.last_at
    }

    /// A turn ends: how many bytes were appended in it.
    pub fn take_turn_bytes(&mut self) -> usize {
        self.queueing_bytes = 0;
        std::mem::take(&mut self.turn_bytes)
    }

    /// Appends to the outbox of `connection`, whose key is `key`.
    #[inline]
    pub fn append(&mut self, key: Key, connection: &mut Connection, write: impl FnOnce(&mut Outbox)) {
        let outbox = connection.outbox.get_or_insert_with(|| {
            let pooled = self.pool.pop().unwrap_or_default();
            self.pool_bytes -= pooled.capacity();
            pooled
        });
        let before = outbox.len();
        self.last_at = outbox.end();
        write(outbox);
        self.turn_bytes += outbox.len() - before;
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(key);
        }
    }
}

impl Clients {
    pub fn new(
        settings: Arc<Settings>,
        authorizer: Option<Arc<dyn Authorizer>>,
        seed: u64,
        gauge: MemoryGauge,
        subscriptions: SubscriptionTally,
    ) -> Self {
        Self {
            journal: Journal::new(settings.durable),
            settings,
            authorizer,
            sessions: Slots::default(),
            by_identifier: ClientIndex::new(seed),
            connections: Slots::default(),
            timers: Timers::default(),
            waiting_durable: VecDeque::new(),
            giving_up: VecDeque::new(),
            waiting_close: VecDeque::new(),
            outputs: VecDeque::new(),
            follow_ups: VecDeque::new(),
            wire: Wire::default(),
            frames: Frames::default(),
            counters: Counters::default(),
            turn: TurnClock::default(),
            trace: None,
            gauge,
            subscriptions,
            slow_consumer: None,
        }
    }

    /// The Session of a connection.
    pub fn session_of(&mut self, connection: Key) -> Option<(Key, &mut Session)> {
        let session = self.connections.get(connection)?.session;
        self.sessions.get_mut(session).map(|value| (session, value))
    }

    /// The Session in a slot of the router, and the hash of its client identifier.
    #[inline]
    pub fn session_at(&self, index: u32) -> Option<(Key, u64)> {
        let key = self.sessions.key_at(index)?;
        self.sessions.at(index).map(|session| (key, session.identifier_hash))
    }

    /// The connection of a Session, if CONNACK has left and it is not closing.
    pub fn live_connection(&self, session: Key) -> Option<Key> {
        let key = self.sessions.get(session)?.connection?;
        self.connections.get(key).filter(|connection| connection.is_established && !connection.is_closing)?;
        Some(key)
    }

    /// Memory that messages and Sessions take, about.
    pub fn memory_bytes(&self) -> usize {
        self.gauge.bytes() + self.gauge.session_bytes()
    }

    /// The Session of a client.
    pub fn session_named(&self, client_identifier: &ClientIdentifier) -> Option<Key> {
        self.by_identifier.get(&self.sessions, client_identifier.as_str())
    }

    /// A new Session can be found by its client identifier.
    pub fn name_session(&mut self, session: Key) {
        if let Some(value) = self.sessions.get(session) {
            self.by_identifier.insert(&self.sessions, value.client_identifier.as_str(), session);
        }
    }

    /// Counts what a Session takes in memory anew.
    pub fn count_memory(&mut self, session: Key) {
        if let Some(value) = self.sessions.get_mut(session) {
            let size = value.size_bytes();
            let before = std::mem::replace(&mut value.counted_bytes, size);
            if before != size {
                self.gauge.note_session(before, size);
            }
        }
    }

    /// Tells the store something about a Session, if the store knows it.
    #[inline]
    pub fn record(&mut self, session: Key, record: impl FnOnce(SessionNumber, &Session) -> Record) {
        if let Some(value) = self.sessions.get(session)
            && let Some(number) = value.extras.number
        {
            self.journal.stage(|| record(number, value));
        }
    }

    /// The connection has something to send when everything before `position` is durable.
    pub fn wait_until_durable(&mut self, position: Position, connection: Key) {
        self.journal.wait_for(position);
        self.waiting_durable.push_back((position, connection));
    }

    /// Whether the Session's client may send such a message.
    pub fn may_publish(&mut self, session: Key, topic: &str, qos: QoS, retain: bool) -> bool {
        self.is_allowed(session, Asked::Publish { qos, retain }, topic)
    }

    /// Whether the Session's client may be sent a message of this topic.
    #[inline]
    pub fn may_receive(&mut self, session: Key, topic: &str) -> bool {
        self.is_allowed(session, Asked::Receive, topic)
    }

    #[inline]
    fn is_allowed(&mut self, session: Key, asked: Asked, topic: &str) -> bool {
        match self.authorizer.as_ref().map_or(0, |authorizer| authorizer.rules_version()) {
            0 => true,
            version => self.is_granted(version, session, asked, topic),
        }
    }

    /// What the authorizer answers, or has answered lately.
    #[inline(never)]
    fn is_granted(&mut self, version: u64, session: Key, asked: Asked, topic: &str) -> bool {
        let (Some(authorizer), Some(value)) = (&self.authorizer, self.sessions.get_mut(session)) else {
            return false;
        };
        if let Some(answer) = value.answers.as_ref().and_then(|answers| answers.get(version, asked, topic)) {
            return answer;
        }
        let client_identifier = value.client_identifier.as_str();
        let who = Who { client_identifier, identity: &value.identity };
        let is_granted = ask(&**authorizer, who, asked, topic);
        value.answers.get_or_insert_default().put(version, asked, topic, is_granted);
        is_granted
    }

    /// The highest QoS at which the Session's client may subscribe to this.
    pub fn allowed_qos(&self, session: Key, filter: SubscriptionFilter<'_>) -> Option<QoS> {
        let Some(authorizer) = self.authorizer.as_ref().filter(|authorizer| authorizer.rules_version() > 0)
        else {
            return Some(QoS::ExactlyOnce);
        };
        let value = self.sessions.get(session)?;
        let client_identifier = value.client_identifier.as_str();
        authorizer.may_subscribe(Who { client_identifier, identity: &value.identity }, filter)
    }

    /// Whether whoever wrote a Retained Message may still write it.
    pub fn may_stay_retained(&self, message: &ApplicationMessage) -> bool {
        let (Some(authorizer), Some(writer)) = (&self.authorizer, message.writer()) else {
            return true;
        };
        let client_identifier = writer.client_identifier.as_str();
        let who = Who { client_identifier, identity: &writer.identity };
        let asked = Asked::Publish { qos: message.qos, retain: true };
        authorizer.rules_version() == 0 || ask(&**authorizer, who, asked, message.topic())
    }

    /// Has the identity of a client looked at when it ends, unless that happens before anyway.
    pub fn arm_identity(&mut self, key: Key, valid_until: Timestamp) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.identity_timer_at.is_none_or(|at| valid_until < at) {
            connection.identity_timer_at = Some(valid_until);
            self.timers.arm(valid_until, Timer::Identity(key));
        }
    }

    /// Tells the authorizer what it will be asked about.
    pub fn note_policy(&self, identity: &Identity) {
        if let (Some(authorizer), Some(policy)) = (&self.authorizer, &identity.policy) {
            authorizer.note_policy(policy);
        }
    }

    /// Appends a packet to a connection's outbox and has it flushed at the end of the turn.
    #[inline]
    pub fn write(&mut self, key: Key, packet_type: PacketType, write: impl FnOnce(&mut Outbox)) {
        if let Some(connection) = self.connections.get_mut(key) {
            self.counters.packet_sent(connection.version, packet_type);
            self.wire.append(key, connection, write);
            if self.trace.is_some() {
                self.trace_sent(key, None);
            }
        }
    }

    /// Takes back an empty outbox: an idle connection owns no buffer.
    pub fn recycle(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if let Some(outbox) = connection.outbox.take_if(|outbox| outbox.is_empty())
            && outbox.is_poolable()
            && self.wire.pool.len() < POOL_MAX
            && self.wire.pool_bytes + outbox.capacity() <= POOL_BYTES_MAX
        {
            self.wire.pool_bytes += outbox.capacity();
            self.wire.pool.push(outbox);
        }
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    // spec(v5): [MQTT-2.2.1-5]
    // spec(v3.1.1): [MQTT-2.3.1-6]
    pub fn send_acknowledgement(
        &mut self,
        key: Key,
        packet_type: PacketType,
        packet_identifier: PacketIdentifier,
        reason_code: ReasonCode,
    ) {
        let Some(version) = self.connections.get(key).map(|connection| connection.version) else {
            return;
        };
        let acknowledgement = Acknowledgement {
            packet_identifier,
            reason_code,
            reason_string: None,
            user_properties: UserProperties::default(),
        };
        self.write(key, packet_type, |outbox| {
            outbox.encode(|bytes| acknowledgement.encode(packet_type, version, bytes))
        });
    }

    /// Tells the client why, where the version has words for it. What becomes of the Session is decided by the
    /// caller, before [`Self::finish_close`].
    // spec(v5): [MQTT-3.14.0-1] [MQTT-3.14.2-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.2-1]
    // spec(v3.1.1): [MQTT-4.8.0-1]
    pub fn begin_close(&mut self, key: Key, cause: Cause) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if std::mem::replace(&mut connection.is_closing, true) {
            return;
        }
        let may_tell = connection.version == ProtocolVersion::V5 && connection.is_established;
        let maximum = connection.maximum_packet_size_bytes as usize;
        let detail = connection.request_problem_information.then(|| cause.detail());
        if let Some(reason_code) = cause.reason_code().filter(|_| may_tell) {
            let bytes = disconnect_bytes(reason_code, detail, maximum);
            self.write(key, PacketType::Disconnect, |outbox| outbox.push(&bytes));
        }
        if cause == Cause::TransportLost
            && let Some(connection) = self.connections.get_mut(key)
        {
            connection.outbox = None;
        }
    }

    /// Closes the connections whose turn has come.
    pub fn close_waiting(&mut self) {
        while let Some((position, connection, cause)) = self.waiting_close.front().copied() {
            if !self.journal.is_durable(position) && !self.journal.has_failed() {
                return;
            }
            self.waiting_close.pop_front();
            self.outputs.push_back(Output::Close { connection, cause });
        }
    }

    /// Asks the runtime to close a connection after its last byte.
    pub fn finish_close(&mut self, key: Key, cause: Cause) {
        // A client that has said goodbye takes the end of the connection for the answer.
        let position = self.journal.position_of_input();
        let is_answer = matches!(cause, Cause::ClientDisconnected(_)) && !self.journal.is_durable(position);
        if is_answer && !self.journal.has_failed() {
            self.waiting_close.push_back((position, key, cause));
        } else {
            self.outputs.push_back(Output::Close { connection: key, cause });
        }
    }
}

/// A DISCONNECT with a Reason String, if the client welcomes one and it is not too large for it.
// spec(v5): [MQTT-3.1.2-29] [MQTT-3.14.2-1] [MQTT-3.14.2-3] [MQTT-3.1.2-24]
fn disconnect_bytes(
    reason_code: ReasonCode,
    detail: Option<&str>,
    maximum_packet_size_bytes: usize,
) -> Vec<u8> {
    for reason_string in [detail, None] {
        let mut bytes = Vec::new();
        Disconnect { reason_string, ..Disconnect::new(reason_code) }.encode(ProtocolVersion::V5, &mut bytes);
        if bytes.len() <= maximum_packet_size_bytes {
            return bytes;
        }
    }
    Vec::new()
}

fn ask(authorizer: &dyn Authorizer, who: Who<'_>, asked: Asked, topic: &str) -> bool {
    match asked {
        Asked::Publish { qos, retain } => authorizer.may_publish(who, topic, qos, retain),
        Asked::Receive => authorizer.may_receive(who, topic),
    }
}
