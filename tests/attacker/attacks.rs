//! What somebody may try who wants to harm a broker or its clients. Each attack is bounded in what it does, not in
//! time, and ignores what the broker does about it: being cut off is a success of the broker.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use dunlin_codec::{
    Connect, Packet, ProtocolVersion, Publish, QoS, ReasonCode, SubscribeFilters, SubscriptionFilter,
    SubscriptionOptions, Will, encode_subscribe_filters,
};

use crate::Addresses;
use crate::bystanders::connect_from;
use crate::support::client::{Client, bytes_of, hello, persistent, publish, subscribe};
use crate::support::websocket::{self, Opcode};

/// What somebody does to a broker.
type Attack = fn(&mut Attacker);

/// Every attack by name, and what the log must say of it; nothing, where the attacker does nothing that is refused.
pub const ATTACKS: &[(&str, Attack, &str)] = &[
    ("handshakes of TLS that never end", handshake_slowly, ""),
    ("TLS of versions that are given up", speak_old_tls, "kind=\"protocol\""),
    ("one byte at a time", dribble, ""),
    ("256 MB announced and not sent", announce, "kind=\"protocol\""),
    ("100,000 user properties", pile_up_properties, "reason_code=Packet too large"),
    ("topics of 65,535 levels", go_deep, "reason_code=Topic Name invalid"),
    (
        "identifiers of QoS 2 that are never released",
        hold_identifiers,
        "reason_code=Receive Maximum exceeded",
    ),
    ("Wills on topics of others", leave_forbidden_wills, "kind=\"not-authorized\""),
    (
        "takeovers of one Session again and again",
        take_over,
        "another connection uses the same client identifier",
    ),
    ("a new Session with every connection", churn_sessions, ""),
    ("a flood of messages", flood_messages, ""),
    ("a flood of Retained Messages", flood_retained, ""),
    ("more Subscriptions than anybody needs", bomb_subscriptions, "reason_code=Quota exceeded"),
    ("frames of WebSocket that are none", break_frames, "kind=\"protocol\""),
    ("passwords at random", guess_passwords, "kind=\"login\""),
    ("passwords at random from everywhere", guess_from_everywhere, "kind=\"login-rate\""),
    // Last, because what it takes of memory would hide what others take.
    ("connections that send nothing", send_nothing, ""),
];

/// Somebody with connections, which stay open until it is dropped.
pub struct Attacker {
    from: Ipv4Addr,
    addresses: Addresses,
    open: Vec<TcpStream>,
}

impl Attacker {
    /// One who connects from here. The log has only so many lines for each address.
    pub fn new(from: Ipv4Addr, addresses: Addresses) -> Self {
        Self { from, addresses, open: Vec::new() }
    }

    fn stream(&self, listener: usize) -> Option<TcpStream> {
        connect_from(self.from, self.addresses[listener]).ok()
    }

    /// Sends bytes on a connection of its own, and leaves it open.
    fn send(&mut self, listener: usize, bytes: &[u8]) {
        if let Some(mut stream) = self.stream(listener) {
            // The broker may have closed it already.
            drop(stream.write_all(bytes));
            self.open.push(stream);
        }
    }

    /// A client that was let in, as an anonymous one.
    fn client(&self, connect: &Connect<'_>) -> Option<Client> {
        let mut client = Client::over(self.stream(0)?);
        client.send(&bytes_of(&Packet::Connect(*connect)));
        let is_in = client.next(
            |packet| matches!(packet, Some(Packet::ConnAck(connack)) if connack.reason_code == ReasonCode::Success),
        );
        is_in.then_some(client)
    }
}

fn send_nothing(attacker: &mut Attacker) {
    // As many as the limit of open files allows both sides, up to 10,000.
    let count = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(10_500);
    for _ in 0..count.saturating_sub(500).min(10_000) {
        attacker.send(0, &[]);
    }
}

fn handshake_slowly(attacker: &mut Attacker) {
    // The beginning of a ClientHello that announces 512 bytes.
    for length in 1..=300 {
        let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[7; 400]].concat();
        attacker.send(1, &hello[..length]);
    }
}

fn speak_old_tls(attacker: &mut Attacker) {
    for version in [0, 1, 2] {
        // A ClientHello of SSL 3.0, TLS 1.0 or 1.1 with one cipher suite.
        let mut body = vec![3, version];
        body.extend([5; 32]);
        body.extend([0, 0, 2, 0, 0x2F, 1, 0]);
        let mut hello = vec![1, 0, 0, body.len() as u8];
        hello.extend(body);
        let mut record = vec![0x16, 3, version, 0, hello.len() as u8];
        record.extend(hello);
        for _ in 0..50 {
            let Some(mut stream) = attacker.stream(1) else { continue };
            drop(stream.write_all(&record));
            let mut answer = Vec::new();
            // An alert, and the end.
            drop(stream.shutdown(Shutdown::Write));
            drop(stream.read_to_end(&mut answer));
            assert!(answer.first().is_none_or(|kind| *kind == 0x15), "it was answered with {answer:?}");
        }
    }
}

