//! Slows down a client that publishes faster than it, its user, its address, its listener or all together may
//! (`limits.publish_rate` and the like).
//!
//! Nothing is refused and nothing is lost: the reader hands the shard the packets that there is room for, and does
//! not read on before there is room for more; TCP tells the client. Who finds no room takes its turn (`allowance.rs`)
//! and waits for it once, also among thousands that wait. While it waits, it is not silent for Keep Alive: its
//! packets lie unread through our doing. Where no such limit is set, connections have no throttle, which is all that
//! they pay for it.

use super::Worker;
use super::allowance::{Allowance, Amount};
use super::delay::DelayCounters;
use super::ticket::Ticket;
use dunlin_codec::{Split, split};
use dunlin_core::time::Timestamp;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

/// PUBLISH in the first four bits of a packet.
const PUBLISH: u8 = 3;

/// What one connection may publish.
pub(super) struct Throttle {
    /// What it counts for: the client itself, and those it shares with others.
    allowances: Vec<Arc<Allowance>>,
    /// So many bytes of what the client sends next may be handed over.
    granted: Cell<usize>,
    /// What may be handed over later.
    turn: Cell<Option<Turn>>,
    /// While the client has to wait.
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
}

/// Packets for which room is taken, and when there is.
#[derive(Clone, Copy)]
struct Turn {
    length: usize,
    amount: Amount,
    ready_at: Timestamp,
}

impl Throttle {
    /// That of a connection, if anything slows anybody down.
    pub fn of(ticket: &Ticket) -> Option<Self> {
        ticket.allowances().map(Self::new)
    }

    fn new(allowances: Vec<Arc<Allowance>>) -> Self {
        Self { allowances, granted: Cell::default(), turn: Cell::default(), timer: RefCell::default() }
    }

    /// The packets at the beginning of `bytes` that there is room for, and what is left of an incomplete one. For
    /// those after them a turn is taken.
    pub fn admitted<'a>(&self, now: Timestamp, bytes: &'a [u8], delays: &DelayCounters) -> &'a [u8] {
        loop {
            let granted = self.granted.get();
            let rest = bytes.get(granted..).unwrap_or_default();
            if self.turn.get().is_some() {
                return &bytes[..granted.min(bytes.len())];
            }
            let Some((length, amount)) = self.portion(now, rest) else {
                return bytes;
            };
            let mut last = (Timestamp::ZERO, None);
            for allowance in &self.allowances {
                let (ready_at, reason) = allowance.take(now, amount);
                if ready_at > last.0 {
                    last = (ready_at, Some(reason));
                }
            }
            match last {
                (ready_at, Some(reason)) if ready_at > now => {
                    delays.count(reason);
                    self.turn.set(Some(Turn { length, amount, ready_at }));
                }
                _ => self.granted.set(granted + length),
            }
        }
    }

    /// The next packets that can be taken at a time: their length and what they count. None if there is no whole
    /// PUBLISH; what else there is costs nothing, and what is malformed or incomplete is for the shard to see.
    fn portion(&self, now: Timestamp, bytes: &[u8]) -> Option<(usize, Amount)> {
        let mut max = Amount { messages: u64::MAX, bytes: u64::MAX };
        let (mut length, mut amount) = (0, Amount::default());
        while let Ok(Split::Packet { length: packet, .. }) =
            split(bytes.get(length..).unwrap_or_default(), u32::MAX)
        {
            if bytes.get(length).is_some_and(|first| first >> 4 == PUBLISH) {
                if amount.messages == 0 {
                    // Only now is anybody asked, because most of what subscribers send costs nothing.
                    for portion in self.allowances.iter().map(|allowance| allowance.portion(now)) {
                        max.messages = max.messages.min(portion.messages);
                        max.bytes = max.bytes.min(portion.bytes);
                    }
                }
                let next = Amount { messages: amount.messages + 1, bytes: amount.bytes + packet as u64 };
                // One can always be taken.
                if amount.messages > 0 && (next.messages > max.messages || next.bytes > max.bytes) {
                    break;
                }
                amount = next;
            }
            length += packet;
        }
        (amount.messages > 0).then_some((length, amount))
    }

    /// Counts the bytes that were handed over.
    pub fn handed_over(&self, length: usize) {
        self.granted.set(self.granted.get().saturating_sub(length));
    }

    /// Whether the client waits for its turn.
    pub fn is_waiting(&self) -> bool {
        self.turn.get().is_some()
    }

    /// Ready when there is room for a packet.
    pub fn poll_ready(&self, worker: &Worker, context: &mut Context<'_>) -> Poll<()> {
        let Some(turn) = self.turn.get() else {
            return Poll::Ready(());
        };
        let mut timer = self.timer.borrow_mut();
        if turn.ready_at > worker.now() {
            let instant = Instant::from_std(worker.shared.clock.instant(turn.ready_at));
            let sleep = timer.get_or_insert_with(|| Box::pin(sleep_until(instant)));
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        *timer = None;
        self.begin_turn(turn);
        Poll::Ready(())
    }

    fn begin_turn(&self, turn: Turn) {
        self.turn.set(None);
        self.granted.set(self.granted.get() + turn.length);
    }
}

