//! Retained Messages across shards and restarts.

use super::packets::*;
use super::pair::Pair;
use super::world::World;
use dunlin_codec::{PacketType, QoS};
use dunlin_core::journal::Segment;
use dunlin_core::settings::Settings;
use std::time::Duration;

#[test]
fn a_retained_message_that_was_overtaken_counts_as_stored_when_the_later_one_is() {
    let mut pair = Pair::new();
    let topic = name_at_home_in(1, "topic");
    let early = pair.connect(0, passing(&name_at_home_in(0, "early")));
    let late = pair.connect(1, passing(&name_at_home_in(1, "late")));
    pair.send(0, early, &publish_retained(&topic, b"early"));
    pair.now = pair.now + Duration::from_micros(50);
    pair.send(1, late, &publish_retained(&topic, b"late"));
    pair.mail();
    assert_eq!(pair.receive(0, early), [], "nothing is durable anywhere");
    pair.store(1);
    pair.mail();
    assert_eq!(pair.receive(0, early), [Received::PubAck(identifier(1))]);
}

#[test]
fn retained_messages_that_are_owed_when_the_process_ends_come_afterwards_and_once() {
    let mut world = World::new(Settings::default());
    let publisher = world.connect(passing("publisher"));
    for topic in ["1", "2", "3"] {
        world.send(publisher, &publish_retained(topic, topic.as_bytes()));
        world.commit_all();
    }
    let mut slow = durable("slow");
    slow.properties.receive_maximum = Some(1);
    let subscriber = world.connect(slow);
    world.send(subscriber, &subscribe("#", QoS::ExactlyOnce));
    world.commit_all();
    world.commit_all();
    assert_eq!(world.receive(subscriber), [Received::Other, Received::Publish("1".into())]);
    world.send(subscriber, &acknowledge(PacketType::PubAck, 1));
    world.commit_all();
    assert_eq!(world.receive(subscriber), [Received::Publish("2".into())]);
    // The store says all of it again.
    world.roll(Segment(2));
    world.vacate(Segment(2));
    world.crash();
    assert_eq!(
        world.connect_again(durable("slow")),
        [Received::Publish("2".into()), Received::Publish("3".into())]
    );
    world.crash();
    assert_eq!(
        world.connect_again(durable("slow")),
        [Received::Publish("2".into()), Received::Publish("3".into())]
    );
}

#[test]
fn retained_messages_are_owed_although_the_process_ended_when_suback_had_just_left() {
    let mut world = World::new(Settings::default());
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish_retained("1", b"1"));
    world.commit_all();
    let subscriber = world.connect(durable("subscriber"));
    world.send(subscriber, &subscribe("#", QoS::AtLeastOnce));
    world.commit(world.backlog.len());
    assert_eq!(world.receive(subscriber).first(), Some(&Received::Other), "SUBACK");
    world.crash();
    assert_eq!(world.connect_again(durable("subscriber")), numbers(1));
}
