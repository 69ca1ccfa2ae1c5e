//! The password file and the ACL file from the outside: what an operator writes, and what a Client then may
//! do.
//!
//! The hashes are real: those of `$6$` and `$7$` come from mosquitto_passwd 2.0.11, those of argon2id from
//! the reference library with the parameters of mosquitto 2.1 and others, that of SCRAM from RFC 7677. The ACL
//! is compared with a second evaluator that reads rules one by one, substitutes text and matches topics naively,
//! as mosquitto does.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin::auth::{
    Acl, AclFileError, AclFileProblem, Authenticator, AuthenticatorChain, Cause, Cost, Credentials, Decision,
    FileError, HashProblem, Identity, PasswordFile, PasswordFileError, PasswordFileProblem, Question,
    RefuseReason, Verdict, Who, hash_password, scram_verifier,
};
use proptest::prelude::*;

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
fn files_are_read_from_disk_and_errors_of_reading_name_the_file() {
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
    assert!(matches!(Acl::load(&path), Err(FileError::TooLarge { .. })));

    let path = directory.path().join("acl");
    assert!(matches!(Acl::load(&path), Err(FileError::Unreadable { .. })));
    fs::write(&path, "topic read news/#\n").expect("written");
    let acl = Acl::load(&path).expect("the file is good");
    assert!(acl.may_receive(&ANONYMOUS, "news/today"));
    assert_eq!((acl.rule_count(), acl.path()), (1, path.as_path()));
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
    let chain = AuthenticatorChain::for_listener(vec![Arc::new(password_file(&[SALTED_SHA512]))], true);
    assert_eq!(chain.cost(&NOBODY), Cost::Instant);
    assert_eq!(chain.cost(&ANNA_NO_PASSWORD), Cost::Instant);
    assert_eq!(chain.cost(&ANNA), Cost::Computing);
    assert_eq!(chain.cost(&STRANGER), Cost::Computing);
    assert_eq!(AuthenticatorChain::for_listener(Vec::new(), true).cost(&ANNA), Cost::Instant);
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
    assert_eq!(chain([&passing, &passing]).cost(&NOBODY), Cost::Waiting, "who does not say may block");
}

const ANONYMOUS: Who<'_> = Who { client_identifier: "c1", user_name: None };

fn user(user_name: &str) -> Who<'_> {
    Who { client_identifier: "c1", user_name: Some(user_name) }
}

fn acl(text: &str) -> Acl {
    Acl::parse(text.as_bytes(), "acl").expect("the file is good")
}

#[test]
fn an_acl_without_rules_refuses_everything() {
    let acl = acl("# nothing\n");
    for who in [ANONYMOUS, user("anna")] {
        assert!(!acl.may_publish(&who, "a"));
        assert!(!acl.may_receive(&who, "a"));
        assert!(!acl.may_subscribe(&who, "#"));
    }
    assert_eq!(acl.explain(&ANONYMOUS, Question::publish("a")).cause, Cause::NoRule);
}

#[test]
fn topics_before_the_first_user_line_are_for_anonymous_clients_and_user_sections_for_their_user() {
    let acl = acl(
        "topic read news\nuser anna\ntopic home\nuser boris smith\ntopic garden\nuser anna\ntopic cellar\n",
    );
    assert!(acl.may_receive(&ANONYMOUS, "news") && !acl.may_publish(&ANONYMOUS, "news"));
    assert!(!acl.may_receive(&user("anna"), "news"));
    assert!(acl.may_receive(&user("anna"), "home") && acl.may_publish(&user("anna"), "home"));
    assert!(acl.may_publish(&user("anna"), "cellar"), "a section may be continued");
    assert!(
        acl.may_publish(&user("boris smith"), "garden") && !acl.may_publish(&user("boris smith"), "home")
    );
    assert!(!acl.may_publish(&user("carla"), "home") && !acl.may_publish(&ANONYMOUS, "home"));
}

