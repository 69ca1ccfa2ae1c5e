//! Which subscribers a topic leads to: the routing table of one worker.
//!
//! A [`Router`] maps filters to [`Target`]s and is asked for all targets of a topic. It has one owner
//! and no locks; a publish asks once and walks the answer.
//!
//! * The `filter_store` holds each filter once, with its sorted `subscriber_list`.
//! * Exact filters are found by one probe of a hash table; wildcard filters by a walk through the
//!   `wildcard_trie`.
//! * In front, the `match_cache` remembers which filters match a topic, until the `filter_changes` say that
//!   this may be over.
//! * `matches` joins the lists of all matching filters, so that a target with overlapping Subscriptions
//!   appears once.
//!
//! What must stay true: a filter is in exactly one index, and only while it has a subscriber; every
//! filter that appears or disappears is noted in the `filter_changes`. The core has no
//! randomness: the seed of the hashes, which keeps strangers from choosing topics that collide, is given.

mod filter_changes;
mod filter_store;
mod levels;
mod match_cache;
mod matches;
mod paged_arena;
mod sharded_table;
mod subscriber_list;
mod subscription;
mod text_arena;
mod wildcard_trie;

pub use matches::{Delivery, Identifiers, Match, Matches};
pub use subscription::{Subscription, Target};

use filter_changes::FilterChanges;
use filter_store::{FilterId, FilterStore};
use levels::{TextHasher, has_wildcard};
use match_cache::MatchCache;
use sharded_table::ShardedTable;
use subscription::Entry;
use wildcard_trie::WildcardTrie;

/// A buffer for merging that has grown beyond this many entries is not kept for the next merge.
const MERGED_ENTRIES_KEPT: usize = 64 * 1024;

/// What [`Router::insert`] found.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Inserted {
    /// The Subscription that the target had for the filter.
    pub replaced: Option<Subscription>,
    /// Nobody, on this worker or another, had subscribed to the filter.
    pub filter_is_new: bool,
    /// The target is local and no local target had subscribed to the filter: peers want to know.
    pub is_first_local: bool,
}

/// The filters of one worker and whom they lead to.
#[derive(Debug)]
pub struct Router {
    hasher: TextHasher,
    filters: FilterStore,
    exact: ShardedTable<FilterId>,
    wildcards: WildcardTrie,
    changes: FilterChanges,
    cache: MatchCache,
    /// The filters of the topic asked for last, unless the cache had them.
    matched: Vec<FilterId>,
    /// The subscribers of the topic asked for last, if several filters matched it.
    merged: Vec<Entry>,
    subscriptions: usize,
}

impl Router {
    /// An empty router. `seed` seeds its hashes; `cache_capacity` is how many topics the match cache
    /// remembers, rounded up to a power of two (typically 120 bytes each, never more than 1 KiB).
    pub fn new(seed: u64, cache_capacity: usize) -> Self {
        Self {
            hasher: TextHasher::new(seed),
            filters: FilterStore::new(),
            exact: ShardedTable::new(),
            wildcards: WildcardTrie::new(),
            changes: FilterChanges::new(),
            cache: MatchCache::new(cache_capacity),
            matched: Vec::new(),
            merged: Vec::new(),
            subscriptions: 0,
        }
    }

    /// Adds the Subscription of a target to a filter, or replaces the one it has. `filter` is a valid
    /// Topic Filter, without the `$share` part.
    pub fn insert(&mut self, filter: &str, target: Target, subscription: Subscription) -> Inserted {
        // spec(v3.1.1): [MQTT-4.7.3-4]
        // spec(v5): [MQTT-4.7.3-4]
        let text = filter.as_bytes();
        let found = self.find(text);
        let had_local = found.is_some_and(|id| self.filters.has_local(id));
        let id = found.unwrap_or_else(|| self.add_filter(text));
        let replaced = self.filters.subscribe(id, Entry::new(target, subscription));
        self.subscriptions += usize::from(replaced.is_none());
        Inserted {
            replaced: replaced.map(Entry::subscription),
            filter_is_new: found.is_none(),
            is_first_local: target.is_local() && !had_local,
        }
    }

    /// Removes the Subscription of a target, and gives it back if there was one.
    pub fn remove(&mut self, filter: &str, target: Target) -> Option<Subscription> {
        let text = filter.as_bytes();
        let id = self.find(text)?;
        let removed = self.filters.unsubscribe(id, target.into())?;
        self.subscriptions -= 1;
        if !self.filters.has_subscribers(id) {
            self.remove_filter(id, text);
        }
        Some(removed.subscription())
    }

