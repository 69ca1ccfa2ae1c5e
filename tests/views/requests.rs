//! Requests that no endpoint understands.

use super::start;
use serde_json::json;

#[test]
fn a_path_that_is_no_utf_8_gets_a_problem_document() {
    let running = start("");
    let requests = [
        ("GET", "/api/v1/clients/%ff"),
        ("DELETE", "/api/v1/clients/%ff"),
        ("POST", "/api/v1/clients/%ff/disconnect"),
        ("GET", "/api/v1/retained/plant/%ff"),
        ("PUT", "/api/v1/retained/plant/%ff"),
        ("DELETE", "/api/v1/retained/plant/%ff"),
        ("PUT", "/api/v1/users/%ff"),
        ("DELETE", "/api/v1/users/%ff"),
    ];
    for (method, path) in requests {
        let answer = running.http.ask(method, path, None);
        assert_eq!(
            (answer.status, answer.problem()),
            (400, "the path is no UTF-8".into()),
            "{method} {path}"
        );
    }
}

#[test]
fn an_array_is_no_body_where_an_object_is_wanted() {
    let running = start("");
    let answer = running.http.ask("POST", "/api/v1/bans", Some(json!(["203.0.113.7", null, 60])));
    assert_eq!((answer.status, answer.problem()), (422, "the body is wrong: it must be an object".into()));
    assert_eq!(running.http.get("/api/v1/bans")["bans"], json!([]));
}
