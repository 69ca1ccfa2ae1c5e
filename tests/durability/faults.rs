//! Faults planted between broker and observer: the checker must notice each.
//!
//! The history is one that a broker without fault gives; each test changes one thing in it.

use dunlin_codec::{PacketIdentifier, PacketType, QoS};

use crate::checks::{Owed, check, check_arrival, check_retained};
use crate::exchanges::{Receiver, Sender};
use crate::history::{Arrival, History, Kind, Subscription};

const PUBLISHER: usize = 0;
const READER: usize = 1;
const ANN: usize = 2;
const BEN: usize = 3;

fn subscription(history: &mut History, client: usize, filter: &'static str) {
    let (qos, acknowledged) = (QoS::ExactlyOnce, Some(history.event()));
    let subscription = Subscription { client, filter, qos, acknowledged, ended: None, gone: None };
    history.subscriptions.push(subscription);
}

/// Sends a message, acknowledged.
fn publication(history: &mut History, topic: &'static str, qos: QoS) -> usize {
    let number = history.announce(Kind::Message, PUBLISHER, topic, qos, 10);
    history.begin(number);
    history.acknowledge(number);
    number
}

fn arrival(history: &History, client: usize, publication: usize) -> Arrival {
    let qos = history.publications[publication].qos;
    Arrival { client, publication, qos, retain: false }
}

fn arrives(history: &mut History, client: usize, publication: usize) {
    let arrival = arrival(history, client, publication);
    check_arrival(history, &arrival).expect("it is wanted");
    history.arrive(arrival);
}

/// Clients, and their subscriptions.
fn beginning() -> History {
    let mut history = History::default();
    history.clients.extend(["publisher", "reader", "ann", "ben"].map(String::from));
    subscription(&mut history, READER, "t/#");
    subscription(&mut history, ANN, "$share/workers/jobs/#");
    subscription(&mut history, BEN, "$share/workers/jobs/#");
    history
}

#[track_caller]
fn is_noticed(history: &History, expected: &str) {
    let complaint = check(history).expect_err("the fault should be noticed");
    assert!(complaint.contains(expected), "{complaint}");
}

#[test]
fn a_history_without_fault_is_accepted() {
    let mut history = beginning();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let (letter, job) = (publication(&mut history, "t/a", qos), publication(&mut history, "jobs/a", qos));
        arrives(&mut history, READER, letter);
        arrives(&mut history, ANN, job);
    }
    // QoS 1 may come again, to another member, too.
    arrives(&mut history, READER, 0);
    arrives(&mut history, BEN, 1);
    assert_eq!(check(&history), Ok(Owed { messages: 2, wills: 0, jobs: 2 }));
}

#[test]
fn a_lost_message_is_noticed() {
    let mut history = beginning();
    publication(&mut history, "t/a", QoS::AtLeastOnce);
    is_noticed(&history, "never came to reader");
    let mut history = beginning();
    publication(&mut history, "jobs/a", QoS::ExactlyOnce);
    is_noticed(&history, "never came to any member of $share/workers/jobs/#");
}

#[test]
fn a_lost_will_is_noticed() {
    let mut history = beginning();
    let will = history.announce(Kind::Will, PUBLISHER, "t/will", QoS::AtLeastOnce, 10);
    assert_eq!(check(&history), Ok(Owed::default()));
    history.begin(will);
    history.acknowledge(will);
    is_noticed(&history, "Will 0 (t/will, QoS 1, by publisher, begun after 0 kills) never came to reader");
}

#[test]
fn a_will_before_its_time_or_after_its_end_is_noticed() {
    let mut history = beginning();
    let will = history.announce(Kind::Will, PUBLISHER, "t/will", QoS::AtLeastOnce, 10);
    let arrival = arrival(&history, READER, will);
    let complaint = check_arrival(&history, &arrival).expect_err("its connection has not ended");
    assert!(complaint.ends_with("its time has not come"), "{complaint}");
    history.publications[will].is_withdrawn = true;
    let complaint = check_arrival(&history, &arrival).expect_err("it was deleted");
    assert!(complaint.ends_with("had been deleted"), "{complaint}");
}

