//! mqttbytes 0.6 as an oracle for MQTT 3.1.1 and 5.0.

use ::mqttbytes::{v4, v5};
use bytes::BytesMut;
use dunlin_codec::{ProtocolVersion, ReasonCode};

use super::description::{Description, pairs};

const NO_LIMIT: usize = usize::MAX;

pub(crate) fn read(bytes: &[u8], version: ProtocolVersion) -> Option<Description> {
    let mut stream = BytesMut::from(bytes);
    match version {
        ProtocolVersion::V3_1 => None,
        ProtocolVersion::V3_1_1 => v4::read(&mut stream, NO_LIMIT).ok().map(|packet| describe_v4(&packet)),
        ProtocolVersion::V5 => v5::read(&mut stream, NO_LIMIT).ok().and_then(|packet| describe_v5(&packet)),
    }
}

/// MQTT 3.1.1 has no properties: what our description prints for every packet that could have them.
const NONE: &[(String, String)] = &[];

fn describe_v4(packet: &v4::Packet) -> Description {
    let acknowledgement = |name, identifier: u16| {
        Description::of(name)
            .with("packet identifier", identifier)
            .with("reason code", 0)
            .with("user properties", pairs(NONE))
    };
    match packet {
        v4::Packet::Connect(connect) => describe_v4_connect(connect),
        v4::Packet::ConnAck(connack) => Description::of("CONNACK")
            .with("session present", connack.session_present)
            .with("reason code", ReasonCode::from_return_code(connack.code as u8).unwrap())
            .with("user properties", pairs(NONE)),
        v4::Packet::Publish(publish) => Description::of("PUBLISH")
            .with("flags", (publish.dup, publish.qos as u8, publish.retain))
            .with("topic", &publish.topic)
            .maybe("packet identifier", (publish.pkid != 0).then_some(publish.pkid))
            .with("subscription identifiers", [0u32; 0])
            .with("payload", &publish.payload[..])
            .with("user properties", pairs(NONE)),
        v4::Packet::PubAck(packet) => acknowledgement("PUBACK", packet.pkid),
        v4::Packet::PubRec(packet) => acknowledgement("PUBREC", packet.pkid),
        v4::Packet::PubRel(packet) => acknowledgement("PUBREL", packet.pkid),
        v4::Packet::PubComp(packet) => acknowledgement("PUBCOMP", packet.pkid),
        v4::Packet::Subscribe(subscribe) => Description::of("SUBSCRIBE")
            .with("packet identifier", subscribe.pkid)
            .with(
                "filters",
                subscribe.filters.iter().map(|filter| (&filter.path, filter.qos as u8)).collect::<Vec<_>>(),
            )
            .with("user properties", pairs(NONE)),
        v4::Packet::SubAck(suback) => Description::of("SUBACK")
            .with("packet identifier", suback.pkid)
            .with("reason codes", suback.return_codes.iter().map(v4_code).collect::<Vec<_>>())
            .with("user properties", pairs(NONE)),
        v4::Packet::Unsubscribe(unsubscribe) => Description::of("UNSUBSCRIBE")
            .with("packet identifier", unsubscribe.pkid)
            .with("filters", &unsubscribe.topics)
            .with("user properties", pairs(NONE)),
        v4::Packet::UnsubAck(unsuback) => Description::of("UNSUBACK")
            .with("packet identifier", unsuback.pkid)
            .with("reason codes", [0u8; 0])
            .with("user properties", pairs(NONE)),
        v4::Packet::PingReq => Description::of("PINGREQ"),
        v4::Packet::PingResp => Description::of("PINGRESP"),
        v4::Packet::Disconnect => {
            Description::of("DISCONNECT").with("reason code", 0).with("user properties", pairs(NONE))
        }
    }
}

fn v4_code(code: &v4::SubscribeReasonCode) -> u8 {
    match code {
        v4::SubscribeReasonCode::Success(qos) => *qos as u8,
        v4::SubscribeReasonCode::Failure => 0x80,
    }
}

fn describe_v4_connect(connect: &v4::Connect) -> Description {
    let login = connect.login.as_ref();
    let description = Description::of("CONNECT")
        .with("version", 4)
        .with("clean start", connect.clean_session)
        .with("keep alive", connect.keep_alive)
        .with("client identifier", &connect.client_id)
        .with("user name", login.map_or("", |login| &login.username))
        .with("password", login.map_or(&b""[..], |login| login.password.as_bytes()))
        .with("user properties", pairs(NONE));
    let Some(will) = &connect.last_will else { return description };
    description
        .with("will", (will.qos as u8, will.retain, &will.topic, &will.message[..]))
        .with("will user properties", pairs(NONE))
}

