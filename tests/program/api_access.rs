//! Who gets into the API: tokens and certificates, what they may do, and what is written down of it.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::run;
use crate::support::certificates;
use crate::support::client::tcp;
use crate::support::dunlin::{Dunlin, directory, write};
use crate::support::http::{Asker, ask_over};
use crate::support::tls;

const CONFIG: &str = "http.address = '127.0.0.1:0'\nstore.path = 'data'\nserver.workers = 1\n\
                      listener = [{ url = 'mqtt://127.0.0.1:0' }]\n";

const BAN: &str = "{\"network\": \"203.0.113.7\", \"duration_s\": 60}";

/// A broker with an operations port.
pub fn start(directory: &Path, more: &str) -> (Dunlin, SocketAddr) {
    let mut dunlin = Dunlin::start(directory, &format!("{CONFIG}{more}"));
    // Its listener is announced first, and whoever wants to know it later asks this value.
    dunlin.address(0);
    let line = dunlin.wait_for("operations port: ");
    let address = line.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("its address");
    (dunlin, address.parse().expect("an address"))
}

/// Who holds the token of the data directory.
pub fn owner(directory: &Path, address: SocketAddr) -> Asker {
    let token = std::fs::read_to_string(directory.join("data/api-token")).expect("the broker has left it");
    Asker { address, token }
}

/// Who holds a new token.
fn holder(directory: &Path, address: SocketAddr, arguments: &[&str]) -> Asker {
    let arguments = [&["token", "create"], arguments, &["--config", "dunlin.toml"]].concat();
    let (status, output, error) = run(directory, &arguments);
    assert_eq!(status, 0, "{error}");
    Asker { address, token: output.trim_end().to_owned() }
}

#[test]
fn a_token_opens_what_its_scope_allows_from_its_making_to_its_removal() {
    let directory = directory();
    let (_dunlin, address) = start(directory.path(), "");
    let reader = holder(directory.path(), address, &["grafana"]);
    assert_eq!(reader.ask("GET", "/api/v1/bans").status, 200);
    let denied = reader.json("POST", "/api/v1/bans", BAN);
    assert_eq!(denied.status, 403);
    assert!(denied.problem().contains("\"grafana\" may only read"), "{denied:?}");
    assert!(denied.header("www-authenticate").contains("insufficient_scope"), "{denied:?}");
    let admin = holder(directory.path(), address, &["ci", "--scope", "admin", "--expires", "90d"]);
    assert_eq!(admin.json("POST", "/api/v1/bans", BAN).status, 204);
    let (_, listed, _) = run(directory.path(), &["token", "list", "--data-dir", "data"]);
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].starts_with("grafana read created 20"), "{listed}");
    assert!(lines[1].starts_with("ci admin created 20") && lines[1].contains(" expires 20"), "{listed}");
    let (_, listed, _) = run(directory.path(), &["token", "list", "--json", "--data-dir", "data"]);
    let listed: Value = serde_json::from_str(&listed).expect("it is JSON");
    let (first, second) = (&listed["tokens"][0], &listed["tokens"][1]);
    assert!(
        first["name"] == "grafana" && first["scope"] == "read" && first["expires_at"].is_null(),
        "{listed}"
    );
    assert!(second["expires_at"].is_string() && second["is_expired"] == false, "{listed}");
    let file = std::fs::read_to_string(directory.path().join("data/tokens.toml")).expect("it is there");
    assert!(!file.contains(&admin.token), "only its hash is kept");
    let (status, _, error) = run(directory.path(), &["token", "remove", "ci", "--data-dir", "data"]);
    assert_eq!(status, 0, "{error}");
    let refused = admin.ask("GET", "/api/v1/bans");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains("invalid_token"), "{refused:?}");
    let (status, _, error) = run(directory.path(), &["token", "remove", "ci", "--data-dir", "data"]);
    assert_eq!((status, error.contains("there is no token \"ci\"")), (1, true), "{error}");
}

