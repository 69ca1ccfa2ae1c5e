//! OpenTelemetry traces: a span for each PUBLISH that carries the context of a trace, sent to a collector (OTLP over HTTP,
//! protobuf).
//!
//! An application that traces puts `traceparent` (W3C Trace Context) among the User Properties of what it publishes. The
//! span here begins when the packet is read and ends when the turn has written the message to the subscribers of this
//! worker and handed it to the other workers. Its parent is the application's span, and so is the parent of what the
//! subscribers do: User Properties are forwarded as they are.
//!
//! What must stay true: a message never waits for a collector. Spans go into a bounded queue, which drops what it has no
//! room for, and one thread of their own sends them. Without `otlp.endpoint` there is nothing of this.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::shard::TracedPublication;
use dunlin_core::time::Timestamp;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider};

use crate::auth::web;
use crate::config::{Config, ConfigError, OtlpOptions, WebUrl};

/// Spans that wait to be sent; what comes beyond it is dropped.
const QUEUE_SPANS_MAX: usize = 4096;

/// How long spans are collected before they are sent.
const SEND_INTERVAL: Duration = Duration::from_secs(1);

/// How long the collector may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// How long the last spans may delay a stop.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// The largest answer of the collector that is read; it says little.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Tells a collector of traced publications.
pub struct Otlp {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

impl Otlp {
    /// Begins, if the configuration names a collector. It is not asked before there is something to tell.
    ///
    /// # Errors
    /// When the collector could never be reached: a file cannot be used, or the system trusts nobody.
    pub fn start(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(collector) = Collector::of(&config.otlp)
            .map_err(|(option, problem)| config.error(&format!("otlp.{option}"), None, problem))?
        else {
            return Ok(None);
        };
        let endpoint = collector.url.to_string();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(&endpoint)
            .with_timeout(ANSWER_DEADLINE)
            .build()
            .map_err(|error| {
                config.error("otlp.endpoint", Some(format!("\"{endpoint}\"")), error.to_string())
            })?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS_MAX)
            .with_scheduled_delay(SEND_INTERVAL)
            .build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(queue).build())
            .with_resource(Resource::builder().with_service_name("dunlin").with_attribute(version).build())
            .build();
        let tracer = provider.tracer("dunlin");
        Ok(Some(Self { provider, tracer, propagator: TraceContextPropagator::new() }))
    }

    /// Tells of a publication that has just been delivered. One whose context is none, or that its application does not
    /// want sampled, is passed over.
    pub fn published(
        &self,
        client: Option<&ClientIdentifier>,
        publication: TracedPublication,
        delivered_at: Timestamp,
    ) {
        let parent = self.propagator.extract_with_context(&Context::new(), &Carrier(&publication));
        if !parent.span().span_context().is_valid() {
            return;
        }
        let TracedPublication { topic, qos, retain, payload_bytes, received_at, has_subscribers, .. } =
            publication;
        let mut attributes = vec![
            KeyValue::new("messaging.system", "mqtt"),
            KeyValue::new("messaging.operation.name", "publish"),
            KeyValue::new("messaging.destination.name", topic.into_string()),
            KeyValue::new("messaging.message.body.size", i64::try_from(payload_bytes).unwrap_or(i64::MAX)),
            KeyValue::new("mqtt.qos", i64::from(qos.bits())),
            KeyValue::new("mqtt.retain", retain),
            KeyValue::new("mqtt.has_subscribers", has_subscribers),
        ];
        attributes
            .extend(client.map(|client| KeyValue::new("messaging.client.id", client.as_str().to_owned())));
        let builder = self.tracer.span_builder("publish").with_kind(SpanKind::Consumer);
        let builder = builder.with_start_time(time(received_at)).with_attributes(attributes);
        self.tracer.build_with_context(builder, &parent).end_with_timestamp(time(delivered_at));
    }

    /// Sends what is there, and ends.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(STOP_DEADLINE) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Where the context of a publication is.
struct Carrier<'a>(&'a TracedPublication);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(&self.0.traceparent),
            "tracestate" => self.0.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The way to the collector.
pub(crate) struct Collector {
    url: WebUrl,
    agent: ureq::Agent,
    is_down: Arc<AtomicBool>,
}

impl Collector {
    /// That of a configuration, if it names one. The error names the option.
    pub fn of(options: &OtlpOptions) -> Result<Option<Self>, (&'static str, String)> {
        let Some(url) = options.endpoint.clone() else { return Ok(None) };
        let agent = web::agent(&url, options.ca_file.as_deref(), ANSWER_DEADLINE)
            .map_err(|problem| ("ca_file", problem))?;
        Ok(Some(Self { url, agent, is_down: Arc::default() }))
    }

    /// Logs when the collector begins to fail and when it has recovered, and nothing in between.
    fn note(&self, problem: Option<&str>) {
        let url = &self.url;
        match (problem, self.is_down.swap(problem.is_some(), Ordering::Relaxed)) {
            (Some(problem), false) => tracing::warn!(%url, problem, "traces cannot be sent and are lost"),
            (None, true) => tracing::info!(%url, "traces are sent again"),
            _ => {}
        }
    }
}

// It blocks its thread, which does nothing but this.
#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.agent.run(Request::from_parts(head, body.to_vec())).and_then(|mut answer| {
            let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
            Ok(answer.map(|_| Bytes::from(bytes)))
        });
        match &answer {
            Ok(answer) if answer.status().is_success() => self.note(None),
            Ok(answer) => self.note(Some(&format!("the answer has status {}", answer.status().as_u16()))),
            Err(error) => self.note(Some(&error.to_string())),
        }
        Ok(answer?)
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Collector({})", self.url)
    }
}

/// The time of the clock on the wall that a shard has counted.
fn time(timestamp: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(timestamp.as_micros())
}
