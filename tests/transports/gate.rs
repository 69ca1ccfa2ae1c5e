//! Who is let in, over real sockets: networks, proxies, limits by address, user and client identifier, bans.
//!
//! Time as a variable is in the unit tests of `src/worker/gate.rs`; here it is shown that each limit is where the
//! connections come by, and what a client sees of it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use dunlin::Broker;
use dunlin::worker::RefusalReason;
use dunlin_codec::{Connect, Packet, ProtocolVersion, ReasonCode};

use crate::start;
use crate::support::client::{Client, bytes_of, hello, tcp};
use crate::support::dunlin::{directory, write};
use crate::support::process::DEADLINE;
use crate::support::{certificates, tls, websocket};

/// A user, and the password that mosquitto_passwd hashed.
pub const ANNA: &str = "anna:$7$101$xQMSy+BHTqHz+9+W$WuHfjO4WdySQ7RGbO53Kydw+mg0kPorwiGtd8l38aypNFsatHbJ0TEmoRrpPTOlq+XnY3Zs9+XJjgQrdgZbLuA==\n";
pub const ANNA_PASSWORD: &[u8] = b"anna-knows-this";

/// A broker with one plain listener and more configuration; `listener` is the inside of its table.
pub fn with_listener(listener: &str, config: &str) -> (Broker, SocketAddr) {
    let text = format!(
        "store.path = ''\nhttp.address = ''\nlistener = [{{ url = 'mqtt://127.0.0.1:0' {listener} }}]\n{config}"
    );
    let broker = start(&text);
    let address = broker.addresses()[0];
    (broker, address)
}

/// A connection that begins with these bytes.
pub fn beginning_with(address: SocketAddr, header: &str) -> TcpStream {
    let mut stream = tcp(address);
    stream.write_all(header.as_bytes()).expect("the broker takes it");
    stream
}

/// The header of a proxy that connects for this address.
pub fn proxied(source: &str) -> String {
    format!("PROXY TCP4 {source} 198.51.100.1 40000 1883\r\n")
}

/// Whether a client over this stream is closed without a word.
fn is_closed(stream: TcpStream) -> bool {
    let mut client = Client::over(stream);
    client.send(&bytes_of(&Packet::Connect(hello("x"))));
    client.frame().is_none()
}

/// Waits until something holds.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < until, "it never holds that {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_listener_is_closed_to_networks_that_are_denied_or_not_allowed() {
    for networks in [", deny = ['127.0.0.0/8']", ", allow = ['10.0.0.0/8', 'fd00::/8']"] {
        let (broker, address) = with_listener(networks, "");
        assert!(is_closed(tcp(address)), "{networks}");
        assert_eq!(broker.refusals(RefusalReason::Network), 1);
    }
    let (_broker, address) = with_listener(", allow = ['127.0.0.1']", "");
    Client::connected(tcp(address), "welcome").ping();
}

#[test]
fn the_address_that_a_proxy_tells_counts_for_networks_and_limits() {
    let config = "limits.max_connections_per_address = 1";
    let proxy = ", proxy_protocol = ['127.0.0.0/8'], deny = ['203.0.113.0/24']";
    let (broker, address) = with_listener(proxy, config);
    let connect = |source: &str, identifier: &str| {
        Client::connected(beginning_with(address, &proxied(source)), identifier)
    };
    let mut one = connect("192.0.2.1", "one");
    let mut two = connect("192.0.2.2", "two");
    assert!(is_closed(beginning_with(address, &proxied("192.0.2.1"))));
    assert!(is_closed(beginning_with(address, &proxied("203.0.113.9"))));
    one.ping();
    two.ping();
    assert_eq!(broker.refusals(RefusalReason::AddressConnections), 1);
    assert_eq!(broker.refusals(RefusalReason::Network), 1);
    // The address is free again when its connection has gone.
    one.disconnect();
    wait_until("one has left", || broker.connections() == 1);
    connect("192.0.2.1", "three").ping();
    // Whoever sends no header is not served as it is.
    assert!(is_closed(tcp(address)));
    wait_until("a missing header is counted", || broker.refusals(RefusalReason::Proxy) == 1);
}

