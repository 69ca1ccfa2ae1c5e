//! What happened, counted, for metrics. Nothing is decided by these numbers.

/// Why a message did not reach somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// QoS 0 for a client that is away.
    Away,
    /// QoS 0 for a client that reads too slowly.
    SlowConsumer,
    /// The queue was full.
    QueueFull,
    /// The Message Expiry Interval passed.
    Expired,
    /// The client takes no packets of that size.
    TooLargeForClient,
    /// The authorizer said no.
    NotAuthorized,
    /// QoS 0 for a shared group without a connected member, or a group that ended.
    NoMember,
    /// The publication was refused: quota, topic, payload format.
    Refused,
    /// The store could not read it any more.
    Unreadable,
}

/// What happened so far, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// PUBLISH packets from clients.
    pub messages_received: u64,
    /// PUBLISH packets to clients.
    pub messages_sent: u64,
    /// Messages that did not reach somebody, by [`DropReason`].
    pub dropped: [u64; 9],
}

impl Counters {
    #[inline]
    pub(crate) fn drop(&mut self, reason: DropReason) {
        if let Some(counter) = self.dropped.get_mut(reason as usize) {
            *counter += 1;
        }
    }

    /// Messages dropped for a reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }
}
