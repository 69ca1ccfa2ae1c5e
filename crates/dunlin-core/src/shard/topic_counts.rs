//! How often topics are published, counted while somebody looks.
//!
//! A look begins the counting, and it ends by itself when nobody has looked for ten seconds: the next message finds that
//! out, so there is no timer. While it is off, a message pays nothing beyond the question that taps ask (`tap.rs`).
//!
//! Topics come from clients, so there may be any number of them. A window keeps [`TOPICS_MAX`] apart, the busiest, in the
//! manner of Space-Saving: when it is full, the half that was published least has to go, and a topic that comes later
//! may have been among them. What that can have hidden is said with each count (`missed_max`).
//!
//! What must stay true: a topic was published at least `messages` times in the window and at most `messages + missed_max`
//! times; one that is not kept apart, at most `unlisted_max` times, unless it is too long to be.

use super::Shard;
use crate::settings::Settings;
use crate::time::Timestamp;
use dunlin_codec::{TopicFilter, TopicName};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::time::Duration;

/// Topics that are kept apart.
pub const TOPICS_MAX: usize = 1024;

/// The longest topic that is kept apart; longer ones count as messages of others.
const TOPIC_BYTES_MAX: usize = 1024;

/// The shortest window, unless whoever looks comes sooner: rates over less would jump.
pub const WINDOW_MIN: Duration = Duration::from_secs(1);

/// How long the counting goes on after a look.
const LOOKED_AT_MAX: Duration = Duration::from_secs(10);

/// What was counted in a stretch of time.
#[derive(Clone, Debug)]
pub struct TopicWindow {
    /// When it began.
    pub begun_at: Timestamp,
    /// How long it is.
    pub length: Duration,
    /// Every message of the window, whatever its topic.
    pub messages: u64,
    /// Those of topics that were kept apart.
    pub kept_messages: u64,
    /// How often a topic that was not kept apart can have been published, unless it is too long to be.
    pub unlisted_max: u64,
    /// The topics that were asked for, in no order.
    pub topics: Vec<TopicCount>,
}

/// A topic of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCount {
    /// Which.
    pub topic: Box<str>,
    /// Messages that were counted.
    pub messages: u64,
    /// Their payloads.
    pub bytes: u64,
    /// So many more there can have been before it was kept apart.
    pub missed_max: u64,
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct TopicCounts {
    looked_at: Timestamp,
    /// The window that goes on.
    current: Window,
    /// The last that has ended, and when.
    ended: Option<(Window, Timestamp)>,
}

#[derive(Debug)]
struct Window {
    begun_at: Timestamp,
    messages: u64,
    topics: HashMap<Box<str>, Count, FixedState>,
    /// The most that a topic that had to go was published.
    unlisted_max: u64,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    messages: u64,
    bytes: u64,
    missed_max: u64,
}

impl Shard {
    /// Shows how often the topics that a filter matches were published on this shard: in a window that has ended, if
    /// there is one, else since the first look. Topics below `$SYS` are the broker's and are not counted.
    pub fn look_at_topics(&mut self, now: Timestamp, filter: &str) -> TopicWindow {
        let hasher = self.groups_by_name.hasher();
        let counts = self.taps.count_topics(|| TopicCounts::new(now, hasher));
        let (window, ended_at) = counts.look(now);
        let filter = TopicFilter::parse(filter).ok();
        let matches = |topic: &str| match (&filter, TopicName::parse(topic)) {
            (Some(filter), Ok(topic)) => filter.matches(topic),
            _ => false,
        };
        let wanted = window.topics.iter().filter(|(topic, _)| matches(topic));
        let shown = wanted.map(|(topic, count)| {
            let Count { messages, bytes, missed_max } = *count;
            TopicCount { topic: topic.clone(), messages, bytes, missed_max }
        });
        TopicWindow {
            begun_at: window.begun_at,
            length: ended_at.since(window.begun_at),
            messages: window.messages,
            kept_messages: window.topics.values().map(|count| count.messages).sum(),
            unlisted_max: window.unlisted_max,
            topics: shown.collect(),
        }
    }
}

impl TopicCounts {
    fn new(now: Timestamp, hasher: &FixedState) -> Self {
        Self { looked_at: now, current: Window::new(now, hasher.clone()), ended: None }
    }

    /// Counts a message that came at this time. False if nobody has looked for long: then it is over.
    pub fn count(&mut self, at: Timestamp, topic: &str, bytes: usize) -> bool {
        if !Settings::is_reserved(topic) {
            self.current.count(topic, bytes);
        }
        !self.is_over(at)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.looked_at) > LOOKED_AT_MAX
    }

    /// The window to show, and when it ended. Several who look at once share windows.
    fn look(&mut self, now: Timestamp) -> (&Window, Timestamp) {
        let hasher = self.current.topics.hasher();
        if self.is_over(now) {
            *self = Self::new(now, &hasher.clone());
        } else if now.since(self.current.begun_at) >= WINDOW_MIN {
            let next = Window::new(now, hasher.clone());
            self.ended = Some((std::mem::replace(&mut self.current, next), now));
        }
        self.looked_at = now;
        match &self.ended {
            Some((window, at)) => (window, *at),
            None => (&self.current, now),
        }
    }
}

