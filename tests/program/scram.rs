//! SCRAM-SHA-256 over a socket: a client that computes its proofs itself, with verifiers made by `dunlin passwd`.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dunlin_codec::{Auth, Connect, ConnectProperties, Packet, QoS, ReasonCode};
use hmac::{Hmac, KeyInit, Mac};
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::passwd::succeeds;
use crate::support::client::{Client, bytes_of, hello, publish, tcp};
use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::{ANNA, log_in};

const METHOD: &str = "SCRAM-SHA-256";

const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The client's side of an exchange (RFC 5802, section 3).
struct Exchange<'a> {
    user: &'a str,
    password: &'a str,
    server_signature: String,
}

impl<'a> Exchange<'a> {
    fn new(user: &'a str, password: &'a str) -> Self {
        Self { user, password, server_signature: String::new() }
    }

    fn first(&self) -> String {
        format!("n,,n={},r={NONCE}", self.user)
    }

    /// Answers a challenge, and notes what the Server must sign then.
    fn last(&mut self, challenge: &[u8]) -> String {
        let challenge = std::str::from_utf8(challenge).expect("a challenge is text");
        let fields: Vec<&str> = challenge.split(',').map(|field| &field[2..]).collect();
        let [nonce, salt, iterations] = fields[..] else { panic!("{challenge:?} is no challenge") };
        assert!(nonce.starts_with(NONCE) && nonce.len() > NONCE.len() + 20, "{nonce}");
        let salt = BASE64.decode(salt).expect("a salt is base64");
        let mut salted_password = [0; 32];
        let iterations = iterations.parse().expect("iterations are a number");
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, iterations, &mut salted_password);
        let client_key = hmac(&salted_password, "Client Key");
        let without_proof = format!("c=biws,r={nonce}");
        let said = format!("n={},r={NONCE},{challenge},{without_proof}", self.user);
        let signature = hmac(&Sha256::digest(client_key), &said);
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
        let server_key = hmac(&salted_password, "Server Key");
        self.server_signature = format!("v={}", BASE64.encode(hmac(&server_key, &said)));
        format!("{without_proof},p={}", BASE64.encode(proof))
    }
}

/// A client that has begun, and the challenge it got.
fn begin(address: SocketAddr, exchange: &Exchange<'_>) -> (Client, Vec<u8>) {
    let mut client = Client::over(tcp(address));
    let first = exchange.first();
    let properties = ConnectProperties {
        authentication_method: Some(METHOD),
        authentication_data: Some(first.as_bytes()),
        ..ConnectProperties::default()
    };
    client.send(&bytes_of(&Packet::Connect(Connect { properties, ..hello(exchange.user) })));
    let challenge = challenge(&mut client);
    (client, challenge)
}

fn challenge(client: &mut Client) -> Vec<u8> {
    client.next(|packet| match packet {
        Some(Packet::Auth(Auth {
            reason_code: ReasonCode::ContinueAuthentication,
            method: Some(METHOD),
            data: Some(data),
            ..
        })) => data.to_vec(),
        other => panic!("{other:?} instead of a challenge"),
    })
}

fn send(client: &mut Client, reason_code: ReasonCode, data: &str) {
    let auth = Auth { data: Some(data.as_bytes()), ..Auth::new(reason_code, Some(METHOD)) };
    client.send(&bytes_of(&Packet::Auth(auth)));
}

/// What CONNACK says to a client that goes through the whole exchange; checks the Server's signature.
fn scram(address: SocketAddr, user: &str, password: &str) -> (Client, ReasonCode) {
    let mut exchange = Exchange::new(user, password);
    let (mut client, challenge) = begin(address, &exchange);
    let last = exchange.last(&challenge);
    send(&mut client, ReasonCode::ContinueAuthentication, &last);
    let reason = client.next(|packet| match packet {
        Some(Packet::ConnAck(connack)) => {
            if connack.reason_code == ReasonCode::Success {
                assert_eq!(connack.properties.authentication_method, Some(METHOD));
                let data = connack.properties.authentication_data;
                assert_eq!(data, Some(exchange.server_signature.as_bytes()));
            }
            connack.reason_code
        }
        other => panic!("{other:?} instead of CONNACK"),
    });
    (client, reason)
}

/// Authenticates again; the Reason Code of AUTH or DISCONNECT.
fn again(client: &mut Client, user: &str, password: &str) -> ReasonCode {
    let mut exchange = Exchange::new(user, password);
    send(client, ReasonCode::ReAuthenticate, &exchange.first());
    let challenge = challenge(client);
    let last = exchange.last(&challenge);
    send(client, ReasonCode::ContinueAuthentication, &last);
    client.next(|packet| match packet {
        Some(Packet::Auth(auth)) => {
            assert_eq!(auth.data, Some(exchange.server_signature.as_bytes()));
            auth.reason_code
        }
        Some(Packet::Disconnect(disconnect)) => disconnect.reason_code,
        other => panic!("{other:?} instead of an end of the exchange"),
    })
}

/// A broker whose user zoë has a verifier and whose user boris has a hash.
fn broker(directory: &Path) -> (Dunlin, SocketAddr) {
    broker_with(directory, "")
}

/// The same with more configuration.
fn broker_with(directory: &Path, config: &str) -> (Dunlin, SocketAddr) {
    let add = ["add", "--scram", "--iterations", "4096", "passwords", "zoë"];
    succeeds(directory, &add, "pässword\n", "passwords: user \"zoë\" is added");
    succeeds(directory, &["add", "passwords", "boris"], "word\n", "passwords: user \"boris\" is added");
    write(directory, "acl", "user zoë\ntopic zoë/#\n");
    let config = format!(
        "{QUIET}auth.password_file = 'passwords'\nauth.acl_file = 'acl'\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n{config}"
    );
    let mut broker = Dunlin::start(directory, &config);
    let address = broker.address(0);
    (broker, address)
}

