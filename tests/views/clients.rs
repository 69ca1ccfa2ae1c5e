//! Clients, their subscriptions, and shared groups.

use super::port::Port;
use super::support::client::{Client, hello, persistent, publish, tcp};
use super::support::http::Asker;
use super::{Running, start};
use dunlin_codec::{Connect, QoS, ReasonCode, Will};
use serde_json::{Value, json};

fn names(list: &Value) -> Vec<&str> {
    list["clients"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["client"].as_str().expect("a name"))
        .collect()
}

/// Comes and goes, and leaves a Session.
fn leave_session(running: &Running, name: &str, filter: Option<&str>) {
    let mut client = Client::over(tcp(running.broker().addresses()[0]));
    assert_eq!(client.connect(&persistent(name)), ReasonCode::Success);
    if let Some(filter) = filter {
        client.subscribe(filter);
    }
    client.disconnect();
}

#[test]
fn lists_are_searched_sorted_and_paged() {
    let running = start("");
    let clients: Vec<_> = (0..25).map(|number| running.client(&format!("plant-{number:02}"))).collect();
    leave_session(&running, "away", None);
    let http = &running.http;

    let all = http.get("/api/v1/clients?limit=1000");
    assert_eq!(all["matched"], 26);
    assert_eq!(all["next"], Value::Null);
    let mut sorted = names(&all);
    sorted.sort_unstable();
    assert_eq!(names(&all), sorted, "by client identifier unless something else is wanted");

    for (order, first) in [("asc", "away"), ("desc", "plant-24")] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = http.get(&format!("/api/v1/clients?limit=10&order={order}&after={after}"));
            assert_eq!(page["matched"], 26);
            seen.extend(names(&page).into_iter().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert_eq!((seen.len(), seen[0].as_str()), (26, first));
    }
    assert_eq!(names(&http.get("/api/v1/clients?search=t-07")), ["plant-07"]);
    assert_eq!(http.get("/api/v1/clients?search=127.0.0.1:")["matched"], 25, "by address");
    assert_eq!(names(&http.get("/api/v1/clients?state=away")), ["away"]);
    assert_eq!(http.get("/api/v1/clients?state=connected&limit=1")["matched"], 25);

    let mut clients = clients;
    for (index, client) in clients.iter_mut().enumerate().take(3) {
        (0..=index).for_each(|_| client.publish("t", b""));
    }
    let busiest = "/api/v1/clients?sort=messages_received&order=desc&limit=2";
    let page = http.get(busiest);
    assert_eq!(names(&page), ["plant-02", "plant-01"]);
    let next = page["next"].as_str().expect("there are more");
    assert_eq!(names(&http.get(&format!("{busiest}&after={next}"))), ["plant-00", "away"]);
}

#[test]
fn wrong_questions_are_problems_that_say_what_would_be_right() {
    let running = start("");
    for (path, status, says) in [
        ("/api/v1/clients?limit=0", 400, "1 to 1000"),
        ("/api/v1/clients?sort=name", 400, "in_flight_messages"),
        ("/api/v1/clients?serch=x", 400, "serch"),
        ("/api/v1/clients?after=x", 400, "`next`"),
        ("/api/v1/clients/nobody", 404, "nobody"),
        ("/api/v1/topics?limit=x", 400, "limit"),
        ("/api/v1/retained?filter=a%23", 400, "filter"),
        ("/api/v1/retained/a/b", 404, "a/b"),
        ("/api/v1/subscribe", 400, "filter"),
        ("/api/v1/groups?after=zzz", 400, "after"),
    ] {
        let answer = running.http.ask("GET", path, None);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let problem = answer.problem();
        assert!(problem.contains(says), "{path}: {problem}");
    }
    let stranger = Port(Asker { token: "x".to_owned(), ..running.http.0 });
    assert_eq!(stranger.ask("GET", "/api/v1/clients", None).status, 401);
}

