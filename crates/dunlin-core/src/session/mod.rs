//! A Session (5.0 section 4.1): what lasts between a client's connections.
//!
//! A Session lives on one shard for ever and is not a connection: the two find each other by key. It knows
//! its subscriptions by name only; whom a message reaches is the router's business, and `shard` joins the
//! two.

mod filters;
mod inbound;
mod outbound;

pub use crate::delivery::{Delivery, Finished, Identifiers};
pub use crate::queue::{Place, Queue, StoredDelivery};
pub use filters::Filters;
pub use inbound::Inbound;
pub use outbound::{Acknowledged, Enqueued, Exchange, Outbound, Resend, Restored};

use crate::authorize::Answers;
use crate::identity::{ClientIdentifier, Identity, ShardId};
use crate::journal::{Record, Segment, SessionNumber};
use crate::message::{ApplicationMessage, Writer};
use crate::rare::{Empty, Rare};
use crate::retained::Cursor;
use crate::router::Subscription;
use crate::settings::SessionExpiryInterval;
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::PacketIdentifier;
use std::collections::VecDeque;
use std::sync::Arc;

/// A Will that belongs to a Session (5.0 section 3.1.2.5).
#[derive(Clone, Debug)]
pub struct Will {
    /// The message. Its expiry is counted from the moment it is published.
    pub message: ApplicationMessage,
    /// Its Message Expiry Interval in seconds.
    pub expiry_s: Option<u32>,
    /// How long it waits after the connection, in seconds.
    pub delay_s: u32,
}

/// The membership of a Session in a shared group.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The whole filter, `$share/...` included.
    pub name: Arc<str>,
    /// The shard of the group.
    pub owner: ShardId,
    /// The options.
    pub subscription: Subscription,
}

/// Retained Messages that a new subscription is owed, sent as fast as the client takes them.
#[derive(Debug)]
pub struct RetainedDelivery {
    /// Of the subscription.
    pub filter: Box<str>,
    /// How far it has come.
    pub cursor: Cursor,
    /// The options of the subscription.
    pub subscription: Subscription,
    /// The SUBACK that goes before them and has not left.
    pub suback: Option<PacketIdentifier>,
    /// The store knows that they are owed.
    pub is_recorded: bool,
    /// Up to which topic the store knows that they are sent or wait.
    pub passed: Option<Box<str>>,
}

/// What a subscription takes beside the text of its filter, here and in the router.
const SUBSCRIPTION_BYTES: usize = 64;

/// What a Session has that ends with its connection and has no Will, no QoS 2 and no shared subscription: none of
/// this. Without it, an idle client takes 112 bytes in its shard's table instead of 392.
#[derive(Debug)]
pub struct Extras {
    /// What the store calls it, if it was ever meant to outlive a connection: from then on the store hears of
    /// every change.
    pub number: Option<SessionNumber>,
    /// The store's log has everything about it but its messages in this segment or later.
    pub recorded_in: Segment,
    /// What DISCONNECT may set its expiry to at the most; none if the client did not ask at CONNECT for a Session
    /// that outlives the connection.
    pub expiry_max: Option<SessionExpiryInterval>,
    /// Since when there is no connection.
    pub away_since: Option<Timestamp>,
    /// When it ends, while there is none.
    pub expires_at: Option<Timestamp>,
    /// When its timer fires. It outlives a short connection, so that coming and going costs no timers.
    pub absence_timer_at: Option<Timestamp>,
    /// Its Will.
    pub will: Option<Box<Will>>,
    /// When the Will is due, while the client is away.
    pub will_due_at: Option<Timestamp>,
    /// Shared subscriptions, sorted by name.
    pub memberships: Vec<Membership>,
    /// What was received from the client.
    pub inbound: Inbound,
    /// Retained Messages it is owed.
    pub retained: VecDeque<RetainedDelivery>,
}

impl Extras {
    const NONE: Self = Self {
        number: None,
        recorded_in: Segment(0),
        expiry_max: None,
        away_since: None,
        expires_at: None,
        absence_timer_at: None,
        will: None,
        will_due_at: None,
        memberships: Vec::new(),
        inbound: Inbound::NONE,
        retained: VecDeque::new(),
    };

    /// Whether a Session could do without. Where it was recorded counts only if it was.
    fn is_none(&self) -> bool {
        let Self {
            number,
            recorded_in: _,
            expiry_max,
            away_since,
            expires_at,
            absence_timer_at,
            will,
            will_due_at,
            memberships,
            inbound,
            retained,
        } = self;
        let is_never_away = away_since.or(*expires_at).or(*absence_timer_at).or(*will_due_at).is_none();
        let is_plain = number.is_none() && expiry_max.is_none() && will.is_none();
        is_plain && is_never_away && memberships.is_empty() && inbound.is_empty() && retained.is_empty()
    }
}

