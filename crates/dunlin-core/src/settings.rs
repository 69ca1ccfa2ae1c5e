//! Every limit and choice of the core, as plain values.
//!
//! The configuration reference (`docs/configuration.md`) describes each option for users; the root package
//! maps its configuration onto this. The defaults here are those of the product.

use std::time::Duration;

/// How long a Session outlives its Network Connection (5.0 section 3.1.2.11.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SessionExpiryInterval {
    /// The Session ends after so many seconds; 0 ends it with the connection.
    After(u32),
    /// The Session does not expire: 0xFFFFFFFF on the wire, and Clean Session = 0 in 3.x.
    Never,
}

impl SessionExpiryInterval {
    /// The Session ends when its connection does.
    pub const WITH_CONNECTION: Self = Self::After(0);

    /// From the property's value in seconds.
    pub fn from_seconds(seconds: u32) -> Self {
        if seconds == u32::MAX { Self::Never } else { Self::After(seconds) }
    }

    /// The property's value in seconds.
    pub fn as_seconds(self) -> u32 {
        match self {
            Self::After(seconds) => seconds,
            Self::Never => u32::MAX,
        }
    }
}

/// What happens when a Session's queue is full (`session.overflow`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OverflowPolicy {
    /// The oldest queued message makes room.
    #[default]
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// A connected client is disconnected with 0x97; for an absent one the new message is dropped.
    Disconnect,
}

/// The settings of a shard. All shards of a broker share one value.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Largest packet accepted, in bytes, fixed header included.
    pub maximum_packet_size_bytes: u32,
    /// QoS 1 and 2 publications a 5.0 client may have unacknowledged towards us (1 to 65,535).
    pub receive_maximum: u16,
    /// Topic Aliases a client may use towards us.
    pub topic_alias_maximum: u16,
    /// Topic Aliases we use at most towards a client that allows them.
    pub server_topic_aliases: u16,
    /// QoS 1 and 2 publications we have unacknowledged towards one client (1 to 65,535).
    pub inflight_max: u16,
    /// Messages that wait for one Session, or for one shared group.
    pub queued_messages_max: usize,
    /// Bytes of messages that wait for one Session, or for one shared group.
    pub queued_bytes_max: usize,
    /// What happens when one of the two is reached.
    pub overflow: OverflowPolicy,
    /// Ceiling of the Session Expiry Interval.
    pub session_expiry_max: SessionExpiryInterval,
    /// Subscriptions of one Session.
    pub subscriptions_max: usize,
    /// Bytes of the Topic Filters of one Session.
    pub subscription_bytes_max: usize,
    /// Sessions of one shard. A client beyond that gets one that ends with its connection.
    pub sessions_max: usize,
    /// Ceiling of Keep Alive in seconds; 0 accepts what the client asks, `Off` included.
    pub keep_alive_max_s: u16,
    /// Longest Topic Name or Topic Filter in bytes.
    pub topic_length_max: usize,
    /// Most levels of a Topic Name or Topic Filter.
    pub topic_levels_max: usize,
    /// Retained Messages.
    pub retained_messages_max: usize,
    /// Bytes of Retained Messages.
    pub retained_bytes_max: usize,
    /// Memory of message bodies, Sessions, subscriptions and queues; above it, publications that must be stored
    /// are refused with 0x97.
    pub memory_bytes_max: usize,
    /// Bytes of message bodies held for anybody, above which messages that wait in the store give up theirs.
    pub body_memory_bytes: usize,
    /// Encoded bytes that may wait for a client that reads slowly. QoS 0 above it is dropped, QoS 1 and 2
    /// stay queued.
    pub outbox_bytes_max: usize,
    /// How long a slow reader may slow its publishers before it is left behind.
    pub slow_consumer_grace: Duration,
    /// Response Information for clients that request it, `%c` standing for the client identifier (5.0
    /// section 3.2.2.3.15).
    pub response_information: Option<String>,
    /// Whether the runtime is told of publications that carry the context of a trace (`Output::Traced`).
    pub notes_traces: bool,
    /// Things looked at in one turn while the store's oldest segments are vacated.
    pub vacating_slice: usize,
    /// Whether durable changes are handed out as records (`Shard::poll_record`) and awaited.
    pub durable: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            maximum_packet_size_bytes: 2 * 1024 * 1024,
            receive_maximum: 1000,
            topic_alias_maximum: 32,
            server_topic_aliases: 32,
            inflight_max: 1000,
            queued_messages_max: 100_000,
            queued_bytes_max: 64 * 1024 * 1024,
            overflow: OverflowPolicy::DropOldest,
            session_expiry_max: SessionExpiryInterval::Never,
            subscriptions_max: 10_000,
            subscription_bytes_max: 1024 * 1024,
            sessions_max: 1_000_000,
            keep_alive_max_s: 0,
            topic_length_max: 65_535,
            topic_levels_max: 200,
            retained_messages_max: 1_000_000,
            retained_bytes_max: 1024 * 1024 * 1024,
            memory_bytes_max: usize::MAX,
            body_memory_bytes: 64 * 1024 * 1024,
            outbox_bytes_max: 1024 * 1024,
            slow_consumer_grace: Duration::from_millis(100),
            response_information: None,
            notes_traces: false,
            vacating_slice: 512,
            durable: false,
        }
    }
}

impl Settings {
    /// Whether a topic is the Server's own: `$SYS` and what is below it (5.0 section 4.7.2).
    pub fn is_reserved(topic: &str) -> bool {
        topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Judges a Topic Name's or Topic Filter's length and levels.
    pub fn judge_topic(&self, topic: &str) -> Result<(), &'static str> {
        if topic.len() > self.topic_length_max {
            return Err("the topic is longer than this Server accepts");
        }
        // Only a topic long enough to have too many levels is worth counting.
        let levels_max = self.topic_levels_max;
        if topic.len() >= levels_max && topic.bytes().filter(|byte| *byte == b'/').count() >= levels_max {
            return Err("the topic has more levels than this Server accepts");
        }
        Ok(())
    }
}
