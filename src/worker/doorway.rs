//! To whom a listener is open: its networks, and the proxies before it.
//!
//! `deny` wins over `allow`. Where there are proxies, nobody else may connect, because whoever goes round the proxy
//! also goes round what it checks; the networks then concern the addresses that the proxies tell.

use crate::config::{Listener, Network};
use crate::transport::Peer;
use std::net::IpAddr;

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct Doorway {
    allow: Vec<Network>,
    deny: Vec<Network>,
    proxies: Vec<Network>,
}

impl Doorway {
    pub fn new(listener: &Listener) -> Self {
        let Listener { allow, deny, proxy_protocol, .. } = listener;
        Self { allow: allow.clone(), deny: deny.clone(), proxies: proxy_protocol.clone() }
    }

    /// Whether clients with this address may connect.
    pub fn is_open_to(&self, address: IpAddr) -> bool {
        let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }

    /// Whether connections begin with a PROXY header.
    pub fn expects_proxy(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Whether this is one of the proxies.
    pub fn is_proxy(&self, peer: Peer) -> bool {
        peer.ip().is_some_and(|address| self.proxies.iter().any(|network| network.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doorway(allow: &[&str], deny: &[&str]) -> Doorway {
        let parse = |texts: &[&str]| texts.iter().map(|text| Network::parse(text).unwrap()).collect();
        Doorway { allow: parse(allow), deny: parse(deny), proxies: Vec::new() }
    }

    #[test]
    fn deny_wins_over_allow_and_no_allow_means_all() {
        let open_to = |doorway: &Doorway, address: &str| doorway.is_open_to(address.parse().unwrap());
        let some = doorway(&["10.0.0.0/8", "fd00::/8"], &["10.6.0.0/16"]);
        assert!(open_to(&some, "10.1.2.3") && open_to(&some, "::ffff:10.1.2.3") && open_to(&some, "fd00::1"));
        assert!(
            !open_to(&some, "10.6.2.3") && !open_to(&some, "::ffff:10.6.2.3") && !open_to(&some, "192.0.2.1")
        );
        let all_but = doorway(&[], &["10.6.0.0/16"]);
        assert!(open_to(&all_but, "192.0.2.1") && !open_to(&all_but, "10.6.0.1"));
    }
}
