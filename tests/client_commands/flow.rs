//! Limits that the broker sets, and packets that it must not send.

use dunlin_codec::{ConnAckProperties, Packet, Publish, QoS, ReasonCode};
use rustix::process::Signal;

use crate::desk::{Desk, dunlin};
use crate::peer::{Peer, Visit, identifier, success};
use crate::support::dunlin::directory;

#[test]
fn no_more_is_sent_unacknowledged_than_the_broker_allows() {
    // spec(v5): [MQTT-3.3.4-7]
    // Dunlin ends the connection of a client that goes beyond its Receive Maximum.
    let desk = Desk::with("session.receive_maximum = 3", |_| {});
    let lines: String = (0..300).map(|number| format!("{number}\n")).collect();
    for qos in [1, 2] {
        let subscriber = desk.subscribe(&format!("-t t -q {qos} -C 300"), &[]);
        let ended = desk.publish_input(&format!("-V 5 -t t -l -q {qos} -M 100"), &lines);
        assert_eq!((ended.status, ended.error.as_str()), (0, ""), "QoS {qos}");
        assert_eq!(subscriber.finish().output, lines, "QoS {qos}");
    }
    let log = desk.broker.stop().error;
    assert!(!log.contains("broke the protocol"), "{log}");
}

/// What a publisher says to a broker that allows so much, and its status. It publishes nothing.
fn refused(properties: ConnAckProperties<'_>, line: &str) -> (i32, String) {
    let (peer, directory) = (Peer::open(), directory());
    let port = peer.address().port();
    let publisher = dunlin(directory.path(), &format!("pub -V 5 -h 127.0.0.1 -p {port} -t t -m x {line}"));
    peer.welcome(false, properties, |_| {}).expect_goodbye();
    let ended = publisher.finish();
    (ended.status, ended.error)
}

#[test]
fn what_the_broker_says_it_cannot_is_not_asked_of_it() {
    // spec(v5): [MQTT-3.2.2-11]
    let maximum_qos = Some(QoS::AtLeastOnce);
    let (status, error) = refused(ConnAckProperties { maximum_qos, ..Default::default() }, "-q 2");
    assert_eq!(status, 0x9B);
    assert!(error.ends_with("QoS not supported (0x9B): the broker takes QoS 1 at most\n"), "{error}");
    // spec(v5): [MQTT-3.2.2-14]
    let retain_available = Some(false);
    let (status, error) = refused(ConnAckProperties { retain_available, ..Default::default() }, "-r");
    assert_eq!(status, 0x9A);
    assert!(error.ends_with("Retain not supported (0x9A): the broker retains nothing\n"), "{error}");
    // spec(v5): [MQTT-3.2.2-18]
    let (status, _) = refused(ConnAckProperties::default(), "-D publish topic-alias 1");
    assert_eq!(status, 0x94);
}

#[test]
fn a_session_that_was_not_asked_for_ends_the_connection() {
    // spec(v5): [MQTT-3.2.2-4]
    let (peer, directory) = (Peer::open(), directory());
    let port = peer.address().port();
    let subscriber = dunlin(directory.path(), &format!("sub -V 5 -h 127.0.0.1 -p {port} -t t"));
    peer.accept(true).expect(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}"));
    assert_eq!(subscriber.finish().status, 2);
}

#[test]
fn the_window_is_what_the_client_is_told() {
    let (peer, directory) = (Peer::open(), directory());
    let port = peer.address().port();
    let publisher =
        dunlin(directory.path(), &format!("pub -V 5 -h 127.0.0.1 -p {port} -t t -m x -q 1 -M 5 --repeat 3"));
    let properties = ConnAckProperties { receive_maximum: Some(1), ..ConnAckProperties::default() };
    let mut visit = peer.welcome(false, properties, |_| {});
    for number in 1..=3 {
        assert_eq!(visit.message().1, number);
        visit.send(&Packet::PubAck(success(number)));
    }
    visit.expect_goodbye();
    drop(visit);
    assert_eq!(publisher.finish().status, 0);
}

#[test]
fn what_is_acknowledged_is_written() {
    let (peer, directory) = (Peer::open(), directory());
    let port = peer.address().port();
    let subscriber = dunlin(directory.path(), &format!("sub -V 5 -h 127.0.0.1 -p {port} -t t -q 1"));
    let mut visit = peer.accept(false);
    visit.grant();
    // Something follows at once that is not printed, so that nothing more is said of the message.
    let message = Publish {
        qos: QoS::AtLeastOnce,
        topic: "t",
        packet_identifier: Some(identifier(1)),
        payload: b"hello",
        ..Publish::default()
    };
    visit.send_together(&[Packet::Publish(message), Packet::PingResp]);
    visit.expect_exactly(&Packet::PubAck(success(1)));
    subscriber.signal(Signal::KILL);
    assert_eq!(subscriber.finish().output, "hello\n");
}

/// A subscriber of a peer that then does `wrong`; what the subscriber says and its status.
fn offended(options: &str, wrong: impl FnOnce(&mut Visit)) -> (i32, String) {
    let (peer, directory) = (Peer::open(), directory());
    let port = peer.address().port();
    let subscriber = dunlin(directory.path(), &format!("sub -V 5 -h 127.0.0.1 -p {port} -t t {options}"));
    let mut visit = peer.accept(false);
    visit.grant();
    wrong(&mut visit);
    visit.expect(|packet| match packet {
        Packet::Disconnect(disconnect) => assert!(disconnect.reason_code.is_error(), "{disconnect:?}"),
        other => panic!("{other:?} instead of DISCONNECT"),
    });
    drop(visit);
    let ended = subscriber.finish();
    (ended.status, ended.error)
}

#[test]
fn a_broker_that_breaks_the_protocol_is_told_and_left() {
    let (status, error) = offended("", |visit| visit.send(&Packet::PingReq));
    assert_eq!(
        (status, error.as_str()),
        (2, "dunlin: the broker broke the protocol: it sent a packet that only clients send\n")
    );
    let (status, error) = offended("", |visit| {
        let topic_alias = std::num::NonZeroU16::new(1);
        visit.send(&Packet::Publish(Publish { topic: "t", topic_alias, ..Publish::default() }));
    });
    assert_eq!(status, 2);
    assert!(error.contains("a Topic Alias above the Topic Alias Maximum"), "{error}");
    let (status, error) = offended("-D connect maximum-packet-size 100", |visit| {
        visit.send(&Packet::Publish(Publish { topic: "t", payload: &[0; 200], ..Publish::default() }));
    });
    assert_eq!(status, 2);
    assert!(error.contains("larger than the Maximum Packet Size"), "{error}");
}

#[test]
fn a_broker_that_shuts_down_is_named_so_and_waited_for() {
    let desk = Desk::open();
    let mut subscriber = desk.subscribe("-V 5 -t t", &[]);
    desk.broker.stop();
    let line = subscriber.wait_for("the next attempt is in");
    let name = format!("{} (0x8B)", ReasonCode::ServerShuttingDown);
    assert!(line.contains(&name), "{line}");
}
