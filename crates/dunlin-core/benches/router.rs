//! What routing costs: time for each match, memory for each subscription and each Retained Message.
//!
//! Run with `cargo bench -p dunlin-core --bench router`. Memory is what the resident set of the process
//! grows by, so it includes what the allocator adds; it is printed before the timings.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dunlin_core::retained::{Progress, RetainedTree};
use dunlin_core::router::{Router, Subscription, Target};

const MILLION: u32 = 1_000_000;
const SUBSCRIPTION: Subscription =
    Subscription { maximum_qos: 1, no_local: false, retain_as_published: false, identifier: 0 };

/// The resident memory of this process in bytes; 0 where there is no `/proc`.
fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

fn exact(i: u32) -> String {
    format!("site/{}/device/{i}/state", i % 1_000)
}

fn wildcard(i: u32) -> String {
    match i % 3 {
        0 => format!("site/{}/device/{i}/+", i % 1_000),
        1 => format!("site/{}/device/{i}/#", i % 1_000),
        _ => format!("site/+/device/{i}/set"),
    }
}

fn mixed(i: u32) -> String {
    if i.is_multiple_of(2) { exact(i) } else { wildcard(i) }
}

/// A filter beside those of the topics, as deep as they are.
fn passing(i: u32) -> String {
    match i % 3 {
        0 => format!("site/{}/device/{i}/passing", i % 1_000),
        1 => format!("site/{}/device/{i}/passing/#", i % 1_000),
        _ => format!("+/{}/device/{i}/passing", i % 1_000),
    }
}

fn router_of(count: u32, filter: impl Fn(u32) -> String) -> Router {
    let mut router = Router::new(1, 16_384);
    for i in 0..count {
        router.insert(&filter(i), Target::Session(i), SUBSCRIPTION);
    }
    router
}

fn report_router_memory(name: &str, filter: impl Fn(u32) -> String) {
    let filter_bytes: usize = (0..MILLION).map(|i| filter(i).len()).sum();
    let before_bytes = resident_bytes();
    let mut slowest = Duration::ZERO;
    let mut router = Router::new(1, 16_384);
    let started = Instant::now();
    for i in 0..MILLION {
        let filter = filter(i);
        let inserting = Instant::now();
        router.insert(&filter, Target::Session(i), SUBSCRIPTION);
        slowest = slowest.max(inserting.elapsed());
    }
    let elapsed = started.elapsed();
    let per = |bytes: usize| bytes as f64 / f64::from(MILLION);
    println!(
        "1,000,000 {name} filters: {:.1} bytes each (estimate {:.1}, text {:.1}), \
         insert {:.0} ns on average, {:.2} ms at most",
        per(resident_bytes().saturating_sub(before_bytes)),
        per(router.memory_bytes_estimate()),
        per(filter_bytes),
        elapsed.as_nanos() as f64 / f64::from(MILLION),
        slowest.as_secs_f64() * 1e3,
    );
}

fn report_retained_memory() {
    let before_bytes = resident_bytes();
    let mut tree = RetainedTree::new();
    for i in 0..MILLION {
        tree.insert(&exact(i.wrapping_mul(7_919) % MILLION), u64::from(i));
    }
    let each_bytes = resident_bytes().saturating_sub(before_bytes) as f64 / f64::from(MILLION) - 8.0;
    println!("1,000,000 Retained Messages: {each_bytes:.1} bytes each beyond the value");
    drop(black_box(tree));
}

fn memory(_: &mut Criterion) {
    report_router_memory("exact", exact);
    report_router_memory("wildcard", wildcard);
    report_router_memory("mixed", mixed);
    report_retained_memory();
}

