//! A broker that runs: its command, its process, what it writes, and its end.
//!
//! What was started is killed when the value is dropped, and its directory goes with it. A broker can also be
//! killed and started again on the same directory and address, as after a crash; then the time counts from
//! the start of the process until its log says that it listens, and until it answers a CONNECT.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_codec::ProtocolVersion;
use tempfile::{NamedTempFile, TempDir};

use super::commands::{self, DATA, Place};
use super::{Kind, Spec, Storage};
use crate::Error;
use crate::cores::Cores;
use crate::disk::directory_below;
use crate::handshake::{Session, Target};
use crate::process::Process;
use crate::tls::Trust;
use crate::transport::Transport;

/// How long a broker may take until it accepts a client.
const READY_MAX: Duration = Duration::from_secs(10);
/// How long it may take when it has to recover.
const RECOVERY_MAX: Duration = Duration::from_secs(120);
/// How often a broker that starts is looked at.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);
/// How often the log of one is read whose start is measured.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(1);
/// What Dunlin logs when it listens.
const LISTENING: &str = "listening";

/// A broker that accepts clients.
#[derive(Debug)]
pub struct Running {
    /// How clients reach it.
    pub target: Target,
    /// Its process, when it is known.
    pub process: Option<Process>,
    /// From the start of its process until it had answered a CONNECT; of one that ran already, until it answered.
    pub ready_after: Duration,
    started: Option<Started>,
}

/// How long a broker took to be there again.
#[derive(Debug, Clone, Copy)]
pub struct StartedAgain {
    /// Until its log said that it listens.
    pub listening: Duration,
    /// Until it had answered a CONNECT.
    pub connected: Duration,
}

/// A broker's process with what it reads and writes; ends with this value.
#[derive(Debug)]
struct Started {
    name: String,
    child: Child,
    command: Command,
    cores: Option<Cores>,
    output: NamedTempFile,
    directory: TempDir,
}

impl Running {
    pub(super) fn start(
        spec: &Spec,
        cores: Option<Cores>,
        version: ProtocolVersion,
        transport: Transport,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let (url, mut started) = match &spec.kind {
            Kind::Address { url, .. } => (url.clone(), None),
            Kind::Dunlin(_) | Kind::Mosquitto(_) | Kind::Rumqttd(_) | Kind::Relay(_) => {
                let place = Place { address: free_address()?, version, transport };
                (place.url()?, Some(Started::spawn(spec, place, cores)?))
            }
        };
        // Who compares brokers has started them; a certificate made a moment ago proves nothing.
        let target = Target::at(&url, transport, version, Some(&Trust::Anybody), None)?;
        wait_until_ready(&spec.name, &target, started.as_mut(), READY_MAX)?;
        let ready_after = begun.elapsed();
        let pid = match (&spec.kind, &started) {
            (Kind::Address { pid, .. }, _) => *pid,
            (_, started) => started.as_ref().map(|started| started.child.id()),
        };
        Ok(Self { target, process: pid.map(Process::new), ready_after, started })
    }

    /// What to add to the report of a failed run: the broker's end and its last words, if it has ended.
    #[must_use]
    pub fn post_mortem(&mut self) -> Option<String> {
        let started = self.started.as_mut()?;
        let status = started.child.try_wait().ok()??;
        Some(format!("the broker ended ({status}){}", started.last_words()))
    }

    /// Its data directory, if it was started with one.
    #[must_use]
    pub fn data_directory(&self) -> Option<PathBuf> {
        let path = self.started.as_ref()?.directory.path().join(DATA);
        path.exists().then_some(path)
    }

    /// Kills it at once, as a crash does, and waits for its end.
    ///
    /// # Errors
    /// When it was started by somebody else.
    pub fn kill(&mut self) -> Result<(), Error> {
        let started = self.started.as_mut().ok_or_else(not_ours)?;
        started.child.kill().and_then(|()| started.child.wait()).map_err(Error::io("kill the broker"))?;
        Ok(())
    }

    /// Starts it again with the same data and address, after [`Running::kill`].
    ///
    /// # Errors
    /// When it does not start, or accepts nobody for two minutes.
    pub fn start_again(&mut self) -> Result<StartedAgain, Error> {
        let started = self.started.as_mut().ok_or_else(not_ours)?;
        let heard_before = started.times_heard(LISTENING);
        let begun = Instant::now();
        started.child = spawn(&mut started.command, started.cores)?;
        self.process = Some(Process::new(started.child.id()));
        while started.times_heard(LISTENING) == heard_before {
            let ended = started.child.try_wait().map_err(Error::io("look after the broker"))?;
            if ended.is_some() || begun.elapsed() > RECOVERY_MAX {
                return Err(Error::Broker(format!(
                    "the broker does not start again{}",
                    started.last_words()
                )));
            }
            thread::sleep(READ_AGAIN_AFTER);
        }
        let listening = begun.elapsed();
        let name = started.name.clone();
        wait_until_ready(&name, &self.target, self.started.as_mut(), RECOVERY_MAX)?;
        Ok(StartedAgain { listening, connected: begun.elapsed() })
    }
}

impl Started {
    fn spawn(spec: &Spec, place: Place, cores: Option<Cores>) -> Result<Self, Error> {
        let directory = match &spec.storage {
            Storage::Below(parent) => directory_below(parent)?,
            Storage::Unused | Storage::InMemory => {
                TempDir::new().map_err(Error::io("create a temporary directory"))?
            }
        };
        let output = NamedTempFile::new_in(&directory).map_err(Error::io("create a temporary file"))?;
        let mut command = commands::of(spec, place, directory.path())?;
        let words = || output.reopen().map_err(Error::io("open a temporary file"));
        command.stdin(Stdio::null()).stdout(words()?).stderr(words()?);
        let child = spawn(&mut command, cores)?;
        Ok(Self { name: spec.name.clone(), child, command, cores, output, directory })
    }

    fn said(&self) -> String {
        fs::read_to_string(self.output.path()).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        let text = self.said();
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().map(|line| format!("\n  {line}")).collect()
    }

    fn times_heard(&self, text: &str) -> usize {
        self.said().lines().filter(|line| line.contains(text)).count()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Both only fail when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command, cores: Option<Cores>) -> Result<Child, Error> {
    let child = match cores {
        Some(cores) => cores.on_broker_core(|| command.spawn()),
        None => command.spawn(),
    };
    child.map_err(Error::io(format!("start {}", command.get_program().display())))
}

fn wait_until_ready(
    name: &str,
    target: &Target,
    mut started: Option<&mut Started>,
    longest: Duration,
) -> Result<(), Error> {
    let deadline = Instant::now() + longest;
    loop {
        let Err(error) = target.connect("bench-ready", Session::Clean) else { return Ok(()) };
        let problem = match started.as_deref_mut().map(|started| started.child.try_wait()) {
            Some(Ok(Some(status))) => format!("ended at once ({status})"),
            _ if Instant::now() > deadline => format!("accepts no client: {error}"),
            _ => {
                thread::sleep(LOOK_AGAIN_AFTER);
                continue;
            }
        };
        let words = started.map(|started| started.last_words()).unwrap_or_default();
        return Err(Error::Broker(format!("{name} {problem}{words}")));
    }
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Error::io("find a free port"))
}

fn not_ours() -> Error {
    Error::Usage("only a broker that the generator has started can be killed".to_owned())
}
