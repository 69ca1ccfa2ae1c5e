//! The specification's two tables that scripts speak in: properties (section 2.2.2.2) and Reason Codes
//! (section 2.4).
//!
//! They are written down here a second time on purpose. The suite has its own encoder and decoder and shares
//! neither a table nor a function with the broker, so that a wrong number in the codec cannot agree with
//! itself.

/// How a property's value is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Byte,
    TwoBytes,
    FourBytes,
    VariableByteInteger,
    Text,
    Binary,
    TextPair,
}

use Layout::*;

/// Identifier, the specification's name as scripts write it, layout.
pub const PROPERTIES: &[(u8, &str, Layout)] = &[
    (0x01, "payload_format_indicator", Byte),
    (0x02, "message_expiry_interval", FourBytes),
    (0x03, "content_type", Text),
    (0x08, "response_topic", Text),
    (0x09, "correlation_data", Binary),
    (0x0B, "subscription_identifier", VariableByteInteger),
    (0x11, "session_expiry_interval", FourBytes),
    (0x12, "assigned_client_identifier", Text),
    (0x13, "server_keep_alive", TwoBytes),
    (0x15, "authentication_method", Text),
    (0x16, "authentication_data", Binary),
    (0x17, "request_problem_information", Byte),
    (0x18, "delay_interval", FourBytes),
    (0x19, "request_response_information", Byte),
    (0x1A, "response_information", Text),
    (0x1C, "server_reference", Text),
    (0x1F, "reason_string", Text),
    (0x21, "receive_maximum", TwoBytes),
    (0x22, "topic_alias_maximum", TwoBytes),
    (0x23, "topic_alias", TwoBytes),
    (0x24, "maximum_qos", Byte),
    (0x25, "retain_available", Byte),
    (0x26, "user_property", TextPair),
    (0x27, "maximum_packet_size", FourBytes),
    (0x28, "wildcard_subscription_available", Byte),
    (0x29, "subscription_identifiers_available", Byte),
    (0x2A, "shared_subscription_available", Byte),
];

/// The Reason Codes. Code 0 has a name for each of its uses.
pub const REASONS: &[(u8, &str)] = &[
    (0x00, "success"),
    (0x00, "normal_disconnection"),
    (0x00, "granted_qos_0"),
    (0x01, "granted_qos_1"),
    (0x02, "granted_qos_2"),
    (0x04, "disconnect_with_will_message"),
    (0x10, "no_matching_subscribers"),
    (0x11, "no_subscription_existed"),
    (0x18, "continue_authentication"),
    (0x19, "re_authenticate"),
    (0x80, "unspecified_error"),
    (0x81, "malformed_packet"),
    (0x82, "protocol_error"),
    (0x83, "implementation_specific_error"),
    (0x84, "unsupported_protocol_version"),
    (0x85, "client_identifier_not_valid"),
    (0x86, "bad_user_name_or_password"),
    (0x87, "not_authorized"),
    (0x88, "server_unavailable"),
    (0x89, "server_busy"),
    (0x8A, "banned"),
    (0x8B, "server_shutting_down"),
    (0x8C, "bad_authentication_method"),
    (0x8D, "keep_alive_timeout"),
    (0x8E, "session_taken_over"),
    (0x8F, "topic_filter_invalid"),
    (0x90, "topic_name_invalid"),
    (0x91, "packet_identifier_in_use"),
    (0x92, "packet_identifier_not_found"),
    (0x93, "receive_maximum_exceeded"),
    (0x94, "topic_alias_invalid"),
    (0x95, "packet_too_large"),
    (0x96, "message_rate_too_high"),
    (0x97, "quota_exceeded"),
    (0x98, "administrative_action"),
    (0x99, "payload_format_invalid"),
    (0x9A, "retain_not_supported"),
    (0x9B, "qos_not_supported"),
    (0x9C, "use_another_server"),
    (0x9D, "server_moved"),
    (0x9E, "shared_subscriptions_not_supported"),
    (0x9F, "connection_rate_exceeded"),
    (0xA0, "maximum_connect_time"),
    (0xA1, "subscription_identifiers_not_supported"),
    (0xA2, "wildcard_subscriptions_not_supported"),
];

/// The return codes of a 3.x CONNACK (section 3.2.2.3 of 3.1.1), as the Reason Codes that say the same.
pub const RETURN_CODES: &[u8] = &[0x00, 0x84, 0x85, 0x88, 0x86, 0x87];

/// Identifier and layout of the property that scripts call `name`.
pub fn property(name: &str) -> Option<(u8, Layout)> {
    PROPERTIES
        .iter()
        .find(|(_, other, _)| *other == name)
        .map(|(identifier, _, layout)| (*identifier, *layout))
}

/// Name and layout of the property with this identifier.
pub fn property_with(identifier: u8) -> Option<(&'static str, Layout)> {
    PROPERTIES.iter().find(|(other, ..)| *other == identifier).map(|(_, name, layout)| (*name, *layout))
}

/// The Reason Code that scripts call `name`.
pub fn reason(name: &str) -> Option<u8> {
    REASONS.iter().find(|(_, other)| *other == name).map(|(code, _)| *code)
}

/// What scripts call this Reason Code.
pub fn reason_name(code: u8) -> String {
    let known = REASONS.iter().find(|(other, _)| *other == code);
    known.map_or_else(|| format!("{code:#04x}"), |(_, name)| (*name).to_owned())
}
