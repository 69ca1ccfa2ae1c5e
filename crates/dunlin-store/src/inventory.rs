//! What occupies a store, for whoever wonders.

use super::reading::read_log;
use super::{Disk, RecoveryReport, StoreError};
use dunlin_core::image::{BodyImage, Image, SessionImage};
use dunlin_core::message::{ApplicationMessage, MemoryGauge};

/// What is in a store.
#[derive(Debug, Default)]
pub struct Inventory {
    /// What was found when it was read.
    pub report: RecoveryReport,
    /// Bytes of the segment files.
    pub total_bytes: u64,
    /// Bytes of the messages that somebody needs, each counted once.
    pub live_bytes: u64,
    /// Sessions with what waits for them, the largest first.
    pub sessions: Vec<Holding>,
    /// Shared groups with what waits for them, the largest first.
    pub groups: Vec<Holding>,
    /// Retained Messages.
    pub retained: Holding,
}

/// What somebody holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Whose it is: a client identifier, or a shared filter.
    pub name: String,
    /// Messages.
    pub messages: u64,
    /// Bytes of them; a message that several hold counts for each.
    pub bytes: u64,
    /// Subscriptions.
    pub subscriptions: u64,
}

/// Reads all of a store; an error if something is damaged.
pub fn check<D: Disk>(disk: &D) -> Result<RecoveryReport, StoreError> {
    Ok(read_log(disk, &[], |_, _| {})?.report)
}

/// Reads a store and adds up what is in it.
pub fn inventory<D: Disk>(disk: &D) -> Result<Inventory, StoreError> {
    let gauge = MemoryGauge::default();
    let mut image = Image::default();
    let findings =
        read_log(disk, std::slice::from_ref(&gauge), |record, segment| image.apply(record, segment))?;
    let live_bytes = gauge.stored_bytes() as u64;
    let total_bytes = findings.segments.iter().map(|(_, bytes)| bytes).sum();
    let mut found = Inventory { report: findings.report, total_bytes, live_bytes, ..Inventory::default() };
    let part = image.split(1).pop().unwrap_or_default();
    found.sessions = part.sessions.iter().map(|(_, client, it)| session(client.as_str(), it)).collect();
    for group in &part.groups {
        let mut holding = Holding::of(&group.name);
        group.waiting.iter().for_each(|(_, body, _)| holding.add_body(body));
        group.lent.iter().for_each(|lent| holding.add(&lent.message));
        found.groups.push(holding);
    }
    for (message, _) in part.retained.iter() {
        found.retained.add(message);
    }
    for holdings in [&mut found.sessions, &mut found.groups] {
        holdings.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
    }
    Ok(found)
}

fn session(client: &str, session: &SessionImage) -> Holding {
    let mut holding = Holding::of(client);
    holding.subscriptions = session.subscriptions.len() as u64;
    for delivery in session.deliveries.values() {
        match &delivery.content {
            Some(content) => holding.add_body(&content.body),
            // Only a PUBREL is owed.
            None => holding.messages += 1,
        }
    }
    holding
}

impl Holding {
    fn of(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn add_body(&mut self, body: &BodyImage) {
        match body {
            BodyImage::Here(message) => self.add(message),
            BodyImage::Stored { content_bytes, .. } => {
                self.messages += 1;
                self.bytes += u64::from(*content_bytes);
            }
        }
    }

    fn add(&mut self, message: &ApplicationMessage) {
        self.messages += 1;
        self.bytes += message.content_bytes() as u64;
    }
}
