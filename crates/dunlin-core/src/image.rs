//! What the records add up to: the broker's durable state as a value.
//!
//! Recovery reads the log from its beginning, applies each [`Record`] to an [`Image`], and gives every shard
//! its part ([`Image::split`], [`Shard::restore`](crate::Shard::restore)). How many shards there are now need
//! not be how many there were.
//!
//! The log may begin anywhere: what an older part of it said is said again further on, so a record can come
//! before the one that introduces its Session or group. Such a Session is a nameless one until then; one that
//! stays nameless had ended.

use crate::group::Waiting;
use crate::identity::{ClientIdentifier, ShardId, partition};
use crate::journal::{GroupNumber, Record, Segment, SessionNumber};
use crate::message::{ApplicationMessage, MessageId};
use crate::router::Subscription;
use crate::session::{Identifiers, Inbound, Will};
use crate::settings::SessionExpiryInterval;
use crate::time::Timestamp;
use dunlin_codec::{PacketIdentifier, QoS};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A durable Session.
#[derive(Debug, Default)]
pub struct SessionImage {
    /// Whose; none until its record has been seen.
    client: Option<ClientIdentifier>,
    /// Who that client turned out to be.
    pub user_name: Option<Box<str>>,
    /// What its authorizer knows of it beside that.
    pub policy: Option<Box<str>>,
    /// For how long it outlives its connection.
    pub expiry: Option<SessionExpiryInterval>,
    /// Since when the client is away; none if it was connected at the end.
    pub away_since: Option<Timestamp>,
    /// Its subscriptions by whole filter.
    pub subscriptions: BTreeMap<Box<str>, Subscription>,
    /// Filters that are owed Retained Messages, all or those behind a topic.
    pub retained: BTreeMap<Box<str>, Option<Box<str>>>,
    /// The messages it is owed, in order.
    pub deliveries: BTreeMap<u64, DeliveryImage>,
    /// QoS 2 publications taken in.
    pub inbound: Inbound,
    /// Its Will.
    pub will: Option<Box<Will>>,
}

/// A message that a Session is owed.
#[derive(Debug, Default)]
pub struct DeliveryImage {
    /// What; none when PUBREC has come and only PUBREL is owed.
    pub content: Option<ContentImage>,
    /// Its Packet Identifier, once it had one.
    pub packet_identifier: Option<PacketIdentifier>,
    /// The group it belongs to, and its place there.
    pub ticket: Option<(GroupNumber, u64)>,
    /// The log has it in this segment or later.
    pub recorded_in: Segment,
}

/// The message of a [`DeliveryImage`] and how it is delivered.
#[derive(Debug)]
pub struct ContentImage {
    /// The message.
    pub body: BodyImage,
    /// At which QoS.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// With which Subscription Identifiers.
    pub identifiers: Identifiers,
}

/// The body of a message, or where it is.
#[derive(Clone, Debug)]
pub enum BodyImage {
    /// In memory.
    Here(ApplicationMessage),
    /// In the store alone, because there is no memory for it.
    Stored {
        /// Where ([`Head::location`](crate::message::Head::location)).
        location: u64,
        /// Bytes of its topic, forwarded properties and payload.
        content_bytes: u32,
    },
}

/// A durable shared group.
#[derive(Debug, Default)]
pub struct GroupImage {
    /// Its whole filter; none until its record has been seen.
    name: Option<Arc<str>>,
    /// What waits for it or is with a member, by place.
    pub messages: BTreeMap<u64, (BodyImage, Segment)>,
}

/// A shard of some life of the process: its number, and how many there were. What it was home of can be told
/// by [`partition`] for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Home {
    /// Its number.
    pub shard: ShardId,
    /// How many there were.
    pub shards: u16,
}

impl Home {
    /// Whether the shard was home of what this text names: a Session, a group, or a topic's Retained Message.
    pub fn has(self, text: &str) -> bool {
        partition(text, self.shards) == self.shard
    }
}

/// A publication that not all shards may have recorded their part of.
#[derive(Debug)]
pub struct Unrouted {
    /// The message.
    pub message: ApplicationMessage,
    /// Those that have.
    pub done: Vec<Home>,
    /// Its topic has it as its Retained Message, or has had a later one.
    pub is_outdated: bool,
}

/// See the top of the file.
#[derive(Debug, Default)]
pub struct Image {
    sessions: HashMap<SessionNumber, SessionImage>,
    groups: HashMap<GroupNumber, GroupImage>,
    retained: HashMap<Box<str>, (ApplicationMessage, Segment)>,
    /// Publications whose Routing came and whose Routed has not.
    unrouted: HashMap<MessageId, Unrouted>,
    /// Where the log began.
    first_segment: Option<Segment>,
    number_max: u64,
    newest_message_at: Timestamp,
}

