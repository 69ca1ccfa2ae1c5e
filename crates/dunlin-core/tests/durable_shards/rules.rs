//! Rights that are taken away while messages wait, are in flight, are retained or stand as a Will.

use super::packets::*;
use super::world::World;
use dunlin_codec::{Connect, PacketType, ProtocolVersion, QoS, ReasonCode, SubscriptionFilter, Will};
use dunlin_core::authorize::{Authorizer, Who};
use dunlin_core::settings::Settings;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a client can be forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    Publish,
    Receive,
    Subscribe,
}

/// Rules that forbid clients something, and change.
#[derive(Debug, Default)]
pub struct Rules {
    forbidden: Mutex<Vec<(&'static str, Right)>>,
    version: AtomicU64,
}

impl Rules {
    pub fn replace(&self, forbidden: &[(&'static str, Right)]) {
        *self.forbidden.lock().unwrap() = forbidden.to_vec();
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    fn allow(&self, who: Who<'_>, right: Right) -> bool {
        !self.forbidden.lock().unwrap().contains(&(who.client_identifier, right))
    }
}

impl Authorizer for Rules {
    fn rules_version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn may_publish(&self, who: Who<'_>, _topic: &str, _qos: QoS, _retain: bool) -> bool {
        self.allow(who, Right::Publish)
    }

    fn may_subscribe(&self, who: Who<'_>, _filter: SubscriptionFilter<'_>) -> Option<QoS> {
        self.allow(who, Right::Subscribe).then_some(QoS::ExactlyOnce)
    }

    fn may_receive(&self, who: Who<'_>, _topic: &str) -> bool {
        self.allow(who, Right::Receive)
    }
}

fn published(payload: &str) -> Vec<Received> {
    vec![Received::Publish(payload.to_owned())]
}

#[test]
fn what_waits_for_a_client_is_not_sent_when_its_right_is_gone() {
    let mut world = World::new(Settings::default());
    world.subscribe_and_lose("reader", "t");
    let writer = world.connect(passing("writer"));
    world.publish_numbers(writer, 3);
    assert_eq!(world.owed("reader"), Some(3));
    world.forbid(&[("reader", Right::Receive)]);
    assert_eq!(world.connect_again(durable("reader")), []);
    world.commit_all();
    assert_eq!(world.owed("reader"), Some(0), "the store has forgotten them");
}

#[test]
fn what_is_in_flight_is_not_sent_again_when_the_right_is_gone() {
    let mut world = World::new(Settings::default());
    let reader = world.connect(durable("reader"));
    world.send(reader, &subscribe("t", QoS::ExactlyOnce));
    world.commit_all();
    world.receive(reader);
    let writer = world.connect(passing("writer"));
    world.publish_numbers(writer, 1);
    assert_eq!(world.receive(reader), published("1"));
    world.lose(reader);
    world.forbid(&[("reader", Right::Receive)]);
    assert_eq!(world.connect_again(durable("reader")), []);
    world.commit_all();
    assert_eq!(world.owed("reader"), Some(0));
}

#[test]
fn an_exchange_that_the_client_has_answered_comes_to_its_end_all_the_same() {
    let mut world = World::new(Settings::default());
    let reader = world.connect(durable("reader"));
    world.send(reader, &subscribe("t", QoS::ExactlyOnce));
    world.commit_all();
    world.receive(reader);
    let writer = world.connect(passing("writer"));
    world.send(writer, &publish("t", QoS::ExactlyOnce, 1, b"1"));
    world.commit_all();
    assert_eq!(world.receive(reader), published("1"));
    world.send(reader, &acknowledge(PacketType::PubRec, 1));
    world.commit_all();
    world.receive(reader);
    world.lose(reader);
    world.forbid(&[("reader", Right::Receive)]);
    // PUBREL says nothing that the client does not have.
    assert_eq!(world.connect_again(durable("reader")), [Received::Other]);
}

#[test]
fn what_somebody_retained_is_sent_as_long_as_its_writer_may_write_it() {
    let mut world = World::new(Settings::default());
    let writer = world.connect(durable("writer"));
    world.send(writer, &publish_retained("t/1", b"by the writer"));
    let other = world.connect(durable("other"));
    world.send(other, &publish_retained("t/2", b"by another"));
    world.commit_all();
    let told = |world: &mut World, name: &'static str| {
        let reader = world.connect(passing(name));
        world.send(reader, &subscribe("t/#", QoS::AtLeastOnce));
        world.commit_all();
        let received = world.receive(reader);
        received.into_iter().filter(|packet| matches!(packet, Received::Publish(_))).collect::<Vec<_>>()
    };
    world.forbid(&[("writer", Right::Publish)]);
    assert_eq!(told(&mut world, "reader-1"), published("by another"));
    world.crash();
    assert_eq!(told(&mut world, "reader-2"), published("by another"), "the store knows who wrote it");
    world.forbid(&[]);
    assert_eq!(told(&mut world, "reader-3").len(), 2, "the right is back, and the message still there");
}

#[test]
fn a_will_is_not_sent_when_its_client_may_no_longer_publish_it() {
    let will = Will {
        topic: "t",
        qos: QoS::AtLeastOnce,
        retain: false,
        payload: b"gone",
        delay_interval_s: None,
        properties: Default::default(),
    };
    for (forbidden, expected) in [(&[][..], published("gone")), (&[("writer", Right::Publish)][..], vec![])] {
        let mut world = World::new(Settings::default());
        let reader = world.connect(passing("reader"));
        world.send(reader, &subscribe("t", QoS::AtMostOnce));
        world.commit_all();
        world.receive(reader);
        let writer = world.connect(Connect { will: Some(will), ..passing("writer") });
        world.forbid(forbidden);
        world.lose(writer);
        assert_eq!(world.receive(reader), expected);
    }
}

#[test]
fn a_connected_client_feels_a_change_of_the_rules_with_the_next_message() {
    let mut world = World::new(Settings::default());
    let reader = world.connect(passing("reader"));
    world.send(reader, &subscribe("t", QoS::AtMostOnce));
    world.commit_all();
    world.receive(reader);
    let writer = world.connect(passing("writer"));
    let arrives = |world: &mut World| {
        world.send(writer, &publish("t", QoS::AtMostOnce, 0, b"x"));
        !world.receive(reader).is_empty()
    };
    for (forbidden, expected) in [
        (&[][..], true),
        (&[("reader", Right::Receive)][..], false),
        (&[][..], true),
        (&[("writer", Right::Publish)][..], false),
    ] {
        world.forbid(forbidden);
        assert_eq!([arrives(&mut world), arrives(&mut world)], [expected; 2], "{forbidden:?}");
    }
}

#[test]
fn a_3x_client_that_publishes_what_it_may_not_is_disconnected_where_the_listener_says_so() {
    // spec(v3.1.1): [MQTT-3.3.5-2]
    for (version, closes_when_denied, is_closed) in [
        (ProtocolVersion::V3_1_1, true, true),
        (ProtocolVersion::V3_1_1, false, false),
        (ProtocolVersion::V5, true, false),
    ] {
        let mut world = World::new(Settings::default());
        world.forbid(&[("writer", Right::Publish)]);
        let mut request = request(&world.settings, Connect { version, ..passing("writer") });
        request.closes_when_denied = closes_when_denied;
        let writer = world.shard.handle_connect(START, request);
        world.commit_all();
        let packet = match version {
            V5 => publish("t", QoS::AtMostOnce, 0, b"x"),
            _ => b"\x30\x04\x00\x01tx".to_vec(),
        };
        world.send(writer, &packet);
        let closed = world
            .closed
            .iter()
            .any(|(key, cause)| *key == writer && cause.reason_code() == Some(ReasonCode::NotAuthorized));
        assert_eq!(closed, is_closed, "{version:?} {closes_when_denied}");
    }
}
