//! The topics below `$SYS/broker`: mosquitto's names and meanings, so that what reads those reads these.
//!
//! They are Retained Messages that the broker publishes at QoS 0 and never records. Each is published when its value
//! has changed, `uptime` every time; a client that subscribes gets all of them, retained. Clients need a right for
//! them where there are rules, and nobody but the broker may publish there.

use super::Figures;
use super::load::{Load, SPANS};
use crate::operations::{Operations, Stopping};
use dunlin_bench::process::Process;
use dunlin_codec::{PacketType, ProtocolVersion, QoS};
use dunlin_core::shard::{Counters, DropReason, OwnMessage};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// The topics, as they were told last.
struct SysTopics {
    operations: Operations,
    told: HashMap<String, String>,
    loads: [Load; LOADS.len()],
    last: Instant,
    clients_maximum: u64,
    heap_maximum: u64,
}

/// What was counted so far.
type Counted = fn(&Figures, &Operations) -> u64;

/// The rates: what is counted, and what its topic is called.
const LOADS: [(&str, Counted); 9] = [
    ("messages/received", |figures, _| packets_received(figures)),
    ("messages/sent", |figures, _| packets_sent(figures)),
    ("publish/dropped", |figures, _| dropped(figures)),
    ("publish/received", |figures, _| figures.messages(Counters::messages_received)),
    ("publish/sent", |figures, _| figures.messages(Counters::messages_sent)),
    ("bytes/received", |figures, _| figures.sum(|counters| counters.bytes_received)),
    ("bytes/sent", |figures, _| figures.sum(|counters| counters.bytes_sent)),
    ("sockets", |_, operations| accepted(operations)),
    ("connections", |figures, _| connects(figures)),
];

/// Publishes the topics every `every` for as long as the broker answers.
pub async fn publish_sys_topics(operations: Operations, every: Duration) {
    let mut topics = SysTopics {
        operations,
        told: HashMap::new(),
        loads: Default::default(),
        last: Instant::now(),
        clients_maximum: 0,
        heap_maximum: 0,
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if topics.publish().await.is_err() {
            return;
        }
    }
}

impl SysTopics {
    async fn publish(&mut self) -> Result<(), Stopping> {
        let figures = Figures::recent(&self.operations).await?;
        let elapsed = self.last.elapsed();
        self.last = Instant::now();
        let mut values = self.values(&figures);
        for (load, (name, count)) in self.loads.iter_mut().zip(LOADS) {
            load.note(count(&figures, &self.operations), elapsed);
            for (average, (_, span)) in load.averages().iter().zip(SPANS) {
                values.push((format!("load/{name}/{span}"), format!("{average:.2}")));
            }
        }
        let changed: Vec<_> = values
            .into_iter()
            .map(|(name, value)| (format!("$SYS/broker/{name}"), value))
            .filter(|(topic, value)| self.told.get(topic) != Some(value))
            .collect();
        let messages: Vec<_> = changed.iter().map(|(topic, value)| message(topic, value)).collect();
        self.operations
            .ask(0, move |worker| {
                let (now, mut shard) = (worker.now(), worker.shard.borrow_mut());
                for message in &messages {
                    shard.publish(now, message);
                }
            })
            .await?;
        self.told.extend(changed);
        Ok(())
    }

    fn values(&mut self, figures: &Figures) -> Vec<(String, String)> {
        let census = figures.census();
        let connected: u64 = census.connected.iter().sum();
        let away = census.sessions - connected;
        self.clients_maximum = self.clients_maximum.max(connected);
        let heap = Process::this().resident_bytes().unwrap_or(0);
        self.heap_maximum = self.heap_maximum.max(heap);
        let retained = figures.common(|worker| worker.retained) as u64;
        let stored = census.queued_messages + census.in_flight_messages + retained;
        let numbers = [
            ("clients/total", census.sessions),
            ("clients/maximum", self.clients_maximum),
            ("clients/connected", connected),
            ("clients/active", connected),
            ("clients/disconnected", away),
            ("clients/inactive", away),
            ("clients/expired", figures.sum(|counters| counters.sessions_expired)),
            ("messages/received", packets_received(figures)),
            ("messages/sent", packets_sent(figures)),
            ("messages/stored", stored),
            ("messages/inflight", census.in_flight_messages),
            ("publish/messages/received", figures.messages(Counters::messages_received)),
            ("publish/messages/sent", figures.messages(Counters::messages_sent)),
            ("publish/messages/dropped", dropped(figures)),
            ("publish/bytes/received", figures.sum(|counters| counters.payload_bytes_received)),
            ("publish/bytes/sent", figures.sum(|counters| counters.payload_bytes_sent)),
            ("bytes/received", figures.sum(|counters| counters.bytes_received)),
            ("bytes/sent", figures.sum(|counters| counters.bytes_sent)),
            ("subscriptions/count", census.subscriptions),
            ("shared_subscriptions/count", census.shared_subscriptions),
            ("retained messages/count", retained),
            ("store/messages/count", stored),
            ("store/messages/bytes", figures.total(|worker| worker.message_bytes) as u64),
            ("heap/current", heap),
            ("heap/maximum", self.heap_maximum),
        ];
        let mut values: Vec<_> =
            numbers.iter().map(|(name, number)| ((*name).to_owned(), number.to_string())).collect();
        values.push(("version".to_owned(), format!("dunlin version {}", env!("CARGO_PKG_VERSION"))));
        let uptime = self.operations.started.elapsed().as_secs();
        values.push(("uptime".to_owned(), format!("{uptime} seconds")));
        values
    }
}

fn message(topic: &str, value: &str) -> OwnMessage {
    OwnMessage {
        topic: topic.into(),
        payload: value.as_bytes().into(),
        qos: QoS::AtMostOnce,
        retain: true,
        expiry_s: None,
        forwarded: Box::default(),
    }
}

fn accepted(operations: &Operations) -> u64 {
    operations.listeners().iter().map(|listener| listener.context.accepted()).sum()
}

fn dropped(figures: &Figures) -> u64 {
    DropReason::ALL.into_iter().map(|reason| figures.dropped_for(reason)).sum()
}

fn packets_received(figures: &Figures) -> u64 {
    packets(figures, Counters::packets_received)
}

fn packets_sent(figures: &Figures) -> u64 {
    packets(figures, Counters::packets_sent)
}

fn packets(figures: &Figures, count: fn(&Counters, ProtocolVersion, PacketType) -> u64) -> u64 {
    let types = ProtocolVersion::ALL
        .into_iter()
        .flat_map(|version| PacketType::ALL.into_iter().map(move |packet_type| (version, packet_type)));
    types.map(|(version, packet_type)| figures.sum(|counters| count(counters, version, packet_type))).sum()
}

fn connects(figures: &Figures) -> u64 {
    let of_version =
        |version| figures.sum(|counters| counters.packets_received(version, PacketType::Connect));
    ProtocolVersion::ALL.into_iter().map(of_version).sum()
}
