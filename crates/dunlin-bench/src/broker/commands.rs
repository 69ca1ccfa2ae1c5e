//! The commands that start Dunlin, mosquitto and the relay, with the settings of a comparison; rumqttd's is in
//! `rumqttd.rs`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use dunlin_codec::ProtocolVersion;
use rustix::thread::CapabilitySet;

use super::{Kind, Spec, Storage, misnamed, rumqttd};
use crate::Error;
use crate::tls::{CertificateFiles, TemporaryCertificate};
use crate::transport::{BrokerUrl, Transport};

/// The data directory within a broker's directory.
pub(super) const DATA: &str = "data";

/// Where a broker shall listen, and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) version: ProtocolVersion,
    pub(super) transport: Transport,
}

impl Place {
    /// The URL of a listener here.
    pub(super) fn url(self) -> Result<BrokerUrl, Error> {
        self.listener().parse()
    }

    fn listener(self) -> String {
        let path = if self.transport.is_websocket() { "/mqtt" } else { "" };
        format!("{}://{}{path}", self.transport.scheme(), self.address)
    }
}

/// The command that starts a broker, with everything it reads in `directory`.
pub(super) fn of(spec: &Spec, place: Place, directory: &Path) -> Result<Command, Error> {
    let certificate = match place.transport.is_encrypted() && !matches!(spec.kind, Kind::Relay(_)) {
        true => Some(TemporaryCertificate::new()?.write(directory)?),
        false => None,
    };
    let certificate = certificate.as_ref();
    match &spec.kind {
        Kind::Dunlin(program) => Ok(dunlin(spec, program, place, directory, certificate)),
        Kind::Mosquitto(program) => mosquitto(spec, program, place, directory, certificate),
        Kind::Rumqttd(program) => rumqttd::command(spec, program, place, directory, certificate),
        Kind::Relay(program) => Ok(relay(program, place)),
        Kind::Address { .. } => Err(misnamed(&spec.name)),
    }
}

fn dunlin(
    spec: &Spec,
    program: &Path,
    place: Place,
    directory: &Path,
    certificate: Option<&CertificateFiles>,
) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DUNLIN__")) {
        command.env_remove(name);
    }
    command.envs(spec.dunlin_settings());
    if let Some(CertificateFiles { cert, key }) = certificate {
        command.env("DUNLIN__TLS__CERT", cert).env("DUNLIN__TLS__KEY", key);
    }
    if !may_look_into_any_process() {
        command.env("DUNLIN__SERVER__CORE_DUMPS", "true");
    }
    command.arg("serve").arg("--listen").arg(place.listener());
    command.args(["--http", "", "--data-dir"]);
    match &spec.storage {
        Storage::Unused | Storage::InMemory => command.arg(""),
        Storage::Below(_) => command.arg(directory.join(DATA)),
    };
    command
}

/// Whether this process can read the memory figures of a process that is closed to its own user, as Dunlin is.
fn may_look_into_any_process() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
}

fn mosquitto(
    spec: &Spec,
    program: &Path,
    place: Place,
    directory: &Path,
    certificate: Option<&CertificateFiles>,
) -> Result<Command, Error> {
    let path = directory.join("mosquitto.conf");
    let mut text = format!("listener {} {}\n", place.address.port(), place.address.ip());
    if place.transport.is_websocket() {
        text += "protocol websockets\n";
    }
    if let Some(CertificateFiles { cert, key }) = certificate {
        text += &format!("certfile {}\nkeyfile {}\n", cert.display(), key.display());
    }
    for (name, value) in spec.mosquitto_settings() {
        text += &format!("{name} {value}\n");
    }
    fs::write(&path, text).map_err(Error::io("write mosquitto's configuration"))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&path);
    Ok(command)
}

/// The relay is part of `dunlin bench` and of `dunlin-bench`, whose names begin alike.
fn relay(program: &Path, place: Place) -> Command {
    let mut command = Command::new(program);
    let is_broker = program.file_name().is_none_or(|name| !name.to_string_lossy().contains("bench"));
    command.args(is_broker.then_some("bench")).args(["relay", "--listen"]).arg(place.listener());
    command
}
