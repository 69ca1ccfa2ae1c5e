//! rmqtt-codec 0.3 as an oracle for all versions.

use bytes::BytesMut;
use dunlin_codec::{ProtocolVersion, ReasonCode};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Decoder;

use super::description::{Description, pairs};

pub(crate) fn read(bytes: &[u8], version: ProtocolVersion) -> Option<Description> {
    let mut stream = BytesMut::from(bytes);
    match version {
        ProtocolVersion::V5 => {
            let (packet, _) = v5::Codec::new(0, 0).decode(&mut stream).ok()??;
            Some(describe_v5(&packet))
        }
        _ => {
            let (packet, _) = v3::Codec::new(0).decode(&mut stream).ok()??;
            Some(describe_v3(&packet, version))
        }
    }
}

/// MQTT 3.x has no properties: what our description prints for every packet that could have them.
const NONE: [(&str, &str); 0] = [];

fn describe_v3(packet: &v3::Packet, version: ProtocolVersion) -> Description {
    let acknowledgement = |name, identifier: &std::num::NonZeroU16| {
        Description::of(name)
            .with("packet identifier", identifier)
            .with("reason code", 0)
            .with("user properties", NONE)
    };
    match packet {
        v3::Packet::Connect(connect) => describe_v3_connect(connect),
        v3::Packet::ConnectAck(connack) => Description::of("CONNACK")
            .with("session present", connack.session_present && version != ProtocolVersion::V3_1)
            .with("reason code", ReasonCode::from_return_code(connack.return_code as u8).unwrap())
            .with("receive maximum", u16::MAX)
            .with("maximum qos", 2)
            .with("retain available", true)
            .with("topic alias maximum", 0)
            .with("wildcard subscription", true)
            .with("subscription identifiers", true)
            .with("shared subscription", true)
            .with("user properties", NONE),
        v3::Packet::Publish(publish) => Description::of("PUBLISH")
            .with("flags", (publish.dup, publish.qos as u8, publish.retain))
            .with("topic", &*publish.topic)
            .maybe("packet identifier", publish.packet_id)
            .with("payload format", false)
            .with("subscription identifiers", [0u32; 0])
            .with("payload", &publish.payload[..])
            .with("user properties", NONE),
        v3::Packet::PublishAck { packet_id } => acknowledgement("PUBACK", packet_id),
        v3::Packet::PublishReceived { packet_id } => acknowledgement("PUBREC", packet_id),
        v3::Packet::PublishRelease { packet_id } => acknowledgement("PUBREL", packet_id),
        v3::Packet::PublishComplete { packet_id } => acknowledgement("PUBCOMP", packet_id),
        v3::Packet::Subscribe { packet_id, topic_filters } => Description::of("SUBSCRIBE")
            .with("packet identifier", packet_id)
            .with(
                "filters",
                topic_filters.iter().map(|(filter, qos)| (&**filter, *qos as u8)).collect::<Vec<_>>(),
            )
            .with("user properties", NONE),
        v3::Packet::SubscribeAck { packet_id, status } => Description::of("SUBACK")
            .with("packet identifier", packet_id)
            .with("reason codes", status.iter().map(v3_code).collect::<Vec<_>>())
            .with("user properties", NONE),
        v3::Packet::Unsubscribe { packet_id, topic_filters } => Description::of("UNSUBSCRIBE")
            .with("packet identifier", packet_id)
            .with("filters", topic_filters.iter().map(|filter| &**filter).collect::<Vec<_>>())
            .with("user properties", NONE),
        v3::Packet::UnsubscribeAck { packet_id } => Description::of("UNSUBACK")
            .with("packet identifier", packet_id)
            .with("reason codes", [0u8; 0])
            .with("user properties", NONE),
        v3::Packet::PingRequest => Description::of("PINGREQ"),
        v3::Packet::PingResponse => Description::of("PINGRESP"),
        v3::Packet::Disconnect => {
            Description::of("DISCONNECT").with("reason code", 0).with("user properties", NONE)
        }
    }
}

fn v3_code(code: &v3::SubscribeReturnCode) -> u8 {
    match code {
        v3::SubscribeReturnCode::Success(qos) => *qos as u8,
        v3::SubscribeReturnCode::Failure => 0x80,
    }
}

