//! Every transport is an ordered stream of bytes: where its packets, records and frames begin and end means
//! nothing.

use dunlin_codec::{Connect, MessageProperties, Packet, QoS, ReasonCode, Will};

use crate::support::client::{Client, bytes_of, hello, publish, subscribe};
use crate::{TRANSPORTS, Tcp, start_everywhere};

#[test]
fn every_transport_carries_large_messages_to_every_other() {
    // spec(v5): [MQTT-4.2-1]
    // spec(v3.1.1): [MQTT-7.1.1-1]
    let (_broker, listeners) = start_everywhere("");
    let payload: Vec<u8> = (0..200_000_u32).map(|index| (index.wrapping_mul(index) >> 7) as u8).collect();
    for to in TRANSPORTS {
        let mut subscriber = listeners.client(to, "subscriber");
        subscriber.subscribe("parcels");
        for from in TRANSPORTS {
            let mut publisher = listeners.client(from, "publisher");
            publisher.publish("parcels", &payload);
            let message = subscriber.message();
            assert!(message.payload == payload, "the payload has changed from {from:?} to {to:?}");
            subscriber.acknowledge(message.packet_identifier);
            publisher.disconnect();
        }
        subscriber.disconnect();
    }
}

#[test]
fn packets_that_come_byte_by_byte_are_understood_on_every_transport() {
    // Over WebSocket each byte is a frame of its own.
    // spec(v5): [MQTT-6.0.0-2]
    // spec(v3.1.1): [MQTT-6.0.0-2]
    let (_broker, listeners) = start_everywhere("");
    for transport in TRANSPORTS {
        let mut client = Client::over(listeners.open(transport));
        let drip = |client: &mut Client, bytes: &[u8]| bytes.chunks(1).for_each(|byte| client.send(byte));
        drip(&mut client, &bytes_of(&Packet::Connect(hello("patient"))));
        assert_eq!(client.connack(), ReasonCode::Success, "{transport:?}");
        drip(&mut client, &subscribe("drops"));
        client.next(|packet| assert!(matches!(packet, Some(Packet::SubAck(_))), "{transport:?}: {packet:?}"));
        drip(&mut client, &publish("drops", b"drop by drop", QoS::AtMostOnce, 0));
        assert_eq!(client.message().payload, b"drop by drop", "{transport:?}");
    }
}

#[test]
fn many_packets_that_come_at_once_are_all_answered_in_order_on_every_transport() {
    // Over WebSocket they are one frame.
    // spec(v5): [MQTT-6.0.0-2]
    // spec(v3.1.1): [MQTT-6.0.0-2]
    const COUNT: u16 = 200;
    let (_broker, listeners) = start_everywhere("");
    for transport in TRANSPORTS {
        let mut client = Client::over(listeners.open(transport));
        let mut bytes = bytes_of(&Packet::Connect(hello("hasty")));
        for _ in 0..COUNT {
            bytes.extend(bytes_of(&Packet::PingReq));
        }
        bytes.extend(subscribe("flood"));
        for number in 1..=COUNT {
            bytes.extend(publish("flood", &number.to_be_bytes(), QoS::AtLeastOnce, number));
        }
        client.send(&bytes);
        assert_eq!(client.connack(), ReasonCode::Success, "{transport:?}");
        for _ in 0..COUNT {
            client.next(|packet| {
                assert!(matches!(packet, Some(Packet::PingResp)), "{transport:?}: {packet:?}")
            });
        }
        // A Server may deliver before it sends SUBACK, so only the order of each kind counts.
        let (mut acknowledged, mut delivered, mut is_subscribed) = (0, 0, false);
        while acknowledged < COUNT || delivered < COUNT || !is_subscribed {
            client.next(|packet| match packet {
                Some(Packet::SubAck(_)) => is_subscribed = true,
                Some(Packet::PubAck(puback)) => {
                    acknowledged += 1;
                    assert_eq!(puback.packet_identifier.get(), acknowledged, "{transport:?}");
                }
                Some(Packet::Publish(publish)) => {
                    delivered += 1;
                    assert_eq!(publish.payload, delivered.to_be_bytes(), "{transport:?}");
                }
                other => panic!("{transport:?}: {other:?}"),
            });
        }
    }
}

#[test]
fn a_connection_that_is_cut_leaves_its_will_on_every_transport() {
    // spec(v5): [MQTT-3.1.2-8]
    // spec(v3.1.1): [MQTT-3.1.2-8]
    let (_broker, listeners) = start_everywhere("");
    let mut witness = listeners.client(Tcp, "witness");
    witness.subscribe("obituaries");
    let will = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "obituaries",
        payload: b"gone",
        delay_interval_s: None,
        properties: MessageProperties::default(),
    };
    for transport in TRANSPORTS {
        let mut client = Client::over(listeners.open(transport));
        let reason = client.connect(&Connect { will: Some(will), ..hello("patient") });
        assert_eq!(reason, ReasonCode::Success, "{transport:?}");
        drop(client);
        assert_eq!(witness.message().payload, b"gone", "{transport:?}");
    }
}
