//! Times and names as people read them; for numbers there is `numbers.rs`.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A text of a client, which can do nothing to the terminal: what is not printable stands as an escape.
pub(super) fn shown(text: &str) -> String {
    let is_unprintable = |c: char| c.is_control() || is_invisible(c);
    if !text.contains(is_unprintable) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if is_unprintable(c) { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// What turns the direction of text or cannot be seen, and so makes one name look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text or nothing.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), shown)
}

/// `42 s`, `5 min`, `3 h 20 min`, `2 d 4 h`: the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// How long ago a time (RFC 3339) was; the time itself if it cannot be read.
pub(super) fn ago(time: &str, now: OffsetDateTime) -> String {
    match OffsetDateTime::parse(time, &Rfc3339) {
        Ok(time) => duration(u64::try_from((now - time).whole_seconds()).unwrap_or(0)),
        Err(_) => shown(time),
    }
}

/// `in 3 h 20 min`, or `now` for what is over.
pub(super) fn until(time: &str, now: OffsetDateTime) -> String {
    match OffsetDateTime::parse(time, &Rfc3339) {
        Ok(time) => match u64::try_from((time - now).whole_seconds()) {
            Ok(seconds) if seconds > 0 => format!("in {}", duration(seconds)),
            _ => "now".to_owned(),
        },
        Err(_) => shown(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_clients_can_do_nothing_to_a_terminal() {
        assert_eq!(shown("plant/ä/7"), "plant/ä/7");
        assert_eq!(shown("\u{1b}[2Jx\n"), "\\u{1b}[2Jx\\n");
        assert_eq!(shown("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn durations_have_two_units() {
        assert_eq!([59, 60, 12_000, 187_200].map(duration), ["59 s", "1 min", "3 h 20 min", "2 d 4 h"]);
    }

    #[test]
    fn times_are_told_from_now() {
        let now = OffsetDateTime::parse("2026-11-28T10:00:00Z", &Rfc3339).unwrap();
        assert_eq!(ago("2026-11-28T09:58:00Z", now), "2 min");
        assert_eq!(ago("2026-11-28T10:00:01Z", now), "0 s");
        assert_eq!(until("2026-11-29T11:00:00Z", now), "in 1 d 1 h");
        assert_eq!(until("2026-11-28T09:00:00Z", now), "now");
        assert_eq!(ago("never", now), "never");
    }
}
