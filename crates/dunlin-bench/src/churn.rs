//! Subscriptions that come and go at a fixed rate, in a thread and on a connection of their own.
//!
//! Each SUBSCRIBE is followed by the UNSUBSCRIBE of the same filter, in one write. Nothing waits for an answer:
//! the rate is kept however slow the broker is, and how long a SUBACK took counts from when its SUBSCRIBE was
//! due.

use std::io;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_codec::{
    PacketIdentifier, PacketType, QoS, Subscribe, SubscribeFilters, SubscriptionFilter, SubscriptionOptions,
    Unsubscribe, UnsubscribeFilters, UserProperties, encode_subscribe_filters, encode_unsubscribe_filters,
};
use mio::{Events, Poll, Token};
use serde::Serialize;

use crate::Error;
use crate::alarm::Alarm;
use crate::connection::{Connection, READ_BYTES, next_frame, packet_identifier};
use crate::filters::Filters;
use crate::handshake::{Session, Target};
use crate::latency::{Latencies, Latency};
use crate::schedule::Schedule;
use crate::stamp::Stamp;

/// The longest sleep, so that the wish to stop is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(20);
const CONNECTION: usize = 0;
const ALARM: Token = Token(1);
/// Packet identifiers go round after so many Subscriptions; each takes one for both packets.
const IDENTIFIERS: u64 = 50_000;

/// What coming and going Subscriptions have met.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChurnFigures {
    /// Subscriptions that were granted and ended, per second.
    pub answered_per_s: f64,
    /// From when a SUBSCRIBE was due until its SUBACK was there; `None` when none came.
    pub latency: Option<Latency>,
}

/// Does `work` while Subscriptions beside `filters` come and go.
pub(crate) fn during<T>(
    target: &Target,
    filters: Filters,
    rate_per_s: u32,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<(T, ChurnFigures), Error> {
    let churn = Churn::connect(target, filters)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let churning = scope.spawn(|| churn.run(rate_per_s, &stop));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let figures = churning.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((done?, figures))
    })
}

struct Churn {
    connection: Connection,
    target: Target,
    filters: Filters,
    poll: Poll,
    granted: u64,
    ended: u64,
    latencies: Latencies,
}

impl Churn {
    fn connect(target: &Target, filters: Filters) -> Result<Self, Error> {
        let name = "bench-churn";
        let connected = target.connect(name, Session::Clean)?;
        let connection = Connection::of_client(connected, name.to_owned())?;
        let poll = Poll::new().map_err(Error::io("create a poll"))?;
        connection.register(poll.registry(), CONNECTION)?;
        let latencies = Latencies::new();
        Ok(Self { connection, target: target.clone(), filters, poll, granted: 0, ended: 0, latencies })
    }

    fn run(mut self, rate_per_s: u32, stop: &AtomicBool) -> Result<ChurnFigures, Error> {
        let mut alarm = Alarm::new(self.poll.registry(), ALARM)?;
        let mut events = Events::with_capacity(8);
        let mut buffer = vec![0; READ_BYTES];
        let schedule = Schedule { start: Instant::now(), rate_per_s, publishers: 1 };
        let (mut sent, mut is_readable) = (0, true);
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let due = schedule.count_due(0, now);
            (sent..due).for_each(|number| self.append(number));
            sent = due;
            self.connection.flush()?;
            alarm.set(schedule.next_due(now), now)?;
            let timeout = if is_readable { Duration::ZERO } else { SLEEP_MAX };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Error::Io { doing: "wait for answers".to_owned(), source: error });
                }
                _ => {}
            }
            for event in events.iter().filter(|event| event.token() != ALARM) {
                is_readable |= event.is_readable() || event.is_read_closed();
                if event.is_writable() {
                    self.connection.unblock()?;
                }
            }
            if is_readable {
                is_readable = !self.receive(&mut buffer, &schedule, sent)?;
            }
        }
        let answered = self.granted.min(self.ended) as f64;
        let seconds = schedule.start.elapsed().as_secs_f64();
        Ok(ChurnFigures { answered_per_s: answered / seconds, latency: self.latencies.sum_up() })
    }

    /// Appends SUBSCRIBE and UNSUBSCRIBE of a filter of its own.
    fn append(&mut self, number: u64) {
        let filter = self.filters.beside((number % u64::from(u32::MAX)) as u32);
        let Ok(filter) = SubscriptionFilter::parse(&filter) else { return };
        let identifier = NonZeroU16::MIN.saturating_add((number % IDENTIFIERS) as u16);
        let packet_identifier = PacketIdentifier::from(identifier);
        let options = SubscriptionOptions::with_qos(QoS::AtMostOnce);
        let subscribed = encode_subscribe_filters(&[(filter, options)]);
        let subscribe = Subscribe {
            packet_identifier,
            subscription_identifier: None,
            user_properties: UserProperties::default(),
            filters: SubscribeFilters::from_encoded(&subscribed),
        };
        subscribe.encode(self.target.version, self.connection.outbox());
        let ended = encode_unsubscribe_filters(&[filter]);
        let unsubscribe = Unsubscribe {
            packet_identifier,
            user_properties: UserProperties::default(),
            filters: UnsubscribeFilters::from_encoded(&ended),
        };
        unsubscribe.encode(self.target.version, self.connection.outbox());
    }

    /// Reads once and counts the answers. The result says whether the socket has no more for now.
    fn receive(&mut self, buffer: &mut Vec<u8>, schedule: &Schedule, sent: u64) -> Result<bool, Error> {
        let received = self.connection.receive(buffer)?;
        let now = Instant::now();
        let mut rest = &buffer[..received.length];
        while let Some(frame) = next_frame(&mut rest)? {
            let identifier = packet_identifier(frame.body, 0)?;
            match frame.packet_type()? {
                PacketType::SubAck if frame.body.last().is_some_and(|&code| code < 0x80) => {
                    self.granted += 1;
                    let sequence = last_with(identifier, sent);
                    let due = schedule.due(Stamp { publisher: 0, sequence });
                    self.latencies.record(now.saturating_duration_since(due));
                }
                PacketType::SubAck => {
                    return Err(Error::Peer(
                        "the broker refused a Subscription that comes and goes".to_owned(),
                    ));
                }
                PacketType::UnsubAck => self.ended += 1,
                other => return Err(self.connection.unexpected(other)),
            }
        }
        self.connection.keep(rest);
        Ok(received.emptied)
    }
}

/// The last Subscription of those `sent` that had this packet identifier.
fn last_with(identifier: u16, sent: u64) -> u64 {
    let position = u64::from(identifier.saturating_sub(1));
    let rounds = sent.saturating_sub(position + 1) / IDENTIFIERS;
    rounds * IDENTIFIERS + position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_the_last_subscription_with_its_identifier() {
        assert_eq!((last_with(1, 1), last_with(3, 10)), (0, 2));
        assert_eq!(last_with(1, IDENTIFIERS + 1), IDENTIFIERS);
        assert_eq!(last_with(3, IDENTIFIERS + 2), 2);
        assert_eq!(last_with(3, 2 * IDENTIFIERS + 3), 2 * IDENTIFIERS + 2);
    }
}
