//! Sizes and durations: how they are written, with one unit and no fractions.
//!
//! Both are shown in the largest unit that divides them, so that what is shown reads back as the same value.
//! Sizes count in 1,024s, as memory and disks of servers do: 1KB = 1KiB = 1,024 bytes. A duration needs its
//! unit, because nobody agrees whether `10` means seconds.
//!
//! Their measure, which ranges bound, is bytes and milliseconds.

use std::fmt;
use std::time::Duration;

use config::Value;
use dunlin_core::settings::SessionExpiryInterval;

use super::value::{OptionValue, quoted, text, whole_number};

pub(super) const KB: u64 = 1024;
pub(super) const MB: u64 = 1024 * KB;
pub(super) const GB: u64 = 1024 * MB;
pub(super) const TB: u64 = 1024 * GB;
pub(super) const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// Units of sizes and of durations, largest first, as they are written.
const SIZE_UNITS: [(&str, u64); 5] = [("TB", TB), ("GB", GB), ("MB", MB), ("KB", KB), ("B", 1)];
const DURATION_UNITS: [(&str, u64); 5] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];

/// A size in bytes, written `"64KB"`, `"2MB"`, `"4GB"` or as a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(
    /// The number of bytes.
    pub u64,
);

/// A whole number of seconds, written as a duration: `"90s"`, `"10m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(
    /// The number of seconds.
    pub u32,
);

/// Reads a duration as options and flags are written: `"90s"`, `"10m"`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    with_unit(text, &DURATION_UNITS).map(Duration::from_millis)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_units(self.0, &SIZE_UNITS, "0"))
    }
}

impl OptionValue for ByteSize {
    fn kind() -> String {
        "size".to_owned()
    }
    fn expected() -> String {
        "a size such as \"64KB\" or \"2MB\"".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        if let Some(bytes) = whole_number(value) {
            return Some(Self(bytes));
        }
        let text = text(value)?.to_ascii_uppercase().replace("IB", "B");
        with_unit(&text, &SIZE_UNITS).map(Self)
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
    fn measure(&self) -> Option<u64> {
        Some(self.0)
    }
    fn show_measure(measure: u64) -> String {
        Self(measure).to_string()
    }
}

impl OptionValue for Duration {
    fn kind() -> String {
        "duration".to_owned()
    }
    fn expected() -> String {
        "a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        parse_duration(text(value)?)
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&show_duration(*self)))
    }
    fn measure(&self) -> Option<u64> {
        Some(millis(*self))
    }
    fn show_measure(measure: u64) -> String {
        show_duration(Duration::from_millis(measure))
    }
}

impl OptionValue for Seconds {
    fn kind() -> String {
        "duration in whole seconds".to_owned()
    }
    fn expected() -> String {
        "a duration in whole seconds such as \"30s\", \"5m\" or \"1h\"".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        let duration_ms = with_unit(text(value)?, &DURATION_UNITS)?;
        let seconds = u32::try_from(duration_ms / SECOND).ok()?;
        duration_ms.is_multiple_of(SECOND).then_some(Self(seconds))
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&Self::show_measure(u64::from(self.0) * SECOND)))
    }
    fn measure(&self) -> Option<u64> {
        Some(u64::from(self.0) * SECOND)
    }
    fn show_measure(measure: u64) -> String {
        Duration::show_measure(measure)
    }
}

impl OptionValue for SessionExpiryInterval {
    fn kind() -> String {
        "duration in whole seconds or \"never\"".to_owned()
    }
    fn expected() -> String {
        "\"never\" or a duration in whole seconds such as \"1h\" or \"30d\"".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        if text(value)? == "never" {
            return Some(Self::Never);
        }
        Seconds::parse(value).map(|Seconds(seconds)| Self::After(seconds))
    }
    fn to_toml(&self) -> Option<String> {
        match self {
            Self::Never => Some(quoted("never")),
            Self::After(seconds) => Seconds(*seconds).to_toml(),
        }
    }
    fn measure(&self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::After(seconds) => Seconds(*seconds).measure(),
        }
    }
    fn show_measure(measure: u64) -> String {
        Duration::show_measure(measure)
    }
}

fn show_duration(duration: Duration) -> String {
    show_units(millis(duration), &DURATION_UNITS, "0s")
}

/// Durations come from `with_unit`, which counts milliseconds in a `u64`.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An amount in the largest unit that divides it.
fn show_units(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    let unit = units.iter().find(|(_, size)| amount != 0 && amount.is_multiple_of(*size));
    unit.map_or(zero.to_owned(), |(name, size)| format!("{}{name}", amount / size))
}

/// Reads digits followed by one of the units.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    let (_, size) = units.iter().find(|(name, _)| *name == unit.trim())?;
    digits.parse::<u64>().ok()?.checked_mul(*size)
}
