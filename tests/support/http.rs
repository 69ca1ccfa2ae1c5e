//! One question to an operations port, one answer; and a stream of events.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::client::tcp;

/// The operations port of a broker, for who has its token.
pub struct Http {
    pub address: SocketAddr,
    pub token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Its body, which is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Http {
    /// Asks with a token, and with a body if there is one.
    pub fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut text = String::new();
        self.send(method, path, body).read_to_string(&mut text).expect("the answer comes");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// What `GET` answers with status 200.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Asks for a stream of events.
    pub fn stream(&self, path: &str) -> Events {
        let mut reader = BufReader::new(self.send("GET", path, None));
        let mut line = String::new();
        reader.read_line(&mut line).expect("the answer comes");
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        Events { reader }
    }

    fn send(&self, method: &str, path: &str, body: Option<Value>) -> TcpStream {
        let mut stream = tcp(self.address);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("the port takes a request");
        stream
    }
}

/// A stream of events.
pub struct Events {
    reader: BufReader<TcpStream>,
}

impl Events {
    /// The next event: its name and its data.
    pub fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            let count = self.reader.read_line(&mut line).expect("an event comes");
            assert!(count > 0, "the stream has ended");
            if let Some(rest) = line.strip_prefix("event: ") {
                name = rest.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).expect("the data of an event is JSON"));
            }
        }
    }
}
