//! What an operator sees of a shard: copies of what is there, a page at a time.
//!
//! Nothing here changes anything, and nothing is kept ready for it: a view is made when somebody asks. Pages bound
//! how long that may take, because messages wait meanwhile; whoever wants all asks again from where a page ended.

use super::Shard;
use super::retain::Kept;
use crate::connection::Connection;
use crate::identity::{ClientIdentifier, Identity};
use crate::message::ApplicationMessage;
use crate::retained::{Child, Cursor, Progress};
use crate::session::Session;
use crate::settings::SessionExpiryInterval;
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::ProtocolVersion;
use std::sync::Arc;

/// A Session, and its connection if it has one.
#[derive(Clone, Debug)]
pub struct ClientView {
    /// The Session's place in the table.
    pub session: Key,
    /// Whose it is.
    pub client_identifier: ClientIdentifier,
    /// Who that is, as the last connection found out.
    pub identity: Arc<Identity>,
    /// The connection, while there is one.
    pub connection: Option<ConnectionView>,
    /// How long the Session lasts without one.
    pub expiry: SessionExpiryInterval,
    /// Since when there is no connection.
    pub away_since: Option<Timestamp>,
    /// When it ends, while there is no connection.
    pub expires_at: Option<Timestamp>,
    /// Subscriptions, shared ones included.
    pub subscriptions: usize,
    /// Messages that wait for it.
    pub queued_messages: usize,
    /// Their topics, properties and payloads.
    pub queued_bytes: usize,
    /// Messages sent to it and not finished.
    pub in_flight_messages: usize,
    /// Messages that did not reach it, or were not accepted from it, modulo 2^32.
    pub dropped: u32,
}

/// A connection of a Session.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionView {
    /// Which.
    pub key: Key,
    /// What it speaks.
    pub version: ProtocolVersion,
    /// The Keep Alive in force, in seconds; 0 is off.
    pub keep_alive_s: u16,
    /// Since when it is silent.
    pub silent_since: Timestamp,
    /// PUBLISH packets from it, modulo 2^32.
    pub messages_received: u32,
    /// PUBLISH packets to it, modulo 2^32.
    pub messages_sent: u32,
    /// QoS 1 and 2 messages from it whose exchange is not over.
    pub receiving: u16,
    /// Bytes that wait until the network takes them.
    pub outbox_bytes: usize,
    /// It reads too slowly, and its publishers no longer wait for it.
    pub is_lagging: bool,
    /// It is not read at present, because of a slow consumer, peer or store.
    pub is_paused: bool,
}

/// A level of the topics of Retained Messages.
#[derive(Clone, Debug)]
pub struct LevelView {
    /// Its own text.
    pub level: Box<str>,
    /// The message of the topic that ends here.
    pub message: Option<ApplicationMessage>,
    /// Whether there are topics below it.
    pub has_children: bool,
}

/// A Session in passing: what is cheap to ask of each of a hundred thousand, and its view for the few that are shown.
pub struct ClientSight<'a> {
    shard: &'a Shard,
    key: Key,
    session: &'a Session,
}

impl<'a> ClientSight<'a> {
    /// The Session.
    pub fn session(&self) -> &'a Session {
        self.session
    }

    /// The connection, while there is one.
    pub fn connection(&self) -> Option<ConnectionView> {
        let key = self.session.connection?;
        Some(connection_view(key, self.shard.connection(key)?))
    }

    /// All of it.
    pub fn view(&self) -> ClientView {
        self.shard.view_of(self.key, self.session)
    }
}

impl Shard {
    /// Shows `visit` the Sessions in `budget` places of the table, from one on. Returns where to go on; none if there
    /// is no more.
    pub fn visit_clients(
        &self,
        from: u32,
        budget: u32,
        mut visit: impl FnMut(ClientSight<'_>),
    ) -> Option<u32> {
        let end = self.clients.sessions.end_index();
        let until = from.saturating_add(budget).min(end);
        for index in from..until {
            if let Some(key) = self.clients.sessions.key_at(index)
                && let Some(session) = self.clients.sessions.at(index)
            {
                visit(ClientSight { shard: self, key, session });
            }
        }
        (until < end).then_some(until)
    }

    /// The Session of a client.
    pub fn client(&self, client_identifier: &ClientIdentifier) -> Option<ClientView> {
        let key = self.clients.session_named(client_identifier)?;
        self.clients.sessions.get(key).map(|session| self.view_of(key, session))
    }

    /// Begins a walk over the Retained Messages whose topics match `filter`, behind topic `after`.
    pub fn retained_cursor(&self, filter: &str, after: Option<&str>) -> Cursor {
        match after {
            Some(topic) => self.retained.cursor_after(filter, topic),
            None => self.retained.cursor(filter),
        }
    }

    /// Goes on with such a walk: at most `count` messages, after looking at no more than `budget` topics. The walk is
    /// over when the cursor says so.
    pub fn retained_page(
        &self,
        cursor: &mut Cursor,
        count: usize,
        mut budget: usize,
    ) -> Vec<ApplicationMessage> {
        let mut messages = Vec::new();
        while messages.len() < count
            && let Progress::Found(_, kept) = self.retained.next(cursor, &mut budget)
        {
            messages.push(kept.message.clone());
        }
        messages
    }

    /// The Retained Message of a topic.
    pub fn retained_message(&self, topic: &str) -> Option<&ApplicationMessage> {
        self.retained.get(topic).map(|kept| &kept.message)
    }

    /// The levels right below a level in the topics of Retained Messages, with the message of those that have one
    /// ([`RetainedTree::children`](crate::retained::RetainedTree::children)).
    pub fn retained_children(&self, below: &str, after: Option<&str>, most: usize) -> Vec<LevelView> {
        let children = self.retained.children(below, after, most).into_iter();
        let view = |child: Child<'_, Kept>| LevelView {
            level: child.level.into(),
            message: child.message.map(|kept| kept.message.clone()),
            has_children: child.has_children,
        };
        children.map(view).collect()
    }

    /// Retained Messages, as they count for the limits: how many bytes they take.
    pub fn retained_bytes(&self) -> usize {
        self.retained_bytes
    }

    pub(super) fn view_of(&self, session: Key, value: &Session) -> ClientView {
        let connection = value.connection.and_then(|key| Some((key, self.connection(key)?)));
        ClientView {
            session,
            client_identifier: value.client_identifier.clone(),
            identity: Arc::clone(&value.identity),
            connection: connection.map(|(key, connection)| connection_view(key, connection)),
            expiry: value.expiry,
            away_since: value.extras.away_since,
            expires_at: value.extras.expires_at,
            subscriptions: value.subscriptions_count(),
            queued_messages: value.outbound.queued_messages(),
            queued_bytes: value.outbound.queued_bytes(),
            in_flight_messages: value.outbound.in_flight_messages(),
            dropped: value.dropped,
        }
    }
}

fn connection_view(key: Key, connection: &Connection) -> ConnectionView {
    ConnectionView {
        key,
        version: connection.version,
        keep_alive_s: connection.keep_alive_s,
        silent_since: connection.silent_since,
        messages_received: connection.messages_received,
        messages_sent: connection.messages_sent,
        receiving: connection.inbound_outstanding,
        outbox_bytes: connection.outbox_bytes(),
        is_lagging: connection.is_lagging,
        is_paused: connection.is_paused || connection.is_held,
    }
}
