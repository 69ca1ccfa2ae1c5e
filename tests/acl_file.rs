//! The ACL file in mosquitto's format from the outside: what an operator writes, and what a Client then may do.
//!
//! It is compared with a second evaluator that reads rules one by one, substitutes text and matches topics naively, as
//! mosquitto does. What only roles have is in `auth_roles.rs`.

use std::fs;

use dunlin::auth::{
    Acl, AclFileError, AclFileProblem, Cause, FileError, PasswordFile, PasswordFileError, Question, Who,
};
use proptest::prelude::*;

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
fn an_acl_file_is_read_from_disk_and_errors_of_reading_name_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("acl");
    let missing = Acl::load(&path).expect_err("there is no file");
    assert!(matches!(missing, FileError::Unreadable { .. }));
    assert!(missing.to_string().starts_with(&path.display().to_string()), "{missing}");

    fs::write(&path, "topic read news/#\n").expect("written");
    let acl = Acl::load(&path).expect("the file is good");
    assert!(acl.may_receive(&ANONYMOUS, "news/today"));
    assert_eq!((acl.rule_count(), acl.path()), (1, path.as_path()));

    let large = fs::File::create(&path).expect("created");
    large.set_len(64 * 1024 * 1024 + 1).expect("a sparse file");
    assert!(matches!(Acl::load(&path), Err(FileError::TooLarge { .. })));
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
