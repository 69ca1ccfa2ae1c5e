//! `dunlin import mosquitto FILE`: the configuration of another broker as a dunlin.toml.
//!
//! The configuration goes to standard output and what has no equivalent to standard error, so that the one can be
//! redirected while the other is read. Exit status 0 says that there is a configuration, also if there are remarks; 2
//! that a file cannot be read or is wrong, and then nothing is written.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{EXIT_BAD_CONFIGURATION, bad_configuration};
use crate::config::Config;
use crate::import::mosquitto;

/// Whose configuration shall be translated.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Write the dunlin.toml that says what a mosquitto.conf says
    ///
    /// Files named in it are read as well: those of include_dir, and the password and ACL files, which Dunlin uses as
    /// they are. What has no equivalent is listed on standard error, by file and line.
    #[command(
        after_help = "Exit status: 0 with a configuration on standard output, 2 if a file cannot be read or is wrong\n\
        (docs/migrating-from-mosquitto.md)\n\n\
        Example:\n  dunlin import mosquitto /etc/mosquitto/mosquitto.conf > dunlin.toml"
    )]
    Mosquitto {
        /// The mosquitto.conf
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl ImportCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let Self::Mosquitto { file } = self;
        let directory = match std::env::current_dir() {
            Ok(directory) => directory,
            Err(error) => {
                eprintln!("dunlin: the working directory is unknown: {error}");
                return ExitCode::FAILURE;
            }
        };
        let translation = match mosquitto::translate(&file, &directory) {
            Ok(translation) => translation,
            Err(errors) => {
                eprintln!("{errors}");
                return ExitCode::from(EXIT_BAD_CONFIGURATION);
            }
        };
        // What we write is what we read, or nobody should get it.
        if let Err(errors) = Config::from_toml("the output", &translation.toml) {
            eprintln!("dunlin: a mistake of ours, please report it: the output is not accepted");
            return bad_configuration(&errors);
        }
        for remark in &translation.remarks {
            eprintln!("{remark}");
        }
        match io::stdout().write_all(translation.toml.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("dunlin: the configuration could not be written: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
