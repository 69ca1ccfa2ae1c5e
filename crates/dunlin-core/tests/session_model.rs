//! The two halves of a Session against lists that are searched from end to end.
//!
//! `Outbound` finds an exchange by arithmetic in a window with holes; the model is a list of the exchanges
//! that are not over. Connections begin and end with other quotas, acknowledgements come in any order and
//! with wrong identifiers, members of shared groups leave, and the sequence of Packet Identifiers is brought
//! near its end first, so that it wraps. Now and then the process ends, and only what the store would have kept
//! is taken up again.

use dunlin_codec::{PacketIdentifier, QoS};
use dunlin_core::group::{GroupId, Ticket};
use dunlin_core::journal::{Budget, GroupNumber, Segment};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, MessageId, Publication};
use dunlin_core::session::{
    self, Acknowledged, Delivery, Enqueued, Finished, Identifiers, Inbound, Outbound, Resend, Restored,
};
use dunlin_core::settings::{OverflowPolicy, Settings};
use dunlin_core::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeSet, VecDeque};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// Packet Identifiers there are.
const IDENTIFIERS: u64 = 65_535;

fn identifier(number: u16) -> PacketIdentifier {
    PacketIdentifier::new(number).unwrap()
}

fn message(number: u64, payload_length: usize, is_expired: bool) -> ApplicationMessage {
    let gauge = MemoryGauge::default();
    let id = MessageId { received_at: Timestamp::from_micros(number), boot_epoch: 0, origin: 0 };
    let payload = vec![0; payload_length];
    let mut publication = Publication::new(id, "t", QoS::ExactlyOnce, false);
    publication.payload = &payload;
    publication.expires_at = is_expired.then_some(NOW);
    publication.keep(&gauge)
}

fn delivery(number: u64, kind: Kind) -> Delivery {
    let group = GroupId { owner: 0, number: GroupNumber(1) };
    Delivery {
        message: message(number, kind.payload_length, kind.is_expired),
        qos: kind.qos,
        retain: false,
        identifiers: Identifiers::None,
        ticket: kind.is_shared.then(|| Box::new(Ticket { group, sequence: number })),
        order: number,
        // Of a group, an exchange at QoS 2 is the Session's to record.
        recorded_in: (!kind.is_shared || kind.qos == QoS::ExactlyOnce).then_some(Segment(1)),
    }
}

/// The end of an exchange of a message of the Session's own.
fn over(order: u64) -> Acknowledged {
    Acknowledged::Done(Finished { order, recorded_in: Some(Segment(1)), ticket: None })
}

fn number_of(delivery: &Delivery) -> u64 {
    delivery.message.id.received_at.as_micros()
}

/// What a message is like.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    qos: QoS,
    is_shared: bool,
    is_expired: bool,
    payload_length: usize,
}

/// Which exchange an acknowledgement is for.
#[derive(Clone, Copy, Debug)]
enum Which {
    /// One that is not over, counted from the oldest.
    Open(usize),
    /// Whatever has this identifier.
    Any(u16),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver(Kind),
    /// A message that turns out too large for the client.
    DeliverTooLarge(Kind),
    /// What the Session is owed is sent, up to so many packets.
    Pump(usize),
    PubAck(Which),
    PubRec(Which, bool),
    PubComp(Which),
    Connect(u16),
    Disconnect,
    /// The process ends and begins anew.
    Restart,
}

struct Exchange {
    sequence: u64,
    number: u64,
    kind: Kind,
    is_released: bool,
    counts: bool,
    is_owed: bool,
}

#[derive(Default)]
struct Model {
    exchanges: Vec<Exchange>,
    queue: VecDeque<(u64, Kind, usize)>,
    next_sequence: u64,
    quota: usize,
}

impl Model {
    fn owes(&self) -> bool {
        self.exchanges.iter().any(|exchange| exchange.is_owed)
    }

