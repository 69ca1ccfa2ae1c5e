//! Fills the declared metrics from what the workers, the listeners, the store and the system say.

use super::declared::*;
use super::{Family, Figures};
use crate::operations::{Operations, Stopping};
use crate::tls::Expiring;
use crate::worker::{DelayReason, RefusalReason};
use dunlin_bench::process::Process;
use dunlin_codec::{PacketType, ProtocolVersion, QoS};
use dunlin_core::shard::{Counters, DropReason, Latencies, StoreState, SubscriptionRefusal};
use std::time::UNIX_EPOCH;

/// All metrics with their values. What the system says is read on a thread that may wait.
pub(crate) async fn families(operations: &Operations) -> Result<Vec<Family>, Stopping> {
    let figures = Figures::recent(operations).await?;
    let operations = operations.clone();
    tokio::task::spawn_blocking(move || collect(&operations, &figures)).await.map_err(|_| Stopping)
}

fn collect(operations: &Operations, figures: &Figures) -> Vec<Family> {
    let mut families = Vec::with_capacity(DECLARED.len());
    whole(&mut families, operations, figures);
    traffic(&mut families, figures);
    stored(&mut families, operations, figures);
    listeners(&mut families, operations);
    workers(&mut families, figures);
    process(&mut families, operations);
    families
}

fn whole(families: &mut Vec<Family>, operations: &Operations, figures: &Figures) {
    let census = figures.census();
    let mut build = Family::new(&BUILD_INFO);
    build.push([env!("CARGO_PKG_VERSION")], true);
    let mut connected = Family::new(&CLIENTS_CONNECTED);
    for version in ProtocolVersion::ALL {
        connected.push([version.to_string().as_str()], census.connected[version as usize]);
    }
    let is_ready = operations.health.is_ready() && operations.health.store_problem().is_none();
    families.extend([
        build,
        Family::of(&READY, is_ready),
        Family::of(&CONNECTIONS, operations.gate.connections()),
        connected,
        Family::of(&SESSIONS, census.sessions),
        Family::of(&SESSIONS_PERSISTENT, census.durable),
        Family::of(&SESSIONS_EXPIRED, figures.sum(|counters| counters.sessions_expired)),
        Family::of(&SUBSCRIPTIONS, census.subscriptions),
        Family::of(&SHARED_SUBSCRIPTIONS, census.shared_subscriptions),
        Family::of(&SHARED_GROUPS, figures.total(|worker| worker.groups)),
        Family::of(&SHARED_GROUPS_QUEUED, figures.total(|worker| worker.groups_queued)),
        Family::of(&RETAINED_MESSAGES, figures.common(|worker| worker.retained)),
        Family::of(&RETAINED_BYTES, figures.common(|worker| worker.retained_bytes)),
        Family::of(&QUEUED_MESSAGES, census.queued_messages),
        Family::of(&QUEUED_BYTES, census.queued_bytes),
        Family::of(&LONGEST_QUEUE, census.longest_queue),
        Family::of(&IN_FLIGHT, census.in_flight_messages),
    ]);
}

fn traffic(families: &mut Vec<Family>, figures: &Figures) {
    families.push(packets(&PACKETS_RECEIVED, figures, Counters::packets_received));
    families.push(packets(&PACKETS_SENT, figures, Counters::packets_sent));
    for (declared, count) in [
        (&MESSAGES_RECEIVED, Counters::messages_received as fn(&Counters, QoS) -> u64),
        (&MESSAGES_SENT, Counters::messages_sent),
    ] {
        let mut family = Family::new(declared);
        for (qos, label) in QoS::ALL.into_iter().zip(["0", "1", "2"]) {
            family.push([label], figures.sum(|counters| count(counters, qos)));
        }
        families.push(family);
    }
    families.extend([
        Family::of(&BYTES_RECEIVED, figures.sum(|counters| counters.bytes_received)),
        Family::of(&BYTES_SENT, figures.sum(|counters| counters.bytes_sent)),
        Family::of(&PAYLOAD_RECEIVED, figures.sum(|counters| counters.payload_bytes_received)),
        Family::of(&PAYLOAD_SENT, figures.sum(|counters| counters.payload_bytes_sent)),
    ]);
    let mut dropped = Family::new(&DROPPED);
    for reason in DropReason::ALL {
        dropped.push([reason.name()], figures.dropped_for(reason));
    }
    families.push(dropped);
    let mut refused = Family::new(&SUBSCRIPTIONS_REFUSED);
    for reason in SubscriptionRefusal::ALL {
        refused.push([reason.name()], figures.sum(|counters| counters.subscriptions_refused_for(reason)));
    }
    families.push(refused);
    let mut delivery = Latencies::default();
    figures.workers.iter().for_each(|worker| delivery.add(&worker.counters.delivery));
    families.push(Family::of_latencies(&DELIVERY_LATENCY, &delivery));
}

