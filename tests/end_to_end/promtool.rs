//! What Prometheus says of `/metrics` and of the alerts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use dunlin::{Broker, Config};

use crate::script::HINT;

/// Runs promtool, and fails with what it says unless that is nothing but praise.
fn promtool(arguments: &[&str], input: &[u8]) {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("promtool: {error}; {HINT}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.is_empty(), "{said}{}", String::from_utf8_lossy(&ended.stdout));
}

fn metrics(port: SocketAddr) -> String {
    let mut stream = TcpStream::connect(port).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    let directory = crate::support::dunlin::directory();
    let text = format!(
        "store.path = '{}'\nhttp.address = '127.0.0.1:0'\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n",
        directory.path().join("data").display()
    );
    let broker = Broker::start(Config::from_toml("test", &text).unwrap()).unwrap();
    promtool(&["check", "metrics"], metrics(broker.http_address().unwrap()).as_bytes());
    broker.stop();
}

#[test]
fn promtool_understands_the_alerts() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus/dunlin.rules.yml");
    promtool(&["check", "rules", &rules.to_string_lossy()], b"");
}