#[test]
fn with_proxies_nobody_else_may_connect() {
    let (broker, address) = with_listener(", proxy_protocol = ['192.0.2.1']", "");
    assert!(is_closed(beginning_with(address, &proxied("127.0.0.1"))));
    assert_eq!(broker.refusals(RefusalReason::Proxy), 1);
}

#[test]
fn tls_begins_after_the_header_of_the_proxy() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let broker = start(&format!(
        "store.path = ''\nhttp.address = ''\ntls = {{ cert = '{}', key = '{}' }}\n\
         listener = [{{ url = 'mqtts://127.0.0.1:0', proxy_protocol = ['127.0.0.1'] }}]",
        path("server.pem"),
        path("server-key.pem")
    ));
    let trust = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    let stream = beginning_with(broker.addresses()[0], &proxied("192.0.2.1"));
    Client::connected(tls::over(stream, &trust), "secure").ping();
}

#[test]
fn a_user_has_only_so_many_clients_and_the_next_is_told_so() {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let passwords = directory.path().join("passwords").display().to_string();
    let config = format!("auth.password_file = '{passwords}'\nlimits.max_connections_per_user = 1");
    let (broker, address) = with_listener("", &config);
    let login =
        |identifier| Connect { user_name: Some("anna"), password: Some(ANNA_PASSWORD), ..hello(identifier) };
    let mut first = Client::over(tcp(address));
    assert_eq!(first.connect(&login("first")), ReasonCode::Success);
    assert_eq!(Client::over(tcp(address)).connect(&login("second")), ReasonCode::QuotaExceeded);
    // In 3.1.1 that is return code 3.
    assert_eq!(old_connack(address, login("third")), Some(vec![0x20, 2, 0, 3]));
    first.ping();
    // Its own client may take its Session over.
    let mut again = Client::over(tcp(address));
    assert_eq!(again.connect(&login("first")), ReasonCode::Success);
    assert_eq!(broker.refusals(RefusalReason::UserConnections), 2);
}

/// What a CONNECT of 3.1.1 is answered with.
fn old_connack(address: SocketAddr, connect: Connect<'_>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    Packet::Connect(Connect { version: ProtocolVersion::V3_1_1, ..connect })
        .encode(ProtocolVersion::V3_1_1, &mut bytes);
    let mut client = Client::over(tcp(address));
    client.send(&bytes);
    client.frame()
}

