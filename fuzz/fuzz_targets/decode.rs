//! Any bytes as a stream of packets: nothing may panic, and what decodes must survive encoding.
//!
//! The corpus in `corpus/decode` starts with the packet vectors of `crates/dunlin-codec/tests/vectors`.
#![no_main]

use dunlin_codec::{Frame, Packet, ProtocolVersion, Split, decode, decode_connect, decode_forwarded, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = decode_forwarded(bytes);
    let mut rest = bytes;
    while let Ok(Split::Packet { frame, length }) = split(rest, u32::MAX) {
        assert!(length >= 2 && length <= rest.len(), "a packet of {length} bytes in {}", rest.len());
        let _ = decode_connect(frame);
        for version in ProtocolVersion::ALL {
            judge(frame, version);
        }
        rest = &rest[length..];
    }
});

/// Encodes what decodes, decodes that, and expects the same packet.
fn judge(frame: Frame<'_>, version: ProtocolVersion) {
    let Ok(packet) = decode(frame, version) else { return };
    // CONNECT brings its own version.
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut encoded = Vec::new();
    packet.encode(version, &mut encoded);
    match split(&encoded, u32::MAX) {
        Ok(Split::Packet { frame, length }) if length == encoded.len() => {
            assert_eq!(decode(frame, version), Ok(packet), "encoded as {encoded:02X?}");
        }
        other => panic!("{packet:?} was encoded to {other:?}"),
    }
}
