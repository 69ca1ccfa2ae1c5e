//! Our packets, described as the oracles see them.

use dunlin_codec::{
    Acknowledgement, ConnAck, ConnAckProperties, Connect, MessageProperties, Packet, Publish, QoS,
    UserProperties,
};

use super::description::Description;

/// What one oracle does not tell apart.
#[derive(Clone, Copy)]
struct View {
    /// Absent user name and password are empty.
    merges_login: bool,
    /// Properties of CONNECT, CONNACK and PUBLISH that are absent have their defaults.
    fills_in_defaults: bool,
}

pub(crate) fn describe_for_mqttbytes(packet: &Packet<'_>) -> Description {
    describe(packet, View { merges_login: true, fills_in_defaults: false })
}

pub(crate) fn describe_for_rmqtt(packet: &Packet<'_>) -> Description {
    describe(packet, View { merges_login: false, fills_in_defaults: true })
}

impl View {
    fn or_default<T>(self, value: Option<T>, default: T) -> Option<T> {
        if self.fills_in_defaults { value.or(Some(default)) } else { value }
    }
}

fn describe(packet: &Packet<'_>, view: View) -> Description {
    let name = packet.packet_type().name();
    let start = Description::of(name);
    match packet {
        Packet::Connect(connect) => describe_connect(start, connect, view),
        Packet::ConnAck(connack) => describe_connack(start, connack, view),
        Packet::Publish(publish) => describe_publish(start, publish, view),
        Packet::PubAck(packet)
        | Packet::PubRec(packet)
        | Packet::PubRel(packet)
        | Packet::PubComp(packet) => describe_acknowledgement(start, packet),
        Packet::Subscribe(subscribe) => start
            .with("packet identifier", subscribe.packet_identifier.get())
            .maybe("subscription identifier", subscribe.subscription_identifier)
            .with("user properties", user_properties(&subscribe.user_properties))
            .with(
                "filters",
                subscribe
                    .filters
                    .iter()
                    .map(|(filter, options)| (filter.as_str(), options.bits()))
                    .collect::<Vec<_>>(),
            ),
        Packet::SubAck(suback) => start
            .with("packet identifier", suback.packet_identifier.get())
            .with("reason codes", suback.reason_codes)
            .maybe("reason string", suback.reason_string)
            .with("user properties", user_properties(&suback.user_properties)),
        Packet::Unsubscribe(unsubscribe) => start
            .with("packet identifier", unsubscribe.packet_identifier.get())
            .with("user properties", user_properties(&unsubscribe.user_properties))
            .with("filters", unsubscribe.filters.iter().map(|filter| filter.as_str()).collect::<Vec<_>>()),
        Packet::UnsubAck(unsuback) => start
            .with("packet identifier", unsuback.packet_identifier.get())
            .with("reason codes", unsuback.reason_codes)
            .maybe("reason string", unsuback.reason_string)
            .with("user properties", user_properties(&unsuback.user_properties)),
        Packet::PingReq | Packet::PingResp => start,
        Packet::Disconnect(disconnect) => start
            .with("reason code", disconnect.reason_code.code())
            .maybe("session expiry interval", disconnect.session_expiry_interval_s)
            .maybe("reason string", disconnect.reason_string)
            .maybe("server reference", disconnect.server_reference)
            .with("user properties", user_properties(&disconnect.user_properties)),
        Packet::Auth(auth) => start
            .with("reason code", auth.reason_code.code())
            .maybe("authentication method", auth.method)
            .maybe("authentication data", auth.data)
            .maybe("reason string", auth.reason_string)
            .with("user properties", user_properties(&auth.user_properties)),
    }
}

fn user_properties<'a>(properties: &UserProperties<'a>) -> Vec<(&'a str, &'a str)> {
    properties.iter().collect()
}

