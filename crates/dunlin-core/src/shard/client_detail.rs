//! One client in detail: its subscriptions, what is on its way to it, and what waits for it.
//!
//! Lists are cut: a Session may have a million messages, and whoever looks at it wants to see the first of them.
//! Pure reads, as in `observe.rs`.

use super::{ClientView, Shard};
use crate::identity::ClientIdentifier;
use crate::message::ApplicationMessage;
use crate::router::{Subscription, Target};
use crate::session::{Session, Will};
use crate::slots::Key;
use dunlin_codec::{PacketIdentifier, QoS};

/// A subscription of a Session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionView {
    /// The Topic Filter, without the `$share/NAME/` of a Shared Subscription.
    pub filter: Box<str>,
    /// The ShareName of a Shared Subscription.
    pub share: Option<Box<str>>,
    /// Its options.
    pub options: Subscription,
}

/// A message that was sent and not finished.
#[derive(Clone, Debug)]
pub struct InFlightView {
    /// Its number on the connection.
    pub packet_identifier: PacketIdentifier,
    /// The message and its QoS, while its PUBLISH is unacknowledged; after PUBREC it is not kept any more.
    pub message: Option<(QoS, ApplicationMessage)>,
}

/// A message that waits.
#[derive(Clone, Debug)]
pub struct QueuedView {
    /// At which QoS it will be sent.
    pub qos: QoS,
    /// Its topic, properties and payload together.
    pub content_bytes: usize,
    /// The message, unless it is in the store alone.
    pub message: Option<ApplicationMessage>,
}

/// See the top of the file.
#[derive(Clone, Debug)]
pub struct ClientDetail {
    /// What lists show of it.
    pub client: ClientView,
    /// Its Will.
    pub will: Option<Will>,
    /// Its subscriptions by filter, shared ones behind the others.
    pub subscriptions: Vec<SubscriptionView>,
    /// In the order of sending.
    pub in_flight: Vec<InFlightView>,
    /// From the front on.
    pub queue: Vec<QueuedView>,
}

/// Where a walk over all subscriptions goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionPlace {
    /// The place of the Session in the table.
    pub index: u32,
    /// How many of its subscriptions are behind us.
    pub skip: u32,
}

impl Shard {
    /// A client with at most `most` of each thing it has.
    pub fn client_detail(&self, client_identifier: &ClientIdentifier, most: usize) -> Option<ClientDetail> {
        let key = self.clients.session_named(client_identifier)?;
        let session = self.clients.sessions.get(key)?;
        let in_flight = session.outbound.exchanges().take(most).map(|(packet_identifier, delivery)| {
            let message = delivery.map(|delivery| (delivery.qos, delivery.message.clone()));
            InFlightView { packet_identifier, message }
        });
        let queue = session.outbound.queue().iter().take(most).map(|(qos, content_bytes, message)| {
            QueuedView { qos, content_bytes, message: message.cloned() }
        });
        Some(ClientDetail {
            client: self.view_of(key, session),
            will: session.extras.will.as_deref().cloned(),
            subscriptions: self.subscriptions_of(key, session).take(most).collect(),
            in_flight: in_flight.collect(),
            queue: queue.collect(),
        })
    }

    /// The client identifier of a Session.
    pub fn client_at(&self, session: Key) -> Option<&ClientIdentifier> {
        self.clients.sessions.get(session).map(|session| &session.client_identifier)
    }

    /// Shows `visit` the subscriptions in the order of the table of Sessions, from a place on, until it says that it
    /// has enough or `budget` of Sessions and subscriptions are passed. Returns where to go on; none if there is
    /// no more.
    pub fn visit_subscriptions(
        &self,
        from: SubscriptionPlace,
        budget: usize,
        mut visit: impl FnMut(&ClientIdentifier, SubscriptionView) -> bool,
    ) -> Option<SubscriptionPlace> {
        let mut left = budget.max(1);
        let mut place = from;
        let end = self.clients.sessions.end_index();
        while place.index < end {
            let key = self.clients.sessions.key_at(place.index);
            let session = key.and_then(|key| Some((key, self.clients.sessions.get(key)?)));
            if let Some((key, session)) = session {
                for subscription in self.subscriptions_of(key, session).skip(place.skip as usize) {
                    if left == 0 {
                        return Some(place);
                    }
                    left -= 1;
                    place.skip += 1;
                    if !visit(&session.client_identifier, subscription) {
                        return Some(place);
                    }
                }
            }
            place = SubscriptionPlace { index: place.index + 1, skip: 0 };
            left = left.saturating_sub(1);
            if left == 0 {
                return (place.index < end).then_some(place);
            }
        }
        None
    }

    fn subscriptions_of<'a>(
        &'a self,
        key: Key,
        session: &'a Session,
    ) -> impl Iterator<Item = SubscriptionView> + 'a {
        let own = session.filters.iter().filter_map(move |filter| {
            let options = self.router.get(filter, Target::Session(key.index))?;
            Some(SubscriptionView { filter: filter.into(), share: None, options })
        });
        let shared = session.extras.memberships.iter().map(|membership| {
            let mut parts = membership.name.splitn(3, '/').skip(1);
            let share = parts.next().unwrap_or_default().into();
            let filter = parts.next().unwrap_or_default().into();
            SubscriptionView { filter, share: Some(share), options: membership.subscription }
        });
        own.chain(shared)
    }
}
