//! The few of the broker's metrics that `dunlin top` plots.

use std::collections::BTreeMap;

use serde::Deserialize;

/// See the top of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    pub received: u64,
    pub sent: u64,
    /// By reason.
    pub drops: Vec<(String, u64)>,
    pub latency: Latency,
}

/// How long deliveries took: how many, up to each bound in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latency {
    buckets: Vec<(f64, u64)>,
    count: u64,
}

/// The answer of the API.
#[derive(Debug, Deserialize)]
pub struct Answer {
    metrics: Vec<Family>,
}

#[derive(Debug, Deserialize)]
struct Family {
    name: String,
    samples: Vec<Sample>,
}

/// A number or a histogram.
#[derive(Debug, Deserialize)]
struct Sample {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    value: Option<f64>,
    /// A bound that JSON cannot say, infinity, is null.
    #[serde(default)]
    buckets: Vec<(Option<f64>, u64)>,
    #[serde(default)]
    count: u64,
}

impl From<Answer> for Metrics {
    fn from(answer: Answer) -> Self {
        let mut metrics = Self::default();
        for Family { name, samples } in answer.metrics {
            match name.as_str() {
                "dunlin_messages_received_total" => metrics.received = sum(&samples),
                "dunlin_messages_sent_total" => metrics.sent = sum(&samples),
                "dunlin_messages_dropped_total" => {
                    metrics.drops = samples.into_iter().filter_map(drop_of).collect()
                }
                "dunlin_delivery_latency_seconds" => {
                    metrics.latency = samples.into_iter().next().map(Latency::from).unwrap_or_default();
                }
                _ => {}
            }
        }
        metrics
    }
}

fn sum(samples: &[Sample]) -> u64 {
    samples.iter().filter_map(|sample| sample.value).sum::<f64>() as u64
}

fn drop_of(mut sample: Sample) -> Option<(String, u64)> {
    let count = sample.value? as u64;
    Some((sample.labels.remove("reason")?, count)).filter(|_| count > 0)
}

impl From<Sample> for Latency {
    fn from(sample: Sample) -> Self {
        let finite = sample.buckets.into_iter().filter_map(|(bound, count)| Some((bound?, count)));
        Self { buckets: finite.filter(|(bound, _)| bound.is_finite()).collect(), count: sample.count }
    }
}

impl Metrics {
    /// For all reasons.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().map(|(_, count)| count).sum()
    }
}

impl Latency {
    /// What was added since then.
    pub fn since(&self, before: &Self) -> Self {
        let then = |index: usize| before.buckets.get(index).map_or(0, |(_, count)| *count);
        let buckets = self.buckets.iter().enumerate();
        let buckets = buckets.map(|(index, (bound, count))| (*bound, count.saturating_sub(then(index))));
        Self { buckets: buckets.collect(), count: self.count.saturating_sub(before.count) }
    }

    /// A bound that this share of the deliveries did not exceed; beyond the last bound, that one. 0 without any.
    pub fn quantile_s(&self, share: f64) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let rank = (self.count as f64 * share).ceil() as u64;
        let found = self.buckets.iter().find(|(_, count)| *count >= rank);
        found.or(self.buckets.last()).map_or(0.0, |(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plotted_is_found_among_the_metrics() {
        let text = r#"{"metrics": [
            {"name": "dunlin_messages_received_total", "type": "counter", "help": "", "samples": [
                {"labels": {"qos": "0"}, "value": 5.0}, {"labels": {"qos": "1"}, "value": 7.0}]},
            {"name": "dunlin_messages_dropped_total", "type": "counter", "help": "", "samples": [
                {"labels": {"reason": "queue_full"}, "value": 3.0}, {"labels": {"reason": "expired"}, "value": 0.0}]},
            {"name": "dunlin_delivery_latency_seconds", "type": "histogram", "help": "", "samples": [
                {"labels": {}, "buckets": [[0.001, 90], [0.01, 99], [null, 100]], "sum": 1.0, "count": 100}]}]}"#;
        let metrics = Metrics::from(serde_json::from_str::<Answer>(text).unwrap());
        assert_eq!((metrics.received, metrics.sent, metrics.dropped()), (12, 0, 3));
        assert_eq!(metrics.drops, [("queue_full".to_owned(), 3)]);
        let quantiles = [0.5, 0.99, 1.0].map(|share| metrics.latency.quantile_s(share));
        assert_eq!(quantiles, [0.001, 0.01, 0.01]);
        assert_eq!(metrics.latency.since(&metrics.latency).quantile_s(0.5), 0.0);
    }
}
