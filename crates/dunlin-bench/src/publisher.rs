//! A publisher: it sends as much as its limits and its socket take.
//!
//! The packet is encoded once; each message is a copy of it with the stamp, and with QoS 1 and 2 the packet
//! identifier, written over. Identifiers come from a stack of as many as the window has, so one is never in
//! use twice, in whatever order the broker acknowledges.

use std::time::Instant;

use dunlin_codec::{Frame, PacketType, ProtocolVersion, PublishParts, QoS};

use crate::Error;
use crate::connection::{Connection, acknowledge, next_frame, packet_identifier};
use crate::latency::Latencies;
use crate::numbered::{Numbers, digits_of, write_digits};
use crate::pace::Pace;
use crate::schedule::Schedule;
use crate::stamp::Stamp;

/// A turn appends messages until the outbox has about this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// What a publisher sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    /// The Topic Name; with `numbers`, the pattern of it.
    pub(crate) topic: &'a str,
    /// Which topic a message goes to, if not all go to the same.
    pub(crate) numbers: Option<Numbers>,
    pub(crate) retain: bool,
    pub(crate) qos: QoS,
    pub(crate) payload_bytes: u32,
}

/// How far a publisher goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Messages of QoS 1 and 2 that may be unacknowledged.
    pub(crate) window: u16,
    /// How many subscribers receive each message.
    pub(crate) receivers: u32,
    /// Messages it may be ahead of them; without receivers, no limit.
    pub(crate) ahead_max: u32,
    /// Messages in all.
    pub(crate) messages_max: u64,
}

impl Limits {
    /// So many messages, for nobody who is there.
    pub(crate) fn of_absent(window: u16, messages: u32) -> Self {
        Self { window, receivers: 0, ahead_max: u32::MAX, messages_max: u64::from(messages) }
    }
}

/// A publishing connection.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) connection: Connection,
    index: u32,
    packet: Vec<u8>,
    identifier_at: Option<usize>,
    numbers: Option<Numbers>,
    digits_at: Vec<usize>,
    free_identifiers: Vec<u16>,
    window: usize,
    sent: u64,
    messages_max: u64,
    receivers: u64,
    ahead_max: u64,
    /// All messages before this one count as received: they were given up.
    given_up: u64,
    clock: Option<Clock>,
    pace: Option<Pace>,
}

/// How long acknowledgements take. The time is asked for once for each batch that is sent or received.
#[derive(Debug)]
struct Clock {
    /// When the message was sent, or due by its schedule, that has this identifier, by identifier.
    begun_at: Vec<Instant>,
    waits: Latencies,
}

impl Publisher {
    /// Publisher `index` of a scenario.
    pub(crate) fn new(
        connection: Connection,
        index: u32,
        outgoing: Outgoing<'_>,
        limits: Limits,
        version: ProtocolVersion,
    ) -> Self {
        let Encoded { packet, identifier_at, digits_at } = outgoing.encode(version);
        let identifiers = if outgoing.qos == QoS::AtMostOnce { 0 } else { limits.window };
        Self {
            connection,
            index,
            packet,
            identifier_at,
            numbers: outgoing.numbers,
            digits_at,
            free_identifiers: (1..=identifiers).rev().collect(),
            window: usize::from(identifiers),
            sent: 0,
            messages_max: limits.messages_max,
            receivers: u64::from(limits.receivers),
            ahead_max: u64::from(limits.ahead_max),
            given_up: 0,
            clock: None,
            pace: None,
        }
    }

    /// The same, and it records how long acknowledgements take.
    pub(crate) fn timed(mut self) -> Self {
        let begun_at = vec![Instant::now(); self.window + 1];
        self.clock = Some(Clock { begun_at, waits: Latencies::new() });
        self
    }

    /// How long acknowledgements took, if that is recorded.
    pub(crate) fn waits(&mut self) -> Option<&mut Latencies> {
        self.clock.as_mut().map(|clock| &mut clock.waits)
    }

    /// From now on it keeps to a schedule: see [`Publisher::send_due`].
    pub(crate) fn keep_to(&mut self, schedule: Schedule) {
        self.pace = Some(Pace::new(schedule, self.index));
    }

