//! Which filters match a topic, remembered for the topics published lately.
//!
//! The cache holds [`FilterId`]s and no subscribers. That keeps it small (an entry is about 120 bytes
//! whether a topic has one subscriber or 100,000), and it stays valid when somebody subscribes to or
//! leaves a filter that others hold: only a filter that appears or disappears can change an answer.
//!
//! An entry knows how many such changes ([`FilterChanges`]) it has seen, and is good as long as none of the
//! later ones concerns its topic.
//!
//! Entries live in sets of four, chosen by the hash of the topic. A full set loses an entry that was
//! not used since the last such loss, but only to one newcomer in eight: a topic that is published often
//! soon enters, and topics that are used once, such as those of responses, displace little.

use smallvec::SmallVec;

use super::filter_changes::{FilterChanges, Outline};
use super::filter_store::FilterId;
use super::levels::TextHasher;

const WAYS: usize = 4;
/// Longer topics are not remembered, so that the number of entries bounds the memory.
const TOPIC_BYTES_MAX: usize = 512;
/// Nor are topics that match more filters: delivering then costs far more than matching.
const FILTERS_MAX: usize = 64;

#[derive(Debug)]
struct CachedMatch {
    topic: Box<[u8]>,
    outline: Outline,
    filters: SmallVec<[FilterId; 4]>,
    /// How many changes of filters there were when this was last found to be true.
    changes_seen: u64,
    used_lately: bool,
}

impl CachedMatch {
    #[inline]
    fn is_current(&mut self, topic_hash: u64, changes: &FilterChanges) -> bool {
        changes.scopes_unchanged(topic_hash, &self.outline, self.changes_seen) || self.catches_up(changes)
    }

    #[cold]
    fn catches_up(&mut self, changes: &FilterChanges) -> bool {
        let is_current = changes.none_concerns(&self.outline, self.changes_seen);
        if is_current {
            self.changes_seen = changes.count();
        }
        is_current
    }
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

    /// The filters of a topic, if they are known.
    #[inline]
    pub(super) fn find(
        &mut self,
        topic: &[u8],
        topic_hash: u64,
        changes: &FilterChanges,
    ) -> Option<&[FilterId]> {
        let index = self.set_of(topic_hash);
        let set = self.sets.get_mut(index)?;
        let way = set.way_of(topic, tag_of(topic_hash))?;
        let cached = set.entries.get_mut(way)?;
        cached.used_lately = true;
        cached.is_current(topic_hash, changes).then_some(&cached.filters)
    }

    /// Takes note of the filters of a topic for which [`MatchCache::find`] had no answer.
    pub(super) fn store(
        &mut self,
        topic: &[u8],
        topic_hash: u64,
        filters: &[FilterId],
        changes: &FilterChanges,
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
            cached.changes_seen = changes.count();
            cached.filters = SmallVec::from_slice(filters);
            return;
        }
        if set.entries.len() == WAYS && !draw(&mut self.lottery) {
            return;
        }
        let cached = CachedMatch {
            topic: topic.into(),
            outline: Outline::of(topic, hasher),
            filters: SmallVec::from_slice(filters),
            changes_seen: changes.count(),
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
