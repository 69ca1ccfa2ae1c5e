//! Logs: lines for people or JSON, on standard error, filtered by level and replaceable while running.
//!
//! Standard output belongs to results, so nothing here writes there. The filter can change on a reload; the
//! format cannot, because a reader of the log may depend on it.
//!
//! Text from clients goes into log fields through `Debug` (`client = ?identifier`), which escapes line ends:
//! a client must not be able to write lines of the log. Passwords and message bodies never go there.

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{LogFilter, LogFormat, LogOptions};

/// The handle by which the running log changes its filter.
#[derive(Debug, Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Starts the log of this process. It fails when another one was started before.
pub fn init(options: &LogOptions) -> Result<Log, TryInitError> {
    let (filter, handle) = reload::Layer::new(directives(&options.level));
    let lines = match options.format {
        LogFormat::Text => {
            fmt::layer().with_ansi(colours()).with_writer(io::stderr).with_target(false).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(Log { filter: handle })
}

impl Log {
    /// Applies another level to everything that is logged from now on.
    pub fn set_level(&self, level: &LogFilter) {
        if let Err(error) = self.filter.reload(directives(level)) {
            tracing::warn!(%error, "the log level could not be changed");
        }
    }
}

fn directives(level: &LogFilter) -> EnvFilter {
    // tungstenite logs what its frames hold, the passwords of clients among it.
    EnvFilter::new(format!("{},tungstenite=off", level.as_str()))
}

/// Colours are for people at a terminal who have not asked for none (<https://no-color.org>).
fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing::{Level, enabled};

    use super::*;

    #[test]
    fn the_level_can_change_while_the_program_runs_and_there_is_one_log_in_a_process() {
        let options = LogOptions { level: LogFilter::parse("warn").unwrap(), ..LogOptions::default() };
        let log = init(&options).unwrap();
        assert!(enabled!(Level::WARN) && !enabled!(Level::DEBUG));
        log.set_level(&LogFilter::parse("warn,dunlin=debug").unwrap());
        assert!(enabled!(Level::DEBUG));
        assert!(init(&options).is_err());
    }

    #[test]
    fn a_misspelt_level_is_not_taken_for_the_name_of_a_module() {
        assert_eq!(LogFilter::parse("infoo"), None);
        assert_eq!(LogFilter::parse("info,dunlin::auth=loud"), None);
        assert!(LogFilter::parse("WARN,dunlin::auth=debug").is_some());
    }
}
