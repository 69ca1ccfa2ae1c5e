//! From start to end: what the log announces, who may connect, the operations port, and the signals that stop
//! it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use dunlin_codec::{Connect, ProtocolVersion, ReasonCode};
use rustix::process::Signal;

use crate::support::client::{Client, hello, tcp};
use crate::support::dunlin::{Dunlin, QUIET, command, directory};

const LOCAL: &str = "listener = [{ url = 'mqtt://127.0.0.1:0' }]\n";

/// The status line of an answer of the operations port.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = tcp(address);
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
        .expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_log_says_what_listens_where_and_how_to_let_others_in() {
    let directory = directory();
    let config = format!(
        "{QUIET}[[listener]]\nurl = 'mqtt://127.0.0.1:0'\n[[listener]]\nurl = 'ws://127.0.0.1:0/mqtt'\n"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let (mqtt, ws) = (dunlin.address(0), dunlin.address(1));
    assert_ne!(mqtt, ws);
    let hint = dunlin.wait_for("only this machine can connect");
    let advice = format!(
        "only this machine can connect; to open it to everyone: DUNLIN__AUTH__ALLOW_ANONYMOUS=true \
         {} serve --config dunlin.toml --listen mqtt://0.0.0.0:1883 \
         (or only to users: DUNLIN__AUTH__PASSWORD_FILE=FILE)",
        env!("CARGO_BIN_EXE_dunlin")
    );
    assert!(hint.ends_with(&advice), "{hint}");
    let ended = dunlin.stop();
    let expected = [
        format!("listening url=mqtt://127.0.0.1:0 address={mqtt}"),
        format!("listening url=ws://127.0.0.1:0/mqtt address={ws}"),
    ];
    for line in expected {
        assert!(ended.error.contains(&line), "no {line:?} in\n{}", ended.error);
    }
    assert_eq!(ended.output, "", "the log goes to standard error");
}

#[test]
fn a_listener_that_the_network_reaches_refuses_strangers_and_says_so() {
    let directory = directory();
    let mut dunlin =
        Dunlin::start(directory.path(), &format!("{QUIET}listener = [{{ url = 'mqtt://0.0.0.0:0' }}]\n"));
    let port = dunlin.address(0).port();
    let advice = dunlin.wait_for("refuses everyone");
    let expected = "mqtt://0.0.0.0:0 refuses everyone, because there are no users: set auth.password_file to admit \
                    users, or auth.allow_anonymous = true to admit everyone (docs/configuration.md)";
    assert!(advice.ends_with(expected), "{advice}");
    let mut stranger = Client::over(tcp(SocketAddr::from(([127, 0, 0, 1], port))));
    assert_eq!(stranger.connect(&hello("stranger")), ReasonCode::NotAuthorized);
    // spec(v5): [MQTT-3.2.2-7]
    assert_eq!(stranger.end(), None);
}

#[test]
fn flags_win_over_the_file() {
    let directory = directory();
    crate::support::dunlin::write(directory.path(), "dunlin.toml", &format!("{QUIET}{LOCAL}"));
    let mut command = command(
        directory.path(),
        &[
            "--config",
            "dunlin.toml",
            "--listen",
            "ws://127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--data-dir",
            "data",
        ],
    );
    let mut dunlin = Dunlin::run(&mut command);
    assert!(dunlin.wait_for("listening").contains("ws://127.0.0.1:0/mqtt"));
    dunlin.wait_for("operations port: http://127.0.0.1:");
    assert!(directory.path().join("data").is_dir());
    assert_eq!(dunlin.stop().error.matches("listening").count(), 1);
}

#[test]
fn the_operations_port_tells_that_the_broker_lives_and_is_ready() {
    let directory = directory();
    let config = format!("store.path = ''\nhttp.address = '127.0.0.1:0'\n{LOCAL}");
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let line = dunlin.wait_for("operations port: ");
    let address =
        line.split("http://").nth(1).and_then(|rest| rest.strip_suffix("/healthz")).expect("an address");
    let address = address.parse().expect("an address");
    assert_eq!(get(address, "/healthz"), "HTTP/1.1 200 OK");
    assert_eq!(get(address, "/readyz"), "HTTP/1.1 200 OK");
    assert_eq!(get(address, "/secrets"), "HTTP/1.1 404 Not Found");
}

#[test]
fn without_its_default_operations_port_the_broker_warns_and_runs() {
    // Whoever has the port, it is taken.
    let _taken = TcpListener::bind("127.0.0.1:18083");
    let directory = directory();
    let mut dunlin = Dunlin::start(directory.path(), &format!("store.path = ''\n{LOCAL}"));
    let warning = dunlin.wait_for("WARN");
    let expected = "the operations port is taken: running without /healthz (--http sets another) address=127.0.0.1:18083";
    assert!(warning.ends_with(expected), "{warning}");
    let address = dunlin.address(0);
    Client::connected(tcp(address), "guest").ping();
    assert_eq!(dunlin.stop().status, 0);
}

/// Stops a broker with clients of all kinds by this signal.
fn stops_orderly(signal: Signal) {
    let directory = directory();
    let mut dunlin = Dunlin::start(directory.path(), &format!("{QUIET}{LOCAL}"));
    let address = dunlin.address(0);
    let mut current: Vec<_> =
        (0..8).map(|number| Client::connected(tcp(address), &format!("current-{number}"))).collect();
    let mut old = Client::over(tcp(address));
    let connect = Connect { version: ProtocolVersion::V3_1_1, ..hello("old") };
    let mut bytes = Vec::new();
    connect.encode(ProtocolVersion::V3_1_1, &mut bytes);
    old.send(&bytes);
    assert_eq!(old.frame(), Some(vec![0x20, 2, 0, 0]));
    // Neither a client that does not read nor one without CONNECT holds up the end.
    let _asleep = Client::connected(tcp(address), "asleep");
    let _silent = tcp(address);
    dunlin.signal(signal);
    for client in &mut current {
        assert_eq!(client.end(), Some(ReasonCode::ServerShuttingDown));
    }
    assert_eq!(old.frame(), None, "3.1.1 has no DISCONNECT of the Server");
    let ended = dunlin.finish();
    assert_eq!(ended.status, 0, "{}", ended.error);
}

#[test]
fn sigterm_disconnects_every_client_and_ends_with_status_0() {
    stops_orderly(Signal::TERM);
}

#[test]
fn sigint_disconnects_every_client_and_ends_with_status_0() {
    stops_orderly(Signal::INT);
}

#[test]
fn the_shutdown_deadline_cuts_clients_that_do_not_go() {
    let directory = directory();
    let config = format!("server.shutdown_deadline = '0s'\n{QUIET}{LOCAL}");
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    let _asleep = Client::connected(tcp(address), "asleep");
    let ended = dunlin.stop();
    assert_eq!(ended.status, 0);
    assert!(ended.error.contains("server.shutdown_deadline has passed"), "{}", ended.error);
}
