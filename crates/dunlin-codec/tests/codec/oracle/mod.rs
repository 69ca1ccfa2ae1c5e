//! Other decoders as oracles: what both they and Dunlin accept must mean the same, field by field.
//!
//! mqttbytes 0.6 and rmqtt-codec 0.3 are laxer than the specification, so nothing is said about frames that
//! only one side accepts. Each decoder's packet becomes the same neutral description, with what is absent
//! replaced by the specification's default where the other decoder does not tell the two apart. The known
//! divergences, which the comparison leaves out, are listed where they are left out:
//!
//! * mqttbytes keeps user name and password as one `Login` of two strings, in which absent and empty are the
//!   same;
//! * mqttbytes takes a CONNECT of level 5 for one of level 4 in its module `v4`, and does not know MQTT 3.1
//!   or AUTH;
//! * mqttbytes counts a Subscription Identifier as one byte longer than it is, so that the properties after
//!   it are read as payload;
//! * mqttbytes panics on some hostile frames, which counts as refusing them;
//! * rmqtt-codec reads a Session Present flag in MQTT 3.1, which has none;
//! * rmqtt-codec reads several properties into fields with their default, and the payload format 0 as absent.

mod description;
mod mqttbytes;
mod ours;
mod rmqtt;

use std::panic::catch_unwind;

use description::Description;
use dunlin_codec::{Packet, ProtocolVersion, Split, decode, split};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use crate::generate;

const CASES: u32 = 4000;

/// A valid packet, with zero to three bytes changed.
fn frames() -> impl Strategy<Value = (ProtocolVersion, Vec<u8>)> {
    let versions = generate::version();
    let packets = versions.prop_flat_map(|version| (Just(version), generate::packet(version)));
    let mutation = (any::<u16>(), prop_oneof![any::<u8>(), 0..4u8, Just(b'a')]);
    (packets, vec(mutation, 0..4)).prop_map(|((version, packet), mutations)| {
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes);
        for (place, byte) in mutations {
            let place = usize::from(place) % bytes.len();
            bytes[place] = byte;
        }
        (version, bytes)
    })
}

/// What we make of the frame, if it is a whole packet that we accept.
fn our_packet(bytes: &[u8], version: ProtocolVersion) -> Option<Packet<'_>> {
    let Ok(Split::Packet { frame, length }) = split(bytes, u32::MAX) else { return None };
    // A mutated length would leave the oracles with another frame than ours.
    if length != bytes.len() {
        return None;
    }
    match decode(frame, version).ok()? {
        Packet::Connect(connect) if connect.version != version => None,
        packet => Some(packet),
    }
}

/// What the oracle makes of the frame; `None` when it refuses it, be it with a panic.
fn accepted(read: impl Fn() -> Option<Description> + std::panic::UnwindSafe) -> Option<Description> {
    catch_unwind(read).ok().flatten()
}

fn has_no_subscription_identifier(packet: &Packet<'_>) -> bool {
    match packet {
        Packet::Publish(publish) => publish.subscription_identifiers.is_empty(),
        Packet::Subscribe(subscribe) => subscribe.subscription_identifier.is_none(),
        _ => true,
    }
}

/// How often both sides accepted a frame, of how many.
fn agreement(
    oracle: fn(&[u8], ProtocolVersion) -> Option<Description>,
    is_comparable: fn(&Packet<'_>) -> bool,
    describe: fn(&Packet<'_>) -> Description,
) -> f64 {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let accepted_by_both = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(config);
    let result = runner.run(&frames(), |(version, bytes)| {
        let Some(packet) = our_packet(&bytes, version).filter(is_comparable) else { return Ok(()) };
        let Some(theirs) = accepted(|| oracle(&bytes, version)) else { return Ok(()) };
        accepted_by_both.set(accepted_by_both.get() + 1);
        prop_assert_eq!(theirs, describe(&packet), "MQTT {}: {:02X?}", version, bytes);
        Ok(())
    });
    match result {
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        other => assert_eq!(other, Ok(())),
    }
    f64::from(accepted_by_both.get()) / f64::from(CASES)
}

#[test]
fn what_mqttbytes_accepts_too_means_the_same() {
    // A third of the frames are MQTT 3.1 and never compared; silence would be no agreement.
    let share = agreement(mqttbytes::read, has_no_subscription_identifier, ours::describe_for_mqttbytes);
    assert!(share > 0.2, "both accept only {share} of the frames");
}

#[test]
fn what_rmqtt_codec_accepts_too_means_the_same() {
    let share = agreement(rmqtt::read, |_| true, ours::describe_for_rmqtt);
    assert!(share > 0.2, "both accept only {share} of the frames");
}