fn describe_v3_connect(connect: &v3::Connect) -> Description {
    let description = Description::of("CONNECT")
        .with("version", connect.protocol.level())
        .with("clean start", connect.clean_session)
        .with("keep alive", connect.keep_alive)
        .with("client identifier", &*connect.client_id)
        .with("session expiry interval", 0)
        .with("topic alias maximum", 0)
        .with("request problem information", true)
        .with("request response information", false)
        .maybe("user name", connect.username.as_deref())
        .maybe("password", connect.password.as_deref())
        .with("user properties", NONE);
    let Some(will) = &connect.last_will else { return description };
    description
        .with("will", (will.qos as u8, will.retain, &*will.topic, &will.message[..]))
        .with("will user properties", NONE)
}

fn describe_v5(packet: &v5::Packet) -> Description {
    match packet {
        v5::Packet::Connect(connect) => describe_v5_connect(connect),
        v5::Packet::ConnectAck(connack) => describe_v5_connack(connack),
        v5::Packet::Publish(publish) => {
            let properties = publish.properties.clone().unwrap_or_default();
            Description::of("PUBLISH")
                .with("flags", (publish.dup, publish.qos as u8, publish.retain))
                .with("topic", &*publish.topic)
                .maybe("packet identifier", publish.packet_id)
                .maybe("topic alias", properties.topic_alias)
                .with("payload format", properties.is_utf8_payload)
                .with("subscription identifiers", &properties.subscription_ids)
                .with("payload", &publish.payload[..])
                .maybe("message expiry interval", properties.message_expiry_interval)
                .maybe("content type", properties.content_type.as_deref())
                .maybe("response topic", properties.response_topic.as_deref())
                .maybe("correlation data", properties.correlation_data.as_deref())
                .with("user properties", pairs(&properties.user_properties))
        }
        v5::Packet::PublishAck(packet) => describe_v5_ack("PUBACK", packet),
        v5::Packet::PublishReceived(packet) => describe_v5_ack("PUBREC", packet),
        v5::Packet::PublishRelease(packet) => describe_v5_ack2("PUBREL", packet),
        v5::Packet::PublishComplete(packet) => describe_v5_ack2("PUBCOMP", packet),
        v5::Packet::Subscribe(subscribe) => Description::of("SUBSCRIBE")
            .with("packet identifier", subscribe.packet_id)
            .maybe("subscription identifier", subscribe.id)
            .with("user properties", pairs(&subscribe.user_properties))
            .with("filters", subscribe.topic_filters.iter().map(v5_filter).collect::<Vec<_>>()),
        v5::Packet::SubscribeAck(suback) => Description::of("SUBACK")
            .with("packet identifier", suback.packet_id)
            .with("reason codes", suback.status.iter().map(|code| *code as u8).collect::<Vec<_>>())
            .maybe("reason string", suback.reason_string.as_deref())
            .with("user properties", pairs(&suback.properties)),
        v5::Packet::Unsubscribe(unsubscribe) => Description::of("UNSUBSCRIBE")
            .with("packet identifier", unsubscribe.packet_id)
            .with("user properties", pairs(&unsubscribe.user_properties))
            .with("filters", unsubscribe.topic_filters.iter().map(|filter| &**filter).collect::<Vec<_>>()),
        v5::Packet::UnsubscribeAck(unsuback) => Description::of("UNSUBACK")
            .with("packet identifier", unsuback.packet_id)
            .with("reason codes", unsuback.status.iter().map(|code| *code as u8).collect::<Vec<_>>())
            .maybe("reason string", unsuback.reason_string.as_deref())
            .with("user properties", pairs(&unsuback.properties)),
        v5::Packet::PingRequest => Description::of("PINGREQ"),
        v5::Packet::PingResponse => Description::of("PINGRESP"),
        v5::Packet::Disconnect(disconnect) => Description::of("DISCONNECT")
            .with("reason code", disconnect.reason_code as u8)
            .maybe("session expiry interval", disconnect.session_expiry_interval_secs)
            .maybe("reason string", disconnect.reason_string.as_deref())
            .maybe("server reference", disconnect.server_reference.as_deref())
            .with("user properties", pairs(&disconnect.user_properties)),
        v5::Packet::Auth(auth) => Description::of("AUTH")
            .with("reason code", auth.reason_code as u8)
            .maybe("authentication method", auth.auth_method.as_deref())
            .maybe("authentication data", auth.auth_data.as_deref())
            .maybe("reason string", auth.reason_string.as_deref())
            .with("user properties", pairs(&auth.user_properties)),
    }
}

