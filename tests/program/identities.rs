//! Who a client is beyond a password file: tokens and a service that is asked, over a socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use dunlin_codec::{Auth, Connect, ConnectProperties, Packet, QoS, ReasonCode, UserProperties};
use jsonwebtoken::{EncodingKey, Header, encode};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Client, bytes_of, hello, publish, tcp};
use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::support::process::DEADLINE;
use crate::support::service::{Reply, Service};
use crate::{ANNA, ANNA_PASSWORD, log_in, login};

const LISTENER: &str = "listener = [{ url = 'mqtt://127.0.0.1:0', allow_anonymous = false }]\n";
const SECRET: &str = "a secret that is as long as the RFC wants it to be";

fn signed(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes()))
        .expect("it can be signed")
}

/// The time so many seconds from now, as tokens tell it.
fn in_seconds(seconds: u64) -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs() + seconds
}

/// A client that has shown a token by the method JWT, and what it was told.
fn log_in_by_method(address: SocketAddr, token: &str) -> (Client, ReasonCode) {
    let properties = ConnectProperties {
        authentication_method: Some("JWT"),
        authentication_data: Some(token.as_bytes()),
        ..ConnectProperties::default()
    };
    let mut client = Client::over(tcp(address));
    let reason = client.connect(&Connect { properties, ..hello("method") });
    (client, reason)
}

fn renewal(token: &str) -> Vec<u8> {
    bytes_of(&Packet::Auth(Auth {
        reason_code: ReasonCode::ReAuthenticate,
        method: Some("JWT"),
        data: Some(token.as_bytes()),
        reason_string: None,
        user_properties: UserProperties::default(),
    }))
}

/// What a publication at QoS 1 is answered with.
fn told(client: &mut Client, topic: &str) -> ReasonCode {
    client.send(&publish(topic, b"", QoS::AtLeastOnce, 1));
    client.next(|packet| match packet {
        Some(Packet::PubAck(puback)) => puback.reason_code,
        other => panic!("{other:?} instead of PUBACK"),
    })
}

