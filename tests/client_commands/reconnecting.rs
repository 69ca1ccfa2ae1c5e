//! Connections that are lost: what is sent again, what is not, and who gives up.

use dunlin_codec::{ConnAckProperties, Packet};

use crate::desk::{Desk, dunlin, words};
use crate::peer::{Peer, success};
use crate::support::dunlin::{Dunlin, QUIET, command, directory};
use crate::support::process::Process;

/// Starts a client of the peer.
fn start(peer: &Peer, directory: &std::path::Path, line: &str, more: &[&str]) -> Process {
    let port = peer.address().port().to_string();
    let arguments = [words(line), vec!["-h", "127.0.0.1", "-p", &port, "-V", "5"], more.to_vec()].concat();
    Process::start(&mut command(directory, &arguments), crate::desk::HINT)
}

#[test]
fn a_message_of_qos_2_is_published_once_however_often_the_connection_is_lost() {
    let (peer, directory) = (Peer::open(), directory());
    let publisher = start(&peer, directory.path(), "pub --reconnect -c -i lamp -t t -q 2 -m on", &[]);
    let mut visit = peer.accept(false);
    let (dup, number, payload) = visit.message();
    assert_eq!((dup, payload.as_str()), (false, "on"));
    drop(visit);
    // spec(v5): [MQTT-4.4.0-1]
    // spec(v3.1.1): [MQTT-2.3.1-3] [MQTT-4.4.0-1]
    // The broker may or may not have it: the same again, with DUP.
    let mut visit = peer.welcome(true, ConnAckProperties::default(), |connect| {
        assert_eq!((connect.clean_start, connect.client_identifier), (false, "lamp"));
    });
    assert_eq!(visit.message(), (true, number, "on".to_owned()));
    visit.send(&Packet::PubRec(success(number)));
    visit.expect_exactly(&Packet::PubRel(success(number)));
    drop(visit);
    // It has it: the message is not sent any more.
    let mut visit = peer.accept(true);
    visit.expect_exactly(&Packet::PubRel(success(number)));
    visit.send(&Packet::PubComp(success(number)));
    visit.expect_goodbye();
    drop(visit);
    let ended = publisher.finish();
    assert_eq!(ended.status, 0);
    assert_eq!(ended.error.matches("the connection was lost").count(), 2, "{}", ended.error);
}

#[test]
fn a_message_of_qos_2_is_printed_once_when_its_pubrec_is_lost() {
    let (peer, directory) = (Peer::open(), directory());
    let mut subscriber = start(&peer, directory.path(), "sub -c -i screen -t t -q 2 -C 2", &[]);
    let mut visit = peer.accept(false);
    visit.grant();
    visit.publish(1, false, b"first");
    visit.expect_exactly(&Packet::PubRec(success(1)));
    drop(visit);
    // This Session has its Subscription: there is no other SUBSCRIBE.
    let mut visit = peer.accept(true);
    visit.publish(1, true, b"first");
    visit.expect_exactly(&Packet::PubRec(success(1)));
    visit.send(&Packet::PubRel(success(1)));
    visit.expect_exactly(&Packet::PubComp(success(1)));
    // The identifier is free again, and this is another message.
    visit.publish(1, false, b"second");
    visit.expect_exactly(&Packet::PubRec(success(1)));
    visit.send(&Packet::PubRel(success(1)));
    // It says goodbye when the exchange is complete.
    visit.expect_exactly(&Packet::PubComp(success(1)));
    visit.expect_goodbye();
    drop(visit);
    assert_eq!(subscriber.wait_for("first"), "first");
    let ended = subscriber.finish();
    assert_eq!((ended.status, ended.output.as_str()), (0, "first\nsecond\n"));
}

#[test]
fn a_new_session_is_subscribed_anew() {
    let (peer, directory) = (Peer::open(), directory());
    let subscriber = start(&peer, directory.path(), "sub -t t -q 2 -C 1", &[]);
    let mut visit = peer.accept(false);
    visit.grant();
    drop(visit);
    let mut visit = peer.accept(false);
    visit.grant();
    visit.publish(1, false, b"hello");
    visit.expect_exactly(&Packet::PubRec(success(1)));
    visit.send(&Packet::PubRel(success(1)));
    visit.expect_exactly(&Packet::PubComp(success(1)));
    visit.expect_goodbye();
    drop(visit);
    assert_eq!(subscriber.finish().output, "hello\n");
}

