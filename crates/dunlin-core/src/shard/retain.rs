//! Retained Messages: kept, replaced, cleared, expired, and sent to new subscriptions.
//!
//! Every shard keeps all of them (bodies are shared), so that a subscriber's own shard answers, in the same
//! order as live messages. Where two shards publish to one topic at once, the greater message id wins
//! everywhere; what was cleared is remembered (`cleared.rs`), so that an older message on its way does not
//! bring it back.
//!
//! A new subscription gets its Retained Messages in slices, as fast as the client takes them: a `#` over a
//! hundred thousand topics stalls neither the shard nor the client's queue.

use super::deliver::Wanted;
use super::forward::Reach;
use super::{DropReason, Shard};
use crate::identity::{ShardId, partition};
use crate::journal::{Record, Segment};
use crate::message::{ApplicationMessage, Publication};
use crate::retained::Progress;
use crate::router::Subscription;
use crate::session::RetainedDelivery;
use crate::settings::Settings;
use crate::slots::Key;
use crate::time::Timestamp;
use crate::timers::Timer;
use dunlin_codec::{PacketIdentifier, QoS};

/// Tree nodes visited for one subscription before others have their turn.
const SLICE_NODES: usize = 1024;

/// Whether a shard, one of so many, is the one that tells the store about a topic's Retained Message.
pub(super) fn is_told_by(topic: &str, shard: ShardId, shards: u16) -> bool {
    partition(topic, shards) == shard && !Settings::is_reserved(topic)
}

/// A Retained Message in the tree.
#[derive(Debug)]
pub(crate) struct Kept {
    pub message: ApplicationMessage,
    /// The store's log has it in this segment or later.
    pub recorded_in: Segment,
}

impl Shard {
    /// Whether it is this shard that tells the store about a topic's Retained Message. Every shard keeps all of
    /// them, but their records must come in one order. What the broker says of itself below `$SYS` it says again
    /// after every start.
    pub(super) fn records_retained(&self, topic: &str) -> bool {
        self.clients.journal.is_enabled() && is_told_by(topic, self.peers.own, self.peers.count())
    }

    /// Whether a Retained Message of this topic may be kept, whose topic, forwarded properties and payload are
    /// together `content_bytes` long. One that does not grow may always replace its predecessor.
    pub(super) fn may_retain(&self, topic: &str, content_bytes: usize) -> bool {
        let settings = &self.clients.settings;
        if Settings::is_reserved(topic) {
            // The broker's own are few, and take no room from those of clients.
            return self.clients.memory_bytes() <= settings.memory_bytes_max;
        }
        let of_clients = self.retained.len() - self.reserved_retained;
        let size = ApplicationMessage::size_bytes_of(content_bytes);
        let replaced = self.retained.get(topic).map_or(0, |kept| kept.message.size_bytes());
        let is_known = replaced > 0;
        size <= replaced
            || (self.clients.memory_bytes() <= settings.memory_bytes_max
                && (is_known || of_clients < settings.retained_messages_max)
                && (self.retained_bytes - replaced).saturating_add(size) <= settings.retained_bytes_max)
    }

    /// Keeps, replaces or clears the Retained Message of a topic.
    // spec(v5): [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8]
    // spec(v3.1.1): [MQTT-3.3.1-5] [MQTT-3.3.1-7] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.3.1-12]
    // [MQTT-3.1.2-7]
    pub(super) fn retain(&mut self, now: Timestamp, publication: &mut Publication<'_>) {
        let topic = publication.topic;
        let newest = self.retained.get(topic).map(|kept| kept.message.id).max(self.cleared.get(topic));
        if newest.is_some_and(|newest| newest > publication.id) {
            // What has replaced it must be durable before it counts as stored.
            if self.records_retained(topic) {
                self.clients.journal.depend_on_earlier();
            }
            return;
        }
        if self.records_retained(topic) {
            let message = publication.keep(&self.clients.gauge);
            self.clients.journal.stage(|| Record::Retained { message });
        }
        let is_expired = publication.expires_at.is_some_and(|at| at <= now);
        if publication.payload.is_empty() || is_expired {
            self.forget_retained(topic);
            self.remember_cleared(topic, publication.id);
            return;
        }
        self.cleared.remove(topic);
        let recorded_in = self.clients.journal.segment();
        self.keep_retained(topic, Kept { message: publication.keep(&self.clients.gauge), recorded_in });
    }