#[test]
fn a_token_lets_its_user_in_with_its_rights_and_until_its_end() {
    let directory = directory();
    write(directory.path(), "secret", SECRET);
    write(directory.path(), "passwords", ANNA);
    let config = format!(
        "{QUIET}{LISTENER}log.level = 'info,dunlin::auth=debug'\n[auth]\npassword_file = 'passwords'\n\
         [auth.jwt]\nsecret_file = 'secret'\nleeway = '0s'\npermissions_claim = 'mqtt'\n"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    let claims = |exp: u64| json!({"sub": "anna", "exp": exp, "mqtt": {"publish": ["home/%u/#"]}});

    let (mut client, reason) = log_in(address, "any", &signed(&claims(in_seconds(3600))));
    assert_eq!(reason, ReasonCode::Success);
    assert_eq!(told(&mut client, "home/anna/door"), ReasonCode::NoMatchingSubscribers);
    assert_eq!(told(&mut client, "home/boris/door"), ReasonCode::NotAuthorized);

    // As short as this machine allows a token to be: one that has ended before it arrives is refused.
    let mut short = [1, 5, 15]
        .into_iter()
        .map(|seconds| log_in(address, "short", &signed(&claims(in_seconds(seconds)))))
        .find_map(|(client, reason)| (reason == ReasonCode::Success).then_some(client))
        .expect("15 seconds are enough to log in");
    assert_eq!(short.end(), Some(ReasonCode::NotAuthorized), "the token has ended");
    client.ping();

    let refused = ReasonCode::BadUserNameOrPassword;
    assert_eq!(log_in(address, "anna", &signed(&claims(1_000_000_000))).1, refused);
    let line = dunlin.wait_for("a token is refused");
    assert!(line.contains("it has expired (exp)"), "{line}");
    assert_eq!(log_in(address, "anna", ANNA_PASSWORD).1, ReasonCode::Success, "passwords are for the file");
    assert_eq!(log_in(address, "anna", "wrong").1, refused);
}

#[test]
fn a_token_can_be_renewed_by_its_user_alone() {
    let directory = directory();
    write(directory.path(), "secret", SECRET);
    let mut dunlin =
        Dunlin::start(directory.path(), &format!("{QUIET}{LISTENER}[auth.jwt]\nsecret_file = 'secret'\n"));
    let address = dunlin.address(0);
    let token = |user: &str, exp: u64| signed(&json!({"sub": user, "exp": exp}));
    assert_eq!(log_in_by_method(address, &token("anna", 1_000_000_000)).1, ReasonCode::NotAuthorized);

    let (mut client, reason) = log_in_by_method(address, &token("anna", in_seconds(3600)));
    assert_eq!(reason, ReasonCode::Success);
    client.send(&renewal(&token("anna", in_seconds(7200))));
    client.next(|packet| match packet {
        Some(Packet::Auth(auth)) => {
            assert_eq!((auth.reason_code, auth.method), (ReasonCode::Success, Some("JWT")))
        }
        other => panic!("{other:?} instead of AUTH"),
    });
    client.ping();
    client.send(&renewal(&token("boris", in_seconds(7200))));
    assert_eq!(client.end(), Some(ReasonCode::NotAuthorized));
}

#[test]
fn a_reload_brings_other_keys_and_keeps_those_who_are_connected() {
    let directory = directory();
    write(directory.path(), "secret", SECRET);
    let mut dunlin =
        Dunlin::start(directory.path(), &format!("{QUIET}{LISTENER}[auth.jwt]\nsecret_file = 'secret'\n"));
    let address = dunlin.address(0);
    let token = signed(&json!({"sub": "anna", "exp": in_seconds(3600)}));
    let (mut client, reason) = log_in(address, "anna", &token);
    assert_eq!(reason, ReasonCode::Success);

    write(directory.path(), "secret", "too short");
    dunlin.signal(Signal::HUP);
    let line = dunlin.wait_for("auth.jwt.secret_file");
    assert!(
        line.contains("has a secret of 9 bytes; 32 are needed at least") && !line.contains("too short"),
        "{line}"
    );
    assert_eq!(log_in(address, "other", &token).1, ReasonCode::Success, "everything stays as it was");

    write(directory.path(), "secret", "another secret that is as long as the RFC wants it");
    dunlin.signal(Signal::HUP);
    dunlin.wait_for("configuration reloaded");
    assert_eq!(log_in(address, "other", &token).1, ReasonCode::BadUserNameOrPassword);
    client.ping();
}

#[test]
fn a_service_says_who_gets_in_after_the_password_file() {
    let service = Service::start(|request| {
        let question: Value = serde_json::from_str(&request.body).expect("the question is JSON");
        Reply::Answer(
            200,
            match (question["user_name"].as_str(), question["password"].as_str()) {
                (Some("anna"), _) => panic!("she is in the password file"),
                (Some("device"), Some("right")) => {
                    json!({"result": "allow", "user_name": "d7", "grants": {"publish": ["devices/%u/#"]}})
                }
                (Some("guest"), _) => json!({"result": "allow", "expires_in_s": 0}),
                (Some("strange"), _) => json!({"result": "maybe"}),
                (None, None) => json!({"result": "ignore"}),
                _ => json!({"result": "deny"}),
            }
            .to_string(),
        )
    });
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let config = format!(
        "{QUIET}{LISTENER}[auth]\npassword_file = 'passwords'\n[auth.http]\nurl = '{}'\ntimeout = '20s'\n",
        service.url()
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    assert_eq!(log_in(address, "anna", ANNA_PASSWORD).1, ReasonCode::Success);
    assert_eq!(log_in(address, "anna", "wrong").1, ReasonCode::BadUserNameOrPassword);
    let (mut device, reason) = log_in(address, "device", "right");
    assert_eq!(reason, ReasonCode::Success);
    assert_eq!(told(&mut device, "devices/d7/state"), ReasonCode::NoMatchingSubscribers);
    assert_eq!(told(&mut device, "devices/d8/state"), ReasonCode::NotAuthorized);
    assert_eq!(log_in(address, "device", "wrong").1, ReasonCode::BadUserNameOrPassword);
    assert_eq!(Client::over(tcp(address)).connect(&hello("nobody")), ReasonCode::NotAuthorized);

    let (mut guest, reason) = log_in(address, "guest", "");
    assert_eq!(reason, ReasonCode::Success);
    assert_eq!(guest.end(), Some(ReasonCode::NotAuthorized), "its time is over");

    assert_eq!(log_in(address, "strange", "right").1, ReasonCode::ServerUnavailable);
    let line = dunlin.wait_for("the authentication service gives no answer");
    assert!(line.contains("a value that is not in docs/security.md") && !line.contains("right"), "{line}");
    drop(service);
    assert_eq!(log_in(address, "device", "other").1, ReasonCode::ServerUnavailable);
    device.ping();
}

#[test]
fn a_question_under_way_delays_no_stop() {
    let service = Service::start(|_| Reply::Silence);
    let directory = directory();
    let config = format!("{QUIET}{LISTENER}[auth.http]\nurl = '{}'\ntimeout = '30s'\n", service.url());
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let mut client = Client::over(tcp(dunlin.address(0)));
    client.send(&bytes_of(&Packet::Connect(login("anna", "secret"))));
    let begun = Instant::now();
    while service.asked() == 0 {
        assert!(begun.elapsed() < DEADLINE, "the service is not asked");
        std::thread::yield_now();
    }
    let stopping = Instant::now();
    assert_eq!(dunlin.stop().status, 0);
    assert!(stopping.elapsed() < Duration::from_secs(20), "it has waited for the answer");
}
