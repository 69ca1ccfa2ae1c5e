//! The stamp in each payload: who sent it, and as which of its messages.
//!
//! It stands at the end of the payload, so that a receiver finds it from the end of the packet without
//! looking at topic or properties. From it a subscriber knows what it missed, and what came twice or late.

/// How many bytes a stamp takes.
pub(crate) const STAMP_BYTES: usize = 12;

/// Who sent a message, and as which of its messages, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u32,
    pub(crate) sequence: u64,
}

impl Stamp {
    /// Writes the stamp over the end of a payload or packet.
    pub(crate) fn write(self, packet: &mut [u8]) {
        if let Some((_, stamp)) = packet.split_last_chunk_mut::<STAMP_BYTES>() {
            stamp[..4].copy_from_slice(&self.publisher.to_be_bytes());
            stamp[4..].copy_from_slice(&self.sequence.to_be_bytes());
        }
    }

    /// Reads the stamp at the end of a packet; `None` when the packet is too short to have one.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let (rest, sequence) = packet.split_last_chunk::<8>()?;
        let (_, publisher) = rest.split_last_chunk::<4>()?;
        Some(Self { publisher: u32::from_be_bytes(*publisher), sequence: u64::from_be_bytes(*sequence) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_the_end_of_a_packet() {
        let stamp = Stamp { publisher: 7, sequence: u64::MAX - 1 };
        let mut packet = vec![0xAA; 40];
        stamp.write(&mut packet);
        assert_eq!(Stamp::read(&packet), Some(stamp));
        assert!(packet[..28].iter().all(|&byte| byte == 0xAA));
        assert_eq!(Stamp::read(&packet[..11]), None);
    }
}
