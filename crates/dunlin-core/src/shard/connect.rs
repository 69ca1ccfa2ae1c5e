//! CONNECT on the Session's shard: takeover, Session, CONNACK, resumption.

use super::{Shard, StoreState};
use crate::connection::{Cause, Connection, Extras, Owed, Reauthentication, ServerAliases, Until};
use crate::handshake::{ConnectRequest, WillMessage, connack, refusal_bytes};
use crate::journal::{Position, Record, SessionNumber};
use crate::message::Publication;
use crate::peer::PeerMessage;
use crate::session::{Session, Will};
use crate::settings::SessionExpiryInterval;
use crate::slots::Key;
use crate::time::Timestamp;
use crate::timers::Timer;
use dunlin_codec::{PacketType, ProtocolVersion, ReasonCode};
use std::sync::Arc;

impl Shard {
    /// Whether the client may leave this Will. Asked before the connection is accepted, because a Will that
    /// is refused refuses the connection.
    pub fn may_leave_will(&self, request: &ConnectRequest) -> bool {
        let (Some(authorizer), Some(will)) = (&self.clients.authorizer, &request.will) else {
            return true;
        };
        let client_identifier = request.client_identifier.as_str();
        let who = crate::authorize::Who { client_identifier, identity: &request.identity };
        authorizer.may_publish(who, &will.topic, will.qos, will.retain)
    }

    /// Takes over an accepted CONNECT. CONNACK, and whatever the Session is owed, are in the outbox when this
    /// returns, or as soon as the store allows.
    // spec(v5): [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.1.3-2]
    // spec(v3.1.1): [MQTT-3.1.4-4] [MQTT-3.2.0-1] [MQTT-3.1.3-2]
    pub fn handle_connect(&mut self, now: Timestamp, mut request: ConnectRequest) -> Key {
        self.route_recovered(now);
        self.clients.counters.packet_received(request.version, PacketType::Connect);
        self.clients.journal.begin_input();
        if self.must_refuse(&request) {
            return self.refuse_durable(now, &request);
        }
        if let Some(existing) = self.clients.session_named(&request.client_identifier) {
            // spec(v5): [MQTT-3.1.4-3]
            // spec(v3.1.1): [MQTT-3.1.4-2]
            if let Some(old) = self.clients.sessions.get(existing).and_then(|session| session.connection) {
                // A Session that lasts as long as its connection ends here: there is nothing to take over.
                self.end_connection(now, old, Cause::TakenOver);
            }
            // spec(v5): [MQTT-3.1.2-4] [MQTT-3.1.4-4]
            // spec(v3.1.1): [MQTT-3.1.2-6] [MQTT-3.1.4-3]
            if request.clean_start {
                self.end_session(now, existing);
            }
        }
        // spec(v5): [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
        // spec(v3.1.1): [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
        let existing = self.clients.session_named(&request.client_identifier);
        let session_present = existing.is_some();
        if !session_present && self.clients.sessions.len() >= self.clients.settings.sessions_max {
            // There is room for its connection, which counts elsewhere, and not for what it would leave behind.
            request.session_expiry_max = SessionExpiryInterval::WITH_CONNECTION;
        }
        let session = existing.unwrap_or_else(|| {
            let key = self.clients.sessions.insert(Session::new(request.client_identifier.clone()));
            self.clients.name_session(key);
            key
        });
        let ended = self.ended_sessions.get(&request.client_identifier.hash()).copied();
        let connack = connack(&request, &self.clients.settings, session_present);
        let key = self.open_connection(now, session, &request);
        self.adopt(now, session, key, request);
        let mut barrier = self.barrier_of_records();
        // Whoever hears that there is no Session must not find an earlier one after a crash.
        barrier.position = barrier.position.max(ended.unwrap_or_default());
        if let Some(value) = self.clients.sessions.get(session).filter(|value| value.is_durable()) {
            // What it resumes with must be durable, whenever that was staged, and with the owners of groups, too:
            // PUBREL follows CONNACK.
            if value.outbound.has_received_shared() {
                barrier.peers = self.barrier_of_all(Until::AllStored).peers;
            }
            barrier.position = self.clients.journal.position();
        } else if self.store_state == StoreState::Failed {
            // That an earlier Session ended will never be durable. Its client need not wait for that.
            barrier.position = Position::default();
        }
        self.owe(now, key, barrier, Owed::ConnAck(connack));
        self.run_follow_ups(now);
        key
    }

