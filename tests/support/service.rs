//! A small HTTP service under a test's control, on a port that the system chooses.
//!
//! It speaks as much of HTTP/1.1 as a question needs, one question a connection. Each is answered by the test's
//! function, on a thread of its own. Also compiled into the library's unit tests, so it needs nothing but the
//! standard library.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What the service was asked.
pub struct Request {
    pub head: String,
    pub body: String,
    /// The same, where it is no text.
    pub bytes: Vec<u8>,
}

/// What it does then.
pub enum Reply {
    /// A status and a body.
    Answer(u16, String),
    /// Bytes that are no HTTP.
    Garbage,
    /// Nothing, until whoever asks gives up.
    Silence,
}

/// See the top of the file.
pub struct Service {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Service {
    pub fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let (asked, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (reply, counter, over) = (Arc::new(reply), Arc::clone(&asked), Arc::clone(&is_over));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (reply, counter) = (Arc::clone(&reply), Arc::clone(&counter));
                std::thread::spawn(move || serve(stream, &*reply, &counter));
            }
        });
        Self { address, asked, is_over }
    }

    /// One that answers every question with this and status 200.
    pub fn always(body: &str) -> Self {
        let body = body.to_owned();
        Self::start(move |_| Reply::Answer(200, body.clone()))
    }

    pub fn url(&self) -> String {
        format!("http://{}/question", self.address)
    }

    /// How many questions have come.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

/// Whoever asks may leave at any time, so no error here is one of the test.
fn serve(mut stream: TcpStream, reply: &dyn Fn(&Request) -> Reply, asked: &AtomicUsize) {
    let Ok(reading) = stream.try_clone() else { return };
    let mut reading = BufReader::new(reading);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match reading.read_line(&mut head) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    if reading.read_exact(&mut body).is_err() {
        return;
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let request = Request { head, body: String::from_utf8_lossy(&body).into_owned(), bytes: body };
    let bytes = match reply(&request) {
        Reply::Answer(status, body) => format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
        Reply::Garbage => "this is no HTTP\r\n\r\n".to_owned(),
        Reply::Silence => {
            let _ = reading.read_to_end(&mut Vec::new());
            return;
        }
    };
    let _ = stream.write_all(bytes.as_bytes());
}
