//! A long run, in short: the broker neither grows nor loses anything while clients come and go.
//!
//! How much is done in the time is the machine's affair: nothing here judges how long anything took.

use dunlin_bench::broker::Spec;
use dunlin_bench::soak::{self, Soak};
use dunlin_bench::transport::Transport;
use dunlin_codec::ProtocolVersion;

mod built;

#[test]
fn a_broker_does_not_grow_while_clients_come_and_go_and_is_as_before_when_they_have_left() {
    let spec: Spec = format!("dunlin={}", built::program().display()).parse().unwrap();
    let running = spec.start(None, ProtocolVersion::V5, Transport::Tcp).unwrap();
    let soak = Soak { duration_s: 32, samples: 32, devices: 100, visits_per_s: 300, churn_per_s: 300 };
    let figures = soak::run(&running.target, &soak, running.process.unwrap(), |_| ()).unwrap();
    assert_eq!(figures.faults(), Vec::<String>::new(), "{figures:#?}");

    let visits = figures.visits;
    let kinds =
        [visits.newcomers, visits.doomed, visits.returning, visits.cut_off, visits.takeovers, visits.passing];
    assert!(kinds.iter().all(|&count| count > 0), "{visits:?}");
    assert!(figures.churn.answered_per_s > 0.0, "{:?}", figures.churn);
    assert!(figures.classes.iter().all(|class| class.delivered > 0), "{:?}", figures.classes);
}
