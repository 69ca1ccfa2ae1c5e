//! Comparing brokers: every scenario against every broker, round by round.
//!
//! The brokers take turns within a round, so that whatever else the machine does falls on all of them, and
//! each run gets a broker that was just started, so that none inherits another scenario's memory.

use dunlin_codec::ProtocolVersion;
use serde::Serialize;

use crate::Error;
use crate::broker::Spec;
use crate::cores::Cores;
use crate::handshake::Target;
use crate::idle::{self, IdleFigures};
use crate::process::Process;
use crate::scenario::{Load, Scenario};
use crate::statistics::Spread;
use crate::traffic::{self, TrafficFigures};

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figures {
    /// Of messages.
    Traffic(TrafficFigures),
    /// Of idle connections.
    Idle(IdleFigures),
}

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The brokers; ratios are those of the first to each other.
    pub brokers: Vec<Spec>,
    /// The scenarios in their order.
    pub scenarios: Vec<Scenario>,
    /// How often everything is run, 1 or more.
    pub rounds: u32,
    /// The protocol that the clients speak.
    pub version: ProtocolVersion,
}

/// What a comparison has shown.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The brokers in the order of the plan.
    pub brokers: Vec<ComparedBroker>,
    /// One for each scenario.
    pub scenarios: Vec<ComparedScenario>,
    /// The protocol that the clients spoke.
    pub protocol: String,
    /// The cores of broker and generator, when the machine has two.
    pub cores: Option<(usize, usize)>,
    /// The number of rounds.
    pub rounds: u32,
}

/// A broker of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedBroker {
    /// What the command line calls it.
    pub name: String,
    /// What it says about its version.
    pub version: Option<String>,
    /// What was set in it.
    pub settings: String,
}

/// A scenario of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedScenario {
    /// What was run.
    pub scenario: Scenario,
    /// For each broker, the figures of each round.
    pub figures: Vec<Vec<Figures>>,
    /// For each broker but the first: the first one's cost divided by its cost, within each round.
    pub ratios: Vec<Option<Spread>>,
}

impl Figures {
    /// What brokers are compared by: CPU µs per delivered message, or bytes of resident memory per
    /// connection.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        match self {
            Self::Traffic(figures) => figures.broker_cpu_us_per_message,
            Self::Idle(figures) => Some(figures.resident_bytes_per_connection),
        }
    }

    /// The figures of messages, if that is what was run.
    #[must_use]
    pub fn traffic(&self) -> Option<&TrafficFigures> {
        match self {
            Self::Traffic(figures) => Some(figures),
            Self::Idle(_) => None,
        }
    }
}

/// Runs one scenario against a broker that is there.
///
/// # Errors
/// When the run fails, or the scenario needs the broker's process and it is not known.
pub fn run_one(target: &Target, scenario: &Scenario, process: Option<Process>) -> Result<Figures, Error> {
    match (&scenario.load, process) {
        (Load::Traffic(traffic), process) => traffic::run(target, traffic, process).map(Figures::Traffic),
        (Load::Idle(idle), Some(process)) => idle::run(target, idle, process).map(Figures::Idle),
        (Load::Idle(_), None) => {
            Err(Error::Usage(format!("{} needs the process id of the broker", scenario.name)))
        }
    }
}

/// Runs a whole comparison. `observe` is told of each run as it ends: scenario, round from 1, broker and
/// figures.
///
/// # Errors
/// The first run that fails ends the comparison.
pub fn run(
    plan: &Plan,
    mut observe: impl FnMut(&Scenario, u32, &Spec, &Figures),
) -> Result<Comparison, Error> {
    let cores = Cores::choose();
    let mut scenarios = Vec::new();
    for scenario in &plan.scenarios {
        let mut figures = vec![Vec::new(); plan.brokers.len()];
        for round in 1..=plan.rounds {
            for (broker, of_broker) in plan.brokers.iter().zip(&mut figures) {
                let found = run_started(plan, broker, scenario, cores)?;
                observe(scenario, round, broker, &found);
                of_broker.push(found);
            }
        }
        scenarios.push(ComparedScenario { ratios: ratios(&figures), scenario: scenario.clone(), figures });
    }
    let compared = |spec: &Spec| ComparedBroker {
        name: spec.name.clone(),
        version: spec.version(),
        settings: spec.settings(),
    };
    Ok(Comparison {
        brokers: plan.brokers.iter().map(compared).collect(),
        scenarios,
        protocol: plan.version.to_string(),
        cores: cores.map(|cores| (cores.broker, cores.generator)),
        rounds: plan.rounds,
    })
}

fn run_started(
    plan: &Plan,
    broker: &Spec,
    scenario: &Scenario,
    cores: Option<Cores>,
) -> Result<Figures, Error> {
    let mut running = broker.start(cores, plan.version)?;
    let target = Target { address: running.address, version: plan.version };
    run_one(&target, scenario, running.process).map_err(|error| match running.post_mortem() {
        Some(end) => Error::Broker(format!("{} in {}: {error}; {end}", broker.name, scenario.name)),
        None => Error::Broker(format!("{} in {}: {error}", broker.name, scenario.name)),
    })
}

fn ratios(figures: &[Vec<Figures>]) -> Vec<Option<Spread>> {
    let costs: Vec<Vec<_>> =
        figures.iter().map(|rounds| rounds.iter().map(Figures::cost).collect()).collect();
    let Some((first, others)) = costs.split_first() else { return Vec::new() };
    others.iter().map(|other| Spread::of_ratios(first, other)).collect()
}
