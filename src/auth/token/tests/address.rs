//! Keys from an address: fetched, kept, and missed.

use super::*;

/// A verifier of an address, with a pace at which nothing but a token causes a second fetch.
fn with_address(service: &Service, pace: Pace) -> Arc<TokenVerifier> {
    let web = Web::new(&WebUrl::parse(&service.url()).unwrap(), None, Duration::from_secs(5)).unwrap();
    let address = KeyAddress::new(web, pace);
    address.begin();
    Arc::new(TokenVerifier::new(JwtOptions::default(), KeySet::default(), Some(address)))
}

const STILL: Pace = Pace { refresh: LONG, retry: LONG, unknown_key: LONG };
/// A token with an unknown key always causes a fetch.
const EAGER: Pace = Pace { unknown_key: Duration::ZERO, ..STILL };

/// A service whose answer can be changed.
fn changeable(reply: Option<String>) -> (Service, Arc<Mutex<Option<String>>>) {
    let current = Arc::new(Mutex::new(reply));
    let answer = Arc::clone(&current);
    let service = Service::start(move |request| {
        assert!(request.head.starts_with("GET /question "), "{}", request.head);
        answer.lock().unwrap().clone().map_or(Reply::Garbage, |body| Reply::Answer(200, body))
    });
    (service, current)
}

/// Both authenticators in their order, as a listener's chain asks them.
fn log_in(verifier: &Arc<TokenVerifier>, token: &str) -> Decision {
    match TokenLogin(Arc::clone(verifier)).authenticate(&password(token)) {
        Decision::NotMine => WaitingTokenLogin(Arc::clone(verifier)).authenticate(&password(token)),
        decided => decided,
    }
}

fn rs_token(kid: &str, index: usize) -> String {
    sign(RS.1, Some(kid), &good_claims(), &pair(RS.0, index).signs)
}

fn is_in(decision: &Decision) -> bool {
    matches!(decision, Decision::Allow(_))
}

#[test]
fn keys_of_an_address_are_fetched_once_and_kept() {
    let (service, current) = changeable(Some(key_set(&[("a", RS.0, RS.1, 0)])));
    let verifier = with_address(&service, STILL);
    assert!(is_in(&log_in(&verifier, &rs_token("a", 0))), "the first waits for the keys");
    *current.lock().unwrap() = None;
    assert!(is_in(&TokenLogin(Arc::clone(&verifier)).authenticate(&password(&rs_token("a", 0)))));
    assert_eq!(service.asked(), 1);
}

#[test]
fn an_unknown_key_has_the_keys_fetched_again_but_not_for_every_token() {
    let (service, current) = changeable(Some(key_set(&[("a", RS.0, RS.1, 0)])));
    let verifier = with_address(&service, EAGER);
    assert!(is_in(&log_in(&verifier, &rs_token("a", 0))));
    *current.lock().unwrap() = Some(key_set(&[("b", RS.0, RS.1, 1)]));
    assert!(is_in(&log_in(&verifier, &rs_token("b", 1))), "the new key is there at once");
    assert_eq!(service.asked(), 2);
    assert!(!is_in(&log_in(&verifier, &rs_token("a", 0))), "the old one is not any more");

    let (service, _) = changeable(Some(key_set(&[("a", RS.0, RS.1, 0)])));
    let verifier = with_address(&service, STILL);
    assert!(is_in(&log_in(&verifier, &rs_token("a", 0))));
    for kid in ["b", "c", "d"] {
        let refused = Decision::Refuse(RefuseReason::BadUserNameOrPassword);
        assert_eq!(log_in(&verifier, &rs_token(kid, 1)), refused);
    }
    assert_eq!(service.asked(), 1);
}

#[test]
fn keys_stay_when_their_address_does_not_answer_any_more() {
    let (service, current) = changeable(Some(key_set(&[("a", RS.0, RS.1, 0)])));
    let verifier = with_address(&service, EAGER);
    assert!(is_in(&log_in(&verifier, &rs_token("a", 0))));
    for broken in [None, Some("{}".to_owned()), Some("no JSON".to_owned()), Some(" ".repeat(300_000))] {
        *current.lock().unwrap() = broken;
        assert!(!is_in(&log_in(&verifier, &rs_token("b", 1))), "it has asked in vain");
        assert!(is_in(&log_in(&verifier, &rs_token("a", 0))));
    }
    assert_eq!(service.asked(), 5);
}

#[test]
fn an_address_is_asked_when_a_listener_begins_and_not_before() {
    let (service, _) = changeable(Some(key_set(&[("a", RS.0, RS.1, 0)])));
    let options =
        JwtOptions { jwks_url: Some(WebUrl::parse(&service.url()).unwrap()), ..JwtOptions::default() };
    let login = TokenLogin(Arc::new(TokenVerifier::load(&options).unwrap()));
    assert!(!login.0.address.as_ref().unwrap().begun.is_completed());
    login.begin();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_in(&login.authenticate(&password(&rs_token("a", 0)))) {
        assert!(Instant::now() < deadline, "no keys come");
        std::thread::yield_now();
    }
}

