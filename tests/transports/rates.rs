//! Who publishes too fast, over real sockets: alone, or together with those it shares a limit with.
//!
//! How turns are taken is tested with time as a variable, in `src/worker/throttle.rs`; here it is shown that each
//! limit counts for whom it should, that nothing is lost, and how a reload changes it. Times are only asserted from
//! below: a loaded machine makes them longer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dunlin::worker::DelayReason;
use dunlin::{Broker, Config};
use dunlin_codec::{Connect, Packet, QoS, ReasonCode};

use crate::gate::{ANNA, ANNA_PASSWORD, wait_until, with_listener};
use crate::support::client::{Client, hello, publish, success, tcp};
use crate::support::dunlin::{directory, write};

/// PUBLISH packets numbered from 1, at QoS 1 to this topic.
fn numbered(topic: &str, count: u16) -> Vec<u8> {
    (1..=count).flat_map(|number| publish(topic, &number.to_be_bytes(), QoS::AtLeastOnce, number)).collect()
}

/// Reads the PUBACKs for [`numbered`].
fn read_acknowledgements(client: &mut Client, count: u16) {
    for number in 1..=count {
        client.next(|packet| match packet {
            Some(Packet::PubAck(ack)) => assert_eq!(ack.packet_identifier.get(), number),
            other => panic!("{other:?} instead of PUBACK {number}"),
        });
    }
}

/// A client of the only user.
fn anna(address: SocketAddr, client_identifier: &str) -> Client {
    let mut client = Client::over(tcp(address));
    let login =
        Connect { user_name: Some("anna"), password: Some(ANNA_PASSWORD), ..hello(client_identifier) };
    assert_eq!(client.connect(&login), ReasonCode::Success);
    client
}

fn delays(broker: &Broker) -> Vec<(&'static str, u64)> {
    let all = DelayReason::ALL.iter().map(|reason| (reason.name(), broker.delays(*reason)));
    all.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn who_publishes_too_fast_is_read_more_slowly_and_loses_nothing() {
    let (broker, address) = with_listener("", "limits.publish_rate = 50");
    let mut subscriber = Client::connected(tcp(address), "subscriber");
    subscriber.subscribe("fast");
    let mut publisher = Client::connected(tcp(address), "publisher");
    let started = Instant::now();
    let flood: Vec<u8> =
        (0..100u8).flat_map(|number| publish("fast", &[number], QoS::AtMostOnce, 0)).collect();
    publisher.send(&flood);
    for number in 0..100u8 {
        assert_eq!(subscriber.message().payload, [number]);
    }
    // 50 come at once, one more on credit, and the others take their time.
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    publisher.ping();
    assert!(broker.delays(DelayReason::Client) >= 1);
}

#[test]
fn clients_share_the_rate_of_their_user_address_listener_and_of_all_and_lose_nothing() {
    const RATE: u16 = 100;
    const EACH: u16 = 75;
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let passwords = directory.path().join("passwords").display().to_string();
    for (listener, limit, reason) in [
        ("", "limits.publish_rate_per_user = 100", DelayReason::User),
        ("", "limits.publish_rate_per_address = 100", DelayReason::Address),
        ("", "limits.publish_rate_in_all = 100", DelayReason::All),
        (", publish_rate = 100", "", DelayReason::Listener),
    ] {
        let (broker, address) = with_listener(
            listener,
            &format!("server.workers = 2\nauth.password_file = '{passwords}'\n{limit}"),
        );
        let mut clients = [anna(address, "one"), anna(address, "two")];
        let started = Instant::now();
        for client in &mut clients {
            client.send(&numbered("t", EACH));
        }
        for client in &mut clients {
            read_acknowledgements(client, EACH);
        }
        // As many as the rate come at once, and one more from each on credit.
        let beyond = u64::from(2 * EACH - RATE - 2);
        let least = Duration::from_millis(beyond * 1000 / u64::from(RATE));
        assert!(started.elapsed() >= least, "{}: {:?}", reason.name(), started.elapsed());
        let names: Vec<_> = delays(&broker).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [reason.name()]);
    }
}

#[test]
fn what_one_user_publishes_slows_down_nobody_else_and_connecting_again_gives_it_nothing() {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let passwords = directory.path().join("passwords").display().to_string();
    let (broker, address) = with_listener(
        "",
        &format!(
            "auth.password_file = '{passwords}'\nauth.allow_anonymous = true\nlimits.publish_rate_per_user = 1"
        ),
    );
    let mut first = anna(address, "first");
    first.publish("t", b"one");
    first.publish("t", b"on credit");
    first.disconnect();
    let mut again = anna(address, "again");
    again.send(&publish("t", b"has to wait", QoS::AtLeastOnce, 1));
    wait_until("the user waits", || broker.delays(DelayReason::User) == 1);
    // Those without a name are not counted.
    let mut other = Client::connected(tcp(address), "other");
    other.send(&numbered("t", 200));
    read_acknowledgements(&mut other, 200);
    again.expect(&Packet::PubAck(dunlin_codec::Acknowledgement {
        reason_code: ReasonCode::NoMatchingSubscribers,
        ..success(1)
    }));
    assert_eq!(delays(&broker), [("publish-rate-per-user", 1)]);
}

#[test]
fn the_bytes_of_all_are_limited_and_large_messages_come_whole() {
    let (broker, address) = with_listener("", "limits.publish_bytes_rate_in_all = '200KB'");
    let mut subscriber = Client::connected(tcp(address), "subscriber");
    subscriber.subscribe("large");
    let mut publisher = Client::connected(tcp(address), "publisher");
    let payload = vec![7; 100 * 1024];
    for number in 1..=5 {
        publisher.send(&publish("large", &payload, QoS::ExactlyOnce, number));
    }
    for _ in 0..5 {
        let message = subscriber.message();
        assert!(message.payload == payload && message.qos == QoS::ExactlyOnce);
    }
    assert!(broker.delays(DelayReason::AllBytes) >= 1);
}

#[test]
fn a_reload_limits_and_frees_who_is_connected() {
    let text = |more: &str| {
        format!("store.path = ''\nhttp.address = ''\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n{more}")
    };
    let config = |more: &str| Config::from_toml("test.toml", &text(more)).expect("it is valid");
    let broker = crate::start(&text(""));
    let mut client = Client::connected(tcp(broker.addresses()[0]), "client");
    client.publish("t", b"free");
    broker.reload(&config("limits.publish_rate_in_all = 10")).expect("nothing is wrong with it");
    // The workers hear of it one after the other.
    while broker.delays(DelayReason::All) == 0 {
        client.send(&numbered("t", 12));
        read_acknowledgements(&mut client, 12);
    }
    broker.reload(&config("")).expect("nothing is wrong with it");
    client.ping();
    let before = delays(&broker);
    client.send(&numbered("t", 500));
    read_acknowledgements(&mut client, 500);
    assert_eq!(delays(&broker), before);
}
