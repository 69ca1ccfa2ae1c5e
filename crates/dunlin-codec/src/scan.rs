//! Searching short strings for the few bytes that MQTT forbids in them.
//!
//! Every string of every packet is searched for U+0000, and every topic for wildcards too. Most are 5 to 60
//! bytes long, too short for a general search to pay for its preparations, so eight bytes are looked at in
//! one step. All bytes searched for are ASCII, which no longer UTF-8 sequence contains.

const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;

/// Whether the string contains U+0000.
#[inline]
pub(crate) fn contains_null(bytes: &[u8]) -> bool {
    any(bytes, has_zero_byte, |byte| byte == 0)
}

/// Whether the string contains U+0000, `+` or `#`.
#[inline]
pub(crate) fn contains_null_or_wildcard(bytes: &[u8]) -> bool {
    // `+` and `#` differ in one bit, and setting it makes no other byte equal to them.
    const DIFFERENCE: u8 = b'+' ^ b'#';
    let word_has = |word: u64| {
        let folded = word | (EVERY_BYTE * DIFFERENCE as u64);
        has_zero_byte(word) || has_zero_byte(folded ^ (EVERY_BYTE * b'+' as u64))
    };
    any(bytes, word_has, |byte| byte == 0 || byte | DIFFERENCE == b'+')
}

#[inline]
fn any(bytes: &[u8], word_has: impl Fn(u64) -> bool, is_one: impl Fn(u8) -> bool) -> bool {
    // The last eight bytes overlap those before them; what was looked at twice does no harm.
    let Some(last) = bytes.last_chunk() else { return bytes.iter().any(|&byte| is_one(byte)) };
    let (words, _) = bytes.as_chunks();
    words.iter().any(|word| word_has(u64::from_ne_bytes(*word))) || word_has(u64::from_ne_bytes(*last))
}

/// Whether one of the eight bytes is 0: only then does a borrow reach the top bit of a byte that had it
/// clear.
#[inline]
const fn has_zero_byte(word: u64) -> bool {
    word.wrapping_sub(EVERY_BYTE) & !word & (EVERY_BYTE << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_at_every_place_of_every_length() {
        for length in 1..=40 {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    assert_eq!(contains_null(&bytes), byte == 0, "{byte} at {place} of {length}");
                    let is_reserved = matches!(byte, 0 | b'+' | b'#');
                    assert_eq!(
                        contains_null_or_wildcard(&bytes),
                        is_reserved,
                        "{byte} at {place} of {length}"
                    );
                }
            }
        }
    }
}
