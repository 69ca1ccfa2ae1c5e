//! What an operator sees of a shard, at the size at which it must not stall the shard: a hundred thousand Sessions.

use dunlin_codec::{
    Connect, ConnectProperties, Packet, PacketIdentifier, ProtocolVersion, Publish, QoS, RetainHandling,
    Split, Subscribe, SubscribeFilters, SubscriptionFilter, SubscriptionOptions, encode_subscribe_filters,
    split,
};
use dunlin_core::authenticate::no_mechanisms;
use dunlin_core::handshake::{Handshake, Next};
use dunlin_core::identity::{ClientIdentifier, Identity};
use dunlin_core::settings::Settings;
use dunlin_core::shard::{
    OwnMessage, ShardConfig, SubscriptionPlace, TAPPED_MAX, Tapped, TopicCount, Unpublished, WINDOW_MIN,
};
use dunlin_core::slots::Key;
use dunlin_core::{Shard, Timestamp};
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn shard() -> (Shard, Settings) {
    let settings = Settings { sessions_max: 200_000, ..Settings::default() };
    (Shard::new(ShardConfig::single(settings.clone())), settings)
}

fn connect(shard: &mut Shard, settings: &Settings, client_identifier: &str) -> Key {
    connect_for(shard, settings, client_identifier, 3600)
}

fn connect_for(shard: &mut Shard, settings: &Settings, client_identifier: &str, expiry_s: u32) -> Key {
    let mut bytes = Vec::new();
    Connect {
        version: ProtocolVersion::V5,
        clean_start: true,
        keep_alive_s: 60,
        properties: ConnectProperties { session_expiry_interval_s: Some(expiry_s), ..Default::default() },
        client_identifier,
        will: None,
        user_name: None,
        password: None,
    }
    .encode(ProtocolVersion::V5, &mut bytes);
    let mut handshake = Handshake::new(settings.maximum_packet_size_bytes);
    let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
    assert!(matches!(handshake.handle_frame(frame, settings, &no_mechanisms(), 1), Next::Verify));
    let Next::Accepted(request) = handshake.accept(Identity::default()) else { panic!("it is let in") };
    shard.handle_connect(NOW, *request)
}

fn subscribe(shard: &mut Shard, client: Key, filters: &[&str]) {
    let options = |filter: &str| SubscriptionOptions {
        maximum_qos: QoS::AtLeastOnce,
        no_local: !filter.starts_with("$share/"),
        retain_as_published: false,
        retain_handling: RetainHandling::SendAtSubscribe,
    };
    let filters: Vec<_> =
        filters.iter().map(|filter| (SubscriptionFilter::parse(filter).unwrap(), options(filter))).collect();
    let filters = encode_subscribe_filters(&filters);
    send(
        shard,
        client,
        &Packet::Subscribe(Subscribe {
            packet_identifier: PacketIdentifier::new(1).unwrap(),
            subscription_identifier: None,
            user_properties: Default::default(),
            filters: SubscribeFilters::from_encoded(&filters),
        }),
    );
}

fn send(shard: &mut Shard, client: Key, packet: &Packet<'_>) {
    let mut bytes = Vec::new();
    packet.encode(ProtocolVersion::V5, &mut bytes);
    assert_eq!(shard.handle_input(NOW, client, &bytes).consumed, bytes.len());
}

fn own(topic: &str, payload: &[u8], qos: QoS, retain: bool) -> OwnMessage {
    let forwarded = Box::default();
    OwnMessage { topic: topic.into(), payload: payload.into(), qos, retain, expiry_s: None, forwarded }
}

#[test]
fn a_hundred_thousand_sessions_are_visited_once_each_and_a_visit_never_sees_more_than_its_budget() {
    let (mut shard, settings) = shard();
    for number in 0..100_000 {
        connect(&mut shard, &settings, &format!("client-{number}"));
    }
    let (mut seen, mut from, mut visits) = (BTreeSet::new(), Some(0), 0);
    while let Some(start) = from {
        let before = seen.len();
        from = shard.visit_clients(start, 2048, |sight| {
            assert!(sight.connection().is_some());
            assert!(seen.insert(sight.session().client_identifier.clone()), "seen twice");
        });
        assert!(seen.len() - before <= 2048);
        visits += 1;
        if visits == 3 {
            // Somebody comes and goes meanwhile: nobody else is missed or seen twice.
            connect(&mut shard, &settings, "late");
            assert!(shard.disconnect_client(NOW, &ClientIdentifier::new("client-50000").unwrap(), true));
        }
    }
    assert!(visits <= 100_000 / 2048 + 70, "the table's reserve is small");
    let all = (0..100_000).filter(|number| *number != 50_000);
    assert!(
        all.into_iter()
            .all(|number| { seen.contains(&ClientIdentifier::new(&format!("client-{number}")).unwrap()) })
    );
}