    /// Whether a CONNACK would wait for a store that does not write.
    fn must_refuse(&self, request: &ConnectRequest) -> bool {
        let is_stuck = match self.store_state {
            StoreState::Writing => false,
            // There is room for what lets queues shrink, up to a bound.
            StoreState::Full => self.clients.journal.is_behind(),
            StoreState::Failed => true,
        };
        let existing = || self.clients.session_named(&request.client_identifier);
        let resumes = || {
            let session = existing().and_then(|key| self.clients.sessions.get(key));
            !request.clean_start && session.is_some_and(Session::is_durable)
        };
        let begins = request.granted_expiry(&self.clients.settings) != SessionExpiryInterval::WITH_CONNECTION;
        is_stuck && (begins || resumes())
    }

    /// Nothing about this Session can be stored, and its CONNACK would wait for that.
    // spec(v5): [MQTT-3.2.2-7]
    fn refuse_durable(&mut self, now: Timestamp, request: &ConnectRequest) -> Key {
        let detail = "nothing can be stored at present";
        let reason_code = ReasonCode::QuotaExceeded;
        let told = request.request_problem_information.then_some(detail);
        let bytes = refusal_bytes(request.version, reason_code, told, request.maximum_packet_size_bytes);
        // It belongs to no Session: the key means none.
        let nobody = Key { index: u32::MAX, generation: 0 };
        let key = self.open_connection(now, nobody, request);
        self.clients.write(key, PacketType::ConnAck, |outbox| outbox.push(&bytes));
        self.end_connection(now, key, Cause::Server { reason_code, detail });
        key
    }

