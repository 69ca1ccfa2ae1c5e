//! What a shard has to do later.
//!
//! A binary heap of deadlines with lazy cancellation: a timer whose owner has left, or has moved its
//! deadline, is recognised when it fires and forgotten or armed again. Keep Alive therefore costs nothing per
//! packet: a packet stores its time in the connection, and the one timer of the connection looks at that when
//! it fires. Owners that leave early (a connection of one second with a Keep Alive of hours) would leave
//! their timers behind; `forget` counts those, and the heap is swept when they outnumber the rest.

use crate::slots::Key;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The connection may have been silent for one and a half times its Keep Alive.
    KeepAlive(Key),
    /// The client of this connection may no longer be known to be who it said.
    Identity(Key),
    /// The slow consumer's grace is over.
    SlowConsumer(Key),
    /// The client of this Session has been away for so long that its Will or the end of the Session may be
    /// due.
    Absence(Key),
    /// Some Retained Message may have expired.
    RetainedExpiry,
}

/// The deadlines of one shard.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, Timer)>>,
    forgotten: usize,
}

impl Timers {
    /// Asks for `timer` at `at`.
    pub fn arm(&mut self, at: Timestamp, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    /// Says that one armed timer has lost its owner.
    pub fn forget(&mut self) {
        self.forgotten += 1;
    }

    /// Drops the timers whose owner is gone, when they have become many.
    pub fn sweep(&mut self, mut is_alive: impl FnMut(Timestamp, Timer) -> bool) {
        if self.forgotten > 64 && self.forgotten * 2 > self.heap.len() {
            self.heap.retain(|Reverse((at, timer))| is_alive(*at, *timer));
            self.forgotten = 0;
        }
    }

    /// The next deadline.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one timer that is due.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        match self.heap.peek() {
            Some(Reverse((at, _))) if *at <= now => self.heap.pop().map(|Reverse((_, timer))| timer),
            _ => None,
        }
    }

    /// Armed timers, those without an owner included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
