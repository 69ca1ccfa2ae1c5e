//! `dunlin check`: judges a configuration and the files it names, shows what it comes to, and what a reload of it would
//! change. Nothing is started.
//!
//! `--show` and `--diff` come after the judgement, so that what they print could be run. The other side of `--diff` is
//! what the running broker says it has, or another file that is read with the same flags and environment.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::remote::{Failure, print, running_configuration};
use super::{ConfigArgs, bad_configuration};
use crate::auth;
use crate::config::{Change, Config, ConfigErrors, EffectiveOption, Listener, Sources};
use crate::http;
use crate::otlp::Collector;
use crate::tls;

/// Its arguments.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples, before a reload:\n  dunlin check --diff\n  dunlin check --config new.toml --diff --against dunlin.toml"
)]
pub struct CheckCommand {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Print every option with its value, where that was written, and what a change takes
    #[arg(long, group = "report")]
    show: bool,
    /// Print what a reload of the running broker would change, and what would wait for a restart
    #[arg(long, group = "report")]
    diff: bool,
    /// The configuration file that --diff compares with, instead of asking the running broker
    #[arg(long, value_name = "FILE", requires = "diff")]
    against: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long, requires = "report")]
    json: bool,
}

impl CheckCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let Self { config, show, diff, against, json } = self;
        let broker = (config.config.clone(), config.data_dir.clone(), config.http.clone());
        let sources = config.sources();
        let checked = sources.load().and_then(|config| check_files(&config).map(|()| config));
        let config = match checked {
            Ok(config) => config,
            Err(errors) => return bad_configuration(&errors),
        };
        let printed = if show {
            let options = config.effective();
            report(json, &options, table(&options))
        } else if diff {
            let before = match against {
                Some(file) => (Sources { file: Some(file), ..sources })
                    .load()
                    .map(|before| before.effective())
                    .map_err(|errors| bad_configuration(&errors)),
                None => {
                    let (file, data_dir, http) = broker;
                    running_configuration(file, data_dir, http).map_err(Failure::report)
                }
            };
            let changes = match before {
                Ok(before) => Change::between(&before, &config.effective()),
                Err(status) => return status,
            };
            let lines = match &changes[..] {
                [] => "nothing would change\n".to_owned(),
                changes => changes.iter().map(|change| format!("{change}\n")).collect(),
            };
            report(json, &changes, lines)
        } else {
            let listeners: Vec<_> = config.listeners().iter().map(describe).collect();
            print(&format!("configuration ok: {}\n", listeners.join(", ")))
        };
        printed.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
    }
}

/// Opens every file that the configuration names.
pub fn check_files(config: &Config) -> Result<(), ConfigErrors> {
    let listeners = config.listeners();
    let mut errors = tls::endpoints(config, &listeners).err().map(|errors| errors.0).unwrap_or_default();
    errors.extend(http::endpoint(config).err().into_iter().flat_map(|errors| errors.0));
    errors.extend(http::check(config).err());
    errors.extend(auth::load(config, &listeners).err().into_iter().flat_map(|errors| errors.0));
    if let Err((option, problem)) = Collector::of(&config.otlp) {
        errors.push(config.error(&format!("otlp.{option}"), None, problem));
    }
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}

fn describe(listener: &Listener) -> String {
    let admits = if listener.allow_anonymous { "anonymous clients too" } else { "no anonymous clients" };
    format!("{} ({admits})", listener.url)
}

fn report(json: bool, value: &impl Serialize, text: String) -> Result<(), Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(value) if json => print(&format!("{value}\n")),
        _ => print(&text),
    }
}

/// Lines for people, with their columns aligned.
fn table(options: &[EffectiveOption]) -> String {
    let shown = |option: &EffectiveOption| option.value.clone().unwrap_or_else(|| "unset".to_owned());
    let longest = |of: &dyn Fn(&EffectiveOption) -> usize| options.iter().map(of).max().unwrap_or_default();
    let name_width = longest(&|option| option.name.len());
    // A long list must not push the other lines apart.
    let value_width = longest(&|option| shown(option).len()).min(VALUE_WIDTH_MAX);
    let line = |option: &EffectiveOption| {
        let EffectiveOption { name, origin, needs_restart, .. } = option;
        let takes = if *needs_restart { "restart" } else { "reload" };
        format!("{name:name_width$}  {:value_width$}  {takes:7}  {origin}\n", shown(option))
    };
    options.iter().map(line).collect()
}

/// Beyond so many characters, a value sticks out of its column.
const VALUE_WIDTH_MAX: usize = 32;
