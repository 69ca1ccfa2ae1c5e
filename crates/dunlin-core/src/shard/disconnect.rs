//! The ends: of a connection, of a Will, of a Session.
//!
//! ```text
//!   DISCONNECT, violation, silence, takeover, loss ──> end_connection ──> Will: deleted (0x00), sent, or delayed
//!                                                           │
//!                                                           ├── expiry 0 ──────────────> end_session
//!                                                           └── later: its timer, or Clean Start ──> end_session
//! ```

use super::{DropReason, Holder, Shard, Violation, protocol_error};
use crate::connection::{Cause, Slowed};
use crate::journal::Record;
use crate::message::Publication;
use crate::peer::PeerMessage;
use crate::session::Session;
use crate::settings::SessionExpiryInterval;
use crate::slots::Key;
use crate::time::Timestamp;
use crate::timers::Timer;
use dunlin_codec::{Disconnect, QoS, ReasonCode};

impl Shard {
    pub(super) fn handle_disconnect(
        &mut self,
        now: Timestamp,
        key: Key,
        disconnect: Disconnect<'_>,
    ) -> Result<(), Violation> {
        if !disconnect.reason_code.client_may_disconnect_with() {
            return Err(protocol_error("3.14.2.1", "a Reason Code of DISCONNECT that only a Server sends"));
        }
        let Some((session_key, session)) = self.clients.session_of(key) else {
            return Ok(());
        };
        if let Some(seconds) = disconnect.session_expiry_interval_s {
            let expiry_max = session.extras.expiry_max;
            if expiry_max.is_none() && seconds != 0 {
                return Err(protocol_error(
                    "3.14.2.2.2",
                    "a Session Expiry Interval of 0 cannot be raised at DISCONNECT",
                ));
            }
            let expiry_max = expiry_max.unwrap_or(SessionExpiryInterval::WITH_CONNECTION);
            session.expiry = SessionExpiryInterval::from_seconds(seconds).min(expiry_max);
            self.clients.record(session_key, Session::record);
        }
        // spec(v5): [MQTT-3.14.4-3] [MQTT-3.1.2-10]
        // spec(v3.1.1): [MQTT-3.14.4-3] [MQTT-3.1.2-10]
        if disconnect.reason_code == ReasonCode::Success {
            self.delete_will(key);
        }
        self.end_connection(now, key, Cause::ClientDisconnected(disconnect.reason_code));
        Ok(())
    }

    fn delete_will(&mut self, key: Key) {
        if let Some((key, session)) = self.clients.session_of(key)
            && session.extras.existing().is_some_and(|extras| extras.will.take().is_some())
        {
            self.clients.record(key, |session, _| Record::WillRemoved { session });
        }
    }

    /// The transport ended, or failed.
    pub fn handle_lost(&mut self, now: Timestamp, connection: Key) {
        self.end_connection(now, connection, Cause::TransportLost);
        self.run_follow_ups(now);
    }

    /// Ends a connection for a reason of the Server or its operator.
    pub fn disconnect(
        &mut self,
        now: Timestamp,
        connection: Key,
        reason_code: ReasonCode,
        detail: &'static str,
    ) {
        self.end_connection(now, connection, Cause::Server { reason_code, detail });
        self.run_follow_ups(now);
    }

