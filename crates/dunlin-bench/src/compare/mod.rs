//! Comparing brokers: every scenario against every broker, round by round.
//!
//! The brokers take turns within a round, so that whatever else the machine does falls on all of them, and
//! each run gets a broker that was just started, so that none inherits another scenario's memory.
//!
//! Where a store is measured, a broker has more contenders than itself: the same broker in memory, and the raw
//! loop on the same disk. They take their turns like any other: see `contender.rs`.

use dunlin_codec::ProtocolVersion;
use serde::Serialize;

use crate::Error;
use crate::beside::{self, BesideFigures};
use crate::broker::Spec;
use crate::commits::CommitFigures;
use crate::cores::Cores;
use crate::day::{self, DayFigures};
use crate::disk::{Disk, DiskFigures};
use crate::handshake::Target;
use crate::idle::{self, IdleFigures};
use crate::open_files;
use crate::process::Process;
use crate::progress::{Progress, Watch};
use crate::queue::{self, QueueFigures};
use crate::recovery::RecoveryFigures;
use crate::retained::{self, RetainedFigures};
use crate::scenario::{Load, Scenario};
use crate::statistics::Spread;
use crate::storm::{self, StormFigures};
use crate::subscriptions::{self, SubscriptionsFigures};
use crate::traffic::{self, TrafficFigures};

mod contender;

use contender::contenders;

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figures {
    /// Of messages.
    Traffic(Box<TrafficFigures>),
    /// Of idle connections.
    Idle(IdleFigures),
    /// Of many Subscriptions.
    Subscriptions(Box<SubscriptionsFigures>),
    /// Of many clients that connect at once.
    Storm(StormFigures),
    /// Of devices and those who listen to them.
    Day(DayFigures),
    /// Of the raw loop.
    Commits(CommitFigures),
    /// Of messages beside others that are stored.
    Beside(Box<BesideFigures>),
    /// Of a queue.
    Queue(QueueFigures),
    /// Of Retained Messages.
    Retained(RetainedFigures),
    /// Of a crash.
    Recovery(RecoveryFigures),
}

/// What is compared, and how.
#[derive(Debug)]
pub struct Plan {
    /// The brokers; ratios are those of the first to each other.
    pub brokers: Vec<Spec>,
    /// The scenarios in their order.
    pub scenarios: Vec<Scenario>,
    /// How often everything is run, 1 or more.
    pub rounds: u32,
    /// The protocol that the clients speak.
    pub version: ProtocolVersion,
    /// Where brokers have their data directories; needed by scenarios of the store.
    pub disk: Option<Disk>,
    /// How each run is shown while it goes on.
    pub progress: Progress,
}

/// What a comparison has shown.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Whoever took part, in the order of the first turns.
    pub brokers: Vec<ComparedBroker>,
    /// One for each scenario.
    pub scenarios: Vec<ComparedScenario>,
    /// The protocol that the clients spoke.
    pub protocol: String,
    /// The cores of broker and generator, when the machine has two.
    pub cores: Option<(usize, usize)>,
    /// The number of rounds.
    pub rounds: u32,
    /// The disk, when a store was measured.
    pub disk: Option<DiskFigures>,
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
    /// The names of those who took turns.
    pub contenders: Vec<String>,
    /// For each of them, the figures of each round.
    pub figures: Vec<Vec<Figures>>,
    /// For each of them but the first: the first one's cost divided by its cost, within each round.
    pub ratios: Vec<Option<Spread>>,
}

impl Comparison {
    /// One run against one broker, as a comparison with nobody.
    #[must_use]
    pub fn of_one_run(
        broker: ComparedBroker,
        scenario: Scenario,
        protocol: String,
        figures: Figures,
    ) -> Self {
        let compared = ComparedScenario {
            scenario,
            contenders: vec![broker.name.clone()],
            figures: vec![vec![figures]],
            ratios: Vec::new(),
        };
        Self {
            brokers: vec![broker],
            scenarios: vec![compared],
            protocol,
            cores: None,
            rounds: 1,
            disk: None,
        }
    }
}

impl Figures {
    /// What brokers are compared by: CPU µs per delivered message or accepted connection, or bytes of resident
    /// memory per connection.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        match self {
            Self::Traffic(figures) => figures.broker_cpu_us_per_message,
            Self::Idle(figures) => Some(figures.resident_bytes_per_connection),
            Self::Subscriptions(figures) => {
                Some(figures.both(|traffic| traffic.broker_cpu_us_per_message)?.1)
            }
            Self::Storm(figures) => figures.broker_cpu_us_per_connection(),
            Self::Day(figures) => figures.broker_cpu_us_per_message(),
            // What a store does has several figures: see `report::measures`.
            Self::Commits(_) | Self::Beside(_) | Self::Queue(_) | Self::Retained(_) | Self::Recovery(_) => {
                None
            }
        }
    }

    /// The figures of messages, if that is what was run.
    #[must_use]
    pub fn traffic(&self) -> Option<&TrafficFigures> {
        match self {
            Self::Traffic(figures) => Some(figures),
            _ => None,
        }
    }
}

