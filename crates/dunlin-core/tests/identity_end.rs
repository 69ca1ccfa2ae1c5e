//! An identity that ends: the connection ends with it, unless the client has authenticated again in time
//! (5.0 section 4.12.1).
//!
//! The method TOKEN of these tests believes whoever says `user:seconds`: the user for so long, counted from the
//! beginning.

use dunlin_codec::{
    Auth, Connect, ConnectProperties, Packet, ProtocolVersion, ReasonCode, Split, UserProperties, decode,
    split,
};
use dunlin_core::authenticate::{Mechanism, Mechanisms, Step, no_mechanisms};
use dunlin_core::connection::Cause;
use dunlin_core::handshake::{Handshake, Next};
use dunlin_core::identity::Identity;
use dunlin_core::settings::Settings;
use dunlin_core::shard::{Output, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::{Shard, Timestamp};
use std::sync::Arc;
use std::time::Duration;

const BEGINNING: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const INSTANT: Duration = Duration::from_micros(1);
const EXPIRED: Cause = Cause::Server {
    reason_code: ReasonCode::NotAuthorized,
    detail: "what the client authenticated with has expired",
};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[derive(Debug)]
struct Token;

impl Mechanism for Token {
    fn step(&mut self, data: Option<&[u8]>) -> Step {
        let identity = || {
            let (user, valid_for_s) = std::str::from_utf8(data?).ok()?.split_once(':')?;
            let valid_until = Some(BEGINNING + seconds(valid_for_s.parse().ok()?));
            Some(Identity { user_name: Some(user.into()), valid_until, ..Identity::default() })
        };
        identity().map_or(Step::Refuse(ReasonCode::NotAuthorized), |identity| Step::Success {
            data: None,
            identity,
        })
    }
}

impl Mechanisms for Token {
    fn begin(&self, method: &str) -> Option<Box<dyn Mechanism>> {
        (method == "TOKEN").then(|| Box::new(Self) as Box<dyn Mechanism>)
    }
}

/// A broker with one client.
struct World {
    shard: Shard,
    now: Timestamp,
    client: Key,
    /// How often the shard has been woken.
    wakes: usize,
}

impl World {
    /// A client that has shown a token in CONNECT.
    fn with_token(token: &str) -> Self {
        let properties = ConnectProperties {
            authentication_method: Some("TOKEN"),
            authentication_data: Some(token.as_bytes()),
            ..ConnectProperties::default()
        };
        Self::with(properties, &(Arc::new(Token) as Arc<dyn Mechanisms>), None)
    }

    /// A client whose password was good until a time.
    fn with_password(valid_for: Duration) -> Self {
        let identity = Identity { valid_until: Some(BEGINNING + valid_for), ..Identity::default() };
        Self::with(ConnectProperties::default(), &no_mechanisms(), Some(identity))
    }

    fn with(
        properties: ConnectProperties<'_>,
        mechanisms: &Arc<dyn Mechanisms>,
        identity: Option<Identity>,
    ) -> Self {
        let settings = Settings::default();
        let mut shard = Shard::new(ShardConfig::single(settings.clone()));
        let connect = Connect {
            version: ProtocolVersion::V5,
            clean_start: true,
            keep_alive_s: 0,
            properties,
            client_identifier: "client",
            will: None,
            user_name: None,
            password: None,
        };
        let mut bytes = Vec::new();
        connect.encode(ProtocolVersion::V5, &mut bytes);
        let mut handshake = Handshake::new(settings.maximum_packet_size_bytes);
        let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
        let next = match (handshake.handle_frame(frame, &settings, mechanisms, 1), identity) {
            (Next::Verify, Some(identity)) => handshake.accept(identity),
            (next, _) => next,
        };
        let Next::Accepted(request) = next else { panic!("it is let in") };
        let client = shard.handle_connect(BEGINNING, *request);
        let mut world = Self { shard, now: BEGINNING, client, wakes: 0 };
        assert!(matches!(world.read()[..], [ReasonCode::Success]), "a CONNACK");
        world
    }

    /// The client shows another token; what it is told.
    fn show(&mut self, token: &str) -> Vec<ReasonCode> {
        let auth = Auth {
            reason_code: ReasonCode::ReAuthenticate,
            method: Some("TOKEN"),
            data: Some(token.as_bytes()),
            reason_string: None,
            user_properties: UserProperties::default(),
        };
        let mut bytes = Vec::new();
        Packet::Auth(auth).encode(ProtocolVersion::V5, &mut bytes);
        self.shard.handle_input(self.now, self.client, &bytes);
        self.read()
    }

    /// The Reason Codes of the packets for the client.
    fn read(&mut self) -> Vec<ReasonCode> {
        let mut bytes = Vec::new();
        if let Some(outbox) = self.shard.outbox(self.client) {
            bytes = outbox.chunks().flatten().copied().collect();
            outbox.advance(bytes.len());
            self.shard.handle_flushed(self.now, self.client);
        }
        let mut codes = Vec::new();
        while let Ok(Split::Packet { frame, length }) = split(&bytes, u32::MAX) {
            codes.push(
                match decode(frame, ProtocolVersion::V5).expect("the broker sends what MQTT allows") {
                    Packet::ConnAck(connack) => connack.reason_code,
                    Packet::Auth(auth) => auth.reason_code,
                    Packet::Disconnect(disconnect) => disconnect.reason_code,
                    other => panic!("{other:?}"),
                },
            );
            bytes.drain(..length);
        }
        codes
    }

    /// Time passes until so long after the beginning; why the client's connection ended meanwhile.
    fn wait_until(&mut self, since_beginning: Duration) -> Option<Cause> {
        let end = BEGINNING + since_beginning;
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.wakes += 1;
            self.shard.handle_timeout(at);
        }
        self.now = end;
        std::iter::from_fn(|| self.shard.poll_output()).find_map(|output| match output {
            Output::Close { cause, .. } => Some(cause),
            _ => None,
        })
    }
}

