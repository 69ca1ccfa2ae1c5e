//! Who is shut out, and until when.
//!
//! A ban is about a network (mostly one address), or about one client identifier at an address: a client that flaps
//! must not shut out its neighbours behind the same router, nor somebody who uses its name elsewhere. All is in
//! memory and bounded. An address is looked up once for each length of prefix that any ban has.

use crate::config::Network;
use dunlin_core::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Bans at once. Beyond it the one that ends first makes room.
pub(super) const BANS_MAX: usize = 10_000;

/// Why somebody is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanCause {
    /// `ban.failures` in one `ban.window`.
    Failures,
    /// `ban.flapping` in one `ban.window`.
    Flapping,
    /// `dunlin ban add`.
    Operator,
}

impl BanCause {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Flapping => "flapping",
            Self::Operator => "operator",
        }
    }
}

/// Whom a ban is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Banned {
    /// Where it connects from.
    pub network: Network,
    /// The client identifier; none for everybody there.
    pub client: Option<Box<str>>,
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whom it is about.
    pub banned: Banned,
    /// Why.
    pub cause: BanCause,
    /// When it ends.
    pub until: Timestamp,
}

/// See the top of the file.
#[derive(Default)]
pub(super) struct Bans {
    bans: HashMap<Banned, (BanCause, Timestamp)>,
    /// How many bans have a prefix of this length, IPv4 and IPv6 apart.
    prefixes: BTreeMap<(bool, u8), usize>,
}

impl Bans {
    /// Bans somebody until then, or otherwise than before.
    pub fn add(&mut self, now: Timestamp, banned: Banned, cause: BanCause, until: Timestamp) {
        if self.bans.len() >= BANS_MAX && !self.bans.contains_key(&banned) {
            self.forget_ended(now);
            if self.bans.len() >= BANS_MAX {
                let first = self.bans.iter().min_by_key(|(_, (_, until))| *until);
                if let Some(banned) = first.map(|(banned, _)| banned.clone()) {
                    self.remove(&banned);
                }
            }
        }
        let prefix = prefix_of(&banned);
        if self.bans.insert(banned, (cause, until)).is_none() {
            *self.prefixes.entry(prefix).or_default() += 1;
        }
    }

    /// Ends a ban; whether there was one.
    pub fn remove(&mut self, banned: &Banned) -> bool {
        let was_there = self.bans.remove(banned).is_some();
        if was_there && let Some(count) = self.prefixes.get_mut(&prefix_of(banned)) {
            *count -= 1;
            if *count == 0 {
                self.prefixes.remove(&prefix_of(banned));
            }
        }
        was_there
    }

    /// Whether an address is banned, or this client at it.
    pub fn is_banned(&self, now: Timestamp, address: IpAddr, client: Option<&str>) -> bool {
        let is_ipv4 = address.to_canonical().is_ipv4();
        self.prefixes.keys().filter(|(of_ipv4, _)| *of_ipv4 == is_ipv4).any(|(_, prefix)| {
            let banned =
                Banned { network: Network::around(address, *prefix), client: client.map(Into::into) };
            self.bans.get(&banned).is_some_and(|(_, until)| now < *until)
        })
    }

    /// Those that are not over, by network.
    pub fn list(&mut self, now: Timestamp) -> Vec<Ban> {
        self.forget_ended(now);
        let mut bans: Vec<_> = self
            .bans
            .iter()
            .map(|(banned, (cause, until))| Ban { banned: banned.clone(), cause: *cause, until: *until })
            .collect();
        bans.sort_by(|one, other| one.banned.cmp(&other.banned));
        bans
    }

    fn forget_ended(&mut self, now: Timestamp) {
        let ended: Vec<_> = self
            .bans
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(banned, _)| banned.clone())
            .collect();
        for banned in ended {
            self.remove(&banned);
        }
    }
}

fn prefix_of(banned: &Banned) -> (bool, u8) {
    (banned.network.is_ipv4(), banned.network.prefix())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn everybody(network: &str) -> Banned {
        Banned { network: Network::parse(network).unwrap(), client: None }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_ban_holds_for_its_network_and_until_its_end() {
        let mut bans = Bans::default();
        bans.add(NOW, everybody("192.0.2.0/24"), BanCause::Operator, NOW.after_s(60));
        bans.add(NOW, everybody("2001:db8::/64"), BanCause::Failures, NOW.after_s(60));
        for address in ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::7"] {
            assert!(bans.is_banned(NOW.after_s(59), ip(address), None), "{address}");
            assert!(!bans.is_banned(NOW.after_s(60), ip(address), None), "{address}");
        }
        assert!(!bans.is_banned(NOW, ip("192.0.3.9"), None));
        assert!(bans.list(NOW.after_s(60)).is_empty());
        assert!(bans.prefixes.is_empty());
    }

    #[test]
    fn a_client_is_banned_at_its_address_and_nobody_else_is() {
        let mut bans = Bans::default();
        let flapping = Banned { client: Some("lamp".into()), ..everybody("192.0.2.1") };
        bans.add(NOW, flapping.clone(), BanCause::Flapping, NOW.after_s(60));
        assert!(bans.is_banned(NOW, ip("192.0.2.1"), Some("lamp")));
        assert!(!bans.is_banned(NOW, ip("192.0.2.1"), Some("door")));
        assert!(!bans.is_banned(NOW, ip("192.0.2.1"), None));
        assert!(!bans.is_banned(NOW, ip("192.0.2.2"), Some("lamp")));
        assert!(bans.remove(&flapping) && !bans.remove(&flapping));
    }

    #[test]
    fn when_there_are_too_many_the_one_that_ends_first_makes_room() {
        let mut bans = Bans::default();
        for number in 0..BANS_MAX as u32 + 1 {
            let address = Network::around(IpAddr::from(number.to_be_bytes()), 32);
            let banned = Banned { network: address, client: None };
            bans.add(NOW, banned, BanCause::Failures, NOW.after_s(100 + number));
        }
        assert_eq!(bans.list(NOW).len(), BANS_MAX);
        assert!(!bans.is_banned(NOW, ip("0.0.0.0"), None));
        assert!(bans.is_banned(NOW, ip("0.0.0.1"), None));
    }
}
