//! Tokens that are as they should be, and every way in which they are not.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{AlgorithmFamily, EncodingKey, Header, encode};
use serde_json::json;

use super::*;
use crate::auth::authenticator::{Authenticator, Cost, Credentials, Decision, RefuseReason};
use crate::auth::method::{AuthenticationMethod, ExchangeStep};
use crate::auth::service::{Reply, Service};
use crate::config::WebUrl;

const SECRET: &[u8] = b"a secret that is as long as the RFC wants it to be";
const LONG: Duration = Duration::from_secs(3600);

/// A key of one family.
struct Pair {
    signs: EncodingKey,
    public_pem: String,
}

fn pair(family: AlgorithmFamily, index: usize) -> &'static Pair {
    static PAIRS: OnceLock<Vec<(AlgorithmFamily, Pair)>> = OnceLock::new();
    let pairs = PAIRS.get_or_init(|| {
        let mut pairs = Vec::new();
        for _ in 0..2 {
            let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
            let signs = EncodingKey::from_rsa_pem(rsa.serialize_pem().as_bytes()).unwrap();
            pairs.push((AlgorithmFamily::Rsa, Pair { signs, public_pem: rsa.public_key_pem() }));
            let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            // The library wants the first version of PKCS #8, without the public key.
            let seed = &ed.serialize_der()[16..48];
            let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
            let signs = EncodingKey::from_ed_der(&[&prefix[..], seed].concat());
            pairs.push((AlgorithmFamily::Ed, Pair { signs, public_pem: ed.public_key_pem() }));
            let ec = ec_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
            pairs.push((AlgorithmFamily::Ec, ec));
        }
        pairs
    });
    &pairs.iter().filter(|(found, _)| *found == family).nth(index).expect("there are two of each").1
}

fn ec_pair(kind: &'static rcgen::SignatureAlgorithm) -> Pair {
    let ec = rcgen::KeyPair::generate_for(kind).unwrap();
    let signs = EncodingKey::from_ec_pem(ec.serialize_pem().as_bytes()).unwrap();
    Pair { signs, public_pem: ec.public_key_pem() }
}

fn seconds(from_now: i64) -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() + from_now
}

fn good_claims() -> Value {
    json!({"sub": "anna", "exp": seconds(3600)})
}

fn sign(algorithm: Algorithm, kid: Option<&str>, claims: &Value, key: &EncodingKey) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

fn signed(claims: &Value) -> String {
    sign(Algorithm::HS256, None, claims, &EncodingKey::from_secret(SECRET))
}

fn with_secret(options: JwtOptions) -> TokenVerifier {
    TokenVerifier::new(options, KeySet::of_secret(SECRET).unwrap(), None)
}

fn with_key(pem: &str) -> TokenVerifier {
    TokenVerifier::new(JwtOptions::default(), KeySet::of_file(pem.as_bytes()).unwrap(), None)
}

fn why(judgement: Result<Identity, Fault>) -> String {
    match judgement {
        Ok(identity) => panic!("{identity:?} was let in"),
        Err(fault) => fault.to_string(),
    }
}

fn password(token: &str) -> Credentials<'_> {
    Credentials::new("client", Some("anna"), Some(token.as_bytes()))
}

