//! A scripted attacker, and clients beside it that behave.
//!
//! The broker is the program, with users, rules and limits as `docs/security.md` advises. Two pairs of bystanders
//! exchange messages all the time, at QoS 1 over TCP and at QoS 2 over TLS. Each attack (`attacks.rs`) does its worst
//! as often as it can within a bound, while the bystanders go on. Whatever it is: they see no error, each of their
//! messages comes whole and once, somebody new gets in, the most memory that the broker ever has stays under a limit
//! that is far below what the attack has sent or announced, the log names the attacker and none of the others, and
//! the process lives. How long the bystanders wait is printed beside their usual time, and no reason to fail: this
//! machine may have other things to do.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod bystanders;

use std::net::{Ipv4Addr, SocketAddr};

use dunlin_codec::{Connect, ReasonCode};

use attacks::{ATTACKS, Attacker};
use bystanders::Bystanders;
use support::certificates;
use support::client::{Client, hello, tcp};
use support::dunlin::{Dunlin, directory, write};

/// What the broker may have resident at any time, in bytes.
const MEMORY_MAX: usize = 80 * 1024 * 1024;

/// The same with a crowd of 10,000 connections.
const CROWD_MEMORY_MAX: usize = 176 * 1024 * 1024;

/// The hash of [`PASSWORD`], cheap because it is checked often: mosquitto's `$7$` with 101 iterations.
const USER: &str = "anna:$7$101$xQMSy+BHTqHz+9+W$WuHfjO4WdySQ7RGbO53Kydw+mg0kPorwiGtd8l38aypNFsatHbJ0TEmoRrpPTOlq+XnY3Zs9+XJjgQrdgZbLuA==\n";
const PASSWORD: &str = "anna-knows-this";

const CONFIG: &str = "\
store.path = ''
http.address = ''
server.workers = 2
[auth]
allow_anonymous = true
password_file = 'passwords'
acl_file = 'acl'
[tls]
cert = 'server.pem'
key = 'server-key.pem'
[session]
max_queued_messages = 1000
max_queued_bytes = '1MB'
max_subscriptions = 200
max_inflight = 32
receive_maximum = 32
max_expiry = '1h'
[limits]
max_packet_size = '256KB'
max_connect_packet_size = '8KB'
max_pending_handshakes = 20_000
max_sessions = 20_000
max_topic_length = 1024
max_topic_levels = 32
max_retained_messages = 5000
max_retained_bytes = '8MB'
max_memory = '48MB'
max_outbox_bytes = '128KB'
connect_timeout = '5s'
publish_bytes_rate_per_address = '16MB'
[ban]
user_failures = 20
allow = ['127.0.1.0/24']
[[listener]]
url = 'mqtt://127.0.0.1:0'
[[listener]]
url = 'mqtts://127.0.0.1:0'
[[listener]]
url = 'ws://127.0.0.1:0'
";

/// Where the broker listens: TCP, TLS, WebSocket.
type Addresses = [SocketAddr; 3];

/// The CONNECT of a bystander.
fn login(client_identifier: &str) -> Connect<'_> {
    Connect { user_name: Some("anna"), password: Some(PASSWORD.as_bytes()), ..hello(client_identifier) }
}

#[test]
fn who_attacks_costs_nobody_else_an_error_and_the_broker_bounded_memory() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    write(directory.path(), "passwords", USER);
    write(directory.path(), "acl", "topic readwrite attack/#\nuser anna\ntopic readwrite bystanders/#\n");
    let mut dunlin = Dunlin::start(directory.path(), CONFIG);
    let addresses: Addresses = [0, 1, 2].map(|index| dunlin.address(index));
    let bystanders = Bystanders::begin(addresses, &directory.path().join("ca.pem"));
    let usual_us = bystanders.median_us(200);
    for (number, (name, attack, _)) in ATTACKS.iter().enumerate() {
        let mut attacker = Attacker::new(address_of(number), addresses);
        attack(&mut attacker);
        // What the attack has opened stays open until the end of this turn.
        let meanwhile_us = bystanders.median_us(50);
        let mut newcomer = Client::over(tcp(addresses[0]));
        assert_eq!(newcomer.connect(&login("newcomer")), ReasonCode::Success, "beside {name}");
        newcomer.disconnect();
        let peak = dunlin.peak_resident_bytes();
        println!("{name}: {peak} bytes at the most, round trip {meanwhile_us} us (usually {usual_us} us)");
        let max = if number + 1 < ATTACKS.len() { MEMORY_MAX } else { CROWD_MEMORY_MAX };
        assert!(peak < max, "{name}: {peak} bytes were resident");
        drop(attacker);
    }
    bystanders.end();
    let ended = dunlin.stop();
    assert_eq!(ended.status, 0);
    assert!(!ended.error.contains("panic"), "{}", ended.error);
    check_log(&ended.error);
}

/// Where an attack comes from.
fn address_of(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number as u8 + 1)
}

/// The log names each attacker and what it did, and of the others says only that they came and went.
fn check_log(log: &str) {
    let lines_about = |address: Ipv4Addr| {
        let address = format!("address={address}:");
        log.lines().filter(move |line| line.contains(&address))
    };
    for (number, (name, _, mark)) in ATTACKS.iter().enumerate() {
        // Guesses come from everywhere.
        let is_marked = lines_about(address_of(number)).any(|line| line.contains(mark))
            || log.lines().any(|line| line.contains("address=127.1.") && line.contains(mark));
        assert!(mark.is_empty() || is_marked, "the log says nothing of {name} ({mark})");
    }
    // "disconnected", too.
    let is_usual = |line: &&str| line.contains(" INFO listening ") || line.contains("connected client=");
    let complaint = lines_about(Ipv4Addr::LOCALHOST).find(|line| !is_usual(line));
    assert_eq!(complaint, None, "the log has something to say about a bystander");
}
