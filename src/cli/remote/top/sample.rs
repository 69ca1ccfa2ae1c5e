//! A broker as the tests of `dunlin top` see it.

use std::time::Instant;

use serde_json::json;

use super::figures::Snapshot;
use super::metrics::{Answer, Metrics};

/// Two clients, of which the first has sent so many messages; all together have sent `received`.
pub fn snapshot(at: Instant, sent_by_one: u64, received: u64) -> Snapshot {
    let client = |name: &str, messages_received: u64| {
        json!({
            "client": name, "user": null, "address": "192.0.2.7:4711", "version": "5.0", "is_connected": true,
            "connected_at": "2026-11-28T10:00:00Z", "away_since": null, "subscriptions": 2, "queued_messages": 12,
            "queued_bytes": 1200, "in_flight_messages": 3, "messages_received": messages_received,
            "messages_sent": 0, "dropped": 0, "is_slow": false
        })
    };
    let metrics = json!({ "metrics": [
        { "name": "dunlin_messages_received_total", "samples": [{ "labels": {}, "value": received }] },
        { "name": "dunlin_messages_dropped_total", "samples": [{ "labels": { "reason": "queue_full" }, "value": received }] },
    ] });
    let status = json!({
        "version": "0.1.0", "uptime_s": 7260, "workers": 2, "is_ready": true, "store": null, "connections": 2,
        "sessions": 1234, "subscriptions": 4, "retained": 0, "retained_bytes": 0, "queued_messages": 24,
        "queued_bytes": 2400, "messages_received": received, "messages_sent": 0, "bytes_received": 0, "bytes_sent": 0,
        "dropped": received, "memory_bytes": 52_428_800
    });
    let group = json!({
        "name": "$share/workers/jobs/#", "queued_messages": 7, "queued_bytes": 700, "oldest_age_s": 75,
        "lent_messages": 2, "members_count": 1, "members": []
    });
    let answer: Answer = serde_json::from_value(metrics).expect("it is what the API answers");
    Snapshot {
        at,
        status: serde_json::from_value(status).expect("it is what the API answers"),
        metrics: Metrics::from(answer),
        clients: vec![
            serde_json::from_value(client("lamp\u{1b}[2J", sent_by_one)).expect("it is what the API answers"),
            serde_json::from_value(client("meter", 0)).expect("it is what the API answers"),
        ],
        matched: 2,
        topics: None,
        groups: vec![serde_json::from_value(group).expect("it is what the API answers")],
    }
}

/// The same with two topics, of which one is published more often and the other has more bytes.
pub fn with_topics(snapshot: Snapshot) -> Snapshot {
    let topic = |topic: &str, messages_per_s: f64, bytes_per_s: f64, missed_per_s_max: f64| {
        json!({
            "topic": topic, "messages_per_s": messages_per_s, "bytes_per_s": bytes_per_s,
            "missed_per_s_max": missed_per_s_max
        })
    };
    let topics = json!({
        "topics": [topic("home/often", 120.0, 240.0, 0.0), topic("home/large", 2.5, 50_000.0, 1.0)],
        "matched": 2, "messages_per_s": 122.5, "bytes_per_s": 50_240.0, "other_messages_per_s": 7.0,
        "since": "2026-11-28T10:00:00Z", "window_s": 2.0
    });
    Snapshot { topics: Some(serde_json::from_value(topics).expect("it is what the API answers")), ..snapshot }
}
