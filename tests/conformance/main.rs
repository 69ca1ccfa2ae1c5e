//! The conformance suite: what a reader of the specification expects of a Server, as scripts of packets.
//!
//! A case in `scripts/*.mqtt` says what clients send and get. It runs in every protocol version that has its
//! packets, against the core in memory with virtual time (one shard and three, with and without a store that
//! is slow). `scripts/README.md` explains the notation; `DUNLIN_CASE` in the environment picks the cases
//! whose title contains it.
//!
//! The suite knows MQTT by itself (`tables.rs`, `encode.rs`, `decode.rs`) and takes nothing from the broker's
//! codec.

mod decode;
mod encode;
mod memory;
mod packet;
mod run;
mod script;
mod setup;
mod socket;
mod tables;
mod value;
mod words;

use memory::Memory;
use script::Case;
use socket::Sockets;
use std::path::{Path, PathBuf};

/// Shards, and whether there is a store.
const MEMORIES: [(u16, bool); 4] = [(1, false), (3, false), (1, true), (3, true)];

fn scripts() -> PathBuf {
    Path::new(file!()).with_file_name("scripts")
}

fn cases(name: &str) -> Vec<Case> {
    let file = scripts().join(name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let cases = script::parse(&text).unwrap_or_else(|error| panic!("scripts/{name}:{error}"));
    let wanted = std::env::var("DUNLIN_CASE").unwrap_or_default();
    cases.into_iter().filter(|case| case.title.contains(&wanted)).collect()
}

/// Runs all cases of a script in memory and lists those that fail.
fn in_memory(name: &str) {
    let mut failures = Vec::new();
    for case in &cases(name) {
        for version in &case.versions {
            for (shards, is_durable) in
                MEMORIES.into_iter().filter(|(_, is_durable)| *is_durable || !case.setup.needs_store)
            {
                let result = Memory::new(&case.setup, shards, is_durable)
                    .map_err(|error| format!("{}: {error}", case.line))
                    .and_then(|mut memory| run::run(case, *version, &mut memory));
                if let Err(error) = result {
                    let store = if is_durable { ", durable" } else { "" };
                    failures.push(format!(
                        "{} ({version}, {shards} shards{store})\n  scripts/{name}:{error}\n",
                        case.title
                    ));
                    break;
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n\n{}\n", failures.join("\n"));
}

/// Runs the cases of a script that need no virtual time against a broker with sockets, and lists those that
/// fail.
fn over_sockets(name: &str) {
    let mut failures = Vec::new();
    for case in cases(name).iter().filter(|case| !case.setup.only_in_memory) {
        for version in &case.versions {
            let result = Sockets::start(&case.setup)
                .map_err(|error| format!("{}: {error}", case.line))
                .and_then(|mut sockets| run::run(case, *version, &mut sockets));
            if let Err(error) = result {
                failures
                    .push(format!("{} ({version}, over sockets)\n  scripts/{name}:{error}\n", case.title));
            }
        }
    }
    assert!(failures.is_empty(), "\n\n{}\n", failures.join("\n"));
}

/// Declares the tests of each script and checks that none is forgotten.
macro_rules! scripts {
    ($($test:ident = $file:literal,)+) => {
        mod in_memory {
            $(#[test] fn $test() { super::in_memory($file); })+
        }

        mod over_sockets {
            $(#[test] fn $test() { super::over_sockets($file); })+
        }

        #[test]
        fn every_script_is_run() {
            let mut listed = vec![$($file.to_owned()),+];
            listed.sort();
            let mut found: Vec<String> = std::fs::read_dir(scripts())
                .expect("the scripts")
                .map(|entry| entry.expect("a script").file_name().to_string_lossy().into_owned())
                .filter(|name| name.ends_with(".mqtt"))
                .collect();
            found.sort();
            assert_eq!(listed, found);
        }
    };
}

scripts! {
    connect = "connect.mqtt",
    session = "session.mqtt",
    takeover = "takeover.mqtt",
    keep_alive = "keep-alive.mqtt",
    will = "will.mqtt",
    publish_qos0 = "publish-qos0.mqtt",
    publish_qos1 = "publish-qos1.mqtt",
    publish_qos2 = "publish-qos2.mqtt",
    redelivery = "redelivery.mqtt",
    ordering = "ordering.mqtt",
    flow_control = "flow-control.mqtt",
    packet_size = "packet-size.mqtt",
    message_properties = "message-properties.mqtt",
    message_expiry = "message-expiry.mqtt",
    topic_alias = "topic-alias.mqtt",
    retained = "retained.mqtt",
    subscribe = "subscribe.mqtt",
    unsubscribe = "unsubscribe.mqtt",
    topics = "topics.mqtt",
    mqtt_3_1 = "mqtt-3.1.mqtt",
    shared = "shared.mqtt",
    disconnect = "disconnect.mqtt",
    authentication = "authentication.mqtt",
    authorization = "authorization.mqtt",
    limits = "limits.mqtt",
    malformed = "malformed.mqtt",
    mixed_versions = "mixed-versions.mqtt",
    store = "store.mqtt",
    crash = "crash.mqtt",
}
