//! The brokers of a comparison: how the command line names them, how they are started, and how they end.
//!
//! A broker that is started gets a free port of 127.0.0.1, the broker's core, and settings that make it do
//! the same work as the others: no persistence, no delay in TCP, 20 messages in flight to a client, queues
//! long enough that a burst is delivered and not dropped. For clients that use TLS it gets a certificate that is made
//! for the run. Where its store is measured, Dunlin has as many in flight as its own default says, and its data
//! directory is named or empty. The settings are part of the report ([`Spec::settings`]). How a broker lives and
//! ends is in `running.rs`, what it is told in `settings.rs`, `commands.rs` and `rumqttd.rs`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use dunlin_codec::ProtocolVersion;

use crate::Error;
use crate::cores::Cores;
use crate::scenario::Scenario;
use crate::transport::{BrokerUrl, Transport};

mod commands;
mod rumqttd;
mod running;
mod settings;

pub use running::{Running, StartedAgain};

/// Messages in flight to one client in every broker that is started, unless the command line says otherwise.
pub const IN_FLIGHT: u16 = 20;

/// A broker as the command line names it: `dunlin`, `mosquitto`, `rumqttd` or `relay`, each with or without `=PATH`, or
/// `NAME=HOST:PORT[,PID]`, or `NAME=URL[,PID]`. Without a path it is the program of that name, and for `dunlin` and
/// `relay` the one that runs, if it is that.
///
/// A name may go on after a hyphen, as in `dunlin-old=PATH`, so that two builds can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What the report calls it.
    pub name: String,
    kind: Kind,
    storage: Storage,
    in_flight: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Dunlin(PathBuf),
    Mosquitto(PathBuf),
    Rumqttd(PathBuf),
    Relay(PathBuf),
    Address { url: BrokerUrl, pid: Option<u32> },
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
                Some((url, pid)) => Kind::Address { url: url.parse()?, pid },
                None => return Err(misnamed(text)),
            },
            ("mosquitto", value) => Kind::Mosquitto(value.unwrap_or("mosquitto").into()),
            ("rumqttd", value) => Kind::Rumqttd(value.unwrap_or("rumqttd").into()),
            ("dunlin", value) => Kind::Dunlin(value.map_or_else(|| this(&["dunlin"]), PathBuf::from)),
            ("relay", value) => {
                Kind::Relay(value.map_or_else(|| this(&["dunlin-bench", "dunlin"]), PathBuf::from))
            }
            _ => return Err(misnamed(text)),
        };
        Ok(Self { name: name.to_owned(), kind, storage: Storage::Unused, in_flight: IN_FLIGHT })
    }
}

impl Spec {
    /// The broker with so many messages in flight to a client, if it is one that is started.
    #[must_use]
    pub fn with_in_flight(self, in_flight: u16) -> Self {
        Self { in_flight, ..self }
    }

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
            Kind::Dunlin(_) => Ok(Self { name: format!("{} {suffix}", self.name), storage, ..self.clone() }),
            Kind::Mosquitto(_) | Kind::Rumqttd(_) | Kind::Relay(_) | Kind::Address { .. } => {
                Err(Error::Usage(format!(
                    "a scenario of the store needs dunlin=PATH, to be started with a data directory; {} is not",
                    self.name
                )))
            }
        }
    }

    /// What the broker's program says about its version; `None` when only its address is known.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let (program, flag) = match &self.kind {
            Kind::Dunlin(program) | Kind::Rumqttd(program) | Kind::Relay(program) => (program, "--version"),
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
        let program = match &self.kind {
            Kind::Dunlin(program)
            | Kind::Mosquitto(program)
            | Kind::Rumqttd(program)
            | Kind::Relay(program) => program,
            Kind::Address { .. } => return None,
        };
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<_> = match program.components().count() {
            1 => std::env::split_paths(&directories).map(|directory| directory.join(program)).collect(),
            _ => vec![program.clone()],
        };
        places.iter().find_map(|path| path.metadata().ok()).map(|metadata| metadata.len())
    }

    /// Whether a scenario can be run with the broker.
    ///
    /// # Errors
    /// When it does not speak the transport, or is named by an address of another one, or without the process that
    /// the scenario needs.
    pub fn check(&self, scenario: &Scenario) -> Result<(), Error> {
        let (name, transport) = (&self.name, scenario.transport);
        match &self.kind {
            Kind::Address { pid: None, .. } if scenario.load.needs_process() => Err(Error::Usage(format!(
                "{} needs the process of {name}, as in {name}=HOST:PORT,PID",
                scenario.name
            ))),
            Kind::Address { url, .. } if url.transport.unwrap_or_default() != transport => {
                let (named, scheme) = (url.transport.unwrap_or_default(), transport.scheme());
                Err(Error::Usage(format!(
                    "{name} is named by an address for {named}; for {transport} write {name}={scheme}://HOST:PORT[,PID]"
                )))
            }
            Kind::Relay(_) if transport.is_websocket() => {
                Err(Error::Usage(format!("{name} cannot be reached over {transport}")))
            }
            _ => Ok(()),
        }
    }

    /// Starts the broker, on its core when there is a choice, and waits until it accepts a client over
    /// `transport`.
    ///
    /// # Errors
    /// When it cannot be started or reached so, ends at once, or accepts nobody for ten seconds; the message has
    /// its last words.
    pub fn start(
        &self,
        cores: Option<Cores>,
        version: ProtocolVersion,
        transport: Transport,
    ) -> Result<Running, Error> {
        Running::start(self, cores, version, transport)
    }
}

