//! Watching single clients or topics: packets in and out, and what was decided about them.
//!
//! Off, it costs one look at an empty pointer a packet. On, what is wanted is copied, bounded in size and number, and
//! taken by the runtime after the turn ([`Shard::poll_trace`]), which decodes it for people: nothing here formats
//! anything. Whoever reads too slowly is told how much was left out.

use super::clients::Clients;
use super::{DropReason, Shard};
use crate::authorize::{Right, Who};
use crate::identity::ClientIdentifier;
use crate::slots::Key;
use dunlin_codec::{ProtocolVersion, ReasonCode, TopicFilter, TopicName};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::collections::VecDeque;

/// Bytes of a packet that are kept.
const PACKET_BYTES_MAX: usize = 4 * 1024;

/// Events that wait for the end of the turn.
const EVENTS_MAX: usize = 4 * 1024;

/// Who and what is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceWish {
    /// Clients, by identifier.
    pub clients: Vec<ClientIdentifier>,
    /// Connections.
    pub connections: HashSet<Key, FixedState>,
    /// Messages whose topics match one of these Topic Filters, whoever sends or gets them.
    pub topic_filters: Vec<Box<str>>,
}

/// Something that happened to a client that is watched, or to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// Whose.
    pub client: ClientIdentifier,
    /// Its connection, if it has one.
    pub connection: Option<Key>,
    /// The topic of the message, where one is concerned.
    pub topic: Option<Box<str>>,
    /// What happened.
    pub traced: Traced,
}

/// See [`TraceEvent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traced {
    /// A packet came.
    Received(TracedPacket),
    /// A packet was handed to the connection.
    Sent(TracedPacket),
    /// What the client wanted was not accepted.
    Refused {
        /// The code told to it.
        reason_code: ReasonCode,
        /// The rule that decided, in its own words, if one did.
        rule: Option<String>,
    },
    /// A message did not reach the client.
    Dropped {
        /// Why.
        reason: DropReason,
        /// The rule that decided, in its own words, if one did.
        rule: Option<String>,
    },
}

/// A packet as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedPacket {
    /// What the connection speaks.
    pub version: ProtocolVersion,
    /// The packet from its first byte on; the end of a long one is missing.
    pub bytes: Box<[u8]>,
    /// How long the whole packet is.
    pub length: usize,
}

/// What is watched, and what has been seen in this turn.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    wish: TraceWish,
    events: VecDeque<TraceEvent>,
    lost: u64,
}

impl Trace {
    fn wants_topic(&self, topic: &str) -> bool {
        let Ok(topic) = TopicName::parse(topic) else {
            return false;
        };
        let filters = self.wish.topic_filters.iter();
        filters.filter_map(|filter| TopicFilter::parse(filter).ok()).any(|filter| filter.matches(topic))
    }

    fn wants(&self, client: &ClientIdentifier, connection: Option<Key>, topic: Option<&str>) -> bool {
        connection.is_some_and(|key| self.wish.connections.contains(&key))
            || self.wish.clients.contains(client)
            || topic.is_some_and(|topic| self.wants_topic(topic))
    }

    fn push(&mut self, event: TraceEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        } else {
            self.lost += 1;
        }
    }
}

impl Shard {
    /// Says who and what is watched from now on; nothing, if the wish is empty.
    pub fn set_trace(&mut self, wish: TraceWish) {
        if wish == TraceWish::default() {
            self.clients.trace = None;
        } else {
            // What other traces have seen in this turn stays.
            self.clients.trace.get_or_insert_default().wish = wish;
        }
    }

    /// Watches a connection, too.
    pub fn trace_connection(&mut self, connection: Key) {
        self.clients.trace.get_or_insert_default().wish.connections.insert(connection);
    }

    /// What is watched.
    pub fn trace_wish(&self) -> Option<&TraceWish> {
        self.clients.trace.as_ref().map(|trace| &trace.wish)
    }

    /// The next event.
    pub fn poll_trace(&mut self) -> Option<TraceEvent> {
        self.clients.trace.as_mut()?.events.pop_front()
    }