fn describe_connect(start: Description, connect: &Connect<'_>, view: View) -> Description {
    let properties = &connect.properties;
    let mut description = start
        .with("version", connect.version.level())
        .with("clean start", connect.clean_start)
        .with("keep alive", connect.keep_alive_s)
        .with("client identifier", connect.client_identifier)
        .maybe("session expiry interval", view.or_default(properties.session_expiry_interval_s, 0))
        .maybe("receive maximum", properties.receive_maximum)
        .maybe("maximum packet size", properties.maximum_packet_size)
        .maybe("topic alias maximum", view.or_default(properties.topic_alias_maximum, 0))
        .maybe("request problem information", view.or_default(properties.request_problem_information, true))
        .maybe(
            "request response information",
            view.or_default(properties.request_response_information, false),
        )
        .maybe("authentication method", properties.authentication_method)
        .maybe("authentication data", properties.authentication_data)
        .with("user properties", user_properties(&properties.user_properties));
    if view.merges_login {
        description = description
            .with("user name", connect.user_name.unwrap_or_default())
            .with("password", connect.password.unwrap_or_default());
    } else {
        description = description.maybe("user name", connect.user_name).maybe("password", connect.password);
    }
    let Some(will) = &connect.will else { return description };
    let description = description
        .with("will", (will.qos.bits(), will.retain, will.topic, will.payload))
        .maybe("will delay interval", will.delay_interval_s)
        .maybe("payload format", will.properties.payload_format_is_utf8);
    describe_message(description, &will.properties, "will user properties")
}

fn describe_message(
    start: Description,
    properties: &MessageProperties<'_>,
    name_of_user_properties: &'static str,
) -> Description {
    start
        .maybe("message expiry interval", properties.message_expiry_interval_s)
        .maybe("content type", properties.content_type)
        .maybe("response topic", properties.response_topic)
        .maybe("correlation data", properties.correlation_data)
        .with(name_of_user_properties, user_properties(&properties.user_properties))
}

fn describe_publish(start: Description, publish: &Publish<'_>, view: View) -> Description {
    let description = start
        .with("flags", (publish.dup, publish.qos.bits(), publish.retain))
        .with("topic", publish.topic)
        .maybe("packet identifier", publish.packet_identifier.map(|identifier| identifier.get()))
        .maybe("topic alias", publish.topic_alias)
        .maybe("payload format", view.or_default(publish.properties.payload_format_is_utf8, false))
        .with("subscription identifiers", publish.subscription_identifiers.iter().collect::<Vec<_>>())
        .with("payload", publish.payload);
    describe_message(description, &publish.properties, "user properties")
}

fn describe_connack(start: Description, connack: &ConnAck<'_>, view: View) -> Description {
    let properties: &ConnAckProperties<'_> = &connack.properties;
    start
        .with("session present", connack.session_present)
        .with("reason code", connack.reason_code)
        .maybe("session expiry interval", properties.session_expiry_interval_s)
        .maybe("receive maximum", view.or_default(properties.receive_maximum, u16::MAX))
        .maybe("maximum qos", view.or_default(properties.maximum_qos, QoS::ExactlyOnce).map(QoS::bits))
        .maybe("retain available", view.or_default(properties.retain_available, true))
        .maybe("maximum packet size", properties.maximum_packet_size)
        .maybe("assigned client identifier", properties.assigned_client_identifier)
        .maybe("topic alias maximum", view.or_default(properties.topic_alias_maximum, 0))
        .maybe("reason string", properties.reason_string)
        .with("user properties", user_properties(&properties.user_properties))
        .maybe("wildcard subscription", view.or_default(properties.wildcard_subscription_available, true))
        .maybe(
            "subscription identifiers",
            view.or_default(properties.subscription_identifiers_available, true),
        )
        .maybe("shared subscription", view.or_default(properties.shared_subscription_available, true))
        .maybe("server keep alive", properties.server_keep_alive_s)
        .maybe("response information", properties.response_information)
        .maybe("server reference", properties.server_reference)
        .maybe("authentication method", properties.authentication_method)
        .maybe("authentication data", properties.authentication_data)
}

fn describe_acknowledgement(start: Description, packet: &Acknowledgement<'_>) -> Description {
    start
        .with("packet identifier", packet.packet_identifier.get())
        .with("reason code", packet.reason_code.code())
        .maybe("reason string", packet.reason_string)
        .with("user properties", user_properties(&packet.user_properties))
}
