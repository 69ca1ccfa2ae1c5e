//! Scenarios as data: who publishes what to whom, over what, and how it is measured.
//!
//! A new scenario is a new row of [`BUILT_IN`]. Messages at full speed or at a rate are in `traffic.rs`; what is done
//! to a broker's store, other than to publish, is in `store.rs`; many Subscriptions, connections and devices are in
//! `population.rs`.

use std::borrow::Cow;

use dunlin_codec::{ProtocolVersion, QoS};
use serde::Serialize;

use crate::Error;
use crate::transport::Transport;

mod traffic;
mod population;
mod store;
mod built_in;

pub use built_in::{BUILT_IN, DEFAULT_NAMES, STORE_NAMES, by_name, named};
pub use population::{Day, Storm, Subscriptions};
pub use store::{Baseline, Beside, Queue, Recovery, Retained};
pub use traffic::{Rate, Subscribers, Traffic};

/// What one run does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// How the command line calls it.
    pub name: Cow<'static, str>,
    /// What it shows, in a few words.
    pub summary: Cow<'static, str>,
    /// What it goes over.
    pub transport: Transport,
    /// What is done.
    pub load: Load,
}

/// What is done to the broker.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Messages flow as fast as the limits allow.
    Traffic(Traffic),
    /// Connections stay open and say nothing.
    Idle(Idle),
    /// Messages to topics among many Subscriptions.
    Subscriptions(Subscriptions),
    /// Many clients connect at once.
    Storm(Storm),
    /// Devices and those who listen to them, all at once.
    Day(Day),
    /// Messages that are not stored flow alone, and beside messages that are.
    Beside(Beside),
    /// A queue is filled while its subscriber is away, and drained when it returns.
    Queue(Queue),
    /// A new subscriber receives all Retained Messages.
    Retained(Retained),
    /// The broker is killed and started again.
    Recovery(Recovery),
}

/// Connections with one Subscription each that say nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Idle {
    /// Connections that are measured.
    pub connections: u32,
    /// Connections before the first reading, so that what a broker allocates once is not counted.
    pub warm_up_connections: u32,
    /// For how long nothing is said once all are there.
    pub silent_ms: u64,
}

/// What the command line changes in a scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// See [`Scenario::transport`].
    pub transport: Option<Transport>,
    /// See [`Traffic::publishers`].
    pub publishers: Option<u32>,
    /// See [`Traffic::subscribers`].
    pub subscribers: Option<u32>,
    /// See [`Traffic::topics`].
    pub topics: Option<u32>,
    /// See [`Traffic::qos`].
    pub qos: Option<QoS>,
    /// See [`Traffic::payload_bytes`].
    pub payload_bytes: Option<u32>,
    /// See [`Traffic::window`].
    pub window: Option<u16>,
    /// See [`Traffic::ahead_max`].
    pub ahead_max: Option<u32>,
    /// See [`Traffic::rate`].
    pub rate: Option<Rate>,
    /// See [`Traffic::prefix`].
    pub prefix: Option<&'static str>,
    /// See [`Traffic::warm_up_messages`].
    pub warm_up_messages: Option<u64>,
    /// See [`Traffic::duration_ms`].
    pub duration_ms: Option<u64>,
    /// See [`Subscriptions::subscriptions`].
    pub subscriptions: Option<u32>,
    /// See [`Idle::connections`], [`Storm::connections`] and [`Subscriptions::connections`].
    pub connections: Option<u32>,
    /// See [`Day::devices`].
    pub devices: Option<u32>,
    /// See [`Queue::messages`] and [`Recovery::messages`].
    pub messages: Option<u32>,
}

impl Scenario {
    /// The scenario with what the command line says otherwise.
    ///
    /// # Errors
    /// When the result has nobody to publish or to receive, or payloads too small for their stamp, or measures
    /// handshakes of TLS without TLS.
    pub fn with(mut self, overrides: &Overrides) -> Result<Self, Error> {
        let is_encrypted = self.transport.is_encrypted();
        let moved = overrides.transport.is_some_and(|transport| transport != self.transport);
        apply(&mut self.transport, overrides.transport);
        if matches!(self.load, Load::Storm(_)) && is_encrypted && !self.transport.is_encrypted() {
            return Err(Error::Usage(format!("{} needs mqtts:// or wss://", self.name)));
        }
        let changed = match &mut self.load {
            Load::Traffic(traffic) => traffic.apply(overrides)?,
            Load::Idle(idle) => {
                let changed = apply(&mut idle.connections, overrides.connections);
                apply(&mut idle.silent_ms, overrides.duration_ms) || changed
            }
            Load::Subscriptions(subscriptions) => subscriptions.apply(overrides)?,
            Load::Storm(storm) => storm.apply(overrides)?,
            Load::Day(day) => day.apply(overrides)?,
            Load::Beside(beside) => beside.apply(overrides)?,
            Load::Queue(queue) => queue.apply(overrides)?,
            Load::Retained(retained) => retained.apply(overrides)?,
            Load::Recovery(recovery) => recovery.apply(overrides)?,
        };
        if changed || moved {
            let over = match self.transport {
                Transport::Tcp => String::new(),
                transport => format!("; over {transport}"),
            };
            self.summary = Cow::Owned(self.load.describe() + &over);
        }
        Ok(self)
    }
}

