//! SUBSCRIBE and UNSUBSCRIBE.
//!
//! Each filter is judged and answered on its own ([MQTT-3.8.4-5]). SUBACK leaves when every shard knows of
//! the interest, so that a message published after SUBACK, wherever, arrives; Retained Messages follow it.

use super::clients::Clients;
use super::deliver::queued;
use super::{Shard, StoreState, SubscriptionRefusal, Violation};
use crate::authorize::Right;
use crate::connection::{Barrier, Owed, Until};
use crate::identity::{ShardId, partition};
use crate::journal::Record;
use crate::peer::PeerMessage;
use crate::router::{Subscription, Target};
use crate::session::{Exchange, Membership, Session};
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{
    ProtocolVersion, QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionFilter, SubscriptionOptions,
    Unsubscribe,
};
use smallvec::SmallVec;
use std::sync::Arc;

impl Shard {
    // spec(v5): [MQTT-3.8.4-1] [MQTT-3.8.4-5] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2]
    // spec(v3.1.1): [MQTT-3.8.4-4] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.9.3-2]
    pub(super) fn handle_subscribe(
        &mut self,
        now: Timestamp,
        key: Key,
        subscribe: Subscribe<'_>,
    ) -> Result<(), Violation> {
        let Some(connection) = self.connection(key) else {
            return Ok(());
        };
        let (session, version) = (connection.session, connection.version);
        let mut reason_codes = SmallVec::new();
        let token = self.next_token();
        for (filter, mut options) in subscribe.filters.iter() {
            let allowed_qos = self.clients.allowed_qos(session, filter);
            options.maximum_qos = options.maximum_qos.min(allowed_qos.unwrap_or(options.maximum_qos));
            let subscription = Subscription {
                maximum_qos: options.maximum_qos.bits(),
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                identifier: subscribe.subscription_identifier.unwrap_or(0),
            };
            let is_known = self.has_subscription(session, filter, subscription);
            let judged = self.judge_filter(session, filter, allowed_qos.is_some(), is_known);
            let reason_code = match judged.and_then(|is_new| self.clients.claim(session, is_new)) {
                Err(refusal) => {
                    let reason_code = refusal.reason_code();
                    self.clients.counters.refuse_subscription(refusal);
                    self.note_refusal(key, reason_code, Right::Subscribe(filter.as_str()));
                    reason_code
                }
                Ok(()) => {
                    let is_new = if filter.share_name.is_some() {
                        self.expect_join(token, key);
                        self.subscribe_shared(now, session, filter.as_str(), subscription, token);
                        false
                    } else {
                        self.subscribe_own(session, filter.as_str(), subscription)
                    };
                    // Most clients subscribe again whenever they connect. The store has it then, or is about to.
                    if is_known {
                        if self.clients.sessions.get(session).is_some_and(Session::is_durable) {
                            self.clients.journal.depend_on_earlier();
                        }
                    } else {
                        self.clients.record(session, |session, _| Record::Subscribed {
                            session,
                            filter: filter.as_str().into(),
                            subscription,
                        });
                    }
                    // spec(v5): [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]
                    // spec(v3.1.1): [MQTT-3.3.1-6] [MQTT-3.8.4-3]
                    let wants_retained = match options.retain_handling {
                        RetainHandling::SendAtSubscribe => true,
                        RetainHandling::SendIfNew => is_new,
                        RetainHandling::DoNotSend => false,
                    };
                    if wants_retained && filter.share_name.is_none() {
                        let suback = subscribe.packet_identifier;
                        self.owe_retained(session, filter.as_str(), subscription, suback);
                    }
                    granted(options)
                }
            };
            reason_codes.push(wire_code(reason_code, version));
        }
        self.clients.count_memory(session);
        let mut barrier = self.barrier_of_all(Until::Applied);
        barrier.joins = Some(token).filter(|token| self.is_join_pending(*token));
        let packet_identifier = subscribe.packet_identifier;
        self.owe(now, key, barrier, Owed::SubAck { packet_identifier, reason_codes });
        Ok(())
    }

    /// Whether the Session has exactly this subscription already.
    fn has_subscription(
        &self,
        session: Key,
        filter: SubscriptionFilter<'_>,
        subscription: Subscription,
    ) -> bool {
        let existing = match filter.share_name {
            Some(_) => self.clients.sessions.get(session).and_then(|value| {
                let position = value.membership(filter.as_str()).ok()?;
                value.extras.memberships.get(position).map(|membership| membership.subscription)
            }),
            None => self.router.get(filter.topic_filter.as_str(), Target::Session(session.index)),
        };
        existing == Some(subscription)
    }

