//! The URL of a listener: which transport, at which address.
//!
//! A value of this type is valid: constructors parse, and say what is wrong in words that fit the mistake. A
//! missing port is the usual one of the transport. The path of a WebSocket is fixed, so that a client finds
//! it without being told.

use std::fmt;
use std::path::PathBuf;

use config::Value;

use super::host_port::{HostPort, parse_host};
use super::value::{OptionValue, quoted, text};

/// The only path at which WebSocket listeners answer.
pub const WEBSOCKET_PATH: &str = "/mqtt";

/// The transport and address of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerUrl {
    /// `mqtt://`: MQTT over TCP.
    Mqtt(HostPort),
    /// `mqtts://`: MQTT over TLS.
    Mqtts(HostPort),
    /// `ws://`: MQTT over WebSocket.
    Ws(HostPort),
    /// `wss://`: MQTT over WebSocket over TLS.
    Wss(HostPort),
    /// `unix://`: MQTT over a Unix socket.
    Unix(PathBuf),
}

impl ListenerUrl {
    /// Where the broker listens when nothing is configured: this machine only.
    pub fn local_default() -> Self {
        Self::Mqtt(HostPort::new("127.0.0.1", 1883))
    }

    /// Reads a URL. The error says what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err("must start with mqtt://, mqtts://, ws://, wss:// or unix://".to_owned());
        };
        match scheme {
            "mqtt" => Ok(Self::Mqtt(authority(rest, 1883, "")?)),
            "mqtts" => Ok(Self::Mqtts(authority(rest, 8883, "")?)),
            "ws" => Ok(Self::Ws(authority(rest, 8083, WEBSOCKET_PATH)?)),
            "wss" => Ok(Self::Wss(authority(rest, 8084, WEBSOCKET_PATH)?)),
            "unix" if rest.is_empty() => {
                Err("must name the socket's path, such as unix:///run/dunlin.sock".to_owned())
            }
            "unix" => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" => Err("must start with mqtt:// (MQTT over TCP) rather than tcp://".to_owned()),
            "ssl" | "tls" => Err(format!("must start with mqtts:// (MQTT over TLS) rather than {scheme}://")),
            _ => Err("must start with mqtt://, mqtts://, ws://, wss:// or unix://".to_owned()),
        }
    }

    /// The host and port, unless this is a Unix socket.
    pub fn host_port(&self) -> Option<&HostPort> {
        match self {
            Self::Mqtt(address) | Self::Mqtts(address) | Self::Ws(address) | Self::Wss(address) => {
                Some(address)
            }
            Self::Unix(_) => None,
        }
    }

    /// Whether clients speak TLS here.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Mqtts(_) | Self::Wss(_))
    }

    /// Whether only this machine can reach the listener: a loopback address, `localhost` or a Unix socket.
    pub fn is_loopback(&self) -> bool {
        self.host_port().is_none_or(HostPort::is_loopback)
    }
}

impl fmt::Display for ListenerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mqtt(address) => write!(f, "mqtt://{address}"),
            Self::Mqtts(address) => write!(f, "mqtts://{address}"),
            Self::Ws(address) => write!(f, "ws://{address}{WEBSOCKET_PATH}"),
            Self::Wss(address) => write!(f, "wss://{address}{WEBSOCKET_PATH}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl OptionValue for ListenerUrl {
    const REQUIRED: bool = true;

    fn kind() -> String {
        "URL".to_owned()
    }
    fn expected() -> String {
        "a URL such as \"mqtt://0.0.0.0:1883\"".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        Self::parse(text(value)?).ok()
    }
    fn problem(value: &Value, _bounds: Option<&str>) -> String {
        text(value).and_then(|url| Self::parse(url).err()).unwrap_or(format!("must be {}", Self::expected()))
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

/// Reads `host[:port][path]`, where the path may be left out.
fn authority(text: &str, default_port: u16, path: &str) -> Result<HostPort, String> {
    let (address, given_path) = text.split_at(text.find('/').unwrap_or(text.len()));
    if !matches!(given_path, "" | "/") && given_path != path {
        return Err(match path {
            "" => format!("must end after the port, without {given_path}"),
            path => format!("must have the path {path} rather than {given_path}"),
        });
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port =
                port.parse().map_err(|_| format!("must have a port of 0 to 65535 rather than {port:?}"))?;
            (host, port)
        }
        _ => (address, default_port),
    };
    if host.is_empty() || host == "*" {
        return Err("must name an address; 0.0.0.0 and [::] mean every address".to_owned());
    }
    let host = parse_host(host).ok_or_else(|| {
        format!("must have a host name, an IPv4 address or an IPv6 address in brackets rather than {host:?}")
    })?;
    Ok(HostPort { host, port })
}
