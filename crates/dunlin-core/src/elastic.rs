//! A queue that gives back the memory of a burst.
//!
//! A `VecDeque` keeps room for the most it has ever held. What one stall of a few seconds piles up between two shards
//! may thus cost megabytes for as long as the process lives. But a busy shard fills and drains its queues in every turn,
//! and would ask the system for the same pages each time if they were given back at once. So a queue looks back over the
//! last [`TIMES`] times that it was drained: it keeps room for the most it has held meanwhile, and not for more.
//!
//! Outboxes have the same rule in their pool (`shard/clients.rs`).

use std::collections::VecDeque;

/// How many times a queue is drained before it is judged.
pub const TIMES: u32 = 256;

/// Room that is always kept.
const KEPT: usize = 64;

/// See the top of the file.
#[derive(Debug)]
pub struct ElasticQueue<T> {
    queue: VecDeque<T>,
    /// The most it has held since it was judged.
    most: usize,
    /// How often it was drained since.
    drained: u32,
}

impl<T> Default for ElasticQueue<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), most: 0, drained: 0 }
    }
}

impl<T> ElasticQueue<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// For how many there is room.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Adds one behind all others.
    #[inline]
    pub fn push_back(&mut self, value: T) {
        self.queue.push_back(value);
        self.most = self.most.max(self.queue.len());
    }

    /// Puts one before all others.
    pub fn push_front(&mut self, value: T) {
        self.queue.push_front(value);
        self.most = self.most.max(self.queue.len());
    }

    /// Takes the first.
    #[inline]
    pub fn pop_front(&mut self) -> Option<T> {
        self.pop_front_if(|_| true)
    }

    /// Takes the first if it is wanted.
    #[inline]
    pub fn pop_front_if(&mut self, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        match self.queue.front() {
            Some(first) if is_wanted(first) => self.queue.pop_front(),
            Some(_) => None,
            None => {
                self.note_drained();
                None
            }
        }
    }

    /// Drops all, and the room for them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn note_drained(&mut self) {
        self.drained += 1;
        if self.drained < TIMES {
            return;
        }
        let room = self.most.max(KEPT);
        if self.queue.capacity() > 2 * room {
            self.queue.shrink_to(room);
        }
        (self.most, self.drained) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the queue and drains it, a number of times.
    fn use_it(queue: &mut ElasticQueue<u64>, times: u32, count: u64) {
        for _ in 0..times {
            (0..count).for_each(|value| queue.push_back(value));
            assert!((0..count).all(|value| queue.pop_front() == Some(value)));
            assert_eq!(queue.pop_front(), None);
        }
    }

    #[test]
    fn the_room_of_a_burst_is_given_back_when_it_was_not_needed_again() {
        let mut queue = ElasticQueue::default();
        use_it(&mut queue, 1, 100_000);
        use_it(&mut queue, 2 * TIMES, 10);
        assert!(queue.capacity() <= 2 * KEPT, "room for {}", queue.capacity());
    }

    #[test]
    fn room_that_is_needed_again_and_again_is_kept() {
        let mut queue = ElasticQueue::default();
        use_it(&mut queue, 1, 10_000);
        let capacity = queue.capacity();
        for _ in 0..10 {
            use_it(&mut queue, TIMES / 2, 10);
            assert_eq!(queue.capacity(), capacity);
            use_it(&mut queue, 1, 10_000);
        }
    }
}
