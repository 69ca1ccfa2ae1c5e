//! Values of mosquitto.conf: flags, numbers, sizes, durations. The error says what would be right.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::lines::Line;

const KB: i64 = 1024;
const MB: i64 = 1024 * KB;

/// The largest packet that Dunlin can be told to accept (`limits.max_packet_size`).
pub(super) const PACKET_BYTES_MAX: i64 = 255 * MB;
/// The smallest.
pub(super) const PACKET_BYTES_MIN: i64 = 128;

/// The whole value, which must not be empty.
pub(super) fn text(line: &Line) -> Result<&str, String> {
    if line.value.is_empty() { Err("must have a value".to_owned()) } else { Ok(&line.value) }
}

/// `true` or `false`.
pub(super) fn flag(line: &Line) -> Result<bool, String> {
    match line.word() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(wrong(other, "must be true or false")),
    }
}

/// A whole number, in any way that C writes one.
pub(super) fn number(line: &Line, range: RangeInclusive<i64>) -> Result<i64, String> {
    let (word, (low, high)) = (line.word(), (range.start(), range.end()));
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    match parsed.map(|number| sign * number) {
        Ok(number) if range.contains(&number) => Ok(number),
        _ if *high == i64::MAX => Err(wrong(word, &format!("must be a whole number from {low}"))),
        _ => Err(wrong(word, &format!("must be a whole number, {low} to {high}"))),
    }
}

/// A number where all that are not above zero mean that there is no limit.
pub(super) fn limit(line: &Line) -> Result<Option<i64>, String> {
    let number = number(line, i64::from(i32::MIN)..=i64::from(i32::MAX))?;
    Ok((number > 0).then_some(number))
}

/// One of these words.
pub(super) fn one_of<'a, T: Copy>(line: &'a Line, words: &[(&'a str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == line.word());
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        wrong(line.word(), &format!("must be one of {}", words.join(", ")))
    })
}

/// A time such as `14d`, as a duration of ours. Dunlin's longest is 100 years, which mosquitto's may exceed.
pub(super) fn duration(line: &Line) -> Result<String, String> {
    const DAYS_MAX: u64 = 36_500;
    let word = line.word();
    let problem =
        || wrong(word, "must be a whole number above 0 and one of s, h, d, w, m (30 days) and y, as in 14d");
    let unit = word.chars().last().ok_or_else(problem)?;
    let count: u64 = word[..word.len() - unit.len_utf8()].parse().map_err(|_| problem())?;
    let days = |days: u64| format!("{}d", count.saturating_mul(days).min(DAYS_MAX));
    match unit {
        _ if count == 0 => Err(problem()),
        's' => Ok(format!("{}s", count.min(DAYS_MAX * 86_400))),
        'h' => Ok(format!("{}h", count.min(DAYS_MAX * 24))),
        'd' => Ok(days(1)),
        'w' => Ok(days(7)),
        'm' => Ok(days(30)),
        'y' => Ok(days(365)),
        _ => Err(problem()),
    }
}

/// A number of bytes as a size of ours: `"2MB"` where it is one, else the plain number.
pub(super) fn size(bytes: i64) -> String {
    match bytes {
        _ if bytes >= MB && bytes % MB == 0 => quoted(&format!("{}MB", bytes / MB)),
        _ if bytes >= KB && bytes % KB == 0 => quoted(&format!("{}KB", bytes / KB)),
        _ => bytes.to_string(),
    }
}

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn wrong(found: &str, right: &str) -> String {
    let found: &dyn Display = if found.is_empty() { &"nothing" } else { &format!("{found:?}") };
    format!("{right}, not {found}")
}

#[cfg(test)]
mod tests {
    use super::super::lines::Place;
    use super::*;

    fn line(value: &str) -> Line {
        let place = Place { file: "a.conf".into(), line: Some(1) };
        Line { place, name: "option".to_owned(), value: value.to_owned() }
    }

    #[test]
    fn numbers_are_those_of_c_and_have_a_range() {
        for (written, meant) in [("20", 20), ("0x10", 16), ("010", 8), ("0", 0), ("-1", -1), ("5 # five", 5)]
        {
            assert_eq!(number(&line(written), -1..=100), Ok(meant), "{written}");
        }
        assert_eq!(
            number(&line("300"), 0..=255),
            Err("must be a whole number, 0 to 255, not \"300\"".to_owned())
        );
        assert_eq!(number(&line(""), 0..=2), Err("must be a whole number, 0 to 2, not nothing".to_owned()));
        assert!(number(&line("12abc"), 0..=255).is_err());
        assert!(number(&line("99999999999999999999"), 0..=i64::MAX).is_err());
    }

    #[test]
    fn flags_are_true_or_false_as_words_or_digits() {
        assert_eq!((flag(&line("true")), flag(&line("0"))), (Ok(true), Ok(false)));
        assert_eq!(flag(&line("yes")), Err("must be true or false, not \"yes\"".to_owned()));
    }

    #[test]
    fn times_have_the_units_of_mosquitto() {
        for (written, meant) in
            [("90s", "90s"), ("5h", "5h"), ("14d", "14d"), ("2w", "14d"), ("2m", "60d"), ("1y", "365d")]
        {
            assert_eq!(duration(&line(written)).as_deref(), Ok(meant), "{written}");
        }
        assert_eq!(duration(&line("900y")).as_deref(), Ok("36500d"));
        for wrong in ["", "d", "0d", "14", "14x", "-1d", "é"] {
            assert!(duration(&line(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_written_as_people_write_them() {
        assert_eq!([size(2 * MB), size(64 * KB), size(1000)], ["\"2MB\"", "\"64KB\"", "1000"]);
    }
}
