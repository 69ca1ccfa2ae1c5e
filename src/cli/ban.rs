//! `dunlin ban list|add|remove`: asks the broker that runs, over its operations port.
//!
//! Where that is and where the token lies is in the configuration, so the command takes the flags that the broker
//! was started with.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{bad_configuration, operations_port, sources};
use crate::config::{Config, Flags, Network, parse_duration};
use crate::http::bans::{BanList, BanRequest, PATH};
use crate::http::token::{ApiToken, TOKEN_FILE};

/// What shall be done about bans.
#[derive(Debug, Subcommand)]
pub enum BanCommand {
    /// Say who is banned, why and for how long
    List(BrokerPlace),
    /// Ban an address or a network, or one client there
    Add {
        /// Whom.
        #[command(flatten)]
        whom: Whom,
        /// How long, such as 90s, 15m, 1h or 7d [default: ban.duration]
        #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
        duration_s: Option<u64>,
        /// Of which broker.
        #[command(flatten)]
        place: BrokerPlace,
    },
    /// End a ban
    Remove {
        /// Whom.
        #[command(flatten)]
        whom: Whom,
        /// Of which broker.
        #[command(flatten)]
        place: BrokerPlace,
    },
}

/// Whom a ban is about.
#[derive(Debug, Args)]
pub struct Whom {
    /// An address or a network, such as 203.0.113.7 or 2001:db8::/64
    #[arg(value_parser = network)]
    network: String,
    /// Only the client with this identifier there
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

/// Where the broker is.
#[derive(Debug, Args)]
pub struct BrokerPlace {
    /// The broker's configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The broker's data directory [default: the configured one]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The address of its operations port [default: the configured one]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = parse_duration(text).map(|duration| duration.as_secs()).filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| "must be a duration of at least a second, such as 90s, 15m, 1h or 7d".to_owned())
}

fn network(text: &str) -> Result<String, String> {
    Network::parse(text).map(|network| network.to_string())
}

impl BanCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let (place, method, request) = match self {
            Self::List(place) => (place, "GET", None),
            Self::Add { whom, duration_s, place } => (place, "POST", Some((whom, duration_s))),
            Self::Remove { whom, place } => (place, "DELETE", Some((whom, None))),
        };
        let request =
            request.map(|(Whom { network, client }, duration_s)| BanRequest { network, client, duration_s });
        let flags = Flags { data_dir: place.data_dir, http: place.http, ..Flags::default() };
        let config = match sources(place.config, flags).load() {
            Ok(config) => config,
            Err(errors) => return bad_configuration(&errors),
        };
        let subject = request.as_ref().map_or("", |request| &request.network);
        match ask(&config, method, request.as_ref()) {
            Ok((200, body)) => show(&body),
            Ok((204, _)) => ExitCode::SUCCESS,
            Ok((status, body)) => problem(&explain(&config, subject, status, &body)),
            Err(text) => problem(&text),
        }
    }
}

fn problem(text: &str) -> ExitCode {
    eprintln!("dunlin: {text}");
    ExitCode::FAILURE
}

fn show(body: &str) -> ExitCode {
    let Ok(BanList { bans }) = serde_json::from_str(body) else {
        return problem("the broker's answer is not understood: is it of another version?");
    };
    for ban in bans {
        let client = ban.client.map(|client| format!(" client {client:?}")).unwrap_or_default();
        println!("{}{client} {} {}s", ban.network, ban.cause, ban.ends_in_s);
    }
    ExitCode::SUCCESS
}

fn explain(config: &Config, subject: &str, status: u16, body: &str) -> String {
    if status == 401 {
        let data_dir =
            config.store.path.as_deref().map(Path::display).map(|path| path.to_string()).unwrap_or_default();
        return format!(
            "the broker does not take the token in {data_dir}: does it run on another data directory?"
        );
    }
    let error = serde_json::from_str::<serde_json::Value>(body).ok();
    match error.as_ref().and_then(|error| error["error"].as_str()) {
        Some(error) => format!("{subject} {error}").trim_start().to_owned(),
        None => format!("the broker answers with status {status}"),
    }
}

/// One request to the broker: status and body of its answer, or what prevented it in a sentence.
fn ask(config: &Config, method: &str, request: Option<&BanRequest>) -> Result<(u16, String), String> {
    let data_dir = config.store.path.as_deref();
    let data_dir =
        data_dir.ok_or("bans need a data directory (store.path), where the broker leaves a token")?;
    let token = ApiToken::read(data_dir).map_err(|error| {
        let file = data_dir.join(TOKEN_FILE);
        format!(
            "the token of the broker cannot be read from {}: {error}; is it running on this data directory?",
            file.display()
        )
    })?;
    let address = config.http.address.as_ref().ok_or("the operations port is closed (http.address)")?;
    let body = match request {
        Some(request) => serde_json::to_string(request).map_err(|error| error.to_string())?,
        None => String::new(),
    };
    let headers =
        [format!("Authorization: {}", token.authorization()), "Content-Type: application/json".to_owned()];
    operations_port::ask(address, method, PATH, &headers, &body)
}