/// Packets by type and version; types that a version has not, or that go the other way, are left out.
fn packets(
    declared: &'static super::Declared,
    figures: &Figures,
    count: impl Fn(&Counters, ProtocolVersion, PacketType) -> u64,
) -> Family {
    let mut family = Family::new(declared);
    for packet_type in PacketType::ALL {
        for version in ProtocolVersion::ALL {
            let packets = figures.sum(|counters| count(counters, version, packet_type));
            if packets > 0 {
                family.push([packet_type.name(), version.to_string().as_str()], packets);
            }
        }
    }
    family
}

fn stored(families: &mut Vec<Family>, operations: &Operations, figures: &Figures) {
    families.extend([
        Family::of(&MESSAGE_MEMORY, figures.total(|worker| worker.message_bytes)),
        Family::of(&SESSION_MEMORY, figures.total(|worker| worker.session_bytes)),
    ]);
    let (Some(commits), Some(store)) = (&operations.commits, operations.health.store()) else {
        return;
    };
    let mut state = Family::new(&STORE_STATE);
    for (name, of_name) in
        [("writing", StoreState::Writing), ("full", StoreState::Full), ("failed", StoreState::Failed)]
    {
        state.push([name], store.state() == of_name);
    }
    families.extend([
        Family::of_latencies(&STORE_COMMITS, &commits.latencies()),
        Family::of(&STORE_BYTES, store.bytes()),
        state,
    ]);
}

fn listeners(families: &mut Vec<Family>, operations: &Operations) {
    let mut refused = Family::new(&REFUSED);
    for reason in RefusalReason::ALL {
        refused.push([reason.name()], operations.gate.refusals(*reason));
    }
    let mut connections = Family::new(&LISTENER_CONNECTIONS);
    let mut expiry = Family::new(&CERTIFICATE_EXPIRY);
    let mut accepted = Family::new(&LISTENER_ACCEPTED);
    for listener in operations.listeners().iter().map(|listener| &listener.context) {
        let url = listener.url.to_string();
        connections.push([&url], listener.connections());
        accepted.push([&url], listener.accepted());
        for ending in listener.tls.iter().flat_map(|tls| tls.expiries()) {
            let kind = match ending.what {
                Expiring::Certificate => "certificate",
                Expiring::RevocationList => "revocation list",
            };
            let at = ending.not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let labels = [url.as_str(), kind, ending.subject.as_str()];
            if !expiry.samples.iter().any(|sample| sample.labels.iter().map(|(_, value)| value).eq(labels)) {
                expiry.push(labels, at);
            }
        }
    }
    let mut delayed = Family::new(&DELAYED);
    for reason in DelayReason::ALL {
        delayed.push([reason.name()], operations.gate.delays(*reason));
    }
    let bans = operations.gate.bans().1.len();
    families.extend([refused, delayed, Family::of(&BANS, bans), connections, accepted, expiry]);
}

fn workers(families: &mut Vec<Family>, figures: &Figures) {
    let per_worker = |declared, value: &dyn Fn(&super::WorkerFigures) -> f64| {
        let mut family = Family::new(declared);
        for (id, worker) in figures.workers.iter().enumerate() {
            family.push([id.to_string().as_str()], value(worker));
        }
        family
    };
    let messages = |count: fn(&Counters, QoS) -> u64| {
        move |worker: &super::WorkerFigures| {
            QoS::ALL.into_iter().map(|qos| count(&worker.counters, qos)).sum::<u64>() as f64
        }
    };
    families.extend([
        per_worker(&WORKER_CONNECTIONS, &|worker| worker.connections as f64),
        per_worker(&WORKER_SESSIONS, &|worker| worker.census.sessions as f64),
        per_worker(&WORKER_RECEIVED, &messages(Counters::messages_received)),
        per_worker(&WORKER_SENT, &messages(Counters::messages_sent)),
        per_worker(&WORKER_CPU, &|worker| worker.cpu.as_secs_f64()),
    ]);
}

/// What `/proc` says. Where it says nothing, the metric is left out.
fn process(families: &mut Vec<Family>, operations: &Operations) {
    let process = Process::this();
    if let Ok(time) = process.cpu_time() {
        families.push(Family::of(&PROCESS_CPU, time.total().ran.as_secs_f64()));
    }
    if let Ok(resident) = process.resident_bytes() {
        families.push(Family::of(&PROCESS_RESIDENT, resident));
    }
    if let Ok(open) = process.open_descriptors() {
        families.push(Family::of(&PROCESS_OPEN_FDS, open));
    }
    if let Some(maximum) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        families.push(Family::of(&PROCESS_MAX_FDS, maximum));
    }
    let started = operations.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    families.push(Family::of(&PROCESS_START, started.as_secs_f64()));
}
