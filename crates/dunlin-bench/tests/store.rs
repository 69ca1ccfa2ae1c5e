//! Small scenarios of the store against the broker itself: everything that is measured is counted, nothing is
//! left behind.
//!
//! Data directories are below the target directory, on a disk.

use std::path::Path;

use dunlin_bench::broker::Spec;
use dunlin_bench::compare::{self, Comparison, Figures, Plan, run_one};
use dunlin_bench::disk::Disk;
use dunlin_bench::progress::Progress;
use dunlin_bench::report::{self, Machine, Section};
use dunlin_bench::scenario::{self, Overrides};
use dunlin_bench::{Error, Target};
use dunlin_codec::ProtocolVersion;

mod built;

/// Runs one scenario for one round, in a data directory of its own name, which must be gone afterwards.
fn compare(name: &str, version: ProtocolVersion, overrides: &Overrides) -> Comparison {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{version}"));
    let plan = Plan {
        brokers: vec![format!("dunlin={}", built::program().display()).parse().unwrap()],
        scenarios: vec![scenario::by_name(name).unwrap().with(overrides).unwrap()],
        rounds: 1,
        version,
        disk: Some(Disk::open(&directory).unwrap()),
        progress: Progress::Hidden,
    };
    let comparison = compare::run(&plan, |_, _, _, _| {}).unwrap();
    drop(plan);
    assert!(!directory.exists(), "nothing is left of the data");
    comparison
}

/// The figures of the only round of each contender, with its name.
fn turns(comparison: &Comparison) -> Vec<(&str, &Figures)> {
    let compared = &comparison.scenarios[0];
    let names = compared.contenders.iter().map(String::as_str);
    names.zip(compared.figures.iter().map(|rounds| &rounds[0])).collect()
}

const STORE_AND_MEMORY: [&str; 2] = ["dunlin with store", "dunlin in memory"];

fn names<'a>(turns: &[(&'a str, &Figures)]) -> Vec<&'a str> {
    turns.iter().map(|turn| turn.0).collect()
}

#[test]
fn durable_publishing_is_measured_with_a_store_in_memory_and_beside_the_raw_loop() {
    for name in scenario::STORE_NAMES.iter().filter(|name| name.starts_with("durable-o")) {
        let overrides =
            Overrides { duration_ms: Some(200), warm_up_messages: Some(10), ..Overrides::default() };
        let comparison = compare(name, ProtocolVersion::V3_1_1, &overrides);
        let turns = turns(&comparison);
        assert_eq!(names(&turns), [STORE_AND_MEMORY[0], STORE_AND_MEMORY[1], "raw loop"]);
        for (contender, figures) in &turns[..2] {
            let figures = figures.traffic().unwrap();
            let acknowledged = figures.acknowledged.unwrap();
            assert_eq!((figures.lost, figures.repeated), (0, 0), "{name} {contender}: {figures:?}");
            let timed = acknowledged.latency.map_or(0, |latency| latency.count);
            assert_eq!(timed, acknowledged.messages, "{name} {contender}");
            // How many are acknowledged in the time of a test is up to the machine; those of the warm-up are.
            assert!(figures.published >= 10, "{name} {contender}: {figures:?}");
            assert_eq!(figures.received > 0, name.contains("online"), "{name} {contender}: {figures:?}");
        }
        let Figures::Commits(commits) = turns[2].1 else { panic!("{turns:?}") };
        let outstanding = if name.ends_with("1000") { 1000 } else { 1 };
        assert_eq!((commits.batch, commits.record_bytes), (outstanding, 232));
        assert!(commits.commit.count > 0);
    }
}

#[test]
fn messages_that_are_not_stored_are_measured_alone_and_beside_others() {
    let overrides = Overrides { duration_ms: Some(100), warm_up_messages: Some(100), ..Overrides::default() };
    let comparison = compare("durable-beside", ProtocolVersion::V3_1_1, &overrides);
    for (contender, figures) in turns(&comparison) {
        let Figures::Beside(figures) = figures else { panic!("{figures:?}") };
        for relayed in [&figures.before, &figures.beside, &figures.after] {
            let traffic = &relayed.traffic;
            assert_eq!((traffic.received, traffic.lost), (traffic.expected, 0), "{contender}: {traffic:?}");
            assert!(traffic.received >= 100 && relayed.round_trip.count > 0, "{contender}: {relayed:?}");
        }
        assert!(figures.stored.messages > 0, "{contender}: {figures:?}");
    }
}

