//! An address as it is configured: a host name or an IP address, and a port.
//!
//! Names are resolved when something binds or connects, except `localhost`, which means 127.0.0.1 here:
//! whether strangers are admitted depends on an address being local, and that must not depend on a resolver.
//! For the same reason any other name counts as reachable from outside.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use config::Value;

use super::value::{OptionValue, quoted, text};

/// A host name or address with a port, not yet resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name, an IPv4 address or an IPv6 address without brackets.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
}

impl HostPort {
    /// A host and a port.
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }

    /// Reads `host:port`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self { host: parse_host(host)?, port: port.parse().ok()? })
    }

    /// Whether only this machine can reach the address.
    pub fn is_loopback(&self) -> bool {
        self.ip().is_some_and(|ip| ip.to_canonical().is_loopback())
    }

    /// Whether both cannot be listened on at once, as far as can be said without a resolver: one port of the same host, or
    /// of all of this machine's addresses.
    pub fn is_in_the_way_of(&self, other: &Self) -> bool {
        let is_same_host = match (self.ip(), other.ip()) {
            (Some(one), Some(two)) => {
                let is_any = one.is_unspecified() || two.is_unspecified();
                one == two || (is_any && one.is_ipv4() == two.is_ipv4())
            }
            _ => self.host.eq_ignore_ascii_case(&other.host),
        };
        self.port != 0 && self.port == other.port && is_same_host
    }

    /// The address to bind. A name with several addresses stands for its first.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        if let Some(ip) = self.ip() {
            return Ok(SocketAddr::new(ip, self.port));
        }
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }

    fn ip(&self) -> Option<IpAddr> {
        if self.host.eq_ignore_ascii_case("localhost") {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        self.host.parse().ok()
    }
}

/// Reads the host part of an address: a name, an IPv4 address or an IPv6 address in brackets.
pub(super) fn parse_host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().ok().map(|_| inner.to_owned());
    }
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!text.is_empty() && text.chars().all(is_host)).then(|| text.to_owned())
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl OptionValue for HostPort {
    fn kind() -> String {
        "address and port".to_owned()
    }
    fn expected() -> String {
        "an address and a port such as \"127.0.0.1:18083\"".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        Self::parse(text(value)?)
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}
