//! Options that cannot be meant so: each is named, with what would be right, before anything is connected.

use crate::desk::dunlin;
use crate::support::dunlin::directory;

#[test]
fn a_wrong_option_is_named_with_what_would_be_right() {
    let directory = directory();
    for (line, problem) in [
        ("pub -t a/+ -m x", "the Topic Name contains a wildcard"),
        ("pub -m x", "dunlin: --topic: is missing, and the URL has none either"),
        ("pub -t a", "required arguments were not provided"),
        ("pub -t a -m x -n", "cannot be used with"),
        ("pub -t a -m x -q 3", "must be 0, 1 or 2"),
        ("pub -t a -m x -V 4", "must be 5, 311 or 31"),
        ("pub -t a -m x -V 311 -x 5", "dunlin: -D and -x need MQTT 5, and -V asks for 3.1.1"),
        (
            "pub -t a -m x -D publish colour red",
            "dunlin: -D publish colour red: publish can have content-type,",
        ),
        (
            "pub -t a -m x -D subscribe user-property a b",
            "must begin with one of connect, publish, disconnect, will",
        ),
        ("pub -t a -m x -c", "dunlin: a Session that is kept for ever needs a client identifier (-i)"),
        ("pub -t a -m x -x -1", "dunlin: a Session that is kept for ever needs a client identifier (-i)"),
        ("pub -t a -m x -P secret", "dunlin: a password needs a user name (-u) before MQTT 5"),
        ("pub -t a -m x --will-payload gone", "--will-topic"),
        (
            "pub -t a -m x -D will content-type x",
            "dunlin: -D will: there is no Will; give it a topic with --will-topic",
        ),
        ("pub -t a -l --repeat 2", "dunlin: --repeat: not with --stdin-line"),
        ("pub -t a -m x --repeat-delay soon", "must be a number of seconds"),
        ("pub -f nowhere -t a", "dunlin: nowhere: cannot be read: No such file or directory"),
        ("pub -L localhost/a -m x", "dunlin: --url: must start with mqtt://"),
        ("pub -L mqtt://u:secret@h:x/a -m x", "dunlin: --url: must have a port of 0 to 65535"),
        ("pub -L mqtt://h/a/+ -m x", "dunlin: --url: the Topic Name contains a wildcard"),
        ("pub -t a -m x --cafile nowhere", "dunlin: nowhere: no certificate can be read"),
        ("pub -t a -m x --cert c", "--key"),
        ("pub -t a -m x --tls-version tlsv1.1", "must be tlsv1.2 or tlsv1.3"),
        ("pub -t a -m x -u u --password-file nowhere", "dunlin: --password-file nowhere: cannot be read"),
        ("sub", "dunlin: --topic: is missing: say what to subscribe to (-t), or unsubscribe from (-U)"),
        ("sub -t a#", "a wildcard of the Topic Filter does not fill a level"),
        ("sub -t a -F %z", "%z stands for nothing"),
        ("sub -t a -F %t --json", "cannot be used with"),
        ("sub -t a -R --retained-only", "cannot be used with"),
        ("sub -t a -C 0", "0 is not in"),
    ] {
        let ended = dunlin(directory.path(), line).finish();
        assert_eq!(ended.status, 2, "{line}: {}", ended.error);
        assert!(ended.error.contains(problem), "{line}: {}", ended.error);
        assert!(!ended.error.contains("secret"), "{line}: {}", ended.error);
    }
}

#[test]
fn help_is_a_long_option_and_shows_an_example() {
    let directory = directory();
    for command in ["pub", "sub"] {
        let ended = dunlin(directory.path(), &format!("{command} --help")).finish();
        assert_eq!(ended.status, 0);
        assert!(ended.output.contains(&format!("Examples:\n  dunlin {command} -t ")), "{}", ended.output);
    }
}

#[test]
fn the_last_of_several_values_counts() {
    let directory = directory();
    let line = "pub -h 127.0.0.1 -p 1 -t a -t b -m x -q 0 -q 1 -p 9 -L";
    let ended = dunlin(directory.path(), line.trim_end_matches(" -L")).finish();
    assert_eq!(ended.status, 1);
    let expected = "dunlin: no broker answers at mqtt://127.0.0.1:9: ";
    assert!(ended.error.starts_with(expected), "{}", ended.error);
}