#[test]
fn each_access_gives_exactly_its_rights() {
    let acl = acl(
        "topic read r\ntopic write w\ntopic readwrite rw\ntopic plain\ntopic readwrite two words\ntopic\tread\ttab\n",
    );
    let rights = |topic| (acl.may_receive(&ANONYMOUS, topic), acl.may_publish(&ANONYMOUS, topic));
    assert_eq!(rights("r"), (true, false));
    assert_eq!(rights("w"), (false, true));
    assert_eq!(rights("rw"), (true, true));
    assert_eq!(rights("plain"), (true, true));
    assert_eq!(rights("two words"), (true, true));
    assert_eq!(rights("tab"), (true, false));
    assert_eq!(rights("other"), (false, false));
}

#[test]
fn deny_wins_over_any_grant_of_its_section_wherever_it_stands() {
    let acl = acl("topic home/#\ntopic deny home/safe/#\ntopic read home/safe/door\n");
    assert!(acl.may_publish(&ANONYMOUS, "home/lamp"));
    for topic in ["home/safe", "home/safe/door", "home/safe/door/code"] {
        assert!(!acl.may_publish(&ANONYMOUS, topic) && !acl.may_receive(&ANONYMOUS, topic), "{topic}");
    }
}

#[test]
fn patterns_apply_to_everyone_whom_the_topics_of_the_section_leave_undecided() {
    let acl = acl("user anna\ntopic secret/anna\ntopic deny status\npattern deny secret/#\npattern #\n");
    assert!(acl.may_receive(&user("anna"), "secret/anna"), "her own topic comes before the pattern");
    assert!(!acl.may_receive(&user("anna"), "secret/boris"));
    assert!(!acl.may_receive(&user("anna"), "status"));
    assert!(acl.may_receive(&user("boris"), "status") && !acl.may_receive(&user("boris"), "secret/anna"));
    assert!(acl.may_receive(&ANONYMOUS, "status") && !acl.may_receive(&ANONYMOUS, "secret/anna"));
}

#[test]
fn placeholders_stand_for_the_whole_name_of_the_client_and_nothing_else() {
    let acl = acl("pattern write devices/%c/state\npattern users/%u/#\n");
    let anna = Who { client_identifier: "lamp", user_name: Some("anna") };
    assert!(acl.may_publish(&anna, "devices/lamp/state") && !acl.may_receive(&anna, "devices/lamp/state"));
    for topic in [
        "devices/lam/state",
        "devices/lamps/state",
        "devices//state",
        "devices/%c/state",
        "devices/anna/state",
    ] {
        assert!(!acl.may_publish(&anna, topic), "{topic}");
    }
    for topic in ["users/anna", "users/anna/inbox", "users/anna/a/b"] {
        assert!(acl.may_receive(&anna, topic), "{topic}");
    }
    assert!(!acl.may_receive(&anna, "users/lamp") && !acl.may_receive(&anna, "users"));
    let nobody = Who { client_identifier: "lamp", user_name: None };
    assert!(acl.may_publish(&nobody, "devices/lamp/state"));
    for topic in ["users", "users/", "users//inbox", "users/%u", "users/lamp"] {
        assert!(!acl.may_receive(&nobody, topic), "{topic}");
    }
    assert!(!acl.may_subscribe(&nobody, "users/#") && acl.may_subscribe(&anna, "users/#"));
}

#[test]
fn a_name_with_wildcards_or_slashes_widens_no_pattern() {
    let acl = acl("pattern %u/own/%c/#\npattern read shared/#\n");
    for name in ["+", "#", "a/b", "/", "a+", "a#", "+/+", ""] {
        for who in [
            Who { client_identifier: name, user_name: Some("anna") },
            Who { client_identifier: "lamp", user_name: Some(name) },
            Who { client_identifier: name, user_name: Some(name) },
        ] {
            for topic in [
                "anna/own/lamp",
                "x/own/lamp",
                "anna/own/x",
                "x/own/x",
                "a/b/own/lamp",
                "/own/lamp",
                "anna/own/a/b",
            ] {
                assert!(!acl.may_publish(&who, topic) && !acl.may_receive(&who, topic), "{who:?} {topic}");
            }
            assert!(!acl.may_subscribe(&who, "anna/own/#"), "{who:?}");
            assert!(acl.may_receive(&who, "shared/news"), "what mentions no name stays: {who:?}");
        }
    }
}

