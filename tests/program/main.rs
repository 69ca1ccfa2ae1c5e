//! The program `dunlin`: what its operator sees. Start, messages, signals, exit status, logs.
//!
//! Each test runs the program itself in a directory of its own and reads what it writes.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod access;
mod acl;
mod api_access;
mod api_changes;
mod bans;
mod bench;
mod certificates;
mod configuration;
mod core_dumps;
mod documents;
mod health;
mod identities;
mod import;
mod life;
mod listeners;
mod log;
mod otlp;
mod passwd;
mod reload;
mod remote;
mod remote_broker;
mod scram;
mod service;
mod slow;
mod store;

use std::net::SocketAddr;
use std::path::Path;

use dunlin_codec::{Connect, ReasonCode};

use support::client::{Client, hello, tcp};
use support::dunlin::command;
use support::process::Process;

/// Runs a command of the program to its end; its status and what it wrote.
fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let ended = Process::start(&mut command(directory, arguments), "cargo builds it for the tests").finish();
    (ended.status, ended.output, ended.error)
}

/// The hash of [`ANNA_PASSWORD`], made by mosquitto_passwd.
const ANNA: &str = "anna:$7$101$xQMSy+BHTqHz+9+W$WuHfjO4WdySQ7RGbO53Kydw+mg0kPorwiGtd8l38aypNFsatHbJ0TEmoRrpPTOlq+XnY3Zs9+XJjgQrdgZbLuA==\n";

const ANNA_PASSWORD: &str = "anna-knows-this";

/// The hash of [`BORIS_PASSWORD`], made by mosquitto_passwd.
const BORIS: &str = "boris:$7$101$mPSOKoHfnFt8rkKz$zuH8fhlIr3UvphCv/cUJhLLcef/LFv0ZlnhLyGgU5vB4/BqAVDlgAwIhr4txBljxRrurUY8pUCK9nhTHexNyMA==\n";

const BORIS_PASSWORD: &str = "boris-knows-that";

/// The CONNECT of a user; the client identifier is the user name.
fn login<'a>(user: &'a str, password: &'a str) -> Connect<'a> {
    Connect { user_name: Some(user), password: Some(password.as_bytes()), ..hello(user) }
}

/// A client over TCP that has tried to log in, and what it was told.
fn log_in(address: SocketAddr, user: &str, password: &str) -> (Client, ReasonCode) {
    let mut client = Client::over(tcp(address));
    let reason = client.connect(&login(user, password));
    (client, reason)
}
