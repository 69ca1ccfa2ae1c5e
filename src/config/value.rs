//! The types an option can have, each with one way to read it and one way to write it as TOML.
//!
//! What must stay true: `parse(to_toml(x)) == x` for every value, because the sample file is made of defaults
//! and is itself a valid configuration. Values from the environment and from flags are always text, so each
//! type also reads itself from text. A parse error is not a message: the reader builds that from
//! [`OptionValue::expected`], the range and the default, so that every error has the same shape.
//!
//! An empty text unsets an option that may be unset. Sizes and durations are in `units.rs`, addresses in
//! `host_port.rs` and `listener_url.rs`, networks in `network.rs`.

use std::path::PathBuf;

use config::{Value, ValueKind};
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::auth::{CertificateName, ClientIdentifierPattern};
use dunlin_core::settings::OverflowPolicy;

/// A type that an option can have.
pub(super) trait OptionValue: Sized {
    /// Whether the option must be set, so that its default is only an example.
    const REQUIRED: bool = false;

    /// Whether nobody may see the value: neither in an error nor in what shows a configuration.
    const IS_SECRET: bool = false;

    /// What a user writes, for the reference: `whole number`.
    fn kind() -> String;

    /// The same in the middle of a sentence: `a whole number`.
    fn expected() -> String {
        format!("a {}", Self::kind())
    }

    /// Reads a value; `None` when it is none of this type.
    fn parse(value: &Value) -> Option<Self>;

    /// What is wrong with a value that `parse` refuses; `bounds` is the range as text.
    fn problem(_value: &Value, bounds: Option<&str>) -> String {
        match bounds {
            Some(bounds) => format!("must be {}, {bounds}", Self::expected()),
            None => format!("must be {}", Self::expected()),
        }
    }

    /// Whether an error may repeat a value that `parse` refuses.
    fn may_be_shown(_value: &Value) -> bool {
        !Self::IS_SECRET
    }

    /// Which item of a list is the wrong one, and what it says.
    fn wrong_item(_value: &Value) -> Option<(usize, Value)> {
        None
    }

    /// The value as TOML; `None` when it is unset.
    fn to_toml(&self) -> Option<String>;

    /// What a range bounds, if this value has it: a count, bytes or milliseconds.
    fn measure(&self) -> Option<u64> {
        None
    }

    /// How a bound of a range is shown.
    fn show_measure(measure: u64) -> String {
        show_count(measure)
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Entries of the systemd journal where standard error is the journal, and text elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What becomes of a 3.x client that publishes what it may not; 5.0 has a Reason Code for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeniedPublish {
    /// The message is acknowledged and dropped.
    Drop,
    /// The connection is closed.
    Disconnect,
}

/// When the log is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// Before every acknowledgement.
    Always,
    /// Every so often.
    Interval,
    /// When the operating system decides.
    Never,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// How a token is signed (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the RFC's names say all")]
pub enum SignatureAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// What to do with a client when whoever should know it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDown {
    /// Refuse it.
    Deny,
    /// Go on as if nobody had been asked.
    Ignore,
}

/// What somebody may do by the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look.
    Read,
    /// Look and change.
    Admin,
}

/// Directives that say which log events are written; valid by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter {
    text: String,
    targets: Targets,
}

impl LogFilter {
    /// The level `info`.
    pub fn info() -> Self {
        Self { text: "info".to_owned(), targets: Targets::new().with_default(LevelFilter::INFO) }
    }

    /// Reads directives. A single word must be a level: `tracing` would take a misspelt one for the name of a
    /// module.
    pub fn parse(text: &str) -> Option<Self> {
        let mut targets = Targets::new();
        for directive in text.split(',').map(str::trim) {
            let (target, level) = match directive.split_once('=') {
                Some((target, level)) => (Some(target.trim()), level.trim()),
                None => (None, directive),
            };
            // A number would do as well, for `tracing`.
            let level: LevelFilter =
                level.parse().ok().filter(|_| !level.starts_with(|c: char| c.is_ascii_digit()))?;
            targets = match target {
                None => targets.with_default(level),
                Some(target) if is_target(target) => targets.with_target(target, level),
                Some(_) => return None,
            };
        }
        (!Self::names_what_logs_passwords(text)).then(|| Self { text: text.to_owned(), targets })
    }

    /// tungstenite logs what its frames hold. It is switched off as a whole (`src/log.rs`), and a directive for a part of
    /// it would win over that.
    fn names_what_logs_passwords(text: &str) -> bool {
        text.split(',').any(|directive| directive.trim().starts_with("tungstenite"))
    }

    /// The directives.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, as `tracing` has them.
    pub fn targets(&self) -> Targets {
        self.targets.clone()
    }
}

/// Whether a module may be called that.
fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte))
}

macro_rules! whole_number {
    ($($int:ty),*) => { $(
        impl OptionValue for $int {
            fn kind() -> String {
                "whole number".to_owned()
            }
            fn parse(value: &Value) -> Option<Self> {
                whole_number(value)?.try_into().ok()
            }
            fn to_toml(&self) -> Option<String> {
                Some(show_count(u64::from(*self)))
            }
            fn measure(&self) -> Option<u64> {
                Some(u64::from(*self))
            }
        }
    )* };
}
whole_number!(u16, u32);

