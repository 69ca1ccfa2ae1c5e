//! `dunlin health`: asks the broker that runs whether it serves clients (`/readyz` of its operations port).
//!
//! It is the health check of the container image, where there is no other program to ask with, so it ends with 0 or 1
//! and nothing else, and takes the configuration from where `serve` takes it: the same file and the same environment.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::operations_port::OperationsPort;
use super::sources;
use crate::config::Flags;

/// Which broker is asked.
#[derive(Debug, Args)]
pub struct HealthCommand {
    /// The broker's configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address of its operations port [default: the configured one]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
}

impl HealthCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        match self.ask() {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                eprintln!("dunlin: {problem}");
                ExitCode::FAILURE
            }
        }
    }

    /// The error is what keeps the broker from serving, or this command from knowing.
    fn ask(self) -> Result<(), String> {
        let flags = Flags { http: self.http, ..Flags::default() };
        let config = sources(self.config, flags).load().map_err(|errors| errors.to_string())?;
        let port = OperationsPort::without_token(&config)?;
        match port.ask("GET", "/readyz", "")? {
            (200, _) => Ok(()),
            (503, why) => Err(why.trim_end().to_owned()),
            (status, _) => Err(format!("what answers at {} is no broker: status {status}", port.url())),
        }
    }
}
