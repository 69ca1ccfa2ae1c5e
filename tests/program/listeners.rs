//! Listeners that come and go with a reload, and limits that change, under clients that stay.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use dunlin_codec::{Packet, QoS, ReasonCode};
use rustix::process::Signal;

use crate::support::client::{Client, bytes_of, hello, publish, subscribe, tcp};
use crate::support::dunlin::{Dunlin, QUIET, address_in, directory, write};
use crate::support::process::DEADLINE;
use crate::support::websocket;

fn configuration(listeners: &[&str]) -> String {
    let listeners: Vec<_> = listeners.iter().map(|url| format!("  {{ url = '{url}' }},\n")).collect();
    format!("{QUIET}auth.allow_anonymous = true\nlistener = [\n{}]\n", listeners.concat())
}

fn reload(dunlin: &mut Dunlin, directory: &Path, config: &str) {
    write(directory, "dunlin.toml", config);
    dunlin.signal(Signal::HUP);
    dunlin.wait_for("configuration reloaded");
}

/// The same with a new listener, and where that listens.
fn reload_to(dunlin: &mut Dunlin, directory: &Path, config: &str, url: &str) -> SocketAddr {
    write(directory, "dunlin.toml", config);
    dunlin.signal(Signal::HUP);
    let address = address_in(&dunlin.wait_for(&format!("listening url={url}")));
    dunlin.wait_for("configuration reloaded");
    (Ipv4Addr::LOCALHOST, address.port()).into()
}

