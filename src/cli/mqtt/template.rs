//! The format of `-F`: text in which `%` stands for what the message has, `@` for its time and `\` for characters.
//!
//! It means what it means to mosquitto_sub, padding included: `%5t` is at least five characters wide, `%5.3t` shows
//! three of them, and `%5p` shows no more than five bytes of the payload.

use std::fmt;
use std::io::{self, Write};

use dunlin_codec::PacketIdentifier;
use jiff::Zoned;
use jiff::fmt::strtime::{BrokenDownTime, Config};

use super::mosquitto_json;
use crate::client::{Message, harmless};

/// What a `%` can be followed by.
const PARAMETERS: &str = "%ACDEFIJPRSUXjlmpqrtx";

/// What a `\` can be followed by, and what that stands for.
const ESCAPES: [(char, u8); 8] =
    [('\\', b'\\'), ('0', 0), ('a', 7), ('e', 0x1B), ('n', b'\n'), ('r', b'\r'), ('t', b'\t'), ('v', 0x0B)];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Padding {
    is_left: bool,
    is_zero: bool,
    width: usize,
    precision: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Parameter(char, Padding),
    Time(char),
}

/// See the top of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// What is wrong with a format.
#[derive(Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// It ends in the middle of a sequence.
    Incomplete(char),
    /// There is no such sequence.
    Unknown(char, char),
    /// A width that no screen has.
    TooWide,
}

/// The widest field.
const WIDTH_MAX: usize = 10_000;

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete(start) => write!(f, "ends in the middle of a sequence that begins with {start}"),
            Self::Unknown('%', what) => {
                write!(f, "%{what} stands for nothing; after % and a width may stand one of {PARAMETERS}")
            }
            Self::Unknown(start, what) => {
                write!(f, "{start}{what} stands for nothing; there are \\\\ \\0 \\a \\e \\n \\r \\t \\v")
            }
            Self::TooWide => write!(f, "a field can be {WIDTH_MAX} wide at most"),
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Reads a format.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(format: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        let mut characters = format.chars().peekable();
        while let Some(character) = characters.next() {
            let piece = match character {
                '%' => {
                    let mut padding = Padding {
                        is_left: characters.next_if_eq(&'-').is_some(),
                        is_zero: characters.next_if_eq(&'0').is_some(),
                        width: number(&mut characters)?,
                        precision: None,
                    };
                    if characters.next_if_eq(&'.').is_some() {
                        padding.precision = Some(number(&mut characters)?);
                    }
                    match characters.next().ok_or(TemplateError::Incomplete('%'))? {
                        '%' => {
                            text.push(b'%');
                            continue;
                        }
                        known if PARAMETERS.contains(known) => Piece::Parameter(known, padding),
                        other => return Err(TemplateError::Unknown('%', other)),
                    }
                }
                '@' => match characters.next().ok_or(TemplateError::Incomplete('@'))? {
                    '@' => {
                        text.push(b'@');
                        continue;
                    }
                    other => Piece::Time(other),
                },
                '\\' => {
                    let escaped = characters.next().ok_or(TemplateError::Incomplete('\\'))?;
                    let known = ESCAPES.iter().find(|(character, _)| *character == escaped);
                    text.push(known.ok_or(TemplateError::Unknown('\\', escaped))?.1);
                    continue;
                }
                other => {
                    text.extend(other.encode_utf8(&mut [0; 4]).bytes());
                    continue;
                }
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self(pieces))
    }

    /// Writes a message. What cannot be written is left out, and the result says why.
    pub fn write(
        &self,
        message: &Message,
        now: &Zoned,
        is_pretty: bool,
        out: &mut impl Write,
    ) -> io::Result<Option<String>> {
        let mut complaint = None;
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.write_all(text)?,
                Piece::Time('N') => write!(out, "{:09}", now.subsec_nanosecond())?,
                Piece::Time(what) => out.write_all(time(now, &format!("%{what}")).as_bytes())?,
                Piece::Parameter('J', _) => {
                    match mosquitto_json::with_json_payload(message, now, is_pretty) {
                        Some(json) => out.write_all(json.as_bytes())?,
                        None => {
                            let topic = harmless(&message.topic);
                            complaint = Some(format!("the payload on the topic {topic} is not JSON"));
                        }
                    }
                }
                Piece::Parameter('j', _) => {
                    out.write_all(mosquitto_json::with_text_payload(message, now, is_pretty).as_bytes())?;
                }
                Piece::Parameter(what, padding) => parameter(*what, padding, message, now, out)?,
            }
        }
        Ok(complaint)
    }
}

