//! The way back: from a shard's part of the [`Image`](crate::image::Image) to Sessions, routes, Retained
//! Messages and groups.
//!
//! Restored Sessions have no connection. One whose client was connected when the process ended lost that
//! connection then: its expiry and the delay of its Will run from the time the caller gives. The process may
//! have been down for long, so what is due is due at once.
//!
//! What a shard tells its peers here (interest in filters, members of groups) must reach them before any
//! client does: only then does everything route that should.

use super::Shard;
use super::retain::Kept;
use super::shared::ROUTE_ONLY;
use crate::group::{Group, GroupId, Ticket, Waiting};
use crate::identity::{ClientIdentifier, Identity, ShardId};
use crate::image::{BodyImage, ContentImage, DeliveryImage, RestoredGroup, SessionImage, ShardImage};
use crate::journal::{GroupNumber, Record, Segment, SessionNumber};
use crate::router::{Subscription, Target};
use crate::session::{
    Delivery, Extras, Finished, Place, Restored, RetainedDelivery, Session, StoredDelivery,
};
use crate::settings::SessionExpiryInterval;
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::QoS;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// What restoring one Session must know of others.
struct Known {
    /// The shards of all groups that the store knows.
    group_owners: Arc<HashMap<GroupNumber, ShardId>>,
    /// Where the bodies are that are counted already: many Sessions may wait for one.
    counted: HashSet<u64>,
}

impl Shard {
    /// Takes up what the store kept, before any connection. `ended_at` is when the connections ended that
    /// there were.
    pub fn restore(&mut self, now: Timestamp, image: ShardImage, ended_at: Timestamp) {
        let ShardImage { sessions, groups, group_owners, retained, first_segment, .. } = image;
        let ShardImage { number_max, newest_message_at, unrouted, ended_groups, .. } = image;
        self.last_number = number_max / u64::from(self.peers.count()) + 1;
        self.last_message_at = self.last_message_at.max(newest_message_at);
        let mut known = Known { group_owners, counted: HashSet::new() };
        for (message, recorded_in) in retained.iter() {
            if !message.is_expired(now) {
                self.keep_retained(
                    message.topic(),
                    Kept { message: message.clone(), recorded_in: *recorded_in },
                );
            }
        }
        for group in ended_groups {
            self.clients.journal.stage(|| Record::GroupEnded { group });
        }
        for group in groups {
            self.restore_group(group, first_segment, &mut known);
        }
        for (number, client, mut session) in sessions {
            let owed = std::mem::take(&mut session.retained);
            let (key, filters) =
                self.restore_session(number, client, session, first_segment, &mut known, ended_at);
            self.restore_retained(key, owed, &filters);
            self.restore_subscriptions(now, key, filters);
        }
        self.arm_retained_expiry();
        self.restore_forwards(unrouted);
    }

    fn restore_group(&mut self, restored: RestoredGroup, first_segment: Segment, known: &mut Known) {
        let RestoredGroup { number, name, waiting, lent, finished, last_sequence } = restored;
        let is_new = number.is_none();
        let number = number.unwrap_or_else(|| GroupNumber(self.take_number()));
        let mut group = Group::new(number, name);
        group.continue_after(last_sequence);
        if !is_new {
            // Where its name stands is not known; nothing is earlier than the oldest segment.
            group.recorded_in = Some(first_segment);
        }
        for (sequence, body, recorded_in) in waiting {
            group.continue_after(sequence);
            match body {
                BodyImage::Here(message) => {
                    let waiting = Waiting { sequence, message, recorded_in: Some(recorded_in) };
                    group.queue_mut().push_back(waiting.into_delivery());
                }
                BodyImage::Stored { location, content_bytes } => {
                    let place = Place { order: sequence, location, content_bytes: content_bytes as usize };
                    // How it is delivered is decided by the member's options.
                    let (qos, retain, identifier) = (QoS::AtLeastOnce, false, 0);
                    let is_counted = known.counted.insert(location);
                    let stored = StoredDelivery { place, qos, retain, identifier, recorded_in, is_counted };
                    group.queue_mut().push_back_stored(&stored);
                }
            }
        }
        self.clients.gauge.note_stored(0, group.queue().stored_bytes());
        for waiting in lent {
            group.continue_after(waiting.sequence);
            group.lend(waiting);
        }
        let filter = Box::<str>::from(group.topic_filter());
        let key = self.insert_group(group);
        if self.router.insert(&filter, Target::Group(key.index), ROUTE_ONLY).is_first_local {
            self.announce(&filter, true);
        }
        for sequence in finished {
            self.clients.journal.stage(|| Record::GroupTaken { group: number, sequence });
        }
    }

