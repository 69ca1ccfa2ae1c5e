//! Packet vectors: every packet type and property as bytes, with what decoding has to say about them.
//!
//! The cases are data, in `tests/vectors/*.txt`, for readers of the specification. A case looks like this:
//!
//! ```text
//! == what the case shows
//! version 3.1 3.1.1              the versions in which it holds
//! spec(v5): [MQTT-3.3.1-4]       the statements that it shows
//! limit 10                       Maximum Packet Size in bytes (optional)
//!   30 04                        the bytes: hexadecimal, "text" for its UTF-8, 61*9 for nine times 61
//!   00 01 "a" FF   # comment
//! => ok                          accepted, and encoding gives the same bytes
//! shows topic: "a"               what the debug output of the packet has to contain (optional)
//! ```
//!
//! Instead of `ok` there may stand `ok, written as` with the bytes that encoding gives, `0x81 MQTT-3.3.1-4`
//! (Reason Code and statement of the refusal), `incomplete`, `incomplete, 7 bytes in all`, and for CONNECT
//! `unreadable 0x81 1.2`, `unsupported protocol level 6` and `unknown protocol name`. One test per file
//! reports all failures of the file.

use std::path::Path;

use dunlin_codec::{
    ConnectError, Frame, MalformedPacket, Packet, PacketType, ProtocolVersion, Split, decode, decode_connect,
    split,
};

struct Case {
    name: String,
    versions: Vec<ProtocolVersion>,
    maximum_packet_size: u32,
    bytes: Vec<u8>,
    expected: String,
    written_as: Vec<u8>,
    shows: Vec<String>,
}

macro_rules! vector_files {
    ($($test:ident $file:literal;)+) => {
        const FILES: &[&str] = &[$($file),+];

        $(#[test]
        fn $test() {
            run_file($file);
        })+
    };
}

vector_files! {
    fixed_header_vectors_hold "fixed-header.txt";
    connect_vectors_hold "connect.txt";
    connack_vectors_hold "connack.txt";
    publish_vectors_hold "publish.txt";
    puback_vectors_hold "puback.txt";
    pubrec_vectors_hold "pubrec.txt";
    pubrel_vectors_hold "pubrel.txt";
    pubcomp_vectors_hold "pubcomp.txt";
    subscribe_vectors_hold "subscribe.txt";
    suback_vectors_hold "suback.txt";
    unsubscribe_vectors_hold "unsubscribe.txt";
    unsuback_vectors_hold "unsuback.txt";
    ping_vectors_hold "ping.txt";
    disconnect_vectors_hold "disconnect.txt";
    auth_vectors_hold "auth.txt";
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

#[test]
fn every_vector_file_has_its_test() {
    let mut found: Vec<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut tested: Vec<String> = FILES.iter().map(ToString::to_string).collect();
    found.sort();
    tested.sort();
    assert_eq!(found, tested);
}

fn run_file(file: &str) {
    let cases = parse_file(&std::fs::read_to_string(directory().join(file)).unwrap());
    assert!(!cases.is_empty(), "{file} has no cases");
    let mut failures = Vec::new();
    for case in &cases {
        for &version in &case.versions {
            if let Err(failure) = run_case(case, version) {
                failures.push(format!("{} (MQTT {version}): {failure}", case.name));
            }
        }
    }
    let report = failures.join("\n");
    assert!(failures.is_empty(), "{} of the vectors in {file} do not hold:\n{report}", failures.len());
}

fn run_case(case: &Case, version: ProtocolVersion) -> Result<(), String> {
    let outcome = judge(case, version);
    let Some(written_as) = expected_bytes(case) else {
        let found = outcome.map(|packet| format!("ok: {packet:?}")).unwrap_or_else(|refusal| refusal);
        return if found == case.expected {
            Ok(())
        } else {
            Err(format!("expected {}, found {found}", case.expected))
        };
    };
    let packet = outcome.map_err(|refusal| format!("expected {}, found {refusal}", case.expected))?;
    let mut encoded = Vec::new();
    packet.encode(version, &mut encoded);
    if encoded != written_as {
        return Err(format!("encoding gives\n  {}\nand not\n  {}", hex(&encoded), hex(&written_as)));
    }
    let shown = format!("{packet:?}");
    match case.shows.iter().find(|fragment| !shown.contains(fragment.as_str())) {
        Some(fragment) => Err(format!("expected `{fragment}` in {shown}")),
        None => Ok(()),
    }
}

/// The bytes that encoding has to give, for a case that expects a packet.
fn expected_bytes(case: &Case) -> Option<Vec<u8>> {
    match case.expected.as_str() {
        "ok" => Some(case.bytes.clone()),
        "ok, written as" => Some(case.written_as.clone()),
        _ => None,
    }
}

/// The packet, or the refusal in the words of the vector files.
fn judge(case: &Case, version: ProtocolVersion) -> Result<Packet<'_>, String> {
    match split(&case.bytes, case.maximum_packet_size).map_err(refusal)? {
        Split::Incomplete { packet_length: None } => Err("incomplete".into()),
        Split::Incomplete { packet_length: Some(length) } => {
            Err(format!("incomplete, {length} bytes in all"))
        }
        Split::Packet { frame, .. } if frame.packet_type() == Ok(PacketType::Connect) => {
            judge_connect(frame, version)
        }
        Split::Packet { frame, .. } => decode(frame, version).map_err(refusal),
    }
}

