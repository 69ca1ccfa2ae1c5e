//! The router against a list of subscriptions that is searched from end to end.
//!
//! Filters and topics come from small alphabets, so that they overlap, replace and empty each other
//! often; every sequence mixes changes, one or hundreds at a time, with matches, so that an outdated
//! answer of the match cache shows. At the end everything is removed and nothing may be left.

use std::collections::BTreeMap;

use dunlin_core::router::{Delivery, Match, Router, Subscription, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The answer for one target in a form that can be compared: QoS, RETAIN as published, identifiers.
type Outcome = (u8, bool, Vec<u32>);

#[derive(Default)]
struct Model {
    subscriptions: BTreeMap<(String, Target), Subscription>,
}

impl Model {
    fn matches(&self, topic: &str) -> BTreeMap<Target, (Option<Outcome>, Option<Outcome>)> {
        let mut matching: BTreeMap<Target, Vec<Subscription>> = BTreeMap::new();
        for ((filter, target), subscription) in &self.subscriptions {
            if model_matches(filter, topic) {
                matching.entry(*target).or_default().push(*subscription);
            }
        }
        let taken_together = |subscriptions: &[Subscription]| {
            let mut identifiers: Vec<u32> =
                subscriptions.iter().map(|it| it.identifier).filter(|identifier| *identifier != 0).collect();
            identifiers.sort_unstable();
            let qos = subscriptions.iter().map(|it| it.maximum_qos).max()?;
            Some((qos, subscriptions.iter().any(|it| it.retain_as_published), identifiers))
        };
        matching
            .into_iter()
            .map(|(target, all)| {
                let not_local: Vec<Subscription> = all.iter().filter(|it| !it.no_local).copied().collect();
                (target, (taken_together(&all), taken_together(&not_local)))
            })
            .collect()
    }

    fn has_local(&self, filter: &str) -> bool {
        self.subscriptions.keys().any(|(text, target)| text == filter && !matches!(target, Target::Peer(_)))
    }

    fn filters_count(&self) -> usize {
        self.subscriptions.keys().map(|(filter, _)| filter).collect::<std::collections::BTreeSet<_>>().len()
    }
}

/// Section 4.7 by recursion over levels, as little like the router as can be.
fn model_matches(filter: &str, topic: &str) -> bool {
    fn below(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            (["+", filter @ ..], [_, topic @ ..]) => below(filter, topic),
            ([filter_level, filter @ ..], [topic_level, topic @ ..]) => {
                filter_level == topic_level && below(filter, topic)
            }
            ([], []) => true,
            _ => false,
        }
    }
    let reserved = topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'));
    let (filter, topic): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    !reserved && below(&filter, &topic)
}

fn outcome(delivery: Delivery<'_>) -> Outcome {
    let mut identifiers: Vec<u32> = delivery.identifiers.clone().collect();
    assert_eq!(identifiers.is_empty(), delivery.identifiers.is_empty());
    identifiers.sort_unstable();
    (delivery.maximum_qos, delivery.retain_as_published, identifiers)
}

fn answer(router: &mut Router, topic: &str) -> BTreeMap<Target, (Option<Outcome>, Option<Outcome>)> {
    let matches = router.matches(topic);
    let is_empty = matches.is_empty();
    let found: Vec<_> = matches
        .map(|found: Match<'_>| {
            (found.target(), (Some(outcome(found.delivery())), found.delivery_to_publisher().map(outcome)))
        })
        .collect();
    assert_eq!(found.is_empty(), is_empty);
    assert!(found.is_sorted_by(|(one, _), (other, _)| one < other), "each target once, ascending: {found:?}");
    found.into_iter().collect()
}

fn level() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "", "$x", "ä", "日本", "ab", "a level of more than sixteen bytes"])
}

/// Mostly nothing; at times so many levels that what follows is partly beyond those the router keeps hashes of.
fn beginning() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just("a/a/a/a/a/a/")]
}

