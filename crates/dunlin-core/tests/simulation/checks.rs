//! What must be true of a [`History`], as the specification says it, knowing nothing of how the broker works.
//!
//! [`check_arrival`] judges each message as it comes: somebody sent it, and this client asked for it.
//! [`check`] judges the whole when everything has come to rest, and counts what it found owed:
//!
//! * QoS 1 at least once and QoS 2 exactly once, for every subscription that was acknowledged before the
//!   message was sent and stayed, unless the Session ended, the message expired, the client takes none of its
//!   size, or a queue was full by settings;
//! * no copy too many: a message is sent anew to a Session at most as often as the broker took it in;
//! * first arrivals in the order of sending, for each publisher, topic and QoS ([MQTT-4.6.0-5],
//!   [MQTT-4.6.0-6]);
//! * a message of a shared group is with one member at a time, and ends with one.

use crate::history::{Arrival, History, Publication, Session, Subscription};
use crate::world::World;
use dunlin_codec::QoS;
use std::collections::{BTreeMap, BTreeSet};

/// Room for everything in a frame but the payload.
const HEAD_BYTES_MAX: usize = 64;

fn is_job(publication: &Publication) -> bool {
    publication.topic.starts_with("jobs/")
}

/// Judges one arrival.
pub fn check_arrival(history: &mut History, session: usize, arrival: &Arrival) {
    let publication = &history.publications[arrival.publication];
    let value = &history.sessions[session];
    let number = arrival.publication;
    let complaint = if publication.withdrawn.is_some() {
        Some(format!("Will {number} was deleted, and sent"))
    } else if arrival.qos > publication.qos {
        Some(format!("message {number} came at a higher QoS than it was published with"))
    } else if arrival.retain && !publication.retain {
        Some(format!("message {number} came as retained, and is not"))
    } else {
        let granted = value.subscriptions.iter().filter(|subscription| {
            subscription.matches(publication.topic)
                && !(subscription.no_local && publication.publisher == value.client)
                && !(arrival.retain && subscription.is_shared())
        });
        let is_wanted =
            granted.map(|subscription| subscription.qos).max().is_some_and(|qos| arrival.qos <= qos);
        (!is_wanted).then(|| format!("client {} did not subscribe to message {number}", value.client))
    };
    if let Some(complaint) = complaint {
        history.complain(complaint);
    }
}

/// Judges a run that has come to rest.
pub fn check(world: &World, is_lossy: bool) -> Result<usize, String> {
    let history = &world.history;
    let mut obligations = 0;
    for session in &history.sessions {
        let mut counts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for arrival in session.arrivals.iter().filter(|arrival| !arrival.retain) {
            let (new, exactly_once) = counts.entry(arrival.publication).or_default();
            *new += usize::from(!arrival.dup);
            *exactly_once += usize::from(arrival.qos == QoS::ExactlyOnce);
        }
        for (number, (new, exactly_once)) in &counts {
            let publication = &history.publications[*number];
            let copies_max = publication.copies_max();
            // What was acknowledged to the broker and not to its store before a crash comes again, and so does
            // a Will whose shard did not know any more that it was published; at QoS 2 nothing does.
            let again = match publication.qos {
                QoS::AtMostOnce => 0,
                _ if publication.is_will => history.crashes.len(),
                _ => publication.began.map_or(0, |began| history.crashes_after(began)),
            };
            let is_too_many = *new > copies_max * (1 + again) || *exactly_once > copies_max;
            if is_too_many && !is_job(publication) {
                return Err(format!(
                    "message {number} came {} times to client {}",
                    new.max(exactly_once),
                    session.client
                ));
            }
        }
        check_order(history, session, is_lossy)?;
        if !is_lossy && !session.is_over {
            let arrived: BTreeSet<usize> = counts.keys().copied().collect();
            obligations += check_complete(history, session, &arrived)?;
        }
    }
    let shares: BTreeSet<&str> = history
        .sessions
        .iter()
        .flat_map(|session| &session.subscriptions)
        .filter(|subscription| subscription.is_shared())
        .map(|subscription| subscription.filter)
        .collect();
    for share in shares {
        obligations += check_group(world, share, is_lossy)?;
    }
    Ok(obligations)
}