// spec(v5): [MQTT-4.12.0-2] [MQTT-4.12.0-4] [MQTT-4.12.0-5]
#[test]
fn who_proves_its_password_is_admitted_with_the_rights_of_that_user_and_others_are_not() {
    let directory = directory();
    let (_broker, address) = broker(directory.path());
    let (mut zoe, reason) = scram(address, "zoë", "pässword");
    assert_eq!(reason, ReasonCode::Success);
    zoe.subscribe("zoë/#");
    zoe.send(&publish("zoë/lamp", b"on", QoS::AtMostOnce, 0));
    assert_eq!(zoe.message().topic, "zoë/lamp");
    for (user, password) in [("zoë", "password"), ("zoë", ""), ("boris", "word"), ("nobody", "pässword")] {
        let (mut client, reason) = scram(address, user, password);
        assert_eq!(reason, ReasonCode::NotAuthorized, "{user} with {password:?}");
        assert_eq!(client.end(), None, "{user} is disconnected");
    }
    // The same password in the clear fits the same line.
    assert_eq!(log_in(address, "zoë", "pässword").1, ReasonCode::Success);
    assert_eq!(log_in(address, "zoë", "password").1, ReasonCode::BadUserNameOrPassword);
}

// spec(v5): [MQTT-4.12.1-1] [MQTT-4.12.1-2]
#[test]
fn a_client_authenticates_again_as_the_same_user_and_ends_if_it_fails() {
    let directory = directory();
    let (_broker, address) = broker(directory.path());
    let (mut zoe, _) = scram(address, "zoë", "pässword");
    for _ in 0..2 {
        assert_eq!(again(&mut zoe, "zoë", "pässword"), ReasonCode::Success);
        zoe.ping();
    }
    assert_eq!(again(&mut zoe, "zoë", "password"), ReasonCode::NotAuthorized);
    assert_eq!(zoe.end(), None);
}

// spec(v5): [MQTT-4.12.0-1]
#[test]
fn the_method_is_there_as_long_as_the_password_file_has_a_verifier() {
    let directory = directory();
    let (mut broker, address) = broker(directory.path());
    let (mut zoe, _) = scram(address, "zoë", "pässword");
    write(directory.path(), "passwords", ANNA);
    broker.signal(Signal::HUP);
    broker.wait_for("configuration reloaded");
    let properties =
        ConnectProperties { authentication_method: Some(METHOD), ..ConnectProperties::default() };
    let mut client = Client::over(tcp(address));
    let reason = client.connect(&Connect { properties, ..hello("zoë") });
    assert_eq!(reason, ReasonCode::BadAuthenticationMethod);
    // Who is there stays, and cannot authenticate again.
    zoe.ping();
    send(&mut zoe, ReasonCode::ReAuthenticate, &Exchange::new("zoë", "pässword").first());
    assert_eq!(zoe.end(), Some(ReasonCode::BadAuthenticationMethod));
}

#[test]
fn an_unknown_user_has_the_same_salt_before_and_after_a_restart() {
    let directory = directory();
    let salt_of_nobody = |address| {
        let (_, challenge) = begin(address, &Exchange::new("nobody", ""));
        let challenge = String::from_utf8(challenge).expect("a challenge is text");
        challenge.split(',').skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    succeeds(
        directory.path(),
        &["add", "--scram", "--iterations", "4096", "passwords", "anna"],
        "x\n",
        "passwords: user \"anna\" is added",
    );
    let config =
        "http.address = ''\nauth.password_file = 'passwords'\nlistener = [{ url = 'mqtt://127.0.0.1:0' }]\n";
    let mut first = Dunlin::start(directory.path(), config);
    let salt = salt_of_nobody(first.address(0));
    assert_eq!(first.stop().status, 0);
    let mut second = Dunlin::start(directory.path(), config);
    assert_eq!(salt_of_nobody(second.address(0)), salt);
}

#[test]
fn a_verifier_is_made_only_for_what_a_scram_client_can_use() {
    let directory = directory();
    let directory = directory.path();
    let refused = |arguments: &[&str], input: &str, part: &str| {
        let (status, output, error) = crate::passwd::passwd(directory, arguments, input);
        assert_eq!((status, output.as_str()), (2, ""), "{error}");
        assert!(error.contains(part), "{error}");
        assert!(!directory.join("passwords").exists());
    };
    refused(&["add", "--scram", "passwords", "\u{2168}"], "x\n", "no SCRAM client can be the user");
    refused(&["add", "--scram", "passwords", "anna"], "x\u{7}\n", "SASLprep");
    refused(&["add", "--scram", "--iterations", "4095", "passwords", "anna"], "x\n", "4096 to 10000000");
    refused(&["add", "--iterations", "4096", "passwords", "anna"], "x\n", "--scram");
}

#[test]
fn guesses_at_one_user_are_slowed_down_and_then_refused_by_their_rate() {
    let directory = directory();
    let guarded =
        "ban.user_failures = 3\nban.allow = []\nban.failures = 1000\nlimits.connect_timeout = '1s'\n";
    let (_broker, address) = broker_with(directory.path(), guarded);
    let mut answers = (0..100).map(|_| scram(address, "zoë", "guess").1);
    let other = answers.find(|reason| *reason != ReasonCode::NotAuthorized);
    assert_eq!(other, Some(ReasonCode::ConnectionRateExceeded));
    // Another name is judged as ever, also one that does not exist.
    assert_eq!(scram(address, "nobody", "guess").1, ReasonCode::NotAuthorized);
}