fn dribble(attacker: &mut Attacker) {
    let bytes = bytes_of(&Packet::Connect(hello("dribble")));
    let mut streams: Vec<_> = (0..200).filter_map(|_| attacker.stream(0)).collect();
    for byte in &bytes[..bytes.len() - 1] {
        for stream in &mut streams {
            drop(stream.write_all(&[*byte]));
        }
    }
    attacker.open.append(&mut streams);
}

fn announce(attacker: &mut Attacker) {
    let connect = bytes_of(&Packet::Connect(hello("")));
    // A PUBLISH of 268,435,455 bytes.
    let announcement = [0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 6, b'a', b't', b't', b'a', b'c', b'k'];
    for _ in 0..300 {
        attacker.send(0, &announcement);
        attacker.send(0, &[&connect[..], &announcement].concat());
    }
}

fn pile_up_properties(attacker: &mut Attacker) {
    // Too large for the listener, and as many as it accepts.
    for (count, repetitions) in [(100_000, 1), (30_000, 20)] {
        let Some(mut client) = attacker.client(&hello("properties")) else { continue };
        client.subscribe("attack/p");
        let packet = publish_with_user_properties("attack/p", count);
        for _ in 0..repetitions {
            client.send(&packet);
            client.frame();
        }
    }
}

/// A PUBLISH of QoS 0 with so many of the shortest User Properties.
fn publish_with_user_properties(topic: &str, count: usize) -> Vec<u8> {
    let properties = [0x26, 0, 1, b'k', 0, 1, b'v'].repeat(count);
    let mut body = vec![0, topic.len() as u8];
    body.extend(topic.as_bytes());
    variable_byte_integer(properties.len(), &mut body);
    body.extend(&properties);
    let mut packet = vec![0x30];
    variable_byte_integer(body.len(), &mut packet);
    packet.extend(body);
    packet
}

fn go_deep(attacker: &mut Attacker) {
    let topic = "/".repeat(65_534);
    for client_identifier in ["deep-1", "deep-2", "deep-3"] {
        let Some(mut client) = attacker.client(&hello(client_identifier)) else { continue };
        client.send(&publish(&topic, b"x", QoS::AtLeastOnce, 1));
        client.next(|packet| {
            let is_refused = matches!(packet, Some(Packet::PubAck(puback)) if puback.reason_code.is_error());
            assert!(is_refused || packet.is_none(), "{packet:?}");
        });
        client.send(&subscribe(&format!("{}#", "+/".repeat(32_000))));
        client.frame();
    }
}

fn hold_identifiers(attacker: &mut Attacker) {
    for number in 0..20 {
        let name = format!("holder-{number}");
        let Some(mut client) = attacker.client(&persistent(&name)) else { continue };
        let mut bytes = Vec::new();
        for identifier in 1..=2000 {
            bytes.extend(publish("attack/held", &[7; 100], QoS::ExactlyOnce, identifier));
        }
        client.send(&bytes);
        // It ends with 0x93: more than Receive Maximum.
        client.end();
    }
}

fn leave_forbidden_wills(attacker: &mut Attacker) {
    for topic in ["bystanders/plain", "bystanders/secure", "$SYS/broker/uptime"] {
        for _ in 0..50 {
            let will = Will {
                topic,
                qos: QoS::AtLeastOnce,
                retain: true,
                payload: b"forged",
                delay_interval_s: None,
                properties: Default::default(),
            };
            let client = attacker.client(&Connect { will: Some(will), ..hello("forger") });
            assert!(client.is_none(), "the Will on {topic} was accepted");
        }
    }
}

fn take_over(attacker: &mut Attacker) {
    let mut last = None;
    for _ in 0..500 {
        last = attacker.client(&persistent("taken")).or(last);
    }
    drop(last);
}

fn churn_sessions(attacker: &mut Attacker) {
    for number in 0..3000 {
        let name = format!("churn-{number}");
        if let Some(mut client) = attacker.client(&persistent(&name)) {
            client.send(&subscribe(&format!("attack/churn/{number}")));
        }
    }
}

