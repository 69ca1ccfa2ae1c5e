//! What must be true of a [`History`], as the specification and the word "durable" say it, knowing nothing of
//! how the broker works.
//!
//! [`check_arrival`] judges each message as it comes: somebody sent it, and this client asked for it. At rest,
//! [`missing`] lists what was acknowledged and has not come, and [`check`] judges the whole:
//!
//! * QoS 1 at least once and QoS 2 exactly once, for every subscription that was acknowledged before the
//!   message was sent and stayed; for a shared group, by all its members together;
//! * first arrivals in the order of sending, for each publisher, topic and QoS;
//!
//! [`check_retained`] judges what a new subscriber finds.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::QoS;

use crate::history::{Arrival, History, Kind, Publication};

/// A delivery that is owed: to a client, or to any member of a group.
#[derive(Clone, PartialEq, Debug)]
pub enum Debt {
    ToClient { client: usize, publication: usize },
    ToGroup { share: &'static str, publication: usize },
}

/// Judges one arrival.
pub fn check_arrival(history: &History, arrival: &Arrival) -> Result<(), String> {
    let publication = &history.publications[arrival.publication];
    let what =
        || format!("{} came to {}", history.describe(arrival.publication), history.clients[arrival.client]);
    if publication.is_withdrawn {
        return Err(format!("{}, and had been deleted", what()));
    }
    let Some(began) = publication.began else {
        return Err(format!("{}, and its time has not come", what()));
    };
    if arrival.qos > publication.qos {
        return Err(format!("{} at a higher QoS", what()));
    }
    if arrival.retain && !publication.retain {
        return Err(format!("{} as retained, and is not", what()));
    }
    let is_wanted = history.subscriptions.iter().any(|subscription| {
        subscription.client == arrival.client
            && arrival.qos <= subscription.qos
            && subscription.gone.is_none_or(|gone| gone > began)
            && subscription.matches(publication.topic)
    });
    if is_wanted { Ok(()) } else { Err(format!("{} without a subscription for it", what())) }
}

/// Every delivery that the broker owes.
pub fn debts(history: &History) -> Vec<Debt> {
    let mut debts = Vec::new();
    for (number, publication) in history.publications.iter().enumerate() {
        // What clears a Retained Message cannot be told from others like it.
        if publication.acknowledged.is_none() || publication.kind == Kind::Clearing {
            continue;
        }
        let mut creditors = BTreeSet::new();
        let mut shares = BTreeSet::new();
        for subscription in history.subscriptions.iter().filter(|one| one.is_bound_to(publication)) {
            match subscription.is_shared() {
                true => drop(shares.insert(subscription.filter)),
                false => drop(creditors.insert(subscription.client)),
            }
        }
        debts.extend(creditors.into_iter().map(|client| Debt::ToClient { client, publication: number }));
        debts.extend(shares.into_iter().map(|share| Debt::ToGroup { share, publication: number }));
    }
    debts
}

/// Whether a delivery is still owed.
pub fn is_open(history: &History, debt: &Debt) -> bool {
    match debt {
        Debt::ToClient { client, publication } => !history.has_arrived(*client, *publication),
        Debt::ToGroup { share, publication } => {
            !members(history, share).any(|client| history.has_arrived(client, *publication))
        }
    }
}

/// What was acknowledged and has not come.
pub fn missing(history: &History) -> Vec<Debt> {
    debts(history).into_iter().filter(|debt| is_open(history, debt)).collect()
}

/// A complaint about what is missing.
pub fn describe_missing(history: &History, missing: &[Debt]) -> String {
    let first = missing.iter().take(5).map(|debt| match debt {
        Debt::ToClient { client, publication } => {
            format!("{} never came to {}", history.describe(*publication), history.clients[*client])
        }
        Debt::ToGroup { share, publication } => {
            format!("{} never came to any member of {share}", history.describe(*publication))
        }
    });
    format!("{} deliveries are missing: {}", missing.len(), first.collect::<Vec<_>>().join("; "))
}

fn members(history: &History, share: &'static str) -> impl Iterator<Item = usize> {
    history.subscriptions.iter().filter(move |one| one.filter == share).map(|one| one.client)
}

/// Deliveries that were owed.
#[derive(Default, Debug, PartialEq)]
pub struct Owed {
    pub messages: usize,
    pub wills: usize,
    pub jobs: usize,
}

/// Judges a run that has come to rest.
pub fn check(history: &History) -> Result<Owed, String> {
    let debts = debts(history);
    let missing: Vec<Debt> = debts.iter().filter(|debt| is_open(history, debt)).cloned().collect();
    if !missing.is_empty() {
        return Err(describe_missing(history, &missing));
    }
    check_repeats(history)?;
    check_order(history)?;
    let mut owed = Owed::default();
    for debt in debts {
        match debt {
            Debt::ToGroup { .. } => owed.jobs += 1,
            Debt::ToClient { publication, .. } => match history.publications[publication].kind {
                Kind::Will => owed.wills += 1,
                _ => owed.messages += 1,
            },
        }
    }
    Ok(owed)
}

fn is_job(publication: &Publication) -> bool {
    publication.topic.starts_with("jobs/")
}

fn check_repeats(history: &History) -> Result<(), String> {
    // A message of a group is one member's, so all members count as one client.
    let mut counts = BTreeMap::<(Option<usize>, usize), usize>::new();
    for arrival in history.arrivals.iter().filter(|arrival| !arrival.retain) {
        let publication = &history.publications[arrival.publication];
        if arrival.qos == QoS::ExactlyOnce {
            let client = (!is_job(publication)).then_some(arrival.client);
            *counts.entry((client, arrival.publication)).or_default() += 1;
        }
    }
    match counts.into_iter().find(|(_, count)| *count > 1) {
        Some(((client, number), count)) => {
            let whom = client.map_or("the members of its group", |client| history.clients[client].as_str());
            Err(format!("{} came {count} times to {whom}", history.describe(number)))
        }
        None => Ok(()),
    }
}

fn check_order(history: &History) -> Result<(), String> {
    let mut last = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for arrival in history.arrivals.iter().filter(|arrival| !arrival.retain) {
        let publication = &history.publications[arrival.publication];
        let is_bound = history.subscriptions.iter().any(|subscription| {
            subscription.client == arrival.client
                && !subscription.is_shared()
                && subscription.is_bound_to(publication)
        });
        // Without a subscription from before, the first transmission may have found none, and a later one
        // may have.
        let is_ordered = is_bound && publication.kind == Kind::Message;
        if !is_ordered || !seen.insert((arrival.client, arrival.publication)) {
            continue;
        }
        let stream = (arrival.client, publication.publisher, publication.topic, publication.qos, arrival.qos);
        if let Some(earlier) = last.insert(stream, arrival.publication)
            && earlier > arrival.publication
        {
            let (late, whom) = (history.describe(arrival.publication), &history.clients[arrival.client]);
            return Err(format!("{late} came to {whom} after message {earlier}, out of order"));
        }
    }
    Ok(())
}

/// Judges what a new subscriber found on a topic: one of the messages after which no other was begun that is
/// acknowledged.
pub fn check_retained(history: &History, topic: &str, found: Option<&[u8]>) -> Result<(), String> {
    let all = history.publications.iter().enumerate();
    let all = all.filter(|(_, one)| one.retain && one.topic == topic && one.began.is_some());
    let all: Vec<(usize, &Publication)> = all.collect();
    // When the latest of those that are acknowledged was begun, of all and of each publisher. That a message
    // arrived somewhere does not mean that it was durable.
    let (mut began_last, mut began_last_by) = (0, BTreeMap::new());
    for (_, one) in all.iter().filter(|(_, one)| one.acknowledged.is_some()) {
        let began = one.began.unwrap_or_default();
        began_last = began_last.max(began);
        let by_this = began_last_by.entry(one.publisher).or_default();
        *by_this = began.max(*by_this);
    }
    let is_latest = |one: &Publication| {
        let by_this = began_last_by.get(&one.publisher).copied().unwrap_or_default();
        one.acknowledged.is_none_or(|acknowledged| acknowledged > began_last) && one.sent_last >= by_this
    };
    let latest: Vec<&(usize, &Publication)> = all.iter().filter(|(_, one)| is_latest(one)).collect();
    let is_right = match found {
        Some(payload) => latest.iter().any(|(number, _)| history.payload(*number) == payload),
        None => {
            !latest.iter().any(|(_, one)| one.acknowledged.is_some())
                || latest.iter().any(|(_, one)| one.kind == Kind::Clearing)
        }
    };
    if is_right {
        return Ok(());
    }
    let latest: Vec<usize> = latest.iter().map(|(number, _)| *number).collect();
    let found = found.map(|payload| history.recognise(payload));
    Err(format!("{topic} has the Retained Message {found:?} and should have one of {latest:?}"))
}
