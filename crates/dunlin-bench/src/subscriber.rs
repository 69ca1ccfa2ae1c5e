//! A subscriber: it counts what arrives, checks the stamps and acknowledges.
//!
//! A message costs one look at its fixed header and one at its stamp; only with QoS 1 or 2 is the length of
//! the topic read, to find the packet identifier behind it. Acknowledgements collect in the outbox and leave
//! once per turn.

use std::time::Instant;

use dunlin_codec::{Frame, PacketType};

use crate::Error;
use crate::arrivals::Arrivals;
use crate::connection::{Connection, acknowledge, next_frame, packet_identifier};
use crate::stamp::Stamp;

/// A subscribing connection.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) connection: Connection,
    hearing: Hearing,
}

/// Which messages come to a subscriber, and so what a gap in their numbers means.
#[derive(Debug)]
pub(crate) enum Hearing {
    /// Every message of some publishers: what it misses is lost.
    Every(NextSequence),
    /// Some messages of all publishers, in their order: what others hear leaves gaps, and only the sum over all
    /// subscribers says what is lost.
    Part(NextSequence),
    /// What no other member of its shared group gets.
    Member,
}

/// The sequence number that each publisher's next message should carry.
#[derive(Debug)]
pub(crate) struct NextSequence {
    by_slot: Vec<u64>,
    topics: u32,
}

impl Hearing {
    /// Of a subscriber that hears `senders` publishers: those that share its topic, of `topics`.
    pub(crate) fn every(senders: u32, topics: u32) -> Self {
        Self::Every(NextSequence { by_slot: vec![0; senders as usize], topics })
    }

    /// Of a subscriber that hears a part of what all `publishers` send.
    pub(crate) fn part(publishers: u32) -> Self {
        Self::Part(NextSequence { by_slot: vec![0; publishers as usize], topics: 1 })
    }
}

impl Subscriber {
    /// A subscriber whose Subscriptions are granted.
    pub(crate) fn new(connection: Connection, hearing: Hearing) -> Self {
        Self { connection, hearing }
    }

    /// Reads once, judges what came, sends acknowledgements, and adds to `arrivals` each message that this
    /// subscriber is past, received or missed. The result says whether the socket has no more for now.
    pub(crate) fn turn(&mut self, buffer: &mut Vec<u8>, arrivals: &mut Arrivals) -> Result<bool, Error> {
        let received = self.connection.receive(buffer)?;
        let now = arrivals.now();
        let mut rest = &buffer[..received.length];
        while let Some(frame) = next_frame(&mut rest)? {
            self.handle(frame, arrivals, now)?;
        }
        self.connection.keep(rest);
        self.connection.flush()?;
        Ok(received.emptied)
    }

    #[inline]
    fn handle(
        &mut self,
        frame: Frame<'_>,
        arrivals: &mut Arrivals,
        now: Option<Instant>,
    ) -> Result<(), Error> {
        match frame.packet_type()? {
            PacketType::Publish => self.handle_publish(frame, arrivals, now),
            PacketType::PubRel => {
                let identifier = packet_identifier(frame.body, 0)?;
                acknowledge(self.connection.outbox(), PacketType::PubComp, identifier);
                Ok(())
            }
            other => Err(self.connection.unexpected(other)),
        }
    }

    #[inline]
    fn handle_publish(
        &mut self,
        frame: Frame<'_>,
        arrivals: &mut Arrivals,
        now: Option<Instant>,
    ) -> Result<(), Error> {
        let stamp = Stamp::read(frame.body).ok_or_else(foreign_message)?;
        let passed = match &mut self.hearing {
            Hearing::Every(next_sequence) => next_sequence.advance(stamp),
            Hearing::Part(next_sequence) => next_sequence.advance(stamp).map(|passed| passed.min(1)),
            Hearing::Member => arrivals.group.as_mut().and_then(|group| group.advance(stamp)),
        };
        arrivals.count(stamp, passed.ok_or_else(foreign_message)?, now).ok_or_else(foreign_message)?;
        let answer = match frame.first_byte >> 1 & 0b11 {
            0 => return Ok(()),
            1 => PacketType::PubAck,
            _ => PacketType::PubRec,
        };
        let identifier = packet_identifier(frame.body, 2 + usize::from(packet_identifier(frame.body, 0)?))?;
        acknowledge(self.connection.outbox(), answer, identifier);
        Ok(())
    }
}

impl NextSequence {
    /// By how many messages of its publisher this one moves the subscriber on: 1 in order, more after a gap,
    /// 0 for one that was passed before. `None` when the publisher is not one that the subscriber hears.
    #[inline]
    fn advance(&mut self, stamp: Stamp) -> Option<u64> {
        let next = self.by_slot.get_mut((stamp.publisher / self.topics) as usize)?;
        let passed = (stamp.sequence + 1).saturating_sub(*next);
        *next += passed;
        Some(passed)
    }
}

/// What a message from elsewhere makes of the run.
#[cold]
pub(crate) fn foreign_message() -> Error {
    Error::Peer(
        "a subscriber received a message that is not of this run; is the broker used by others?".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_knows_gaps_and_repetitions_of_each_publisher_it_hears() {
        let mut next = NextSequence { by_slot: vec![0; 2], topics: 3 };
        let mut advance = |publisher, sequence| next.advance(Stamp { publisher, sequence });
        assert_eq!(advance(1, 0), Some(1), "in order");
        assert_eq!(advance(1, 3), Some(3), "after a gap of two");
        assert_eq!(advance(1, 2), Some(0), "late");
        assert_eq!(advance(1, 3), Some(0), "twice");
        assert_eq!(advance(4, 0), Some(1), "the other publisher counts for itself");
        assert_eq!(advance(7, 0), None, "a publisher of another topic");
    }
}
