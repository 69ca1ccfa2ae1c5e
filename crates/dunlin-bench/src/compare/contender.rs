//! Who takes a turn in each round of a scenario: the brokers, and where a store is measured what they are measured
//! against.

use std::time::Duration;

use super::{ComparedBroker, Figures, Plan, run_load};
use crate::Error;
use crate::broker::{Running, Spec};
use crate::commits::{Preparation, RawLoop};
use crate::cores::Cores;
use crate::progress::Watch;
use crate::recovery;
use crate::scenario::{Baseline, Load, Scenario};

/// What a record of the raw loop has besides the payload: topic, lengths, checksum, the numbers of message and
/// Session.
const RECORD_OVERHEAD_BYTES: u32 = 32;
/// What the report calls the raw loop.
const RAW_LOOP: &str = "raw loop";

/// Who takes a turn in each round.
#[derive(Debug)]
pub(super) enum Contender {
    Broker(Spec),
    RawLoop(RawLoop),
}

/// The contenders of a scenario, or why they cannot take part.
pub(super) fn contenders(plan: &Plan, scenario: &Scenario) -> Result<Vec<Contender>, Error> {
    plan.brokers.iter().try_for_each(|broker| broker.check(scenario))?;
    let Some(baselines) = scenario.load.baselines() else {
        return Ok(plan.brokers.iter().cloned().map(Contender::Broker).collect());
    };
    let Some(disk) = &plan.disk else {
        return Err(Error::Usage(format!("{} needs a data directory", scenario.name)));
    };
    let mut contenders = Vec::new();
    for broker in &plan.brokers {
        contenders.push(Contender::Broker(broker.with_store(disk.path())?));
        if baselines.contains(&Baseline::InMemory) {
            contenders.push(Contender::Broker(broker.in_memory()?));
        }
    }
    if let (Load::Traffic(traffic), true) = (&scenario.load, baselines.contains(&Baseline::RawLoop)) {
        contenders.push(Contender::RawLoop(RawLoop {
            directory: disk.path().to_owned(),
            record_bytes: traffic.payload_bytes + RECORD_OVERHEAD_BYTES,
            batch: traffic.outstanding(),
            duration: Duration::from_millis(traffic.duration_ms),
            preparation: Preparation::Written,
        }));
    }
    Ok(contenders)
}

impl Contender {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Broker(spec) => &spec.name,
            Self::RawLoop(_) => RAW_LOOP,
        }
    }

    pub(super) fn describe(&self) -> ComparedBroker {
        match self {
            Self::Broker(spec) => {
                ComparedBroker { name: spec.name.clone(), version: spec.version(), settings: spec.settings() }
            }
            Self::RawLoop(raw_loop) => ComparedBroker {
                name: RAW_LOOP.to_owned(),
                version: None,
                settings: format!(
                    "records of {} bytes, as many in each commit as messages are outstanding, into a file \
                     written before",
                    raw_loop.record_bytes
                ),
            },
        }
    }

    pub(super) fn run(
        &self,
        plan: &Plan,
        scenario: &Scenario,
        cores: Option<Cores>,
        watch: &Watch,
    ) -> Result<Figures, Error> {
        match self {
            Self::RawLoop(raw_loop) => raw_loop.run().map(Figures::Commits),
            Self::Broker(spec) => {
                let mut running = spec.start(cores, plan.version, scenario.transport)?;
                run_started(scenario, &mut running, watch).map_err(|error| {
                    let end = running.post_mortem().map(|end| format!("; {end}")).unwrap_or_default();
                    Error::Broker(format!("{} in {}: {error}{end}", spec.name, scenario.name))
                })
            }
        }
    }
}

/// Runs a scenario against a broker that was just started for it.
fn run_started(scenario: &Scenario, running: &mut Running, watch: &Watch) -> Result<Figures, Error> {
    match &scenario.load {
        Load::Recovery(recovery) => recovery::run(recovery, running).map(Figures::Recovery),
        _ => run_load(&running.target, scenario, running.process, watch),
    }
}
