//! One core for the broker, another for the generator.
//!
//! A process inherits its parent's cores, so a broker is started while this thread stands on the broker's
//! core, and the thread moves to its own core before any load runs.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// The core that brokers are started on.
    pub broker: usize,
    /// The core of the generator.
    pub generator: usize,
}

impl Cores {
    /// The first two cores that this process may use; `None` when it has only one, or may not choose.
    pub(crate) fn choose() -> Option<Self> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let cores = Self { broker: cores.next()?, generator: cores.next()? };
        move_to(cores.generator).then_some(cores)
    }

    /// Does something, such as starting a process, on the broker's core.
    pub(crate) fn on_broker_core<T>(self, work: impl FnOnce() -> T) -> T {
        move_to(self.broker);
        let done = work();
        move_to(self.generator);
        done
    }
}

/// Moves this thread to a core; whether that worked.
fn move_to(core: usize) -> bool {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_started_on_one_core_and_the_generator_runs_on_another() {
        let Some(cores) = Cores::choose() else { return };
        assert_ne!(cores.broker, cores.generator);
        let allowed = || sched_getaffinity(None).unwrap();
        cores.on_broker_core(|| assert!(allowed().is_set(cores.broker) && allowed().count() == 1));
        assert!(allowed().is_set(cores.generator) && allowed().count() == 1);
    }
}
