//! `dunlin health`: what a container's health check is told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use crate::run;
use crate::support::dunlin::{Dunlin, directory};

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
    let (status, _, problem) = health(directory.path(), "");
    assert_eq!(status, 1);
    assert_eq!(problem, "dunlin: the operations port is closed (http.address)\n");
}
