//! Sessions by client identifier.
//!
//! The table holds slots alone; the identifier of each is in its Session. That saves a fleet 40 bytes a client
//! against a map from identifiers to keys. A Session that leaves its slot leaves this table with it.

use crate::session::Session;
use crate::slots::{Key, Slots};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// See the top of the file.
pub(crate) struct ClientIndex {
    slots: HashTable<u32>,
    /// Seeded, since clients choose their identifiers.
    hasher: FixedState,
}

impl ClientIndex {
    pub fn new(seed: u64) -> Self {
        Self { slots: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    /// The Session of a client, among these.
    pub fn get(&self, sessions: &Slots<Session>, client_identifier: &str) -> Option<Key> {
        let hash = self.hasher.hash_one(client_identifier);
        let is_its = |slot: &u32| identifier_at(sessions, *slot) == client_identifier;
        sessions.key_at(*self.slots.find(hash, is_its)?)
    }

    /// Adds a Session that is in `sessions` and whose client has no other.
    pub fn insert(&mut self, sessions: &Slots<Session>, client_identifier: &str, key: Key) {
        let hash = self.hasher.hash_one(client_identifier);
        let hasher = &self.hasher;
        self.slots.insert_unique(hash, key.index, |other| hasher.hash_one(identifier_at(sessions, *other)));
    }

    /// Removes the Session of a client.
    pub fn remove(&mut self, client_identifier: &str, key: Key) {
        let hash = self.hasher.hash_one(client_identifier);
        if let Ok(entry) = self.slots.find_entry(hash, |other| *other == key.index) {
            entry.remove();
        }
    }
}

fn identifier_at(sessions: &Slots<Session>, slot: u32) -> &str {
    sessions.at(slot).map_or("", |session| session.client_identifier.as_str())
}
