//! Which filters have appeared or disappeared lately, and whether that concerns a topic.
//!
//! Changes are numbered. What was found for a topic after one number of changes is still true as long as none
//! of the later ones concerns the topic, which two steps decide without looking at any text:
//!
//! * For each scope (a bucket of exact filters, a first level of wildcard filters, the filters that begin with
//!   a wildcard) the last change is known. Mostly nothing has changed in the topic's three scopes.
//! * If something has, the outlines of all changes in between are compared with that of the topic, provided
//!   that they are still remembered. One takes about a nanosecond; to match the topic again takes hundreds.
//!
//! What must stay true: a filter's outline covers the outlines of all topics which the filter matches. That
//! it covers others, too (those that differ in a later level, or lack the one for a `+` at the end, or whose
//! hashes collide), costs time and nothing else.

use super::levels::{TextHasher, begins_with_wildcard, has_wildcard, levels};

const EXACT_BUCKETS: usize = 4096;
const FIRST_LEVEL_BUCKETS: usize = 1024;
/// How many changes are remembered one by one. To compare all of them takes about as long as to match a topic.
const RECENT: usize = 256;
const OUTLINE_LEVELS: usize = 8;

/// A level of a filter's outline that covers whatever a topic has there.
const ANYTHING: u16 = 0;
/// There is no such level.
const ENDED: u16 = 1;

/// The first eight levels of a filter or a topic, as 16 bits of each one's hash.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) struct Outline([u16; OUTLINE_LEVELS]);

impl Outline {
    pub(super) fn of(text: &[u8], hasher: &TextHasher) -> Self {
        let mut levels = levels(text);
        let mut after_the_last = ENDED;
        Self(std::array::from_fn(|_| match levels.next() {
            None => after_the_last,
            Some(b"+") => ANYTHING,
            // spec(v5): [MQTT-4.7.1-1]
            Some(b"#") => {
                after_the_last = ANYTHING;
                ANYTHING
            }
            Some(level) => (hasher.text(level) as u16).max(ENDED + 1),
        }))
    }

    /// Whether the filter with this outline can match a topic with that one.
    #[inline]
    fn covers(&self, topic: &Outline) -> bool {
        let Self(levels) = self;
        // Without a way out, so that all levels are compared at once.
        levels
            .iter()
            .zip(topic.0)
            .fold(true, |all, (own, of_topic)| all & ((*own == ANYTHING) | (*own == of_topic)))
    }

    #[inline]
    fn first_level_bucket(&self) -> usize {
        let Self([first, ..]) = self;
        usize::from(*first) % FIRST_LEVEL_BUCKETS
    }
}

/// The filters that appeared or disappeared.
#[derive(Debug)]
pub(super) struct FilterChanges {
    /// How many there were.
    count: u64,
    /// The last of them, each at its number modulo their number.
    recent: Box<[Outline; RECENT]>,
    /// The last change of exact filters, by the hash of the filter, which is that of its only topic.
    exact: Vec<u64>,
    /// The last change of wildcard filters that begin with a literal level, by its hash.
    first_level: Vec<u64>,
    /// The last change of filters that begin with a wildcard: they concern every topic.
    leading_wildcard: u64,
}

impl FilterChanges {
    pub(super) fn new() -> Self {
        Self {
            count: 0,
            recent: Box::new([Outline([ANYTHING; OUTLINE_LEVELS]); RECENT]),
            exact: vec![0; EXACT_BUCKETS],
            first_level: vec![0; FIRST_LEVEL_BUCKETS],
            leading_wildcard: 0,
        }
    }

