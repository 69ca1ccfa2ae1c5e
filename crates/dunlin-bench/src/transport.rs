//! What MQTT travels over between clients and a broker, and the URLs that name both a broker and that.
//!
//! The schemes are those of Dunlin's listeners; brokers of other makes are reached in the same way.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use tungstenite::http::Uri;

use crate::Error;
use crate::broker::resolve;

/// The path of a WebSocket unless its URL says otherwise: what brokers serve without being told.
const WEBSOCKET_PATH: &str = "/mqtt";

/// What MQTT travels over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// TCP alone.
    #[default]
    Tcp,
    /// TLS 1.3.
    Tls,
    /// WebSocket over TCP.
    #[value(name = "ws")]
    WebSocket,
    /// WebSocket over TLS 1.3.
    #[value(name = "wss")]
    SecureWebSocket,
}

impl Transport {
    const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket];

    /// The scheme of its URLs.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }

    /// Whether TLS is part of it.
    #[must_use]
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    /// Whether WebSocket is part of it.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Tcp => 1883,
            Self::Tls => 8883,
            Self::WebSocket => 8083,
            Self::SecureWebSocket => 8084,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::WebSocket => "WebSocket",
            Self::SecureWebSocket => "WebSocket over TLS",
        })
    }
}

impl Serialize for Transport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.scheme())
    }
}

/// Where a broker listens: `HOST:PORT`, which leaves the transport open, or `mqtt://`, `mqtts://`, `ws://` or
/// `wss://` with host, port and, for WebSocket, path. A URL may leave out what is usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// The transport, when a scheme names it.
    pub transport: Option<Transport>,
    /// The host as it was written, to which a certificate has to belong.
    pub host: String,
    /// Its first address.
    pub address: SocketAddr,
    /// The path of a WebSocket.
    pub path: String,
}

impl BrokerUrl {
    /// Where its WebSocket is.
    pub(crate) fn websocket(&self, transport: Transport) -> Result<Uri, Error> {
        let (scheme, host, port, path) = (transport.scheme(), &self.host, self.address.port(), &self.path);
        let text = format!("{scheme}://{host}:{port}{path}");
        text.parse().map_err(|error| Error::Usage(format!("\"{text}\" is no URL of a WebSocket: {error}")))
    }
}

impl FromStr for BrokerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self {
                transport: None,
                host: host_of(text).to_owned(),
                address: resolve(text)?,
                path: WEBSOCKET_PATH.to_owned(),
            });
        };
        let transport = Transport::ALL.into_iter().find(|it| it.scheme() == scheme).ok_or_else(|| {
            Error::Usage(format!("\"{text}\" must begin with mqtt://, mqtts://, ws:// or wss://"))
        })?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, WEBSOCKET_PATH),
        };
        if rest.contains('/') && !transport.is_websocket() {
            return Err(Error::Usage(format!("\"{text}\" has a path, which only ws:// and wss:// have")));
        }
        let address = match host_of(authority).len() == authority.len() {
            true => resolve(&format!("{authority}:{}", transport.default_port()))?,
            false => resolve(authority)?,
        };
        let (host, path) = (host_of(authority).to_owned(), path.to_owned());
        Ok(Self { transport: Some(transport), host, address, path })
    }
}

/// `HOST:PORT` without its port, if it has one; what has brackets is an address of IPv6.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_named_by_address_or_by_url() {
        let url = |text: &str| {
            let url: BrokerUrl = text.parse().unwrap();
            (url.transport, url.host, url.address.to_string(), url.path)
        };
        let expected = |transport, host: &str, address: &str, path: &str| {
            (transport, host.to_owned(), address.to_owned(), path.to_owned())
        };
        assert_eq!(url("127.0.0.1:18"), expected(None, "127.0.0.1", "127.0.0.1:18", "/mqtt"));
        assert_eq!(
            url("mqtts://127.0.0.1"),
            expected(Some(Transport::Tls), "127.0.0.1", "127.0.0.1:8883", "/mqtt")
        );
        assert_eq!(
            url("ws://127.0.0.1:81/a/b"),
            expected(Some(Transport::WebSocket), "127.0.0.1", "127.0.0.1:81", "/a/b")
        );
        assert_eq!(
            url("wss://[::1]"),
            expected(Some(Transport::SecureWebSocket), "[::1]", "[::1]:8084", "/mqtt")
        );
        assert_eq!(url("mqtt://[::1]:9").2, "[::1]:9");
    }

    #[test]
    fn a_url_that_says_something_else_is_refused_in_a_sentence() {
        for (wrong, problem) in [
            ("http://127.0.0.1", "must begin with"),
            ("mqtt://127.0.0.1/mqtt", "has a path"),
            ("mqtts://127.0.0.1:99999", "no address"),
            ("127.0.0.1", "no address"),
            ("", "no address"),
        ] {
            let error = wrong.parse::<BrokerUrl>().unwrap_err();
            assert!(matches!(error, Error::Usage(_)) && error.to_string().contains(problem), "{error}");
        }
    }
}
