//! Clients that are broken or mean cost themselves something, and nobody else.
//!
//! The broker is the program here, so that its log and its memory can be looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use dunlin_codec::{Connect, Packet, QoS, ReasonCode};
use rustix::process::Signal;

use crate::support::client::{Client, Stream, bytes_of, hello, publish, tcp};
use crate::support::dunlin::{Dunlin, directory};
use crate::support::tls;
use crate::support::websocket::{Opcode, connect, frame};
use crate::{Listeners, TRANSPORTS, Tcp, Transport, everywhere};

/// The program, listening everywhere.
fn run_everywhere(config: &str) -> (Dunlin, Listeners) {
    let directory = directory();
    let config = everywhere(directory.path(), &format!("server.workers = 3\n{config}"));
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let addresses = (0..4).map(|listener| dunlin.address(listener)).collect();
    dunlin.wait_for("listening url=unix://");
    (dunlin, Listeners { directory, addresses })
}

/// Pseudo-random bytes.
fn garbage(seed: usize) -> Vec<u8> {
    let mut state = seed as u64 * 2 + 1;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..4096).map(|_| byte()).collect()
}

#[test]
fn garbage_on_any_transport_ends_its_connection_and_disturbs_nobody() {
    // spec(v5): [MQTT-4.13.1-1]
    const ROUNDS: usize = 25;
    let (dunlin, listeners) = run_everywhere("limits.connect_timeout = '200ms'");
    let mut bystanders: Vec<_> = TRANSPORTS
        .iter()
        .map(|transport| listeners.client(*transport, &format!("bystander over {transport:?}")))
        .collect();
    let rude = |transport: Transport, seed: usize| {
        // Instead of CONNECT: the connection is closed.
        let mut client = Client::over(listeners.open(transport));
        client.send(&garbage(seed));
        client.end();
        // After CONNECT, and after the beginning of a packet.
        for beginning in [&[][..], &publish("rude", b"", QoS::AtMostOnce, 0)[..3]] {
            let mut client = listeners.client(transport, "rude");
            client.send(beginning);
            client.send(&garbage(seed + ROUNDS));
        }
    };
    // The bytes of TLS and WebSocket themselves.
    for (seed, address) in listeners.addresses.iter().cycle().take(4 * ROUNDS).enumerate() {
        let mut client = Client::over(tcp(*address));
        client.send(&garbage(seed));
    }
    for transport in TRANSPORTS {
        for seed in 0..ROUNDS {
            rude(transport, seed);
        }
    }
    for bystander in &mut bystanders {
        bystander.ping();
    }
    drop(bystanders);
    let ended = dunlin.stop();
    assert_eq!(ended.status, 0);
    assert!(!ended.error.contains("panic"), "{}", ended.error);
}

#[test]
fn a_subscriber_that_stops_reading_delays_nobody_and_costs_bounded_memory() {
    const COUNT: u16 = 1000;
    const PAYLOAD_BYTES: usize = 64 * 1024;
    const GROWTH_BYTES_MAX: usize = 24 * 1024 * 1024;
    let (dunlin, listeners) = run_everywhere(
        "limits.max_outbox_bytes = '256KB'\nsession.max_queued_bytes = '1MB'\nsession.max_inflight = 10",
    );
    let mut sleepers: Vec<_> = TRANSPORTS
        .iter()
        .map(|transport| listeners.client(*transport, &format!("sleeper over {transport:?}")))
        .collect();
    for sleeper in &mut sleepers {
        sleeper.subscribe("flood");
    }
    let mut reader = listeners.client(Tcp, "reader");
    reader.subscribe("flood");
    let mut publisher = listeners.client(Tcp, "publisher");
    let before = dunlin.resident_bytes();
    let mut payload = vec![7; PAYLOAD_BYTES];
    for number in 0..COUNT {
        payload[..2].copy_from_slice(&number.to_be_bytes());
        publisher.publish("flood", &payload);
        let message = reader.message();
        assert!(message.payload == payload, "the reader misses message {number}");
        reader.acknowledge(message.packet_identifier);
    }
    let growth = dunlin.resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "the broker holds {growth} bytes more");
    // What the sleepers find when they wake up is whole, and their connections work.
    for sleeper in &mut sleepers {
        sleeper.send(&bytes_of(&Packet::PingReq));
        while !sleeper.next(|packet| matches!(packet.expect("the connection is open"), Packet::PingResp)) {}
    }
    assert_eq!(dunlin.stop().status, 0);
}

