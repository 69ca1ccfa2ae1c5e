//! paho-mqtt for Python: each test is a function of `paho_client.py`, in a process of its own.

use std::path::Path;

use crate::script;
use crate::site::Site;

fn run(case: &str, schemes: &[&str]) {
    let mut site = Site::new(schemes, "");
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let (port, ca) = (site.port(0), site.file("ca.pem"));
    script::run(&python, "paho_client.py", &[case, &port, &ca]);
}

#[test]
fn paho_exchanges_messages_at_every_qos_in_3_1_1() {
    run("every_qos_v311", &["mqtt"]);
}

#[test]
fn paho_exchanges_messages_at_every_qos_in_5_0() {
    run("every_qos_v5", &["mqtt"]);
}

#[test]
fn paho_publishes_many_messages_at_qos_2_and_each_arrives_once_and_in_order() {
    run("qos2_once_and_in_order", &["mqtt"]);
}

#[test]
fn paho_sees_all_properties_of_a_message_and_its_user_properties_in_order() {
    run("properties", &["mqtt"]);
}

#[test]
fn paho_publishes_with_topic_aliases() {
    run("topic_aliases", &["mqtt"]);
}

#[test]
fn paho_resumes_a_session_and_gets_what_it_missed() {
    run("session_resume", &["mqtt"]);
}

#[test]
fn paho_is_told_every_subscription_identifier_that_matched() {
    run("subscription_identifiers", &["mqtt"]);
}

#[test]
fn paho_publishes_a_request_and_gets_the_response() {
    run("request_and_response", &["mqtt"]);
}

#[test]
fn paho_connects_over_websocket() {
    run("over_websocket", &["ws"]);
}

#[test]
fn paho_connects_over_tls() {
    run("over_tls", &["mqtts"]);
}

#[test]
fn paho_connects_over_secure_websocket() {
    run("over_secure_websocket", &["wss"]);
}
