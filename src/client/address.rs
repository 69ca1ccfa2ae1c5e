//! Where a broker is, and what lies between it and MQTT.

use std::fmt;
use std::path::PathBuf;

/// What lies between MQTT and the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Nothing: `mqtt://`.
    Mqtt,
    /// TLS: `mqtts://`.
    Mqtts,
    /// WebSocket: `ws://`.
    Ws,
    /// WebSocket over TLS: `wss://`.
    Wss,
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// In the network.
    Network {
        /// What lies between.
        transport: Transport,
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// At a Unix socket.
    Unix(PathBuf),
}

impl Transport {
    /// Whether it includes TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// The scheme of its URL.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

impl Address {
    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Network { transport, .. } if transport.is_tls())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { transport, host, port } if host.contains(':') => {
                write!(f, "{}://[{host}]:{port}", transport.scheme())
            }
            Self::Network { transport, host, port } => write!(f, "{}://{host}:{port}", transport.scheme()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}
