//! Small scenarios that need more than a relay does, against the broker itself.

use dunlin_bench::broker::Spec;
use dunlin_bench::compare::{Figures, run_one};
use dunlin_bench::scenario::{self, Overrides};
use dunlin_bench::transport::Transport;
use dunlin_codec::{ProtocolVersion, QoS};

mod built;

/// Runs one scenario against a broker of its own.
fn run(name: &str, version: ProtocolVersion, overrides: &Overrides) -> Figures {
    let spec: Spec = format!("dunlin={}", built::program().display()).parse().unwrap();
    let scenario = scenario::by_name(name).unwrap().with(overrides).unwrap();
    let running = spec.start(None, version, scenario.transport).unwrap();
    run_one(&running.target, &scenario, running.process).unwrap()
}

#[test]
fn a_message_to_a_shared_group_is_counted_once_over_all_members() {
    let overrides = Overrides { duration_ms: Some(200), warm_up_messages: Some(100), ..Overrides::default() };
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let Figures::Traffic(figures) = run("shared-10-10", version, &overrides) else { panic!() };
        assert!(figures.received >= 100, "{figures:?}");
        assert_eq!(figures.expected, figures.published, "the group gets each message once");
        assert_eq!((figures.received, figures.lost, figures.repeated), (figures.expected, 0, 0), "{version}");
    }
}

#[test]
fn each_message_among_many_subscriptions_makes_three_deliveries() {
    let overrides = Overrides {
        subscriptions: Some(3_000),
        connections: Some(7),
        duration_ms: Some(200),
        warm_up_messages: Some(100),
        ..Overrides::default()
    };
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let Figures::Subscriptions(figures) = run("subscriptions", version, &overrides) else { panic!() };
        assert_eq!(figures.subscriptions, 3_000);
        assert!(figures.memory_after.resident_bytes > 0 && figures.subscribed_per_s > 0.0, "{figures:?}");
        let after = &figures.after;
        assert_eq!(after.expected, after.published * 3, "{version}");
        assert_eq!((after.received, after.lost, after.repeated), (after.expected, 0, 0), "{version}");
        assert!(figures.churn.answered_per_s > 0.0 && figures.churn.latency.is_some(), "{:?}", figures.churn);
    }
}

#[test]
fn a_small_day_delivers_every_message_of_every_class_once() {
    let overrides = Overrides { devices: Some(50), duration_ms: Some(1_500), ..Overrides::default() };
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let Figures::Day(figures) = run("iot-day", version, &overrides) else { panic!() };
        assert_eq!((figures.classes.len(), figures.unsent), (5, 0), "{figures:?}");
        for class in &figures.classes {
            assert!(class.expected > 0 && class.latency.is_some(), "{version} {class:?}");
            assert_eq!(
                (class.delivered, class.lost, class.repeated),
                (class.expected, 0, 0),
                "{version} {class:?}"
            );
        }
        // 100 with telemetry, 10 with state and 5 commands each second, for a second and a half.
        assert!(figures.lateness.unwrap().count + figures.held_back >= 170, "{figures:?}");
    }
}

#[test]
fn messages_go_over_every_transport_and_none_is_lost() {
    for transport in [Transport::Tls, Transport::WebSocket, Transport::SecureWebSocket] {
        for (qos, payload_bytes) in
            [(QoS::AtMostOnce, 64), (QoS::ExactlyOnce, 64), (QoS::AtLeastOnce, 300_000)]
        {
            let overrides = Overrides {
                transport: Some(transport),
                qos: Some(qos),
                payload_bytes: Some(payload_bytes),
                duration_ms: Some(200),
                warm_up_messages: Some(100),
                ..Overrides::default()
            };
            let Figures::Traffic(figures) = run("qos0-10-10", ProtocolVersion::V5, &overrides) else {
                panic!()
            };
            assert!(figures.received >= 100, "{transport} {qos:?}: {figures:?}");
            let (received, lost, repeated) = (figures.received, figures.lost, figures.repeated);
            assert_eq!((received, lost, repeated), (figures.expected, 0, 0), "{transport} {qos:?}");
        }
    }
}

#[test]
fn idle_connections_and_storms_go_over_tls_and_websocket() {
    let overrides = |transport| Overrides {
        transport: Some(transport),
        connections: Some(60),
        duration_ms: Some(10),
        ..Overrides::default()
    };
    for transport in [Transport::Tls, Transport::WebSocket, Transport::SecureWebSocket] {
        let Figures::Idle(idle) = run("tls-idle", ProtocolVersion::V3_1_1, &overrides(transport)) else {
            panic!()
        };
        assert!(idle.connections == 60 && idle.after.resident_bytes > 0, "{transport}: {idle:?}");
        let Figures::Storm(storm) = run("connect-storm", ProtocolVersion::V5, &overrides(transport)) else {
            panic!()
        };
        assert_eq!(storm.latency.unwrap().count, 60, "{transport}: {storm:?}");
        assert_eq!(storm.resumed, transport.is_encrypted().then_some(0), "{transport}");
    }
}

#[test]
fn sessions_of_tls_are_resumed_where_a_scenario_says_so() {
    for (transport, version) in
        [(Transport::Tls, ProtocolVersion::V5), (Transport::SecureWebSocket, ProtocolVersion::V3_1_1)]
    {
        let overrides =
            Overrides { transport: Some(transport), connections: Some(60), ..Overrides::default() };
        let Figures::Storm(storm) = run("tls-handshakes-resumed", version, &overrides) else { panic!() };
        assert_eq!(storm.resumed, Some(60), "{transport}: {storm:?}");
    }
}

#[test]
fn a_queue_in_memory_is_drained_of_everything_it_was_filled_with() {
    let overrides = Overrides { messages: Some(2_000), ..Overrides::default() };
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let Figures::Queue(figures) = run("offline-queue", version, &overrides) else { panic!() };
        assert_eq!((figures.messages, figures.is_stored), (2_000, false));
        assert_eq!((figures.lost, figures.repeated, figures.late), (0, 0, 0), "{version}: {figures:?}");
        assert!(figures.drained_per_s > 0.0 && figures.filled_per_s > 0.0, "{figures:?}");
    }
}

#[test]
fn a_new_subscriber_receives_everything_that_is_retained_in_memory() {
    let overrides = Overrides { topics: Some(2_000), ..Overrides::default() };
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let Figures::Retained(figures) = run("retained-100k", version, &overrides) else { panic!() };
        assert_eq!((figures.topics, figures.is_stored), (2_000, false));
        assert_eq!((figures.lost, figures.repeated), (0, 0), "{version}: {figures:?}");
        assert!(figures.delivered_s > 0.0, "{figures:?}");
    }
}