#[test]
fn every_algorithm_is_verified_with_its_key_and_with_no_other() {
    let families = [AlgorithmFamily::Rsa, AlgorithmFamily::Ed];
    let asymmetric =
        families.iter().flat_map(|family| family.algorithms().iter().map(move |one| (*family, *one)));
    for (family, algorithm) in asymmetric.chain([(AlgorithmFamily::Ec, Algorithm::ES256)]) {
        let token = sign(algorithm, None, &good_claims(), &pair(family, 0).signs);
        let identity = with_key(&pair(family, 0).public_pem).judge(&token).unwrap();
        assert_eq!(identity.user_name(), Some("anna"), "{algorithm:?}");
        let other = with_key(&pair(family, 1).public_pem).judge(&token);
        assert_eq!(why(other), "no key verifies its signature", "{algorithm:?}");
    }
    let p384 = ec_pair(&rcgen::PKCS_ECDSA_P384_SHA384);
    let token = sign(Algorithm::ES384, None, &good_claims(), &p384.signs);
    assert!(with_key(&p384.public_pem).judge(&token).is_ok());
    assert_eq!(
        why(with_key(&pair(AlgorithmFamily::Ec, 0).public_pem).judge(&token)),
        "no key verifies its signature"
    );
    for algorithm in AlgorithmFamily::Hmac.algorithms() {
        let token = sign(*algorithm, None, &good_claims(), &EncodingKey::from_secret(SECRET));
        assert!(with_secret(JwtOptions::default()).judge(&token).is_ok(), "{algorithm:?}");
        let other = sign(*algorithm, None, &good_claims(), &EncodingKey::from_secret(b"another secret"));
        assert_eq!(why(with_secret(JwtOptions::default()).judge(&other)), "no key verifies its signature");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let pem = &pair(AlgorithmFamily::Rsa, 0).public_pem;
    for secret in [pem.as_bytes(), pem.trim_end().as_bytes()] {
        let forged = sign(Algorithm::HS256, None, &good_claims(), &EncodingKey::from_secret(secret));
        assert_eq!(why(with_key(pem).judge(&forged)), "there is no key for HS256 with its kid None");
    }
    assert!(KeySet::of_secret(pem.as_bytes()).unwrap_err().starts_with("is a PEM file"));
}

#[test]
fn a_token_that_nobody_signed_is_refused_and_nobody_else_is_asked() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = part(&good_claims().to_string());
    let login = TokenLogin(Arc::new(with_secret(JwtOptions::default())));
    for header in
        [r#"{"alg":"none"}"#, r#"{"alg":"None","typ":"JWT"}"#, r#"{"alg":"HS257"}"#, r#"{"alg":""}"#]
    {
        let token = format!("{}.{claims}.", part(header));
        let refused = Decision::Refuse(RefuseReason::BadUserNameOrPassword);
        assert_eq!(login.authenticate(&password(&token)), refused, "{header}");
    }
}

#[test]
fn a_token_with_a_changed_byte_is_refused() {
    let verifier = with_secret(JwtOptions::default());
    let token = signed(&good_claims());
    assert!(verifier.judge(&token).is_ok());
    for index in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        assert!(verifier.judge(std::str::from_utf8(&changed).unwrap()).is_err(), "byte {index}");
    }
}

#[test]
fn a_claim_that_is_not_as_it_must_be_is_a_reason_to_refuse() {
    let options = |change: fn(&mut JwtOptions)| {
        let mut options = JwtOptions { issuer: Some("me".to_owned()), ..JwtOptions::default() };
        change(&mut options);
        options
    };
    let unchanged: fn(&mut JwtOptions) = |_| {};
    let for_mqtt: fn(&mut JwtOptions) =
        |options| options.audience = vec!["mqtt".to_owned(), "iot".to_owned()];
    let cases = [
        (unchanged, json!({"iss": "you"}), "its issuer (iss) is not auth.jwt.issuer"),
        (unchanged, json!({"iss": null}), "it has no usable claim iss"),
        (unchanged, json!({"aud": "mqtt"}), "it is for an audience (aud), and auth.jwt.audience names none"),
        (for_mqtt, json!({"aud": "web"}), "its audience (aud) is not in auth.jwt.audience"),
        (for_mqtt, json!({"aud": ["web", "mail"]}), "its audience (aud) is not in auth.jwt.audience"),
        (for_mqtt, json!({}), "it has no usable claim aud"),
        (unchanged, json!({"exp": seconds(-60)}), "it has expired (exp)"),
        (unchanged, json!({"exp": null}), "it has no usable claim exp"),
        (unchanged, json!({"exp": "tomorrow"}), "it has no usable claim exp"),
        (
            |options| options.require_expiry = false,
            json!({"exp": "tomorrow"}),
            "its claim exp cannot be used",
        ),
        (|options| options.require_expiry = false, json!({"exp": seconds(-60)}), "it has expired (exp)"),
        (unchanged, json!({"nbf": seconds(60)}), "it is not valid yet (nbf)"),
        (unchanged, json!({"sub": null}), "its claim sub is no name of a user"),
        (unchanged, json!({"sub": ""}), "its claim sub is no name of a user"),
        (unchanged, json!({"sub": 7}), "its claim sub is no name of a user"),
        (unchanged, json!({"sub": "a\u{0}b"}), "its claim sub is no name of a user"),
        (
            |options| options.algorithms = vec![SignatureAlgorithm::Hs512],
            json!({}),
            "HS256 is not one of auth.jwt.algorithms",
        ),
        (|options| options.permissions_claim = Some("mqtt".to_owned()), json!({}), "it has no claim mqtt"),
    ];
    for (change, difference, expected) in cases {
        let mut claims = good_claims();
        claims["iss"] = json!("me");
        for (claim, value) in difference.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        assert_eq!(why(with_secret(options(change)).judge(&signed(&claims))), expected, "{claims}");
    }
}