/// What these are answered who all send their CONNECT before anybody reads the answer.
fn at_once<const N: usize>(address: SocketAddr, connects: [Connect<'_>; N]) -> [ReasonCode; N] {
    let clients = connects.map(|connect| {
        let mut client = Client::over(tcp(address));
        client.send(&bytes_of(&Packet::Connect(connect)));
        client
    });
    clients.map(|mut client| client.connack())
}

#[test]
fn a_user_that_connects_too_often_is_told_so_and_others_are_let_in() {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let passwords = directory.path().join("passwords").display().to_string();
    let config = format!(
        "auth.password_file = '{passwords}'\nauth.allow_anonymous = true\nlimits.connect_rate_per_user = 1"
    );
    let (broker, address) = with_listener("", &config);
    let login =
        |identifier| Connect { user_name: Some("anna"), password: Some(ANNA_PASSWORD), ..hello(identifier) };
    let mut first = Client::over(tcp(address));
    assert_eq!(first.connect(&login("first")), ReasonCode::Success);
    let answers = at_once(address, ["a", "b", "c", "d", "e"].map(login));
    assert!(answers.contains(&ReasonCode::ConnectionRateExceeded), "{answers:?}");
    // In 3.1.1 that is return code 3. At most one gets through each second.
    let mut old = (0..100).map(|_| old_connack(address, login("old")));
    assert!(old.any(|answer| answer == Some(vec![0x20, 2, 0, 3])));
    Client::connected(tcp(address), "nobody").ping();
    first.ping();
    assert!(broker.refusals(RefusalReason::UserConnectRate) >= 2);
}

#[test]
fn a_client_identifier_that_connects_too_often_is_told_so_and_its_neighbours_are_let_in() {
    let (broker, address) = with_listener("", "limits.connect_rate_per_client = 1");
    Client::connected(tcp(address), "hasty").ping();
    let answers = at_once(address, [hello("hasty"); 5]);
    assert!(answers.contains(&ReasonCode::ConnectionRateExceeded), "{answers:?}");
    Client::connected(tcp(address), "neighbour").ping();
    assert!(broker.refusals(RefusalReason::ClientConnectRate) >= 1);
}

#[test]
fn an_address_that_keeps_failing_is_banned_and_who_is_connected_stays() {
    let ban = "[ban]\nfailures = 3\nallow = []\n";
    let (broker, address) = with_listener("", ban);
    let mut bystander = Client::connected(tcp(address), "bystander");
    for _ in 0..3 {
        let mut client = Client::over(tcp(address));
        client.send(&bytes_of(&Packet::PingReq));
        assert_eq!(client.frame(), None);
    }
    wait_until("the failures are counted", || broker.refusals(RefusalReason::Protocol) == 3);
    assert!(is_closed(tcp(address)));
    assert_eq!(broker.refusals(RefusalReason::Banned), 1);
    bystander.ping();
}

#[test]
fn who_connects_and_leaves_like_a_health_check_has_broken_nothing() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let broker = start(&format!(
        "store.path = ''\nhttp.address = ''\ntls = {{ cert = '{}', key = '{}' }}\nban.failures = 1\nban.allow = []\n\
         listener = [{{ url = 'mqtt://127.0.0.1:0' }}, {{ url = 'ws://127.0.0.1:0' }}, {{ url = 'mqtts://127.0.0.1:0' }}]",
        path("server.pem"),
        path("server-key.pem")
    ));
    let addresses = broker.addresses();
    for _ in 0..3 {
        for address in &addresses {
            drop(tcp(*address));
        }
    }
    let trust = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    let mut clients = [
        Client::connected(tcp(addresses[0]), "plain"),
        Client::connected(websocket::connect(tcp(addresses[1])), "websocket"),
        Client::connected(tls::connect(addresses[2], &trust), "secure"),
    ];
    // A listener accepts in order: those who left have been seen by now.
    wait_until("only the clients are left", || broker.connections() == 3);
    for client in &mut clients {
        client.ping();
    }
    assert_eq!(RefusalReason::ALL.iter().map(|reason| broker.refusals(*reason)).sum::<u64>(), 0);
}

#[test]
fn a_client_that_comes_and_goes_is_banned_by_its_identifier_and_its_neighbours_are_not() {
    let (broker, address) = with_listener("", "[ban]\nflapping = 2\nallow = []\n");
    for _ in 0..2 {
        Client::connected(tcp(address), "flapping").disconnect();
    }
    assert_eq!(Client::over(tcp(address)).connect(&hello("flapping")), ReasonCode::Banned);
    assert_eq!(Client::over(tcp(address)).connect(&hello("flapping")), ReasonCode::Banned);
    Client::connected(tcp(address), "neighbour").ping();
    wait_until("both are counted", || broker.refusals(RefusalReason::Banned) == 2);
}

#[test]
fn a_reload_changes_networks_and_limits_without_a_disconnect() {
    let text = |more: &str| {
        format!("store.path = ''\nhttp.address = ''\nlistener = [{{ url = 'mqtt://127.0.0.1:0' {more} }}]")
    };
    let broker = start(&text(""));
    let address = broker.addresses()[0];
    let mut early = Client::connected(tcp(address), "early");
    let closed =
        dunlin::Config::from_toml("test.toml", &text(", deny = ['127.0.0.1']")).expect("it is valid");
    broker.reload(&closed).expect("nothing is wrong with it");
    assert!(is_closed(tcp(address)));
    let limited = format!("{}\nlimits.max_connections_per_address = 1", text(""));
    let limited = dunlin::Config::from_toml("test.toml", &limited).expect("it is valid");
    broker.reload(&limited).expect("nothing is wrong with it");
    // Those who were there before count.
    assert!(is_closed(tcp(address)));
    assert_eq!(broker.refusals(RefusalReason::AddressConnections), 1);
    early.ping();
}
