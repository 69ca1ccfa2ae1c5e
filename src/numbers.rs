//! Numbers as commands write them for people.

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// `1 segment`, `2 segments`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Bytes in the unit that suits them, as sizes are written in the configuration.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut units = UNITS.iter().peekable();
    while amount >= 1024.0 && units.len() > 1 {
        amount /= 1024.0;
        units.next();
    }
    format!("{amount:.1} {}", units.peek().copied().unwrap_or(&"TB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart_and_sizes_a_unit() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([count(1, "client"), count(1200, "client")], ["1 client", "1,200 clients"]);
        assert_eq!([0, 1023, 1536, 1 << 40].map(size), ["0 bytes", "1023 bytes", "1.5 KB", "1.0 TB"]);
    }
}
