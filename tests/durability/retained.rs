//! What a new subscriber finds.

use std::collections::BTreeMap;

use dunlin_codec::Packet;

use crate::broker::Broker;
use crate::checks::check_retained;
use crate::crowd::RETAINED;
use crate::history::History;
use crate::support::client::{Client, bytes_of, subscribe, tcp};

/// New subscribers that look, so that more than one shard answers.
const OBSERVERS: usize = 2;

/// Judges the Retained Messages of all topics, as new subscribers find them.
pub fn look(broker: &Broker, history: &History) -> Result<(), String> {
    for number in 0..OBSERVERS {
        let found = find(broker, &format!("observer-{number}"));
        for topic in RETAINED {
            check_retained(history, topic, found.get(*topic).map(Vec::as_slice))?;
        }
    }
    Ok(())
}

/// The Retained Messages below `r/` that a new subscriber finds: what comes until the answer to a PINGREQ that is sent after SUBACK.
pub fn find(broker: &Broker, client_identifier: &str) -> BTreeMap<String, Vec<u8>> {
    enum Step {
        Found(String, Vec<u8>),
        Subscribed,
        Done,
    }
    let mut observer = Client::connected(tcp(broker.address()), client_identifier);
    observer.send(&subscribe("r/#"));
    let mut found = BTreeMap::new();
    loop {
        let step = observer.next(|packet| match packet {
            Some(Packet::Publish(publish)) => Step::Found(publish.topic.to_owned(), publish.payload.to_vec()),
            Some(Packet::SubAck(_)) => Step::Subscribed,
            Some(Packet::PingResp) => Step::Done,
            other => panic!("{other:?} instead of a Retained Message"),
        });
        match step {
            Step::Found(topic, payload) => drop(found.insert(topic, payload)),
            Step::Subscribed => observer.send(&bytes_of(&Packet::PingReq)),
            Step::Done => return found,
        }
    }
}
