//! Whole numbers in as few bytes as they need: LEB128, seven bits a byte, the lowest first. And the fields of
//! a record, read one after the other.
//!
//! Nearly all numbers of the log are small (counts, lengths, differences), so most take one byte. A signed
//! difference is folded into an unsigned number first (0, -1, 1, -2, ...), so that small ones stay small.

use dunlin_core::Timestamp;

/// What is wrong with bytes that a checksum vouches for.
pub(super) type Problem = &'static str;

/// Appends a number.
pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends the way from one time to another.
pub(super) fn put_difference(bytes: &mut Vec<u8>, from: Timestamp, to: Timestamp) {
    let difference = to.as_micros().wrapping_sub(from.as_micros()) as i64;
    put_number(bytes, ((difference << 1) ^ (difference >> 63)) as u64);
}

/// Appends bytes and, before them, how many they are.
pub(super) fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_number(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

/// Appends a number that may be missing.
pub(super) fn put_optional(bytes: &mut Vec<u8>, number: Option<u64>) {
    bytes.push(u8::from(number.is_some()));
    if let Some(number) = number {
        put_number(bytes, number);
    }
}

/// The fields of a record that are still to be read.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn byte(&mut self) -> Result<u8, Problem> {
        let (first, rest) = self.0.split_first().ok_or("a record ends too early")?;
        self.0 = rest;
        Ok(*first)
    }

    pub fn number(&mut self) -> Result<u64, Problem> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number is too large")
    }

    /// A number of a narrower type.
    pub fn narrow<N: TryFrom<u64>>(&mut self) -> Result<N, Problem> {
        N::try_from(self.number()?).map_err(|_| "a number is out of its range")
    }

    pub fn difference(&mut self, from: Timestamp) -> Result<Timestamp, Problem> {
        let folded = self.number()?;
        let difference = (folded >> 1) as i64 ^ -((folded & 1) as i64);
        Ok(Timestamp::from_micros(from.as_micros().wrapping_add(difference as u64)))
    }

    pub fn optional(&mut self) -> Result<Option<u64>, Problem> {
        if self.byte()? == 0 { Ok(None) } else { self.number().map(Some) }
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("a record ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Problem> {
        let count = self.narrow()?;
        self.take(count)
    }

    pub fn text(&mut self) -> Result<&'a str, Problem> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8")
    }
}
