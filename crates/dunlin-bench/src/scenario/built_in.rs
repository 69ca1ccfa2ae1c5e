//! The scenarios that have a name, and the names that stand for several.

use std::borrow::Cow;

use dunlin_codec::QoS;

use super::{
    Beside, Day, Idle, Load, Queue, Rate, Recovery, Retained, Scenario, Storm, Subscribers, Subscriptions,
    Traffic,
};
use crate::Error;
use crate::transport::Transport;

/// 10 publishers, 10 subscribers, 10 topics, 64 bytes: what the pairwise scenarios have in common.
pub(super) const PAIRS: Traffic = Traffic {
    publishers: 10,
    subscribers: 10,
    presence: Subscribers::Clean,
    shared: false,
    topics: 10,
    qos: QoS::AtMostOnce,
    payload_bytes: 64,
    window: 20,
    ahead_max: 10_000,
    rate: None,
    warm_up_messages: 100_000,
    duration_ms: 5_000,
    prefix: "bench",
};

/// One publisher, one subscriber.
const ONE: Traffic = Traffic { publishers: 1, subscribers: 1, topics: 1, ..PAIRS };

/// Connections that say nothing.
const IDLE: Idle = Idle { connections: 5_000, warm_up_connections: 100, silent_ms: 10_000 };

/// Clients that connect over TLS, several at a time.
const HANDSHAKES: Storm =
    Storm { connections: 5_000, under_way: 20, warm_up_connections: 200, resumes: false };

/// One publisher to 1,000 subscribers.
const FAN_OUT: Traffic = Traffic { publishers: 1, subscribers: 1_000, topics: 1, ahead_max: 200, ..PAIRS };

/// 1,000 pairs. A publisher has little ahead, so that all together have no more under way than ten pairs.
const MANY: Traffic =
    Traffic { publishers: 1_000, subscribers: 1_000, topics: 1_000, ahead_max: 100, ..PAIRS };

/// The same at a fixed rate, warmed up for a second.
const fn at_rate(traffic: Traffic, rate_per_s: u32) -> Traffic {
    let warm_up_messages = rate_per_s as u64 * traffic.subscribers as u64;
    Traffic { rate: Some(Rate::PerSecond(rate_per_s)), warm_up_messages, ..traffic }
}

/// 10 pairs with 1,000 messages of 200 bytes outstanding together, stored for subscribers that are away.
const STORED: Traffic = Traffic {
    presence: Subscribers::Away,
    qos: QoS::AtLeastOnce,
    payload_bytes: 200,
    window: 100,
    warm_up_messages: 10_000,
    duration_ms: 3_000,
    ..PAIRS
};

/// One pair with one message outstanding.
const STORED_ONE: Traffic =
    Traffic { publishers: 1, subscribers: 1, topics: 1, window: 1, warm_up_messages: 20, ..STORED };

/// A new subscriber of everything that is retained.
const RETAINED: Retained =
    Retained { topics: 100_000, payload_bytes: 64, qos: QoS::AtLeastOnce, window: 1_000, is_stored: true };

const fn over(transport: Transport, name: &'static str, summary: &'static str, load: Load) -> Scenario {
    Scenario { name: Cow::Borrowed(name), summary: Cow::Borrowed(summary), transport, load }
}

const fn of_tcp(name: &'static str, summary: &'static str, load: Load) -> Scenario {
    over(Transport::Tcp, name, summary, load)
}

/// The scenarios that a comparison runs when none is named.
pub const DEFAULT_NAMES: [&str; 4] = ["qos0-10-10", "fan-out-1-1000", "qos1-10-10", "idle"];

