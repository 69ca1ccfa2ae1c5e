//! How much may be published a second: by a client, by all clients of a user, at an address, over a listener, in all.
//!
//! [`Rates`] are what the configuration says, one value for each of these kinds, which a reload changes in place. An
//! [`Allowance`] is what one client, one user, one address and so on has used of them; the connections that it counts
//! for share it. Both are atomics: a connection takes from them once for what one read has brought, however many
//! messages that is, and holds no lock. That of a user or an address stays with what is known of it (`watch.rs`), so
//! that connecting again gives nobody a new one.

use super::delay::DelayReason;
use super::pace::SharedPace;
use crate::config::{ByteSize, LimitOptions, Listener};
use dunlin_core::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The rates of one kind.
#[derive(Debug)]
pub(super) struct Rates {
    messages: Rate,
    bytes: Rate,
}

/// Things a second.
#[derive(Debug)]
struct Rate {
    value: AtomicU64,
    /// Why somebody waits who has used it up.
    reason: DelayReason,
}

/// No limit.
const UNLIMITED: u64 = u64::MAX;

impl Rate {
    fn new(reason: DelayReason) -> Self {
        Self { value: AtomicU64::new(UNLIMITED), reason }
    }

    fn set(&self, value: Option<u64>) {
        self.value.store(value.unwrap_or(UNLIMITED), Ordering::Relaxed);
    }

    fn get(&self) -> Option<u64> {
        Some(self.value.load(Ordering::Relaxed)).filter(|value| *value != UNLIMITED)
    }
}

impl Rates {
    fn new(messages: DelayReason, bytes: DelayReason) -> Arc<Self> {
        Arc::new(Self { messages: Rate::new(messages), bytes: Rate::new(bytes) })
    }

    fn set(&self, messages: Option<u32>, bytes: Option<ByteSize>) {
        self.messages.set(messages.map(u64::from));
        self.bytes.set(bytes.map(|size| size.0));
    }

    /// Whether they limit anybody.
    pub fn are_limits(&self) -> bool {
        self.messages.get().is_some() || self.bytes.get().is_some()
    }

    /// The rates of a listener.
    pub fn of_listener(listener: &Listener) -> Arc<Self> {
        let rates = Self::new(DelayReason::Listener, DelayReason::ListenerBytes);
        rates.set_listener(listener);
        rates
    }

    /// Applies what a reload has changed.
    pub fn set_listener(&self, listener: &Listener) {
        self.set(listener.publish_rate, listener.publish_bytes_rate);
    }
}

/// The rates of every kind that `[limits]` has, and what all together have used.
pub(super) struct PublishLimits {
    pub client: Arc<Rates>,
    pub user: Arc<Rates>,
    pub address: Arc<Rates>,
    pub all: Arc<Allowance>,
}

impl PublishLimits {
    pub fn of(limits: &LimitOptions) -> Self {
        let all = Rates::new(DelayReason::All, DelayReason::AllBytes);
        let rates = Self {
            client: Rates::new(DelayReason::Client, DelayReason::ClientBytes),
            user: Rates::new(DelayReason::User, DelayReason::UserBytes),
            address: Rates::new(DelayReason::Address, DelayReason::AddressBytes),
            all: Allowance::new(&all),
        };
        rates.set(limits);
        rates
    }

    /// Applies what a reload has changed.
    pub fn set(&self, limits: &LimitOptions) {
        self.client.set(limits.publish_rate, limits.publish_bytes_rate);
        self.user.set(limits.publish_rate_per_user, limits.publish_bytes_rate_per_user);
        self.address.set(limits.publish_rate_per_address, limits.publish_bytes_rate_per_address);
        self.all.rates.set(limits.publish_rate_in_all, limits.publish_bytes_rate_in_all);
    }

    /// Whether they limit anybody.
    pub fn are_limits(&self) -> bool {
        [&self.client, &self.user, &self.address, &self.all.rates].iter().any(|rates| rates.are_limits())
    }
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct Allowance {
    pub rates: Arc<Rates>,
    messages: SharedPace,
    bytes: SharedPace,
}

/// How much was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub messages: u64,
    pub bytes: u64,
}

impl Allowance {
    /// One of which nothing is used.
    pub fn new(rates: &Arc<Rates>) -> Arc<Self> {
        Arc::new(Self {
            rates: Arc::clone(rates),
            messages: SharedPace::default(),
            bytes: SharedPace::default(),
        })
    }

    fn paces(&self) -> [(&SharedPace, &Rate); 2] {
        [(&self.messages, &self.rates.messages), (&self.bytes, &self.rates.bytes)]
    }

    /// How much may be taken at a time.
    pub fn portion(&self, now: Timestamp) -> Amount {
        let [messages, bytes] =
            self.paces().map(|(pace, rate)| rate.get().map_or(u64::MAX, |rate| pace.portion(now, rate)));
        Amount { messages, bytes }
    }

    /// Takes so much; when that may be used, and why not before.
    pub fn take(&self, now: Timestamp, amount: Amount) -> (Timestamp, DelayReason) {
        let [messages, bytes] = self.paces();
        let take = |(pace, rate): (&SharedPace, &Rate), count| {
            let is_one = amount.messages == 1;
            let ready_at = rate.get().map_or(Timestamp::ZERO, |value| pace.take(now, count, value, is_one));
            (ready_at, rate.reason)
        };
        let of_messages = take(messages, amount.messages);
        let of_bytes = take(bytes, amount.bytes);
        if of_bytes.0 > of_messages.0 { of_bytes } else { of_messages }
    }

    /// Gives back what was not used.
    pub fn give_back(&self, amount: Amount) {
        let [messages, bytes] = self.paces();
        for ((pace, rate), count) in [(messages, amount.messages), (bytes, amount.bytes)] {
            if let Some(rate) = rate.get() {
                pace.give_back(count, rate);
            }
        }
    }
}
