//! Properties of MQTT 5.0 on their way from `dunlin pub` to `dunlin sub`.

use serde_json::{Value, json};

use crate::desk::Desk;
use crate::support::process::Ended;

const PUBLISHED: &str = "-D publish content-type text/plain -D publish response-topic answers -D publish correlation-data 4711 \
     -D publish payload-format-indicator 1 -D publish message-expiry-interval 100 \
     -D publish user-property zeta 1 -D PUBLISH user-property alpha 2 --property publish user-property zeta 3";

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.output)
        .unwrap_or_else(|error| panic!("{error}: {}{}", ended.output, ended.error))
}

#[test]
fn every_property_of_a_message_arrives() {
    let desk = Desk::open();
    let subscriber =
        desk.subscribe("-V 5 -t letters -q 1 -C 1 --json -D subscribe subscription-identifier 77", &[]);
    desk.publish(&format!("-t letters -q 1 -m hello {PUBLISHED}"));
    let record = json(&subscriber.finish());
    let expected = json!({
        "payload_format_indicator": 1, "message_expiry_interval": 100, "content_type": "text/plain",
        "response_topic": "answers", "correlation_data": "NDcxMQ==", "subscription_identifiers": [77],
        "user_properties": [["zeta", "1"], ["alpha", "2"], ["zeta", "3"]],
    });
    assert_eq!(record["properties"], expected);
    assert_eq!(
        (&record["topic"], &record["payload"], &record["qos"]),
        (&json!("letters"), &json!("hello"), &json!(1))
    );
}

#[test]
fn a_broker_may_use_the_topic_aliases_that_a_subscriber_allows() {
    // spec(v5): [MQTT-3.3.2-10]
    let desk = Desk::open();
    let subscriber = desk.subscribe("-V 5 -t long/topic -C 3 -F %t|%A -D connect topic-alias-maximum 5", &[]);
    for _ in 0..3 {
        desk.publish("-t long/topic -m x");
    }
    let lines = subscriber.finish().output;
    assert_eq!(lines.lines().last(), Some("long/topic|1"), "{lines}");
}

#[test]
fn a_session_can_be_kept_for_a_time_and_given_up_at_the_end() {
    let desk = Desk::open();
    let session = "-V 5 -c -i sleeper -t night -q 1";
    assert_eq!(desk.run(&format!("sub {session} -x 3600 -E"), &[]).status, 0);
    desk.publish("-t night -m owl -q 1");
    let ended = desk.run(&format!("sub {session} -C 1 -D disconnect session-expiry-interval 0"), &[]);
    assert_eq!((ended.status, ended.output.as_str()), (0, "owl\n"));
    desk.publish("-t night -m bat -q 1");
    desk.publish("-t night -m dawn -q 1 -r");
    let ended = desk.run(&format!("sub {session} -C 1"), &[]);
    assert_eq!(ended.output, "dawn\n", "the Session that would have had the bat is gone");
}
