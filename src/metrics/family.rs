//! A metric with its values, as every way to tell it takes it.

use serde::{Serialize, Serializer};

use super::Declared;
use dunlin_core::shard::{LATENCY_BOUNDS_US, Latencies};

/// What a metric's values do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Counts up from the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

/// A metric and its values.
#[derive(Clone, Debug, Serialize)]
pub struct Family {
    /// What it is.
    #[serde(flatten)]
    pub declared: &'static Declared,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// In the order of the declaration.
    #[serde(serialize_with = "as_map")]
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    #[serde(flatten)]
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Of a counter or a gauge.
    Number {
        /// The number.
        value: f64,
    },
    /// Of a histogram.
    Histogram(Buckets),
}

/// The value of a histogram.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Buckets {
    /// Upper bounds, and how many observations do not exceed each.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all observations.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Family {
    /// A metric without values yet.
    pub fn new(declared: &'static Declared) -> Self {
        Self { declared, samples: Vec::new() }
    }

    /// With the only value of a metric without labels.
    pub fn of(declared: &'static Declared, value: impl Into<Number>) -> Self {
        let mut family = Self::new(declared);
        family.push([], value);
        family
    }

    /// Adds a value; the labels are in the order of the declaration.
    pub fn push<const N: usize>(&mut self, labels: [&str; N], value: impl Into<Number>) {
        let labels = labels.map(ToOwned::to_owned);
        self.add(labels, Value::Number { value: value.into().0 });
    }

    /// A histogram of durations in seconds.
    pub fn of_latencies(declared: &'static Declared, latencies: &Latencies) -> Self {
        let mut family = Self::new(declared);
        let mut count = 0;
        let cumulative = latencies.classes().iter().map(|class| {
            count += class;
            count
        });
        let bounds = LATENCY_BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6);
        let buckets = bounds.zip(cumulative).collect();
        let count = latencies.classes().iter().sum();
        let sum = latencies.sum_us() as f64 / 1e6;
        family.add([], Value::Histogram(Buckets { buckets, sum, count }));
        family
    }

    fn add<const N: usize>(&mut self, values: [String; N], value: Value) {
        debug_assert_eq!(self.declared.labels.len(), N, "{}", self.declared.name);
        let labels = self.declared.labels.iter().copied().zip(values).collect();
        self.samples.push(Sample { labels, value });
    }
}

fn as_map<S: Serializer>(labels: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(name, value)| (name, value)))
}

/// A number of any type that counts.
pub struct Number(f64);

macro_rules! numbers {
    ($($T:ty),*) => { $(
        impl From<$T> for Number {
            fn from(value: $T) -> Self {
                // Beyond 2^53 the last digits do not matter.
                Self(value as f64)
            }
        }
    )* };
}

numbers!(u64, u32, u16, usize, f64);

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self(f64::from(u8::from(value)))
    }
}