    fn may_begin(&self) -> bool {
        let counted = self.exchanges.iter().filter(|exchange| exchange.counts).count();
        let oldest = self.exchanges.first().map_or(self.next_sequence, |exchange| exchange.sequence);
        counted < self.quota && !self.owes() && self.next_sequence - oldest < IDENTIFIERS
    }

    fn begin(&mut self, number: u64, kind: Kind) -> PacketIdentifier {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.exchanges.push(Exchange {
            sequence,
            number,
            kind,
            is_released: false,
            counts: true,
            is_owed: false,
        });
        identifier((sequence % IDENTIFIERS) as u16 + 1)
    }

    fn position(&self, which: Which) -> (PacketIdentifier, Option<usize>) {
        let identifier_of = |exchange: &Exchange| (exchange.sequence % IDENTIFIERS) as u16 + 1;
        match which {
            Which::Open(position) if !self.exchanges.is_empty() => {
                let position = position % self.exchanges.len();
                (identifier(identifier_of(&self.exchanges[position])), Some(position))
            }
            Which::Open(position) => (identifier(position as u16 % 9 + 1), None),
            Which::Any(number) => {
                let position = self.exchanges.iter().position(|exchange| identifier_of(exchange) == number);
                (identifier(number), position)
            }
        }
    }

    /// The end of an exchange, as `Outbound` reports it. A group hears of it once.
    fn finish(&mut self, position: usize) -> Result<Option<u64>, &'static str> {
        let exchange = self.exchanges.remove(position);
        Ok((exchange.kind.is_shared && !exchange.is_released).then_some(exchange.number))
    }
}

/// An acknowledgement's effect in a form that can be compared.
fn effect(result: Acknowledged) -> Result<Option<u64>, &'static str> {
    match result {
        Acknowledged::Done(finished) => Ok(finished.ticket.map(|ticket| ticket.sequence)),
        Acknowledged::Release(_) => Err("release"),
        Acknowledged::ReleaseAgain => Err("release again"),
        Acknowledged::Unknown => Err("unknown"),
        Acknowledged::WrongQoS => Err("wrong QoS"),
    }
}

struct Pair {
    outbound: Outbound,
    model: Model,
    settings: Settings,
    next_number: u64,
}

