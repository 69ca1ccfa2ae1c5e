//! What is different in another configuration, and whether a reload applies it.
//!
//! Two tables of effective options are compared, not two files: another way to write the same value is no change, and a
//! value that moves from the file to the environment is none either. Listeners are compared as a reload takes them, by
//! their URL: one that has moved in the list is the same, and one with another URL is another one.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::effective::EffectiveOption;
use super::{Config, same_listeners};

/// One option that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name; that of an option of a listener counts listeners of the new configuration, or of the old one if the
    /// listener is gone.
    pub option: String,
    /// What it was; none if there was no such thing.
    pub old: Option<EffectiveOption>,
    /// What it is; none if there is no such thing any more.
    pub new: Option<EffectiveOption>,
    /// Whether it takes a restart; else a reload applies it.
    pub needs_restart: bool,
}

impl Config {
    /// What differs in `newer`, in the order of the reference.
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        Change::between(&self.effective(), &newer.effective())
    }

    /// The options that differ in `newer` and that only a restart applies, such as `session.receive_maximum`.
    pub fn needing_restart(&self, newer: &Self) -> Vec<String> {
        let changes = self.changes(newer).into_iter();
        changes.filter(|change| change.needs_restart).map(|change| change.option).collect()
    }
}

fn changes(old: &[EffectiveOption], new: &[EffectiveOption]) -> Vec<Change> {
    let (old_urls, new_urls) = (urls(old), urls(new));
    let same = same_listeners(&new_urls, &old_urls);
    // The place of each old listener in the new configuration.
    let moved_to = |index: usize| same.iter().position(|place| *place == Some(index));
    let old_names = old.iter().map(|option| match listener_of(&option.name) {
        None => Some((option.name.clone(), option)),
        Some((index, key)) => moved_to(index).map(|index| (format!("listener.{index}.{key}"), option)),
    });
    let mut remaining: BTreeMap<String, &EffectiveOption> = old_names.flatten().collect();
    let removed = old.iter().filter(|option| {
        listener_of(&option.name).is_some_and(|(index, key)| key == "url" && moved_to(index).is_none())
    });
    let mut changes: Vec<_> = removed.map(|option| Change::new(&option.name, Some(option), None)).collect();
    for option in new {
        match remaining.remove(&option.name) {
            Some(before) if before.value == option.value => {}
            Some(before) => changes.push(Change::new(&option.name, Some(before), Some(option))),
            // What comes with a new listener or table and was not set says nothing.
            None if option.is_default => {}
            None => changes.push(Change::new(&option.name, None, Some(option))),
        }
    }
    let gone = remaining.into_iter().filter(|(_, option)| !option.is_default);
    changes.extend(gone.map(|(name, option)| Change::new(&name, Some(option), None)));
    changes
}

fn urls(options: &[EffectiveOption]) -> Vec<&str> {
    let of_listener =
        |option: &&EffectiveOption| listener_of(&option.name).is_some_and(|(_, key)| key == "url");
    options.iter().filter(of_listener).map(|option| option.value.as_deref().unwrap_or_default()).collect()
}

/// The listener that an option is one of, and its name there.
fn listener_of(name: &str) -> Option<(usize, &str)> {
    let (index, key) = name.strip_prefix("listener.")?.split_once('.')?;
    Some((index.parse().ok()?, key))
}

impl Change {
    /// What differs between two tables, in the order of the newer one.
    pub fn between(older: &[EffectiveOption], newer: &[EffectiveOption]) -> Vec<Self> {
        changes(older, newer)
    }

    fn new(name: &str, old: Option<&EffectiveOption>, new: Option<&EffectiveOption>) -> Self {
        let needs_restart = [old, new].into_iter().flatten().any(|option| option.needs_restart);
        Self { option: name.to_owned(), old: old.cloned(), new: new.cloned(), needs_restart }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, old, new, needs_restart } = self;
        let shown = |option: &EffectiveOption| {
            format!("{} ({})", option.value.as_deref().unwrap_or("unset"), option.origin)
        };
        write!(f, "{}  {option}: ", if *needs_restart { "restart" } else { "reload " })?;
        match (old, new) {
            (Some(old), Some(new)) => write!(f, "{} -> {}", shown(old), shown(new)),
            (None, Some(new)) => write!(f, "added: {}", shown(new)),
            (Some(old), None) if listener_of(option).is_some_and(|(_, key)| key == "url") => {
                write!(f, "removed: {}; its clients are disconnected", shown(old))
            }
            (Some(old), None) => write!(f, "removed: {}", shown(old)),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(old: &str, new: &str) -> Vec<String> {
        let config = |name: &str, text: &str| Config::from_toml(name, text).expect("it is good");
        config("old", old).changes(&config("new", new)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_line_says_what_was_what_is_where_both_are_written_and_what_it_takes() {
        let old = "[session]\nmax_inflight = 1000\nreceive_maximum = 5\n[server]\nworkers = 0";
        let new = "[session]\nmax_inflight = 1_0\n[auth.jwt]\nsecret_file = 'key'";
        assert_eq!(
            lines(old, new),
            [
                "reload   auth.jwt: added: { ... } (new:3)",
                "reload   auth.jwt.secret_file: added: \"key\" (new:4)",
                "reload   session.max_inflight: 1000 (old:2) -> 10 (new:2)",
                "restart  session.receive_maximum: 5 (old:3) -> 1000 (default)",
            ]
        );
        assert_eq!(lines(new, old).len(), 4);
    }

    #[test]
    fn a_listener_that_moves_in_the_list_is_the_same_and_one_with_another_url_is_another() {
        let old = "[[listener]]\nurl = 'mqtt://127.0.0.1:1'\n[[listener]]\nurl = 'ws://127.0.0.1:2'\ndeny = ['::1']";
        let new = "[[listener]]\nurl = 'ws://127.0.0.1:2'\nmax_connections = 5\n[[listener]]\nurl = 'mqtt://127.0.0.1:3'";
        assert_eq!(
            lines(old, new),
            [
                "reload   listener.0.url: removed: \"mqtt://127.0.0.1:1\" (old:2); its clients are disconnected",
                "reload   listener.0.max_connections: unset (default) -> 5 (new:3)",
                "reload   listener.0.deny: [\"::1\"] (old:5) -> unset (default)",
                "reload   listener.1.url: added: \"mqtt://127.0.0.1:3\" (new:5)",
            ]
        );
    }

    #[test]
    fn other_ways_and_places_to_write_a_value_are_no_changes() {
        assert!(lines("limits.max_memory = '1GB'", "[limits]\nmax_memory = 1_073_741_824").is_empty());
        assert!(lines("", "session.overflow = 'drop-oldest'").is_empty());
    }

    #[test]
    fn an_empty_table_that_replaces_another_is_a_change() {
        let listener = |auth: &str| format!("listener = [{{ url = 'mqtt://127.0.0.1:1'{auth} }}]");
        assert_eq!(
            lines(&listener(""), &listener(", auth = {}")),
            ["reload   listener.0.auth: added: { ... } (new:1)"]
        );
    }
}