    fn restore_session(
        &mut self,
        number: SessionNumber,
        client: ClientIdentifier,
        image: SessionImage,
        first_segment: Segment,
        known: &mut Known,
        ended_at: Timestamp,
    ) -> (Key, BTreeMap<Box<str>, Subscription>) {
        let SessionImage {
            user_name,
            policy,
            expiry,
            away_since,
            subscriptions,
            deliveries,
            inbound,
            will,
            ..
        } = image;
        let mut session = Session::new(client);
        session.identity = Identity { user_name, policy, valid_until: None }.into_shared();
        self.clients.note_policy(&session.identity);
        session.expiry = expiry.unwrap_or(SessionExpiryInterval::Never);
        for (order, delivery) in deliveries {
            if let Some(restored) = restored(order, delivery, known) {
                session.outbound.restore(restored);
            }
        }
        self.clients.gauge.note_stored(0, session.outbound.queue().stored_bytes());
        let since = away_since.unwrap_or(ended_at);
        let expires_at = match session.expiry {
            SessionExpiryInterval::After(seconds) => Some(since.after_s(seconds)),
            SessionExpiryInterval::Never => None,
        };
        let will_due_at = will.as_ref().map(|will| since.after_s(will.delay_s));
        let due_at = expires_at.into_iter().chain(will_due_at).min();
        *session.extras.make() = Extras {
            number: Some(number),
            recorded_in: first_segment,
            away_since: Some(since),
            expires_at,
            will,
            will_due_at,
            inbound,
            ..Extras::default()
        };
        let key = self.clients.sessions.insert(session);
        self.clients.name_session(key);
        if away_since.is_none() {
            self.clients.record(key, |session, _| Record::SessionAway { session, since });
        }
        // Not at once, even if it is due: everybody must be there first to receive a Will.
        if let Some(at) = due_at {
            self.arm_absence(key, at);
        }
        (key, subscriptions)
    }

    /// Takes up what subscriptions are owed of Retained Messages.
    fn restore_retained(
        &mut self,
        session: Key,
        owed: BTreeMap<Box<str>, Option<Box<str>>>,
        subscriptions: &BTreeMap<Box<str>, Subscription>,
    ) {
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        for (filter, passed) in owed {
            if let Some(subscription) = subscriptions.get(&filter).copied() {
                let cursor = match &passed {
                    Some(topic) => self.retained.cursor_after(&filter, topic),
                    None => self.retained.cursor(&filter),
                };
                let is_recorded = true;
                value.extras.make().retained.push_back(RetainedDelivery {
                    filter,
                    cursor,
                    subscription,
                    suback: None,
                    is_recorded,
                    passed,
                });
            }
        }
    }

    fn restore_subscriptions(
        &mut self,
        now: Timestamp,
        session: Key,
        subscriptions: BTreeMap<Box<str>, Subscription>,
    ) {
        for (filter, subscription) in subscriptions {
            if filter.starts_with("$share/") {
                let token = self.next_token();
                self.subscribe_shared(now, session, &filter, subscription, token);
            } else {
                self.subscribe_own(session, &filter, subscription);
            }
        }
        if let Some(value) = self.clients.sessions.get(session) {
            let (user_name, count) = (value.identity.user_name.as_deref(), value.subscriptions_count());
            self.clients.subscriptions.add(user_name, count);
        }
        self.clients.count_memory(session);
    }
}

/// A message as the Session holds it.
fn restored(order: u64, delivery: DeliveryImage, known: &mut Known) -> Option<Restored> {
    let DeliveryImage { content, packet_identifier, ticket, recorded_in } = delivery;
    let delivery_segment = recorded_in;
    let recorded_in = Some(recorded_in);
    // A message of a group that has ended is the member's own.
    let ticket = ticket.and_then(|(number, sequence)| {
        let owner = *known.group_owners.get(&number)?;
        Some(Box::new(Ticket { group: GroupId { owner, number }, sequence }))
    });
    match (content, packet_identifier) {
        (Some(ContentImage { body: BodyImage::Here(message), qos, retain, identifiers }), begun) => {
            let delivery = Delivery { message, qos, retain, identifiers, ticket, order, recorded_in };
            Some(match begun {
                Some(packet_identifier) => Restored::Begun(packet_identifier, delivery),
                None => Restored::Waiting(delivery),
            })
        }
        (
            Some(ContentImage {
                body: BodyImage::Stored { location, content_bytes },
                qos,
                retain,
                identifiers,
            }),
            _,
        ) => {
            let identifier = identifiers.as_slice().first().copied().unwrap_or(0);
            let place = Place { order, location, content_bytes: content_bytes as usize };
            Some(Restored::Stored(StoredDelivery {
                place,
                qos,
                retain,
                identifier,
                recorded_in: delivery_segment,
                is_counted: known.counted.insert(location),
            }))
        }
        (None, Some(packet_identifier)) => {
            Some(Restored::Released(packet_identifier, Finished { order, recorded_in, ticket }))
        }
        (None, None) => None,
    }
}
