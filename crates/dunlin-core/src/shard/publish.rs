//! PUBLISH from a client: judged, acknowledged, routed.
//!
//! The order is fixed. The packet is judged whole; then the message is routed, which stages whatever must be
//! durable or applied elsewhere; then the acknowledgement is owed behind exactly that.

use super::deliver::Wanted;
use super::forward::Reach;
use super::{DropReason, Output, Shard, StoreState, Violation, protocol_error};
use crate::authorize::Right;
use crate::connection::{Barrier, Mark, Owed, Slowed, Until};
use crate::group::Group;
use crate::identity::ShardId;
use crate::journal::{Position, Record};
use crate::message::{MessageId, Publication};
use crate::peer::PeerMessage;
use crate::router::Target;
use crate::session::Session;
use crate::settings::Settings;
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{PacketIdentifier, ProtocolVersion, Publish, QoS, ReasonCode};
use smallvec::SmallVec;

/// Where a publication was routed to.
#[derive(Default)]
pub(super) struct Routed {
    /// Somebody wants it.
    pub has_subscribers: bool,
    /// What an acknowledgement waits for.
    pub barrier: Barrier,
}

impl Shard {
    pub(super) fn handle_publish(
        &mut self,
        now: Timestamp,
        key: Key,
        publish: &Publish<'_>,
    ) -> Result<(), Violation> {
        let Some(connection) = self.clients.connections.get_mut(key) else {
            return Ok(());
        };
        connection.messages_received = connection.messages_received.wrapping_add(1);
        let (session, version) = (connection.session, connection.version);
        self.clients.counters.message_received(version, publish.qos, publish.payload.len());
        // spec(v5): [MQTT-3.3.4-6]
        if !publish.subscription_identifiers.is_empty() {
            return Err(protocol_error("MQTT-3.3.4-6", "a Client must not send Subscription Identifiers"));
        }
        let alias_topic = self.resolve_alias(key, publish)?;
        let topic = alias_topic.as_deref().unwrap_or(publish.topic);
        if self.clients.trace.is_some() && self.clients.wants(key, Some(topic)) {
            let mut bytes = Vec::new();
            publish.encode(version, &mut bytes);
            self.clients.trace_received(key, Some(topic), &bytes);
        }
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return Ok(());
        };
        let (publisher, is_durable) = (value.identifier_hash, value.is_durable());
        let writer = publish.retain.then(|| value.as_writer());
        if let (QoS::ExactlyOnce, Some(packet_identifier)) = (publish.qos, publish.packet_identifier)
            && value.extras.inbound.contains(packet_identifier)
        {
            // The message was taken in already: only the acknowledgement is repeated.
            // spec(v5): [MQTT-4.3.3-10]
            // spec(v3.1.1): [MQTT-4.3.3-2]
            let mut barrier = self.barrier_of_all(Until::AllStored);
            if is_durable {
                barrier.position = self.clients.journal.position();
            }
            self.owe(now, key, barrier, Owed::PubRec(packet_identifier, ReasonCode::Success));
            return Ok(());
        }
        self.count_outstanding(key, publish.qos)?;
        if let Some(refusal) =
            self.judge(session, topic, publish).or_else(|| self.judge_store(topic, publish))
        {
            self.note_refusal(key, refusal, Right::Publish(topic, publish.qos, publish.retain));
            return self.refuse(now, key, publish, refusal);
        }
        let id = self.next_message_id(now);
        let mut forwarded = std::mem::take(&mut self.forwarded);
        forwarded.clear();
        publish.properties.write_forwarded(&mut forwarded);
        // A QoS 0 message for which there is no room is still for those who listen now.
        // (At higher QoS it was refused before it came here.)
        let retain =
            publish.retain && (publish.qos > QoS::AtMostOnce || self.has_room_to_retain(topic, publish));
        let mut publication = Publication::new(id, topic, publish.qos, retain);
        publication.publisher = publisher;
        publication.writer = writer.filter(|_| retain);
        publication.expires_at =
            publish.properties.message_expiry_interval_s.map(|seconds| now.after_s(seconds));
        publication.forwarded = &forwarded;
        publication.payload = publish.payload;
        let is_exact = is_durable && publish.qos == QoS::ExactlyOnce;
        let is_recorded = is_exact && self.record_routing(&mut publication);
        let routed = self.route(now, &mut publication, Reach::Everywhere { exactly: is_recorded });
        if is_recorded {
            self.await_forwarded(id);
        }
        // Most messages have no properties, and nothing else to pay for this.
        if !forwarded.is_empty() && self.clients.settings.notes_traces {
            self.note_trace(now, key, topic, publish, routed.has_subscribers);
        }
        self.pause_publisher(now, key, &routed.barrier);
        if let Some(packet_identifier) = publish.packet_identifier {
            self.acknowledge_publish(now, key, publish.qos, packet_identifier, routed);
        }
        self.forwarded = forwarded;
        Ok(())
    }

    /// The topic that an alias stands for; `None` when the packet names its topic.
    // spec(v5): [MQTT-3.3.2-7] [MQTT-3.3.2-8] [MQTT-3.3.2-12]
    fn resolve_alias(&mut self, key: Key, publish: &Publish<'_>) -> Result<Option<Box<str>>, Violation> {
        let Some(alias) = publish.topic_alias else {
            return Ok(None);
        };
        if alias.get() > self.clients.settings.topic_alias_maximum {
            let detail = "the Topic Alias is greater than Topic Alias Maximum";
            return Err(Violation {
                reason_code: ReasonCode::TopicAliasInvalid,
                statement: "MQTT-3.3.2-9",
                detail,
            });
        }
        let Some(connection) = self.clients.connections.get_mut(key) else {
            return Ok(None);
        };
        let aliases = &mut connection.extras_mut().client_aliases;
        if publish.topic.is_empty() {
            match aliases.get(alias) {
                Some(topic) => Ok(Some(topic.into())),
                None => Err(protocol_error("3.3.2.3.4", "the Topic Alias was never set")),
            }
        } else {
            aliases.set(alias, publish.topic);
            Ok(None)
        }
    }

    /// Counts a new QoS 1 or 2 publication against Receive Maximum.
    // spec(v5): [MQTT-3.3.4-7]
    fn count_outstanding(&mut self, key: Key, qos: QoS) -> Result<(), Violation> {
        let receive_maximum = self.clients.settings.receive_maximum;
        if qos == QoS::AtMostOnce {
            return Ok(());
        }
        let Some(connection) = self.clients.connections.get_mut(key) else {
            return Ok(());
        };
        if connection.version == ProtocolVersion::V5 && connection.inbound_outstanding >= receive_maximum {
            let detail = "more than Receive Maximum publications are unacknowledged";
            return Err(Violation {
                reason_code: ReasonCode::ReceiveMaximumExceeded,
                statement: "MQTT-3.3.4-7",
                detail,
            });
        }
        connection.inbound_outstanding = connection.inbound_outstanding.saturating_add(1);
        Ok(())
    }

    /// Why a publication is not accepted, if it is not.
    #[inline]
    pub(super) fn judge(&mut self, session: Key, topic: &str, publish: &Publish<'_>) -> Option<ReasonCode> {
        if self.clients.settings.judge_topic(topic).is_err() {
            return Some(ReasonCode::TopicNameInvalid);
        }
        if Settings::is_reserved(topic)
            || !self.clients.may_publish(session, topic, publish.qos, publish.retain)
        {
            return Some(ReasonCode::NotAuthorized);
        }
        let is_utf8 = publish.properties.payload_format_is_utf8 == Some(true);
        if is_utf8 && std::str::from_utf8(publish.payload).is_err() {
            return Some(ReasonCode::PayloadFormatInvalid);
        }
        let is_over_memory = publish.qos > QoS::AtMostOnce
            && self.clients.memory_bytes() > self.clients.settings.memory_bytes_max;
        let is_kept = publish.retain && publish.qos > QoS::AtMostOnce;
        if is_over_memory || (is_kept && !self.has_room_to_retain(topic, publish)) {
            return Some(ReasonCode::QuotaExceeded);
        }
        None
    }

    /// Why a publication that would have to be stored is not accepted, while the store does not write.
    #[inline]
    pub(super) fn judge_store(&mut self, topic: &str, publish: &Publish<'_>) -> Option<ReasonCode> {
        if self.store_state == StoreState::Writing || publish.qos == QoS::AtMostOnce {
            return None;
        }
        let clients = &self.clients;
        let groups = &self.groups;
        let is_stored = publish.retain
            || self.router.matches(topic).any(|found| match found.target() {
                Target::Session(index) => clients.sessions.at(index).is_some_and(Session::is_durable),
                Target::Group(index) => groups.at(index).is_some_and(Group::is_durable),
                // What it would do with the message is not known here.
                Target::Peer(_) => true,
            });
        is_stored.then_some(ReasonCode::QuotaExceeded)
    }

    /// Whether there is room for this publication as a Retained Message; clearing needs none.
    fn has_room_to_retain(&self, topic: &str, publish: &Publish<'_>) -> bool {
        let content_bytes = topic.len() + publish.properties.forwarded_length() + publish.payload.len();
        let is_writing = self.store_state == StoreState::Writing;
        is_writing && (publish.payload.is_empty() || self.may_retain(topic, content_bytes))
    }

    /// Has the log told of the first refusal of a connection: enough to find what is misconfigured, and no
    /// way to flood the log.
    pub(super) fn note_refusal(&mut self, connection: Key, reason_code: ReasonCode, right: Right<'_>) {
        if self.clients.trace.is_some() {
            self.clients.trace_refused(connection, right, reason_code);
        }
        let (Right::Publish(topic, ..) | Right::Subscribe(topic) | Right::Receive(topic)) = right;
        if let Some(value) = self.clients.connections.get_mut(connection)
            && !std::mem::replace(&mut value.was_refused, true)
        {
            self.clients.outputs.push_back(Output::Refused { connection, reason_code, topic: topic.into() });
        }
    }

    /// Tells the client that its publication was not accepted, in the words its version has.
    // spec(v5): [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-4.3.3-9]
    fn refuse(
        &mut self,
        now: Timestamp,
        key: Key,
        publish: &Publish<'_>,
        reason_code: ReasonCode,
    ) -> Result<(), Violation> {
        if let Some(session) = self.connection(key).map(|connection| connection.session) {
            self.clients.drop_for(session, None, DropReason::Refused);
        }
        let connection = self.connection(key);
        let is_v5 = connection.is_some_and(|connection| connection.version == ProtocolVersion::V5);
        // spec(v3.1.1): [MQTT-3.3.5-2]
        if reason_code == ReasonCode::NotAuthorized
            && connection.is_some_and(|connection| connection.closes_when_denied)
        {
            let detail = "the client may not publish to this topic";
            return Err(Violation { reason_code, statement: "MQTT-3.3.5-2", detail });
        }
        match (publish.packet_identifier, reason_code) {
            (None, ReasonCode::PayloadFormatInvalid) => Err(Violation {
                reason_code,
                statement: "3.3.2.3.2",
                detail: "the payload is not UTF-8 as it says",
            }),
            (None, _) => Ok(()),
            // 3.x has no negative acknowledgement. Without room the connection is closed unacknowledged, so
            // that the client sends again later (unless it was put aside, `park.rs`); what can never succeed is
            // acknowledged and dropped.
            // spec(v3.1.1): [MQTT-4.8.0-2] [MQTT-3.3.5-2]
            (Some(_), ReasonCode::QuotaExceeded) if !is_v5 => Err(Violation {
                reason_code,
                statement: "MQTT-4.8.0-2",
                detail: "there is no room for the message",
            }),
            (Some(packet_identifier), _) => {
                let barrier = Barrier::default();
                let owed = match publish.qos {
                    QoS::ExactlyOnce if is_v5 => Owed::PubRec(packet_identifier, reason_code),
                    QoS::ExactlyOnce => Owed::PubRec(packet_identifier, ReasonCode::Success),
                    _ => Owed::PubAck(packet_identifier, reason_code),
                };
                self.owe(now, key, barrier, owed);
                Ok(())
            }
        }
    }

    // A QoS 1 identifier is not remembered: after PUBACK it means a new message.
    // spec(v5): [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT-4.3.3-8]
    // spec(v3.1.1): [MQTT-3.3.4-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2]
    fn acknowledge_publish(
        &mut self,
        now: Timestamp,
        key: Key,
        qos: QoS,
        packet_identifier: PacketIdentifier,
        routed: Routed,
    ) {
        let Routed { has_subscribers, mut barrier } = routed;
        let reason_code =
            if has_subscribers { ReasonCode::Success } else { ReasonCode::NoMatchingSubscribers };
        let owed = if qos == QoS::ExactlyOnce {
            if let Some((key, session)) = self.clients.session_of(key) {
                session.extras.make().inbound.insert(packet_identifier);
                self.clients.record(key, |session, _| Record::Received { session, packet_identifier });
            }
            Owed::PubRec(packet_identifier, reason_code)
        } else {
            Owed::PubAck(packet_identifier, reason_code)
        };
        barrier.position = self.clients.journal.position_of_input();
        self.owe(now, key, barrier, owed);
    }

    /// Sends a publication to everybody it concerns on this shard and, if it was published here, on the others.
    // spec(v5): [MQTT-3.3.2-3] [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.7.3-4]
    // spec(v3.1.1): [MQTT-3.3.2-3] [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.7.3-4]
    pub(super) fn route(
        &mut self,
        now: Timestamp,
        publication: &mut Publication<'_>,
        reach: Reach<'_>,
    ) -> Routed {
        let mut routed = Routed::default();
        let mut groups = SmallVec::<[u32; 4]>::new();
        let mut peers = SmallVec::<[ShardId; 4]>::new();
        self.clients.frames.reset();
        self.clients.slow_consumer = None;
        for found in self.router.matches(publication.topic) {
            match found.target() {
                Target::Session(index) => {
                    let Some((session, hash)) = self.clients.session_at(index) else {
                        continue;
                    };
                    let client = || self.clients.sessions.at(index).map(|it| it.client_identifier.as_str());
                    if !reach.includes(client) {
                        continue;
                    }
                    // spec(v5): [MQTT-3.8.3-3]
                    let delivery = if hash == publication.publisher {
                        match found.delivery_to_publisher() {
                            Some(delivery) => delivery,
                            None => continue,
                        }
                    } else {
                        found.delivery()
                    };
                    routed.has_subscribers = true;
                    let identifiers: SmallVec<[u32; 4]> = delivery.identifiers.collect();
                    let wanted = Wanted {
                        maximum_qos: QoS::from_bits(delivery.maximum_qos).unwrap_or_default(),
                        // spec(v5): [MQTT-3.3.1-12] [MQTT-3.3.1-13]
                        // spec(v3.1.1): [MQTT-3.3.1-9]
                        retain: publication.retain && delivery.retain_as_published,
                        identifiers: &identifiers,
                    };
                    self.clients.deliver(now, session, publication, wanted, None);
                }
                Target::Group(index) => groups.push(index),
                Target::Peer(peer) => peers.push(peer),
            }
        }
        routed.has_subscribers |= !groups.is_empty();
        for index in groups.iter().copied() {
            if !reach.includes(|| self.groups.at(index).map(|group| &*group.name)) {
                continue;
            }
            self.route_to_group(now, index, publication, &mut routed.barrier);
        }
        let is_outdated = matches!(reach, Reach::HereBut(known) if known.is_outdated);
        if publication.retain && !is_outdated {
            self.retain(now, publication);
        }
        if let Reach::Everywhere { exactly } = reach {
            self.tap(publication);
            routed.has_subscribers |= !peers.is_empty();
            if publication.retain {
                // Every shard keeps every Retained Message.
                peers = self.peers.others().collect();
            }
            for peer in peers.iter().copied() {
                let message = publication.keep(&self.clients.gauge);
                if let Some(link) = self.peers.link(peer) {
                    let message = match exactly {
                        true => PeerMessage::PublishExactly(message),
                        false => PeerMessage::Publish(message),
                    };
                    let sequence = link.stage(message);
                    routed.barrier.peers.push(Mark { peer, sequence, until: Until::Stored });
                }
            }
        }
        routed
    }

    /// Lets a publisher wait for the slow consumer, the slow peer or the slow store that its message has run
    /// into.
    fn pause_publisher(&mut self, now: Timestamp, publisher: Key, barrier: &Barrier) {
        // A client that does not read what it sends itself could not be relieved by waiting.
        if let Some(consumer) = self.clients.slow_consumer.take().filter(|consumer| *consumer != publisher)
            && self.slow_down(now, consumer, Slowed::Connection(publisher))
            && let Some(connection) = self.clients.connections.get_mut(publisher)
        {
            connection.is_paused = true;
        }
        let is_stored = self.clients.journal.position_of_input() > Position::default();
        if is_stored
            && self.clients.journal.is_behind()
            && let Some(connection) = self.clients.connections.get_mut(publisher)
        {
            connection.is_paused = true;
            self.clients.journal.slowed.push(publisher);
        }
        for mark in &barrier.peers {
            if let Some(link) = self.peers.link(mark.peer)
                && link.is_behind()
                && let Some(connection) = self.clients.connections.get_mut(publisher)
            {
                connection.is_paused = true;
                link.slowed.push(publisher);
            }
        }
    }

    /// Notes who waits for a slow consumer. False if it is lagging already, and nobody waits for it any more.
    pub(super) fn slow_down(&mut self, now: Timestamp, consumer: Key, slowed: Slowed) -> bool {
        let Some(connection) =
            self.clients.connections.get_mut(consumer).filter(|connection| !connection.is_lagging)
        else {
            return false;
        };
        let extras = connection.extras_mut();
        if extras.slowed.contains(&slowed) {
            return true;
        }
        extras.slowed.push(slowed);
        let since = *extras.slow_since.get_or_insert(now);
        if !std::mem::replace(&mut extras.has_grace_timer, true) {
            self.clients.arm_grace(since, consumer);
        }
        true
    }

    /// Names the next message this shard takes in.
    pub(super) fn next_message_id(&mut self, now: Timestamp) -> MessageId {
        self.last_message_at = now.max(self.last_message_at.next());
        MessageId { received_at: self.last_message_at, boot_epoch: self.boot_epoch, origin: self.peers.own }
    }
}
