//! What brokers are told besides where to listen, as it stands in the report.

use super::{Kind, Spec, Storage, rumqttd};

/// What mosquitto is told besides its listener and the messages in flight; the same for every version from 1.6 on.
const MOSQUITTO_SETTINGS: [(&str, &str); 6] = [
    ("allow_anonymous", "true"),
    ("set_tcp_nodelay", "true"),
    ("max_queued_messages", "1000000"),
    ("max_queued_bytes", "0"),
    ("persistence", "false"),
    ("log_type", "error"),
];

/// What Dunlin is told besides its listener and the messages in flight, as variables of the environment.
const DUNLIN_SETTINGS: [(&str, &str); 3] = [
    ("DUNLIN__SERVER__WORKERS", "1"),
    ("DUNLIN__SESSION__MAX_QUEUED_MESSAGES", "1000000"),
    ("DUNLIN__SESSION__MAX_QUEUED_BYTES", "1GB"),
];
/// What it is told where its store is measured: queues hold what any scenario puts there, and as many are in
/// flight as by default.
const DUNLIN_STORE_SETTINGS: [(&str, &str); 4] = [
    ("DUNLIN__SERVER__WORKERS", "1"),
    ("DUNLIN__SESSION__MAX_QUEUED_MESSAGES", "10000000"),
    ("DUNLIN__SESSION__MAX_QUEUED_BYTES", "16GB"),
    ("DUNLIN__LIMITS__MAX_RETAINED_MESSAGES", "10000000"),
];

/// A setting and its value.
pub(super) type Setting = (&'static str, String);

impl Spec {
    /// What was set in the broker, for the report.
    #[must_use]
    pub fn settings(&self) -> String {
        match &self.kind {
            Kind::Dunlin(_) => {
                let data_directory = match &self.storage {
                    Storage::Unused | Storage::InMemory => "no data directory",
                    Storage::Below(_) => "a data directory",
                };
                format!("{}, {data_directory}, no operations port", pairs(self.dunlin_settings(), "="))
            }
            Kind::Mosquitto(_) => pairs(self.mosquitto_settings(), " "),
            Kind::Rumqttd(_) => pairs(rumqttd::settings(self.in_flight), " = "),
            Kind::Relay(_) => "no broker: passes messages on and decides nothing".to_owned(),
            Kind::Address { .. } => "started and set by somebody else".to_owned(),
        }
    }

    pub(super) fn dunlin_settings(&self) -> Vec<Setting> {
        match self.storage {
            Storage::Unused => self.with_window(&DUNLIN_SETTINGS, "DUNLIN__SESSION__MAX_INFLIGHT"),
            Storage::InMemory | Storage::Below(_) => owned(&DUNLIN_STORE_SETTINGS).collect(),
        }
    }

    pub(super) fn mosquitto_settings(&self) -> Vec<Setting> {
        self.with_window(&MOSQUITTO_SETTINGS, "max_inflight_messages")
    }

    fn with_window(&self, settings: &[(&'static str, &str)], name: &'static str) -> Vec<Setting> {
        owned(settings).chain([(name, self.in_flight.to_string())]).collect()
    }
}

/// Settings as they are passed on.
pub(super) fn owned(settings: &[(&'static str, &str)]) -> impl Iterator<Item = Setting> {
    settings.iter().map(|&(name, value)| (name, value.to_owned()))
}

fn pairs(settings: impl IntoIterator<Item = Setting>, between: &str) -> String {
    let settings = settings.into_iter().map(|(name, value)| format!("{name}{between}{value}"));
    settings.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_is_told_how_many_messages_may_be_in_flight() {
        for (name, setting) in [
            ("dunlin", "DUNLIN__SESSION__MAX_INFLIGHT=77"),
            ("mosquitto", "max_inflight_messages 77"),
            ("rumqttd", "max_inflight_count = 77"),
        ] {
            let settings = name.parse::<Spec>().unwrap().with_in_flight(77).settings();
            assert!(settings.contains(setting), "{settings}");
        }
    }
}