#[test]
fn a_queue_is_drained_of_everything_it_was_filled_with() {
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let overrides = Overrides { messages: Some(2_500), ..Overrides::default() };
        let comparison = compare("queue", version, &overrides);
        assert_eq!(names(&turns(&comparison)), STORE_AND_MEMORY);
        for (contender, figures) in turns(&comparison) {
            let Figures::Queue(figures) = figures else { panic!("{figures:?}") };
            assert_eq!((figures.lost, figures.repeated, figures.late), (0, 0, 0), "{contender}: {figures:?}");
            assert!(figures.filled_resident_bytes > 0);
            assert!(figures.peak_resident_bytes >= figures.filled_resident_bytes);
            assert!(figures.written.passed_bytes > 0 || contender != STORE_AND_MEMORY[0], "{figures:?}");
        }
    }
}

#[test]
fn a_new_subscriber_receives_every_retained_message() {
    let overrides = Overrides { topics: Some(1_500), ..Overrides::default() };
    let comparison = compare("retained", ProtocolVersion::V3_1_1, &overrides);
    for (contender, figures) in turns(&comparison) {
        let Figures::Retained(figures) = figures else { panic!("{figures:?}") };
        assert_eq!((figures.lost, figures.repeated), (0, 0), "{contender}: {figures:?}");
        assert!(figures.delivered_s > 0.0);
    }
}

#[test]
fn a_broker_that_was_killed_is_there_again_and_what_it_had_is_counted() {
    // More Sessions than one wave of connections.
    let overrides = Overrides { messages: Some(3_000), ..Overrides::default() };
    let comparison = compare("recovery", ProtocolVersion::V5, &overrides);
    let turns = turns(&comparison);
    assert_eq!(names(&turns), ["dunlin with store"]);
    let Figures::Recovery(figures) = turns[0].1 else { panic!("{turns:?}") };
    let before = figures.before;
    assert_eq!((before.messages, before.sessions, before.retained), (3_000, 300, 300));
    assert!(0.0 < figures.listening_s && figures.listening_s <= figures.connected_s, "{figures:?}");
    assert!(figures.cpu_s > 0.0 && figures.resident_bytes > 0, "{figures:?}");
}

#[test]

fn what_was_acknowledged_survives_a_kill() {
    let overrides = Overrides { messages: Some(3_000), ..Overrides::default() };
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let comparison = compare("recovery", version, &overrides);
        let Figures::Recovery(figures) = turns(&comparison)[0].1 else { panic!("{comparison:?}") };
        assert_eq!(figures.after, figures.before);
        assert!(figures.stored_bytes > 3_000 * 200, "{figures:?}");
    }
}

#[test]
fn the_report_of_a_store_names_the_disk_and_what_was_compared() {
    let overrides = Overrides { messages: Some(10), ..Overrides::default() };
    let comparison = compare("queue", ProtocolVersion::V3_1, &overrides);
    let disk = comparison.disk.as_ref().unwrap();
    let text = report::markdown(&comparison, &Machine::this(), Section::Store).unwrap();
    assert!(
        text.contains(&format!("disk: {} on {}", disk.file_system.kind, disk.file_system.device)),
        "{text}"
    );
    assert!(text.contains("| queue | dunlin with store | dunlin in memory | first / this |"), "{text}");
    assert!(report::table(&comparison).contains("commits/s"));
    assert_eq!(report::markdown(&comparison, &Machine::this(), Section::Brokers), None);
}

#[test]
fn a_store_is_only_measured_in_a_broker_that_the_generator_starts() {
    let scenario = scenario::by_name("queue").unwrap();
    let target = Target::new("127.0.0.1:1".parse().unwrap(), ProtocolVersion::V5);
    assert!(matches!(run_one(&target, &scenario, None), Err(Error::Usage(_))));
    for other in ["mosquitto", "dunlin=127.0.0.1:1"] {
        let other: Spec = other.parse().unwrap();
        assert!(matches!(other.with_store(Path::new("/")), Err(Error::Usage(_))), "{other:?}");
    }
}
