//! The HTTP API of Durable Functions, row by row: lists, events, and what is
//! done to instances.

use serde_json::{Value, json};

use crate::reference::{BASE, check_status, keys, refused, send, server};
use crate::support::*;

const TOKEN: &str = "x-ms-continuation-token";

fn at(rest: &str) -> String {
    format!("{BASE}/instances{rest}")
}

/// A page of a list: the ids, and the token, which is always there.
fn page(client: &Client, query: &str, token: Option<&str>) -> (Vec<String>, String) {
    let headers: Vec<_> = token.map(|token| (TOKEN, token)).into_iter().collect();
    let answer = client.try_send("GET", &at(query), &headers, None).expect("an answer");
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    let token = answer.header(TOKEN).expect("the token is always there").to_owned();
    let rows = answer.body.as_array().expect("an array");
    let ids = rows.iter().map(|row| row["instanceId"].as_str().unwrap_or_default().to_owned());
    (ids.collect(), token)
}

/// Starts one that waits for `Go`.
fn waits(client: &Client, id: &str) {
    client.start_as("TestWaitEvents", id, &json!({ "names": ["Go"] }));
}

fn post(client: &Client, rest: &str) -> Answer {
    send(client, "POST", &at(rest), None)
}

#[test]
fn a_list_is_filtered_by_any_of_its_parameters() {
    let (_site, server) = server();
    let client = server.client();
    assert_eq!(page(&client, "", None), (vec![], String::new()), "empty, with an empty token");
    for id in ["a-1", "a-2", "b_1", "b%1"] {
        waits(&client, &id.replace('%', "%25"));
    }
    post(&client, "/a-2/suspend");
    post(&client, "/b_1/terminate");
    client.ended("b_1");
    client.start_as("TestOrchTrap", "c", &Value::Null);
    client.ended("c");
    let ids = |query: &str| {
        let (mut ids, _) = page(&client, query, None);
        ids.sort();
        ids.join(" ")
    };
    assert_eq!(ids("/?taskHub=x&connection=y&code=z"), "a-1 a-2 b%1 b_1 c");
    for (query, expected) in [
        ("instanceIdPrefix=a-", "a-1 a-2"),
        ("INSTANCEIDPREFIX=b%25", "b%1"),
        ("instanceIdPrefix=b_", "b_1"),
        ("instanceIdPrefix=A", ""),
        ("instanceIdPrefix=", "a-1 a-2 b%1 b_1 c"),
        ("runtimeStatus=Running", "a-1 b%1"),
        ("runtimeStatus=suspended,TERMINATED", "a-2 b_1"),
        ("runtimeStatus=Suspended&runtimeStatus=Failed", "a-2 c"),
        ("runtimeStatus=Suspended,Failed&runtimeStatus=Terminated", "a-2 b_1 c"),
        ("runtimeStatus=Pending,ContinuedAsNew,Canceled", ""),
        ("runtimeStatus=Running&instanceIdPrefix=b", "b%1"),
        ("runtimeStatus=", "a-1 a-2 b%1 b_1 c"),
        ("name=TestOrchTrap", "c"),
    ] {
        assert_eq!(ids(&format!("?{query}")), expected, "{query}");
    }
    // Times in every form that clients send.
    for time in [
        "2001-02-03T04:05:06Z",
        "2001-02-03T04:05:06.7890000Z",
        "2001-02-03T04:05:06.789%2B01:00",
        "2001-02-03T04:05:06.789+01:00",
        "2001-02-03T04:05:06",
        "2001-02-03",
        "1-01-01T00:00:00.000000Z",
    ] {
        assert_eq!(ids(&format!("?createdTimeFrom={time}")), "a-1 a-2 b%1 b_1 c", "{time}");
        assert_eq!(ids(&format!("?createdTimeTo={time}")), "", "{time}");
    }
    let answer = client.get(&at("?showInput=False"));
    for row in answer.body.as_array().expect("an array") {
        assert_eq!(row.get("input"), Some(&Value::Null), "{row}");
    }
    let answer = client.get(&at("?showInput=True&showHistory=true"));
    for row in answer.body.as_array().expect("an array") {
        for key in [
            "name",
            "instanceId",
            "runtimeStatus",
            "input",
            "customStatus",
            "output",
            "createdTime",
            "lastUpdatedTime",
        ] {
            assert!(row.get(key).is_some(), "{key}: {row}");
        }
        assert!(!keys(row).contains(&"historyEvents"), "{row}");
    }
    for query in [
        "createdTimeFrom=03/02/2001",
        "createdTimeTo=2001-02-30",
        "createdTimeFrom=981173106",
        "createdTimeFrom=2001-02-03T04:05:06[Europe/Oslo]",
        "top=0",
        "top=1.5",
        "top=-3",
        "showInput=2",
        "runtimeStatus=Running,Done",
    ] {
        let words = refused(&client.get(&at(&format!("?{query}"))), 400);
        let (name, _) = query.split_once('=').unwrap_or_default();
        assert!(words.contains(name), "{query}: {words}");
    }
}

