//! Keep Alive of a client that is not read.
//!
//! Where that is because it does not read, whether it lives shows in what its network takes, byte by byte. The other
//! cases, which need no bytes to be counted, are in `tests/conformance/scripts/keep-alive.mqtt`.

use dunlin_codec::{Connect, ConnectProperties, ProtocolVersion, Split, split};
use dunlin_core::authenticate::no_mechanisms;
use dunlin_core::connection::Cause;
use dunlin_core::handshake::{Handshake, Next};
use dunlin_core::identity::Identity;
use dunlin_core::settings::Settings;
use dunlin_core::shard::{NextInput, Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::{Shard, Timestamp};
use std::time::Duration;

const KEEP_ALIVE_S: u16 = 10;
const PINGREQ: [u8; 2] = [0xC0, 0];

/// One and a half times the Keep Alive, less the shortest time there is.
const ALMOST: Duration = Duration::from_micros(14_999_999);
const INSTANT: Duration = Duration::from_micros(1);

/// A broker with one client.
struct World {
    shard: Shard,
    now: Timestamp,
    client: Key,
}

impl World {
    /// The client has sent so much that what it should read has passed its bound, and is not read any more.
    fn with_a_held_client() -> Self {
        let mut world = Self::with_a_client();
        let progress = world.shard.handle_input(world.now, world.client, &PINGREQ.repeat(1000));
        assert_eq!(progress.next, NextInput::Pause);
        world
    }

    fn with_a_client() -> Self {
        let settings = Settings { outbox_bytes_max: 100, ..Settings::default() };
        let mut shard = Shard::new(ShardConfig::single(settings.clone()));
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let mut bytes = Vec::new();
        Connect {
            version: ProtocolVersion::V5,
            clean_start: true,
            keep_alive_s: KEEP_ALIVE_S,
            properties: ConnectProperties::default(),
            client_identifier: "slow",
            will: None,
            user_name: None,
            password: None,
        }
        .encode(ProtocolVersion::V5, &mut bytes);
        let mut handshake = Handshake::new(settings.maximum_packet_size_bytes);
        let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
        assert!(matches!(handshake.handle_frame(frame, &settings, &no_mechanisms(), 1), Next::Verify));
        let Next::Accepted(request) = handshake.accept(Identity::default()) else { panic!("it is let in") };
        let client = shard.handle_connect(now, *request);
        Self { shard, now, client }
    }

    /// The network takes so many bytes; then, or if there are none, the driver says that it has tried.
    fn take(&mut self, count: usize) {
        let outbox = self.shard.outbox(self.client).expect("something waits");
        outbox.advance(count);
        self.shard.handle_flushed(self.now, self.client);
    }

    /// Time passes; why the client's connection ended meanwhile.
    fn wait(&mut self, time: Duration) -> Option<Cause> {
        let end = self.now + time;
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.shard.handle_timeout(at);
        }
        self.now = end;
        std::iter::from_fn(|| self.shard.poll_output()).find_map(|output| match output {
            Output::Close { cause, .. } => Some(cause),
            _ => None,
        })
    }
}

#[test]
fn a_client_that_is_not_read_lives_as_long_as_its_network_takes_a_byte_now_and_then() {
    // spec(v5): [MQTT-3.1.2-22]
    // spec(v3.1.1): [MQTT-3.1.2-24]
    let mut world = World::with_a_held_client();
    for _ in 0..20 {
        assert_eq!(world.wait(ALMOST), None);
        world.take(1);
    }
    assert!(world.shard.is_paused(world.client), "it was read all the time");
    assert_eq!(world.wait(ALMOST), None);
    assert_eq!(world.wait(INSTANT), Some(Cause::KeepAliveTimeout));
}

#[test]
fn a_write_that_was_tried_in_vain_is_no_sign_of_life() {
    // spec(v5): [MQTT-3.1.2-22]
    // spec(v3.1.1): [MQTT-3.1.2-24]
    let mut world = World::with_a_held_client();
    world.take(1);
    for _ in 0..14 {
        assert_eq!(world.wait(Duration::from_secs(1)), None);
        world.take(0);
    }
    assert_eq!(world.wait(Duration::from_secs(1)), Some(Cause::KeepAliveTimeout));
}

#[test]
fn a_client_that_publishes_too_fast_to_be_read_is_not_silent_and_then_has_its_whole_keep_alive() {
    // spec(v5): [MQTT-3.1.2-22]
    // spec(v3.1.1): [MQTT-3.1.2-24]
    let mut world = World::with_a_client();
    world.shard.handle_unread(world.client);
    assert_eq!(world.wait(ALMOST * 5), None);
    world.shard.handle_read_again(world.now, world.client);
    assert_eq!(world.wait(ALMOST), None);
    assert_eq!(world.wait(INSTANT), Some(Cause::KeepAliveTimeout));
}

#[test]
fn a_client_that_is_read_again_has_its_whole_keep_alive_to_be_heard() {
    // spec(v5): [MQTT-3.1.2-22]
    // spec(v3.1.1): [MQTT-3.1.2-24]
    let mut world = World::with_a_held_client();
    assert_eq!(world.wait(ALMOST), None);
    world.take(usize::MAX);
    assert!(!world.shard.is_paused(world.client));
    assert_eq!(world.wait(ALMOST), None);
    // Now that it is read, what it takes counts no more.
    world.shard.handle_input(world.now, world.client, &PINGREQ);
    world.take(1);
    assert_eq!(world.wait(Duration::from_secs(14)), None);
    world.take(1);
    assert_eq!(world.wait(Duration::from_secs(1)), Some(Cause::KeepAliveTimeout));
}
