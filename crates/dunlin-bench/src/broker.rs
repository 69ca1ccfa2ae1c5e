//! The brokers of a comparison: how the command line names them, how they are started, and how they end.
//!
//! A broker that is started gets a free port of 127.0.0.1, the broker's core, and settings that make it do
//! the same work as the others: no persistence, no delay in TCP, 20 messages in flight to a client, queues
//! long enough that a burst is delivered and not dropped. The settings are part of the report
//! ([`Spec::settings`]). What was started is killed when the value is dropped.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use dunlin_codec::ProtocolVersion;
use tempfile::{NamedTempFile, TempDir};

use crate::Error;
use crate::cores::Cores;
use crate::handshake::Target;
use crate::process::Process;

/// How long a broker may take until it accepts a client.
const READY_MAX: Duration = Duration::from_secs(10);

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

/// A broker as the command line names it: `mosquitto`, `mosquitto=PATH`, `dunlin=PATH` or
/// `NAME=HOST:PORT[,PID]`.
///
/// A name may go on after a hyphen, as in `dunlin-old=PATH`, so that two builds can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What the report calls it.
    pub name: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Dunlin(PathBuf),
    Mosquitto(PathBuf),
    Address { address: SocketAddr, pid: Option<u32> },
}

/// A broker that accepts clients.
#[derive(Debug)]
pub struct Running {
    /// Where.
    pub address: SocketAddr,
    /// Its process, when it is known.
    pub process: Option<Process>,
    started: Option<Started>,
}

/// A broker's process with what it reads and writes; ends with this value.
#[derive(Debug)]
struct Started {
    child: Child,
    output: NamedTempFile,
    _directory: TempDir,
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
            ("dunlin", value) => Kind::Dunlin(value.unwrap_or("dunlin").into()),
            _ => return Err(misnamed(text)),
        };
        Ok(Self { name: name.to_owned(), kind })
    }
}

impl Spec {
    /// What the broker's program says about its version; `None` when only its address is known.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let (program, flag) = match &self.kind {
            Kind::Dunlin(program) => (program, "--version"),
            Kind::Mosquitto(program) => (program, "-h"),
            Kind::Address { .. } => return None,
        };
        let output = Command::new(program).arg(flag).output().ok()?;
        String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
    }

    /// What was set in the broker, for the report.
    #[must_use]
    pub fn settings(&self) -> String {
        let pairs = |settings: &[(&str, &str)], between: &str| {
            settings
                .iter()
                .map(|(name, value)| format!("{name}{between}{value}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match &self.kind {
            Kind::Dunlin(_) => {
                format!("{}, no data directory, no operations port", pairs(&DUNLIN_SETTINGS, "="))
            }
            Kind::Mosquitto(_) => pairs(&MOSQUITTO_SETTINGS, " "),
            Kind::Address { .. } => "started and set by somebody else".to_owned(),
        }
    }

    /// Starts the broker, on its core when there is a choice, and waits until it accepts a client.
    ///
    /// # Errors
    /// When it cannot be started, ends at once, or accepts nobody for ten seconds; the message has its last
    /// words.
    pub fn start(&self, cores: Option<Cores>, version: ProtocolVersion) -> Result<Running, Error> {
        let (address, mut started) = match &self.kind {
            Kind::Address { address, .. } => (*address, None),
            Kind::Dunlin(_) | Kind::Mosquitto(_) => {
                let address = free_address()?;
                (address, Some(self.spawn(address, cores)?))
            }
        };
        self.wait_until_ready(&Target { address, version }, started.as_mut())?;
        let pid = match (&self.kind, &started) {
            (Kind::Address { pid, .. }, _) => *pid,
            (_, started) => started.as_ref().map(|started| started.child.id()),
        };
        Ok(Running { address, process: pid.map(Process::new), started })
    }

    fn spawn(&self, address: SocketAddr, cores: Option<Cores>) -> Result<Started, Error> {
        let directory = TempDir::new().map_err(Error::io("create a temporary directory"))?;
        let output = NamedTempFile::new_in(&directory).map_err(Error::io("create a temporary file"))?;
        let mut command = match &self.kind {
            Kind::Dunlin(program) => dunlin_command(program, address),
            Kind::Mosquitto(program) => mosquitto_command(program, address, &directory)?,
            Kind::Address { .. } => return Err(misnamed(&self.name)),
        };
        let words = || output.reopen().map_err(Error::io("open a temporary file"));
        command.stdin(Stdio::null()).stdout(words()?).stderr(words()?);
        let mut spawn = || command.spawn();
        let child = match cores {
            Some(cores) => cores.on_broker_core(spawn),
            None => spawn(),
        };
        let child = child.map_err(Error::io(format!("start {}", self.name)))?;
        Ok(Started { child, output, _directory: directory })
    }

    fn wait_until_ready(&self, target: &Target, mut started: Option<&mut Started>) -> Result<(), Error> {
        let deadline = Instant::now() + READY_MAX;
        loop {
            let Err(error) = target.connect("bench-ready") else { return Ok(()) };
            let problem = match started.as_deref_mut().map(|started| started.child.try_wait()) {
                Some(Ok(Some(status))) => format!("ended at once ({status})"),
                _ if Instant::now() > deadline => format!("accepts no client: {error}"),
                _ => {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            let words = started.map(|started| started.last_words()).unwrap_or_default();
            return Err(Error::Broker(format!("{} {problem}{words}", self.name)));
        }
    }
}

impl Started {
    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.output.path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().map(|line| format!("\n  {line}")).collect()
    }
}

impl Running {
    /// What to add to the report of a failed run: the broker's end and its last words, if it has ended.
    #[must_use]
    pub fn post_mortem(&mut self) -> Option<String> {
        let started = self.started.as_mut()?;
        let status = started.child.try_wait().ok()??;
        Some(format!("the broker ended ({status}){}", started.last_words()))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Both only fail when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dunlin_command(program: &PathBuf, address: SocketAddr) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DUNLIN__")) {
        command.env_remove(name);
    }
    command.envs(DUNLIN_SETTINGS);
    command.arg("serve").arg("--listen").arg(format!("mqtt://{address}"));
    command.args(["--data-dir", "", "--http", ""]);
    command
}

fn mosquitto_command(program: &PathBuf, address: SocketAddr, directory: &TempDir) -> Result<Command, Error> {
    let path = directory.path().join("mosquitto.conf");
    let mut file = fs::File::create(&path).map_err(Error::io("write mosquitto's configuration"))?;
    let mut text = format!("listener {} {}\n", address.port(), address.ip());
    for (name, value) in MOSQUITTO_SETTINGS {
        text += &format!("{name} {value}\n");
    }
    file.write_all(text.as_bytes()).map_err(Error::io("write mosquitto's configuration"))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&path);
    Ok(command)
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Error::io("find a free port"))
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
        "\"{text}\" names no broker; write mosquitto, mosquitto=PATH, dunlin=PATH or NAME=HOST:PORT[,PID]"
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
