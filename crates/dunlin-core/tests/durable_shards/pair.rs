//! Two shards with mail between them, and a store of which they only hear how far it is.

use super::packets::*;
use dunlin_codec::{Connect, QoS, ReasonCode};
use dunlin_core::journal::Segment;
use dunlin_core::settings::Settings;
use dunlin_core::shard::ShardConfig;
use dunlin_core::slots::Key;
use dunlin_core::tally::SubscriptionTally;
use dunlin_core::{Shard, Timestamp};

/// Two shards with mail between them, and a store of which they only hear how far it is.
pub struct Pair {
    pub shards: [Shard; 2],
    pub settings: Settings,
    pub now: Timestamp,
}

impl Pair {
    pub fn new() -> Self {
        Self::counting(&SubscriptionTally::default())
    }

    /// They count their subscriptions here.
    pub fn counting(subscriptions: &SubscriptionTally) -> Self {
        let settings = Settings { durable: true, ..Settings::default() };
        let shard = |id| {
            let subscriptions = subscriptions.clone();
            let single = ShardConfig::single(settings.clone());
            Shard::new(ShardConfig { id, shards: 2, subscriptions, ..single })
        };
        Self { shards: [shard(0), shard(1)], settings, now: START }
    }

    /// Carries the mail between the shards, while the store stands still.
    pub fn mail(&mut self) {
        for _ in 0..4 {
            for (from, to) in [(0, 1), (1, 0)] {
                while let Some(message) = self.shards[from].poll_peer(to as u16) {
                    self.shards[to].handle_peer(self.now, from as u16, message);
                }
                self.shards[to].handle_peer_batch_end(from as u16);
                while self.shards[to].poll_flush().is_some() {}
            }
        }
    }

    /// The store has everything that a shard has staged.
    pub fn store(&mut self, shard: usize) {
        while self.shards[shard].poll_record().is_some() {}
        let position = self.shards[shard].staged_position();
        self.shards[shard].handle_durable(self.now, position, Segment(1));
    }

    pub fn settle(&mut self) {
        for _ in 0..4 {
            self.mail();
            self.store(0);
            self.store(1);
        }
    }

    pub fn connect(&mut self, shard: usize, connect: Connect<'_>) -> Key {
        let key = self.shards[shard].handle_connect(self.now, request(&self.settings, connect));
        self.settle();
        assert_eq!(self.receive(shard, key), [Received::ConnAck(ReasonCode::Success)]);
        key
    }

    pub fn subscribe(&mut self, shard: usize, key: Key, filter: &str, qos: QoS) {
        self.send(shard, key, &subscribe(filter, qos));
        self.settle();
        assert_eq!(self.receive(shard, key), [Received::Other], "SUBACK");
    }

    pub fn send(&mut self, shard: usize, key: Key, bytes: &[u8]) {
        let progress = self.shards[shard].handle_input(self.now, key, bytes);
        assert_eq!(progress.consumed, bytes.len());
    }

    pub fn receive(&mut self, shard: usize, key: Key) -> Vec<Received> {
        receive(&mut self.shards[shard], self.now, key)
    }
}
