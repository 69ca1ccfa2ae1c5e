//! What a client asks of the broker: PUBLISH, SUBSCRIBE, UNSUBSCRIBE.
//!
//! Each request is written into the history before its bytes leave.

use super::{Client, Outgoing};
use crate::history::{Publication, Subscription};
use crate::world::World;
use dunlin_codec::{
    MessageProperties, PacketIdentifier, ProtocolVersion, Publish, QoS, RetainHandling, Subscribe,
    SubscribeFilters, SubscriptionFilter, SubscriptionOptions, Unsubscribe, UnsubscribeFilters,
    UserProperties, encode_subscribe_filters, encode_unsubscribe_filters,
};

impl Client {
    /// Plans a message.
    pub(super) fn announce(
        &self,
        world: &mut World,
        topic: &'static str,
        qos: QoS,
        retain: bool,
        payload_length: usize,
        expiry_s: Option<u32>,
    ) -> usize {
        world.history.publications.push(Publication {
            publisher: self.number,
            topic,
            qos,
            retain,
            payload_length,
            expires_at: expiry_s.map(|seconds| world.now.after_s(seconds)),
            began: None,
            sent_last: 0,
            acknowledged: None,
            transmissions: Vec::new(),
            is_will: false,
            withdrawn: None,
        });
        world.history.publications.len() - 1
    }

    /// Publishes, if the window allows.
    pub fn publish(
        &mut self,
        world: &mut World,
        topic: &'static str,
        qos: QoS,
        retain: bool,
        payload_length: usize,
        expiry_s: Option<u32>,
    ) {
        let (Some(wire), Some(session)) = (self.wire.filter(|_| self.is_connected), self.session) else {
            return;
        };
        if qos != QoS::AtMostOnce && self.outgoing.len() >= self.window {
            return;
        }
        let expiry_s = expiry_s.filter(|_| self.habits.version == ProtocolVersion::V5);
        let publication = self.announce(world, topic, qos, retain, payload_length, expiry_s);
        let identifier = (qos != QoS::AtMostOnce).then(|| self.take_identifier());
        if let Some(identifier) = identifier {
            self.outgoing.push_back(Outgoing { identifier, publication, is_received: false });
        }
        self.transmit(world, wire, session, publication, identifier, false);
    }

    pub(super) fn transmit(
        &mut self,
        world: &mut World,
        wire: usize,
        session: usize,
        publication: usize,
        packet_identifier: Option<PacketIdentifier>,
        dup: bool,
    ) {
        let event = world.history.event();
        let payload = world.history.payload(publication);
        let now = world.now;
        let value = &mut world.history.publications[publication];
        value.began.get_or_insert(event);
        value.sent_last = event;
        value.transmissions.push(session);
        let message_expiry_interval_s = value.expires_at.map(|at| at.seconds_from(now));
        let (qos, retain, topic) = (value.qos, value.retain, value.topic);
        let properties = MessageProperties { message_expiry_interval_s, ..MessageProperties::default() };
        let publish = Publish {
            dup,
            qos,
            retain,
            topic,
            packet_identifier,
            properties,
            payload: &payload,
            ..Publish::default()
        };
        let mut bytes = Vec::new();
        publish.encode(self.habits.version, &mut bytes);
        world.send(wire, &bytes);
    }

    fn take_identifier(&mut self) -> PacketIdentifier {
        loop {
            self.next_identifier = self.next_identifier % 40 + 1;
            let number = self.next_identifier;
            let is_taken = self.outgoing.iter().any(|outgoing| outgoing.identifier.get() == number)
                || self.subscribing.contains_key(&number)
                || self.unsubscribing.contains(&number);
            if !is_taken {
                return PacketIdentifier::new(number).unwrap();
            }
        }
    }

    /// Subscribes to filters, each at its QoS.
    pub fn subscribe(
        &mut self,
        world: &mut World,
        filters: &[(&'static str, QoS)],
        no_local: bool,
        handling: RetainHandling,
    ) {
        let (Some(wire), Some(session)) = (self.wire.filter(|_| self.is_connected), self.session) else {
            return;
        };
        if self.subscribing.len() > 3 {
            return;
        }
        let packet_identifier = self.take_identifier();
        let is_v5 = self.habits.version == ProtocolVersion::V5;
        let event = world.history.event();
        let subscriptions = &mut world.history.sessions[session].subscriptions;
        let mut entries = Vec::new();
        let mut numbers = Vec::new();
        for (filter, qos) in filters {
            for other in
                subscriptions.iter_mut().filter(|other| other.filter == *filter && other.ended.is_none())
            {
                other.ended = Some(event);
            }
            let parsed = SubscriptionFilter::parse(filter).unwrap();
            let no_local = no_local && is_v5 && parsed.share_name.is_none();
            let retain_handling = if is_v5 { handling } else { RetainHandling::SendAtSubscribe };
            entries.push((
                parsed,
                SubscriptionOptions {
                    maximum_qos: *qos,
                    no_local,
                    retain_as_published: false,
                    retain_handling,
                },
            ));
            numbers.push(subscriptions.len());
            subscriptions.push(Subscription { filter, qos: *qos, no_local, acknowledged: None, ended: None });
        }
        self.subscribing.insert(packet_identifier.get(), numbers);
        self.retained.clear();
        let encoded = encode_subscribe_filters(&entries);
        let subscription_identifier = is_v5.then(|| world.random.between(1, 300) as u32);
        let subscribe = Subscribe {
            packet_identifier,
            subscription_identifier,
            user_properties: UserProperties::default(),
            filters: SubscribeFilters::from_encoded(&encoded),
        };
        let mut bytes = Vec::new();
        subscribe.encode(self.habits.version, &mut bytes);
        world.send(wire, &bytes);
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, world: &mut World, filter: &'static str) {
        let (Some(wire), Some(session)) = (self.wire.filter(|_| self.is_connected), self.session) else {
            return;
        };
        if self.unsubscribing.len() > 3 {
            return;
        }
        let packet_identifier = self.take_identifier();
        let event = world.history.event();
        for other in &mut world.history.sessions[session].subscriptions {
            if other.filter == filter && other.ended.is_none() {
                other.ended = Some(event);
            }
        }
        self.unsubscribing.insert(packet_identifier.get());
        let encoded = encode_unsubscribe_filters(&[SubscriptionFilter::parse(filter).unwrap()]);
        let unsubscribe = Unsubscribe {
            packet_identifier,
            user_properties: UserProperties::default(),
            filters: UnsubscribeFilters::from_encoded(&encoded),
        };
        let mut bytes = Vec::new();
        unsubscribe.encode(self.habits.version, &mut bytes);
        world.send(wire, &bytes);
    }
}