#[test]
fn subscriptions_are_paged_over_also_within_one_session() {
    let (mut shard, settings) = shard();
    let a = connect(&mut shard, &settings, "a");
    connect(&mut shard, &settings, "b");
    let c = connect(&mut shard, &settings, "c");
    subscribe(&mut shard, a, &["1", "2", "3", "$share/s/4/+"]);
    subscribe(&mut shard, c, &["5"]);
    let mut seen = Vec::new();
    let mut from = Some(SubscriptionPlace::default());
    while let Some(place) = from {
        let mut count = 0;
        from = shard.visit_subscriptions(place, 1000, |client, subscription| {
            let share = subscription.share.map(|share| format!("{share}:")).unwrap_or_default();
            seen.push(format!("{client} {share}{} {}", subscription.filter, subscription.options.no_local));
            count += 1;
            count < 2
        });
    }
    assert_eq!(seen, ["a 1 true", "a 2 true", "a 3 true", "a s:4/+ false", "c 5 true"]);
    // However small the budget, the walk comes to its end.
    let (mut count, mut from) = (0, Some(SubscriptionPlace::default()));
    while let Some(place) = from {
        from = shard.visit_subscriptions(place, 1, |_, _| {
            count += 1;
            true
        });
    }
    assert_eq!(count, 5);
}

#[test]
fn one_client_shows_what_it_wants_what_it_has_and_what_waits() {
    let (mut shard, settings) = shard();
    let client = connect(&mut shard, &settings, "a");
    subscribe(&mut shard, client, &["t", "$share/s/u"]);
    shard.publish(NOW, &own("t", b"1", QoS::AtLeastOnce, false));
    shard.handle_lost(NOW, client);
    shard.publish(NOW, &own("t", b"22", QoS::AtLeastOnce, false));
    let name = ClientIdentifier::new("a").unwrap();
    let detail = shard.client_detail(&name, 100).unwrap();
    let subscriptions: Vec<_> =
        detail.subscriptions.iter().map(|one| (&*one.filter, one.share.as_deref())).collect();
    assert_eq!(subscriptions, [("t", None), ("u", Some("s"))]);
    let [in_flight] = &detail.in_flight[..] else { panic!("{:?}", detail.in_flight) };
    let (qos, message) = in_flight.message.as_ref().unwrap();
    assert_eq!((*qos, message.topic(), message.payload()), (QoS::AtLeastOnce, "t", &b"1"[..]));
    let [queued] = &detail.queue[..] else { panic!("{:?}", detail.queue) };
    assert_eq!((queued.qos, queued.content_bytes), (QoS::AtLeastOnce, 3));
    assert!(shard.client_detail(&name, 0).unwrap().subscriptions.is_empty());
    assert!(shard.client_detail(&ClientIdentifier::new("b").unwrap(), 100).is_none());
}

#[test]
fn who_has_had_its_retained_messages_takes_no_more_room_than_who_had_none() {
    let (mut shard, settings) = shard();
    let size_of = |shard: &mut Shard, name: &str| {
        let mut size = None;
        shard.visit_clients(0, 2048, |sight| {
            let session = sight.session();
            if session.client_identifier.as_str() == name {
                size = Some(session.size_bytes());
            }
        });
        size.expect("it is there")
    };
    let before = connect_for(&mut shard, &settings, "before", 0);
    subscribe(&mut shard, before, &["a/+"]);
    shard.publish(NOW, &own("a/1", b"1", QoS::AtMostOnce, true));
    for (name, filter, had) in [("one", "a/+", 1), ("no", "b/+", 0)] {
        let sent = shard.counters().payload_bytes_sent;
        let after = connect_for(&mut shard, &settings, name, 0);
        subscribe(&mut shard, after, &[filter]);
        assert_eq!(shard.counters().payload_bytes_sent - sent, had, "bytes that {name} was owed");
        assert_eq!(size_of(&mut shard, name) - name.len(), size_of(&mut shard, "before") - "before".len());
    }
}

