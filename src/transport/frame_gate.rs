//! What a stranger may announce over WebSocket.
//!
//! tungstenite reserves memory for the length that a frame announces, and its own bound on that length cannot
//! be changed after the handshake. It has to admit the largest packet, so for a stranger it is too wide. A
//! [`FrameGate`] stands below tungstenite and is narrow until CONNECT is accepted: the header of a frame is
//! judged before it is handed on, and the frames of a stranger together may announce no more than it may send.
//!
//! What must stay true: as long as the gate watches, it reads to the end of a frame and never beyond. Frames
//! behind the one that completes CONNECT are thus still unread when the gate opens, and may be of any size
//! (a client need not wait for CONNACK).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The key with which a client masks the payload of a frame.
const MASK_BYTES: usize = 4;

/// See the top of the file.
pub struct FrameGate<S> {
    stream: S,
    /// The frames of a stranger; none while the gate is open.
    watch: Option<Watch>,
}

/// Where in a frame the stream is.
struct Watch {
    /// Payload that may still be announced.
    allowed_bytes: usize,
    /// What has come of the next header, without the mask.
    header: Vec<u8>,
    /// What is still to come of a frame that was let through, with the mask.
    frame_bytes: usize,
}

impl<S> FrameGate<S> {
    /// A gate that is open: the WebSocket handshake is HTTP.
    pub fn new(stream: S) -> Self {
        Self { stream, watch: None }
    }

    /// A frame begins with the next byte. This one and those that follow may announce so many bytes together.
    pub fn watch(&mut self, allowed_bytes: usize) {
        self.watch = Some(Watch { allowed_bytes, header: Vec::new(), frame_bytes: 0 });
    }

    /// From now on everything passes.
    pub fn open(&mut self) {
        self.watch = None;
    }

    /// What lies below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// What lies below.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl Watch {
    /// How many bytes may be read before there is something to judge.
    fn step_bytes(&self) -> usize {
        match self.frame_bytes {
            0 => header_bytes(&self.header) - self.header.len(),
            left => left,
        }
    }

    /// Takes note of what was read, which is at most a step.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.frame_bytes > 0 {
            self.frame_bytes -= bytes.len();
            return Ok(());
        }
        self.header.extend_from_slice(bytes);
        if self.header.len() < header_bytes(&self.header) {
            return Ok(());
        }
        let (is_masked, payload_bytes) = announced(&self.header);
        let allowed = usize::try_from(payload_bytes).ok().filter(|bytes| *bytes <= self.allowed_bytes);
        let payload_bytes = allowed.ok_or_else(|| {
            io::Error::new(io::ErrorKind::QuotaExceeded, "too large a frame before CONNECT was accepted")
        })?;
        self.allowed_bytes -= payload_bytes;
        self.frame_bytes = payload_bytes + if is_masked { MASK_BYTES } else { 0 };
        self.header.clear();
        Ok(())
    }
}

/// The length of a header that begins so, without the mask: two bytes tell (RFC 6455 section 5.2).
fn header_bytes(beginning: &[u8]) -> usize {
    match beginning.get(1).map(|byte| byte & 0x7F) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    }
}

/// What a whole header says of its frame: whether it is masked, and the length of its payload.
fn announced(header: &[u8]) -> (bool, u64) {
    let second = header[1];
    let length = match &header[2..] {
        [] => u64::from(second & 0x7F),
        long => long.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    (second & 0x80 != 0, length)
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameGate<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(watch) = &mut this.watch else {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        };
        let room = watch.step_bytes().min(buffer.remaining());
        let mut step = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut step))?;
        watch.pass(step.filled())?;
        let read = step.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameGate<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// A masked binary frame.
    fn frame(payload_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0x82];
        match payload_bytes {
            0..=125 => bytes.push(0x80 | payload_bytes as u8),
            126..=0xFFFF => {
                bytes.push(0x80 | 126);
                bytes.extend((payload_bytes as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((payload_bytes as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + MASK_BYTES + payload_bytes, 7);
        bytes
    }

    /// Reads into a buffer that is never too small.
    fn read(gate: &mut FrameGate<&[u8]>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 1 << 20];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(gate).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().to_vec()),
            Poll::Pending => unreachable!("a slice is always ready"),
        }
    }

    #[test]
    fn a_watched_stream_is_read_unchanged_and_never_beyond_the_end_of_a_frame() {
        let frames = [0, 1, 125, 126, 0xFFFF, 0x1_0000].map(frame);
        let stream = frames.concat();
        let mut gate = FrameGate::new(&stream[..]);
        gate.watch(1 << 18);
        for frame in &frames {
            let mut bytes = Vec::new();
            while bytes.len() < frame.len() {
                bytes.extend(read(&mut gate).expect("the frame is allowed"));
            }
            assert!(bytes == *frame, "another frame than that of {} bytes", frame.len());
        }
        assert!(read(&mut gate).expect("the end is allowed").is_empty());
    }

    #[test]
    fn a_frame_is_refused_by_its_header_when_all_together_announce_too_much() {
        for (first, second, is_allowed) in [(60, 40, true), (60, 41, false), (0, 101, false), (100, 1, false)]
        {
            let stream = [frame(first), frame(second)].concat();
            let mut gate = FrameGate::new(&stream[..]);
            gate.watch(100);
            let mut error = None;
            while error.is_none() && !gate.stream.is_empty() {
                error = read(&mut gate).err();
            }
            let kind = error.map(|error| error.kind());
            assert_eq!(kind, (!is_allowed).then_some(io::ErrorKind::QuotaExceeded), "{first} and {second}");
            let unread = if is_allowed { 0 } else { MASK_BYTES + second };
            assert_eq!(gate.stream.len(), unread, "{first} and {second}");
        }
    }

    #[test]
    fn a_length_beyond_any_memory_is_refused() {
        let mut gate = FrameGate::new(&[0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF][..]);
        gate.watch(100);
        assert_eq!(read(&mut gate).expect("two bytes do not tell").len(), 2);
        assert_eq!(read(&mut gate).map_err(|error| error.kind()), Err(io::ErrorKind::QuotaExceeded));
    }

    #[test]
    fn an_open_gate_looks_at_nothing() {
        let stream = frame(0x1_0000);
        let mut gate = FrameGate::new(&stream[..]);
        gate.watch(100);
        gate.open();
        assert!(read(&mut gate).expect("everything passes") == stream);
    }
}
