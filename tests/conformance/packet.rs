//! A packet as a script writes it: a name, fields, and for SUBSCRIBE and UNSUBSCRIBE a list of filters.
//!
//! ```text
//! PUBLISH "a/b" "payload" qos=1 id=7 retain user_property="name":"value"
//! SUBSCRIBE id=1 subscription_identifier=5 "a/+" qos=1 no_local, "b" qos=2 retain_handling=1
//! SUBACK id=1 [granted_qos_1 not_authorized]
//! DISCONNECT session_taken_over reason_string=*
//! ```
//!
//! Fields are named as in the specification. A field that is not named is absent or has its default value;
//! the same notation is used for packets to send (`encode.rs`), for expected packets
//! ([`Packet::differences`]) and for packets received (`decode.rs`). In an expected packet a value may also
//! be `*` (there, whatever it is), `none` (not there) or `$name` (bound at first sight, compared from then
//! on), and `...` stands for all other fields.

use crate::tables::{Layout, property};
use crate::value::{Quoted, Value, Variables, fits, reason_code, value_and_rest};
use crate::words::Word;
use std::collections::BTreeSet;
use std::fmt;

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    V3_1,
    V3_1_1,
    V5,
}

impl Version {
    /// All, oldest first.
    pub const ALL: [Self; 3] = [Self::V3_1, Self::V3_1_1, Self::V5];

    /// The version that scripts call so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.to_string() == name)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_1 => "3.1",
            Self::V3_1_1 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

/// The packet types by their names; a type's number is its place, from 1.
pub const KINDS: [&str; 15] = [
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

/// The fields of each packet type that are no properties.
const FIELDS: [&[&str]; 15] = [
    &[
        "version",
        "protocol_name",
        "protocol_level",
        "clean_start",
        "keep_alive",
        "client_identifier",
        "will_topic",
        "will_payload",
        "will_qos",
        "will_retain",
        "user_name",
        "password",
    ],
    &["session_present", "reason"],
    &["topic", "payload", "qos", "id", "dup", "retain"],
    &["id", "reason"],
    &["id", "reason"],
    &["id", "reason"],
    &["id", "reason"],
    &["id"],
    &["id", "reasons"],
    &["id"],
    &["id", "reasons"],
    &[],
    &[],
    &["reason"],
    &["reason"],
];

/// A Topic Filter in SUBSCRIBE or UNSUBSCRIBE, with its Subscription Options byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    pub text: Vec<u8>,
    pub options: u8,
}

/// See the top of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Index into [`KINDS`].
    pub kind: usize,
    pub fields: Vec<(String, Value)>,
    pub filters: Vec<Filter>,
    /// `...` was said.
    pub is_open: bool,
}

impl Packet {
    /// A packet of this type without fields.
    pub fn new(kind: &str) -> Self {
        let kind = KINDS.iter().position(|other| *other == kind).expect("the name of a packet type");
        Self { kind, fields: Vec::new(), filters: Vec::new(), is_open: false }
    }

