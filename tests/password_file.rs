//! The password file and the chain of authenticators from the outside: what an operator writes, and who is let in.
//!
//! The hashes are real: those of `$6$` and `$7$` come from mosquitto_passwd 2.0.11, those of argon2id from
//! the reference library with the parameters of mosquitto 2.1 and others, that of SCRAM from RFC 7677.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin::auth::{
    Anonymous, Authenticator, AuthenticatorChain, Cost, Credentials, Decision, FileError, HashProblem,
    Identity, PasswordFile, PasswordFileError, PasswordFileProblem, RefuseReason, Verdict, Who,
    hash_password, scram_verifier,
};

/// `mosquitto_passwd -H sha512`
const SALTED_SHA512: &str = "anna:$6$Xa/7+hTQ/sB56g3a$GYacnl6rsmaO6MwJCRTQc+4XAOykCNtDPicB10Yu5pIhIl2Tw36FRHMIAo+yyR077Q++bgWGfcAwoDKKFzlvgg==";
/// `mosquitto_passwd`
const PBKDF2: &str = "boris:$7$101$Mh6Qi1c2Mm1VviYl$/RqYtTe7sEuzdUIYAJW3ax543IOKl7iLkpuFW7iEG6kBmwOUZVvW+ZO26ljA7Ki5BkSIzwxQJBaMevC4WjyM+w==";
/// `mosquitto_passwd`, with a user name and a password beyond ASCII
const PBKDF2_UNICODE: &str = "Zoë:$7$101$HHGSCBslNRR2RaPK$pFk4iiexrRGziLJ7cha16sTPNoUczyqpZPUX5v6rpwOt2BpzJc8Hk01rLcZ00C+Swuo89M3+WS9wCUEZqFK2QA==";
/// As mosquitto 2.1 writes it: 64 bytes of salt
const PBKDF2_LONG_SALT: &str = "carla:$7$1000$vFdi5rqIRoz+Jxgc7P9joL3cmHf9CPUcQSP+YzinJAuSNnRZrSXC562LxR7R+TUiPsvBvn8baix34xTcwId7fQ==$0KCReciyuMYSd11pehrO76WzC1aHFAcc8rWTM7efBwbPeL89HrG+GtrWG70O2WI4xgE0Tg40xSWnVwTc+jsm0Q==";
/// As mosquitto 2.1 writes it: 46 MiB, one pass, 64 bytes of salt and of hash
const ARGON2ID_MOSQUITTO: &str = "dora:$argon2id$v=19$m=47104,t=1,p=1$ucpzjuvSefPRPQSL5aZbnyDxRvSA/5fHQUfbu1+fVWz0utCraHY5hs5wcDS+OaYUmgihWZYU0oRBfi1ZvcSY/w$W0lnWR2cjbqf7qPIr510rWqfvDN9wQXlmqpcY+iMDUyGerziyRewGDYVv2LFzG4zy7crzNvYDKkDoGZkjkFXxw";
const ARGON2ID_FOUR_LANES: &str =
    "emil:$argon2id$v=19$m=4096,t=3,p=4$pbxN9XHoFCl901wTioxa0g$rxzRzEdekNcEFnALDnFdF6rhS4gUTRELHKMkbXBAW98";
const ARGON2ID_VERSION_16: &str =
    "fritz:$argon2id$v=16$m=1024,t=2,p=1$kXBMazoHkf10GzcRwwob9A$sTSncGwPzNpvDRNbcPozzPFMEFbMl8UMHGdOVDk/ZYs";

fn password_file(lines: &[&str]) -> PasswordFile {
    PasswordFile::parse(lines.join("\n").as_bytes(), "passwd").expect("the file is good")
}

