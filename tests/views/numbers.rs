//! Numbers: the status, listeners, and what was dropped and refused.

use super::start;
use super::support::client::{Client, hello, tcp};
use dunlin_codec::{Connect, ReasonCode};
use serde_json::Value;

fn count(counts: &Value, reason: &str) -> u64 {
    let counts = counts.as_array().expect("a list");
    let found =
        counts.iter().find(|one| one["reason"] == reason).unwrap_or_else(|| panic!("{reason}: {counts:?}"));
    found["count"].as_u64().expect("a number")
}

#[test]
fn the_status_counts_what_there_is_on_all_workers() {
    let running = start("");
    let mut clients: Vec<_> = (0..4).map(|number| running.client(&format!("c{number}"))).collect();
    clients[0].subscribe("t");
    clients[0].subscribe("$share/g/t");
    clients[1].subscribe("t");
    clients[2].publish("t", b"12345");
    let status = running.http.get("/api/v1/status");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["workers"], &status["is_ready"]), (&2.into(), &true.into()));
    assert_eq!(
        (&status["connections"], &status["sessions"], &status["subscriptions"]),
        (&4.into(), &4.into(), &3.into())
    );
    assert_eq!(status["messages_received"], 1);
    assert_eq!(status["store"]["state"], "writing");
    assert!(status["store"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{status}");
    assert!(status["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{status}");
    assert!(status["bytes_received"].as_u64().is_some_and(|bytes| bytes > 0), "{status}");
    assert!(status["started_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{status}");
}

#[test]
fn refusals_and_drops_are_counted_by_reason_and_by_who_causes_them() {
    let running = start("auth.allow_anonymous = false\nlimits.max_topic_length = 20\n");
    let mut stranger = Client::over(tcp(running.broker().addresses()[0]));
    let connect = Connect { user_name: Some("anna"), password: Some(b"wrong"), ..hello("anna") };
    assert_ne!(stranger.connect(&connect), ReasonCode::Success);
    assert_eq!(stranger.end(), None);
    let drops = running.http.get("/api/v1/drops");
    let refused: u64 = drops["refusals"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["count"].as_u64().unwrap_or(0))
        .sum();
    assert_eq!(refused, 1, "{drops}");
    assert_eq!(drops["addresses"][0]["address"], "127.0.0.1");
    assert_eq!(drops["addresses"][0]["failures"], 1);
    let listener = &running.http.get("/api/v1/listeners")["listeners"][0];
    assert_eq!(listener["url"], "mqtt://127.0.0.1:0");
    assert_eq!(listener["address"], running.broker().addresses()[0].to_string());
    assert_eq!(
        (&listener["accepted"], &listener["refused"], &listener["tls"]),
        (&1.into(), &1.into(), &Value::Null)
    );
}

#[test]
fn the_client_that_causes_most_drops_is_named() {
    let running = start("limits.max_topic_length = 20\n");
    let mut client = running.client("long-winded");
    let topic = "t".repeat(21);
    let bytes = super::support::client::publish(&topic, b"", dunlin_codec::QoS::AtMostOnce, 0);
    (0..3).for_each(|_| client.send(&bytes));
    client.ping();
    let drops = running.http.get("/api/v1/drops");
    assert_eq!(count(&drops["drops"], "refused"), 3);
    assert_eq!(drops["clients"][0]["client"], "long-winded");
    assert_eq!(drops["clients"][0]["dropped"], 3);
}