    /// The name of its type.
    pub fn name(&self) -> &'static str {
        KINDS[self.kind]
    }

    /// With one more field.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.push((name.to_owned(), value));
        self
    }

    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Reads the notation. The error says what is wrong.
    pub fn parse(words: &[Word]) -> Result<Self, String> {
        let Some(Word::Bare(kind)) = words.first() else {
            return Err("here stands a packet type, such as PUBLISH".to_owned());
        };
        if !KINDS.contains(&kind.as_str()) {
            return Err(format!("`{kind}` is no packet type"));
        }
        let mut packet = Self::new(kind);
        let mut rest = &words[1..];
        while let Some(word) = rest.first() {
            rest = match word {
                Word::Text(text) => packet.take_text(text, &rest[1..])?,
                Word::Mark(',') if !packet.filters.is_empty() => &rest[1..],
                Word::Mark('[') => packet.take_reasons(&rest[1..])?,
                Word::Bare(name) if name == "..." => {
                    packet.is_open = true;
                    &rest[1..]
                }
                Word::Bare(name) if packet.takes_reason(name, &rest[1..]) => {
                    packet.fields.push(("reason".to_owned(), Value::Reason(reason_code(name)?)));
                    &rest[1..]
                }
                Word::Bare(name) => packet.take_field(name, &rest[1..])?,
                Word::Mark(mark) => return Err(format!("`{mark}` does not belong here")),
            };
        }
        Ok(packet)
    }

    /// A Reason Code stands without a name.
    fn takes_reason(&self, word: &str, rest: &[Word]) -> bool {
        FIELDS[self.kind].contains(&"reason")
            && rest.first() != Some(&Word::Mark('='))
            && reason_code(word).is_ok()
    }

    fn has_filters(&self) -> bool {
        matches!(self.name(), "SUBSCRIBE" | "UNSUBSCRIBE")
    }

    /// A text without a name: a filter, or topic and payload.
    fn take_text<'a>(&mut self, text: &[u8], rest: &'a [Word]) -> Result<&'a [Word], String> {
        if self.has_filters() {
            self.filters.push(Filter { text: text.to_vec(), options: 0 });
            return Ok(rest);
        }
        let name = match (self.name(), self.get("topic"), self.get("payload")) {
            ("PUBLISH", None, None) => "topic",
            ("PUBLISH", Some(_), None) => "payload",
            _ => return Err("a text without a name does not belong here".to_owned()),
        };
        self.fields.push((name.to_owned(), Value::Text(text.to_vec())));
        Ok(rest)
    }

    fn take_reasons<'a>(&mut self, rest: &'a [Word]) -> Result<&'a [Word], String> {
        let end = rest.iter().position(|word| *word == Word::Mark(']')).ok_or("`[` is not closed")?;
        let codes = rest[..end].iter().map(|word| match word {
            Word::Bare(name) => reason_code(name),
            _ => Err("between `[` and `]` stand Reason Codes".to_owned()),
        });
        self.fields.push(("reasons".to_owned(), Value::Reasons(codes.collect::<Result<_, _>>()?)));
        Ok(&rest[end + 1..])
    }

    fn take_field<'a>(&mut self, name: &str, rest: &'a [Word]) -> Result<&'a [Word], String> {
        let (value, rest) = match rest {
            [Word::Mark('='), value, rest @ ..] => value_and_rest(name, value, rest)?,
            _ => (Value::Number(1), rest),
        };
        if let Some(filter) = self.filters.last_mut() {
            let Value::Number(number) = value else {
                return Err(format!("`{name}` of a filter is a number"));
            };
            filter.options |= match name {
                "qos" => number as u8,
                "no_local" => 0b100,
                "retain_as_published" => 0b1000,
                "retain_handling" => (number as u8) << 4,
                "options" => number as u8,
                _ => return Err(format!("`{name}` is no Subscription Option")),
            };
            return Ok(rest);
        }
        if !self.knows(name) {
            return Err(format!("{} has no field `{name}`", self.name()));
        }
        // A script may say a property twice to see how the Server takes it.
        if self.get(name).is_some() && property(name).or(will_property(name)).is_none() {
            return Err(format!("`{name}` is said twice"));
        }
        self.fields.push((name.to_owned(), value));
        Ok(rest)
    }

    fn knows(&self, name: &str) -> bool {
        let is_property = !matches!(self.name(), "PINGREQ" | "PINGRESP") && property(name).is_some();
        let is_of_will = self.name() == "CONNECT" && will_property(name).is_some();
        FIELDS[self.kind].contains(&name) || is_property || is_of_will
    }

    /// What `version` cannot say is taken out of an expected packet; `None` if that is the whole packet.
    // In 3.x a Server has no DISCONNECT, no AUTH, no properties, and Reason Codes only in CONNACK and SUBACK.
    pub fn as_expected_in(&self, version: Version) -> Option<Self> {
        let mut packet = self.clone();
        packet.fields.retain(|(name, value)| match value {
            Value::Number(0) => !matches!(name.as_str(), "qos" | "dup" | "retain" | "session_present"),
            Value::Reason(0) => false,
            Value::Text(text) => name != "payload" || !text.is_empty(),
            _ => true,
        });
        if version == Version::V5 {
            return Some(packet);
        }
        let name = self.name();
        if matches!(name, "DISCONNECT" | "AUTH") {
            return None;
        }
        packet.fields.retain_mut(|(field, value)| {
            if let Value::Reasons(codes) = value {
                codes.iter_mut().filter(|code| **code >= 0x80).for_each(|code| *code = 0x80);
            }
            property(field).is_none()
                && (field != "reason" || name == "CONNACK")
                && (field != "reasons" || name == "SUBACK")
                && (field != "session_present" || version == Version::V3_1_1)
        });
        Some(packet)
    }

    /// How `got` differs from what is expected here; nothing if it does not. Variables seen for the first
    /// time are bound.
    pub fn differences(&self, got: &Self, variables: &mut Variables) -> Vec<String> {
        if self.kind != got.kind {
            return vec![format!("a {} instead of a {}", got.name(), self.name())];
        }
        let mut differences = Vec::new();
        let names: BTreeSet<&str> =
            self.fields.iter().chain(&got.fields).map(|(name, _)| name.as_str()).collect();
        for name in names {
            let expected = self.all(name);
            let received = got.all(name);
            let is_unnamed = expected.is_empty();
            if is_unnamed && (self.is_open || (name == "reason_string" && self.may_explain_itself())) {
                continue;
            }
            let is_absent = expected == [&Value::Absent] && received.is_empty();
            let fits = expected.len() == received.len()
                && expected
                    .iter()
                    .zip(&received)
                    .all(|(expected, received)| fits(expected, received, variables));
            if !is_absent && !fits {
                differences.push(format!(
                    "{name}: {} instead of {}",
                    show_all(&received),
                    show_all(&expected)
                ));
            }
        }
        differences
    }

    /// Reason Strings are for people: where the Server refuses or ends a connection, any text or none will
    /// do.
    fn may_explain_itself(&self) -> bool {
        matches!(self.name(), "CONNACK" | "DISCONNECT")
            && matches!(self.get("reason"), Some(Value::Reason(0x80..)))
    }

    fn all(&self, name: &str) -> Vec<&Value> {
        let mut values: Vec<&Value> =
            self.fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value).collect();
        // Their order says nothing (3.3.4), that of everything else does.
        if name == "subscription_identifier" {
            values.sort();
        }
        values
    }
}

/// The property of a Will that scripts call `will_` and its name.
pub fn will_property(name: &str) -> Option<(u8, Layout)> {
    name.strip_prefix("will_").and_then(property)
}

fn show_all(values: &[&Value]) -> String {
    match values {
        [] => "none".to_owned(),
        _ => values.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" "),
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for (name, value) in &self.fields {
            match (name.as_str(), value) {
                ("topic" | "payload", Value::Text(_)) | ("reasons" | "reason", _) => write!(f, " {value}")?,
                ("dup" | "retain" | "clean_start" | "session_present" | "will_retain", Value::Number(1)) => {
                    write!(f, " {name}")?
                }
                _ => write!(f, " {name}={value}")?,
            }
        }
        for filter in &self.filters {
            write!(f, " {} options={:#04x}", Quoted(&filter.text), filter.options)?;
        }
        if self.is_open { f.write_str(" ...") } else { Ok(()) }
    }
}