fn check_complete(history: &History, session: &Session, arrived: &BTreeSet<usize>) -> Result<usize, String> {
    let mut obligations = 0;
    for (number, publication) in history.publications.iter().enumerate() {
        let is_owed = is_owed(session, publication, u64::MAX) && !is_excused(publication, session);
        if publication.acknowledged.is_none() || !is_owed {
            continue;
        }
        if !arrived.contains(&number) {
            return Err(format!(
                "message {number} ({} {:?}) never came to client {}",
                publication.topic, publication.qos, session.client
            ));
        }
        obligations += 1;
    }
    Ok(obligations)
}

/// Whether the Session had a subscription for the message, at QoS 1 or 2, from before it was first sent until
/// an event.
fn is_owed(session: &Session, publication: &Publication, until: u64) -> bool {
    session.subscriptions.iter().any(|subscription| {
        !subscription.is_shared()
            && is_before(subscription, publication)
            && subscription.ended.is_none_or(|ended| ended > until)
            && subscription.qos.min(publication.qos) > QoS::AtMostOnce
            && !(subscription.no_local && publication.publisher == session.client)
            && subscription.matches(publication.topic)
    })
}

/// Whether the client knew of its subscription before the message was first sent.
fn is_before(subscription: &Subscription, publication: &Publication) -> bool {
    let acknowledged = subscription.acknowledged;
    acknowledged.is_some_and(|acknowledged| publication.began.is_some_and(|began| acknowledged < began))
}

fn is_excused(publication: &Publication, session: &Session) -> bool {
    let is_too_large = |maximum: u32| {
        publication.payload_length + publication.topic.len() + HEAD_BYTES_MAX > maximum as usize
    };
    // The message that clears a Retained Message has no number by which it could be recognised.
    publication.expires_at.is_some()
        || publication.payload_length == 0
        || session.maximum_packet_size.is_some_and(is_too_large)
}

fn check_order(history: &History, session: &Session, is_lossy: bool) -> Result<(), String> {
    let mut last: BTreeMap<(usize, &str, QoS, QoS), usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for arrival in session.arrivals.iter().filter(|arrival| !arrival.retain) {
        let publication = &history.publications[arrival.publication];
        // A Will is numbered when it is made, and sent at some later time. What was sent again may have found
        // no subscription the first time, or one at QoS 0, or no room, and was lost.
        let may_be_lost =
            is_lossy || publication.expires_at.is_some() || !is_owed(session, publication, arrival.event);
        // After a crash, what was under way between shards is routed again, also to who came to subscribe on another
        // shard while it was, and that may be after later ones.
        let is_routed_again = publication.began.is_some_and(|began| history.crashes_after(began) > 0);
        let may_be_late = (publication.transmissions.len() > 1 || is_routed_again) && may_be_lost;
        if is_job(publication) || publication.is_will || may_be_late || !seen.insert(arrival.publication) {
            continue;
        }
        let stream = (publication.publisher, publication.topic, publication.qos, arrival.qos);
        if let Some(earlier) = last.insert(stream, arrival.publication)
            && earlier > arrival.publication
        {
            let (late, client) = (arrival.publication, session.client);
            return Err(format!(
                "message {late} came to client {client} after message {earlier}, out of order"
            ));
        }
    }
    Ok(())
}

/// One member at a time, and one in the end.
fn check_group(world: &World, share: &str, is_lossy: bool) -> Result<usize, String> {
    let history = &world.history;
    let is_member =
        |session: &&Session| session.subscriptions.iter().any(|subscription| subscription.filter == share);
    let mut obligations = 0;
    let members: Vec<&Session> = history.sessions.iter().filter(is_member).collect();
    for (number, publication) in history.publications.iter().enumerate().filter(|(_, one)| is_job(one)) {
        let mut arrivals: Vec<&Arrival> = members
            .iter()
            .flat_map(|session| &session.arrivals)
            .filter(|it| it.publication == number)
            .collect();
        arrivals.sort_by_key(|arrival| arrival.event);
        for (position, arrival) in arrivals.iter().enumerate() {
            // What the network still held when the member was gone may be read late, and is no longer the
            // member's.
            let is_held = |other: &&&Arrival| {
                !has_returned(world, other, arrival.event) && !may_be_forgotten(world, other, arrival.event)
            };
            if !is_held(&arrival) {
                continue;
            }
            let held = arrivals[..position].iter().filter(is_held).count();
            if held >= publication.copies_max() {
                return Err(format!("message {number} went to {} members of {share}", held + 1));
            }
        }
        if publication.acknowledged.is_none() {
            continue;
        }
        let is_owed = members.iter().any(|session| {
            !session.is_over
                && session.subscriptions.iter().any(|subscription| {
                    subscription.filter == share
                        && subscription.matches(publication.topic)
                        && is_before(subscription, publication)
                        && subscription.ended.is_none()
                })
        });
        // An exchange at QoS 2 ends with the Session in which it began ([MQTT-4.8.2-5]).
        let may_have_ended =
            publication.qos == QoS::ExactlyOnce && members.iter().any(|session| session.is_over);
        let is_excused =
            is_lossy || may_have_ended || members.iter().any(|session| is_excused(publication, session));
        if !is_owed || is_excused {
            continue;
        }
        if arrivals.is_empty() {
            return Err(format!(
                "message {number} ({:?}) never came to any member of {share}",
                publication.qos
            ));
        }
        obligations += 1;
    }
    Ok(obligations)
}

