//! What a client asks of the broker: PUBLISH, SUBSCRIBE, UNSUBSCRIBE.
//!
//! Each request is written into the history before its bytes leave. What a broken connection left unanswered
//! is asked again on the next one: messages in their order, with DUP and their Packet Identifiers; then the
//! subscriptions that are not acknowledged.

use dunlin_codec::{
    Packet, PacketIdentifier, Publish, QoS, RetainHandling, Subscribe, SubscribeFilters, SubscriptionFilter,
    SubscriptionOptions, Unsubscribe, UnsubscribeFilters, UserProperties, encode_subscribe_filters,
    encode_unsubscribe_filters,
};

use crate::client::{Client, Presence};
use crate::history::{History, Kind, Subscription};

/// Packet Identifiers of requests begin here, above those of messages.
const IDENTIFIERS_FIRST: u16 = 1000;

/// What waits for an answer on this connection, by the number of its subscription.
#[derive(Clone, Copy, PartialEq)]
pub enum Request {
    Subscribe(usize),
    Unsubscribe(usize),
    Ping,
}

impl Client {
    /// Whether it may begin another message.
    pub fn has_room(&self) -> bool {
        self.presence == Presence::Connected && self.sender.outgoing.len() < self.habits.window
    }

    /// Publishes at QoS 1 or 2. The caller has asked [`Client::has_room`].
    pub fn publish(&mut self, publication: usize, history: &mut History) {
        let qos = history.publications[publication].qos;
        let identifier = self.sender.begin(publication, qos);
        self.transmit(publication, identifier, false, history);
    }

    fn transmit(&mut self, number: usize, identifier: PacketIdentifier, dup: bool, history: &mut History) {
        history.begin(number);
        let publication = &history.publications[number];
        let payload = history.payload(number);
        self.send(&Packet::Publish(Publish {
            dup,
            qos: publication.qos,
            retain: publication.retain,
            topic: publication.topic,
            packet_identifier: Some(identifier),
            payload: &payload,
            ..Publish::default()
        }));
    }

    /// Sends again what is unfinished.
    // spec(v5): [MQTT-4.4.0-1]
    // spec(v3.1.1): [MQTT-4.4.0-1]
    pub(crate) fn send_again(&mut self, history: &mut History) {
        let outgoing = self.sender.outgoing.iter();
        let unfinished: Vec<_> =
            outgoing.map(|one| (one.identifier, one.publication, one.is_received)).collect();
        for (identifier, publication, is_received) in unfinished {
            match is_received {
                true => self.send_pubrel(identifier),
                false => self.transmit(publication, identifier, true, history),
            }
        }
    }

    /// Wants a subscription, now or when it is connected.
    pub fn subscribe(&mut self, filter: &'static str, qos: QoS, history: &mut History) {
        let (client, acknowledged) = (self.number, None);
        let subscription = Subscription { client, filter, qos, acknowledged, ended: None, gone: None };
        history.subscriptions.push(subscription);
        self.ask(Request::Subscribe(history.subscriptions.len() - 1), history);
    }

    /// Wants a subscription no longer.
    pub fn unsubscribe(&mut self, subscription: usize, history: &mut History) {
        let event = history.event();
        history.subscriptions[subscription].ended = Some(event);
        self.ask(Request::Unsubscribe(subscription), history);
    }

    /// The subscription with which it wanders and whose request is answered.
    pub fn standing(&self, filter: &str, history: &History) -> Option<usize> {
        let mine = |one: &Subscription| one.client == self.number && one.filter == filter;
        let number = history.subscriptions.iter().rposition(mine)?;
        let subscription = &history.subscriptions[number];
        (subscription.acknowledged.is_some() && subscription.ended.is_none()).then_some(number)
    }

    /// Asks for what is not acknowledged.
    pub(crate) fn ask_again(&mut self, history: &History) {
        for (number, subscription) in history.subscriptions.iter().enumerate() {
            if subscription.client != self.number {
                continue;
            }
            if subscription.acknowledged.is_none() && subscription.ended.is_none() {
                self.ask(Request::Subscribe(number), history);
            } else if subscription.ended.is_some() && subscription.gone.is_none() {
                self.ask(Request::Unsubscribe(number), history);
            }
        }
    }

    fn ask(&mut self, request: Request, history: &History) {
        if self.presence != Presence::Connected {
            return;
        }
        let free = (IDENTIFIERS_FIRST..).find(|number| !self.requests.contains_key(number));
        let number = free.expect("few requests wait");
        let packet_identifier = PacketIdentifier::new(number).expect("it is not 0");
        self.requests.insert(number, request);
        let filter =
            |subscription: &Subscription| SubscriptionFilter::parse(subscription.filter).expect("a filter");
        match request {
            Request::Subscribe(number) => {
                let subscription = &history.subscriptions[number];
                let options = SubscriptionOptions {
                    maximum_qos: subscription.qos,
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::SendAtSubscribe,
                };
                let filters = encode_subscribe_filters(&[(filter(subscription), options)]);
                self.send(&Packet::Subscribe(Subscribe {
                    packet_identifier,
                    subscription_identifier: None,
                    user_properties: UserProperties::default(),
                    filters: SubscribeFilters::from_encoded(&filters),
                }));
            }
            Request::Unsubscribe(number) => {
                let filters = encode_unsubscribe_filters(&[filter(&history.subscriptions[number])]);
                self.send(&Packet::Unsubscribe(Unsubscribe {
                    packet_identifier,
                    user_properties: UserProperties::default(),
                    filters: UnsubscribeFilters::from_encoded(&filters),
                }));
            }
            Request::Ping => {}
        }
    }

    /// SUBACK, UNSUBACK or PINGRESP came.
    pub(crate) fn handle_answer(
        &mut self,
        identifier: u16,
        reason_codes: &[u8],
        history: &mut History,
    ) -> Result<(), String> {
        let event = history.event();
        match self.requests.remove(&identifier) {
            Some(Request::Subscribe(number)) => {
                let subscription = &mut history.subscriptions[number];
                if reason_codes != [subscription.qos.bits()] {
                    return Err(format!("{} was not granted: {reason_codes:?}", subscription.filter));
                }
                subscription.acknowledged = Some(event);
            }
            Some(Request::Unsubscribe(number)) => {
                let subscription = &mut history.subscriptions[number];
                // 3.1.1 has no Reason Codes here. 0x11 would mean that there was no such subscription, which
                // is right only where the first UNSUBSCRIBE was taken and its answer lost.
                subscription.gone = Some(event);
            }
            Some(Request::Ping) => {}
            None => return Err(format!("the answer {identifier} is to nothing")),
        }
        Ok(())
    }

    /// Plans a message of its own.
    pub fn announce(
        &self,
        topic: &'static str,
        qos: QoS,
        filler_length: usize,
        history: &mut History,
    ) -> usize {
        let number = history.announce(Kind::Message, self.number, topic, qos, filler_length);
        history.publications[number].retain = self.habits.retains;
        number
    }
}
