//! The brokers of a comparison: how the command line names them, how they are started, and how they end.
//!
//! A broker that is started gets a free port of 127.0.0.1, the broker's core, and settings that make it do
//! the same work as the others: no persistence, no delay in TCP, 20 messages in flight to a client, queues
//! long enough that a burst is delivered and not dropped. Where its store is measured, Dunlin has as many in
//! flight as its own default says, and its data directory is named or empty. The settings are part of the
//! report ([`Spec::settings`]). How a broker lives and ends is in `running.rs`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use dunlin_codec::ProtocolVersion;

use crate::Error;
use crate::cores::Cores;

mod rumqttd;
mod running;

pub use running::{Running, StartedAgain};

/// Messages in flight to one client in every broker that is started.
const INFLIGHT: &str = "20";

/// What mosquitto is told besides its listener; the same for every version from 1.6 on.
const MOSQUITTO_SETTINGS: [(&str, &str); 7] = [
    ("allow_anonymous", "true"),
    ("set_tcp_nodelay", "true"),
    ("max_inflight_messages", INFLIGHT),
    ("max_queued_messages", "1000000"),
    ("max_queued_bytes", "0"),
    ("persistence", "false"),
    ("log_type", "error"),
];

/// What Dunlin is told besides its listener, as variables of the environment.
const DUNLIN_SETTINGS: [(&str, &str); 4] = [
    ("DUNLIN__SERVER__WORKERS", "1"),
    ("DUNLIN__SESSION__MAX_INFLIGHT", INFLIGHT),
    ("DUNLIN__SESSION__MAX_QUEUED_MESSAGES", "1000000"),
    ("DUNLIN__SESSION__MAX_QUEUED_BYTES", "1GB"),
];
/// What it is told where its store is measured: queues hold what any scenario puts there.
const DUNLIN_STORE_SETTINGS: [(&str, &str); 4] = [
    ("DUNLIN__SERVER__WORKERS", "1"),
    ("DUNLIN__SESSION__MAX_QUEUED_MESSAGES", "10000000"),
    ("DUNLIN__SESSION__MAX_QUEUED_BYTES", "16GB"),
    ("DUNLIN__LIMITS__MAX_RETAINED_MESSAGES", "10000000"),
];

/// A broker as the command line names it: `dunlin`, `mosquitto` or `rumqttd`, each with or without `=PATH`, or
/// `NAME=HOST:PORT[,PID]`. Without a path it is the program of that name, and for `dunlin` the one that runs, if it
/// is that.
///
/// A name may go on after a hyphen, as in `dunlin-old=PATH`, so that two builds can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What the report calls it.
    pub name: String,
    kind: Kind,
    storage: Storage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Dunlin(PathBuf),
    Mosquitto(PathBuf),
    Rumqttd(PathBuf),
    Address { address: SocketAddr, pid: Option<u32> },
}

/// Where a broker that is started keeps what it stores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Storage {
    /// Nowhere, as it is compared with brokers that store nothing.
    #[default]
    Unused,
    /// Nowhere, as it is compared with itself.
    InMemory,
    /// In a directory of its own below this one.
    Below(PathBuf),
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => (name, Some(value)),
            None if !text.is_empty() => (text, None),
            _ => return Err(misnamed(text)),
        };
        let kind = match (name.split('-').next().unwrap_or_default(), value) {
            (_, Some(value)) if parse_address(value).is_some() => match parse_address(value) {
                Some((host, pid)) => Kind::Address { address: resolve(host)?, pid },
                None => return Err(misnamed(text)),
            },
            ("mosquitto", value) => Kind::Mosquitto(value.unwrap_or("mosquitto").into()),
            ("rumqttd", value) => Kind::Rumqttd(value.unwrap_or("rumqttd").into()),
            ("dunlin", value) => Kind::Dunlin(value.map_or_else(this_dunlin, PathBuf::from)),
            _ => return Err(misnamed(text)),
        };
        Ok(Self { name: name.to_owned(), kind, storage: Storage::Unused })
    }
}

impl Spec {
    /// The broker with a data directory of its own below `directory`.
    ///
    /// # Errors
    /// When it is not Dunlin, or is not started by the generator.
    pub fn with_store(&self, directory: &Path) -> Result<Self, Error> {
        self.stored("with store", Storage::Below(directory.to_owned()))
    }

    /// The broker as in [`Spec::with_store`], but without a data directory.
    ///
    /// # Errors
    /// When it is not Dunlin, or is not started by the generator.
    pub fn in_memory(&self) -> Result<Self, Error> {
        self.stored("in memory", Storage::InMemory)
    }

    fn stored(&self, suffix: &str, storage: Storage) -> Result<Self, Error> {
        match &self.kind {
            Kind::Dunlin(_) => {
                Ok(Self { name: format!("{} {suffix}", self.name), kind: self.kind.clone(), storage })
            }
            Kind::Mosquitto(_) | Kind::Rumqttd(_) | Kind::Address { .. } => Err(Error::Usage(format!(
                "a scenario of the store needs dunlin=PATH, to be started with a data directory; {} is not",
                self.name
            ))),
        }
    }

