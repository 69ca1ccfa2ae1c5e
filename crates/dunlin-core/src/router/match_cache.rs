//! Which filters match a topic, remembered for the topics published lately.
//!
//! The cache holds [`FilterId`]s and no subscribers. That keeps it small (an entry is about 100 bytes
//! whether a topic has one subscriber or 100,000), and it stays valid when somebody subscribes to or
//! leaves a filter that others hold: only a filter that appears or disappears can change an answer.
//!
//! Such changes are counted in [`Generations`], by scope, so that they outdate few entries. An entry
//! carries the sum of the counters that concern its topic; counters only grow, so an equal sum means
//! that none has changed.
//!
//! Entries live in sets of four, chosen by the hash of the topic. A full set loses an entry that was
//! not used since the last such loss, but only to one newcomer in eight: a topic that is published often
//! soon enters, and topics that are used once, such as those of responses, displace little.

use smallvec::SmallVec;

use super::filter_store::FilterId;
use super::levels::{TextHasher, begins_with_wildcard, first_level, has_wildcard};

const EXACT_BUCKETS: usize = 4096;
const FIRST_LEVEL_BUCKETS: usize = 1024;
const WAYS: usize = 4;
/// Longer topics are not remembered, so that the number of entries bounds the memory.
const TOPIC_BYTES_MAX: usize = 512;
/// Nor are topics that match more filters: delivering then costs far more than matching.
const FILTERS_MAX: usize = 64;

/// Counts the filters that appeared or disappeared, by the topics they can concern.
#[derive(Debug)]
pub(super) struct Generations {
    /// Exact filters, by the hash of the filter, which is that of its only topic.
    exact: Vec<u64>,
    /// Wildcard filters that begin with a literal level, by its hash.
    first_level: Vec<u64>,
    /// Filters that begin with a wildcard: they concern every topic.
    leading_wildcard: u64,
}

impl Generations {
    pub(super) fn new() -> Self {
        Self { exact: vec![0; EXACT_BUCKETS], first_level: vec![0; FIRST_LEVEL_BUCKETS], leading_wildcard: 0 }
    }

    /// Notes that a filter has appeared or disappeared.
    pub(super) fn advance(&mut self, filter: &[u8], filter_hash: u64, hasher: &TextHasher) {
        let counter = if begins_with_wildcard(filter) {
            Some(&mut self.leading_wildcard)
        } else if has_wildcard(filter) {
            self.first_level.get_mut(usize::from(first_level_bucket(filter, hasher)))
        } else {
            self.exact.get_mut(exact_bucket(filter_hash))
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
    }

    #[inline]
    fn sum(&self, topic_hash: u64, first_level_bucket: u16) -> u64 {
        let exact = self.exact.get(exact_bucket(topic_hash)).copied().unwrap_or_default();
        let first_level = self.first_level.get(usize::from(first_level_bucket)).copied().unwrap_or_default();
        self.leading_wildcard + first_level + exact
    }
}

#[inline]
fn exact_bucket(hash: u64) -> usize {
    (hash >> 32) as usize % EXACT_BUCKETS
}

fn first_level_bucket(text: &[u8], hasher: &TextHasher) -> u16 {
    (hasher.text(first_level(text)) as usize % FIRST_LEVEL_BUCKETS) as u16
}

#[derive(Debug)]
struct CachedMatch {
    generation_sum: u64,
    topic: Box<[u8]>,
    filters: SmallVec<[FilterId; 4]>,
    first_level_bucket: u16,
    used_lately: bool,
}

/// The entries of topics whose hashes choose this set, and apart from them a part of each hash: asking for
/// a topic that is not here touches no entry.
#[derive(Debug, Default)]
struct CacheSet {
    tags: [u32; WAYS],
    entries: Vec<CachedMatch>,
}

impl CacheSet {
    #[inline]
    fn way_of(&self, topic: &[u8], tag: u32) -> Option<usize> {
        let mut ways = self.tags.iter().enumerate().filter(|(_, present)| **present == tag);
        ways.find(|(way, _)| self.entries.get(*way).is_some_and(|cached| *cached.topic == *topic))
            .map(|(way, _)| way)
    }

