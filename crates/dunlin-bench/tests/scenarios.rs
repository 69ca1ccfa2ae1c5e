//! Small scenarios against the relay: the generator counts what was sent, what arrived, and what was lost or
//! repeated.
//!
//! The relay runs in a thread of the test, on a port of its own, so that no broker needs to be installed. A
//! relay that tampers with messages stands between the generator and the relay where a fault has to be seen.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use dunlin_bench::compare::{Figures, run_one};
use dunlin_bench::process::Process;
use dunlin_bench::scenario::{self, Overrides, Rate};
use dunlin_bench::traffic::TrafficFigures;
use dunlin_bench::transport::Transport;
use dunlin_bench::{Error, Target};
use dunlin_codec::{PacketType, ProtocolVersion, QoS, Split, split};

mod relay;

use relay::{RunningRelay, small};

fn run(address: SocketAddr, version: ProtocolVersion, overrides: Overrides) -> Result<TrafficFigures, Error> {
    let scenario = scenario::by_name("qos0-10-10")?.with(&small(overrides))?;
    let target = Target::new(address, version);
    match run_one(&target, &scenario, Some(Process::this()))? {
        Figures::Traffic(figures) => Ok(*figures),
        other => panic!("a scenario of messages gave other figures: {other:?}"),
    }
}

#[test]
fn every_message_of_every_qos_and_version_is_counted_once() {
    let relay = RunningRelay::over(Transport::Tcp);
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let figures =
                run(relay.address, version, Overrides { qos: Some(qos), ..Overrides::default() }).unwrap();
            assert_eq!((figures.lost, figures.repeated), (0, 0), "{version} {qos:?}: {figures:?}");
            assert_eq!(figures.received, figures.expected, "{version} {qos:?}");
            assert_eq!(figures.expected, figures.published, "each publisher has one subscriber");
            assert!(figures.delivered > 0 && figures.delivered <= figures.received);
            assert!(figures.broker_cpu_us_per_message.unwrap() > 0.0);
        }
    }
}

#[test]
fn a_fan_out_expects_each_message_at_every_subscriber() {
    let relay = RunningRelay::over(Transport::Tcp);
    let overrides =
        Overrides { publishers: Some(1), subscribers: Some(20), topics: Some(1), ..Overrides::default() };
    let figures = run(relay.address, ProtocolVersion::V3_1_1, overrides).unwrap();
    assert_eq!(figures.expected, figures.published * 20);
    assert_eq!((figures.received, figures.lost), (figures.expected, 0));
}

#[test]
fn messages_at_a_fixed_rate_are_timed_from_when_they_were_due() {
    let relay = RunningRelay::over(Transport::Tcp);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let overrides = Overrides {
            rate: Some(Rate::PerSecond(2_000)),
            duration_ms: Some(300),
            warm_up_messages: Some(20),
            qos: Some(qos),
            ..small(Overrides::default())
        };
        let scenario = scenario::by_name("qos0-10-10").unwrap().with(&overrides).unwrap();
        let target = Target::new(relay.address, ProtocolVersion::V3_1_1);
        let Figures::Traffic(figures) = run_one(&target, &scenario, None).unwrap() else { panic!() };
        let scheduled = figures.scheduled.unwrap();
        let (latency, lateness) = (scheduled.latency.unwrap(), scheduled.lateness.unwrap());
        // However busy the machine is: what was due in 300 ms is there, once, and nothing else is timed.
        assert!((595..=figures.published).contains(&latency.count), "{figures:?}");
        assert_eq!(lateness.count + scheduled.held_back, latency.count, "{figures:?}");
        assert_eq!((figures.lost, figures.repeated, scheduled.unsent), (0, 0, 0), "{figures:?}");
        assert!(latency.p50_us <= latency.p999_us && latency.p999_us <= latency.max_us);
        // Whichever left latest, counted from when it was due, was received later still.
        assert!(latency.max_us >= lateness.max_us, "{figures:?}");
    }
}

