//! Why a command did not do what it was asked, and the exit status that says so.

use std::io;
use std::process::ExitCode;

use crate::cli::{EXIT_BAD_CONFIGURATION, bad_configuration};
use crate::config::ConfigErrors;

/// The broker said no, there is no such thing, or something did not work.
const EXIT_REFUSED: u8 = 1;

/// The broker cannot be reached.
const EXIT_UNREACHABLE: u8 = 3;

/// See the top of the file.
#[derive(Debug)]
pub(in crate::cli) enum Failure {
    /// The broker said no, or something is not there.
    Refused {
        /// The status of its answer.
        status: u16,
        /// One sentence.
        text: String,
    },
    /// What the broker has no part in did not work. One sentence.
    Here(String),
    /// An argument is wrong, or missing, or there is no way to ask. One sentence.
    Arguments(String),
    /// The configuration is wrong.
    Configuration(ConfigErrors),
    /// Nobody answers, or somebody who is no broker. One sentence.
    Unreachable(String),
    /// Standard output takes no more.
    Output(io::Error),
}

impl Failure {
    /// Says it on standard error.
    pub fn report(self) -> ExitCode {
        let (status, text) = match self {
            Self::Configuration(errors) => return bad_configuration(&errors),
            // Whoever reads has enough, as in `dunlin clients | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Output(error) => (EXIT_REFUSED, format!("the result cannot be written: {error}")),
            Self::Refused { text, .. } | Self::Here(text) => (EXIT_REFUSED, text),
            Self::Arguments(text) => (EXIT_BAD_CONFIGURATION, text),
            Self::Unreachable(text) => (EXIT_UNREACHABLE, text),
        };
        eprintln!("dunlin: {text}");
        ExitCode::from(status)
    }
}
