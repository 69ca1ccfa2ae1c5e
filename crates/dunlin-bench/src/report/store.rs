//! What waits in brokers, in memory or in a store, and what a store does: the rows of such scenarios.

use super::measures::{COST, DISTURBED, Measure, RATE, Unit, WAIT_P50, WAIT_P99};
use crate::beside::{BesideFigures, RelayedFigures};
use crate::commits::CommitFigures;
use crate::queue::QueueFigures;
use crate::recovery::RecoveryFigures;
use crate::retained::RetainedFigures;

pub(super) fn of_commits(figures: &CommitFigures) -> Vec<Measure> {
    vec![
        Unit::Count.of(RATE, figures.records_per_s),
        Unit::Wait.of(WAIT_P50, figures.commit.p50_us),
        Unit::Wait.of(WAIT_P99, figures.commit.p99_us),
        Unit::Cost.of(COST, figures.cpu_us_per_record),
        Unit::Share.of(DISTURBED, figures.wait_share),
        Unit::Count.of("commits/s", figures.commits_per_s),
    ]
}

pub(super) fn of_beside(figures: &BesideFigures) -> Vec<Measure> {
    let mut rows = Vec::new();
    let mut row = |unit: Unit, names: [&'static str; 3], figure: fn(&RelayedFigures) -> f64| {
        let (beside, alone) = figures.both(figure);
        rows.push(unit.of(names[0], alone));
        rows.push(unit.of(names[1], beside));
        rows.push(Unit::Ratio.of(names[2], beside / alone));
    };
    row(
        Unit::Count,
        ["QoS 0 messages/s, alone", "QoS 0 messages/s, beside", "QoS 0 messages/s, beside / alone"],
        |figures| figures.traffic.delivered_per_s,
    );
    row(
        Unit::Wait,
        ["round trip p50, alone", "round trip p50, beside", "round trip p50, beside / alone"],
        |f| f.round_trip.p50_us,
    );
    row(
        Unit::Wait,
        ["round trip p99, alone", "round trip p99, beside", "round trip p99, beside / alone"],
        |f| f.round_trip.p99_us,
    );
    let lost = |figures: &RelayedFigures| figures.traffic.lost as f64;
    rows.push(Unit::Count.of("durable messages/s meanwhile", figures.stored.messages_per_s));
    rows.extend(
        figures.stored.latency.map(|latency| Unit::Wait.of("their acknowledgements, p50", latency.p50_us)),
    );
    rows.push(Unit::Fault.of("lost", lost(&figures.before) + lost(&figures.beside) + lost(&figures.after)));
    rows
}

pub(super) fn of_queue(figures: &QueueFigures) -> Vec<Measure> {
    let cost = if figures.is_stored { Unit::Cost } else { Unit::Cpu };
    let mut rows = vec![
        Unit::Count.of("filled, messages/s", figures.filled_per_s),
        cost.of("CPU per message filled", figures.filling_cpu_us_per_message),
    ];
    match figures.is_stored {
        true => rows.extend([
            Unit::Bytes.of("written to the disk", figures.written.disk_bytes as f64),
            Unit::Ratio.of("written / payload", figures.disk_bytes_per_payload_byte),
            Unit::Bytes.of("passed to write calls (not: to send)", figures.written.passed_bytes as f64),
        ]),
        false => rows.push(
            Unit::Each
                .of("resident memory per message beyond the payload", figures.resident_bytes_beyond_payload),
        ),
    }
    rows.extend([
        Unit::Bytes.of("resident when filled", figures.filled_resident_bytes as f64),
        Unit::Count.of("drained, messages/s", figures.drained_per_s),
        cost.of("CPU per message drained", figures.draining_cpu_us_per_message),
        Unit::Bytes.of("resident, peak", figures.peak_resident_bytes as f64),
        Unit::Fault.of("lost", figures.lost as f64),
        Unit::Fault.of("repeated", figures.repeated as f64),
        Unit::Fault.of("late", figures.late as f64),
    ]);
    rows
}

pub(super) fn of_retained(figures: &RetainedFigures) -> Vec<Measure> {
    let cost = if figures.is_stored { Unit::Cost } else { Unit::Cpu };
    vec![
        Unit::Count.of("retained, messages/s", figures.retained_per_s),
        Unit::Each.of("resident memory per Retained Message", figures.resident_bytes_per_topic),
        Unit::Seconds.of("delivered to a new subscriber of #", figures.delivered_s),
        cost.of("CPU per message delivered", figures.delivering_cpu_us_per_message),
        Unit::Fault.of("lost", figures.lost as f64),
        Unit::Fault.of("repeated", figures.repeated as f64),
    ]
}

pub(super) fn of_recovery(figures: &RecoveryFigures) -> Vec<Measure> {
    let RecoveryFigures { before, after, .. } = figures;
    vec![
        Unit::Bytes.of("store on the disk", figures.stored_bytes as f64),
        Unit::Seconds.of("start to listening", figures.listening_s),
        Unit::Seconds.of("start to the first CONNACK", figures.connected_s),
        Unit::Seconds.of("CPU until then", figures.cpu_s),
        Unit::Seconds.of("user CPU of it", figures.user_cpu_s),
        Unit::Bytes.of("resident then", figures.resident_bytes as f64),
        Unit::Count.of("messages that survived", after.messages as f64),
        Unit::Count.of("Sessions that survived", after.sessions as f64),
        Unit::Count.of("Retained Messages that survived", after.retained as f64),
        Unit::Fault.of("lost", before.lost(after) as f64),
    ]
}
