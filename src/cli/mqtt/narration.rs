//! What is said on standard error: refusals and losses, and with `--debug` each packet as a line, in the words of
//! mosquitto's clients.

use std::sync::Arc;

use dunlin_codec::{Acknowledgement, Packet, PacketIdentifier, Publish, ReasonCode};

use crate::client::{Observer, Way, harmless};

/// What was refused, with the Reason Code's name.
pub fn refusal(what: &str, reason_code: ReasonCode, explanation: Option<String>) -> String {
    let explanation = explanation.map(|text| format!(": {}", harmless(&text))).unwrap_or_default();
    format!("{what}: {reason_code} (0x{:02X}){explanation}", reason_code.code())
}

/// Says a sentence on standard error.
pub fn say(is_quiet: bool, sentence: &str) {
    if !is_quiet {
        eprintln!("dunlin: {sentence}");
    }
}

/// Tells of each packet.
pub fn observer() -> Observer {
    Arc::new(|client_identifier, way, packet| {
        let name = if client_identifier.is_empty() { "(null)" } else { client_identifier };
        let verb = match way {
            Way::In => "received",
            Way::Out => "sending",
        };
        for line in lines(packet) {
            eprintln!("Client {} {verb} {line}", harmless(name));
        }
    })
}

fn lines(packet: &Packet<'_>) -> Vec<String> {
    let one = match packet {
        Packet::Connect(_) => "CONNECT".to_owned(),
        Packet::ConnAck(connack) => format!("CONNACK ({})", connack.reason_code.code()),
        Packet::Publish(publish) => message(publish),
        Packet::PubAck(ack) => acknowledgement("PUBACK", ack),
        Packet::PubRec(ack) => acknowledgement("PUBREC", ack),
        Packet::PubRel(ack) => acknowledgement("PUBREL", ack),
        Packet::PubComp(ack) => acknowledgement("PUBCOMP", ack),
        Packet::Subscribe(subscribe) => {
            let identifier = subscribe.packet_identifier;
            let line = |(filter, options): (
                dunlin_codec::SubscriptionFilter<'_>,
                dunlin_codec::SubscriptionOptions,
            )| {
                let (qos, bits) = (options.maximum_qos.bits(), options.bits() & !0b11);
                format!("SUBSCRIBE (Mid: {identifier}, Topic: {filter}, QoS: {qos}, Options: 0x{bits:02x})")
            };
            return subscribe.filters.iter().map(line).collect();
        }
        Packet::Unsubscribe(unsubscribe) => {
            let identifier = unsubscribe.packet_identifier;
            let line = |filter| format!("UNSUBSCRIBE (Mid: {identifier}, Topic: {filter})");
            return unsubscribe.filters.iter().map(line).collect();
        }
        Packet::SubAck(suback) => {
            let codes: Vec<_> = suback.reason_codes.iter().map(u8::to_string).collect();
            format!("SUBACK (Mid: {}): {}", suback.packet_identifier, codes.join(", "))
        }
        Packet::UnsubAck(unsuback) => format!("UNSUBACK (Mid: {})", unsuback.packet_identifier),
        Packet::PingReq => "PINGREQ".to_owned(),
        Packet::PingResp => "PINGRESP".to_owned(),
        Packet::Disconnect(disconnect) => match disconnect.reason_code.code() {
            0 => "DISCONNECT".to_owned(),
            code => format!("DISCONNECT ({code})"),
        },
        Packet::Auth(auth) => format!("AUTH ({})", auth.reason_code.code()),
    };
    vec![one]
}

fn message(publish: &Publish<'_>) -> String {
    format!(
        "PUBLISH (d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
        u8::from(publish.dup),
        publish.qos.bits(),
        u8::from(publish.retain),
        publish.packet_identifier.map_or(0, PacketIdentifier::get),
        harmless(publish.topic),
        publish.payload.len()
    )
}

fn acknowledgement(name: &str, ack: &Acknowledgement<'_>) -> String {
    format!("{name} (Mid: {}, RC:{})", ack.packet_identifier, ack.reason_code.code())
}
