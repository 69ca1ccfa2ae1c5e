//! What of a running broker a reload changes: [`Running::reload`].
//!
//! Everything that can fail comes first (files are read, addresses are opened), and has no effect; then everything is
//! replaced. What must stay true: a configuration that is wrong anywhere changes nothing, and nobody is disconnected but
//! the clients of a listener that is gone. What only a restart applies stays as it was at the start, and the log names
//! it.

use super::access::AclAuthorizer;
use super::doors::{Doors, Prepared};
use super::workers::settings_of_shard;
use crate::auth;
use crate::config::{Config, ConfigError, ConfigErrors, EffectiveOption, ListenerUrl, machine};
use crate::tls;
use crate::worker::{Gate, ListenerContext, Mail, Mailboxes};
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// See the top of the file.
pub(super) struct Running {
    pub doors: Doors,
    pub gate: Arc<Gate>,
    pub authorizer: Arc<AclAuthorizer>,
    pub mailboxes: Mailboxes,
    pub data_dir: Option<PathBuf>,
    /// What it runs with, apart from what reloads have changed.
    started_with: Config,
    /// What the last reload applied.
    current: ArcSwap<Config>,
    /// Reloads take their turns. Nobody else takes this lock: it is held while the control thread is waited for.
    turn: Mutex<()>,
}

impl Running {
    pub fn new(
        config: &Config,
        gate: Arc<Gate>,
        authorizer: Arc<AclAuthorizer>,
        mailboxes: Mailboxes,
        data_dir: Option<PathBuf>,
    ) -> Self {
        Self {
            doors: Doors::new(&gate, Arc::clone(&mailboxes)),
            gate,
            authorizer,
            mailboxes,
            data_dir,
            started_with: config.clone(),
            current: ArcSwap::from_pointee(config.clone()),
            turn: Mutex::new(()),
        }
    }

    /// The configuration that was applied last.
    pub fn config(&self) -> Arc<Config> {
        self.current.load_full()
    }

    /// Every option as it is in force: what takes a restart is as it was at the start.
    pub fn effective(&self) -> Vec<EffectiveOption> {
        let started = self.started_with.effective();
        let in_force = |option: EffectiveOption| {
            let before = started.iter().find(|before| option.needs_restart && before.name == option.name);
            before.cloned().unwrap_or(option)
        };
        self.config().effective().into_iter().map(in_force).collect()
    }

    /// Applies another configuration. On an error everything stays as it is.
    pub fn reload(&self, config: &Config) -> Result<(), ConfigErrors> {
        // A panic leaves nothing behind that the next turn would find half done.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let listeners = config.listeners();
        let (accesses, rulebook) = auth::load(config, &listeners)?;
        let endpoints = tls::endpoints(config, &listeners)?;
        let prepared = self.doors.prepare(&listeners).map_err(|(index, problem)| {
            ConfigErrors(vec![cannot_open(config, index, &listeners[index].url, problem)])
        })?;
        // From here on nothing can fail.
        if let Some(data_dir) = &self.data_dir {
            auth::keep_decoys(data_dir, &accesses);
        }
        self.say_what_needs_a_restart(config);
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
        let settings = config.settings_beside(&self.started_with);
        let settings = Arc::new(settings_of_shard(settings, workers, self.data_dir.is_some()));
        for mailbox in &*self.mailboxes {
            // A closed mailbox means that the broker is stopping.
            drop(mailbox.send(Mail::Settings(Arc::clone(&settings))));
        }
        // Last, so that whoever comes through a new listener finds everything new.
        self.doors.change(changed);
        self.current.store(Arc::new(config.clone()));
        Ok(())
    }

    fn say_what_needs_a_restart(&self, config: &Config) {
        match &self.started_with.needing_restart(config)[..] {
            [] => {}
            [option] => tracing::warn!("{option} needs a restart"),
            options => tracing::warn!("{} need a restart", options.join(", ")),
        }
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
