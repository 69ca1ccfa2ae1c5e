//! The tree of Retained Messages against a plain map, walks against changes in the middle of them.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_core::retained::{Cursor, Progress, RetainedTree};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Section 4.7 by recursion over levels.
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

/// Takes one slice of a walk; `false` when the walk is over.
fn take_slice(
    tree: &RetainedTree<u32>,
    cursor: &mut Cursor,
    mut budget: usize,
    found: &mut Vec<(String, u32)>,
) -> bool {
    let granted = budget;
    loop {
        match tree.next(cursor, &mut budget) {
            Progress::Found(topic, message) => found.push((topic.to_string(), *message)),
            Progress::Pending => {
                assert_eq!(budget, 0, "a walk stops only when its budget of {granted} is used up");
                return true;
            }
            Progress::Done => {
                assert!(cursor.is_done());
                return false;
            }
        }
    }
}

fn walk(tree: &RetainedTree<u32>, filter: &str) -> Vec<(String, u32)> {
    let (mut cursor, mut found) = (tree.cursor(filter), Vec::new());
    assert!(!take_slice(tree, &mut cursor, usize::MAX, &mut found));
    found
}

fn level() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "", "$x", "ä", "日本", "ab", "a\u{1}", "%", "!x", " ", "~"])
}

fn topic() -> impl Strategy<Value = String> {
    vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has at least one character", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    (vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, with_multi)| {
            if with_multi {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("a filter has at least one character", |filter| !filter.is_empty())
}

#[derive(Clone, Debug)]
enum Change {
    Insert(String, u32),
    Remove(String),
    RemoveExisting(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (topic(), any::<u32>()).prop_map(|(topic, message)| Change::Insert(topic, message)),
        1 => topic().prop_map(Change::Remove),
        2 => any::<usize>().prop_map(Change::RemoveExisting),
    ]
}

fn perform(tree: &mut RetainedTree<u32>, model: &mut BTreeMap<String, u32>, change: Change) {
    match change {
        Change::Insert(topic, message) => {
            assert_eq!(tree.insert(&topic, message), model.insert(topic.clone(), message));
            assert_eq!(tree.get(&topic), Some(&message));
        }
        Change::Remove(topic) => {
            assert_eq!(tree.get(&topic), model.get(&topic));
            assert_eq!(tree.remove(&topic), model.remove(&topic));
            assert_eq!(tree.get(&topic), None);
        }
        Change::RemoveExisting(index) => {
            let existing = model.len().max(1);
            if let Some(topic) = model.keys().nth(index % existing).cloned() {
                assert_eq!(tree.remove(&topic), model.remove(&topic));
            }
        }
    }
    assert_eq!(tree.len(), model.len());
    assert_eq!(tree.is_empty(), model.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    // spec(v3.1.1): [MQTT-3.3.1-6] [MQTT-4.7.2-1]
    // spec(v5): [MQTT-3.3.1-9] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1]
    #[test]
    fn a_walk_finds_exactly_the_topics_that_match(
        changes in vec(change(), 1..80),
        filters in vec(filter(), 1..8),
    ) {
        let (mut tree, mut model) = (RetainedTree::new(), BTreeMap::new());
        for change in changes {
            perform(&mut tree, &mut model, change);
        }
        for filter in filters {
            let found = walk(&tree, &filter);
            let found_map: BTreeMap<String, u32> = found.iter().cloned().collect();
            let mut expected = model.clone();
            expected.retain(|topic, _| model_matches(&filter, topic));
            assert_eq!(found.len(), found_map.len(), "each topic once: {found:?}");
            assert_eq!(found_map, expected, "{filter}");
        }
    }

    #[test]
    fn a_walk_interrupted_by_changes_finds_what_was_there_all_the_time_once(
        before in vec(topic(), 0..60),
        filter in filter(),
        slices in vec((1..4_usize, vec(change(), 0..6)), 0..60),
    ) {
        let (mut tree, mut model) = (RetainedTree::new(), BTreeMap::new());
        for (message, topic) in before.into_iter().enumerate() {
            perform(&mut tree, &mut model, Change::Insert(topic, message as u32));
        }
        let (mut cursor, mut found) = (tree.cursor(&filter), Vec::new());
        let mut always: BTreeSet<String> = model.keys().cloned().collect();
        let mut ever = always.clone();
        let mut goes_on = true;
        for (budget, changes) in slices {
            let already_found = found.len();
            goes_on = goes_on && take_slice(&tree, &mut cursor, budget, &mut found);
            for (topic, message) in &found[already_found..] {
                assert_eq!(model.get(topic), Some(message), "what is found is there at that moment");
            }
            for change in changes {
                if goes_on {
                    perform(&mut tree, &mut model, change);
                    always.retain(|topic| model.contains_key(topic));
                    ever.extend(model.keys().cloned());
                }
            }
        }
        if goes_on {
            assert!(!take_slice(&tree, &mut cursor, usize::MAX, &mut found));
        }
        let found_topics: BTreeSet<String> = found.iter().map(|(topic, _)| topic.clone()).collect();
        assert_eq!(found.len(), found_topics.len(), "each topic at most once: {found:?}");
        for topic in &found_topics {
            assert!(ever.contains(topic) && model_matches(&filter, topic), "{topic} for {filter}");
        }
        for topic in always.iter().filter(|topic| model_matches(&filter, topic)) {
            assert!(found_topics.contains(topic), "{topic} was there all the time; {filter} found {found:?}");
        }
    }
}

fn tree_of(topics: &[&str]) -> RetainedTree<u32> {
    let mut tree = RetainedTree::new();
    for topic in topics {
        tree.insert(topic, 0);
    }
    tree
}

fn topics(tree: &RetainedTree<u32>, filter: &str) -> Vec<String> {
    walk(tree, filter).into_iter().map(|(topic, _)| topic).collect()
}

#[test]
fn a_filter_without_wildcards_finds_its_topic_alone() {
    let tree = tree_of(&["a", "a/b", "a/b/c", "a/bc", "b"]);
    assert_eq!(topics(&tree, "a/b"), ["a/b"]);
    assert!(topics(&tree, "a/c").is_empty());
}

#[test]
fn wildcards_at_the_front_find_no_topic_that_begins_with_a_dollar_sign() {
    // spec(v3.1.1): [MQTT-4.7.2-1]
    // spec(v5): [MQTT-4.7.2-1]
    let tree = tree_of(&["!", "!$", "$", "$SYS", "$SYS/x", "%", "a", "a/$x"]);
    assert_eq!(topics(&tree, "#"), ["!", "!$", "%", "a", "a/$x"]);
    assert_eq!(topics(&tree, "+"), ["!", "!$", "%", "a"]);
    assert_eq!(topics(&tree, "$SYS/#"), ["$SYS", "$SYS/x"]);
    assert_eq!(topics(&tree, "+/$x"), ["a/$x"]);
}

#[test]
fn empty_levels_are_levels() {
    let tree = tree_of(&["/", "/a", "a", "a/", "a//b"]);
    assert_eq!(topics(&tree, "+/+"), ["/", "/a", "a/"]);
    assert_eq!(topics(&tree, "a/#"), ["a", "a/", "a//b"]);
    assert_eq!(topics(&tree, "+"), ["a"]);
    assert_eq!(topics(&tree, "a/+/b"), ["a//b"]);
}

#[test]
fn a_walk_skips_what_cannot_match_without_looking_at_it() {
    let mut tree = RetainedTree::new();
    for device in 0..100 {
        for property in 0..100 {
            tree.insert(&format!("device{device}/property{property}"), 0_u32);
        }
    }
    for i in 0..10_000 {
        tree.insert(&format!("$SYS/{i}"), 0);
    }
    let mut budget = 100_000;
    let (mut cursor, mut found) = (tree.cursor("+/property50"), 0);
    while let Progress::Found(..) = tree.next(&mut cursor, &mut budget) {
        found += 1;
    }
    assert_eq!(found, 100);
    assert!(100_000 - budget <= 310, "{} topics looked at", 100_000 - budget);
}

#[test]
fn a_topic_removed_under_the_cursor_does_not_stop_the_walk() {
    let mut tree = tree_of(&["a/1", "a/2", "a/3"]);
    let (mut cursor, mut budget) = (tree.cursor("a/+"), 10);
    let mut next = |tree: &RetainedTree<u32>| match tree.next(&mut cursor, &mut budget) {
        Progress::Found(topic, _) => topic.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(next(&tree), "a/1");
    tree.remove("a/1");
    tree.remove("a/2");
    assert_eq!(next(&tree), "a/3");
    assert_eq!(next(&tree), "Done");
    assert_eq!(next(&tree), "Done");
}
