//! Messages: on their way in, waiting, on their way out, retained.

use std::collections::BTreeMap;

use dunlin_codec::{
    MessageProperties, Packet, Publish, QoS, RetainHandling, Subscribe, SubscribeFilters, SubscriptionFilter,
    SubscriptionOptions, UserProperties, encode_subscribe_filters, encode_user_properties,
};

use crate::broker::Broker;
use crate::retained::find;
use crate::support::client::{Client, bytes_of, publish, success};

/// A client that has subscribed and gone.
fn absent(broker: &Broker, client_identifier: &str, filter: &str) {
    let (mut client, _) = broker.client(client_identifier);
    client.subscribe(filter);
    client.disconnect();
}

/// Publishes at QoS 2 up to the PUBREC.
fn publish_exactly_once(client: &mut Client, topic: &str, payload: &[u8], packet_identifier: u16) {
    client.send(&publish(topic, payload, QoS::ExactlyOnce, packet_identifier));
    client.expect(&Packet::PubRec(success(packet_identifier)));
}

fn retain(client: &mut Client, topic: &str, payload: &[u8]) {
    let packet_identifier = Some(success(1).packet_identifier);
    let (qos, retain) = (QoS::AtLeastOnce, true);
    client.send(&bytes_of(&Packet::Publish(Publish {
        qos,
        retain,
        topic,
        packet_identifier,
        payload,
        ..Publish::default()
    })));
    client.next(|packet| match packet {
        Some(Packet::PubAck(puback)) => assert!(!puback.reason_code.is_error(), "{puback:?}"),
        other => panic!("{other:?} instead of PUBACK"),
    });
}

/// Receives a message and acknowledges it, at QoS 1.
#[track_caller]
fn receives(client: &mut Client, payload: &[u8]) {
    let message = client.message();
    assert_eq!(String::from_utf8_lossy(&message.payload), String::from_utf8_lossy(payload));
    client.acknowledge(message.packet_identifier);
}

#[test]
fn a_message_acknowledged_for_an_absent_client_is_there_after_kill_9() {
    let mut broker = Broker::start(2);
    absent(&broker, "reader", "post");
    let (mut writer, _) = broker.client("writer");
    writer.publish("post", b"one");
    publish_exactly_once(&mut writer, "post", b"two", 2);
    broker.die_and_return();
    let mut reader = broker.returning("reader");
    let (one, two) = (reader.message(), reader.message());
    assert_eq!((one.qos, &one.payload[..]), (QoS::AtLeastOnce, &b"one"[..]));
    assert_eq!((two.qos, &two.payload[..]), (QoS::ExactlyOnce, &b"two"[..]));
    reader.ping();
}

#[test]
fn a_message_comes_back_whole() {
    let mut broker = Broker::start(2);
    let (mut reader, _) = broker.client("reader");
    let options = SubscriptionOptions {
        maximum_qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: true,
        retain_handling: RetainHandling::SendAtSubscribe,
    };
    let filters =
        encode_subscribe_filters(&[(SubscriptionFilter::parse("post/#").expect("a filter"), options)]);
    reader.send(&bytes_of(&Packet::Subscribe(Subscribe {
        packet_identifier: success(1).packet_identifier,
        subscription_identifier: Some(321),
        user_properties: UserProperties::default(),
        filters: SubscribeFilters::from_encoded(&filters),
    })));
    reader.next(|packet| assert!(matches!(packet, Some(Packet::SubAck(_))), "{packet:?}"));
    reader.disconnect();
    let user_properties = encode_user_properties(&[("first", "1"), ("second", "ÄÖÜ"), ("first", "3")]);
    let properties = MessageProperties {
        payload_format_is_utf8: Some(true),
        message_expiry_interval_s: None,
        content_type: Some("text/plain"),
        response_topic: Some("answers"),
        correlation_data: Some(b"\x00\xFF42"),
        user_properties: UserProperties::from_encoded(&user_properties),
    };
    let payload = "überlebt ".repeat(1000);
    let sent = Publish {
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "post/größe",
        packet_identifier: Some(success(1).packet_identifier),
        properties,
        payload: payload.as_bytes(),
        ..Publish::default()
    };
    let (mut writer, _) = broker.client("writer");
    writer.send(&bytes_of(&Packet::Publish(sent)));
    writer.expect(&Packet::PubAck(success(1)));
    broker.die_and_return();
    broker.returning("reader").next(|packet| {
        let Some(Packet::Publish(got)) = packet else { panic!("{packet:?} instead of PUBLISH") };
        assert_eq!((got.qos, got.retain, got.topic), (sent.qos, true, sent.topic));
        assert_eq!(got.properties, properties);
        assert_eq!(got.subscription_identifiers.iter().collect::<Vec<_>>(), [321]);
        assert_eq!(got.payload, sent.payload);
    });
}