    /// How many events were left out since the last call, because there were too many in one turn.
    pub fn take_trace_lost(&mut self) -> u64 {
        self.clients.trace.as_mut().map_or(0, |trace| std::mem::take(&mut trace.lost))
    }
}

impl Clients {
    /// A packet came, with this topic if it is a PUBLISH.
    #[cold]
    pub fn trace_received(&mut self, key: Key, topic: Option<&str>, bytes: &[u8]) {
        let length = bytes.len();
        self.trace(Some(key), None, topic, |version| {
            let bytes = bytes.get(..length.min(PACKET_BYTES_MAX)).unwrap_or_default().into();
            Traced::Received(TracedPacket { version, bytes, length })
        });
    }

    /// The packet that was appended last was for this connection.
    #[cold]
    pub fn trace_sent(&mut self, key: Key, topic: Option<&str>) {
        let outbox = self.connections.get(key).and_then(|connection| connection.outbox.as_deref());
        let Some((bytes, length)) = outbox.map(|outbox| outbox.tail(self.wire.last_at(), PACKET_BYTES_MAX))
        else {
            return;
        };
        self.trace(Some(key), None, topic, |version| Traced::Sent(TracedPacket { version, bytes, length }));
    }

    /// What a client wanted was not accepted.
    #[cold]
    pub fn trace_refused(&mut self, key: Key, right: Right<'_>, reason_code: ReasonCode) {
        let session = self.connections.get(key).map(|connection| connection.session);
        let is_by_rule = reason_code == ReasonCode::NotAuthorized;
        let rule = session.filter(|_| is_by_rule).and_then(|session| self.rule_about(session, right));
        let topic = match right {
            Right::Publish(topic, ..) | Right::Receive(topic) => Some(topic),
            Right::Subscribe(_) => None,
        };
        self.trace(Some(key), None, topic, |_| Traced::Refused { reason_code, rule });
    }

    /// A message did not reach a Session.
    #[cold]
    pub fn trace_dropped(&mut self, session: Key, topic: Option<&str>, reason: DropReason) {
        let right = topic.filter(|_| reason == DropReason::NotAuthorized).map(Right::Receive);
        let rule = right.and_then(|right| self.rule_about(session, right));
        self.trace(None, Some(session), topic, |_| Traced::Dropped { reason, rule });
    }

    /// The rule that decides, in its own words.
    fn rule_about(&self, session: Key, right: Right<'_>) -> Option<String> {
        let (authorizer, value) = (self.authorizer.as_ref()?, self.sessions.get(session)?);
        let who = Who { client_identifier: value.client_identifier.as_str(), identity: &value.identity };
        authorizer.explain(who, right)
    }

    /// Whether an event of a connection, about a message of this topic if it is about one, would be wanted.
    pub fn wants(&self, key: Key, topic: Option<&str>) -> bool {
        let session = self.connections.get(key).and_then(|value| self.sessions.get(value.session));
        session
            .zip(self.trace.as_ref())
            .is_some_and(|(session, trace)| trace.wants(&session.client_identifier, Some(key), topic))
    }

    /// Notes an event of a connection or a Session, if it is wanted.
    fn trace(
        &mut self,
        connection: Option<Key>,
        session: Option<Key>,
        topic: Option<&str>,
        traced: impl FnOnce(ProtocolVersion) -> Traced,
    ) {
        let Some(trace) = &mut self.trace else {
            return;
        };
        let of_connection = connection.and_then(|key| self.connections.get(key));
        let session = session.or(of_connection.map(|connection| connection.session));
        let Some(value) = session.and_then(|key| self.sessions.get(key)) else {
            return;
        };
        let connection = connection.or(value.connection);
        let client = &value.client_identifier;
        if !trace.wants(client, connection, topic) {
            return;
        }
        let version = of_connection.map_or(ProtocolVersion::V5, |connection| connection.version);
        let (client, topic) = (client.clone(), topic.map(Into::into));
        trace.push(TraceEvent { client, connection, topic, traced: traced(version) });
    }
}
