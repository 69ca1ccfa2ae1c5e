//! Random valid packets, for property tests.
//!
//! Packets borrow, and strategies must own: the bytes of a generated packet are leaked, some kilobytes per
//! test run, and the packets are `'static`. What a protocol version cannot carry is not generated for it, so
//! that a packet and what comes back from decoding its bytes are equal.

use std::num::NonZeroU16;

use dunlin_codec::{
    Acknowledgement, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect,
    MessageProperties, Packet, PacketIdentifier, PacketType, ProtocolVersion, Publish, QoS, ReasonCode,
    RetainHandling, SubAck, Subscribe, SubscribeFilters, SubscriptionFilter, SubscriptionIdentifiers,
    SubscriptionOptions, UnsubAck, Unsubscribe, UnsubscribeFilters, UserProperties,
    VARIABLE_BYTE_INTEGER_MAX, Will, encode_subscribe_filters, encode_subscription_identifiers,
    encode_unsubscribe_filters, encode_user_properties,
};
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

type Text = &'static str;
type Binary = &'static [u8];

pub(crate) fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(&ProtocolVersion::ALL[..])
}

/// Any packet that exists in this version.
pub(crate) fn packet(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let acknowledgement = |packet_type| acknowledgement(version, packet_type);
    let common = prop_oneof![
        3 => connect(version).prop_map(Packet::Connect),
        2 => connack(version).prop_map(Packet::ConnAck),
        4 => publish(version).prop_map(Packet::Publish),
        1 => acknowledgement(PacketType::PubAck).prop_map(Packet::PubAck),
        1 => acknowledgement(PacketType::PubRec).prop_map(Packet::PubRec),
        1 => acknowledgement(PacketType::PubRel).prop_map(Packet::PubRel),
        1 => acknowledgement(PacketType::PubComp).prop_map(Packet::PubComp),
        2 => subscribe(version).prop_map(Packet::Subscribe),
        1 => suback(version).prop_map(Packet::SubAck),
        1 => unsubscribe(version).prop_map(Packet::Unsubscribe),
        1 => unsuback(version).prop_map(Packet::UnsubAck),
        1 => disconnect(version).prop_map(Packet::Disconnect),
        1 => Just(Packet::PingReq),
        1 => Just(Packet::PingResp),
    ];
    match version {
        ProtocolVersion::V5 => prop_oneof![20 => common, 1 => auth().prop_map(Packet::Auth)].boxed(),
        _ => common.boxed(),
    }
}

/// In MQTT 5.0 perhaps a value, before it never.
fn v5<T: std::fmt::Debug + Clone + 'static>(
    version: ProtocolVersion,
    values: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    if version == ProtocolVersion::V5 { of(values).boxed() } else { Just(None).boxed() }
}

fn text() -> impl Strategy<Value = Text> {
    let character = prop_oneof![3 => proptest::char::range(' ', '~'), 1 => any::<char>()];
    vec(character.prop_filter("U+0000 is in no string", |&character| character != '\0'), 0..12)
        .prop_map(|characters| &*characters.into_iter().collect::<String>().leak())
}

fn binary() -> impl Strategy<Value = Binary> {
    vec(any::<u8>(), 0..20).prop_map(|bytes| &*bytes.leak())
}

pub(crate) fn level() -> impl Strategy<Value = Text> {
    select(&["", "a", "b", "sensor", "Straße", "$SYS", "€", "a b", "12345678"][..])
}

