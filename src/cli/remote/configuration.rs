//! What the running broker is configured with, for `dunlin check --diff`.

use std::path::PathBuf;

use serde::Deserialize;

use super::Failure;
use super::broker::understood;
use super::place::BrokerArgs;
use crate::config::{EffectiveOption, Place};

#[derive(Debug, Deserialize)]
struct Answer {
    options: Vec<Entry>,
}

/// An option as `/api/v1/config` tells it.
#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    value: Option<String>,
    #[serde(rename = "where")]
    place: Option<String>,
    reloads: bool,
}

impl From<Entry> for EffectiveOption {
    fn from(entry: Entry) -> Self {
        let Entry { name, value, place, reloads } = entry;
        let is_default = place.is_none();
        // As the broker says it: a file and a line, a variable or a flag.
        let origin = place.map_or(Place::Default, |place| Place::File(place.into()));
        let is_secret = value.as_deref() == Some("(set)");
        Self { name, value, origin, needs_restart: !reloads, is_secret, is_default }
    }
}

/// Asks the broker of the configuration and the data directory given. The configuration has been judged by then, so
/// whatever is missing, such as a token, means that this broker cannot be asked.
pub(in crate::cli) fn running_configuration(
    config: Option<PathBuf>,
    data_dir: Option<String>,
    http: Option<String>,
) -> Result<Vec<EffectiveOption>, Failure> {
    let broker = BrokerArgs::of(config, data_dir, http).find().map_err(|failure| match failure {
        Failure::Arguments(problem) => Failure::Unreachable(problem),
        other => other,
    })?;
    let answer = broker.get("/api/v1/config")?;
    Ok(understood::<Answer>(&answer)?.options.into_iter().map(Into::into).collect())
}
