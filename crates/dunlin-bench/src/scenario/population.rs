//! Many Subscriptions, many connections and many devices, as data.

use dunlin_codec::QoS;
use serde::Serialize;

use super::{Overrides, apply};
use crate::Error;
use crate::stamp::STAMP_BYTES;

/// Many Subscriptions of few connections, and messages to topics of which each has three.
///
/// A third of them are exact, a third have `+`, a third have `#`. Messages flow first alone, then while another
/// connection subscribes and unsubscribes, then alone again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subscriptions {
    /// Subscriptions in all, 3 or more; what is left of a division by 3 is not made.
    pub subscriptions: u32,
    /// Connections that hold them, 3 or more.
    pub connections: u32,
    /// SUBSCRIBE packets per second of the other connection, each followed by an UNSUBSCRIBE.
    pub churn_per_s: u32,
    /// Publishing connections, 1 or more.
    pub publishers: u32,
    /// The QoS of messages and Subscriptions.
    #[serde(serialize_with = "super::as_bits")]
    pub qos: QoS,
    /// The size of each payload in bytes, at least 12.
    pub payload_bytes: u32,
    /// Messages each publisher may be ahead of what was delivered of them, 1 or more.
    pub ahead_max: u32,
    /// Deliveries before the measurement begins.
    pub warm_up_messages: u64,
    /// How long is measured, three times.
    pub duration_ms: u64,
}

/// Clients that connect at once and stay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Storm {
    /// Connections that are measured, 1 or more.
    pub connections: u32,
    /// Connections that are under way at a time, 1 or more.
    pub under_way: u32,
    /// Connections before the first reading.
    pub warm_up_connections: u32,
    /// With TLS: whether each connection resumes an earlier one's session. The warm-up has to bring as many
    /// tickets as are under way.
    pub resumes: bool,
}

impl Storm {
    pub(super) fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let changed = apply(&mut self.connections, overrides.connections);
        if self.connections == 0 {
            return Err(Error::Usage("connections must be 1 or more".to_owned()));
        }
        Ok(changed)
    }

    pub(super) fn describe(&self) -> String {
        let Self { connections, under_way, resumes, .. } = self;
        let how = if *resumes { " with a ticket each" } else { "" };
        format!("{connections} clients connect{how} and stay, {under_way} at a time")
    }
}

/// Devices with telemetry, state and commands, and those who listen to them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// Devices, 1 to 1,000,000.
    pub devices: u32,
    /// How often each sends telemetry.
    pub telemetry_every_ms: u32,
    /// How often each sends its state, on average.
    pub state_every_ms: u32,
    /// How often each gets a command, on average.
    pub command_every_ms: u32,
    /// Members of the shared group that gets the state of all.
    pub workers: u32,
    /// The size of each payload in bytes, at least 12.
    pub payload_bytes: u32,
    /// How long everything goes on before the measurement begins.
    pub warm_up_ms: u64,
    /// How long is measured.
    pub duration_ms: u64,
}

impl Day {
    /// Messages with telemetry per second, of all devices.
    pub(crate) fn telemetry_per_s(&self) -> u32 {
        self.per_s(self.telemetry_every_ms)
    }

    /// Messages with state per second, of all devices.
    pub(crate) fn state_per_s(&self) -> u32 {
        self.per_s(self.state_every_ms)
    }

    /// Commands per second, to all devices.
    pub(crate) fn commands_per_s(&self) -> u32 {
        self.per_s(self.command_every_ms)
    }

    fn per_s(&self, every_ms: u32) -> u32 {
        (self.devices * 1_000 / every_ms.max(1)).max(1)
    }

    pub(super) fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let changed = [
            apply(&mut self.devices, overrides.devices),
            apply(&mut self.payload_bytes, overrides.payload_bytes),
            apply(&mut self.duration_ms, overrides.duration_ms),
        ];
        if !(1..=1_000_000).contains(&self.devices) || self.duration_ms == 0 {
            return Err(Error::Usage("there must be 1 to 1000000 devices, and a duration".to_owned()));
        }
        check_payload(self.payload_bytes)?;
        Ok(changed.contains(&true))
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "{} devices; per second {} messages with telemetry, {} with state, {} commands; a dashboard of \
             everything, {} workers",
            self.devices,
            self.telemetry_per_s(),
            self.state_per_s(),
            self.commands_per_s(),
            self.workers
        )
    }
}

fn check_payload(payload_bytes: u32) -> Result<(), Error> {
    match payload_bytes as usize >= STAMP_BYTES {
        true => Ok(()),
        false => Err(Error::Usage(format!("payloads must have {STAMP_BYTES} bytes or more"))),
    }
}

impl Subscriptions {
    /// Topics that have three Subscriptions each.
    pub(crate) fn topics(&self) -> u32 {
        self.subscriptions / crate::filters::MATCHES
    }

    pub(super) fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let changed = [
            apply(&mut self.subscriptions, overrides.subscriptions),
            apply(&mut self.connections, overrides.connections),
            apply(&mut self.publishers, overrides.publishers),
            apply(&mut self.payload_bytes, overrides.payload_bytes),
            apply(&mut self.ahead_max, overrides.ahead_max),
            apply(&mut self.warm_up_messages, overrides.warm_up_messages),
            apply(&mut self.duration_ms, overrides.duration_ms),
        ];
        if self.subscriptions < 3 || self.connections < 3 || self.publishers == 0 {
            return Err(Error::Usage(
                "there must be 3 subscriptions, 3 connections and a publisher, or more".to_owned(),
            ));
        }
        if self.ahead_max == 0 || self.duration_ms == 0 {
            return Err(Error::Usage("ahead-max and duration must be more than 0".to_owned()));
        }
        check_payload(self.payload_bytes)?;
        Ok(changed.contains(&true))
    }

    pub(super) fn describe(&self) -> String {
        let Self { subscriptions, connections, churn_per_s, .. } = self;
        format!(
            "{subscriptions} Subscriptions of {connections} connections, a third each exact, with + and with #; \
             messages alone, and while {churn_per_s} more come and go each second"
        )
    }
}
