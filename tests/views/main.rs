//! What operators see and do over HTTP, with real clients: a broker in this process, with two workers and a store.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod port;

mod clients;
mod messages;
mod numbers;
mod requests;
mod stream;

use dunlin::{Broker, Config};
use tempfile::TempDir;

use port::Port;
use support::client::{Client, tcp};
use support::dunlin::directory;
use support::http::Asker;

/// A broker that runs, and the way to its operations port.
struct Running {
    broker: Option<Broker>,
    http: Port,
    config: String,
    directory: TempDir,
}

/// Starts one with more configuration.
fn start(more: &str) -> Running {
    let directory = directory();
    let path = directory.path().display();
    let config = format!(
        "store.path = '{path}'\nhttp.address = '127.0.0.1:0'\nserver.workers = 2\nsys.interval = '0s'\n\
         listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n{more}"
    );
    let (broker, http) = run(&config, &directory);
    Running { broker: Some(broker), http, config, directory }
}

fn run(config: &str, directory: &TempDir) -> (Broker, Port) {
    let config = Config::from_toml("test.toml", config).expect("the configuration is valid");
    let broker = Broker::start(config).unwrap_or_else(|error| panic!("{error}"));
    let token = std::fs::read_to_string(directory.path().join("api-token")).expect("there is a token");
    let address = broker.http_address().expect("the operations port is open");
    (broker, Port(Asker { address, token }))
}

impl Running {
    fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("it runs")
    }

    /// A client that is connected.
    fn client(&self, client_identifier: &str) -> Client {
        Client::connected(tcp(self.broker().addresses()[0]), client_identifier)
    }

    /// Stops it, and starts it again on what it has stored.
    fn restart(&mut self) {
        self.broker.take().expect("it runs").stop();
        let (broker, http) = run(&self.config, &self.directory);
        (self.broker, self.http) = (Some(broker), http);
    }
}
