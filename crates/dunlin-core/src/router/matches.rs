//! What a publish leads to: each target once, however many of its Subscriptions match.
//!
//! A [`Match`] is a view of the entries that one target has in the matching filters. How they
//! overlap is computed only when asked, because nearly all matches consist of one entry.

use super::subscriber_list::Chunks;
use super::subscription::{Entry, Target};

/// All targets of a topic, ascending. Made by [`Router::matches`](super::Router::matches).
#[derive(Clone, Debug)]
pub struct Matches<'a> {
    /// Entries of one target are neighbours and never continue in the next chunk.
    chunks: Chunks<'a>,
}

impl<'a> Matches<'a> {
    pub(super) fn none() -> Self {
        Self { chunks: Chunks::default() }
    }

    pub(super) fn of_filter(chunks: Chunks<'a>) -> Self {
        Self { chunks }
    }

    /// Of several filters; `entries` are sorted by target.
    pub(super) fn of_merged(entries: &'a [Entry]) -> Self {
        Self { chunks: Chunks { first: entries, rest: [].iter() } }
    }

    /// Whether nobody, or nobody more, is interested.
    pub fn is_empty(&self) -> bool {
        self.chunks.first.is_empty() && self.chunks.rest.as_slice().is_empty()
    }
}

impl<'a> Iterator for Matches<'a> {
    type Item = Match<'a>;

    #[inline]
    fn next(&mut self) -> Option<Match<'a>> {
        loop {
            if let [first, others @ ..] = self.chunks.first {
                let overlapping = others.iter().take_while(|other| other.target == first.target).count();
                let (entries, rest) = self.chunks.first.split_at_checked(1 + overlapping)?;
                self.chunks.first = rest;
                return Some(Match { first: *first, entries });
            }
            self.chunks.first = self.chunks.rest.next()?;
        }
    }
}

/// One target of a topic, with all its Subscriptions that match.
#[derive(Copy, Clone, Debug)]
pub struct Match<'a> {
    first: Entry,
    /// Never empty, and all of one target.
    entries: &'a [Entry],
}

impl<'a> Match<'a> {
    /// Whom the message goes to.
    #[inline]
    pub fn target(&self) -> Target {
        self.first.target.into()
    }

    /// How the message goes to the target, if the target did not publish it.
    #[inline]
    pub fn delivery(&self) -> Delivery<'a> {
        Delivery::of(self.entries, false).unwrap_or(Delivery {
            maximum_qos: self.first.maximum_qos(),
            retain_as_published: self.first.retain_as_published(),
            identifiers: Identifiers { entries: &[], without_no_local: false },
        })
    }

    /// How the message goes to the target if the target itself published it: by its Subscriptions
    /// without No Local, hence `None` if all have it.
    #[inline]
    pub fn delivery_to_publisher(&self) -> Option<Delivery<'a>> {
        // spec(v5): [MQTT-3.8.3-3]
        Delivery::of(self.entries, true)
    }
}

/// One message for one target, after all its matching Subscriptions are taken together (section 3.3.4).
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// The highest QoS any of the Subscriptions allows, 0 to 2.
    pub maximum_qos: u8,
    /// Whether any of the Subscriptions asked to keep the RETAIN flag.
    pub retain_as_published: bool,
    /// All Subscription Identifiers.
    pub identifiers: Identifiers<'a>,
}

impl<'a> Delivery<'a> {
    #[inline]
    fn of(entries: &'a [Entry], without_no_local: bool) -> Option<Self> {
        let mut applicable = entries.iter().filter(|entry| !(without_no_local && entry.no_local()));
        let first = applicable.next()?;
        let mut delivery = Self {
            maximum_qos: first.maximum_qos(),
            retain_as_published: first.retain_as_published(),
            identifiers: Identifiers { entries, without_no_local },
        };
        for entry in applicable {
            // spec(v5): [MQTT-3.3.4-2]
            delivery.maximum_qos = delivery.maximum_qos.max(entry.maximum_qos());
            delivery.retain_as_published |= entry.retain_as_published();
        }
        Some(delivery)
    }
}

/// The Subscription Identifiers of the matching Subscriptions, 1 to 268,435,455 each; mostly none or one.
#[derive(Clone, Debug)]
pub struct Identifiers<'a> {
    entries: &'a [Entry],
    without_no_local: bool,
}

impl Identifiers<'_> {
    /// Whether there is none, or none left.
    pub fn is_empty(&self) -> bool {
        self.clone().next().is_none()
    }
}

impl Iterator for Identifiers<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        // spec(v5): [MQTT-3.3.4-3] [MQTT-3.3.4-4]
        while let [entry, rest @ ..] = self.entries {
            self.entries = rest;
            if entry.identifier() != 0 && !(self.without_no_local && entry.no_local()) {
                return Some(entry.identifier());
            }
        }
        None
    }
}