#[test]
fn every_kind_of_hash_that_mosquitto_writes_accepts_its_password_and_no_other() {
    let file = password_file(&[
        SALTED_SHA512,
        PBKDF2,
        PBKDF2_UNICODE,
        PBKDF2_LONG_SALT,
        ARGON2ID_MOSQUITTO,
        ARGON2ID_FOUR_LANES,
        ARGON2ID_VERSION_16,
    ]);
    assert_eq!(file.user_count(), 7);
    let passwords = [
        ("anna", "correct horse"),
        ("boris", "battery staple"),
        ("Zoë", "pässwörd"),
        ("carla", "battery staple"),
        ("dora", "correct horse"),
        ("emil", "pässwörd"),
        ("fritz", "old"),
    ];
    for (user_name, password) in passwords {
        assert_eq!(file.verify(user_name, password.as_bytes()), Verdict::Correct, "{user_name}");
        assert_eq!(file.verify(user_name, b"Correct horse"), Verdict::WrongPassword, "{user_name}");
        assert_eq!(file.verify(user_name, b""), Verdict::WrongPassword, "{user_name}");
        let longer = format!("{password}x");
        assert_eq!(file.verify(user_name, longer.as_bytes()), Verdict::WrongPassword, "{user_name}");
    }
    assert_eq!(file.verify("gustav", b"correct horse"), Verdict::UnknownUser);
    assert_eq!(file.verify("", b""), Verdict::UnknownUser);
    assert_eq!(file.verify("ANNA", b"correct horse"), Verdict::UnknownUser);
}

#[test]
fn a_new_hash_accepts_its_password_and_has_a_fresh_salt_each_time() {
    let first = hash_password(b"\xff\x00any bytes").expect("hashed");
    let second = hash_password(b"\xff\x00any bytes").expect("hashed");
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    assert_ne!(first, second);
    let file = password_file(&[&format!("greta:{first}"), &format!("hugo:{second}")]);
    assert_eq!(file.verify("greta", b"\xff\x00any bytes"), Verdict::Correct);
    assert_eq!(file.verify("hugo", b"\xff\x00any bytes"), Verdict::Correct);
    assert_eq!(file.verify("greta", b"\xff\x00any byte"), Verdict::WrongPassword);
}

#[test]
fn a_verifier_of_scram_accepts_its_password_in_the_clear_however_it_is_composed() {
    let made = scram_verifier("pa\u{308}ss\u{AD}word".as_bytes(), 4096).expect("made");
    assert!(made.starts_with("SCRAM-SHA-256$4096:"), "{made}");
    // That of RFC 7677, section 3, as PostgreSQL would write it.
    let of_the_rfc = "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    let file = password_file(&[&format!("zoë:{made}"), of_the_rfc]);
    assert_eq!(file.verify("user", b"pencil"), Verdict::Correct);
    assert_eq!(file.verify("user", b"Pencil"), Verdict::WrongPassword);
    assert_eq!(file.verify("zoë", "pässword".as_bytes()), Verdict::Correct);
    assert_eq!(file.verify("zoë", b"password"), Verdict::WrongPassword);
    assert_eq!(file.verify("zoë", b"p\xe4ssword"), Verdict::WrongPassword);
}

#[test]
fn comments_blank_lines_windows_line_ends_and_blanks_around_the_fields_are_no_problem() {
    let text =
        format!("# users\r\n\r\n  {SALTED_SHA512}  \r\n# {PBKDF2}\n{}", PBKDF2.replacen(':', " : ", 1));
    let file = PasswordFile::parse(text.as_bytes(), "passwd").expect("the file is good");
    assert_eq!(file.user_count(), 2);
    assert_eq!(file.verify("anna", b"correct horse"), Verdict::Correct);
    assert_eq!(file.verify("boris", b"battery staple"), Verdict::Correct);
}

#[test]
fn an_empty_password_file_knows_nobody() {
    let file = password_file(&["# nobody yet"]);
    assert_eq!(file.user_count(), 0);
    assert_eq!(file.verify("anna", b"correct horse"), Verdict::UnknownUser);
}

fn password_line_problem(line: &str) -> (String, PasswordFileProblem) {
    let text = format!("# users\n{SALTED_SHA512}\n{line}\n");
    let error = PasswordFile::parse(text.as_bytes(), "/etc/dunlin/passwd").expect_err("the line is bad");
    let message = error.to_string();
    assert!(message.starts_with("/etc/dunlin/passwd:3: "), "{message}");
    match error {
        PasswordFileError::Line { problem, .. } => (message, problem),
        other => panic!("another error: {other:?}"),
    }
}

