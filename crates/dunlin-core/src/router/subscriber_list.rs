//! The subscribers of one filter, sorted by target.
//!
//! Most filters have one subscriber, which lies inside the [`SubscriberList`] itself: 8 bytes. Lists
//! of more are chunks of at most 1,024 entries, so that subscribing to a filter with 100,000
//! subscribers moves at most 8 KiB. Sorting makes finding a target a binary search, and makes the
//! lists of several filters, put one after the other, nearly sorted runs for the merge.
//!
//! What must stay true: no chunk is empty, targets ascend strictly through all chunks, and a list of
//! one is never `Many`.

use slab::Slab;
use smallvec::{SmallVec, smallvec};

use super::subscription::{Entry, PackedTarget, Target};

const CHUNK_ENTRIES_MAX: usize = 1024;
/// Neighbouring chunks that together hold no more than this are joined.
const CHUNK_ENTRIES_JOINED: usize = CHUNK_ENTRIES_MAX / 2;
const NO_LIST: u32 = u32::MAX;

/// The subscribers of one filter; what is more than one entry lies in a [`ListArena`].
#[derive(Debug, PartialEq)]
pub(super) enum SubscriberList {
    One(Entry),
    Many(u32),
}

impl Default for SubscriberList {
    /// A list of nobody.
    fn default() -> Self {
        Self::Many(NO_LIST)
    }
}

/// All subscribers of a list, as slices that ascend by target.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks<'a> {
    pub(super) first: &'a [Entry],
    pub(super) rest: std::slice::Iter<'a, Vec<Entry>>,
}

/// The lists of all filters that have more than one subscriber.
#[derive(Debug)]
pub(super) struct ListArena {
    lists: Slab<ChunkedList>,
    entries_capacity: usize,
}

impl ListArena {
    pub(super) fn new() -> Self {
        Self { lists: Slab::new(), entries_capacity: 0 }
    }

    #[inline]
    pub(super) fn chunks<'a>(&'a self, list: &'a SubscriberList) -> Chunks<'a> {
        match list {
            SubscriberList::One(entry) => Chunks { first: std::slice::from_ref(entry), rest: [].iter() },
            SubscriberList::Many(id) => {
                match self.lists.get(*id as usize).map(|list| list.chunks.split_first()) {
                    Some(Some((first, rest))) => Chunks { first, rest: rest.iter() },
                    _ => Chunks::default(),
                }
            }
        }
    }

    /// Whether a Session or a group is among the subscribers. Peers sort last, so the first decides.
    pub(super) fn has_local(&self, list: &SubscriberList) -> bool {
        self.chunks(list).first.first().is_some_and(|entry| Target::from(entry.target).is_local())
    }

    /// The entry of a target.
    pub(super) fn get(&self, list: &SubscriberList, target: PackedTarget) -> Option<Entry> {
        match list {
            SubscriberList::One(present) => Some(*present).filter(|present| present.target == target),
            SubscriberList::Many(id) => {
                let chunked = self.lists.get(*id as usize)?;
                let chunk = chunked.chunks.get(chunked.chunk_of(target))?;
                let place = chunk.binary_search_by_key(&target, |present| present.target).ok()?;
                chunk.get(place).copied()
            }
        }
    }

    /// Adds an entry, or replaces and returns the one of the same target.
    pub(super) fn insert(&mut self, list: &mut SubscriberList, entry: Entry) -> Option<Entry> {
        match list {
            SubscriberList::Many(NO_LIST) => {
                *list = SubscriberList::One(entry);
                None
            }
            SubscriberList::One(present) if present.target == entry.target => {
                Some(std::mem::replace(present, entry))
            }
            SubscriberList::One(present) => {
                let pair = ChunkedList::of_two(*present, entry);
                self.entries_capacity += pair.entries_capacity();
                *list = SubscriberList::Many(self.lists.insert(pair) as u32);
                None
            }
            SubscriberList::Many(id) => {
                let chunked = self.lists.get_mut(*id as usize)?;
                self.entries_capacity -= chunked.entries_capacity();
                let replaced = chunked.insert(entry);
                self.entries_capacity += chunked.entries_capacity();
                replaced
            }
        }
    }

    /// Removes the entry of a target. A list that loses its last becomes a list of nobody.
    pub(super) fn remove(&mut self, list: &mut SubscriberList, target: PackedTarget) -> Option<Entry> {
        let id = match list {
            SubscriberList::One(present) => {
                let present = *present;
                if present.target != target {
                    return None;
                }
                *list = SubscriberList::default();
                return Some(present);
            }
            SubscriberList::Many(id) => *id as usize,
        };
        let chunked = self.lists.get_mut(id)?;
        self.entries_capacity -= chunked.entries_capacity();
        let removed = chunked.remove(target);
        let last = chunked.only();
        self.entries_capacity += chunked.entries_capacity();
        if let Some(last) = last {
            self.entries_capacity -= chunked.entries_capacity();
            self.lists.remove(id);
            if self.lists.is_empty() {
                self.lists = Slab::new();
            }
            *list = SubscriberList::One(last);
        }
        removed
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.lists.capacity() * size_of::<ChunkedList>() + self.entries_capacity * size_of::<Entry>()
    }

    /// How many lists have more than one subscriber.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.lists.len()
    }
}

#[derive(Debug)]
struct ChunkedList {
    chunks: SmallVec<[Vec<Entry>; 1]>,
}

impl ChunkedList {
    fn of_two(one: Entry, other: Entry) -> Self {
        let (low, high) = if one.target < other.target { (one, other) } else { (other, one) };
        Self { chunks: smallvec![vec![low, high]] }
    }

