//! Tokens in the light of the keys in memory.

use super::*;

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