#[test]
fn a_line_without_a_user_or_a_second_line_for_a_user_is_an_error_with_its_line() {
    let (message, problem) = password_line_problem("boris");
    assert_eq!(problem, PasswordFileProblem::NoColon);
    assert!(message.ends_with("a line should read USER:HASH, but has no colon"), "{message}");

    let (_, problem) = password_line_problem(&SALTED_SHA512.replacen("anna", " ", 1));
    assert_eq!(problem, PasswordFileProblem::EmptyUserName);

    let (message, problem) = password_line_problem(SALTED_SHA512);
    assert_eq!(problem, PasswordFileProblem::DuplicateUser { user_name: "anna".into(), first_line: 2 });
    assert!(message.ends_with("user \"anna\" is on line 2 already; keep one of the two lines"), "{message}");
}

#[test]
fn a_hash_that_cannot_be_used_is_an_error_that_says_what_it_should_be() {
    let salt = "Xa/7+hTQ/sB56g3a";
    let hash64 = "GYacnl6rsmaO6MwJCRTQc+4XAOykCNtDPicB10Yu5pIhIl2Tw36FRHMIAo+yyR077Q++bgWGfcAwoDKKFzlvgg==";
    let hash32 = "rxzRzEdekNcEFnALDnFdF6rhS4gUTRELHKMkbXBAW98";
    let argon2id = |costs: &str| format!("$argon2id$v=19${costs}${salt}${hash32}");
    let cases: &[(String, &str)] = &[
        (String::new(), "no password hash"),
        ("hunter2".into(), "`dunlin passwd add` gives it a hash"),
        ("$2y$10$abcdefghijklmnopqrstuv".into(), "unknown kind"),
        ("$6".into(), "unknown kind"),
        ("$5$a$b".into(), "unknown kind"),
        (format!("$6${hash64}"), "$6$SALT$HASH"),
        (format!("$6${salt}${hash64}$"), "$6$SALT$HASH"),
        (format!("$6$!!!!${hash64}"), "the salt is not base64"),
        (format!("$6$Xa/7+hTQ${hash64}"), "the salt should have 8 to 64 bytes"),
        (format!("$6${salt}$abc*"), "the hash is not base64"),
        (format!("$6${salt}${hash32}"), "the hash should have 64 bytes"),
        (format!("$7${salt}${hash64}"), "$7$ITERATIONS$SALT$HASH"),
        (format!("$7$0${salt}${hash64}"), "iterations"),
        (format!("$7$+101${salt}${hash64}"), "iterations"),
        (format!("$7$10000001${salt}${hash64}"), "iterations"),
        (format!("$7$99999999999${salt}${hash64}"), "iterations"),
        ("SCRAM-SHA-1$4096:AAAA$AAAA:AAAA".into(), "not hashed"),
        ("SCRAM-SHA-256$4096".into(), "SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY"),
        (format!("SCRAM-SHA-256$4095:{salt}${hash32}:{hash32}"), "iterations"),
        (format!("SCRAM-SHA-256$4096:Xa/7+hTQ${hash32}:{hash32}"), "the salt should have 8 to 64 bytes"),
        (format!("SCRAM-SHA-256$4096:{salt}${hash64}:{hash32}"), "the StoredKey"),
        (format!("SCRAM-SHA-256$4096:{salt}${hash32}:{hash64}"), "the ServerKey"),
        (format!("SCRAM-SHA-256$4096:{salt}${hash32}"), "SCRAM-SHA-256$ITERATIONS"),
        (format!("$argon2id$v=18$m=4096,t=3,p=1${salt}${hash32}"), "the version should be v=19"),
        (format!("$argon2id$v=19$m=4096,t=3,p=1${salt}"), "$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH"),
        (format!("$argon2id${salt}"), "$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH"),
        (argon2id("t=3,m=4096,p=1"), "m= should come first"),
        (argon2id("m=4194304,t=3,p=1"), "m= should come first"),
        (argon2id("m=4096,t=0,p=1"), "t= should come second"),
        (argon2id("m=4096,t=3"), "p= should come third"),
        (argon2id("m=4096,t=3,p=1,keyid=a"), "no parameters but"),
        (argon2id("m=8,t=3,p=4"), "8 times p="),
        (format!("$argon2id$v=19$m=4096,t=3,p=1${salt}$YWJj"), "16 to 64 bytes"),
    ];
    for (hash, expected) in cases {
        let (message, problem) = password_line_problem(&format!("boris:{hash}"));
        assert!(message.contains("user \"boris\" has "), "{message}");
        assert!(message.contains(expected), "{hash}: {message}");
        assert!(matches!(problem, PasswordFileProblem::Hash { .. }), "{problem:?}");
    }
}