    /// The Subscription that a target has to a filter.
    pub fn get(&self, filter: &str, target: Target) -> Option<Subscription> {
        let id = self.find(filter.as_bytes())?;
        self.filters.subscriber(id, target.into()).map(Entry::subscription)
    }

    /// Whether a Session or a group, not only a peer, subscribes to the filter.
    pub fn has_local(&self, filter: &str) -> bool {
        self.find(filter.as_bytes()).is_some_and(|id| self.filters.has_local(id))
    }

    /// Everybody to whom a message with this Topic Name goes, each target once.
    pub fn matches(&mut self, topic: &str) -> Matches<'_> {
        let topic = topic.as_bytes();
        let hash = self.hasher.text(topic);
        let matched = match self.cache.find(topic, hash, &self.changes) {
            Some(matched) => matched,
            None => {
                self.match_filters(topic, hash);
                self.cache.store(topic, hash, &self.matched, &self.changes, &self.hasher);
                &self.matched
            }
        };
        match matched {
            [] => Matches::none(),
            [only] => Matches::of_filter(self.filters.subscribers(*only)),
            several => {
                merge(several, &self.filters, &mut self.merged);
                Matches::of_merged(&self.merged)
            }
        }
    }

    /// How many Subscriptions there are: pairs of a filter and a target, peers included.
    pub fn subscriptions_count(&self) -> usize {
        self.subscriptions
    }

    /// How many different filters have a subscriber.
    pub fn filters_count(&self) -> usize {
        self.filters.len()
    }

    /// How many nodes the trie of wildcard filters has; 0 when there are no such filters.
    pub fn trie_nodes_count(&self) -> usize {
        self.wildcards.nodes_count()
    }

    /// How many topics the match cache remembers.
    pub fn cached_topics_count(&self) -> usize {
        self.cache.len()
    }

    /// About how much memory the router holds, in bytes, without what the allocator adds.
    pub fn memory_bytes_estimate(&self) -> usize {
        size_of::<Self>()
            + self.filters.memory_bytes()
            + self.exact.memory_bytes()
            + self.wildcards.memory_bytes()
            + self.cache.memory_bytes()
            + self.merged.capacity() * size_of::<Entry>()
    }

    fn find(&self, filter: &[u8]) -> Option<FilterId> {
        if has_wildcard(filter) {
            self.wildcards.find(filter, &self.filters, &self.hasher)
        } else {
            self.find_exact(filter, self.hasher.text(filter))
        }
    }

    #[inline]
    fn find_exact(&self, text: &[u8], hash: u64) -> Option<FilterId> {
        self.exact.find(hash, |id| self.filters.text(*id) == text).copied()
    }

    fn add_filter(&mut self, text: &[u8]) -> FilterId {
        let hash = self.hasher.text(text);
        let id = self.filters.insert(text);
        if has_wildcard(text) {
            self.wildcards.insert(id, &self.filters, &self.hasher);
        } else {
            self.exact.insert(hash, id, |other| self.hasher.text(self.filters.text(*other)));
        }
        self.changes.note(text, hash, &self.hasher);
        id
    }

    fn remove_filter(&mut self, id: FilterId, text: &[u8]) {
        let hash = self.hasher.text(text);
        if has_wildcard(text) {
            self.wildcards.remove(id, &self.filters, &self.hasher);
        } else {
            let rehash = |other: &FilterId| self.hasher.text(self.filters.text(*other));
            self.exact.remove(hash, |other| *other == id, rehash);
        }
        self.filters.remove(id);
        self.changes.note(text, hash, &self.hasher);
    }

    fn match_filters(&mut self, topic: &[u8], hash: u64) {
        self.matched.clear();
        self.matched.extend(self.find_exact(topic, hash));
        self.wildcards.collect_matches(topic, &self.filters, &self.hasher, &mut self.matched);
    }
}

/// Joins the lists of several filters into one, sorted by target.
fn merge(matched: &[FilterId], filters: &FilterStore, merged: &mut Vec<Entry>) {
    if merged.capacity() > MERGED_ENTRIES_KEPT {
        *merged = Vec::new();
    }
    merged.clear();
    for id in matched {
        let chunks = filters.subscribers(*id);
        merged.extend_from_slice(chunks.first);
        chunks.rest.for_each(|chunk| merged.extend_from_slice(chunk));
    }
    // The standard stable sort finds the sorted runs that the lists are, and merges them.
    merged.sort_by_key(|entry| entry.target);
}
