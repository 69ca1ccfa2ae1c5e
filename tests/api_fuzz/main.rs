//! The API, asked everything that its own description allows, and much that it does not.
//!
//! schemathesis (Python; `cargo xtask test` installs it) makes requests from the OpenAPI document and compares the
//! answers with it: no status, no type and no member may be there that is not described, and nothing makes the broker
//! fail. The seed is fixed, so a failure repeats; it prints the request as a command for curl. Whatever endpoint is
//! added to the document is asked, too. Two kinds are left out: streams (tag `streams`), which do not end by
//! themselves, and the backup; `tests/program/api_changes.rs` has that.

#[allow(dead_code, reason = "each test uses its part")]
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::dunlin::{Dunlin, directory, write};
use support::process::Process;

const CONFIG: &str = "http.address = '127.0.0.1:0'\nstore.path = 'data'\nserver.workers = 2\n\
                      auth.password_file = 'passwords'\nauth.acl_file = 'acl'\nban.allow = ['127.0.0.0/8']\n\
                      listener = [{ url = 'mqtt://127.0.0.1:0' }]\n";

/// What must hold of every answer.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Requests made at random for each operation, beside those that try its limits one by one.
const EXAMPLES: &str = "15";

/// It writes wherever it is told to.
const BACKUP: &str = "/api/v1/backup";

/// The tag of what does not end by itself.
const STREAMS: &str = "streams";

const SEED: &str = "1883";

/// Far above what a busy machine needs: it decides when the test gives up.
const DEADLINE: Duration = Duration::from_secs(600);

#[test]
fn whatever_is_asked_the_answer_is_one_that_the_document_describes() {
    let directory = directory();
    write(directory.path(), "passwords", "");
    write(directory.path(), "acl", "topic #\n");
    let mut dunlin = Dunlin::start(directory.path(), CONFIG);
    let line = dunlin.wait_for("operations port: ");
    let url = line.split(": ").last().and_then(|url| url.strip_suffix("/healthz")).expect("its address");
    let token =
        std::fs::read_to_string(directory.path().join("data/api-token")).expect("the broker has left it");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = dunlin::http::api::document();
    write(directory.path(), "openapi.json", &document);
    let mut fuzz = Command::new(root.join(".venv/bin/schemathesis"));
    fuzz.current_dir(directory.path())
        .args(["run", "openapi.json", "--url", url, "--header"])
        .arg(format!("Authorization: Bearer {token}"))
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        .args(["--seed", SEED, "--generation-database", "none", "--request-timeout", "30", "--no-color"])
        .args(["--exclude-path", BACKUP, "--exclude-tag", STREAMS]);
    let hint = "`cargo xtask test` installs what this test needs";
    let ended = Process::start(&mut fuzz, hint).finish_within(DEADLINE);
    assert_eq!(ended.status, 0, "{}{}\n{}", ended.output, ended.error, dunlin.kill().error);
    // Having asked nothing would be no success.
    let tested = format!("Tested: {}\n", operations_asked(&document));
    assert!(ended.output.contains(&tested), "no {tested:?} in {}", ended.output);
    assert_eq!(dunlin.stop().status, 0);
}

/// How many operations of a document are not left out.
fn operations_asked(document: &str) -> usize {
    let document: serde_json::Value = serde_json::from_str(document).expect("it is JSON");
    let paths = document["paths"].as_object().expect("it has paths");
    let asked = paths.iter().filter(|(path, _)| *path != BACKUP);
    let operations = asked.flat_map(|(_, item)| item.as_object().expect("it has methods").values());
    operations.filter(|operation| !operation["tags"].to_string().contains(STREAMS)).count()
}
