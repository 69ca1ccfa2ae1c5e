//! A non-blocking connection with the bytes that wait at either end of it.
//!
//! Reading goes through one large buffer that all connections share; only the piece of a packet that a read
//! cut off is kept per connection. Writing goes through an outbox, so that everything a turn produces leaves
//! in one system call.
//!
//! The poll is edge-triggered. A read that did not fill the buffer has emptied the socket, and a write that
//! was cut short has filled it; in both cases the next edge is announced, and no call is spent on being told
//! "would block". What that means where TLS or WebSocket have buffers of their own is in `stream/mod.rs`.

use std::io;

use dunlin_codec::{Frame, PacketType, Split, VARIABLE_BYTE_INTEGER_MAX, split};

use crate::Error;
use crate::handshake::Connected;
use crate::stream::{ReadAll, Stream};

/// The room a read has at least.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// A connection that the poll watches.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    partial: Vec<u8>,
    outbox: Vec<u8>,
    written: usize,
    blocked: bool,
    /// What errors call the client.
    name: String,
}

/// What a read brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// Bytes at the front of the buffer, those kept from the last read included.
    pub(crate) length: usize,
    /// Whether the socket has no more for now.
    pub(crate) emptied: bool,
}

impl Connection {
    /// Takes over a client's connection after its handshake.
    pub(crate) fn of_client(connected: Connected, name: String) -> Result<Self, Error> {
        let Connected { mut stream, unread: mut partial, .. } = connected;
        stream.socket().set_nonblocking(true).map_err(Error::io("make a socket non-blocking"))?;
        stream.take_buffered(&mut partial).map_err(Error::io(format!("read for {name}")))?;
        Ok(Self { partial, ..Self::new(stream, name) })
    }

    /// A connection on which nothing was read or written yet.
    pub(crate) fn new(stream: Stream, name: String) -> Self {
        Self { stream, partial: Vec::new(), outbox: Vec::new(), written: 0, blocked: false, name }
    }

    /// Has the poll announce this connection under `token`.
    pub(crate) fn register(&self, registry: &mio::Registry, token: usize) -> Result<(), Error> {
        self.stream.register(registry, mio::Token(token)).map_err(Error::io("watch a connection"))
    }

    /// Reads once. What the last [`Connection::keep`] left comes first in `buffer`.
    pub(crate) fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<Received, Error> {
        let kept = self.partial.len();
        if buffer.len() < kept + READ_BYTES {
            buffer.resize(kept + READ_BYTES, 0);
        }
        buffer[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        match self.stream.read_all_there(&mut buffer[kept..]) {
            Ok(ReadAll { count: 0, .. }) => {
                Err(Error::Peer(format!("the connection of {} was closed by its peer", self.name)))
            }
            Ok(ReadAll { count, emptied }) => Ok(Received { length: kept + count, emptied }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(Received { length: kept, emptied: true })
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Ok(Received { length: kept, emptied: false })
            }
            Err(source) => Err(Error::Io { doing: format!("read for {}", self.name), source }),
        }
    }

    /// Keeps the start of a packet for the next read.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.partial.extend_from_slice(rest);
    }

    /// Where packets to send are appended; [`Connection::flush`] sends them.
    pub(crate) fn outbox(&mut self) -> &mut Vec<u8> {
        &mut self.outbox
    }

    /// Whether the socket takes no more for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The poll has said that the socket takes bytes again: writes what waits, so that only a blocked
    /// connection has any.
    pub(crate) fn unblock(&mut self) -> Result<(), Error> {
        self.blocked = false;
        self.flush()
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        while !self.blocked && (self.written < self.outbox.len() || self.stream.has_unsent()) {
            match self.stream.write(&self.outbox[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.blocked = self.stream.is_full(self.outbox.len() - self.written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Io { doing: format!("write for {}", self.name), source }),
            }
        }
        if self.written * 2 >= self.outbox.len() {
            self.outbox.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    /// Whether TLS has resumed an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.is_resumed()
    }

    /// What a packet that this client does not expect makes of the run.
    pub(crate) fn unexpected(&self, packet_type: PacketType) -> Error {
        Error::Peer(format!("the broker sent {packet_type:?} to {}", self.name))
    }
}

/// Takes the next packet off the front of `bytes`; `None` when what is left is only the start of one.
#[inline]
pub(crate) fn next_frame<'a>(bytes: &mut &'a [u8]) -> Result<Option<Frame<'a>>, Error> {
    match split(bytes, VARIABLE_BYTE_INTEGER_MAX)? {
        Split::Packet { frame, length } => {
            *bytes = &bytes[length..];
            Ok(Some(frame))
        }
        Split::Incomplete { .. } => Ok(None),
    }
}

/// The Packet Identifier that stands at `at` in the body of a packet.
#[inline]
pub(crate) fn packet_identifier(body: &[u8], at: usize) -> Result<u16, Error> {
    match body.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Error::Peer("the broker sent a packet without its packet identifier".to_owned())),
    }
}

/// Appends an acknowledgement in the short form, which says success in every protocol version (section
/// 3.4.2.1).
#[inline]
pub(crate) fn acknowledge(outbox: &mut Vec<u8>, packet_type: PacketType, packet_identifier: u16) {
    let [high, low] = packet_identifier.to_be_bytes();
    outbox.extend_from_slice(&[packet_type.first_byte(), 2, high, low]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::{Acknowledgement, PacketIdentifier, ProtocolVersion, ReasonCode};

    #[test]
    fn an_acknowledgement_is_what_the_codec_writes() {
        for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            for packet_type in
                [PacketType::PubAck, PacketType::PubRec, PacketType::PubRel, PacketType::PubComp]
            {
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                acknowledge(&mut ours, packet_type, 0x1234);
                let identifier = PacketIdentifier::new(0x1234).unwrap();
                Acknowledgement::new(identifier, ReasonCode::Success).encode(
                    packet_type,
                    version,
                    &mut theirs,
                );
                assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn packets_are_taken_off_until_only_the_start_of_one_is_left() {
        let mut bytes: &[u8] = &[0xD0, 0, 0x40, 2, 0, 9, 0x40, 2, 0];
        assert_eq!(next_frame(&mut bytes).unwrap().unwrap().first_byte, 0xD0);
        assert_eq!(packet_identifier(next_frame(&mut bytes).unwrap().unwrap().body, 0).unwrap(), 9);
        assert!(next_frame(&mut bytes).unwrap().is_none());
        assert_eq!(bytes, [0x40, 2, 0]);
    }
}