impl Drop for Throttle {
    /// Who leaves while it waits must not have used up what others share with it.
    fn drop(&mut self) {
        if let Some(turn) = self.turn.get() {
            for allowance in &self.allowances {
                allowance.give_back(turn.amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ByteSize, LimitOptions};
    use crate::worker::allowance::PublishLimits;
    use crate::worker::delay::DelayReason;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);
    /// A PUBLISH of 8 bytes, and a PINGREQ.
    const MESSAGE: &[u8] = &[0x30, 6, 0, 1, b't', b'1', b'2', b'3'];
    const PING: &[u8] = &[0xC0, 0];

    /// Clients that share nothing but what all share.
    struct Rig {
        limits: PublishLimits,
        delays: DelayCounters,
    }

    impl Rig {
        fn new(limits: LimitOptions) -> Self {
            Self { limits: PublishLimits::of(&limits), delays: DelayCounters::default() }
        }

        fn client(&self) -> Throttle {
            Throttle::new(vec![Allowance::new(&self.limits.client), Arc::clone(&self.limits.all)])
        }

        /// Hands over what is admitted; how many bytes that are.
        fn hand_over(&self, throttle: &Throttle, now: Timestamp, bytes: &[u8]) -> usize {
            if let Some(turn) = throttle.turn.get().filter(|turn| turn.ready_at <= now) {
                throttle.begin_turn(turn);
            }
            let admitted = throttle.admitted(now, bytes, &self.delays).len();
            throttle.handed_over(admitted);
            admitted
        }
    }

    fn turn_in_ms(throttle: &Throttle) -> u128 {
        throttle.turn.get().expect("it waits").ready_at.since(NOW).as_millis()
    }

    #[test]
    fn messages_pass_at_their_rate_and_other_packets_are_free() {
        let rig = Rig::new(LimitOptions { publish_rate: Some(10), ..LimitOptions::default() });
        let throttle = rig.client();
        let input = [PING, &MESSAGE.repeat(100)].concat();
        // Ten at once, and the one after which the debt is known.
        assert_eq!(rig.hand_over(&throttle, NOW, &input), 2 + 11 * 8);
        assert_eq!(rig.hand_over(&throttle, NOW, &input[2..]), 0);
        assert_eq!(turn_in_ms(&throttle), 100);
        let later = throttle.turn.get().unwrap().ready_at;
        assert_eq!(rig.hand_over(&throttle, later, &MESSAGE.repeat(5)), 8);
        assert_eq!((rig.delays.of(DelayReason::Client), rig.delays.of(DelayReason::All)), (2, 0));
        assert_eq!(rig.hand_over(&rig.client(), NOW, &PING.repeat(500)), 1000);
    }

    #[test]
    fn bytes_pass_at_their_rate_and_an_incomplete_packet_is_passed_on() {
        let limits = LimitOptions { publish_bytes_rate: Some(ByteSize(80)), ..LimitOptions::default() };
        let rig = Rig::new(limits);
        let throttle = rig.client();
        let input = [&MESSAGE.repeat(10), &MESSAGE[..5]].concat();
        assert_eq!(rig.hand_over(&throttle, NOW, &input), 85);
        assert!(!throttle.is_waiting());
        assert_eq!(rig.hand_over(&throttle, NOW, &MESSAGE.repeat(10)), 8);
        assert_eq!(turn_in_ms(&throttle), 100);
        assert_eq!(rig.delays.of(DelayReason::ClientBytes), 1);
    }

    #[test]
    fn who_shares_a_rate_has_one_turn_after_the_other_and_one_that_leaves_frees_its_own() {
        let rig = Rig::new(LimitOptions { publish_rate_in_all: Some(10), ..LimitOptions::default() });
        let flood = MESSAGE.repeat(100);
        assert_eq!(rig.hand_over(&rig.client(), NOW, &MESSAGE.repeat(10)), 80);
        let clients: Vec<_> = (0..5).map(|_| rig.client()).collect();
        let admitted: Vec<_> = clients.iter().map(|client| rig.hand_over(client, NOW, &flood)).collect();
        // Everything was taken, and one more on credit.
        assert_eq!(admitted, [8, 0, 0, 0, 0]);
        assert_eq!(clients.iter().map(turn_in_ms).collect::<Vec<_>>(), [100, 200, 300, 400, 500]);
        assert_eq!(rig.delays.of(DelayReason::All), 5);
        drop(clients);
        let late = rig.client();
        assert_eq!(rig.hand_over(&late, NOW, &flood), 0);
        assert_eq!(turn_in_ms(&late), 100);
    }

    #[test]
    fn a_fast_rate_is_taken_in_few_turns_and_a_reload_changes_it_at_once() {
        let limits = |rate| LimitOptions { publish_rate_in_all: Some(rate), ..LimitOptions::default() };
        let rig = Rig::new(limits(10_000));
        let throttle = rig.client();
        let flood = MESSAGE.repeat(20_000);
        // 10,000 at once and 100 on credit; and with each turn again as many.
        assert_eq!(rig.hand_over(&throttle, NOW, &flood), 10_100 * 8);
        let later = throttle.turn.get().unwrap().ready_at;
        assert_eq!(rig.hand_over(&throttle, later, &flood), 100 * 8);
        rig.limits.set(&LimitOptions::default());
        assert!(!rig.limits.are_limits());
        assert_eq!(rig.hand_over(&throttle, later.after_s(1), &flood), flood.len());
    }

    #[test]
    fn what_the_shard_has_not_taken_yet_is_not_counted_again() {
        let rig = Rig::new(LimitOptions { publish_rate: Some(10), ..LimitOptions::default() });
        let throttle = rig.client();
        let input = MESSAGE.repeat(8);
        for _ in 0..5 {
            assert_eq!(throttle.admitted(NOW, &input, &rig.delays).len(), 64);
        }
        throttle.handed_over(24);
        assert_eq!(rig.hand_over(&throttle, NOW, &input[24..]), 40);
        assert_eq!(rig.hand_over(&throttle, NOW, &input), 3 * 8);
    }
}
