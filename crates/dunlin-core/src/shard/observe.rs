//! What an operator sees of a shard: copies of what is there, a page at a time.
//!
//! Nothing here changes anything, and nothing is kept ready for it: a view is made when somebody asks. Pages bound
//! how long that may take, because messages wait meanwhile; whoever wants all asks again from where a page ended.

use super::Shard;
use crate::connection::Connection;
use crate::identity::{ClientIdentifier, Identity};
use crate::message::ApplicationMessage;
use crate::retained::{Cursor, Progress};
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

/// Some of the Sessions, and where the next page begins.
#[derive(Clone, Debug)]
pub struct ClientsPage {
    /// Those that are wanted.
    pub clients: Vec<ClientView>,
    /// Where to go on; none if there is no more.
    pub next: Option<u32>,
}

impl Shard {
    /// The Sessions from a place in the table on, as many as `wanted` says yes to among at most `budget` places.
    pub fn clients_page(
        &self,
        from: u32,
        budget: u32,
        mut wanted: impl FnMut(&Session) -> bool,
    ) -> ClientsPage {
        let end = self.clients.sessions.end_index();
        let until = from.saturating_add(budget).min(end);
        let sessions = (from..until).filter_map(|index| {
            let key = self.clients.sessions.key_at(index)?;
            self.clients.sessions.at(index).map(|session| (key, session))
        });
        let sessions = sessions.filter(|(_, session)| wanted(session));
        let clients = sessions.map(|(key, session)| self.view_of(key, session)).collect();
        ClientsPage { clients, next: (until < end).then_some(until) }
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
    ) -> Vec<Arc<ApplicationMessage>> {
        let mut messages = Vec::new();
        while messages.len() < count
            && let Progress::Found(_, kept) = self.retained.next(cursor, &mut budget)
        {
            messages.push(Arc::clone(&kept.message));
        }
        messages
    }

    /// The Retained Message of a topic.
    pub fn retained_message(&self, topic: &str) -> Option<&Arc<ApplicationMessage>> {
        self.retained.get(topic).map(|kept| &kept.message)
    }

    fn view_of(&self, session: Key, value: &Session) -> ClientView {
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
