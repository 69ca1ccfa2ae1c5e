//! Retained Messages, the tree of their topics, and publishing.

use super::start;
use super::support::client::{Client, bytes_of, persistent, publish, tcp};
use dunlin_codec::{MessageProperties, Packet, Publish, QoS, ReasonCode, SubscriptionIdentifiers};
use dunlin_core::shard::WINDOW_MIN;
use serde_json::{Value, json};

#[test]
fn a_retained_message_is_written_read_listed_and_cleared() {
    let mut running = start("");
    let path = "/api/v1/retained/plant/7/state";
    let body = json!({
        "payload": "on", "qos": 1, "message_expiry_s": 3600, "content_type": "text/plain",
        "user_properties": [["a", "1"], ["a", "2"]],
    });
    let answer = running.http.ask("PUT", path, Some(body));
    assert_eq!(answer.status, 204, "{answer:?}");
    let shown = running.http.get(path);
    assert_eq!(
        (&shown["topic"], &shown["payload"], &shown["payload_base64"]),
        (&json!("plant/7/state"), &json!("on"), &json!("b24="))
    );
    assert_eq!((&shown["qos"], &shown["size_bytes"], &shown["writer"]), (&json!(1), &json!(2), &Value::Null));
    assert!(shown["expires_at"].is_string());
    assert_eq!(
        shown["properties"],
        json!({ "content_type": "text/plain", "user_properties": [["a", "1"], ["a", "2"]] })
    );
    let mut client = running.client("reader");
    client.subscribe("plant/#");
    let message = client.message();
    assert_eq!(
        (message.topic.as_str(), message.payload.as_slice(), message.qos),
        ("plant/7/state", &b"on"[..], QoS::AtLeastOnce)
    );

    let bytes = json!({ "payload_base64": "/wA=" });
    assert_eq!(running.http.ask("PUT", "/api/v1/retained//odd%20topic/%C3%A4", Some(bytes)).status, 204);
    let shown = running.http.get("/api/v1/retained//odd%20topic/%C3%A4");
    assert_eq!((&shown["topic"], &shown["payload"]), (&json!("/odd topic/ä"), &Value::Null));
    assert_eq!(running.http.get("/api/v1/retained")["messages"].as_array().expect("a list").len(), 2);

    // What was answered with 204 is there after a restart.
    running.restart();
    assert_eq!(running.http.get(path)["payload"], "on");
    assert_eq!(running.http.ask("DELETE", path, None).status, 204);
    assert_eq!(running.http.ask("DELETE", path, None).status, 404);
    running.restart();
    assert_eq!(running.http.ask("GET", path, None).status, 404);
    assert_eq!(running.http.get("/api/v1/retained")["messages"].as_array().expect("a list").len(), 1);
}

/// A walk by filter looks at a thousand topics in one visit to a worker, and most of them are none of its own.
#[test]
fn a_list_by_filter_has_each_message_once_however_many_others_lie_between() {
    let running = start("");
    let mut devices = running.client("devices");
    for device in 0..900 {
        for topic in ["battery", "status", "zone"] {
            let topic = format!("device-{device:04}/{topic}");
            devices.send(&bytes_of(&Packet::Publish(retained(&topic))));
        }
    }
    devices.ping();
    for (filter, expected) in [("%2B/status", 900), ("%2B/none", 0)] {
        let (mut topics, mut after) = (Vec::new(), String::new());
        loop {
            let answer = running.http.get(&format!("/api/v1/retained?filter={filter}&limit=400{after}"));
            let page = answer["messages"].as_array().expect("a list").iter();
            topics.extend(page.map(|message| message["topic"].to_string()));
            match answer["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(topics.len(), expected, "{filter}");
        topics.dedup();
        assert_eq!(topics.len(), expected, "{filter}");
    }
    // What is no topic is nobody's, whatever the tree of topics makes of it.
    assert_eq!(running.http.ask("DELETE", "/api/v1/retained/device-0001%00status", None).status, 404);
}

/// A PUBLISH at QoS 0 that is to be retained.
fn retained(topic: &str) -> Publish<'_> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: true,
        topic,
        packet_identifier: None,
        topic_alias: None,
        subscription_identifiers: SubscriptionIdentifiers::default(),
        properties: MessageProperties::default(),
        payload: b"x",
    }
}

#[test]
fn topics_are_opened_level_by_level_and_lists_come_in_pages() {
    let running = start("");
    for topic in ["a", "a/b", "a/b/c", "b/c", "/x", "c"] {
        let path = format!("/api/v1/retained/{topic}");
        assert_eq!(running.http.ask("PUT", &path, Some(json!({ "payload": topic }))).status, 204, "{topic}");
    }
    let level = |query: &str| {
        let answer = running.http.get(&format!("/api/v1/topics{query}"));
        let show = |topic: &Value| {
            format!(
                "{} {} {}",
                topic["topic"].as_str().expect("a topic"),
                topic["has_message"],
                topic["has_children"]
            )
        };
        let topics: Vec<_> = answer["topics"].as_array().expect("a list").iter().map(show).collect();
        (topics, answer["next"].as_str().map(str::to_owned))
    };
    assert_eq!(level("").0, [" false true", "a true true", "b false true", "c true false"]);
    assert_eq!(level("?below=a").0, ["a/b true true"]);
    assert_eq!(level("?below=a/b/").0, ["a/b/c true false"]);
    assert_eq!(level("?below=/").0, ["/x true false"]);
    assert_eq!(level("?below=nowhere").0, [""; 0]);
    let (first, next) = level("?limit=2");
    let (second, last) = level(&format!("?limit=2&after={}", next.expect("there are more")));
    assert_eq!(
        (first.len(), second, last),
        (2, vec!["b false true".to_owned(), "c true false".to_owned()], None)
    );

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = running.http.get(&format!("/api/v1/retained?limit=2&filter=%23&after={after}"));
        seen.extend(page["messages"].as_array().expect("a list").iter().map(|one| one["topic"].clone()));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["/x", "a", "a/b", "a/b/c", "b/c", "c"]);
    assert_eq!(
        running.http.get("/api/v1/retained?filter=a/%2B")["messages"].as_array().expect("a list").len(),
        1
    );
}

