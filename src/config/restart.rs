//! What of a changed configuration a reload leaves as it was.
//!
//! An option says in its declaration whether a reload applies it, so the rest is known without a second list:
//! every value of the others, by path, before and after.

use std::collections::{BTreeMap, BTreeSet};

use super::Config;
use super::declare::Section;

/// Values as TOML, by the path of their option. What is unset is not there.
pub(super) type Values = BTreeMap<String, String>;

impl Config {
    /// The options that differ in `newer` and that only a restart applies, such as `session.max_inflight` or
    /// `listener.0.url`.
    pub fn needing_restart(&self, newer: &Self) -> Vec<String> {
        let (before, after) = (self.fixed_values(), newer.fixed_values());
        let options: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        options.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
    }

    fn fixed_values(&self) -> Values {
        // By name, so that a new section cannot be forgotten.
        let Self { server, listener: _, tls, auth, session, limits, ban, store, log, sys, http, places: _ } =
            self;
        let mut values = Values::new();
        server.collect_fixed("server", &mut values);
        for (index, listener) in self.listener_options().iter().enumerate() {
            listener.collect_fixed(&format!("listener.{index}"), &mut values);
        }
        tls.collect_fixed("tls", &mut values);
        auth.collect_fixed("auth", &mut values);
        session.collect_fixed("session", &mut values);
        limits.collect_fixed("limits", &mut values);
        ban.collect_fixed("ban", &mut values);
        store.collect_fixed("store", &mut values);
        log.collect_fixed("log", &mut values);
        sys.collect_fixed("sys", &mut values);
        http.collect_fixed("http", &mut values);
        values
    }
}
