//! Roles: an ACL file in TOML, and rights that come with credentials.
//!
//! What rules mean is tested in `acl_file.rs`; here are what only roles have (limits, namespaces, several for one
//! user), that both formats of the file mean the same, and what is said about a file that cannot be used.

use dunlin::auth::{Acl, AclFileError, AclFileProblem, Cause, Grants, GrantsProblem, Question, Who};
use proptest::prelude::*;

fn acl(text: &str) -> Acl {
    Acl::parse(text.as_bytes(), "acl.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn user(user_name: &str) -> Who<'_> {
    Who { client_identifier: "c1", user_name: Some(user_name) }
}

const ANONYMOUS: Who<'_> = Who { client_identifier: "c1", user_name: None };

/// What decided, as a user of `dunlin acl test` reads it.
fn why(acl: &Acl, who: &Who<'_>, question: Question<'_>) -> String {
    acl.explain(who, question).to_string()
}

#[test]
fn a_user_has_the_rights_of_its_roles_and_its_own_and_those_of_everyone() {
    let acl = acl("\
        [role.reader]\nsubscribe = ['news/#']\n\
        [role.writer]\npublish = ['news/+']\n\
        [user.anna]\nroles = ['reader', 'writer']\npublish = ['diary']\n\
        [user.boris]\nroles = ['reader']\n\
        [user.carla]\n\
        [anonymous]\nsubscribe = ['public']\n\
        [everyone]\npublish = ['hello']\n");
    for (who, reads_news, writes_news, writes_diary, reads_public) in [
        (user("anna"), true, true, true, false),
        (user("boris"), true, false, false, false),
        (user("carla"), false, false, false, false),
        (user("unheard of"), false, false, false, false),
        (ANONYMOUS, false, false, false, true),
    ] {
        assert_eq!(acl.may_receive(&who, "news/1"), reads_news, "{who:?}");
        assert_eq!(acl.may_subscribe(&who, "news/+"), reads_news, "{who:?}");
        assert_eq!(acl.may_publish(&who, "news/1"), writes_news, "{who:?}");
        assert_eq!(acl.may_publish(&who, "diary"), writes_diary, "{who:?}");
        assert_eq!(acl.may_subscribe(&who, "public"), reads_public, "{who:?}");
        assert!(acl.may_publish(&who, "hello"), "{who:?}");
        assert!(!acl.may_receive(&who, "hello"), "{who:?}");
        assert!(!acl.may_publish(&who, "news/1/2"), "{who:?}");
    }
}

#[test]
fn a_deny_of_one_role_takes_what_another_one_grants_in_any_order() {
    let roles = "[role.all]\npublish = ['#']\nsubscribe = ['#']\n[role.not]\ndeny = ['safe/#']\n";
    for names in ["'all', 'not'", "'not', 'all'"] {
        let acl = acl(&format!("{roles}[user.anna]\nroles = [{names}]\n[user.boris]\nroles = ['all']\n"));
        assert!(acl.may_publish(&user("anna"), "open"));
        for topic in ["safe", "safe/1"] {
            assert!(!acl.may_publish(&user("anna"), topic), "{topic} with {names}");
            assert!(!acl.may_receive(&user("anna"), topic), "{topic} with {names}");
            assert!(acl.may_publish(&user("boris"), topic), "{topic}");
        }
        assert!(!acl.may_subscribe(&user("anna"), "safe/+"));
        assert!(acl.may_subscribe(&user("anna"), "#"), "it could receive something");
    }
}

#[test]
fn a_deny_for_everyone_takes_nothing_that_a_user_was_granted_itself() {
    let acl = acl("[user.anna]\npublish = ['a/#']\n[everyone]\npublish = ['b/#']\ndeny = ['+/x']\n");
    assert!(acl.may_publish(&user("anna"), "a/x"));
    assert!(!acl.may_publish(&user("anna"), "b/x"));
    assert!(!acl.may_publish(&user("boris"), "a/x"));
}

#[test]
fn retain_and_qos_are_limited_for_the_topics_of_that_role_alone() {
    let acl = acl("\
        [role.sensor]\npublish = ['sensors/#']\nsubscribe = ['sensors/#']\nmax_qos = 1\nretain = false\n\
        [user.anna]\nroles = ['sensor']\npublish = ['sensors/anna/#', 'diary']\n\
        [user.boris]\nroles = ['sensor']\n");
    let may = |name: &str, question| acl.explain(&user(name), question).allowed;
    for (topic, of_anna, of_boris) in
        [("sensors/1", false, false), ("sensors/anna/1", true, false), ("diary", true, false)]
    {
        let publish = Question::publish(topic);
        assert_eq!(may("anna", publish.retained(true)), of_anna, "{topic}");
        assert_eq!(may("boris", publish.retained(true)), of_boris, "{topic}");
        assert_eq!(may("anna", publish.at_qos(2)), of_anna, "{topic}");
        assert_eq!(may("boris", publish.at_qos(2)), of_boris, "{topic}");
    }
    assert!(may("boris", Question::publish("sensors/1").at_qos(1)));
    assert_eq!(
        why(&acl, &user("boris"), Question::publish("sensors/1").retained(true)),
        "denied by acl.toml:2: publish = \"sensors/#\": the role allows no RETAIN"
    );
    assert_eq!(
        why(&acl, &user("boris"), Question::publish("sensors/1").at_qos(2)),
        "denied by acl.toml:2: publish = \"sensors/#\": the role allows no such QoS"
    );
}

#[test]
fn a_subscription_is_granted_at_the_highest_qos_of_the_roles_that_grant_it() {
    let acl = acl("\
        [role.low]\nsubscribe = ['a/#', 'b/#']\nmax_qos = 0\n\
        [role.high]\nsubscribe = ['b/1']\nmax_qos = 1\n\
        [user.anna]\nroles = ['low', 'high']\n\
        [user.boris]\nsubscribe = ['a/#']\n");
    let granted = |name: &str, filter| acl.explain(&user(name), Question::subscribe(filter).at_qos(2));
    for (name, filter, maximum_qos) in [("anna", "a/1", 0), ("anna", "b/1", 1), ("boris", "a/1", 2)] {
        let explanation = granted(name, filter);
        assert_eq!((explanation.allowed, explanation.maximum_qos), (true, maximum_qos), "{name} {filter}");
    }
    assert!(!granted("boris", "b/1").allowed);
    assert!(acl.may_receive(&user("anna"), "a/1"), "what is received has its subscription's QoS");
}

#[test]
fn a_role_takes_part_in_the_shared_subscriptions_that_it_names_or_in_all() {
    let acl = acl("\
        [user.some]\nsubscribe = ['jobs/#']\nshared = ['workers']\n\
        [user.none]\nsubscribe = ['jobs/#']\nshared = []\n\
        [user.all]\nsubscribe = ['jobs/#']\n");
    for (name, workers, others) in [("some", true, false), ("none", false, false), ("all", true, true)] {
        assert_eq!(acl.may_subscribe(&user(name), "$share/workers/jobs/+"), workers, "{name}");
        assert_eq!(acl.may_subscribe(&user(name), "$share/others/jobs/+"), others, "{name}");
        assert!(acl.may_subscribe(&user(name), "jobs/+"), "{name} for itself");
        assert!(!acl.may_subscribe(&user(name), "$share/workers/other"), "{name} beyond its topics");
    }
    assert_eq!(
        why(&acl, &user("some"), Question::subscribe("$share/others/jobs/1")),
        "denied by acl.toml:2: subscribe = \"jobs/#\": the role has no part in this Shared Subscription"
    );
    let as_member = Question::subscribe("jobs/1").shared_as(Some("others"));
    assert!(!acl.explain(&user("some"), as_member).allowed);
}

#[test]
fn a_namespace_is_a_topic_and_all_beneath_it_to_read_and_to_write() {
    let acl = acl("[everyone]\nnamespace = 'homes/%u'\n[user.anna]\ndeny = ['homes/anna/safe']\n");
    for topic in ["homes/anna", "homes/anna/lamp", "homes/anna/lamp/1"] {
        assert!(acl.may_publish(&user("anna"), topic), "{topic}");
        assert!(acl.may_receive(&user("anna"), topic), "{topic}");
        assert!(!acl.may_publish(&user("boris"), topic), "{topic}");
        assert!(!acl.may_receive(&ANONYMOUS, topic), "{topic}");
    }
    assert!(acl.may_subscribe(&user("anna"), "homes/anna/#"));
    for topic in ["homes", "homes/annab", "homes/anna/safe", "homes/%u"] {
        assert!(!acl.may_publish(&user("anna"), topic), "{topic}");
    }
    assert_eq!(
        why(&acl, &user("anna"), Question::publish("homes/anna/lamp")),
        "allowed by acl.toml:2: namespace = \"homes/%u\""
    );
}

#[test]
fn a_name_that_is_no_single_level_gets_nothing_by_its_name_and_is_denied_by_it() {
    let by_name = acl("[everyone]\nnamespace = 'homes/%u'\npublish = ['sensors/%c']\n");
    for name in ["", "+", "#", "a/b", "anna/../boris", "a+"] {
        assert!(!by_name.may_publish(&user(name), &format!("homes/{name}/lamp")), "{name:?}");
        assert!(!by_name.may_subscribe(&user(name), "homes/+/lamp"), "{name:?}");
        let who = Who { client_identifier: name, user_name: None };
        assert!(!by_name.may_publish(&who, &format!("sensors/{name}")), "{name:?}");
    }
    let denies = acl("[role.not]\ndeny = ['private/%u']\n[user.anna]\nroles = ['not']\npublish = ['#']\n\
        [user.'a/b']\nroles = ['not']\npublish = ['#']\n");
    assert!(denies.may_publish(&user("anna"), "open"));
    assert!(!denies.may_publish(&user("anna"), "private/anna"));
    let explanation = denies.explain(&user("a/b"), Question::publish("open"));
    assert_eq!(explanation.cause, Cause::UnsafeName { line: 2, text: "deny = \"private/%u\"" });
    assert!(!explanation.allowed, "nobody knows what it is denied");
}

#[test]
fn user_names_with_dots_and_blanks_are_quoted_and_mean_themselves() {
    let acl = acl("[user.'anna.b c']\npublish = ['a']\n[user.'zoë']\npublish = ['b']\n");
    assert!(acl.may_publish(&user("anna.b c"), "a"));
    assert!(!acl.may_publish(&user("anna"), "a"));
    assert!(acl.may_publish(&user("zoë"), "b"));
}

/// The line and the problem of a file that cannot be used.
fn problem(text: &str) -> (u32, AclFileProblem) {
    let error = Acl::parse(text.as_bytes(), "/etc/acl.toml").expect_err(text);
    let shown = error.to_string();
    match error {
        AclFileError::Line { line, problem, .. } => {
            assert_eq!(shown, format!("/etc/acl.toml:{line}: {problem}"));
            (line, problem)
        }
        other => panic!("another error: {other:?}"),
    }
}

#[test]
fn what_cannot_be_used_is_an_error_with_its_line() {
    let unknown = problem("[role.a]\npublish = ['x']\n\n[user.anna]\nroles = [\n  'a',\n  'b',\n]\n");
    assert_eq!(unknown, (7, AclFileProblem::UnknownRole("b".into())));
    assert_eq!(unknown.1.to_string(), "there is no [role.b]");
    assert_eq!(problem("[role.a]\n[role.b]\nroles = ['a']\n"), (3, AclFileProblem::RoleInRole));
    let wildcard = |filter: &str| AclFileProblem::MisplacedWildcard(filter.into());
    assert_eq!(problem("[everyone]\npublish = [\n  'a',\n  'b#',\n]\n"), (4, wildcard("b#")));
    assert_eq!(problem("[user.anna]\nnamespace = 'a/#'\n"), (2, wildcard("a/#/#")));
    assert_eq!(
        problem("[anonymous]\nsubscribe = ['a/x%u']\n"),
        (2, AclFileProblem::MisplacedPlaceholder("a/x%u".into()))
    );
    assert_eq!(
        problem("[everyone]\n\ndeny = ['$share/g/a']\n"),
        (3, AclFileProblem::SharedFilter("$share/g/a".into()))
    );
    for key in ["publish = ['']", "deny = ['a', '']", "namespace = ''"] {
        assert_eq!(problem(&format!("[everyone]\n{key}\n")), (2, AclFileProblem::EmptyFilter), "{key}");
    }
    let (line, value) = problem("[role.a]\npublish = ['x']\nmax_qos = 3\n");
    assert_eq!((line, value.to_string()), (1, "max_qos must be 0, 1 or 2".to_owned()));
}

#[test]
fn what_is_no_such_toml_is_an_error_with_its_line() {
    for (text, line, part) in [
        ("[everyone]\npublish = ['a'\n[user.x]\n", 3, "array"),
        ("[everyone]\n\npublsh = ['a']\n", 3, "publsh"),
        ("[everyone]\npublish = 'a'\n", 2, "sequence"),
        ("[everyone]\nretain = 'no'\n", 2, "boolean"),
        ("[everyone]\nmax_qos = -1\n", 2, "-1"),
        ("[users.anna]\npublish = ['a']\n", 1, "users"),
        ("[everyone]\n[everyone]\n", 2, "duplicate"),
        ("topic read news/#\n", 1, ""),
    ] {
        let (found, problem) = problem(text);
        assert!(matches!(problem, AclFileProblem::Toml(_)), "{text:?}: {problem}");
        assert_eq!(found, line, "{text:?}: {problem}");
        assert!(problem.to_string().contains(part), "{text:?}: {problem}");
    }
    let error = Acl::parse(b"[everyone]\n# \xff\n", "acl.toml").expect_err("no UTF-8");
    assert_eq!(error.to_string(), "acl.toml:2: is not UTF-8; save the file in that encoding");
}

#[test]
fn an_empty_file_grants_nothing() {
    let acl = acl("# nothing yet\n");
    for who in [user("anna"), ANONYMOUS] {
        assert!(!acl.may_publish(&who, "a"));
        assert!(!acl.may_subscribe(&who, "#"));
    }
}

fn grants(json: &str) -> Acl {
    let grants = Grants::parse(json).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(grants.as_str(), json);
    Acl::of_grants(grants.as_str()).expect("it was understood before")
}

#[test]
fn rights_that_come_with_credentials_are_one_role_for_whoever_has_them() {
    let acl = grants(
        r#"{"publish": ["sensors/%c/#"], "subscribe": ["commands/%u"], "deny": ["sensors/+/secret"],
            "namespace": "homes/%u", "retain": false, "max_qos": 1, "shared": ["workers"]}"#,
    );
    for who in [user("anna"), user("boris")] {
        let name = who.user_name.expect("it has one");
        assert!(acl.may_publish(&who, "sensors/c1/data"));
        assert!(!acl.may_publish(&who, "sensors/c2/data"));
        assert!(!acl.may_publish(&who, "sensors/c1/secret"));
        assert!(!acl.may_publish(&who, "other"));
        assert!(acl.may_receive(&who, &format!("commands/{name}")));
        assert!(acl.may_publish(&who, &format!("homes/{name}/lamp")));
        let publish = Question::publish("sensors/c1/data");
        assert!(!acl.explain(&who, publish.retained(true)).allowed);
        assert!(!acl.explain(&who, publish.at_qos(2)).allowed);
        let filter = format!("commands/{name}");
        assert_eq!(acl.explain(&who, Question::subscribe(&filter)).maximum_qos, 1);
        assert!(acl.may_subscribe(&who, &format!("$share/workers/{filter}")));
        assert!(!acl.may_subscribe(&who, &format!("$share/others/{filter}")));
    }
    assert!(acl.may_publish(&ANONYMOUS, "sensors/c1/data"), "a token may come without a name");
    assert!(!acl.may_publish(&ANONYMOUS, "homes//lamp"));
}

