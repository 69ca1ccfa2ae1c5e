//! The value of a packet's field, as a script writes it.

use crate::tables::{reason, reason_name};
use crate::words::Word;
use std::collections::BTreeMap;
use std::fmt;

/// The value of a field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Value {
    Number(u64),
    Reason(u8),
    Reasons(Vec<u8>),
    Text(Vec<u8>),
    Pair(Vec<u8>, Vec<u8>),
    /// `$name`
    Variable(String),
    /// `*`
    Any,
    /// `none`
    Absent,
}

/// What the variables of a script stand for.
pub type Variables = BTreeMap<String, Value>;

/// Whether a value is the expected one; a variable seen for the first time is bound to it.
pub fn fits(expected: &Value, received: &Value, variables: &mut Variables) -> bool {
    match expected {
        Value::Any => true,
        Value::Variable(name) => match variables.get(name) {
            Some(bound) => bound == received,
            None => {
                variables.insert(name.clone(), received.clone());
                true
            }
        },
        _ => expected == received,
    }
}

/// The Reason Code of this name, or with this number.
pub fn reason_code(name: &str) -> Result<u8, String> {
    let number = name.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
    number.or_else(|| reason(name)).ok_or_else(|| format!("`{name}` is no Reason Code"))
}

/// Reads the value of the field `name`, which begins with `value`; returns what follows it.
pub fn value_and_rest<'a>(name: &str, value: &Word, rest: &'a [Word]) -> Result<(Value, &'a [Word]), String> {
    let value = match (value, rest) {
        (Word::Text(key), [Word::Mark(':'), Word::Text(value), rest @ ..]) => {
            return Ok((Value::Pair(key.clone(), value.clone()), rest));
        }
        (Word::Text(text), _) => Value::Text(text.clone()),
        (Word::Bare(word), _) => match word.as_str() {
            "*" => Value::Any,
            "none" => Value::Absent,
            "never" => Value::Number(u64::from(u32::MAX)),
            _ if word.starts_with('$') => Value::Variable(word[1..].to_owned()),
            _ if name == "version" => Value::Text(word.clone().into_bytes()),
            _ => Value::Number(
                number(word).ok_or_else(|| format!("`{name}={word}`: a number or a \"text\" is wanted"))?,
            ),
        },
        (Word::Mark(mark), _) => return Err(format!("`{mark}` is no value of `{name}`")),
    };
    Ok((value, rest))
}

/// Decimal, or hexadecimal with `0x`.
pub fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// A text as a script writes it; long ones are cut.
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.0.len() > 120 { &self.0[..60] } else { self.0 };
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() {
            write!(f, "(and {} bytes more)", self.0.len() - shown.len())
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Reason(code) => f.write_str(&reason_name(*code)),
            Self::Reasons(codes) => {
                let names: Vec<String> = codes.iter().map(|code| reason_name(*code)).collect();
                write!(f, "[{}]", names.join(" "))
            }
            Self::Text(text) => Quoted(text).fmt(f),
            Self::Pair(name, value) => write!(f, "{}:{}", Quoted(name), Quoted(value)),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Any => f.write_str("*"),
            Self::Absent => f.write_str("none"),
        }
    }
}