    fn open_connection(&mut self, now: Timestamp, session: Key, request: &ConnectRequest) -> Key {
        let settings = &self.clients.settings;
        let aliases = request.topic_alias_maximum.min(settings.server_topic_aliases);
        let extras = (aliases > 0 || request.authentication.is_some()).then(|| {
            Box::new(Extras {
                server_aliases: (aliases > 0).then(|| ServerAliases::new(aliases)),
                authentication: request.authentication.as_ref().map(|authentication| {
                    Box::new(Reauthentication {
                        method: authentication.method.clone(),
                        mechanisms: Arc::clone(&authentication.mechanisms),
                        exchange: None,
                    })
                }),
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
            is_held: false,
            is_unread: false,
            closes_when_denied: request.closes_when_denied && request.version != ProtocolVersion::V5,
            was_refused: false,
            request_problem_information: request.request_problem_information,
            keep_alive_s: request.server_keep_alive_s(settings).unwrap_or(request.keep_alive_s),
            inbound_outstanding: 0,
            maximum_packet_size_bytes: request.maximum_packet_size_bytes,
            accepted_packet_size_bytes: request.accepted_packet_size_bytes,
            silent_since: now,
            messages_received: 0,
            messages_sent: 0,
            identity_timer_at: None,
            outbox: None,
            extras,
        });
        if let Some(deadline) = self.connection(key).and_then(Connection::keep_alive_deadline) {
            self.clients.timers.arm(deadline, Timer::KeepAlive(key));
        }
        if let Some(valid_until) = request.identity.valid_until {
            self.clients.arm_identity(key, valid_until);
        }
        key
    }

    /// Gives the Session what its new connection brought.
    fn adopt(&mut self, now: Timestamp, session: Key, key: Key, request: ConnectRequest) {
        let will =
            request.will.as_ref().map(|will| self.keep_will(now, request.client_identifier.hash(), will));
        let settings = Arc::clone(&self.clients.settings);
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        value.connection = Some(key);
        value.expiry = request.granted_expiry(&settings);
        let expiry_max = (request.session_expiry != SessionExpiryInterval::WITH_CONNECTION)
            .then(|| request.session_expiry_max.min(settings.session_expiry_max));
        let before = std::mem::replace(&mut value.identity, request.identity.into_shared());
        // Its subscriptions are those of another user now.
        let count = value.subscriptions_count();
        if count > 0 && before.user_name != value.identity.user_name {
            self.clients.subscriptions.release(before.user_name.as_deref(), count);
            self.clients.subscriptions.add(value.identity.user_name.as_deref(), count);
        }
        value.answers = None;
        let identity = Arc::clone(&value.identity);
        // A Will of an earlier connection whose delay has not passed is never sent.
        // spec(v5): [MQTT-3.1.3-9]
        let had_will = value.extras.will.is_some();
        if let Some(extras) = value.extras.existing() {
            (extras.away_since, extras.expires_at) = (None, None);
            (extras.will, extras.will_due_at, extras.expiry_max) = (None, None, None);
        }
        if will.is_some() || expiry_max.is_some() {
            let extras = value.extras.make();
            (extras.will, extras.expiry_max) = (will, expiry_max);
        }
        value.outbound.begin_connection(request.receive_maximum.min(settings.inflight_max));
        if !value.is_durable() && value.expiry != SessionExpiryInterval::WITH_CONNECTION {
            let number = SessionNumber(self.take_number());
            if let Some(value) = self.clients.sessions.get_mut(session) {
                let extras = value.extras.make();
                (extras.number, extras.recorded_in) = (Some(number), self.clients.journal.segment());
            }
        }
        self.clients.note_policy(&identity);
        self.clients.record(session, Session::record);
        self.record_will(session, had_will);
        self.clients.count_memory(session);
    }

    /// Tells the store of the Session's Will, or that it has none any more.
    pub(super) fn record_will(&mut self, session: Key, had_will: bool) {
        match self.clients.sessions.get(session).and_then(|value| value.extras.will.clone()) {
            Some(will) => {
                let Will { message, expiry_s, delay_s } = *will;
                self.clients.record(session, |session, _| Record::WillSet {
                    session,
                    message,
                    expiry_s,
                    delay_s,
                });
            }
            None if had_will => {
                self.clients.record(session, |session, _| Record::WillRemoved { session });
            }
            None => {}
        }
    }

    // spec(v5): [MQTT-3.1.2-7]
    fn keep_will(&mut self, now: Timestamp, publisher: u64, will: &WillMessage) -> Box<Will> {
        let id = self.next_message_id(now);
        let mut publication = Publication::new(id, &will.topic, will.qos, will.retain);
        publication.publisher = publisher;
        publication.forwarded = &will.forwarded;
        publication.payload = &will.payload;
        Box::new(Will {
            message: publication.keep(&self.clients.gauge),
            expiry_s: will.expiry_s,
            delay_s: will.delay_s,
        })
    }

    /// CONNACK has left: the Session goes on where it was.
    // spec(v5): [MQTT-4.4.0-1]
    // spec(v3.1.1): [MQTT-4.4.0-1]
    pub(super) fn resume(&mut self, now: Timestamp, session: Key) {
        let extras = self.clients.sessions.get_mut(session).and_then(|value| value.extras.existing());
        if let Some(extras) = extras {
            // No SUBACK of an earlier connection will leave any more.
            extras.retained.iter_mut().for_each(|delivery| delivery.suback = None);
        }
        self.pump(now, session);
        let memberships = self
            .clients
            .sessions
            .get(session)
            .map(|value| value.extras.memberships.clone())
            .unwrap_or_default();
        for membership in memberships {
            self.tell(now, membership.owner, PeerMessage::GroupReady { name: membership.name, session });
        }
    }
}
