//! Records as bytes and back.

use super::material::{START, message, queued, removed, show};
use crate::bodies::REACH;
use crate::frame::{HEADER_BYTES, Header, Kind, frame_at, frame_bytes, seal};
use crate::record_reader::{Entry, RecordReader};
use crate::record_writer::RecordWriter;
use crate::replay::Replay;
use crate::segment::Salt;
use crate::varint::{Fields, put_difference, put_number};
use dunlin_codec::{PacketIdentifier, QoS};
use dunlin_core::Timestamp;
use dunlin_core::identity::{ClientIdentifier, Identity};
use dunlin_core::image::Home;
use dunlin_core::journal::{GroupNumber, Record, Segment, SessionNumber};
use dunlin_core::message::{ApplicationMessage, MemoryGauge, MessageId, Publication, Writer};
use dunlin_core::router::Subscription;
use dunlin_core::session::Identifiers;
use dunlin_core::settings::SessionExpiryInterval;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_micros)
}

fn qos() -> impl Strategy<Value = QoS> {
    (0u8..3).prop_map(|bits| QoS::from_bits(bits).unwrap())
}

fn packet_identifier() -> impl Strategy<Value = PacketIdentifier> {
    (1u16..).prop_map(|number| PacketIdentifier::new(number).unwrap())
}

fn identifier() -> impl Strategy<Value = u32> {
    1u32..1 << 28
}

fn ticket() -> impl Strategy<Value = Option<(GroupNumber, u64)>> {
    option::of((any::<u64>().prop_map(GroupNumber), any::<u64>()))
}

prop_compose! {
    fn writer()(
        client in ".{1,20}",
        (user_name, policy) in (option::of(".{0,12}"), option::of(".{0,12}")),
    ) -> Arc<Writer> {
        let client_identifier = ClientIdentifier::new(&client).unwrap();
        let (user_name, policy) = (user_name.map(Box::from), policy.map(Box::from));
        let identity = Arc::new(Identity { user_name, policy, valid_until: None });
        Arc::new(Writer { client_identifier, identity })
    }
}

prop_compose! {
    fn any_message()(
        (received_at, boot_epoch, origin) in (timestamp(), any::<u32>(), any::<u16>()),
        (qos, retain, publisher) in (qos(), any::<bool>(), any::<u64>()),
        (expires_at, writer) in (option::of(timestamp()), option::of(writer())),
        (topic, forwarded, payload) in (".{0,20}", vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..300)),
    ) -> ApplicationMessage {
        let (id, gauge) = (MessageId { received_at, boot_epoch, origin }, MemoryGauge::default());
        let mut publication = Publication::new(id, &topic, qos, retain);
        (publication.publisher, publication.expires_at) = (publisher, expires_at);
        (publication.forwarded, publication.payload) = (&forwarded, &payload);
        publication.writer = writer;
        publication.keep(&gauge)
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let session = || any::<u64>().prop_map(SessionNumber);
    let group = || any::<u64>().prop_map(GroupNumber);
    let text = || ".{0,12}".prop_map(Box::<str>::from);
    prop_oneof![
        (
            session(),
            ".{1,150}",
            option::of((text(), option::of(text()))),
            any::<u32>(),
            option::of(timestamp())
        )
            .prop_map(|(session, client, who, seconds, away_since)| {
                let (user_name, policy) =
                    who.map_or((None, None), |(user_name, policy)| (Some(user_name), policy));
                let client = ClientIdentifier::new(&client).unwrap();
                let expiry = SessionExpiryInterval::from_seconds(seconds);
                Record::Session { session, client, user_name, policy, expiry, away_since }
            }),
        (session(), timestamp()).prop_map(|(session, since)| Record::SessionAway { session, since }),
        session().prop_map(|session| Record::SessionEnded { session }),
        (session(), text(), 0u8..3, any::<bool>(), any::<bool>(), 0u32..1 << 28).prop_map(
            |(session, filter, maximum_qos, no_local, retain_as_published, identifier)| {
                let subscription = Subscription { maximum_qos, no_local, retain_as_published, identifier };
                Record::Subscribed { session, filter, subscription }
            }
        ),
        (session(), text()).prop_map(|(session, filter)| Record::Unsubscribed { session, filter }),
        (session(), any::<u64>(), any_message(), qos(), any::<bool>(), vec(identifier(), 0..4), ticket())
            .prop_map(|(session, order, message, qos, retain, identifiers, ticket)| {
                let identifiers = Identifiers::from_slice(&identifiers);
                Record::Queued { session, order, message, qos, retain, identifiers, ticket }
            }),
        (session(), text(), option::of(text())).prop_map(|(session, filter, after)| Record::RetainedOwed {
            session,
            filter,
            after
        }),
        (session(), text()).prop_map(|(session, filter)| Record::RetainedSent { session, filter }),
        (session(), any::<u64>(), packet_identifier()).prop_map(|(session, order, packet_identifier)| {
            Record::Sent { session, order, packet_identifier }
        }),
        (session(), any::<u64>(), packet_identifier(), ticket()).prop_map(
            |(session, order, packet_identifier, ticket)| {
                Record::Released { session, order, packet_identifier, ticket }
            }
        ),
        (session(), any::<u64>()).prop_map(|(session, order)| Record::Removed { session, order }),
        (session(), packet_identifier())
            .prop_map(|(session, packet_identifier)| Record::Received { session, packet_identifier }),
        (session(), packet_identifier())
            .prop_map(|(session, packet_identifier)| Record::Completed { session, packet_identifier }),
        any_message().prop_map(|message| Record::Retained { message }),
        (session(), any_message(), option::of(any::<u32>()), any::<u32>()).prop_map(
            |(session, message, expiry_s, delay_s)| Record::WillSet { session, message, expiry_s, delay_s }
        ),
        session().prop_map(|session| Record::WillRemoved { session }),
        (group(), text()).prop_map(|(group, name)| Record::Group { group, name: Arc::from(&*name) }),
        (group(), any::<u64>(), any_message()).prop_map(|(group, sequence, message)| Record::GroupQueued {
            group,
            sequence,
            message
        }),
        (group(), any::<u64>()).prop_map(|(group, sequence)| Record::GroupTaken { group, sequence }),
        group().prop_map(|group| Record::GroupEnded { group }),
        (any_message(), home()).prop_map(|(message, from)| Record::Routing { message, from }),
        (any_message(), home()).prop_map(|(message, home)| Record::RoutedTo { id: message.id, home }),
        any_message().prop_map(|message| Record::Routed { id: message.id }),
    ]
}

