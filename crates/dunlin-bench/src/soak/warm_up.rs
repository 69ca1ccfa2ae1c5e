//! Before the run: topics, as many as a broker may want to remember.
//!
//! Dunlin remembers which filters match the topics that were published lately, up to a number of topics. The
//! newcomers of a run would fill that over the better part of an hour, which looks like a leak and is none. So
//! it is filled beforehand, by clients enough that each of a few workers gets all of the topics.

use dunlin_codec::{PublishParts, QoS};

use super::guest::{Guest, Stay};
use crate::Error;
use crate::handshake::Target;

/// More than twice as many as Dunlin remembers.
const TOPICS: u32 = 40_000;
/// Whoever has them all: with two workers, one of them is left out once in a hundred runs.
const CLIENTS: u32 = 8;
/// Messages in one write.
const BATCH: u32 = 1_000;

/// Publishes to all topics, at QoS 0 and to nobody.
pub(super) fn publish_to_many_topics(target: &Target) -> Result<(), Error> {
    for client in 0..CLIENTS {
        let mut guest = Guest::connect(target, format!("soak-first-{client}"), Stay::Clean)?;
        for first in (0..TOPICS).step_by(BATCH as usize) {
            let mut packets = Vec::new();
            for number in first..first + BATCH {
                let topic = format!("dunlin-soak/first/{number}");
                PublishParts { topic: &topic, ..PublishParts::default() }
                    .encode_head(target.version, &mut packets);
            }
            guest.send(&packets)?;
        }
        // This one is answered, and so all before it are through.
        guest.publish("dunlin-soak/last", QoS::AtLeastOnce, false, None)?;
        guest.settle(0)?;
        guest.leave()?;
    }
    Ok(())
}