/// This program, if it has one of these names; otherwise the one of the first name.
fn this(names: &[&str]) -> PathBuf {
    let this = std::env::current_exe().ok();
    let this = this.filter(|path| names.iter().any(|name| path.file_name() == Some(name.as_ref())));
    this.unwrap_or_else(|| names[0].into())
}

/// Splits `HOST:PORT[,PID]` or `URL[,PID]`; `None` when it does not look so, as a path does not.
fn parse_address(text: &str) -> Option<(&str, Option<u32>)> {
    let (address, pid) = match text.split_once(',') {
        Some((address, pid)) => (address, Some(pid.parse().ok()?)),
        None => (text, None),
    };
    if !address.contains("://") {
        let (_, port) = address.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
    }
    Some((address, pid))
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
        "\"{text}\" names no broker; write dunlin, mosquitto, rumqttd or relay, each with or without \
         =PATH, or NAME=HOST:PORT[,PID] or NAME=URL[,PID]"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, by_name};

    fn kind(text: &str) -> Result<Kind, Error> {
        text.parse::<Spec>().map(|spec| spec.kind)
    }

    #[test]
    fn a_broker_is_named_by_program_or_by_address() {
        let url: BrokerUrl = "127.0.0.1:1883".parse().unwrap();
        assert_eq!(kind("mosquitto").unwrap(), Kind::Mosquitto("mosquitto".into()));
        assert_eq!(kind("rumqttd=/opt/r").unwrap(), Kind::Rumqttd("/opt/r".into()));
        assert_eq!(kind("dunlin").unwrap(), Kind::Dunlin("dunlin".into()), "these tests are another program");
        assert_eq!(kind("mosquitto-2.1=/opt/m").unwrap(), Kind::Mosquitto("/opt/m".into()));
        assert_eq!(
            kind("dunlin=target/release/dunlin").unwrap(),
            Kind::Dunlin("target/release/dunlin".into())
        );
        assert_eq!(kind("relay=/opt/dunlin").unwrap(), Kind::Relay("/opt/dunlin".into()));
        assert_eq!(kind("x=127.0.0.1:1883").unwrap(), Kind::Address { url: url.clone(), pid: None });
        assert_eq!(kind("dunlin=127.0.0.1:1883,77").unwrap(), Kind::Address { url, pid: Some(77) });
        let url = "mqtts://127.0.0.1".parse().unwrap();
        assert_eq!(kind("x=mqtts://127.0.0.1,7").unwrap(), Kind::Address { url, pid: Some(7) });
        for wrong in
            ["", "x", "=y", "x=", "x=/some/path", "x=127.0.0.1:1883,me", "x=127.0.0.1:99999", "x=a://b"]
        {
            assert!(matches!(kind(wrong), Err(Error::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn a_broker_with_an_address_is_reached_as_its_url_says() {
        let check = |spec: &str, transport| {
            let overrides = Overrides { transport: Some(transport), ..Overrides::default() };
            let scenario = by_name("qos0-10-10").unwrap().with(&overrides).unwrap();
            spec.parse::<Spec>().unwrap().check(&scenario)
        };
        assert!(check("x=127.0.0.1:1", Transport::Tcp).is_ok());
        assert!(check("x=wss://127.0.0.1", Transport::SecureWebSocket).is_ok());
        let problem = check("x=127.0.0.1:1", Transport::Tls).unwrap_err().to_string();
        assert_eq!(problem, "x is named by an address for TCP; for TLS write x=mqtts://HOST:PORT[,PID]");
        assert!(check("relay", Transport::Tls).is_ok() && check("relay", Transport::WebSocket).is_err());
    }

    #[test]
    fn where_memory_is_measured_the_process_has_to_be_named() {
        let check = |spec: &str| spec.parse::<Spec>().unwrap().check(&by_name("idle").unwrap());
        assert!(check("x=127.0.0.1:1,7").is_ok() && check("mosquitto").is_ok());
        let problem = check("x=127.0.0.1:1").unwrap_err().to_string();
        assert_eq!(problem, "idle needs the process of x, as in x=HOST:PORT,PID");
    }

    #[test]
    fn a_broker_that_ends_at_once_is_reported() {
        let spec: Spec = "dunlin=/bin/false".parse().unwrap();
        let error = spec.start(None, ProtocolVersion::V3_1_1, Transport::Tcp).unwrap_err().to_string();
        assert!(error.contains("dunlin ended at once"), "{error}");
    }
}
