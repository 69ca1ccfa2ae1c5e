//! The topics that are published most, over all workers.

use super::{Operations, Stopping};
use dunlin_core::shard::{TopicWindow, WINDOW_MIN};
use dunlin_core::time::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// Topics with their rates.
#[derive(Debug)]
pub(crate) struct TopicRates {
    /// The busiest first.
    pub topics: Vec<TopicRate>,
    /// When the earliest of the workers' windows began.
    pub since: Timestamp,
    /// How long the longest is.
    pub window: Duration,
    /// Messages of topics that were not kept apart, whatever they are called.
    pub other_messages_per_s: f64,
}

/// How often a topic is published.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TopicRate {
    pub topic: Box<str>,
    pub messages_per_s: f64,
    /// Of payloads.
    pub bytes_per_s: f64,
    /// So many more messages there can have been.
    pub missed_per_s_max: f64,
}

impl Operations {
    /// The topics that a filter matches, which is a valid one and not shared, with how often they are published since
    /// the look before. The first look takes a second, because nothing has been counted yet.
    pub(crate) async fn topic_rates(&self, filter: String) -> Result<TopicRates, Stopping> {
        let look = || {
            let filter = filter.clone();
            self.ask_all(move |worker| worker.shard.borrow_mut().look_at_topics(worker.now(), &filter))
        };
        let mut windows = look().await?;
        let shortest = windows.iter().map(|window| window.length).min().unwrap_or(WINDOW_MIN);
        if shortest < WINDOW_MIN {
            tokio::time::sleep(WINDOW_MIN - shortest).await;
            windows = look().await?;
        }
        Ok(TopicRates::of(windows))
    }
}

impl TopicRates {
    fn of(windows: Vec<TopicWindow>) -> Self {
        let since = windows.iter().map(|window| window.begun_at).min().unwrap_or_default();
        let window = windows.iter().map(|window| window.length).max().unwrap_or_default();
        let per_s = |window: &TopicWindow, count: u64| {
            let seconds = window.length.as_secs_f64();
            if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
        };
        let others = windows.iter().map(|window| per_s(window, window.messages - window.kept_messages));
        let other_messages_per_s = others.sum();
        // What a topic can have had on workers that do not list it.
        let unlisted_per_s_max: f64 = windows.iter().map(|window| per_s(window, window.unlisted_max)).sum();
        let mut topics = HashMap::<&str, TopicRate>::new();
        for window in &windows {
            for count in &window.topics {
                // Clients of several workers may publish to one topic.
                let rate = topics.entry(&count.topic).or_insert_with(|| TopicRate {
                    topic: count.topic.clone(),
                    messages_per_s: 0.0,
                    bytes_per_s: 0.0,
                    missed_per_s_max: unlisted_per_s_max,
                });
                rate.messages_per_s += per_s(window, count.messages);
                rate.bytes_per_s += per_s(window, count.bytes);
                rate.missed_per_s_max -= per_s(window, window.unlisted_max);
                rate.missed_per_s_max += per_s(window, count.missed_max);
            }
        }
        let mut topics: Vec<_> = topics.into_values().collect();
        topics.sort_by(|a, b| {
            b.messages_per_s.total_cmp(&a.messages_per_s).then_with(|| a.topic.cmp(&b.topic))
        });
        Self { topics, since, window, other_messages_per_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_core::shard::TopicCount;

    fn window(length_s: u64, messages: u64, topics: &[(&str, u64)]) -> TopicWindow {
        let count = |(topic, messages): &(&str, u64)| TopicCount {
            topic: (*topic).into(),
            messages: *messages,
            bytes: 10 * messages,
            missed_max: 2,
        };
        TopicWindow {
            begun_at: Timestamp::from_micros(1_000_000),
            length: Duration::from_secs(length_s),
            messages,
            unlisted_max: 4,
            kept_messages: topics.iter().map(|(_, messages)| messages).sum(),
            topics: topics.iter().map(count).collect(),
        }
    }

    #[test]
    fn the_rates_of_a_topic_are_those_of_all_workers_each_by_its_own_window() {
        let rates = TopicRates::of(vec![window(2, 30, &[("a", 10), ("b", 14)]), window(4, 8, &[("a", 8)])]);
        let expected = |topic: &str, messages_per_s, missed_per_s_max| TopicRate {
            topic: topic.into(),
            messages_per_s,
            bytes_per_s: 10.0 * messages_per_s,
            missed_per_s_max,
        };
        assert_eq!(rates.topics, [expected("a", 7.0, 1.5), expected("b", 7.0, 2.0)]);
        assert_eq!((rates.other_messages_per_s, rates.window), (3.0, Duration::from_secs(4)));
    }
}
