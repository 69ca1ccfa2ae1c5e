//! The way of tapped messages (`shard/tap.rs` of the core) to whoever listens.
//!
//! A listener on a slow line must neither stop a worker nor fill its memory. So there is room for so many messages and
//! so many bytes; what finds none is lost, and the listener is told how many there were.

use crate::lossy::{Got, LossyReceiver, LossySender, lossy_channel};
use dunlin_core::Shard;
use dunlin_core::message::ApplicationMessage;
use dunlin_core::shard::Tapped;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Messages that wait for one listener.
const MESSAGES_MAX: usize = 1024;

/// Their topics, properties and payloads; one message is always taken, however long.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a listener hears.
pub(crate) type Heard = Got<ApplicationMessage>;

/// One end: a worker's.
#[derive(Clone)]
pub(crate) struct TapSender {
    messages: LossySender<ApplicationMessage>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The other: the listener's.
pub(crate) struct TapReceiver {
    messages: LossyReceiver<ApplicationMessage>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// A way from all workers to one listener.
pub(crate) fn tap_channel() -> (TapSender, TapReceiver) {
    let (sender, receiver) = lossy_channel(MESSAGES_MAX);
    let waiting_bytes = Arc::<AtomicUsize>::default();
    (
        TapSender { messages: sender, waiting_bytes: Arc::clone(&waiting_bytes) },
        TapReceiver { messages: receiver, waiting_bytes },
    )
}

impl TapSender {
    /// Hands a message on, or counts it as lost.
    pub fn send(&self, message: ApplicationMessage) {
        let size = message.content_bytes();
        let before = self.waiting_bytes.fetch_add(size, Ordering::Relaxed);
        let is_too_much = before > 0 && before + size > BYTES_MAX;
        if is_too_much {
            self.lose(1);
        }
        if is_too_much || !self.messages.send(message) {
            self.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// Counts messages as lost.
    pub fn lose(&self, count: u64) {
        self.messages.lose(count);
    }
}

impl TapReceiver {
    /// What comes next; `None` when all workers have ended.
    pub async fn next(&mut self) -> Option<Heard> {
        let got = self.messages.next().await;
        if let Some(Got::One(message)) = &got {
            self.waiting_bytes.fetch_sub(message.content_bytes(), Ordering::Relaxed);
        }
        got
    }
}

/// The listeners of a worker, by the numbers of their taps.
#[derive(Default)]
pub(crate) struct Taps(HashMap<u64, TapSender>);

impl Taps {
    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Somebody listens from now on.
    pub fn open(&mut self, number: u64, sender: TapSender) {
        self.0.insert(number, sender);
    }

    /// Somebody does not listen any more.
    pub fn close(&mut self, number: u64) {
        self.0.remove(&number);
    }

    /// Hands on what the shard's taps have heard.
    pub fn take(&self, shard: &mut Shard) {
        while let Some(tapped) = shard.poll_tapped() {
            match tapped {
                Tapped::Message { tap, message } => {
                    if let Some(sender) = self.0.get(&tap) {
                        sender.send(message);
                    }
                }
                Tapped::Lost { tap, count } => {
                    if let Some(sender) = self.0.get(&tap) {
                        sender.lose(count);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::QoS;
    use dunlin_core::message::{MemoryGauge, MessageId, Publication};
    use dunlin_core::time::Timestamp;

    fn message(payload: &[u8]) -> ApplicationMessage {
        let id = MessageId { received_at: Timestamp::ZERO, boot_epoch: 0, origin: 0 };
        let mut publication = Publication::new(id, "t", QoS::AtMostOnce, false);
        publication.payload = payload;
        publication.keep(&MemoryGauge::default())
    }

    #[tokio::test]
    async fn who_does_not_listen_loses_what_is_too_much_and_is_told_after_the_rest() {
        let (sender, mut receiver) = tap_channel();
        for _ in 0..MESSAGES_MAX + 7 {
            sender.send(message(b"1"));
        }
        for _ in 0..MESSAGES_MAX {
            assert!(matches!(receiver.next().await, Some(Heard::One(_))));
        }
        assert!(matches!(receiver.next().await, Some(Heard::Lost(7))));
        sender.send(message(b"2"));
        assert!(matches!(receiver.next().await, Some(Heard::One(heard)) if heard.payload() == b"2"));
        drop(sender);
        assert!(receiver.next().await.is_none());
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_one_message_always_fits() {
        let (sender, mut receiver) = tap_channel();
        let large = vec![0; BYTES_MAX + 1];
        sender.send(message(&large));
        sender.send(message(b"1"));
        assert!(matches!(receiver.next().await, Some(Heard::One(_))));
        assert!(matches!(receiver.next().await, Some(Heard::Lost(1))));
        sender.send(message(b"2"));
        assert!(matches!(receiver.next().await, Some(Heard::One(_))));
    }
}
