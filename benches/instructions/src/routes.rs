//! From a Topic Name to the Subscriptions that match it, among 100,000 exact filters and filters with wildcards.

use super::Case;
use dunlin_core::router::{Router, Subscription, Target};

const FILTERS: u32 = 100_000;
const TOPICS: u32 = 1000;
/// As a shard has it.
const CACHE_TOPICS: usize = 16 * 1024;

pub fn cases() -> Vec<Case> {
    let case = |name, prepare| Case { name, operations: TOPICS, prepare };
    vec![
        case("match, topic in the cache", || matching(|_| 0)),
        case("match, new topic", || matching(|turn| turn * TOPICS)),
    ]
}

/// Matches `TOPICS` topics, beginning with the one that `first` says for each turn.
fn matching(first: fn(u32) -> u32) -> Box<dyn FnMut()> {
    let mut router = Router::new(1, CACHE_TOPICS);
    let subscription =
        Subscription { maximum_qos: 1, no_local: false, retain_as_published: false, identifier: 0 };
    for i in 0..FILTERS {
        router.insert(&filter(i), Target::Session(i), subscription);
    }
    // Scattered, so that neighbours share no more levels than others.
    let topics: Vec<String> = (0..2 * TOPICS).map(|i| topic(i * 7_919 % FILTERS)).collect();
    let mut turn = 0;
    Box::new(move || {
        let start = first(turn) as usize;
        turn += 1;
        let matched: usize =
            topics[start..start + TOPICS as usize].iter().map(|topic| router.matches(topic).count()).sum();
        assert!(matched > TOPICS as usize / 2);
    })
}

fn topic(i: u32) -> String {
    format!("site/{}/device/{i}/state", i % 1_000)
}

fn filter(i: u32) -> String {
    match i % 6 {
        0 | 2 | 4 => topic(i),
        1 => format!("site/{}/device/{i}/+", i % 1_000),
        3 => format!("site/{}/device/{i}/#", i % 1_000),
        _ => format!("site/+/device/{i}/set"),
    }
}
