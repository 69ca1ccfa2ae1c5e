//! How rumqttd is started: its configuration file.
//!
//! A listener of rumqttd speaks one version, so the file depends on what the clients speak. It keeps the last
//! segments of each topic in memory whether anybody waits for them or not; they are made smaller than its sample
//! says, so that ten busy topics fit into a gateway. It does not set TCP_NODELAY, and cannot be told to.

use std::fs;
use std::path::Path;
use std::process::Command;

use dunlin_codec::ProtocolVersion;

use super::Spec;
use super::commands::Place;
use super::settings::{Setting, owned};
use crate::Error;
use crate::tls::CertificateFiles;

/// What its router is told.
const ROUTER: [(&str, &str); 4] = [
    ("max_connections", "10010"),
    ("max_outgoing_packet_count", "200"),
    ("max_segment_size", "10485760"),
    ("max_segment_count", "10"),
];
/// What its connections are told, besides the messages in flight.
const CONNECTIONS: [(&str, &str); 3] =
    [("connection_timeout_ms", "60000"), ("max_payload_size", "268435455"), ("dynamic_filters", "true")];

/// What is set in it, for the report.
pub(super) fn settings(in_flight: u16) -> impl Iterator<Item = Setting> {
    owned(&ROUTER).chain(connections(in_flight))
}

fn connections(in_flight: u16) -> impl Iterator<Item = Setting> {
    owned(&CONNECTIONS).chain([("max_inflight_count", in_flight.to_string())])
}

/// The command that starts it, with its configuration in `directory`.
pub(super) fn command(
    spec: &Spec,
    program: &Path,
    place: Place,
    directory: &Path,
    certificate: Option<&CertificateFiles>,
) -> Result<Command, Error> {
    let path = directory.join("rumqttd.toml");
    fs::write(&path, configuration(place, spec.in_flight, certificate)?)
        .map_err(Error::io("write rumqttd's configuration"))?;
    let mut command = Command::new(program);
    command.arg("--quiet").arg("--config").arg(path);
    Ok(command)
}

fn configuration(
    place: Place,
    in_flight: u16,
    certificate: Option<&CertificateFiles>,
) -> Result<String, Error> {
    let Place { address, version, transport } = place;
    let listener = match version {
        ProtocolVersion::V3_1 => {
            return Err(Error::Usage("rumqttd speaks MQTT 3.1.1 and 5.0, not 3.1".to_owned()));
        }
        ProtocolVersion::V3_1_1 if transport.is_websocket() => "ws.1",
        ProtocolVersion::V5 if transport.is_websocket() => {
            return Err(Error::Usage("rumqttd speaks MQTT 3.1.1 over WebSocket, not 5.0".to_owned()));
        }
        ProtocolVersion::V3_1_1 => "v4.1",
        ProtocolVersion::V5 => "v5.1",
    };
    let mut text = "id = 0\n[router]\n".to_owned();
    text += &lines(owned(&ROUTER));
    text +=
        &format!("[{listener}]\nname = \"bench\"\nlisten = \"{address}\"\nnext_connection_delay_ms = 0\n");
    if let Some(CertificateFiles { cert, key }) = certificate {
        let (cert, key) = (cert.display(), key.display());
        text += &format!("[{listener}.tls]\ncertpath = \"{cert}\"\nkeypath = \"{key}\"\n");
    }
    text += &format!("[{listener}.connections]\n{}", lines(connections(in_flight)));
    Ok(text)
}

fn lines(settings: impl Iterator<Item = Setting>) -> String {
    settings.map(|(name, value)| format!("{name} = {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Transport;

    #[test]
    fn its_listener_speaks_what_the_clients_speak() {
        let address = "127.0.0.1:1883".parse().unwrap();
        for (version, listener) in [(ProtocolVersion::V3_1_1, "[v4.1]"), (ProtocolVersion::V5, "[v5.1]")] {
            let text =
                configuration(Place { address, version, transport: Transport::Tcp }, 20, None).unwrap();
            assert!(
                text.contains(&format!("{listener}\nname = \"bench\"\nlisten = \"127.0.0.1:1883\"")),
                "{text}"
            );
            assert!(text.contains("max_inflight_count = 20"), "{text}");
        }
        for (version, transport) in
            [(ProtocolVersion::V3_1, Transport::Tcp), (ProtocolVersion::V5, Transport::WebSocket)]
        {
            assert!(configuration(Place { address, version, transport }, 20, None).is_err());
        }
    }

    #[test]
    fn with_tls_it_is_told_where_its_certificate_is() {
        let address = "127.0.0.1:1883".parse().unwrap();
        let place = Place { address, version: ProtocolVersion::V3_1_1, transport: Transport::Tls };
        let files = CertificateFiles { cert: "/c.pem".into(), key: "/k.pem".into() };
        let text = configuration(place, 20, Some(&files)).unwrap();
        assert!(text.contains("[v4.1.tls]\ncertpath = \"/c.pem\"\nkeypath = \"/k.pem\"\n"), "{text}");
    }
}
