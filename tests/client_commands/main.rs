//! `dunlin pub` and `dunlin sub`, run as scripts run them: against a broker, against mosquitto's clients on the same
//! input, and against a peer that loses connections when a test wants it to.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod desk;
mod peer;

mod publishing;
mod subscribing;
mod options;
mod access;
mod properties;
mod output;
mod transports;
mod reconnecting;
mod flow;
