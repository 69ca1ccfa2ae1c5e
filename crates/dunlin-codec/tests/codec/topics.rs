//! Topic Names, Topic Filters and matching (section 4.7), against an independent definition.

use crate::generate;
use dunlin_codec::{ShareName, SubscriptionFilter, TopicError, TopicFilter, TopicName};
use proptest::prelude::*;

/// Matching as section 4.7 words it, level by level, written apart from the codec's.
fn oracle(filter: &[&str], topic: &[&str], is_first: bool) -> bool {
    let is_hidden = is_first && topic.first().is_some_and(|level| level.starts_with('$'));
    match (filter, topic) {
        (["#"], _) => !is_hidden,
        (["+", filter @ ..], [_, topic @ ..]) => !is_hidden && oracle(filter, topic, false),
        ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && oracle(filter, topic, false),
        ([], []) => true,
        _ => false,
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    TopicFilter::parse(filter).unwrap().matches(TopicName::parse(topic).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, ..ProptestConfig::default() })]

    #[test]
    fn matching_agrees_with_the_oracle(filter in generate::topic_filter(), topic in generate::topic_name()) {
        let levels: (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
        prop_assert_eq!(matches(filter, topic), oracle(&levels.0, &levels.1, true));
    }

    #[test]
    fn a_topic_turned_into_a_filter_matches(topic in generate::topic_name(), turned in any::<[bool; 6]>(), cut in 0..6usize) {
        // Each level may become +, and everything from some level on may become #; a $ at the front must stay.
        let levels: Vec<&str> = topic.split('/').collect();
        let keeps_first = topic.starts_with('$');
        let mut filter: Vec<&str> = levels
            .iter()
            .enumerate()
            .map(|(index, level)| if turned[index] && !(index == 0 && keeps_first) { "+" } else { level })
            .collect();
        if cut < filter.len() && !(cut == 0 && keeps_first) {
            filter.truncate(cut);
            filter.push("#");
        }
        prop_assert!(matches(&filter.join("/"), topic), "{} against {}", filter.join("/"), topic);
    }

    #[test]
    fn whatever_is_accepted_as_a_name_is_a_filter_that_matches_itself(text in any::<String>()) {
        if let Ok(topic) = TopicName::parse(&text) {
            let filter = TopicFilter::parse(&text).unwrap();
            prop_assert!(!filter.has_wildcards());
            prop_assert!(filter.matches(topic));
            prop_assert_eq!(topic.levels().count(), topic.level_count());
        }
    }

    #[test]
    fn a_filter_is_accepted_exactly_when_its_wildcards_fill_levels(text in "[a+#/]{1,8}") {
        let levels: Vec<&str> = text.split('/').collect();
        let is_sound = |(index, level): (usize, &&str)| {
            *level == "+" || (*level == "#" && index + 1 == levels.len()) || !level.contains(['+', '#'])
        };
        prop_assert_eq!(TopicFilter::parse(&text).is_ok(), levels.iter().enumerate().all(is_sound));
    }
}

#[test]
fn the_examples_of_the_specification_match() {
    // spec(v5): [MQTT-4.7.1-1] [MQTT-4.7.1-2]
    // spec(v3.1.1): [MQTT-4.7.1-2] [MQTT-4.7.1-3]
    for (filter, topic) in [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/#", "sport"),
        ("#", "a/b/c"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("$SYS/#", "$SYS/monitor/Clients"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
    ] {
        assert!(matches(filter, topic), "{filter} has to match {topic}");
    }
    for (filter, topic) in [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("a/b", "a/b/"),
        ("a/b", "A/b"),
    ] {
        assert!(!matches(filter, topic), "{filter} must not match {topic}");
    }
}

#[test]
fn a_leading_wildcard_does_not_match_a_topic_that_begins_with_dollar() {
    // spec(v5): [MQTT-4.7.2-1]
    // spec(v3.1.1): [MQTT-4.7.2-1]
    assert!(!matches("#", "$SYS/x"));
    assert!(!matches("+/x", "$SYS/x"));
    assert!(!matches("+", "$SYS"));
    assert!(matches("a/+", "a/$x"));
}

#[test]
fn topics_are_compared_byte_by_byte_without_normalization() {
    // spec(v5): [MQTT-4.7.3-4]
    // spec(v3.1.1): [MQTT-4.7.3-4]
    assert!(!matches("caf\u{e9}", "cafe\u{301}"));
    assert!(!matches("a//b", "a/b"));
    assert!(!matches("\u{feff}a", "a"));
}

#[test]
fn a_topic_may_have_65_535_bytes_and_no_more() {
    // spec(v5): [MQTT-4.7.3-3]
    // spec(v3.1.1): [MQTT-4.7.3-3]
    let longest = "t".repeat(65_535);
    let too_long = "t".repeat(65_536);
    assert!(TopicName::parse(&longest).is_ok());
    assert!(TopicFilter::parse(&longest).is_ok());
    assert_eq!(TopicName::parse(&too_long), Err(TopicError::TooLong));
    assert_eq!(TopicFilter::parse(&too_long), Err(TopicError::TooLong));
}

#[test]
fn a_shared_subscription_is_taken_apart() {
    // spec(v5): [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    let shared = SubscriptionFilter::parse("$share/group/a/+/#").unwrap();
    assert_eq!(shared.share_name.map(ShareName::as_str), Some("group"));
    assert_eq!(shared.topic_filter.as_str(), "a/+/#");
    assert_eq!(shared.as_str(), "$share/group/a/+/#");
    let plain = SubscriptionFilter::parse("a/$share/b").unwrap();
    assert_eq!(plain.share_name, None);
    assert_eq!(plain.topic_filter.as_str(), "a/$share/b");
}

#[test]
fn what_begins_with_share_and_is_no_shared_subscription_is_refused() {
    for (filter, error) in [
        ("$share", TopicError::InvalidShareName),
        ("$share/", TopicError::InvalidShareName),
        ("$share/x", TopicError::InvalidShareName),
        ("$share//f", TopicError::InvalidShareName),
        ("$share/a+b/f", TopicError::InvalidShareName),
        ("$share/#/f", TopicError::InvalidShareName),
        ("$share/x/", TopicError::ShareWithoutTopicFilter),
        ("$share/x/a#", TopicError::MisplacedWildcard),
    ] {
        assert_eq!(SubscriptionFilter::parse(filter), Err(error), "{filter}");
    }
}
