//! What arrives in a small day, by class: which kind of message, at whom.
//!
//! Each class gets every message of its kind once. Senders are many, so nobody promises an order; a class
//! remembers which messages have come.

use std::time::Instant;

use serde::Serialize;

use super::streams::Kind;
use crate::group::Group;
use crate::latency::{Latencies, Latency};
use crate::schedule::Schedule;
use crate::stamp::Stamp;

/// A way from those who send a kind of message to those who receive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Telemetry of all devices, QoS 0.
    TelemetryToDashboard,
    /// The state of all devices, QoS 1.
    StateToDashboard,
    /// The same, to one of the workers.
    StateToWorkers,
    /// A command to its device, QoS 1.
    CommandToDevice,
    /// The same, to the dashboard.
    CommandToDashboard,
}

/// Who receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Device(u32),
    Controller,
    Dashboard,
    Worker,
}

/// What became of a class of messages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Which.
    pub class: Class,
    /// Messages that were sent, each of which should come once.
    pub expected: u64,
    /// Those that have come.
    pub delivered: u64,
    /// Those that have not.
    pub lost: u64,
    /// Messages that came twice.
    pub repeated: u64,
    /// From when a message was due until it had come, of those that were due while it was measured.
    pub latency: Option<Latency>,
}

/// What has arrived of all classes.
#[derive(Debug)]
pub(crate) struct Arrivals {
    by_class: [Arrived; 5],
    schedules: [Schedule; 3],
    from: Option<Instant>,
}

#[derive(Debug)]
struct Arrived {
    group: Group,
    delivered: u64,
    repeated: u64,
    latencies: Latencies,
}

impl Class {
    const ALL: [Self; 5] = [
        Self::TelemetryToDashboard,
        Self::StateToDashboard,
        Self::StateToWorkers,
        Self::CommandToDevice,
        Self::CommandToDashboard,
    ];

    /// The class of a message at a receiver; `None` when it may not come there.
    fn of(kind: Kind, role: Role) -> Option<Self> {
        match (kind, role) {
            (Kind::Telemetry, Role::Dashboard) => Some(Self::TelemetryToDashboard),
            (Kind::State, Role::Dashboard) => Some(Self::StateToDashboard),
            (Kind::State, Role::Worker) => Some(Self::StateToWorkers),
            (Kind::Command, Role::Device(_)) => Some(Self::CommandToDevice),
            (Kind::Command, Role::Dashboard) => Some(Self::CommandToDashboard),
            _ => None,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::TelemetryToDashboard => Kind::Telemetry,
            Self::StateToDashboard | Self::StateToWorkers => Kind::State,
            Self::CommandToDevice | Self::CommandToDashboard => Kind::Command,
        }
    }
}

impl Arrivals {
    pub(super) fn new(schedules: [Schedule; 3]) -> Self {
        let arrived =
            || Arrived { group: Group::new(1), delivered: 0, repeated: 0, latencies: Latencies::new() };
        Self { by_class: std::array::from_fn(|_| arrived()), schedules, from: None }
    }

    /// Records how long messages take that become due at `from` or later.
    pub(super) fn time_from(&mut self, from: Instant) {
        self.from = Some(from);
    }

    /// Counts a message; `None` when it may not come to this receiver.
    #[inline]
    pub(super) fn count(&mut self, stamp: Stamp, role: Role, now: Instant) -> Option<()> {
        let class = Class::of(Kind::of(stamp)?, role)?;
        let arrived = &mut self.by_class[class as usize];
        if arrived.group.advance(Stamp { publisher: 0, ..stamp })? == 0 {
            arrived.repeated += 1;
            return Some(());
        }
        arrived.delivered += 1;
        let due = self.schedules[class.kind() as usize].due(Stamp { publisher: 0, ..stamp });
        if self.from.is_some_and(|from| due >= from) {
            arrived.latencies.record(now.saturating_duration_since(due));
        }
        Some(())
    }

    /// Messages of all classes that have come.
    pub(crate) fn delivered(&self) -> u64 {
        self.by_class.iter().map(|arrived| arrived.delivered).sum()
    }

    /// How long messages of all classes have taken since the last time somebody asked.
    pub(crate) fn take_latencies(&mut self) -> Latencies {
        let mut all = Latencies::new();
        for arrived in &mut self.by_class {
            all.add(&arrived.latencies);
            arrived.latencies.clear();
        }
        all
    }

    /// Whether all has come of so many messages of each kind.
    pub(super) fn are_complete(&self, sent: [u64; 3]) -> bool {
        Class::ALL
            .iter()
            .zip(&self.by_class)
            .all(|(class, arrived)| arrived.delivered >= sent[class.kind() as usize])
    }

    /// What became of so many messages of each kind.
    pub(crate) fn sum_up(&self, sent: [u64; 3]) -> Vec<ClassFigures> {
        let classes = Class::ALL.into_iter().zip(&self.by_class);
        let figures = classes.map(|(class, arrived)| {
            let (expected, delivered) = (sent[class.kind() as usize], arrived.delivered);
            ClassFigures {
                class,
                expected,
                delivered,
                lost: expected.saturating_sub(delivered),
                repeated: arrived.repeated,
                latency: arrived.latencies.sum_up(),
            }
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_expects_every_message_of_its_kind_once() {
        let schedule = Schedule { start: Instant::now(), rate_per_s: 10, publishers: 1 };
        let mut arrivals = Arrivals::new([schedule; 3]);
        let now = schedule.start;
        arrivals.time_from(now);
        let stamp = |kind: Kind, sequence| Stamp { publisher: kind as u32, sequence };
        for (kind, sequence, role) in [
            (Kind::State, 1, Role::Worker),
            (Kind::State, 0, Role::Worker),
            (Kind::State, 0, Role::Worker),
            (Kind::State, 0, Role::Dashboard),
            (Kind::Command, 0, Role::Device(3)),
        ] {
            arrivals.count(stamp(kind, sequence), role, now).unwrap();
        }
        assert_eq!(arrivals.count(stamp(Kind::Telemetry, 0), Role::Worker, now), None, "not for workers");
        assert_eq!(arrivals.count(Stamp { publisher: 3, sequence: 0 }, Role::Dashboard, now), None);
        let figures = arrivals.sum_up([0, 2, 1]);
        let faults: Vec<_> = figures.iter().map(|class| (class.lost, class.repeated)).collect();
        assert_eq!(faults, [(0, 0), (1, 0), (0, 1), (0, 0), (1, 0)]);
        assert_eq!((arrivals.delivered(), arrivals.are_complete([0, 2, 1])), (4, false));
        assert_eq!(figures[2].latency.unwrap().count, 2);
    }
}