#[test]
fn a_delivery_that_is_not_acknowledged_comes_again_with_dup_and_its_identifier() {
    // spec(v5): [MQTT-4.4.0-1] [MQTT-3.3.1-1]
    // spec(v3.1.1): [MQTT-4.4.0-1] [MQTT-3.3.1-1]
    let mut broker = Broker::start(2);
    let (mut reader, _) = broker.client("reader");
    reader.subscribe("post");
    let (mut writer, _) = broker.client("writer");
    writer.publish("post", b"one");
    publish_exactly_once(&mut writer, "post", b"two", 2);
    let first = [reader.message(), reader.message()];
    broker.die_and_return();
    let mut reader = broker.returning("reader");
    for message in first {
        reader.next(|packet| match packet {
            Some(Packet::Publish(publish)) => {
                assert!(publish.dup);
                assert_eq!(publish.packet_identifier.map(|it| it.get()), Some(message.packet_identifier));
                assert_eq!(publish.payload, message.payload);
            }
            other => panic!("{other:?} instead of PUBLISH"),
        });
    }
    reader.ping();
}

#[test]
fn a_qos_2_message_received_before_the_kill_is_not_delivered_again_after_it() {
    // spec(v5): [MQTT-4.3.3-10]
    // spec(v3.1.1): [MQTT-4.3.3-2]
    let mut broker = Broker::start(2);
    absent(&broker, "reader", "post");
    let (mut writer, _) = broker.client("writer");
    publish_exactly_once(&mut writer, "post", b"two", 7);
    broker.die_and_return();
    let mut writer = broker.returning("writer");
    let mut again = publish("post", b"two", QoS::ExactlyOnce, 7);
    again[0] |= 0x08; // DUP
    writer.send(&again);
    writer.expect(&Packet::PubRec(success(7)));
    writer.send(&bytes_of(&Packet::PubRel(success(7))));
    writer.expect(&Packet::PubComp(success(7)));
    publish_exactly_once(&mut writer, "post", b"the next one", 7);
    let mut reader = broker.returning("reader");
    assert_eq!(reader.message().payload, b"two");
    assert_eq!(reader.message().payload, b"the next one");
    reader.ping();
}

#[test]
fn an_identifier_released_before_the_kill_stands_for_a_new_message_after_it() {
    // spec(v5): [MQTT-4.3.3-12]
    // spec(v3.1.1): [MQTT-4.3.3-2]
    let mut broker = Broker::start(2);
    absent(&broker, "reader", "post");
    let (mut writer, _) = broker.client("writer");
    publish_exactly_once(&mut writer, "post", b"one", 7);
    writer.send(&bytes_of(&Packet::PubRel(success(7))));
    writer.expect(&Packet::PubComp(success(7)));
    broker.die_and_return();
    let mut writer = broker.returning("writer");
    publish_exactly_once(&mut writer, "post", b"another", 7);
    let mut reader = broker.returning("reader");
    assert_eq!(reader.message().payload, b"one");
    assert_eq!(reader.message().payload, b"another");
}

#[test]
fn behind_pubrec_a_delivery_goes_on_with_pubrel() {
    // spec(v5): [MQTT-4.4.0-1] [MQTT-4.3.3-6]
    // spec(v3.1.1): [MQTT-4.4.0-1] [MQTT-4.3.3-1]
    let mut broker = Broker::start(2);
    let (mut reader, _) = broker.client("reader");
    reader.subscribe("post");
    let (mut writer, _) = broker.client("writer");
    publish_exactly_once(&mut writer, "post", b"two", 2);
    let identifier = reader.message().packet_identifier;
    reader.send(&bytes_of(&Packet::PubRec(success(identifier))));
    reader.expect(&Packet::PubRel(success(identifier)));
    broker.die_and_return();
    let mut reader = broker.returning("reader");
    reader.expect(&Packet::PubRel(success(identifier)));
    reader.send(&bytes_of(&Packet::PubComp(success(identifier))));
    reader.ping();
}