/// Whether the broker had taken the message back when `event` happened: its member had left without
/// acknowledging it, or a crash came before the acknowledgement was durable, for which no member waits.
fn has_returned(world: &World, arrival: &Arrival, event: u64) -> bool {
    let wire = &world.wires[arrival.wire];
    arrival.qos == QoS::AtLeastOnce
        && (has_crashed_since(world, arrival, event)
            || (wire.left.is_some_and(|left| left < event)
                && arrival.acknowledged_at.is_none_or(|sent| sent > wire.used)))
}

/// Whether a Session with the message at QoS 2 ended in a crash, or so shortly before that the group did not
/// come to record it: the group knows nothing of the exchange then, and gives the message to another member.
fn may_be_forgotten(world: &World, arrival: &Arrival, event: u64) -> bool {
    let is_over = world.wires[arrival.wire].session.is_none_or(|life| world.history.sessions[life].is_over);
    is_over && has_crashed_since(world, arrival, event)
}

/// Whether a crash came after the message had been sent, and before `event`. What was sent before it may be
/// read after it.
fn has_crashed_since(world: &World, arrival: &Arrival, event: u64) -> bool {
    let sent = world.wires[arrival.wire].left.map_or(arrival.event, |left| left.min(arrival.event));
    world.history.crashes.iter().any(|crash| sent <= *crash && *crash < event)
}

/// Judges what a new subscriber found on a topic: one of the messages after which no other is known to have
/// come.
pub fn check_retained(world: &World, topic: &str, found: Option<&[u8]>) -> Result<(), String> {
    let history = &world.history;
    let all: Vec<(usize, &Publication)> = history
        .publications
        .iter()
        .enumerate()
        .filter(|(_, one)| one.retain && one.topic == topic && one.began.is_some())
        .collect();
    let arrived: BTreeSet<usize> = history
        .sessions
        .iter()
        .flat_map(|session| &session.arrivals)
        .map(|arrival| arrival.publication)
        .collect();
    // What arrived without being acknowledged was durable nowhere yet, perhaps, and a crash took it back.
    let is_known = |number: usize, one: &Publication| {
        let is_kept = one.began.is_some_and(|began| history.crashes_after(began) == 0);
        one.acknowledged.is_some() || (is_kept && arrived.contains(&number))
    };
    let is_latest = |one: &Publication| {
        !all.iter().any(|(number, later)| {
            is_known(*number, later)
                && later.began.is_some_and(|began| {
                    one.acknowledged.is_some_and(|acknowledged| acknowledged < began)
                        || (one.publisher == later.publisher && one.sent_last < began)
                })
        })
    };
    let latest: Vec<&(usize, &Publication)> = all.iter().filter(|(_, one)| is_latest(one)).collect();
    let is_right = match found {
        Some(payload) => latest.iter().any(|(number, _)| history.payload(*number) == payload),
        None => {
            // The broker counts from when it received the message, so that is not before the publisher's
            // count.
            let may_be_gone = |one: &Publication| {
                one.payload_length == 0 || one.expires_at.is_some_and(|at| at <= world.now)
            };
            !latest.iter().any(|(number, one)| is_known(*number, one))
                || latest.iter().any(|(_, one)| may_be_gone(one))
        }
    };
    if is_right {
        return Ok(());
    }
    let latest: Vec<usize> = latest.iter().map(|(number, _)| *number).collect();
    let found = found.map(|payload| history.recognise(payload));
    Err(format!("{topic} has the Retained Message {found:?} and should have one of {latest:?}"))
}
