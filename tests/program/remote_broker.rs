//! The same commands against a broker that runs: whether they and the API mean the same.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use dunlin_codec::ReasonCode;
use serde_json::Value;

use crate::api_access::start;
use crate::run;
use crate::support::certificates;
use crate::support::client::{Client, tcp};
use crate::support::dunlin::{command, directory, write};
use crate::support::process::Process;

/// Runs a command for the broker of this directory, as the same user on the same machine does.
fn here(directory: &Path, address: SocketAddr, arguments: &[&str]) -> (i32, String, String) {
    let address = address.to_string();
    run(directory, &[arguments, &["--config", "dunlin.toml", "--http", &address]].concat())
}

#[test]
fn the_broker_is_shown_without_a_token_being_named() {
    let directory = directory();
    let (mut dunlin, address) = start(directory.path(), "");
    let mut lamp = Client::connected(tcp(dunlin.address(0)), "lamp");
    lamp.subscribe("home/#");
    let mut worker = Client::connected(tcp(dunlin.address(0)), "worker");
    worker.subscribe("$share/w/jobs");
    let ask = |arguments: &[&str]| {
        let (status, output, error) = here(directory.path(), address, arguments);
        assert_eq!((status, error.as_str()), (0, ""), "{arguments:?}: {output}");
        output
    };
    let output = ask(&["status"]);
    assert!(
        output.contains("ready              yes") && output.contains("store              writing, "),
        "{output}"
    );
    let output = ask(&["clients", "--search", "am"]);
    assert!(output.lines().count() == 2 && output.contains("\nlamp    connected  "), "{output}");
    let output = ask(&["clients", "show", "lamp"]);
    assert!(
        output.contains("with its connection") && output.contains("\nSubscriptions:\nFILTER  "),
        "{output}"
    );
    let output = ask(&["groups"]);
    assert!(output.contains("\n$share/w/jobs  "), "{output}");
    assert!(ask(&["listeners"]).contains("\nmqtt://127.0.0.1:0"));
    assert_eq!(ask(&["drops"]), "no message was dropped, no connection refused\n");
    assert_eq!(ask(&["log"]), "info\n");
    assert_eq!(ask(&["log", "info,dunlin::tls=debug"]), "");
    assert_eq!(ask(&["log"]), "info,dunlin::tls=debug\n");
    assert_eq!(ask(&["reload"]), "configuration reloaded\n");
    assert_eq!(ask(&["log"]), "info\n");
    for (command, member) in
        [("status", "version"), ("clients", "clients"), ("groups", "groups"), ("drops", "drops")]
    {
        let answer: Value = serde_json::from_str(&ask(&[command, "--json"])).expect("it is JSON");
        assert!(!answer[member].is_null(), "{answer}");
    }
}

#[test]
fn a_configuration_is_compared_with_what_the_running_broker_has() {
    let directory = directory();
    let (_dunlin, address) = start(directory.path(), "");
    let config = std::fs::read_to_string(directory.path().join("dunlin.toml")).expect("it is there");
    write(directory.path(), "new.toml", &format!("{config}session.max_inflight = 10\n"));
    let address = address.to_string();
    let diff = |file: &str| run(directory.path(), &["check", "--diff", "--config", file, "--http", &address]);
    let (status, output, error) = diff("new.toml");
    assert_eq!((status, error.as_str()), (0, ""), "{output}");
    assert!(output.contains("reload   session.max_inflight: 1000 (default) -> 10 (new.toml:"), "{output}");
    let (_, output, _) = diff("dunlin.toml");
    assert!(!output.contains("session."), "{output}");
}

#[test]
fn who_is_kicked_is_gone_and_the_session_with_it_if_that_was_asked_for() {
    let directory = directory();
    let (mut dunlin, address) = start(directory.path(), "");
    let kick = |arguments: &[&str]| here(directory.path(), address, &[&["kick", "lamp"], arguments].concat());
    let mut lamp = Client::connected(tcp(dunlin.address(0)), "lamp");
    assert_eq!(kick(&[]), (0, String::new(), String::new()));
    assert_eq!(lamp.end(), Some(ReasonCode::AdministrativeAction));
    let (status, _, error) = kick(&["--end-session"]);
    assert_eq!((status, error.starts_with("dunlin: the client \"lamp\" ")), (1, true), "{error}");
}

