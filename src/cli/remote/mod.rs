//! The commands that talk to a running broker, over its operations port: `dunlin status`, `top`, `clients`, `kick` and
//! so on.
//!
//! `place.rs` says where the broker is and by which token it is asked, `broker.rs` asks, over TLS with `pinned.rs`, and
//! `failure.rs` has the exit statuses. Then one file for each command: it asks, and prints a table for people
//! (`table.rs`, `text.rs`) or, with `--json`, what the API has answered. `docs/commands.md` is what their users read.
//!
//! What must stay true: whatever text comes from clients is printed only by `text::shown` and so can do nothing to a
//! terminal; results go to standard output, all else to standard error.

mod place;
mod broker;
mod pinned;
mod failure;
mod pages;
mod table;
mod text;
mod status;
mod top;
mod clients;
mod client_detail;
mod kick;
mod ban;
mod retained;
mod groups;
mod drops;
mod listeners;
mod trace;
mod events;
mod log_level;
mod reload;
mod configuration;
mod health;
mod dashboard;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use broker::Broker;
pub(in crate::cli) use configuration::running_configuration;
pub(in crate::cli) use failure::Failure;
use place::BrokerArgs;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum RemoteCommand {
    /// Say how the running broker is
    Status(status::StatusArgs),
    /// Watch clients, groups and rates of the running broker on the whole screen
    Top(top::TopArgs),
    /// List the clients of the running broker, or show all there is about one
    Clients(clients::ClientsArgs),
    /// End the connection of a client, or its Session
    Kick(kick::KickArgs),
    /// Show and change who is shut out of the running broker
    #[command(subcommand)]
    Ban(ban::BanCommand),
    /// List, print, set and clear Retained Messages of the running broker
    #[command(subcommand)]
    Retained(retained::RetainedCommand),
    /// List the shared groups of the running broker, and what waits in them
    Groups(groups::GroupsArgs),
    /// Say why messages were dropped and connections refused
    Drops(drops::DropsArgs),
    /// List the listeners of the running broker, and when their certificates end
    Listeners(listeners::ListenersArgs),
    /// Print packets and decisions about a client, some topics or an address as they happen
    Trace(trace::TraceArgs),
    /// Show or change what the running broker logs
    Log(log_level::LogArgs),
    /// Have the running broker read its configuration again, as SIGHUP does
    Reload(reload::ReloadArgs),
    /// Print the address of the dashboard, with what opens it
    Dashboard(dashboard::DashboardArgs),
    /// Ask whether the broker that runs serves clients; exit status 0 if it does, else 1
    Health(health::HealthArgs),
}

/// Where the broker is, and how its answer is printed.
#[derive(Debug, Args)]
struct Asking {
    /// Print what the API answers, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: BrokerArgs,
}

impl RemoteCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let done = match self {
            Self::Status(arguments) => arguments.run(),
            Self::Top(arguments) => arguments.run(),
            Self::Clients(arguments) => arguments.run(),
            Self::Kick(arguments) => arguments.run(),
            Self::Ban(command) => command.run(),
            Self::Retained(command) => command.run(),
            Self::Groups(arguments) => arguments.run(),
            Self::Drops(arguments) => arguments.run(),
            Self::Listeners(arguments) => arguments.run(),
            Self::Trace(arguments) => arguments.run(),
            Self::Log(arguments) => arguments.run(),
            Self::Reload(arguments) => arguments.run(),
            Self::Dashboard(arguments) => arguments.run(),
            Self::Health(arguments) => return arguments.run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    }
}

impl Asking {
    /// Prints the answer to GET as it is, or the lines of the list that it is.
    fn list(
        &self,
        path: &str,
        nothing: &str,
        lines: impl FnOnce(&str) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let answer = self.place.find()?.get(path)?;
        if self.json {
            print(&format!("{}\n", answer.trim_end()))
        } else {
            print_list(&lines(&answer)?, nothing)
        }
    }

    /// Prints the answer to GET as it is, or has it shown.
    fn show(&self, path: &str, show: impl FnOnce(&str) -> Result<String, Failure>) -> Result<(), Failure> {
        let answer = self.place.find()?.get(path)?;
        if self.json { print(&format!("{}\n", answer.trim_end())) } else { print(&show(&answer)?) }
    }
}

/// Prints the lines of a list. One without any is said on standard error, in whose words it is: what reads standard
/// output must not take a sentence for an entry.
pub(in crate::cli) fn print_list(lines: &str, nothing: &str) -> Result<(), Failure> {
    if lines.is_empty() {
        eprintln!("{nothing}");
    }
    print(lines)
}

/// Writes to standard output.
pub(in crate::cli) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// The same for what may be no text.
pub(in crate::cli) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output.write_all(bytes).and_then(|()| output.flush()).map_err(Failure::Output)
}