#[test]
fn whatever_is_wrong_below_api_is_a_problem_document() {
    let directory = directory();
    let (_dunlin, address) = start(directory.path(), "http.max_body = '1KB'\n");
    let owner = owner(directory.path(), address);
    let stranger = Asker { address, token: String::new() };
    for path in ["/api", "/api/v1/nothing", "/api/v1/bans"] {
        let refused = stranger.ask("GET", path);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"), "{path}");
        assert!(refused.problem().contains("dunlin token create"));
    }
    for path in ["/api", "/api/", "/api/v2", "/api/v1/nothing", "/api/v1/bans/more"] {
        let missing = owner.ask("GET", path);
        assert_eq!(missing.status, 404, "{path}");
        assert!(missing.problem().contains("openapi.json"));
    }
    let wrong_method = owner.ask("PATCH", "/api/v1/bans");
    assert_eq!((wrong_method.status, wrong_method.header("allow")), (405, "DELETE, GET, POST"));
    assert!(wrong_method.problem().contains("DELETE, GET, POST"));
    for (content_type, body, status) in [
        ("application/json", "{", 400),
        ("application/json", "{}", 422),
        ("application/json", "{\"network\": \"203.0.113.7\", \"colour\": 1}", 422),
        ("application/json", "{\"network\": \"nowhere\"}", 422),
        ("text/plain", BAN, 415),
        ("application/json", &format!("{{\"network\": \"{}\"}}", "1".repeat(2000)), 413),
    ] {
        let refused = owner.send("POST", "/api/v1/bans", content_type, body);
        assert_eq!(refused.status, status, "{body}: {refused:?}");
        assert!(!refused.problem().is_empty());
    }
}

#[test]
fn every_change_is_in_the_audit_log_and_file_whoever_tried() {
    let directory = directory();
    let more = "http.audit_file = 'audit.jsonl'\nauth.password_file = 'passwords'\n";
    std::fs::write(directory.path().join("passwords"), "").expect("it can be written");
    let (dunlin, address) = start(directory.path(), more);
    let owner = owner(directory.path(), address);
    let reader = holder(directory.path(), address, &["grafana"]);
    assert_eq!(owner.json("POST", "/api/v1/bans", BAN).status, 204);
    assert_eq!(owner.json("PUT", "/api/v1/users/anna", "{\"password\": \"anna-knows-this\"}").status, 204);
    assert_eq!(reader.json("DELETE", "/api/v1/bans", BAN).status, 403);
    assert_eq!(Asker { address, token: "guess".to_owned() }.ask("DELETE", "/api/v1/bans").status, 401);
    assert_eq!(owner.ask("GET", "/api/v1/bans").status, 200);
    let file = std::fs::read_to_string(directory.path().join("audit.jsonl")).expect("it is there");
    let lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            let status = line["status"].as_u64().unwrap_or(0);
            assert!(text("from").starts_with("127.0.0.1:") && text("at").ends_with('Z'), "{line}");
            format!(
                "{} {} {} {} {} {status}",
                text("who"),
                text("scope"),
                text("method"),
                text("path"),
                text("subject")
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            "local admin POST /api/v1/bans 203.0.113.7 204",
            "local admin PUT /api/v1/users/anna - 204",
            "grafana read DELETE /api/v1/bans - 403",
            "- - DELETE /api/v1/bans - 401",
        ]
    );
    let log = dunlin.stop().error;
    let audited: Vec<_> = log.lines().filter(|line| line.contains("a change by the API")).collect();
    assert_eq!(audited.len(), 4, "{log}");
    assert!(audited[0].contains("who=\"local\"") && audited[0].contains("subject=\"203.0.113.7\""), "{log}");
    assert!(audited.iter().all(|line| !line.contains("Some(") && !line.contains("None")), "{log}");
    for text in [&file, &log] {
        assert!(!text.contains("anna-knows-this") && !text.contains(&owner.token), "{text}");
    }
}

