//! How many subscriptions there are, in all and of each user, and how many there may be.
//!
//! A user's clients live on all shards, so this is one of the few values that shards share: counters, and behind a
//! lock the users. It is touched by SUBSCRIBE, UNSUBSCRIBE and the end of a Session, never by a message. A new
//! subscription is claimed before it is made, so no two shards take the last place; what the store brings back counts
//! without being asked about, because a start must not fail for a limit that is lower now.
//!
//! Users are known by the hash of their name, so that a fleet of users costs little. Its seed comes from outside, as
//! those of the shards do: who does not know it cannot choose two names that are the same.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the top of the file. Clones count together.
#[derive(Clone, Debug)]
pub struct SubscriptionTally(Arc<Tally>);

#[derive(Debug)]
struct Tally {
    in_all: AtomicUsize,
    in_all_max: AtomicUsize,
    of_user_max: AtomicUsize,
    hasher: FixedState,
    users: Mutex<Users>,
}

/// Subscriptions by the hash of their user.
type Users = HashMap<u64, usize, FixedState>;

/// What a subscription is one too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// Its user's.
    OfUser,
    /// All.
    InAll,
}

impl Default for SubscriptionTally {
    fn default() -> Self {
        Self::new(0)
    }
}

impl SubscriptionTally {
    /// A tally without limits. `seed` seeds hashes.
    pub fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self(Arc::new(Tally {
            in_all: AtomicUsize::new(0),
            in_all_max: AtomicUsize::new(usize::MAX),
            of_user_max: AtomicUsize::new(usize::MAX),
            hasher: hasher.clone(),
            users: Mutex::new(HashMap::with_hasher(hasher)),
        }))
    }

    /// Sets how many there may be. Those that are there stay.
    pub fn set_limits(&self, in_all_max: usize, of_user_max: usize) {
        self.0.in_all_max.store(in_all_max, Ordering::Relaxed);
        self.0.of_user_max.store(of_user_max, Ordering::Relaxed);
    }

    /// Subscriptions at present, those of absent clients included.
    pub fn in_all(&self) -> usize {
        self.0.in_all.load(Ordering::Relaxed)
    }

    /// Users that have any.
    pub fn users(&self) -> usize {
        self.lock_users().len()
    }

    /// Counts one more, if there may be one more. Clients without a user name are counted in all alone.
    pub(crate) fn claim(&self, user_name: Option<&str>) -> Result<(), TooMany> {
        let in_all_max = self.0.in_all_max.load(Ordering::Relaxed);
        let one_more = |count: usize| (count < in_all_max).then_some(count + 1);
        let claimed = self.0.in_all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        claimed.map_err(|_| TooMany::InAll)?;
        let Some(user) = self.user(user_name) else { return Ok(()) };
        let of_user_max = self.0.of_user_max.load(Ordering::Relaxed);
        let mut users = self.lock_users();
        let count = users.get(&user).copied().unwrap_or(0);
        if count >= of_user_max {
            self.0.in_all.fetch_sub(1, Ordering::Relaxed);
            return Err(TooMany::OfUser);
        }
        users.insert(user, count + 1);
        Ok(())
    }

    /// Counts so many that are there, however many there may be.
    pub(crate) fn add(&self, user_name: Option<&str>, count: usize) {
        self.0.in_all.fetch_add(count, Ordering::Relaxed);
        if let Some(user) = self.user(user_name).filter(|_| count > 0) {
            *self.lock_users().entry(user).or_default() += count;
        }
    }

    /// So many are gone.
    pub(crate) fn release(&self, user_name: Option<&str>, count: usize) {
        self.0.in_all.fetch_sub(count, Ordering::Relaxed);
        let Some(user) = self.user(user_name) else { return };
        let mut users = self.lock_users();
        if let Some(left) = users.get_mut(&user) {
            *left = left.saturating_sub(count);
            if *left == 0 {
                users.remove(&user);
            }
        }
    }

    fn user(&self, user_name: Option<&str>) -> Option<u64> {
        user_name.map(|user_name| self.0.hasher.hash_one(user_name))
    }

    fn lock_users(&self) -> MutexGuard<'_, Users> {
        // Counts that a panic left half done are still counts.
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_all_together_have_so_many_and_what_is_released_can_be_claimed_again() {
        let tally = SubscriptionTally::default();
        tally.set_limits(4, 2);
        assert_eq!([(); 3].map(|()| tally.claim(Some("anna"))), [Ok(()), Ok(()), Err(TooMany::OfUser)]);
        assert_eq!([(); 3].map(|()| tally.claim(None)), [Ok(()), Ok(()), Err(TooMany::InAll)]);
        assert_eq!(tally.claim(Some("boris")), Err(TooMany::InAll));
        tally.release(Some("anna"), 1);
        assert_eq!((tally.claim(Some("anna")), tally.in_all()), (Ok(()), 4));
    }

    #[test]
    fn what_is_there_counts_beyond_the_limits_and_users_that_have_none_are_forgotten() {
        let tally = SubscriptionTally::default();
        tally.set_limits(10, 2);
        tally.add(Some("anna"), 5);
        assert_eq!((tally.claim(Some("anna")), tally.users()), (Err(TooMany::OfUser), 1));
        tally.release(Some("anna"), 5);
        tally.add(Some("boris"), 0);
        assert_eq!((tally.in_all(), tally.users()), (0, 0));
    }
}
