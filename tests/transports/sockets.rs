//! Listeners, Unix sockets among them, when a broker starts and stops.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use dunlin_codec::{Packet, ReasonCode};

use crate::support::client::{bytes_of, hello, tcp};
use crate::support::dunlin::directory;
use crate::{TRANSPORTS, Tls12, Tls13, start, start_everywhere};

#[test]
fn a_broker_that_stops_says_so_on_every_transport_and_then_nobody_can_connect() {
    let (broker, listeners) = start_everywhere("");
    let mut clients: Vec<_> = TRANSPORTS
        .iter()
        .map(|transport| (transport, listeners.client(*transport, &format!("client over {transport:?}"))))
        .collect();
    let goodbyes = std::thread::spawn(move || {
        for (transport, client) in &mut clients {
            assert_eq!(client.end(), Some(ReasonCode::ServerShuttingDown), "{transport:?}");
        }
    });
    broker.stop();
    goodbyes.join().expect("every client is told");
    for address in &listeners.addresses {
        assert!(std::net::TcpStream::connect(address).is_err(), "{address} is still open");
    }
    assert!(!listeners.socket().exists(), "the Unix socket is still there");
}

#[test]
fn a_unix_socket_left_over_from_a_crash_is_replaced_and_one_in_use_is_not() {
    let directory = directory();
    let path = directory.path().join("socket");
    // Nobody listens on it when the listener is gone, but the file stays.
    drop(UnixListener::bind(&path).expect("a socket can be made"));
    assert!(path.exists());
    let config =
        format!("store.path = ''\nhttp.address = ''\nlistener = [{{ url = 'unix://{}' }}]", path.display());
    let first = start(&config);
    let second = dunlin::Config::from_toml("test.toml", &config).expect("the configuration is valid");
    let Err(error) = dunlin::Broker::start(second) else {
        panic!("two brokers share a socket");
    };
    let expected = format!("cannot listen on unix://{}: another program uses this address", path.display());
    assert_eq!(error.to_string(), expected);
    first.stop();
}

#[test]
fn a_file_in_the_place_of_a_unix_socket_is_left_alone() {
    let directory = directory();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").expect("a file can be written");
    let config =
        format!("store.path = ''\nhttp.address = ''\nlistener = [{{ url = 'unix://{}' }}]", path.display());
    let config = dunlin::Config::from_toml("test.toml", &config).expect("the configuration is valid");
    assert!(dunlin::Broker::start(config).is_err());
    assert_eq!(std::fs::read(&path).expect("it is still there"), b"data");
}

#[test]
fn a_client_that_speaks_no_tls_is_not_answered_in_mqtt_by_a_tls_listener() {
    let (_broker, listeners) = start_everywhere("");
    let mut stream = tcp(listeners.addresses[1]);
    stream.write_all(b"\x10\x0f\0\x04MQTT\x04\x02\0\x0a\0\x03abc").expect("it listens");
    let mut answer = Vec::new();
    // The connection may be reset while the answer is read.
    let _ = stream.read_to_end(&mut answer);
    const TLS_ALERT: u8 = 21;
    assert!(answer.is_empty() || answer[0] == TLS_ALERT, "{answer:?}");
    listeners.client(Tls13, "next").ping();
}

#[test]
fn a_tls_connection_is_closed_so_that_its_client_knows_that_nothing_was_cut_off() {
    let (_broker, listeners) = start_everywhere("");
    for transport in [Tls12, Tls13] {
        let mut stream = listeners.open(transport);
        // A second CONNECT is a Protocol Error.
        let connect = bytes_of(&Packet::Connect(hello("client")));
        stream.write_all(&connect.repeat(2)).and_then(|()| stream.flush()).expect("the broker reads");
        let mut answer = Vec::new();
        // Without close_notify this is an error.
        stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{transport:?}: {error}"));
        assert_eq!(answer[0], 0x20, "CONNACK comes first");
    }
}