/// A generator of the same numbers in every run.
fn numbers() -> impl FnMut() -> u32 {
    let mut state = 1_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    }
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match");
    let mut next = numbers();
    let topics: Vec<String> = (0..65_536).map(|_| exact(next() % 100_000)).collect();

    let mut without_cache = Router::new(1, 0);
    (0..100_000).for_each(|i| {
        without_cache.insert(&mixed(i), Target::Session(i), SUBSCRIPTION);
    });
    for (name, mut router) in
        [("random/100,000 filters", router_of(100_000, mixed)), ("random/no cache", without_cache)]
    {
        let mut turn = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % topics.len();
                router
                    .matches(&topics[turn])
                    .map(|found| u64::from(found.delivery().maximum_qos))
                    .sum::<u64>()
            });
        });
    }

    let mut router = router_of(100_000, mixed);
    let hot: Vec<String> = (0..64).map(|i| exact(i * 2)).collect();
    let mut turn = 0;
    group.bench_function("hot/64 topics", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % hot.len();
            router.matches(black_box(&hot[turn])).is_empty()
        });
    });
    let overlapping: Vec<String> = (0..64).map(|i| exact(i * 6 + 3)).collect();
    for topic in &overlapping {
        router.insert(topic, Target::Session(5), SUBSCRIPTION);
    }
    group.bench_function("hot/64 topics of two filters", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % overlapping.len();
            router.matches(black_box(&overlapping[turn])).count()
        });
    });
    group.finish();
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out, per target");
    for count in [1_000, 100_000] {
        let mut router = router_of(count, |_| "news".to_owned());
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(format!("one filter of {count}"), |bencher| {
            bencher.iter(|| {
                router.matches("news").fold(0_u64, |sum, found| {
                    let delivery = found.delivery();
                    let slot = match found.target() {
                        Target::Session(slot) => u64::from(slot),
                        Target::Group(_) | Target::Peer(_) => 0,
                    };
                    sum + slot + u64::from(delivery.maximum_qos) + u64::from(delivery.identifiers.is_empty())
                })
            });
        });
        router.insert("#", Target::Session(7), SUBSCRIPTION);
        group.bench_function(format!("one filter of {count} and `#`"), |bencher| {
            bencher.iter(|| {
                router.matches("news").map(|found| u64::from(found.delivery().maximum_qos)).sum::<u64>()
            });
        });
    }
    group.finish();
}

fn churn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("churn");
    for (name, filter) in [("exact", exact as fn(u32) -> String), ("wildcard", wildcard)] {
        let mut router = router_of(100_000, filter);
        let filters: Vec<String> = (100_000..110_000).map(filter).collect();
        let mut turn = 0;
        group.bench_function(format!("subscribe and unsubscribe, {name}"), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % filters.len();
                router.insert(&filters[turn], Target::Session(1), SUBSCRIPTION);
                router.remove(&filters[turn], Target::Session(1))
            });
        });
    }
    for (name, changes) in [("undisturbed", false), ("beside a change every 650", true)] {
        let topics: Vec<String> = (0..10_000).map(|i| exact(i * 2)).collect();
        let mut router = router_of(20_000, mixed);
        let mut next = numbers();
        let mut turn = 0;
        group.bench_function(format!("match 10,000 topics, {name}"), |bencher| {
            bencher.iter(|| {
                turn += 1;
                if changes && turn % 650 == 0 {
                    let filter = passing(turn / 1_300);
                    if turn % 1_300 == 0 {
                        router.insert(&filter, Target::Session(1), SUBSCRIPTION);
                    } else {
                        router.remove(&filter, Target::Session(1));
                    }
                }
                router.matches(&topics[next() as usize % topics.len()]).is_empty()
            });
        });
    }
    let mut router = router_of(100_000, |_| "news".to_owned());
    let mut next = numbers();
    group.bench_function("leave and rejoin a filter of 100,000", |bencher| {
        bencher.iter(|| {
            let target = Target::Session(next() % 100_000);
            router.remove("news", target);
            router.insert("news", target, SUBSCRIPTION)
        });
    });
    group.finish();
}

fn retained(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retained");
    let mut tree = RetainedTree::new();
    let mut next = numbers();
    (0..100_000).for_each(|i| {
        tree.insert(&exact(i), i);
    });
    for filter in ["#", "site/+/device/+/state", "site/77/#"] {
        group.bench_function(format!("walk of 100,000 topics for {filter}"), |bencher| {
            bencher.iter(|| {
                let (mut cursor, mut budget, mut found) = (tree.cursor(filter), usize::MAX, 0_u64);
                while let Progress::Found(_, message) = tree.next(&mut cursor, &mut budget) {
                    found += u64::from(*message);
                }
                found
            });
        });
    }
    group.bench_function("replace one of 100,000", |bencher| {
        bencher.iter_batched(
            || exact(next() % 100_000),
            |topic| tree.insert(&topic, 1),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30);
    targets = memory, matching, fan_out, churn, retained
}
criterion_main!(benches);