/// A connection to `broker.sock`, which waits no longer than a test may.
fn unix(directory: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(directory.join("broker.sock"))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

#[test]
fn a_listener_that_is_removed_closes_with_its_clients_and_nobody_else_notices() {
    let directory = directory();
    let (tcp_url, websocket_url) = ("mqtt://127.0.0.1:0", "ws://127.0.0.1:0");
    let mut dunlin = Dunlin::start(directory.path(), &configuration(&[tcp_url, "unix://broker.sock"]));
    let first = dunlin.address(0);
    let mut stays = Client::connected(tcp(first), "stays");
    let (socket, unix) = (directory.path().join("broker.sock"), || unix(directory.path()));
    let mut leaves = Client::connected(unix().expect("it listens"), "leaves");

    let both = configuration(&[websocket_url, tcp_url]);
    let added = reload_to(&mut dunlin, directory.path(), &both, "ws://");
    assert_eq!(leaves.end(), Some(ReasonCode::AdministrativeAction));
    assert!(unix().is_err() && !socket.exists());
    stays.ping();
    Client::connected(websocket::connect(tcp(added)), "new").ping();
    Client::connected(tcp(first), "also new").ping();

    // And back again, under the same path.
    reload(&mut dunlin, directory.path(), &configuration(&["unix://broker.sock", tcp_url]));
    assert!(TcpStream::connect(added).is_err(), "it is closed");
    Client::connected(unix().expect("it listens"), "leaves").ping();
    stays.ping();
    let log = dunlin.stop().error;
    assert!(!log.contains("restart"), "{log}");
    assert!(!socket.exists());
}

/// A port that is free on all addresses, and that the system gives to nobody who does not ask for it by its number.
fn port_on_all_addresses() -> u16 {
    let mut ports = 20_000..32_768;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    ports.find(is_free).expect("not all of them are taken")
}

#[test]
fn a_listener_can_take_the_address_of_one_that_is_removed_and_a_wider_one() {
    let directory = directory();
    let port = port_on_all_addresses();
    let mut dunlin = Dunlin::start(directory.path(), &configuration(&[&format!("mqtt://localhost:{port}")]));
    let address = dunlin.address(0);
    let (local, all) = (format!("mqtt://127.0.0.1:{port}"), format!("mqtt://0.0.0.0:{port}"));
    let websocket_url = format!("ws://0.0.0.0:{port}/mqtt");
    let mut before = Client::connected(tcp(address), "client");
    // By the number of its address, then everywhere, then another transport there, and back.
    for url in [&local, &all, &websocket_url, &local] {
        let address = reload_to(&mut dunlin, directory.path(), &configuration(&[url]), url);
        assert_eq!(before.end(), Some(ReasonCode::AdministrativeAction), "{url}");
        assert_eq!(address.port(), port);
        before = match url.starts_with("ws") {
            true => Client::connected(websocket::connect(tcp(address)), "client"),
            false => Client::connected(tcp(address), "client"),
        };
        before.ping();
    }
}

#[test]
fn an_address_that_is_taken_changes_nothing_and_is_named_with_its_line() {
    let directory = directory();
    let mut dunlin = Dunlin::start(directory.path(), &configuration(&["mqtt://127.0.0.1:0"]));
    let address = dunlin.address(0);
    let mut client = Client::connected(tcp(address), "client");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let occupant = TcpListener::bind(taken).expect("it is free again");
    // One new listener could be opened, one is to be removed, and the last one cannot be opened.
    let url = format!("mqtt://{taken}");
    write(directory.path(), "dunlin.toml", &configuration(&["unix://new.sock", &url]));
    dunlin.signal(Signal::HUP);
    let line = dunlin.wait_for("nothing was reloaded");
    let expected = format!(
        "nothing was reloaded: dunlin.toml:7: listener.url = \"{url}\": cannot listen on {url}: another program uses this address"
    );
    assert!(line.contains(&expected), "{line}");
    client.ping();
    Client::connected(tcp(address), "also").ping();
    assert!(!directory.path().join("new.sock").exists());
    // When it is free, the same configuration can be used.
    drop(occupant);
    dunlin.signal(Signal::HUP);
    dunlin.wait_for("configuration reloaded");
    assert_eq!(client.end(), Some(ReasonCode::AdministrativeAction));
    Client::connected(tcp(taken), "new").ping();
}

#[test]
fn two_new_listeners_cannot_share_the_address_of_one_that_is_removed() {
    let directory = directory();
    let mut dunlin = Dunlin::start(directory.path(), &configuration(&["mqtt://127.0.0.1:0"]));
    let address = dunlin.address(0);
    let port = address.port();
    for (one, other) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "0.0.0.0")] {
        let (one, other) = (format!("mqtt://{one}:{port}"), format!("ws://{other}:{port}"));
        write(directory.path(), "dunlin.toml", &configuration(&[&one, &other]));
        dunlin.signal(Signal::HUP);
        let line = dunlin.wait_for("nothing was reloaded");
        assert!(line.contains("another program uses this address"), "{line}");
        Client::connected(tcp(address), "client").ping();
    }
}

#[test]
fn limits_change_under_clients_that_stay_connected() {
    let directory = directory();
    let config = |limits: &str, listener: &str| {
        format!("{QUIET}{limits}\nlistener = [{{ url = 'mqtt://127.0.0.1:0'{listener} }}]\n")
    };
    let mut dunlin = Dunlin::start(directory.path(), &config("", ""));
    let address = dunlin.address(0);
    let mut client = Client::connected(tcp(address), "client");
    let told = |client: &mut Client, packet: Vec<u8>| {
        client.send(&packet);
        client.next(|packet| match packet {
            Some(Packet::PubAck(puback)) => puback.reason_code as u8,
            Some(Packet::SubAck(suback)) => suback.reason_codes[0],
            other => panic!("{other:?} instead of an acknowledgement"),
        })
    };
    let deep = || publish("a/b/c", b"1", QoS::AtLeastOnce, 1);
    assert_eq!(told(&mut client, deep()), ReasonCode::NoMatchingSubscribers as u8);
    assert_eq!(told(&mut client, subscribe("one")), 2);

    let limits = "limits.max_topic_levels = 2\nsession.max_subscriptions = 1\nlimits.max_connections = 3";
    reload(&mut dunlin, directory.path(), &config(limits, ", max_connections = 2, max_packet_size = '1KB'"));
    assert_eq!(told(&mut client, deep()), ReasonCode::TopicNameInvalid as u8);
    assert_eq!(told(&mut client, subscribe("two")), ReasonCode::QuotaExceeded as u8);
    // What is there stays, and who is there was told of other limits.
    assert_eq!(told(&mut client, subscribe("one")), 2);
    let large = publish("large", &[0; 2000], QoS::AtLeastOnce, 1);
    assert_eq!(told(&mut client, large.clone()), ReasonCode::NoMatchingSubscribers as u8);
    let mut second = Client::connected(tcp(address), "second");
    assert_eq!(Client::over(tcp(address)).end(), None, "two are enough for the listener");
    second.send(&large);
    assert_eq!(second.end(), Some(ReasonCode::PacketTooLarge));

    reload(&mut dunlin, directory.path(), &config("", ""));
    assert_eq!(told(&mut client, deep()), ReasonCode::NoMatchingSubscribers as u8);
    assert_eq!(told(&mut client, subscribe("two")), 2);
    Client::connected(tcp(address), "third").ping();
    client.ping();
}

