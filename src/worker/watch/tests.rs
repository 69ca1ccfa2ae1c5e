//! Limits and bans with time as a variable.

use super::*;
use crate::config::Config;
use crate::worker::{Gate, Spared};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn rules(text: &str) -> Rules {
    Rules::of(&Config::from_toml("test.toml", text).unwrap(), usize::MAX)
}

fn peer(text: &str) -> Peer {
    Peer::from(format!("{text}:4711").parse::<std::net::SocketAddr>().unwrap())
}

impl Watch {
    /// What becomes of a connection from there.
    fn comes(&mut self, now: Timestamp, from: &str, rules: &Rules) -> Result<(), RefusalReason> {
        let peer = peer(from);
        self.enter(now, peer.ip().unwrap(), block_of(peer).unwrap(), rules)
    }
}

#[test]
fn a_64_of_ipv6_counts_as_one_address_and_a_mapped_one_as_its_ipv4_address() {
    let rules = rules("limits.max_connections_per_address = 1");
    let mut watch = Watch::new();
    assert_eq!(watch.comes(NOW, "[2001:db8::1]", &rules), Ok(()));
    assert_eq!(watch.comes(NOW, "[2001:db8::ffff:1]", &rules), Err(RefusalReason::AddressConnections));
    assert_eq!(watch.comes(NOW, "[2001:db8:0:1::1]", &rules), Ok(()));
    assert_eq!(watch.comes(NOW, "192.0.2.1", &rules), Ok(()));
    assert_eq!(watch.comes(NOW, "[::ffff:192.0.2.1]", &rules), Err(RefusalReason::AddressConnections));
}

#[test]
fn a_flooding_address_does_not_use_up_the_connect_rate_of_all() {
    let rules = rules("limits.connect_rate = 10\nlimits.connect_rate_per_address = 2");
    let mut watch = Watch::new();
    let comes = |watch: &mut Watch, from: &str| watch.comes(NOW, from, &rules);
    assert_eq!((comes(&mut watch, "192.0.2.1"), comes(&mut watch, "192.0.2.1")), (Ok(()), Ok(())));
    for _ in 0..100 {
        assert_eq!(comes(&mut watch, "192.0.2.1"), Err(RefusalReason::AddressConnectRate));
    }
    for other in 10..18 {
        assert_eq!(comes(&mut watch, &format!("192.0.2.{other}")), Ok(()));
    }
    assert_eq!(comes(&mut watch, "192.0.2.99"), Err(RefusalReason::ConnectRate));
    assert_eq!(watch.comes(NOW.after_s(1), "192.0.2.99", &rules), Ok(()));
}

#[test]
fn an_address_that_keeps_failing_is_banned_for_the_duration() {
    let rules = rules("[ban]\nfailures = 3\nwindow = '1m'\nduration = '10m'\nallow = ['10.0.0.0/8']");
    let mut watch = Watch::new();
    let hostile = peer("203.0.113.7");
    assert!(!watch.note_failure(NOW, hostile, &rules));
    assert!(!watch.note_failure(NOW, hostile, &rules));
    assert_eq!(watch.comes(NOW, "203.0.113.7", &rules), Ok(()));
    assert!(watch.note_failure(NOW, hostile, &rules));
    assert_eq!(watch.comes(NOW.after_s(599), "203.0.113.7", &rules), Err(RefusalReason::Banned));
    assert_eq!(watch.comes(NOW.after_s(599), "203.0.113.8", &rules), Ok(()));
    assert_eq!(watch.comes(NOW.after_s(600), "203.0.113.7", &rules), Ok(()));
    // It begins anew then, even if its first failures were a moment ago.
    assert!(!watch.note_failure(NOW.after_s(600), hostile, &rules));
    // Slow enough is not banned; nor is who is in the allow list, however often it fails.
    for minute in 0..10 {
        assert!(!watch.note_failure(NOW.after_s(1000 + minute * 60), peer("203.0.113.9"), &rules));
        assert!((0..10).all(|_| !watch.note_failure(NOW, peer("10.0.0.1"), &rules)));
    }
}

#[test]
fn the_default_bans_nobody_in_a_private_network() {
    let (rules, mut watch) = (rules(""), Watch::new());
    for home in ["127.0.0.1", "192.168.1.5", "172.17.0.1", "10.0.0.9", "[fe80::1]", "[fd00::1]", "[::1]"] {
        assert!((0..1000).all(|_| !watch.note_failure(NOW, peer(home), &rules)), "{home}");
    }
    assert!((0..50).any(|_| watch.note_failure(NOW, peer("203.0.113.7"), &rules)));
}

