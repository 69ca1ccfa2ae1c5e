//! The block of properties of one packet: its Property Length and the properties in it (section 2.2.2).
//!
//! [`PropertyBlock::next`] hands out the properties one by one and judges what is the same in every packet:
//! unknown and misplaced identifiers, duplicates, values out of range. User Properties and Subscription
//! Identifiers, which may stand there many times, are not handed out as values but remembered as the span of
//! bytes that holds them, so that a packet with a hundred of them is decoded without allocating.

use crate::error::MalformedPacket;
use crate::packet_type::bit;
use crate::property::{Property, SUBSCRIPTION_IDENTIFIER, USER_PROPERTY, unknown_identifier};
use crate::reader::Reader;
use crate::subscription_identifiers::SubscriptionIdentifiers;
use crate::user_properties::UserProperties;

pub(crate) struct PropertyBlock<'a> {
    reader: Reader<'a>,
    /// The set of one that names the packet, or [`bit::WILL`].
    place: u16,
    /// One bit for each identifier already seen.
    seen: u64,
    user_properties: Span<'a>,
    subscription_identifiers: Span<'a>,
}

/// The bytes from the first property of some kind to the end of the last, with others perhaps in between.
#[derive(Clone, Copy, Default)]
struct Span<'a> {
    /// The block from the first of them on.
    from_first: &'a [u8],
    /// How many bytes of the block follow the last of them.
    after_last: usize,
    /// How many bytes they have themselves.
    own: usize,
}

impl<'a> Span<'a> {
    #[inline]
    fn extend(&mut self, before: &'a [u8], after: &'a [u8]) {
        if self.from_first.is_empty() {
            self.from_first = before;
        }
        self.after_last = after.len();
        self.own = self.own.saturating_add(before.len().saturating_sub(after.len()));
    }

    #[inline]
    fn bytes(&self) -> &'a [u8] {
        let length = self.from_first.len().saturating_sub(self.after_last);
        self.from_first.get(..length).unwrap_or_default()
    }
}

impl<'a> PropertyBlock<'a> {
    /// Reads the Property Length; the block is what it says, and `reader` goes on behind it.
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'a>, place: u16) -> Result<Self, MalformedPacket> {
        // spec(v5): [MQTT-2.2.2-1]
        let length = reader.variable_byte_integer()?;
        Ok(Self::over(reader.take(length as usize)?, place))
    }

    /// A block whose length is already known.
    #[inline]
    pub(crate) fn over(block: &'a [u8], place: u16) -> Self {
        Self {
            reader: Reader::new(block),
            place,
            seen: 0,
            user_properties: Span::default(),
            subscription_identifiers: Span::default(),
        }
    }

    /// Whether no property is left.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// The next property; `None` at the end of the block.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Property<'a>>, MalformedPacket> {
        if self.is_empty() {
            return Ok(None);
        }
        self.read_property().map(Some)
    }

    fn read_property(&mut self) -> Result<Property<'a>, MalformedPacket> {
        let before = self.reader.rest();
        // Identifiers are Variable Byte Integers, but all that exist fit into one byte.
        let identifier = self.reader.byte()?;
        let packets = Property::packets(identifier).ok_or_else(unknown_identifier)?;
        if packets & self.place == 0 {
            return Err(misplaced());
        }
        let may_repeat = identifier == USER_PROPERTY
            || (identifier == SUBSCRIPTION_IDENTIFIER && self.place == bit::PUBLISH);
        let flag = 1u64.wrapping_shl(u32::from(identifier));
        if self.seen & flag != 0 && !may_repeat {
            return Err(duplicate());
        }
        self.seen |= flag;
        let property = Property::read_value(identifier, &mut self.reader)?;
        match identifier {
            USER_PROPERTY => self.user_properties.extend(before, self.reader.rest()),
            SUBSCRIPTION_IDENTIFIER => self.subscription_identifiers.extend(before, self.reader.rest()),
            _ => {}
        }
        Ok(property)
    }

    /// The User Properties among those read so far.
    #[inline]
    pub(crate) fn user_properties(&self) -> UserProperties<'a> {
        let bytes = self.user_properties.bytes();
        UserProperties::over(bytes, bytes.len() == self.user_properties.own)
    }

    /// The Subscription Identifiers among those read so far.
    #[inline]
    pub(crate) fn subscription_identifiers(&self) -> SubscriptionIdentifiers<'a> {
        SubscriptionIdentifiers::over(self.subscription_identifiers.bytes())
    }
}

#[cold]
fn misplaced() -> MalformedPacket {
    MalformedPacket::malformed("2.2.2.2", "a property stands in a packet in which it is not allowed")
}

#[cold]
fn duplicate() -> MalformedPacket {
    MalformedPacket::protocol_error("2.2.2.2", "a property that may stand once stands there twice")
}

/// Judges that authentication data does not come without an authentication method (section 3.1.2.11.10).
#[inline]
pub(crate) fn judge_authentication(method: Option<&str>, data: Option<&[u8]>) -> Result<(), MalformedPacket> {
    if data.is_some() && method.is_none() {
        let detail = "there is Authentication Data but no Authentication Method";
        return Err(MalformedPacket::protocol_error("3.1.2.11.10", detail));
    }
    Ok(())
}