/// Enums that are written as one of a few words.
macro_rules! words {
    ($($Enum:ident { $($Variant:ident = $word:literal),* })*) => { $(
        impl OptionValue for $Enum {
            fn kind() -> String {
                one_of(&[$($word),*])
            }
            fn expected() -> String {
                Self::kind()
            }
            fn parse(value: &Value) -> Option<Self> {
                match text(value)? { $( $word => Some(Self::$Variant), )* _ => None }
            }
            fn to_toml(&self) -> Option<String> {
                Some(quoted(match self { $( Self::$Variant => $word, )* }))
            }
        }
    )* };
}
words! {
    OverflowPolicy { DropOldest = "drop-oldest", DropNewest = "drop-newest", Disconnect = "disconnect" }
    DeniedPublish { Drop = "drop", Disconnect = "disconnect" }
    SyncMode { Always = "always", Interval = "interval", Never = "never" }
    LogFormat { Auto = "auto", Text = "text", Json = "json" }
    TlsVersion { Tls12 = "1.2", Tls13 = "1.3" }
    CertificateName {
        CommonName = "common-name", Uri = "uri", Dns = "dns", Email = "email", Subject = "subject"
    }
    WhenDown { Deny = "deny", Ignore = "ignore" }
    Scope { Read = "read", Admin = "admin" }
    SignatureAlgorithm {
        Hs256 = "HS256", Hs384 = "HS384", Hs512 = "HS512", Rs256 = "RS256", Rs384 = "RS384", Rs512 = "RS512",
        Ps256 = "PS256", Ps384 = "PS384", Ps512 = "PS512", Es256 = "ES256", Es384 = "ES384", EdDsa = "EdDSA"
    }
}

impl OptionValue for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }
    fn expected() -> String {
        Self::kind()
    }
    fn parse(value: &Value) -> Option<Self> {
        match &value.kind {
            ValueKind::Boolean(flag) => Some(*flag),
            ValueKind::String(text) => text.parse().ok(),
            _ => None,
        }
    }
    fn to_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl OptionValue for String {
    fn kind() -> String {
        "text".to_owned()
    }
    fn expected() -> String {
        Self::kind()
    }
    fn parse(value: &Value) -> Option<Self> {
        text(value).map(str::to_owned)
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl OptionValue for LogFilter {
    fn kind() -> String {
        "log level".to_owned()
    }
    fn expected() -> String {
        "off, error, warn, info, debug, trace, or directives such as \"info,dunlin::auth=debug\"".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        Self::parse(text(value)?)
    }
    fn problem(value: &Value, _bounds: Option<&str>) -> String {
        if text(value).is_some_and(Self::names_what_logs_passwords) {
            return "must not name tungstenite, which logs what its frames hold, passwords among it"
                .to_owned();
        }
        format!("must be {}", Self::expected())
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.text))
    }
}

impl OptionValue for ClientIdentifierPattern {
    fn kind() -> String {
        "pattern".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        Self::parse(text(value)?).ok()
    }
    fn problem(value: &Value, _bounds: Option<&str>) -> String {
        let found = text(value).map(Self::parse);
        match found {
            Some(Err(problem)) => problem.to_owned(),
            _ => "must be a pattern such as %u or %u-*".to_owned(),
        }
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl OptionValue for PathBuf {
    fn kind() -> String {
        "path".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        text(value).filter(|path| !path.is_empty()).map(PathBuf::from)
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl<T: OptionValue> OptionValue for Option<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn kind() -> String {
        T::kind()
    }
    fn expected() -> String {
        T::expected()
    }
    fn parse(value: &Value) -> Option<Self> {
        if text(value) == Some("") { Some(None) } else { T::parse(value).map(Some) }
    }
    fn problem(value: &Value, bounds: Option<&str>) -> String {
        T::problem(value, bounds)
    }
    fn may_be_shown(value: &Value) -> bool {
        T::may_be_shown(value)
    }
    fn to_toml(&self) -> Option<String> {
        self.as_ref().and_then(T::to_toml)
    }
    fn measure(&self) -> Option<u64> {
        self.as_ref().and_then(T::measure)
    }
    fn show_measure(measure: u64) -> String {
        T::show_measure(measure)
    }
}

/// A list: an array in a file, a text with commas in the environment, where an empty text is an empty list.
impl<T: OptionValue> OptionValue for Vec<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn kind() -> String {
        format!("list of {}", T::kind())
    }
    fn expected() -> String {
        format!("a list, each {}", T::expected())
    }
    fn parse(value: &Value) -> Option<Self> {
        items(value)?.iter().map(T::parse).collect()
    }
    fn problem(value: &Value, bounds: Option<&str>) -> String {
        match Self::wrong_item(value) {
            Some((_, item)) => T::problem(&item, bounds),
            None => format!("must be {}", Self::expected()),
        }
    }
    fn wrong_item(value: &Value) -> Option<(usize, Value)> {
        items(value)?.into_iter().enumerate().find(|(_, item)| T::parse(item).is_none())
    }
    fn to_toml(&self) -> Option<String> {
        let items: Vec<_> = self.iter().filter_map(T::to_toml).collect();
        (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
    }
}

fn items(value: &Value) -> Option<Vec<Value>> {
    match &value.kind {
        ValueKind::Array(items) => Some(items.clone()),
        ValueKind::String(text) if text.trim().is_empty() => Some(Vec::new()),
        ValueKind::String(text) => Some(text.split(',').map(|item| Value::from(item.trim())).collect()),
        _ => None,
    }
}

/// The text of a value that is text.
pub(super) fn text(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A count as TOML, with its thousands apart once it is long.
fn show_count(count: u64) -> String {
    let digits = count.to_string();
    if digits.len() < 6 {
        return digits;
    }
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number, or text of digits alone (the environment has only text).
pub(super) fn whole_number(value: &Value) -> Option<u64> {
    match &value.kind {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::U64(number) => Some(*number),
        ValueKind::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
