//! Certificates that change or end while the broker runs, without anybody telling it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::certificates::{self, Authority};
use crate::support::client::Client;
use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::support::{tls, websocket};

const SERVER: &str = "cert = 'server.pem'\nkey = 'server-key.pem'\n";

fn start(directory: &Path, tls: &str) -> Dunlin {
    let config = format!("{QUIET}listener = [{{ url = 'mqtts://127.0.0.1:0' }}]\n[tls]\n{tls}");
    Dunlin::start(directory, &config)
}

#[test]
fn a_new_certificate_is_used_without_a_signal_and_disconnects_nobody() {
    let directory = directory();
    certificates::make(directory.path(), "the first authority");
    let mut dunlin = start(directory.path(), SERVER);
    let address = dunlin.address(0);
    let first = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    let mut early = Client::connected(tls::connect(address, &first), "early");

    certificates::make(directory.path(), "the second authority");
    let line = dunlin.wait_for("were reloaded");
    assert!(line.contains("mqtts://127.0.0.1:0"), "{line}");
    let second = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    Client::connected(tls::connect(address, &second), "late").ping();
    early.ping();
}

#[test]
fn a_certificate_that_cannot_be_used_leaves_the_old_one_and_is_named_in_the_log() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let mut dunlin = start(directory.path(), SERVER);
    let address = dunlin.address(0);
    let trust = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    write(directory.path(), "server-key.pem", "not a key");
    let line = dunlin.wait_for("stay as they were");
    assert!(line.contains("key = \"server-key.pem\": the file holds no private key in PEM format"), "{line}");
    Client::connected(tls::connect(address, &trust), "client").ping();
}

#[test]
fn a_signal_with_a_certificate_that_cannot_be_used_changes_nothing_at_all() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let config = |tls: &str| {
        format!(
            "{QUIET}listener = [{{ url = 'mqtts://127.0.0.1:0', allow_anonymous = true }}]\n[tls]\n{SERVER}watch = false\n{tls}"
        )
    };
    let mut dunlin = Dunlin::start(directory.path(), &config(""));
    let address = dunlin.address(0);
    let trust = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    write(
        directory.path(),
        "dunlin.toml",
        &config("client_ca = 'server-key.pem'\nrequire_client_cert = true"),
    );
    dunlin.signal(Signal::HUP);
    let line = dunlin.wait_for("nothing was reloaded");
    let problem = "tls.client_ca = \"server-key.pem\": the file holds no certificate in PEM format";
    assert!(line.contains(problem), "{line}");
    Client::connected(tls::connect(address, &trust), "client").ping();

    write(directory.path(), "dunlin.toml", &config("client_ca = 'ca.pem'\nrequire_client_cert = true"));
    dunlin.signal(Signal::HUP);
    dunlin.wait_for("configuration reloaded");
    assert!(!tls::is_served(address, &trust));
    assert!(tls::is_served(address, &tls::showing(directory.path(), "client")));
}

#[test]
fn an_authority_without_a_list_of_revoked_certificates_is_named_in_the_log() {
    let (elsewhere, directory) = (directory(), directory());
    let other = Authority::new(elsewhere.path(), "another authority");
    other.revoke(&[]);
    certificates::make(directory.path(), "the authority of a test");
    let list = elsewhere.path().join("crl.pem").display().to_string();
    let mut dunlin =
        start(directory.path(), &format!("{SERVER}client_ca = 'ca.pem'\nclient_crl = '{list}'\n"));
    let line = dunlin.wait_for("no list of revoked certificates");
    assert!(line.contains("CN=the authority of a test"), "{line}");
    let address = dunlin.address(0);
    assert!(!tls::is_served(address, &tls::showing(directory.path(), "client")));
    let trust = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    assert!(tls::is_served(address, &trust));
}

#[test]
fn a_revoked_client_is_refused_from_then_on_and_open_connections_stay() {
    let directory = directory();
    let authority = certificates::make(directory.path(), "the authority of a test");
    authority.client("other", "other", 1001);
    authority.revoke(&[]);
    let mutual =
        format!("{SERVER}client_ca = 'ca.pem'\nclient_crl = 'crl.pem'\nrequire_client_cert = true\n");
    let mut dunlin = start(directory.path(), &format!("{mutual}[auth]\nallow_anonymous = true\n"));
    let address = dunlin.address(0);
    let (client, other) = (tls::showing(directory.path(), "client"), tls::showing(directory.path(), "other"));
    let mut early = Client::connected(tls::connect(address, &client), "early");
    // It has a ticket now.
    early.ping();

    authority.revoke(&[1000]);
    dunlin.wait_for("were reloaded");
    assert!(!tls::is_served(address, &client));
    assert!(!tls::is_served(address, &tls::showing(directory.path(), "client")));
    assert!(tls::is_served(address, &other));
    early.ping();
    let log = dunlin.stop().error;
    assert!(log.contains("Revoked"), "{log}");
}

#[test]
fn the_end_of_a_certificate_is_in_the_log_ahead_of_it() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let directory = directory();
    let authority = Authority::new(directory.path(), "the authority of a test");
    authority.server_until("server", &["localhost"], Some(10 * DAY + DAY / 2));
    let mut dunlin = start(directory.path(), SERVER);
    let line = dunlin.wait_for("expires soon");
    for part in ["WARN", "server.pem", "CN=server", "days_left=10"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    drop(dunlin);
    authority.server_until("server", &["localhost"], Some(Duration::ZERO));
    let mut dunlin = start(directory.path(), SERVER);
    let line = dunlin.wait_for("has expired");
    assert!(line.contains("ERROR") && line.contains("server.pem"), "{line}");
}

#[test]
fn a_client_that_offers_applications_is_served_where_they_are_spoken() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let config = format!(
        "{QUIET}listener = [{{ url = 'mqtts://127.0.0.1:0' }}, {{ url = 'wss://127.0.0.1:0' }}]\n[tls]\n{SERVER}"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let trust = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    let offering = |name: &[u8]| {
        let mut config = (*trust).clone();
        config.alpn_protocols = vec![name.to_vec()];
        Arc::new(config)
    };
    let (mqtts, wss) = (dunlin.address(0), dunlin.address(1));
    Client::connected(tls::connect(mqtts, &offering(b"mqtt")), "over tls").ping();
    let websocket = websocket::connect(tls::connect(wss, &offering(b"http/1.1")));
    Client::connected(websocket, "over websocket").ping();
    assert!(!tls::is_served(mqtts, &offering(b"http/1.1")));
    let log = dunlin.stop().error;
    assert!(log.contains("peer doesn't support any known protocol"), "{log}");
}
