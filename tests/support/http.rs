//! One question to the operations port, over any stream: the broker closes it after the answer.

use std::io::{Read, Write};
use std::net::SocketAddr;

use super::client::tcp;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// The sentence of a problem document; it must be one.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        problem["detail"].as_str().expect("it says what is wrong").to_owned()
    }
}

/// Who asks where.
pub struct Asker {
    pub address: SocketAddr,
    pub token: String,
}

impl Asker {
    /// Asks without a body.
    pub fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, "application/json", "")
    }

    /// Asks with a body of JSON.
    pub fn json(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, path, "application/json", body)
    }

    /// Asks with any body.
    pub fn send(&self, method: &str, path: &str, content_type: &str, body: &str) -> Answer {
        ask_over(tcp(self.address), method, path, &self.token, content_type, body)
    }
}

/// The same over any stream; without a token if it is empty.
pub fn ask_over(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    token: &str,
    content_type: &str,
    body: &str,
) -> Answer {
    let authorization =
        if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it listens");
    stream.flush().expect("it listens");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers and closes");
    let answer = String::from_utf8(answer).expect("it is text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