#[test]
fn clocks_may_be_apart_by_the_leeway() {
    let verifier = with_secret(JwtOptions { leeway: Duration::from_secs(100), ..JwtOptions::default() });
    assert!(verifier.judge(&signed(&json!({"sub": "anna", "exp": seconds(-50)}))).is_ok());
    assert!(verifier.judge(&signed(&json!({"sub": "anna", "exp": seconds(9), "nbf": seconds(50)}))).is_ok());
}

#[test]
fn a_token_says_who_for_how_long_and_with_which_rights() {
    let options = JwtOptions {
        audience: vec!["mqtt".to_owned()],
        user_claim: "device".to_owned(),
        permissions_claim: Some("https://example.com/mqtt".to_owned()),
        ..JwtOptions::default()
    };
    let rights = json!({"publish": ["a/%c"], "max_qos": 1});
    let claims = json!({"device": "d7", "exp": 4_000_000_000_u64, "aud": ["web", "mqtt"],
        "https://example.com/mqtt": rights});
    let identity = with_secret(options.clone()).judge(&signed(&claims)).unwrap();
    assert_eq!(identity.user_name(), Some("d7"));
    assert_eq!(identity.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(4_000_000_000) + options.leeway));
    let grants: Value = serde_json::from_str(identity.grants().unwrap().as_str()).unwrap();
    assert_eq!(grants, rights);

    let misspelt =
        json!({"device": "d7", "exp": seconds(60), "aud": "mqtt", "https://example.com/mqtt": {"pub": []}});
    let reason = why(with_secret(options).judge(&signed(&misspelt)));
    assert!(
        reason.starts_with("in its claim https://example.com/mqtt, the rights are no JSON object of a role"),
        "{reason}"
    );
}

#[test]
fn a_token_without_an_end_holds_for_ever_where_that_is_allowed() {
    let verifier = with_secret(JwtOptions { require_expiry: false, ..JwtOptions::default() });
    assert_eq!(verifier.judge(&signed(&json!({"sub": "anna"}))).unwrap().expires_at(), None);
    let far = verifier.judge(&signed(&json!({"sub": "anna", "exp": u64::MAX}))).unwrap();
    assert!(far.expires_at().unwrap() > SystemTime::now() + LONG, "and an absurd end is no panic");
}

#[test]
fn a_critical_header_that_is_not_understood_is_a_reason_to_refuse() {
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..Header::new(Algorithm::HS256) };
    let token = encode(&header, &good_claims(), &EncodingKey::from_secret(SECRET)).unwrap();
    assert!(why(with_secret(JwtOptions::default()).judge(&token)).contains("crit"));
}

