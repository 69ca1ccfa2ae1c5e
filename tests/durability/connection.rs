//! A TCP connection that never blocks, in frames.
//!
//! One thread moves all connections of a run: who has something to read or to write is asked in turn. What
//! the broker sent before it was killed is still there to be read, as for any client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use dunlin_codec::{Packet, ProtocolVersion, Split, split};

use crate::support::client::tcp;

/// Read at once at most.
const READ_BYTES_MAX: usize = 64 * 1024;

/// See the top of the file.
pub struct Connection {
    stream: TcpStream,
    version: ProtocolVersion,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    is_over: bool,
}

impl Connection {
    /// Connects; the broker listens.
    pub fn open(address: SocketAddr, version: ProtocolVersion) -> Self {
        let stream = tcp(address);
        stream.set_nonblocking(true).expect("a socket need not block");
        Self { stream, version, unread: Vec::new(), unsent: Vec::new(), is_over: false }
    }

    /// Sends a packet, as soon as the network takes it.
    pub fn send(&mut self, packet: &Packet<'_>) {
        packet.encode(self.version, &mut self.unsent);
    }

    /// Writes and reads what can be; whether anything moved.
    pub fn pump(&mut self) -> bool {
        let has_written = !self.unsent.is_empty() && self.write();
        self.read() || has_written
    }

    /// Whether the other side has ended the connection and all it said was taken.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next frame whole.
    pub fn frame(&mut self) -> Option<Vec<u8>> {
        match split(&self.unread, u32::MAX).expect("the broker sends what MQTT allows") {
            Split::Packet { length, .. } => Some(self.unread.drain(..length).collect()),
            Split::Incomplete { .. } => None,
        }
    }

    fn write(&mut self) -> bool {
        match self.stream.write(&self.unsent) {
            Ok(count) => {
                self.unsent.drain(..count);
                count > 0
            }
            Err(error) if is_for_later(&error) => false,
            // The broker is gone. What it has said is still to be read, and then the end.
            Err(_) => {
                self.unsent.clear();
                false
            }
        }
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; READ_BYTES_MAX];
        match self.stream.read(&mut buffer) {
            Ok(count) if count > 0 => self.unread.extend_from_slice(&buffer[..count]),
            Err(error) if is_for_later(&error) => return false,
            _ => {
                self.is_over = true;
                return false;
            }
        }
        true
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
