//! A broker with the listeners a test needs, in a directory of its own with certificates and files.

use std::path::Path;

use tempfile::TempDir;

use crate::support::certificates;
use crate::support::dunlin::{self, Dunlin, QUIET};

/// What a test runs against.
pub struct Site {
    /// The broker; it ends with the value.
    pub broker: Dunlin,
    directory: TempDir,
}

impl Site {
    /// A broker with one listener for each URL scheme, on ports that the system chooses, and more
    /// configuration.
    pub fn new(schemes: &[&str], config: &str) -> Self {
        Self::prepared(schemes, config, |_| {})
    }

    /// The same; `prepare` puts files into its directory before the broker starts.
    pub fn prepared(schemes: &[&str], config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let directory = dunlin::directory();
        let is_tls = |scheme: &&str| matches!(*scheme, "mqtts" | "wss");
        if schemes.iter().any(is_tls) {
            certificates::make(directory.path(), "the authority of a test");
        }
        prepare(directory.path());
        let listener = |scheme: &&str| {
            let tls =
                if is_tls(scheme) { "tls = { cert = 'server.pem', key = 'server-key.pem' }" } else { "" };
            format!("[[listener]]\nurl = '{scheme}://127.0.0.1:0'\n{tls}\n")
        };
        let listeners: String = schemes.iter().map(listener).collect();
        let broker = Dunlin::start(directory.path(), &format!("{QUIET}{config}\n{listeners}"));
        Self { broker, directory }
    }

    /// The port of a listener, as text for a command line.
    pub fn port(&mut self, listener: usize) -> String {
        self.broker.address(listener).port().to_string()
    }

    /// The path of a file in the directory.
    pub fn file(&self, name: &str) -> String {
        self.directory.path().join(name).to_string_lossy().into_owned()
    }
}