fn judge_connect(frame: Frame<'_>, expected_version: ProtocolVersion) -> Result<Packet<'_>, String> {
    match decode_connect(frame) {
        Ok(connect) if connect.version == expected_version => Ok(Packet::Connect(connect)),
        Ok(connect) => Err(format!("a CONNECT of MQTT {}", connect.version)),
        Err(ConnectError::UnsupportedProtocol { name_is_known: false, .. }) => {
            Err("unknown protocol name".into())
        }
        Err(ConnectError::UnsupportedProtocol { level, .. }) => {
            Err(format!("unsupported protocol level {level}"))
        }
        Err(ConnectError::Unreadable(error)) => Err(format!("unreadable {}", refusal(error))),
        Err(ConnectError::Malformed { version, error }) if version == expected_version => Err(refusal(error)),
        Err(ConnectError::Malformed { version, .. }) => Err(format!("a malformed CONNECT of MQTT {version}")),
    }
}

fn refusal(error: MalformedPacket) -> String {
    format!("0x{:02X} {}", error.reason_code.code(), error.statement)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

fn parse_file(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case {
                name: name.into(),
                versions: Vec::new(),
                maximum_packet_size: u32::MAX,
                bytes: Vec::new(),
                expected: String::new(),
                written_as: Vec::new(),
                shows: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("no case begins before: {line}"));
        parse_line(case, line);
    }
    cases.iter().for_each(|case| assert!(!case.expected.is_empty(), "{} expects nothing", case.name));
    cases
}

fn parse_line(case: &mut Case, line: &str) {
    if let Some(versions) = line.strip_prefix("version ") {
        case.versions = versions.split(' ').map(parse_version).collect();
    } else if let Some(expected) = line.strip_prefix("=> ") {
        case.expected = expected.into();
    } else if let Some(fragment) = line.strip_prefix("shows ") {
        case.shows.push(fragment.into());
    } else if let Some(limit) = line.strip_prefix("limit ") {
        case.maximum_packet_size = limit.parse().unwrap();
    } else if line.starts_with("  ") {
        let bytes = if case.expected.is_empty() { &mut case.bytes } else { &mut case.written_as };
        parse_bytes(line, bytes);
    } else {
        assert!(
            line.starts_with("spec(v5): [MQTT-") || line.starts_with("spec(v3.1.1): [MQTT-"),
            "what is: {line}"
        );
    }
}

fn parse_version(name: &str) -> ProtocolVersion {
    let known = ProtocolVersion::ALL.into_iter().find(|version| version.to_string() == name);
    known.unwrap_or_else(|| panic!("there is no MQTT {name}"))
}

/// Appends `30`, `"text"` and `61*9` until the comment.
fn parse_bytes(line: &str, bytes: &mut Vec<u8>) {
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let end = if let Some(text) = rest.strip_prefix('"') {
            let length = text.find('"').unwrap_or_else(|| panic!("a quote is not closed: {line}"));
            bytes.extend_from_slice(&text.as_bytes()[..length]);
            length + 2
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            let (digits, times) = rest[..end].split_once('*').unwrap_or((&rest[..end], "1"));
            assert_eq!(digits.len(), 2, "a byte has two digits: {line}");
            let byte = u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("not hexadecimal: {line}"));
            bytes.extend(std::iter::repeat_n(byte, times.parse().unwrap()));
            end
        };
        rest = rest[end..].trim_start();
    }
}
