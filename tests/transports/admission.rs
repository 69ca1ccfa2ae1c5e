//! Before CONNECT nobody is known: how long that may take, how much may come, how many may be in that state.

use std::time::{Duration, Instant};

use dunlin_codec::{Connect, Packet, ReasonCode};

use crate::support::client::{Client, bytes_of, hello, tcp};
use crate::support::process::DEADLINE;
use crate::{TRANSPORTS, Tcp, UnixSocket, WebSocket, start, start_everywhere};

/// Whether a client that connects over this address is let in; it is closed without a word where it is not.
fn is_let_in(address: std::net::SocketAddr, client_identifier: &str) -> Option<Client> {
    let mut client = Client::over(tcp(address));
    client.send(&bytes_of(&Packet::Connect(hello(client_identifier))));
    let has_come = client.next(|packet| packet.is_some());
    has_come.then_some(client)
}

/// Tries until a client is let in.
fn let_in_at_last(address: std::net::SocketAddr, client_identifier: &str) -> Client {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(client) = is_let_in(address, client_identifier) {
            return client;
        }
        assert!(Instant::now() < until, "{client_identifier} is never let in");
    }
}

#[test]
fn who_sends_no_connect_in_time_is_closed_on_every_transport_and_others_stay() {
    // spec(v5): [MQTT-3.1.4-1]
    const TIMEOUT: Duration = Duration::from_millis(100);
    let (_broker, listeners) = start_everywhere("limits.connect_timeout = '100ms'");
    let mut bystander = listeners.client(Tcp, "bystander");
    let connect = bytes_of(&Packet::Connect(hello("slow")));
    for transport in [Tcp, WebSocket, UnixSocket] {
        for sent in [0, 1, connect.len() - 1] {
            let started = Instant::now();
            let mut client = Client::over(listeners.open(transport));
            client.send(&connect[..sent]);
            assert_eq!(client.end(), None, "{transport:?}");
            assert!(started.elapsed() >= TIMEOUT, "{transport:?} is closed too early");
        }
    }
    // TLS and WebSocket handshakes count, too.
    for address in &listeners.addresses {
        assert_eq!(Client::over(tcp(*address)).end(), None, "{address}");
    }
    bystander.ping();
}

#[test]
fn a_first_packet_other_than_connect_closes_the_connection_without_an_answer() {
    // spec(v5): [MQTT-3.1.0-1] [MQTT-3.14.0-1]
    // spec(v3.1.1): [MQTT-3.1.0-1]
    let (_broker, listeners) = start_everywhere("");
    for transport in TRANSPORTS {
        let mut client = Client::over(listeners.open(transport));
        client.send(&bytes_of(&Packet::PingReq));
        assert_eq!(client.frame(), None, "{transport:?}");
    }
}

#[test]
fn a_connect_larger_than_its_limit_is_refused_by_its_first_bytes() {
    let (_broker, listeners) = start_everywhere("");
    let password = [b'x'; 65_535];
    let connect = Connect { user_name: Some("anna"), password: Some(&password), ..hello("greedy") };
    let bytes = bytes_of(&Packet::Connect(connect));
    assert!(bytes.len() > 64 * 1024);
    for transport in TRANSPORTS {
        let mut client = Client::over(listeners.open(transport));
        client.send(&bytes[..100]);
        let reason = client.end();
        assert!(matches!(reason, None | Some(ReasonCode::PacketTooLarge)), "{transport:?}: {reason:?}");
    }
    // One that fits is taken on every transport, whatever the transport adds to it.
    let connect = Connect { password: Some(&password[..16_000]), ..connect };
    for transport in TRANSPORTS {
        let mut client = Client::over(listeners.open(transport));
        assert_eq!(client.connect(&connect), ReasonCode::Success, "{transport:?}");
    }
}

#[test]
fn when_max_connections_is_reached_others_are_closed_until_one_leaves() {
    let config = "store.path = ''\nhttp.address = ''\nlimits.max_connections = 2\nlistener = [{ url = 'mqtt://127.0.0.1:0' }]";
    let broker = start(config);
    let address = broker.addresses()[0];
    let first = Client::connected(tcp(address), "first");
    let mut second = Client::connected(tcp(address), "second");
    assert!(is_let_in(address, "third").is_none());
    second.ping();
    first.disconnect();
    let_in_at_last(address, "third").ping();
    second.ping();
}

#[test]
fn the_max_connections_of_a_listener_count_for_it_alone() {
    let config = "store.path = ''\nhttp.address = ''\n\
                  listener = [{ url = 'mqtt://127.0.0.1:0', max_connections = 1 }, { url = 'mqtt://127.0.0.1:0' }]";
    let broker = start(config);
    let (small, large) = (broker.addresses()[0], broker.addresses()[1]);
    let first = Client::connected(tcp(small), "first");
    assert!(is_let_in(small, "second").is_none());
    Client::connected(tcp(large), "second").ping();
    first.disconnect();
    let_in_at_last(small, "third").ping();
}

#[test]
fn when_max_pending_handshakes_is_reached_others_are_closed_until_one_has_connected() {
    let config = "store.path = ''\nhttp.address = ''\nlimits.max_pending_handshakes = 2\nlistener = [{ url = 'mqtt://127.0.0.1:0' }]";
    let broker = start(config);
    let address = broker.addresses()[0];
    let mut admitted = Client::connected(tcp(address), "admitted");
    let mut silent: Vec<_> = (0..2).map(|_| Client::over(tcp(address))).collect();
    assert!(is_let_in(address, "third").is_none());
    admitted.ping();
    assert_eq!(silent[0].connect(&hello("no longer silent")), ReasonCode::Success);
    let_in_at_last(address, "third").ping();
}