impl Load {
    /// The most connections that are open at once, about.
    pub(crate) fn connections(&self) -> u32 {
        match self {
            Self::Traffic(traffic) => traffic.publishers.saturating_add(traffic.subscribers),
            Self::Idle(idle) => idle.connections.saturating_add(idle.warm_up_connections),
            Self::Subscriptions(wanted) => wanted.connections.saturating_add(wanted.publishers),
            Self::Storm(storm) => storm.connections.saturating_add(storm.warm_up_connections),
            Self::Day(day) => day.devices.saturating_add(day.workers),
            // One each, or waves of a few hundred.
            Self::Beside(_) | Self::Queue(_) | Self::Retained(_) | Self::Recovery(_) => 0,
        }
    }

    /// Whether there are no figures without the broker's process, as where memory is what is measured.
    pub(crate) fn needs_process(&self) -> bool {
        match self {
            Self::Idle(_)
            | Self::Subscriptions(_)
            | Self::Queue(_)
            | Self::Retained(_)
            | Self::Recovery(_) => true,
            Self::Traffic(_) | Self::Storm(_) | Self::Day(_) | Self::Beside(_) => false,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Traffic(traffic) => traffic.describe(),
            Self::Idle(idle) => format!("{} idle connections with one Subscription each", idle.connections),
            Self::Subscriptions(subscriptions) => subscriptions.describe(),
            Self::Storm(storm) => storm.describe(),
            Self::Day(day) => day.describe(),
            Self::Beside(beside) => beside.describe(),
            Self::Queue(queue) => queue.describe(),
            Self::Retained(retained) => retained.describe(),
            Self::Recovery(recovery) => recovery.describe(),
        }
    }
}

fn apply<T>(field: &mut T, value: Option<T>) -> bool {
    let changed = value.is_some();
    if let Some(value) = value {
        *field = value;
    }
    changed
}

fn as_bits<S: serde::Serializer>(qos: &QoS, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(qos.bits())
}

/// The protocol version that a command line names: `3.1`, `3.1.1` or `5.0`.
///
/// # Errors
/// When it is none of them.
pub fn parse_version(text: &str) -> Result<ProtocolVersion, String> {
    [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5]
        .into_iter()
        .find(|version| version.to_string() == text)
        .ok_or_else(|| "must be 3.1, 3.1.1 or 5.0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_in_scenario_is_valid_and_found_by_its_name() {
        for scenario in &BUILT_IN {
            let found = by_name(&scenario.name).unwrap();
            assert_eq!(found.with(&Overrides::default()).unwrap(), *scenario);
        }
        assert!(DEFAULT_NAMES.iter().all(|name| by_name(name).is_ok()));
        let stored = BUILT_IN.iter().filter(|scenario| scenario.load.baselines().is_some());
        let stored: Vec<_> = stored.map(|scenario| scenario.name.as_ref()).collect();
        assert_eq!(stored, STORE_NAMES);
        assert!(named("durable").unwrap().iter().all(|scenario| scenario.name.starts_with("durable-o")));
    }

    #[test]
    fn a_changed_scenario_describes_what_it_became() {
        let overrides = Overrides { qos: Some(QoS::AtLeastOnce), window: Some(5), ..Overrides::default() };
        let summary = by_name("qos0-10-10").unwrap().with(&overrides).unwrap().summary;
        assert!(summary.contains("QoS 1, window 5"), "{summary}");
    }

    #[test]
    fn a_scenario_in_which_nobody_receives_is_refused() {
        let wrong = [
            Overrides { subscribers: Some(0), ..Overrides::default() },
            Overrides { publishers: Some(0), ..Overrides::default() },
            Overrides { window: Some(0), ..Overrides::default() },
            Overrides { payload_bytes: Some(3), ..Overrides::default() },
        ];
        for overrides in wrong {
            assert!(by_name("qos1-10-10").unwrap().with(&overrides).is_err(), "{overrides:?}");
        }
    }
}
