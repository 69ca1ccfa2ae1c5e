//! `dunlin health`: asks the broker that runs whether it serves clients (`/readyz` of its operations port).
//!
//! It is the health check of the container image, where there is no other program to ask with, so it ends with 0 or 1
//! and nothing else, needs no token, and takes the configuration from where `serve` takes it: the same file and the same
//! environment.

use std::process::ExitCode;

use clap::Args;

use super::place::PortArgs;
use super::{Failure, text};

/// The arguments of `dunlin health`.
#[derive(Debug, Args)]
#[command(after_help = "No token is needed.\n\n\
    Example:\n  dunlin health && echo it serves\n  dunlin health --http 127.0.0.1:18083")]
pub struct HealthArgs {
    #[command(flatten)]
    port: PortArgs,
}

impl HealthArgs {
    pub(super) fn run(self) -> ExitCode {
        match self.ask() {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                failure.report();
                ExitCode::FAILURE
            }
        }
    }

    /// The failure is what keeps the broker from serving, or this command from knowing.
    fn ask(self) -> Result<(), Failure> {
        let broker = self.port.find()?;
        match broker.probe("/readyz")? {
            (200, _) => Ok(()),
            (status @ 503, why) => Err(Failure::Refused { status, text: text::shown(why.trim_end()) }),
            (status, _) => Err(Failure::Unreachable(format!(
                "what answers at {} is no broker: status {status}",
                broker.url()
            ))),
        }
    }
}
