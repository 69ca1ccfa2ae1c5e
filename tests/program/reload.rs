//! SIGHUP: users, rules and certificates change under clients that stay connected.

use std::time::Instant;

use dunlin_codec::{Packet, QoS, ReasonCode};
use rustix::process::Signal;

use crate::support::client::{Client, hello, publish, tcp};
use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::support::process::DEADLINE;
use crate::support::{certificates, tls};
use crate::{ANNA, ANNA_PASSWORD, BORIS, BORIS_PASSWORD, log_in};

const LOCAL: &str = "listener = [{ url = 'mqtt://127.0.0.1:0' }]\n";

fn reload(dunlin: &mut Dunlin) {
    dunlin.signal(Signal::HUP);
    dunlin.wait_for("configuration reloaded");
}

#[test]
fn a_reload_changes_who_may_connect_and_disconnects_nobody() {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let config = format!("auth.password_file = 'passwords'\nauth.allow_anonymous = false\n{QUIET}{LOCAL}");
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    let (mut anna, reason) = log_in(address, "anna", ANNA_PASSWORD);
    assert_eq!(reason, ReasonCode::Success);
    assert_eq!(log_in(address, "boris", BORIS_PASSWORD).1, ReasonCode::BadUserNameOrPassword);

    write(directory.path(), "passwords", BORIS);
    reload(&mut dunlin);
    assert_eq!(log_in(address, "boris", BORIS_PASSWORD).1, ReasonCode::Success);
    anna.ping();
    assert_eq!(log_in(address, "anna", ANNA_PASSWORD).1, ReasonCode::BadUserNameOrPassword);
    anna.ping();
}

#[test]
fn a_reload_changes_what_a_connected_client_may_do() {
    let directory = directory();
    write(directory.path(), "acl", "topic readwrite open/#\n");
    let mut dunlin = Dunlin::start(directory.path(), &format!("auth.acl_file = 'acl'\n{QUIET}{LOCAL}"));
    let mut client = Client::connected(tcp(dunlin.address(0)), "client");
    let mut told = |topic: &str| {
        client.send(&publish(topic, b"", QoS::AtLeastOnce, 1));
        client.next(|packet| match packet {
            Some(Packet::PubAck(puback)) => puback.reason_code,
            other => panic!("{other:?} instead of PUBACK"),
        })
    };
    assert_eq!(told("open/door"), ReasonCode::NoMatchingSubscribers);
    assert_eq!(told("closed/door"), ReasonCode::NotAuthorized);
    write(directory.path(), "acl", "topic readwrite closed/#\n");
    reload(&mut dunlin);
    assert_eq!(told("open/door"), ReasonCode::NotAuthorized);
    assert_eq!(told("closed/door"), ReasonCode::NoMatchingSubscribers);
}

