//! CONNECT on the Session's shard: takeover, Session, CONNACK, resumption.

use super::Shard;
use crate::connection::{Cause, Connection, Extras, Owed, ServerAliases};
use crate::handshake::{ConnectRequest, WillMessage};
use crate::journal::Record;
use crate::message::Publication;
use crate::peer::PeerMessage;
use crate::session::{Session, Will};
use crate::settings::SessionExpiryInterval;
use crate::slots::Key;
use crate::time::Timestamp;
use crate::timers::Timer;
use dunlin_codec::{ConnAck, ConnAckProperties, ProtocolVersion, ReasonCode};
use std::sync::Arc;

impl Shard {
    /// Whether the client may leave this Will. Asked before the connection is accepted, because a Will that is refused
    /// refuses the connection.
    pub fn may_leave_will(&self, request: &ConnectRequest) -> bool {
        let (Some(authorizer), Some(will)) = (&self.clients.authorizer, &request.will) else {
            return true;
        };
        let client_identifier = request.client_identifier.as_str();
        let who = crate::authorize::Who { client_identifier, identity: &request.identity };
        authorizer.may_publish(who, &will.topic, will.retain)
    }

    /// Takes over an accepted CONNECT. CONNACK, and whatever the Session is owed, are in the outbox when this returns, or as soon as
    /// the store allows.
    // spec(v5): [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.1.3-2]
    // spec(v3.1.1): [MQTT-3.1.4-4] [MQTT-3.2.0-1] [MQTT-3.1.3-2]
    pub fn handle_connect(&mut self, now: Timestamp, request: ConnectRequest) -> Key {
        if let Some(existing) = self.clients.by_identifier.get(&request.client_identifier).copied() {
            // spec(v5): [MQTT-3.1.4-3]
            // spec(v3.1.1): [MQTT-3.1.4-2]
            if let Some(old) = self.clients.sessions.get(existing).and_then(|session| session.connection) {
                self.end_connection_taken_over(now, old, request.clean_start);
            }
            // spec(v5): [MQTT-3.1.2-4] [MQTT-3.1.4-4]
            // spec(v3.1.1): [MQTT-3.1.2-6] [MQTT-3.1.4-3]
            if request.clean_start {
                self.end_session(now, existing);
            }
        }
        // spec(v5): [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
        // spec(v3.1.1): [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
        let existing = self.clients.by_identifier.get(&request.client_identifier).copied();
        let session_present = existing.is_some();
        let session = existing.unwrap_or_else(|| {
            let key = self.clients.sessions.insert(Session::new(request.client_identifier.clone()));
            self.clients.by_identifier.insert(request.client_identifier.clone(), key);
            key
        });
        let connack = self.connack(&request, session_present);
        let key = self.open_connection(now, session, &request);
        self.adopt(now, session, key, request);
        let barrier = self.barrier_of_records();
        self.owe(now, key, barrier, Owed::ConnAck(connack));
        self.run_follow_ups(now);
        key
    }

    fn open_connection(&mut self, now: Timestamp, session: Key, request: &ConnectRequest) -> Key {
        let settings = &self.clients.settings;
        let aliases = request.topic_alias_maximum.min(settings.server_topic_aliases);
        let extras = (aliases > 0 || request.authentication.is_some()).then(|| {
            Box::new(Extras {
                server_aliases: (aliases > 0).then(|| ServerAliases::new(aliases)),
                method: request.authentication.as_ref().map(|(method, _)| method.clone()),
                ..Extras::default()
            })
        });
        let key = self.clients.connections.insert(Connection {
            session,
            version: request.version,
            is_established: false,
            is_closing: false,
            is_dirty: false,
            is_lagging: false,
            is_paused: false,
            request_problem_information: request.request_problem_information,
            keep_alive_s: server_keep_alive(settings.keep_alive_max_s, request).unwrap_or(request.keep_alive_s),
            inbound_outstanding: 0,
            maximum_packet_size_bytes: request.maximum_packet_size_bytes,
            accepted_packet_size_bytes: request.accepted_packet_size_bytes,
            last_packet_at: now,
            outbox: None,
            extras,
        });
        if let Some(deadline) = self.connection(key).and_then(Connection::keep_alive_deadline) {
            self.clients.timers.arm(deadline, Timer::KeepAlive(key));
        }
        key
    }

