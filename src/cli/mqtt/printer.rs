//! Messages on standard output, in one of several layouts.
//!
//! On a terminal, control characters of topics and payloads are shown and not obeyed, since anybody can publish them;
//! what `-F` or `-N` ask for, and what goes into a file or a pipe, is left as it came.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use clap::ValueEnum;
use jiff::Zoned;

use super::record::{self, Encoding};
use super::template::Template;
use crate::client::Message;

const TOPIC: &str = "\x1b[1;36m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// When there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is printed of a message.
#[derive(Debug)]
pub enum Layout {
    /// The payload.
    Payload,
    /// The topic before it.
    Topic,
    /// And QoS, RETAIN and properties on a line of their own.
    Everything,
    /// By a format, whose JSON is indented or not.
    Template(Template, bool),
    /// As JSON.
    Json(Encoding),
}

/// See the top of the file.
pub struct Printer {
    layout: Layout,
    ends_lines: bool,
    has_colour: bool,
    shows_controls: bool,
    out: BufWriter<Stdout>,
}

impl Printer {
    /// A printer for standard output.
    pub fn new(layout: Layout, ends_lines: bool, colour: Colour) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let has_colour = match colour {
            Colour::Auto => is_terminal && is_wanted,
            Colour::Always => true,
            Colour::Never => false,
        };
        let shows_controls = is_terminal && ends_lines;
        Self { layout, ends_lines, has_colour, shows_controls, out: BufWriter::new(io::stdout()) }
    }

    /// Prints a message. The result is a complaint about one that cannot be laid out as asked.
    pub fn print(&mut self, message: &Message) -> io::Result<Option<String>> {
        let mut complaint = None;
        match &self.layout {
            Layout::Template(template, is_pretty) => {
                complaint = template.write(message, &Zoned::now(), *is_pretty, &mut self.out)?;
            }
            Layout::Json(encoding) => {
                self.out.write_all(record::line(message, &Zoned::now(), *encoding).as_bytes())?;
            }
            // An empty payload is nothing, or "(null)" after a topic, as mosquitto_sub prints it.
            Layout::Payload if message.payload.is_empty() => return Ok(None),
            Layout::Payload => self.write(&message.payload, None)?,
            Layout::Topic | Layout::Everything if message.payload.is_empty() => {
                self.write(message.topic.as_bytes(), Some(TOPIC))?;
                self.out.write_all(b" ")?;
                self.write(b"(null)", Some(DIM))?;
            }
            Layout::Topic | Layout::Everything => {
                self.write(message.topic.as_bytes(), Some(TOPIC))?;
                self.out.write_all(b" ")?;
                self.write(&message.payload, None)?;
            }
        }
        if matches!(self.layout, Layout::Everything) {
            self.out.write_all(b"\n")?;
            self.write(format!("  {}", details(message)).as_bytes(), Some(DIM))?;
        }
        if self.ends_lines {
            self.out.write_all(b"\n")?;
        }
        Ok(complaint)
    }

    /// Gives what is printed to whoever reads it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write(&mut self, bytes: &[u8], colour: Option<&str>) -> io::Result<()> {
        let colour = colour.filter(|_| self.has_colour);
        self.out.write_all(colour.unwrap_or_default().as_bytes())?;
        if self.shows_controls {
            self.out.write_all(shown(bytes).as_bytes())?;
        } else {
            self.out.write_all(bytes)?;
        }
        self.out.write_all(colour.map_or("", |_| PLAIN).as_bytes())
    }
}

/// What a terminal may be given: control characters other than line ends and tabs become visible, and so does what is
/// not UTF-8.
fn shown(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' | '\t' => shown.push(character),
                _ if character.is_control() => shown.extend(character.escape_default()),
                _ => shown.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    shown
}

/// All that a message says beside topic and payload.
fn details(message: &Message) -> String {
    let properties = &message.properties;
    let mut parts = vec![format!("qos {}", message.qos.bits())];
    parts.extend(message.retain.then(|| "retained".to_owned()));
    parts.extend(message.dup.then(|| "perhaps again".to_owned()));
    parts.extend(properties.content_type.as_ref().map(|value| format!("content-type {value:?}")));
    parts.extend(
        properties.payload_format_is_utf8.map(|is| format!("payload-format-indicator {}", u8::from(is))),
    );
    parts.extend(properties.message_expiry_interval_s.map(|s| format!("message-expiry-interval {s}")));
    parts.extend(properties.response_topic.as_ref().map(|value| format!("response-topic {value:?}")));
    let correlation = properties.correlation_data.as_deref().map(String::from_utf8_lossy);
    parts.extend(correlation.map(|value| format!("correlation-data {value:?}")));
    parts.extend(
        message.subscription_identifiers.iter().map(|number| format!("subscription-identifier {number}")),
    );
    parts.extend(message.topic_alias.map(|alias| format!("topic-alias {alias}")));
    parts.extend(properties.user_properties.iter().map(|(name, value)| format!("{name:?} = {value:?}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_told_what_to_do_by_a_payload() {
        assert_eq!(
            shown(b"on\x1b[2J\x07\r\n\t\xC3\xA4\xFF\xC2\x9B"),
            "on\\u{1b}[2J\\u{7}\\r\n\tä\\xff\\u{9b}"
        );
    }
}