/// A shard's part of an [`Image`].
#[derive(Debug, Default)]
pub struct ShardImage {
    /// Sessions whose client identifiers belong to the shard.
    pub sessions: Vec<(SessionNumber, ClientIdentifier, SessionImage)>,
    /// Groups whose names belong to it, and which of their messages are with a member.
    pub groups: Vec<RestoredGroup>,
    /// Groups that have no members any more: the store is to hear that they ended, or they would be back when one
    /// of their name begins anew.
    pub ended_groups: Vec<GroupNumber>,
    /// The shards of all groups that the store knows.
    pub group_owners: Arc<HashMap<GroupNumber, ShardId>>,
    /// All Retained Messages.
    pub retained: Arc<Vec<(ApplicationMessage, Segment)>>,
    /// The log has nothing before this.
    pub first_segment: Segment,
    /// Publications that are to be routed again.
    pub unrouted: Arc<Vec<Unrouted>>,
    /// Numbers up to here may have been used.
    pub number_max: u64,
    /// No later message was taken in.
    pub newest_message_at: Timestamp,
}

/// A group of a [`ShardImage`].
#[derive(Debug)]
pub struct RestoredGroup {
    /// Its number, if the store knows it.
    pub number: Option<GroupNumber>,
    /// Its whole filter.
    pub name: Arc<str>,
    /// Messages that wait, in order: the place of each, and the segment that has it, or a later one.
    pub waiting: Vec<(u64, BodyImage, Segment)>,
    /// Messages that a member has at QoS 2 and will complete.
    pub lent: Vec<Waiting>,
    /// Places of messages that a member had at QoS 2 and has received.
    pub finished: Vec<u64>,
    /// The last place that may have been given: a member may still know it.
    pub last_sequence: u64,
}

impl Image {
    /// Applies the next record, which the log has in this segment.
    pub fn apply(&mut self, record: Record, segment: Segment) {
        self.first_segment.get_or_insert(segment);
        let mut recorded_in = segment;
        if let Some(message) = record.message() {
            self.newest_message_at = self.newest_message_at.max(message.id.received_at);
            recorded_in = recorded_in.min(message.segment());
        }
        if let Record::Queued { ticket: Some((group, _)), .. }
        | Record::Released { ticket: Some((group, _)), .. } = &record
        {
            // The group may have ended, and nothing else name it; its number is taken as long as a ticket does.
            self.number_max = self.number_max.max(group.0);
        }
        match record {
            Record::Session { session, client, user_name, policy, expiry, away_since } => {
                let value = self.session(session);
                (value.client, value.user_name, value.policy) = (Some(client), user_name, policy);
                (value.expiry, value.away_since) = (Some(expiry), away_since);
            }
            Record::SessionAway { session, since } => self.session(session).away_since = Some(since),
            Record::SessionEnded { session } => drop(self.sessions.remove(&session)),
            Record::Subscribed { session, filter, subscription } => {
                self.session(session).subscriptions.insert(filter, subscription);
            }
            Record::Unsubscribed { session, filter } => {
                self.session(session).subscriptions.remove(&filter);
                self.session(session).retained.remove(&filter);
            }
            Record::RetainedOwed { session, filter, after } => {
                self.session(session).retained.insert(filter, after);
            }
            Record::RetainedSent { session, filter } => {
                self.session(session).retained.remove(&filter);
            }
            Record::Queued { session, order, message, qos, retain, identifiers, ticket } => {
                let id = message.id;
                let content = ContentImage { body: BodyImage::Here(message), qos, retain, identifiers };
                self.apply_queued(session, order, content, ticket, recorded_in, id);
            }
            Record::Sent { session, order, packet_identifier } => {
                if let Some(delivery) = self.session(session).deliveries.get_mut(&order) {
                    delivery.packet_identifier = Some(packet_identifier);
                }
            }
            Record::Released { session, order, packet_identifier, ticket } => {
                let packet_identifier = Some(packet_identifier);
                let delivery = DeliveryImage { content: None, packet_identifier, ticket, recorded_in };
                self.session(session).deliveries.insert(order, delivery);
            }
            Record::Removed { session, order } => drop(self.session(session).deliveries.remove(&order)),
            Record::Received { session, packet_identifier } => {
                self.session(session).inbound.insert(packet_identifier);
            }
            Record::Completed { session, packet_identifier } => {
                self.session(session).inbound.remove(packet_identifier);
            }
            Record::Routing { message, from } => {
                let unrouted = Unrouted { message, done: vec![from], is_outdated: false };
                self.unrouted.insert(unrouted.message.id, unrouted);
            }
            Record::RoutedTo { id, home } => {
                if let Some(unrouted) = self.unrouted.get_mut(&id) {
                    unrouted.done.push(home);
                }
            }
            Record::Routed { id } => drop(self.unrouted.remove(&id)),
            Record::Retained { message } => self.apply_retained(message, recorded_in),
            Record::WillSet { session, message, expiry_s, delay_s } => {
                self.session(session).will = Some(Box::new(Will { message, expiry_s, delay_s }));
            }
            Record::WillRemoved { session } => self.session(session).will = None,
            Record::Group { group, name } => self.group(group).name = Some(name),
            Record::GroupQueued { group, sequence, message } => {
                let id = message.id;
                self.apply_group_queued(group, sequence, BodyImage::Here(message), recorded_in, id);
            }
            Record::GroupTaken { group, sequence } => drop(self.group(group).messages.remove(&sequence)),
            Record::GroupEnded { group } => drop(self.groups.remove(&group)),
        }
    }

