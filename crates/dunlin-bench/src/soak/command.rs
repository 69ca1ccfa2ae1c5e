//! The command `soak`: a line for each sample while it runs, at its end a table of the quarters and the verdict.

use std::fmt::Write;

use clap::Args;
use dunlin_codec::ProtocolVersion;

use super::growth::{median, quarter};
use super::{Growth, Soak, SoakFigures, SoakSample, run};
use crate::handshake::Target;
use crate::process::Process;
use crate::{Error, broker, report, scenario};

/// What a long run is told.
#[derive(Debug, Args)]
pub struct SoakArgs {
    /// Where the broker listens for plain MQTT
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    address: String,
    /// The broker's process
    #[arg(long)]
    pid: u32,
    /// How long, in seconds
    #[arg(long, default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(4..=604_800))]
    duration_s: u32,
    /// How many samples are taken
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(4..=10_000))]
    samples: u32,
    /// Devices; each sends telemetry twice a second, and more
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// Visits of clients that come for a moment, per second
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    visits_per_s: u32,
    /// Subscriptions that come and go, per second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    churn_per_s: u32,
    /// The protocol that the clients speak: 3.1, 3.1.1 or 5.0, which alone has Sessions that expire
    #[arg(long, default_value = "5.0", value_parser = scenario::parse_version)]
    protocol: ProtocolVersion,
    /// Show nothing while it runs
    #[arg(long, short)]
    quiet: bool,
    /// Print JSON, with all samples
    #[arg(long)]
    json: bool,
}

impl SoakArgs {
    /// Runs and prints.
    ///
    /// # Errors
    /// A run that fails, and a broker that has grown or lost something.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let target = Target::new(broker::resolve(&self.address)?, self.protocol);
        let soak = Soak {
            duration_s: self.duration_s,
            samples: self.samples,
            devices: self.devices,
            visits_per_s: self.visits_per_s,
            churn_per_s: self.churn_per_s,
        };
        let figures = run(&target, &soak, Process::new(self.pid), |sample| {
            if !self.quiet {
                eprintln!("{}", line(sample));
            }
        })?;
        match self.json {
            true => println!("{}", report::to_json(&figures)),
            false => print!("{}", table(&figures)),
        }
        let faults = figures.faults();
        if faults.is_empty() { Ok(()) } else { Err(Error::Broker(faults.join("; "))) }
    }
}

fn line(sample: &SoakSample) -> String {
    let latency = sample.latency.unwrap_or_default();
    format!(
        "{:>6.0} s: {:.1} MB, {} descriptors, {} messages, {} visits, {:.1} µs CPU a message, p50 {:.0} µs, \
         p99 {:.0} µs, longest {:.1} ms",
        sample.at_s,
        megabytes(sample.memory.resident_bytes as f64),
        sample.descriptors,
        sample.delivered,
        sample.visits,
        sample.broker_cpu_us_per_message(),
        latency.p50_us,
        latency.p99_us,
        latency.max_us / 1e3,
    )
}

/// The quarters of a run in Markdown, and a sentence for each figure that is judged.
fn table(figures: &SoakFigures) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "| quarter | resident | descriptors | messages | visits | CPU a message | p50 | p99 |\n\
         |---|---|---|---|---|---|---|---|"
    );
    for number in 0..4 {
        let samples = quarter(&figures.samples, number);
        let of = |figure: fn(&SoakSample) -> f64| {
            median(&samples.iter().map(figure).collect::<Vec<_>>()).unwrap_or_default()
        };
        let sum = |figure: fn(&SoakSample) -> u64| samples.iter().map(figure).sum::<u64>();
        let _ = writeln!(
            out,
            "| {} | {:.2} MB | {:.0} | {} | {} | {:.1} µs | {:.0} µs | {:.0} µs |",
            number + 1,
            megabytes(of(|sample| sample.memory.resident_bytes as f64)),
            of(|sample| sample.descriptors as f64),
            sum(|sample| sample.delivered),
            sum(|sample| sample.visits),
            of(SoakSample::broker_cpu_us_per_message),
            of(|sample| sample.latency.unwrap_or_default().p50_us),
            of(|sample| sample.latency.unwrap_or_default().p99_us),
        );
    }
    let (memory, descriptors) = (figures.resident_bytes, figures.descriptors);
    let allowed = |growth: Growth| growth.allowed.unwrap_or_default();
    let _ = writeln!(
        out,
        "\nmemory: {:+.2} MB from the second to the last quarter, {:.2} MB allowed; {:+.2} MB from the third, {:.2} MB \
         allowed if it was more\n\
         descriptors: {:+.0}, {:.0} allowed; {} before and {} after the run\n\
         last quarter / second: CPU {:.2}, p50 {:.2}, p99 {:.2}\n\
         alone: {:.1} MB before, {:.1} MB after everybody had left",
        megabytes(memory.since_second()),
        megabytes(allowed(memory)),
        megabytes(memory.since_third()),
        megabytes(allowed(memory) / 2.0),
        descriptors.since_second(),
        allowed(descriptors),
        figures.before.descriptors,
        figures.after.descriptors,
        figures.broker_cpu_us_per_message.ratio(),
        figures.p50_us.ratio(),
        figures.p99_us.ratio(),
        megabytes(figures.before.memory.resident_bytes as f64),
        megabytes(figures.after.memory.resident_bytes as f64),
    );
    let visits = figures.visits;
    let _ = writeln!(
        out,
        "visits: {} newcomers, {} doomed, {} returning, {} cut off, {} takeovers, {} passing; \
         {:.0} Subscriptions a second",
        visits.newcomers,
        visits.doomed,
        visits.returning,
        visits.cut_off,
        visits.takeovers,
        visits.passing,
        figures.churn.answered_per_s,
    );
    for class in &figures.classes {
        let _ = writeln!(
            out,
            "{:?}: {} delivered, {} lost, {} repeated",
            class.class, class.delivered, class.lost, class.repeated
        );
    }
    out
}

fn megabytes(bytes: f64) -> f64 {
    bytes / 1e6
}
