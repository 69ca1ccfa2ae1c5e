//! A subscriber that takes what there is for it, as fast as it comes, and knows what is missing.
//!
//! It drains queues and receives Retained Messages: one connection at a time, which blocks, and one write of
//! acknowledgements for each read.

use std::time::{Duration, Instant};

use dunlin_codec::{Frame, PacketType};

use crate::Error;
use crate::connection::{READ_BYTES, acknowledge, next_frame, packet_identifier};
use crate::handshake::Connected;
use crate::stamp::Stamp;

/// When nothing comes for so long, the rest is lost.
const SILENCE: Duration = Duration::from_secs(5);
/// However steadily it comes, no longer than this.
const COLLECTING_MAX: Duration = Duration::from_secs(300);

/// Messages of one publisher by their numbers, which may come in any order.
#[derive(Debug)]
pub(crate) struct Collector {
    seen: Vec<bool>,
    /// Different messages that have come.
    pub(crate) received: u64,
    /// Messages that have come again.
    pub(crate) repeated: u64,
    /// Messages that came after one with a greater number.
    pub(crate) late: u64,
    next: u64,
    chunk: Vec<u8>,
}

impl Collector {
    /// For the messages 0 to `messages - 1`.
    pub(crate) fn new(messages: u32) -> Self {
        Self {
            seen: vec![false; messages as usize],
            received: 0,
            repeated: 0,
            late: 0,
            next: 0,
            chunk: vec![0; READ_BYTES],
        }
    }

    /// Collects until `messages` have come in all, or nothing comes any more. The result is when the last one
    /// came.
    pub(crate) fn collect(&mut self, connected: &mut Connected, messages: u64) -> Result<Instant, Error> {
        let begun = Instant::now();
        let mut last = begun;
        let mut acknowledgements = Vec::new();
        loop {
            let before = self.received;
            let unread = std::mem::take(&mut connected.unread);
            let mut rest = &unread[..];
            while let Some(frame) = next_frame(&mut rest)? {
                self.handle(frame, &mut acknowledgements)?;
            }
            connected.unread = rest.to_vec();
            if !acknowledgements.is_empty() {
                connected.send(&acknowledgements)?;
                acknowledgements.clear();
            }
            if self.received > before {
                last = Instant::now();
            }
            let is_over = self.received >= messages || begun.elapsed() > COLLECTING_MAX;
            if is_over || !connected.read_more(&mut self.chunk, SILENCE)? {
                return Ok(last);
            }
        }
    }

    #[inline]
    fn handle(&mut self, frame: Frame<'_>, acknowledgements: &mut Vec<u8>) -> Result<(), Error> {
        let packet_type = frame.packet_type()?;
        if packet_type != PacketType::Publish {
            return Err(Error::Peer(format!("the broker sent {packet_type:?} to a subscriber")));
        }
        self.count(frame.body)?;
        if frame.first_byte >> 1 & 0b11 == 1 {
            let topic_bytes = usize::from(packet_identifier(frame.body, 0)?);
            acknowledge(
                acknowledgements,
                PacketType::PubAck,
                packet_identifier(frame.body, 2 + topic_bytes)?,
            );
        }
        Ok(())
    }

    #[inline]
    fn count(&mut self, body: &[u8]) -> Result<(), Error> {
        let sequence = Stamp::read(body).map(|stamp| stamp.sequence).unwrap_or(u64::MAX);
        let seen = usize::try_from(sequence).ok().and_then(|at| self.seen.get_mut(at));
        let seen = seen.ok_or_else(|| Error::Peer("a message came that is not of this run".to_owned()))?;
        match std::mem::replace(seen, true) {
            true => self.repeated += 1,
            false => self.received += 1,
        }
        self.late += u64::from(sequence < self.next);
        self.next = self.next.max(sequence);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_twice_or_late_is_not_counted_as_new() {
        let mut collector = Collector::new(5);
        let mut body = [0; 20];
        for sequence in [0, 2, 1, 2, 4] {
            Stamp { publisher: 0, sequence }.write(&mut body);
            collector.count(&body).unwrap();
        }
        assert_eq!((collector.received, collector.repeated, collector.late), (4, 1, 1));
        Stamp { publisher: 0, sequence: 5 }.write(&mut body);
        assert!(collector.count(&body).is_err());
    }
}
