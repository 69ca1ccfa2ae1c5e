//! The filters that have subscribers: for each its text and its subscribers, 16 bytes and the text.
//!
//! Both indices, the table of exact filters and the trie of wildcard filters, hold [`FilterId`]s
//! only and read the text here.

use super::paged_arena::PagedArena;
use super::subscriber_list::{Chunks, ListArena, SubscriberList};
use super::subscription::{Entry, PackedTarget};
use super::text_arena::{TextArena, TextRef};

/// A filter of a [`FilterStore`], below 2^31.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) struct FilterId(pub(super) u32);

#[derive(Debug, Default)]
struct Filter {
    text: TextRef,
    subscribers: SubscriberList,
}

/// All filters of a router, exact and wildcard.
#[derive(Debug)]
pub(super) struct FilterStore {
    filters: PagedArena<Filter>,
    texts: TextArena,
    lists: ListArena,
}

impl FilterStore {
    pub(super) fn new() -> Self {
        Self { filters: PagedArena::new(), texts: TextArena::new(), lists: ListArena::new() }
    }

    /// Adds a filter that is known to be absent, without subscribers.
    pub(super) fn insert(&mut self, text: &[u8]) -> FilterId {
        let text = self.texts.insert(text);
        FilterId(self.filters.insert(Filter { text, subscribers: SubscriberList::default() }))
    }

    /// Removes a filter that has lost its last subscriber.
    pub(super) fn remove(&mut self, id: FilterId) {
        if let Some(filter) = self.filters.remove(id.0) {
            self.texts.remove(filter.text);
        }
    }

    #[inline]
    pub(super) fn text(&self, id: FilterId) -> &[u8] {
        self.filters.get(id.0).map(|filter| self.texts.get(filter.text)).unwrap_or_default()
    }

    #[inline]
    pub(super) fn subscribers(&self, id: FilterId) -> Chunks<'_> {
        self.filters.get(id.0).map(|filter| self.lists.chunks(&filter.subscribers)).unwrap_or_default()
    }

    /// The entry of one subscriber.
    pub(super) fn subscriber(&self, id: FilterId, target: PackedTarget) -> Option<Entry> {
        self.lists.get(&self.filters.get(id.0)?.subscribers, target)
    }

    pub(super) fn has_local(&self, id: FilterId) -> bool {
        self.filters.get(id.0).is_some_and(|filter| self.lists.has_local(&filter.subscribers))
    }

    /// Adds a subscriber, or replaces and returns the entry of the same target.
    pub(super) fn subscribe(&mut self, id: FilterId, entry: Entry) -> Option<Entry> {
        self.lists.insert(&mut self.filters.get_mut(id.0)?.subscribers, entry)
    }

    /// Removes a subscriber. The caller removes a filter that then has none.
    pub(super) fn unsubscribe(&mut self, id: FilterId, target: PackedTarget) -> Option<Entry> {
        self.lists.remove(&mut self.filters.get_mut(id.0)?.subscribers, target)
    }

    pub(super) fn has_subscribers(&self, id: FilterId) -> bool {
        !self.subscribers(id).first.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.filters.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.filters.memory_bytes() + self.texts.memory_bytes() + self.lists.memory_bytes()
    }
}