impl Default for Extras {
    fn default() -> Self {
        Self::NONE
    }
}

impl Empty for Extras {
    const EMPTY: &'static Self = &Self::NONE;
}

/// See the top of the file.
#[derive(Debug)]
pub struct Session {
    /// Whose.
    pub client_identifier: ClientIdentifier,
    /// Its hash, for No Local.
    pub identifier_hash: u64,
    /// Who that client is, as its last connection found out. Deliveries to an absent client are judged by
    /// it.
    pub identity: Arc<Identity>,
    /// What its authorizer has answered lately; none while nobody is limited.
    pub(crate) answers: Option<Box<Answers>>,
    /// The connection, while there is one.
    pub connection: Option<Key>,
    /// How long it lasts without one.
    pub expiry: SessionExpiryInterval,
    /// Non-shared subscriptions.
    pub filters: Filters,
    /// Whether a group was told that this member is full, and waits to hear that it is not.
    pub is_busy: bool,
    /// What is sent to the client.
    pub outbound: Outbound,
    /// The walk through the Retained Messages goes on in the next turn.
    pub is_walking: bool,
    /// Messages that did not reach it, or were not accepted from it, modulo 2^32.
    pub dropped: u32,
    /// What it is counted for in the shard's memory.
    pub counted_bytes: usize,
    /// What only some Sessions need.
    pub extras: Rare<Extras>,
}

impl Session {
    /// A new Session.
    pub fn new(client_identifier: ClientIdentifier) -> Self {
        Self {
            identifier_hash: client_identifier.hash(),
            client_identifier,
            identity: Identity::default().into_shared(),
            answers: None,
            connection: None,
            expiry: SessionExpiryInterval::WITH_CONNECTION,
            filters: Filters::default(),
            is_busy: false,
            outbound: Outbound::default(),
            is_walking: false,
            dropped: 0,
            counted_bytes: 0,
            extras: Rare::default(),
        }
    }

    /// Its client, as the writer of a Retained Message.
    pub fn as_writer(&self) -> Arc<Writer> {
        let (client_identifier, identity) = (self.client_identifier.clone(), Arc::clone(&self.identity));
        Arc::new(Writer { client_identifier, identity })
    }

    /// Whether the store knows it, because it outlives or once outlived its connection.
    #[inline]
    pub fn is_durable(&self) -> bool {
        self.extras.number.is_some()
    }

    /// All that the store must know about it except its subscriptions, messages and Will.
    pub fn record(number: SessionNumber, session: &Self) -> Record {
        Record::Session {
            session: number,
            client: session.client_identifier.clone(),
            user_name: session.identity.user_name.clone(),
            policy: session.identity.policy.clone(),
            expiry: session.expiry,
            away_since: session.extras.away_since,
        }
    }

    /// About what it takes in memory, the bodies of its messages aside.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.client_identifier.as_str().len()
            + self.subscription_bytes()
            + self.subscriptions_count() * SUBSCRIPTION_BYTES
            + self.outbound.size_bytes()
            + self.extras.size_bytes()
    }

    /// Bytes of the filters, shared ones included.
    pub fn subscription_bytes(&self) -> usize {
        let shared = self.extras.memberships.iter().map(|membership| membership.name.len());
        self.filters.bytes() + shared.sum::<usize>()
    }

    /// Subscriptions, shared ones included.
    pub fn subscriptions_count(&self) -> usize {
        self.filters.len() + self.extras.memberships.len()
    }

    /// The place of a membership, or where it would be.
    pub fn membership(&self, name: &str) -> Result<usize, usize> {
        self.extras.memberships.binary_search_by(|membership| (*membership.name).cmp(name))
    }

    /// Whether there is this non-shared subscription.
    pub fn has_filter(&self, filter: &str) -> bool {
        self.filters.contains(filter)
    }

    /// Notes a non-shared subscription; false if it was there.
    pub fn add_filter(&mut self, filter: &str) -> bool {
        self.filters.insert(filter)
    }

    /// Forgets a non-shared subscription, and the Retained Messages it is owed; false if there was none.
    pub fn remove_filter(&mut self, filter: &str) -> bool {
        let existed = self.filters.remove(filter);
        if existed {
            self.forget_retained(filter);
        }
        existed
    }

    /// A subscription is owed no Retained Messages any more.
    pub fn forget_retained(&mut self, filter: &str) {
        if let Some(extras) = self.extras.existing() {
            extras.retained.retain(|delivery| *delivery.filter != *filter);
        }
    }

    /// Gives back the room for Retained Messages that it is owed, if it is owed none any more.
    pub fn settle_retained(&mut self) {
        let Some(extras) = self.extras.existing().filter(|extras| extras.retained.is_empty()) else { return };
        extras.retained = VecDeque::new();
        if extras.is_none() {
            self.extras.unmake();
        }
    }
}
