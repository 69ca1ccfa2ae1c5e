//! Guessing at one user name from many addresses, which a proxy tells.
//!
//! Whose turn it is when is tested with time as a variable, in `src/worker/guesses.rs`; here it is shown that logins
//! come by there, and that the owner is not locked out.

use std::net::SocketAddr;
use std::time::Instant;

use dunlin::Broker;
use dunlin::worker::{DelayReason, RefusalReason};
use dunlin_codec::{Connect, Packet, ReasonCode};
use tempfile::TempDir;

use crate::gate::{ANNA, ANNA_PASSWORD, beginning_with, proxied, wait_until, with_listener};
use crate::support::client::{Client, bytes_of, hello};
use crate::support::dunlin::{directory, write};
use crate::support::process::DEADLINE;

/// A broker whose only user is guarded after five failures.
fn guarded(more: &str) -> (Broker, SocketAddr, TempDir) {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let passwords = directory.path().join("passwords").display().to_string();
    let (broker, address) = with_listener(
        ", proxy_protocol = ['127.0.0.0/8']",
        &format!(
            "auth.password_file = '{passwords}'\nban.user_failures = 5\nlimits.connect_timeout = '2s'\n{more}"
        ),
    );
    (broker, address, directory)
}

/// Somebody at this address who says to be anna and has not been answered.
fn asks(address: SocketAddr, from: &str, user_name: &str, password: &[u8]) -> Client {
    let mut client = Client::over(beginning_with(address, &proxied(from)));
    let connect = Connect { user_name: Some(user_name), password: Some(password), ..hello(from) };
    client.send(&bytes_of(&Packet::Connect(connect)));
    client
}

fn log_in(address: SocketAddr, from: &str, password: &[u8]) -> ReasonCode {
    asks(address, from, "anna", password).connack()
}

#[test]
fn many_addresses_that_guess_at_a_name_are_slow_and_its_owner_is_not_locked_out() {
    let (broker, address, _directory) = guarded("ban.allow = []");
    assert_eq!(log_in(address, "192.0.2.1", ANNA_PASSWORD), ReasonCode::Success);
    for number in 1..=5 {
        let from = format!("203.0.113.{number}");
        assert_eq!(log_in(address, &from, b"guess"), ReasonCode::BadUserNameOrPassword);
    }
    // However it is spelled: the password file tells these apart, others may not.
    let guessing: Vec<_> = (10..50)
        .map(|number| asks(address, &format!("203.0.113.{number}"), ["anna", "Anna "][number % 2], b"guess"))
        .collect();
    wait_until("there are too many", || broker.refusals(RefusalReason::LoginRate) >= 1);
    assert!(broker.delays(DelayReason::Login) >= 1);
    // Where she has logged in before, she does at once, and is still told of her own mistakes.
    assert_eq!(log_in(address, "192.0.2.1", ANNA_PASSWORD), ReasonCode::Success);
    assert_eq!(log_in(address, "192.0.2.1", b"mistyped"), ReasonCode::BadUserNameOrPassword);
    drop(guessing);
    // Elsewhere she gets in, too, if she tries again.
    let until = Instant::now() + DEADLINE;
    while log_in(address, "192.0.2.2", ANNA_PASSWORD) != ReasonCode::Success {
        assert!(Instant::now() < until, "she is never let in");
    }
}

#[test]
fn addresses_that_are_never_banned_neither_count_nor_wait() {
    let (broker, address, _directory) = guarded("ban.allow = ['10.0.0.0/8']");
    for number in 1..=20 {
        let from = format!("10.0.0.{number}");
        assert_eq!(log_in(address, &from, b"wrong"), ReasonCode::BadUserNameOrPassword);
    }
    assert_eq!(log_in(address, "203.0.113.1", b"wrong"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(log_in(address, "203.0.113.2", ANNA_PASSWORD), ReasonCode::Success);
    assert_eq!((broker.refusals(RefusalReason::LoginRate), broker.delays(DelayReason::Login)), (0, 0));
}
