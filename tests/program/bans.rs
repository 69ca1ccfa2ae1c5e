//! Bans as an operator meets them: `dunlin ban`, the API behind it, and the lines that fail2ban reads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Output;

use dunlin_codec::{Connect, Packet, ReasonCode};
use regex::Regex;

use crate::support::client::{Client, bytes_of, hello, tcp};
use crate::support::dunlin::{Dunlin, command, directory, write};
use crate::{ANNA, BORIS_PASSWORD, log_in, login};

const CONFIG: &str = "http.address = '127.0.0.1:0'\nstore.path = 'data'\nserver.workers = 1\nban.allow = []\n\
                      listener = [{ url = 'mqtt://127.0.0.1:0' }]\n";

/// A broker with an operations port: itself, its listener, that port.
fn start(directory: &Path, more: &str) -> (Dunlin, SocketAddr, String) {
    let mut dunlin = Dunlin::start(directory, &format!("{CONFIG}{more}"));
    let listener = dunlin.address(0);
    let line = dunlin.wait_for("operations port");
    let port = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("its address");
    (dunlin, listener, port.to_owned())
}

/// Runs `dunlin ban`.
fn ban(directory: &Path, port: &str, arguments: &[&str]) -> Output {
    let place = ["--config", "dunlin.toml", "--http", port];
    let arguments = [&["ban"], arguments, &place].concat();
    command(directory, &arguments).output().expect("cargo builds it for the tests")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether somebody who connects is closed without a word.
fn is_shut_out(address: SocketAddr) -> bool {
    let mut client = Client::over(tcp(address));
    client.send(&bytes_of(&Packet::Connect(hello("somebody"))));
    client.frame().is_none()
}

#[test]
fn an_operator_bans_lists_and_lifts_bans_of_the_running_broker() {
    let directory = directory();
    let (_dunlin, listener, port) = start(directory.path(), "");
    let ban = |arguments: &[&str]| ban(directory.path(), &port, arguments);
    let added = ban(&["add", "127.0.0.0/8", "--for", "1h"]);
    assert!(added.status.success(), "{}", text(&added.stderr));
    assert!(is_shut_out(listener));
    assert!(ban(&["add", "203.0.113.7", "--client", "lamp"]).status.success());
    let listed = text(&ban(&["list"]).stdout);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].starts_with("127.0.0.0/8 operator 3"), "{listed}");
    assert!(lines[1].starts_with("203.0.113.7 client \"lamp\" operator "), "{listed}");
    assert!(ban(&["remove", "127.0.0.0/8"]).status.success());
    assert!(!is_shut_out(listener));
    let again = ban(&["remove", "127.0.0.0/8"]);
    assert_eq!(text(&again.stderr), "dunlin: 127.0.0.0/8 is not banned\n");
    let wrong = ban(&["add", "127.0.0.1/8"]);
    assert!(text(&wrong.stderr).contains("has bits beyond its prefix"), "{}", text(&wrong.stderr));
}

#[test]
fn without_the_token_nobody_learns_or_changes_anything() {
    let directory = directory();
    let (_dunlin, listener, port) = start(directory.path(), "");
    for (method, authorization) in [
        ("GET", String::new()),
        ("DELETE", format!("Authorization: Bearer {}\r\n", "0".repeat(64))),
        ("POST", "Authorization: Basic YTpi\r\n".to_owned()),
    ] {
        let body = "{\"network\": \"127.0.0.1\"}";
        let mut stream = TcpStream::connect(&port).expect("the port is open");
        let head = format!(
            "{method} /api/v1/bans HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("api-token"), "{answer}");
    }
    assert!(!is_shut_out(listener));
    // That of another broker opens nothing either.
    std::fs::write(directory.path().join("data/api-token"), "0".repeat(64)).expect("it can be replaced");
    let listed = ban(directory.path(), &port, &["list"]);
    assert!(text(&listed.stderr).contains("does not take the token"), "{}", text(&listed.stderr));
}

#[test]
fn who_is_in_the_allow_list_is_not_banned_and_a_broker_that_is_away_is_told() {
    let directory = directory();
    let (dunlin, _, port) = start(directory.path(), "");
    dunlin.stop();
    let listed = ban(directory.path(), &port, &["list"]);
    assert!(text(&listed.stderr).contains("no broker answers at"), "{}", text(&listed.stderr));
    let allowed = CONFIG.replace("ban.allow = []", "ban.allow = ['127.0.0.0/8']");
    let mut dunlin = Dunlin::start(directory.path(), &allowed);
    let line = dunlin.wait_for("operations port");
    let port = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("its address");
    let refused = ban(directory.path(), port, &["add", "127.0.0.1"]);
    let expected = "dunlin: 127.0.0.1 is never banned, because ban.allow lists it\n";
    assert_eq!(text(&refused.stderr), expected);
}

/// The regular expressions of the filter, for an address in brackets or not.
fn filter() -> Vec<Regex> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/fail2ban/dunlin.conf");
    let filter = std::fs::read_to_string(path).expect("the filter is there");
    let value = |key: &str| {
        let start = filter.find(&format!("\n{key} = ")).expect(key) + key.len() + 4;
        let end = filter[start..].find("\n\n").map_or(filter.len(), |end| start + end);
        filter[start..end].to_owned()
    };
    let expand = |line: &str| {
        line.trim().replace("%(_kind)s", &value("_kind")).replace("<ADDR>", "(?P<address>[0-9a-fA-F:.]+)")
    };
    value("failregex").lines().map(|line| Regex::new(&expand(line)).expect("it is valid")).collect()
}

#[test]
fn fail2ban_finds_each_failure_in_the_log_and_nothing_that_a_client_forges() {
    for format in ["text", "json"] {
        let directory = directory();
        write(directory.path(), "passwords", ANNA);
        let more = format!(
            "auth.password_file = 'passwords'\nauth.allow_anonymous = true\nlog.format = '{format}'\n"
        );
        let (dunlin, listener, _) = start(directory.path(), &more);
        assert_eq!(log_in(listener, "anna", BORIS_PASSWORD).1, ReasonCode::BadUserNameOrPassword);
        let mut rude = Client::over(tcp(listener));
        rude.send(&bytes_of(&Packet::PingReq));
        assert_eq!(rude.frame(), None);
        let forged = "x\" WARN refused address=203.0.113.7:1 kind=\"login\" {\"level\":\"WARN\",\"message\":\"refused\",\
                      \"address\":\"203.0.113.7:1\",\"kind\":\"login\"";
        Client::connected(tcp(listener), forged).disconnect();
        let refused = Connect { client_identifier: forged, ..login("anna", BORIS_PASSWORD) };
        assert_eq!(Client::over(tcp(listener)).connect(&refused), ReasonCode::BadUserNameOrPassword);
        let log = dunlin.stop().error;
        let filter = filter();
        let found: Vec<_> = log
            .lines()
            .filter_map(|line| filter.iter().find_map(|regex| regex.captures(line)))
            .map(|captures| captures["address"].to_owned())
            .collect();
        assert_eq!(found, ["127.0.0.1"; 3], "{log}");
        // The journal has the message alone.
        let messages = log.lines().filter_map(|line| line.split_once("WARN ")).map(|(_, message)| message);
        let found = messages.filter(|message| filter.iter().any(|regex| regex.is_match(message))).count();
        assert_eq!(found, if format == "text" { 3 } else { 0 }, "{log}");
    }
}
