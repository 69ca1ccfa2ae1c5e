//! The commands that talk to a broker, against a service that answers as the API does and writes down what it was asked:
//! what is asked, what is printed, and the exit status.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::dunlin::{command, directory, write};
use crate::support::process::Process;
use crate::support::service::{Reply, Request, Service};

const TOKEN: &str = "0123456789abcdef";

/// A broker that answers what it is told to, and the requests that came: method, path, and body.
struct Desk {
    service: Service,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Desk {
    /// Answers each request line with a status and a body.
    fn new(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        let service = Service::start(move |Request { head, body, .. }| {
            let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
            if !head.to_ascii_lowercase().contains(&format!("authorization: bearer {TOKEN}\r\n")) {
                return Reply::Answer(401, problem(401, "no token"));
            }
            let (status, answer) = answer(&line);
            notes.lock().expect("nobody panics").push(format!("{line} {body}").trim_end().to_owned());
            Reply::Answer(status, answer)
        });
        Self { service, asked }
    }

    /// One that answers everything with the same JSON.
    fn always(answer: Value) -> Self {
        Self::new(move |_| (200, answer.to_string()))
    }

    /// Runs a command against it.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let directory = directory();
        write(directory.path(), "token", &format!("{TOKEN}\n"));
        let url = self.service.url().trim_end_matches("/question").to_owned();
        let place = ["--http", &url, "--token-file", "token"];
        run(directory.path(), &[arguments, &place].concat())
    }

    /// What came so far.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = command(directory, arguments);
    command.stdin(std::process::Stdio::null());
    let ended = Process::start(&mut command, "cargo builds it for the tests").finish();
    (ended.status, ended.output, ended.error)
}

fn problem(status: u16, detail: &str) -> String {
    json!({ "type": "about:blank", "title": "No", "status": status, "detail": detail }).to_string()
}

fn client(name: &str) -> Value {
    json!({
        "client": name, "user": "anna", "address": "192.0.2.7:4711", "listener": "mqtt://0.0.0.0", "version": "5.0",
        "is_connected": true, "connected_at": "2026-11-28T10:00:00Z", "away_since": null, "expires_at": null,
        "keep_alive_s": 60, "subscriptions": 2, "queued_messages": 1234, "queued_bytes": 2048, "in_flight_messages": 1,
        "messages_received": 5, "messages_sent": 6, "dropped": 0, "outbox_bytes": 0, "is_slow": false,
        "last_error": null
    })
}

#[test]
fn clients_are_listed_page_by_page_in_the_order_that_was_asked_for() {
    let desk = Desk::new(|line| {
        let page = if line.contains("after=") { ("b", Value::Null) } else { ("a", "place/2".into()) };
        (200, json!({ "clients": [client(page.0)], "next": page.1, "matched": 2 }).to_string())
    });
    let arguments = ["clients", "--all", "--search", "a b&c", "--state", "away", "--sort", "queued-messages"];
    let (status, output, error) = desk.run(&arguments);
    assert_eq!((status, error.as_str()), (0, ""));
    let lines: Vec<_> = output.lines().collect();
    assert!(lines[0].starts_with("CLIENT  STATE") && lines.len() == 3, "{output}");
    assert!(
        lines[1].starts_with("a  ") && lines[1].contains("connected") && lines[1].contains("1,234"),
        "{output}"
    );
    assert!(lines[2].starts_with("b  "), "{output}");
    let query = "GET /api/v1/clients?limit=1000&search=a%20b%26c&state=away&sort=queued_messages&order=desc";
    assert_eq!(desk.asked(), [query.to_owned(), format!("{query}&after=place%2F2")]);
}

#[test]
fn a_list_that_is_cut_says_so_and_json_is_one_document() {
    let desk = Desk::always(json!({ "clients": [client("a")], "next": "more", "matched": 7 }));
    let (status, output, error) = desk.run(&["clients", "--limit", "1"]);
    assert_eq!((status, output.lines().count()), (0, 2), "{output}");
    assert_eq!(error, "1 of 7 clients: --all lists them all\n");
    let (_, output, error) = desk.run(&["clients", "--limit", "1", "--json"]);
    let document: Value = serde_json::from_str(&output).expect("it is JSON");
    assert_eq!(document["clients"][0], client("a"));
    assert_eq!((document["next"].as_str(), error.as_str()), (Some("more"), ""));
}