fn describe_v5_ack(name: &'static str, packet: &v5::PublishAck) -> Description {
    Description::of(name)
        .with("packet identifier", packet.packet_id)
        .with("reason code", packet.reason_code as u8)
        .maybe("reason string", packet.reason_string.as_deref())
        .with("user properties", pairs(&packet.properties))
}

fn describe_v5_ack2(name: &'static str, packet: &v5::PublishAck2) -> Description {
    Description::of(name)
        .with("packet identifier", packet.packet_id)
        .with("reason code", packet.reason_code as u8)
        .maybe("reason string", packet.reason_string.as_deref())
        .with("user properties", pairs(&packet.properties))
}

fn v5_filter<S: std::ops::Deref<Target = str>>(
    (filter, options): &(S, v5::SubscriptionOptions),
) -> (&str, u8) {
    let flags = u8::from(options.no_local) << 2 | u8::from(options.retain_as_published) << 3;
    (filter, options.qos as u8 | flags | u8::from(options.retain_handling) << 4)
}

fn describe_v5_connect(connect: &v5::Connect) -> Description {
    let description = Description::of("CONNECT")
        .with("version", 5)
        .with("clean start", connect.clean_start)
        .with("keep alive", connect.keep_alive)
        .with("client identifier", &*connect.client_id)
        .with("session expiry interval", connect.session_expiry_interval_secs)
        .maybe("receive maximum", connect.receive_max)
        .maybe("maximum packet size", connect.max_packet_size)
        .with("topic alias maximum", connect.topic_alias_max)
        .with("request problem information", connect.request_problem_info)
        .with("request response information", connect.request_response_info)
        .maybe("authentication method", connect.auth_method.as_deref())
        .maybe("authentication data", connect.auth_data.as_deref())
        .maybe("user name", connect.username.as_deref())
        .maybe("password", connect.password.as_deref())
        .with("user properties", pairs(&connect.user_properties));
    let Some(will) = &connect.last_will else { return description };
    description
        .with("will", (will.qos as u8, will.retain, &*will.topic, &will.message[..]))
        .maybe("will delay interval", will.will_delay_interval_sec)
        .maybe("payload format", will.is_utf8_payload)
        .maybe("message expiry interval", will.message_expiry_interval)
        .maybe("content type", will.content_type.as_deref())
        .maybe("response topic", will.response_topic.as_deref())
        .maybe("correlation data", will.correlation_data.as_deref())
        .with("will user properties", pairs(&will.user_properties))
}

fn describe_v5_connack(connack: &v5::ConnectAck) -> Description {
    Description::of("CONNACK")
        .with("session present", connack.session_present)
        .with("reason code", ReasonCode::from_code(connack.reason_code as u8).unwrap())
        .maybe("session expiry interval", connack.session_expiry_interval_secs)
        .with("receive maximum", connack.receive_max)
        .with("maximum qos", connack.max_qos as u8)
        .with("retain available", connack.retain_available)
        .maybe("maximum packet size", connack.max_packet_size)
        .maybe("assigned client identifier", connack.assigned_client_id.as_deref())
        .with("topic alias maximum", connack.topic_alias_max)
        .maybe("reason string", connack.reason_string.as_deref())
        .with("user properties", pairs(&connack.user_properties))
        .with("wildcard subscription", connack.wildcard_subscription_available)
        .with("subscription identifiers", connack.subscription_identifiers_available)
        .with("shared subscription", connack.shared_subscription_available)
        .maybe("server keep alive", connack.server_keepalive_sec)
        .maybe("response information", connack.response_info.as_deref())
        .maybe("server reference", connack.server_reference.as_deref())
        .maybe("authentication method", connack.auth_method.as_deref())
        .maybe("authentication data", connack.auth_data.as_deref())
}