#[test]
fn a_connection_ends_with_the_identity_and_the_client_is_told() {
    let mut world = World::with_password(seconds(60));
    assert_eq!(world.wait_until(seconds(60) - INSTANT), None);
    assert_eq!(world.wait_until(seconds(60)), Some(EXPIRED));
    assert_eq!(world.read(), [ReasonCode::NotAuthorized]);
}

#[test]
fn a_connection_whose_identity_has_ended_already_ends_at_once() {
    let mut world = World::with_password(Duration::ZERO);
    assert_eq!(world.wait_until(Duration::ZERO), Some(EXPIRED));
}

#[test]
fn a_client_that_authenticates_again_stays_until_the_end_of_what_it_showed_last() {
    let mut world = World::with_token("anna:60");
    assert_eq!(world.wait_until(seconds(50)), None);
    assert_eq!(world.show("anna:100"), [ReasonCode::Success]);
    assert_eq!(world.wait_until(seconds(99)), None);
    assert_eq!(world.show("anna:200"), [ReasonCode::Success]);
    assert_eq!(world.wait_until(seconds(200) - INSTANT), None);
    assert_eq!(world.wait_until(seconds(200)), Some(EXPIRED));
    assert_eq!(world.read(), [ReasonCode::NotAuthorized]);
}

#[test]
fn what_was_shown_last_counts_even_if_it_ends_earlier() {
    let mut world = World::with_token("anna:60");
    assert_eq!(world.show("anna:30"), [ReasonCode::Success]);
    assert_eq!(world.wait_until(seconds(30) - INSTANT), None);
    assert_eq!(world.wait_until(seconds(30)), Some(EXPIRED));
}

#[test]
fn a_renewal_that_fails_ends_the_connection() {
    // spec(v5): [MQTT-4.12.1-2]
    for token in ["no token", "boris:100"] {
        let mut world = World::with_token("anna:60");
        assert_eq!(world.show(token), [ReasonCode::NotAuthorized], "{token}");
        let cause = world.wait_until(Duration::ZERO);
        assert!(
            matches!(cause, Some(Cause::Violation { reason_code: ReasonCode::NotAuthorized, .. })),
            "{cause:?}"
        );
    }
}

#[test]
fn renewing_all_the_time_does_not_keep_the_broker_busy() {
    let mut world = World::with_token("anna:60");
    for second in (61..1000).chain([500, 1000, 500, 1000]) {
        assert_eq!(world.show(&format!("anna:{second}")), [ReasonCode::Success]);
    }
    assert_eq!(world.wait_until(seconds(1000) - INSTANT), None);
    assert_eq!(world.wait_until(seconds(1000)), Some(EXPIRED));
    assert_eq!(world.wakes, 2, "at the end of the first token, and of the last");
}
