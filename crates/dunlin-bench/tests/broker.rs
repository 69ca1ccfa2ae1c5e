//! Small scenarios that need more than a relay does, against the broker itself.

use dunlin_bench::Target;
use dunlin_bench::broker::Spec;
use dunlin_bench::compare::{Figures, run_one};
use dunlin_bench::scenario::{self, Overrides};
use dunlin_codec::ProtocolVersion;

mod built;

/// Runs one scenario against a broker of its own.
fn run(name: &str, version: ProtocolVersion, overrides: &Overrides) -> Figures {
    let spec: Spec = format!("dunlin={}", built::program().display()).parse().unwrap();
    let running = spec.start(None, version).unwrap();
    let scenario = scenario::by_name(name).unwrap().with(overrides).unwrap();
    run_one(&Target { address: running.address, version }, &scenario, running.process).unwrap()
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