#[test]
fn a_deny_pattern_cannot_be_escaped_by_choosing_a_name() {
    let acl = acl("pattern #\npattern deny private/%c\nuser root\ntopic log\n");
    assert!(!acl.may_receive(&Who { client_identifier: "c1", user_name: None }, "private/c1"));
    assert!(acl.may_receive(&Who { client_identifier: "c1", user_name: None }, "private/c2"));
    let who = Who { client_identifier: "c1/x", user_name: Some("root") };
    let explanation = acl.explain(&who, Question::receive("anything"));
    assert!(!explanation.allowed);
    assert_eq!(explanation.cause, Cause::UnsafeName { line: 2, text: "pattern deny private/%c" });
    assert!(!acl.may_subscribe(&who, "private/#"));
    assert!(acl.may_receive(&who, "log"), "what the user's own section says comes first");
    let acl = self::acl("pattern #\npattern deny private/%u\n");
    assert!(!acl.may_receive(&user("a+"), "anything") && acl.may_receive(&ANONYMOUS, "anything"));
}

#[test]
fn system_topics_need_a_rule_of_their_own_and_cannot_be_written() {
    let acl = acl("topic #\ntopic +/broker/#\npattern %c/#\nuser anna\ntopic $SYS/#\ntopic $local/#\n");
    assert!(!acl.may_receive(&ANONYMOUS, "$SYS/broker/uptime") && !acl.may_subscribe(&ANONYMOUS, "$SYS/#"));
    let sys = Who { client_identifier: "$SYS", user_name: None };
    assert!(!acl.may_receive(&sys, "$SYS/broker/uptime") && !acl.may_subscribe(&sys, "$SYS/broker/+"));
    let anna = user("anna");
    assert!(acl.may_receive(&anna, "$SYS/broker/uptime") && acl.may_subscribe(&anna, "$SYS/#"));
    assert!(!acl.may_subscribe(&user("boris"), "$SYS/#"));
    let system_only = self::acl("topic $SYS/#\n");
    assert!(
        !system_only.may_subscribe(&ANONYMOUS, "+/broker/uptime")
            && !system_only.may_subscribe(&ANONYMOUS, "#")
    );
    for topic in ["$SYS", "$SYS/broker/uptime", "$SYS/broker/connection/a/b/state"] {
        assert_eq!(
            acl.explain(&anna, Question::publish(topic)).cause,
            Cause::SystemTopicIsReadOnly,
            "{topic}"
        );
    }
    assert!(acl.may_publish(&anna, "$SYS/broker/connection/bridge/state"));
    assert!(!acl.may_publish(&ANONYMOUS, "$SYS/broker/connection/bridge/state"));
    assert!(acl.may_publish(&anna, "$local/a") && !acl.may_publish(&ANONYMOUS, "$local/a"));
}

#[test]
fn a_subscription_is_granted_when_it_could_receive_something() {
    let acl = acl("topic read home/+/lamp\ntopic read news/#\ntopic write log/#\ntopic deny news/secret/#\n");
    let granted = [
        "home/hall/lamp",
        "home/+/lamp",
        "home/#",
        "+/+/lamp",
        "#",
        "+/hall/#",
        "news",
        "news/+",
        "news/#",
        "+",
        "+/secret/#",
        "news/today/evening",
    ];
    for filter in granted {
        assert!(acl.may_subscribe(&ANONYMOUS, filter), "{filter}");
        assert!(acl.may_subscribe(&ANONYMOUS, &format!("$share/workers/{filter}")), "{filter}");
    }
    let refused = [
        "home",
        "home/hall",
        "home/hall/+/x",
        "home/hall/door",
        "log",
        "log/#",
        "log/+",
        "news/secret",
        "news/secret/plan",
        "news/secret/#",
        "news/secret/+",
        "other",
        "/+/door",
        "/news",
        "$SYS/#",
        "$share/workers",
    ];
    for filter in refused {
        assert!(!acl.may_subscribe(&ANONYMOUS, filter), "{filter}");
        assert!(!acl.may_subscribe(&ANONYMOUS, &format!("$share/workers/{filter}")), "{filter}");
    }
}