/// Runs one scenario against a broker that is there.
///
/// # Errors
/// When the run fails, or the scenario needs the broker's process and it is not known, or a broker that the
/// generator has started with a data directory.
pub fn run_one(target: &Target, scenario: &Scenario, process: Option<Process>) -> Result<Figures, Error> {
    run_watched(target, scenario, process, &Watch::nobody())
}

/// The same, and somebody watches.
///
/// # Errors
/// As of [`run_one`].
pub fn run_watched(
    target: &Target,
    scenario: &Scenario,
    process: Option<Process>,
    watch: &Watch,
) -> Result<Figures, Error> {
    open_files::make_room(scenario.load.connections())?;
    if scenario.load.baselines().is_some() {
        let problem = format!("{} is run by compare, which starts the broker", scenario.name);
        return Err(Error::Usage(problem));
    }
    run_load(target, scenario, process, watch)
}

/// Runs whatever load it is, but for a crash, which needs a broker that can be started again.
fn run_load(
    target: &Target,
    scenario: &Scenario,
    process: Option<Process>,
    watch: &Watch,
) -> Result<Figures, Error> {
    let needed = || {
        process.ok_or_else(|| Error::Usage(format!("{} needs the process id of the broker", scenario.name)))
    };
    match &scenario.load {
        Load::Traffic(traffic) => {
            traffic::run(target, traffic, process, watch).map(|figures| Figures::Traffic(Box::new(figures)))
        }
        Load::Idle(idle) => idle::run(target, idle, needed()?).map(Figures::Idle),
        Load::Subscriptions(wanted) => subscriptions::run(target, wanted, needed()?)
            .map(|figures| Figures::Subscriptions(Box::new(figures))),
        Load::Storm(storm) => storm::run(target, storm, process).map(Figures::Storm),
        Load::Day(day) => day::run(target, day, process).map(Figures::Day),
        Load::Beside(beside) => {
            beside::run(target, beside, process, watch).map(|figures| Figures::Beside(Box::new(figures)))
        }
        Load::Queue(queue) => queue::run(target, queue, needed()?).map(Figures::Queue),
        Load::Retained(retained) => retained::run(target, retained, needed()?).map(Figures::Retained),
        Load::Recovery(_) => {
            Err(Error::Usage(format!("{} needs a broker that compare has started", scenario.name)))
        }
    }
}

/// Runs a whole comparison. `observe` is told of each run as it ends: scenario, round from 1, the name of who
/// had the turn, and figures.
///
/// # Errors
/// The first run that fails ends the comparison.
pub fn run(
    plan: &Plan,
    mut observe: impl FnMut(&Scenario, u32, &str, &Figures),
) -> Result<Comparison, Error> {
    // Whatever cannot be done is known before minutes of measuring.
    plan.scenarios.iter().try_for_each(|scenario| open_files::make_room(scenario.load.connections()))?;
    let turns: Vec<_> =
        plan.scenarios.iter().map(|scenario| contenders(plan, scenario)).collect::<Result<_, _>>()?;
    let cores = Cores::choose();
    let disk = plan.disk.as_ref().map(Disk::measure).transpose()?;
    let mut scenarios: Vec<ComparedScenario> = Vec::new();
    let mut brokers: Vec<ComparedBroker> = Vec::new();
    for (scenario, contenders) in plan.scenarios.iter().zip(&turns) {
        let mut figures = vec![Vec::new(); contenders.len()];
        for round in 1..=plan.rounds {
            for (contender, of_contender) in contenders.iter().zip(&mut figures) {
                let watch =
                    plan.progress.watch(&format!("{} round {round} {}", scenario.name, contender.name()));
                let found = contender.run(plan, scenario, cores, &watch)?;
                drop(watch);
                observe(scenario, round, contender.name(), &found);
                of_contender.push(found);
            }
        }
        let named = contenders.iter().map(|contender| contender.name().to_owned()).collect();
        let ratios = ratios(&figures);
        scenarios.push(ComparedScenario { scenario: scenario.clone(), contenders: named, figures, ratios });
        for contender in contenders {
            if brokers.iter().all(|broker| broker.name != contender.name()) {
                brokers.push(contender.describe());
            }
        }
    }
    Ok(Comparison {
        brokers,
        scenarios,
        protocol: plan.version.to_string(),
        cores: cores.map(|cores| (cores.broker, cores.generator)),
        rounds: plan.rounds,
        disk,
    })
}

fn ratios(figures: &[Vec<Figures>]) -> Vec<Option<Spread>> {
    let costs: Vec<Vec<_>> =
        figures.iter().map(|rounds| rounds.iter().map(Figures::cost).collect()).collect();
    let Some((first, others)) = costs.split_first() else { return Vec::new() };
    others.iter().map(|other| Spread::of_ratios(first, other)).collect()
}
