//! Shared groups across a restart.

use super::packets::*;
use super::world::World;
use dunlin_codec::{PacketType, QoS};
use dunlin_core::settings::Settings;

#[test]
fn the_place_of_a_message_that_a_member_has_is_given_to_no_other_after_a_restart() {
    let mut world = World::new(Settings::default());
    let member = world.connect(durable("member"));
    world.send(member, &subscribe("$share/g/t", QoS::ExactlyOnce));
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish("t", QoS::ExactlyOnce, 1, b"old"));
    world.commit_all();
    world.receive(member);
    world.send(member, &acknowledge(PacketType::PubRec, 1));
    world.commit_all();
    world.crash();
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish("t", QoS::ExactlyOnce, 2, b"new"));
    world.commit_all();
    assert_eq!(world.groups(), [("$share/g/t".to_owned(), vec!["new".to_owned()])]);
}

#[test]
fn what_a_member_was_sent_before_it_left_its_group_is_its_own_after_a_restart() {
    let mut world = World::new(Settings::default());
    let member = world.connect(durable("member"));
    world.send(member, &subscribe("$share/g/t", QoS::AtLeastOnce));
    world.commit_all();
    world.receive(member);
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 2);
    assert_eq!(world.receive(member), numbers(2));
    world.send(member, &acknowledge(PacketType::PubAck, 1));
    // spec(v5): [MQTT-3.10.4-3]
    world.send(member, &unsubscribe("$share/g/t"));
    world.commit_all();
    world.crash();
    assert_eq!(world.groups(), []);
    let member = world.connect_again(durable("member"));
    assert_eq!(member, [Received::Publish("2".into())]);
}