/// All scenarios that have a name.
pub static BUILT_IN: [Scenario; 39] = [
    of_tcp(
        "qos0-10-10",
        "10 publishers to 10 subscribers in pairs, QoS 0, 64 bytes, saturated",
        Load::Traffic(PAIRS),
    ),
    of_tcp(
        "qos1-10-10",
        "10 publishers to 10 subscribers in pairs, QoS 1, window 20, 64 bytes, saturated",
        Load::Traffic(Traffic { qos: QoS::AtLeastOnce, ..PAIRS }),
    ),
    of_tcp(
        "qos2-10-10",
        "10 publishers to 10 subscribers in pairs, QoS 2, window 20, 64 bytes, saturated",
        Load::Traffic(Traffic { qos: QoS::ExactlyOnce, ..PAIRS }),
    ),
    of_tcp("qos0-1-1", "1 publisher to 1 subscriber, QoS 0, 64 bytes, saturated", Load::Traffic(ONE)),
    of_tcp(
        "qos1-1-1",
        "1 publisher to 1 subscriber, QoS 1, window 20, 64 bytes, saturated",
        Load::Traffic(Traffic { qos: QoS::AtLeastOnce, ..ONE }),
    ),
    of_tcp(
        "qos2-1-1",
        "1 publisher to 1 subscriber, QoS 2, window 20, 64 bytes, saturated",
        Load::Traffic(Traffic { qos: QoS::ExactlyOnce, ..ONE }),
    ),
    of_tcp(
        "qos0-1000-1000",
        "1,000 publishers to 1,000 subscribers in pairs, QoS 0, 64 bytes, saturated",
        Load::Traffic(MANY),
    ),
    of_tcp(
        "qos1-1000-1000",
        "1,000 publishers to 1,000 subscribers in pairs, QoS 1, window 20, 64 bytes, saturated",
        Load::Traffic(Traffic { qos: QoS::AtLeastOnce, ..MANY }),
    ),
    of_tcp(
        "fan-out-1-100",
        "1 publisher to 100 subscribers, QoS 0, 64 bytes, saturated",
        Load::Traffic(Traffic { publishers: 1, subscribers: 100, topics: 1, ahead_max: 1_000, ..PAIRS }),
    ),
    of_tcp(
        "fan-out-1-1000",
        "1 publisher to 1,000 subscribers, QoS 0, 64 bytes, saturated",
        Load::Traffic(FAN_OUT),
    ),
    of_tcp(
        "fan-out-1-10000",
        "1 publisher to 10,000 subscribers, QoS 0, 64 bytes, saturated",
        Load::Traffic(Traffic { subscribers: 10_000, ahead_max: 20, ..FAN_OUT }),
    ),
    of_tcp(
        "fan-out-1-100-16k",
        "1 publisher to 100 subscribers, QoS 0, 16,384 bytes, saturated",
        Load::Traffic(Traffic {
            subscribers: 100,
            payload_bytes: 16_384,
            ahead_max: 20,
            warm_up_messages: 5_000,
            ..FAN_OUT
        }),
    ),
    of_tcp(
        "large-1m",
        "1 publisher to 1 subscriber, QoS 0, 1,000,000 bytes, saturated",
        Load::Traffic(Traffic { payload_bytes: 1_000_000, ahead_max: 8, warm_up_messages: 200, ..ONE }),
    ),
    of_tcp(
        "shared-10-10",
        "10 publishers to a shared group of 10 members, QoS 1, window 20, 64 bytes, saturated",
        Load::Traffic(Traffic { qos: QoS::AtLeastOnce, shared: true, topics: 1, ..PAIRS }),
    ),
    of_tcp(
        "fan-in-100-1",
        "100 publishers to 1 subscriber, QoS 0, 64 bytes, saturated",
        Load::Traffic(Traffic { publishers: 100, subscribers: 1, topics: 1, ahead_max: 1_000, ..PAIRS }),
    ),
    of_tcp(
        "rate-1000",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes, 1,000 messages a second",
        Load::Traffic(at_rate(ONE, 1_000)),
    ),
    of_tcp(
        "rate-5000",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes, 5,000 messages a second",
        Load::Traffic(at_rate(ONE, 5_000)),
    ),
    of_tcp(
        "rate-20000",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes, 20,000 messages a second",
        Load::Traffic(at_rate(ONE, 20_000)),
    ),
    of_tcp(
        "rate-half",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes, at half of what goes through saturated",
        Load::Traffic(Traffic { rate: Some(Rate::HalfOfSaturation), ..ONE }),
    ),
    of_tcp(
        "fan-out-1-1000-rate-200",
        "1 publisher to 1,000 subscribers, QoS 0, 64 bytes, 200 messages a second",
        Load::Traffic(at_rate(FAN_OUT, 200)),
    ),
    of_tcp(
        "idle",
        "5,000 idle connections with one Subscription each: memory of the broker's process",
        Load::Idle(IDLE),
    ),
    of_tcp(
        "subscriptions",
        "1,000,000 Subscriptions, a third each exact, with + and with #; messages alone and beside churn",
        Load::Subscriptions(Subscriptions {
            subscriptions: 1_000_000,
            connections: 100,
            churn_per_s: 1_000,
            publishers: 10,
            qos: QoS::AtMostOnce,
            payload_bytes: 64,
            ahead_max: 1_000,
            warm_up_messages: 100_000,
            duration_ms: 3_000,
        }),
    ),
    of_tcp(
        "connect-storm",
        "10,000 clients connect and stay, 100 at a time",
        Load::Storm(Storm { connections: 10_000, under_way: 100, warm_up_connections: 100, resumes: false }),
    ),
    over(
        Transport::Tls,
        "tls-handshakes-full",
        "5,000 clients connect with a full handshake of TLS 1.3 each and stay, 20 at a time",
        Load::Storm(HANDSHAKES),
    ),
    over(
        Transport::Tls,
        "tls-handshakes-resumed",
        "5,000 clients connect with a ticket of TLS 1.3 each and stay, 20 at a time",
        Load::Storm(Storm { resumes: true, ..HANDSHAKES }),
    ),
    over(
        Transport::Tls,
        "tls-qos0-10-10",
        "10 publishers to 10 subscribers in pairs, QoS 0, 64 bytes, saturated; over TLS",
        Load::Traffic(PAIRS),
    ),
    over(
        Transport::Tls,
        "tls-idle",
        "5,000 idle connections over TLS with one Subscription each: memory of the broker's process",
        Load::Idle(IDLE),
    ),
    over(
        Transport::WebSocket,
        "ws-qos0-10-10",
        "10 publishers to 10 subscribers in pairs, QoS 0, 64 bytes, saturated; over WebSocket",
        Load::Traffic(PAIRS),
    ),
    of_tcp(
        "iot-day",
        "1,000 devices with telemetry, state and commands, a dashboard of everything, 4 workers",
        Load::Day(Day {
            devices: 1_000,
            telemetry_every_ms: 500,
            state_every_ms: 5_000,
            command_every_ms: 10_000,
            workers: 4,
            payload_bytes: 64,
            warm_up_ms: 1_000,
            duration_ms: 10_000,
        }),
    ),
    of_tcp(
        "offline-queue",
        "100,000 messages of 64 bytes wait in memory for one Session, and are drained",
        Load::Queue(Queue { messages: 100_000, payload_bytes: 64, window: 1_000, is_stored: false }),
    ),
    of_tcp(
        "retained-100k",
        "100,000 Retained Messages of 64 bytes in memory to a new subscriber of everything at QoS 0",
        Load::Retained(Retained { is_stored: false, qos: QoS::AtMostOnce, ..RETAINED }),
    ),
    of_tcp(
        "durable-offline-1",
        "QoS 1 to a Session that is away, 200 bytes, 1 message outstanding",
        Load::Traffic(STORED_ONE),
    ),
    of_tcp(
        "durable-offline-1000",
        "QoS 1 to 10 Sessions that are away, 200 bytes, 1,000 messages outstanding",
        Load::Traffic(STORED),
    ),
    of_tcp(
        "durable-online-1",
        "QoS 1 to a persistent Session that is there, 200 bytes, 1 message outstanding",
        Load::Traffic(Traffic { presence: Subscribers::Persistent, ..STORED_ONE }),
    ),
    of_tcp(
        "durable-online-1000",
        "QoS 1 to 10 persistent Sessions that are there, 200 bytes, 1,000 messages outstanding",
        Load::Traffic(Traffic { presence: Subscribers::Persistent, ..STORED }),
    ),
    of_tcp(
        "durable-beside",
        "QoS 0 in 10 pairs, alone and while durable QoS 1 keeps the disk committing",
        Load::Beside(Beside {
            relayed: Traffic { duration_ms: 2_000, ..PAIRS },
            // While one waits for its commit, the next is there: the disk never rests.
            stored: Traffic { publishers: 2, subscribers: 2, topics: 2, prefix: "durable", ..STORED_ONE },
            round_trips_ms: 1_000,
        }),
    ),
    of_tcp(
        "queue",
        "200,000 messages of 200 bytes wait for one Session, and are drained",
        Load::Queue(Queue { messages: 200_000, payload_bytes: 200, window: 1_000, is_stored: true }),
    ),
    of_tcp(
        "retained",
        "100,000 Retained Messages of 64 bytes to a new subscriber of everything at QoS 1",
        Load::Retained(RETAINED),
    ),
    of_tcp(
        "recovery",
        "killed and started again with 100,000 waiting messages, 10,000 Sessions, 10,000 Retained Messages",
        Load::Recovery(Recovery { messages: 100_000, payload_bytes: 200, window: 1_000 }),
    ),
];