/// `None` for what mqttbytes reads wrongly by itself.
fn describe_v5(packet: &v5::Packet) -> Option<Description> {
    Some(match packet {
        v5::Packet::Connect(connect) => describe_v5_connect(connect),
        v5::Packet::ConnAck(connack) => describe_v5_connack(connack),
        v5::Packet::Publish(publish) => describe_v5_publish(publish),
        v5::Packet::PubAck(packet) => {
            let properties = packet.properties.as_ref();
            acknowledgement("PUBACK", packet.pkid, packet.reason as u8)
                .maybe("reason string", properties.and_then(|properties| properties.reason_string.as_deref()))
                .with(
                    "user properties",
                    pairs(properties.map_or(NONE, |properties| &properties.user_properties)),
                )
        }
        v5::Packet::PubRec(packet) => {
            let properties = packet.properties.as_ref();
            acknowledgement("PUBREC", packet.pkid, packet.reason as u8)
                .maybe("reason string", properties.and_then(|properties| properties.reason_string.as_deref()))
                .with(
                    "user properties",
                    pairs(properties.map_or(NONE, |properties| &properties.user_properties)),
                )
        }
        v5::Packet::PubRel(packet) => {
            let properties = packet.properties.as_ref();
            acknowledgement("PUBREL", packet.pkid, packet.reason as u8)
                .maybe("reason string", properties.and_then(|properties| properties.reason_string.as_deref()))
                .with(
                    "user properties",
                    pairs(properties.map_or(NONE, |properties| &properties.user_properties)),
                )
        }
        v5::Packet::PubComp(packet) => {
            let properties = packet.properties.as_ref();
            acknowledgement("PUBCOMP", packet.pkid, packet.reason as u8)
                .maybe("reason string", properties.and_then(|properties| properties.reason_string.as_deref()))
                .with(
                    "user properties",
                    pairs(properties.map_or(NONE, |properties| &properties.user_properties)),
                )
        }
        v5::Packet::Subscribe(subscribe) => {
            let properties = subscribe.properties.as_ref();
            Description::of("SUBSCRIBE")
                .with("packet identifier", subscribe.pkid)
                .maybe("subscription identifier", properties.and_then(|properties| properties.id))
                .with(
                    "user properties",
                    pairs(properties.map_or(NONE, |properties| &properties.user_properties)),
                )
                .with("filters", subscribe.filters.iter().map(v5_filter).collect::<Vec<_>>())
        }
        v5::Packet::SubAck(suback) => {
            let properties = suback.properties.as_ref();
            Description::of("SUBACK")
                .with("packet identifier", suback.pkid)
                .with("reason codes", suback.return_codes.iter().map(|code| *code as u8).collect::<Vec<_>>())
                .maybe("reason string", properties.and_then(|properties| properties.reason_string.as_deref()))
                .with(
                    "user properties",
                    pairs(properties.map_or(NONE, |properties| &properties.user_properties)),
                )
        }
        v5::Packet::Unsubscribe(unsubscribe) => {
            let properties = unsubscribe.properties.as_ref();
            Description::of("UNSUBSCRIBE")
                .with("packet identifier", unsubscribe.pkid)
                .with("filters", &unsubscribe.filters)
                .with(
                    "user properties",
                    pairs(properties.map_or(NONE, |properties| &properties.user_properties)),
                )
        }
        v5::Packet::UnsubAck(unsuback) => {
            let properties = unsuback.properties.as_ref();
            Description::of("UNSUBACK")
                .with("packet identifier", unsuback.pkid)
                .with("reason codes", unsuback.reasons.iter().map(|code| *code as u8).collect::<Vec<_>>())
                .maybe("reason string", properties.and_then(|properties| properties.reason_string.as_deref()))
                .with(
                    "user properties",
                    pairs(properties.map_or(NONE, |properties| &properties.user_properties)),
                )
        }
        v5::Packet::PingReq => Description::of("PINGREQ"),
        v5::Packet::PingResp => Description::of("PINGRESP"),
        v5::Packet::Disconnect(disconnect) => {
            let properties = disconnect.properties.as_ref();
            Description::of("DISCONNECT")
                .with("reason code", disconnect.reason_code as u8)
                .maybe("session expiry interval", properties.and_then(|read| read.session_expiry_interval))
                .maybe("reason string", properties.and_then(|read| read.reason_string.as_deref()))
                .maybe("server reference", properties.and_then(|read| read.server_reference.as_deref()))
                .with("user properties", pairs(properties.map_or(NONE, |read| &read.user_properties)))
        }
    })
}

fn acknowledgement(name: &'static str, identifier: u16, code: u8) -> Description {
    Description::of(name).with("packet identifier", identifier).with("reason code", code)
}