pub(crate) fn topic_name() -> impl Strategy<Value = Text> {
    vec(level(), 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic is not empty", |topic| !topic.is_empty())
        .prop_map(|topic| &*topic.leak())
}

pub(crate) fn topic_filter() -> impl Strategy<Value = Text> {
    let levels = vec(prop_oneof![3 => level(), 1 => Just("+")], 0..5);
    (levels, any::<bool>())
        .prop_map(|(mut levels, ends_with_wildcard)| {
            if ends_with_wildcard {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("a filter is not empty", |filter| !filter.is_empty())
        .prop_map(|filter| &*filter.leak())
}

fn subscription_filter() -> impl Strategy<Value = SubscriptionFilter<'static>> {
    (topic_filter(), of(select(&["g", "workers", "$", "€"][..])), any::<bool>()).prop_map(
        |(filter, share, shared)| {
            let whole = match share {
                Some(share) if shared => format!("$share/{share}/{filter}"),
                _ => filter.into(),
            };
            SubscriptionFilter::parse(whole.leak()).unwrap()
        },
    )
}

pub(crate) fn packet_identifier() -> impl Strategy<Value = PacketIdentifier> {
    (1..=u16::MAX).prop_map(|number| PacketIdentifier::new(number).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn reason_code(packet_type: PacketType) -> impl Strategy<Value = ReasonCode> {
    let allowed = ReasonCode::ALL.iter().copied().filter(|reason_code| reason_code.allowed_in(packet_type));
    select(allowed.collect::<Vec<_>>())
}

fn user_properties(version: ProtocolVersion) -> BoxedStrategy<UserProperties<'static>> {
    if version != ProtocolVersion::V5 {
        return Just(UserProperties::default()).boxed();
    }
    let pairs = prop_oneof![2 => Just(Vec::new()), 1 => vec((text(), text()), 1..4)];
    pairs.prop_map(|pairs| UserProperties::from_encoded(encode_user_properties(&pairs).leak())).boxed()
}

pub(crate) fn message_properties(
    version: ProtocolVersion,
) -> impl Strategy<Value = MessageProperties<'static>> {
    let fields = (
        v5(version, any::<bool>()),
        v5(version, any::<u32>()),
        v5(version, text()),
        v5(version, topic_name()),
        v5(version, binary()),
        user_properties(version),
    );
    fields.prop_map(
        |(
            payload_format_is_utf8,
            message_expiry_interval_s,
            content_type,
            response_topic,
            correlation_data,
            user_properties,
        )| MessageProperties {
            payload_format_is_utf8,
            message_expiry_interval_s,
            content_type,
            response_topic,
            correlation_data,
            user_properties,
        },
    )
}

fn will(version: ProtocolVersion) -> impl Strategy<Value = Will<'static>> {
    (qos(), any::<bool>(), topic_name(), binary(), v5(version, any::<u32>()), message_properties(version))
        .prop_map(|(qos, retain, topic, payload, delay_interval_s, properties)| Will {
            qos,
            retain,
            topic,
            payload,
            delay_interval_s,
            properties,
        })
}

fn connect(version: ProtocolVersion) -> impl Strategy<Value = Connect<'static>> {
    let fields = (
        any::<bool>(),
        any::<u16>(),
        connect_properties(version),
        text(),
        of(will(version)),
        of(text()),
        of(binary()),
    );
    fields.prop_map(
        move |(clean_start, keep_alive_s, properties, client_identifier, will, user_name, password)| {
            let password = password.filter(|_| user_name.is_some() || version == ProtocolVersion::V5);
            Connect {
                version,
                clean_start,
                keep_alive_s,
                properties,
                client_identifier,
                will,
                user_name,
                password,
            }
        },
    )
}

fn authentication(version: ProtocolVersion) -> impl Strategy<Value = (Option<Text>, Option<Binary>)> {
    (v5(version, text()), of(binary())).prop_map(|(method, data)| (method, data.filter(|_| method.is_some())))
}

fn connect_properties(version: ProtocolVersion) -> impl Strategy<Value = ConnectProperties<'static>> {
    let fields = (
        v5(version, any::<u32>()),
        v5(version, 1..=u16::MAX),
        v5(version, 1..=u32::MAX),
        v5(version, any::<u16>()),
        v5(version, any::<bool>()),
        v5(version, any::<bool>()),
        user_properties(version),
        authentication(version),
    );
    fields.prop_map(|fields| ConnectProperties {
        session_expiry_interval_s: fields.0,
        receive_maximum: fields.1,
        maximum_packet_size: fields.2,
        topic_alias_maximum: fields.3,
        request_response_information: fields.4,
        request_problem_information: fields.5,
        user_properties: fields.6,
        authentication_method: fields.7.0,
        authentication_data: fields.7.1,
    })
}

