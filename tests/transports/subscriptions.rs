//! How many subscriptions a user and all together may have, over real sockets, across a reload and a restart.
//!
//! How they are counted on several shards is tested in `crates/dunlin-core/tests/durable_shards`.

use std::net::SocketAddr;
use std::path::Path;

use dunlin::{Broker, Config};
use dunlin_codec::{Connect, Packet, ProtocolVersion, ReasonCode};

use crate::gate::{ANNA, ANNA_PASSWORD};
use crate::support::client::{Client, hello, persistent, subscribe, tcp};
use crate::support::dunlin::{directory, write};

const GRANTED: u8 = 2;
const REFUSED: u8 = ReasonCode::QuotaExceeded.code();

/// A configuration with a store and one user, in a directory.
fn config(directory: &Path, limits: &str) -> Config {
    write(directory, "passwords", ANNA);
    let path = |name: &str| directory.join(name).display().to_string();
    let text = format!(
        "store.path = '{}'\nhttp.address = ''\nserver.workers = 2\nauth.password_file = '{}'\n\
         auth.allow_anonymous = true\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n{limits}",
        path("data"),
        path("passwords")
    );
    Config::from_toml("test.toml", &text).expect("it is valid")
}

/// A client of the only user, whose Session stays.
fn anna(address: SocketAddr, client_identifier: &str) -> Client {
    let mut client = Client::over(tcp(address));
    let login =
        Connect { user_name: Some("anna"), password: Some(ANNA_PASSWORD), ..persistent(client_identifier) };
    assert_eq!(client.connect(&login), ReasonCode::Success);
    client
}

/// Subscribes; what SUBACK says.
fn subscribes(client: &mut Client, filter: &str) -> u8 {
    client.send(&subscribe(filter));
    client.next(|packet| match packet {
        Some(Packet::SubAck(suback)) => suback.reason_codes[0],
        other => panic!("{other:?} instead of SUBACK"),
    })
}

#[test]
fn one_subscription_too_many_is_refused_a_reload_changes_that_and_a_restart_does_not_fail_for_it() {
    let directory = directory();
    let start =
        |limits| Broker::start(config(directory.path(), limits)).unwrap_or_else(|error| panic!("{error}"));
    let broker = start("limits.max_subscriptions_per_user = 3");
    let address = broker.addresses()[0];
    let (mut one, mut two) = (anna(address, "one"), anna(address, "two"));
    assert_eq!(
        [subscribes(&mut one, "a"), subscribes(&mut two, "a"), subscribes(&mut two, "b")],
        [GRANTED; 3]
    );
    assert_eq!([subscribes(&mut one, "b"), subscribes(&mut two, "c")], [REFUSED; 2]);
    let mut other = Client::connected(tcp(address), "other");
    assert_eq!(subscribes(&mut other, "b"), GRANTED);
    broker.reload(&config(directory.path(), "limits.max_subscriptions_per_user = 4")).expect("it is valid");
    assert_eq!([subscribes(&mut one, "b"), subscribes(&mut one, "c")], [GRANTED, REFUSED]);
    assert_eq!(broker.subscriptions(), 5);
    broker.stop();
    // The other's went with its connection.
    let broker = start("limits.max_subscriptions = 2");
    assert_eq!(broker.subscriptions(), 4);
    let mut one = anna(broker.addresses()[0], "one");
    assert_eq!([subscribes(&mut one, "c"), subscribes(&mut one, "a")], [REFUSED, GRANTED]);
}

#[test]
fn in_3_1_1_one_subscription_too_many_is_answered_with_0x80() {
    // spec(v3.1.1): [MQTT-3.9.3-2]
    let directory = directory();
    let broker = Broker::start(config(directory.path(), "limits.max_subscriptions = 1")).expect("it starts");
    let mut client = Client::over(tcp(broker.addresses()[0]));
    let version = ProtocolVersion::V3_1_1;
    let mut bytes = Vec::new();
    Packet::Connect(Connect { version, ..hello("old") }).encode(version, &mut bytes);
    // SUBSCRIBE to "a" and "b" at QoS 1.
    bytes.extend([0x82, 10, 0, 7, 0, 1, b'a', 1, 0, 1, b'b', 1]);
    client.send(&bytes);
    assert_eq!(client.frame(), Some(vec![0x20, 2, 0, 0]));
    assert_eq!(client.frame(), Some(vec![0x90, 4, 0, 7, 1, 0x80]));
}
