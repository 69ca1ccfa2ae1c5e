//! Reads sections out of the merged tree: takes each option, judges it, and at the end reports what nobody
//! took.
//!
//! A wrong value is noted and its default stands in, so that one run reports everything that is wrong. The
//! shape of every message is made here and nowhere else.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use config::{Map, Value, ValueKind};

use super::declare::{Section, range_text};
use super::error::ConfigError;
use super::layers::Places;
use super::value::{OptionValue, quoted};

/// The longest part of a wrong value that an error repeats, in characters.
const SHOWN_VALUE_CHARS: usize = 80;

/// One table that is being read.
pub(super) struct Reader<'a> {
    /// What nobody has taken yet.
    remaining: Map<String, Value>,
    /// The table's name in messages: `listener.tls`.
    name: String,
    /// Its path in the places: `listener.0.tls`.
    path: String,
    /// The keys that sections have asked for.
    known: Vec<&'static str>,
    places: &'a Places,
    errors: &'a mut Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    /// Reads the whole tree.
    pub(super) fn new(
        tree: Map<String, Value>,
        places: &'a Places,
        errors: &'a mut Vec<ConfigError>,
    ) -> Self {
        Self { remaining: tree, name: String::new(), path: String::new(), known: Vec::new(), places, errors }
    }

    /// Takes an option.
    pub(super) fn option<T: OptionValue>(
        &mut self,
        key: &'static str,
        default: T,
        range: Option<RangeInclusive<u64>>,
    ) -> T {
        self.known.push(key);
        let default_toml = default.to_toml().unwrap_or_default();
        let Some(value) = self.remaining.remove(key) else {
            if T::REQUIRED {
                self.error(key, None, format!("must be set; for example {key} = {default_toml}"));
            }
            return default;
        };
        let in_range = |parsed: &T| match (&range, parsed.measure()) {
            (Some(range), Some(measure)) => range.contains(&measure),
            _ => true,
        };
        let bounds = range.as_ref().map(range_text::<T>);
        let problem = match T::parse(&value) {
            Some(parsed) if in_range(&parsed) => return parsed,
            Some(_) => format!("must be {}", bounds.unwrap_or_default()),
            None => T::problem(&value, bounds.as_deref()),
        };
        // A list would make the line long and its default helps nobody who wrote an item wrong.
        let hint = if T::REQUIRED || default_toml.is_empty() || default_toml.starts_with('[') {
            String::new()
        } else {
            format!(" (default {default_toml})")
        };
        // One wrong item of a list is reported by its own line and text.
        let (path, shown) = match T::wrong_item(&value) {
            Some((index, item)) => (format!("{key}.{index}"), item),
            None => (key.to_owned(), value),
        };
        let shown = T::may_be_shown(&shown).then(|| show(&shown));
        let place = self.places.of(&self.path_of(&path));
        let (option, problem) = (self.name_of(key), format!("{problem}{hint}"));
        self.errors.push(ConfigError { place, option, value: shown, problem });
        default
    }

    /// Takes a section that always exists.
    pub(super) fn section<S: Section>(&mut self) -> S {
        self.table(S::NAME).unwrap_or_default()
    }

    /// Takes a table that may be missing.
    pub(super) fn table<S: Section>(&mut self, key: &'static str) -> Option<S> {
        self.known.push(key);
        let value = self.remaining.remove(key)?;
        let ValueKind::Table(table) = value.kind else {
            self.error(key, Some(show(&value)), format!("must be a section, [{}]", self.name_of(key)));
            return None;
        };
        Some(self.nested(table, self.name_of(key), self.path_of(key)))
    }

    /// Takes a list of tables, which may be missing.
    pub(super) fn tables<S: Section>(&mut self, key: &'static str) -> Vec<S> {
        self.known.push(key);
        let Some(value) = self.remaining.remove(key) else { return Vec::new() };
        let problem = format!("must be a list of sections, [[{}]]", self.name_of(key));
        let ValueKind::Array(items) = value.kind else {
            self.error(key, None, problem);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match item.kind {
                ValueKind::Table(table) => {
                    let path = format!("{}.{index}", self.path_of(key));
                    sections.push(self.nested(table, self.name_of(key), path));
                }
                _ => self.error(key, Some(show(&item)), problem.clone()),
            }
        }
        sections
    }

    /// Reports the keys that nobody has taken.
    pub(super) fn finish(mut self) {
        let unknown: BTreeMap<_, _> = std::mem::take(&mut self.remaining).into_iter().collect();
        for (key, value) in unknown {
            let is_table = matches!(value.kind, ValueKind::Table(_));
            let show = |name: String| if is_table { format!("[{name}]") } else { name };
            let kind = if is_table { "section" } else { "option" };
            let problem = match nearest(&key, &self.known) {
                Some(known) => format!("unknown {kind}; did you mean {}?", show(self.name_of(known))),
                None => format!("unknown {kind}; known here: {}", self.known.join(", ")),
            };
            let option = show(self.name_of(&key));
            self.errors.push(ConfigError {
                place: self.places.of(&self.path_of(&key)),
                option,
                value: None,
                problem,
            });
        }
    }

    fn nested<S: Section>(&mut self, table: Map<String, Value>, name: String, path: String) -> S {
        let mut reader = Reader {
            remaining: table,
            name,
            path,
            known: Vec::new(),
            places: self.places,
            errors: self.errors,
        };
        let section = S::read(&mut reader);
        reader.finish();
        section
    }

    fn error(&mut self, key: &str, value: Option<String>, problem: String) {
        let place = self.places.of(&self.path_of(key));
        self.errors.push(ConfigError { place, option: self.name_of(key), value, problem });
    }

    fn name_of(&self, key: &str) -> String {
        join(&self.name, key)
    }

    fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// A value as the user wrote it, as far as it fits in a line.
fn show(value: &Value) -> String {
    let shown = match &value.kind {
        ValueKind::String(text) => quoted(&text.chars().take(SHOWN_VALUE_CHARS).collect::<String>()),
        ValueKind::Table(_) => "{...}".to_owned(),
        ValueKind::Array(_) => "[...]".to_owned(),
        other => other.to_string(),
    };
    shown.replace('\n', " ")
}

/// The known key that a misspelt one probably means.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, nearest) = known.iter().map(|candidate| (edits(key, candidate), *candidate)).min()?;
    (distance <= nearest.len().max(3) / 3).then_some(nearest)
}

/// The number of single-character edits that turn one text into the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    for (row, from_char) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, to_char) in to.iter().enumerate() {
            let replaced = previous[column] + usize::from(from_char != *to_char);
            current.push(replaced.min(previous[column + 1] + 1).min(current[column] + 1));
        }
        previous = current;
    }
    previous[to.len()]
}
