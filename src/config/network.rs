//! A network as it is configured: `10.0.0.0/8`, `fd00::/8`, or one address.
//!
//! A client's address is compared in one form only: an IPv4 address that came mapped into IPv6 (as on a listener on
//! `[::]`) is an IPv4 address, and a network of mapped addresses is the IPv4 network. Bits beyond the prefix are
//! an error rather than ignored: `10.1.0.0/8` may be meant as `/16`, and a rule that guesses lets in too many.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use config::Value;
use ipnet::{IpNet, Ipv4Net};

use super::value::{OptionValue, quoted, text};

/// Addresses with a common beginning; one address is a network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

impl Network {
    /// Reads `ADDRESS/PREFIX` or `ADDRESS`; the error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let Ok(net) = text.parse::<IpNet>() else {
            return Err("must be a network such as \"10.0.0.0/8\" or \"fd00::/8\", or an address".to_owned());
        };
        if net != net.trunc() {
            let (whole, one) = (net.trunc(), net.addr());
            return Err(format!(
                "has bits beyond its prefix: write \"{whole}\" for the network or \"{one}\" for the address"
            ));
        }
        Ok(Self(unmapped(net)))
    }

    /// The network of this prefix that an address is in; the prefix may be longer than the address.
    pub fn around(address: IpAddr, prefix: u8) -> Self {
        let address = address.to_canonical();
        let whole = IpNet::from(address);
        Self(IpNet::new(address, prefix.min(whole.prefix_len())).map_or(whole, |net| net.trunc()))
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether all of another network is in it.
    pub fn contains_all(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// How many bits its addresses have in common.
    pub fn prefix(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether its addresses are IPv4.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = |address: Ipv6Addr| address.to_ipv4_mapped();
    let prefix = v6.prefix_len().checked_sub(96);
    match (mapped(v6.addr()), prefix) {
        (Some(address), Some(prefix)) => Ipv4Net::new(address, prefix).map_or(net, IpNet::V4),
        _ => net,
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl OptionValue for Network {
    fn kind() -> String {
        "network".to_owned()
    }
    fn expected() -> String {
        "a network such as \"10.0.0.0/8\" or an address".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        Self::parse(text(value)?).ok()
    }
    fn problem(value: &Value, _bounds: Option<&str>) -> String {
        Self::parse(text(value).unwrap_or_default()).err().unwrap_or_default()
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_on_either_side() {
        assert!(network("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
        assert!(network("::ffff:10.0.0.0/104").contains(ip("10.1.2.3")));
        assert!(network("::ffff:10.0.0.1").contains(ip("10.0.0.1")));
        assert!(!network("::/0").contains(ip("::ffff:10.1.2.3")));
    }

    #[test]
    fn one_address_is_a_network_and_is_shown_without_a_prefix() {
        let one = network("192.0.2.7");
        assert!(one.contains(ip("192.0.2.7")) && !one.contains(ip("192.0.2.8")));
        assert_eq!(one.to_string(), "192.0.2.7");
        assert_eq!(network("2001:db8::/32").to_string(), "2001:db8::/32");
    }

    #[test]
    fn bits_beyond_the_prefix_are_an_error_that_says_both_ways_out() {
        let problem = Network::parse("10.1.0.0/8").unwrap_err();
        assert!(problem.contains("\"10.0.0.0/8\"") && problem.contains("\"10.1.0.0\""), "{problem}");
        for wrong in ["", "10.0.0", "10.0.0.0/33", "example.org", "fd00::/129"] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn around_gives_the_block_of_an_address() {
        assert_eq!(Network::around(ip("2001:db8::1:2:3:4"), 64), network("2001:db8::/64"));
        assert_eq!(Network::around(ip("::ffff:192.0.2.1"), 64), network("192.0.2.1"));
    }
}
