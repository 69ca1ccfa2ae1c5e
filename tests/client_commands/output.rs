//! What is printed: mosquitto_sub's words for the same messages, JSON, and colour.

use std::process::Command;

use serde_json::{Value, json};

use crate::desk::{Desk, words};
use crate::support::process::{Ended, Process};

const MOSQUITTO: &str = "`cargo xtask test` installs mosquitto's clients";

const LETTER: &str = "-D publish content-type text/plain -D publish response-topic answers -D publish correlation-data 4711 \
     -D publish payload-format-indicator 1 -D publish user-property zeta 1 -D publish user-property alpha 2";

/// Runs mosquitto_sub for this broker.
fn mosquitto_sub(desk: &Desk, line: &str, more: &[&str]) -> Ended {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &desk.port.to_string()]).args(words(line)).args(more);
    Process::start(&mut command, MOSQUITTO).finish()
}

/// A broker with three Retained Messages: a JSON payload with properties, one without a payload's end, a long one.
fn letters() -> Desk {
    let desk = Desk::open();
    let json = r#"{"b": [1, 2.50], "a": "x \" y"}"#;
    assert_eq!(desk.run(&format!("pub -t mail/json -r -q 1 {LETTER} -m"), &[json]).status, 0);
    assert_eq!(desk.run("pub -t mail/plain -r -q 2 -m", &["ä b"]).status, 0);
    desk.publish("-t mail/number -r -m 21.5");
    desk
}

#[test]
fn each_format_prints_what_mosquitto_sub_prints() {
    let desk = letters();
    for format in [
        "%t|%20t|%-20t|%5.3t|%.2t|%C|%30C|%-30C|%.4C|%R|%20R|%D|%P",
        "%l|%5l|%05l|%-5l|%m|%4m|%F|%4F|%04F|%A|%4A|%04A|%S|%6S|%06S|%-6S|%q|%r",
        "%p|%50p|%-50p|%050p|%4p",
        "%x|%X|%80x|%-80X|%080x|%4x",
        r"%%|@@|\\|\t|\a|\e[92m|\v|\r",
        "@Y-@m-@d|%.10I|@j",
    ] {
        for topic in ["mail/json", "mail/plain", "mail/number"] {
            for version in ["-V 311", "-V 5 -D subscribe subscription-identifier 7"] {
                let line = format!("{version} -t {topic} -q 2 -C 1 -N -F");
                let theirs = mosquitto_sub(&desk, &line, &[format]);
                let ours = desk.run(&format!("sub {line}"), &[format]);
                assert_eq!((ours.status, &ours.output), (0, &theirs.output), "{version} {topic} {format}");
            }
        }
    }
}

#[test]
fn each_layout_prints_what_mosquitto_sub_prints() {
    let desk = letters();
    for line in [
        "-t mail/plain -C 1",
        "-t mail/plain -C 1 -v",
        "-t mail/plain -C 1 -N -v",
        "-t mail/# -T mail/plain -T mail/number -C 1 -v",
        "-t mail/# -R -W 1",
        "-t mail/number -E",
    ] {
        let theirs = mosquitto_sub(&desk, line, &[]);
        let ours = desk.run(&format!("sub {line}"), &[]);
        assert_eq!((ours.status, &ours.output), (theirs.status, &theirs.output), "{line}");
    }
}

#[test]
fn json_formats_say_what_mosquitto_sub_says() {
    let desk = letters();
    for (topic, format) in
        [("mail/json", "%j"), ("mail/json", "%J"), ("mail/number", "%J"), ("mail/plain", "%j")]
    {
        for options in ["-V 311", "-V 5 -D subscribe subscription-identifier 7", "-V 5 --pretty"] {
            let line = format!("{options} -t {topic} -q 1 -C 1 -F {format}");
            let theirs = mosquitto_sub(&desk, &line, &[]).output;
            let ours = desk.run(&format!("sub {line}"), &[]).output;
            let parsed = |text: &str| {
                let mut value: Value =
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                let time = value.as_object_mut().and_then(|object| object.remove("tst"));
                assert!(time.is_some_and(|time| time.as_str().is_some_and(|time| time.len() > 25)), "{text}");
                value
            };
            assert_eq!(parsed(&ours), parsed(&theirs), "{line}");
            assert_eq!(ours.lines().count(), theirs.lines().count(), "{line}: {ours}{theirs}");
        }
    }
    let ended = desk.run("sub -t mail/plain -C 1 -F %J", &[]);
    assert_eq!((ended.status, ended.output.as_str()), (0, "\n"));
    assert_eq!(ended.error, "dunlin: the payload on the topic mail/plain is not JSON\n");
}

#[test]
fn json_is_an_object_a_line_that_says_how_the_payload_is_written() {
    let desk = Desk::open();
    let subscribe = |more| desk.subscribe(&format!("-V 5 -t t -q 1 -C 2 {more}"), &[]);
    let readers = ["--json", "--json=text", "--json=base64", "--json=hex"].map(subscribe);
    desk.publish("-t t -m on -q 1");
    assert_eq!(desk.publish_input("-t t -s", "").status, 0);
    let payloads = readers.map(|reader| {
        let output = reader.finish().output;
        let records: Vec<Value> =
            output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(records.len(), 2);
        assert_eq!(records[1]["payload"], "");
        assert_eq!((&records[0]["retain"], &records[0]["properties"]), (&json!(false), &Value::Null));
        assert_eq!((&records[0]["qos"], &records[1]["qos"]), (&json!(1), &json!(0)));
        format!("{}:{}", records[0]["encoding"].as_str().expect("a text"), records[0]["payload"])
    });
    assert_eq!(payloads, ["text:\"on\"", "text:\"on\"", "base64:\"b24=\"", "hex:\"6f6e\""]);
}

#[test]
fn times_are_local() {
    let desk = letters();
    for (zone, offset) in [("UTC0", "+0000"), ("IST-5:30", "+0530"), ("<-03>3", "-0300")] {
        let mut command = desk.command("sub -t mail/number -C 1 -F", &["@z %I"]);
        let ended = Process::start(command.env("TZ", zone), crate::desk::HINT).finish();
        let line = ended.output.trim_end();
        assert!(line.starts_with(offset) && line.ends_with(offset), "{zone}: {line}");
    }
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let desk = letters();
    let run = |line: &str| desk.run(&format!("sub -t mail/number -C 1 {line}"), &[]).output;
    assert_eq!(run("-v"), "mail/number 21.5\n");
    assert_eq!(run("-v --color never"), "mail/number 21.5\n");
    assert_eq!(run("-v --color always"), "\x1b[1;36mmail/number\x1b[0m 21.5\n");
    assert_eq!(run("-vv"), "mail/number 21.5\n  qos 0, retained\n");
    let details = desk.run("sub -V 5 -t mail/json -C 1 -q 1 -vv", &[]).output;
    let expected = "  qos 1, retained, content-type \"text/plain\", payload-format-indicator 1, response-topic \"answers\", \
                    correlation-data \"4711\", \"zeta\" = \"1\", \"alpha\" = \"2\"";
    assert_eq!(details.lines().last(), Some(expected), "{details}");
}