#[test]
fn a_list_without_entries_is_said_where_no_script_takes_it_for_one() {
    let empty =
        json!({ "clients": [], "matched": 0, "messages": [], "groups": [], "bans": [], "next": null });
    let desk = Desk::always(empty);
    for (list, nothing) in [
        (&["clients"][..], "there is no client\n"),
        (&["clients", "--search", "lamp"], "no client matches\n"),
        (&["retained", "list"], "no Retained Message matches\n"),
        (&["groups"], "there is no shared group\n"),
        (&["groups", "--members"], "no shared group has a member\n"),
        (&["ban", "list"], "nobody is banned\n"),
    ] {
        assert_eq!(desk.run(list), (0, String::new(), nothing.to_owned()), "{list:?}");
        let (_, output, error) = desk.run(&[list, &["--json"]].concat());
        let document: Value = serde_json::from_str(&output).expect("it is JSON");
        assert!(document.is_object() && error.is_empty(), "{list:?}: {error}");
    }
}

#[test]
fn one_client_is_shown_with_its_subscriptions_and_messages() {
    let mut detail = client("a/b\u{1b}[2J");
    for (name, value) in [
        ("session_expiry_s", json!(3600)),
        ("will", json!({ "topic": "t", "qos": 1, "retain": true, "delay_s": 5 })),
        (
            "subscription_list",
            json!([{ "filter": "home/#", "share": null, "qos": 2, "no_local": true,
            "retain_as_published": false, "identifier": 9 }]),
        ),
        ("in_flight", json!([{ "packet_identifier": 3, "topic": null, "qos": 2, "state": "released" }])),
        ("queue", json!([{ "topic": null, "qos": 1, "size_bytes": 300, "age_s": null }])),
        ("last_error", json!("timed out")),
    ] {
        detail[name] = value;
    }
    let desk = Desk::always(detail);
    let (status, output, _) = desk.run(&["clients", "show", "a/b\u{1b}[2J"]);
    assert_eq!(status, 0);
    for expected in [
        "a/b\\u{1b}[2J",
        "t at QoS 1, retained, after 5 s",
        "1 h 0 min after its connection",
        "no local, identifier 9",
        "released",
        "(in the store)",
        "timed out",
    ] {
        assert!(output.contains(expected), "{expected:?} is not in\n{output}");
    }
    assert!(!output.contains('\u{1b}'), "{output}");
    assert_eq!(desk.asked(), ["GET /api/v1/clients/a%2Fb%1B%5B2J"]);
}

#[test]
fn kick_ends_a_connection_or_a_session_and_its_status_says_whether_there_was_one() {
    let desk = Desk::new(|line| match line.ends_with("away/disconnect") {
        true => (404, problem(404, "the client \"away\" is not connected")),
        false => (204, String::new()),
    });
    assert_eq!(desk.run(&["kick", "lamp 7"]), (0, String::new(), String::new()));
    assert_eq!(desk.run(&["kick", "lamp 7", "--end-session"]).0, 0);
    let (status, _, error) = desk.run(&["kick", "away"]);
    assert_eq!((status, error.as_str()), (1, "dunlin: the client \"away\" is not connected\n"));
    let asked = ["POST /api/v1/clients/lamp%207/disconnect", "DELETE /api/v1/clients/lamp%207"];
    assert_eq!(desk.asked()[..2], asked);
}

