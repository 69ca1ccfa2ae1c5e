//! A publisher: it sends as much as its limits and its socket take.
//!
//! The packet is encoded once; each message is a copy of it with the stamp, and with QoS 1 and 2 the packet
//! identifier, written over. Identifiers come from a stack of as many as the window has, so one is never in
//! use twice, in whatever order the broker acknowledges.

use dunlin_codec::{Frame, PacketType, ProtocolVersion, PublishParts, QoS};

use crate::Error;
use crate::connection::{Connection, acknowledge, next_frame, packet_identifier};
use crate::scenario::Traffic;
use crate::stamp::Stamp;

/// A turn appends messages until the outbox has about this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// A publishing connection.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) connection: Connection,
    index: u32,
    packet: Vec<u8>,
    identifier_at: Option<usize>,
    free_identifiers: Vec<u16>,
    window: usize,
    sent: u64,
    receivers: u64,
    ahead_max: u64,
    /// All messages before this one count as received: they were given up.
    given_up: u64,
}

impl Publisher {
    /// Publisher `index` of a scenario, which may have `window` messages unacknowledged.
    pub(crate) fn new(
        connection: Connection,
        index: u32,
        traffic: &Traffic,
        window: u16,
        version: ProtocolVersion,
    ) -> Self {
        let topic = traffic.topic(index);
        let parts = PublishParts {
            qos: traffic.qos,
            topic: &topic,
            payload_length: traffic.payload_bytes as usize,
            ..PublishParts::default()
        };
        let mut packet = Vec::new();
        let identifier_at = parts.encode_head(version, &mut packet);
        packet.resize(packet.len() + traffic.payload_bytes as usize, b'x');
        let identifiers = if traffic.qos == QoS::AtMostOnce { 0 } else { window };
        Self {
            connection,
            index,
            packet,
            identifier_at,
            free_identifiers: (1..=identifiers).rev().collect(),
            window: usize::from(identifiers),
            sent: 0,
            receivers: u64::from(traffic.receivers(index)),
            ahead_max: u64::from(traffic.ahead_max),
            given_up: 0,
        }
    }

    /// How many messages were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
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
        self.free_identifiers.len() == self.window && self.connection.outbox().is_empty()
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
            for _ in 0..batch.min(self.allowance(progress)) {
                self.append_message();
            }
        }
        self.connection.flush()
    }

    /// Reads once and judges the acknowledgements. The result says whether the socket has no more for now.
    pub(crate) fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        let received = self.connection.receive(buffer)?;
        let mut rest = &buffer[..received.length];
        while let Some(frame) = next_frame(&mut rest)? {
            self.handle(frame)?;
        }
        self.connection.keep(rest);
        Ok(received.emptied)
    }

    fn allowance(&self, progress: u64) -> u64 {
        let passed = progress.checked_div(self.receivers).unwrap_or(self.sent).max(self.given_up);
        let ahead = self.sent.saturating_sub(passed);
        let allowed = self.ahead_max.saturating_sub(ahead);
        if self.identifier_at.is_some() {
            return allowed.min(self.free_identifiers.len() as u64);
        }
        // A publisher at its limit waits for an eighth of it, instead of making a system call for each
        // message.
        if allowed * 8 < self.ahead_max { 0 } else { allowed }
    }

    #[inline]
    fn append_message(&mut self) {
        if let Some(at) = self.identifier_at {
            let Some(identifier) = self.free_identifiers.pop() else { return };
            self.packet[at..at + 2].copy_from_slice(&identifier.to_be_bytes());
        }
        Stamp { publisher: self.index, sequence: self.sent }.write(&mut self.packet);
        self.connection.outbox().extend_from_slice(&self.packet);
        self.sent += 1;
    }

    #[inline]
    fn handle(&mut self, frame: Frame<'_>) -> Result<(), Error> {
        let packet_type = frame.packet_type()?;
        match packet_type {
            PacketType::PubAck | PacketType::PubComp => self.release(packet_identifier(frame.body, 0)?),
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
    fn release(&mut self, identifier: u16) -> Result<(), Error> {
        let in_window = identifier != 0 && usize::from(identifier) <= self.window;
        if !in_window || self.free_identifiers.len() == self.window {
            return Err(Error::Peer(format!(
                "the broker acknowledged packet identifier {identifier}, not in use"
            )));
        }
        self.free_identifiers.push(identifier);
        Ok(())
    }
}
