//! What is sent in a small day: three streams of messages, each with its schedule.

use std::time::Instant;

use dunlin_codec::{ProtocolVersion, QoS};

use crate::numbered::{Numbers, write_digits};
use crate::pace::Pace;
use crate::publisher::{Encoded, Outgoing};
use crate::scenario::Day;
use crate::schedule::Schedule;
use crate::stamp::Stamp;

/// A kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A measurement of a device; the next one makes up for a lost one.
    Telemetry,
    /// The state of a device, retained.
    State,
    /// What a device shall do.
    Command,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Telemetry, Self::State, Self::Command];

    /// The pattern of its topics, with the number of the device.
    pub(super) fn pattern(self) -> &'static str {
        match self {
            Self::Telemetry => "dunlin-day/~~~~~~/telemetry",
            Self::State => "dunlin-day/~~~~~~/state",
            Self::Command => "dunlin-day/~~~~~~/command",
        }
    }

    /// The kind that a stamp names as its publisher.
    pub(super) fn of(stamp: Stamp) -> Option<Self> {
        Self::ALL.get(stamp.publisher as usize).copied()
    }

    /// The number of the device that a message comes from or goes to.
    pub(super) fn device(self, sequence: u64, devices: u32) -> u32 {
        let numbers = match self {
            // Everybody has a turn, as devices with a clock of their own do.
            Self::Telemetry => Numbers::InTurn(devices),
            Self::State | Self::Command => Numbers::Scattered(devices),
        };
        numbers.of(Stamp { publisher: self as u32, sequence })
    }

    fn qos(self) -> QoS {
        match self {
            Self::Telemetry => QoS::AtMostOnce,
            Self::State | Self::Command => QoS::AtLeastOnce,
        }
    }
}

/// The messages of a kind.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) kind: Kind,
    pub(super) schedule: Schedule,
    pub(super) pace: Pace,
    pub(super) sent: u64,
    devices: u32,
    encoded: Encoded,
}

impl Stream {
    /// All kinds, as a day has them from `start` on.
    pub(super) fn all(day: &Day, version: ProtocolVersion, start: Instant) -> [Self; 3] {
        Kind::ALL.map(|kind| {
            let rate_per_s = match kind {
                Kind::Telemetry => day.telemetry_per_s(),
                Kind::State => day.state_per_s(),
                Kind::Command => day.commands_per_s(),
            };
            // One publisher for the schedule, whichever device sends.
            let schedule = Schedule { start, rate_per_s, publishers: 1 };
            let outgoing = Outgoing {
                topic: kind.pattern(),
                numbers: Some(Numbers::InTurn(day.devices)),
                retain: kind == Kind::State,
                qos: kind.qos(),
                payload_bytes: day.payload_bytes,
            };
            let (pace, encoded) = (Pace::new(schedule, 0), outgoing.encode(version));
            Self { kind, schedule, pace, sent: 0, devices: day.devices, encoded }
        })
    }

    /// The device that the next message comes from or goes to.
    pub(super) fn next_device(&self) -> u32 {
        self.kind.device(self.sent, self.devices)
    }

    /// Whether messages need a packet identifier.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.encoded.identifier_at.is_some()
    }

    /// The next message leaves at `now`.
    #[inline]
    pub(super) fn append(&mut self, outbox: &mut Vec<u8>, identifier: u16, now: Instant) {
        let device = self.next_device();
        let Encoded { packet, identifier_at, digits_at } = &mut self.encoded;
        write_digits(packet, digits_at, device);
        if let Some(at) = *identifier_at {
            packet[at..at + 2].copy_from_slice(&identifier.to_be_bytes());
        }
        Stamp { publisher: self.kind as u32, sequence: self.sent }.write(packet);
        outbox.extend_from_slice(packet);
        self.pace.leaves(self.sent, now);
        self.sent += 1;
    }
}