#[test]
fn bans_are_changed_and_the_answer_is_told_with_whom_it_is_about() {
    let desk = Desk::new(|line| match line.split(' ').next() {
        Some("GET") => {
            let ban =
                json!({ "network": "203.0.113.7", "client": "lamp", "cause": "operator", "ends_in_s": 60 });
            (200, json!({ "bans": [ban] }).to_string())
        }
        Some("POST") => (204, String::new()),
        _ => (404, problem(404, "is not banned")),
    });
    let expected = "203.0.113.7 client \"lamp\" operator 60s\n";
    assert_eq!(desk.run(&["ban", "list"]), (0, expected.to_owned(), String::new()));
    let (_, output, _) = desk.run(&["ban", "list", "--json"]);
    let document: Value = serde_json::from_str(&output).expect("it is JSON");
    assert_eq!(document["bans"][0]["ends_in_s"], 60);
    assert_eq!(desk.run(&["ban", "add", "203.0.113.7", "--client", "lamp", "--for", "1h"]).0, 0);
    let (status, _, error) = desk.run(&["ban", "remove", "203.0.113.0/24"]);
    assert_eq!((status, error.as_str()), (1, "dunlin: 203.0.113.0/24 is not banned\n"));
    let asked = desk.asked();
    let post = "POST /api/v1/bans {\"client\":\"lamp\",\"duration_s\":3600,\"network\":\"203.0.113.7\"}";
    assert_eq!(asked[2..], [post, "DELETE /api/v1/bans {\"network\":\"203.0.113.0/24\"}"]);
    assert_eq!(desk.run(&["ban", "add", "203.0.113.7", "--for", "20000d"]).0, 2);
}

#[test]
fn the_dashboard_is_named_with_the_token_wherever_its_broker_is() {
    let directory = directory();
    write(directory.path(), "token", TOKEN);
    let place = ["dashboard", "--http", "https://broker.example:18083", "--token-file", "token"];
    let (status, output, error) = run(directory.path(), &place);
    let expected = format!("https://broker.example:18083/#token={TOKEN}\n");
    assert_eq!((status, output), (0, expected), "{error}");
}

#[test]
fn retained_messages_are_set_printed_byte_by_byte_and_cleared() {
    let message = json!({ "topic": "a/ä", "qos": 1, "size_bytes": 2, "received_at": "2026-11-28T10:00:00Z",
        "expires_at": null, "writer": null, "payload": null, "payload_base64": "T0s=", "properties": {} });
    let desk = Desk::always(message);
    let (status, output, _) = desk.run(&["retained", "get", "a/ä"]);
    assert_eq!((status, output.as_str()), (0, "OK\n"), "the test reads line by line");
    let set =
        ["retained", "set", "a/ä", "on", "--qos", "1", "--expiry", "1h", "--content-type", "text/plain"];
    assert_eq!(desk.run(&set).0, 0);
    assert_eq!(desk.run(&["retained", "clear", "$x/?"]).0, 0);
    let body = "{\"content_type\":\"text/plain\",\"message_expiry_s\":3600,\"payload\":\"on\",\"qos\":1}";
    let put = format!("PUT /api/v1/retained/a/%C3%A4 {body}");
    assert_eq!(desk.asked(), ["GET /api/v1/retained/a/%C3%A4", &put, "DELETE /api/v1/retained/%24x/%3F"]);
    let (status, _, error) = desk.run(&["retained", "set", "a"]);
    assert!(status == 2 && error.contains("dunlin retained clear"), "{error}");
}