#[test]
fn what_is_published_reaches_clients_of_all_workers_and_survives_a_restart() {
    let mut running = start("");
    let names: Vec<_> = (0..4).map(|number| format!("reader-{number}")).collect();
    for name in &names {
        let mut client = Client::over(tcp(running.broker().addresses()[0]));
        assert_eq!(client.connect(&persistent(name)), ReasonCode::Success);
        client.subscribe("news");
        client.disconnect();
    }
    for number in 0..3 {
        let body = json!({ "topic": "news", "payload": format!("{number}"), "qos": 1 });
        assert_eq!(running.http.ask("POST", "/api/v1/publish", Some(body)).status, 204);
    }
    running.restart();
    for name in &names {
        let mut client = Client::over(tcp(running.broker().addresses()[0]));
        assert!(client.resume(&persistent(name)));
        for number in 0..3 {
            let message = client.message();
            assert_eq!(message.payload, format!("{number}").into_bytes());
            client.acknowledge(message.packet_identifier);
        }
    }
}

#[test]
fn what_cannot_be_published_is_refused_and_changes_nothing() {
    let running = start("limits.max_retained_messages = 1\n");
    let publish = |body: Value| running.http.ask("POST", "/api/v1/publish", Some(body));
    for (body, status, says) in [
        (json!({ "topic": "a/#", "payload": "" }), 422, "topic"),
        (json!({ "topic": "a" }), 422, "payload"),
        (json!({ "topic": "a", "payload": "", "payload_base64": "" }), 422, "not both"),
        (json!({ "topic": "a", "payload": "", "qos": 3 }), 422, "0, 1 or 2"),
        (json!({ "topic": "a", "payload": "", "retained": true }), 422, "retained"),
        (json!({ "topic": "$SYS/broker/version", "payload": "" }), 422, "$SYS"),
        (json!([]), 422, "body"),
    ] {
        let answer = publish(body);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{answer:?}");
    }
    assert_eq!(publish(json!({ "topic": "a", "payload": "1", "retain": true })).status, 204);
    let full = publish(json!({ "topic": "b", "payload": "1", "retain": true }));
    assert_eq!(full.status, 507, "{full:?}");
    let empty = running.http.ask("PUT", "/api/v1/retained/a", Some(json!({ "payload": "" })));
    assert_eq!(empty.status, 422);
    assert_eq!(running.http.get("/api/v1/status")["retained"], 1);
}

#[test]
fn topics_are_listed_by_how_often_they_are_published_while_somebody_looks() {
    let running = start("");
    // Of both workers.
    let mut clients: Vec<_> = (0..4).map(|number| running.client(&format!("publisher-{number}"))).collect();
    // What one worker hands to the other counts once.
    let mut reader = running.client("reader");
    reader.subscribe("#");
    // The first look begins to count.
    let shown = running.http.get("/api/v1/topics/rates");
    assert_eq!((&shown["topics"], &shown["messages_per_s"]), (&json!([]), &json!(0.0)));
    for client in &mut clients {
        for _ in 0..30 {
            client.send(&publish("plant/busy", b"four", QoS::AtMostOnce, 0));
        }
        client.send(&publish("plant/calm", b"", QoS::AtMostOnce, 0));
        client.send(&publish("home/calm", b"", QoS::AtMostOnce, 0));
        client.ping();
    }
    // A look that came earlier would end the window of one worker and not yet that of the other.
    std::thread::sleep(WINDOW_MIN);
    let shown = running.http.get("/api/v1/topics/rates?filter=plant/%23&limit=1");
    let window_s = shown["window_s"].as_f64().unwrap();
    assert!(window_s >= WINDOW_MIN.as_secs_f64() && shown["since"].is_string(), "{shown}");
    let is = |value: &Value, messages: f64| (value.as_f64().unwrap() * window_s - messages).abs() < 3.0;
    let topics = shown["topics"].as_array().unwrap();
    assert_eq!((topics.len(), &topics[0]["topic"], &shown["matched"]), (1, &json!("plant/busy"), &json!(2)));
    assert!(is(&topics[0]["messages_per_s"], 120.0), "{shown}");
    assert!(is(&topics[0]["bytes_per_s"], 480.0), "{shown}");
    assert!(is(&shown["messages_per_s"], 124.0), "{shown}");
    assert_eq!((&topics[0]["missed_per_s_max"], &shown["other_messages_per_s"]), (&json!(0.0), &json!(0.0)));
    let wrong = running.http.ask("GET", "/api/v1/topics/rates?filter=a%23", None);
    assert_eq!(wrong.status, 400, "{wrong:?}");
}
