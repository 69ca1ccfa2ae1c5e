//! The layers of a configuration: a TOML file, the environment, flags. Each becomes a tree of values plus the
//! place where each value was written; the `config` crate merges the trees, later layers over earlier ones.
//!
//! Places are kept by path (`session.max_inflight`, `listener.1.url`) beside the tree, because merging
//! forgets where a table came from. A list is replaced as a whole by a later layer, and its old places with
//! it.
//!
//! Keys are judged when they are read here only as far as the merge needs it: it would take `a.b` and `a[1]`
//! for paths.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use config::{Map, Source, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors, Place};

/// Variables of the environment that are options begin with this; two underscores separate section and key.
pub const ENVIRONMENT_PREFIX: &str = "DUNLIN__";

/// The path under which the listeners are kept.
const LISTENER: &str = "listener";

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`: replaces the list of listeners unless empty.
    pub listen: Vec<String>,
    /// `--data-dir`: `store.path`.
    pub data_dir: Option<String>,
    /// `--http`: `http.address`.
    pub http: Option<String>,
}

/// Where each value was written, by its path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<String, Place>);

/// One layer: its values and their places.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    values: Map<String, Value>,
    places: Places,
}

impl Places {
    /// Whether anything was written at this path.
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Where the value at a path was written, or else the table or list that holds it.
    pub fn of(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return place.clone();
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return Place::Default,
            }
        }
    }

    fn overlay(&mut self, later: Places) {
        if later.contains(LISTENER) {
            self.0.retain(|path, _| path != LISTENER && !path.starts_with("listener."));
        }
        self.0.extend(later.0);
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.values.clone())
    }
}

/// Merges layers, later ones over earlier ones.
pub(super) fn merge(layers: Vec<Layer>) -> Result<(Map<String, Value>, Places), config::ConfigError> {
    let mut builder = config::Config::builder();
    let mut places = Places::default();
    for layer in layers {
        places.overlay(layer.places.clone());
        builder = builder.add_source(layer);
    }
    Ok((builder.build()?.cache.into_table()?, places))
}

impl Layer {
    /// Reads a file: what can be read, and what is wrong with the rest.
    pub(super) fn from_file(path: &Path) -> Result<(Self, Vec<ConfigError>), ConfigErrors> {
        let whole_file = |problem| {
            let place = Place::File(path.to_owned());
            ConfigErrors(vec![ConfigError { place, option: String::new(), value: None, problem }])
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| whole_file(format!("the configuration file cannot be read: {error}")))?;
        Ok(Self::from_toml(path, &text))
    }

    /// Reads the text of a file, in the same way.
    pub(super) fn from_toml(path: &Path, text: &str) -> (Self, Vec<ConfigError>) {
        let mut reading = Toml { path, text, places: Places::default(), errors: Vec::new() };
        let (document, errors) = DeTable::parse_recoverable(text);
        // Whatever comes after the first may be its consequence.
        if let Some(error) = errors.first() {
            let message = error.message().replace('\n', ", ");
            let span = error.span().unwrap_or_default();
            reading.error(&span, String::new(), format!("not valid TOML: {message}"));
        }
        let values = reading.table("", document.get_ref());
        if !errors.is_empty() {
            reading.errors.truncate(1);
        }
        (Self { values, places: reading.places }, reading.errors)
    }

    /// Reads the variables that begin with [`ENVIRONMENT_PREFIX`], in the same way.
    pub(super) fn from_environment(variables: &[(String, String)]) -> (Self, Vec<ConfigError>) {
        let mut layer = Self::default();
        let mut errors = Vec::new();
        let mut options: Vec<_> = variables
            .iter()
            .filter_map(|(name, value)| {
                let path = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase();
                let keys: Vec<String> = path.split("__").map(str::to_owned).collect();
                Some((keys, value, Place::Environment(name.clone())))
            })
            .collect();
        // A list comes before its items, and its items in their order.
        options.sort_by_cached_key(|(keys, ..)| {
            keys.iter().map(|key| (index(key), key.clone())).collect::<Vec<_>>()
        });
        for (keys, value, place) in options {
            let problem = if !keys.iter().all(|key| is_plain(key)) {
                Some(format!("unknown option; a name is {ENVIRONMENT_PREFIX}SECTION__KEY"))
            } else if keys == [LISTENER] {
                layer.listeners(value.split(',').map(str::trim), &place);
                None
            } else {
                layer.insert(&keys, value, place.clone()).err()
            };
            if let Some(problem) = problem {
                errors.push(ConfigError { place, option: keys.join("."), value: None, problem });
            }
        }
        (layer, errors)
    }

    /// Reads flags.
    pub(super) fn from_flags(flags: &Flags) -> Self {
        let mut layer = Self::default();
        if !flags.listen.is_empty() {
            layer.listeners(flags.listen.iter().map(String::as_str), &Place::Flag("--listen"));
        }
        let mut set = |section: &str, key: &str, value: &Option<String>, flag| {
            if let Some(value) = value {
                // Without a number among its keys, nothing can be wrong.
                let _ = layer.insert(&[section.to_owned(), key.to_owned()], value, Place::Flag(flag));
            }
        };
        set("store", "path", &flags.data_dir, "--data-dir");
        set("http", "address", &flags.http, "--http");
        layer
    }

    fn listeners<'a>(&mut self, urls: impl Iterator<Item = &'a str>, place: &Place) {
        let listeners: Vec<Value> = urls
            .map(|url| Value::new(None, Map::from_iter([("url".to_owned(), Value::from(url))])))
            .collect();
        self.values.insert(LISTENER.to_owned(), Value::new(None, listeners));
        self.places.0.insert(LISTENER.to_owned(), place.clone());
    }

    /// Puts a text at a path of keys, where a number is the place in a list. A variable such as `DUNLIN__SESSION`
    /// that stands where a table belongs stays there to be reported.
    fn insert(&mut self, keys: &[String], text: &str, place: Place) -> Result<(), String> {
        // What holds an item of a list is written by the first that speaks of it.
        for length in (1..keys.len()).filter(|length| index(&keys[*length]).is_some()) {
            self.places.0.entry(keys[..length].join(".")).or_insert_with(|| place.clone());
        }
        self.places.0.insert(keys.join("."), place);
        let Some((first, inner)) = keys.split_first() else { return Ok(()) };
        let value = self.values.entry(first.clone()).or_insert_with(|| nothing_at(inner));
        put(value, inner, text)
    }
}

/// Puts a text into a value, at a path of keys.
fn put(value: &mut Value, keys: &[String], text: &str) -> Result<(), String> {
    let Some((first, inner)) = keys.split_first() else {
        value.kind = ValueKind::String(text.to_owned());
        return Ok(());
    };
    match (&mut value.kind, index(first)) {
        (ValueKind::Array(items), Some(index)) => {
            if index > items.len() {
                return Err(format!("there is no item {} before it; items count from 0", index - 1));
            }
            if index == items.len() {
                items.push(nothing_at(inner));
            }
            put(&mut items[index], inner, text)
        }
        (ValueKind::Array(_), None) => {
            Err("stands for nothing in a list: put the number of the item before it, from 0 on".to_owned())
        }
        (ValueKind::Table(table), _) => {
            put(table.entry(first.clone()).or_insert_with(|| nothing_at(inner)), inner, text)
        }
        _ => Ok(()),
    }
}

/// What a value begins as that will hold this path.
fn nothing_at(keys: &[String]) -> Value {
    match keys.first().map(|key| index(key)) {
        Some(Some(_)) => Value::new(None, Vec::<Value>::new()),
        Some(None) => Value::new(None, Map::<String, Value>::new()),
        None => Value::from(""),
    }
}

/// The place in a list that a key stands for.
fn index(key: &str) -> Option<usize> {
    key.parse().ok()
}

/// The conversion of one TOML document.
struct Toml<'a> {
    path: &'a Path,
    text: &'a str,
    places: Places,
    errors: Vec<ConfigError>,
}

impl Toml<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Map<String, Value> {
        let mut values = Map::new();
        for (key, value) in table.iter() {
            let name = key.get_ref().to_string();
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if !is_plain(&name) {
                self.error(&key.span(), path, "unknown option".to_owned());
                continue;
            }
            let place = self.place(&key.span());
            self.places.0.insert(path.clone(), place);
            let value = self.value(&path, value.get_ref());
            values.insert(name, value);
        }
        values
    }

    fn value(&mut self, path: &str, value: &DeValue<'_>) -> Value {
        let kind = match value {
            DeValue::String(text) => ValueKind::String(text.to_string()),
            DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => ValueKind::I64(number),
                Err(_) => ValueKind::Float(f64::INFINITY),
            },
            DeValue::Float(number) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Datetime(time) => ValueKind::String(time.to_string()),
            DeValue::Table(table) => ValueKind::Table(self.table(path, table)),
            DeValue::Array(array) => {
                let mut values = Vec::new();
                for (index, item) in array.iter().enumerate() {
                    let path = format!("{path}.{index}");
                    let place = self.place(&item.span());
                    self.places.0.insert(path.clone(), place);
                    values.push(self.value(&path, item.get_ref()));
                }
                ValueKind::Array(values)
            }
        };
        Value::new(None, kind)
    }

    fn error(&mut self, span: &Range<usize>, option: String, problem: String) {
        let place = self.place(span);
        self.errors.push(ConfigError { place, option, value: None, problem });
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Place::Line(PathBuf::from(self.path), line)
    }
}

/// Whether a key can be the name of an option.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}
