//! TLS over TCP, of either side.
//!
//! rustls does no input or output itself. It is handed what was read and asked for what is to be written, so that
//! a socket which is full in one direction never stops the other: `rustls::StreamOwned` would wait with reading
//! until all was written, and an edge would be lost.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{Connection, HandshakeKind};

use super::{ReadAll, would_block};

/// How much that is encrypted is read at once. rustls by itself reads 4 KiB at a time.
const ENCRYPTED_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct TlsStream {
    session: Connection,
    socket: Arc<TcpStream>,
}

impl TlsStream {
    pub(super) fn new(session: Connection, socket: Arc<TcpStream>) -> Self {
        Self { session, socket }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn shared_socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    pub(super) fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.session.handshake_kind()
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.session.wants_write()
    }

    /// Reads all there is, decrypted, to the front of `out`. What is still encrypted is read to its end, where it
    /// is in nobody's way: decrypted it is never more.
    pub(super) fn read_all_there(&mut self, out: &mut [u8]) -> io::Result<ReadAll> {
        let (plain, encrypted) = out.split_at_mut(out.len() - ENCRYPTED_BYTES);
        // Left over from before the socket did not block any more.
        let mut count = 0;
        if self.take_decrypted(plain, &mut count)? {
            return Ok(ReadAll { count, emptied: false });
        }
        let read = match (&*self.socket).read(encrypted) {
            Err(error) if would_block(&error) && count > 0 => return Ok(ReadAll { count, emptied: true }),
            read => read?,
        };
        let mut rest = &encrypted[..read];
        while !rest.is_empty() {
            self.session.read_tls(&mut rest)?;
            self.process()?;
            if self.take_decrypted(plain, &mut count)? {
                return Ok(ReadAll { count, emptied: false });
            }
        }
        match (count, read) {
            (_, 0) => Ok(ReadAll { count, emptied: false }),
            // Nothing of MQTT, as in a handshake: the socket may have more, or not.
            (0, _) if read < ENCRYPTED_BYTES => Err(io::ErrorKind::WouldBlock.into()),
            (0, _) => Err(io::ErrorKind::Interrupted.into()),
            (count, _) => Ok(ReadAll { count, emptied: read < ENCRYPTED_BYTES }),
        }
    }

    /// Takes what was decrypted; the result says whether the peer has said that this was all.
    fn take_decrypted(&mut self, out: &mut [u8], count: &mut usize) -> io::Result<bool> {
        loop {
            match self.session.reader().read(&mut out[*count..]) {
                Ok(0) => return Ok(true),
                Ok(more) => *count += more,
                Err(error) if would_block(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Judges what was read, and sends what the handshake has to say to it.
    fn process(&mut self) -> io::Result<()> {
        let judged = self.session.process_new_packets();
        let sent = self.send_waiting();
        judged.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        match sent {
            // It is sent with the next write.
            Err(error) if would_block(&error) => Ok(()),
            sent => sent,
        }
    }

    fn send_waiting(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut &*self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Read for TlsStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(out) {
                Err(error) if would_block(&error) => {}
                // Brokers close without saying so in TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if self.session.read_tls(&mut &*self.socket)? > 0 {
                self.process()?;
            }
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_waiting()?;
        let count = self.session.writer().write(bytes)?;
        match self.send_waiting() {
            Err(error) if !would_block(&error) => Err(error),
            _ if count == 0 && !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_waiting()
    }
}