#[test]
fn a_password_that_does_not_look_like_a_token_is_for_somebody_else() {
    let login = TokenLogin(Arc::new(with_secret(JwtOptions::default())));
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"HS256"}"#);
    for text in [
        "",
        "secret",
        "a.b.c",
        "..",
        &format!("{header}.a"),
        &format!("{header}.a.b.c"),
        &format!("{header}.a b.c"),
        &format!("{}.a.b", part(r#"{"enc":"A128GCM"}"#)),
        &format!("{}.a.b", part("[1]")),
        &format!("{}.a.b", part(r#"{"alg":7}"#)),
    ] {
        assert_eq!(login.authenticate(&password(text)), Decision::NotMine, "{text}");
    }
    assert_eq!(login.authenticate(&Credentials::new("c", None, Some(b"\xFF.\xFF.\xFF"))), Decision::NotMine);
    assert_eq!(login.authenticate(&Credentials::new("c", Some("anna"), None)), Decision::NotMine);
}

#[test]
fn the_user_name_of_connect_counts_only_where_it_must_match() {
    let token = signed(&good_claims());
    let login = |match_user_name: bool, user_name: Option<&str>| {
        let options = JwtOptions { match_user_name, ..JwtOptions::default() };
        let credentials = Credentials::new("c", user_name, Some(token.as_bytes()));
        match TokenLogin(Arc::new(with_secret(options))).authenticate(&credentials) {
            Decision::Allow(identity) => Ok(identity.user_name().map(str::to_owned)),
            other => Err(other),
        }
    };
    let anna = Ok(Some("anna".to_owned()));
    assert_eq!(login(false, Some("unused")), anna);
    assert_eq!(login(true, Some("anna")), anna);
    assert_eq!(login(true, None), anna);
    assert_eq!(login(true, Some("boris")), Err(Decision::Refuse(RefuseReason::NotAuthorized)));
}

#[test]
fn a_key_file_must_have_public_keys_and_a_secret_file_a_long_secret() {
    let private = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    let certificate = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap().cert.pem();
    let oct = json!({"keys": [{"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}]}).to_string();
    for (text, expected) in [
        (private.as_str(), "has a private key"),
        (&oct, "has no public key that verifies signatures"),
        ("{}", "is no key set"),
        (&certificate, "has a block \"CERTIFICATE\", and public keys are needed"),
        ("", "has neither a PEM public key"),
        ("secret", "has neither a PEM public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA", "has a PEM block without its end"),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "has a public key that is none of RSA, P-256, P-384 or Ed25519",
        ),
    ] {
        let problem = KeySet::of_file(text.as_bytes()).unwrap_err();
        assert!(problem.starts_with(expected), "{problem}");
    }
    assert!(KeySet::of_secret(b"short").unwrap_err().contains("32 are needed"));
    let two = [0, 1].map(|index| pair(AlgorithmFamily::Rsa, index).public_pem.as_str()).concat();
    assert_eq!(KeySet::of_file(two.as_bytes()).unwrap().len(), 2);
}

#[test]
fn no_debug_text_shows_a_secret() {
    let text = format!("{:?}", TokenLogin(Arc::new(with_secret(JwtOptions::default()))));
    assert!(!text.contains("a secret that") && !text.contains(&format!("{SECRET:?}")), "{text}");
}

/// A key set with one key for each name.
fn key_set(names: &[(&str, AlgorithmFamily, Algorithm, usize)]) -> String {
    let keys: Vec<_> = names
        .iter()
        .map(|(name, family, algorithm, index)| {
            let mut jwk = Jwk::from_encoding_key(&pair(*family, *index).signs, *algorithm).unwrap();
            jwk.common.key_id = Some((*name).to_owned());
            serde_json::to_value(&jwk).unwrap()
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

const RS: (AlgorithmFamily, Algorithm) = (AlgorithmFamily::Rsa, Algorithm::RS256);

#[test]
fn a_token_is_verified_with_the_key_it_names() {
    let (family, algorithm) = RS;
    let set = key_set(&[
        ("first", family, algorithm, 0),
        ("second", family, algorithm, 1),
        ("curve", AlgorithmFamily::Ec, Algorithm::ES256, 0),
        ("edwards", AlgorithmFamily::Ed, Algorithm::EdDSA, 0),
    ]);
    let verifier = TokenVerifier::new(JwtOptions::default(), KeySet::of_file(set.as_bytes()).unwrap(), None);
    let judge = |algorithm, kid, key| verifier.judge(&sign(algorithm, kid, &good_claims(), key));
    let (first, second) = (&pair(family, 0).signs, &pair(family, 1).signs);
    assert!(judge(algorithm, Some("first"), first).is_ok());
    assert!(judge(algorithm, Some("second"), second).is_ok());
    assert!(judge(algorithm, None, second).is_ok(), "without a name, each key may be it");
    assert!(judge(Algorithm::ES256, Some("curve"), &pair(AlgorithmFamily::Ec, 0).signs).is_ok());
    assert!(judge(Algorithm::EdDSA, Some("edwards"), &pair(AlgorithmFamily::Ed, 0).signs).is_ok());
    assert_eq!(why(judge(algorithm, Some("first"), second)), "no key verifies its signature");
    assert_eq!(
        why(judge(algorithm, Some("third"), first)),
        "there is no key for RS256 with its kid Some(\"third\")"
    );
    assert_eq!(
        why(judge(Algorithm::RS512, Some("first"), first)),
        "there is no key for RS512 with its kid Some(\"first\")",
        "the key says that it is for RS256"
    );
}

#[test]
fn what_a_key_set_has_that_is_not_for_signatures_is_left_out() {
    let (family, algorithm) = RS;
    let mut set: Value =
        serde_json::from_str(&key_set(&[("a", family, algorithm, 0), ("b", family, algorithm, 1)])).unwrap();
    set["keys"][0]["use"] = json!("enc");
    let secret = json!({"kty": "oct", "kid": "c", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let unknown = json!({"kty": "AKP", "kid": "d", "alg": "ML-DSA-44", "pub": "AAAA"});
    set["keys"].as_array_mut().unwrap().extend([secret, unknown, json!(7)]);
    let keys = KeySet::of_json(&set.to_string()).unwrap();
    assert_eq!((keys.len(), keys.has_name("b")), (1, true));
}

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
