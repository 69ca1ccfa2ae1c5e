//! A way to somebody who may be slow: there is room for so many, and what finds none is counted and told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc};

/// One end. A clone is another.
pub(crate) struct LossySender<T> {
    items: mpsc::Sender<T>,
    lost: Arc<Lost>,
}

/// The other.
pub(crate) struct LossyReceiver<T> {
    items: mpsc::Receiver<T>,
    lost: Arc<Lost>,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got<T> {
    One(T),
    /// So many were too many.
    Lost(u64),
}

#[derive(Default)]
struct Lost {
    count: AtomicU64,
    /// Nothing may follow what was lost, so who waits for the next one has to hear of it.
    news: Notify,
}

/// A way with room for so many.
pub(crate) fn lossy_channel<T>(most: usize) -> (LossySender<T>, LossyReceiver<T>) {
    let (sender, receiver) = mpsc::channel(most);
    let lost = Arc::<Lost>::default();
    (LossySender { items: sender, lost: Arc::clone(&lost) }, LossyReceiver { items: receiver, lost })
}

impl<T> Clone for LossySender<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), lost: Arc::clone(&self.lost) }
    }
}

impl<T> LossySender<T> {
    /// Hands one on, or counts it as lost and says false.
    pub fn send(&self, item: T) -> bool {
        let is_sent = self.items.try_send(item).is_ok();
        if !is_sent {
            self.lose(1);
        }
        is_sent
    }

    /// Counts some as lost.
    pub fn lose(&self, count: u64) {
        self.lost.count.fetch_add(count, Ordering::Relaxed);
        self.lost.news.notify_one();
    }
}

impl<T> LossyReceiver<T> {
    /// What comes next; `None` when all senders are gone.
    pub async fn next(&mut self) -> Option<Got<T>> {
        loop {
            if let Ok(item) = self.items.try_recv() {
                return Some(Got::One(item));
            }
            // What was lost came after all that there was room for.
            match self.lost.count.swap(0, Ordering::Relaxed) {
                0 => {}
                count => return Some(Got::Lost(count)),
            }
            tokio::select! {
                item = self.items.recv() => return item.map(Got::One),
                () = self.lost.news.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn next(receiver: &mut LossyReceiver<u8>) -> Option<Got<u8>> {
        timeout(Duration::from_secs(60), receiver.next()).await.expect("it comes in time")
    }

    #[tokio::test]
    async fn what_finds_no_room_is_told_after_what_was_there() {
        let (sender, mut receiver) = lossy_channel(2);
        assert_eq!([1, 2, 3].map(|item| sender.send(item)), [true, true, false]);
        sender.lose(4);
        assert_eq!(next(&mut receiver).await, Some(Got::One(1)));
        assert_eq!(next(&mut receiver).await, Some(Got::One(2)));
        assert_eq!(next(&mut receiver).await, Some(Got::Lost(5)));
        drop(sender);
        assert_eq!(next(&mut receiver).await, None);
    }

    #[tokio::test]
    async fn who_waits_hears_of_what_is_lost_though_nothing_follows() {
        let (sender, mut receiver) = lossy_channel(1);
        let waits = async { next(&mut receiver).await };
        let loses = async {
            // By now the other one waits.
            tokio::task::yield_now().await;
            sender.lose(1);
        };
        assert_eq!(tokio::join!(waits, loses).0, Some(Got::Lost(1)));
    }
}
