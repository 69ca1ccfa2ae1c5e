//! What of a running broker a reload changes: [`Running::reload`].
//!
//! Everything that can fail comes first (files are read, addresses are opened), and has no effect; then everything is
//! replaced. What must stay true: a configuration that is wrong anywhere changes nothing, and nobody is disconnected but
//! the clients of a listener that is gone. What only a restart applies stays as it was at the start, and the log names
//! it.

use super::access::AclAuthorizer;
use super::doors::{Doors, Prepared};
use super::listen::OpenSocket;
use super::workers::{Workers, limit_subscriptions, settings_of_shard};
use crate::auth;
use crate::config::{Change, Config, ConfigError, ConfigErrors, ListenerUrl, machine};
use crate::http;
use crate::operations::{Operations, Reloaded};
use crate::tls::{self, TlsEndpoint};
use crate::worker::{Gate, ListenerContext, Mail, Mailboxes};
use dunlin_core::tally::SubscriptionTally;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// See the top of the file.
pub(super) struct Running {
    pub doors: Doors,
    pub gate: Arc<Gate>,
    pub authorizer: Arc<AclAuthorizer>,
    pub mailboxes: Mailboxes,
    subscriptions: SubscriptionTally,
    pub data_dir: Option<PathBuf>,
    /// It has the configuration.
    operations: Operations,
    /// The TLS of the operations port.
    http_tls: Option<Arc<TlsEndpoint>>,
    /// Reloads take their turns.
    turn: Mutex<()>,
}

impl Running {
    pub fn new(
        operations: Operations,
        authorizer: Arc<AclAuthorizer>,
        workers: &Workers,
        data_dir: Option<PathBuf>,
        http_tls: Option<Arc<TlsEndpoint>>,
    ) -> Self {
        let gate = Arc::clone(&operations.gate);
        let (mailboxes, subscriptions) = (workers.mailboxes(), workers.subscriptions());
        let doors = Doors::new(&gate, Arc::clone(&mailboxes));
        Self {
            doors,
            gate,
            authorizer,
            mailboxes,
            subscriptions,
            data_dir,
            operations,
            http_tls,
            turn: Mutex::default(),
        }
    }

    /// Opens the listeners that the broker starts with, to accept on the runtime of this thread.
    pub fn open(&self, sockets: Vec<(OpenSocket, Arc<ListenerContext>)>) -> Result<(), String> {
        self.doors.open(sockets)?;
        self.operations.set_listeners(self.doors.listed());
        Ok(())
    }

    /// The configuration that was applied last.
    pub fn config(&self) -> Arc<Config> {
        self.operations.config.load_full()
    }

    /// Everything with TLS, by name.
    pub fn endpoints(&self) -> Vec<(String, Arc<TlsEndpoint>)> {
        let http = self.http_tls.clone().map(|tls| ("the operations port".to_owned(), tls));
        self.doors.endpoints().into_iter().chain(http).collect()
    }