#[test]
fn a_repeated_qos_2_message_is_noticed() {
    let mut history = beginning();
    let letter = publication(&mut history, "t/a", QoS::ExactlyOnce);
    arrives(&mut history, READER, letter);
    arrives(&mut history, READER, letter);
    is_noticed(&history, "came 2 times to reader");
    let mut history = beginning();
    let job = publication(&mut history, "jobs/a", QoS::ExactlyOnce);
    arrives(&mut history, ANN, job);
    arrives(&mut history, BEN, job);
    is_noticed(&history, "came 2 times to the members of its group");
}

#[test]
fn swapped_messages_are_noticed() {
    let mut history = beginning();
    let first = publication(&mut history, "t/a", QoS::AtLeastOnce);
    let second = publication(&mut history, "t/a", QoS::AtLeastOnce);
    arrives(&mut history, READER, second);
    arrives(&mut history, READER, first);
    is_noticed(&history, "out of order");
}

#[test]
fn a_message_for_a_filter_that_was_unsubscribed_is_noticed() {
    let mut history = beginning();
    let (ended, gone) = (history.event(), history.event());
    (history.subscriptions[0].ended, history.subscriptions[0].gone) = (Some(ended), Some(gone));
    let letter = publication(&mut history, "t/a", QoS::AtLeastOnce);
    let arrival = arrival(&history, READER, letter);
    let complaint = check_arrival(&history, &arrival).expect_err("it is not subscribed");
    assert!(complaint.ends_with("without a subscription for it"), "{complaint}");
}

#[test]
fn a_damaged_message_is_not_recognised() {
    let mut history = beginning();
    let letter = publication(&mut history, "t/a", QoS::AtLeastOnce);
    let mut payload = history.payload(letter);
    assert_eq!(history.recognise(&payload), Some(letter));
    assert_eq!(history.recognise(&payload[..payload.len() - 1]), None);
    *payload.last_mut().expect("it has a filler") ^= 1;
    assert_eq!(history.recognise(&payload), None);
}

#[test]
fn an_outdated_retained_message_is_noticed() {
    let mut history = beginning();
    let numbers = [(); 3].map(|()| {
        let number = history.announce(Kind::Message, PUBLISHER, "r/a", QoS::AtLeastOnce, 10);
        history.publications[number].retain = true;
        history.begin(number);
        number
    });
    let [first, second, third] = numbers;
    history.acknowledge(first);
    history.acknowledge(second);
    let shows = |number: usize| check_retained(&history, "r/a", Some(&history.payload(number)));
    assert!(shows(first).is_err_and(|complaint| complaint.contains("should have one of [1, 2]")));
    assert_eq!((shows(second), shows(third)), (Ok(()), Ok(())));
    assert!(check_retained(&history, "r/a", None).is_err());
}

#[test]
fn a_retained_message_that_was_cleared_and_is_back_is_noticed() {
    let mut history = beginning();
    let mut numbers = [0; 2];
    for (number, kind) in numbers.iter_mut().zip([Kind::Message, Kind::Clearing]) {
        *number = history.announce(kind, PUBLISHER, "r/a", QoS::AtLeastOnce, 10);
        history.publications[*number].retain = true;
        history.begin(*number);
        history.acknowledge(*number);
    }
    assert_eq!(check_retained(&history, "r/a", None), Ok(()));
    assert!(check_retained(&history, "r/a", Some(&history.payload(numbers[0]))).is_err());
}

#[test]
fn an_identifier_used_for_two_messages_is_noticed() {
    let mut receiver = Receiver::default();
    let identifier = PacketIdentifier::new(7).expect("it is not 0");
    let mut handle = |dup, publication| {
        receiver.end_connection();
        receiver.handle_publish(identifier, QoS::ExactlyOnce, dup, Some(publication))
    };
    assert_eq!(handle(false, 1), Ok(true));
    assert_eq!(handle(true, 1), Ok(false));
    assert!(handle(false, 1).is_err_and(|complaint| complaint.contains("without DUP")));
    assert!(handle(true, 2).is_err_and(|complaint| complaint.contains("stands for message")));
}

#[test]
fn an_acknowledgement_of_nothing_is_noticed() {
    let mut sender = Sender::default();
    let identifier = sender.begin(5, QoS::ExactlyOnce);
    assert!(sender.handle(PacketType::PubAck, identifier).is_err());
    assert!(sender.handle(PacketType::PubComp, identifier).is_err());
    assert_eq!(sender.handle(PacketType::PubRec, identifier), Ok(5));
    assert_eq!(sender.handle(PacketType::PubComp, identifier), Ok(5));
    assert!(sender.handle(PacketType::PubComp, identifier).is_err());
}