#[test]
fn a_token_is_good_for_the_list_it_came_from_and_for_no_other() {
    let (_site, server) = server();
    let client = server.client();
    for n in 0..5 {
        waits(&client, &format!("t-{n}"));
    }
    let (first, token) = page(&client, "?instanceIdPrefix=t-&top=2", None);
    assert_eq!((first.len(), token.is_empty()), (2, false));
    let (second, next) = page(&client, "?top=2&instanceIdPrefix=t-", Some(&token));
    let (third, end) = page(&client, "?instanceIdPrefix=t-&top=100", Some(&next));
    assert_eq!((second.len(), third.len(), &*end), (2, 1, ""));
    let mut all = [first.clone(), second.clone(), third].concat();
    all.sort();
    assert_eq!(all, ["t-0", "t-1", "t-2", "t-3", "t-4"]);
    // It stays good when what it points at is gone.
    for id in first.iter().chain(&second) {
        post(&client, &format!("/{id}/terminate"));
        client.ended(id);
        assert_eq!(client.delete(&at(&format!("/{id}"))).status, 200);
    }
    assert_eq!(page(&client, "?instanceIdPrefix=t-", Some(&next)).0.len(), 1);
    assert_eq!(page(&client, "?instanceIdPrefix=t-", Some("")).0.len(), 1, "empty: from the first");

    let refuse = |query: &str, token: &str| {
        let answer = client.try_send("GET", &at(query), &[(TOKEN, token)], None).expect("answered");
        assert!(refused(&answer, 400).contains(TOKEN), "{query} {token}");
    };
    for query in ["", "?instanceIdPrefix=u-", "?instanceIdPrefix=t-&runtimeStatus=Running"] {
        refuse(query, &token);
    }
    // One of another store, as the reference writes them, and damaged ones.
    let foreign = "eyJOZXh0UGFydGl0aW9uS2V5IjoiMSJ9";
    let swapped: String = token.chars().rev().collect();
    for bad in ["null", "bnVsbA==", foreign, "{}", "AAAA", "%%%", &swapped, &token[1..]] {
        refuse("?instanceIdPrefix=t-", bad);
    }
}

#[test]
fn purging_asks_for_a_time_and_takes_only_what_has_ended() {
    let (_site, server) = server();
    let client = server.client();
    for id in ["running", "terminated", "other"] {
        waits(&client, id);
    }
    post(&client, "/terminated/terminate");
    client.ended("terminated");
    client.start_as("TestOrchTrap", "failed", &Value::Null);
    client.ended("failed");
    let purge = |query: &str| client.delete(&at(query));
    for query in ["", "?", "/?createdTimeTo=2999-01-01", "?createdTimeFrom=&runtimeStatus=Failed"] {
        let words = refused(&purge(query), 400);
        assert_eq!(words, "Please provide value for 'createdTimeFrom' parameter.", "{query}");
    }
    for query in [
        "createdTimeFrom=yesterday",
        "createdTimeFrom=2001-01-01&createdTimeTo=x",
        "createdTimeFrom=2001-01-01&runtimeStatus=Gone",
    ] {
        refused(&purge(&format!("?{query}")), 400);
    }
    for query in [
        "createdTimeFrom=2001-01-01&createdTimeTo=2002-01-01",
        "createdTimeFrom=2999-01-01",
        "createdTimeFrom=2001-01-01&runtimeStatus=Running",
        "createdTimeFrom=2001-01-01&runtimeStatus=Canceled,Completed",
    ] {
        refused(&purge(&format!("?{query}")), 404);
    }
    let one = json!({ "instancesDeleted": 1 });
    let gone = purge("?createdTimeFrom=2001-01-01&runtimeStatus=Failed,Running&taskHub=x");
    assert_eq!((gone.status, &gone.body), (200, &one));
    let gone = purge("/?createdTimeFrom=2001-01-01T00:00:00.000Z&createdTimeTo=2999-01-01");
    assert_eq!((gone.status, &gone.body), (200, &one));
    let (mut left, _) = page(&client, "", None);
    left.sort();
    assert_eq!(left, ["other", "running"]);

    assert!(refused(&purge("/running"), 412).contains("running"));
    refused(&purge("/none"), 404);
    post(&client, "/other/terminate");
    client.ended("other");
    let gone = purge("/other?taskHub=x");
    assert_eq!((gone.status, &gone.body), (200, &one));
    refused(&purge("/other"), 404);
}