impl Window {
    fn new(begun_at: Timestamp, hasher: FixedState) -> Self {
        Self { begun_at, messages: 0, topics: HashMap::with_hasher(hasher), unlisted_max: 0 }
    }

    fn count(&mut self, topic: &str, bytes: usize) {
        self.messages += 1;
        if topic.len() > TOPIC_BYTES_MAX {
            return;
        }
        if !self.topics.contains_key(topic) {
            self.make_room();
            let count = Count { messages: 0, bytes: 0, missed_max: self.unlisted_max };
            self.topics.insert(topic.into(), count);
        }
        if let Some(count) = self.topics.get_mut(topic) {
            count.messages += 1;
            count.bytes += bytes as u64;
        }
    }

    /// Lets half of the topics go if there is no room. Half at once, because then it costs next to nothing a message.
    fn make_room(&mut self) {
        if self.topics.len() < TOPICS_MAX {
            return;
        }
        let mut mosts: Vec<u64> = self.topics.values().map(Count::most).collect();
        let half = mosts.len() / 2;
        let (less, median, _) = mosts.select_nth_unstable(half);
        let median = *median;
        // Of those that are even with it, only as many as it takes.
        let mut even = half - less.iter().filter(|most| **most < median).count();
        self.topics.retain(|_, count| {
            let goes = count.most() < median || (count.most() == median && even > 0);
            if goes {
                even -= usize::from(count.most() == median);
                self.unlisted_max = self.unlisted_max.max(count.most());
            }
            !goes
        });
    }
}

impl Count {
    fn most(&self) -> u64 {
        self.messages + self.missed_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + millis * 1000)
    }

    fn counts() -> TopicCounts {
        TopicCounts::new(at(0), &FixedState::with_seed(7))
    }

    #[test]
    fn a_busy_topic_is_found_among_any_number_of_others_and_no_count_is_wrong_by_more_than_it_says() {
        let mut counts = counts();
        let mut truth = HashMap::<String, u64>::new();
        let mut publish = |topic: String| {
            assert!(counts.count(at(1), &topic, 3));
            *truth.entry(topic).or_default() += 1;
        };
        for number in 0..100_000_u64 {
            publish(format!("rare/{number}"));
            publish(format!("often/{}", number * number % 300));
            if number % 10 == 0 {
                publish("busy".to_owned());
            }
        }
        let window = &counts.current;
        assert_eq!(window.messages, 210_000);
        assert!(window.topics.len() <= TOPICS_MAX);
        for (topic, count) in &window.topics {
            let published = truth[&**topic];
            assert!((count.messages..=count.most()).contains(&published), "{topic}: {published}, {count:?}");
            assert_eq!(count.bytes, 3 * count.messages);
        }
        let unlisted = truth.iter().filter(|(topic, _)| !window.topics.contains_key(topic.as_str()));
        assert!(unlisted.map(|(_, published)| *published).max().unwrap() <= window.unlisted_max);
        assert!(window.topics["busy"].messages > 9_000, "{:?}", window.topics["busy"]);
        assert!(window.unlisted_max < 300, "{}", window.unlisted_max);
    }

    #[test]
    fn topics_that_are_all_as_busy_do_not_go_all_at_once() {
        let mut counts = counts();
        for number in 0..=TOPICS_MAX {
            counts.count(at(1), &number.to_string(), 0);
        }
        assert_eq!(counts.current.topics.len(), TOPICS_MAX / 2 + 1);
    }

    #[test]
    fn windows_end_when_somebody_looks_and_those_who_look_sooner_see_the_last_one() {
        let mut counts = counts();
        counts.count(at(100), "t", 5);
        let shown = |counts: &mut TopicCounts, millis| {
            let (window, ended_at) = counts.look(at(millis));
            (window.messages, ended_at.since(window.begun_at).as_millis())
        };
        assert_eq!(shown(&mut counts, 900), (1, 900));
        assert_eq!(shown(&mut counts, 2000), (1, 2000));
        counts.count(at(2100), "t", 5);
        counts.count(at(2200), "t", 5);
        assert_eq!(shown(&mut counts, 2500), (1, 2000));
        assert_eq!(shown(&mut counts, 4000), (2, 2000));
    }

    #[test]
    fn counting_is_over_ten_seconds_after_the_last_look() {
        let mut counts = counts();
        assert!(counts.count(at(9_000), "t", 5));
        counts.look(at(9_500));
        assert!(counts.count(at(19_000), "t", 5));
        assert!(!counts.count(at(20_000), "t", 5));
        let (window, ended_at) = counts.look(at(20_100));
        assert_eq!((window.messages, window.begun_at, ended_at), (0, at(20_100), at(20_100)));
    }

    #[test]
    fn what_is_the_brokers_own_or_very_long_takes_no_place() {
        let mut counts = counts();
        counts.count(at(1), "$SYS/broker/uptime", 5);
        counts.count(at(1), &"x".repeat(TOPIC_BYTES_MAX + 1), 5);
        assert!(counts.current.topics.is_empty());
        assert_eq!(counts.current.messages, 1);
    }
}
