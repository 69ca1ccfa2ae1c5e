//! The examples do what they say: each runs to its end, and fails by itself when something is not as
//! promised.
//!
//! They are compiled into this test as modules, so that it never runs a stale program. All are bounded in
//! time by themselves.

use std::time::{Duration, Instant};

#[path = "../examples/embed.rs"]
mod embed;
#[path = "../examples/log_pipeline.rs"]
mod log_pipeline;
#[path = "../examples/publisher.rs"]
#[allow(dead_code, reason = "its main reads the arguments of the process")]
mod publisher;
#[path = "../examples/request_response.rs"]
mod request_response;
#[path = "../examples/subscriber.rs"]
#[allow(dead_code, reason = "its main reads the arguments of the process")]
mod subscriber;
#[path = "../examples/tls_client_certificates.rs"]
mod tls_client_certificates;

/// How long publisher and subscriber may take to find each other.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_broker_in_this_program_carries_a_message() {
    embed::main().unwrap();
}

#[test]
fn a_client_with_a_certificate_is_served_and_one_without_is_refused() {
    tls_client_certificates::main().unwrap();
}

#[test]
fn every_request_gets_its_own_response() {
    request_response::main().unwrap();
}

#[test]
fn each_log_line_is_stored_exactly_once_although_a_worker_dies() {
    log_pipeline::main().unwrap();
}

#[tokio::test]
async fn the_subscriber_ends_when_it_has_seen_what_the_publisher_sent() {
    let configuration = "listener = [{ url = 'mqtt://127.0.0.1:0' }]\nstore.path = ''\nhttp.address = ''";
    let broker = dunlin::Broker::start(dunlin::Config::from_toml("test", configuration).unwrap()).unwrap();
    let port = broker.addresses()[0].port();
    let subscriber = subscriber::receive("127.0.0.1", port, 3);
    let publisher = async {
        // What is published before the subscriber has subscribed does not count, so this goes on until it is
        // satisfied.
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            publisher::publish("127.0.0.1", port, 1).await.unwrap();
        }
        panic!("the subscriber has not seen three messages");
    };
    tokio::select! {
        ended = subscriber => ended.unwrap(),
        () = publisher => {}
    }
    broker.stop();
}
