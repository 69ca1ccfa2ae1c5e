//! Brokers compared by more figures than a line holds: the rows of such scenarios.

use super::measures::{Measure, Unit};
use crate::traffic::TrafficFigures;

/// Messages at a fixed rate; nothing for messages at full speed, which have a line.
pub(super) fn of_scheduled(figures: &TrafficFigures) -> Vec<Measure> {
    let mut rows = latency(figures);
    if rows.is_empty() {
        return rows;
    }
    rows.insert(0, Unit::Count.of("delivered, messages/s", figures.delivered_per_s));
    rows.extend(figures.broker_cpu_us_per_message.map(|cpu| Unit::Cpu.of("CPU per delivered message", cpu)));
    rows.extend(figures.broker_cpu_share.map(|share| Unit::Share.of("broker core", share)));
    rows.push(Unit::Share.of("generator core", figures.generator_cpu_share));
    let disturbed = figures.generator_wait_share.max(figures.broker_wait_share.unwrap_or_default());
    rows.push(Unit::Share.of("disturbed", disturbed));
    rows.push(Unit::Fault.of("lost", figures.lost as f64));
    rows.push(Unit::Fault.of("repeated", figures.repeated as f64));
    rows
}

/// How late messages came that were due at their times, and how late the generator was.
pub(super) fn latency(figures: &TrafficFigures) -> Vec<Measure> {
    let Some(scheduled) = figures.scheduled else { return Vec::new() };
    let mut rows = Vec::new();
    if let Some(latency) = scheduled.latency {
        rows.push(Unit::Wait.of("due to received, p50", latency.p50_us));
        rows.push(Unit::Wait.of("due to received, p99", latency.p99_us));
        rows.push(Unit::Wait.of("due to received, p99.9", latency.p999_us));
        rows.push(Unit::Wait.of("due to received, max", latency.max_us));
    }
    if let Some(lateness) = scheduled.lateness {
        rows.push(Unit::Lateness.of("generator late, p50", lateness.p50_us));
        rows.push(Unit::Lateness.of("generator late, p99", lateness.p99_us));
        rows.push(Unit::Lateness.of("generator late, max", lateness.max_us));
    }
    rows.push(Unit::Fault.of("held back by the broker", scheduled.held_back as f64));
    rows.push(Unit::Fault.of("never sent", scheduled.unsent as f64));
    rows
}
