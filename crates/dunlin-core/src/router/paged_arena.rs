//! Records addressed by dense `u32` indices, kept in pages of fixed size.
//!
//! Pages instead of one vector, so that growth copies nothing and leaves at most one page unused:
//! at a million filters a doubling vector costs up to 16 bytes a filter in slack, and stalls the
//! worker while it moves. Freed slots are used again before new ones. When the last record goes, all
//! memory goes.

const PAGE_BITS: u32 = 9;
const PAGE_SLOTS: usize = 1 << PAGE_BITS;

/// An arena of `T`. A freed slot holds `T::default()` until it is used again.
#[derive(Debug)]
pub(super) struct PagedArena<T> {
    pages: Vec<Vec<T>>,
    free: Vec<u32>,
    used: usize,
}

impl<T: Default> PagedArena<T> {
    pub(super) fn new() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), used: 0 }
    }

    /// Stores a record and gives its index, which stays its own until it is removed.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.used += 1;
        while let Some(index) = self.free.pop() {
            if let Some(slot) = self.get_mut(index) {
                *slot = value;
                return index;
            }
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE_SLOTS) {
            self.pages.push(Vec::with_capacity(PAGE_SLOTS));
        }
        let full_pages = self.pages.len() - 1;
        match self.pages.last_mut() {
            Some(page) => {
                page.push(value);
                ((full_pages << PAGE_BITS) + page.len() - 1) as u32
            }
            None => u32::MAX,
        }
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.pages.get((index >> PAGE_BITS) as usize)?.get(index as usize % PAGE_SLOTS)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pages.get_mut((index >> PAGE_BITS) as usize)?.get_mut(index as usize % PAGE_SLOTS)
    }

    /// Takes a record out. The index must be one that is in use.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let value = std::mem::take(self.get_mut(index)?);
        self.used -= 1;
        if self.used == 0 {
            *self = Self::new();
        } else {
            self.free.push(index);
        }
        Some(value)
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.pages.len() * PAGE_SLOTS * size_of::<T>()
            + self.pages.capacity() * size_of::<Vec<T>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_slot_is_used_again_and_others_keep_their_index() {
        let mut arena = PagedArena::new();
        let indices: Vec<u32> = (0..2_000_u32).map(|value| arena.insert(value)).collect();
        assert_eq!(arena.remove(indices[700]), Some(700));
        assert_eq!(arena.insert(5_000), indices[700]);
        assert_eq!(arena.get(indices[700]), Some(&5_000));
        assert_eq!(arena.get(indices[1_999]), Some(&1_999));
        assert_eq!(arena.len(), 2_000);
    }

    #[test]
    fn removing_everything_gives_all_memory_back() {
        let mut arena = PagedArena::new();
        let indices: Vec<u32> = (0..2_000_u32).map(|value| arena.insert(value)).collect();
        assert!(arena.memory_bytes() > 0);
        for index in indices {
            arena.remove(index);
        }
        assert_eq!((arena.len(), arena.memory_bytes()), (0, 0));
    }
}
