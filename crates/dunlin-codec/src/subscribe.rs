//! SUBSCRIBE (section 3.8): Topic Filters, each with its options.
//!
//! The list is judged whole while the packet is decoded and then read again, lazily, from the packet's own
//! bytes: a SUBSCRIBE with ten thousand filters allocates nothing here.

use std::fmt;

use crate::error::MalformedPacket;
use crate::packet_identifier::PacketIdentifier;
use crate::packet_type::{PacketType, bit};
use crate::property::{Property, SubscriptionIdentifier, put};
use crate::property_block::PropertyBlock;
use crate::reader::Reader;
use crate::share::SubscriptionFilter;
use crate::subscription_options::SubscriptionOptions;
use crate::user_properties::UserProperties;
use crate::version::ProtocolVersion;
use crate::writer::{put_frame, put_string, put_two_byte_integer, put_with_length};

/// A Client's request for Subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// What SUBACK answers to.
    pub packet_identifier: PacketIdentifier,
    /// Subscription Identifier for all of these Subscriptions, 1 to 268,435,455.
    pub subscription_identifier: Option<u32>,
    /// User Properties in order.
    pub user_properties: UserProperties<'a>,
    /// The filters with their options, at least one.
    pub filters: SubscribeFilters<'a>,
}

/// The filters of a SUBSCRIBE with their options, as a view of the packet's bytes.
#[derive(Clone, Copy, Default)]
pub struct SubscribeFilters<'a>(&'a [u8]);

impl<'a> SubscribeFilters<'a> {
    /// The filters in an encoded payload, such as [`encode_subscribe_filters`] makes. The list ends where the
    /// bytes hold no valid filter.
    #[must_use]
    pub const fn from_encoded(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    /// The filters with their options in the order of the packet.
    pub fn iter(
        &self,
    ) -> impl Iterator<Item = (SubscriptionFilter<'a>, SubscriptionOptions)> + Clone + use<'a> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            let filter = SubscriptionFilter::parse(reader.string().ok()?).ok()?;
            // What was read as 3.x has none of the bits that only 5.0 has.
            Some((filter, SubscriptionOptions::from_bits(reader.byte().ok()?)?))
        })
    }

    /// How many filters there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().count()
    }
}

/// Encodes filters so that [`SubscribeFilters::from_encoded`] can stand for them in a packet to send.
#[must_use]
pub fn encode_subscribe_filters(filters: &[(SubscriptionFilter<'_>, SubscriptionOptions)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (filter, options) in filters {
        put_string(&mut payload, filter.as_str());
        payload.push(options.bits());
    }
    payload
}

impl<'a> Subscribe<'a> {
    pub(crate) fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, MalformedPacket> {
        let mut reader = Reader::new(body);
        let packet_identifier = reader.packet_identifier()?;
        let mut subscription_identifier = None;
        let mut user_properties = UserProperties::default();
        if version == ProtocolVersion::V5 {
            let mut block = PropertyBlock::read(&mut reader, bit::SUBSCRIBE)?;
            while let Some(property) = block.next()? {
                if let Property::SubscriptionIdentifier(SubscriptionIdentifier(number)) = property {
                    subscription_identifier = Some(number);
                }
            }
            user_properties = block.user_properties();
        }
        let filters = SubscribeFilters(reader.rest());
        judge_filters(reader, version)?;
        Ok(Self { packet_identifier, subscription_identifier, user_properties, filters })
    }

    /// Appends the packet. In 3.x the options are reduced to the QoS.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_frame(out, PacketType::Subscribe, |out| {
            put_two_byte_integer(out, self.packet_identifier.get());
            if version == ProtocolVersion::V5 {
                put_with_length(out, |out| {
                    let identifier = self.subscription_identifier.map(SubscriptionIdentifier);
                    put(out, identifier.map(Property::SubscriptionIdentifier));
                    self.user_properties.write(out);
                });
            }
            for (filter, options) in self.filters.iter() {
                put_string(out, filter.as_str());
                out.push(match version {
                    ProtocolVersion::V5 => options.bits(),
                    _ => options.maximum_qos.bits(),
                });
            }
        });
    }
}

fn judge_filters(mut reader: Reader<'_>, version: ProtocolVersion) -> Result<(), MalformedPacket> {
    // spec(v5): [MQTT-3.8.3-2]
    // spec(v3.1.1): [MQTT-3.8.3-3]
    if reader.is_empty() {
        return Err(MalformedPacket::protocol_error("MQTT-3.8.3-2", "the SUBSCRIBE has no Topic Filter"));
    }
    while !reader.is_empty() {
        // spec(v5): [MQTT-3.8.3-1]
        // spec(v3.1.1): [MQTT-3.8.3-1]
        let filter = reader.string()?;
        let options = SubscriptionOptions::decode(reader.byte()?, version)?;
        let filter = SubscriptionFilter::parse(filter).map_err(|error| error.in_topic_filter())?;
        // spec(v5): [MQTT-3.8.3-4]
        if options.no_local && filter.is_shared() {
            let detail = "No Local is set for a Shared Subscription";
            return Err(MalformedPacket::protocol_error("MQTT-3.8.3-4", detail));
        }
    }
    Ok(())
}

impl PartialEq for SubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscribeFilters<'_> {}

impl fmt::Debug for SubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(filter, options)| (filter.as_str(), options))).finish()
    }
}