#[test]
fn no_rights_are_rights_to_nothing() {
    let acl = grants("{}");
    assert!(!acl.may_publish(&user("anna"), "a"));
    assert!(!acl.may_subscribe(&user("anna"), "#"));
}

#[test]
fn rights_that_are_not_understood_whole_are_no_rights() {
    for json in
        ["", "null", "[]", "{\"publish\": \"a\"}", "{\"publsh\": [\"a\"]}", "{\"max_qos\": 256}", "{} {}"]
    {
        let problem = Grants::parse(json).expect_err(json);
        assert!(matches!(problem, GrantsProblem::NotARole(_)), "{json}: {problem}");
    }
    for (json, part) in [
        (r#"{"max_qos": 3}"#, "max_qos must be 0, 1 or 2"),
        (r#"{"roles": ["operator"]}"#, "roles must not be there"),
        (r#"{"publish": ["a/#/b"]}"#, "a/#/b"),
        (r#"{"deny": [""]}"#, "empty"),
        (r#"{"subscribe": ["$share/g/a"]}"#, "$share/g/a"),
    ] {
        let problem = Grants::parse(json).expect_err(json).to_string();
        assert!(problem.contains(part), "{json}: {problem}");
    }
    let long = format!(r#"{{"publish": ["{}"]}}"#, "a".repeat(16 * 1024));
    assert_eq!(Grants::parse(&long), Err(GrantsProblem::TooLong));
}

/// The block of docs/security.md that begins like this.
fn block_of_the_documentation(beginning: &str) -> &'static str {
    let text = include_str!("../docs/security.md");
    let start = text.find(beginning).expect("the documentation has it");
    let end = text[start..].find("```").expect("a block ends");
    &text[start..start + end]
}

#[test]
fn the_examples_of_the_documentation_mean_what_it_says() {
    let acl = acl(block_of_the_documentation("[role.sensor]"));
    let alice = user("alice");
    assert_eq!(
        why(&acl, &alice, Question::publish("commands/reactor/stop")),
        "denied by acl.toml:10: deny = \"commands/reactor/#\""
    );
    assert!(acl.may_publish(&alice, "commands/lamp") && acl.may_publish(&alice, "homes/alice/lamp"));
    assert!(acl.may_receive(&alice, "sensors/7/data") && acl.may_subscribe(&alice, "$SYS/#"));
    assert!(acl.may_subscribe(&alice, "$share/operators/#"));
    assert!(!acl.may_subscribe(&alice, "$share/others/sensors/#"));
    let sensor = Who { client_identifier: "s7", user_name: Some("sensor-7") };
    let publish = Question::publish("sensors/s7/data");
    assert!(acl.explain(&sensor, publish.at_qos(1)).allowed);
    assert!(!acl.explain(&sensor, publish.at_qos(2)).allowed);
    assert!(!acl.explain(&sensor, publish.retained(true)).allowed);
    assert!(acl.may_receive(&ANONYMOUS, "announcements/1") && !acl.may_receive(&sensor, "announcements/1"));
    assert!([alice, sensor, ANONYMOUS].iter().all(|who| acl.may_subscribe(who, "time")));

    let mosquitto = block_of_the_documentation("# Before the first user line");
    let mosquitto = Acl::parse(mosquitto.as_bytes(), "acl").expect("the example is good");
    assert!(mosquitto.may_receive(&ANONYMOUS, "announcements/1"));
    assert!(
        mosquitto.may_publish(&alice, "home/alice/lamp") && !mosquitto.may_publish(&alice, "home/alice/safe")
    );
    assert!(mosquitto.may_publish(&sensor, "sensors/s7/data"));
}

/// A rule for everyone: its access and its filter.
fn rule() -> impl Strategy<Value = (&'static str, String)> {
    let level = prop::sample::select(vec!["a", "b", "+", "%u", "%c", ""]);
    let levels = prop::collection::vec(level, 1..4);
    (prop::sample::select(vec!["read", "write", "deny"]), levels, any::<bool>()).prop_map(
        |(access, levels, is_open_ended)| {
            let filter = levels.join("/");
            (access, if is_open_ended { format!("{filter}/#") } else { filter })
        },
    )
}

proptest! {
    #[test]
    fn both_formats_mean_the_same(
        rules in prop::collection::vec(rule(), 0..8),
        topics in prop::collection::vec("(a|b|c1|anna|/){1,5}", 1..8),
        is_anonymous in any::<bool>(),
    ) {
        // mosquitto's format has no way to write an empty filter, or one that is blank.
        let rules: Vec<_> = rules.into_iter().filter(|(_, filter)| !filter.is_empty()).collect();
        let lines: String = rules.iter().map(|(access, filter)| format!("pattern {access} {filter}\n")).collect();
        let lists: String = [("publish", "write"), ("subscribe", "read"), ("deny", "deny")]
            .map(|(key, access)| {
                let filters = rules.iter().filter(|rule| rule.0 == access).map(|rule| format!("'{}'", rule.1));
                format!("{key} = [{}]\n", filters.collect::<Vec<_>>().join(", "))
            })
            .concat();
        let mosquitto = Acl::parse(lines.as_bytes(), "acl").expect("the rules are good");
        let toml = acl(&format!("[everyone]\n{lists}"));
        let who = if is_anonymous { ANONYMOUS } else { user("anna") };
        for topic in &topics {
            prop_assert_eq!(toml.may_publish(&who, topic), mosquitto.may_publish(&who, topic));
            prop_assert_eq!(toml.may_receive(&who, topic), mosquitto.may_receive(&who, topic));
            let filter = format!("{topic}/#");
            prop_assert_eq!(toml.may_subscribe(&who, &filter), mosquitto.may_subscribe(&who, &filter));
        }
    }
}
