//! Topic levels and how a filter's match a topic's (section 4.7), on bytes.
//!
//! Nothing here allocates. Levels are compared byte by byte: MQTT forbids any normalization.

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use smallvec::SmallVec;
use std::hash::Hasher;

pub(super) const SEPARATOR: u8 = b'/';

/// The levels of a topic or filter. Every text has at least one, and levels may be empty.
pub(super) fn levels(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == SEPARATOR)
}

/// Whether a valid filter contains a wildcard: the wildcard characters occur nowhere else.
pub(super) fn has_wildcard(filter: &[u8]) -> bool {
    filter.iter().any(|byte| matches!(byte, b'+' | b'#'))
}

pub(super) fn begins_with_wildcard(filter: &[u8]) -> bool {
    matches!(filter.first(), Some(b'+' | b'#'))
}

/// Whether the topic is one that filters beginning with a wildcard must not match.
pub(super) fn is_reserved(topic: &[u8]) -> bool {
    // spec(v3.1.1): [MQTT-4.7.2-1]
    // spec(v5): [MQTT-4.7.2-1]
    topic.first() == Some(&b'$')
}

/// Whether a valid filter matches a topic; reserved topics are the caller's concern.
pub(super) fn filter_matches(mut filter: &[u8], mut topic: &[u8]) -> bool {
    loop {
        match (filter, topic) {
            ([], []) | ([b'#'], _) | ([SEPARATOR, b'#'], []) => return true,
            ([b'+', filter_rest @ ..], _) => {
                filter = filter_rest;
                while let [byte, topic_rest @ ..] = topic
                    && *byte != SEPARATOR
                {
                    topic = topic_rest;
                }
            }
            ([filter_byte, filter_rest @ ..], [topic_byte, topic_rest @ ..]) if filter_byte == topic_byte => {
                (filter, topic) = (filter_rest, topic_rest);
            }
            _ => return false,
        }
    }
}

/// The seeded hash of topics, filters and levels.
#[derive(Debug)]
pub(super) struct TextHasher {
    shared: SharedSeed,
    seed: u64,
}

impl TextHasher {
    pub(super) fn new(seed: u64) -> Self {
        Self { shared: SharedSeed::from_u64(seed), seed: seed.rotate_left(32) }
    }

    #[inline]
    pub(super) fn text(&self, text: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(text);
        hasher.finish()
    }

    /// The hash of a level below a node, from the hash of the level.
    #[inline]
    pub(super) fn edge(&self, node: u32, level_hash: u64) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write_u64(level_hash);
        hasher.write_u32(node);
        hasher.finish()
    }
}

/// The levels of a topic with their hashes, found only as deep as somebody asks: a topic may have
/// 65,536 levels, but filters are rarely deeper than a few.
pub(super) struct HashedLevels<'a> {
    found: SmallVec<[(&'a [u8], u64); 12]>,
    rest: Option<&'a [u8]>,
}

impl<'a> HashedLevels<'a> {
    pub(super) fn new(topic: &'a [u8]) -> Self {
        Self { found: SmallVec::new(), rest: Some(topic) }
    }

    /// The level at `depth` and its hash, or `None` if the topic ends before.
    pub(super) fn get(&mut self, depth: usize, hasher: &TextHasher) -> Option<(&'a [u8], u64)> {
        while self.found.len() <= depth {
            let rest = self.rest?;
            let (level, rest) = match rest.iter().position(|byte| *byte == SEPARATOR) {
                Some(end) => (rest.get(..end)?, rest.get(end + 1..)),
                None => (rest, None),
            };
            self.found.push((level, hasher.text(level)));
            self.rest = rest;
        }
        self.found.get(depth).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multi_level_wildcard_matches_the_parent_and_any_depth() {
        // spec(v5): [MQTT-4.7.1-1]
        for topic in ["sport", "sport/", "sport/tennis", "sport/tennis/player1"] {
            assert!(filter_matches(b"sport/#", topic.as_bytes()), "{topic}");
        }
        assert!(!filter_matches(b"sport/#", b"sports"));
        assert!(filter_matches(b"#", b"/"));
    }

    #[test]
    fn a_single_level_wildcard_matches_one_level_even_an_empty_one() {
        // spec(v5): [MQTT-4.7.1-2]
        assert!(filter_matches(b"sport/+", b"sport/"));
        assert!(!filter_matches(b"sport/+", b"sport"));
        assert!(!filter_matches(b"sport/+", b"sport/tennis/player1"));
        assert!(filter_matches(b"+/+", b"/finance"));
        assert!(filter_matches(b"/+", b"/finance"));
        assert!(!filter_matches(b"+", b"/finance"));
    }

    #[test]
    fn hashed_levels_are_the_levels() {
        let hasher = TextHasher::new(1);
        for topic in ["a", "", "/", "a//b/", "//", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o"] {
            let mut hashed = HashedLevels::new(topic.as_bytes());
            let count = levels(topic.as_bytes()).count();
            assert!(hashed.get(count, &hasher).is_none());
            for (depth, level) in levels(topic.as_bytes()).enumerate() {
                assert_eq!(hashed.get(depth, &hasher), Some((level, hasher.text(level))));
            }
        }
    }
}
