//! Any bytes behind the HTTP request of a WebSocket: nothing may panic, and what a stranger's frames bring is no more
//! than a stranger may send.
#![no_main]

use dunlin::transport::WebSocket;
use libfuzzer_sys::fuzz_target;
use std::future::poll_fn;
use std::io::Cursor;
use tokio::io::ReadBuf;

/// What a stranger may send, and the largest frame of a client.
const STRANGER_BYTES_MAX: usize = 1024;
const FRAME_BYTES_MAX: usize = 4096;

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without a reactor");
    // An odd number of bytes is a request by itself, which the fuzzer may break.
    let input = if bytes.len() % 2 == 1 { bytes.to_vec() } else { [REQUEST, bytes].concat() };
    runtime.block_on(async {
        let stream = tokio::io::join(Cursor::new(input), tokio::io::sink());
        let Ok(mut socket) = WebSocket::accept(stream, STRANGER_BYTES_MAX, FRAME_BYTES_MAX).await else { return };
        let mut buffer = [0; 512];
        let mut received = 0;
        let mut is_known = false;
        loop {
            let count = poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut buffer);
                socket.poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
            });
            match count.await {
                Ok(0) | Err(_) => return,
                Ok(count) => received += count,
            }
            assert!(is_known || received <= STRANGER_BYTES_MAX, "a stranger sent {received} bytes");
            if !is_known && received > STRANGER_BYTES_MAX / 2 {
                socket.lift_read_limit();
                is_known = true;
            }
        }
    });
});