    /// Whether the Session has not got this filter yet, or why it is refused; `is_allowed` is what the authorizer said.
    /// What `is_the_same` as before needs no room in the store.
    fn judge_filter(
        &self,
        session: Key,
        filter: SubscriptionFilter<'_>,
        is_allowed: bool,
        is_the_same: bool,
    ) -> Result<bool, SubscriptionRefusal> {
        let settings = &self.clients.settings;
        let text = filter.topic_filter.as_str();
        if settings.judge_topic(text).is_err() {
            return Err(SubscriptionRefusal::Filter);
        }
        // Who has no Session has no rights either.
        let value = self.clients.sessions.get(session).filter(|_| is_allowed);
        let value = value.ok_or(SubscriptionRefusal::NotAuthorized)?;
        let is_known = match filter.share_name {
            Some(_) => value.membership(filter.as_str()).is_ok(),
            None => value.has_filter(text),
        };
        let may_be_stored = match self.store_state {
            StoreState::Writing => true,
            StoreState::Full => is_the_same,
            StoreState::Failed => false,
        };
        if value.is_durable() && !may_be_stored {
            return Err(SubscriptionRefusal::Store);
        }
        let bytes = value.subscription_bytes() + filter.as_str().len();
        let has_room = value.subscriptions_count() < settings.subscriptions_max
            && bytes <= settings.subscription_bytes_max;
        if !is_known && !has_room {
            return Err(SubscriptionRefusal::OfSession);
        }
        Ok(!is_known)
    }

    /// Adds or replaces a subscription of the Session's own; true if it is new.
    // spec(v5): [MQTT-3.8.4-3]
    // spec(v3.1.1): [MQTT-3.8.4-3]
    pub(super) fn subscribe_own(&mut self, session: Key, text: &str, subscription: Subscription) -> bool {
        let inserted = self.router.insert(text, Target::Session(session.index), subscription);
        if inserted.is_first_local {
            self.announce(text, true);
        }
        if let Some(value) = self.clients.sessions.get_mut(session) {
            value.add_filter(text);
        }
        inserted.replaced.is_none()
    }

    pub(super) fn subscribe_shared(
        &mut self,
        now: Timestamp,
        session: Key,
        filter: &str,
        subscription: Subscription,
        token: u64,
    ) {
        let name: Arc<str> = Arc::from(filter);
        let owner = partition(&name, self.peers.count());
        let (mut is_online, mut is_durable) = (false, false);
        if let Some(value) = self.clients.sessions.get_mut(session) {
            (is_online, is_durable) = (value.connection.is_some(), value.is_durable());
            match value.membership(&name) {
                Ok(position) => {
                    if let Some(membership) = value.extras.make().memberships.get_mut(position) {
                        membership.subscription = subscription;
                    }
                }
                Err(position) => {
                    let membership = Membership { name: name.clone(), owner, subscription };
                    value.extras.make().memberships.insert(position, membership);
                }
            }
        }
        let join = PeerMessage::GroupJoin { name, session, subscription, is_online, is_durable, token };
        self.tell(now, owner, join);
    }