#[test]
fn one_client_shows_what_it_is_and_what_it_has() {
    let running = start("session.max_queued_messages = 10\n");
    let mut client = Client::over(tcp(running.broker().addresses()[0]));
    let will = Will {
        topic: "gone",
        payload: b"x",
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: Default::default(),
        delay_interval_s: Some(7),
    };
    let connect = Connect { will: Some(will), ..persistent("a/b c") };
    assert_eq!(client.connect(&connect), ReasonCode::Success);
    client.subscribe("t/+");
    client.subscribe("$share/g/work");
    let mut publisher = running.client("publisher");
    publisher.publish("t/1", b"12345");
    let message = client.message();
    let shown = running.http.get("/api/v1/clients/a%2Fb%20c");
    assert_eq!(shown["client"], "a/b c");
    assert_eq!(shown["version"], "5.0");
    assert_eq!(shown["is_connected"], true);
    assert!(shown["connected_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
    assert!(shown["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")));
    assert_eq!(shown["listener"], "mqtt://127.0.0.1:0");
    assert_eq!(shown["session_expiry_s"], Value::Null, "never");
    assert_eq!(shown["will"], json!({ "topic": "gone", "qos": 1, "retain": true, "delay_s": 7 }));
    let subscriptions = shown["subscription_list"].as_array().expect("a list");
    assert_eq!(
        subscriptions[0],
        json!({ "filter": "t/+", "share": null, "qos": 2, "no_local": false, "retain_as_published": false, "identifier": null })
    );
    assert_eq!((&subscriptions[1]["filter"], &subscriptions[1]["share"]), (&json!("work"), &json!("g")));
    let in_flight = json!([{ "packet_identifier": message.packet_identifier, "topic": "t/1", "qos": 1, "state": "published" }]);
    assert_eq!(shown["in_flight"], in_flight);
    assert_eq!(shown["messages_sent"], 1);

    drop(client);
    // The second is there only when the broker knows that the connection is gone.
    while running.http.get("/api/v1/clients/a%2Fb%20c")["is_connected"] == true {
        std::thread::yield_now();
    }
    publisher.publish("t/2", b"123");
    let shown = running.http.get("/api/v1/clients/a%2Fb%20c");
    assert_eq!(shown["queue"][0]["topic"], "t/2");
    assert_eq!(shown["queue"][0]["size_bytes"], 6);
    assert_eq!(shown["queued_messages"], 1);
    assert!(shown["away_since"].is_string());
    assert!(
        shown["last_error"].as_str().is_some_and(|error| error.starts_with("the connection was lost at 20")),
        "{shown}"
    );

    let list = running.http.get("/api/v1/subscriptions?client=a/b&filter=$share");
    assert_eq!(list["subscriptions"].as_array().expect("a list").len(), 1);
    assert_eq!(list["subscriptions"][0]["client"], "a/b c");
    assert_eq!(list["next"], Value::Null);
}

#[test]
fn subscriptions_of_all_workers_come_in_pages() {
    let running = start("");
    let mut clients: Vec<_> = (0..6).map(|number| running.client(&format!("c{number}"))).collect();
    for client in &mut clients {
        for filter in ["a", "b", "c"] {
            client.subscribe(filter);
        }
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = running.http.get(&format!("/api/v1/subscriptions?limit=4&after={after}"));
        let entries = page["subscriptions"].as_array().expect("a list");
        assert!(entries.len() <= 4);
        seen.extend(entries.iter().map(|entry| format!("{}{}", entry["client"], entry["filter"])));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 18);
}

#[test]
fn an_operator_ends_a_connection_and_a_session() {
    let running = start("");
    let mut client = Client::over(tcp(running.broker().addresses()[0]));
    assert_eq!(client.connect(&persistent("guest")), ReasonCode::Success);
    let ask = |method: &str, path: &str| running.http.ask(method, path, None).status;
    assert_eq!(ask("POST", "/api/v1/clients/guest/disconnect"), 204);
    assert_eq!(client.end(), Some(ReasonCode::AdministrativeAction));
    assert_eq!(ask("POST", "/api/v1/clients/guest/disconnect"), 404, "it is away");
    let shown = running.http.get("/api/v1/clients/guest");
    assert!(shown["last_error"].as_str().is_some_and(|error| error.contains("an operator")), "{shown}");
    assert_eq!(ask("DELETE", "/api/v1/clients/guest"), 204);
    assert_eq!(ask("DELETE", "/api/v1/clients/guest"), 404);
    assert_eq!(ask("GET", "/api/v1/clients/guest"), 404);

    let mut client = running.client("guest");
    assert_eq!(ask("DELETE", "/api/v1/clients/guest"), 204, "connection and Session");
    assert_eq!(client.end(), Some(ReasonCode::AdministrativeAction));
    let mut again = Client::over(tcp(running.broker().addresses()[0]));
    assert!(!again.resume(&Connect { clean_start: false, ..hello("guest") }));
}

#[test]
fn a_group_shows_its_queue_and_names_members_of_all_workers() {
    let running = start("");
    let mut members: Vec<_> = (0..4).map(|number| running.client(&format!("member-{number}"))).collect();
    members.iter_mut().for_each(|member| member.subscribe("$share/jobs/job/+"));
    let mut publisher = running.client("publisher");
    publisher.publish("job/1", b"1");
    let list = running.http.get("/api/v1/groups");
    let group = &list["groups"][0];
    assert_eq!(
        (&group["name"], &group["share"], &group["filter"]),
        (&json!("$share/jobs/job/+"), &json!("jobs"), &json!("job/+"))
    );
    assert_eq!(group["lent_messages"], 1);
    let mut named: Vec<_> =
        group["members"].as_array().expect("a list").iter().map(|one| one["client"].clone()).collect();
    named.sort_by_key(Value::to_string);
    assert_eq!(named, ["member-0", "member-1", "member-2", "member-3"]);
    assert_eq!(list["next"], Value::Null);
    // Whoever has it may get it again: it is one message, and it waits when nobody is there.
    members.into_iter().for_each(drop);
    publisher.send(&publish("job/2", b"2", QoS::AtMostOnce, 0));
    publisher.ping();
}

#[test]
fn a_refused_connection_is_told_with_its_client_and_hides_no_ending() {
    let running = start("");
    let address = running.broker().addresses()[0];
    // The broker's own topics are nobody's.
    let will = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "$SYS/gone",
        payload: b"",
        delay_interval_s: None,
        properties: Default::default(),
    };
    let refuse = |client_identifier: &str| {
        let mut client = Client::over(tcp(address));
        let reason = client.connect(&Connect { will: Some(will), ..hello(client_identifier) });
        assert_eq!(reason, ReasonCode::NotAuthorized);
        // It is remembered before it is told.
        running.http.ask("GET", &format!("/api/v1/clients/{client_identifier}"), None)
    };
    let stranger = refuse("stranger");
    let problem = stranger.problem();
    assert_eq!(stranger.status, 404);
    assert!(
        problem
            .starts_with("the client \"stranger\" has no Session; it was refused: the Will's topic is the"),
        "{problem}"
    );

    let mut client = Client::over(tcp(address));
    assert_eq!(client.connect(&persistent("meter")), ReasonCode::Success);
    drop(client);
    while running.http.get("/api/v1/clients/meter")["is_connected"] == true {
        std::thread::yield_now();
    }
    let shown = refuse("meter").json();
    let error = shown["last_error"].as_str().expect("there is one").to_owned();
    let (refused, ended) = error.split_once("; before, ").unwrap_or_else(|| panic!("{error}"));
    assert!(refused.starts_with("refused: ") && refused.contains("from 127.0.0.1:"), "{error}");
    assert!(ended.starts_with("the connection was lost at 20"), "{error}");
}