    /// Applies [`Record::Queued`], whose message need not be in memory. The log has both in this
    /// segment or later.
    pub fn apply_queued(
        &mut self,
        session: SessionNumber,
        order: u64,
        content: ContentImage,
        ticket: Option<(GroupNumber, u64)>,
        recorded_in: Segment,
        id: MessageId,
    ) {
        self.first_segment.get_or_insert(recorded_in);
        self.newest_message_at = self.newest_message_at.max(id.received_at);
        let delivery = self.session(session).deliveries.entry(order).or_default();
        // Said again, it does not take the Packet Identifier back.
        delivery.content = Some(content);
        (delivery.ticket, delivery.recorded_in) = (ticket, recorded_in);
    }

    /// Applies [`Record::GroupQueued`], whose message need not be in memory. The log has both in this
    /// segment or later.
    pub fn apply_group_queued(
        &mut self,
        group: GroupNumber,
        sequence: u64,
        body: BodyImage,
        recorded_in: Segment,
        id: MessageId,
    ) {
        self.first_segment.get_or_insert(recorded_in);
        self.newest_message_at = self.newest_message_at.max(id.received_at);
        self.group(group).messages.insert(sequence, (body, recorded_in));
    }

    fn apply_retained(&mut self, message: ApplicationMessage, recorded_in: Segment) {
        for unrouted in self.unrouted.values_mut() {
            if unrouted.message.id <= message.id && unrouted.message.topic() == message.topic() {
                unrouted.is_outdated = true;
            }
        }
        if message.payload().is_empty() {
            self.retained.remove(message.topic());
        } else {
            self.retained.insert(message.topic().into(), (message, recorded_in));
        }
    }

    /// Reads the bodies of the messages that were in flight, which must be in memory. Those that cannot be read
    /// are dropped, and counted.
    pub fn load_in_flight(&mut self, mut read: impl FnMut(u64, u32) -> Option<ApplicationMessage>) -> usize {
        let mut unreadable = 0;
        for session in self.sessions.values_mut() {
            session.deliveries.retain(|_, delivery| {
                let Some(content) =
                    delivery.content.as_mut().filter(|_| delivery.packet_identifier.is_some())
                else {
                    return true;
                };
                if let BodyImage::Stored { location, content_bytes } = content.body {
                    match read(location, content_bytes) {
                        Some(message) => content.body = BodyImage::Here(message),
                        None => {
                            unreadable += 1;
                            return false;
                        }
                    }
                }
                true
            });
        }
        unreadable
    }

    fn session(&mut self, session: SessionNumber) -> &mut SessionImage {
        self.number_max = self.number_max.max(session.0);
        self.sessions.entry(session).or_default()
    }

    fn group(&mut self, group: GroupNumber) -> &mut GroupImage {
        self.number_max = self.number_max.max(group.0);
        self.groups.entry(group).or_default()
    }

    /// Sessions.
    pub fn sessions_count(&self) -> usize {
        self.sessions.values().filter(|session| session.client.is_some()).count()
    }

    /// Subscriptions of the Sessions.
    pub fn subscriptions_count(&self) -> usize {
        self.sessions.values().map(|session| session.subscriptions.len()).sum()
    }

    /// Messages that Sessions and groups are owed.
    pub fn queued_count(&self) -> usize {
        let sessions: usize = self.sessions.values().map(|session| session.deliveries.len()).sum();
        sessions + self.groups.values().map(|group| group.messages.len()).sum::<usize>()
    }

    /// Retained Messages.
    pub fn retained_count(&self) -> usize {
        self.retained.len()
    }