    /// Ends all connections: the Server is shutting down.
    pub fn disconnect_all(&mut self, now: Timestamp, reason_code: ReasonCode, detail: &'static str) {
        let keys: Vec<Key> = self.clients.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.disconnect(now, key, reason_code, detail);
        }
    }

    /// Ends a connection once, whatever the cause; what the client is told is in its outbox.
    pub(super) fn end_connection(&mut self, now: Timestamp, key: Key, cause: Cause) {
        let Some(connection) = self.clients.connections.get(key).filter(|connection| !connection.is_closing)
        else {
            return;
        };
        let session = connection.session;
        self.clients.begin_close(key, cause);
        self.caught_up(key);
        self.leave(now, session, key);
        self.clients.finish_close(key, cause);
    }

    /// The Session loses its connection.
    // spec(v5): [MQTT-3.1.2-23] [MQTT-4.1.0-1]
    // spec(v3.1.1): [MQTT-3.1.2-4] [MQTT-4.1.0-1] [MQTT-4.1.0-2]
    fn leave(&mut self, now: Timestamp, session: Key, key: Key) {
        let Some(value) =
            self.clients.sessions.get_mut(session).filter(|value| value.connection == Some(key))
        else {
            return;
        };
        value.connection = None;
        value.is_busy = false;
        let has_waiting = !value.outbound.queue().is_empty();
        let returned = value.outbound.end_connection();
        let memberships = value.extras.memberships.clone();
        for membership in memberships {
            self.tell(now, membership.owner, PeerMessage::GroupAway { name: membership.name, session });
        }
        for delivery in returned {
            if let Some(ticket) = delivery.ticket {
                let message = delivery.message;
                let returned = PeerMessage::GroupReturn { ticket: *ticket, session, message, is_busy: false };
                self.tell(now, ticket.group.owner, returned);
            }
        }
        if has_waiting {
            self.clients.note_queued(Holder::Session(session), u64::MAX);
        }
        self.start_absence(now, session);
    }

    /// Decides about the Will and the end of a Session whose client has just left.
    // spec(v5): [MQTT-3.1.2-8] [MQTT-4.1.0-2]
    // spec(v3.1.1): [MQTT-3.1.2-8] [MQTT-3.1.2-12]
    fn start_absence(&mut self, now: Timestamp, session: Key) {
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        if value.expiry == SessionExpiryInterval::WITH_CONNECTION {
            return self.end_session(now, session);
        }
        let expires_at = match value.expiry {
            SessionExpiryInterval::After(seconds) => Some(now.after_s(seconds)),
            SessionExpiryInterval::Never => None,
        };
        let extras = value.extras.make();
        (extras.away_since, extras.expires_at) = (Some(now), expires_at);
        let will_delay_s = extras.will.as_ref().map(|will| will.delay_s);
        extras.will_due_at = will_delay_s.filter(|delay_s| *delay_s > 0).map(|delay_s| now.after_s(delay_s));
        let due_at = expires_at.into_iter().chain(extras.will_due_at).min();
        self.clients.record(session, |session, _| Record::SessionAway { session, since: now });
        if let Some(at) = due_at {
            self.arm_absence(session, at);
        }
        if will_delay_s == Some(0) {
            self.publish_will(now, session);
        }
    }

    /// Has the Session looked at, at this time or earlier.
    pub(super) fn arm_absence(&mut self, session: Key, at: Timestamp) {
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        let extras = value.extras.make();
        match extras.absence_timer_at {
            Some(armed) if armed <= at => return,
            Some(_) => self.clients.timers.forget(),
            None => {}
        }
        extras.absence_timer_at = Some(at);
        self.clients.timers.arm(at, Timer::Absence(session));
    }

    /// Sends the Session's Will, if it still has one.
    // spec(v5): [MQTT-3.1.2-10] [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.3-10]
    // spec(v3.1.1): [MQTT-3.1.2-9] [MQTT-3.1.2-10] [MQTT-3.1.2-16] [MQTT-3.1.2-17]
    pub(super) fn publish_will(&mut self, now: Timestamp, session: Key) {
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        let Some(extras) = value.extras.existing() else {
            return;
        };
        extras.will_due_at = None;
        let Some(will) = extras.will.take() else {
            return;
        };
        let is_durable = value.is_durable();
        let writer = will.message.retain.then(|| value.as_writer());
        let id = self.next_message_id(now);
        let message = &will.message;
        let mut publication = Publication::new(id, message.topic(), message.qos, message.retain);
        publication.publisher = message.publisher;
        publication.writer = writer;
        publication.expires_at = will.expiry_s.map(|seconds| now.after_s(seconds));
        publication.forwarded = message.forwarded();
        publication.payload = message.payload();
        // Its client may have lost the right since it left the Will.
        let (topic, qos, retain) = (message.topic(), message.qos, message.retain);
        if self.clients.may_publish(session, topic, qos, retain) {
            self.publish_own(now, &mut publication, is_durable);
        } else {
            self.clients.counters.drop(DropReason::NotAuthorized);
        }
        self.clients.record(session, |session, _| Record::WillRemoved { session });
    }

    /// A Session ends: its Will is sent, its subscriptions go, its messages go.
    // spec(v5): [MQTT-3.1.2-4] [MQTT-4.1.0-2]
    // spec(v3.1.1): [MQTT-3.1.2-6]
    pub(super) fn end_session(&mut self, now: Timestamp, session: Key) {
        self.publish_will(now, session);
        self.remove_subscriptions(now, session);
        // What it had begun at QoS 2 no other member may get.
        // spec(v5): [MQTT-4.8.2-5]
        let begun = |value: &Session| {
            let begun = value.outbound.begun_shared().map(|(ticket, delivery)| {
                (ticket, (delivery.qos == QoS::AtLeastOnce).then(|| delivery.message.clone()))
            });
            begun.collect::<Vec<_>>()
        };
        for (ticket, returned) in self.clients.sessions.get(session).map(begun).unwrap_or_default() {
            match returned {
                Some(message) => {
                    let is_busy = false;
                    let returned = PeerMessage::GroupReturn { ticket, session, message, is_busy };
                    self.tell(now, ticket.group.owner, returned);
                }
                // At QoS 2 nobody else may get it.
                None => self.ticket_done(now, session, ticket),
            }
        }
        if let Some(value) = self.clients.sessions.remove(session) {
            self.clients.by_identifier.remove(value.client_identifier.as_str(), session);
            self.clients.gauge.note_stored(value.outbound.queue().stored_bytes(), 0);
            self.clients.gauge.note_session(value.counted_bytes, 0);
            self.clients.counters.drop_many(DropReason::SessionEnded, value.outbound.queue().len() as u64);
            if value.extras.absence_timer_at.is_some() {
                self.clients.timers.forget();
            }
            if let Some(session) = value.extras.number {
                self.clients.journal.stage(|| Record::SessionEnded { session });
                let position = self.clients.journal.position();
                if !self.clients.journal.is_durable(position) {
                    self.ended_sessions.insert(value.identifier_hash, position);
                }
            }
        }
    }

    /// A consumer reads again, or is gone: whoever waited for it goes on.
    pub(super) fn caught_up(&mut self, key: Key) {
        let Some(connection) = self.clients.connections.get_mut(key) else {
            return;
        };
        connection.is_lagging = false;
        self.release_slowed(key);
    }

    /// Lets go whoever waited for this consumer.
    pub(super) fn release_slowed(&mut self, key: Key) {
        let Some(extras) =
            self.clients.connections.get_mut(key).and_then(|connection| connection.extras.as_mut())
        else {
            return;
        };
        extras.slow_since = None;
        for slowed in std::mem::take(&mut extras.slowed) {
            match slowed {
                Slowed::Connection(publisher) => self.resume_publisher(publisher),
                Slowed::Peer(peer) => self.stop_holding_up(peer),
            }
        }
    }

    pub(super) fn resume_publisher(&mut self, publisher: Key) {
        if let Some(connection) = self.clients.connections.get_mut(publisher)
            && std::mem::take(&mut connection.is_paused)
        {
            self.clients.outputs.push_back(super::Output::Resume { connection: publisher });
        }
    }
}