fn home() -> impl Strategy<Value = Home> {
    (any::<u16>(), any::<u16>()).prop_map(|(shard, shards)| Home { shard, shards })
}

/// Records as the log would write them.
fn write(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes, START);
    for record in records {
        if let Some(message) = record.message() {
            writer.body(message);
        }
        writer.append(record);
    }
    bytes
}

/// What is read again; bodies are not among it.
fn read(bytes: &[u8]) -> Result<Vec<Record>, &'static str> {
    let mut reader = RecordReader::new(bytes, START);
    let mut bodies: HashMap<MessageId, ApplicationMessage> = HashMap::new();
    let mut records = Vec::new();
    while let Some(entry) = reader.next(|id| bodies.get(&id).cloned())? {
        match entry {
            Entry::Body(body) => drop(bodies.insert(body.id, body.message(&MemoryGauge::default()))),
            Entry::Record(record) => records.push(record),
            Entry::Dangling => panic!("every body is there"),
            Entry::Unknown => {}
        }
    }
    Ok(records)
}

/// A record as text, its message included.
fn text(record: &Record) -> String {
    let mut record = record.clone();
    let shown = record.message().map(show).unwrap_or_default();
    if let Record::Queued { message, .. }
    | Record::Retained { message }
    | Record::WillSet { message, .. }
    | Record::GroupQueued { message, .. }
    | Record::Routing { message, .. } = &mut record
    {
        *message = self::message(&MemoryGauge::default(), 0, 0, "", b"");
    }
    format!("{record:?} {shown}")
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn every_record_is_read_as_it_was_written(records in vec(any_record(), 0..12)) {
        prop_assert_eq!(texts(&read(&write(&records)).unwrap()), texts(&records));
    }

    #[test]
    fn unknown_kinds_between_records_are_passed_over(
        records in vec(any_record(), 1..6), kind in 100u8.., unknown in vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = Vec::new();
        for _ in &records {
            let mut writer = RecordWriter::new(&mut bytes, START);
            writer.record(kind, |writer| writer.bytes_mut().extend_from_slice(&unknown));
        }
        let first = bytes.len();
        bytes.extend(write(&records));
        bytes.extend_from_within(..first);
        prop_assert_eq!(texts(&read(&bytes).unwrap()), texts(&records));
    }

    #[test]
    fn fields_behind_the_known_ones_are_passed_over(record in any_record(), extra in vec(any::<u8>(), 1..50)) {
        let bytes = write(std::slice::from_ref(&record));
        let mut rest = Fields(&bytes);
        let mut longer = Vec::new();
        while !rest.0.is_empty() {
            let kind = rest.byte().unwrap();
            let fields = rest.bytes().unwrap();
            // A body is checked as a whole, so it has the place for more within its checksum.
            let extra = if kind == 1 { &[][..] } else { &extra[..] };
            longer.push(kind);
            put_number(&mut longer, (fields.len() + extra.len()) as u64);
            longer.extend_from_slice(fields);
            longer.extend_from_slice(extra);
        }
        prop_assert_eq!(texts(&read(&longer).unwrap()), [text(&record)]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let mut replay = Replay::new(Segment(1), &[], |_, _| {});
        let header = Header {
            segment: Segment(1), begins: Segment(1), sequence: 1, durable_through: 0, written_at: START,
            kind: Kind::Records,
        };
        let mut buffer = vec![0; HEADER_BYTES];
        buffer.extend_from_slice(&bytes);
        seal(&mut buffer, &header, Salt([7; 8]));
        let frame = frame_at(&buffer, 0, Segment(1), Salt([7; 8])).unwrap();
        prop_assert_eq!(frame.payload, &bytes[..]);
        let _ = replay.frame(&frame);
    }

    #[test]
    fn a_record_that_is_cut_or_changed_does_not_panic(
        records in vec(any_record(), 1..4), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = write(&records);
        let place = place.index(bytes.len());
        let _ = RecordReader::new(&bytes[..place], START).next(|_| None);
        bytes[place] = byte;
        let mut reader = RecordReader::new(&bytes, START);
        while let Ok(Some(_)) = reader.next(|_| None) {}
    }

    #[test]
    fn numbers_are_read_as_they_were_written(number in any::<u64>(), from in timestamp(), to in timestamp()) {
        let mut bytes = Vec::new();
        put_number(&mut bytes, number);
        put_difference(&mut bytes, from, to);
        let mut fields = Fields(&bytes);
        prop_assert_eq!((fields.number().unwrap(), fields.difference(from).unwrap()), (number, to));
        prop_assert!(fields.0.is_empty());
    }
}

#[test]
fn a_message_costs_sixty_bytes_more_than_itself_from_queue_to_acknowledgement() {
    let gauge = MemoryGauge::default();
    let messages: Vec<_> = (0..1000).map(|n| message(&gauge, 0, n * 7, "plant/7/state", &[1; 187])).collect();
    let records: Vec<_> = (100_000..)
        .zip(&messages)
        .flat_map(|(order, message)| {
            let session = SessionNumber(40_000);
            let packet_identifier = PacketIdentifier::new(order as u16 | 1).unwrap();
            let sent = Record::Sent { session, order, packet_identifier };
            [queued(40_000, order, message), sent, removed(40_000, order)]
        })
        .collect();
    let overhead_bytes = write(&records).len() / 1000 - 200;
    assert!(overhead_bytes <= 62, "{overhead_bytes} bytes");
}

#[test]
fn a_frame_with_one_changed_bit_is_none() {
    let header = Header {
        segment: Segment(3),
        begins: Segment(2),
        sequence: 77,
        durable_through: 76,
        written_at: START,
        kind: Kind::Records,
    };
    let mut buffer = vec![0; HEADER_BYTES];
    buffer.extend_from_slice(b"thirteen bytes");
    seal(&mut buffer, &header, Salt([1; 8]));
    assert_eq!(buffer.len(), frame_bytes(14));
    assert_eq!(frame_at(&buffer, 0, Segment(3), Salt([1; 8])).unwrap().header, header);
    assert!(frame_at(&buffer, 0, Segment(3), Salt([2; 8])).is_none());
    assert!(frame_at(&buffer, 0, Segment(4), Salt([1; 8])).is_none());
    for bit in 0..(HEADER_BYTES + 14) * 8 {
        buffer[bit / 8] ^= 1 << (bit % 8);
        assert!(frame_at(&buffer, 0, Segment(3), Salt([1; 8])).is_none(), "bit {bit}");
        buffer[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_reference_to_a_message_that_is_nowhere_is_damage_unless_the_log_begins_just_before() {
    let records = |segment: u32| {
        let mut buffer = vec![0; HEADER_BYTES];
        let message = message(&MemoryGauge::default(), 0, 1, "t", b"");
        RecordWriter::new(&mut buffer, START).append(&queued(1, 1, &message));
        let header = Header {
            segment: Segment(segment),
            begins: Segment(1),
            sequence: 1,
            durable_through: 0,
            written_at: START,
            kind: Kind::Records,
        };
        seal(&mut buffer, &header, Salt([0; 8]));
        let frame = frame_at(&buffer, 0, Segment(segment), Salt([0; 8])).unwrap();
        let mut replay = Replay::new(Segment(5), &[], |_, _| panic!("there is no message"));
        replay.frame(&frame).map(|()| replay.dangling)
    };
    assert_eq!(records(5 + REACH - 1), Ok(1));
    records(5 + REACH).unwrap_err();
}
