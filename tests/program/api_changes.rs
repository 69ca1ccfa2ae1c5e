//! What operators change by the API: users, rules, the configuration; and the copy of the store.

use dunlin_codec::ReasonCode;

use super::api_access::{owner, start};
use crate::support::dunlin::{Dunlin, command, directory, write};
use crate::{ANNA, ANNA_PASSWORD, BORIS_PASSWORD, log_in};

#[test]
fn a_user_can_log_in_once_it_is_added_and_not_once_it_is_removed() {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    // Hashing with argon2id takes seconds where nothing is optimised and others build.
    let more = "auth.password_file = 'passwords'\nlimits.connect_timeout = '60s'\n";
    let (mut dunlin, address) = start(directory.path(), more);
    let owner = owner(directory.path(), address);
    let listener = dunlin.address(0);
    let password = |password: &str| format!("{{\"password\": \"{password}\"}}");
    assert_eq!(log_in(listener, "boris", BORIS_PASSWORD).1, ReasonCode::BadUserNameOrPassword);
    assert_eq!(owner.json("PUT", "/api/v1/users/boris", &password(BORIS_PASSWORD)).status, 204);
    assert_eq!(log_in(listener, "boris", BORIS_PASSWORD).1, ReasonCode::Success);
    let listed = owner.ask("GET", "/api/v1/users").json();
    assert_eq!(listed["users"][0]["name"], "anna");
    assert_eq!(listed["users"][1]["name"], "boris");
    assert_eq!(listed["users"][1]["file"], "passwords");
    assert_eq!(owner.json("PUT", "/api/v1/users/anna", &password("another")).status, 204);
    assert_eq!(log_in(listener, "anna", ANNA_PASSWORD).1, ReasonCode::BadUserNameOrPassword);
    assert_eq!(log_in(listener, "anna", "another").1, ReasonCode::Success);
    assert_eq!(owner.ask("DELETE", "/api/v1/users/anna").status, 204);
    assert_eq!(log_in(listener, "anna", "another").1, ReasonCode::BadUserNameOrPassword);
    let gone = owner.ask("DELETE", "/api/v1/users/anna");
    assert_eq!((gone.status, gone.problem().contains("no user \"anna\"")), (404, true), "{gone:?}");
    for (name, body) in [("a%3Ab", password("x")), ("carla", password("")), ("%23c", password("x"))] {
        let refused = owner.json("PUT", &format!("/api/v1/users/{name}"), &body);
        assert_eq!(refused.status, 422, "{refused:?}");
    }
}

#[test]
fn a_user_of_scram_gets_another_verifier() {
    let directory = directory();
    let mut dunlin = {
        write(directory.path(), "passwords", "");
        let verifier = dunlin::auth::scram_verifier(b"before", 4096).expect("it can be made");
        write(directory.path(), "passwords", &format!("anna:{verifier}\n"));
        start(directory.path(), "auth.password_file = 'passwords'\nlimits.connect_timeout = '60s'\n")
    };
    let owner = owner(directory.path(), dunlin.1);
    assert_eq!(owner.json("PUT", "/api/v1/users/anna", "{\"password\": \"after\"}").status, 204);
    let file = std::fs::read_to_string(directory.path().join("passwords")).expect("it is there");
    assert!(file.starts_with("anna:SCRAM-SHA-256$100000:"), "{file}");
    assert_eq!(log_in(dunlin.0.address(0), "anna", "after").1, ReasonCode::Success);
}

#[test]
fn rules_are_judged_whole_written_and_applied_at_once() {
    let directory = directory();
    write(directory.path(), "acl", "topic read news/#\n");
    let (_dunlin, address) = start(directory.path(), "auth.acl_file = 'acl'\n");
    let owner = owner(directory.path(), address);
    let put = |text: &str| owner.send("PUT", "/api/v1/acl", "text/plain; charset=utf-8", text);
    let refused = put("topic read news/#\nnonsense\n");
    assert_eq!(refused.status, 422);
    assert!(refused.problem().contains("acl:2: a line should begin with"), "{refused:?}");
    assert_eq!(owner.ask("GET", "/api/v1/acl").json()["text"], "topic read news/#\n");
    assert_eq!(owner.send("PUT", "/api/v1/acl", "application/json", "topic #\n").status, 415);
    assert_eq!(put("topic read weather/#\n").status, 204);
    let shown = owner.ask("GET", "/api/v1/acl").json();
    assert_eq!((&shown["file"], &shown["text"]), (&"acl".into(), &"topic read weather/#\n".into()));
}

#[test]
fn without_the_file_in_the_configuration_there_is_nothing_to_change() {
    let directory = directory();
    let (_dunlin, address) = start(directory.path(), "");
    let owner = owner(directory.path(), address);
    for (path, option) in [("/api/v1/users", "auth.password_file"), ("/api/v1/acl", "auth.acl_file")] {
        let refused = owner.ask("GET", path);
        assert_eq!((refused.status, refused.problem().contains(option)), (409, true), "{refused:?}");
    }
}