fn connack(version: ProtocolVersion) -> impl Strategy<Value = ConnAck<'static>> {
    let reason_code = match version {
        ProtocolVersion::V5 => {
            prop_oneof![Just(ReasonCode::Success), reason_code(PacketType::ConnAck)].boxed()
        }
        _ => (0..=5u8).prop_map(|code| ReasonCode::from_return_code(code).unwrap()).boxed(),
    };
    (any::<bool>(), reason_code, connack_properties(version)).prop_map(
        move |(present, reason_code, properties)| {
            let may_be_present = reason_code == ReasonCode::Success && version != ProtocolVersion::V3_1;
            ConnAck { session_present: present && may_be_present, reason_code, properties }
        },
    )
}

fn connack_properties(version: ProtocolVersion) -> impl Strategy<Value = ConnAckProperties<'static>> {
    let numbers = (
        v5(version, any::<u32>()),
        v5(version, 1..=u16::MAX),
        v5(version, select(&[QoS::AtMostOnce, QoS::AtLeastOnce][..])),
        v5(version, 1..=u32::MAX),
        v5(version, any::<u16>()),
        v5(version, any::<u16>()),
    );
    let flags = (
        v5(version, any::<bool>()),
        v5(version, any::<bool>()),
        v5(version, any::<bool>()),
        v5(version, any::<bool>()),
    );
    let strings = (v5(version, text()), v5(version, text()), v5(version, text()), v5(version, text()));
    (numbers, flags, strings, user_properties(version), authentication(version)).prop_map(
        |(numbers, flags, strings, user_properties, authentication)| ConnAckProperties {
            session_expiry_interval_s: numbers.0,
            receive_maximum: numbers.1,
            maximum_qos: numbers.2,
            maximum_packet_size: numbers.3,
            topic_alias_maximum: numbers.4,
            server_keep_alive_s: numbers.5,
            retain_available: flags.0,
            wildcard_subscription_available: flags.1,
            subscription_identifiers_available: flags.2,
            shared_subscription_available: flags.3,
            assigned_client_identifier: strings.0,
            reason_string: strings.1,
            response_information: strings.2,
            server_reference: strings.3,
            user_properties,
            authentication_method: authentication.0,
            authentication_data: authentication.1,
        },
    )
}

pub(crate) fn publish(version: ProtocolVersion) -> impl Strategy<Value = Publish<'static>> {
    let identifiers = match version {
        ProtocolVersion::V5 => vec(1..=VARIABLE_BYTE_INTEGER_MAX, 0..4).boxed(),
        _ => Just(Vec::new()).boxed(),
    };
    let alias = v5(version, (1..=u16::MAX).prop_map(|alias| NonZeroU16::new(alias).unwrap()));
    let fields = (
        (any::<bool>(), qos(), any::<bool>()),
        (topic_name(), weighted(0.3)),
        packet_identifier(),
        alias,
        identifiers,
        message_properties(version),
        vec(any::<u8>(), 0..300),
    );
    fields.prop_map(
        |(
            (dup, qos, retain),
            (topic, is_aliased),
            packet_identifier,
            topic_alias,
            identifiers,
            properties,
            payload,
        )| {
            let has_identifier = qos != QoS::AtMostOnce;
            Publish {
                dup: dup && has_identifier,
                qos,
                retain,
                topic: if is_aliased && topic_alias.is_some() { "" } else { topic },
                packet_identifier: has_identifier.then_some(packet_identifier),
                topic_alias,
                subscription_identifiers: SubscriptionIdentifiers::from_encoded(
                    encode_subscription_identifiers(&identifiers).leak(),
                ),
                properties,
                payload: payload.leak(),
            }
        },
    )
}

fn acknowledgement(
    version: ProtocolVersion,
    packet_type: PacketType,
) -> impl Strategy<Value = Acknowledgement<'static>> {
    (
        packet_identifier(),
        v5(version, reason_code(packet_type)),
        v5(version, text()),
        user_properties(version),
    )
        .prop_map(|(packet_identifier, reason_code, reason_string, user_properties)| Acknowledgement {
            packet_identifier,
            reason_code: reason_code.unwrap_or(ReasonCode::Success),
            reason_string,
            user_properties,
        })
}

