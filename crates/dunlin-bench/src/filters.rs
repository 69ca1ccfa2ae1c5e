//! The Topic Filters of many Subscriptions, so made that each topic has three and everybody knows which.
//!
//! ```text
//! topic 12345     dunlin-subs/0001/2345/state
//! exact           dunlin-subs/0001/2345/state
//! with +                    +/0001/2345/state
//! with #          dunlin-subs/0001/2345/#
//! ```
//!
//! The three are held by three different connections: a client with two Subscriptions that match may get one
//! message or two, as the broker likes, and then nobody could count.

use crate::numbered::numbered;

/// The pattern of the topics.
pub(crate) const TOPIC: &str = "dunlin-subs/~~~~/~~~~/state";
/// How many Subscriptions match each topic.
pub(crate) const MATCHES: u32 = 3;
/// One pattern for each of them.
const PATTERNS: [&str; MATCHES as usize] = [TOPIC, "+/~~~~/~~~~/state", "dunlin-subs/~~~~/~~~~/#"];
/// Filters beside these that match none of the topics, for Subscriptions that come and go.
const PATTERNS_BESIDE: [&str; MATCHES as usize] =
    ["dunlin-subs/~~~~/~~~~/passing", "+/~~~~/~~~~/passing", "dunlin-subs/~~~~/~~~~/passing/#"];

/// The filters of some topics, shared out to connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filters {
    /// How many topics, up to 100 million.
    pub(crate) topics: u32,
    /// How many connections hold the filters, 3 or more.
    pub(crate) connections: u32,
}

impl Filters {
    /// What a connection subscribes to.
    pub(crate) fn of(self, connection: u32) -> impl Iterator<Item = String> {
        PATTERNS.into_iter().zip(0..).flat_map(move |(pattern, kind)| {
            let first = (connection + self.connections - self.offset(kind)) % self.connections;
            (first..self.topics)
                .step_by(self.connections as usize)
                .map(move |number| numbered(pattern, number))
        })
    }

    /// A filter that matches no topic, in the same part of the broker's tree as one that does.
    pub(crate) fn beside(self, number: u32) -> String {
        let pattern = PATTERNS_BESIDE[(number % MATCHES) as usize];
        numbered(pattern, number % self.topics)
    }

    /// By how many connections the holders of a kind of filter are moved on.
    fn offset(self, kind: u32) -> u32 {
        kind * self.connections / MATCHES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::TopicFilter;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn every_filter_has_one_holder_and_all_hold_about_as_many() {
        for (topics, connections) in [(1, 3), (1_000, 7), (333, 100), (2_500, 4)] {
            let filters = Filters { topics, connections };
            let all: Vec<Vec<_>> =
                (0..connections).map(|connection| filters.of(connection).collect()).collect();
            let different: HashSet<_> = all.iter().flatten().collect();
            assert_eq!(different.len(), (topics * MATCHES) as usize);
            assert_eq!(all.iter().map(Vec::len).sum::<usize>(), different.len());
            let most = all.iter().map(Vec::len).max().unwrap();
            let least = all.iter().map(Vec::len).min().unwrap();
            assert!(most - least <= MATCHES as usize, "{most} and {least}");
        }
    }

    #[test]
    fn the_filters_of_a_topic_are_held_by_three_connections() {
        for connections in 3..20 {
            let filters = Filters { topics: 40, connections };
            let mut holders: HashMap<String, HashSet<u32>> = HashMap::new();
            for connection in 0..connections {
                for filter in filters.of(connection) {
                    let digits = filter.chars().filter(char::is_ascii_digit).collect();
                    holders.entry(digits).or_default().insert(connection);
                }
            }
            assert!(holders.values().all(|holders| holders.len() == MATCHES as usize), "{connections}");
        }
    }

    #[test]
    fn a_million_subscriptions_of_a_hundred_connections_are_ten_thousand_each() {
        let filters = Filters { topics: 1_000_000 / MATCHES, connections: 100 };
        assert!([0, 33, 66, 99].into_iter().all(|connection| filters.of(connection).count() <= 10_000));
        assert!((0..9).all(|number| TopicFilter::parse(&filters.beside(number)).is_ok()));
    }
}
