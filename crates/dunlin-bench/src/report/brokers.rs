//! Brokers compared by more figures than a line holds: the rows of such scenarios.

use super::measures::{Measure, Unit};
use crate::day::{Class, DayFigures};
use crate::latency::Latency;
use crate::storm::StormFigures;
use crate::subscriptions::SubscriptionsFigures;
use crate::traffic::TrafficFigures;
use crate::usage::Usage;

/// Messages at a fixed rate; nothing for messages at full speed, which have a line.
pub(super) fn of_scheduled(figures: &TrafficFigures) -> Vec<Measure> {
    let mut rows = latency(figures);
    if rows.is_empty() {
        return rows;
    }
    let saturated = figures.scheduled.and_then(|scheduled| scheduled.saturated_per_s);
    rows.insert(0, Unit::Count.of("delivered, messages/s", figures.delivered_per_s));
    rows.splice(0..0, saturated.map(|rate| Unit::Count.of("published when saturated, messages/s", rate)));
    rows.extend(figures.broker_cpu_us_per_message.map(|cpu| Unit::Cpu.of("CPU per delivered message", cpu)));
    rows.extend(figures.broker_cpu_share.map(|share| Unit::Share.of("broker core", share)));
    rows.push(Unit::Share.of("generator core", figures.generator_cpu_share));
    rows.push(Unit::Share.of("disturbed", disturbed(figures)));
    rows.push(Unit::Fault.of("lost", figures.lost as f64));
    rows.push(Unit::Fault.of("repeated", figures.repeated as f64));
    rows
}

/// Many Subscriptions.
pub(super) fn of_subscriptions(figures: &SubscriptionsFigures) -> Vec<Measure> {
    let mut rows = vec![
        Unit::Each.of("resident memory per Subscription", figures.resident_bytes_per_subscription),
        Unit::Count.of("subscribed, Subscriptions/s", figures.subscribed_per_s),
        Unit::Cpu.of("CPU per Subscription made", figures.subscribing_cpu_us),
    ];
    let mut row = |unit: Unit, names: [&'static str; 3], figure: fn(&TrafficFigures) -> Option<f64>| {
        let Some((beside, alone)) = figures.both(figure) else { return };
        rows.push(unit.of(names[0], alone));
        rows.push(unit.of(names[1], beside));
        rows.push(Unit::Ratio.of(names[2], beside / alone));
    };
    row(
        Unit::Cpu,
        ["CPU per delivered message, alone", "CPU per delivered message, churn", "CPU, churn / alone"],
        |traffic| traffic.broker_cpu_us_per_message,
    );
    row(
        Unit::Count,
        ["delivered, messages/s, alone", "delivered, messages/s, churn", "delivered, churn / alone"],
        |traffic| Some(traffic.delivered_per_s),
    );
    rows.push(Unit::Count.of("came and went, Subscriptions/s", figures.churn.answered_per_s));
    if let Some(latency) = figures.churn.latency {
        rows.push(Unit::Wait.of("SUBSCRIBE due to SUBACK, p50", latency.p50_us));
        rows.push(Unit::Wait.of("SUBSCRIBE due to SUBACK, p99", latency.p99_us));
    }
    let phases = [&figures.before, &figures.beside, &figures.after];
    let most = |figure: fn(&TrafficFigures) -> f64| phases.map(figure).into_iter().fold(0.0, f64::max);
    rows.extend(figures.before.broker_cpu_share.map(|share| Unit::Share.of("broker core, alone", share)));
    rows.push(Unit::Share.of("generator core, at most", most(|traffic| traffic.generator_cpu_share)));
    rows.push(Unit::Share.of("disturbed, at most", most(disturbed)));
    rows.push(Unit::Fault.of("lost", figures.after.lost as f64));
    rows.push(Unit::Fault.of("repeated", figures.after.repeated as f64));
    rows
}

