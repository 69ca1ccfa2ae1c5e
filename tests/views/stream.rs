//! Watching what is published.

use super::start;
use dunlin_codec::QoS;
use serde_json::json;

#[test]
fn a_watcher_sees_what_is_retained_and_what_is_published_on_any_worker() {
    let running = start("");
    let retained = json!({ "payload": "before", "qos": 1 });
    assert_eq!(running.http.ask("PUT", "/api/v1/retained/a/1", Some(retained)).status, 204);
    let mut events = running.http.stream("/api/v1/subscribe?filter=a/%2B&filter=a/%23&filter=b");
    let (name, event) = events.next();
    assert_eq!(
        (name.as_str(), &event["topic"], &event["payload"], &event["retain"]),
        ("message", &json!("a/1"), &json!("before"), &json!(true))
    );
    let mut publishers: Vec<_> = (0..4).map(|number| running.client(&format!("p{number}"))).collect();
    for (number, publisher) in publishers.iter_mut().enumerate() {
        publisher.publish(if number % 2 == 0 { "a/2" } else { "b" }, format!("{number}").as_bytes());
        publisher.publish("c", b"not this one");
        let (name, event) = events.next();
        assert_eq!(
            (name.as_str(), &event["payload"], &event["qos"], &event["retain"]),
            ("message", &json!(format!("{number}")), &json!(1), &json!(false))
        );
    }
    // A watcher is no client.
    assert_eq!(running.http.get("/api/v1/clients")["matched"], 4);
    assert_eq!(running.http.get("/api/v1/subscriptions")["subscriptions"], json!([]));
}

#[test]
fn the_qos_that_is_shown_is_at_most_what_was_asked_for() {
    let running = start("");
    let mut events = running.http.stream("/api/v1/subscribe?filter=t&qos=0");
    let mut client = running.client("p");
    client.publish("t", b"\xff");
    let (_, event) = events.next();
    assert_eq!(
        (&event["qos"], &event["payload"], &event["payload_base64"]),
        (&json!(0), &json!(null), &json!("/w=="))
    );
}

#[test]
fn a_watcher_that_does_not_read_loses_messages_is_told_and_delays_nobody() {
    let running = start("");
    let mut events = running.http.stream("/api/v1/subscribe?filter=t");
    let mut client = running.client("p");
    let payload = vec![b'x'; 64 * 1024];
    let bytes = super::support::client::publish("t", &payload, QoS::AtMostOnce, 0);
    // More than sockets and the tap hold together.
    for _ in 0..400 {
        client.send(&bytes);
    }
    client.ping();
    // Whatever comes later has room again when the watcher has read; so it comes to the event that says so.
    let mut seen = 0;
    let lost = loop {
        let (name, event) = events.next();
        match name.as_str() {
            "message" => seen += 1,
            "lost" => break event["count"].as_u64().expect("a number"),
            other => panic!("{other}"),
        }
    };
    assert!(seen > 0 && lost > 0 && seen + lost <= 400, "{seen} seen, {lost} lost");
}