#[test]
fn retained_messages_are_there_and_those_that_were_cleared_are_not() {
    let mut broker = Broker::start(3);
    let (mut keeper, _) = broker.client("keeper");
    for (topic, payload) in [("r/kept", &b"1"[..]), ("r/changed", b"1"), ("r/cleared", b"1")] {
        retain(&mut keeper, topic, payload);
    }
    retain(&mut keeper, "r/changed", b"2");
    retain(&mut keeper, "r/cleared", b"");
    broker.die_and_return();
    let expected =
        [("r/changed", "2"), ("r/kept", "1")].map(|(topic, payload)| (topic.into(), payload.into()));
    for observer in ["one", "two", "three", "four"] {
        assert_eq!(find(&broker, observer), BTreeMap::from(expected.clone()));
    }
}

#[test]
fn work_for_an_absent_group_is_there_and_each_piece_goes_to_one_member() {
    const COUNT: u16 = 20;
    let mut broker = Broker::start(2);
    for member in ["ann", "ben"] {
        absent(&broker, member, "$share/workers/jobs");
    }
    let (mut foreman, _) = broker.client("foreman");
    for number in 1..=COUNT {
        publish_exactly_once(&mut foreman, "jobs", &[number as u8], number);
    }
    broker.die_and_return();
    let mut found = Vec::new();
    let mut ann = broker.returning("ann");
    // The first one back gets it all. Each piece leaves when the store knows whose it is.
    let pieces: Vec<_> = (0..COUNT).map(|_| ann.message()).collect();
    for piece in pieces {
        ann.send(&bytes_of(&Packet::PubRec(success(piece.packet_identifier))));
        ann.expect(&Packet::PubRel(success(piece.packet_identifier)));
        ann.send(&bytes_of(&Packet::PubComp(success(piece.packet_identifier))));
        found.push(piece.payload[0]);
    }
    let mut ben = broker.returning("ben");
    ann.ping();
    ben.ping();
    found.sort();
    assert_eq!(found, (1..=COUNT as u8).collect::<Vec<_>>());
}

#[test]
fn an_orderly_stop_keeps_everything_and_repeats_nothing() {
    let mut broker = Broker::start(2);
    let (mut reader, _) = broker.client("reader");
    reader.subscribe("post");
    let (mut writer, _) = broker.client("writer");
    writer.publish("post", b"read before");
    receives(&mut reader, b"read before");
    reader.disconnect();
    writer.publish("post", b"unread");
    retain(&mut writer, "r/kept", b"kept");
    broker.stop_and_return();
    let mut reader = broker.returning("reader");
    receives(&mut reader, b"unread");
    reader.ping();
    reader.subscribe("r/#");
    receives(&mut reader, b"kept");
    broker.returning("writer").publish("post", b"after");
    receives(&mut reader, b"after");
}

#[test]
fn a_broker_with_another_number_of_workers_reads_the_same_store() {
    const READERS: usize = 8;
    let mut broker = Broker::start(1);
    let readers: Vec<_> = (0..READERS).map(|number| format!("reader-{number}")).collect();
    for reader in &readers {
        absent(&broker, reader, "post");
    }
    let mut sent = 0;
    for workers in [3, 2, 1] {
        let (mut writer, _) = broker.client("writer");
        writer.publish("post", &[sent]);
        retain(&mut writer, "r/sent", &[sent]);
        sent += 1;
        broker.kill();
        broker.workers = workers;
        broker.restart();
    }
    for reader in &readers {
        let mut reader = broker.returning(reader);
        for number in 0..sent {
            receives(&mut reader, &[number]);
        }
        reader.ping();
        reader.subscribe("r/#");
        receives(&mut reader, &[sent - 1]);
    }
}