#[test]
fn an_explanation_names_the_line_that_decided() {
    let acl = Acl::parse(
        b"# comment\n\nuser anna\ntopic read news/#\n  topic news/today\ntopic deny news/secret\n",
        "/etc/dunlin/acl",
    )
    .expect("the file is good");
    let anna = user("anna");
    let explain = |question| acl.explain(&anna, question).to_string();
    assert_eq!(explain(Question::receive("news/today")), "allowed by /etc/dunlin/acl:4: topic read news/#");
    assert_eq!(explain(Question::publish("news/today")), "allowed by /etc/dunlin/acl:5: topic news/today");
    assert_eq!(
        explain(Question::subscribe("news/secret")),
        "denied by /etc/dunlin/acl:6: topic deny news/secret"
    );
    assert_eq!(explain(Question::publish("other")), "denied: no rule in /etc/dunlin/acl grants it");
    assert_eq!(explain(Question::publish("$SYS/x")), "denied: only the server publishes to $SYS");
}

#[test]
fn a_line_that_is_no_rule_is_an_error_with_its_line_and_what_would_be_right() {
    use AclFileProblem::*;
    let deep = format!("topic {}", vec!["a"; 201].join("/"));
    let cases: &[(&str, AclFileProblem, &str)] = &[
        ("users anna", UnknownKeyword("users".into()), "`user`, `topic`, `pattern`"),
        ("Topic a", UnknownKeyword("Topic".into()), "not with \"Topic\""),
        ("user", NoUserName, "followed by a user name"),
        ("topic", NoFilter("topic"), "topic read news/#"),
        ("topic read", NoFilter("topic"), "topic read news/#"),
        ("pattern  deny  ", NoFilter("pattern"), "pattern read news/#"),
        ("topic raed news/#", UnknownAccess("raed".into()), "read, write, readwrite or deny, not \"raed\""),
        ("topic two words", UnknownAccess("two".into()), "without blanks"),
        ("topic read a/#/b", MisplacedWildcard("a/#/b".into()), "whole level"),
        ("topic read a+/b", MisplacedWildcard("a+/b".into()), "whole level"),
        ("topic read a#", MisplacedWildcard("a#".into()), "whole level"),
        ("topic read a/b # why", MisplacedWildcard("a/b # why".into()), "a comment needs a line of its own"),
        ("pattern write a/x%c", MisplacedPlaceholder("a/x%c".into()), "devices/%c/state"),
        ("pattern write a/%u%c", MisplacedPlaceholder("a/%u%c".into()), "devices/%c/state"),
        ("topic write a/%u", PlaceholderInTopic("a/%u".into()), "begins with `pattern`"),
        ("topic read $share/g/a", SharedFilter("$share/g/a".into()), "beneath"),
        (&deep, FilterTooLong, "200 levels"),
    ];
    for (line, expected, hint) in cases {
        let text = format!("# rules\r\nuser anna\r\n{line}\r\ntopic read b\r\n");
        let error = Acl::parse(text.as_bytes(), "/etc/dunlin/acl").expect_err(line);
        let message = error.to_string();
        assert!(message.starts_with("/etc/dunlin/acl:3: ") && message.contains(hint), "{message}");
        match error {
            AclFileError::Line { line: 3, problem, .. } => assert_eq!(problem, *expected),
            other => panic!("another error: {other:?}"),
        }
    }
    let error = Acl::parse(b"topic a\xff\n", "acl").expect_err("not UTF-8");
    assert!(matches!(error, FileError::NotUtf8 { line: 1, .. }));
}

#[test]
fn the_reasons_say_what_a_client_did_wrong() {
    assert_eq!(HashProblem::Missing.to_string(), "has no password hash after the colon");
    assert_eq!(RefuseReason::BadUserNameOrPassword.to_string(), "the user name or the password is wrong");
    assert_eq!(RefuseReason::NotAuthorized.to_string(), "a user name and a password are needed here");
}

/// A second opinion on an ACL: rules read one by one, text substituted, topics matched as section 4.7 says.
#[derive(Debug)]
struct NaiveAcl {
    /// Section (`None` for patterns), access, filter.
    rules: Vec<(Option<Option<&'static str>>, &'static str, String)>,
}

