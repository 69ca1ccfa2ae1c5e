//! The bytes that wait to be written to one client.
//!
//! Routing appends frames here; the runtime writes them once per turn (deferred flush), many frames in one
//! system call. Small frames are copied into one buffer. A payload of [`SHARED_PAYLOAD_MIN_BYTES`] or more is
//! referenced instead, so that a large message to a thousand clients exists once.

use bytes::Bytes;
use std::collections::VecDeque;

/// From this size on a payload is shared instead of copied. Below, copying is cheaper than another entry in
/// the vectored write.
pub const SHARED_PAYLOAD_MIN_BYTES: usize = 2048;

/// A buffer of this capacity or less goes back to the pool when its outbox is empty: what one read of a publisher
/// (64 KiB) becomes, rounded up. Were it given back to the system, each turn would fault its pages in again, which
/// took a quarter of the time of saturated QoS 0.
const POOLED_CAPACITY_MAX_BYTES: usize = 256 * 1024;

/// Written bytes at which a buffer that never drains gives them up.
const COMPACT_FROM_BYTES: usize = 64 * 1024;

/// Encoded frames in order, some with their payload elsewhere.
#[derive(Debug, Default)]
pub struct Outbox {
    buffer: Vec<u8>,
    /// Payloads, each with the length of `buffer` at which it comes.
    shared: VecDeque<(usize, Bytes)>,
    /// How much of `buffer` is written.
    written: usize,
    /// How much of the first shared payload is written.
    shared_written: usize,
    length: usize,
    /// Bytes were written since somebody asked.
    has_advanced: bool,
}

impl Outbox {
    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where the next frame begins, for [`Self::tail`].
    #[inline]
    pub(crate) fn end(&self) -> usize {
        self.buffer.len()
    }

    /// At most `maximum` bytes of the frame that began there and is the last, and how long it is.
    pub(crate) fn tail(&self, start: usize, maximum: usize) -> (Box<[u8]>, usize) {
        let head = self.buffer.get(start..).unwrap_or_default();
        let shared = self.shared.back().filter(|(at, _)| *at > start).map(|(_, payload)| payload);
        let payload = shared.map_or(&[][..], |payload| payload);
        let kept = head.iter().chain(payload).take(maximum).copied().collect();
        (kept, head.len() + payload.len())
    }

    /// Appends bytes.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Appends a frame whose Packet Identifier, at `offset`, is this connection's own.
    #[inline]
    pub fn push_patched(&mut self, frame: &[u8], offset: usize, packet_identifier: u16) {
        let start = self.buffer.len() + offset;
        self.push(frame);
        if let Some(place) = self.buffer.get_mut(start..start + 2) {
            place.copy_from_slice(&packet_identifier.to_be_bytes());
        }
    }

    /// Appends a payload without copying it.
    pub fn push_shared(&mut self, payload: Bytes) {
        self.length += payload.len();
        self.shared.push_back((self.buffer.len(), payload));
    }

    /// Appends what `encode` appends.
    pub fn encode(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.buffer.len();
        encode(&mut self.buffer);
        self.length += self.buffer.len() - before;
    }

    /// What waits, piece by piece, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut position = self.written;
        let mut skip = self.shared_written;
        let pieces = self.shared.iter().flat_map(move |(at, payload)| {
            let before = self.buffer.get(position..*at).unwrap_or_default();
            position = *at;
            let payload = payload.get(std::mem::take(&mut skip)..).unwrap_or_default();
            [before, payload]
        });
        let last = self.shared.back().map_or(self.written, |(at, _)| (*at).max(self.written));
        pieces
            .chain(std::iter::once(self.buffer.get(last..).unwrap_or_default()))
            .filter(|piece| !piece.is_empty())
    }

    /// Forgets the first `count` bytes: they are written.
    pub fn advance(&mut self, count: usize) {
        self.has_advanced |= count.min(self.length) > 0;
        self.length = self.length.saturating_sub(count);
        if self.length == 0 {
            self.clear();
            return;
        }
        let mut left = count;
        while left > 0 {
            let Some((at, payload)) = self.shared.front() else {
                self.written += left;
                break;
            };
            let before = at - self.written;
            if left < before {
                self.written += left;
                break;
            }
            (self.written, left) = (*at, left - before);
            let rest = payload.len() - self.shared_written;
            if left < rest {
                self.shared_written += left;
                break;
            }
            left -= rest;
            self.shared_written = 0;
            self.shared.pop_front();
        }
        self.compact();
    }

    /// Whether bytes were written since the last call.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_advanced)
    }

    /// Gives up the written half of a large buffer that never drains, so that it does not grow for ever.
    fn compact(&mut self) {
        if self.written > COMPACT_FROM_BYTES && self.written * 2 > self.buffer.len() {
            self.buffer.drain(..self.written);
            for (at, _) in &mut self.shared {
                *at -= self.written;
            }
            self.written = 0;
        }
    }

    /// Empties it, keeping the buffer's memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.shared.clear();
        (self.written, self.shared_written, self.length) = (0, 0, 0);
    }

    /// Whether its memory is worth keeping for another connection.
    pub fn is_poolable(&self) -> bool {
        self.is_empty() && self.capacity() <= POOLED_CAPACITY_MAX_BYTES && self.shared.capacity() <= 64
    }

    /// Bytes of memory it holds.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(outbox: &Outbox) -> Vec<u8> {
        outbox.chunks().flatten().copied().collect()
    }

    #[test]
    fn shared_payloads_keep_their_place_however_writes_are_cut() {
        let mut model = Vec::new();
        for step in 1..=7 {
            let mut outbox = Outbox::default();
            outbox.push(b"ab");
            outbox.push_shared(Bytes::from_static(b"CDE"));
            outbox.push_shared(Bytes::from_static(b"F"));
            outbox.push(b"gh");
            outbox.push_shared(Bytes::from_static(b"IJ"));
            model.clear();
            while !outbox.is_empty() {
                let taken: Vec<u8> = written(&outbox).into_iter().take(step).collect();
                model.extend_from_slice(&taken);
                outbox.advance(taken.len());
            }
            assert_eq!(model, b"abCDEFghIJ", "in steps of {step}");
        }
    }

    #[test]
    fn what_is_appended_after_a_partial_write_comes_last() {
        let mut outbox = Outbox::default();
        outbox.push(b"abc");
        outbox.advance(2);
        outbox.push_shared(Bytes::from_static(b"DE"));
        outbox.push(b"f");
        assert_eq!(written(&outbox), b"cDEf");
        assert_eq!(outbox.len(), 4);
    }

    #[test]
    fn the_packet_identifier_is_patched_in_place() {
        let mut outbox = Outbox::default();
        outbox.push(b"x");
        outbox.push_patched(&[1, 2, 0, 0, 5], 2, 0x1234);
        assert_eq!(written(&outbox), [b'x', 1, 2, 0x12, 0x34, 5]);
    }
}
