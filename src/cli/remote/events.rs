//! A stream of events (`text/event-stream`) as the broker writes it.
//!
//! Fields that a command does not need (`id`, `retry`) are passed over, and so are comments, by which the broker keeps
//! the connection alive.

use std::io::{self, BufRead};

/// The longest line that is read: far above any event, so it bounds what somebody who is no broker may send.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// `message` unless the broker says another.
    pub name: String,
    pub data: String,
}

/// The events of a stream, as they come.
pub(super) struct Events<R>(pub R);

impl<R: BufRead> Iterator for Events<R> {
    type Item = io::Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut name, mut data) = (None, None::<String>);
        loop {
            let line = match self.line() {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => match data.take() {
                    Some(data) => {
                        let name = name.unwrap_or_else(|| "message".to_owned());
                        return Some(Ok(Event { name, data }));
                    }
                    None => name = None,
                },
                "event" => name = Some(value.to_owned()),
                "data" => match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                },
                _ => {}
            }
        }
    }
}

impl<R: BufRead> Events<R> {
    /// A line without its end; `None` at the end of the stream.
    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let count = io::Read::take(&mut self.0, LINE_BYTES_MAX).read_line(&mut line)?;
        let is_whole = line.ends_with('\n');
        if count as u64 == LINE_BYTES_MAX && !is_whole {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        // What the end of the stream has cut short is no line.
        Ok(is_whole.then_some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<(String, String)> {
        Events(text.as_bytes()).map(|event| event.unwrap()).map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn events_have_a_name_and_data_and_comments_are_passed_over() {
        let text = ": alive\n\nevent: lost\r\ndata: {\"count\":3}\r\n\r\ndata:a\ndata: b\nid: 7\n\nevent: empty\n\ndata: cut";
        let expected = [("lost", "{\"count\":3}"), ("message", "a\nb")];
        assert_eq!(events(text), expected.map(|(name, data)| (name.to_owned(), data.to_owned())));
    }
}