impl NaiveAcl {
    fn text(&self) -> String {
        let line = |keyword: &str, access: &str, filter: &str| format!("{keyword} {access} {filter}\n");
        let mut text = String::new();
        for (section, access, filter) in &self.rules {
            if *section == Some(None) {
                text += &line("topic", access, filter);
            }
        }
        for (section, access, filter) in &self.rules {
            match section {
                Some(Some(user_name)) => {
                    text += &format!("user {user_name}\n{}", line("topic", access, filter))
                }
                Some(None) => {}
                None => text += &line("pattern", access, filter),
            }
        }
        text
    }

    fn may(&self, who: &Who<'_>, access: &str, topic: &str) -> bool {
        let own = self.rules.iter().filter(|(section, ..)| *section == Some(who.user_name.map(intern)));
        let own = own.map(|(_, access, filter)| (*access, Some(filter.clone())));
        if let Some(decision) = first_match(own, access, topic) {
            return decision;
        }
        let patterns = self.rules.iter().filter(|(section, ..)| section.is_none());
        let patterns: Vec<_> = patterns
            .filter(|(_, _, filter)| !(filter.contains("%u") && who.user_name.is_none()))
            .map(|(_, access, filter)| (*access, substitute(filter, who)))
            .collect();
        if patterns.iter().any(|(access, filter)| *access == "deny" && filter.is_none()) {
            return false;
        }
        first_match(patterns.into_iter(), access, topic).unwrap_or(false)
    }
}

fn intern(user_name: &str) -> &'static str {
    USER_NAMES.into_iter().flatten().find(|known| *known == user_name).expect("one of the test's users")
}

/// The filter for this Client; `None` when the Client's name is not fit for it.
fn substitute(filter: &str, who: &Who<'_>) -> Option<String> {
    let mut filter = filter.to_owned();
    for (placeholder, name) in [("%u", who.user_name.unwrap_or_default()), ("%c", who.client_identifier)] {
        if filter.contains(placeholder) {
            if name.is_empty() || name.contains(['+', '#', '/']) {
                return None;
            }
            filter = filter.replace(placeholder, name);
        }
    }
    Some(filter)
}

fn first_match(
    rules: impl Iterator<Item = (&'static str, Option<String>)>,
    wanted: &str,
    topic: &str,
) -> Option<bool> {
    let matching: Vec<_> =
        rules.filter(|(_, filter)| filter.as_ref().is_some_and(|filter| matches(filter, topic))).collect();
    if matching.iter().any(|(access, _)| *access == "deny") {
        return Some(false);
    }
    matching.iter().any(|(access, _)| *access == wanted || *access == "readwrite").then_some(true)
}

fn matches(filter: &str, topic: &str) -> bool {
    fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            ([], []) => true,
            ([first, filter @ ..], [level, topic @ ..]) => {
                (*first == "+" || first == level) && levels_match(filter, topic)
            }
            _ => false,
        }
    }
    let (filter_levels, topic_levels): (Vec<_>, Vec<_>) =
        (filter.split('/').collect(), topic.split('/').collect());
    (topic.starts_with('$') == filter.starts_with('$')) && levels_match(&filter_levels, &topic_levels)
}

const USER_NAMES: [Option<&str>; 5] = [None, Some("a"), Some("b"), Some("a+"), Some("$s")];
const CLIENT_IDENTIFIERS: [&str; 4] = ["a", "c", "a/b", "#"];

fn levels(level: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(level), 1..4)
}

fn topic_filter(level: &'static [&'static str]) -> impl Strategy<Value = String> {
    (levels(level), prop::bool::weighted(0.3)).prop_map(|(levels, is_open_ended)| {
        let filter = levels.join("/");
        if is_open_ended { format!("{filter}/#") } else { filter }
    })
}

fn any_topic_filter(level: &'static [&'static str]) -> impl Strategy<Value = String> {
    let filter = prop_oneof![1 => Just("#".to_owned()), 9 => topic_filter(level)];
    filter.prop_filter("no filter is empty", |filter| !filter.is_empty())
}

