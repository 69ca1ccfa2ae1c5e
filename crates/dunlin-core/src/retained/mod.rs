//! The Retained Messages of one worker, ordered so that a wildcard subscribe is answered in slices.
//!
//! A [`RetainedTree`] is an ordered map whose keys are topics with U+0000, which no topic contains,
//! in place of the separator. In that order a topic is followed by everything below it, so a subtree
//! is a range of keys, and the position of a walk is a key: a [`Cursor`] keeps no reference into
//! the tree, and whatever is inserted or removed between two slices, the walk goes on behind the
//! last key it saw. A tree of nodes would need cursors that survive the removal of their node, and
//! costs more memory for each topic.
//!
//! What must stay true: keys that a walk visits ascend strictly. That alone makes it return each topic at
//! most once, and every topic that was there all the time.
//!
//! How the walk skips what cannot match is in `cursor.rs`.

mod cursor;
mod children;

pub use children::Child;
pub use cursor::{Cursor, Progress, RetainedTopic};

use std::collections::BTreeMap;
use std::ops::Bound;

/// Takes the place of `/` in keys. No topic contains it.
// spec(v3.1.1): [MQTT-4.7.3-2]
// spec(v5): [MQTT-4.7.3-2]
const KEY_SEPARATOR: char = '\0';

/// Retained Messages by topic. `T` is what is stored for each.
#[derive(Debug)]
pub struct RetainedTree<T> {
    messages: BTreeMap<Box<str>, T>,
}

impl<T> Default for RetainedTree<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> RetainedTree<T> {
    /// An empty tree.
    pub fn new() -> Self {
        Self { messages: BTreeMap::new() }
    }

    /// Stores the message of a topic, a valid Topic Name, and returns the one it replaces.
    pub fn insert(&mut self, topic: &str, message: T) -> Option<T> {
        let key = key_of(topic);
        match self.messages.get_mut(key.as_str()) {
            Some(present) => Some(std::mem::replace(present, message)),
            None => self.messages.insert(key.into_boxed_str(), message),
        }
    }

    /// Removes the message of a topic and returns it.
    pub fn remove(&mut self, topic: &str) -> Option<T> {
        self.messages.remove(key_of(topic).as_str())
    }

    /// The message behind this position in the order of all topics, which moves there. A walk over everything
    /// begins with an empty position.
    pub fn next_mut(&mut self, position: &mut String) -> Option<&mut T> {
        let behind = (Bound::Excluded(position.as_str()), Bound::Unbounded);
        let (key, message) = self.messages.range_mut::<str, _>(behind).next()?;
        position.clear();
        position.push_str(key);
        Some(message)
    }

    /// The message of a topic.
    pub fn get(&self, topic: &str) -> Option<&T> {
        self.messages.get(key_of(topic).as_str())
    }

    /// How many topics have a message.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether no topic has a message.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Starts a walk over all messages whose topics match a filter, a valid Topic Filter without the
    /// `$share` part. The filter is a topic itself if it has no wildcard.
    pub fn cursor(&self, filter: &str) -> Cursor {
        Cursor::new(filter)
    }

    /// Where the walk goes on behind a topic ([`Cursor::passed`]).
    pub fn cursor_after(&self, filter: &str, topic: &str) -> Cursor {
        Cursor::after(filter, topic)
    }

    /// Goes on with a walk to the next match. `budget` is how many topics may be looked at, and is
    /// lowered by those that were; when it is used up, the walk says so and can be continued
    /// later, also after changes of the tree.
    ///
    /// A walk returns every topic that is in the tree for the whole time of the walk exactly once, and
    /// topics that come or go meanwhile at most once.
    pub fn next<'a>(&'a self, cursor: &mut Cursor, budget: &mut usize) -> Progress<'a, T> {
        while let Some(start) = cursor.start() {
            if *budget == 0 {
                return Progress::Pending;
            }
            *budget -= 1;
            match self.messages.range::<str, _>((start, Bound::Unbounded)).next() {
                None => cursor.end(),
                Some((key, message)) => {
                    if cursor.advance(key) {
                        return Progress::Found(RetainedTopic::of_key(key), message);
                    }
                }
            }
        }
        Progress::Done
    }
}

/// The key of a topic. Keys order level by level, a topic before the topics below it.
fn key_of(topic: &str) -> String {
    debug_assert!(!topic.contains(KEY_SEPARATOR));
    topic.replace('/', "\0")
}