#[test]
fn status_groups_drops_and_listeners_are_tables() {
    let status = json!({ "version": "0.1.0", "started_at": "2026-11-28T08:00:00Z", "uptime_s": 7260, "workers": 2,
        "is_ready": true, "store": { "state": "full", "problem": "no room", "bytes": 1536 }, "connections": 1,
        "sessions": 1000, "subscriptions": 4, "retained": 0, "retained_bytes": 0, "queued_messages": 24,
        "queued_bytes": 2400, "messages_received": 1, "messages_sent": 0, "bytes_received": 0, "bytes_sent": 0,
        "dropped": 0, "memory_bytes": null });
    let (_, output, _) = Desk::always(status).run(&["status"]);
    for expected in
        ["0.1.0, up for 2 h 1 min", "full, 1.5 KB: no room", "sessions           1,000", "24, 2.3 KB"]
    {
        assert!(output.contains(expected), "{expected:?} is not in\n{output}");
    }
    let member =
        json!({ "client": "w1", "qos": 1, "is_connected": true, "is_ready": false, "outstanding": 20 });
    let groups = json!({ "next": null, "groups": [{ "name": "$share/w/jobs", "share": "w", "filter": "jobs",
        "queued_messages": 5, "queued_bytes": 10, "oldest_age_s": 75, "lent_messages": 20, "members": [member] }] });
    let (_, output, _) = Desk::always(groups.clone()).run(&["groups"]);
    assert!(output.contains("$share/w/jobs       5  10 bytes   1 min    20        1      0"), "{output}");
    let (_, output, _) = Desk::always(groups).run(&["groups", "--members"]);
    assert!(output.contains("$share/w/jobs  w1        1  busy"), "{output}");
    let drops = json!({ "drops": [{ "reason": "queue_full", "count": 12345 }, { "reason": "expired", "count": 0 }],
        "refusals": [], "clients": [{ "client": "lamp", "dropped": 9 }], "addresses": [] });
    let (_, output, _) = Desk::always(drops).run(&["drops"]);
    assert!(output.contains("queue_full        12,345") && output.contains("lamp          9"), "{output}");
    assert!(!output.contains("expired") && !output.contains("REFUSED"), "{output}");
    let listeners = json!({ "listeners": [{ "url": "mqtts://0.0.0.0", "address": "0.0.0.0:8883", "connections": 1,
        "accepted": 2, "refused": 3, "tls": [{ "file": "a.pem", "subject": "CN=a", "kind": "certificate",
        "not_after": "2026-12-24T00:00:00Z", "days_left": 26 }] }] });
    let (_, output, _) = Desk::always(listeners).run(&["listeners"]);
    assert!(output.contains("0.0.0.0:8883") && output.contains("2026-12-24         26"), "{output}");
}

#[test]
fn a_trace_is_printed_as_it_comes_and_ends_after_the_lines_that_were_asked_for() {
    let line = json!({ "at": "2026-11-28T10:00:00.25Z", "client": "lamp\n", "address": "192.0.2.7:1", "event": "received",
        "packet": "PUBLISH", "details": { "qos": 1, "topic": "t" } });
    let stream = format!(
        ": alive\n\nevent: line\ndata: {line}\n\nevent: lost\ndata: {{\"count\": 3}}\n\ndata: {line}\n\n"
    );
    let desk = Desk::new(move |_| (200, stream.clone()));
    let (status, output, error) = desk.run(&["trace", "--topic", "home/+/#", "--count", "2"]);
    let expected = "10:00:00.250 lamp\\n -> PUBLISH qos=1 topic=\"t\"\n";
    assert_eq!((status, output), (0, expected.repeat(2)));
    assert_eq!(error, "dunlin: 3 lines came too fast and cannot be shown\n");
    let (status, output, error) = desk.run(&["trace", "--client", "a", "--json"]);
    assert!(status == 3 && error.contains("has ended the trace"), "{error}");
    assert_eq!(
        serde_json::from_str::<Value>(output.lines().next().expect("a line")).expect("it is JSON"),
        line
    );
    assert_eq!(desk.asked(), ["GET /api/v1/trace?topic=home%2F%2B%2F%23", "GET /api/v1/trace?client=a"]);
    assert_eq!(desk.run(&["trace"]).0, 2);
    assert_eq!(desk.run(&["trace", "--client", "a", "--topic", "b"]).0, 2);
    assert_eq!(desk.run(&["trace", "--address", "localhost"]).0, 2);
}

