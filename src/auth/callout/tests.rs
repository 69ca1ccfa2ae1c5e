//! The service as it should be, and as it is on a bad day.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::*;
use crate::auth::authenticator::Identity;
use crate::auth::certificate::ClientCertificate;
use crate::auth::service::{Reply, Service};
use crate::config::WebUrl;

const ANNA: Credentials<'_> = Credentials::new("c1", Some("anna"), Some(b"correct horse"));
const NOBODY: Credentials<'_> = Credentials::new("c1", None, None);
const UNAVAILABLE: Decision = Decision::Refuse(RefuseReason::ServerUnavailable);

/// The options of a service, which is given time enough for a machine with other things to do.
fn options(url: &str) -> HttpAuthOptions {
    HttpAuthOptions {
        url: WebUrl::parse(url).unwrap(),
        timeout: Duration::from_secs(20),
        ..HttpAuthOptions::default()
    }
}

fn callout(service: &Service) -> Callout {
    Callout::load(&options(&service.url())).unwrap()
}

#[test]
fn the_service_is_told_what_the_client_presents() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let questions = Arc::clone(&asked);
    let service = Service::start(move |request| {
        assert!(request.head.starts_with("POST /question HTTP/1.1\r\n"), "{}", request.head);
        assert!(request.head.to_ascii_lowercase().contains("content-type: application/json"));
        assert!(!request.head.to_ascii_lowercase().contains("authorization"));
        questions.lock().unwrap().push(serde_json::from_str::<Value>(&request.body).unwrap());
        Reply::Answer(200, r#"{"result": "deny"}"#.to_owned())
    });
    let certificate = ClientCertificate::new(b"abc"[..].to_vec().into());
    let callout = callout(&service);
    callout.authenticate(
        &ANNA
            .with_address(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
            .with_listener(Some("mqtt://0.0.0.0:1883"))
            .with_certificate(Some(&certificate)),
    );
    callout.authenticate(&Credentials::new("c2", None, Some(b"\xFF\x00")));
    let expected = [
        json!({
            "client_identifier": "c1", "user_name": "anna", "password": "correct horse", "address": "127.0.0.1",
            "listener": "mqtt://0.0.0.0:1883",
            "certificate": {
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "pem": "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n",
            },
        }),
        json!({
            "client_identifier": "c2", "user_name": null, "password": null, "password_base64": "/wA=",
            "address": null, "listener": null, "certificate": null,
        }),
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[test]
fn an_answer_says_who_for_how_long_and_with_which_rights() {
    let answer = |body: &str| callout(&Service::always(body)).authenticate(&ANNA);
    assert_eq!(answer(r#"{"result": "allow"}"#), Decision::Allow(Identity::user("anna")));
    assert_eq!(answer(r#"{"result": "allow", "user_name": "a"}"#), Decision::Allow(Identity::user("a")));
    assert_eq!(answer(r#"{"result": "deny"}"#), Decision::Refuse(RefuseReason::BadUserNameOrPassword));
    assert_eq!(answer(r#"{"result": "ignore"}"#), Decision::NotMine);
    let full = r#"{"result": "allow", "grants": {"publish": ["a/%u"]}, "expires_in_s": 60}"#;
    let before = SystemTime::now();
    let Decision::Allow(identity) = answer(full) else { panic!("it is let in") };
    let (end, after) = (identity.expires_at().unwrap(), SystemTime::now());
    assert!((before + Duration::from_secs(60)..=after + Duration::from_secs(60)).contains(&end));
    assert_eq!(identity.grants().unwrap().as_str(), r#"{"publish":["a/%u"]}"#);
    let endless = answer(r#"{"result": "allow", "expires_in_s": 18446744073709551615}"#);
    assert!(matches!(endless, Decision::Allow(_)));
}

#[test]
fn a_client_that_presents_nothing_is_judged_by_the_service_too() {
    let answer = |body: &str| callout(&Service::always(body)).authenticate(&NOBODY);
    assert_eq!(answer(r#"{"result": "allow"}"#), Decision::Allow(Identity::anonymous()));
    assert_eq!(answer(r#"{"result": "allow", "user_name": "a"}"#), Decision::Allow(Identity::user("a")));
    assert_eq!(answer(r#"{"result": "deny"}"#), Decision::Refuse(RefuseReason::NotAuthorized));
}

#[test]
fn what_is_no_answer_lets_nobody_in() {
    for body in [
        "",
        "allow",
        "{}",
        r#"{"result": "Allow"}"#,
        r#"{"result": true}"#,
        r#"{"result": "allow", "grant": {}}"#,
        r#"{"result": "allow", "grants": {"publsih": []}}"#,
        r#"{"result": "allow", "grants": {"publish": ["a/#/b"]}}"#,
        r#"{"result": "allow", "grants": "publish"}"#,
        r#"{"result": "allow", "user_name": ""}"#,
        r#"{"result": "allow", "user_name": "a\u0000"}"#,
        r#"{"result": "allow", "expires_in_s": -1}"#,
        r#"{"result": "allow"} {"#,
        &format!(r#"{{"result": "allow", "user_name": "{}"}}"#, "a".repeat(300_000)),
    ] {
        assert_eq!(callout(&Service::always(body)).authenticate(&ANNA), UNAVAILABLE, "{:.80}", body);
    }
    for status in [204, 301, 401, 404, 500] {
        let service = Service::start(move |_| Reply::Answer(status, r#"{"result": "allow"}"#.to_owned()));
        assert_eq!(callout(&service).authenticate(&ANNA), UNAVAILABLE, "{status}");
        assert_eq!(service.asked(), 1, "{status}");
    }
    assert_eq!(callout(&Service::start(|_| Reply::Garbage)).authenticate(&ANNA), UNAVAILABLE);
}

#[test]
fn when_the_service_does_not_answer_the_operator_has_decided_what_happens() {
    let silent = Service::start(|_| Reply::Silence);
    let nobody_there = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    for (url, timeout) in
        [(silent.url(), Duration::from_millis(100)), (nobody_there, Duration::from_secs(20))]
    {
        for (when_down, expected) in [(WhenDown::Deny, UNAVAILABLE), (WhenDown::Ignore, Decision::NotMine)] {
            let callout = Callout::load(&HttpAuthOptions { when_down, timeout, ..options(&url) }).unwrap();
            assert_eq!(callout.authenticate(&ANNA), expected, "{url}");
        }
    }
}

#[test]
fn an_answer_is_remembered_for_the_same_client_with_the_same_credentials() {
    let service = Service::start(|request| {
        let result = if request.body.contains("correct horse") { "allow" } else { "deny" };
        Reply::Answer(200, json!({ "result": result }).to_string())
    });
    let remembers =
        Callout::load(&HttpAuthOptions { cache_ttl: Duration::from_secs(3600), ..options(&service.url()) })
            .unwrap();
    let (allowed, denied) =
        (Decision::Allow(Identity::user("anna")), Decision::Refuse(RefuseReason::BadUserNameOrPassword));
    for _ in 0..3 {
        assert_eq!(remembers.authenticate(&ANNA), allowed);
    }
    assert_eq!(service.asked(), 1);
    let others = [
        Credentials::new("c1", Some("anna"), Some(b"wrong")),
        Credentials::new("c1", Some("anna"), None),
        Credentials::new("c1", Some("annacorrect"), Some(b" horse")),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_eq!(remembers.authenticate(other), denied);
        assert_eq!(service.asked(), index + 2);
    }
    assert_eq!(
        remembers.authenticate(&Credentials::new("c2", Some("anna"), Some(b"correct horse"))),
        allowed
    );
    assert_eq!(service.asked(), 5, "another client is another question");

    let asks =
        Callout::load(&HttpAuthOptions { cache_ttl: Duration::ZERO, ..options(&service.url()) }).unwrap();
    assert_eq!((asks.authenticate(&ANNA), asks.authenticate(&ANNA)), (allowed.clone(), allowed));
    assert_eq!(service.asked(), 7);
}

#[test]
fn what_was_no_answer_is_not_remembered() {
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let service = Service::start(move |_| match *down.lock().unwrap() {
        true => Reply::Answer(503, String::new()),
        false => Reply::Answer(200, r#"{"result": "allow"}"#.to_owned()),
    });
    let callout = callout(&service);
    assert_eq!(callout.authenticate(&ANNA), UNAVAILABLE);
    *is_down.lock().unwrap() = false;
    assert_eq!(callout.authenticate(&ANNA), Decision::Allow(Identity::user("anna")));
}

#[test]
fn questions_at_once_are_as_many_as_allowed() {
    // Both are under way at the same time, or neither ends.
    let both = Barrier::new(2);
    let service = Service::start(move |_| {
        both.wait();
        Reply::Answer(200, r#"{"result": "allow"}"#.to_owned())
    });
    let two = Callout::load(&HttpAuthOptions { max_concurrent: 2, ..options(&service.url()) }).unwrap();
    std::thread::scope(|scope| {
        for client_identifier in ["c1", "c2"] {
            let two = &two;
            scope.spawn(move || {
                let decision =
                    two.authenticate(&Credentials::new(client_identifier, Some("anna"), Some(b"x")));
                assert_eq!(decision, Decision::Allow(Identity::user("anna")));
            });
        }
    });

    // Each waits a while for another one to come, which must not happen.
    let (under_way, most) = (Arc::new((Mutex::new(0), Condvar::new())), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (Arc::clone(&under_way), Arc::clone(&most));
    let service = Service::start(move |_| {
        let (count, changed) = &*counted;
        let mut count = count.lock().unwrap();
        *count += 1;
        highest.fetch_max(*count, Ordering::SeqCst);
        changed.notify_all();
        let (mut count, _) =
            changed.wait_timeout_while(count, Duration::from_millis(100), |count| *count < 2).unwrap();
        *count -= 1;
        Reply::Answer(200, r#"{"result": "allow"}"#.to_owned())
    });
    let one = HttpAuthOptions { max_concurrent: 1, cache_ttl: Duration::ZERO, ..options(&service.url()) };
    let one = Callout::load(&one).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(one.authenticate(&ANNA), Decision::Allow(Identity::user("anna"))));
        }
    });
    assert_eq!((service.asked(), most.load(Ordering::SeqCst)), (3, 1));
}

#[test]
fn the_service_learns_who_asks_and_nobody_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "very-secret-token\n").unwrap();
    let service = Service::start(|request| {
        let is_known =
            request.head.to_ascii_lowercase().contains("authorization: bearer very-secret-token\r\n");
        Reply::Answer(if is_known { 200 } else { 401 }, r#"{"result": "allow"}"#.to_owned())
    });
    let with_token = HttpAuthOptions { bearer_token_file: Some(path.clone()), ..options(&service.url()) };
    let callout = Callout::load(&with_token).unwrap();
    assert_eq!(callout.authenticate(&ANNA), Decision::Allow(Identity::user("anna")));
    assert!(!format!("{callout:?}").contains("very-secret"));

    for text in ["", "  \n", "two words", "a\nb", "gr\u{fc}n"] {
        std::fs::write(&path, text).unwrap();
        let error = Callout::load(&with_token).unwrap_err();
        assert_eq!(error.option, "bearer_token_file");
        assert!(
            error.problem.ends_with("must have one token, in printable ASCII without spaces"),
            "{}",
            error.problem
        );
    }
}

#[test]
fn a_file_that_vouches_for_nobody_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, "no certificate").unwrap();
    let error =
        Callout::load(&HttpAuthOptions { ca_file: Some(path.clone()), ..options("https://localhost/") })
            .unwrap_err();
    assert_eq!((error.option, error.problem), ("ca_file", format!("{}: has no certificate", path.display())));
}