fn topic() -> impl Strategy<Value = String> {
    (beginning(), vec(level(), 1..6))
        .prop_map(|(beginning, levels)| beginning.to_owned() + &levels.join("/"))
        .prop_filter("a topic has at least one character", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    (beginning(), vec(level, 0..6), any::<bool>())
        .prop_map(|(beginning, mut levels, with_multi)| {
            if with_multi {
                levels.push("#");
            }
            beginning.to_owned() + &levels.join("/")
        })
        .prop_filter("a filter has at least one character", |filter| !filter.is_empty())
}

fn either() -> impl Strategy<Value = String> {
    prop_oneof![filter(), topic()]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        4 => (0..6_u32).prop_map(Target::Session),
        1 => Just(Target::Session(Target::SESSION_MAX)),
        1 => (0..3_u32).prop_map(Target::Group),
        1 => (0..3_u16).prop_map(Target::Peer),
    ]
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let identifier = prop_oneof![Just(0), 1..4_u32, Just(268_435_455)];
    (0..3_u8, any::<bool>(), any::<bool>(), identifier).prop_map(
        |(maximum_qos, no_local, retain_as_published, identifier)| Subscription {
            maximum_qos,
            no_local,
            retain_as_published,
            identifier,
        },
    )
}

const PLAIN: Subscription =
    Subscription { maximum_qos: 0, no_local: false, retain_as_published: false, identifier: 0 };

#[derive(Clone, Debug)]
enum Action {
    Insert(String, Target, Subscription),
    Remove(String, Target),
    /// Removes the n-th subscription that exists, modulo their number.
    RemoveExisting(usize),
    /// Someone subscribes or unsubscribes once, and then both in turn for another filter, so many times in all.
    Churn(String, String, usize),
    Match(String),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (filter(), target(), subscription()).prop_map(|(f, t, s)| Action::Insert(f, t, s)),
        1 => (topic(), target(), subscription()).prop_map(|(f, t, s)| Action::Insert(f, t, s)),
        1 => (filter(), target()).prop_map(|(f, t)| Action::Remove(f, t)),
        3 => any::<usize>().prop_map(Action::RemoveExisting),
        1 => (either(), either(), changes()).prop_map(|(once, often, n)| Action::Churn(once, often, n)),
        4 => topic().prop_map(Action::Match),
    ]
}

/// As many changes as the router remembers one by one, or about as many.
fn changes() -> impl Strategy<Value = usize> {
    prop_oneof![2..10_usize, 250..260_usize, 510..520_usize]
}

fn remove(router: &mut Router, model: &mut Model, filter: &str, target: Target) {
    let expected = model.subscriptions.remove(&(filter.to_owned(), target));
    assert_eq!(router.remove(filter, target), expected, "{filter} {target:?}");
    assert_eq!(router.has_local(filter), model.has_local(filter), "{filter}");
}

fn toggle(router: &mut Router, model: &mut Model, filter: &str) {
    let someone = Target::Session(99);
    if router.get(filter, someone).is_some() {
        remove(router, model, filter, someone);
    } else {
        model.subscriptions.insert((filter.to_owned(), someone), PLAIN);
        assert_eq!(router.insert(filter, someone, PLAIN).replaced, None);
    }
}

