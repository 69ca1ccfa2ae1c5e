//! End to end: the program `dunlin` with clients that other people wrote.
//!
//! mosquitto_pub and mosquitto_sub (C), paho (Python), MQTT.js (Node.js) and rumqttc (Rust) over plain TCP,
//! TLS and WebSocket, in every version of the protocol and every QoS. What these tests show is that Dunlin
//! and the clients people use understand each other; what a Server must do in detail is the conformance
//! suite's.
//!
//! The tools come from `cargo xtask test`. A test without its tool fails and says so: a silent skip would be
//! a lie.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod dashboard;
mod mosquitto;
mod mqtt_js;
mod paho;
mod promtool;
mod rumqttc_tls;
mod script;
mod site;