    /// Puts a message into the tree, in the place of what is there.
    pub(super) fn keep_retained(&mut self, topic: &str, kept: Kept) {
        let expires_at = kept.message.expires_at;
        let is_reserved = Settings::is_reserved(topic);
        if !is_reserved {
            self.retained_bytes += kept.message.size_bytes();
        }
        if let Some(at) = expires_at {
            self.retained_expiries.insert((at, topic.into()));
        }
        match self.retained.insert(topic, kept) {
            Some(Kept { message: replaced, .. }) => {
                if !is_reserved {
                    self.retained_bytes -= replaced.size_bytes();
                }
                if replaced.expires_at != expires_at {
                    self.forget_expiry(&replaced, topic);
                }
            }
            None => self.reserved_retained += usize::from(is_reserved),
        }
        self.arm_retained_expiry();
    }

    pub(super) fn arm_retained_expiry(&mut self) {
        let next = self.retained_expiries.first().map(|(at, _)| *at);
        if let Some(at) = next.filter(|at| self.retained_timer_at.is_none_or(|armed| armed > *at)) {
            if self.retained_timer_at.is_some() {
                self.clients.timers.forget();
            }
            self.retained_timer_at = Some(at);
            self.clients.timers.arm(at, Timer::RetainedExpiry);
        }
    }

    fn forget_retained(&mut self, topic: &str) {
        if let Some(Kept { message, .. }) = self.retained.remove(topic) {
            if Settings::is_reserved(topic) {
                self.reserved_retained -= 1;
            } else {
                self.retained_bytes -= message.size_bytes();
            }
            self.forget_expiry(&message, topic);
        }
    }

    fn forget_expiry(&mut self, message: &ApplicationMessage, topic: &str) {
        if let Some(at) = message.expires_at {
            self.retained_expiries.remove(&(at, topic.into()));
        }
    }