    /// How it keeps to its schedule, if it has one.
    pub(crate) fn pace(&mut self) -> Option<&mut Pace> {
        self.pace.as_mut()
    }

    /// Messages that were due at `now` and have not left.
    pub(crate) fn behind(&self, now: Instant) -> u64 {
        self.pace.as_ref().map_or(0, |pace| pace.count_due(now).saturating_sub(self.sent))
    }

    /// How many messages were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many of them the broker has acknowledged for good; with QoS 0, all.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.sent - (self.window - self.free_identifiers.len()) as u64
    }

    /// How many deliveries these should make.
    pub(crate) fn expected(&self) -> u64 {
        self.sent * self.receivers
    }

    /// Counts everything sent so far as received, so that lost messages do not stop the run.
    pub(crate) fn give_up_outstanding(&mut self) {
        self.given_up = self.sent;
    }

    /// Whether every message was acknowledged (always, with QoS 0) and every byte is with the socket.
    pub(crate) fn is_settled(&mut self) -> bool {
        let is_acknowledged = self.free_identifiers.len() == self.window;
        is_acknowledged && self.connection.outbox().is_empty() && !self.connection.is_blocked()
    }

    /// Whether [`Publisher::send`] would send anything. `progress` is how many deliveries its subscribers are
    /// past, together.
    pub(crate) fn can_send(&self, progress: u64) -> bool {
        !self.connection.is_blocked() && self.allowance(progress) > 0
    }

    /// Sends one batch, as far as limits and socket allow.
    pub(crate) fn send(&mut self, progress: u64) -> Result<(), Error> {
        let batch = (BATCH_BYTES / self.packet.len()).max(1) as u64;
        if !self.connection.is_blocked() {
            let count = batch.min(self.allowance(progress));
            let now = (count > 0 && self.clock.is_some()).then(Instant::now);
            for _ in 0..count {
                self.append_message(now);
            }
        }
        self.connection.flush()
    }

    /// Sends at `now` what was due `until` then, as far as window and socket allow. How far subscribers have
    /// come is not asked: a schedule does not wait for them.
    pub(crate) fn send_due(&mut self, until: Instant, now: Instant) -> Result<(), Error> {
        let Some(pace) = &self.pace else { return Ok(()) };
        let due = pace.count_due(until);
        let room = match self.identifier_at {
            _ if self.connection.is_blocked() => 0,
            Some(_) => self.free_identifiers.len() as u64,
            None => u64::MAX,
        };
        let until = due.min(self.sent.saturating_add(room));
        for sequence in self.sent..until {
            let due = self.pace.as_mut().map(|pace| pace.leaves(sequence, now));
            self.append_message(due);
        }
        if let Some(pace) = self.pace.as_mut().filter(|_| until < due) {
            pace.hold(due);
        }
        self.connection.flush()
    }

    /// Reads once and judges the acknowledgements. The result says whether the socket has no more for now.
    pub(crate) fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        let received = self.connection.receive(buffer)?;
        let now = self.clock.is_some().then(Instant::now);
        let mut rest = &buffer[..received.length];
        while let Some(frame) = next_frame(&mut rest)? {
            self.handle(frame, now)?;
        }
        self.connection.keep(rest);
        Ok(received.emptied)
    }

    fn allowance(&self, progress: u64) -> u64 {
        let passed = progress.checked_div(self.receivers).unwrap_or(self.sent).max(self.given_up);
        let ahead = self.sent.saturating_sub(passed);
        let allowed = self.ahead_max.saturating_sub(ahead).min(self.messages_max - self.sent);
        if self.identifier_at.is_some() {
            return allowed.min(self.free_identifiers.len() as u64);
        }
        // A publisher at its limit waits for an eighth of it, instead of making a system call for each
        // message.
        if allowed * 8 < self.ahead_max { 0 } else { allowed }
    }

    #[inline]
    fn append_message(&mut self, begun: Option<Instant>) {
        if let Some(at) = self.identifier_at {
            let Some(identifier) = self.free_identifiers.pop() else { return };
            self.packet[at..at + 2].copy_from_slice(&identifier.to_be_bytes());
            if let Some((clock, begun)) = self.clock.as_mut().zip(begun) {
                clock.begun_at[usize::from(identifier)] = begun;
            }
        }
        let stamp = Stamp { publisher: self.index, sequence: self.sent };
        if let Some(numbers) = self.numbers {
            write_digits(&mut self.packet, &self.digits_at, numbers.of(stamp));
        }
        stamp.write(&mut self.packet);
        self.connection.outbox().extend_from_slice(&self.packet);
        self.sent += 1;
    }

    #[inline]
    fn handle(&mut self, frame: Frame<'_>, now: Option<Instant>) -> Result<(), Error> {
        let packet_type = frame.packet_type()?;
        match packet_type {
            PacketType::PubAck | PacketType::PubComp => self.release(packet_identifier(frame.body, 0)?, now),
            PacketType::PubRec => {
                let identifier = packet_identifier(frame.body, 0)?;
                acknowledge(self.connection.outbox(), PacketType::PubRel, identifier);
                Ok(())
            }
            other => Err(self.connection.unexpected(other)),
        }?;
        match frame.body.get(2) {
            Some(&code) if code >= 0x80 => {
                Err(Error::Peer(format!("the broker answered a PUBLISH with reason code 0x{code:02X}")))
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn release(&mut self, identifier: u16, now: Option<Instant>) -> Result<(), Error> {
        let in_window = identifier != 0 && usize::from(identifier) <= self.window;
        if !in_window || self.free_identifiers.len() == self.window {
            return Err(Error::Peer(format!(
                "the broker acknowledged packet identifier {identifier}, not in use"
            )));
        }
        if let Some((clock, now)) = self.clock.as_mut().zip(now) {
            clock.waits.record(now.duration_since(clock.begun_at[usize::from(identifier)]));
        }
        self.free_identifiers.push(identifier);
        Ok(())
    }
}

/// A packet to copy from.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// With room for the stamp.
    pub(crate) packet: Vec<u8>,
    pub(crate) identifier_at: Option<usize>,
    /// Where the digits of a pattern are.
    pub(crate) digits_at: Vec<usize>,
}

impl Outgoing<'_> {
    /// The packet of its messages.
    pub(crate) fn encode(&self, version: ProtocolVersion) -> Encoded {
        let parts = PublishParts {
            qos: self.qos,
            retain: self.retain,
            topic: self.topic,
            payload_length: self.payload_bytes as usize,
            ..PublishParts::default()
        };
        let mut packet = Vec::new();
        let identifier_at = parts.encode_head(version, &mut packet);
        packet.resize(packet.len() + self.payload_bytes as usize, b'x');
        // A fixed header has one byte, and then a length that goes on while the first bit is set; the topic
        // has its own length of two bytes before it.
        let length_bytes = packet.iter().skip(1).take_while(|&&byte| byte & 0x80 != 0).count() + 1;
        let topic_at = 1 + length_bytes + 2;
        let digits_at = match self.numbers {
            Some(_) => digits_of(self.topic).into_iter().map(|at| topic_at + at).collect(),
            None => Vec::new(),
        };
        Encoded { packet, identifier_at, digits_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::{Split, split};

    #[test]
    fn a_numbered_topic_is_where_its_digits_are_written() {
        for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            for (qos, payload_bytes) in
                [(QoS::AtLeastOnce, 200), (QoS::AtMostOnce, 12), (QoS::AtMostOnce, 20_000)]
            {
                let numbers = Some(Numbers::InTurn(3));
                let outgoing = Outgoing { topic: "a/~~/b/~~", numbers, retain: true, qos, payload_bytes };
                let Encoded { mut packet, digits_at, .. } = outgoing.encode(version);
                write_digits(&mut packet, &digits_at, 1_234);
                let Split::Packet { frame, .. } = split(&packet, u32::MAX).unwrap() else { panic!() };
                assert_eq!(&frame.body[..11], b"\x00\x09a/12/b/34", "{version}");
            }
        }
    }
}
