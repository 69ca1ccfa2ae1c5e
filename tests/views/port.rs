//! The operations port of a broker, asked in JSON; and a stream of events.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::support::client::tcp;
use super::support::http::{Answer, Asker};

/// The port, for who has the token.
pub struct Port(pub Asker);

impl Port {
    /// Asks, with a body if there is one.
    pub fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.0.json(method, path, &body.map(|body| body.to_string()).unwrap_or_default())
    }

    /// What `GET` answers with status 200.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.0.ask("GET", path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Asks for a stream of events.
    pub fn stream(&self, path: &str) -> Events {
        let mut stream = tcp(self.0.address);
        let token = &self.0.token;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it listens");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("it answers");
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        Events { reader }
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
