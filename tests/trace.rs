//! Watching a client, an address or a topic of a running broker.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use dunlin::trace::{Happened, Seen, Trace, TraceLine, TraceRequest};
use dunlin::{Broker, Config};
use dunlin_codec::{Packet, QoS};
use dunlin_core::identity::ClientIdentifier;

use support::client::{Client, bytes_of, publish, success, tcp};
use support::dunlin::{directory, write};
use support::process::DEADLINE;

/// A broker of two workers, and where it listens.
fn start(more: &str) -> (Broker, SocketAddr) {
    let text = format!(
        "store.path = ''\nhttp.address = ''\nserver.workers = 2\n{more}\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n"
    );
    let broker = Broker::start(Config::from_toml("test", &text).unwrap()).unwrap();
    let address = broker.addresses()[0];
    (broker, address)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

async fn next(trace: &mut Trace) -> TraceLine {
    match within(trace.next()).await {
        Some(Seen::Line(line)) => *line,
        other => panic!("{other:?} instead of a line"),
    }
}

/// The next line that is about such a packet or such an event.
async fn find(trace: &mut Trace, event: Happened, packet: Option<&str>) -> TraceLine {
    loop {
        let line = next(trace).await;
        if line.event == event && line.packet.as_deref() == packet {
            return line;
        }
    }
}

fn client(name: &str) -> TraceRequest {
    TraceRequest::Client(ClientIdentifier::new(name).unwrap())
}

#[test]
fn a_client_is_watched_from_its_connect_to_its_end_and_nobody_else() {
    let (broker, address) = start("");
    runtime().block_on(async {
        let mut trace = broker.operations().trace(client("seen")).await.unwrap();
        let mut unseen = Client::connected(tcp(address), "unseen");
        let mut seen = Client::connected(tcp(address), "seen");
        seen.subscribe("plant/#");
        unseen.publish("plant/7", b"21.5");
        seen.message();
        seen.disconnect();
        let expected = [
            (Happened::Connected, Some("CONNECT")),
            (Happened::Sent, Some("CONNACK")),
            (Happened::Received, Some("SUBSCRIBE")),
            (Happened::Sent, Some("SUBACK")),
            (Happened::Sent, Some("PUBLISH")),
            (Happened::Received, Some("DISCONNECT")),
            (Happened::Closed, None),
        ];
        for (event, packet) in expected {
            let line = next(&mut trace).await;
            assert_eq!((line.event, line.packet.as_deref()), (event, packet), "{line}");
            assert_eq!(line.client, "seen");
            assert!(line.address.is_some_and(|address| address.starts_with("127.0.0.1:")));
            if packet == Some("PUBLISH") {
                assert_eq!(line.details["topic"], "plant/7");
                assert_eq!(line.details["payload"], "21.5");
                assert_eq!(line.details["qos"], 1);
            }
        }
    });
    broker.stop();
}

#[test]
fn a_topic_is_watched_wherever_its_messages_come_and_go() {
    let (broker, address) = start("");
    runtime().block_on(async {
        let mut trace = broker.operations().trace(TraceRequest::topic("plant/+").unwrap()).await.unwrap();
        let mut subscriber = Client::connected(tcp(address), "subscriber");
        subscriber.subscribe("#");
        let mut publisher = Client::connected(tcp(address), "publisher");
        publisher.publish("other", b"");
        publisher.publish("plant/7", b"x");
        // They are on two workers, and either may be the first to say so.
        let lines = [next(&mut trace).await, next(&mut trace).await];
        for expected in [(Happened::Received, "publisher"), (Happened::Sent, "subscriber")] {
            let line = lines.iter().find(|line| (line.event, line.client.as_str()) == expected);
            assert_eq!(line.unwrap_or_else(|| panic!("{lines:?}")).details["topic"], "plant/7");
        }
    });
    broker.stop();
}

#[test]
fn an_address_is_watched_also_those_who_were_there_before() {
    let (broker, address) = start("");
    runtime().block_on(async {
        let mut before = Client::connected(tcp(address), "before");
        let request = TraceRequest::Address("127.0.0.1".parse().unwrap());
        let mut trace = broker.operations().trace(request).await.unwrap();
        let request = TraceRequest::Address("127.0.0.2".parse().unwrap());
        let mut elsewhere = broker.operations().trace(request).await.unwrap();
        before.ping();
        let mut after = Client::connected(tcp(address), "after");
        after.ping();
        for name in ["before", "after"] {
            let line = find(&mut trace, Happened::Received, Some("PINGREQ")).await;
            assert_eq!(line.client, name);
        }
        let nothing = tokio::time::timeout(Duration::from_millis(1), elsewhere.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    });
    broker.stop();
}

#[test]
fn a_refusal_names_the_rule_that_decided() {
    let directory = directory();
    write(directory.path(), "acl", "topic read #\ntopic deny secret/#\ntopic write open/#\n");
    let (broker, address) = start(&format!("auth.acl_file = '{}'", directory.path().join("acl").display()));
    runtime().block_on(async {
        let mut trace = broker.operations().trace(client("curious")).await.unwrap();
        let mut curious = Client::connected(tcp(address), "curious");
        curious.send(&publish("secret/1", b"", QoS::AtMostOnce, 1));
        curious.ping();
        let line = find(&mut trace, Happened::Refused, None).await;
        assert_eq!(line.details["topic"], "secret/1");
        let rule = line.details["rule"].as_str().unwrap();
        assert!(rule.contains("acl:2: topic deny secret/#"), "{rule}");
    });
    broker.stop();
}

#[test]
fn a_dropped_message_says_why() {
    let (broker, address) = start("session.max_queued_messages = 1");
    runtime().block_on(async {
        let mut away = Client::over(tcp(address));
        away.connect(&support::client::persistent("away"));
        away.subscribe("a");
        away.disconnect();
        let mut trace = broker.operations().trace(client("away")).await.unwrap();
        let mut publisher = Client::connected(tcp(address), "publisher");
        for identifier in 1..=2 {
            publisher.send(&publish("a", b"", QoS::AtLeastOnce, identifier));
            publisher.expect(&Packet::PubAck(success(identifier)));
        }
        let line = find(&mut trace, Happened::Dropped, None).await;
        assert_eq!(line.details["reason"], "queue-full");
    });
    broker.stop();
}

#[test]
fn who_reads_too_slowly_is_told_how_much_was_left_out_and_slows_nobody_down() {
    let (broker, address) = start("");
    runtime().block_on(async {
        let mut trace = broker.operations().trace(client("busy")).await.unwrap();
        let mut busy = Client::connected(tcp(address), "busy");
        // Each is two lines, and nobody reads them.
        for _ in 0..5_000 {
            busy.send(&bytes_of(&Packet::PingReq));
        }
        for _ in 0..5_000 {
            busy.next(|packet| assert_eq!(packet, Some(Packet::PingResp)));
        }
        // CONNECT and CONNACK, and one line for each PINGREQ and PINGRESP.
        let (mut lines, mut lost) = (0, 0);
        while lines + lost < 10_002 {
            match within(trace.next()).await {
                Some(Seen::Line(_)) => lines += 1,
                Some(Seen::Lost(count)) => lost += count,
                None => panic!("the broker runs"),
            }
        }
        assert_eq!(lines + lost, 10_002);
        assert!(lost > 0, "there is no room for that many");
    });
    broker.stop();
}

#[test]
fn there_is_a_bound_on_traces_and_one_that_ends_makes_room() {
    let (broker, _) = start("");
    runtime().block_on(async {
        let mut traces = Vec::new();
        let refused = loop {
            match broker.operations().trace(client("anybody")).await {
                Ok(trace) => traces.push(trace),
                Err(error) => break error,
            }
        };
        assert_eq!(
            (traces.len(), refused.to_string()),
            (8, "there are 8 traces already: end one of them".into())
        );
        traces.pop();
        assert!(broker.operations().trace(client("anybody")).await.is_ok());
    });
    broker.stop();
}
