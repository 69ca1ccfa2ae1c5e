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
    /// It waited for a Session that ended.
    SessionEnded,
}

impl DropReason {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 10] = [
        Self::Away,
        Self::SlowConsumer,
        Self::QueueFull,
        Self::Expired,
        Self::TooLargeForClient,
        Self::NotAuthorized,
        Self::NoMember,
        Self::Refused,
        Self::Unreadable,
        Self::SessionEnded,
    ];
}

/// What happened so far, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// PUBLISH packets from clients.
    pub messages_received: u64,
    /// PUBLISH packets to clients.
    pub messages_sent: u64,
    /// Messages that did not reach somebody, in the order of [`DropReason::ALL`].
    dropped: [u64; DropReason::ALL.len()],
}

impl Counters {
    #[inline]
    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.drop_many(reason, 1);
    }

    #[inline]
    pub(crate) fn drop_many(&mut self, reason: DropReason, count: u64) {
        if let Some(counter) = self.dropped.get_mut(reason as usize) {
            *counter += count;
        }
    }

    /// Messages dropped for a reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let mut counters = Counters::default();
        for (reason, count) in DropReason::ALL.into_iter().zip(1..) {
            counters.drop_many(reason, count);
        }
        for (reason, count) in DropReason::ALL.into_iter().zip(1..) {
            assert_eq!(counters.dropped_for(reason), count, "{reason:?}");
        }
    }
}
