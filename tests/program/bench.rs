//! `dunlin bench`: the load generator, as it comes with the broker.

use crate::run;
use crate::support::dunlin::{Dunlin, QUIET, directory};

#[test]
fn the_load_generator_names_its_scenarios() {
    let (status, output, error) = run(directory().path(), &["bench", "list"]);
    assert_eq!((status, error.as_str()), (0, ""));
    for name in ["qos0-10-10", "fan-out-1-1000", "idle", "recovery"] {
        assert!(output.lines().any(|line| line.split(' ').next() == Some(name)), "{name} in {output}");
    }
}

#[test]
fn a_broker_is_measured_by_its_own_program() {
    let directory = directory();
    let config = format!("{QUIET}listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n");
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0).to_string();
    let arguments = ["bench", "run", "--scenario", "qos1-10-10", "--address", &address];
    let short = ["--warm-up-messages", "100", "--duration-s", "0.2", "--json", "--html", "run.html"];
    let (status, output, error) = run(directory.path(), &[&arguments[..], &short[..]].concat());
    assert_eq!(status, 0, "{error}");
    let json: serde_json::Value = serde_json::from_str(&output).unwrap();
    let figures = &json["traffic"];
    assert!(figures["received"].as_u64().unwrap() >= 100, "{json}");
    assert_eq!((&figures["lost"], &figures["repeated"]), (&0.into(), &0.into()), "{json}");
    let page = std::fs::read_to_string(directory.path().join("run.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains(&address), "{page}");
    dunlin.stop();
}

#[test]
fn a_wrong_scenario_is_told_from_a_broker_that_is_not_there() {
    let directory = directory();
    let (status, _, error) = run(directory.path(), &["bench", "run", "--scenario", "nothing"]);
    assert_eq!(status, 2);
    assert!(error.starts_with("dunlin: there is no scenario \"nothing\""), "{error}");
    // Port 1 of this machine belongs to nobody.
    let (status, output, error) = run(directory.path(), &["bench", "run", "--address", "127.0.0.1:1"]);
    assert_eq!((status, output.as_str()), (1, ""));
    assert!(error.starts_with("dunlin: cannot "), "{error}");
}
