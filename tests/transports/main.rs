//! What lies below MQTT: sockets, TLS and WebSocket, seen by clients that send exactly the bytes a test
//! wants.
//!
//! Most tests start a broker inside this process that listens on every transport at once, with three workers,
//! so that connections are accepted by one worker and served by another.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod admission;
mod gate;
mod guesses;
mod hostile;
mod identities;
mod rates;
mod sockets;
mod streams;
mod subscriptions;
mod websocket;
mod workers;

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use dunlin::{Broker, Config};
use tempfile::TempDir;

use support::client::{Client, Stream, tcp};
use support::process::DEADLINE;
use support::{certificates, dunlin::directory, tls, websocket as ws};

/// A way to the broker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Transport {
    Tcp,
    Tls12,
    Tls13,
    WebSocket,
    SecureWebSocket,
    UnixSocket,
}

use Transport::{SecureWebSocket, Tcp, Tls12, Tls13, UnixSocket, WebSocket};

const TRANSPORTS: [Transport; 6] = [Tcp, Tls12, Tls13, WebSocket, SecureWebSocket, UnixSocket];

/// Where a broker listens, one listener for each kind.
struct Listeners {
    directory: TempDir,
    /// TCP, TLS, WebSocket, WebSocket over TLS.
    addresses: Vec<SocketAddr>,
}

/// The configuration of a broker that listens everywhere, with its files in `directory`.
fn everywhere(directory: &Path, config: &str) -> String {
    certificates::make(directory, "the authority of a test");
    let path = |name: &str| directory.join(name).display().to_string();
    let mut text = format!("store.path = ''\nhttp.address = ''\n{config}\n");
    for url in ["mqtt://127.0.0.1:0", "mqtts://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0"] {
        text += &format!("[[listener]]\nurl = '{url}'\n");
    }
    text += &format!("[[listener]]\nurl = 'unix://{}'\n", path("socket"));
    text + &format!("[tls]\ncert = '{}'\nkey = '{}'\n", path("server.pem"), path("server-key.pem"))
}

/// A broker in this process.
fn start(config: &str) -> Broker {
    Broker::start(Config::from_toml("test.toml", config).expect("the configuration is valid"))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A broker in this process that listens everywhere, with three workers and more configuration.
fn start_everywhere(config: &str) -> (Broker, Listeners) {
    let directory = directory();
    let broker = start(&everywhere(directory.path(), &format!("server.workers = 3\n{config}")));
    let addresses = broker.addresses();
    (broker, Listeners { directory, addresses })
}

impl Listeners {
    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// A connection over this transport, up to where MQTT begins.
    fn open(&self, transport: Transport) -> Box<dyn Stream> {
        let trust = |versions| tls::trusting(&self.directory.path().join("ca.pem"), versions);
        match transport {
            Tcp => Box::new(tcp(self.addresses[0])),
            Tls12 => Box::new(tls::connect(self.addresses[1], &trust(&[&rustls::version::TLS12]))),
            Tls13 => Box::new(tls::connect(self.addresses[1], &trust(&[&rustls::version::TLS13]))),
            WebSocket => Box::new(ws::connect(tcp(self.addresses[2]))),
            SecureWebSocket => {
                Box::new(ws::connect(tls::connect(self.addresses[3], &trust(tls::EVERY_VERSION))))
            }
            UnixSocket => {
                let stream = UnixStream::connect(self.socket()).expect("the broker listens");
                stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
                stream.set_write_timeout(Some(DEADLINE)).expect("a timeout can be set");
                Box::new(stream)
            }
        }
    }

    /// A client over this transport that is connected.
    fn client(&self, transport: Transport, client_identifier: &str) -> Client {
        Client::connected(self.open(transport), client_identifier)
    }
}
