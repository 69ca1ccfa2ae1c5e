//! The message bodies that records may refer to, while the log is read.
//!
//! The writer of the log never refers back further than [`REACH`] segments, and never to before the oldest
//! segment that stays: it would rather write a body again. So only the bodies of the last few segments are
//! held here, and of those before them the ones that others hold; reading a log takes the memory of what is live, not
//! of all that ever was.
//!
//! A body that comes again, because somebody said it again, is the same message, in a later place.

use super::record_reader::Body;
use dunlin_core::journal::Segment;
use dunlin_core::message::{ApplicationMessage, MemoryGauge, MessageId};
use std::collections::{HashMap, VecDeque};

/// A record refers to a body at most so many segments before its own. Part of the format: it may shrink, but
/// not grow.
pub(super) const REACH: u32 = 4;

/// With fewer bodies known, nobody looks for those that are no longer wanted.
const SWEEP_MIN: usize = 1024;

/// See the top of the file.
pub(super) struct Bodies<'a> {
    gauges: &'a [MemoryGauge],
    nobody: MemoryGauge,
    known: HashMap<MessageId, ApplicationMessage>,
    /// With so many known, those that nobody else holds are let go.
    sweep_at: usize,
    /// The bodies of each segment within reach.
    within_reach: VecDeque<(Segment, Vec<ApplicationMessage>)>,
}

impl<'a> Bodies<'a> {
    pub fn new(gauges: &'a [MemoryGauge]) -> Self {
        Self {
            gauges,
            nobody: MemoryGauge::default(),
            known: HashMap::new(),
            sweep_at: SWEEP_MIN,
            within_reach: VecDeque::new(),
        }
    }

    /// Records of this segment come next.
    pub fn enter(&mut self, segment: Segment) {
        while self.within_reach.front().is_some_and(|(oldest, _)| oldest.0 + REACH < segment.0) {
            for message in self.within_reach.pop_front().into_iter().flat_map(|(_, messages)| messages) {
                let id = message.id;
                drop(message);
                if self.known.get(&id).is_some_and(ApplicationMessage::is_sole) {
                    self.known.remove(&id);
                }
            }
        }
        // What was held when it left the reach may have been let go since. Twice as many as were left the last time
        // are worth the look at each.
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, message| !message.is_sole());
            self.sweep_at = SWEEP_MIN.max(2 * self.known.len());
        }
        if self.within_reach.back().is_none_or(|(newest, _)| *newest != segment) {
            self.within_reach.push_back((segment, Vec::new()));
        }
    }

    /// Takes a body that stands there, or, without a place, one that another log will get.
    pub fn insert(&mut self, body: &Body<'_>, location: Option<u64>) {
        let message = self.known.entry(body.id).or_insert_with(|| {
            let index = usize::from(body.id.origin).checked_rem(self.gauges.len());
            body.message(index.and_then(|index| self.gauges.get(index)).unwrap_or(&self.nobody))
        });
        if let Some(location) = location {
            message.set_location(location);
        }
        if let Some((_, messages)) = self.within_reach.back_mut() {
            messages.push(message.clone());
        }
    }

    /// The message with this name.
    pub fn get(&self, id: MessageId) -> Option<ApplicationMessage> {
        self.known.get(&id).cloned()
    }
}
