//! Taps: who listens to what is published without being a client.
//!
//! An operator who watches a topic must not change what he watches: no Session appears, nobody's quota is used,
//! no publisher is slowed down, and a watcher that does not keep up loses messages. So a tap is not a subscription.
//! It is asked on the shard that takes a message in, which is one for each message; a watcher opens the same tap on
//! every shard. While there is none, a message costs one comparison, which is also that of who counts topics
//! (`topic_counts.rs`).
//!
//! What must stay true: what is tapped and not taken yet is bounded, whatever one turn publishes.

use super::Shard;
use super::topic_counts::TopicCounts;
use crate::message::{ApplicationMessage, Publication};
use dunlin_codec::{TopicFilter, TopicName};
use std::collections::VecDeque;

/// Messages that are kept for the taps until the runtime takes them, at the end of each turn.
pub const TAPPED_MAX: usize = 1024;

/// Who listens, and what they have heard.
#[derive(Debug, Default)]
pub(super) struct Taps {
    /// Somebody listens or counts: all that most messages ask.
    is_any: bool,
    open: Vec<Tap>,
    tapped: VecDeque<Tapped>,
    /// How often topics are published, while somebody looks.
    topics: Option<Box<TopicCounts>>,
}

#[derive(Debug)]
struct Tap {
    number: u64,
    filters: Vec<Box<str>>,
    /// Messages for which there was no room.
    lost: u64,
}

/// What a tap heard.
#[derive(Clone, Debug)]
pub enum Tapped {
    /// A message.
    Message {
        /// Whose.
        tap: u64,
        /// The message as it was published.
        message: ApplicationMessage,
    },
    /// So many messages were too many.
    Lost {
        /// Whose.
        tap: u64,
        /// How many.
        count: u64,
    },
}

impl Taps {
    /// The counts of topics, which begin with this if there are none.
    pub fn count_topics(&mut self, begin: impl FnOnce() -> TopicCounts) -> &mut TopicCounts {
        self.is_any = true;
        self.topics.get_or_insert_with(|| Box::new(begin()))
    }

    fn note_change(&mut self) {
        self.is_any = !self.open.is_empty() || self.topics.is_some();
    }
}

impl Shard {
    /// Opens a tap of this number: it hears what is published on this shard from now on, once for each message that
    /// one of its filters matches. Filters are valid, and not shared ones.
    pub fn open_tap(&mut self, number: u64, filters: Vec<Box<str>>) {
        self.taps.open.push(Tap { number, filters, lost: 0 });
        self.taps.note_change();
    }

    /// Closes it.
    pub fn close_tap(&mut self, number: u64) {
        self.taps.open.retain(|tap| tap.number != number);
        if self.taps.open.is_empty() {
            // Nobody will take it.
            self.taps.tapped.clear();
        }
        self.taps.note_change();
    }

    /// The next thing that a tap has heard.
    pub fn poll_tapped(&mut self) -> Option<Tapped> {
        if let Some(tapped) = self.taps.tapped.pop_front() {
            return Some(tapped);
        }
        let behind = self.taps.open.iter_mut().find(|tap| tap.lost > 0)?;
        Some(Tapped::Lost { tap: behind.number, count: std::mem::take(&mut behind.lost) })
    }

    /// Lets those who listen or count hear a publication that this shard has taken in.
    #[inline]
    pub(super) fn tap(&mut self, publication: &mut Publication<'_>) {
        if self.taps.is_any {
            self.tap_open(publication);
        }
    }

    #[cold]
    fn tap_open(&mut self, publication: &mut Publication<'_>) {
        let (topic, at, bytes) = (publication.topic, publication.id.received_at, publication.payload.len());
        if self.taps.topics.as_mut().is_some_and(|counts| !counts.count(at, topic, bytes)) {
            self.taps.topics = None;
            self.taps.note_change();
        }
        if self.taps.open.is_empty() {
            return;
        }
        let Ok(topic) = TopicName::parse(topic) else {
            return;
        };
        let Taps { open, tapped, .. } = &mut self.taps;
        for tap in open {
            let matches = |filter: &str| TopicFilter::parse(filter).is_ok_and(|filter| filter.matches(topic));
            if !tap.filters.iter().any(|filter| matches(filter)) {
                continue;
            }
            if tapped.len() >= TAPPED_MAX {
                tap.lost += 1;
            } else {
                let message = publication.keep(&self.clients.gauge);
                tapped.push_back(Tapped::Message { tap: tap.number, message });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OwnMessage, ShardConfig};
    use super::*;
    use crate::settings::Settings;
    use crate::time::Timestamp;
    use dunlin_codec::QoS;
    use std::time::Duration;

    #[test]
    fn a_message_asks_nothing_more_when_the_last_who_listened_or_counted_has_gone() {
        let mut shard = Shard::new(ShardConfig::single(Settings::default()));
        let (start, qos) = (Timestamp::from_micros(1_000_000), QoS::AtMostOnce);
        let (topic, payload, forwarded) = ("t".into(), Box::default(), Box::default());
        let message = OwnMessage { topic, payload, qos, retain: false, expiry_s: None, forwarded };
        shard.look_at_topics(start, "#");
        shard.open_tap(7, vec!["#".into()]);
        shard.close_tap(7);
        shard.publish(start + Duration::from_secs(10), &message);
        assert!(shard.taps.is_any, "somebody has looked ten seconds ago");
        shard.open_tap(8, vec!["#".into()]);
        shard.publish(start + Duration::from_secs(11), &message);
        assert!(shard.taps.topics.is_none() && shard.taps.is_any, "somebody listens");
        shard.close_tap(8);
        assert!(!shard.taps.is_any);
    }
}
