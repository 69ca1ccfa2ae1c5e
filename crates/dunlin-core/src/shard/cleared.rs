//! Topics whose Retained Message was cleared, for as long as an older message may still come.
//!
//! Every shard keeps all Retained Messages, and where two shards publish to one topic at once the greater message id
//! wins everywhere. So a message that was overtaken must find that there was a newer one, even if that has cleared
//! the topic. For how long it may be on its way no clock says: a slow consumer, or a store that is behind, holds up
//! what a peer has sent. The peers say it:
//!
//! ```text
//!   young ones have become many, and are old now      each peer is told that what it publishes from here on is newer
//!   a peer has applied that                           whatever it has published before has come, if not been applied
//!   that is applied, too                              nothing older comes from this peer any more
//!   so it is with all peers, and there are many young ones again: the old are forgotten, and the young grow old
//! ```
//!
//! Thus a shard keeps a few hundred of them, however many topics clients use once, and no more than
//! [`GENERATION_MAX`] twice when a peer does not answer.

use super::Shard;
use crate::connection::Until;
use crate::identity::ShardId;
use crate::message::MessageId;
use crate::peer::PeerMessage;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Young ones that are worth a question to the peers.
const MANY: usize = 512;
/// Bytes of their topics that are.
const MANY_BYTES: usize = 64 * 1024;
/// The most of a generation, which the next one then follows whatever peers have answered.
const GENERATION_MAX: usize = 8 * 1024;
/// The most bytes of its topics.
const GENERATION_BYTES_MAX: usize = 512 * 1024;

/// See the top of the file.
#[derive(Debug)]
pub(super) struct Cleared {
    young: Generation,
    old: Generation,
    /// The peers from which something older than an old one may come.
    awaited: Vec<(ShardId, Awaited)>,
}

/// What a peer has to do before nothing older can come from it.
#[derive(Debug, Clone, Copy)]
enum Awaited {
    /// To apply the message of this number.
    Answer(u64),
    /// Nothing more: so many of its messages are to be applied here.
    Messages(u64),
}

/// Topics, and up to which message each is empty.
#[derive(Debug)]
struct Generation {
    topics: HashMap<Box<str>, MessageId, FixedState>,
    bytes: usize,
}

impl Generation {
    fn new(hasher: FixedState) -> Self {
        Self { topics: HashMap::with_hasher(hasher), bytes: 0 }
    }

    fn exceeds(&self, count: usize, bytes: usize) -> bool {
        self.topics.len() >= count || self.bytes >= bytes
    }

    fn insert(&mut self, topic: &str, id: MessageId) {
        if self.topics.insert(topic.into(), id).is_none() {
            self.bytes += topic.len();
        }
    }

    fn remove(&mut self, topic: &str) {
        if self.topics.remove(topic).is_some() {
            self.bytes -= topic.len();
        }
    }
}

impl Cleared {
    pub(super) fn new(hasher: &FixedState) -> Self {
        let generation = || Generation::new(hasher.clone());
        Self { young: generation(), old: generation(), awaited: Vec::new() }
    }

    /// Up to which message a topic is empty, if that is remembered.
    pub(super) fn get(&self, topic: &str) -> Option<MessageId> {
        self.young.topics.get(topic).or_else(|| self.old.topics.get(topic)).copied()
    }

    /// The topic has a Retained Message again, which is newer.
    pub(super) fn remove(&mut self, topic: &str) {
        self.young.remove(topic);
        self.old.remove(topic);
    }

    /// Forgets the old ones, with the memory they had.
    fn turn(&mut self) {
        let next = Generation::new(self.young.topics.hasher().clone());
        self.old = std::mem::replace(&mut self.young, next);
    }
}

impl Shard {
    /// Remembers up to which message a topic is empty.
    pub(super) fn remember_cleared(&mut self, topic: &str, id: MessageId) {
        if self.peers.count() == 1 {
            return;
        }
        self.cleared.young.insert(topic, id);
        let is_full = self.cleared.young.exceeds(GENERATION_MAX, GENERATION_BYTES_MAX);
        if is_full || (self.cleared.young.exceeds(MANY, MANY_BYTES) && self.have_peers_passed_old()) {
            self.cleared.turn();
            self.await_peers();
        }
    }

    /// Whether nothing older than the old ones can come from any peer.
    fn have_peers_passed_old(&mut self) -> bool {
        let peers = &mut self.peers;
        self.cleared.awaited.retain_mut(|(peer, awaited)| {
            let Some(link) = peers.link(*peer) else { return false };
            if let Awaited::Answer(number) = *awaited
                && link.has_come(number, Until::Applied)
            {
                *awaited = Awaited::Messages(link.arrived());
            }
            match *awaited {
                Awaited::Answer(_) => true,
                Awaited::Messages(count) => link.received() < count,
            }
        });
        self.cleared.awaited.is_empty()
    }