fn subscription_options(version: ProtocolVersion) -> impl Strategy<Value = SubscriptionOptions> {
    let handling = [RetainHandling::SendAtSubscribe, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    (qos(), any::<bool>(), any::<bool>(), select(handling.to_vec())).prop_map(
        move |(maximum_qos, no_local, retain_as_published, retain_handling)| match version {
            ProtocolVersion::V5 => {
                SubscriptionOptions { maximum_qos, no_local, retain_as_published, retain_handling }
            }
            _ => SubscriptionOptions::with_qos(maximum_qos),
        },
    )
}

fn subscribe(version: ProtocolVersion) -> impl Strategy<Value = Subscribe<'static>> {
    let filter = (subscription_filter(), subscription_options(version)).prop_map(|(filter, options)| {
        (filter, SubscriptionOptions { no_local: options.no_local && !filter.is_shared(), ..options })
    });
    let identifier = v5(version, 1..=VARIABLE_BYTE_INTEGER_MAX);
    (packet_identifier(), identifier, user_properties(version), vec(filter, 1..5)).prop_map(
        |(packet_identifier, subscription_identifier, user_properties, filters)| Subscribe {
            packet_identifier,
            subscription_identifier,
            user_properties,
            filters: SubscribeFilters::from_encoded(encode_subscribe_filters(&filters).leak()),
        },
    )
}

fn suback(version: ProtocolVersion) -> impl Strategy<Value = SubAck<'static>> {
    let code = match version {
        ProtocolVersion::V5 => reason_code(PacketType::SubAck).prop_map(ReasonCode::code).boxed(),
        _ => select(vec![0, 1, 2, 0x80]).boxed(),
    };
    (packet_identifier(), vec(code, 1..5), v5(version, text()), user_properties(version)).prop_map(
        |(packet_identifier, reason_codes, reason_string, user_properties)| SubAck {
            packet_identifier,
            reason_codes: reason_codes.leak(),
            reason_string,
            user_properties,
        },
    )
}

fn unsubscribe(version: ProtocolVersion) -> impl Strategy<Value = Unsubscribe<'static>> {
    (packet_identifier(), user_properties(version), vec(subscription_filter(), 1..5)).prop_map(
        |(packet_identifier, user_properties, filters)| Unsubscribe {
            packet_identifier,
            user_properties,
            filters: UnsubscribeFilters::from_encoded(encode_unsubscribe_filters(&filters).leak()),
        },
    )
}

fn unsuback(version: ProtocolVersion) -> impl Strategy<Value = UnsubAck<'static>> {
    let code_count = if version == ProtocolVersion::V5 { 1..5 } else { 0..1 };
    let codes = vec(reason_code(PacketType::UnsubAck).prop_map(ReasonCode::code), code_count);
    (packet_identifier(), codes, v5(version, text()), user_properties(version)).prop_map(
        |(packet_identifier, reason_codes, reason_string, user_properties)| UnsubAck {
            packet_identifier,
            reason_codes: reason_codes.leak(),
            reason_string,
            user_properties,
        },
    )
}

fn disconnect(version: ProtocolVersion) -> impl Strategy<Value = Disconnect<'static>> {
    let fields = (
        v5(version, reason_code(PacketType::Disconnect)),
        v5(version, any::<u32>()),
        v5(version, text()),
        v5(version, text()),
        user_properties(version),
    );
    fields.prop_map(
        |(reason_code, session_expiry_interval_s, reason_string, server_reference, user_properties)| {
            Disconnect {
                reason_code: reason_code.unwrap_or(ReasonCode::Success),
                session_expiry_interval_s,
                reason_string,
                server_reference,
                user_properties,
            }
        },
    )
}

fn auth() -> impl Strategy<Value = Auth<'static>> {
    let version = ProtocolVersion::V5;
    let with_content =
        (reason_code(PacketType::Auth), text(), of(binary()), of(text()), user_properties(version)).prop_map(
            |(reason_code, method, data, reason_string, user_properties)| Auth {
                reason_code,
                method: Some(method),
                data,
                reason_string,
                user_properties,
            },
        );
    prop_oneof![1 => Just(Auth::new(ReasonCode::Success, None)), 4 => with_content]
}
