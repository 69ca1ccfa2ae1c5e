//! Traces over OTLP: a collector of the test takes what the broker tells, and decodes it.

use std::collections::BTreeMap;
use std::sync::mpsc;

use dunlin_codec::{
    MessageProperties, Packet, PacketIdentifier, Publish, QoS, UserProperties, encode_user_properties,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message;

use crate::support::client::{Client, bytes_of, tcp};
use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::support::process::DEADLINE;
use crate::support::service::{Reply, Service};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_ID: &str = "00f067aa0ba902b7";

/// A collector that answers with this status, and what it is told.
fn collector(status: u16) -> (Service, mpsc::Receiver<ExportTraceServiceRequest>) {
    let (told, requests) = mpsc::channel();
    let service = Service::start(move |request| {
        assert!(request.head.to_ascii_lowercase().contains("content-type: application/x-protobuf"));
        let decoded = ExportTraceServiceRequest::decode(&*request.bytes).expect("it is OTLP");
        // The test may be over.
        let _ = told.send(decoded);
        Reply::Answer(status, String::new())
    });
    (service, requests)
}

/// The spans of a request, with the name of the service.
fn spans(request: ExportTraceServiceRequest) -> Vec<(String, Span)> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
        let name = format!("{:?}", name.and_then(|name| name.value?.value));
        let of_scopes = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        spans.extend(of_scopes.map(|span| (name.clone(), span)));
    }
    spans
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A PUBLISH at QoS 1 with these User Properties.
fn publish(topic: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    let block = encode_user_properties(pairs);
    let properties = MessageProperties {
        user_properties: UserProperties::from_encoded(&block),
        ..MessageProperties::default()
    };
    let packet_identifier = PacketIdentifier::new(1);
    let qos = QoS::AtLeastOnce;
    bytes_of(&Packet::Publish(Publish {
        qos,
        topic,
        packet_identifier,
        payload: b"22.5",
        properties,
        ..Publish::default()
    }))
}

fn publish_and_wait(client: &mut Client, topic: &str, pairs: &[(&str, &str)]) {
    client.send(&publish(topic, pairs));
    client.next(|packet| assert!(matches!(packet, Some(Packet::PubAck(_))), "{packet:?} instead of PUBACK"));
}

fn start(directory: &std::path::Path, service: &Service) -> (Dunlin, Client) {
    let config = format!(
        "otlp.endpoint = '{}'\n{QUIET}listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n",
        service.url()
    );
    let mut dunlin = Dunlin::start(directory, &config);
    let client = Client::connected(tcp(dunlin.address(0)), "thermometer");
    (dunlin, client)
}

#[test]
fn a_publication_with_a_trace_context_is_a_span_of_that_trace_and_its_subscribers_get_the_context() {
    let directory = directory();
    let (service, requests) = collector(200);
    let (mut dunlin, mut client) = start(directory.path(), &service);
    let mut subscriber = Client::connected(tcp(dunlin.address(0)), "subscriber");
    subscriber.subscribe("plant/#");
    let traceparent = format!("00-{TRACE_ID}-{PARENT_ID}-01");
    let pairs = [("unit", "C"), ("traceparent", &traceparent), ("tracestate", "vendor=1")];
    // None of these is for the collector: no context, no such version of one, one that is not to be sampled.
    for other in ["", "00-0-0-01", &format!("00-{TRACE_ID}-{PARENT_ID}-00")] {
        publish_and_wait(&mut client, "elsewhere", &[("traceparent", other)]);
    }
    publish_and_wait(&mut client, "elsewhere", &[]);
    publish_and_wait(&mut client, "plant/7", &pairs);
    subscriber.next(|packet| match packet {
        Some(Packet::Publish(publish)) => {
            assert_eq!(publish.properties.user_properties.iter().collect::<Vec<_>>(), pairs);
        }
        other => panic!("{other:?} instead of PUBLISH"),
    });
    let mut told = spans(requests.recv_timeout(DEADLINE).expect("the collector is told"));
    assert_eq!(told.len(), 1);
    let (service_name, span) = told.remove(0);
    assert!(service_name.contains("\"dunlin\""), "{service_name}");
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE_ID.to_owned(), PARENT_ID.to_owned()));
    assert!(span.span_id.len() == 8 && hex(&span.span_id) != PARENT_ID && span.span_id != [0; 8]);
    assert_eq!(
        (span.name.as_str(), span.kind, span.trace_state.as_str()),
        ("publish", SpanKind::Consumer as i32, "vendor=1")
    );
    assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano);
    let attributes: BTreeMap<_, _> = span
        .attributes
        .into_iter()
        .filter_map(|attribute| Some((attribute.key, attribute.value?.value?)))
        .collect();
    let text = |value: &str| Some(Value::StringValue(value.to_owned()));
    assert_eq!(attributes.get("messaging.destination.name").cloned(), text("plant/7"));
    assert_eq!(attributes.get("messaging.client.id").cloned(), text("thermometer"));
    assert_eq!(attributes.get("messaging.message.body.size"), Some(&Value::IntValue(4)));
    assert_eq!(attributes.get("mqtt.qos"), Some(&Value::IntValue(1)));
    assert_eq!(attributes.get("mqtt.has_subscribers"), Some(&Value::BoolValue(true)));
}

#[test]
fn the_last_spans_are_sent_at_a_stop_and_a_collector_that_fails_is_named_in_the_log() {
    let directory = directory();
    let (service, requests) = collector(503);
    let (dunlin, mut client) = start(directory.path(), &service);
    let traceparent = format!("00-{TRACE_ID}-{PARENT_ID}-01");
    publish_and_wait(&mut client, "plant/7", &[("traceparent", &traceparent)]);
    let log = dunlin.stop().error;
    assert_eq!(spans(requests.recv_timeout(DEADLINE).expect("the collector is told")).len(), 1);
    let line =
        log.lines().find(|line| line.contains("traces cannot be sent")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&service.url()) && line.contains("the answer has status 503"), "{line}");
}

#[test]
fn a_file_of_authorities_for_the_collector_that_cannot_be_read_is_named_by_check_and_serve() {
    let directory = directory();
    let config = format!("{QUIET}otlp.endpoint = 'https://127.0.0.1:1/'\notlp.ca_file = 'nowhere.pem'\n");
    write(directory.path(), "dunlin.toml", &config);
    for command in ["check", "serve"] {
        let (status, _, error) = crate::run(directory.path(), &[command, "--config", "dunlin.toml"]);
        assert!(
            status == 2 && error.starts_with("dunlin.toml:5: otlp.ca_file: nowhere.pem"),
            "{status} {error}"
        );
    }
}
