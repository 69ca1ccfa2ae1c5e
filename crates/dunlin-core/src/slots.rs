//! A table of things that come and go, addressed by keys that never mean a later thing.
//!
//! An index is reused after its thing has left; the generation in a [`Key`] tells the two apart. Timers,
//! runtime tasks and peer shards hold keys, so that a late message about a connection that has ended finds
//! nothing instead of its successor.

use slab::Slab;

/// Where a thing is, and which of those that were ever there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Key {
    /// The slot; small, dense, reused.
    pub index: u32,
    /// Counts the things a table has held.
    pub generation: u32,
}

/// A slab whose slots know their generation.
#[derive(Debug)]
pub struct Slots<T> {
    slab: Slab<(u32, T)>,
    generation: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slab: Slab::new(), generation: 0 }
    }
}

impl<T> Slots<T> {
    /// Adds a thing.
    pub fn insert(&mut self, value: T) -> Key {
        self.generation = self.generation.wrapping_add(1);
        let index = self.slab.insert((self.generation, value));
        // 2^32 slots would need terabytes: the cast cannot truncate.
        Key { index: index as u32, generation: self.generation }
    }

    /// Removes and returns the thing that `key` means, if it is still there.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.slab.try_remove(key.index as usize).map(|(_, value)| value)
    }

    /// The thing that `key` means.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.slab.get(key.index as usize) {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The thing that `key` means.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slab.get_mut(key.index as usize) {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Whatever is in the slot now, for tables that are kept in step with this one (the router).
    #[inline]
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slab.get_mut(index as usize).map(|(_, value)| value)
    }

    /// Whatever is in the slot now.
    #[inline]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.slab.get(index as usize).map(|(_, value)| value)
    }

    /// No slot from here on has ever been used.
    pub fn end_index(&self) -> u32 {
        self.slab.capacity() as u32
    }

    /// The key of whatever is in the slot now.
    pub fn key_at(&self, index: u32) -> Option<Key> {
        self.slab.get(index as usize).map(|(generation, _)| Key { index, generation: *generation })
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// All keys and things, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slab
            .iter()
            .map(|(index, (generation, value))| (Key { index: index as u32, generation: *generation }, value))
    }
}