/// What is done to a store, in the order of a full run; `store` names them all.
pub const STORE_NAMES: [&str; 8] = [
    "durable-offline-1",
    "durable-offline-1000",
    "durable-online-1",
    "durable-online-1000",
    "durable-beside",
    "queue",
    "retained",
    "recovery",
];
/// How many of [`STORE_NAMES`], from the first, `durable` names.
const DURABLE_COUNT: usize = 4;

/// The scenarios that a name of the command line stands for: one, or all of `durable` or `store`.
///
/// # Errors
/// When there is none.
pub fn named(name: &str) -> Result<Vec<Scenario>, Error> {
    match name {
        "store" => STORE_NAMES.into_iter().map(by_name).collect(),
        "durable" => STORE_NAMES.into_iter().take(DURABLE_COUNT).map(by_name).collect(),
        name => Ok(vec![by_name(name)?]),
    }
}

/// The scenario of that name.
///
/// # Errors
/// When there is none; the message names all that there are.
pub fn by_name(name: &str) -> Result<Scenario, Error> {
    BUILT_IN.iter().find(|scenario| scenario.name == name).cloned().ok_or_else(|| {
        let names: Vec<_> = BUILT_IN.iter().map(|scenario| scenario.name.to_string()).collect();
        Error::Usage(format!("there is no scenario \"{name}\"; there are {}", names.join(", ")))
    })
}