    /// Applies another configuration. On an error everything stays as it is.
    pub fn reload(&self, config: &Config) -> Result<Reloaded, ConfigErrors> {
        // It guards nothing that a panic could leave half done.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.operations.config.load_full();
        let listeners = config.listeners();
        let (accesses, rulebook) = auth::load(config, &listeners)?;
        let endpoints = tls::endpoints(config, &listeners)?;
        let http_tls = http::endpoint(config)?;
        let prepared = self.doors.prepare(&listeners).map_err(|(index, problem)| {
            ConfigErrors(vec![cannot_open(config, index, &listeners[index].url, problem)])
        })?;
        // From here on nothing can fail.
        if let Some(data_dir) = &self.data_dir {
            auth::keep_decoys(data_dir, &accesses);
        }
        if let (Some(current), Some(fresh)) = (&self.http_tls, http_tls) {
            current.replace(fresh);
        }
        let mut need_restart = self.operations.started_with.needing_restart(config);
        // Its files can change, but not whether there are any.
        let keeps_http_tls = self.http_tls.is_some() == config.http.tls.is_some();
        need_restart.extend((!keeps_http_tls).then(|| "http.tls".to_owned()));
        say_what_needs_a_restart(&need_restart);
        let fresh = listeners.iter().zip(prepared).zip(accesses).zip(endpoints);
        let changed = fresh.map(|(((listener, prepared), access), endpoint)| match prepared {
            Prepared::Open(context) => {
                // The same URL is the same transport.
                if let (Some(current), Some(fresh)) = (&context.tls, endpoint) {
                    current.replace(fresh);
                }
                context.reload(listener, access);
                (context, None)
            }
            Prepared::New(entrance) => {
                (Arc::new(ListenerContext::new(listener, endpoint, access)), Some(entrance))
            }
        });
        let changed: Vec<_> = changed.collect();
        self.authorizer.replace(rulebook);
        let workers = self.mailboxes.len();
        self.gate.reload(config, connections_max(config, workers));
        limit_subscriptions(&self.subscriptions, config);
        let settings = config.settings_beside(&self.operations.started_with);
        let settings = Arc::new(settings_of_shard(settings, workers, self.data_dir.is_some()));
        for mailbox in &*self.mailboxes {
            // A closed mailbox means that the broker is stopping.
            drop(mailbox.send(Mail::Settings(Arc::clone(&settings))));
        }
        // Last, so that whoever comes through a new listener finds everything new.
        self.doors.change(changed);
        self.operations.set_listeners(self.doors.listed());
        self.operations.config.store(Arc::new(config.clone()));
        let is_applied = |change: &Change| {
            !change.needs_restart && (keeps_http_tls || !change.option.starts_with("http.tls."))
        };
        let changes = before.changes(config).into_iter().filter(is_applied);
        Ok(Reloaded { changed: changes.map(|change| change.option).collect(), need_restart })
    }
}

fn say_what_needs_a_restart(options: &[String]) {
    match options {
        [] => {}
        [option] => tracing::warn!("{option} needs a restart"),
        options => tracing::warn!("{} need a restart", options.join(", ")),
    }
}

fn cannot_open(config: &Config, index: usize, url: &ListenerUrl, problem: String) -> ConfigError {
    let place = config.places.of(&format!("listener.{index}.url"));
    ConfigError { place, option: "listener.url".to_owned(), value: Some(format!("\"{url}\"")), problem }
}

/// The configured bound, or what the process's limit of open files leaves.
pub(super) fn connections_max(config: &Config, workers: usize) -> usize {
    let wanted = config.limits.max_connections as usize;
    let possible = usize::try_from(machine::connections_max(workers)).unwrap_or(usize::MAX);
    // Nobody who has not asked for a number needs to know that the machine allows fewer.
    if possible < wanted && config.is_set("limits.max_connections") {
        tracing::warn!(
            possible,
            "the limit of open files (ulimit -n) allows fewer connections than limits.max_connections = {wanted}"
        );
    }
    possible.min(wanted)
}

#[cfg(test)]
mod tests {
    use crate::Broker;
    use crate::config::Config;

    fn config(session: &str) -> Config {
        let text = format!(
            "store.path = ''\nhttp.address = ''\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n[session]\n{session}\n"
        );
        Config::from_toml("dunlin.toml", &text).expect("the configuration is good")
    }

    #[test]
    fn what_is_in_force_after_a_reload_is_what_was_applied_and_what_waits_for_a_restart_as_it_was() {
        let broker = Broker::start(config("max_inflight = 10\nreceive_maximum = 20")).expect("it starts");
        broker.reload(&config("\nmax_inflight = 11\nreceive_maximum = 21")).expect("it can be applied");
        let options = broker.effective();
        let shown = |name: &str| {
            let option = options.iter().find(|option| option.name == name).expect("it is there");
            format!("{} ({})", option.value.as_deref().unwrap_or("unset"), option.origin)
        };
        assert_eq!(shown("session.max_inflight"), "11 (dunlin.toml:6)");
        assert_eq!(shown("session.receive_maximum"), "20 (dunlin.toml:6)");
        broker.stop();
    }
}