impl Pair {
    /// Both halves after so many messages have come and gone.
    fn new(settings: Settings, gone: u64) -> Self {
        let mut pair =
            Self { outbound: Outbound::default(), model: Model::default(), settings, next_number: 0 };
        pair.outbound.begin_connection(1);
        let kind = Kind { qos: QoS::AtLeastOnce, is_shared: false, is_expired: false, payload_length: 0 };
        let template = delivery(0, kind);
        for _ in 0..gone {
            let packet_identifier = pair.outbound.begin(template.clone());
            assert_eq!(pair.outbound.acknowledge(packet_identifier), over(0));
        }
        pair.model.next_sequence = gone;
        pair.outbound.end_connection();
        pair
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Deliver(kind) => self.deliver(kind, false),
            Step::DeliverTooLarge(kind) => self.deliver(kind, true),
            Step::Pump(packets) => self.pump(packets),
            Step::PubAck(which) => {
                let (identifier, position) = self.model.position(which);
                let expected = match position {
                    Some(position) if self.model.exchanges[position].kind.qos == QoS::AtLeastOnce => {
                        self.model.finish(position)
                    }
                    Some(_) => Err("wrong QoS"),
                    None => Err("unknown"),
                };
                assert_eq!(effect(self.outbound.acknowledge(identifier)), expected);
            }
            Step::PubRec(which, is_error) => {
                let (identifier, position) = self.model.position(which);
                let expected = match position {
                    Some(position) if self.model.exchanges[position].kind.qos == QoS::AtLeastOnce => {
                        Err("wrong QoS")
                    }
                    Some(position) if is_error && !self.model.exchanges[position].is_released => {
                        self.model.finish(position)
                    }
                    Some(position) if self.model.exchanges[position].is_released => Err("release again"),
                    Some(position) => {
                        self.model.exchanges[position].is_released = true;
                        Err("release")
                    }
                    None => Err("unknown"),
                };
                assert_eq!(effect(self.outbound.receive(identifier, is_error)), expected);
            }
            Step::PubComp(which) => {
                let (identifier, position) = self.model.position(which);
                let expected = match position {
                    Some(position) if self.model.exchanges[position].is_released => {
                        self.model.finish(position)
                    }
                    Some(_) => Err("wrong QoS"),
                    None => Err("unknown"),
                };
                assert_eq!(effect(self.outbound.complete(identifier)), expected);
            }
            Step::Connect(quota) => {
                self.disconnect();
                self.outbound.begin_connection(quota);
                self.model.quota = usize::from(quota);
                for exchange in &mut self.model.exchanges {
                    (exchange.counts, exchange.is_owed) = (false, true);
                }
            }
            Step::Disconnect => self.disconnect(),
            Step::Restart => self.restart(),
        }
        self.compare();
    }

    /// As the shard does it: at once if there is room, otherwise it waits.
    fn deliver(&mut self, kind: Kind, is_too_large: bool) {
        self.next_number += 1;
        let number = self.next_number;
        let delivery = delivery(number, kind);
        if self.outbound.has_room() {
            let packet_identifier = self.outbound.begin(delivery);
            assert_eq!(packet_identifier, self.model.begin(number, kind));
            if is_too_large {
                let finished = self.outbound.abandon(packet_identifier).expect("it had begun");
                let last = self.model.exchanges.len() - 1;
                assert_eq!(effect(Acknowledged::Done(finished)), self.model.finish(last));
            }
        } else {
            self.enqueue(number, kind, delivery);
        }
    }

    fn enqueue(&mut self, number: u64, kind: Kind, delivery: Delivery) {
        let size = delivery.message.size_bytes();
        let is_full = |queue: &VecDeque<(u64, Kind, usize)>| {
            queue.len() >= self.settings.queued_messages_max
                || queue.iter().map(|(_, _, size)| size).sum::<usize>() + size
                    > self.settings.queued_bytes_max
        };
        let mut displaced = Vec::new();
        let could_fit = size <= self.settings.queued_bytes_max && self.settings.queued_messages_max > 0;
        while could_fit
            && is_full(&self.model.queue)
            && let Some((front, front_kind, _)) = self.model.queue.front()
            && (front_kind.is_expired || self.settings.overflow == OverflowPolicy::DropOldest)
        {
            displaced.push(*front);
            self.model.queue.pop_front();
        }
        let expected = if !is_full(&self.model.queue) {
            self.model.queue.push_back((number, kind, size));
            ("accepted", displaced)
        } else if self.settings.overflow == OverflowPolicy::Disconnect {
            ("overflow", [displaced, vec![number]].concat())
        } else {
            ("refused", [displaced, vec![number]].concat())
        };
        let (outcome, dropped) = match self.outbound.enqueue(delivery, &self.settings, NOW) {
            Enqueued::Accepted => ("accepted", Vec::new()),
            Enqueued::Displaced(dropped) => ("accepted", dropped),
            Enqueued::Refused(dropped) => ("refused", dropped),
            Enqueued::Overflow(dropped) => ("overflow", dropped),
        };
        assert_eq!((outcome, dropped.iter().map(|finished| finished.order).collect()), expected);
    }

    fn pump(&mut self, packets: usize) {
        for _ in 0..packets {
            let counted = self.model.exchanges.iter().filter(|exchange| exchange.counts).count();
            let owed = self.model.exchanges.iter_mut().find(|exchange| exchange.is_owed);
            let expected = match owed {
                Some(exchange) if exchange.is_released => {
                    exchange.is_owed = false;
                    Some(((exchange.sequence % IDENTIFIERS) as u16 + 1, None))
                }
                Some(exchange) if counted < self.model.quota => {
                    (exchange.is_owed, exchange.counts) = (false, true);
                    Some(((exchange.sequence % IDENTIFIERS) as u16 + 1, Some(exchange.number)))
                }
                _ => None,
            };
            let resend = self.outbound.next_resend().map(|resend| match resend {
                Resend::Publish(identifier, delivery) => (identifier.get(), Some(number_of(delivery))),
                Resend::PubRel(identifier) => (identifier.get(), None),
            });
            assert_eq!(resend, expected);
            if resend.is_some() {
                continue;
            }
            let expected = if self.model.may_begin() { self.model.queue.pop_front() } else { None };
            let next = self.outbound.next_queued();
            assert_eq!(next.as_ref().map(number_of), expected.map(|(number, _, _)| number));
            if let (Some(delivery), Some((number, kind, _))) = (next, expected) {
                assert_eq!(self.outbound.begin(delivery), self.model.begin(number, kind));
            }
        }
    }

    fn disconnect(&mut self) {
        let is_returned =
            |exchange: &Exchange| exchange.kind.is_shared && exchange.kind.qos == QoS::AtLeastOnce;
        let sent = self
            .model
            .exchanges
            .iter()
            .filter(|exchange| is_returned(exchange))
            .map(|exchange| exchange.number);
        let unsent =
            self.model.queue.iter().filter(|(_, kind, _)| kind.is_shared).map(|(number, _, _)| *number);
        let expected: Vec<u64> = sent.chain(unsent).collect();
        self.model.exchanges.retain(|exchange| !is_returned(exchange));
        self.model.queue.retain(|(_, kind, _)| !kind.is_shared);
        self.model.quota = 0;
        assert_eq!(self.outbound.end_connection().iter().map(number_of).collect::<Vec<_>>(), expected);
    }

    /// What is held is taken out and put into a new `Outbound`. The sequence of Packet Identifiers goes on behind
    /// the last exchange that is not over.
    fn restart(&mut self) {
        self.disconnect();
        let mut restarted = Outbound::default();
        for exchange in self.outbound.exchanges_mut() {
            restarted.restore(match exchange {
                session::Exchange::Begun(identifier, delivery) => {
                    Restored::Begun(identifier, delivery.clone())
                }
                session::Exchange::Released(identifier, finished) => {
                    Restored::Released(identifier, finished.clone())
                }
            });
        }
        let waiting = self.outbound.queue_mut().record_again(
            0,
            Segment(2),
            Segment(1),
            Timestamp::ZERO,
            &mut Budget::new(usize::MAX),
        );
        waiting.deliveries.into_iter().for_each(|delivery| restarted.restore(Restored::Waiting(delivery)));
        assert!(restarted.take_order() <= self.next_number + 1, "orders go on behind the last");
        self.outbound = restarted;
        self.model.next_sequence = self.model.exchanges.last().map_or(0, |last| last.sequence + 1);
        for exchange in &mut self.model.exchanges {
            (exchange.counts, exchange.is_owed) = (false, true);
        }
    }

    fn compare(&mut self) {
        if !self.model.owes() {
            // What was to be resent and is over meanwhile is passed over here.
            assert!(self.outbound.next_resend().is_none());
        }
        let model = &self.model;
        assert_eq!(self.outbound.has_room(), model.queue.is_empty() && model.may_begin());
        assert_eq!(self.outbound.owes_resend(), model.owes());
        assert_eq!(self.outbound.in_flight_messages(), model.exchanges.len());
        assert_eq!(self.outbound.queued_messages(), model.queue.len());
        assert_eq!(self.outbound.queued_bytes(), model.queue.iter().map(|(_, _, size)| size).sum::<usize>());
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    let qos = select(vec![QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let chance = |percent: u8| (0..100_u8).prop_map(move |number| number < percent);
    (qos, chance(25), chance(15), select(vec![0, 10, 300])).prop_map(
        |(qos, is_shared, is_expired, payload_length)| Kind { qos, is_shared, is_expired, payload_length },
    )
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        6 => (0..12_usize).prop_map(Which::Open),
        1 => (1..12_u16).prop_map(Which::Any),
        1 => (65_525..=65_535_u16).prop_map(Which::Any),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => kind().prop_map(Step::Deliver),
        1 => kind().prop_map(Step::DeliverTooLarge),
        5 => (1..6_usize).prop_map(Step::Pump),
        4 => which().prop_map(Step::PubAck),
        3 => (which(), proptest::bool::weighted(0.2)).prop_map(|(which, is_error)| Step::PubRec(which, is_error)),
        3 => which().prop_map(Step::PubComp),
        2 => select(vec![1, 2, 5, 65_535]).prop_map(Step::Connect),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Restart),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let policies = vec![OverflowPolicy::DropOldest, OverflowPolicy::DropNewest, OverflowPolicy::Disconnect];
    (select(policies), select(vec![0, 1, 4, 1000]), select(vec![500, 1500, 1_000_000])).prop_map(
        |(overflow, queued_messages_max, queued_bytes_max)| Settings {
            overflow,
            queued_messages_max,
            queued_bytes_max,
            ..Settings::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    // spec(v5): [MQTT-4.4.0-1] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-2.2.1-4] [MQTT-4.8.2-4] [MQTT-4.8.2-5]
    // spec(v3.1.1): [MQTT-4.4.0-1] [MQTT-2.3.1-4] [MQTT-4.6.0-1]
    #[test]
    fn the_sending_half_of_a_session_behaves_like_a_list(
        settings in settings(),
        gone in prop_oneof![5 => Just(0_u64), 1 => 65_525..65_540_u64],
        steps in vec(step(), 1..120),
    ) {
        let mut pair = Pair::new(settings, gone);
        pair.apply(Step::Connect(5));
        for step in steps {
            pair.apply(step);
        }
    }

    // spec(v5): [MQTT-4.3.3-10] [MQTT-4.3.3-11]
    // spec(v3.1.1): [MQTT-4.3.3-2]
    #[test]
    fn the_receiving_half_of_a_session_behaves_like_a_set(steps in vec((any::<bool>(), 1..9_u16), 0..80)) {
        let mut inbound = Inbound::default();
        let mut model = BTreeSet::new();
        for (is_new, number) in steps {
            if is_new {
                inbound.insert(identifier(number));
                model.insert(number);
            } else {
                prop_assert_eq!(inbound.remove(identifier(number)), model.remove(&number));
            }
            prop_assert_eq!(inbound.len(), model.len());
            prop_assert_eq!(inbound.is_empty(), model.is_empty());
            for number in 1..9 {
                prop_assert_eq!(inbound.contains(identifier(number)), model.contains(&number));
            }
        }
    }
}

#[test]
fn an_identifier_is_not_used_again_while_its_message_is_unacknowledged() {
    // spec(v5): [MQTT-2.2.1-4]
    // spec(v3.1.1): [MQTT-2.3.1-4]
    let mut outbound = Outbound::default();
    outbound.begin_connection(u16::MAX);
    let kind = Kind { qos: QoS::AtLeastOnce, is_shared: false, is_expired: false, payload_length: 0 };
    let template = delivery(0, kind);
    let stuck = outbound.begin(template.clone());
    assert_eq!(stuck, identifier(1));
    let mut used = 1_u64;
    while outbound.has_room() {
        let packet_identifier = outbound.begin(template.clone());
        assert_ne!(packet_identifier, stuck);
        assert_eq!(outbound.acknowledge(packet_identifier), over(0));
        used += 1;
    }
    assert_eq!(used, IDENTIFIERS, "the window ends before the first identifier comes round");
    assert_eq!(outbound.in_flight_messages(), 1);
    assert_eq!(outbound.acknowledge(stuck), over(0));
    assert!(outbound.has_room());
    assert_eq!(outbound.begin(template), identifier(1));
}