#[test]
fn an_event_may_have_any_name_and_any_value() {
    let (_site, server) = server();
    let client = server.client();
    let names = ["a/b", "ä 🦀", "100%", "a+b", "q?#", "raiseEvent", "Go", "  "];
    let paths = [
        "a%2Fb",
        "%C3%A4%20%F0%9F%A6%80",
        "100%25",
        "a+b",
        "q%3F%23",
        "raiseEvent",
        "Go",
        "%20%20",
    ];
    client.start_as("TestWaitEvents", "e", &json!({ "names": names }));
    for (n, path) in paths.iter().enumerate() {
        let answer = client.raise("e", path, &json!({ "n": n }));
        assert_eq!((answer.status, &answer.body), (202, &Value::Null), "{path}");
    }
    let values: Vec<_> = (0..names.len()).map(|n| json!({ "n": n })).collect();
    assert_eq!(client.ended("e")["output"], json!(values));

    let raise = |id: &str, kind: &str, body: &[u8]| {
        let headers: Vec<_> = if kind.is_empty() { vec![] } else { vec![("content-type", kind)] };
        client
            .try_send("POST", &at(&format!("/{id}/raiseEvent/Go")), &headers, Some(body))
            .expect("an answer")
    };
    client.start_as("TestWaitEvents", "f", &json!({ "names": vec!["Go"; 4] }));
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let words = refused(&raise("f", kind, b"1"), 400);
        assert_eq!(words, "Only application/json request content is supported.", "{kind}");
    }
    for body in [&b"{"[..], b"nope", b"1 2", b"\xff\xfe"] {
        assert!(refused(&raise("f", "application/json", body), 400).contains("JSON"));
    }
    for (kind, body) in [
        ("application/json", &b"null"[..]),
        ("Application/JSON; charset=utf-8", b"\"text\""),
        ("application/json", b""),
        ("application/json", b"\xef\xbb\xbf[1, 2.50]"),
    ] {
        assert_eq!(raise("f", kind, body).status, 202, "{kind}");
    }
    assert_eq!(client.ended("f")["output"], json!([null, "text", null, [1, 2.5]]));
    // That the instance is not there, or has ended, goes before the rest.
    for (kind, body) in [("application/json", &b"1"[..]), ("text/plain", b"1"), ("", b"{")] {
        assert!(refused(&raise("f", kind, body), 410).contains('f'));
        assert!(refused(&raise("none", kind, body), 404).contains("none"));
    }
}

#[test]
fn commands_tell_what_is_unknown_from_what_has_ended() {
    let (_site, server) = server();
    let client = server.client();
    for verb in ["terminate", "suspend", "resume"] {
        let id = format!("i-{verb}");
        waits(&client, &id);
        let command =
            |id: &str| post(&client, &format!("/{id}/{verb}?reason=%C3%A4+%26%20%22b%22"));
        refused(&command("none"), 404);
        let done = command(&id);
        assert_eq!((done.status, &done.body), (202, &Value::Null), "{verb}");
        if verb != "terminate" {
            // The words are in the history, and a body does no harm.
            let path = at(&format!("/{id}/{}", verb.to_uppercase()));
            let again = client.post(&path, &json!({ "reason": "from the body" }));
            assert_eq!(again.status, 202, "{verb}");
            assert_eq!(post(&client, &format!("/{id}/terminate")).status, 202);
        }
        let ended = client.ended(&id);
        assert_eq!(ended["runtimeStatus"], "Terminated");
        if verb == "terminate" {
            assert_eq!(ended["output"], "ä & \"b\"");
        }
        assert!(refused(&command(&id), 410).contains(&id));
    }
    waits(&client, "wordless");
    assert_eq!(post(&client, "/wordless/terminate").status, 202);
    assert_eq!(client.ended("wordless")["runtimeStatus"], "Terminated");
}

