//! Slows down a client that publishes faster than it may (`limits.publish_rate`, `limits.publish_bytes_rate`).
//!
//! Nothing is refused and nothing is lost: the reader hands the shard the packets that there is room for, and does
//! not read on before there is room for more; TCP tells the client. The packets of one read are handed over one by
//! one, so that a client that is slowed down still shows a sign of life at its rate. Connections without these
//! limits have no throttle, which is all that they pay for it.

use super::Worker;
use super::pace::Pace;
use crate::config::LimitOptions;
use dunlin_codec::{Split, split};
use dunlin_core::time::Timestamp;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

/// PUBLISH in the first four bits of a packet.
const PUBLISH: u8 = 3;

/// The rates of one connection, and how far it has used them.
pub(super) struct Throttle {
    messages_rate: u64,
    bytes_rate: u64,
    used: Cell<Used>,
    /// While the client has to wait.
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
}

#[derive(Clone, Copy, Default)]
struct Used {
    messages: Pace,
    bytes: Pace,
}

impl Throttle {
    /// That of these limits, if they slow anybody down.
    pub fn of(limits: &LimitOptions) -> Option<Self> {
        if limits.publish_rate.is_none() && limits.publish_bytes_rate.is_none() {
            return None;
        }
        Some(Self {
            messages_rate: limits.publish_rate.map_or(u64::MAX, u64::from),
            bytes_rate: limits.publish_bytes_rate.map_or(u64::MAX, |size| size.0),
            used: Cell::default(),
            timer: RefCell::default(),
        })
    }

    /// The packets at the beginning of `bytes` that there is room for, and what is left of an incomplete one.
    pub fn admitted<'a>(&self, now: Timestamp, bytes: &'a [u8]) -> &'a [u8] {
        let (length, _) = self.walk(now, bytes, |used| used.ready_at() > now);
        &bytes[..length]
    }

    /// Counts the packets that were handed over.
    pub fn take(&self, now: Timestamp, bytes: &[u8]) {
        let (_, used) = self.walk(now, bytes, |_| false);
        self.used.set(used);
    }

    /// Goes through whole packets until there is enough: how far it came, and what is used then.
    fn walk(&self, now: Timestamp, bytes: &[u8], is_enough: impl Fn(&Used) -> bool) -> (usize, Used) {
        let (mut length, mut used) = (0, self.used.get());
        while !is_enough(&used) {
            let rest = &bytes[length..];
            // What is malformed or incomplete is for the shard to see.
            let Ok(Split::Packet { length: packet, .. }) = split(rest, u32::MAX) else {
                return (bytes.len(), used);
            };
            if rest.first().is_some_and(|first| first >> 4 == PUBLISH) {
                used.messages.take(now, 1, self.messages_rate);
                used.bytes.take(now, packet as u64, self.bytes_rate);
            }
            length += packet;
        }
        (length, used)
    }

    /// Ready when there is room for a packet.
    pub fn poll_ready(&self, worker: &Worker, context: &mut Context<'_>) -> Poll<()> {
        let ready_at = self.used.get().ready_at();
        let mut timer = self.timer.borrow_mut();
        if ready_at <= worker.now() {
            *timer = None;
            return Poll::Ready(());
        }
        let instant = Instant::from_std(worker.shared.clock.instant(ready_at));
        let waited = timer.get_or_insert_with(|| Box::pin(sleep_until(instant))).as_mut().poll(context);
        if waited.is_ready() {
            *timer = None;
        }
        waited
    }
}

impl Used {
    fn ready_at(&self) -> Timestamp {
        self.messages.ready_at().max(self.bytes.ready_at())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);
    /// A PUBLISH of 8 bytes, and a PINGREQ.
    const MESSAGE: &[u8] = &[0x30, 6, 0, 1, b't', b'1', b'2', b'3'];
    const PING: &[u8] = &[0xC0, 0];

    fn throttle(messages: Option<u32>, bytes: Option<u64>) -> Throttle {
        let limits = LimitOptions {
            publish_rate: messages,
            publish_bytes_rate: bytes.map(ByteSize),
            ..LimitOptions::default()
        };
        Throttle::of(&limits).unwrap()
    }

    /// Hands over what is admitted; how many bytes that are.
    fn hand_over(throttle: &Throttle, now: Timestamp, bytes: &[u8]) -> usize {
        let admitted = throttle.admitted(now, bytes).len();
        throttle.take(now, &bytes[..admitted]);
        admitted
    }

    #[test]
    fn without_limits_there_is_no_throttle() {
        assert!(Throttle::of(&LimitOptions::default()).is_none());
    }

    #[test]
    fn messages_pass_at_their_rate_and_other_packets_are_free() {
        let throttle = throttle(Some(10), None);
        let input = [PING, &MESSAGE.repeat(100)].concat();
        // Ten at once, and the one after which the debt is known.
        assert_eq!(hand_over(&throttle, NOW, &input), 2 + 11 * 8);
        assert_eq!(hand_over(&throttle, NOW, &input), 0);
        let later = throttle.used.get().ready_at();
        assert_eq!(later.since(NOW).as_millis(), 100);
        assert_eq!(hand_over(&throttle, later, MESSAGE.repeat(5).as_slice()), 8);
        assert_eq!(hand_over(&throttle, NOW.after_s(60), &PING.repeat(500)), 1000);
    }

    #[test]
    fn bytes_pass_at_their_rate_and_an_incomplete_packet_is_passed_on() {
        let throttle = throttle(None, Some(80));
        let input = [&MESSAGE.repeat(10), &MESSAGE[..5]].concat();
        assert_eq!(hand_over(&throttle, NOW, &input), 85);
        assert_eq!(throttle.used.get().ready_at(), NOW);
        assert_eq!(hand_over(&throttle, NOW, &MESSAGE.repeat(10)), 8);
        assert_eq!(throttle.used.get().ready_at().since(NOW).as_millis(), 100);
    }
}
