//! A broker with a data directory of its own, which outlives it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::client::{Client, persistent, tcp};
use crate::support::dunlin::{Dunlin, directory};

/// The configuration of all tests here. The store is as it comes.
const CONFIG: &str = "store.path = 'data'\nhttp.address = ''\nlistener = [{ url = 'mqtt://127.0.0.1:0' }]\nlog.level = 'warn,dunlin=info'\n";

/// See the top of the file.
pub struct Broker {
    directory: TempDir,
    dunlin: Option<Dunlin>,
    address: Option<SocketAddr>,
    pub workers: usize,
}

impl Broker {
    /// Starts one on an empty directory.
    pub fn start(workers: usize) -> Self {
        let mut broker = Self { directory: directory(), dunlin: None, address: None, workers };
        broker.restart();
        broker
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("it runs")
    }

    /// Starts it again on what is in its directory.
    pub fn restart(&mut self) {
        let mut dunlin = self.launch();
        self.address = Some(dunlin.address(0));
        self.dunlin = Some(dunlin);
    }

    /// Starts it again, and kills it so soon that it may still be reading its store.
    pub fn restart_in_vain(&mut self, life: Duration) {
        let dunlin = self.launch();
        thread::sleep(life);
        dunlin.kill();
    }

    fn launch(&self) -> Dunlin {
        let workers = format!("server.workers = {}\n", self.workers);
        Dunlin::start(self.directory.path(), &format!("{workers}{CONFIG}"))
    }

    /// Kills it (`kill -9`) and waits until it is gone.
    pub fn kill(&mut self) {
        self.address = None;
        self.dunlin.take().expect("it runs").kill();
    }

    /// Kills it because a test has failed: its log, and its directory, which stays.
    pub fn autopsy(mut self) -> (String, PathBuf) {
        let log = self.dunlin.take().map(|dunlin| dunlin.kill().error);
        (log.unwrap_or_default(), self.directory.keep())
    }

    /// Kills it and starts it again.
    pub fn die_and_return(&mut self) {
        self.kill();
        self.restart();
    }

    /// Ends it as an operator does, and starts it again.
    pub fn stop_and_return(&mut self) {
        self.address = None;
        let ended = self.dunlin.take().expect("it runs").stop();
        assert_eq!(ended.status, 0, "{}", ended.error);
        self.restart();
    }

    /// A client with a Session that outlives its connections, and whether the broker had it.
    pub fn client(&self, client_identifier: &str) -> (Client, bool) {
        let mut client = Client::over(tcp(self.address()));
        let session_present = client.resume(&persistent(client_identifier));
        (client, session_present)
    }

    /// A client that must find its Session.
    #[track_caller]
    pub fn returning(&self, client_identifier: &str) -> Client {
        let (client, session_present) = self.client(client_identifier);
        assert!(session_present, "the Session of {client_identifier} is lost");
        client
    }
}