    /// The way where a newcomer goes: a free one, the first that was not used lately, or, if all were,
    /// the first, and all start anew.
    fn way_to_fill(&mut self) -> usize {
        if self.entries.len() < WAYS {
            return self.entries.len();
        }
        let idle = self.entries.iter().position(|cached| !cached.used_lately);
        if idle.is_none() {
            self.entries.iter_mut().for_each(|cached| cached.used_lately = false);
        }
        idle.unwrap_or(0)
    }
}

/// Where the cache has the answer for a topic.
#[derive(Copy, Clone, Debug)]
pub(super) struct Hit {
    set: usize,
    way: usize,
}

/// A cache from topics to the filters that match them.
#[derive(Debug)]
pub(super) struct MatchCache {
    /// A power of two of sets, or none if the cache is off.
    sets: Vec<CacheSet>,
    entries: usize,
    /// Decides which newcomers a full set admits.
    lottery: u64,
}

impl MatchCache {
    /// `capacity`: how many topics to remember, rounded up to a power of two; 0 remembers none.
    pub(super) fn new(capacity: usize) -> Self {
        let sets = if capacity == 0 { 0 } else { capacity.div_ceil(WAYS).next_power_of_two() };
        Self { sets: std::iter::repeat_with(CacheSet::default).take(sets).collect(), entries: 0, lottery: 0 }
    }

    #[inline]
    pub(super) fn find(&mut self, topic: &[u8], topic_hash: u64, generations: &Generations) -> Option<Hit> {
        let index = self.set_of(topic_hash);
        let set = self.sets.get_mut(index)?;
        let way = set.way_of(topic, tag_of(topic_hash))?;
        let cached = set.entries.get_mut(way)?;
        cached.used_lately = true;
        let is_current = cached.generation_sum == generations.sum(topic_hash, cached.first_level_bucket);
        is_current.then_some(Hit { set: index, way })
    }

    #[inline]
    pub(super) fn filters(&self, hit: Hit) -> &[FilterId] {
        match self.sets.get(hit.set).and_then(|set| set.entries.get(hit.way)) {
            Some(cached) => &cached.filters,
            None => &[],
        }
    }

    /// Takes note of the filters of a topic for which [`MatchCache::find`] had no answer.
    pub(super) fn store(
        &mut self,
        topic: &[u8],
        topic_hash: u64,
        filters: &[FilterId],
        generations: &Generations,
        hasher: &TextHasher,
    ) {
        let index = self.set_of(topic_hash);
        let Some(set) = self.sets.get_mut(index) else { return };
        if topic.len() > TOPIC_BYTES_MAX || filters.len() > FILTERS_MAX {
            return;
        }
        let tag = tag_of(topic_hash);
        let outdated = set.way_of(topic, tag).and_then(|way| set.entries.get_mut(way));
        if let Some(cached) = outdated {
            cached.generation_sum = generations.sum(topic_hash, cached.first_level_bucket);
            cached.filters = SmallVec::from_slice(filters);
            return;
        }
        if set.entries.len() == WAYS && !draw(&mut self.lottery) {
            return;
        }
        let first_level_bucket = first_level_bucket(topic, hasher);
        let cached = CachedMatch {
            generation_sum: generations.sum(topic_hash, first_level_bucket),
            topic: topic.into(),
            filters: SmallVec::from_slice(filters),
            first_level_bucket,
            used_lately: false,
        };
        let way = set.way_to_fill();
        if let Some(present) = set.tags.get_mut(way) {
            *present = tag;
        }
        match set.entries.get_mut(way) {
            Some(present) => *present = cached,
            None => {
                set.entries.reserve_exact(WAYS - way);
                set.entries.push(cached);
                self.entries += 1;
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let topic_bytes_typical = 32;
        self.sets.capacity() * size_of::<CacheSet>()
            + self.entries * (size_of::<CachedMatch>() + topic_bytes_typical)
    }

    #[inline]
    fn set_of(&self, topic_hash: u64) -> usize {
        topic_hash as usize & self.sets.len().wrapping_sub(1)
    }
}

#[inline]
fn tag_of(topic_hash: u64) -> u32 {
    (topic_hash >> 32) as u32
}

/// True once in eight times, without the regularity that would favour some of the topics that
/// are published in turns. Nobody gains by predicting it.
fn draw(lottery: &mut u64) -> bool {
    *lottery = lottery.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *lottery >> 61 == 0
}