    /// Gives the Session what its new connection brought.
    fn adopt(&mut self, now: Timestamp, session: Key, key: Key, request: ConnectRequest) {
        let will = request.will.map(|will| self.keep_will(now, request.client_identifier.hash(), &will));
        let settings = Arc::clone(&self.clients.settings);
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        value.connection = Some(key);
        value.identity = Arc::new(request.identity);
        value.expiry = request.session_expiry.min(settings.session_expiry_max);
        value.expires_at = None;
        // A Will of an earlier connection whose delay has not passed is never sent.
        // spec(v5): [MQTT-3.1.3-9]
        let had_will = value.will.take().is_some();
        value.will_due_at = None;
        value.will = will;
        value.outbound.begin_connection(request.receive_maximum.min(settings.inflight_max));
        let client = value.client_identifier.clone();
        if value.is_durable() {
            let expiry = value.expiry;
            self.clients.journal.stage(|| Record::Session { client: client.clone(), expiry });
            if let Some(will) = value.will.clone() {
                self.clients.journal.stage(|| Record::WillSet { client, message: will.message, delay_s: will.delay_s });
            } else if had_will {
                self.clients.journal.stage(|| Record::WillRemoved { client });
            }
        }
    }

    // spec(v5): [MQTT-3.1.2-7]
    fn keep_will(&mut self, now: Timestamp, publisher: u64, will: &WillMessage) -> Box<Will> {
        let id = self.next_message_id(now);
        let mut publication = Publication::new(id, &will.topic, will.qos, will.retain, &self.clients.gauge);
        publication.publisher = publisher;
        publication.forwarded = &will.forwarded;
        publication.payload = &will.payload;
        Box::new(Will { message: publication.keep(), expiry_s: will.expiry_s, delay_s: will.delay_s })
    }

    /// CONNACK has left: the Session goes on where it was.
    // spec(v5): [MQTT-4.4.0-1]
    // spec(v3.1.1): [MQTT-4.4.0-1]
    pub(super) fn resume(&mut self, now: Timestamp, session: Key) {
        self.pump(now, session);
        let memberships = self.clients.sessions.get(session).map(|value| value.memberships.clone()).unwrap_or_default();
        for membership in memberships {
            self.tell(now, membership.owner, PeerMessage::GroupReady { name: membership.name, session });
        }
    }

    fn connack(&self, request: &ConnectRequest, session_present: bool) -> Vec<u8> {
        let settings = &self.clients.settings;
        let granted_expiry = request.session_expiry.min(settings.session_expiry_max);
        let (method, data) = match &request.authentication {
            Some((method, data)) => (Some(&**method), data.as_deref()),
            None => (None, None),
        };
        // spec(v5): [MQTT-3.1.2-28]
        let response_information = settings
            .response_information
            .as_ref()
            .filter(|_| request.request_response_information)
            .map(|template| template.replace("%c", request.client_identifier.as_str()));
        let properties = ConnAckProperties {
            session_expiry_interval_s: (granted_expiry != request.session_expiry).then(|| granted_expiry.as_seconds()),
            receive_maximum: (settings.receive_maximum != u16::MAX).then_some(settings.receive_maximum),
            maximum_packet_size: Some(request.accepted_packet_size_bytes),
            // spec(v5): [MQTT-3.2.2-16]
            assigned_client_identifier: request.is_assigned.then_some(request.client_identifier.as_str()),
            topic_alias_maximum: (settings.topic_alias_maximum > 0).then_some(settings.topic_alias_maximum),
            // spec(v5): [MQTT-3.1.2-21]
            server_keep_alive_s: server_keep_alive(settings.keep_alive_max_s, request),
            response_information: response_information.as_deref(),
            // spec(v5): [MQTT-4.12.0-5] [MQTT-4.12.0-6]
            authentication_method: method,
            authentication_data: data,
            ..ConnAckProperties::default()
        };
        let mut bytes = Vec::new();
        let connack = ConnAck { session_present, reason_code: ReasonCode::Success, properties };
        connack.encode(request.version, &mut bytes);
        bytes
    }

    /// The old connection of a Session that another connection takes: its Will is sent if its delay is 0 or the Session ends with it.
    fn end_connection_taken_over(&mut self, now: Timestamp, old: Key, session_ends: bool) {
        let Some(session) = self.connection(old).map(|connection| connection.session) else {
            return;
        };
        // The Session must not end with this connection if it is about to be taken over.
        if !session_ends
            && let Some(value) = self.clients.sessions.get_mut(session)
            && value.expiry == SessionExpiryInterval::WITH_CONNECTION
        {
            value.expiry = SessionExpiryInterval::Never;
        }
        self.end_connection(now, old, Cause::TakenOver);
    }
}

/// The Keep Alive the Server imposes, if the client's is longer than allowed or off. 3.x has no way to say so, so there it is not imposed.
fn server_keep_alive(maximum_s: u16, request: &ConnectRequest) -> Option<u16> {
    let is_too_long = request.keep_alive_s == 0 || request.keep_alive_s > maximum_s;
    (request.version == ProtocolVersion::V5 && maximum_s > 0 && is_too_long).then_some(maximum_s)
}
