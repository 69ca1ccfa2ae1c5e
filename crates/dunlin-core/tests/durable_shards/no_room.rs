//! The disk is full, or has failed.

use super::packets::*;
use super::pair::Pair;
use super::world::World;
use dunlin_codec::{Connect, ProtocolVersion, QoS, ReasonCode};
use dunlin_core::connection::Cause;
use dunlin_core::settings::Settings;
use dunlin_core::shard::StoreState;
use dunlin_core::slots::Key;

#[test]
fn qos_0_passes_between_shards_while_nothing_is_stored() {
    for state in [StoreState::Full, StoreState::Failed] {
        let mut pair = Pair::new();
        let (stored, live) = (name_at_home_in(1, "stored"), name_at_home_in(1, "live"));
        let stored = pair.connect(1, durable(&stored));
        pair.subscribe(1, stored, "stored", QoS::AtLeastOnce);
        let live = pair.connect(1, passing(&live));
        pair.subscribe(1, live, "live", QoS::AtMostOnce);
        let publisher = pair.connect(0, passing(&name_at_home_in(0, "publisher")));
        // This one will never be durable.
        pair.send(0, publisher, &publish("stored", QoS::AtLeastOnce, 1, b""));
        pair.mail();
        for shard in &mut pair.shards {
            shard.handle_store_state(pair.now, state);
        }
        // More than may be on its way between shards.
        let payload = "x".repeat(10_000);
        for _ in 0..1000 {
            pair.send(0, publisher, &publish("live", QoS::AtMostOnce, 0, payload.as_bytes()));
            pair.mail();
            assert_eq!(pair.receive(1, live), [Received::Publish(payload.clone())], "{state:?}");
        }
        assert!(!pair.shards[0].is_paused(publisher), "{state:?}");
    }
}

#[test]
fn who_has_a_durable_session_is_refused_at_once_when_the_store_has_failed() {
    let passing_on = Connect { clean_start: false, ..passing("client") };
    let anew = Connect { clean_start: true, ..durable("client") };
    // spec(v5): [MQTT-3.2.2-7]
    for connect in [durable("client"), passing_on, anew] {
        let mut world = World::new(Settings::default());
        world.subscribe_and_lose("client", "t");
        world.shard.handle_store_state(START, StoreState::Failed);
        let key = world.shard.handle_connect(START, request(&world.settings, connect));
        world.take();
        assert_eq!(world.receive(key), [Received::ConnAck(ReasonCode::QuotaExceeded)], "{connect:?}");
        let closed = world.closed.iter().find(|(closed, _)| *closed == key).map(|(_, cause)| *cause);
        let is_refused =
            |cause| matches!(cause, Cause::Server { reason_code: ReasonCode::QuotaExceeded, .. });
        assert!(closed.is_some_and(is_refused), "{connect:?}: {closed:?}");
    }
}

/// A 3.1.1 client without Keep Alive, and the bytes that wait for it.
fn connect_v311(world: &mut World) -> Key {
    let connect = Connect { version: ProtocolVersion::V3_1_1, ..passing("old") };
    let key = world.shard.handle_connect(START, request(&world.settings, connect));
    world.commit_all();
    assert_eq!(take_bytes(world, key), [0x20, 2, 0, 0]);
    key
}

fn take_bytes(world: &mut World, key: Key) -> Vec<u8> {
    let Some(outbox) = world.shard.outbox(key) else { return Vec::new() };
    let bytes: Vec<u8> = outbox.chunks().flatten().copied().collect();
    outbox.advance(bytes.len());
    world.shard.handle_flushed(START, key);
    bytes
}

#[test]
fn a_3_x_client_waits_for_room_in_the_store_and_is_heard_meanwhile() {
    let mut world = World::new(Settings::default());
    world.subscribe_and_lose("subscriber", "t");
    world.closed.clear();
    let old = connect_v311(&mut world);
    world.shard.handle_store_state(START, StoreState::Full);
    // spec(v3.1.1): [MQTT-4.3.2-2]
    world.send(old, &publish_v311("t", 1, b"1"));
    world.send(old, &[0xC0, 0]);
    assert_eq!(take_bytes(&mut world, old), [0xD0, 0], "PINGRESP and no PUBACK");
    // What need not be stored stays behind it.
    world.send(old, &publish_v311("elsewhere", 2, b""));
    assert_eq!(take_bytes(&mut world, old), []);
    world.shard.handle_store_state(START, StoreState::Writing);
    world.commit_all();
    assert_eq!(take_bytes(&mut world, old), [0x40, 2, 0, 1, 0x40, 2, 0, 2]);
    assert_eq!(world.owed("subscriber"), Some(1));
    assert_eq!(world.closed, []);
}

#[test]
fn what_is_too_much_to_wait_for_room_closes_the_connection_unacknowledged() {
    let mut world = World::new(Settings::default());
    world.subscribe_and_lose("subscriber", "t");
    world.closed.clear();
    for ending in [StoreState::Full, StoreState::Failed] {
        let old = connect_v311(&mut world);
        world.shard.handle_store_state(START, StoreState::Full);
        let mut count = 0;
        while world.closed.is_empty() {
            assert!(count < 1000, "it waits for ever");
            world.send(old, &publish_v311("t", (count % 20) as u8 + 1, &[b'x'; 100]));
            count += 1;
            if count == 5 && ending == StoreState::Failed {
                world.shard.handle_store_state(START, ending);
                world.take();
            }
        }
        assert!(count > 4);
        assert_eq!(take_bytes(&mut world, old), [], "no acknowledgement");
        world.shard.remove(old);
        world.closed.clear();
        world.shard.handle_store_state(START, StoreState::Writing);
        world.commit_all();
        assert_eq!(world.owed("subscriber"), Some(0), "nothing of it was taken in");
    }
}

#[test]
fn who_subscribes_again_as_before_needs_no_room_in_the_store() {
    let mut world = World::new(Settings::default());
    world.subscribe_and_lose("subscriber", "t");
    let subscriber = world.connect(durable("subscriber"));
    world.shard.handle_store_state(START, StoreState::Full);
    // SUBSCRIBE as before, then with another QoS: Granted QoS 1, and Quota exceeded.
    for (qos, reason_code) in [(QoS::AtLeastOnce, 0x01), (QoS::ExactlyOnce, 0x97)] {
        world.send(subscriber, &subscribe("t", qos));
        assert_eq!(world.backlog.len(), 0, "nothing is to be stored");
        let suback = take_bytes(&mut world, subscriber);
        assert_eq!((suback[0], suback.last()), (0x90, Some(&reason_code)));
    }
}

#[test]
fn who_subscribes_again_for_the_connection_alone_waits_for_nobody_s_records() {
    let mut world = World::new(Settings::default());
    world.subscribe_and_lose("subscriber", "t");
    let passer = world.connect(passing("passer"));
    world.send(passer, &subscribe("u", QoS::AtLeastOnce));
    assert_eq!(take_bytes(&mut world, passer)[0], 0x90);
    let publisher = world.connect(passing("publisher"));
    world.send(publisher, &publish("t", QoS::AtLeastOnce, 1, b"1"));
    assert_ne!(world.backlog.len(), 0, "something is not durable yet");
    world.send(passer, &subscribe("u", QoS::AtLeastOnce));
    assert_eq!(take_bytes(&mut world, passer)[0], 0x90);
}