    /// The Sessions, for whoever wants to show what a store holds.
    pub fn sessions(&self) -> impl Iterator<Item = (&ClientIdentifier, &SessionImage)> {
        self.sessions.values().filter_map(|session| session.client.as_ref().map(|client| (client, session)))
    }

    /// The parts for so many shards.
    pub fn split(mut self, shards: u16) -> Vec<ShardImage> {
        let retained = Arc::new(std::mem::take(&mut self.retained).into_values().collect::<Vec<_>>());
        let mut parts: Vec<ShardImage> = (0..shards.max(1))
            .map(|_| ShardImage {
                retained: Arc::clone(&retained),
                first_segment: self.first_segment.unwrap_or_default(),
                number_max: self.number_max,
                newest_message_at: self.newest_message_at,
                ..ShardImage::default()
            })
            .collect();
        let mut unrouted: Vec<Unrouted> = std::mem::take(&mut self.unrouted).into_values().collect();
        unrouted.sort_by_key(|unrouted| unrouted.message.id);
        let unrouted = Arc::new(unrouted);
        for part in &mut parts {
            part.unrouted = Arc::clone(&unrouted);
        }
        self.restore_groups(&mut parts);
        for (number, mut session) in self.sessions {
            if let Some(client) = session.client.take()
                && let Some(part) = parts.get_mut(usize::from(partition(client.as_str(), shards)))
            {
                part.sessions.push((number, client, session));
            }
        }
        // The order of a hash table is another one in every run.
        for part in &mut parts {
            part.sessions.sort_by_key(|(number, ..)| *number);
            part.groups.sort_by(|one, other| one.name.cmp(&other.name));
        }
        parts
    }

    /// Every shared filter that a Session has is a group; those that messages wait for are known by number.
    fn restore_groups(&mut self, parts: &mut [ShardImage]) {
        let shards = parts.len() as u16;
        let mut groups: HashMap<Arc<str>, RestoredGroup> = HashMap::new();
        let mut taken = HashMap::new();
        for session in self.sessions.values().filter(|session| session.client.is_some()) {
            for filter in session.subscriptions.keys().filter(|filter| filter.starts_with("$share/")) {
                let name: Arc<str> = Arc::from(&**filter);
                groups.entry(name.clone()).or_insert_with(|| RestoredGroup::new(name));
            }
            for delivery in session.deliveries.values() {
                if let Some(ticket) = delivery.ticket {
                    taken.insert(ticket, delivery.content.as_ref().map(|content| content.body.clone()));
                }
            }
        }
        let mut last_sequences: HashMap<GroupNumber, u64> = HashMap::new();
        for (number, sequence) in taken.keys() {
            let last = last_sequences.entry(*number).or_default();
            *last = (*last).max(*sequence);
        }
        let mut owners = HashMap::new();
        let mut ended = Vec::new();
        for (number, group) in std::mem::take(&mut self.groups) {
            // A group ends with its last member, whatever the log came to say of that.
            let Some(restored) = group.name.and_then(|name| groups.get_mut(&name)) else {
                ended.push(number);
                continue;
            };
            // One group after another can have had the name; the last is the one that is left.
            if restored.number.is_some_and(|other| other > number) {
                ended.push(number);
                continue;
            }
            ended.extend(restored.number);
            *restored = RestoredGroup { number: Some(number), ..RestoredGroup::new(restored.name.clone()) };
            restored.last_sequence = last_sequences.get(&number).copied().unwrap_or(0);
            for (sequence, (body, recorded_in)) in group.messages {
                match taken.get(&(number, sequence)) {
                    None => restored.waiting.push((sequence, body, recorded_in)),
                    // What a member has is in memory.
                    Some(Some(BodyImage::Here(message))) => {
                        let (message, recorded_in) = (message.clone(), Some(recorded_in));
                        restored.lent.push(Waiting { sequence, message, recorded_in });
                    }
                    Some(_) => restored.finished.push(sequence),
                }
            }
        }
        for (name, group) in groups {
            let owner = partition(&name, shards);
            owners.extend(group.number.map(|number| (number, owner)));
            if let Some(part) = parts.get_mut(usize::from(owner)) {
                part.groups.push(group);
            }
        }
        if let Some(first) = parts.first_mut() {
            ended.sort();
            first.ended_groups = ended;
        }
        let owners = Arc::new(owners);
        for part in parts {
            part.group_owners = Arc::clone(&owners);
        }
    }
}

impl RestoredGroup {
    fn new(name: Arc<str>) -> Self {
        let (waiting, lent, finished) = Default::default();
        Self { number: None, name, waiting, lent, finished, last_sequence: 0 }
    }
}