#[test]
fn no_error_and_no_debug_text_shows_a_password_or_a_hash() {
    for line in [
        "boris:hunter2",
        "boris:$hunter2$hunter2",
        "boris:$6$hunter2$hunter2",
        "boris:$argon2id$v=hunter2$a$b$c",
    ] {
        let (message, problem) = password_line_problem(line);
        assert!(!message.contains("hunter2"), "{message}");
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
    let file = password_file(&[SALTED_SHA512]);
    assert_eq!(format!("{file:?}"), "PasswordFile(passwd, 1 users)");
    let request = Credentials::new("c1", Some("anna"), Some(b"hunter2"));
    let debug = format!("{request:?}");
    assert!(debug.contains("anna") && debug.contains("redacted") && !debug.contains("hunter2"), "{debug}");
    assert!(!debug.contains(&format!("{:?}", b"hunter2")), "{debug}");
}

#[test]
fn a_password_file_is_read_from_disk_and_errors_of_reading_name_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("passwd");
    let missing = PasswordFile::load(&path).expect_err("there is no file");
    assert!(matches!(missing, FileError::Unreadable { .. }));
    assert!(missing.to_string().starts_with(&path.display().to_string()), "{missing}");
    assert!(std::error::Error::source(&missing).is_some());

    fs::write(&path, format!("{SALTED_SHA512}\n")).expect("written");
    let file = PasswordFile::load(&path).expect("the file is good");
    assert_eq!(file.verify("anna", b"correct horse"), Verdict::Correct);
    assert_eq!(file.path(), path);

    fs::write(&path, b"# users\nboris:\xff\n").expect("written");
    let error = PasswordFile::load(&path).expect_err("not UTF-8");
    assert!(matches!(error, FileError::NotUtf8 { line: 2, .. }), "{error:?}");

    let large = fs::File::create(&path).expect("created");
    large.set_len(64 * 1024 * 1024 + 1).expect("a sparse file");
    assert!(matches!(PasswordFile::load(&path), Err(FileError::TooLarge { .. })));
}

#[cfg(unix)]
#[test]
fn a_password_file_that_everyone_may_read_is_recognised() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("passwd");
    fs::write(&path, SALTED_SHA512).expect("written");
    for (mode, expected) in [(0o600, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions set");
        assert_eq!(PasswordFile::load(&path).expect("good").is_readable_by_others(), expected, "{mode:o}");
    }
}

const NOBODY: Credentials<'_> = Credentials::new("c1", None, None);
const ANNA: Credentials<'_> = Credentials::new("c1", Some("anna"), Some(b"correct horse"));
const ANNA_WRONG: Credentials<'_> = Credentials::new("c1", Some("anna"), Some(b"wrong"));
const ANNA_NO_PASSWORD: Credentials<'_> = Credentials::new("c1", Some("anna"), None);
const STRANGER: Credentials<'_> = Credentials::new("c1", Some("stranger"), Some(b"wrong"));
const ONLY_PASSWORD: Credentials<'_> = Credentials::new("c1", None, Some(b"correct horse"));

#[test]
fn where_credentials_are_required_wrong_ones_are_told_apart_from_missing_ones() {
    let chain = AuthenticatorChain::for_listener(vec![Arc::new(password_file(&[SALTED_SHA512]))], false);
    assert_eq!(chain.authenticate(&ANNA), Ok(Identity::user("anna")));
    assert_eq!(chain.authenticate(&NOBODY), Err(RefuseReason::NotAuthorized));
    for request in [ANNA_WRONG, ANNA_NO_PASSWORD, STRANGER, ONLY_PASSWORD] {
        assert_eq!(chain.authenticate(&request), Err(RefuseReason::BadUserNameOrPassword), "{request:?}");
    }
}

