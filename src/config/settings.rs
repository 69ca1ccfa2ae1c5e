//! From the options of users to the settings of the core and of the store.
//!
//! The core knows numbers, not files or machines: what an unset option or a 0 stands for is decided here.

use dunlin_core::settings::Settings;
use dunlin_store::{StoreOptions, SyncPolicy};

use super::{Config, SyncMode, machine};

impl Config {
    /// What the core is told.
    pub fn settings(&self) -> Settings {
        let (session, limits) = (&self.session, &self.limits);
        Settings {
            maximum_packet_size_bytes: u32::try_from(limits.max_packet_size.0).unwrap_or(u32::MAX),
            receive_maximum: session.receive_maximum,
            topic_alias_maximum: session.topic_alias_maximum,
            server_topic_aliases: session.server_topic_aliases,
            inflight_max: session.max_inflight,
            queued_messages_max: to_usize(session.max_queued_messages.into()),
            queued_bytes_max: to_usize(session.max_queued_bytes.0),
            overflow: session.overflow,
            session_expiry_max: session.max_expiry,
            subscriptions_max: to_usize(session.max_subscriptions.into()),
            subscription_bytes_max: to_usize(session.max_subscription_bytes.0),
            sessions_max: to_usize(limits.max_sessions.into()),
            // The range of the option is that of the Keep Alive.
            keep_alive_max_s: session
                .max_keep_alive
                .map_or(0, |limit| u16::try_from(limit.0).unwrap_or(u16::MAX)),
            topic_length_max: limits.max_topic_length.into(),
            topic_levels_max: limits.max_topic_levels.into(),
            retained_messages_max: to_usize(limits.max_retained_messages.into()),
            retained_bytes_max: to_usize(limits.max_retained_bytes.0),
            memory_bytes_max: to_usize(self.memory_bytes_max()),
            body_memory_bytes: to_usize(self.store.memory.0),
            outbox_bytes_max: to_usize(limits.max_outbox_bytes.0),
            slow_consumer_grace: limits.slow_consumer_grace,
            response_information: session.response_information.clone(),
            notes_traces: self.otlp.endpoint.is_some(),
            ..Settings::default()
        }
    }

    /// What the core is told while it runs, having been started with another configuration: what only a restart applies
    /// is as it was then.
    pub fn settings_beside(&self, started_with: &Self) -> Settings {
        let started = started_with.settings();
        Settings {
            receive_maximum: started.receive_maximum,
            topic_alias_maximum: started.topic_alias_maximum,
            body_memory_bytes: started.body_memory_bytes,
            notes_traces: started.notes_traces,
            ..self.settings()
        }
    }

    /// How the log is written.
    pub fn store_options(&self) -> StoreOptions {
        let store = &self.store;
        StoreOptions {
            sync: match store.sync {
                SyncMode::Always => SyncPolicy::Always,
                SyncMode::Interval => SyncPolicy::Interval(store.sync_interval),
                SyncMode::Never => SyncPolicy::Never,
            },
            commit_delay: store.commit_delay,
            segment_bytes: store.segment_size.0,
            memory_bytes: to_usize(store.memory.0),
        }
    }

    /// The memory for message bodies in all.
    fn memory_bytes_max(&self) -> u64 {
        match self.limits.max_memory.0 {
            0 => machine::memory_bytes().map_or(u64::MAX, |bytes| bytes / 2),
            bytes => bytes,
        }
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_configuration_the_store_has_its_own_defaults() {
        assert_eq!(Config::default().store_options(), StoreOptions::default());
    }

    #[test]
    fn without_configuration_the_core_has_its_own_defaults_except_for_the_memory_of_this_machine() {
        let settings = Config::default().settings();
        let expected = Settings { memory_bytes_max: settings.memory_bytes_max, ..Settings::default() };
        assert_eq!(format!("{settings:?}"), format!("{expected:?}"));
        assert!(settings.memory_bytes_max < usize::MAX);
    }

    #[test]
    fn what_clients_were_promised_and_what_the_store_was_opened_with_stays_as_it_was_at_the_start() {
        let started = Config::default();
        let newer = "session.receive_maximum = 1\nsession.topic_alias_maximum = 1\nstore.memory = 1\notlp.endpoint = 'http://127.0.0.1/'\n\
                     limits.max_retained_messages = 1\nsession.max_inflight = 1";
        let newer = Config::from_toml("dunlin.toml", newer).unwrap();
        let (before, settings) = (started.settings(), newer.settings_beside(&started));
        let expected = Settings { inflight_max: 1, retained_messages_max: 1, ..before };
        assert_eq!(format!("{settings:?}"), format!("{expected:?}"));
    }

    #[test]
    fn what_is_configured_reaches_the_core() {
        let config = Config::from_toml(
            "dunlin.toml",
            "[session]\nmax_keep_alive = '10m'\nmax_expiry = '1h'\nresponse_information = 'r/%c'\n\
             [limits]\nmax_memory = '1GB'\nmax_packet_size = 1000\nslow_consumer_grace = '0s'",
        )
        .unwrap();
        let settings = config.settings();
        assert_eq!(settings.keep_alive_max_s, 600);
        assert_eq!(settings.session_expiry_max.as_seconds(), 3600);
        assert_eq!(settings.response_information.as_deref(), Some("r/%c"));
        assert_eq!(settings.memory_bytes_max, 1 << 30);
        assert_eq!(settings.maximum_packet_size_bytes, 1000);
        assert!(settings.slow_consumer_grace.is_zero());
    }
}
