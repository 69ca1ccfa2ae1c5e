//! Wills: a kill breaks every connection.

use dunlin_codec::{Connect, Disconnect, Packet, QoS, ReasonCode, Will};

use crate::broker::Broker;
use crate::support::client::{Client, bytes_of, persistent, tcp};

/// A broker, and a subscriber to `wills` that is away.
fn with_heir() -> Broker {
    let broker = Broker::start(2);
    let (mut heir, _) = broker.client("heir");
    heir.subscribe("wills");
    heir.disconnect();
    broker
}

/// A client with a Will.
fn mortal(broker: &Broker, client_identifier: &str, delay_s: u32) -> Client {
    let will = Will {
        qos: QoS::AtLeastOnce,
        topic: "wills",
        payload: client_identifier.as_bytes(),
        delay_interval_s: Some(delay_s),
        ..Will::default()
    };
    let mut client = Client::over(tcp(broker.address()));
    client.resume(&Connect { will: Some(will), ..persistent(client_identifier) });
    client
}

#[test]
fn a_will_whose_connection_the_kill_broke_is_published_after_it_and_one_deleted_before_is_not() {
    // spec(v5): [MQTT-3.1.2-8] [MQTT-3.14.4-3]
    // spec(v3.1.1): [MQTT-3.1.2-8] [MQTT-3.14.4-3]
    let mut broker = with_heir();
    let mut orderly = mortal(&broker, "orderly", 0);
    orderly.send(&bytes_of(&Packet::Disconnect(Disconnect::new(ReasonCode::Success))));
    assert_eq!(orderly.end(), None);
    let _unlucky = mortal(&broker, "unlucky", 0);
    broker.die_and_return();
    let mut heir = broker.returning("heir");
    assert_eq!(heir.message().payload, b"unlucky");
    broker.client("writer").0.publish("wills", b"no other Will");
    assert_eq!(heir.message().payload, b"no other Will");
}

#[test]
fn a_will_with_a_delay_comes_after_it_and_not_if_its_client_is_back() {
    // spec(v5): [MQTT-3.1.3-9]
    let mut broker = with_heir();
    let _back = mortal(&broker, "back", 1000);
    let _gone = mortal(&broker, "gone", 1);
    broker.die_and_return();
    let _back = mortal(&broker, "back", 0);
    let mut heir = broker.returning("heir");
    assert_eq!(heir.message().payload, b"gone");
    heir.ping();
}

#[test]
fn a_will_published_before_an_orderly_stop_is_not_published_again() {
    let mut broker = with_heir();
    drop(mortal(&broker, "unlucky", 0));
    let mut heir = broker.returning("heir");
    let message = heir.message();
    assert_eq!(message.payload, b"unlucky");
    heir.acknowledge(message.packet_identifier);
    heir.disconnect();
    broker.stop_and_return();
    let mut heir = broker.returning("heir");
    broker.client("writer").0.publish("wills", b"no other Will");
    assert_eq!(heir.message().payload, b"no other Will");
}