#[test]
fn bad_credentials_are_not_downgraded_to_an_anonymous_connection() {
    let chain = AuthenticatorChain::for_listener(vec![Arc::new(password_file(&[SALTED_SHA512]))], true);
    assert_eq!(chain.authenticate(&NOBODY), Ok(Identity::anonymous()));
    assert_eq!(chain.authenticate(&ANNA), Ok(Identity::user("anna")));
    for request in [ANNA_WRONG, ANNA_NO_PASSWORD, STRANGER, ONLY_PASSWORD] {
        assert_eq!(chain.authenticate(&request), Err(RefuseReason::BadUserNameOrPassword), "{request:?}");
    }
}

#[test]
fn without_a_password_file_a_claimed_user_name_is_not_believed() {
    let open = AuthenticatorChain::for_listener(Vec::new(), true);
    assert_eq!(open.authenticate(&NOBODY), Ok(Identity::anonymous()));
    let identity = open.authenticate(&ANNA).expect("everyone is welcome");
    assert_eq!(identity.user_name(), None);
    assert_eq!(identity.who("c1"), Who { client_identifier: "c1", user_name: None });

    let closed = AuthenticatorChain::for_listener(Vec::new(), false);
    assert_eq!(closed.authenticate(&NOBODY), Err(RefuseReason::NotAuthorized));
    assert_eq!(closed.authenticate(&ANNA), Err(RefuseReason::BadUserNameOrPassword));
}

#[test]
fn only_requests_that_need_hashing_are_expensive() {
    let file = password_file(&[SALTED_SHA512]);
    assert_eq!(file.cost(&NOBODY), Cost::Instant);
    assert_eq!(file.cost(&ANNA_NO_PASSWORD), Cost::Instant);
    assert_eq!(file.cost(&ANNA), Cost::Computing);
    assert_eq!(file.cost(&STRANGER), Cost::Computing);
    assert_eq!(Anonymous::whatever_is_presented().cost(&ANNA), Cost::Instant);
}

/// An embedder's authenticator: one answer, and a count of how often it was asked.
struct Scripted {
    decision: Decision,
    asked: AtomicUsize,
}

impl Authenticator for Scripted {
    fn authenticate(&self, _request: &Credentials<'_>) -> Decision {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.decision.clone()
    }
}

#[test]
fn authenticators_are_asked_in_order_until_one_says_yes_or_no() {
    let scripted = |decision| Arc::new(Scripted { decision, asked: AtomicUsize::new(0) });
    let passing = scripted(Decision::NotMine);
    let refusing = scripted(Decision::Refuse(RefuseReason::NotAuthorized));
    let allowing = scripted(Decision::Allow(Identity::user("anna")));
    let chain = |order: [&Arc<Scripted>; 2]| {
        AuthenticatorChain::new(
            order.map(|authenticator| Arc::clone(authenticator) as Arc<dyn Authenticator>),
        )
    };
    let asked = || {
        [&passing, &refusing, &allowing].map(|authenticator| authenticator.asked.swap(0, Ordering::Relaxed))
    };

    assert_eq!(chain([&passing, &allowing]).authenticate(&STRANGER), Ok(Identity::user("anna")));
    assert_eq!(asked(), [1, 0, 1]);
    assert_eq!(chain([&refusing, &allowing]).authenticate(&STRANGER), Err(RefuseReason::NotAuthorized));
    assert_eq!(asked(), [0, 1, 0]);
    assert_eq!(chain([&allowing, &refusing]).authenticate(&STRANGER), Ok(Identity::user("anna")));
    assert_eq!(asked(), [0, 0, 1]);
    assert_eq!(chain([&passing, &passing]).authenticate(&STRANGER), Err(RefuseReason::BadUserNameOrPassword));
    assert_eq!(passing.cost(&NOBODY), Cost::Waiting, "who does not say may block");
}

#[test]
fn the_reasons_say_what_a_client_did_wrong() {
    assert_eq!(HashProblem::Missing.to_string(), "has no password hash after the colon");
    assert_eq!(RefuseReason::BadUserNameOrPassword.to_string(), "the user name or the password is wrong");
    assert_eq!(RefuseReason::NotAuthorized.to_string(), "a user name and a password are needed here");
}
