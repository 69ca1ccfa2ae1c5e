//! `dunlin pub` and `dunlin sub`: an MQTT client on the command line, with the options of mosquitto's.
//!
//! A script that calls mosquitto_pub or mosquitto_sub works with these in their place: letters, long names, output
//! and exit statuses are the same where mosquitto's manual pages document them. docs/clients.md has the differences.
//! Messages go to standard output, everything else to standard error.

mod broker_url;
mod connection_args;
mod will_args;
mod tls_args;
mod property;
mod exit_status;
mod narration;

mod payload;
mod publish;

mod template;
mod mosquitto_json;
mod json_text;
mod record;
mod printer;
mod selection;
mod subscribe;
mod subscriber;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;

pub use publish::PubCommand;
pub use subscribe::SubCommand;

/// The arguments of the program, with the words of each `-D COMMAND NAME VALUE` of `pub` and `sub` as one: how many
/// they are depends on NAME, which clap cannot know.
pub fn arguments() -> Vec<OsString> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let name = arguments.get(1).and_then(|name| name.to_str()).filter(|name| ["pub", "sub"].contains(name));
    let Some(name) = name else { return arguments };
    match <super::Cli as CommandFactory>::command().find_subcommand(name) {
        Some(command) => property::join(arguments, command),
        None => arguments,
    }
}

/// Runs a client to its end; the result is the exit status.
fn run(client: impl Future<Output = u8>) -> ExitCode {
    // Passwords are in memory, and there is nothing to lose by going on.
    let _ = crate::core_dumps::forbid();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let status = runtime.block_on(client);
            // A resolver that hangs does not keep the program.
            runtime.shutdown_background();
            ExitCode::from(status)
        }
        Err(error) => {
            eprintln!("dunlin: no runtime can be started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Options that cannot be meant so.
fn misuse(sentence: &str) -> ExitCode {
    eprintln!("dunlin: {sentence}");
    ExitCode::from(super::EXIT_BAD_CONFIGURATION)
}
