//! Keys from an address (`auth.jwt.jwks_url`), refreshed by a thread of their own.
//!
//! ```text
//!            due, or wanted            answered: next in `refresh`
//!   waiting ───────────────> fetching ─────────────────────────────> waiting
//!                               │
//!                               └── no good answer: the keys stay, next in `retry` ──> waiting
//! ```
//!
//! Whoever needs a key that is not there may want a fetch before it is due, so that a new signing key works at
//! once; tokens with invented names are cheap to make, so that happens once in `unknown_key` at most.
//!
//! What must stay true: keys once fetched are used until others are; a reload hands them on to its successor; the
//! thread ends with the last owner of the value, and nobody waits for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::keys::KeySet;
use crate::auth::web::Web;
use crate::config::WebUrl;

/// How long one fetch may take.
pub(super) const FETCH_TIME_LIMIT: Duration = Duration::from_secs(5);

/// The keys of every address in use, so that a reload goes on with them.
static IN_USE: Mutex<Vec<(Trusted, Weak<ArcSwapOption<KeySet>>)>> = Mutex::new(Vec::new());

/// An address, and who vouches for it.
type Trusted = (WebUrl, Option<PathBuf>);

/// When to fetch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// After a fetch that brought keys.
    pub refresh: Duration,
    /// After one that did not.
    pub retry: Duration,
    /// The shortest time between fetches on behalf of a token.
    pub unknown_key: Duration,
}

impl Pace {
    /// That of a configured refresh.
    pub fn refreshing_every(refresh: Duration) -> Self {
        Self { refresh, retry: refresh.min(Duration::from_secs(10)), unknown_key: Duration::from_secs(60) }
    }
}

/// An address and its keys.
pub(super) struct KeyAddress {
    shared: Arc<Shared>,
    /// Whether there is a thread.
    pub(super) begun: Once,
}

struct Shared {
    web: Web,
    pace: Pace,
    keys: Arc<ArcSwapOption<KeySet>>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    is_wanted: bool,
    is_fetching: bool,
    is_over: bool,
    fetches: u64,
    begun_at: Option<Instant>,
}

impl KeyAddress {
    /// An address that nobody has asked yet.
    pub fn new(web: Web, pace: Pace) -> Self {
        let keys = register((web.url().clone(), web.ca_file().map(Path::to_owned)));
        let progress = Mutex::new(Progress { is_wanted: true, ..Progress::default() });
        let shared = Arc::new(Shared { web, pace, keys, progress, changed: Condvar::new() });
        Self { shared, begun: Once::new() }
    }

    /// Begins to fetch, if it has not yet.
    pub fn begin(&self) {
        self.begun.call_once(|| {
            let life = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("dunlin-keys".to_owned());
            if let Err(error) = thread.spawn(move || life.fetch_until_over()) {
                tracing::error!(%error, "the thread that fetches keys for tokens could not start: they are refused");
            }
        });
    }

    /// The keys of the last good answer.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.shared.keys.load_full()
    }

    /// Has the keys fetched for a token whose key is not there, unless that was done lately. Does not wait.
    pub fn want(&self) {
        self.begin();
        self.shared.want(&mut self.shared.progress());
    }

    /// The same, and waits until the fetch has ended, well or not.
    pub fn want_and_wait(&self) {
        self.begin();
        let mut progress = self.shared.progress();
        if self.shared.want(&mut progress) {
            let before = progress.fetches;
            let limit = FETCH_TIME_LIMIT + Duration::from_secs(1);
            let waiting =
                self.shared.changed.wait_timeout_while(progress, limit, |now| now.fetches == before);
            drop(waiting);
        }
    }
}

impl Drop for KeyAddress {
    fn drop(&mut self) {
        self.shared.progress().is_over = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a fetch is under way then.
    fn want(&self, progress: &mut Progress) -> bool {
        if progress.is_fetching || progress.is_wanted {
            return true;
        }
        progress.is_wanted = progress.begun_at.is_none_or(|begun| begun.elapsed() >= self.pace.unknown_key);
        self.changed.notify_all();
        progress.is_wanted
    }

    fn fetch_until_over(&self) {
        let mut pause = Duration::ZERO;
        loop {
            let is_idle = |now: &mut Progress| !now.is_wanted && !now.is_over;
            let waited = self.changed.wait_timeout_while(self.progress(), pause, is_idle);
            let (mut progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if progress.is_over {
                return;
            }
            (progress.is_wanted, progress.is_fetching) = (false, true);
            progress.begun_at = Some(Instant::now());
            drop(progress);
            pause = if self.fetch() { self.pace.refresh } else { self.pace.retry };
            let mut progress = self.progress();
            progress.is_fetching = false;
            progress.fetches += 1;
            self.changed.notify_all();
        }
    }

    /// Fetches once; whether there are new keys.
    fn fetch(&self) -> bool {
        let url = self.web.url();
        let fetched = self.web.get().map_err(|error| error.to_string()).and_then(|bytes| {
            let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8".to_owned())?;
            KeySet::of_json(text)
        });
        match fetched {
            Ok(keys) => {
                tracing::debug!(%url, keys = keys.len(), "keys for tokens fetched");
                self.keys.store(Some(Arc::new(keys)));
                true
            }
            Err(problem) if self.keys.load().is_some() => {
                tracing::warn!(%url, problem, "keys for tokens could not be fetched; the old ones stay");
                false
            }
            Err(problem) => {
                tracing::warn!(%url, problem, "keys for tokens could not be fetched; their tokens are refused");
                false
            }
        }
    }
}

/// The place for the keys of an address: that of somebody else who has it, if there is one.
fn register(address: Trusted) -> Arc<ArcSwapOption<KeySet>> {
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    in_use.retain(|(_, keys)| keys.strong_count() > 0);
    let known = in_use.iter().find(|(known, _)| *known == address).and_then(|(_, keys)| keys.upgrade());
    known.unwrap_or_else(|| {
        let keys = Arc::new(ArcSwapOption::empty());
        in_use.push((address, Arc::downgrade(&keys)));
        keys
    })
}