    /// The chunk where a target is or would have to be.
    fn chunk_of(&self, target: PackedTarget) -> usize {
        let ends_before = |chunk: &Vec<Entry>| chunk.last().is_some_and(|last| last.target < target);
        self.chunks.partition_point(ends_before).min(self.chunks.len().saturating_sub(1))
    }

    fn insert(&mut self, entry: Entry) -> Option<Entry> {
        let index = self.chunk_of(entry.target);
        let is_last_chunk = index + 1 == self.chunks.len();
        let chunk = self.chunks.get_mut(index)?;
        match chunk.binary_search_by_key(&entry.target, |present| present.target) {
            Ok(found) => chunk.get_mut(found).map(|present| std::mem::replace(present, entry)),
            Err(place) if chunk.len() < CHUNK_ENTRIES_MAX => {
                chunk.insert(place, entry);
                None
            }
            // Slots are handed out ascending, so that appending is the common way to grow: chunks
            // filled by it stay full.
            Err(CHUNK_ENTRIES_MAX) if is_last_chunk => {
                self.chunks.push(vec![entry]);
                None
            }
            Err(place) => {
                let mut upper = chunk.split_off(CHUNK_ENTRIES_MAX / 2);
                match place.checked_sub(CHUNK_ENTRIES_MAX / 2) {
                    Some(place) => upper.insert(place, entry),
                    None => chunk.insert(place, entry),
                }
                self.chunks.insert(index + 1, upper);
                None
            }
        }
    }

    fn remove(&mut self, target: PackedTarget) -> Option<Entry> {
        let index = self.chunk_of(target);
        let chunk = self.chunks.get_mut(index)?;
        let place = chunk.binary_search_by_key(&target, |present| present.target).ok()?;
        let removed = chunk.remove(place);
        self.join(index);
        self.join(index.saturating_sub(1));
        if let Some(chunk) = self.chunks.get_mut(index)
            && chunk.len() < chunk.capacity() / 4
        {
            chunk.shrink_to(chunk.len() * 2);
        }
        Some(removed)
    }

    /// Appends the chunk after `index` to it if both are small.
    fn join(&mut self, index: usize) {
        if let Some([lower, upper]) = self.chunks.get_mut(index..index + 2)
            && lower.len() + upper.len() <= CHUNK_ENTRIES_JOINED
        {
            lower.append(upper);
            self.chunks.remove(index + 1);
        }
    }

    /// The only entry, if there is but one.
    fn only(&self) -> Option<Entry> {
        match self.chunks.as_slice() {
            [chunk] => match chunk.as_slice() {
                [entry] => Some(*entry),
                _ => None,
            },
            _ => None,
        }
    }

    fn entries_capacity(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::subscription::Subscription;
    use super::*;

    fn entry(slot: u32, identifier: u32) -> Entry {
        let subscription =
            Subscription { maximum_qos: 1, no_local: false, retain_as_published: false, identifier };
        Entry::new(Target::Session(slot), subscription)
    }

    fn slots(arena: &ListArena, list: &SubscriberList) -> Vec<u32> {
        let chunks = arena.chunks(list);
        let entries = chunks.first.iter().chain(chunks.rest.flatten());
        entries
            .map(|entry| match Target::from(entry.target) {
                Target::Session(slot) => slot,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_list_takes_eight_bytes_in_its_filter() {
        assert_eq!(size_of::<SubscriberList>(), 8);
    }

    #[test]
    fn lists_stay_sorted_in_whatever_order_they_grow_and_shrink() {
        for step in [1, 7_919, 99_991] {
            let mut arena = ListArena::new();
            let mut list = SubscriberList::default();
            let order: Vec<u32> = (0..10_000_u32).map(|i| (i * step) % 10_000).collect();
            for slot in &order {
                assert_eq!(arena.insert(&mut list, entry(*slot, 0)), None);
            }
            assert_eq!(slots(&arena, &list), (0..10_000).collect::<Vec<_>>());
            for slot in &order {
                assert_eq!(arena.insert(&mut list, entry(*slot, 9)), Some(entry(*slot, 0)));
            }
            for slot in order.iter().filter(|slot| *slot % 1_000 != 3) {
                assert_eq!(arena.remove(&mut list, entry(*slot, 0).target), Some(entry(*slot, 9)));
                assert_eq!(arena.remove(&mut list, entry(*slot, 0).target), None);
            }
            assert_eq!(slots(&arena, &list), (0..10).map(|i| i * 1_000 + 3).collect::<Vec<_>>());
            assert!(arena.memory_bytes() < 2_000, "{} bytes", arena.memory_bytes());
            for i in 0..10 {
                assert!(arena.remove(&mut list, entry(i * 1_000 + 3, 0).target).is_some());
            }
            assert_eq!(list, SubscriberList::default());
            assert_eq!((arena.len(), arena.memory_bytes()), (0, 0));
        }
    }

    #[test]
    fn appending_fills_chunks() {
        let mut arena = ListArena::new();
        let mut list = SubscriberList::default();
        for slot in 0..100_000 {
            arena.insert(&mut list, entry(slot, 0));
        }
        assert_eq!(arena.chunks(&list).rest.len() + 1, 100_000_usize.div_ceil(CHUNK_ENTRIES_MAX));
    }

    #[test]
    fn peers_alone_are_not_local() {
        let mut arena = ListArena::new();
        let mut list = SubscriberList::default();
        assert!(!arena.has_local(&list));
        let subscription = entry(0, 0).subscription();
        arena.insert(&mut list, Entry::new(Target::Peer(4), subscription));
        assert!(!arena.has_local(&list));
        arena.insert(&mut list, Entry::new(Target::Group(9), subscription));
        assert!(arena.has_local(&list));
    }
}