#[test]
fn who_does_not_reconnect_says_why_it_ends() {
    let directory = directory();
    for line in ["pub -t t -m x -q 1", "sub -t t --no-reconnect"] {
        let peer = Peer::open();
        let client = start(&peer, directory.path(), line, &[]);
        drop(peer.accept(false));
        let ended = client.finish();
        assert_eq!(ended.status, 7, "{line}: {}", ended.error);
        assert!(ended.error.starts_with("dunlin: the connection was lost: "), "{}", ended.error);
    }
}

#[test]
fn a_broker_that_does_not_answer_pings_is_given_up() {
    let (peer, directory) = (Peer::open(), directory());
    let subscriber = start(&peer, directory.path(), "sub -t t -k 2 --no-reconnect", &[]);
    let mut visit = peer.accept(false);
    visit.grant();
    // spec(v5): [MQTT-3.1.2-20]
    // spec(v3.1.1): [MQTT-3.1.2-23]
    visit.expect_exactly(&Packet::PingReq);
    visit.send(&Packet::PingResp);
    visit.expect_exactly(&Packet::PingReq);
    let ended = subscriber.finish();
    assert_eq!(ended.status, 19);
    assert_eq!(ended.error, "dunlin: the connection was lost: the broker does not answer PINGREQ\n");
}

#[test]
fn the_keep_alive_that_a_broker_asks_for_counts() {
    let (peer, directory) = (Peer::open(), directory());
    let _subscriber = start(&peer, directory.path(), "sub -t t -k 3600", &[]);
    // spec(v5): [MQTT-3.1.2-21] [MQTT-3.2.2-21]
    let properties = ConnAckProperties { server_keep_alive_s: Some(1), ..ConnAckProperties::default() };
    let mut visit = peer.welcome(false, properties, |connect| assert_eq!(connect.keep_alive_s, 3600));
    visit.grant();
    visit.expect_exactly(&Packet::PingReq);
}

#[test]
fn a_publisher_waits_for_a_broker_that_comes_late_and_a_subscriber_for_one_that_comes_back() {
    let directory = directory();
    let probe = Dunlin::start(directory.path(), &config(0));
    let port = port_of(probe);
    let publisher =
        dunlin(directory.path(), &format!("pub --reconnect -h 127.0.0.1 -p {port} -t t -m early -q 1 -r"));
    let mut publisher = publisher;
    publisher.wait_for("the next attempt is in");
    let broker = Dunlin::start(directory.path(), &config(port));
    assert_eq!(publisher.finish().status, 0);
    let mut subscriber = dunlin(directory.path(), &format!("sub -d -h 127.0.0.1 -p {port} -t t -v"));
    assert_eq!(subscriber.wait_for("t early"), "t early");
    broker.stop();
    subscriber.wait_for("the next attempt is in");
    let _broker = Dunlin::start(directory.path(), &config(port));
    subscriber.wait_for("received SUBACK");
    let late = dunlin(directory.path(), &format!("pub -h 127.0.0.1 -p {port} -t t -m late")).finish();
    assert_eq!(late.status, 0, "{}", late.error);
    assert_eq!(subscriber.wait_for("t late"), "t late");
}

fn config(port: u16) -> String {
    format!("{QUIET}[[listener]]\nurl = 'mqtt://127.0.0.1:{port}'\n")
}

/// A port that was free a moment ago.
fn port_of(mut broker: Dunlin) -> u16 {
    let port = broker.address(0).port();
    broker.stop();
    port
}

#[test]
fn a_client_whose_session_is_taken_over_does_not_take_it_back() {
    let desk = Desk::open();
    let first = desk.subscribe("-V 5 -i twin -t t", &[]);
    let second = desk.subscribe("-V 5 -i twin -t t -C 1", &[]);
    let ended = first.finish();
    assert_eq!(ended.status, 0x8E);
    assert!(
        ended.error.contains("the broker ends the connection: Session taken over (0x8E)"),
        "{}",
        ended.error
    );
    desk.publish("-t t -m x");
    assert_eq!(second.finish().status, 0);
}