fn v5_filter(filter: &v5::SubscribeFilter) -> (&str, u8) {
    let handling = match filter.retain_forward_rule {
        v5::RetainForwardRule::OnEverySubscribe => 0,
        v5::RetainForwardRule::OnNewSubscribe => 1,
        v5::RetainForwardRule::Never => 2,
    };
    let flags = u8::from(filter.nolocal) << 2 | u8::from(filter.preserve_retain) << 3;
    (&filter.path, filter.qos as u8 | flags | handling << 4)
}

fn flag(value: Option<u8>) -> Option<bool> {
    value.map(|value| value == 1)
}

fn describe_v5_connect(connect: &v5::Connect) -> Description {
    let login = connect.login.as_ref();
    let mut description = Description::of("CONNECT")
        .with("version", 5)
        .with("clean start", connect.clean_session)
        .with("keep alive", connect.keep_alive)
        .with("client identifier", &connect.client_id)
        .with("user name", login.map_or("", |login| &login.username))
        .with("password", login.map_or(&b""[..], |login| login.password.as_bytes()));
    description = match &connect.properties {
        None => description.with("user properties", pairs(NONE)),
        Some(properties) => description
            .maybe("session expiry interval", properties.session_expiry_interval)
            .maybe("receive maximum", properties.receive_maximum)
            .maybe("maximum packet size", properties.max_packet_size)
            .maybe("topic alias maximum", properties.topic_alias_max)
            .maybe("request problem information", flag(properties.request_problem_info))
            .maybe("request response information", flag(properties.request_response_info))
            .maybe("authentication method", properties.authentication_method.as_deref())
            .maybe("authentication data", properties.authentication_data.as_deref())
            .with("user properties", pairs(&properties.user_properties)),
    };
    let Some(will) = &connect.last_will else { return description };
    let description = description.with("will", (will.qos as u8, will.retain, &will.topic, &will.message[..]));
    match &will.properties {
        None => description.with("will user properties", pairs(NONE)),
        Some(properties) => description
            .maybe("will delay interval", properties.delay_interval)
            .maybe("payload format", flag(properties.payload_format_indicator))
            .maybe("message expiry interval", properties.message_expiry_interval)
            .maybe("content type", properties.content_type.as_deref())
            .maybe("response topic", properties.response_topic.as_deref())
            .maybe("correlation data", properties.correlation_data.as_deref())
            .with("will user properties", pairs(&properties.user_properties)),
    }
}

fn describe_v5_publish(publish: &v5::Publish) -> Description {
    let description = Description::of("PUBLISH")
        .with("flags", (publish.dup, publish.qos as u8, publish.retain))
        .with("topic", &publish.topic)
        .maybe("packet identifier", (publish.pkid != 0).then_some(publish.pkid))
        .with("payload", &publish.payload[..]);
    match &publish.properties {
        None => description.with("subscription identifiers", [0u32; 0]).with("user properties", pairs(NONE)),
        Some(properties) => description
            .maybe("payload format", flag(properties.payload_format_indicator))
            .maybe("message expiry interval", properties.message_expiry_interval)
            .maybe("topic alias", properties.topic_alias)
            .with("subscription identifiers", &properties.subscription_identifiers)
            .maybe("content type", properties.content_type.as_deref())
            .maybe("response topic", properties.response_topic.as_deref())
            .maybe("correlation data", properties.correlation_data.as_deref())
            .with("user properties", pairs(&properties.user_properties)),
    }
}

fn describe_v5_connack(connack: &v5::ConnAck) -> Description {
    let description = Description::of("CONNACK")
        .with("session present", connack.session_present)
        .with("reason code", ReasonCode::from_code(connack.code as u8).unwrap());
    let Some(properties) = &connack.properties else {
        return description.with("user properties", pairs(NONE));
    };
    description
        .maybe("session expiry interval", properties.session_expiry_interval)
        .maybe("receive maximum", properties.receive_max)
        .maybe("maximum qos", properties.max_qos)
        .maybe("retain available", flag(properties.retain_available))
        .maybe("maximum packet size", properties.max_packet_size)
        .maybe("assigned client identifier", properties.assigned_client_identifier.as_deref())
        .maybe("topic alias maximum", properties.topic_alias_max)
        .maybe("reason string", properties.reason_string.as_deref())
        .with("user properties", pairs(&properties.user_properties))
        .maybe("wildcard subscription", flag(properties.wildcard_subscription_available))
        .maybe("subscription identifiers", flag(properties.subscription_identifiers_available))
        .maybe("shared subscription", flag(properties.shared_subscription_available))
        .maybe("server keep alive", properties.server_keep_alive)
        .maybe("response information", properties.response_information.as_deref())
        .maybe("server reference", properties.server_reference.as_deref())
        .maybe("authentication method", properties.authentication_method.as_deref())
        .maybe("authentication data", properties.authentication_data.as_deref())
}
