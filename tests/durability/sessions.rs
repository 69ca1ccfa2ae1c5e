//! Sessions: their subscriptions, and their end.

use std::thread;
use std::time::{Duration, Instant};

use dunlin_codec::{Connect, ConnectProperties, MessageProperties, Packet, Publish, QoS};

use crate::broker::Broker;
use crate::support::client::{Client, bytes_of, persistent, success, tcp, unsubscribe};
use crate::support::dunlin::{Dunlin, QUIET, directory};

#[test]
fn a_subscription_acknowledged_is_there_after_kill_9() {
    let mut broker = Broker::start(2);
    let (mut reader, session_present) = broker.client("reader");
    assert!(!session_present);
    reader.subscribe("post/+");
    broker.die_and_return();
    let (mut writer, _) = broker.client("writer");
    writer.publish("post/1", b"while the reader is away");
    let mut reader = broker.returning("reader");
    assert_eq!(reader.message().payload, b"while the reader is away");
    writer.publish("post/2", b"while it is there");
    assert_eq!(reader.message().payload, b"while it is there");
}

#[test]
fn a_filter_that_was_unsubscribed_stays_so() {
    let mut broker = Broker::start(2);
    let (mut reader, _) = broker.client("reader");
    reader.subscribe("old");
    reader.subscribe("new");
    reader.send(&unsubscribe("old"));
    reader.next(|packet| assert!(matches!(packet, Some(Packet::UnsubAck(_))), "{packet:?}"));
    broker.die_and_return();
    let (mut writer, _) = broker.client("writer");
    writer.publish("old", b"old");
    writer.publish("new", b"new");
    assert_eq!(broker.returning("reader").message().payload, b"new");
}

#[test]
fn a_session_that_ends_with_its_connection_does_not_outlive_the_broker() {
    let mut broker = Broker::start(2);
    let mut guest = Client::connected(tcp(broker.address()), "guest");
    guest.subscribe("post");
    broker.die_and_return();
    let (mut guest, session_present) = broker.client("guest");
    assert!(!session_present);
    broker.client("writer").0.publish("post", b"for nobody");
    guest.ping();
}

#[test]
fn a_session_that_began_anew_has_nothing_of_the_old_one() {
    let mut broker = Broker::start(2);
    let (mut reader, _) = broker.client("reader");
    reader.subscribe("post");
    let (mut writer, _) = broker.client("writer");
    writer.publish("post", b"old");
    drop(reader);
    let mut reader = Client::over(tcp(broker.address()));
    assert!(!reader.resume(&Connect { clean_start: true, ..persistent("reader") }));
    reader.subscribe("other");
    broker.die_and_return();
    let mut reader = broker.returning("reader");
    let mut writer = broker.returning("writer");
    writer.publish("post", b"old");
    writer.publish("other", b"new");
    assert_eq!(reader.message().payload, b"new");
}

/// A CONNECT of a Session that lasts so long.
fn lasting(client_identifier: &str, session_expiry_interval_s: u32) -> Connect<'_> {
    let properties = ConnectProperties {
        session_expiry_interval_s: Some(session_expiry_interval_s),
        ..ConnectProperties::default()
    };
    Connect { properties, ..persistent(client_identifier) }
}

#[test]
fn sessions_and_messages_expire_while_the_broker_is_down() {
    const SHORT_S: u32 = 1;
    const LONG_S: u32 = 1000;
    let mut broker = Broker::start(2);
    for (reader, expiry_s) in [("short", SHORT_S), ("long", LONG_S)] {
        let mut client = Client::over(tcp(broker.address()));
        client.resume(&lasting(reader, expiry_s));
        client.subscribe("post");
        client.disconnect();
    }
    let (mut writer, _) = broker.client("writer");
    for (payload, expiry_s) in [("short", SHORT_S), ("long", LONG_S)] {
        let properties =
            MessageProperties { message_expiry_interval_s: Some(expiry_s), ..MessageProperties::default() };
        writer.send(&bytes_of(&Packet::Publish(Publish {
            qos: QoS::AtLeastOnce,
            topic: "post",
            packet_identifier: Some(success(1).packet_identifier),
            properties,
            payload: payload.as_bytes(),
            ..Publish::default()
        })));
        writer.expect(&Packet::PubAck(success(1)));
    }
    let until = Instant::now() + Duration::from_secs(u64::from(SHORT_S)) + Duration::from_millis(100);
    broker.kill();
    // Time is the subject here.
    thread::sleep(until.saturating_duration_since(Instant::now()));
    broker.restart();
    let mut client = Client::over(tcp(broker.address()));
    assert!(!client.resume(&lasting("short", SHORT_S)), "its Session should have expired");
    let mut client = Client::over(tcp(broker.address()));
    assert!(client.resume(&lasting("long", LONG_S)), "its Session has time");
    client.next(|packet| {
        let Some(Packet::Publish(publish)) = packet else { panic!("{packet:?} instead of PUBLISH") };
        assert_eq!(publish.payload, b"long");
        // spec(v5): [MQTT-3.3.2-6]
        assert!(publish.properties.message_expiry_interval_s < Some(LONG_S));
    });
    client.ping();
}

#[test]
fn without_a_store_nothing_is_kept() {
    let directory = directory();
    let config = format!("{QUIET}listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n");
    for _ in 0..2 {
        let mut dunlin = Dunlin::start(directory.path(), &config);
        let mut reader = Client::over(tcp(dunlin.address(0)));
        assert!(!reader.resume(&persistent("reader")));
        reader.subscribe("post");
        Client::connected(tcp(dunlin.address(0)), "writer").publish("post", b"once");
        assert_eq!(reader.message().payload, b"once");
        dunlin.kill();
    }
    let names =
        directory.path().read_dir().expect("it is there").map(|entry| entry.expect("a name").file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["dunlin.toml"]);
}
