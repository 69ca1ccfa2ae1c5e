//! The store forgets old segments: what the shard holds is said again.

use super::packets::*;
use super::world::World;
use dunlin_codec::{PacketType, QoS};
use dunlin_core::journal::Segment;
use dunlin_core::settings::Settings;

#[test]
fn a_session_at_which_a_slice_of_the_walk_ends_is_said_again_to_its_end() {
    let mut world = World::new(Settings { vacating_slice: 8, ..Settings::default() });
    for number in 1..8 {
        let key = world.connect(durable(&format!("other {number}")));
        world.lose(key);
    }
    // One thing is left of the first slice when its turn comes, and five wait.
    world.subscribe_and_lose("last", "t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 5);
    world.roll(Segment(5));
    world.vacate(Segment(3));
    assert_eq!(world.owed("last"), Some(5));
}

#[test]
fn what_is_sent_while_the_walk_waits_for_its_body_is_said_again() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("subscriber", "t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 100);
    world.roll(Segment(5));
    world.shard.handle_vacate(Segment(3));
    world.turn();
    assert_eq!(world.loads.len(), 1, "the walk waits");
    let subscriber = world.connect(durable("subscriber"));
    world.answer_loads();
    assert_eq!(world.receive(subscriber), numbers(100));
    world.finish_vacating(Segment(3));
    assert_eq!(world.owed("subscriber"), Some(100), "nothing was acknowledged");
}

#[test]
fn the_name_of_a_group_that_was_restored_is_said_again() {
    let mut world = World::new(Settings::default());
    let member = world.connect(durable("member"));
    world.send(member, &subscribe("$share/g/t", QoS::AtLeastOnce));
    world.commit_all();
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish("t", QoS::AtLeastOnce, 1, b"old"));
    // The segment that goes has the name of the group, and none of what waits for it.
    world.roll(Segment(5));
    world.send(publisher, &publish("t", QoS::AtLeastOnce, 2, b"new"));
    world.commit_all();
    world.receive(member);
    world.send(member, &acknowledge(PacketType::PubAck, 1));
    world.lose(member);
    world.crash();
    world.vacate(Segment(3));
    assert_eq!(world.groups(), [("$share/g/t".to_owned(), vec!["new".to_owned()])]);
}

#[test]
fn what_waits_for_a_group_is_said_again_wherever_it_is() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("member", "$share/g/t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 300);
    world.roll(Segment(5));
    world.shard.handle_vacate(Segment(3));
    world.turn();
    assert_eq!(world.loads.len(), 1, "the walk waits for the first of them");
    // A member takes some of these meanwhile and goes, so that they come back to where the walk has been.
    let member = world.connect(durable("member"));
    world.answer_loads();
    world.receive(member);
    world.turn();
    world.lose(member);
    world.finish_vacating(Segment(3));
    let waiting: Vec<String> = (1..=300).map(|number| number.to_string()).collect();
    assert_eq!(world.groups(), [("$share/g/t".to_owned(), waiting)]);
    world.crash();
    assert_eq!(world.connect_again(durable("member")).len(), 300);
}
