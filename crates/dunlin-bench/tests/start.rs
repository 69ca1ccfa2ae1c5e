//! Starting a broker is measured until it answers.

use dunlin_bench::broker::Spec;
use dunlin_bench::{Error, start};

mod built;

#[test]
fn each_start_counts_until_a_client_is_answered() {
    let program = built::program();
    let spec: Spec = format!("dunlin={}", program.display()).parse().unwrap();
    let all = start::run(&[spec], 2).unwrap();
    let [figures] = &all[..] else { panic!("{all:?}") };
    assert!(figures.ready_ms.min > 0.0 && figures.resident_bytes.min > 0.0, "{figures:?}");
    assert_eq!(figures.program_bytes, Some(program.metadata().unwrap().len()));
}

#[test]
fn a_broker_that_somebody_else_has_started_is_not_started_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let spec: Spec = format!("x={}", listener.local_addr().unwrap()).parse().unwrap();
    assert!(matches!(start::run(&[spec], 1), Err(Error::Usage(_))));
}
