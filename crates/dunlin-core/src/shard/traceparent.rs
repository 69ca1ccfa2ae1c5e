//! Publications that carry the context of a trace (W3C Trace Context, as User Properties): the runtime is told of each
//! that was routed, if the settings say so. What the context means is not known here.
//!
//! The User Properties are forwarded as they are (`forwarded`), so subscribers have the context, whether anybody is told
//! or not.

use super::{Output, Shard};
use crate::slots::Key;
use crate::time::Timestamp;
use dunlin_codec::{Publish, QoS};

/// The names of the User Properties.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// A longer `traceparent` is of no version of the specification there is, and is passed over.
const TRACEPARENT_BYTES_MAX: usize = 128;

/// What a `tracestate` may be long (W3C Trace Context, section 3.3.1.5); a longer one is passed over.
const TRACESTATE_BYTES_MAX: usize = 512;

/// A publication that carries the context of a trace, and was routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedPublication {
    /// The User Property `traceparent`, as it came.
    pub traceparent: Box<str>,
    /// The User Property `tracestate`, as it came.
    pub tracestate: Option<Box<str>>,
    /// Its topic, also where an alias stood for it.
    pub topic: Box<str>,
    /// The QoS that it was published with.
    pub qos: QoS,
    /// Whether it was to be retained.
    pub retain: bool,
    /// The length of its payload.
    pub payload_bytes: usize,
    /// When its packet was handed in.
    pub received_at: Timestamp,
    /// Somebody wanted it.
    pub has_subscribers: bool,
}

impl Shard {
    /// Tells of a publication, if it carries the context of a trace.
    #[cold]
    pub(super) fn note_trace(
        &mut self,
        received_at: Timestamp,
        connection: Key,
        topic: &str,
        publish: &Publish<'_>,
        has_subscribers: bool,
    ) {
        let named = |name: &str, bytes_max: usize| {
            let mut pairs = publish.properties.user_properties.iter();
            let (_, value) = pairs.find(|(key, _)| *key == name)?;
            (value.len() <= bytes_max).then(|| Box::from(value))
        };
        let Some(traceparent) = named(TRACEPARENT, TRACEPARENT_BYTES_MAX) else { return };
        let publication = Box::new(TracedPublication {
            traceparent,
            tracestate: named(TRACESTATE, TRACESTATE_BYTES_MAX),
            topic: topic.into(),
            qos: publish.qos,
            retain: publish.retain,
            payload_bytes: publish.payload.len(),
            received_at,
            has_subscribers,
        });
        self.clients.outputs.push_back(Output::Traced { connection, publication });
    }
}
