//! Prometheus' text format, version 0.0.4.

use super::{Family, Kind, Value};
use std::fmt::Write;

/// What `/metrics` says it is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families as text.
pub fn exposition(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        // Writing to a string cannot fail.
        let _ = write_family(&mut text, family);
    }
    text
}

fn write_family(text: &mut String, family: &Family) -> std::fmt::Result {
    let name = family.declared.name;
    let kind = match family.declared.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    writeln!(text, "# HELP {name} {}", family.declared.help)?;
    writeln!(text, "# TYPE {name} {kind}")?;
    for sample in &family.samples {
        match &sample.value {
            Value::Number { value } => writeln!(text, "{name}{} {value}", labels(&sample.labels, None))?,
            Value::Histogram(histogram) => {
                let ends = histogram.buckets.iter().map(|(bound, count)| (bound.to_string(), *count));
                for (bound, count) in ends.chain([("+Inf".to_owned(), histogram.count)]) {
                    writeln!(text, "{name}_bucket{} {count}", labels(&sample.labels, Some(&bound)))?;
                }
                let labels = labels(&sample.labels, None);
                writeln!(text, "{name}_sum{labels} {}", histogram.sum)?;
                writeln!(text, "{name}_count{labels} {}", histogram.count)?;
            }
        }
    }
    Ok(())
}

fn labels(labels: &[(&'static str, String)], bound: Option<&str>) -> String {
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
    let pairs = labels.chain(bound.map(|bound| ("le", bound)));
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::declared;
    use super::*;
    use dunlin_core::shard::Latencies;

    #[test]
    fn a_label_is_escaped() {
        let mut family = Family::new(&declared::DROPPED);
        family.push(["a \"b\"\\\n"], 3_u64);
        let text = exposition(&[family]);
        assert!(
            text.ends_with("\ndunlin_messages_dropped_total{reason=\"a \\\"b\\\"\\\\\\n\"} 3\n"),
            "{text}"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_infinity() {
        let mut latencies = Latencies::default();
        latencies.note(40, 2);
        latencies.note(90, 1);
        latencies.note(60_000_000, 1);
        let text = exposition(&[Family::of_latencies(&declared::STORE_COMMITS, &latencies)]);
        for line in [
            "dunlin_store_commit_seconds_bucket{le=\"0.00005\"} 2",
            "dunlin_store_commit_seconds_bucket{le=\"0.0001\"} 3",
            "dunlin_store_commit_seconds_bucket{le=\"30\"} 3",
            "dunlin_store_commit_seconds_bucket{le=\"+Inf\"} 4",
            "dunlin_store_commit_seconds_count 4",
        ] {
            assert!(text.lines().any(|present| present == line), "{line} in {text}");
        }
    }
}