#[test]
fn keys_are_fetched_on_schedule() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetches);
    let sets = [key_set(&[("a", RS.0, RS.1, 0)]), key_set(&[("b", RS.0, RS.1, 1)])];
    let service = Service::start(move |_| {
        let count = counted.fetch_add(1, Ordering::SeqCst);
        Reply::Answer(200, sets[count.min(1)].clone())
    });
    let verifier = with_address(&service, Pace { refresh: Duration::from_millis(20), ..STILL });
    let deadline = Instant::now() + Duration::from_secs(30);
    while verifier.judge(&rs_token("b", 1)).is_err() {
        assert!(Instant::now() < deadline, "the second set does not come");
        std::thread::yield_now();
    }
}

#[test]
fn as_long_as_there_are_no_keys_the_server_is_unavailable_and_nobody_waits_for_long() {
    let unavailable = Decision::Refuse(RefuseReason::ServerUnavailable);
    let (garbage, current) = changeable(None);
    let verifier = with_address(&garbage, EAGER);
    assert_eq!(log_in(&verifier, &rs_token("a", 0)), unavailable);
    *current.lock().unwrap() = Some(key_set(&[("a", RS.0, RS.1, 0)]));
    assert!(is_in(&log_in(&verifier, &rs_token("a", 0))), "it recovers by itself");

    let silent = Service::start(|_| Reply::Silence);
    let web = Web::new(&WebUrl::parse(&silent.url()).unwrap(), None, Duration::from_millis(100)).unwrap();
    let address = KeyAddress::new(web, STILL);
    let verifier = Arc::new(TokenVerifier::new(JwtOptions::default(), KeySet::default(), Some(address)));
    assert_eq!(log_in(&verifier, &rs_token("a", 0)), unavailable);
    assert_eq!(silent.asked(), 1);
}

#[test]
fn a_reload_goes_on_with_the_keys_that_are_there() {
    let (service, current) = changeable(Some(key_set(&[("a", RS.0, RS.1, 0)])));
    let before = with_address(&service, STILL);
    assert!(is_in(&log_in(&before, &rs_token("a", 0))));
    *current.lock().unwrap() = None;
    let after = with_address(&service, STILL);
    drop(before);
    assert!(is_in(&TokenLogin(Arc::clone(&after)).authenticate(&password(&rs_token("a", 0)))));
}

#[test]
fn only_a_token_whose_key_must_be_fetched_may_wait() {
    let (service, _) = changeable(None);
    let verifier = with_address(&service, STILL);
    let token = rs_token("a", 0);
    assert_eq!(TokenLogin(Arc::clone(&verifier)).cost(&password(&token)), Cost::Instant);
    assert_eq!(WaitingTokenLogin(Arc::clone(&verifier)).cost(&password("secret")), Cost::Instant);
    assert_eq!(WaitingTokenLogin(verifier).cost(&password(&token)), Cost::Waiting);
}

#[test]
fn the_authentication_method_takes_a_token_in_one_step_and_never_waits() {
    let step = |method: &TokenMethod, data: Option<&[u8]>| match method.begin().step(data) {
        ExchangeStep::Success { data: None, identity } => Ok(identity.user_name().map(str::to_owned)),
        ExchangeStep::Refuse(reason) => Err(reason),
        other => panic!("{other:?}"),
    };
    let method =
        TokenMethod(Arc::new(with_secret(JwtOptions { match_user_name: true, ..JwtOptions::default() })));
    assert_eq!(method.name(), "JWT");
    assert_eq!(step(&method, Some(signed(&good_claims()).as_bytes())), Ok(Some("anna".to_owned())));
    let expired = signed(&json!({"sub": "anna", "exp": seconds(-60)}));
    for data in [None, Some(&b""[..]), Some(b"secret"), Some(expired.as_bytes())] {
        assert_eq!(step(&method, data), Err(RefuseReason::BadUserNameOrPassword));
    }

    let (service, current) = changeable(Some(key_set(&[("a", RS.0, RS.1, 0)])));
    let verifier = with_address(&service, EAGER);
    assert!(is_in(&log_in(&verifier, &rs_token("a", 0))));
    *current.lock().unwrap() = Some(key_set(&[("b", RS.0, RS.1, 1)]));
    let method = TokenMethod(Arc::clone(&verifier));
    assert_eq!(step(&method, Some(rs_token("b", 1).as_bytes())), Err(RefuseReason::BadUserNameOrPassword));
    let deadline = Instant::now() + Duration::from_secs(30);
    while step(&method, Some(rs_token("b", 1).as_bytes())).is_err() {
        assert!(Instant::now() < deadline, "the refused token has not caused a fetch");
        std::thread::yield_now();
    }
}
