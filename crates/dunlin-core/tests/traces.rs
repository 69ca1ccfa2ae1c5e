//! What the runtime is told of publications that carry the context of a trace.

use dunlin_codec::{
    Connect, ConnectProperties, MessageProperties, ProtocolVersion, Publish, QoS, Split, UserProperties,
    encode_user_properties, split,
};
use dunlin_core::authenticate::no_mechanisms;
use dunlin_core::handshake::{Handshake, Next};
use dunlin_core::identity::Identity;
use dunlin_core::settings::Settings;
use dunlin_core::shard::{Output, ShardConfig, TracedPublication};
use dunlin_core::{Shard, Timestamp};
use std::num::NonZeroU16;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// What the shard tells when a client publishes this, after a topic alias was set for `plant/7`.
fn told(notes_traces: bool, publish: Publish<'_>) -> Vec<TracedPublication> {
    let settings = Settings { notes_traces, ..Settings::default() };
    let mut shard = Shard::new(ShardConfig::single(settings.clone()));
    let mut bytes = Vec::new();
    Connect {
        version: ProtocolVersion::V5,
        clean_start: true,
        keep_alive_s: 0,
        properties: ConnectProperties::default(),
        client_identifier: "thermometer",
        will: None,
        user_name: None,
        password: None,
    }
    .encode(ProtocolVersion::V5, &mut bytes);
    let mut handshake = Handshake::new(settings.maximum_packet_size_bytes);
    let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
    assert!(matches!(handshake.handle_frame(frame, &settings, &no_mechanisms(), 1), Next::Verify));
    let Next::Accepted(request) = handshake.accept(Identity::default()) else { panic!("it is let in") };
    let client = shard.handle_connect(NOW, *request);
    let mut packets = Vec::new();
    let alias = Publish { topic: "plant/7", topic_alias: NonZeroU16::new(1), ..Publish::default() };
    alias.encode(ProtocolVersion::V5, &mut packets);
    publish.encode(ProtocolVersion::V5, &mut packets);
    assert_eq!(shard.handle_input(NOW, client, &packets).consumed, packets.len());
    let outputs = std::iter::from_fn(|| shard.poll_output());
    let told = outputs.map(|output| match output {
        Output::Traced { connection, publication } if connection == client => *publication,
        other => panic!("{other:?}"),
    });
    told.collect()
}

fn with<'a>(block: &'a [u8]) -> Publish<'a> {
    let properties = MessageProperties {
        user_properties: UserProperties::from_encoded(block),
        ..MessageProperties::default()
    };
    Publish {
        qos: QoS::AtMostOnce,
        topic_alias: NonZeroU16::new(1),
        payload: b"22.5",
        properties,
        ..Publish::default()
    }
}

#[test]
fn a_publication_with_a_trace_context_is_told_with_the_topic_that_its_alias_stands_for() {
    let block = encode_user_properties(&[("a", "b"), ("traceparent", "00-1-2-01"), ("tracestate", "v=1")]);
    let expected = TracedPublication {
        traceparent: "00-1-2-01".into(),
        tracestate: Some("v=1".into()),
        topic: "plant/7".into(),
        qos: QoS::AtMostOnce,
        retain: false,
        payload_bytes: 4,
        received_at: NOW,
        has_subscribers: false,
    };
    assert_eq!(told(true, with(&block)), [expected]);
    assert_eq!(told(false, with(&block)), []);
}

#[test]
fn a_context_that_is_too_long_or_not_there_is_passed_over() {
    let long = "x".repeat(513);
    for pairs in [&[("tracestate", "v=1")][..], &[("traceparent", &long)], &[("TRACEPARENT", "00-1-2-01")]] {
        assert_eq!(told(true, with(&encode_user_properties(pairs))), [], "{pairs:?}");
    }
    let block = encode_user_properties(&[("traceparent", "00-1-2-01"), ("tracestate", &long)]);
    assert_eq!(told(true, with(&block))[0].tracestate, None);
}
