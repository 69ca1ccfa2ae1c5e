//! Every metric, declared once: its name, what its values do, its labels, and what it means.
//!
//! Names follow Prometheus' conventions: the unit last, in base units (seconds, bytes), `_total` for counters. To add
//! one: declare it here, fill it in `collect.rs`, run `cargo xtask docs`.

use super::Kind;
use serde::Serialize;

/// What a metric is.
#[derive(Debug, Serialize)]
pub struct Declared {
    /// Its name.
    pub name: &'static str,
    /// What its values do.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The names of its labels.
    #[serde(skip)]
    pub labels: &'static [&'static str],
    /// What it means, in one sentence.
    pub help: &'static str,
}

macro_rules! declare {
    ($( $NAME:ident = $name:literal, $Kind:ident [$($label:literal),*], $help:literal; )*) => {
        $(
            #[doc = $help]
            pub static $NAME: Declared =
                Declared { name: $name, kind: Kind::$Kind, labels: &[$($label),*], help: $help };
        )*

        /// All metrics, in the order in which they are told.
        pub static DECLARED: &[&Declared] = &[$( &$NAME, )*];
    };
}

declare! {
    BUILD_INFO = "dunlin_build_info", Gauge ["version"], "The version that runs; always 1.";
    READY = "dunlin_ready", Gauge [], "Whether clients are served and what must be stored can be.";
    CONNECTIONS = "dunlin_connections", Gauge [], "Network connections, those before their CONNECT included.";
    CLIENTS_CONNECTED = "dunlin_clients_connected", Gauge ["version"], "Sessions with a connection, by MQTT version.";
    SESSIONS = "dunlin_sessions", Gauge [], "Sessions, connected or not.";
    SESSIONS_PERSISTENT = "dunlin_sessions_persistent", Gauge [], "Sessions that outlive their connection.";
    SESSIONS_EXPIRED = "dunlin_sessions_expired_total", Counter [], "Sessions that ended because their client did not come back in time.";
    SUBSCRIPTIONS = "dunlin_subscriptions", Gauge [], "Subscriptions that are not shared.";
    SHARED_SUBSCRIPTIONS = "dunlin_shared_subscriptions", Gauge [], "Memberships in shared groups.";
    SHARED_GROUPS = "dunlin_shared_groups", Gauge [], "Shared groups.";
    SHARED_GROUPS_QUEUED = "dunlin_shared_groups_queued_messages", Gauge [], "Messages that wait for a member of a shared group.";
    RETAINED_MESSAGES = "dunlin_retained_messages", Gauge [], "Retained Messages, those below $SYS included.";
    RETAINED_BYTES = "dunlin_retained_bytes", Gauge [], "Memory of all Retained Messages but those below $SYS.";
    QUEUED_MESSAGES = "dunlin_queued_messages", Gauge [], "Messages that wait in the queues of Sessions.";
    QUEUED_BYTES = "dunlin_queued_bytes", Gauge [], "Topics, properties and payloads of messages that wait in the queues of Sessions.";
    LONGEST_QUEUE = "dunlin_longest_queue_messages", Gauge [], "Messages that wait in the longest queue of a Session.";
    IN_FLIGHT = "dunlin_in_flight_messages", Gauge [], "Messages sent at QoS 1 and 2 whose exchange is not over.";
    PACKETS_RECEIVED = "dunlin_packets_received_total", Counter ["type", "version"], "Packets from clients whose CONNECT was accepted.";
    PACKETS_SENT = "dunlin_packets_sent_total", Counter ["type", "version"], "Packets to clients whose CONNECT was accepted.";
    MESSAGES_RECEIVED = "dunlin_messages_received_total", Counter ["qos"], "PUBLISH packets from clients.";
    MESSAGES_SENT = "dunlin_messages_sent_total", Counter ["qos"], "PUBLISH packets to clients.";
    BYTES_RECEIVED = "dunlin_received_bytes_total", Counter [], "Bytes of packets from clients, after their CONNECT.";
    BYTES_SENT = "dunlin_sent_bytes_total", Counter [], "Bytes of packets to clients.";
    PAYLOAD_RECEIVED = "dunlin_payload_received_bytes_total", Counter [], "Payload bytes of PUBLISH packets from clients.";
    PAYLOAD_SENT = "dunlin_payload_sent_bytes_total", Counter [], "Payload bytes of PUBLISH packets to clients.";
    DROPPED = "dunlin_messages_dropped_total", Counter ["reason"], "Messages that did not reach a receiver, or were not accepted.";
    REFUSED = "dunlin_connections_refused_total", Counter ["reason"], "Connections that did not become a client's.";
    DELAYED = "dunlin_delays_total", Counter ["reason"], "How often clients were made to wait because a rate was exceeded.";
    SUBSCRIPTIONS_REFUSED = "dunlin_subscriptions_refused_total", Counter ["reason"], "Topic Filters that were refused in SUBACK.";
    BANS = "dunlin_bans", Gauge [], "Addresses, networks and clients that are shut out at present.";
    DELIVERY_LATENCY = "dunlin_delivery_latency_seconds", Histogram [], "From the reading of a PUBLISH until it has been handed to a receiver's connection, the time in its queue included.";
    MESSAGE_MEMORY = "dunlin_message_memory_bytes", Gauge [], "Memory of messages that somebody keeps.";
    SESSION_MEMORY = "dunlin_session_memory_bytes", Gauge [], "Memory of Sessions, their subscriptions and the places in their queues, about.";
    STORE_COMMITS = "dunlin_store_commit_seconds", Histogram [], "How long commits of the store took, writing and syncing.";
    STORE_BYTES = "dunlin_store_bytes", Gauge [], "Size of the store's files.";
    STORE_STATE = "dunlin_store_state", Gauge ["state"], "1 for the state that the store is in.";
    LISTENER_CONNECTIONS = "dunlin_listener_connections", Gauge ["listener"], "Network connections of a listener.";
    LISTENER_ACCEPTED = "dunlin_listener_accepted_total", Counter ["listener"], "Network connections that came to a listener.";
    CERTIFICATE_EXPIRY = "dunlin_certificate_expiry_timestamp_seconds", Gauge ["listener", "kind", "subject"], "When a certificate, or a list of revoked certificates, of a listener ends.";
    WORKER_CONNECTIONS = "dunlin_worker_connections", Gauge ["worker"], "Connections of clients, by worker.";
    WORKER_SESSIONS = "dunlin_worker_sessions", Gauge ["worker"], "Sessions, by worker.";
    WORKER_RECEIVED = "dunlin_worker_messages_received_total", Counter ["worker"], "PUBLISH packets from clients, by worker.";
    WORKER_SENT = "dunlin_worker_messages_sent_total", Counter ["worker"], "PUBLISH packets to clients, by worker.";
    WORKER_CPU = "dunlin_worker_cpu_seconds_total", Counter ["worker"], "CPU time of a worker's thread.";
    PROCESS_CPU = "process_cpu_seconds_total", Counter [], "CPU time of the process.";
    PROCESS_RESIDENT = "process_resident_memory_bytes", Gauge [], "Resident memory of the process.";
    PROCESS_OPEN_FDS = "process_open_fds", Gauge [], "Open files and sockets.";
    PROCESS_MAX_FDS = "process_max_fds", Gauge [], "How many of them there may be.";
    PROCESS_START = "process_start_time_seconds", Gauge [], "When the process was started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_and_are_unique() {
        let mut names: Vec<_> = DECLARED.iter().map(|declared| declared.name).collect();
        for declared in DECLARED {
            let name = declared.name;
            assert!(name.starts_with("dunlin_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), declared.kind == Kind::Counter, "{name}");
            assert!(declared.help.ends_with('.') && !declared.help.contains(['\n', '\\']), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DECLARED.len());
    }
}