#[test]
fn a_reload_by_the_api_is_that_of_sighup_and_says_what_is_wrong() {
    let directory = directory();
    let (mut dunlin, address) = start(directory.path(), "log.level = 'info'\n");
    let owner = owner(directory.path(), address);
    let path = directory.path().join("dunlin.toml");
    let config = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, format!("{config}server.workers = 'many'\n").replace("server.workers = 1\n", ""))
        .expect("it can be written");
    let refused = owner.ask("POST", "/api/v1/config/reload");
    assert_eq!(refused.status, 422, "{refused:?}");
    let errors = refused.json()["errors"].to_string();
    assert!(errors.contains("dunlin.toml:") && errors.contains("server.workers"), "{errors}");
    std::fs::write(&path, config.replace("server.workers = 1", "server.workers = 2"))
        .expect("it can be written");
    let reloaded = owner.ask("POST", "/api/v1/config/reload");
    assert_eq!((reloaded.status, &reloaded.json()["need_restart"][0]), (200, &"server.workers".into()));
    dunlin.wait_for("configuration reloaded");
}

#[test]
fn a_backup_is_a_data_directory_that_a_broker_starts_on() {
    let directory = directory();
    let (_dunlin, address) = start(directory.path(), "");
    let owner = owner(directory.path(), address);
    let destination = directory.path().join("copy");
    let request = |destination: &str| format!("{{\"destination\": {destination:?}}}");
    let whole = request(destination.to_str().expect("it is text"));
    let made = owner.json("POST", "/api/v1/backup", &whole);
    assert_eq!(made.status, 200, "{made:?}");
    assert!(made.json()["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{made:?}");
    let arguments = [
        "serve",
        "--listen",
        "mqtt://127.0.0.1:0",
        "--http",
        "",
        "--data-dir",
        destination.to_str().expect("it is text"),
    ];
    Dunlin::run(&mut command(directory.path(), &arguments)).address(0);
    let again = owner.json("POST", "/api/v1/backup", &whole);
    assert_eq!((again.status, again.problem().contains("there is something")), (409, true), "{again:?}");
    let relative = owner.json("POST", "/api/v1/backup", &request("copy"));
    assert_eq!((relative.status, relative.problem().contains("absolute")), (422, true), "{relative:?}");
}

#[test]
fn each_option_is_shown_as_it_is_in_force_with_what_has_set_it() {
    let directory = directory();
    let (_dunlin, address) = start(directory.path(), "session.max_inflight = 7\n");
    let shown = owner(directory.path(), address).ask("GET", "/api/v1/config").json();
    let options = shown["options"].as_array().expect("a list");
    let find = |name: &str| options.iter().find(|option| option["name"] == name).expect(name).clone();
    let expected = serde_json::json!({
        "name": "session.max_inflight", "value": "7", "origin": "file", "where": "dunlin.toml:5", "reloads": true,
    });
    assert_eq!(find("session.max_inflight"), expected);
    let expected = serde_json::json!({
        "name": "http.certificate_scope", "value": "\"admin\"", "origin": "default", "where": null, "reloads": false,
    });
    assert_eq!(find("http.certificate_scope"), expected);
}

#[test]
fn the_level_of_the_log_changes_until_a_reload() {
    let directory = directory();
    let (dunlin, address) = start(directory.path(), "log.level = 'info'\n");
    let owner = owner(directory.path(), address);
    let level = || owner.ask("GET", "/api/v1/log").json()["level"].as_str().expect("a text").to_owned();
    assert_eq!(level(), "info");
    let wrong = owner.json("PUT", "/api/v1/log", "{\"level\": \"infoo\"}");
    assert_eq!((wrong.status, wrong.problem().contains("\"infoo\": must be")), (422, true), "{wrong:?}");
    assert_eq!(owner.json("PUT", "/api/v1/log", "{\"level\": \"info,dunlin::http=warn\"}").status, 204);
    assert_eq!(level(), "info,dunlin::http=warn");
    assert_eq!(owner.json("POST", "/api/v1/bans", "{\"network\": \"203.0.113.7\"}").status, 204);
    assert_eq!(owner.ask("POST", "/api/v1/config/reload").status, 200);
    assert_eq!(level(), "info");
    assert_eq!(owner.json("DELETE", "/api/v1/bans", "{\"network\": \"203.0.113.7\"}").status, 204);
    let log = dunlin.stop().error;
    let said = ["an operator has banned", "an operator has lifted a ban"].map(|text| log.contains(text));
    assert_eq!(said, [false, true], "{log}");
}
