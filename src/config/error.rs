//! What is wrong with a configuration: where, which option, what it says, what would be right.
//!
//! An error prints as one sentence a user can act on, such as `dunlin.toml:12: session.max_inflight = 0: must
//! be 1 to 65535 (default 1000)`. All errors of a configuration are reported together, each on its own line;
//! the program then ends with exit status 2.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file as a whole.
    File(PathBuf),
    /// A line of a file; lines count from 1.
    Line(PathBuf, usize),
    /// The variable of the environment with this name.
    Environment(String),
    /// The flag with this name.
    Flag(&'static str),
    /// Nowhere: a default.
    Default,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it was written.
    pub place: Place,
    /// The option, such as `session.max_inflight`; empty when the file as a whole is meant.
    pub option: String,
    /// What was written, as TOML.
    pub value: Option<String>,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl Place {
    /// The line, for a place in a file.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Line(_, line) => Some(*line),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

impl ConfigError {
    /// Whether an option such as `http.address` has no value because of this: it is wrong, or what holds it is, or
    /// something in it.
    pub fn is_about(&self, option: &str) -> bool {
        let is_within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        !self.option.is_empty() && (is_within(&self.option, option) || is_within(option, &self.option))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match (&self.option, &self.value) {
            (option, _) if option.is_empty() => {}
            (option, Some(value)) => write!(f, "{option} = {value}: ")?,
            (option, None) => write!(f, "{option}: ")?,
        }
        f.write_str(&self.problem)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
impl std::error::Error for ConfigErrors {}