    /// Drops what has expired.
    pub(super) fn expire_retained(&mut self, now: Timestamp) {
        self.retained_timer_at = self.retained_timer_at.filter(|at| *at > now);
        while self.retained_expiries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, topic)) = self.retained_expiries.pop_first()
                && let Some(id) = self.retained.get(&topic).map(|kept| kept.message.id)
            {
                self.forget_retained(&topic);
                self.remember_cleared(&topic, id);
            }
        }
        self.arm_retained_expiry();
    }

    /// A subscription is owed its Retained Messages, which follow its SUBACK.
    pub(super) fn owe_retained(
        &mut self,
        session: Key,
        filter: &str,
        subscription: Subscription,
        suback: PacketIdentifier,
    ) {
        let cursor = self.retained.cursor(filter);
        let (is_empty, is_stored) = (self.retained.is_empty(), subscription.maximum_qos > 0);
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        // Subscribing again begins again: a Session is owed each filter once, and of a filter that was named
        // twice in one SUBSCRIBE the last counts.
        value.forget_retained(filter);
        if is_empty {
            return;
        }
        let is_recorded = is_stored && value.is_durable();
        value.extras.make().retained.push_back(RetainedDelivery {
            filter: filter.into(),
            cursor,
            subscription,
            suback: Some(suback),
            is_recorded,
            passed: None,
        });
        if is_recorded {
            let filter = filter.into();
            self.clients.record(session, |session, _| Record::RetainedOwed { session, filter, after: None });
        }
    }

    /// SUBACK has left: its subscriptions get their Retained Messages.
    pub(super) fn begin_retained(&mut self, now: Timestamp, session: Key, suback: PacketIdentifier) {
        let extras = self.clients.sessions.get_mut(session).and_then(|value| value.extras.existing());
        let Some(extras) = extras.filter(|extras| !extras.retained.is_empty()) else {
            return;
        };
        for delivery in &mut extras.retained {
            delivery.suback.take_if(|waits_for| *waits_for == suback);
        }
        self.pump_retained(now, session);
    }

    /// Sends Retained Messages while the client takes them, one slice at the most.
    // spec(v5): [MQTT-3.3.1-9]
    // spec(v3.1.1): [MQTT-3.3.1-6] [MQTT-3.3.1-8]
    pub(super) fn pump_retained(&mut self, now: Timestamp, session: Key) {
        // A walk that is under way goes on in its turn: many small requests buy no more of them.
        if self.clients.sessions.get(session).is_some_and(|value| value.is_walking) {
            return;
        }
        let mut budget = SLICE_NODES;
        // Those that wait for their SUBACK are behind those that do not.
        while self.clients.can_take(session)
            && let Some(value) = self.clients.sessions.get_mut(session)
            && let Some(extras) = value.extras.existing()
            && let Some(delivery) = extras.retained.front_mut().filter(|delivery| delivery.suback.is_none())
        {
            let subscription = delivery.subscription;
            let publisher = value.identifier_hash;
            let message = match self.retained.next(&mut delivery.cursor, &mut budget) {
                Progress::Found(_, kept) => kept.message.clone(),
                Progress::Pending => {
                    value.is_walking = true;
                    self.retained_continues.push_back(session);
                    break;
                }
                Progress::Done => {
                    if let Some(sent) = extras.retained.pop_front().filter(|sent| sent.is_recorded) {
                        let filter = sent.filter;
                        self.clients.record(session, |session, _| Record::RetainedSent { session, filter });
                    }
                    continue;
                }
            };
            if message.is_expired(now) || (subscription.no_local && message.publisher == publisher) {
                continue;
            }
            // Who wrote it may have lost the right since.
            if !self.clients.may_stay_retained(&message) {
                self.clients.counters.drop(DropReason::NotAuthorized);
                continue;
            }
            let identifier = [subscription.identifier];
            let wanted = Wanted {
                maximum_qos: QoS::from_bits(subscription.maximum_qos).unwrap_or_default(),
                retain: true,
                identifiers: if subscription.identifier == 0 { &[] } else { &identifier },
            };
            self.clients.frames.reset();
            self.clients.deliver(now, session, &mut Publication::of(&message), wanted, None);
        }
        self.record_walk(session);
        // Every subscriber comes here, and most of them stay for long and need it never again.
        if let Some(value) =
            self.clients.sessions.get_mut(session).filter(|value| value.extras.retained.is_empty())
        {
            value.settle_retained();
            self.clients.count_memory(session);
        }
    }

    /// Tells the store how far the walk has come, together with the messages that it has found.
    fn record_walk(&mut self, session: Key) {
        let Some(extras) = self.clients.sessions.get_mut(session).and_then(|value| value.extras.existing())
        else {
            return;
        };
        if let Some(delivery) = extras.retained.front_mut().filter(|delivery| delivery.is_recorded)
            && let Some(passed) = delivery.cursor.passed()
            && delivery.passed.as_deref() != Some(&passed)
        {
            delivery.passed = Some(passed.into());
            let (filter, after) = (delivery.filter.clone(), delivery.passed.clone());
            self.clients.record(session, |session, _| Record::RetainedOwed { session, filter, after });
        }
    }

    /// Publishes a Will. One that the store knows must not be lost between shards.
    pub(super) fn publish_own(
        &mut self,
        now: Timestamp,
        publication: &mut Publication<'_>,
        is_durable: bool,
    ) {
        let content_bytes = publication.topic.len() + publication.forwarded.len() + publication.payload.len();
        let clears = publication.payload.is_empty();
        if publication.retain && !clears && !self.may_retain(publication.topic, content_bytes) {
            publication.retain = false;
        }
        let is_kept = publication.qos > QoS::AtMostOnce || publication.retain;
        let is_recorded = is_durable && is_kept && self.record_routing(publication);
        self.route(now, publication, Reach::Everywhere { exactly: is_recorded });
        if is_recorded {
            self.await_forwarded(publication.id);
        }
    }
}
