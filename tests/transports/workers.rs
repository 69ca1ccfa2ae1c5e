//! Clients of one broker on different workers and transports.

use std::collections::BTreeMap;
use std::thread;

use dunlin_codec::{Packet, QoS, ReasonCode};
use dunlin_core::identity::partition;

use crate::support::client::{Client, publish};
use crate::{SecureWebSocket, TRANSPORTS, Tcp, UnixSocket, WebSocket, start_everywhere};

/// As many as [`start_everywhere`] starts.
const WORKERS: u16 = 3;

#[test]
fn a_session_is_taken_over_from_every_transport_by_every_other() {
    // spec(v5): [MQTT-3.1.4-3]
    let (_broker, listeners) = start_everywhere("");
    for (index, first) in TRANSPORTS.into_iter().enumerate() {
        // Sessions of several workers, and each connection is accepted by the next one.
        let client_identifier = format!("traveller-{index}");
        let mut current = listeners.client(first, &client_identifier);
        for next in TRANSPORTS {
            let mut taken_over = std::mem::replace(&mut current, listeners.client(next, &client_identifier));
            assert_eq!(taken_over.end(), Some(ReasonCode::SessionTakenOver), "by {next:?}");
            current.ping();
        }
    }
}

/// A client identifier whose Session lives on this worker.
fn resident(role: &str, worker: u16) -> String {
    let names = (0..).map(|number| format!("{role}-{number}"));
    names.into_iter().find(|name| partition(name, WORKERS) == worker).expect("one of them lives there")
}

#[test]
fn messages_between_workers_arrive_complete_and_in_the_order_of_their_publisher() {
    // spec(v5): [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    // spec(v3.1.1): [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    const COUNT: u16 = 400;
    let (_broker, listeners) = start_everywhere("");
    let transports = [Tcp, SecureWebSocket, UnixSocket];
    let mut subscribers = Vec::new();
    for worker in 0..WORKERS {
        let mut subscriber =
            listeners.client(transports[usize::from(worker)], &resident("subscriber", worker));
        subscriber.subscribe("order/#");
        subscribers.push(thread::spawn(move || expects_order(&mut subscriber, COUNT)));
    }
    let publishers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let mut publisher = listeners.client(WebSocket, &resident("publisher", worker));
            thread::spawn(move || {
                for number in 1..=COUNT {
                    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                        let topic = format!("order/{worker}/{}", qos.bits());
                        publisher.send(&publish(&topic, &number.to_be_bytes(), qos, number));
                    }
                }
                for number in 1..=COUNT {
                    publisher.next(|packet| match packet {
                        Some(Packet::PubAck(puback)) => assert_eq!(puback.packet_identifier.get(), number),
                        other => panic!("{other:?} instead of PUBACK"),
                    });
                }
            })
        })
        .collect();
    for client in publishers.into_iter().chain(subscribers) {
        client.join().expect("everything arrives in order");
    }
}

/// Reads `count` messages of each publisher and QoS.
fn expects_order(subscriber: &mut Client, count: u16) {
    let mut last = BTreeMap::<String, u16>::new();
    for _ in 0..usize::from(count) * usize::from(WORKERS) * 2 {
        let message = subscriber.message();
        if message.qos == QoS::AtLeastOnce {
            subscriber.acknowledge(message.packet_identifier);
        }
        let last = last.entry(message.topic.clone()).or_default();
        *last += 1;
        assert_eq!(message.payload, last.to_be_bytes(), "{}", message.topic);
    }
    assert_eq!(last.len(), usize::from(WORKERS) * 2);
}

#[test]
fn a_subscription_is_known_to_every_worker_when_its_suback_comes() {
    // spec(v5): section 3.8.4
    let (_broker, listeners) = start_everywhere("");
    for round in 0..50 {
        for worker in 0..WORKERS {
            let mut subscriber = listeners.client(Tcp, &resident("subscriber", worker));
            let mut publisher = listeners.client(Tcp, &resident("publisher", (worker + 1) % WORKERS));
            let topic = format!("rounds/{round}");
            subscriber.subscribe(&topic);
            publisher.publish(&topic, b"at once");
            assert_eq!(subscriber.message().payload, b"at once");
        }
    }
}