fn flood_messages(attacker: &mut Attacker) {
    let payload = vec![7; 64 * 1024];
    let started = Instant::now();
    let names = ["flood-1", "flood-2", "flood-3", "flood-4"];
    let mut clients: Vec<_> = names.iter().filter_map(|name| attacker.client(&hello(name))).collect();
    assert_eq!(clients.len(), names.len(), "all are let in");
    for number in 0..192 {
        for client in &mut clients {
            client.send(&publish(&format!("attack/flood/{number}"), &payload, QoS::AtMostOnce, 0));
        }
    }
    clients.iter_mut().for_each(Client::ping);
    // 48 MB, of which 16 come at once and 16 each second, however many clients send them.
    assert!(started.elapsed() > Duration::from_millis(1800), "{:?}", started.elapsed());
}

fn flood_retained(attacker: &mut Attacker) {
    let Some(mut client) = attacker.client(&hello("retainer")) else { return };
    for batch in 0..400 {
        let mut bytes = Vec::new();
        for number in 0..25 {
            let topic = format!("attack/retained/{batch}/{number}");
            bytes.extend(bytes_of(&Packet::Publish(Publish {
                topic: &topic,
                retain: true,
                payload: &[7; 4000],
                ..Publish::default()
            })));
        }
        client.send(&bytes);
    }
    client.ping();
}

fn bomb_subscriptions(attacker: &mut Attacker) {
    for client_number in 0..50 {
        let name = format!("bomber-{client_number}");
        let Some(mut client) = attacker.client(&hello(&name)) else { continue };
        let texts: Vec<_> =
            (0..1000).map(|number| format!("attack/+/{client_number}/{number}/+/#")).collect();
        let options = SubscriptionOptions::default();
        let filters: Vec<_> = texts
            .iter()
            .map(|text| (SubscriptionFilter::parse(text).expect("a Topic Filter"), options))
            .collect();
        let encoded = encode_subscribe_filters(&filters);
        client.send(&bytes_of(&Packet::Subscribe(dunlin_codec::Subscribe {
            packet_identifier: dunlin_codec::PacketIdentifier::new(1).expect("1 is one"),
            subscription_identifier: None,
            user_properties: Default::default(),
            filters: SubscribeFilters::from_encoded(&encoded),
        })));
        client.next(|packet| {
            if let Some(Packet::SubAck(suback)) = packet {
                let granted = suback.reason_codes.iter().filter(|code| **code < 0x80).count();
                assert!(granted <= 200, "{granted} Subscriptions were granted");
            }
        });
    }
}

fn break_frames(attacker: &mut Attacker) {
    let mask_is_missing = vec![0x82, 2, 0xC0, 0];
    let reserved_bits = vec![0xF2, 0x80, 0, 0, 0, 0];
    let unknown_opcode = vec![0x83, 0x80, 0, 0, 0, 0];
    let long_ping = websocket::frame(Opcode::Ping, true, &[7; 200]);
    let fragmented_ping = websocket::frame(Opcode::Ping, false, b"x");
    let nothing_to_continue = websocket::frame(Opcode::Continuation, true, b"x");
    let text = websocket::frame(Opcode::Text, true, b"\xFF\xFE");
    let longest = vec![0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
    let negative = vec![0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
    let frames = [
        mask_is_missing,
        reserved_bits,
        unknown_opcode,
        long_ping,
        fragmented_ping,
        nothing_to_continue,
        text,
        longest,
        negative,
    ];
    for bytes in frames.iter().cycle().take(20 * frames.len()) {
        let Some(mut stream) = attacker.stream(2) else { continue };
        if websocket::request(&mut stream, "/mqtt", Some("mqtt")).is_ok() {
            drop(stream.write_all(bytes));
        }
        attacker.open.push(stream);
    }
}

fn guess_passwords(attacker: &mut Attacker) {
    for guess in 0..200 {
        let password = format!("guess-{guess}");
        let connect = Connect {
            version: ProtocolVersion::V5,
            user_name: Some("anna"),
            password: Some(password.as_bytes()),
            ..hello("guesser")
        };
        assert!(attacker.client(&connect).is_none(), "{password} was accepted");
    }
}

fn guess_from_everywhere(attacker: &mut Attacker) {
    for number in 0..300_u16 {
        let [high, low] = number.to_be_bytes();
        let from = Ipv4Addr::new(127, 1, high, low.max(1));
        let Ok(mut stream) = connect_from(from, attacker.addresses[0]) else { continue };
        let guess =
            Connect { user_name: Some("anna"), password: Some(b"guess"), ..hello("one of very many") };
        drop(stream.write_all(&bytes_of(&Packet::Connect(guess))));
        attacker.open.push(stream);
    }
}

fn variable_byte_integer(mut value: usize, bytes: &mut Vec<u8>) {
    loop {
        let byte = (value & 0x7F) as u8;
        value >>= 7;
        bytes.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return;
        }
    }
}