#[test]
fn over_tls_a_certificate_opens_the_api_with_the_scope_that_is_configured() {
    let directory = directory();
    certificates::make(directory.path(), "operators");
    let config = "http.certificate_scope = 'read'\n[http.tls]\ncert = 'server.pem'\nkey = 'server-key.pem'\nclient_ca = 'ca.pem'\n";
    let (_dunlin, address) = start(directory.path(), config);
    let showing = tls::showing(directory.path(), "client");
    let trusting = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    let token = owner(directory.path(), address).token;
    let ask = |config, method: &str, path: &str, token: &str| {
        let stream = tls::over(tcp(address), config);
        ask_over(stream, method, path, token, "application/json", BAN)
    };
    assert_eq!(ask(&trusting, "GET", "/healthz", "").status, 200);
    assert_eq!(ask(&trusting, "GET", "/api/v1/bans", "").status, 401);
    assert_eq!(ask(&trusting, "POST", "/api/v1/bans", &token).status, 204);
    assert_eq!(ask(&showing, "GET", "/api/v1/bans", "").status, 200);
    let denied = ask(&showing, "POST", "/api/v1/bans", "");
    assert_eq!(denied.status, 403);
    assert!(denied.problem().contains("\"CN=client\" may only read"), "{denied:?}");
    assert_eq!(ask(&showing, "GET", "/api/v1/bans", "wrong").status, 401, "a token that is shown decides");
    let listed = ["ban", "list", "--config", "dunlin.toml", "--http", &address.to_string()];
    let (status, output, error) = run(directory.path(), &listed);
    assert_eq!((status, output.starts_with("203.0.113.7 operator ")), (0, true), "{error}");
    let other = std::fs::read_to_string(directory.path().join("dunlin.toml")).expect("it is there");
    write(directory.path(), "other.toml", &other.replace("cert = 'server.pem'", "cert = 'client.pem'"));
    let listed = listed.map(|argument| argument.replace("dunlin.toml", "other.toml"));
    let (status, _, error) = run(directory.path(), &listed.each_ref().map(String::as_str));
    assert_eq!(
        (status, error.contains("its certificate is not that of client.pem (http.tls.cert)")),
        (3, true),
        "{error}"
    );
}

#[test]
fn a_port_that_others_reach_needs_a_token_before_the_broker_starts() {
    let directory = directory();
    let config = CONFIG.replace("127.0.0.1:0'\nstore", "0.0.0.0:0'\nstore");
    write(directory.path(), "dunlin.toml", &config);
    for command in ["check", "serve"] {
        let (status, _, error) = run(directory.path(), &[command, "--config", "dunlin.toml"]);
        assert_eq!(status, 2, "{error}");
        let expected = "dunlin.toml:1: http.address = \"0.0.0.0:0\": others than this machine can reach it";
        assert!(error.starts_with(expected) && error.contains("dunlin token create NAME"), "{error}");
    }
    std::fs::create_dir(directory.path().join("data")).expect("it can be made");
    let token = ["token", "create", "ci", "--data-dir", "data"];
    assert_eq!(run(directory.path(), &token).0, 0);
    assert_eq!(run(directory.path(), &["check", "--config", "dunlin.toml"]).0, 0);
}

#[test]
fn the_dashboard_is_opened_with_the_token_of_this_machines_user() {
    let directory = directory();
    let (dunlin, address) = start(directory.path(), "");
    let token = owner(directory.path(), address).token;
    let place = ["dashboard", "--config", "dunlin.toml", "--http", &address.to_string()];
    let (status, output, error) = run(directory.path(), &place);
    assert_eq!((status, output), (0, format!("http://{address}/#token={token}\n")), "{error}");
    dunlin.stop();
    std::fs::remove_file(directory.path().join("data/api-token")).expect("it is there");
    let (status, _, error) = run(directory.path(), &place);
    assert_eq!((status, error.contains("does it run on this data directory")), (2, true), "{error}");
}
