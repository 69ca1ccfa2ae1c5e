//! What an operator does to a shard: end connections and Sessions, and publish in the broker's own name.

use super::Shard;
use crate::connection::Cause;
use crate::identity::ClientIdentifier;
use crate::journal::Position;
use crate::message::Publication;
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

impl Shard {
    /// Publishes a message that no client has sent. What it made the shard record is durable when the position
    /// that is returned is.
    pub fn publish(&mut self, now: Timestamp, message: &OwnMessage) -> Position {
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

    /// Whether everything before a position is durable. Without a store, everything is.
    pub fn is_durable(&self, position: Position) -> bool {
        self.clients.journal.is_durable(position)
    }
}