    /// Tells the peers that what they publish from now on is newer than all that is remembered.
    fn await_peers(&mut self) {
        self.cleared.awaited.clear();
        for peer in self.peers.others() {
            if let Some(link) = self.peers.link(peer) {
                let number = link.stage(PeerMessage::Newer { than: self.last_message_at });
                self.cleared.awaited.push((peer, Awaited::Answer(number)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Publication;
    use crate::settings::Settings;
    use crate::shard::ShardConfig;
    use crate::shard::forward::Reach;
    use crate::time::Timestamp;
    use dunlin_codec::QoS;
    use std::time::Duration;

    /// Two shards. What one has said to the other is on its way until it is delivered.
    struct Pair {
        shards: [Shard; 2],
        now: Timestamp,
    }

    impl Pair {
        fn new() -> Self {
            let shard =
                |id| Shard::new(ShardConfig { id, shards: 2, ..ShardConfig::single(Settings::default()) });
            Self { shards: [shard(0), shard(1)], now: Timestamp::ZERO + Duration::from_secs(1) }
        }

        /// A shard takes in a message with RETAIN; an empty one clears the topic.
        fn publish(&mut self, shard: usize, topic: &str, payload: &[u8]) {
            self.now = self.now + Duration::from_micros(1);
            let shard = &mut self.shards[shard];
            let id = shard.next_message_id(self.now);
            let mut publication = Publication::new(id, topic, QoS::AtMostOnce, true);
            publication.payload = payload;
            shard.route(self.now, &mut publication, Reach::Everywhere { exactly: false });
        }

        fn deliver(&mut self, from: usize) {
            let to = 1 - from;
            while let Some(message) = self.shards[from].poll_peer(to as u16) {
                self.shards[to].handle_peer(self.now, from as u16, message);
            }
            self.shards[to].handle_peer_batch_end(from as u16);
        }

        fn room_for_remembered(&self, shard: usize) -> usize {
            let Cleared { young, old, .. } = &self.shards[shard].cleared;
            young.topics.capacity() + old.topics.capacity()
        }

        fn retains(&self, shard: usize, topic: &str) -> bool {
            self.shards[shard].retained.get(topic).is_some()
        }

        /// Topics, each of which is used once.
        fn use_once(&mut self, shard: usize, count: usize) {
            for number in 0..count {
                let topic = format!("once/{number}/{:?}", self.now);
                self.publish(shard, &topic, b"x");
                self.publish(shard, &topic, b"");
            }
        }
    }

    #[test]
    fn topics_used_once_leave_few_that_are_remembered() {
        let mut pair = Pair::new();
        for _ in 0..1_000 {
            pair.use_once(0, 10);
            pair.use_once(1, 10);
            [0, 1, 0, 1].into_iter().for_each(|shard| pair.deliver(shard));
            for shard in [0, 1] {
                let room = pair.room_for_remembered(shard);
                assert!(room <= 4 * MANY, "shard {shard} has room for {room}");
            }
        }
    }

    #[test]
    fn an_overtaken_message_does_not_come_back_however_much_was_cleared_meanwhile() {
        let mut pair = Pair::new();
        pair.publish(1, "topic", b"overtaken");
        pair.publish(0, "topic", b"");
        // The second shard hears all of it, and what it has sent is late.
        for _ in 0..GENERATION_MAX / 100 {
            pair.use_once(0, 100);
            pair.deliver(0);
        }
        pair.deliver(1);
        assert!([0, 1].iter().all(|shard| !pair.retains(*shard, "topic")));
    }

    #[test]
    fn an_overtaken_message_does_not_come_back_that_waits_behind_a_slow_consumer() {
        let mut pair = Pair::new();
        pair.publish(1, "topic", b"overtaken");
        pair.publish(0, "topic", b"");
        // It has come and is not applied; answers are.
        pair.shards[0].peers.link(1).unwrap().held_up_by = 1;
        for _ in 0..GENERATION_MAX / 100 {
            pair.use_once(0, 100);
            pair.deliver(0);
            pair.deliver(1);
        }
        pair.shards[0].stop_holding_up(1);
        pair.shards[0].continue_peers(pair.now);
        assert!([0, 1].iter().all(|shard| !pair.retains(*shard, "topic")));
    }

    #[test]
    fn what_is_remembered_has_a_bound_when_a_peer_does_not_answer() {
        let mut pair = Pair::new();
        pair.use_once(0, 10 * GENERATION_MAX);
        let Cleared { young, old, .. } = &pair.shards[0].cleared;
        assert!(young.topics.len() + old.topics.len() <= 2 * GENERATION_MAX);
        assert!(young.bytes + old.bytes <= 2 * GENERATION_BYTES_MAX);
    }

    #[test]
    fn what_a_shard_publishes_is_newer_than_what_it_was_told() {
        let mut pair = Pair::new();
        let than = pair.now + Duration::from_secs(1);
        pair.shards[0].handle_peer(pair.now, 1, PeerMessage::Newer { than });
        assert!(pair.shards[0].next_message_id(pair.now).received_at > than);
    }
}