#[test]
fn files_that_change_are_reloaded_if_the_configuration_says_so() {
    let directory = directory();
    let path = directory.path();
    write(path, "acl", "topic readwrite open\n");
    let config = |more: &str| {
        format!("{QUIET}auth.acl_file = 'acl'\n{more}\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n")
    };
    let mut dunlin = Dunlin::start(path, &config("server.watch = true"));
    let mut client = Client::connected(tcp(dunlin.address(0)), "client");
    let mut may_publish = |topic: &str| {
        client.send(&publish(topic, b"1", QoS::AtLeastOnce, 1));
        client.next(|packet| match packet {
            Some(Packet::PubAck(puback)) => puback.reason_code != ReasonCode::NotAuthorized,
            other => panic!("{other:?} instead of PUBACK"),
        })
    };
    assert!(may_publish("open") && !may_publish("other"));
    // As editors do it: another file takes the name.
    write(path, "acl.new", "topic readwrite other\n");
    fs::rename(path.join("acl.new"), path.join("acl")).expect("it can be renamed");
    dunlin.wait_for("configuration reloaded");
    assert!(may_publish("other") && !may_publish("open"));
    write(path, "dunlin.toml", &config("server.watch = true\nsession.max_inflight = 0"));
    let line = dunlin.wait_for("nothing was reloaded");
    assert!(line.contains("dunlin.toml:6: session.max_inflight = 0: must be"), "{line}");
    write(path, "dunlin.toml", &config("server.watch = false"));
    dunlin.wait_for("configuration reloaded");
    // From here on it takes the signal.
    write(path, "acl", "topic readwrite open\n");
    dunlin.signal(Signal::HUP);
    dunlin.wait_for("configuration reloaded");
    assert!(may_publish("open") && !may_publish("other"));
    let log = dunlin.stop().error;
    assert_eq!(log.matches("has changed").count(), 3, "{log}");
}

#[test]
fn whoever_is_about_to_connect_through_a_listener_that_is_removed_is_refused() {
    let directory = directory();
    let mut dunlin =
        Dunlin::start(directory.path(), &configuration(&["mqtt://127.0.0.1:0", "unix://broker.sock"]));
    dunlin.address(0);
    let mut early = Client::over(unix(directory.path()).expect("it listens"));
    // The first byte of CONNECT: the broker has accepted it when it has answered somebody who came later.
    let connect = bytes_of(&Packet::Connect(hello("early")));
    early.send(&connect[..1]);
    Client::connected(unix(directory.path()).expect("it listens"), "later").disconnect();
    reload(&mut dunlin, directory.path(), &configuration(&["mqtt://127.0.0.1:0"]));
    early.send(&connect[1..]);
    assert_eq!(early.connack(), ReasonCode::ServerUnavailable);
    let log = dunlin.stop().error;
    assert!(log.contains("kind=\"listener-closed\""), "{log}");
}
