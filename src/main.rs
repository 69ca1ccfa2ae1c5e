//! Dunlin, an MQTT broker.
fn main() {}
