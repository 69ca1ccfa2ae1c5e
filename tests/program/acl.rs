//! `dunlin acl test`: the answer, the line that gives it, and an exit status for scripts.

use std::path::Path;

use crate::run;
use crate::support::dunlin::{directory, write};

const RULES: &str = "\
topic read news/#

user anna
topic home/anna/#
topic deny home/anna/safe

pattern write sensors/%c/data
";

const ROLES: &str = "\
[role.sensor]
publish = ['sensors/%c/#']
subscribe = ['commands/%c']
max_qos = 1
retain = false

[everyone]
roles = ['sensor']
";

/// Asks with these arguments (separated by blanks); the exit status and the sentence on standard output.
#[track_caller]
fn ask(directory: &Path, rules: &str, question: &str) -> (i32, String) {
    let arguments = ["acl", "test"].into_iter().chain(rules.split(' ')).chain(question.split(' '));
    let (status, output, error) = run(directory, &arguments.collect::<Vec<_>>());
    assert_eq!(error, "", "{question}");
    (status, output.trim_end().to_owned())
}

/// Asks what cannot be answered; the sentence on standard error.
#[track_caller]
fn is_no_question(directory: &Path, arguments: &str) -> String {
    let arguments = ["acl", "test"].into_iter().chain(arguments.split(' '));
    let (status, output, error) = run(directory, &arguments.collect::<Vec<_>>());
    assert_eq!((status, output.as_str()), (2, ""), "{error}");
    error
}

#[test]
fn each_answer_names_the_line_that_gives_it() {
    let directory = directory();
    write(directory.path(), "acl", RULES);
    for (question, status, answer) in [
        ("receive news/1", 0, "allowed by acl:1: topic read news/#"),
        ("publish news/1", 1, "denied: no rule in acl grants it"),
        ("--user anna publish home/anna/lamp", 0, "allowed by acl:4: topic home/anna/#"),
        ("--user anna publish home/anna/safe", 1, "denied by acl:5: topic deny home/anna/safe"),
        ("--user boris publish home/anna/lamp", 1, "denied: no rule in acl grants it"),
        ("--client s1 publish sensors/s1/data", 0, "allowed by acl:7: pattern write sensors/%c/data"),
        ("publish sensors/s1/data", 1, "denied: no rule in acl grants it"),
        ("--user anna subscribe $share/g/home/+/lamp", 0, "allowed by acl:4: topic home/anna/#"),
        ("publish $SYS/broker/connection/b/state", 1, "denied: only the server publishes to $SYS"),
        ("--user anna publish $SYS/x", 1, "denied: only the server publishes to $SYS"),
    ] {
        let answer = (status, answer.to_owned());
        assert_eq!(ask(directory.path(), "--acl-file acl", question), answer, "{question}");
    }
}

#[test]
fn limits_of_a_role_count_for_the_qos_and_retain_that_are_asked_for() {
    let directory = directory();
    write(directory.path(), "acl.toml", ROLES);
    let publish = "acl.toml:2: publish = \"sensors/%c/#\"";
    for (question, status, answer) in [
        ("--client a --qos 1 publish sensors/a/x", 0, format!("allowed by {publish}")),
        (
            "--client a --qos 2 publish sensors/a/x",
            1,
            format!("denied by {publish}: the role allows no such QoS"),
        ),
        (
            "--client a --retain publish sensors/a/x",
            1,
            format!("denied by {publish}: the role allows no RETAIN"),
        ),
        (
            "--client a --qos 2 subscribe commands/a",
            0,
            "allowed by acl.toml:3: subscribe = \"commands/%c\" (at QoS 1)".to_owned(),
        ),
        (
            "--client a --qos 1 subscribe commands/a",
            0,
            "allowed by acl.toml:3: subscribe = \"commands/%c\"".to_owned(),
        ),
    ] {
        assert_eq!(ask(directory.path(), "--acl-file acl.toml", question), (status, answer), "{question}");
    }
}

#[test]
fn a_listener_is_asked_by_the_rules_that_concern_it() {
    let directory = directory();
    write(directory.path(), "acl", RULES);
    write(directory.path(), "acl.toml", ROLES);
    let config = "\
        auth.acl_file = 'acl'\n\
        [[listener]]\nurl = 'mqtt://127.0.0.1:1883'\n\
        [[listener]]\nurl = 'ws://127.0.0.1:8083'\nauth = { acl_file = 'acl.toml' }\n\
        [[listener]]\nurl = 'unix:///run/dunlin.sock'\nauth = { allow_anonymous = true }\n";
    write(directory.path(), "dunlin.toml", config);
    let question = "--client a publish sensors/a/data";
    let ask = |listener: &str| ask(directory.path(), &format!("--config dunlin.toml{listener}"), question).1;
    let general = "allowed by acl:7: pattern write sensors/%c/data";
    assert_eq!(ask(""), general);
    assert_eq!(ask(" --listener mqtt://127.0.0.1"), general);
    assert_eq!(ask(" --listener ws://127.0.0.1:8083"), "allowed by acl.toml:2: publish = \"sensors/%c/#\"");
    assert_eq!(
        ask(" --listener unix:///run/dunlin.sock"),
        "allowed: no acl_file is configured here, so every client may use every topic"
    );
    let error = is_no_question(
        directory.path(),
        "--config dunlin.toml --listener mqtt://0.0.0.0 publish sensors/a/data",
    );
    assert!(error.contains("there is none with this URL, but mqtt://127.0.0.1:1883, "), "{error}");
}

#[test]
fn what_cannot_be_answered_is_neither_allowed_nor_denied() {
    let directory = directory();
    let directory = directory.path();
    write(directory, "acl", RULES);
    write(directory, "bad", "topic a/#/b\n");
    for (arguments, part) in [
        ("publish a", "--config <FILE>|--acl-file <FILE>"),
        ("--acl-file missing publish a", "missing: cannot be read"),
        ("--acl-file bad publish a", "bad:1: in \"a/#/b\""),
        ("--config missing publish a", "missing: the configuration file cannot be read"),
        ("--acl-file acl publish a/#", "\"a/#\" cannot be asked about"),
        ("--acl-file acl subscribe a/#/b", "\"a/#/b\" cannot be asked about"),
        ("--acl-file acl --retain subscribe a", "--retain"),
        ("--acl-file acl --qos 1 receive a", "--qos"),
        ("--acl-file acl --qos 3 publish a", "3"),
        ("--acl-file acl --listener mqtt://a publish a", "--listener"),
    ] {
        let error = is_no_question(directory, arguments);
        assert!(error.contains(part), "{arguments}: {error}");
    }
}
