//! How many subscriptions a user and all together may have: on several shards, when they go, and after a restart.

use super::packets::*;
use super::pair::Pair;
use super::world::World;
use dunlin_codec::{Connect, Packet, QoS, ReasonCode, Split, decode, split};
use dunlin_core::Shard;
use dunlin_core::settings::Settings;
use dunlin_core::shard::SubscriptionRefusal;
use dunlin_core::slots::Key;
use dunlin_core::tally::SubscriptionTally;

const GRANTED: u8 = ReasonCode::GrantedQoS1.code();
const REFUSED: u8 = ReasonCode::QuotaExceeded.code();

fn of<'a>(user_name: &'a str, connect: Connect<'a>) -> Connect<'a> {
    Connect { user_name: Some(user_name), ..connect }
}

/// Where subscriptions are counted.
fn tally(in_all_max: usize, of_user_max: usize) -> SubscriptionTally {
    let tally = SubscriptionTally::default();
    tally.set_limits(in_all_max, of_user_max);
    tally
}

/// The Reason Code of the SUBACK that waits for a connection.
fn suback(shard: &mut Shard, key: Key) -> u8 {
    let outbox = shard.outbox(key).expect("something waits");
    let bytes: Vec<u8> = outbox.chunks().flatten().copied().collect();
    outbox.advance(bytes.len());
    let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
    match decode(frame, V5) {
        Ok(Packet::SubAck(suback)) => suback.reason_codes[0],
        other => panic!("{other:?} instead of SUBACK"),
    }
}

/// A client subscribes; what SUBACK says.
fn subscribes(world: &mut World, key: Key, filter: &str) -> u8 {
    world.send(key, &subscribe(filter, QoS::AtLeastOnce));
    world.commit_all();
    suback(&mut world.shard, key)
}

#[test]
fn the_clients_of_a_user_share_its_limit_on_all_shards_and_others_have_their_own() {
    // spec(v5): [MQTT-3.9.3-2]
    let tally = tally(usize::MAX, 2);
    let mut pair = Pair::counting(&tally);
    let names = [0, 1].map(|shard| name_at_home_in(shard, "client"));
    let keys = [0, 1].map(|shard| pair.connect(shard, of("anna", durable(&names[shard]))));
    let mut subscribes = |shard: usize, key, filter: &str| {
        pair.send(shard, key, &subscribe(filter, QoS::AtLeastOnce));
        pair.settle();
        suback(&mut pair.shards[shard], key)
    };
    assert_eq!(subscribes(0, keys[0], "a"), GRANTED);
    assert_eq!(subscribes(1, keys[1], "$share/g/a"), GRANTED);
    assert_eq!([subscribes(0, keys[0], "b"), subscribes(1, keys[1], "b")], [REFUSED; 2]);
    // What it has it may subscribe to again.
    assert_eq!([subscribes(0, keys[0], "a"), subscribes(1, keys[1], "$share/g/a")], [GRANTED; 2]);
    let other = name_at_home_in(0, "other");
    let other = pair.connect(0, of("boris", durable(&other)));
    pair.send(0, other, &subscribe("b", QoS::AtLeastOnce));
    pair.settle();
    assert_eq!(suback(&mut pair.shards[0], other), GRANTED);
    for shard in &pair.shards {
        assert_eq!(shard.counters().subscriptions_refused_for(SubscriptionRefusal::OfUser), 1);
    }
    assert_eq!((tally.in_all(), tally.users()), (3, 2));
}

#[test]
fn what_is_unsubscribed_or_ends_with_its_session_makes_room() {
    let tally = tally(2, usize::MAX);
    let mut world = World::new(Settings::default());
    world.crash_and_count(tally.clone());
    let first = world.connect(of("anna", passing("first")));
    assert_eq!(
        ["a", "$share/g/a", "b"].map(|filter| subscribes(&mut world, first, filter)),
        [GRANTED, GRANTED, REFUSED]
    );
    world.send(first, &unsubscribe("a"));
    world.send(first, &unsubscribe("never"));
    world.commit_all();
    world.receive(first);
    assert_eq!([subscribes(&mut world, first, "b"), subscribes(&mut world, first, "c")], [GRANTED, REFUSED]);
    world.lose(first);
    assert_eq!((tally.in_all(), tally.users()), (0, 0));
    let second = world.connect(passing("second"));
    assert_eq!(
        ["a", "b", "c"].map(|filter| subscribes(&mut world, second, filter)),
        [GRANTED, GRANTED, REFUSED]
    );
    let counters = world.shard.counters();
    assert_eq!(counters.subscriptions_refused_for(SubscriptionRefusal::InAll), 3);
    assert_eq!(counters.subscriptions_refused_for(SubscriptionRefusal::OfUser), 0);
}

#[test]
fn a_restart_brings_back_more_than_there_may_be_now_and_they_count() {
    let mut world = World::new(Settings::default());
    let client = world.connect(of("anna", durable("client")));
    for filter in ["a", "b", "$share/g/a"] {
        assert_eq!(subscribes(&mut world, client, filter), GRANTED);
    }
    world.lose(client);
    let tally = tally(usize::MAX, 2);
    world.crash_and_count(tally.clone());
    assert_eq!(tally.in_all(), 3);
    let client = world.connect(of("anna", durable("client")));
    assert_eq!(["c", "a"].map(|filter| subscribes(&mut world, client, filter)), [REFUSED, GRANTED]);
    world.send(client, &unsubscribe("a"));
    world.send(client, &unsubscribe("b"));
    world.commit_all();
    world.receive(client);
    assert_eq!(subscribes(&mut world, client, "c"), GRANTED);
}

#[test]
fn a_session_that_another_user_takes_up_counts_for_that_user() {
    let tally = tally(usize::MAX, 2);
    let mut world = World::new(Settings::default());
    world.crash_and_count(tally.clone());
    let client = world.connect(of("anna", durable("client")));
    assert_eq!(["a", "b"].map(|filter| subscribes(&mut world, client, filter)), [GRANTED; 2]);
    world.lose(client);
    let client = world.connect(of("boris", durable("client")));
    assert_eq!(subscribes(&mut world, client, "c"), REFUSED);
    let other = world.connect(of("anna", passing("other")));
    assert_eq!(subscribes(&mut world, other, "c"), GRANTED);
    assert_eq!((tally.in_all(), tally.users()), (3, 2));
}
