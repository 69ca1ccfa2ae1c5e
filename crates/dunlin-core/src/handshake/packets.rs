//! The packets of a handshake: CONNACK that accepts, CONNACK that refuses, AUTH.

use super::ConnectRequest;
use crate::settings::Settings;
use dunlin_codec::{Auth, ConnAck, ConnAckProperties, ProtocolVersion, ReasonCode};

/// An AUTH packet. Only 5.0 clients that named a method get one.
// spec(v5): [MQTT-4.12.0-2] [MQTT-4.12.0-6]
pub(crate) fn auth_bytes(reason_code: ReasonCode, method: Option<&str>, data: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let auth = Auth { data, ..Auth::new(reason_code, method) };
    auth.encode(ProtocolVersion::V5, &mut bytes);
    bytes
}

/// The CONNACK that accepts.
pub(crate) fn connack(request: &ConnectRequest, settings: &Settings, session_present: bool) -> Vec<u8> {
    let granted_expiry = request.granted_expiry(settings);
    let authentication = request.authentication.as_ref();
    // spec(v5): [MQTT-3.1.2-28]
    let response_information = settings
        .response_information
        .as_ref()
        .filter(|_| request.request_response_information)
        .map(|template| template.replace("%c", request.client_identifier.as_str()));
    let properties = ConnAckProperties {
        session_expiry_interval_s: (granted_expiry != request.session_expiry)
            .then(|| granted_expiry.as_seconds()),
        receive_maximum: (settings.receive_maximum != u16::MAX).then_some(settings.receive_maximum),
        maximum_packet_size: Some(request.accepted_packet_size_bytes),
        // spec(v5): [MQTT-3.2.2-16]
        assigned_client_identifier: request.is_assigned.then_some(request.client_identifier.as_str()),
        topic_alias_maximum: (settings.topic_alias_maximum > 0).then_some(settings.topic_alias_maximum),
        // spec(v5): [MQTT-3.1.2-21]
        server_keep_alive_s: request.server_keep_alive_s(settings),
        response_information: response_information.as_deref(),
        // spec(v5): [MQTT-4.12.0-5] [MQTT-4.12.0-6]
        authentication_method: authentication.map(|authentication| &*authentication.method),
        authentication_data: authentication.and_then(|authentication| authentication.data.as_deref()),
        ..ConnAckProperties::default()
    };
    let mut bytes = Vec::new();
    let connack = ConnAck { session_present, reason_code: ReasonCode::Success, properties };
    connack.encode(request.version, &mut bytes);
    bytes
}

/// A CONNACK that refuses. The Reason String is left out if it would not fit, and if nothing fits there are
/// no bytes.
// spec(v5): [MQTT-3.2.2-19] [MQTT-3.1.2-24]
pub fn refusal_bytes(
    version: ProtocolVersion,
    reason_code: ReasonCode,
    detail: Option<&str>,
    maximum_packet_size_bytes: u32,
) -> Vec<u8> {
    let encode = |reason_string| {
        let mut bytes = Vec::new();
        let properties = ConnAckProperties { reason_string, ..ConnAckProperties::default() };
        ConnAck { session_present: false, reason_code, properties }.encode(version, &mut bytes);
        bytes
    };
    let fits = |bytes: &Vec<u8>| bytes.len() <= maximum_packet_size_bytes as usize;
    [detail, None].into_iter().map(encode).find(fits).unwrap_or_default()
}
