//! A subscriber that stops reading: its neighbour gets everything, and the program stays small.
//!
//! How long a publisher is held back, and what is counted, is tested in virtual time:
//! `crates/dunlin-core/tests/slow_subscriber.rs`.

use std::sync::mpsc::{self, Sender};
use std::thread;

use dunlin_codec::{Packet, QoS};

use crate::support::client::{Client, bytes_of, publish, success, tcp};
use crate::support::dunlin::{Dunlin, QUIET, directory};
use crate::support::process::DEADLINE;

const PAYLOAD_BYTES: usize = 16 * 1024;
/// 48 MB: far more than sockets hold for a client that does not read.
const MESSAGES: usize = 3_000;
/// How far the publisher is ahead at most: what the sockets of a client hold that is merely late.
const AHEAD_MAX: usize = 20;
/// What the program may need more: two workers' buffers, and what an allocator keeps of them.
const GROWTH_MAX_BYTES: usize = 16 * 1024 * 1024;

const LIMITS: &str = "limits.max_outbox_bytes = '64KB'\nsession.max_queued_bytes = '256KB'\n\
                      session.max_inflight = 20\nlistener = [{ url = 'mqtt://127.0.0.1:0' }]\n";

#[test]
fn a_client_that_stops_reading_takes_nothing_from_its_neighbour_and_little_memory_at_every_qos() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let directory = directory();
        let mut dunlin = Dunlin::start(directory.path(), &format!("{QUIET}{LIMITS}"));
        let address = dunlin.address(0);
        let mut publisher = Client::connected(tcp(address), "publisher");
        let mut stopped = Client::connected(tcp(address), "stopped");
        stopped.subscribe("t");
        let mut neighbour = Client::connected(tcp(address), "neighbour");
        neighbour.subscribe("t");
        let before = dunlin.resident_bytes();

        let (arrived, arrivals) = mpsc::channel();
        let reading = thread::spawn(move || read_all(neighbour, &arrived));
        for number in 0..MESSAGES {
            if number >= AHEAD_MAX {
                arrivals.recv_timeout(DEADLINE).expect("the neighbour gets everything");
            }
            publish_one(&mut publisher, qos, number);
        }
        let received = reading.join().expect("the neighbour reads to the end");
        assert!(received.into_iter().eq(0..MESSAGES), "{qos:?}: each message once, in order");
        let grown = dunlin.resident_bytes().saturating_sub(before);
        assert!(grown <= GROWTH_MAX_BYTES, "{qos:?}: {grown} bytes more");
        drop(stopped);
        dunlin.stop();
    }
}

fn publish_one(publisher: &mut Client, qos: QoS, number: usize) {
    let mut payload = vec![0; PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&(number as u64).to_be_bytes());
    publisher.send(&publish("t", &payload, qos, 1));
    match qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => publisher.expect(&Packet::PubAck(success(1))),
        QoS::ExactlyOnce => {
            publisher.expect(&Packet::PubRec(success(1)));
            publisher.send(&bytes_of(&Packet::PubRel(success(1))));
            publisher.expect(&Packet::PubComp(success(1)));
        }
    }
}

/// Receives and acknowledges all messages; their numbers. Tells of each.
fn read_all(mut client: Client, arrived: &Sender<()>) -> Vec<usize> {
    let mut received = Vec::new();
    while received.len() < MESSAGES {
        let answer = client.next(|packet| match packet {
            Some(Packet::Publish(publish)) => {
                let number = publish.payload.first_chunk().expect("a number");
                received.push(u64::from_be_bytes(*number) as usize);
                let _ = arrived.send(());
                let identifier = publish.packet_identifier?.get();
                Some(bytes_of(&match publish.qos {
                    QoS::ExactlyOnce => Packet::PubRec(success(identifier)),
                    _ => Packet::PubAck(success(identifier)),
                }))
            }
            Some(Packet::PubRel(release)) => {
                Some(bytes_of(&Packet::PubComp(success(release.packet_identifier.get()))))
            }
            other => panic!("{other:?} instead of a message"),
        });
        if let Some(answer) = answer {
            client.send(&answer);
        }
    }
    received
}
