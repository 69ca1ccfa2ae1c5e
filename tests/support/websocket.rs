//! WebSocket as a client speaks it, frame by frame (RFC 6455).
//!
//! Frames are made by hand, so that a test decides where each begins and ends; a library would not let it.

use std::io::{self, ErrorKind, Read, Write};

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// A WebSocket over a stream; it reads as the bytes of its binary frames, and a write is one binary frame.
pub struct WebSocket<S> {
    stream: S,
    unread: Vec<u8>,
}

/// Sends the HTTP request of a WebSocket; the answer's head.
pub fn request(
    stream: &mut (impl Read + Write),
    path: &str,
    subprotocols: Option<&str>,
) -> io::Result<String> {
    let offer = subprotocols.map(|names| format!("Sec-WebSocket-Protocol: {names}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Opens a WebSocket for MQTT.
pub fn connect<S: Read + Write>(mut stream: S) -> WebSocket<S> {
    let head = request(&mut stream, "/mqtt", Some("mqtt")).expect("the broker answers");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    WebSocket { stream, unread: Vec::new() }
}

/// The bytes of a frame of a client. The mask is 0, which leaves the payload readable.
pub fn frame(opcode: Opcode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![opcode as u8 | if is_final { 0x80 } else { 0 }];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

impl<S: Read + Write> WebSocket<S> {
    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).expect("the broker takes it");
    }

    /// Reads a frame of the broker's: its opcode and payload.
    pub fn receive(&mut self) -> io::Result<(Opcode, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length)?;
                u16::from_be_bytes(length).into()
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            length => length.into(),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload)?;
        let opcodes =
            [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
        // A Server masks nothing, and Dunlin fragments nothing.
        let opcode = opcodes.into_iter().find(|opcode| *opcode as u8 | 0x80 == head[0]);
        Ok((opcode.ok_or(ErrorKind::InvalidData)?, payload))
    }
}

impl<S: Read + Write> Read for WebSocket<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.receive()? {
                (Opcode::Binary, payload) => self.unread = payload,
                (Opcode::Close, _) => return Ok(0),
                (opcode, _) => panic!("the broker sent a frame of the kind {opcode:?}"),
            }
        }
        let count = self.unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(count)
    }
}

impl<S: Read + Write> Write for WebSocket<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write_all(&frame(Opcode::Binary, true, buffer))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
