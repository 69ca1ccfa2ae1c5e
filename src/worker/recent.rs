//! A table of what was seen lately, bounded whatever comes.
//!
//! Two generations: what is looked up moves into the young one, and when that is half the bound, the old one is
//! dropped and the young one grows old. So an entry that is used stays, whoever floods the table with others, and
//! nothing has to be sorted or timed. Entries that are held (connections that are there) are never dropped;
//! whatever makes them has a bound of its own.

use std::collections::HashMap;
use std::hash::Hash;

/// What can be an entry.
pub(crate) trait Held {
    /// Whether the entry must stay.
    fn is_held(&self) -> bool;
}

/// See the top of the file.
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// How many young entries there are when the generations change.
    turn_at: usize,
    half_max: usize,
}

impl<K: Hash + Eq, V: Held + Default> Recent<K, V> {
    /// A table of at most so many entries, and of those that are held.
    pub fn new(entries_max: usize) -> Self {
        let half_max = (entries_max / 2).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), turn_at: half_max, half_max }
    }

    /// The entry of a key, a new one if there is none.
    pub fn entry(&mut self, key: K) -> &mut V {
        if self.young.len() >= self.turn_at && !self.young.contains_key(&key) {
            self.turn();
        }
        let old = &mut self.old;
        self.young.entry(key).or_insert_with_key(|key| old.remove(key).unwrap_or_default())
    }

    /// The entry of a key, if there is one. It is not used by being looked at.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.young.iter().chain(&self.old)
    }

    /// The entry of a key, if there is one. It counts as used.
    pub fn find(&mut self, key: &K) -> Option<&mut V> {
        if self.young.contains_key(key) {
            return self.young.get_mut(key);
        }
        let (key, value) = self.old.remove_entry(key)?;
        Some(self.young.entry(key).or_insert(value))
    }

    fn turn(&mut self) {
        let dropped = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.young = dropped.into_iter().filter(|(_, value)| value.is_held()).collect();
        // Those that are held are walked over again only when as many have come.
        self.turn_at = self.half_max.max(2 * self.young.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Entry {
        count: u32,
        is_held: bool,
    }

    impl Held for Entry {
        fn is_held(&self) -> bool {
            self.is_held
        }
    }

    #[test]
    fn a_flood_of_others_drops_neither_who_is_held_nor_who_is_used() {
        let mut recent: Recent<u32, Entry> = Recent::new(100);
        recent.entry(1).is_held = true;
        for other in 1000..100_000 {
            recent.entry(other).count += 1;
            recent.entry(2).count += 1;
            assert!(recent.young.len() + recent.old.len() <= 102);
        }
        assert!(recent.find(&1).is_some_and(|entry| entry.is_held));
        assert!(recent.find(&1000).is_none());
        assert_eq!(recent.entry(2).count, 99_000);
        assert_eq!(recent.entry(1000).count, 0);
    }

    #[test]
    fn more_held_entries_than_the_bound_are_kept() {
        let mut recent: Recent<u32, Entry> = Recent::new(10);
        for key in 0..1000 {
            recent.entry(key).is_held = true;
        }
        assert!((0..1000).all(|key| recent.entry(key).is_held));
    }
}
