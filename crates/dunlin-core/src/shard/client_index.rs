//! Sessions by client identifier.
//!
//! The table holds keys alone; the identifier of each is in its Session. That saves a fleet 33 bytes a client
//! against a map that holds both.

use crate::session::Session;
use crate::slots::{Key, Slots};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// See the top of the file.
pub(crate) struct ClientIndex {
    keys: HashTable<Key>,
    /// Seeded, since clients choose their identifiers.
    hasher: FixedState,
}

impl ClientIndex {
    pub fn new(seed: u64) -> Self {
        Self { keys: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    /// The Session of a client, among these.
    pub fn get(&self, sessions: &Slots<Session>, client_identifier: &str) -> Option<Key> {
        let hash = self.hasher.hash_one(client_identifier);
        self.keys.find(hash, |key| is_of(sessions, *key, client_identifier)).copied()
    }

    /// Adds a Session that is in `sessions` and whose client has no other.
    pub fn insert(&mut self, sessions: &Slots<Session>, client_identifier: &str, key: Key) {
        let hash = self.hasher.hash_one(client_identifier);
        let hasher = &self.hasher;
        self.keys.insert_unique(hash, key, |other| {
            let session = sessions.get(*other);
            hasher.hash_one(session.map_or("", |session| session.client_identifier.as_str()))
        });
    }

    /// Removes the Session of a client.
    pub fn remove(&mut self, client_identifier: &str, key: Key) {
        let hash = self.hasher.hash_one(client_identifier);
        if let Ok(entry) = self.keys.find_entry(hash, |other| *other == key) {
            entry.remove();
        }
    }
}

fn is_of(sessions: &Slots<Session>, key: Key, client_identifier: &str) -> bool {
    sessions.get(key).is_some_and(|session| session.client_identifier.as_str() == client_identifier)
}
