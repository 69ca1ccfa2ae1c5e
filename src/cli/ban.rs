//! `dunlin ban list|add|remove`: asks the broker that runs, over its operations port.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::bad_configuration;
use super::operations_port::{BrokerPlace, OperationsPort};
use crate::config::{Config, Network, parse_duration};
use crate::http::Problem;
use crate::http::api::bans::{BanList, BanRequest, PATH};

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
        let config = match place.load() {
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
    match serde_json::from_str::<Problem>(body) {
        Ok(problem) => format!("{subject} {}", problem.detail).trim_start().to_owned(),
        Err(_) => format!("the broker answers with status {status}"),
    }
}

/// Asks the broker: status and body of its answer, or what prevented it in a sentence.
fn ask(config: &Config, method: &str, request: Option<&BanRequest>) -> Result<(u16, String), String> {
    let body = request.map(serde_json::to_string).transpose().map_err(|error| error.to_string())?;
    OperationsPort::of(config)?.ask(method, PATH, &body.unwrap_or_default())
}
