//! What broker and generator use between two moments.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;
use crate::process::{CpuTime, Process, Used};

/// What was used of the cores while something was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// How long was measured, in seconds.
    pub measured_s: f64,
    /// CPU time of the broker's process in seconds, when its process is known.
    pub broker_cpu_s: Option<f64>,
    /// The share of one core that the broker used.
    pub broker_cpu_share: Option<f64>,
    /// The share of the time in which the broker had work and others had its core.
    pub broker_wait_share: Option<f64>,
    /// The share of one core that the generator used.
    pub generator_cpu_share: f64,
    /// The share of the time in which the generator had work and others had its core.
    pub generator_wait_share: f64,
}

impl Usage {
    /// CPU time of the broker for each of `count`, in microseconds.
    #[must_use]
    pub fn broker_cpu_us_each(&self, count: u64) -> Option<f64> {
        self.broker_cpu_s.filter(|_| count > 0).map(|seconds| seconds * 1e6 / count as f64)
    }

    /// The share of the time in which broker or generator had work and others had its core.
    #[must_use]
    pub fn disturbed(&self) -> f64 {
        self.generator_wait_share.max(self.broker_wait_share.unwrap_or_default())
    }
}

/// Reads what is used from a moment on.
#[derive(Debug)]
pub(crate) struct Meter {
    process: Option<Process>,
    broker: Option<CpuTime>,
    own: CpuTime,
    pub(crate) began: Instant,
}

impl Meter {
    /// Begins now; `process` is the broker's, when it is known.
    pub(crate) fn begin(process: Option<Process>) -> Result<Self, Error> {
        let broker = process.map(|process| process.cpu_time()).transpose()?;
        Ok(Self { process, broker, own: Process::this().cpu_time()?, began: Instant::now() })
    }

    /// What was used since.
    pub(crate) fn end(self) -> Result<Usage, Error> {
        let measured = self.began.elapsed();
        let own = Process::this().cpu_time()?.since(&self.own);
        let broker: Option<Used> = match (self.process, &self.broker) {
            (Some(process), Some(before)) => Some(process.cpu_time()?.since(before)),
            _ => None,
        };
        let share = |time: Duration| time.as_secs_f64() / measured.as_secs_f64();
        Ok(Usage {
            measured_s: measured.as_secs_f64(),
            broker_cpu_s: broker.map(|used| used.ran.as_secs_f64()),
            broker_cpu_share: broker.map(|used| share(used.ran)),
            broker_wait_share: broker.map(|used| share(used.waited)),
            generator_cpu_share: share(own.ran),
            generator_wait_share: share(own.waited),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_busy_uses_a_share_of_its_core() {
        let meter = Meter::begin(Some(Process::this())).unwrap();
        while meter.began.elapsed() < Duration::from_millis(20) {}
        let usage = meter.end().unwrap();
        assert!(usage.measured_s >= 0.02 && usage.generator_cpu_share > 0.0, "{usage:?}");
        assert!(usage.broker_cpu_us_each(10).unwrap() > 0.0 && usage.broker_cpu_us_each(0).is_none());
        assert_eq!(Meter::begin(None).unwrap().end().unwrap().broker_cpu_s, None);
    }
}