#[test]
fn only_what_failed_is_rewound() {
    let (_site, server) = server();
    let client = server.client();
    let rewind = |id: &str| post(&client, &format!("/{id}/rewind?reason=%C3%A4+%26%20%22b%22"));
    assert!(refused(&rewind("none"), 404).contains("none"));
    waits(&client, "i");
    assert!(refused(&rewind("i"), 412).contains("Running"));
    post(&client, "/i/suspend");
    assert!(refused(&rewind("i"), 412).contains("Suspended"));
    post(&client, "/i/terminate");
    client.ended("i");
    assert!(refused(&rewind("i"), 412).contains("Terminated"));
    assert_eq!(client.run("FanOut", &json!([2]))["runtimeStatus"], "Completed");
    client.start_as("FanOut", "done", &json!([2]));
    client.ended("done");
    assert!(refused(&rewind("done"), 412).contains("Completed"));
    // A body does no harm, and the reason is in the history. The case of the
    // word is free.
    client.start_as("TestOrchTrap", "failed", &Value::Null);
    client.ended("failed");
    let path = at("/failed/REWIND?reason=once");
    let answer = client.post(&path, &json!({ "reason": "from the body" }));
    assert_eq!((answer.status, &answer.body), (202, &Value::Null));
    assert_eq!(client.ended("failed")["runtimeStatus"], "Failed", "it traps again");
    let history = client.history("failed");
    let rewound: Vec<_> =
        history.iter().filter(|event| event["EventType"] == "ExecutionRewound").collect();
    assert_eq!(rewound.len(), 1, "{history:?}");
    assert_eq!(rewound[0]["Reason"], "once");
}

#[test]
fn a_restart_answers_as_a_start_does() {
    let (_site, server) = server();
    let client = server.client();
    client.start_as("FanOut", "r", &json!([2, 3]));
    client.ended("r");
    for query in ["", "?restartWithNewInstanceId=True", "?restartwithnewinstanceid=1"] {
        let id = check_status(&post(&client, &format!("/r/restart{query}")), &server.url);
        assert!(id.len() == 32, "{id}");
        assert_eq!(client.ended(&id)["output"], 13);
    }
    let again = post(&client, "/r/RESTART?restartWithNewInstanceId=False");
    assert_eq!(check_status(&again, &server.url), "r");
    client.ended("r");
    assert!(refused(&post(&client, "/none/restart"), 400).contains("none"));
    assert!(refused(&post(&client, "/r/restart?restartWithNewInstanceId=x"), 400).contains("'x'"));
    waits(&client, "runs");
    let taken = post(&client, "/runs/restart?restartWithNewInstanceId=false");
    assert!(refused(&taken, 409).contains("runs"));
}

#[test]
fn a_wrong_verb_or_path_is_404() {
    let (_site, server) = server();
    let client = server.client();
    waits(&client, "i");
    for (verbs, path) in [
        ("GET PUT DELETE PATCH", "/orchestrators/FanOut"),
        ("GET PUT DELETE PATCH", "/orchestrators/FanOut/x"),
        ("POST PUT PATCH", "/instances"),
        ("POST PUT PATCH", "/instances/i"),
        ("GET PUT DELETE", "/instances/i/raiseEvent/Go"),
        ("GET PUT DELETE", "/instances/i/terminate"),
        ("GET PUT DELETE", "/instances/i/suspend"),
        ("GET PUT DELETE", "/instances/i/resume"),
        ("GET PUT DELETE", "/instances/i/rewind"),
        ("GET PUT DELETE", "/instances/i/restart"),
        ("GET POST", ""),
        ("GET POST", "/orchestrators"),
        ("GET POST", "/instances/i/raiseEvent"),
        ("GET POST", "/instances/i/raiseEvent/a/b"),
        ("GET POST", "/instances/i/explode"),
        ("GET POST", "/nothing"),
    ] {
        for verb in verbs.split(' ') {
            let body = (verb != "GET" && verb != "DELETE").then_some("{}");
            let answer = send(&client, verb, &format!("{BASE}{path}"), body);
            assert!(refused(&answer, 404).contains(verb), "{verb} {path}");
        }
    }
    let (found, _) = page(&client, "", None);
    assert_eq!(found, ["i"], "nothing was started or deleted");
    assert_eq!(client.status("i")["runtimeStatus"], "Running");
}

#[test]
fn a_body_that_is_too_large_is_413() {
    let (_site, server) = server();
    let client = server.client();
    waits(&client, "i");
    let large = json!({ "names": ["x".repeat(2 << 20)] });
    for path in [format!("{BASE}/orchestrators/TestWaitEvents"), at("/i/raiseEvent/Go")] {
        refused(&client.post(&path, &large), 413);
    }
    assert_eq!(client.status("i")["runtimeStatus"], "Running");
}