#[test]
fn a_user_is_counted_by_client_identifier_so_that_a_takeover_is_no_second_connection() {
    const ANNA: u64 = 1;
    const BORIS: u64 = 2;
    let limits = rules("limits.max_connections_per_user = 2").limits;
    let mut watch = Watch::new();
    let claim = |watch: &mut Watch, user, client| watch.claim_user(NOW, user, client, &limits);
    assert_eq!((claim(&mut watch, ANNA, 1), claim(&mut watch, ANNA, 2)), (Ok(()), Ok(())));
    assert_eq!(claim(&mut watch, ANNA, 3), Err(RefusalReason::UserConnections));
    assert_eq!(claim(&mut watch, ANNA, 1), Ok(()));
    assert_eq!(claim(&mut watch, BORIS, 3), Ok(()));
    watch.release_user(ANNA, 1);
    assert_eq!(claim(&mut watch, ANNA, 3), Err(RefusalReason::UserConnections));
    watch.release_user(ANNA, 1);
    assert_eq!(claim(&mut watch, ANNA, 3), Ok(()));
    for (user, client) in [(ANNA, 2), (ANNA, 3), (BORIS, 3)] {
        watch.release_user(user, client);
    }
    assert!(!watch.users.entry(ANNA).is_held() && !watch.users.entry(BORIS).is_held());
}

#[test]
fn a_user_that_comes_too_often_is_refused_and_others_are_not_also_after_it_has_left() {
    let limits = rules("limits.connect_rate_per_user = 2").limits;
    let mut watch = Watch::new();
    let comes = |watch: &mut Watch, now, user| {
        let judged = watch.claim_user(now, user, 7, &limits);
        if judged.is_ok() {
            watch.release_user(user, 7);
        }
        judged
    };
    let often = [(); 3].map(|()| comes(&mut watch, NOW, 1));
    assert_eq!(often, [Ok(()), Ok(()), Err(RefusalReason::UserConnectRate)]);
    assert_eq!(comes(&mut watch, NOW, 2), Ok(()));
    assert_eq!(comes(&mut watch, NOW.after_s(1), 1), Ok(()));
}

#[test]
fn a_client_identifier_that_comes_too_often_is_refused_at_its_address_alone() {
    let limits = rules("limits.connect_rate_per_client = 1").limits;
    let mut watch = Watch::new();
    let mut comes =
        |now, from: &str, key| watch.judge_client(now, block_of(peer(from)).unwrap(), key, &limits);
    assert_eq!(comes(NOW, "192.0.2.1", 1), Ok(()));
    assert_eq!(comes(NOW, "192.0.2.1", 1), Err(RefusalReason::ClientConnectRate));
    assert_eq!((comes(NOW, "192.0.2.1", 2), comes(NOW, "192.0.2.2", 1)), (Ok(()), Ok(())));
    assert_eq!(comes(NOW.after_s(1), "192.0.2.1", 1), Ok(()));
}

#[test]
fn a_flood_of_refusals_does_not_flood_the_log_and_its_number_is_told() {
    let mut watch = Watch::new();
    let flood = peer("203.0.113.7");
    let lines: Vec<_> = (0..1000).filter_map(|_| watch.line(NOW, flood)).collect();
    assert_eq!(lines.len(), LINES_OF_ADDRESS as usize);
    assert!(lines.last().is_some_and(|line| line.is_last));
    // Others are still heard.
    let other = watch.line(NOW, peer("203.0.113.8"));
    assert_eq!(other, Some(Line { unlogged: 1000 - u64::from(LINES_OF_ADDRESS), is_last: false }));
    // A flood from everywhere is bounded, too, for its minute.
    let everywhere = |watch: &mut Watch, now| {
        let addresses = (0..250).flat_map(|c| (0..20).map(move |d| peer(&format!("198.18.{c}.{d}"))));
        addresses.filter_map(|address| watch.line(now, address)).count()
    };
    assert!(everywhere(&mut watch, NOW) < LINES_OF_ALL as usize);
    assert_eq!(everywhere(&mut watch, NOW.after_s(60)), LINES_OF_ALL as usize);
}

#[test]
fn who_is_in_the_allow_list_cannot_be_banned_by_hand() {
    let config = Config::from_toml("test.toml", "ban.allow = ['10.0.0.0/8']").unwrap();
    let gate = Gate::new(&config, 10);
    let banned = |network: &str| Banned { network: Network::parse(network).unwrap(), client: None };
    assert_eq!(gate.ban(banned("10.1.0.0/16"), None), Err(Spared));
    assert_eq!(gate.ban(banned("203.0.113.0/24"), None), Ok(()));
    assert_eq!(gate.bans().1.len(), 1);
    assert!(gate.lift_ban(&banned("203.0.113.0/24")) && !gate.lift_ban(&banned("203.0.113.0/24")));
}
