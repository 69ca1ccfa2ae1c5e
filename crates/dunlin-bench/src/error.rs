//! Why a run did not give figures. Each variant says whose fault it is, and each prints as one sentence.

use std::fmt;
use std::io;

use dunlin_codec::MalformedPacket;

/// Why a run did not give figures.
#[derive(Debug)]
pub enum Error {
    /// The command line asks for something that cannot be done.
    Usage(String),
    /// The system refused something.
    Io {
        /// What was being done, as in "cannot ...".
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A broker could not be started, or did not answer.
    Broker(String),
    /// The broker sent what it may not send, refused what the scenario needs, or stopped sending.
    Peer(String),
}

impl Error {
    /// For `map_err`: the system refused while something was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: doing.into(), source }
    }

    /// The exit status of a program that ends with this error: 2 for a wrong command line, otherwise 1.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problem) | Self::Broker(problem) | Self::Peer(problem) => f.write_str(problem),
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<MalformedPacket> for Error {
    fn from(error: MalformedPacket) -> Self {
        Self::Peer(format!("the broker sent a malformed packet: {error}"))
    }
}