fn number(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<usize, TemplateError> {
    let mut number = 0;
    while let Some(digit) = characters.next_if(char::is_ascii_digit).and_then(|digit| digit.to_digit(10)) {
        number = number * 10 + digit as usize;
        if number > WIDTH_MAX {
            return Err(TemplateError::TooWide);
        }
    }
    Ok(number)
}

/// A time by a format of strftime; what strftime does not know is left as it is.
pub fn time(now: &Zoned, format: &str) -> String {
    let config = Config::new().lenient(true);
    BrokenDownTime::from(now).to_string_with_config(&config, format).unwrap_or_default()
}

fn parameter(
    what: char,
    padding: &Padding,
    message: &Message,
    now: &Zoned,
    out: &mut impl Write,
) -> io::Result<()> {
    let properties = &message.properties;
    let mut integer = |value: Option<u64>| padding.write_integer(value, out);
    match what {
        'A' => integer(message.topic_alias.map(|alias| alias.get().into())),
        'E' => integer(properties.message_expiry_interval_s.map(u64::from)),
        'F' => integer(properties.payload_format_is_utf8.map(u64::from)),
        'S' => integer(message.subscription_identifiers.first().map(|identifier| (*identifier).into())),
        'l' => integer(Some(message.payload.len() as u64)),
        'm' => integer(Some(message.packet_identifier.map_or(0, PacketIdentifier::get).into())),
        'q' => write!(out, "{}", message.qos.bits()),
        'r' => write!(out, "{}", u8::from(message.retain)),
        'C' => padding.write_text(properties.content_type.as_deref().unwrap_or_default(), out),
        // Where there is none, mosquitto_sub leaves its width out, too.
        'R' => properties.response_topic.as_deref().map_or(Ok(()), |topic| padding.write_text(topic, out)),
        't' => padding.write_text(&message.topic, out),
        'I' => padding.write_text(&time(now, "%FT%T%z"), out),
        'U' => write!(out, "{}.{:09}", now.timestamp().as_second(), now.subsec_nanosecond()),
        'D' => out.write_all(properties.correlation_data.as_deref().unwrap_or_default()),
        'P' => {
            let pairs = properties.user_properties.iter().map(|(name, value)| format!("{name}:{value}"));
            out.write_all(pairs.collect::<Vec<_>>().join(" ").as_bytes())
        }
        'p' => padding.write_bytes(&message.payload, 1, out, |bytes, out| out.write_all(bytes)),
        'x' => padding.write_bytes(&message.payload, 2, out, |bytes, out| {
            bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
        }),
        _ => padding.write_bytes(&message.payload, 2, out, |bytes, out| {
            bytes.iter().try_for_each(|byte| write!(out, "{byte:02X}"))
        }),
    }
}

impl Padding {
    fn pad(&self, count: usize, with: &str, out: &mut impl Write) -> io::Result<()> {
        out.write_all(with.repeat(count).as_bytes())
    }

    fn write_integer(&self, value: Option<u64>, out: &mut impl Write) -> io::Result<()> {
        let width = self.width;
        match value {
            None => self.pad(width, if self.is_zero { "0" } else { " " }, out),
            Some(value) if self.is_left => write!(out, "{value:<width$}"),
            Some(value) if self.is_zero => write!(out, "{value:0width$}"),
            Some(value) => write!(out, "{value:width$}"),
        }
    }

    /// Widths are bytes, as in C, but no character is cut in two.
    fn write_text(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let end = text.floor_char_boundary(self.precision.unwrap_or(text.len()).min(text.len()));
        let (text, _) = text.split_at(end);
        let blanks = self.width.saturating_sub(text.len());
        if !self.is_left {
            self.pad(blanks, " ", out)?;
        }
        out.write_all(text.as_bytes())?;
        if self.is_left { self.pad(blanks, " ", out) } else { Ok(()) }
    }

    fn write_bytes<W: Write>(
        &self,
        bytes: &[u8],
        width_of_byte: usize,
        out: &mut W,
        write: impl FnOnce(&[u8], &mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        // With a width, mosquitto_sub counts the payload's bytes against it before it makes digits of them.
        let shown = match self.width {
            0 => bytes.len(),
            width => bytes.len().min(width) / width_of_byte,
        };
        let padding = self.width.saturating_sub(shown * width_of_byte);
        if !self.is_left {
            self.pad(padding, if self.is_zero { "0" } else { " " }, out)?;
        }
        write(bytes.get(..shown).unwrap_or(bytes), out)?;
        if self.is_left { self.pad(padding, " ", out) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_says_nothing_is_refused_with_what_would() {
        for (format, error) in [
            ("%", TemplateError::Incomplete('%')),
            ("a%-05.3", TemplateError::Incomplete('%')),
            ("%z", TemplateError::Unknown('%', 'z')),
            ("@", TemplateError::Incomplete('@')),
            ("\\", TemplateError::Incomplete('\\')),
            ("\\q", TemplateError::Unknown('\\', 'q')),
            ("%99999t", TemplateError::TooWide),
        ] {
            assert_eq!(Template::parse(format), Err(error), "{format}");
        }
    }

    #[test]
    fn text_and_escapes_are_one_piece() {
        let template = Template::parse("ä%%@@\\n\\0%t").unwrap();
        let text = Piece::Text("ä%@\n\0".as_bytes().to_vec());
        assert_eq!(template, Template(vec![text, Piece::Parameter('t', Padding::default())]));
    }
}
