//! The checklist in docs/security.md: what it says is so, and `config/hardened.toml` passes it.
//!
//! The table there is read by a program, so that it cannot name an option or a test that does not exist, nor a value
//! that the file does not have. The file itself then starts a broker, unchanged but for port and data directory.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dunlin::config::sections;
use dunlin_codec::{Connect, Packet, QoS, ReasonCode};
use rustls::ClientConfig;

use support::client::{Client, hello, publish, subscribe, tcp};
use support::dunlin::{Dunlin, command, directory, write};
use support::{certificates, tls};

fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(in_project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of the checklist, without its head: item, requirements, options, tests.
fn rows() -> Vec<[String; 4]> {
    let text = read("docs/security.md");
    let (_, text) = text.split_once("\n## Checklist\n").expect("there is a checklist");
    let table = text.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|_| panic!("a row has four cells: {line}"))
    });
    rows.collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The values of a TOML text by the paths of their options.
fn values(text: &str) -> BTreeMap<String, toml::Value> {
    let table: toml::Table = toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let sections = table.into_iter().filter_map(|(section, options)| match options {
        toml::Value::Table(options) => Some((section, options)),
        _ => None,
    });
    sections
        .flat_map(|(section, options)| {
            options.into_iter().map(move |(name, value)| (format!("{section}.{name}"), value))
        })
        .collect()
}

#[test]
fn the_hardened_file_has_what_the_checklist_asks_for() {
    let defaults = sections().into_iter().flat_map(|section| {
        let options = section.options.into_iter();
        options
            .filter_map(move |option| Some(format!("{}.{} = {}", section.name, option.name, option.default?)))
    });
    let mut hardened: BTreeMap<_, _> = defaults.flat_map(|line| values(&line)).collect();
    hardened.extend(values(&read("config/hardened.toml")));
    let mut compared = 0;
    for [item, _, options, _] in rows() {
        for (path, value) in quoted(&options).filter(|option| option.contains(" = ")).flat_map(values) {
            assert_eq!(hardened.get(&path), Some(&value), "{path}, for: {item}");
            compared += 1;
        }
    }
    assert!(compared > 20, "the checklist names few options: {compared}");
}

#[test]
fn the_checklist_names_tests_that_exist() {
    let mut sources = String::new();
    let mut directories = vec![in_project("src"), in_project("tests"), in_project("crates")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the project").flatten() {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() && !path.ends_with("node_modules") => directories.push(path),
                Some(end) if end == "rs" => sources += &fs::read_to_string(&path).expect("a source"),
                _ => {}
            }
        }
    }
    let mut found = 0;
    for [item, _, _, tests] in rows() {
        for test in quoted(&tests).filter(|test| !test.contains(' ')) {
            assert!(
                sources.contains(&format!("#[test]\nfn {test}(")),
                "there is no test {test}, for: {item}"
            );
            found += 1;
        }
    }
    assert!(found > 20, "the checklist names few tests: {found}");
}

/// A broker by the hardened file, with certificates and rules made in a directory.
fn start(directory: &Path) -> Dunlin {
    let certs = directory.join("certs");
    fs::create_dir(&certs).expect("a new directory");
    let authority = certificates::make(&certs, "the authority of a test");
    authority.client("pump-7", "pump-7", 1007);
    authority.client("lost", "lost", 1008);
    authority.client("nameless", "", 1009);
    authority.revoke(&[1008]);
    fs::rename(certs.join("crl.pem"), certs.join("revoked.pem")).expect("a list was written");
    let rules = "[role.pump]\npublish = ['pumps/%u/#']\nsubscribe = ['commands/%u']\n[user.pump-7]\nroles = ['pump']\n";
    write(directory, "acl.toml", rules);
    let file = in_project("config/hardened.toml").display().to_string();
    let arguments =
        ["serve", "--config", &file, "--listen", "mqtts://0.0.0.0:0", "--http", "", "--data-dir", "data"];
    Dunlin::run(&mut command(directory, &arguments))
}

