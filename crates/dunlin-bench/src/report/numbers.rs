//! Numbers as people read them: a median with its spread, three digits, thousands apart.

use crate::statistics::Spread;

pub(super) fn show_spread(spread: Spread, unit: &str) -> String {
    let Spread { median, min, max } = spread;
    let number = |value: f64| if unit == "B" { thousands(value) } else { significant(value) };
    if min == max {
        return format!("{} {unit}", number(median));
    }
    format!("{} {unit} ({}..{})", number(median), number(min), number(max))
}

pub(super) fn show_ratio(ratio: Spread) -> String {
    let Spread { median, min, max } = ratio;
    let spread = format!("{} ({}..{})", significant(median), significant(min), significant(max));
    if median > 0.0 && median < 1.0 { format!("{spread}, 1/{:.1}", 1.0 / median) } else { spread }
}

/// Three significant digits, and no more than that many after the point.
pub(super) fn significant(value: f64) -> String {
    match value.abs() {
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The same without zeros at the end of a fraction.
pub(super) fn trimmed(value: f64) -> String {
    let text = significant(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A large number in a few characters, as beside an axis.
pub(super) fn compact(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", trimmed(value / 1e6)),
        value if value >= 1e3 => format!("{} k", trimmed(value / 1e3)),
        value => trimmed(value),
    }
}

/// A wait in microseconds, in the unit that fits it.
pub(super) fn show_wait(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", trimmed(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", trimmed(us / 1e3)),
        us => format!("{} µs", trimmed(us)),
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0.0, 999.0, 1000.4, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.1234, 1.234, 12.34, 1234.0].map(significant), ["0.123", "1.23", "12.3", "1234"]);
        assert_eq!([0.0, 950.0, 4_100_000.0, 20_000.0].map(compact), ["0", "950", "4.1 M", "20 k"]);
        assert_eq!([2.0, 48.4, 1_200.0, 3e6].map(show_wait), ["2 µs", "48.4 µs", "1.2 ms", "3 s"]);
        let ratio = Spread { median: 0.1, min: 0.08, max: 0.125 };
        assert_eq!(show_ratio(ratio), "0.100 (0.080..0.125), 1/10.0");
    }
}