#[test]
fn the_log_level_and_the_configuration_are_changed_as_it_was_asked() {
    let desk = Desk::new(|line| match line {
        "GET /api/v1/log" => (200, json!({ "level": "info,dunlin::tls=debug" }).to_string()),
        "PUT /api/v1/log" => (204, String::new()),
        _ => (200, json!({ "changed": ["log.level"], "need_restart": ["server.workers"] }).to_string()),
    });
    assert_eq!(desk.run(&["log"]).1, "info,dunlin::tls=debug\n");
    assert_eq!(desk.run(&["log", "debug"]), (0, String::new(), String::new()));
    let (status, output, _) = desk.run(&["reload"]);
    let expected = "configuration reloaded\nchanged: log.level\nneeds a restart: server.workers\n";
    assert_eq!((status, output.as_str()), (0, expected));
    let asked = ["GET /api/v1/log", "PUT /api/v1/log {\"level\":\"debug\"}", "POST /api/v1/config/reload"];
    assert_eq!(desk.asked(), asked);
    let wrong = Desk::new(|_| {
        let mut problem: Value =
            serde_json::from_str(&problem(422, "nothing has changed")).expect("it is JSON");
        problem["errors"] = json!(["dunlin.toml:3: log.level: must be one"]);
        (422, problem.to_string())
    });
    let (status, _, error) = wrong.run(&["reload"]);
    assert_eq!(status, 1);
    assert_eq!(error, "dunlin: nothing has changed\n  dunlin.toml:3: log.level: must be one\n");
}

#[test]
fn the_exit_status_says_who_is_at_fault() {
    let directory = directory();
    write(directory.path(), "token", TOKEN);
    write(directory.path(), "wrong", "not the one");
    write(directory.path(), "other", "fedcba");
    let asked = |arguments: &[&str]| run(directory.path(), arguments);
    let with_token = |token| ["status", "--http", "127.0.0.1:1", "--token-file", token];
    let (status, _, error) = asked(&with_token("token"));
    assert!(status == 3 && error.starts_with("dunlin: no broker answers at http://127.0.0.1:1: "), "{error}");
    let (status, _, error) = asked(&with_token("missing"));
    assert!(status == 2 && error.starts_with("dunlin: --token-file missing: "), "{error}");
    let (status, _, error) = asked(&with_token("wrong"));
    assert!(status == 2 && error.contains("must be one token") && !error.contains("not the one"), "{error}");
    let (status, _, error) = asked(&["status", "--http", "nowhere"]);
    assert!(status == 2 && error.contains("--http \"nowhere\": must be host:port"), "{error}");
    let (status, _, error) = asked(&["status", "--config", "missing.toml"]);
    assert!(status == 2 && error.contains("missing.toml"), "{error}");
    let (status, _, error) = asked(&["status"]);
    assert!(status == 2 && error.contains("api-token"), "{error}");
    // What is wrong with an argument is seen before anybody is asked.
    let wrong = [
        &["trace", "--topic", "a/#/b"][..],
        &["retained", "list", "a#"],
        &["retained", "get", ""],
        &["retained", "set", "a/+", "on"],
        &["log", "loud"],
    ];
    for wrong in wrong {
        let (status, _, error) = asked(&[wrong, &with_token("token")[1..]].concat());
        assert!(status == 2 && error.starts_with("error: invalid value "), "{wrong:?}: {error}");
    }
    let service = Service::start(|_| Reply::Answer(401, problem(401, "no")));
    let url = service.url().trim_end_matches("/question").to_owned();
    let (status, _, error) = asked(&["status", "--http", &url, "--token-file", "other"]);
    assert!(
        status == 1 && error.contains("does not take the token of other") && !error.contains("fedcba"),
        "{error}"
    );
    let service = Service::start(|_| Reply::Garbage);
    let url = service.url().trim_end_matches("/question").to_owned();
    assert_eq!(asked(&["status", "--http", &url, "--token-file", "other"]).0, 3);
}

#[test]
fn the_token_of_this_machine_is_not_shown_to_another() {
    let directory = directory();
    std::fs::create_dir(directory.path().join("data")).expect("it can be made");
    write(directory.path(), "data/api-token", TOKEN);
    let (status, _, error) =
        run(directory.path(), &["status", "--data-dir", "data", "--http", "192.0.2.1:1"]);
    assert_eq!(status, 2);
    assert!(error.contains("http://192.0.2.1:1 is asked with a token only"), "{error}");
}

