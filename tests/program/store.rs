//! `dunlin store`: looking into a store, copying it beside a broker that runs, and rescuing a damaged one.

use std::path::Path;

use dunlin_codec::QoS;

use crate::run;
use crate::support::client::{Client, hello, persistent, publish, success, tcp};
use crate::support::dunlin::{Dunlin, directory};

const CONFIG: &str = "listener = [{ url = 'mqtt://127.0.0.1:0' }]\nhttp.address = ''\nserver.workers = 2\n\
                      [store]\npath = 'data'\nsegment_size = '1MB'\n";

/// A broker that holds three messages for an absent client, and one Retained Message.
fn start(directory: &Path) -> Dunlin {
    let mut dunlin = Dunlin::start(directory, CONFIG);
    let address = dunlin.address(0);
    let mut anna = Client::over(tcp(address));
    assert!(!anna.resume(&persistent("anna")));
    anna.subscribe("plant/#");
    drop(anna);
    let mut boris = Client::over(tcp(address));
    boris.connect(&hello("boris"));
    for number in 1..=3 {
        boris.send(&publish("plant/7", format!("state {number}").as_bytes(), QoS::AtLeastOnce, number));
        boris.expect(&dunlin_codec::Packet::PubAck(success(number)));
    }
    dunlin
}

/// The standard output of a command that must succeed.
fn succeeds(directory: &Path, arguments: &[&str]) -> String {
    let (status, output, error) = run(directory, arguments);
    assert_eq!((status, error.as_str()), (0, ""), "{output}");
    output
}

#[test]
fn a_store_is_looked_into_and_copied_beside_its_broker_and_the_copy_starts() {
    let directory = directory();
    let dunlin = start(directory.path());
    let configured = ["--config", "dunlin.toml"];
    let checked = succeeds(directory.path(), &[&["store", "check"], &configured[..]].concat());
    assert!(checked.starts_with("data/log: 1 segment, "), "{checked}");
    assert!(checked.contains("; nothing is damaged\n"), "{checked}");
    let stats = succeeds(directory.path(), &["store", "stats", "data"]);
    assert!(stats.contains("1 Session, in all 3 messages, 42 bytes\n"), "{stats}");
    assert!(stats.contains("  \"anna\": 3 messages, 42 bytes, 1 subscription\n"), "{stats}");
    let copied = succeeds(directory.path(), &[&["store", "backup"], &configured[..], &["copy"]].concat());
    assert!(copied.starts_with("copy: "), "{copied}");
    assert_eq!(
        run(directory.path(), &["store", "backup", "data", "copy"]).2,
        "dunlin: copy/log of the store cannot be created: it is not empty\n"
    );
    dunlin.kill();

    let mut dunlin = Dunlin::start(directory.path(), &CONFIG.replace("'data'", "'copy'"));
    let mut anna = Client::over(tcp(dunlin.address(0)));
    assert!(anna.resume(&persistent("anna")));
    for number in 1..=3 {
        let payload = format!("state {number}");
        anna.next(|packet| match packet {
            Some(dunlin_codec::Packet::Publish(publish)) => assert_eq!(publish.payload, payload.as_bytes()),
            other => panic!("{other:?}"),
        });
    }
    dunlin.stop();
}

#[test]
fn a_damaged_store_is_refused_with_file_and_offset_and_what_is_whole_is_rescued() {
    let directory = directory();
    start(directory.path()).stop();
    let file = directory.path().join("data/log/0000000001.log");
    let mut bytes = std::fs::read(&file).unwrap();
    // A byte of the second message.
    let place = bytes.windows(7).position(|window| window == b"state 2").unwrap();
    bytes[place] ^= 1;
    std::fs::write(&file, &bytes).unwrap();

    for arguments in
        [&["store", "check", "data"][..], &["store", "stats", "data"], &["serve", "--config", "dunlin.toml"]]
    {
        let (status, output, error) = run(directory.path(), arguments);
        assert_eq!((status, output.as_str()), (1, ""), "{error}");
        assert!(error.starts_with("dunlin: the store is damaged at byte "), "{error}");
        assert!(
            error.contains(" of data/log/0000000001.log: what was written there is not whole"),
            "{error}"
        );
        assert!(error.ends_with("`dunlin store salvage`\n"), "{error}");
    }
    let salvaged = succeeds(directory.path(), &["store", "salvage", "data", "rescued"]);
    assert!(
        salvaged.starts_with("lost: ") && salvaged.contains("of data/log/0000000001.log\n"),
        "{salvaged}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    let stats = succeeds(directory.path(), &["store", "stats", "rescued"]);
    assert!(stats.contains("  \"anna\": 2 messages"), "{stats}");
}

#[test]
fn a_place_without_a_store_is_said() {
    let directory = directory();
    let (status, _, error) = run(directory.path(), &["store", "check", "nowhere"]);
    assert_eq!(
        (status, error.as_str()),
        (1, "dunlin: nowhere/log of the store cannot be opened: there is no such directory\n")
    );
}
