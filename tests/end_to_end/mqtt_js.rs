//! MQTT.js over WebSocket, as browsers use it: each test is a function of `mqtt_js_client.js`.

use std::path::Path;

use crate::script::{self, HINT};
use crate::site::Site;

fn run(case: &str, scheme: &str, level: &str) {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/node_modules/mqtt");
    assert!(modules.is_dir(), "MQTT.js is not there: {HINT}");
    let mut site = Site::new(&[scheme], "");
    let (port, ca) = (site.port(0), site.file("ca.pem"));
    script::run(
        Path::new("node"),
        "mqtt_js_client.js",
        &[case, &format!("{scheme}://127.0.0.1:{port}/mqtt"), level, &ca],
    );
}

#[test]
fn mqtt_js_exchanges_messages_at_every_qos_over_websocket() {
    run("everyQos", "ws", "4");
    run("everyQos", "ws", "5");
}

#[test]
fn mqtt_js_exchanges_messages_at_every_qos_over_secure_websocket() {
    run("everyQos", "wss", "4");
    run("everyQos", "wss", "5");
}

#[test]
fn mqtt_js_exchanges_payloads_of_300_kilobytes() {
    run("largePayload", "ws", "4");
    run("largePayload", "wss", "5");
}

#[test]
fn mqtt_js_reconnects_and_gets_what_it_missed() {
    run("reconnect", "ws", "4");
    run("reconnect", "ws", "5");
}
