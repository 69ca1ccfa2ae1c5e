//! A client's WebSocket over TCP or TLS (section 6 of MQTT: binary frames, however packets fall on them).
//!
//! A write makes one frame of what it is given, a batch as a rule. Frames that come are taken apart by
//! tungstenite, which keeps what it has read beyond one.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::HandshakeKind;
use tungstenite::client::{ClientRequestBuilder, IntoClientRequest};
use tungstenite::error::ProtocolError;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::http::Uri;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Bytes, Message, WebSocket};

use super::tls::TlsStream;
use super::{ReadAll, would_block};
use crate::Error;

/// The subprotocol that MQTT has with IANA.
const SUBPROTOCOL: &str = "mqtt";
/// How much is read at once. Each connection keeps as much.
const READ_BYTES: usize = 16 * 1024;
/// The most bytes of a frame that is sent.
const FRAME_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct WebSocketStream {
    state: State,
    socket: Arc<TcpStream>,
    /// What is left of the last frame that came.
    rest: Bytes,
    has_unsent: bool,
}

/// `Opening --(the server has agreed)--> Open`, or `Broken` when it has not.
#[derive(Debug)]
enum State {
    Opening(MidHandshake<ClientHandshake<Below>>),
    Open(WebSocket<Below>),
    Broken,
}

/// What is below a WebSocket.
#[derive(Debug)]
pub(super) enum Below {
    Tcp(Arc<TcpStream>),
    Tls(Box<TlsStream>),
}

impl WebSocketStream {
    /// A WebSocket that is opened by the first write.
    pub(super) fn new(below: Below, uri: &Uri) -> Result<Self, Error> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(None)
            .max_frame_size(None);
        let socket = Arc::clone(below.socket());
        let handshake = ClientRequestBuilder::new(uri.clone())
            .with_sub_protocol(SUBPROTOCOL)
            .into_client_request()
            .and_then(|request| ClientHandshake::start(below, request, Some(config)))
            .map_err(|error| Error::Usage(format!("no WebSocket can be opened at {uri}: {error}")))?;
        let state = State::Opening(handshake);
        Ok(Self { state, socket, rest: Bytes::new(), has_unsent: false })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn handshake_kind(&self) -> Option<HandshakeKind> {
        match &self.state {
            State::Open(websocket) => match websocket.get_ref() {
                Below::Tls(tls) => tls.handshake_kind(),
                Below::Tcp(_) => None,
            },
            State::Opening(_) | State::Broken => None,
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.has_unsent
    }

    /// Reads frames until the socket has no more, or `out` is full.
    pub(super) fn read_all_there(&mut self, out: &mut [u8]) -> io::Result<ReadAll> {
        let mut count = 0;
        while count < out.len() {
            match self.read(&mut out[count..]) {
                Ok(0) => return Ok(ReadAll { count, emptied: false }),
                Ok(more) => count += more,
                Err(error) if would_block(&error) && count > 0 => {
                    return Ok(ReadAll { count, emptied: true });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ReadAll { count, emptied: false })
    }

    /// The WebSocket, once the server has agreed to it.
    fn opened(&mut self) -> io::Result<&mut WebSocket<Below>> {
        if let State::Opening(_) = self.state
            && let State::Opening(handshake) = std::mem::replace(&mut self.state, State::Broken)
        {
            self.state = match handshake.handshake() {
                Ok((websocket, _)) => State::Open(websocket),
                Err(HandshakeError::Interrupted(handshake)) => State::Opening(handshake),
                Err(HandshakeError::Failure(error)) => return Err(of_tungstenite(error)),
            };
        }
        match &mut self.state {
            State::Open(websocket) => Ok(websocket),
            State::Opening(_) => Err(io::ErrorKind::WouldBlock.into()),
            State::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Notes what a write has left.
    fn sent(&mut self, result: Result<(), tungstenite::Error>) -> io::Result<()> {
        let result = result.map_err(of_tungstenite);
        self.has_unsent = result.as_ref().is_err_and(would_block);
        result
    }
}

impl Read for WebSocketStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.opened()?.read() {
                Ok(Message::Binary(bytes)) => self.rest = bytes,
                Ok(Message::Text(_)) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a text frame has no MQTT in it"));
                }
                Ok(Message::Close(_)) => return Ok(0),
                Ok(_) => {}
                Err(
                    tungstenite::Error::ConnectionClosed
                    | tungstenite::Error::AlreadyClosed
                    | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                ) => return Ok(0),
                Err(error) => return Err(of_tungstenite(error)),
            }
        }
        let count = out.len().min(self.rest.len());
        out[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

impl Write for WebSocketStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_unsent {
            self.flush()?;
        }
        let frame = &bytes[..bytes.len().min(FRAME_BYTES_MAX)];
        if frame.is_empty() {
            return Ok(0);
        }
        let result = self.opened()?.send(Message::Binary(Bytes::copy_from_slice(frame)));
        match self.sent(result) {
            // The frame is kept, and sent with the next write.
            Err(error) if !would_block(&error) => Err(error),
            _ => Ok(frame.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.opened()?.flush();
        self.sent(result)
    }
}

impl Below {
    fn socket(&self) -> &Arc<TcpStream> {
        match self {
            Self::Tcp(socket) => socket,
            Self::Tls(tls) => tls.shared_socket(),
        }
    }
}

impl Read for Below {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => (&**socket).read(out),
            Self::Tls(tls) => tls.read(out),
        }
    }
}

impl Write for Below {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => (&**socket).write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

fn of_tungstenite(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