#[test]
fn a_retained_message_is_set_listed_printed_and_cleared() {
    let directory = directory();
    let (_dunlin, address) = start(directory.path(), "");
    let retained = |arguments: &[&str]| here(directory.path(), address, &[&["retained"], arguments].concat());
    let topic = "home/küche 7/#state?";
    let (status, _, error) = retained(&["set", topic, "on"]);
    assert!(status == 2 && error.contains("contains a wildcard"), "{error}");
    let topic = "home/küche 7/state?";
    assert_eq!(retained(&["set", topic, "on", "--qos", "1", "--expiry", "1h"]).0, 0);
    let (_, output, _) = retained(&["list", "home/+/state?"]);
    assert!(
        output.contains("\nhome/küche 7/state?    1  2 bytes  ") && output.contains("  in 59 min  "),
        "{output}"
    );
    assert_eq!(retained(&["get", topic]).1, "on\n");
    assert_eq!(retained(&["clear", topic]).0, 0);
    let (status, _, error) = retained(&["get", topic]);
    assert!(status == 1 && error.contains(topic), "{error}");
}

#[test]
fn a_trace_shows_what_a_client_does_meanwhile() {
    let directory = directory();
    let (mut dunlin, address) = start(directory.path(), "");
    let mut lamp = Client::connected(tcp(dunlin.address(0)), "lamp");
    let http = address.to_string();
    let arguments = ["trace", "--client", "lamp", "--count", "2", "--config", "dunlin.toml", "--http", &http];
    let trace = Process::start(&mut command(directory.path(), &arguments), "cargo builds it for the tests");
    let is_over = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        // Nothing says when the trace has begun, so something happens until it has seen enough.
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                lamp.publish("home/lamp", b"on");
            }
        });
        let ended = trace.finish();
        is_over.store(true, Ordering::SeqCst);
        ended
    });
    assert_eq!((ended.status, ended.output.lines().count()), (0, 2), "{}", ended.error);
    assert!(
        ended.output.contains(" lamp -> PUBLISH ") && ended.output.contains("topic=\"home/lamp\""),
        "{}",
        ended.output
    );
}

#[test]
fn over_tls_the_certificate_of_the_configuration_vouches_and_elsewhere_an_authority() {
    let directory = directory();
    certificates::make(directory.path(), "operators");
    let config = "[http.tls]\ncert = 'server.pem'\nkey = 'server-key.pem'\n";
    let (_dunlin, address) = start(directory.path(), config);
    let (status, output, error) = here(directory.path(), address, &["status"]);
    assert_eq!((status, output.contains("0.1.0, up for")), (0, true), "{error}");
    let (_, token, _) = run(directory.path(), &["token", "create", "watcher", "--data-dir", "data"]);
    write(directory.path(), "token", &token);
    let url = format!("https://{address}");
    let far = |command: &[&str], more: &[&str]| {
        run(directory.path(), &[command, &["--http", &url, "--token-file", "token"], more].concat())
    };
    let (status, _, error) = far(&["status"], &["--ca-file", "ca.pem"]);
    assert_eq!(status, 0, "{error}");
    let (status, _, error) = far(&["kick", "lamp"], &["--ca-file", "ca.pem"]);
    assert_eq!((status, error.contains("\"watcher\" may only read")), (1, true), "{error}");
    let others = directory.path().join("others");
    std::fs::create_dir(&others).expect("it can be made");
    certificates::make(&others, "strangers");
    let (status, _, error) = far(&["status"], &["--ca-file", "others/ca.pem"]);
    let expected = format!(
        "dunlin: no TLS with {url}: its certificate is from no authority that is trusted here: name the one that vouches \
         for it with --ca-file FILE\n"
    );
    assert_eq!((status, error), (3, expected));
    write(
        directory.path(),
        "other.toml",
        "store.path = 'data'\n[http.tls]\ncert = 'others/server.pem'\nkey = 'others/server-key.pem'\n",
    );
    let address = address.to_string();
    let (status, _, error) = run(directory.path(), &["status", "--config", "other.toml", "--http", &address]);
    assert_eq!(
        (status, error.contains("its certificate is not that of others/server.pem")),
        (3, true),
        "{error}"
    );
}
