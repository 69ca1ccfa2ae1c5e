//! The way of tapped messages (`shard/tap.rs` of the core) to whoever listens.
//!
//! A listener on a slow line must neither stop a worker nor fill its memory. So there is room for so many messages and
//! so many bytes; what finds none is lost, and the listener is told how many there were.

use dunlin_core::Shard;
use dunlin_core::message::ApplicationMessage;
use dunlin_core::shard::Tapped;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Messages that wait for one listener.
const MESSAGES_MAX: usize = 1024;

/// Their topics, properties and payloads; one message is always taken, however long.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a listener hears.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Message(ApplicationMessage),
    /// So many messages were too many.
    Lost(u64),
}

#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

/// One end: a worker's.
#[derive(Clone)]
pub(crate) struct TapSender {
    messages: mpsc::Sender<ApplicationMessage>,
    waiting: Arc<Waiting>,
}

/// The other: the listener's.
pub(crate) struct TapReceiver {
    messages: mpsc::Receiver<ApplicationMessage>,
    waiting: Arc<Waiting>,
}

/// A way from all workers to one listener.
pub(crate) fn tap_channel() -> (TapSender, TapReceiver) {
    let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
    let waiting = Arc::<Waiting>::default();
    (
        TapSender { messages: sender, waiting: Arc::clone(&waiting) },
        TapReceiver { messages: receiver, waiting },
    )
}

impl TapSender {
    /// Hands a message on, or counts it as lost.
    pub fn send(&self, message: ApplicationMessage) {
        let size = message.content_bytes();
        let before = self.waiting.bytes.fetch_add(size, Ordering::Relaxed);
        let is_too_much = before > 0 && before + size > BYTES_MAX;
        if is_too_much || self.messages.try_send(message).is_err() {
            self.waiting.bytes.fetch_sub(size, Ordering::Relaxed);
            self.lose(1);
        }
    }

    /// Counts messages as lost.
    pub fn lose(&self, count: u64) {
        self.waiting.lost.fetch_add(count, Ordering::Relaxed);
    }
}

impl TapReceiver {
    /// What comes next; `None` when all workers have ended.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.messages.try_recv() {
            Ok(message) => return Some(self.heard(message)),
            // What was lost came after all that there was room for.
            Err(_) => match self.waiting.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                count => return Some(Heard::Lost(count)),
            },
        }
        let message = self.messages.recv().await?;
        Some(self.heard(message))
    }

    fn heard(&self, message: ApplicationMessage) -> Heard {
        self.waiting.bytes.fetch_sub(message.content_bytes(), Ordering::Relaxed);
        Heard::Message(message)
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
            assert!(matches!(receiver.next().await, Some(Heard::Message(_))));
        }
        assert!(matches!(receiver.next().await, Some(Heard::Lost(7))));
        sender.send(message(b"2"));
        assert!(matches!(receiver.next().await, Some(Heard::Message(heard)) if heard.payload() == b"2"));
        drop(sender);
        assert!(receiver.next().await.is_none());
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_one_message_always_fits() {
        let (sender, mut receiver) = tap_channel();
        let large = vec![0; BYTES_MAX + 1];
        sender.send(message(&large));
        sender.send(message(b"1"));
        assert!(matches!(receiver.next().await, Some(Heard::Message(_))));
        assert!(matches!(receiver.next().await, Some(Heard::Lost(1))));
        sender.send(message(b"2"));
        assert!(matches!(receiver.next().await, Some(Heard::Message(_))));
    }
}
