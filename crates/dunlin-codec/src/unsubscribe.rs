//! UNSUBSCRIBE (section 3.10): the filters whose Subscriptions are to end.
//!
//! Filters are judged as in SUBSCRIBE, since one that could never have been subscribed to is a mistake worth
//! telling. As there, the list is read lazily from the packet's own bytes.

use std::fmt;

use crate::error::MalformedPacket;
use crate::packet_identifier::PacketIdentifier;
use crate::packet_type::{PacketType, bit};
use crate::property_block::PropertyBlock;
use crate::reader::Reader;
use crate::share::SubscriptionFilter;
use crate::user_properties::UserProperties;
use crate::version::ProtocolVersion;
use crate::writer::{put_frame, put_string, put_two_byte_integer, put_with_length};

/// A Client's request to end Subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What UNSUBACK answers to.
    pub packet_identifier: PacketIdentifier,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
    /// The filters, at least one.
    pub filters: UnsubscribeFilters<'a>,
}

/// The filters of an UNSUBSCRIBE, as a view of the packet's bytes.
#[derive(Clone, Copy, Default)]
pub struct UnsubscribeFilters<'a>(&'a [u8]);

impl<'a> UnsubscribeFilters<'a> {
    /// The filters in an encoded payload, such as [`encode_unsubscribe_filters`] makes. The list ends where
    /// the bytes hold no valid filter.
    #[must_use]
    pub const fn from_encoded(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    /// The filters in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = SubscriptionFilter<'a>> + Clone + use<'a> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || SubscriptionFilter::parse(reader.string().ok()?).ok())
    }

    /// How many filters there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().count()
    }
}

/// Encodes filters so that [`UnsubscribeFilters::from_encoded`] can stand for them in a packet to send.
#[must_use]
pub fn encode_unsubscribe_filters(filters: &[SubscriptionFilter<'_>]) -> Vec<u8> {
    let mut payload = Vec::new();
    filters.iter().for_each(|filter| put_string(&mut payload, filter.as_str()));
    payload
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, MalformedPacket> {
        let mut reader = Reader::new(body);
        let packet_identifier = reader.packet_identifier()?;
        let mut user_properties = UserProperties::default();
        if version == ProtocolVersion::V5 {
            let mut block = PropertyBlock::read(&mut reader, bit::UNSUBSCRIBE)?;
            while block.next()?.is_some() {}
            user_properties = block.user_properties();
        }
        let filters = UnsubscribeFilters(reader.rest());
        judge_filters(reader)?;
        Ok(Self { packet_identifier, user_properties, filters })
    }

    /// Appends the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_frame(out, PacketType::Unsubscribe, |out| {
            put_two_byte_integer(out, self.packet_identifier.get());
            if version == ProtocolVersion::V5 {
                put_with_length(out, |out| self.user_properties.write(out));
            }
            self.filters.iter().for_each(|filter| put_string(out, filter.as_str()));
        });
    }
}

fn judge_filters(mut reader: Reader<'_>) -> Result<(), MalformedPacket> {
    // spec(v5): [MQTT-3.10.3-2]
    // spec(v3.1.1): [MQTT-3.10.3-2]
    if reader.is_empty() {
        return Err(MalformedPacket::protocol_error("MQTT-3.10.3-2", "the UNSUBSCRIBE has no Topic Filter"));
    }
    while !reader.is_empty() {
        // spec(v5): [MQTT-3.10.3-1]
        // spec(v3.1.1): [MQTT-3.10.3-1]
        SubscriptionFilter::parse(reader.string()?).map_err(|error| error.in_topic_filter())?;
    }
    Ok(())
}

impl PartialEq for UnsubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UnsubscribeFilters<'_> {}

impl fmt::Debug for UnsubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|filter| filter.as_str())).finish()
    }
}
