//! Bodies that there is no memory for: given up, read back, and counted.

use super::packets::*;
use super::world::World;
use dunlin_codec::{PacketType, QoS};
use dunlin_core::journal::Segment;
use dunlin_core::message::ApplicationMessage;

#[test]
fn a_body_that_is_not_yet_written_where_its_record_is_now_is_not_given_up() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("subscriber", "t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 60);
    world.roll(Segment(9));
    world.shard.handle_vacate(Segment(5));
    world.send(publisher, &publish("t", QoS::AtLeastOnce, 61, b"61"));
    let until_new = world.backlog.len();
    world.turn();
    world.answer_loads();
    world.turn();
    assert_eq!(world.vacated, Some(Segment(5)), "all is said again");
    // The new message is durable and lets all before it give up their bodies, but theirs are on their way.
    world.commit(until_new);
    world.finish_vacating(Segment(5));
    let subscriber = world.connect(durable("subscriber"));
    world.answer_loads();
    assert_eq!(world.receive(subscriber), numbers(61));
}

#[test]
fn with_nobody_connected_no_message_that_waits_keeps_its_body() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("subscriber", "t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 40);
    // The records in the log share the messages.
    world.log.clear();
    assert_eq!(world.shard.memory_gauge().bytes(), 0);
}

#[test]
fn what_was_loaded_for_a_client_that_came_and_went_gives_up_its_body_again() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("subscriber", "t");
    let publisher = world.connect(passing("publisher"));
    // More than is loaded at once.
    world.publish_numbers(publisher, 300);
    world.log.clear();
    let mut connect = durable("subscriber");
    connect.properties.receive_maximum = Some(1);
    let subscriber = world.connect(connect);
    world.answer_loads();
    assert_eq!(world.receive(subscriber), numbers(1), "it takes no more");
    let sent = ApplicationMessage::size_bytes_of("t1".len());
    assert!(world.shard.memory_gauge().bytes() > 100 * sent, "what comes next is there");
    world.lose(subscriber);
    world.log.clear();
    assert_eq!(world.shard.memory_gauge().bytes(), sent, "what is in flight stays");
}

#[test]
fn what_waits_for_a_group_gives_up_its_bodies_and_is_read_back_in_order() {
    let mut world = World::without_body_memory();
    world.subscribe_and_lose("member", "$share/g/t");
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 600);
    world.log.clear();
    assert_eq!(world.shard.memory_gauge().bytes(), 0, "nobody is there to take them");
    let mut slow = durable("member");
    slow.properties.receive_maximum = Some(10);
    let member = world.connect(slow);
    let mut received = Vec::new();
    for number in 1..=600 {
        world.answer_loads();
        received.extend(world.receive(member));
        world.send(member, &acknowledge(PacketType::PubAck, number));
    }
    assert_eq!(received, numbers(600));
}

#[test]
fn a_body_that_many_wait_for_counts_once_as_what_the_store_keeps_after_a_restart_too() {
    let mut world = World::without_body_memory();
    for client in ["1", "2", "3"] {
        world.subscribe_and_lose(client, "t");
    }
    let publisher = world.connect(passing("publisher"));
    world.publish_numbers(publisher, 1);
    let before: Vec<_> = world.log.drain(..).collect();
    let stored_bytes = world.shard.memory_gauge().stored_bytes();
    assert_eq!(stored_bytes, "t1".len());
    world.log = before;
    world.leaves_bodies = true;
    world.crash();
    world.log.clear();
    assert_eq!(world.shard.memory_gauge().stored_bytes(), stored_bytes);
}
