//! What the broker says of itself in numbers, to those who scrape `/metrics` and to those who subscribe to `$SYS`.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use dunlin::metrics::DECLARED;
use dunlin::{Broker, Config};
use dunlin_codec::{Acknowledgement, Packet, QoS, ReasonCode};

use support::client::{Client, bytes_of, hello, persistent, publish, subscribe, success, tcp};
use support::dunlin::directory;
use support::process::DEADLINE;

struct Served {
    broker: Broker,
    listener: SocketAddr,
    port: SocketAddr,
    _directory: tempfile::TempDir,
}

/// A broker of two workers with a store and an operations port.
fn start(more: &str) -> Served {
    let directory = directory();
    let text = format!(
        "store.path = '{}'\nhttp.address = '127.0.0.1:0'\nserver.workers = 2\n{more}\n\
         listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n",
        directory.path().join("data").display()
    );
    let broker = Broker::start(Config::from_toml("test", &text).unwrap()).unwrap();
    let (listener, port) = (broker.addresses()[0], broker.http_address().unwrap());
    Served { broker, listener, port, _directory: directory }
}

/// The whole answer.
fn get(port: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(port).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The samples by name and labels.
fn scrape(port: SocketAddr) -> HashMap<String, f64> {
    let answer = get(port, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}")));
    samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// Scrapes until a sample has a value: what a client has been answered is counted, what it has only sent may not be.
fn wait_for(port: SocketAddr, name: &str, value: f64) -> HashMap<String, f64> {
    let began = Instant::now();
    loop {
        let samples = scrape(port);
        if samples.get(name) == Some(&value) {
            return samples;
        }
        assert!(began.elapsed() < DEADLINE, "{name} is {:?}, not {value}", samples.get(name));
    }
}

#[test]
fn every_declared_metric_is_there() {
    let served = start("");
    let answer = get(served.port, "/metrics");
    for declared in DECLARED {
        assert!(answer.contains(&format!("\n# TYPE {} ", declared.name)), "{}", declared.name);
    }
    served.broker.stop();
}

#[test]
fn what_clients_do_is_counted_once_whichever_worker_they_are_on() {
    let served = start("sys.interval = '0s'");
    let mut away = Client::over(tcp(served.listener));
    away.connect(&persistent("away"));
    away.subscribe("plant/#");
    away.disconnect();
    let mut here = Client::connected(tcp(served.listener), "here");
    here.subscribe("plant/#");
    let mut publisher = Client::connected(tcp(served.listener), "publisher");
    for identifier in 1..=5 {
        publisher.send(&publish("plant/7", b"12345", QoS::AtLeastOnce, identifier));
        publisher.expect(&Packet::PubAck(success(identifier)));
        assert_eq!(here.message().payload, b"12345");
    }
    let samples = wait_for(served.port, "dunlin_queued_messages", 5.0);
    for (name, value) in [
        ("dunlin_ready", 1.0),
        ("dunlin_connections", 2.0),
        ("dunlin_sessions", 3.0),
        ("dunlin_sessions_persistent", 1.0),
        ("dunlin_clients_connected{version=\"5.0\"}", 2.0),
        ("dunlin_subscriptions", 2.0),
        ("dunlin_messages_received_total{qos=\"1\"}", 5.0),
        ("dunlin_messages_sent_total{qos=\"1\"}", 5.0),
        ("dunlin_in_flight_messages", 5.0),
        ("dunlin_payload_received_bytes_total", 25.0),
        ("dunlin_payload_sent_bytes_total", 25.0),
        ("dunlin_packets_received_total{type=\"CONNECT\",version=\"5.0\"}", 3.0),
        ("dunlin_packets_received_total{type=\"SUBSCRIBE\",version=\"5.0\"}", 2.0),
        ("dunlin_packets_sent_total{type=\"PUBACK\",version=\"5.0\"}", 5.0),
        ("dunlin_longest_queue_messages", 5.0),
        ("dunlin_delivery_latency_seconds_count", 5.0),
        ("dunlin_store_state{state=\"writing\"}", 1.0),
        ("dunlin_retained_messages", 0.0),
        ("dunlin_listener_connections{listener=\"mqtt://127.0.0.1:0\"}", 2.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    assert!(samples["dunlin_store_commit_seconds_count"] >= 1.0);
    assert!(samples["process_resident_memory_bytes"] > 1e6);
    let workers: f64 = ["0", "1"]
        .map(|worker| samples[&format!("dunlin_worker_sessions{{worker=\"{worker}\"}}")])
        .iter()
        .sum();
    assert_eq!(workers, 3.0);
    served.broker.stop();
}

#[test]
fn a_dropped_message_and_a_refused_connection_are_counted_by_reason() {
    let served = start("session.max_queued_messages = 1\nlimits.max_connections = 2");
    let mut away = Client::over(tcp(served.listener));
    away.connect(&persistent("away"));
    away.send(&subscribe("a"));
    away.frame().unwrap();
    away.disconnect();
    let mut publisher = Client::connected(tcp(served.listener), "publisher");
    for identifier in 1..=3 {
        publisher.send(&publish("a", b"", QoS::AtLeastOnce, identifier));
        publisher.expect(&Packet::PubAck(success(identifier)));
    }
    let _second = Client::connected(tcp(served.listener), "second");
    let mut third = Client::over(tcp(served.listener));
    third.send(&bytes_of(&Packet::Connect(hello("third"))));
    assert!(third.frame().is_none());
    wait_for(served.port, "dunlin_connections_refused_total{reason=\"max-connections\"}", 1.0);
    served.broker.stop();
}

#[test]
fn the_broker_tells_of_itself_below_sys_and_nobody_else_may() {
    let served = start("sys.interval = '20ms'");
    let mut watcher = Client::connected(tcp(served.listener), "watcher");
    // The first values may come before the SUBACK.
    watcher.send(&subscribe("$SYS/broker/#"));
    let mut seen: HashMap<String, String> = HashMap::new();
    let began = Instant::now();
    let wanted = ["version", "uptime", "load/messages/received/15min", "retained messages/count"];
    while seen.get("$SYS/broker/clients/connected").is_none_or(|value| value != "1")
        || !wanted.iter().all(|name| seen.contains_key(&format!("$SYS/broker/{name}")))
    {
        watcher.next(|packet| {
            if let Some(Packet::Publish(publish)) = packet {
                let value = std::str::from_utf8(publish.payload).unwrap();
                seen.insert(publish.topic.to_owned(), value.to_owned());
            }
        });
        assert!(began.elapsed() < DEADLINE, "{seen:?}");
    }
    let version = format!("dunlin version {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen["$SYS/broker/version"], version);
    assert!(seen["$SYS/broker/uptime"].ends_with(" seconds"));
    let mut liar = Client::connected(tcp(served.listener), "liar");
    liar.send(&publish("$SYS/broker/version", b"mine", QoS::AtLeastOnce, 1));
    let refused = Acknowledgement { reason_code: ReasonCode::NotAuthorized, ..success(1) };
    liar.expect(&Packet::PubAck(refused));
    served.broker.stop();
}

#[test]
fn what_is_below_sys_is_not_recorded() {
    let directory = directory();
    let config = |interval: &str| {
        let data = directory.path().join("data");
        let text = format!(
            "store.path = '{}'\nhttp.address = ''\nsys.interval = '{interval}'\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n",
            data.display()
        );
        Config::from_toml("test", &text).unwrap()
    };
    let first = Broker::start(config("10ms")).unwrap();
    let mut watcher = Client::connected(tcp(first.addresses()[0]), "watcher");
    watcher.send(&subscribe("$SYS/broker/uptime"));
    while watcher.next(|packet| !matches!(packet, Some(Packet::Publish(_)))) {}
    drop(watcher);
    first.stop();
    let second = Broker::start(config("0s")).unwrap();
    let mut watcher = Client::connected(tcp(second.addresses()[0]), "watcher");
    watcher.subscribe("$SYS/#");
    // The answer to a later packet comes after every Retained Message.
    watcher.subscribe("marker");
    watcher.ping();
    second.stop();
}

/// Words of a text that look like a metric.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    words.filter(|word| word.starts_with("dunlin_") || word.starts_with("process_"))
}

#[test]
fn the_grafana_dashboard_and_the_alerts_use_metrics_that_there_are() {
    let mut used = 0;
    for name in ["packaging/grafana/dunlin.json", "packaging/prometheus/dunlin.rules.yml"] {
        let text =
            std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        for metric in metrics_in(&text) {
            let series = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| metric.strip_suffix(end));
            let is_declared =
                DECLARED.iter().any(|declared| [Some(metric), series].contains(&Some(declared.name)));
            assert!(is_declared, "{name} uses {metric}");
            used += 1;
        }
    }
    assert!(used > 40, "{used} metrics are not all of them");
}