#[test]
fn a_reload_changes_the_certificate_of_new_connections_only() {
    let directory = directory();
    certificates::make(directory.path(), "the first authority");
    let config = format!(
        "{QUIET}listener = [{{ url = 'mqtts://127.0.0.1:0' }}]\n[tls]\ncert = 'server.pem'\nkey = 'server-key.pem'\n"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    let first_authority = directory.path().join("ca.pem");
    let first = tls::trusting(&first_authority, tls::EVERY_VERSION);
    let mut early = Client::connected(tls::connect(address, &first), "early");

    certificates::make(directory.path(), "the second authority");
    reload(&mut dunlin);
    let second = tls::trusting(&first_authority, tls::EVERY_VERSION);
    let mut late = Client::connected(tls::connect(address, &second), "late");
    late.ping();
    early.ping();
    // The old authority did not sign what is shown now: rustls ends the handshake.
    let mut stale = Client::over(tls::connect(address, &first));
    assert!(stale.try_send(&[0]).is_err(), "the first certificate is still in use");
}

#[test]
fn a_reload_of_something_broken_changes_nothing_and_says_why() {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let config = format!("auth.password_file = 'passwords'\n{QUIET}{LOCAL}");
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    write(directory.path(), "passwords", &format!("{BORIS}carla\n"));
    dunlin.signal(Signal::HUP);
    let line = dunlin.wait_for("nothing was reloaded");
    assert!(
        line.contains("nothing was reloaded: dunlin.toml:1: auth.password_file: passwords:2: "),
        "{line}"
    );
    assert_eq!(log_in(address, "anna", ANNA_PASSWORD).1, ReasonCode::Success);
    assert_eq!(log_in(address, "boris", BORIS_PASSWORD).1, ReasonCode::BadUserNameOrPassword);
}

#[test]
fn each_mistake_of_a_reload_is_a_record_of_its_own() {
    let directory = directory();
    let mut dunlin = Dunlin::start(directory.path(), &format!("{QUIET}{LOCAL}"));
    // Before it listens, a signal would end it.
    dunlin.address(0);
    let mistakes = "session.max_inflight = 0\nlimits.max_topic_levels = 0\n";
    write(directory.path(), "dunlin.toml", &format!("{mistakes}{QUIET}{LOCAL}"));
    dunlin.signal(Signal::HUP);
    for place in ["dunlin.toml:1: session.max_inflight", "dunlin.toml:2: limits.max_topic_levels"] {
        let line = dunlin.wait_for("nothing was reloaded");
        assert!(line.contains(&format!("ERROR nothing was reloaded: {place}")), "{line}");
    }
}

#[test]
fn a_reload_names_the_options_that_need_a_restart_and_only_those() {
    let directory = directory();
    let config = |options: &str, listener: &str| {
        format!("{options}\n{QUIET}listener = [{{ url = 'mqtt://127.0.0.1:0'{listener} }}]\n")
    };
    let mut dunlin = Dunlin::start(directory.path(), &config("session.receive_maximum = 10", ""));
    // Before it listens, a signal would end it.
    dunlin.address(0);
    let mut told = |config: &str| {
        write(directory.path(), "dunlin.toml", config);
        dunlin.signal(Signal::HUP);
        let line = dunlin.wait_for("restart");
        let message = line.split_once("WARN ").unwrap_or_else(|| panic!("{line}")).1.trim().to_owned();
        dunlin.wait_for("configuration reloaded");
        message
    };
    let several = "store.segment_size = '1MB'\nserver.core_dumps = true\nauth.allow_anonymous = true\nlimits.max_topic_levels = 9";
    assert_eq!(
        told(&config(several, ", allow_anonymous = false, max_packet_size = '1KB'")),
        "server.core_dumps, session.receive_maximum, store.segment_size need a restart"
    );
    // What counts is what the broker was started with, not what the last reload said.
    assert_eq!(told(&config("session.receive_maximum = 9", "")), "session.receive_maximum needs a restart");
    // Defaults and other ways to write a value are no changes.
    write(
        directory.path(),
        "dunlin.toml",
        &config("session.receive_maximum = 1_0\nsession.overflow = 'drop-oldest'", ""),
    );
    reload(&mut dunlin);
    let log = dunlin.stop().error;
    assert_eq!(log.matches("restart").count(), 2, "{log}");
}

#[test]
fn a_reload_changes_who_may_connect_to_one_listener() {
    let directory = directory();
    let config = |allow_anonymous: bool| {
        format!("{QUIET}listener = [{{ url = 'mqtt://127.0.0.1:0', allow_anonymous = {allow_anonymous} }}]\n")
    };
    let mut dunlin = Dunlin::start(directory.path(), &config(true));
    let address = dunlin.address(0);
    Client::connected(tcp(address), "welcome").disconnect();
    write(directory.path(), "dunlin.toml", &config(false));
    reload(&mut dunlin);
    assert_eq!(Client::over(tcp(address)).connect(&hello("late")), ReasonCode::NotAuthorized);
}

#[test]
fn a_reload_changes_the_level_of_the_log_and_whether_strangers_are_welcome() {
    let directory = directory();
    let config = |level: &str, allow_anonymous: bool| {
        format!("log.level = '{level}'\nauth.allow_anonymous = {allow_anonymous}\n{QUIET}{LOCAL}")
    };
    let mut dunlin = Dunlin::start(directory.path(), &config("info", true));
    let address = dunlin.address(0);
    let mut early = Client::connected(tcp(address), "early");
    write(directory.path(), "dunlin.toml", &config("warn", false));
    dunlin.signal(Signal::HUP);
    // The message about the reload is not severe enough any more, so the effect itself is awaited.
    let until = Instant::now() + DEADLINE;
    while Client::over(tcp(address)).connect(&hello("late")) != ReasonCode::NotAuthorized {
        assert!(Instant::now() < until, "the reload has no effect");
    }
    early.ping();
    write(directory.path(), "dunlin.toml", &config("info", true));
    reload(&mut dunlin);
    Client::connected(tcp(address), "welcome").disconnect();
    let log = dunlin.stop().error;
    assert!(log.contains("welcome"), "{log}");
}

#[test]
fn a_reload_changes_the_format_of_the_log() {
    let directory = directory();
    let config = |format: &str| format!("log.format = '{format}'\n{QUIET}{LOCAL}");
    let mut dunlin = Dunlin::start(directory.path(), &config("auto"));
    let address = dunlin.address(0);
    write(directory.path(), "dunlin.toml", &config("json"));
    dunlin.signal(Signal::HUP);
    dunlin.wait_for("\"message\":\"configuration reloaded\"");
    Client::connected(tcp(address), "client").disconnect();
    dunlin.wait_for("\"message\":\"connected\",\"client\":\"\\\"client\\\"\"");
    write(directory.path(), "dunlin.toml", &config("text"));
    dunlin.signal(Signal::HUP);
    dunlin.wait_for(" INFO configuration reloaded");
}