/// Many clients that connect at once.
pub(super) fn of_storm(figures: &StormFigures) -> Vec<Measure> {
    let mut rows = vec![Unit::Count.of("accepted, connections/s", figures.accepted_per_s)];
    if let Some(resumed) = figures.resumed {
        let share = f64::from(resumed) / f64::from(figures.connections);
        rows.push(Unit::Share.of("of them resumed", share));
    }
    let cpu = figures.broker_cpu_us_per_connection();
    rows.extend(cpu.map(|cpu| Unit::Cpu.of("CPU per accepted connection", cpu)));
    if let Some(latency) = figures.latency {
        rows.push(Unit::Wait.of("first packet to CONNACK, p50", latency.p50_us));
        rows.push(Unit::Wait.of("first packet to CONNACK, p99", latency.p99_us));
        rows.push(Unit::Wait.of("first packet to CONNACK, max", latency.max_us));
    }
    rows.extend(usage(&figures.usage));
    rows
}

/// The rows of a class: how many came per second, three percentiles, what was lost and repeated.
macro_rules! names_of_class {
    ($class:literal) => {
        [
            concat!($class, ", delivered"),
            concat!($class, ", p50"),
            concat!($class, ", p99"),
            concat!($class, ", p99.9"),
            concat!($class, ", max"),
            concat!($class, ", lost"),
            concat!($class, ", repeated"),
        ]
    };
}

/// Devices and those who listen to them.
pub(super) fn of_day(figures: &DayFigures) -> Vec<Measure> {
    let mut rows = vec![Unit::Count.of("delivered, messages/s", figures.delivered_per_s)];
    let cpu = figures.broker_cpu_us_per_message();
    rows.extend(cpu.map(|cpu| Unit::Cpu.of("CPU per delivered message", cpu)));
    for figures in &figures.classes {
        let [delivered, p50, p99, p999, max, lost, repeated] = match figures.class {
            Class::TelemetryToDashboard => names_of_class!("telemetry to dashboard"),
            Class::StateToDashboard => names_of_class!("state to dashboard"),
            Class::StateToWorkers => names_of_class!("state to workers"),
            Class::CommandToDevice => names_of_class!("command to device"),
            Class::CommandToDashboard => names_of_class!("command to dashboard"),
        };
        rows.push(Unit::Count.of(delivered, figures.delivered as f64));
        if let Some(latency) = figures.latency {
            rows.push(Unit::Wait.of(p50, latency.p50_us));
            rows.push(Unit::Wait.of(p99, latency.p99_us));
            rows.push(Unit::Wait.of(p999, latency.p999_us));
            rows.push(Unit::Wait.of(max, latency.max_us));
        }
        rows.push(Unit::Fault.of(lost, figures.lost as f64));
        rows.push(Unit::Fault.of(repeated, figures.repeated as f64));
    }
    rows.extend(lateness(figures.lateness));
    rows.push(Unit::Fault.of("held back by the broker", figures.held_back as f64));
    rows.push(Unit::Fault.of("never sent", figures.unsent as f64));
    rows.extend(usage(&figures.usage));
    rows
}

/// How late the generator was.
fn lateness(lateness: Option<Latency>) -> Vec<Measure> {
    let Some(lateness) = lateness else { return Vec::new() };
    vec![
        Unit::Lateness.of("generator late, p50", lateness.p50_us),
        Unit::Lateness.of("generator late, p99", lateness.p99_us),
        Unit::Lateness.of("generator late, max", lateness.max_us),
    ]
}

/// How busy the cores were.
fn usage(usage: &Usage) -> impl Iterator<Item = Measure> {
    let broker = usage.broker_cpu_share.map(|share| Unit::Share.of("broker core", share));
    let generator = Unit::Share.of("generator core", usage.generator_cpu_share);
    broker.into_iter().chain([generator, Unit::Share.of("disturbed", usage.disturbed())])
}

/// The share of the time in which broker or generator had work and others had its core.
fn disturbed(figures: &TrafficFigures) -> f64 {
    figures.generator_wait_share.max(figures.broker_wait_share.unwrap_or_default())
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
    rows.extend(lateness(scheduled.lateness));
    rows.push(Unit::Fault.of("held back by the broker", scheduled.held_back as f64));
    rows.push(Unit::Fault.of("never sent", scheduled.unsent as f64));
    rows
}