#[test]
fn a_broker_that_was_started_again_meanwhile_is_asked_with_the_token_that_it_has_now() {
    let directory = directory();
    let data_dir = directory.path().join("data");
    std::fs::create_dir(&data_dir).expect("it can be made");
    let token = data_dir.join("api-token");
    let (old, new) = ("00ff", TOKEN);
    let refused = Arc::new(Mutex::new(0));
    let (count, file) = (Arc::clone(&refused), token.clone());
    let service = Service::start(move |request| {
        if request.head.contains(&format!("Bearer {new}")) {
            return Reply::Answer(200, json!({ "level": "info" }).to_string());
        }
        let mut count = count.lock().expect("nobody panics");
        *count += 1;
        // Only the first time there is another one to be found.
        if *count == 1 {
            std::fs::write(&file, new).expect("it can be written");
        }
        Reply::Answer(401, problem(401, "no"))
    });
    let url = service.url().trim_end_matches("/question").to_owned();
    let asked = || run(directory.path(), &["log", "--http", &url, "--data-dir", "data"]);
    std::fs::write(&token, old).expect("it can be written");
    assert_eq!(asked(), (0, "info\n".to_owned(), String::new()));
    std::fs::write(&token, old).expect("it can be written");
    assert_eq!(asked().0, 1);
    assert_eq!(*refused.lock().expect("nobody panics"), 2, "nobody asks twice with the same");
}

#[test]
fn a_token_may_be_in_the_environment_and_a_file_that_is_named_wins() {
    let desk = Desk::always(json!({ "level": "info" }));
    let directory = directory();
    write(directory.path(), "token", TOKEN);
    let url = desk.service.url().trim_end_matches("/question").to_owned();
    let status = |variable: &str, more: &[&str]| {
        let mut command = command(directory.path(), &[&["log", "--http", &url], more].concat());
        command.env("DUNLIN_TOKEN", variable);
        Process::start(&mut command, "cargo builds it for the tests").finish().status
    };
    assert_eq!(status(TOKEN, &[]), 0);
    assert_eq!(status("another", &[]), 1);
    assert_eq!(status("another", &["--token-file", "token"]), 0);
    assert_eq!(status("", &[]), 2);
}

#[test]
fn what_is_wrong_elsewhere_in_the_configuration_keeps_nobody_from_asking() {
    let desk = Desk::new(|line| match line {
        "GET /readyz" => (200, "ready\n".to_owned()),
        "GET /api/v1/bans" => (200, json!({ "bans": [] }).to_string()),
        _ => (200, json!({ "changed": [], "need_restart": [] }).to_string()),
    });
    let address = desk.service.url().replace("http://", "").replace("/question", "");
    let directory = directory();
    std::fs::create_dir(directory.path().join("data")).expect("it can be made");
    write(directory.path(), "data/api-token", TOKEN);
    let right = format!("store.path = 'data'\nhttp.address = '{address}'\n");
    let asked = |command: &[&str], text: &str| {
        write(directory.path(), "dunlin.toml", text);
        run(directory.path(), &[command, &["--config", "dunlin.toml"]].concat())
    };
    for (more, errors) in [("nonsense = 1\nlog.level = 5\n", "2 errors"), ("[log]\nlevel =\n", "1 error")] {
        let warning = format!(
            "dunlin: the configuration has {errors}, which `dunlin check` names; going on with the rest\n"
        );
        for command in [&["reload"][..], &["ban", "list"], &["dashboard"], &["token", "list"]] {
            let (status, _, error) = asked(command, &format!("{right}{more}"));
            assert_eq!(status, 0, "{command:?}: {error}");
            assert_eq!(error.matches(&warning).count(), 1, "{command:?}: {error}");
        }
    }
    // What the command needs is nothing to guess.
    let (status, _, error) = asked(&["reload"], "store.path = 'data'\nhttp.address = 'nowhere'\n");
    assert!(status == 2 && error.starts_with("dunlin.toml:2: http.address = "), "{error}");
    let (status, _, error) = asked(&["token", "list"], "store.path = 7\nhttp.address = 'nowhere'\n");
    assert!(status == 2 && error.lines().count() == 1 && error.contains("store.path"), "{error}");
}

#[test]
fn top_needs_a_terminal() {
    let (status, _, error) = Desk::always(json!({})).run(&["top"]);
    assert!(status == 2 && error.contains("needs a terminal"), "{error}");
}
