//! A hash table of 4 to 8 byte references that grows in 64 small steps.
//!
//! One table of a million filters stalls its worker for more than 100 ms whenever it doubles, since
//! the hash of each reference is computed from a text elsewhere in memory. Split by bits of the hash into
//! shards, each of which grows alone, the longest step is 64 times shorter. A shard that has become
//! much too large shrinks in the same way.

use hashbrown::HashTable;

const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;
/// hashbrown takes the bucket from the low bits and a tag from the top seven: these lie between.
const SHARD_SHIFT: u32 = 50;
/// A shard that could hold this many times its contents gives memory back.
const SHRINK_RATIO: usize = 8;
const SHRINK_CAPACITY_MIN: usize = 64;

/// A table that neither knows its keys nor hashes them: callers give the hash and the comparison.
#[derive(Debug)]
pub(super) struct ShardedTable<T> {
    shards: Vec<HashTable<T>>,
}

impl<T> ShardedTable<T> {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| HashTable::new()).collect() }
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.shards.get(shard_of(hash))?.find(hash, is_it)
    }

    pub(super) fn find_mut(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.shards.get_mut(shard_of(hash))?.find_mut(hash, is_it)
    }

    /// Adds a value that is known to be absent. `rehash` gives the hash of any value of the table.
    pub(super) fn insert(&mut self, hash: u64, value: T, rehash: impl Fn(&T) -> u64) {
        if let Some(shard) = self.shards.get_mut(shard_of(hash)) {
            shard.insert_unique(hash, value, rehash);
        }
    }

    /// Removes the value that `is_it` recognizes.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        is_it: impl FnMut(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let shard = self.shards.get_mut(shard_of(hash))?;
        let (value, _) = shard.find_entry(hash, is_it).ok()?.remove();
        if shard.is_empty() {
            *shard = HashTable::new();
        } else if shard.capacity() >= SHRINK_CAPACITY_MIN && shard.len() * SHRINK_RATIO < shard.capacity() {
            shard.shrink_to(shard.len() * 2, rehash);
        }
        Some(value)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.shards.iter().map(HashTable::allocation_size).sum::<usize>()
            + self.shards.capacity() * size_of::<HashTable<T>>()
    }
}

fn shard_of(hash: u64) -> usize {
    (hash >> SHARD_SHIFT) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(value: &u64) -> u64 {
        value.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn what_was_inserted_is_found_until_it_is_removed() {
        let mut table = ShardedTable::new();
        for value in 0..10_000_u64 {
            table.insert(hash(&value), value, hash);
        }
        let grown = table.memory_bytes();
        for value in 0..10_000_u64 {
            assert_eq!(table.find(hash(&value), |it| *it == value), Some(&value));
            assert_eq!(table.remove(hash(&value), |it| *it == value, hash), Some(value));
            assert_eq!(table.find(hash(&value), |it| *it == value), None);
        }
        assert!(table.memory_bytes() < grown / 10);
    }
}
