//! `dunlin health`: what a container's health check is told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use crate::run;
use crate::support::dunlin::{Dunlin, command, directory, write};
use crate::support::service::{Reply, Service};

fn health(directory: &Path, address: &str) -> (i32, String, String) {
    run(directory, &["health", "--http", address])
}

#[test]
fn a_broker_that_serves_is_healthy_and_nothing_is_said() {
    let directory = directory();
    let config =
        "store.path = ''\nhttp.address = '127.0.0.1:0'\nlistener = [{ url = 'mqtt://127.0.0.1:0' }]\n";
    let mut dunlin = Dunlin::start(directory.path(), config);
    let line = dunlin.wait_for("operations port: http://");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    assert_eq!(health(directory.path(), address), (0, String::new(), String::new()));
    assert_eq!(dunlin.stop().status, 0);
    let (status, _, problem) = health(directory.path(), address);
    assert_eq!(status, 1);
    assert!(problem.starts_with(&format!("dunlin: no broker answers at http://{address}: ")), "{problem}");
}

#[test]
fn a_broker_that_is_not_ready_is_not_healthy_and_its_reason_is_repeated() {
    let directory = directory();
    let port = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = port.local_addr().expect("it has an address").to_string();
    let broker = std::thread::spawn(move || {
        let (mut stream, _) = port.accept().expect("somebody asks");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a whole request");
            request.extend(byte);
        }
        stream
            .write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: the disk is full\n")
            .expect("it listens");
        String::from_utf8(request).expect("a request is text")
    });
    assert_eq!(
        health(directory.path(), &address),
        (1, String::new(), "dunlin: not ready: the disk is full\n".to_owned())
    );
    assert!(broker.join().expect("it answered").starts_with("GET /readyz HTTP/1.1\r\n"));
}

#[test]
fn without_an_operations_port_nobody_can_know() {
    let directory = directory();
    write(directory.path(), "dunlin.toml", "http.address = ''\n");
    let (status, _, problem) = run(directory.path(), &["health", "--config", "dunlin.toml"]);
    assert_eq!(status, 1);
    assert!(problem.starts_with("dunlin: the operations port is closed (http.address)"), "{problem}");
    let (status, _, problem) = health(directory.path(), "nowhere");
    assert!(status == 1 && problem.contains("--http \"nowhere\": must be host:port"), "{problem}");
}

#[test]
fn neither_a_token_nor_a_data_directory_is_asked_for() {
    let directory = directory();
    let service = Service::start(|request| match request.head.contains("uthorization") {
        true => Reply::Answer(401, String::new()),
        false => Reply::Answer(200, "ready\n".to_owned()),
    });
    let url = service.url().trim_end_matches("/question").to_owned();
    let arguments = ["health", "--http", &url];
    let mut command = command(directory.path(), &arguments);
    let output = command.env("DUNLIN_TOKEN", "abc").output().expect("cargo builds it for the tests");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_wrong_elsewhere_in_the_configuration_makes_nobody_ill() {
    let directory = directory();
    let service = Service::always("ready\n");
    let address = service.url().replace("http://", "").replace("/question", "");
    write(directory.path(), "dunlin.toml", &format!("http.address = '{address}'\nlog.level = 5\n"));
    let (status, _, warning) = run(directory.path(), &["health", "--config", "dunlin.toml"]);
    assert_eq!(status, 0, "{warning}");
    assert!(warning.starts_with("dunlin: the configuration has 1 error, "), "{warning}");
    let (status, _, problem) = run(directory.path(), &["health", "--config", "missing.toml"]);
    assert!(status == 1 && problem.contains("missing.toml"), "{problem}");
}