fn address(dunlin: &mut Dunlin) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], dunlin.address(0).port()))
}

fn log_in(
    address: SocketAddr,
    certificate: &Arc<ClientConfig>,
    connect: &Connect<'_>,
) -> (Client, ReasonCode) {
    let mut client = Client::over(tls::connect(address, certificate));
    let reason = client.connect(connect);
    (client, reason)
}

#[test]
fn only_a_client_with_a_good_certificate_gets_an_answer() {
    let directory = directory();
    let mut dunlin = start(directory.path());
    let address = address(&mut dunlin);
    let certs = directory.path().join("certs");
    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).expect("a new directory");
    certificates::make(&foreign, "another authority").client("pump-7", "pump-7", 1);
    fs::copy(certs.join("ca.pem"), foreign.join("ca.pem")).expect("a certificate");

    assert!(tls::is_served(address, &tls::showing(&certs, "pump-7")));
    let strangers = [
        ("no certificate", tls::trusting(&certs.join("ca.pem"), tls::EVERY_VERSION)),
        ("one of another authority", tls::showing(&foreign, "pump-7")),
        ("a revoked one", tls::showing(&certs, "lost")),
        ("TLS 1.2", tls::showing_over(&[&rustls::version::TLS12], &certs, "pump-7")),
    ];
    for (who, config) in strangers {
        assert!(!tls::is_served(address, &config), "{who}");
    }

    let mut plain = tcp(address);
    let connect = support::client::bytes_of(&Packet::Connect(hello("plain")));
    std::io::Write::write_all(&mut plain, &connect).expect("a connection takes a packet");
    let mut answer = Vec::new();
    // The end may come as an error of the connection, with bytes unread on the other side.
    let _ = plain.read_to_end(&mut answer);
    // An alert of TLS, or nothing: nothing of MQTT.
    assert!(answer.first().is_none_or(|&kind| kind == 0x15), "{answer:?}");

    let anonymous = log_in(address, &tls::showing(&certs, "nameless"), &hello("nameless"));
    assert_eq!(anonymous.1, ReasonCode::NotAuthorized);
}

#[test]
fn a_client_is_what_its_certificate_says_and_may_do_what_the_rules_grant() {
    let directory = directory();
    let mut dunlin = start(directory.path());
    let address = address(&mut dunlin);
    let pump = tls::showing(&directory.path().join("certs"), "pump-7");

    let (mut client, reason) = log_in(address, &pump, &hello("pump-7"));
    assert_eq!(reason, ReasonCode::Success);
    client.subscribe("commands/pump-7");
    client.publish("pumps/pump-7/pressure", b"3.1");
    client.send(&publish("pumps/pump-8/pressure", b"9.9", QoS::AtLeastOnce, 1));
    client.next(|packet| match packet {
        Some(Packet::PubAck(puback)) => assert_eq!(puback.reason_code, ReasonCode::NotAuthorized),
        other => panic!("{other:?} instead of PUBACK"),
    });
    client.send(&subscribe("commands/pump-8"));
    client.next(|packet| match packet {
        Some(Packet::SubAck(suback)) => assert_eq!(suback.reason_codes, [ReasonCode::NotAuthorized as u8]),
        other => panic!("{other:?} instead of SUBACK"),
    });
    client.disconnect();

    let claim = Connect { user_name: Some("pump-8"), password: Some(b"x"), ..hello("pump-8") };
    assert_eq!(log_in(address, &pump, &claim).1, ReasonCode::ClientIdentifierNotValid);
    // A certificate without a rule for its name lets its client in, to nothing.
    let other = tls::showing(&directory.path().join("certs"), "client");
    let (mut other, reason) = log_in(address, &other, &hello("client"));
    assert_eq!(reason, ReasonCode::Success);
    other.send(&subscribe("#"));
    other.next(|packet| match packet {
        Some(Packet::SubAck(suback)) => assert_eq!(suback.reason_codes, [ReasonCode::NotAuthorized as u8]),
        other => panic!("{other:?} instead of SUBACK"),
    });
}
