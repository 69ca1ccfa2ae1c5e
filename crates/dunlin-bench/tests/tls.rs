//! Scenarios over TLS against the relay: what is counted over TCP is counted here, and handshakes are what the
//! scenario says. WebSocket needs a broker: see `broker.rs`.

use dunlin_bench::compare::{self, Figures, Plan, run_one};
use dunlin_bench::progress::Progress;
use dunlin_bench::scenario::{self, Overrides};
use dunlin_bench::transport::{BrokerUrl, Transport};
use dunlin_bench::{Target, Trust};
use dunlin_codec::{ProtocolVersion, QoS};

mod relay;

use relay::{RunningRelay, small};

/// How a relay is reached over TLS.
fn over_tls(relay: &RunningRelay, version: ProtocolVersion) -> Target {
    let url: BrokerUrl = format!("mqtts://{}", relay.address).parse().unwrap();
    Target::at(&url, Transport::Tls, version, Some(&Trust::Anybody), None).unwrap()
}

#[test]
fn every_message_is_counted_once_over_tls() {
    let relay = RunningRelay::over(Transport::Tls);
    for (qos, payload_bytes) in
        [(QoS::AtMostOnce, 64), (QoS::AtLeastOnce, 64), (QoS::ExactlyOnce, 64), (QoS::AtLeastOnce, 300_000)]
    {
        let overrides =
            Overrides { qos: Some(qos), payload_bytes: Some(payload_bytes), ..Overrides::default() };
        let scenario = scenario::by_name("tls-qos0-10-10").unwrap().with(&small(overrides)).unwrap();
        let target = over_tls(&relay, ProtocolVersion::V5);
        let Figures::Traffic(figures) = run_one(&target, &scenario, None).unwrap() else { panic!() };
        assert_eq!((figures.received, figures.lost), (figures.expected, 0), "{qos:?}: {figures:?}");
        assert!(figures.received >= 100 && figures.repeated == 0, "{qos:?}: {figures:?}");
    }
}

#[test]
fn handshakes_of_tls_are_full_or_resumed_as_the_scenario_says() {
    let relay = RunningRelay::over(Transport::Tls);
    for (name, resumed) in [("tls-handshakes-full", 0), ("tls-handshakes-resumed", 100)] {
        let overrides = Overrides { connections: Some(100), ..Overrides::default() };
        let scenario = scenario::by_name(name).unwrap().with(&overrides).unwrap();
        let target = over_tls(&relay, ProtocolVersion::V3_1_1);
        let Figures::Storm(figures) = run_one(&target, &scenario, None).unwrap() else { panic!() };
        assert_eq!((figures.connections, figures.resumed), (100, Some(resumed)), "{name}");
        assert_eq!(figures.latency.unwrap().count, 100);
    }
}

#[test]
fn handshakes_of_tls_are_not_measured_without_it() {
    let overrides = Overrides { transport: Some(Transport::WebSocket), ..Overrides::default() };
    let problem = scenario::by_name("tls-handshakes-full").unwrap().with(&overrides).unwrap_err();
    assert_eq!(problem.to_string(), "tls-handshakes-full needs mqtts:// or wss://");
}

#[test]
fn a_certificate_of_an_authority_that_is_not_trusted_is_refused() {
    let (relay, directory) = (RunningRelay::over(Transport::Tls), tempfile::tempdir().unwrap());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, other.cert.pem()).unwrap();
    let url: BrokerUrl = format!("mqtts://{}", relay.address).parse().unwrap();
    let trust = Trust::Authorities(path);
    let target = Target::at(&url, Transport::Tls, ProtocolVersion::V5, Some(&trust), None).unwrap();
    let scenario = scenario::by_name("tls-qos0-10-10").unwrap();
    let problem = run_one(&target, &scenario, None).unwrap_err().to_string();
    assert!(problem.contains("invalid peer certificate"), "{problem}");
    let problem = Target::at(&url, Transport::Tls, ProtocolVersion::V5, None, None).unwrap_err().to_string();
    assert!(problem.contains("--ca FILE"), "{problem}");
}

#[test]
fn a_broker_that_is_started_is_compared_with_one_that_somebody_else_has_started() {
    let theirs = RunningRelay::over(Transport::Tls);
    let ours = format!("relay={}", env!("CARGO_BIN_EXE_dunlin-bench"));
    let named = format!("theirs=mqtts://{},{}", theirs.address, std::process::id());
    let overrides = Overrides { connections: Some(50), ..Overrides::default() };
    let plan = Plan {
        brokers: vec![ours.parse().unwrap(), named.parse().unwrap()],
        scenarios: vec![scenario::by_name("tls-handshakes-full").unwrap().with(&overrides).unwrap()],
        rounds: 2,
        version: ProtocolVersion::V3_1_1,
        disk: None,
        progress: Progress::Hidden,
    };
    let comparison = compare::run(&plan, |_, _, _, _| {}).unwrap();
    let compared = &comparison.scenarios[0];
    assert_eq!(compared.contenders, ["relay", "theirs"]);
    for figures in compared.figures.iter().flatten() {
        let Figures::Storm(figures) = figures else { panic!("{figures:?}") };
        assert_eq!((figures.connections, figures.resumed), (50, Some(0)));
        assert!(figures.broker_cpu_us_per_connection().unwrap() > 0.0, "{figures:?}");
    }
    assert!(compared.ratios[0].is_some(), "{:?}", compared.ratios);
}
