//! The reference of the metrics, generated from their declarations.

use super::{DECLARED, Kind};
use std::fmt::Write;

const HEAD: &str = "# Metrics

Generated from `src/metrics/declared.rs`; `cargo xtask docs` writes this file.

`GET /metrics` on the operations port answers in Prometheus' text format. Counters count from the start of the process. \
A label has a bounded number of values: no metric names a client, a topic or an address. What is per worker tells \
whether load is spread; everything else is of the whole broker. Gathering walks over all Sessions in short steps, about \
0.1 s of CPU time for a million of them, so scrape every 5 s or more rarely.

| metric | type | labels | meaning |
|---|---|---|---|
";

/// The text of `docs/metrics.md`.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for declared in DECLARED {
        let kind = match declared.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = declared.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "| `{}` | {kind} | {} | {} |", declared.name, labels.join(", "), declared.help);
    }
    text
}