#[test]
fn a_group_shows_its_queue_and_its_members() {
    let (mut shard, settings) = shard();
    let client = connect(&mut shard, &settings, "worker");
    subscribe(&mut shard, client, &["$share/jobs/job/+"]);
    shard.publish(NOW, &own("job/1", b"", QoS::AtLeastOnce, false));
    let page = shard.groups_page(0, 100, 100, 100);
    assert_eq!((page.groups.len(), page.next), (1, None));
    let group = &page.groups[0];
    assert_eq!((&*group.name, group.queued_messages, group.lent_messages), ("$share/jobs/job/+", 0, 1));
    assert_eq!(shard.client_at(group.members[0].id.session).unwrap().as_str(), "worker");
    shard.handle_lost(NOW, client);
    let group = &shard.groups_page(0, 100, 100, 100).groups[0];
    assert_eq!((group.queued_messages, group.lent_messages), (1, 0), "what was not acknowledged came back");
    assert_eq!(group.oldest_at, Some(NOW));
    assert_eq!(shard.queued_in_groups().0, 1);
}

#[test]
fn a_tap_hears_each_message_once_and_loses_what_is_too_much() {
    let (mut shard, settings) = shard();
    shard.open_tap(7, vec!["a/+".into(), "a/#".into()]);
    let client = connect(&mut shard, &settings, "publisher");
    let message = Publish { topic: "a/b", payload: b"1", ..Publish::default() };
    send(&mut shard, client, &Packet::Publish(message));
    send(&mut shard, client, &Packet::Publish(Publish { topic: "b", ..message }));
    let Some(Tapped::Message { tap: 7, message: heard }) = shard.poll_tapped() else { panic!("it is heard") };
    assert_eq!((heard.topic(), heard.payload()), ("a/b", &b"1"[..]));
    assert!(shard.poll_tapped().is_none(), "once, and nothing else");
    for _ in 0..TAPPED_MAX + 5 {
        send(&mut shard, client, &Packet::Publish(message));
    }
    let heard: Vec<_> = std::iter::from_fn(|| shard.poll_tapped()).collect();
    assert_eq!(heard.len(), TAPPED_MAX + 1);
    assert!(matches!(heard.last(), Some(Tapped::Lost { tap: 7, count: 5 })));
    shard.close_tap(7);
    send(&mut shard, client, &Packet::Publish(message));
    assert!(shard.poll_tapped().is_none());
}

#[test]
fn what_would_not_be_kept_as_it_should_is_not_published() {
    let settings = Settings { retained_messages_max: 1, ..Settings::default() };
    let mut shard = Shard::new(ShardConfig::single(settings));
    let mut publish = |topic: &str| shard.publish_or_refuse(NOW, &own(topic, b"1", QoS::AtMostOnce, true));
    assert!(publish("a").is_ok());
    assert!(publish("a").is_ok(), "it takes the place of the first");
    assert_eq!(publish("b"), Err(Unpublished::NoRoom));
    assert_eq!(publish("$SYS/broker/x"), Err(Unpublished::Reserved));
    assert!(matches!(publish(&"a/".repeat(500)), Err(Unpublished::Topic(_))));
    assert_eq!(shard.retained_count(), 1);
    assert!(shard.retained_bytes() > 0);
}

#[test]
fn topics_are_counted_from_the_first_look_on() {
    let (mut shard, settings) = shard();
    let client = connect(&mut shard, &settings, "c");
    let publish = |shard: &mut Shard, topic: &str| {
        send(shard, client, &Packet::Publish(Publish { topic, payload: b"12", ..Publish::default() }));
    };
    publish(&mut shard, "plant/1");
    assert_eq!(shard.look_at_topics(NOW, "#").messages, 0);
    publish(&mut shard, "plant/1");
    publish(&mut shard, "home/1");
    shard.publish(NOW, &own("plant/1", b"345", QoS::AtMostOnce, false));
    let seen = shard.look_at_topics(NOW + WINDOW_MIN, "plant/+");
    let expected = TopicCount { topic: "plant/1".into(), messages: 2, bytes: 5, missed_max: 0 };
    assert_eq!((seen.messages, seen.kept_messages, seen.topics), (3, 3, vec![expected]));
}
