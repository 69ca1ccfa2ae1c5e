//! Logs: lines for people, JSON, or entries of the systemd journal, filtered by level and replaceable while running.
//!
//! Standard output belongs to results, so nothing here writes there. Where standard error is the journal, entries go to
//! it natively (`journal.rs`), so that priorities and fields arrive, unless a format is asked for by name.
//!
//! Text from clients goes into log fields through `Debug` (`client = ?identifier`), which escapes line ends:
//! a client must not be able to write lines of the log. Passwords and message bodies never go there.

mod journal;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::fstat;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, Layered, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{LogFilter, LogFormat, LogOptions};
use journal::{JOURNAL_SOCKET, Journal};

type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;
type Lines = Box<dyn Layer<Filtered> + Send + Sync>;

/// The handle by which the running log changes. Clones are the same log.
#[derive(Clone)]
pub struct LogControl {
    filter: reload::Handle<Targets, Registry>,
    lines: reload::Handle<Lines, Filtered>,
    options: Arc<Mutex<LogOptions>>,
}

/// Where the log goes, and how it looks there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    Text,
    Json,
    Journal,
}

/// Starts the log of this process. It fails when another one was started before.
pub fn init(options: &LogOptions) -> Result<LogControl, TryInitError> {
    let (filter, filter_handle) = reload::Layer::new(directives(&options.level));
    let (lines, lines_handle) = reload::Layer::new(lines(options.format));
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    let options = Arc::new(Mutex::new(options.clone()));
    Ok(LogControl { filter: filter_handle, lines: lines_handle, options })
}

impl LogControl {
    /// Applies other options to everything that is logged from now on.
    pub fn apply(&self, options: &LogOptions) {
        let format_before = self.options().format;
        if options.format != format_before {
            let replaced = self.lines.reload(lines(options.format));
            self.note(replaced, |current| current.format = options.format);
        }
        self.set_level(&options.level);
    }

    /// Applies another level, until a reload applies that of the configuration.
    pub fn set_level(&self, level: &LogFilter) {
        let replaced = self.filter.reload(directives(level));
        self.note(replaced, |current| current.level = level.clone());
    }

    /// The level at present.
    pub fn level(&self) -> LogFilter {
        self.options().level
    }

    fn options(&self) -> LogOptions {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, replaced: Result<(), reload::Error>, change: impl FnOnce(&mut LogOptions)) {
        match replaced {
            Ok(()) => change(&mut self.options.lock().unwrap_or_else(PoisonError::into_inner)),
            Err(error) => tracing::warn!(%error, "the log could not be changed"),
        }
    }
}

fn directives(level: &LogFilter) -> Targets {
    // tungstenite logs what its frames hold, the passwords of clients among it.
    level.targets().with_target("tungstenite", LevelFilter::OFF)
}

fn lines(format: LogFormat) -> Lines {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let standard_error = fstat(io::stderr()).ok().map(|file| (file.st_dev, file.st_ino));
    let destination = destination(format, stream.as_deref(), standard_error);
    if destination == Destination::Journal
        && let Ok(journal) = Journal::open(Path::new(JOURNAL_SOCKET))
    {
        return journal.boxed();
    }
    let layer = fmt::layer().with_writer(io::stderr);
    match destination {
        Destination::Json => layer.json().flatten_event(true).boxed(),
        // Without its socket, the journal still reads standard error.
        Destination::Text | Destination::Journal => layer.with_ansi(colours()).with_target(false).boxed(),
    }
}

/// `journal_stream` is what systemd says the journal's stream is (`JOURNAL_STREAM`, a device and an inode): a process
/// further down may have inherited the variable and write elsewhere.
fn destination(
    format: LogFormat,
    journal_stream: Option<&str>,
    standard_error: Option<(u64, u64)>,
) -> Destination {
    let journal = journal_stream.and_then(|stream| {
        let (device, inode) = stream.split_once(':')?;
        Some((device.parse().ok()?, inode.parse().ok()?))
    });
    match format {
        LogFormat::Text => Destination::Text,
        LogFormat::Json => Destination::Json,
        LogFormat::Auto if journal.is_some() && journal == standard_error => Destination::Journal,
        LogFormat::Auto => Destination::Text,
    }
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
        assert!(enabled!(Level::DEBUG) && !enabled!(target: "elsewhere", Level::DEBUG));
        assert_eq!(log.level().as_str(), "warn,dunlin=debug");
        log.apply(&LogOptions { format: LogFormat::Json, ..options.clone() });
        assert_eq!((log.level().as_str(), log.options().format), ("warn", LogFormat::Json));
        assert!(!enabled!(Level::DEBUG));
        assert!(init(&options).is_err());
    }

    #[test]
    fn a_misspelt_level_is_not_taken_for_the_name_of_a_module() {
        assert_eq!(LogFilter::parse("infoo"), None);
        assert_eq!(LogFilter::parse("info,dunlin::auth=loud"), None);
        assert_eq!(LogFilter::parse("info, tungstenite::protocol=trace"), None, "it logs passwords");
        assert!(LogFilter::parse("WARN,dunlin::auth=debug").is_some());
    }

    #[test]
    fn the_journal_is_written_to_natively_only_where_standard_error_is_the_journal_and_no_format_is_asked_for()
     {
        let (journal, elsewhere) = (Some((8, 4711)), Some((8, 4712)));
        for (format, stream, standard_error, expected) in [
            (LogFormat::Auto, Some("8:4711"), journal, Destination::Journal),
            (LogFormat::Auto, Some("8:4711"), elsewhere, Destination::Text),
            (LogFormat::Auto, Some("8"), journal, Destination::Text),
            (LogFormat::Auto, Some("8:4711"), None, Destination::Text),
            (LogFormat::Auto, Some("a:b"), None, Destination::Text),
            (LogFormat::Auto, None, None, Destination::Text),
            (LogFormat::Text, Some("8:4711"), journal, Destination::Text),
            (LogFormat::Json, Some("8:4711"), journal, Destination::Json),
        ] {
            assert_eq!(destination(format, stream, standard_error), expected, "{format:?} {stream:?}");
        }
    }
}