fn perform(router: &mut Router, model: &mut Model, action: &Action) {
    match action {
        Action::Insert(filter, target, subscription) => {
            let had_local = model.has_local(filter);
            let filters_before = model.filters_count();
            let replaced = model.subscriptions.insert((filter.clone(), *target), *subscription);
            let inserted = router.insert(filter, *target, *subscription);
            assert_eq!(inserted.replaced, replaced);
            assert_eq!(inserted.filter_is_new, model.filters_count() > filters_before);
            assert_eq!(inserted.is_first_local, !had_local && model.has_local(filter));
        }
        Action::Remove(filter, target) => remove(router, model, filter, *target),
        Action::RemoveExisting(index) => {
            let existing = model.subscriptions.len().max(1);
            if let Some((filter, target)) = model.subscriptions.keys().nth(index % existing).cloned() {
                remove(router, model, &filter, target);
            }
        }
        Action::Churn(once, often, changes) => {
            toggle(router, model, once);
            (0..*changes).for_each(|_| toggle(router, model, often));
        }
        Action::Match(topic) => assert_eq!(answer(router, topic), model.matches(topic), "{topic}"),
    }
    assert_eq!(router.subscriptions_count(), model.subscriptions.len());
    assert_eq!(router.filters_count(), model.filters_count());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    // spec(v3.1.1): [MQTT-3.3.2-3] [MQTT-4.7.1-3] [MQTT-4.7.2-1]
    // spec(v5): [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.8.3-3] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1]
    #[test]
    fn the_router_answers_as_a_search_through_all_subscriptions_would(
        seed in any::<u64>(),
        cache_capacity in select(vec![0, 1, 8, 1024]),
        actions in vec(action(), 1..80),
        probes in vec(topic(), 1..12),
    ) {
        let mut router = Router::new(seed, cache_capacity);
        let mut model = Model::default();
        for action in &actions {
            perform(&mut router, &mut model, action);
            // The same topics after every change: these answers come from the cache wherever it can.
            for probe in &probes {
                assert_eq!(answer(&mut router, probe), model.matches(probe), "{probe} after {action:?}");
            }
        }
        for (filter, target) in model.subscriptions.keys().cloned().collect::<Vec<_>>() {
            remove(&mut router, &mut model, &filter, target);
        }
        assert_eq!((router.subscriptions_count(), router.filters_count()), (0, 0));
        assert_eq!(router.trie_nodes_count(), 0);
        for probe in &probes {
            assert!(router.matches(probe).is_empty());
        }
    }
}

fn targets(router: &mut Router, topic: &str) -> Vec<Target> {
    router.matches(topic).map(|found| found.target()).collect()
}

#[test]
fn the_examples_of_the_specification_match_as_it_says() {
    // spec(v3.1.1): [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.2-1]
    // spec(v5): [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT-4.7.3-4]
    let cases = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("#", "sport/tennis", true),
        ("sport/tennis/+", "sport/tennis/player2", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/broker/uptime", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/broker/uptime", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("ACCOUNTS", "Accounts", false),
        ("/A", "A", false),
        ("A\u{30a}", "\u{c5}", false),
    ];
    for (filter, topic, expected) in cases {
        let mut router = Router::new(7, 16);
        router.insert(filter, Target::Session(1), PLAIN);
        assert_eq!(!router.matches(topic).is_empty(), expected, "{filter} on {topic}");
        // The same with a neighbour that turns the filter's leaf into nodes.
        for neighbour in ["sport/tennis/player1/+", "+/+/+", "#", "$SYS/+/+", "/+/x", "+/monitor/#"] {
            router.insert(neighbour, Target::Session(2), PLAIN);
        }
        assert_eq!(
            targets(&mut router, topic).contains(&Target::Session(1)),
            expected,
            "{filter} on {topic}"
        );
    }
}

#[test]
fn overlapping_subscriptions_give_one_delivery_with_the_highest_qos_and_all_identifiers() {
    // spec(v5): [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4]
    let mut router = Router::new(7, 16);
    router.insert("a/+", Target::Session(1), Subscription { maximum_qos: 2, identifier: 5, ..PLAIN });
    router.insert("a/#", Target::Session(1), Subscription { maximum_qos: 1, identifier: 6, ..PLAIN });
    router.insert("a/b", Target::Session(1), Subscription { retain_as_published: true, ..PLAIN });
    let found: Vec<Match<'_>> = router.matches("a/b").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(outcome(found[0].delivery()), (2, true, vec![5, 6]));
}

#[test]
fn a_publisher_gets_its_message_by_the_subscriptions_without_no_local_only() {
    // spec(v5): [MQTT-3.8.3-3]
    let mut router = Router::new(7, 16);
    let no_local = Subscription { maximum_qos: 2, no_local: true, retain_as_published: true, identifier: 5 };
    router.insert("a/+", Target::Session(1), no_local);
    let only = router.matches("a/b").next().unwrap();
    assert_eq!(outcome(only.delivery()), (2, true, vec![5]));
    assert!(only.delivery_to_publisher().is_none());

    router.insert("a/b", Target::Session(1), Subscription { maximum_qos: 1, identifier: 6, ..PLAIN });
    let both = router.matches("a/b").next().unwrap();
    assert_eq!(outcome(both.delivery()), (2, true, vec![5, 6]));
    assert_eq!(both.delivery_to_publisher().map(outcome), Some((1, false, vec![6])));
}