    /// What the broker's program says about its version; `None` when only its address is known.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let (program, flag) = match &self.kind {
            Kind::Dunlin(program) | Kind::Rumqttd(program) => (program, "--version"),
            Kind::Mosquitto(program) => (program, "-h"),
            Kind::Address { .. } => return None,
        };
        let output = Command::new(program).arg(flag).output().ok()?;
        String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
    }

    /// Whether the generator starts it.
    #[must_use]
    pub fn is_started(&self) -> bool {
        !matches!(self.kind, Kind::Address { .. })
    }

    /// The size of its program in bytes; `None` when only its address is known, or no file has its name.
    #[must_use]
    pub fn program_bytes(&self) -> Option<u64> {
        let (Kind::Dunlin(program) | Kind::Mosquitto(program) | Kind::Rumqttd(program)) = &self.kind else {
            return None;
        };
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<_> = match program.components().count() {
            1 => std::env::split_paths(&directories).map(|directory| directory.join(program)).collect(),
            _ => vec![program.clone()],
        };
        places.iter().find_map(|path| path.metadata().ok()).map(|metadata| metadata.len())
    }

    /// What was set in the broker, for the report.
    #[must_use]
    pub fn settings(&self) -> String {
        match &self.kind {
            Kind::Dunlin(_) => {
                let data_directory = match &self.storage {
                    Storage::Unused | Storage::InMemory => "no data directory",
                    Storage::Below(_) => "a data directory",
                };
                format!(
                    "{}, {data_directory}, no operations port",
                    pairs(self.dunlin_settings().iter().copied(), "=")
                )
            }
            Kind::Mosquitto(_) => pairs(MOSQUITTO_SETTINGS, " "),
            Kind::Rumqttd(_) => pairs(rumqttd::settings(), " = "),
            Kind::Address { .. } => "started and set by somebody else".to_owned(),
        }
    }

    fn dunlin_settings(&self) -> &'static [(&'static str, &'static str)] {
        match self.storage {
            Storage::Unused => &DUNLIN_SETTINGS,
            Storage::InMemory | Storage::Below(_) => &DUNLIN_STORE_SETTINGS,
        }
    }

    /// Starts the broker, on its core when there is a choice, and waits until it accepts a client.
    ///
    /// # Errors
    /// When it cannot be started, ends at once, or accepts nobody for ten seconds; the message has its last
    /// words.
    pub fn start(&self, cores: Option<Cores>, version: ProtocolVersion) -> Result<Running, Error> {
        Running::start(self, cores, version)
    }
}

/// This program, if it is the broker; otherwise the one of that name.
fn this_dunlin() -> PathBuf {
    let this = std::env::current_exe().ok().filter(|path| path.file_name() == Some("dunlin".as_ref()));
    this.unwrap_or_else(|| "dunlin".into())
}

fn pairs(settings: impl IntoIterator<Item = (&'static str, &'static str)>, between: &str) -> String {
    let settings = settings.into_iter().map(|(name, value)| format!("{name}{between}{value}"));
    settings.collect::<Vec<_>>().join(", ")
}

/// Splits `HOST:PORT[,PID]`; `None` when it does not look so, as a path does not.
fn parse_address(text: &str) -> Option<(&str, Option<u32>)> {
    let (host, pid) = match text.split_once(',') {
        Some((host, pid)) => (host, Some(pid.parse().ok()?)),
        None => (text, None),
    };
    let (_, port) = host.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    Some((host, pid))
}

/// The first address of `HOST:PORT`.
///
/// # Errors
/// When it has none.
pub fn resolve(host: &str) -> Result<SocketAddr, Error> {
    let addresses =
        host.to_socket_addrs().map_err(|error| Error::Usage(format!("no address \"{host}\": {error}")));
    addresses?.next().ok_or_else(|| Error::Usage(format!("\"{host}\" has no address")))
}

fn misnamed(text: &str) -> Error {
    Error::Usage(format!(
        "\"{text}\" names no broker; write dunlin, mosquitto or rumqttd, each with or without =PATH, or \
         NAME=HOST:PORT[,PID]"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Result<Kind, Error> {
        text.parse::<Spec>().map(|spec| spec.kind)
    }

    #[test]
    fn a_broker_is_named_by_program_or_by_address() {
        let address = "127.0.0.1:1883".parse().unwrap();
        assert_eq!(kind("mosquitto").unwrap(), Kind::Mosquitto("mosquitto".into()));
        assert_eq!(kind("rumqttd=/opt/r").unwrap(), Kind::Rumqttd("/opt/r".into()));
        assert_eq!(kind("dunlin").unwrap(), Kind::Dunlin("dunlin".into()), "these tests are another program");
        assert_eq!(kind("mosquitto-2.1=/opt/m").unwrap(), Kind::Mosquitto("/opt/m".into()));
        assert_eq!(
            kind("dunlin=target/release/dunlin").unwrap(),
            Kind::Dunlin("target/release/dunlin".into())
        );
        assert_eq!(kind("x=127.0.0.1:1883").unwrap(), Kind::Address { address, pid: None });
        assert_eq!(kind("dunlin=127.0.0.1:1883,77").unwrap(), Kind::Address { address, pid: Some(77) });
        for wrong in ["", "x", "=y", "x=", "x=/some/path", "x=127.0.0.1:1883,me", "x=127.0.0.1:99999"] {
            assert!(matches!(kind(wrong), Err(Error::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn a_broker_that_ends_at_once_is_reported() {
        let spec: Spec = "dunlin=/bin/false".parse().unwrap();
        let error = spec.start(None, ProtocolVersion::V3_1_1).unwrap_err().to_string();
        assert!(error.contains("dunlin ended at once"), "{error}");
    }
}
