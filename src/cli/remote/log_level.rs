//! `dunlin log`: what the running broker logs, shown or changed until it is started again.

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use ureq::http::Method;

use super::broker::understood;
use super::{Asking, Failure, text};
use crate::config::LogFilter;

const PATH: &str = "/api/v1/log";

/// The arguments of `dunlin log`.
#[derive(Debug, Args)]
#[command(
    after_help = "The level holds until the next reload or restart; log.level in the configuration is for good.\n\n\
    Example:\n  dunlin log\n  dunlin log info,dunlin::tls=debug"
)]
pub struct LogArgs {
    /// The new level: error, warn, info, debug or trace, and module=level for single modules [default: show it]
    #[arg(value_parser = level)]
    level: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Deserialize)]
struct Level {
    level: String,
}

fn level(text: &str) -> Result<String, String> {
    let is_level = LogFilter::parse(text).is_some();
    is_level
        .then(|| text.to_owned())
        .ok_or_else(|| "must be a level, or directives such as info,dunlin::tls=debug".to_owned())
}

impl LogArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.level {
            Some(level) => {
                self.asking.place.find()?.ask(Method::PUT, PATH, Some(&json!({ "level": level }))).map(drop)
            }
            None => self.asking.show(PATH, |answer| {
                let Level { level } = understood(answer)?;
                Ok(format!("{}\n", text::shown(&level)))
            }),
        }
    }
}
