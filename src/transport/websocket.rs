//! MQTT over WebSocket (5.0 section 6): frames are an envelope, nothing more.
//!
//! A Control Packet may span frames and a frame may hold several, so frames are read as a stream of bytes,
//! and one flush of an outbox becomes one binary frame. Any other data frame ends the connection. What frames
//! may announce before CONNECT is accepted is the matter of `frame_gate.rs`.

use super::frame_gate::FrameGate;
use crate::config::WEBSOCKET_PATH;
use bytes::Bytes;
use dunlin_core::connection::Outbox;
use futures_util::{Sink, Stream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

/// The subprotocols served, the specification's first. The other is what MQTT 3.1 libraries offer.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Bytes read from the socket at once. tungstenite keeps such a buffer for every connection.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// The largest frame written; an outbox with more becomes several.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// A WebSocket seen as a stream of bytes.
pub struct WebSocket<S> {
    stream: WebSocketStream<FrameGate<S>>,
    /// What is left of the frame read last.
    rest: Bytes,
}

fn to_io(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            io::ErrorKind::NotConnected.into()
        }
        // The other end has left, as it may; it has said nothing wrong.
        tungstenite::Error::Protocol(
            ProtocolError::HandshakeIncomplete | ProtocolError::ResetWithoutClosingHandshake,
        ) => io::ErrorKind::UnexpectedEof.into(),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

// tungstenite fixes the type of the error.
#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
fn answer(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let refuse = |status: StatusCode, why: &str| {
        let mut refusal = ErrorResponse::new(Some(format!("{why}\n")));
        *refusal.status_mut() = status;
        Err(refusal)
    };
    if request.uri().path() != WEBSOCKET_PATH {
        return refuse(StatusCode::NOT_FOUND, "MQTT is served at the path /mqtt");
    }
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let is_offered = |protocol: &str| {
        offers
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .any(|offer| offer.trim() == protocol)
    };
    // spec(v5): [MQTT-6.0.0-3] [MQTT-6.0.0-4]
    // spec(v3.1.1): [MQTT-6.0.0-3] [MQTT-6.0.0-4]
    match SUBPROTOCOLS.into_iter().find(|protocol| is_offered(protocol)) {
        Some(protocol) => {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
            Ok(response)
        }
        None => refuse(StatusCode::BAD_REQUEST, "the subprotocol mqtt is missing"),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Answers the client's HTTP request. Until [`Self::lift_read_limit`], all its frames together may announce
    /// `read_limit_bytes`; then each of them `frame_bytes_max`.
    pub async fn accept(stream: S, read_limit_bytes: usize, frame_bytes_max: usize) -> io::Result<Self> {
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER_BYTES;
        config.write_buffer_size = 0;
        config.max_frame_size = Some(frame_bytes_max);
        config.max_message_size = Some(frame_bytes_max);
        let gate = FrameGate::new(stream);
        let mut stream = tokio_tungstenite::accept_hdr_async_with_config(gate, answer, Some(config))
            .await
            .map_err(to_io)?;
        // tungstenite has read the request and nothing more: it refuses what does not wait for the answer.
        stream.get_mut().watch(read_limit_bytes);
        Ok(Self { stream, rest: Bytes::new() })
    }

    /// The client is authenticated: its frames may be as large as its packets.
    pub fn lift_read_limit(&mut self) {
        self.stream.get_mut().open();
    }

    /// What the WebSocket runs over, to look at.
    pub fn get_ref(&self) -> &S {
        self.stream.get_ref().get_ref()
    }

    /// What the WebSocket runs over.
    pub fn get_mut(&mut self) -> &mut S {
        self.stream.get_mut().get_mut()
    }

    /// Reads bytes out of frames.
    // spec(v5): [MQTT-6.0.0-2]
    // spec(v3.1.1): [MQTT-6.0.0-2]
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                // spec(v5): [MQTT-6.0.0-1]
                // spec(v3.1.1): [MQTT-6.0.0-1]
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a WebSocket text frame",
                    )));
                }
                None => return Poll::Ready(Ok(())),
                // tungstenite answers pings and closes by itself, when it is read from again.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(to_io(error))),
            }
        }
        let taken = self.rest.split_to(self.rest.len().min(buffer.remaining()));
        buffer.put_slice(&taken);
        Poll::Ready(Ok(()))
    }

    /// Writes the outbox as binary frames.
    pub fn poll_write(&mut self, context: &mut Context<'_>, outbox: &mut Outbox) -> Poll<io::Result<()>> {
        while !outbox.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_ready(context)).map_err(to_io)?;
            let mut frame = Vec::with_capacity(outbox.len().min(FRAME_BYTES_MAX));
            for chunk in outbox.chunks() {
                let taken = chunk.len().min(FRAME_BYTES_MAX - frame.len());
                frame.extend_from_slice(&chunk[..taken]);
                if frame.len() == FRAME_BYTES_MAX {
                    break;
                }
            }
            outbox.advance(frame.len());
            Pin::new(&mut self.stream).start_send(Message::binary(frame)).map_err(to_io)?;
        }
        self.poll_flush(context)
    }

    /// Ready when all frames have been given to the network.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context).map_err(to_io)
    }

    /// Sends a close frame.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context).map_err(to_io)
    }
}
