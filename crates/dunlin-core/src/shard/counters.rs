//! What happened, counted, for metrics. Nothing is decided by these numbers.

use crate::tally::TooMany;
use dunlin_codec::ReasonCode;

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

/// Why a Topic Filter was refused in SUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionRefusal {
    /// It is longer, or has more levels, than the Server accepts.
    Filter,
    /// The authorizer said no.
    NotAuthorized,
    /// It would have to be stored, and nothing can be.
    Store,
    /// The Session has as many as it may have.
    OfSession,
    /// Its user has.
    OfUser,
    /// All together have.
    InAll,
}

impl SubscriptionRefusal {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 6] =
        [Self::Filter, Self::NotAuthorized, Self::Store, Self::OfSession, Self::OfUser, Self::InAll];

    /// What SUBACK says, in 5.0.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::Filter => ReasonCode::TopicFilterInvalid,
            Self::NotAuthorized => ReasonCode::NotAuthorized,
            Self::Store | Self::OfSession | Self::OfUser | Self::InAll => ReasonCode::QuotaExceeded,
        }
    }
}

impl From<TooMany> for SubscriptionRefusal {
    fn from(too_many: TooMany) -> Self {
        match too_many {
            TooMany::OfUser => Self::OfUser,
            TooMany::InAll => Self::InAll,
        }
    }
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
    /// Topic Filters that were refused, in the order of [`SubscriptionRefusal::ALL`].
    subscriptions_refused: [u64; SubscriptionRefusal::ALL.len()],
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

    pub(crate) fn refuse_subscription(&mut self, reason: SubscriptionRefusal) {
        if let Some(counter) = self.subscriptions_refused.get_mut(reason as usize) {
            *counter += 1;
        }
    }

    /// Topic Filters refused for a reason.
    pub fn subscriptions_refused_for(&self, reason: SubscriptionRefusal) -> u64 {
        self.subscriptions_refused.get(reason as usize).copied().unwrap_or(0)
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
        for (reason, count) in SubscriptionRefusal::ALL.into_iter().zip(1..) {
            (0..count).for_each(|_| counters.refuse_subscription(reason));
        }
        for (reason, count) in SubscriptionRefusal::ALL.into_iter().zip(1..) {
            assert_eq!(counters.subscriptions_refused_for(reason), count, "{reason:?}");
        }
    }
}
