//! What an operator does to a shard: end connections and Sessions, and publish in the broker's own name.

use super::{Shard, StoreState};
use crate::connection::Cause;
use crate::identity::ClientIdentifier;
use crate::journal::Position;
use crate::message::Publication;
use crate::settings::Settings;
use crate::time::Timestamp;
use dunlin_codec::{QoS, ReasonCode};

/// A message that the broker publishes in its own name.
#[derive(Clone, Debug)]
pub struct OwnMessage {
    /// A valid Topic Name.
    pub topic: Box<str>,
    /// The payload.
    pub payload: Box<[u8]>,
    /// The QoS.
    pub qos: QoS,
    /// Whether it is to be retained. An empty payload clears what is.
    pub retain: bool,
    /// The Message Expiry Interval in seconds.
    pub expiry_s: Option<u32>,
    /// The properties that travel with it, encoded.
    pub forwarded: Box<[u8]>,
}

/// Why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpublished {
    /// Topics below `$SYS` are the broker's.
    Reserved,
    /// The topic is longer or deeper than the limits allow.
    Topic(&'static str),
    /// The store does not write at present.
    Store,
    /// There are too many Retained Messages, or they take too much memory.
    NoRoom,
}

impl Shard {
    /// Publishes a message that no client has sent. What it made the shard record is durable when the position
    /// that is returned is.
    pub fn publish(&mut self, now: Timestamp, message: &OwnMessage) -> Position {
        self.clients.turn.begin(now);
        self.route_recovered(now);
        self.clients.journal.begin_input();
        let id = self.next_message_id(now);
        let mut publication = Publication::new(id, &message.topic, message.qos, message.retain);
        publication.expires_at = message.expiry_s.map(|seconds| now.after_s(seconds));
        publication.forwarded = &message.forwarded;
        publication.payload = &message.payload;
        self.publish_own(now, &mut publication, message.qos > QoS::AtMostOnce);
        self.run_follow_ups(now);
        self.clients.journal.position_of_input()
    }

    /// Publishes a message as [`Shard::publish`] does, unless it would not be kept as it should be. Topics of the
    /// broker itself are refused, as they are to clients.
    ///
    /// A retained message is only durable with the position that is returned if this is the shard to which its topic
    /// belongs ([`partition`](crate::identity::partition)).
    pub fn publish_or_refuse(
        &mut self,
        now: Timestamp,
        message: &OwnMessage,
    ) -> Result<Position, Unpublished> {
        if Settings::is_reserved(&message.topic) {
            return Err(Unpublished::Reserved);
        }
        self.clients.settings.judge_topic(&message.topic).map_err(Unpublished::Topic)?;
        if self.store_state != StoreState::Writing && (message.retain || message.qos > QoS::AtMostOnce) {
            return Err(Unpublished::Store);
        }
        let content_bytes = message.topic.len() + message.forwarded.len() + message.payload.len();
        let keeps = message.retain && !message.payload.is_empty();
        if keeps && !self.may_retain(&message.topic, content_bytes) {
            return Err(Unpublished::NoRoom);
        }
        let position = self.publish(now, message);
        // Somebody waits for it.
        self.clients.journal.wait_for(position);
        Ok(position)
    }

    /// Ends the connection of a client, and its Session too if `ends_session`. False if there is neither.
    // spec(v5): [MQTT-4.13.2-1]
    pub fn disconnect_client(
        &mut self,
        now: Timestamp,
        client_identifier: &ClientIdentifier,
        ends_session: bool,
    ) -> bool {
        let Some(session) = self.clients.session_named(client_identifier) else {
            return false;
        };
        self.clients.journal.begin_input();
        let connection = self.clients.sessions.get(session).and_then(|value| value.connection);
        if let Some(connection) = connection {
            let (reason_code, detail) =
                (ReasonCode::AdministrativeAction, "an operator ended the connection");
            self.end_connection(now, connection, Cause::Server { reason_code, detail });
        }
        let is_left = self.clients.sessions.get(session).is_some();
        if ends_session && is_left {
            self.end_session(now, session);
        }
        self.run_follow_ups(now);
        connection.is_some() || (ends_session && is_left)
    }

    /// Whether the store has failed for good: what is not durable will never be.
    pub fn has_store_failed(&self) -> bool {
        self.clients.journal.has_failed()
    }

    /// Whether everything before a position is durable. Without a store, everything is.
    pub fn is_durable(&self, position: Position) -> bool {
        self.clients.journal.is_durable(position)
    }
}