    /// How many changes there were, which is also the number of the last.
    #[inline]
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Notes that a filter has appeared or disappeared.
    pub(super) fn note(&mut self, filter: &[u8], filter_hash: u64, hasher: &TextHasher) {
        let outline = Outline::of(filter, hasher);
        self.count += 1;
        if let Some(oldest) = self.recent.get_mut(self.count as usize % RECENT) {
            *oldest = outline;
        }
        let last_of_scope = if begins_with_wildcard(filter) {
            Some(&mut self.leading_wildcard)
        } else if has_wildcard(filter) {
            self.first_level.get_mut(outline.first_level_bucket())
        } else {
            self.exact.get_mut(exact_bucket(filter_hash))
        };
        if let Some(last) = last_of_scope {
            *last = self.count;
        }
    }

    /// Whether nothing has changed in the scopes of a topic after the first `seen` changes.
    #[inline]
    pub(super) fn scopes_unchanged(&self, topic_hash: u64, topic: &Outline, seen: u64) -> bool {
        let exact = self.exact.get(exact_bucket(topic_hash)).copied().unwrap_or_default();
        let first_level = self.first_level.get(topic.first_level_bucket()).copied().unwrap_or_default();
        exact <= seen && first_level <= seen && self.leading_wildcard <= seen
    }

    /// Whether certainly none of the changes after the first `seen` concerns a topic.
    pub(super) fn none_concerns(&self, topic: &Outline, seen: u64) -> bool {
        self.count - seen <= RECENT as u64
            && (seen + 1..=self.count).all(|number| {
                self.recent.get(number as usize % RECENT).is_some_and(|filter| !filter.covers(topic))
            })
    }
}

#[inline]
fn exact_bucket(hash: u64) -> usize {
    (hash >> 32) as usize % EXACT_BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Noted {
        hasher: TextHasher,
        changes: FilterChanges,
    }

    impl Noted {
        fn new() -> Self {
            Self { hasher: TextHasher::new(1), changes: FilterChanges::new() }
        }

        fn note(&mut self, filter: &str) {
            self.changes.note(filter.as_bytes(), self.hasher.text(filter.as_bytes()), &self.hasher);
        }

        fn none_concerns(&self, topic: &str, seen: u64) -> bool {
            self.changes.none_concerns(&Outline::of(topic.as_bytes(), &self.hasher), seen)
        }
    }

    #[test]
    fn changes_of_filters_that_do_not_match_a_topic_do_not_concern_it() {
        let mut noted = Noted::new();
        let filters = ["a/c", "a/c/#", "a/+/d", "a/b/c/+/e", "+/c/#", "+/b/d", "+", "a/+/c/d", "b/#"];
        filters.iter().for_each(|filter| noted.note(filter));
        for seen in 0..=filters.len() as u64 {
            assert!(noted.none_concerns("a/b/c", seen), "after {seen}");
        }
    }

    #[test]
    fn a_change_of_a_filter_that_matches_a_topic_concerns_it() {
        let ten_levels = "a/b/c/d/e/f/g/h/i/j";
        let matches = [
            ("a/b", ["a/b", "a/+", "+/b", "a/b/#", "#"].as_slice()),
            ("a/b/c/d/e/f/g/h", &["a/b/c/d/e/f/g/h", "a/b/c/d/e/f/g/h/#", "+/+/+/+/+/+/+/+", "+/b/#"]),
            (ten_levels, &[ten_levels, "a/b/c/d/e/f/g/h/#", "+/+/+/+/+/+/+/+/+/+", "a/+/c/#"]),
        ];
        for (topic, filters) in matches {
            for filter in filters {
                let mut noted = Noted::new();
                ["beside/it", filter, "beside/it/#"].into_iter().for_each(|filter| noted.note(filter));
                let none_concerns = [0, 1, 2].map(|seen| noted.none_concerns(topic, seen));
                assert_eq!(none_concerns, [false, false, true], "{filter} on {topic}");
            }
        }
    }

    #[test]
    fn changes_before_the_recent_ones_may_concern_everything() {
        let mut noted = Noted::new();
        (0..=RECENT).for_each(|number| noted.note(&format!("a/{number}/#")));
        assert_eq!([0, 1].map(|seen| noted.none_concerns("a/b", seen)), [false, true]);
    }
}