#[test]
fn a_stall_is_in_the_latency_of_every_message_that_was_due_in_it() {
    let relay = RunningRelay::over(Transport::Tcp);
    let overrides = Overrides {
        publishers: Some(1),
        subscribers: Some(1),
        topics: Some(1),
        rate: Some(Rate::PerSecond(1_000)),
        duration_ms: Some(900),
        warm_up_messages: Some(100),
        ..Overrides::default()
    };
    let scenario = scenario::by_name("rate-1000").unwrap().with(&overrides).unwrap();
    let address = tamper(relay.address, Fault::Stall(Duration::from_millis(300)));
    let target = Target::new(address, ProtocolVersion::V3_1_1);
    let Figures::Traffic(figures) = run_one(&target, &scenario, None).unwrap() else { panic!() };
    let latency = figures.scheduled.unwrap().latency.unwrap();
    // It begins after the warm-up: 300 of 900 messages become due while nothing moves. Were they only sent
    // afterwards, one of them would be late.
    assert!(latency.p99_us > 200_000.0 && latency.max_us > 250_000.0, "{figures:?}");
    assert_eq!(figures.lost, 0);
}

#[test]
fn a_run_leaves_nothing_behind_for_the_next_one() {
    let relay = RunningRelay::over(Transport::Tcp);
    for subscribers in [20, 5] {
        let overrides = Overrides {
            publishers: Some(2),
            subscribers: Some(subscribers),
            topics: Some(1),
            ..Overrides::default()
        };
        let figures = run(relay.address, ProtocolVersion::V5, overrides).unwrap();
        assert_eq!((figures.received, figures.repeated), (figures.published * u64::from(subscribers), 0));
    }
}

#[test]
fn a_payload_larger_than_a_read_arrives_whole() {
    let relay = RunningRelay::over(Transport::Tcp);
    let overrides = Overrides {
        payload_bytes: Some(1_000_000),
        qos: Some(QoS::AtLeastOnce),
        window: Some(2),
        ..Overrides::default()
    };
    let scenario = scenario::by_name("qos1-10-10").unwrap();
    let scenario = scenario.with(&Overrides { warm_up_messages: Some(1), ..small(overrides) }).unwrap();
    let target = Target::new(relay.address, ProtocolVersion::V3_1_1);
    let Figures::Traffic(figures) = run_one(&target, &scenario, None).unwrap() else { panic!() };
    assert_eq!((figures.received, figures.lost), (figures.expected, 0));
    assert_eq!(figures.broker_cpu_us_per_message, None, "the process is not known");
}

#[test]
fn idle_connections_are_counted_without_those_of_the_warm_up() {
    let relay = RunningRelay::over(Transport::Tcp);
    let overrides = Overrides { connections: Some(30), duration_ms: Some(10), ..Overrides::default() };
    let scenario = scenario::by_name("idle").unwrap().with(&overrides).unwrap();
    let target = Target::new(relay.address, ProtocolVersion::V3_1_1);
    let figures = run_one(&target, &scenario, Some(Process::this())).unwrap();
    let Figures::Idle(figures) = figures else { panic!("a scenario of idle connections gave other figures") };
    assert_eq!(figures.connections, 30);
    assert!(matches!(run_one(&target, &scenario, None), Err(Error::Usage(_))), "it needs the process");
}

#[test]
fn a_storm_of_connections_is_accepted_whole() {
    let relay = RunningRelay::over(Transport::Tcp);
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let overrides = Overrides { connections: Some(250), ..Overrides::default() };
        let scenario = scenario::by_name("connect-storm").unwrap().with(&overrides).unwrap();
        let target = Target::new(relay.address, version);
        let Figures::Storm(figures) = run_one(&target, &scenario, Some(Process::this())).unwrap() else {
            panic!()
        };
        assert_eq!(figures.connections, 250);
        assert_eq!(figures.latency.unwrap().count, 250, "without those of the warm-up: {figures:?}");
        assert!(figures.accepted_per_s > 0.0 && figures.broker_cpu_us_per_connection().unwrap() > 0.0);
    }
}

#[test]
fn half_of_saturation_is_measured_first_and_kept_to() {
    let relay = RunningRelay::over(Transport::Tcp);
    let overrides =
        Overrides { rate: Some(Rate::HalfOfSaturation), ahead_max: Some(10), ..small(Overrides::default()) };
    let scenario = scenario::by_name("fan-out-1-100").unwrap().with(&overrides).unwrap();
    let target = Target::new(relay.address, ProtocolVersion::V3_1_1);
    let Figures::Traffic(figures) = run_one(&target, &scenario, None).unwrap() else { panic!() };
    let scheduled = figures.scheduled.unwrap();
    let saturated_per_s = scheduled.saturated_per_s.unwrap();
    assert!((saturated_per_s / 2.0 - f64::from(scheduled.rate_per_s)).abs() <= 1.0, "{scheduled:?}");
    assert!(scheduled.latency.is_some() && figures.lost == 0, "{figures:?}");
}