#[test]
fn a_client_that_sends_and_never_reads_costs_bounded_memory() {
    const GROWTH_BYTES_MAX: usize = 24 * 1024 * 1024;
    const SENT_BYTES_MAX: usize = 96 * 1024 * 1024;
    let (dunlin, listeners) = run_everywhere("limits.max_outbox_bytes = '256KB'");
    let mut bystander = listeners.client(Tcp, "bystander");
    let mut chatterbox = listeners.client(Tcp, "chatterbox");
    let before = dunlin.resident_bytes();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let talking = thread::spawn(move || {
        // Each of these is answered by as many bytes, so the broker has to stop reading or else to keep the
        // answers.
        let pings = bytes_of(&Packet::PingReq).repeat(4096);
        while counter.load(Relaxed) < SENT_BYTES_MAX && chatterbox.try_send(&pings).is_ok() {
            counter.fetch_add(pings.len(), Relaxed);
        }
        // Its connection stays open.
        chatterbox
    });
    // Until the chatterbox is through, or has made no progress during many pings of somebody else.
    let mut seen = usize::MAX;
    while seen != sent.load(Relaxed) {
        seen = sent.load(Relaxed);
        for _ in 0..500 {
            bystander.ping();
        }
    }
    let growth = dunlin.resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "the broker holds {growth} bytes more after {seen} were sent");
    dunlin.signal(Signal::TERM);
    assert_eq!(dunlin.finish().status, 0);
    talking.join().expect("it ends with the broker");
}

#[test]
fn strangers_cost_little_memory_each() {
    // What is kept until CONNECT is whole is at most limits.max_connect_packet_size; the rest is the
    // transport's.
    const STRANGERS: usize = 100;
    const EACH_BYTES_MAX: usize = 64 * 1024;
    let (dunlin, listeners) = run_everywhere("");
    let mut bystanders: Vec<_> =
        (0..6).map(|number| listeners.client(Tcp, &format!("bystander-{number}"))).collect();
    let password = [b'x'; 16_000];
    let connect = Connect { user_name: Some("anna"), password: Some(&password), ..hello("stranger") };
    let bytes = bytes_of(&Packet::Connect(connect));
    for transport in TRANSPORTS {
        let before = dunlin.resident_bytes();
        let mut strangers: Vec<_> = (0..STRANGERS).map(|_| Client::over(listeners.open(transport))).collect();
        for stranger in &mut strangers {
            stranger.send(&bytes[..bytes.len() - 1]);
        }
        // The workers have their turns at them.
        for _ in 0..200 {
            for bystander in &mut bystanders {
                bystander.ping();
            }
        }
        let growth = dunlin.resident_bytes().saturating_sub(before);
        assert!(growth / STRANGERS < EACH_BYTES_MAX, "{transport:?}: {} bytes each", growth / STRANGERS);
        // They were not forgotten: the last byte makes the CONNECT whole.
        for stranger in &mut strangers {
            stranger.send(&bytes[bytes.len() - 1..]);
            assert_eq!(stranger.connack(), ReasonCode::Success, "{transport:?}");
        }
    }
}

#[test]
fn a_stranger_that_announces_a_large_frame_is_closed_before_any_of_it_comes() {
    // CONNECT is waited for much longer than this test runs.
    let (dunlin, listeners) = run_everywhere("limits.connect_timeout = '10m'");
    let announced = frame(Opcode::Binary, true, &vec![0; 2 * 1024 * 1024]);
    let trust = tls::trusting(&listeners.directory.path().join("ca.pem"), tls::EVERY_VERSION);
    let plain = || Box::new(tcp(listeners.addresses[2])) as Box<dyn Stream>;
    let secure = || Box::new(tls::connect(listeners.addresses[3], &trust)) as Box<dyn Stream>;
    for open in [&plain as &dyn Fn() -> Box<dyn Stream>, &secure] {
        for beginning in [vec![], frame(Opcode::Ping, true, b"there?")] {
            let mut stranger = connect(open());
            stranger.send(&[&beginning, &announced[..14]].concat());
            let error = loop {
                match stranger.receive() {
                    Ok((opcode, _)) => assert_eq!(opcode, Opcode::Pong),
                    Err(error) => break error,
                }
            };
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection is still open");
        }
    }
    assert_eq!(dunlin.stop().status, 0);
}

#[test]
fn a_request_for_a_websocket_that_never_ends_is_cut_off() {
    let (dunlin, listeners) = run_everywhere("");
    let mut bystander = listeners.client(Tcp, "bystander");
    let before = dunlin.resident_bytes();
    for _ in 0..20 {
        let mut client = Client::over(tcp(listeners.addresses[2]));
        client.send(b"GET /mqtt HTTP/1.1\r\n");
        let header = format!("X-Nonsense: {}\r\n", "x".repeat(1000));
        // It is closed long before this is through.
        let sent = (0..10_000).take_while(|_| client.try_send(header.as_bytes()).is_ok()).count();
        assert!(sent < 10_000, "the broker takes everything");
    }
    bystander.ping();
    let growth = dunlin.resident_bytes().saturating_sub(before);
    assert!(growth < 8 * 1024 * 1024, "the broker holds {growth} bytes more");
}