    // spec(v5): [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-3] [MQTT-3.10.4-6] [MQTT-3.11.3-1]
    // [MQTT-3.11.3-2]
    // spec(v3.1.1): [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-3] [MQTT-3.10.4-6]
    pub(super) fn handle_unsubscribe(
        &mut self,
        now: Timestamp,
        key: Key,
        unsubscribe: Unsubscribe<'_>,
    ) -> Result<(), Violation> {
        let Some(session) = self.connection(key).map(|connection| connection.session) else {
            return Ok(());
        };
        let mut reason_codes = SmallVec::new();
        for filter in unsubscribe.filters.iter() {
            let existed = match filter.share_name {
                Some(_) => self.unsubscribe_shared(now, session, filter.as_str()),
                None => self.unsubscribe_own(session, filter.as_str()),
            };
            let reason_code = if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted };
            reason_codes.push(reason_code.code());
            if existed {
                self.clients.release(session, 1);
                self.clients.record(session, |session, _| Record::Unsubscribed {
                    session,
                    filter: filter.as_str().into(),
                });
            }
        }
        self.clients.count_memory(session);
        let packet_identifier = unsubscribe.packet_identifier;
        let barrier: Barrier = self.barrier_of_records();
        self.owe(now, key, barrier, Owed::UnsubAck { packet_identifier, reason_codes });
        Ok(())
    }

    fn unsubscribe_own(&mut self, session: Key, filter: &str) -> bool {
        let existed = self.clients.sessions.get_mut(session).is_some_and(|value| value.remove_filter(filter));
        if existed {
            self.remove_route(filter, Target::Session(session.index));
        }
        existed
    }

    fn unsubscribe_shared(&mut self, now: Timestamp, session: Key, name: &str) -> bool {
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return false;
        };
        let Ok(position) = value.membership(name) else {
            return false;
        };
        let membership = value.extras.make().memberships.remove(position);
        self.clients.record_begun(session, membership.owner);
        self.tell(now, membership.owner, PeerMessage::GroupLeave { name: membership.name, session });
        true
    }

    /// Removes all subscriptions of a Session that ends.
    pub(super) fn remove_subscriptions(&mut self, now: Timestamp, session: Key) {
        let count = self.clients.sessions.get(session).map_or(0, Session::subscriptions_count);
        self.clients.release(session, count);
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        let filters = std::mem::take(&mut value.filters);
        let memberships =
            value.extras.existing().map(|extras| std::mem::take(&mut extras.memberships)).unwrap_or_default();
        for filter in filters.iter() {
            self.remove_route(filter, Target::Session(session.index));
        }
        for membership in memberships {
            self.tell(now, membership.owner, PeerMessage::GroupLeave { name: membership.name, session });
        }
    }

    pub(super) fn remove_route(&mut self, filter: &str, target: Target) {
        self.router.remove(filter, target);
        if self.peers.count() > 1 && !self.router.has_local(filter) {
            self.announce(filter, false);
        }
    }

    /// Tells all peers that this shard wants a filter's messages, or no longer does.
    pub(super) fn announce(&mut self, filter: &str, is_added: bool) {
        if self.peers.count() == 1 {
            return;
        }
        let filter: Arc<str> = Arc::from(filter);
        for peer in self.peers.others() {
            if let Some(link) = self.peers.link(peer) {
                link.stage(PeerMessage::Interest { filter: filter.clone(), is_added });
            }
        }
    }
}

impl Clients {
    /// Counts a new subscription among those of its user, and of all.
    fn claim(&self, session: Key, is_new: bool) -> Result<(), SubscriptionRefusal> {
        let Some(value) = self.sessions.get(session).filter(|_| is_new) else { return Ok(()) };
        Ok(self.subscriptions.claim(value.identity.user_name.as_deref())?)
    }

    /// Takes that back, for so many.
    fn release(&self, session: Key, count: usize) {
        if let Some(value) = self.sessions.get(session).filter(|_| count > 0) {
            self.subscriptions.release(value.identity.user_name.as_deref(), count);
        }
    }

    /// A member leaves: the exchanges at QoS 1 that have begun are recorded as those at QoS 2 are, because they will
    /// be completed with this client, and the group may end and be forgotten. What it has of other groups in the
    /// same place is not told apart, and is completed with it as well.
    // spec(v5): [MQTT-3.10.4-3]
    // spec(v3.1.1): [MQTT-3.10.4-3]
    fn record_begun(&mut self, session: Key, owner: ShardId) {
        let segment = self.journal.segment();
        let Some((number, value)) =
            self.sessions.get_mut(session).and_then(|value| Some((value.extras.number?, value)))
        else {
            return;
        };
        for exchange in value.outbound.exchanges_mut() {
            if let Exchange::Begun(packet_identifier, delivery) = exchange
                && delivery.recorded_in.is_none()
                && delivery.ticket.as_ref().is_some_and(|ticket| ticket.group.owner == owner)
            {
                delivery.recorded_in = Some(segment);
                let order = delivery.order;
                self.journal.stage(|| queued(number, delivery));
                self.journal.stage(|| Record::Sent { session: number, order, packet_identifier });
            }
        }
    }
}

fn granted(options: SubscriptionOptions) -> ReasonCode {
    match options.maximum_qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

/// In 3.x every failure is 0x80.
// spec(v3.1.1): [MQTT-3.9.3-2]
fn wire_code(reason_code: ReasonCode, version: ProtocolVersion) -> u8 {
    match version {
        ProtocolVersion::V5 => reason_code.code(),
        _ if reason_code.is_error() => ReasonCode::UnspecifiedError.code(),
        _ => reason_code.code(),
    }
}