fn naive_acl() -> impl Strategy<Value = NaiveAcl> {
    let access = || prop::sample::select(&["read", "write", "readwrite", "deny"][..]);
    let topic =
        (prop::sample::select(&USER_NAMES[..]), access(), any_topic_filter(&["a", "b", "c", "", "$s", "+"]))
            .prop_map(|(user_name, access, filter)| (Some(user_name), access, filter));
    let pattern = (access(), any_topic_filter(&["a", "b", "$s", "+", "%u", "%c"]))
        .prop_map(|(access, filter)| (None, access, filter))
        // Text substitution would let a client identifier `$s` reach system topics; the tree does not.
        .prop_filter("a placeholder first", |(_, _, filter)| !filter.starts_with('%'));
    prop::collection::vec(prop_oneof![topic, pattern], 0..12).prop_map(|rules| NaiveAcl { rules })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_of_rules_decides_as_reading_the_rules_one_by_one(
        naive in naive_acl(),
        topics in prop::collection::vec(levels(&["a", "b", "c", "", "$s"]), 8),
        filters in prop::collection::vec(any_topic_filter(&["a", "b", "", "$s", "+"]), 4),
    ) {
        let text = naive.text();
        let acl = Acl::parse(text.as_bytes(), "acl").expect("the file is good");
        let topics: Vec<String> =
            topics.iter().map(|levels| levels.join("/")).filter(|topic| !topic.is_empty()).collect();
        for user_name in USER_NAMES {
            for client_identifier in CLIENT_IDENTIFIERS {
                let who = Who { client_identifier, user_name };
                for topic in &topics {
                    let may_receive = naive.may(&who, "read", topic);
                    prop_assert_eq!(acl.may_receive(&who, topic), may_receive, "{}{:?} {}", text, who, topic);
                    prop_assert_eq!(acl.may_publish(&who, topic), naive.may(&who, "write", topic),
                        "{}{:?} {}", text, who, topic);
                    prop_assert_eq!(acl.may_subscribe(&who, topic), may_receive, "{}{:?} {}", text, who, topic);
                    for filter in filters.iter().filter(|filter| may_receive && matches(filter, topic)) {
                        prop_assert!(acl.may_subscribe(&who, filter), "{text}{who:?} {filter} reaches {topic}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_refused_subscription_would_never_have_received_anything_and_a_granted_one_overlaps_a_grant(
        naive in naive_acl(),
        filter in any_topic_filter(&["a", "b", "", "$s", "+"]),
    ) {
        let text = naive.text();
        let acl = Acl::parse(text.as_bytes(), "acl").expect("the file is good");
        let who = Who { client_identifier: "a", user_name: Some("b") };
        let overlaps_a_grant = naive.rules.iter().any(|(section, access, rule)| {
            let applies = section.is_none_or(|user_name| user_name == Some("b"));
            let rule = substitute(rule, &who).expect("both names are safe");
            applies && matches!(*access, "read" | "readwrite") && overlap(&rule, &filter)
        });
        if acl.may_subscribe(&who, &filter) {
            prop_assert!(overlaps_a_grant, "{text}{filter}");
        } else {
            for topic in topics_up_to_three_levels().filter(|topic| matches(&filter, topic)) {
                prop_assert!(!acl.may_receive(&who, &topic), "{text}{filter} would receive {topic}");
            }
        }
    }

    #[test]
    fn any_text_is_either_rules_or_an_error_with_a_line(text in "(?s).{0,80}", words in "((user|topic|pattern|read|deny|%u|#|\\+|/|\\$| |\n){1,30})") {
        for text in [text, words] {
            if let Err(AclFileError::Line { line, .. }) = Acl::parse(text.as_bytes(), "acl") {
                prop_assert!((1..=text.split('\n').count() as u32).contains(&line));
            }
            if let Err(PasswordFileError::Line { line, .. }) = PasswordFile::parse(text.as_bytes(), "passwd") {
                prop_assert!((1..=text.split('\n').count() as u32).contains(&line));
            }
        }
    }
}

/// Whether some topic matches both filters, found by trying.
fn overlap(one: &str, other: &str) -> bool {
    topics_up_to_three_levels().any(|topic| matches(one, &topic) && matches(other, &topic))
}

fn topics_up_to_three_levels() -> impl Iterator<Item = String> {
    const LEVELS: [&str; 6] = ["a", "b", "c", "", "$s", "z"];
    (0..3).flat_map(|further| {
        (0..LEVELS.len().pow(further + 1)).map(move |number| {
            let digits = (0..=further).map(|place| LEVELS[number / LEVELS.len().pow(place) % LEVELS.len()]);
            digits.collect::<Vec<_>>().join("/")
        })
    })
}