#[test]
fn a_filter_with_100_000_subscribers_beside_a_wildcard_leads_to_each_once() {
    let mut router = Router::new(7, 16);
    for slot in 0..100_000 {
        router.insert("news", Target::Session(slot), PLAIN);
    }
    assert_eq!(router.matches("news").count(), 100_000);
    router.insert("#", Target::Session(50_000), Subscription { maximum_qos: 2, ..PLAIN });
    router.insert("#", Target::Session(200_000), PLAIN);
    let mut expected = 0..100_000_u32;
    for found in router.matches("news") {
        let slot = expected.next().unwrap_or(200_000);
        assert_eq!(found.target(), Target::Session(slot));
        assert_eq!(found.delivery().maximum_qos, if slot == 50_000 { 2 } else { 0 });
    }
    assert_eq!(expected.next(), None);
}

#[test]
fn the_deepest_filters_and_topics_are_matched_without_recursion() {
    // spec(v5): [MQTT-4.7.3-3]
    let mut router = Router::new(7, 16);
    let deep = "/".repeat(65_534);
    let filters = ["#".to_owned(), format!("{deep}#"), format!("{deep}+"), format!("+{deep}")];
    for (slot, filter) in filters.iter().enumerate() {
        router.insert(filter, Target::Session(slot as u32), PLAIN);
    }
    assert_eq!(targets(&mut router, &format!("{deep}x")), [0, 1, 2].map(Target::Session));
    assert_eq!(targets(&mut router, &format!("x{deep}")), [0, 3].map(Target::Session));
    for (slot, filter) in filters.iter().enumerate() {
        assert_eq!(router.remove(filter, Target::Session(slot as u32)), Some(PLAIN));
    }
    assert_eq!(router.trie_nodes_count(), 0);
}

#[test]
fn churn_does_not_grow_the_router_and_emptying_it_gives_the_memory_back() {
    let mut router = Router::new(7, 0);
    let empty_bytes = router.memory_bytes_estimate();
    let mut peak_bytes = Vec::new();
    for round in 0..20_u32 {
        let names = |i: u32| {
            let unique = u64::from(round * 10_000 + i);
            ["device/{}/state", "device/{}/+/set", "device/{}/#", "{}/+/#"]
                .map(|filter| filter.replace("{}", &unique.to_string()))
        };
        for i in 0..2_000 {
            for filter in names(i) {
                router.insert(&filter, Target::Session(i), PLAIN);
                router.insert(&filter, Target::Session(i + 1), PLAIN);
            }
        }
        peak_bytes.push(router.memory_bytes_estimate());
        for i in 0..2_000 {
            for filter in names(i) {
                assert!(router.remove(&filter, Target::Session(i)).is_some());
                assert!(router.remove(&filter, Target::Session(i + 1)).is_some());
            }
        }
        assert_eq!((router.filters_count(), router.trie_nodes_count()), (0, 0));
    }
    let (first, last) = (peak_bytes[0], peak_bytes[19]);
    assert!(last <= first + first / 4, "{first} bytes grew to {last}");
    let left_bytes = router.memory_bytes_estimate();
    assert!(
        left_bytes < empty_bytes + first / 20,
        "{empty_bytes} bytes at first, {left_bytes} left of {first}"
    );
}

#[test]
fn the_match_cache_stays_within_its_capacity() {
    let mut router = Router::new(7, 64);
    router.insert("#", Target::Session(0), PLAIN);
    for i in 0..10_000 {
        assert_eq!(router.matches(&format!("topic/{i}")).count(), 1);
    }
    assert!(router.cached_topics_count() <= 64);
    assert!(router.cached_topics_count() > 32);
}