#[test]
fn more_connections_than_files_may_be_open_are_refused_at_once() {
    let overrides = Overrides { connections: Some(u32::MAX - 1_000), ..Overrides::default() };
    let scenario = scenario::by_name("connect-storm").unwrap().with(&overrides).unwrap();
    let target = Target::new("127.0.0.1:1".parse().unwrap(), ProtocolVersion::V5);
    let Err(Error::Usage(problem)) = run_one(&target, &scenario, None) else { panic!("it was tried") };
    assert!(problem.contains("open files"), "{problem}");
}

/// What [`tamper`] does to the third PUBLISH of each connection.
#[derive(Clone, Copy)]
enum Fault {
    Drop,
    Repeat,
    Close,
    /// Not the third but the 400th, and everything after it waits.
    Stall(Duration),
}

/// A listener in front of `relay` that spoils the third PUBLISH that a client sends.
fn tamper(relay: SocketAddr, fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, broker) = (client.unwrap(), TcpStream::connect(relay).unwrap());
            let back = (broker.try_clone().unwrap(), client.try_clone().unwrap());
            // Both directions end when either side closes.
            thread::spawn(move || pass_packets(client, broker, Some(fault)));
            thread::spawn(move || pass_packets(back.0, back.1, None));
        }
    });
    address
}

fn pass_packets(mut from: TcpStream, mut to: TcpStream, fault: Option<Fault>) {
    let (mut bytes, mut chunk, mut publishes) = (Vec::new(), vec![0; 65536], 0);
    loop {
        let Ok(count @ 1..) = from.read(&mut chunk) else { return };
        bytes.extend_from_slice(&chunk[..count]);
        let (mut out, mut taken) = (Vec::new(), 0);
        while let Split::Packet { frame, length } = split(&bytes[taken..], u32::MAX).unwrap() {
            let packet = &bytes[taken..taken + length];
            publishes += u32::from(frame.packet_type() == Ok(PacketType::Publish));
            let number = if matches!(fault, Some(Fault::Stall(_))) { 400 } else { 3 };
            let spoilt =
                fault.filter(|_| publishes == number && frame.packet_type() == Ok(PacketType::Publish));
            match spoilt {
                None => out.extend_from_slice(packet),
                Some(Fault::Drop) => {}
                Some(Fault::Repeat) => out.extend_from_slice(&[packet, packet].concat()),
                Some(Fault::Stall(pause)) => {
                    thread::sleep(pause);
                    out.extend_from_slice(packet);
                }
                Some(Fault::Close) => {
                    let _ = from.shutdown(std::net::Shutdown::Both);
                    return;
                }
            }
            taken += length;
        }
        bytes.drain(..taken);
        if to.write_all(&out).is_err() {
            return;
        }
    }
}

#[test]
fn lost_messages_are_counted_and_do_not_stop_the_run() {
    let relay = RunningRelay::over(Transport::Tcp);
    let figures =
        run(tamper(relay.address, Fault::Drop), ProtocolVersion::V3_1_1, Overrides::default()).unwrap();
    assert_eq!((figures.lost, figures.repeated), (3, 0), "one of each publisher: {figures:?}");
}

#[test]
fn repeated_messages_are_counted_and_make_up_for_no_lost_one() {
    let relay = RunningRelay::over(Transport::Tcp);
    let figures =
        run(tamper(relay.address, Fault::Repeat), ProtocolVersion::V3_1_1, Overrides::default()).unwrap();
    assert_eq!((figures.lost, figures.repeated), (0, 3), "one of each publisher: {figures:?}");
    assert_eq!(figures.received, figures.expected);
}

#[test]
fn a_closed_connection_ends_the_run_with_the_name_of_the_client() {
    let relay = RunningRelay::over(Transport::Tcp);
    let error =
        run(tamper(relay.address, Fault::Close), ProtocolVersion::V3_1_1, Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("bench-p"), "{error}");
}
