//! `dunlin token create|list|remove`: the tokens that open the API.
//!
//! They are in a file of the data directory, which a running broker follows, so the command needs no broker and a
//! token holds, or holds no more, at once. The token is printed once, to standard output and alone, and nobody can
//! print it again: the file has its hash.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::remote::{Failure, print, print_list};
use super::{running_broker, sources};
use crate::config::{Flags, Scope, parse_duration};
use crate::http::tokens::{TOKENS_FILE, TokenEntry, Tokens};
use crate::whole_file;

/// What shall be done about tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print it: nobody can print it again
    #[command(after_help = "Example:\n  dunlin token create grafana\n  \
        dunlin token create laptop --scope admin --expires 90d > token")]
    Create {
        /// What it is called, also in the audit log
        name: String,
        /// What it allows: to look, or to change as well
        #[arg(long, value_enum, default_value_t = ScopeArgument::Read)]
        scope: ScopeArgument,
        /// How long it holds, such as 12h or 90d [default: until it is removed]
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires: Option<time::Duration>,
        /// Of which broker.
        #[command(flatten)]
        place: TokenPlace,
    },
    /// Say which tokens there are, what they allow and until when
    #[command(
        after_help = "Example:\n  dunlin token list\n  dunlin token list --json | jq -r '.tokens[].name'"
    )]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Of which broker.
        #[command(flatten)]
        place: TokenPlace,
    },
    /// Remove a token; it opens nothing from then on
    #[command(after_help = "Example:\n  dunlin token remove laptop")]
    Remove {
        /// What it is called
        name: String,
        /// Of which broker.
        #[command(flatten)]
        place: TokenPlace,
    },
}

/// Which broker's tokens.
#[derive(Debug, Args)]
pub struct TokenPlace {
    /// Configuration file (TOML) of the broker
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory of the broker [default: the configured one]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

/// A scope as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ScopeArgument {
    /// Look.
    Read,
    /// Look and change.
    Admin,
}

fn duration(text: &str) -> Result<time::Duration, String> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    let duration = duration.and_then(|duration| time::Duration::try_from(duration).ok());
    duration.ok_or_else(|| "must be a duration such as 12h or 90d".to_owned())
}

impl TokenCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let (Self::Create { place, .. } | Self::List { place, .. } | Self::Remove { place, .. }) = &self;
        let flags = Flags { data_dir: place.data_dir.clone(), ..Flags::default() };
        let done = running_broker(&sources(place.config.clone(), flags), &["store.path"])
            .map_err(Failure::Configuration)
            .and_then(|config| match &config.store.path {
                Some(data_dir) => self.carry_out(data_dir),
                None => Err(Failure::Here("tokens need a data directory (store.path)".to_owned())),
            });
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    }

    fn carry_out(self, data_dir: &Path) -> Result<(), Failure> {
        let now = OffsetDateTime::now_utc();
        match self {
            Self::Create { name, scope, expires, .. } => {
                let expires = expires.map(|expires| {
                    let end = now.replace_nanosecond(0).unwrap_or(now).checked_add(expires);
                    end.ok_or_else(|| {
                        "--expires is too far away: leave it out for a token without an end".to_owned()
                    })
                });
                let expires = expires.transpose().map_err(Failure::Arguments)?;
                let scope = match scope {
                    ScopeArgument::Read => Scope::Read,
                    ScopeArgument::Admin => Scope::Admin,
                };
                let token = edit(data_dir, |tokens| tokens.create(&name, scope, now, expires));
                let token = token.map_err(Failure::Here)?;
                print(&Zeroizing::new(format!("{}\n", *token)))
            }
            Self::List { json, .. } => {
                let tokens = Tokens::read(&data_dir.join(TOKENS_FILE)).map_err(Failure::Here)?.token;
                if json {
                    let entries: Vec<_> = tokens.iter().map(|entry| document(entry, now)).collect();
                    return print(&format!("{}\n", json!({ "tokens": entries })));
                }
                let lines: String =
                    tokens.iter().map(|entry| format!("{}\n", describe(entry, now))).collect();
                print_list(&lines, "there is no token")
            }
            Self::Remove { name, .. } => edit(data_dir, |tokens| match tokens.remove(&name) {
                true => Ok(()),
                false => Err(format!("{}: there is no token {name:?}", data_dir.join(TOKENS_FILE).display())),
            })
            .map_err(Failure::Here),
        }
    }
}

/// Changes the file; two who do so at once wait for each other.
fn edit<T>(data_dir: &Path, change: impl FnOnce(&mut Tokens) -> Result<T, String>) -> Result<T, String> {
    let directory = File::open(data_dir).map_err(|error| {
        format!(
            "the data directory {} cannot be opened: {error}; has its broker run yet?",
            data_dir.display()
        )
    })?;
    // Where a file system has no locks, one editor at a time is the operator's business.
    let _ = directory.lock();
    let path = data_dir.join(TOKENS_FILE);
    let mut tokens = Tokens::read(&path)?;
    let result = change(&mut tokens)?;
    whole_file::replace(&path, tokens.to_text()?.as_bytes(), whole_file::Mode::OwnerAlone)
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    Ok(result)
}

/// `grafana read created 2026-11-28T09:00:00Z expires 2027-02-26T09:00:00Z`.
fn describe(entry: &TokenEntry, now: OffsetDateTime) -> String {
    let expires = match entry.expires {
        None => String::new(),
        Some(expires) if entry.is_expired(now) => format!(" expired {}", written(expires)),
        Some(expires) => format!(" expires {}", written(expires)),
    };
    format!("{} {} created {}{expires}", entry.name, scope(entry), written(entry.created))
}

/// The same for scripts; of the token itself nothing is known but its hash, which is nobody's business.
fn document(entry: &TokenEntry, now: OffsetDateTime) -> Value {
    json!({
        "name": entry.name,
        "scope": scope(entry),
        "created_at": written(entry.created),
        "expires_at": entry.expires.map(written),
        "is_expired": entry.is_expired(now),
    })
}

fn scope(entry: &TokenEntry) -> &'static str {
    match entry.scope {
        Scope::Read => "read",
        Scope::Admin => "admin",
    }
}

fn written(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}
