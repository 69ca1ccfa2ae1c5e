//! What is done to a broker's store, as data, and what each figure of it is measured against.
//!
//! A scenario of a store is run with the broker that the generator itself starts, with a data directory. The
//! same broker without one shows what storing costs; the raw loop shows what the disk gives at most. Queues and
//! Retained Messages that are not stored are a comparison of brokers like any other.

use dunlin_codec::QoS;
use serde::Serialize;

use super::{Load, Overrides, Traffic, apply};
use crate::Error;
use crate::stamp::STAMP_BYTES;

/// What a broker with a store is measured against, in the same rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// The same broker without a data directory.
    InMemory,
    /// Commits of as many records of the same size as messages are outstanding.
    RawLoop,
}

/// Messages that nobody stores, alone and beside messages that are stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// What is not stored. Its figures are taken before, beside and after the other load.
    pub relayed: Traffic,
    /// What is stored meanwhile.
    pub stored: Traffic,
    /// How long round trips of single messages are measured each time.
    pub round_trips_ms: u64,
}

/// A queue that is filled while its subscriber is away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queue {
    /// Messages that wait in the end, 1 or more.
    pub messages: u32,
    /// The size of each payload, at least 12.
    pub payload_bytes: u32,
    /// Messages that may be unacknowledged while it is filled.
    pub window: u16,
    /// Whether it is a store that is measured.
    pub is_stored: bool,
}

/// A new subscriber of everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retained {
    /// Retained Messages, 1 or more.
    pub topics: u32,
    /// The size of each payload, at least 12.
    pub payload_bytes: u32,
    /// The QoS of the new Subscription; the messages have QoS 1.
    #[serde(serialize_with = "super::as_bits")]
    pub qos: QoS,
    /// Messages that may be unacknowledged while they are published.
    pub window: u16,
    /// Whether it is a store that is measured.
    pub is_stored: bool,
}

/// A broker that is killed and started again.
///
/// For ten messages there is one Session and one Retained Message, so that ten messages wait in each Session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recovery {
    /// Messages that wait, 10 or more.
    pub messages: u32,
    /// The size of each payload, at least 12.
    pub payload_bytes: u32,
    /// Messages that may be unacknowledged while they are published.
    pub window: u16,
}

impl Load {
    /// What the broker is measured against; `None` for loads that need no store.
    #[must_use]
    pub fn baselines(&self) -> Option<&'static [Baseline]> {
        match self {
            Self::Traffic(traffic) if traffic.is_stored() => Some(&[Baseline::InMemory, Baseline::RawLoop]),
            Self::Beside(_)
            | Self::Queue(Queue { is_stored: true, .. })
            | Self::Retained(Retained { is_stored: true, .. }) => Some(&[Baseline::InMemory]),
            // What is only in memory does not come back.
            Self::Recovery(_) => Some(&[]),
            Self::Queue(_)
            | Self::Retained(_)
            | Self::Traffic(_)
            | Self::Idle(_)
            | Self::Subscriptions(_)
            | Self::Storm(_)
            | Self::Day(_) => None,
        }
    }
}

impl Beside {
    pub(super) fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let Overrides { duration_ms, warm_up_messages, window, .. } = *overrides;
        let relayed =
            self.relayed.apply(&Overrides { duration_ms, warm_up_messages, ..Overrides::default() })?;
        let stored = self.stored.apply(&Overrides { window, ..Overrides::default() })?;
        if let Some(duration_ms) = duration_ms {
            self.round_trips_ms = duration_ms;
        }
        Ok(relayed || stored)
    }

    pub(super) fn describe(&self) -> String {
        format!("{}; alone, and beside {}", Load::Traffic(self.relayed.clone()).describe(), {
            Load::Traffic(self.stored.clone()).describe()
        })
    }
}

impl Queue {
    pub(super) fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let changed = [
            apply(&mut self.messages, overrides.messages),
            apply(&mut self.payload_bytes, overrides.payload_bytes),
            apply(&mut self.window, overrides.window),
        ];
        check(self.messages, 1, self.payload_bytes, self.window)?;
        Ok(changed.contains(&true))
    }

    pub(super) fn describe(&self) -> String {
        let Self { messages, payload_bytes, .. } = self;
        format!("{messages} messages of {payload_bytes} bytes wait for one Session, and are drained")
    }
}

impl Retained {
    pub(super) fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let changed = [
            apply(&mut self.topics, overrides.topics),
            apply(&mut self.qos, overrides.qos),
            apply(&mut self.payload_bytes, overrides.payload_bytes),
            apply(&mut self.window, overrides.window),
        ];
        check(self.topics, 1, self.payload_bytes, self.window)?;
        Ok(changed.contains(&true))
    }

    pub(super) fn describe(&self) -> String {
        let Self { topics, payload_bytes, qos, .. } = self;
        let qos = qos.bits();
        format!(
            "{topics} Retained Messages of {payload_bytes} bytes to a new subscriber of everything at QoS {qos}"
        )
    }
}

impl Recovery {
    /// Messages that wait in each Session.
    pub(crate) const MESSAGES_OF_A_SESSION: u32 = 10;

    /// Sessions, and as many Retained Messages.
    pub(crate) fn sessions(&self) -> u32 {
        self.messages / Self::MESSAGES_OF_A_SESSION
    }

    pub(super) fn apply(&mut self, overrides: &Overrides) -> Result<bool, Error> {
        let changed = [
            apply(&mut self.messages, overrides.messages),
            apply(&mut self.payload_bytes, overrides.payload_bytes),
            apply(&mut self.window, overrides.window),
        ];
        check(self.messages, Self::MESSAGES_OF_A_SESSION, self.payload_bytes, self.window)?;
        // Every Session has the same share.
        self.messages = self.sessions() * Self::MESSAGES_OF_A_SESSION;
        Ok(changed.contains(&true))
    }

    pub(super) fn describe(&self) -> String {
        let (messages, sessions) = (self.messages, self.sessions());
        format!(
            "killed and started again with {messages} waiting messages, {sessions} Sessions, {sessions} Retained \
             Messages"
        )
    }
}

/// No scenario holds more than this, so that none fills a disk by a slip of a finger.
const MESSAGES_MAX: u32 = 10_000_000;

fn check(count: u32, count_min: u32, payload_bytes: u32, window: u16) -> Result<(), Error> {
    if !(count_min..=MESSAGES_MAX).contains(&count) {
        return Err(Error::Usage(format!("messages or topics must be {count_min} to {MESSAGES_MAX}")));
    }
    if (payload_bytes as usize) < STAMP_BYTES {
        return Err(Error::Usage(format!("payloads must have {STAMP_BYTES} bytes or more")));
    }
    if window == 0 {
        return Err(Error::Usage("window must be more than 0".to_owned()));
    }
    Ok(())
}
