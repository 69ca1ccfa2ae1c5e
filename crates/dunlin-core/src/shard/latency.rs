//! How long messages take from the client that publishes to the clients that subscribe.
//!
//! A message counts from the moment its PUBLISH was read until it has been handed to the receiver's connection, so
//! the time it waits in a queue counts, too. Most messages leave in the turn in which they came: they are counted
//! together, with the time that the turn took, when it ends ([`Shard::handle_turn_end`]). That needs no clock for a
//! message. Retained Messages that a new subscription is sent do not count: they were not under way.

use super::Shard;
use crate::time::Timestamp;
use dunlin_codec::QoS;

/// The upper bounds of the classes, in microseconds. Everything longer is in one more class.
pub const LATENCY_BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// A message that is older than this when it is sent did not come in this turn.
const OLD_US: u64 = LATENCY_BOUNDS_US[0];

/// Counts of durations by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    classes: [u64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Latencies {
    /// Counts `count` durations of `micros` microseconds.
    pub fn note(&mut self, micros: u64, count: u64) {
        let class = LATENCY_BOUNDS_US.partition_point(|bound| *bound < micros);
        if let Some(counter) = self.classes.get_mut(class) {
            *counter += count;
        }
        self.sum_us = self.sum_us.saturating_add(micros.saturating_mul(count));
    }

    /// How many durations there were in each class, in the order of [`LATENCY_BOUNDS_US`]; last, those beyond.
    pub fn classes(&self) -> &[u64] {
        &self.classes
    }

    /// The sum of all durations in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        for (own, others) in self.classes.iter_mut().zip(other.classes) {
            *own += others;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

/// The turn that is under way, as far as latencies need it.
#[derive(Debug, Default)]
pub(crate) struct TurnClock {
    /// When its first input came.
    began_at: Option<Timestamp>,
    /// Messages sent until then, and those of this turn that count by themselves or not at all.
    counted: u64,
}

impl TurnClock {
    /// An input comes.
    #[inline]
    pub fn begin(&mut self, now: Timestamp) {
        if self.began_at.is_none() {
            self.began_at = Some(now);
        }
    }

    /// A message is sent that was taken in at `received_at`. True if it does not count with the turn, because it
    /// is older than that.
    #[inline]
    pub fn is_old(&self, now: Timestamp, received_at: Timestamp) -> bool {
        received_at.as_micros() + OLD_US < now.as_micros()
    }
}

impl super::clients::Clients {
    /// A message was sent that is older than its turn, or that was not under way because it was retained.
    #[cold]
    pub(super) fn note_old_message(&mut self, now: Timestamp, received_at: Timestamp, was_retained: bool) {
        self.turn.counted += 1;
        if !was_retained {
            self.counters.delivery.note(now.since(received_at).as_micros() as u64, 1);
        }
    }
}

impl Shard {
    /// Everything that this turn brought has been handed to its connections.
    pub fn handle_turn_end(&mut self, now: Timestamp) {
        let clients = &mut self.clients;
        let sent: u64 = QoS::ALL.iter().map(|qos| clients.counters.messages_sent(*qos)).sum();
        let began_at = clients.turn.began_at.take();
        let count = sent.saturating_sub(clients.turn.counted);
        clients.turn.counted = sent;
        if let Some(began_at) = began_at.filter(|_| count > 0) {
            clients.counters.delivery.note(now.since(began_at).as_micros() as u64, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_class_whose_bound_it_does_not_exceed() {
        let mut latencies = Latencies::default();
        latencies.note(50, 1);
        latencies.note(51, 2);
        latencies.note(u64::MAX, 4);
        assert_eq!(latencies.classes()[..2], [1, 2]);
        assert_eq!(latencies.classes()[LATENCY_BOUNDS_US.len()], 4);
        let mut sum = Latencies::default();
        sum.note(100, 3);
        sum.add(&latencies);
        assert_eq!((sum.classes()[1], sum.sum_us()), (5, u64::MAX));
    }
}
