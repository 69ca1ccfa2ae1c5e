//! Reloading a broker from where its configuration came from: at a signal, at the wish of an operator, or because a file
//! has changed.
//!
//! What must stay true: whoever asks for it, a reload happens in one way. The files are looked at before they are read,
//! so that a change in between is a change for the next look.

use super::running::Running;
use crate::config::{AuthOptions, Config, ConfigErrors, Sources};
use crate::file_watch::{self, FileWatch, Stamps};
use crate::log::LogControl;
use crate::operations::{Reloaded, Reread};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The time between two looks at files.
pub const WATCH_INTERVAL: Duration = file_watch::INTERVAL;

/// See the top of the file.
pub struct Reloader {
    sources: Sources,
    log: LogControl,
    running: Arc<Running>,
    watched: Mutex<Watched>,
}

/// The files that a reload would read.
struct Watched {
    /// The configuration file.
    config: FileWatch,
    /// Those that it names, as far as it was ever good.
    named: FileWatch,
    names: Vec<PathBuf>,
}

impl Reloader {
    pub(super) fn new(sources: Sources, log: LogControl, running: Arc<Running>) -> Self {
        let config = FileWatch::new(Stamps::of(&sources.file));
        let names = files_of_users(&running.config());
        let watched = Watched { config, named: FileWatch::new(Stamps::of(&names)), names };
        Self { sources, log, running, watched: Mutex::new(watched) }
    }

    /// Reads the configuration again and applies it: see [`super::Broker::reload`]. The outcome is logged.
    ///
    /// # Errors
    /// All that is wrong; then everything stays as it is.
    pub fn reload(&self) -> Result<Reloaded, ConfigErrors> {
        let mut watched = self.watched();
        watched.config = FileWatch::new(Stamps::of(&self.sources.file));
        self.reload_watched(&mut watched)
    }

    /// Does what an operator wants to have read again.
    ///
    /// # Errors
    /// All that is wrong; then everything stays as it is.
    pub fn reread(&self, wanted: Reread) -> Result<Reloaded, ConfigErrors> {
        if wanted == Reread::Configuration {
            return self.reload();
        }
        let mut watched = self.watched();
        watched.named = FileWatch::new(Stamps::of(&watched.names));
        let outcome = self.running.reload(&self.running.config());
        match &outcome {
            Ok(_) => tracing::info!("the files of the configuration were read again"),
            Err(errors) => log_each("nothing was read again", errors),
        }
        outcome
    }

    /// Looks whether the files have changed, if `server.watch` says so, and reloads if they have. Call it every
    /// [`WATCH_INTERVAL`].
    pub fn look(&self) {
        if !self.running.config().server.watch {
            return;
        }
        let mut watched = self.watched();
        let (config, named) = (Stamps::of(&self.sources.file), Stamps::of(&watched.names));
        // Both are told how their files look, whichever has changed.
        if watched.config.have_changed(config) | watched.named.have_changed(named) {
            tracing::info!("the configuration or a file that it names has changed");
            // It has been logged.
            let _ = self.reload_watched(&mut watched);
        }
    }

    fn reload_watched(&self, watched: &mut Watched) -> Result<Reloaded, ConfigErrors> {
        let outcome = self.sources.load().and_then(|config| {
            // Also if it cannot be applied: then one of these may be what is wrong.
            watched.names = files_of_users(&config);
            watched.named = FileWatch::new(Stamps::of(&watched.names));
            let reloaded = self.running.reload(&config)?;
            self.log.apply(&config.log);
            Ok(reloaded)
        });
        match &outcome {
            Ok(_) => tracing::info!("configuration reloaded"),
            Err(errors) => log_each("nothing was reloaded", errors),
        }
        outcome
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        // At worst, what a panic left half done is read once more.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One record for each mistake, so that each has its place and none is a line without a beginning.
fn log_each(outcome: &str, errors: &ConfigErrors) {
    for error in &errors.0 {
        // What is quoted from a file may have lines of its own.
        let error = error.to_string().replace('\n', "\\n");
        tracing::error!("{outcome}: {error}");
    }
}

/// The files that a configuration names for users and rules. Those of TLS are watched where they are used.
fn files_of_users(config: &Config) -> Vec<PathBuf> {
    let own = config.listener.iter().filter_map(|listener| listener.auth.as_ref());
    let of_users = own.chain([&config.auth]).flat_map(|auth| {
        let AuthOptions { password_file, acl_file, jwt, http, .. } = auth;
        let jwt = jwt.iter().flat_map(|jwt| [&jwt.key_file, &jwt.secret_file, &jwt.ca_file]);
        let http = http.iter().flat_map(|http| [&http.bearer_token_file, &http.ca_file]);
        [password_file, acl_file].into_iter().chain(jwt).chain(http)
    });
    of_users.flatten().cloned().collect()
}
