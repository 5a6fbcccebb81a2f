//! The HTTP API of Durable Functions, row by row: starts and statuses. What is
//! done to instances is in `reference_manage.rs`. `api.rs` has the first
//! cases; these are the others.

use serde_json::{Value, json};

use crate::support::*;

pub(crate) const BASE: &str = "/runtime/webhooks/durabletask";

pub(crate) fn server() -> (Site, Server) {
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    let server = site.serve();
    (site, server)
}

/// The keys of an object, in order.
pub(crate) fn keys(of: &Value) -> Vec<&str> {
    let mut keys: Vec<_> =
        of.as_object().into_iter().flat_map(|object| object.keys().map(|key| &**key)).collect();
    keys.sort_unstable();
    keys
}

/// Sends this without a content type of its own.
pub(crate) fn send(client: &Client, method: &str, path: &str, body: Option<&str>) -> Answer {
    client
        .try_send(method, path, &[], body.map(str::as_bytes))
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// That this is a refusal in the form of the reference, with this status;
/// gives its words.
pub(crate) fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        keys(&answer.body),
        ["ExceptionMessage", "ExceptionType", "Message", "StackTrace"],
        "{answer:?}"
    );
    assert_eq!(answer.body["Message"], answer.body["ExceptionMessage"]);
    assert_eq!(answer.body["StackTrace"], Value::Null);
    assert!(answer.body["ExceptionType"].is_string());
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    answer.body["Message"].as_str().unwrap_or_default().to_owned()
}

/// That this is a check-status payload, with its headers, of an instance at
/// this origin; gives the instance's id.
pub(crate) fn check_status(answer: &Answer, origin: &str) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.body["id"].as_str().unwrap_or_default().to_owned();
    let at = format!("{origin}{BASE}/instances/{id}");
    let expected = json!({
        "id": id,
        "statusQueryGetUri": at,
        "sendEventPostUri": format!("{at}/raiseEvent/{{eventName}}"),
        "terminatePostUri": format!("{at}/terminate?reason={{text}}"),
        "purgeHistoryDeleteUri": at,
        "restartPostUri": format!("{at}/restart"),
        "suspendPostUri": format!("{at}/suspend?reason={{text}}"),
        "resumePostUri": format!("{at}/resume?reason={{text}}"),
        "rewindPostUri": format!("{at}/rewind?reason={{text}}"),
    });
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("location"), Some(&*at));
    assert_eq!(answer.header("retry-after"), Some("10"));
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    id
}

#[test]
fn a_start_answers_with_the_check_status_payload() {
    let (_site, server) = server();
    let client = server.client();
    let input = json!([1]);
    for path in [
        "/api/orchestrators/FanOut".to_owned(),
        "/API/Orchestrators/FanOut/".to_owned(),
        format!("{BASE}/orchestrators/FanOut"),
        "/Runtime/WEBHOOKS/DurableTask/ORCHESTRATORS/FanOut".to_owned(),
        format!("{BASE}/orchestrators/FanOut?taskHub=Shop&connection=Storage&code=x&version=1.0"),
    ] {
        let id = check_status(&client.post(&path, &input), &server.url);
        assert!(id.len() == 32 && id.bytes().all(|b| b"0123456789abcdef".contains(&b)), "{id}");
        assert_eq!(client.ended(&id)["output"], 1, "{path}");
    }
    for (prefix, id) in [("/api", "mine"), (BASE, "Mine.with-dots_and~tilde")] {
        let answer = client.post(&format!("{prefix}/orchestrators/FanOut/{id}"), &input);
        assert_eq!(check_status(&answer, &server.url), id);
        assert_eq!(client.ended(id)["instanceId"], id);
    }
    let name = client.post(&format!("{BASE}/orchestrators/fanout"), &input);
    assert!(refused(&name, 400).contains("FanOut"), "the case of a name counts");

    // Names are in the URLs as they have to be there.
    let id = "ä b%";
    let answer = client.post(&format!("{BASE}/orchestrators/FanOut/%C3%A4%20b%25"), &input);
    assert_eq!((answer.status, &answer.body["id"]), (202, &json!(id)));
    let status = answer.body["statusQueryGetUri"].as_str().unwrap();
    assert!(status.ends_with("/instances/%C3%A4%20b%25"), "{status}");
    assert_eq!(client.get(status).body["instanceId"], id);
}

#[test]
fn a_start_without_a_body_has_the_input_null() {
    let (_site, server) = server();
    let client = server.client();
    for (headers, body) in [
        (vec![], None),
        (vec![], Some("")),
        (vec![("content-type", "application/json")], Some(" \n")),
        (vec![("content-type", "application/octet-stream")], Some("")),
        (vec![("content-type", "text/plain")], Some("null")),
    ] {
        let path = format!("{BASE}/orchestrators/TestOrchEcho?timeout=60&pollingInterval=1");
        let answer =
            client.try_send("POST", &path, &headers, body.map(str::as_bytes)).expect("an answer");
        assert_eq!((answer.status, &answer.body), (200, &Value::Null), "{headers:?} {body:?}");
    }
}

#[test]
fn a_start_that_is_refused_has_the_body_that_clients_read() {
    let (_site, server) = server();
    let client = server.client();
    let at = |rest: &str| format!("{BASE}/orchestrators/{rest}");
    let broken = send(&client, "POST", &at("FanOut"), Some("{\"a\":"));
    assert!(refused(&broken, 400).contains("not JSON"));
    assert!(refused(&client.post(&at("None"), &json!(1)), 400).contains("'None'"));
    assert!(refused(&client.post(&at("FanOut"), &json!({})), 400).contains("'FanOut'"));
    let long = "x".repeat(257);
    for id in ["@a", "a%2Fb", "a%5Cb", "a%23b", "a%3Fb", "a%0Ab", "a%7Fb", "a%C2%85b", &long] {
        let answer = client.post(&at(&format!("FanOut/{id}")), &json!([1]));
        assert!(refused(&answer, 400).contains("instance id"), "{id}");
    }
    let longest = "x".repeat(256);
    for id in [&*longest, "a@b", "%F0%9F%A6%80"] {
        assert_eq!(client.post(&at(&format!("FanOut/{id}")), &json!([1])).status, 202, "{id}");
    }
    for query in [
        "timeout=soon&pollingInterval=1",
        "timeout=1&pollingInterval=-1",
        "timeout=NaN&pollingInterval=1",
        "deadline=0",
    ] {
        let words = refused(&client.post(&at(&format!("FanOut?{query}")), &json!([1])), 400);
        assert!(words.contains("seconds"), "{query}: {words}");
    }
    client.start_as("TestWaitEvents", "taken", &json!({ "names": ["Go"] }));
    let taken = client.post(&at("FanOut/taken"), &json!([1]));
    assert!(refused(&taken, 409).contains("taken"));
    assert_eq!(client.status("taken")["name"], "TestWaitEvents");
}

#[test]
fn fifty_starts_at_once_with_one_id_make_one_instance() {
    let (_site, server) = server();
    let path = format!("{BASE}/orchestrators/TestWaitEvents/only");
    let gate = std::sync::Barrier::new(50);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50)
            .map(|n| {
                let (client, path, gate) = (server.client(), &path, &gate);
                scope.spawn(move || {
                    gate.wait();
                    client.post(path, &json!({ "names": ["Go"], "from": n }))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let started: Vec<_> =
        (0..50).filter(|n| answers.get(*n).is_some_and(|answer| answer.status == 202)).collect();
    assert_eq!(started.len(), 1, "{started:?}");
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        refused(answer, 409);
    }
    let client = server.client();
    assert_eq!(client.status("only")["input"]["from"], started[0]);
    let list = client.get(&format!("{BASE}/instances"));
    assert_eq!(list.body.as_array().map(Vec::len), Some(1), "{list:?}");
}

#[test]
fn a_start_that_waits_answers_with_the_bare_output_or_the_status() {
    let (_site, server) = server();
    let client = server.client();
    let start = |name: &str, query: &str, input: &Value| {
        client.post(&format!("{BASE}/orchestrators/{name}?{query}"), input)
    };
    for output in [json!(null), json!("text"), json!({ "a": [1] }), json!(false)] {
        let done = start("TestOrchEcho", "timeout=60&pollingInterval=0.5", &output);
        assert_eq!((done.status, &done.body), (200, &output));
        assert_eq!(done.header("location"), None);
    }
    // Only with both it waits.
    for query in ["timeout=60", "pollingInterval=1", "timeout=&pollingInterval=1"] {
        check_status(&start("FanOut", query, &json!([1])), &server.url);
    }
    let late = start("TestWaitEvents", "timeout=0&pollingInterval=1", &json!({ "names": ["Go"] }));
    check_status(&late, &server.url);

    let both = "timeout=60&pollingInterval=1";
    let failed = start("TestOrchTrap", both, &Value::Null);
    assert_eq!((failed.status, &failed.body["runtimeStatus"]), (200, &json!("Failed")));
    let loud = format!("{both}&returnInternalServerErrorOnFailure=True");
    let failed = start("TestOrchTrap", &loud, &Value::Null);
    assert_eq!((failed.status, &failed.body["runtimeStatus"]), (500, &json!("Failed")));

    let ended = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let path = format!("{BASE}/orchestrators/TestWaitEvents/w?{both}");
            server.client().post(&path, &json!({ "names": ["Go"] }))
        });
        let path = format!("{BASE}/instances/w/terminate?reason=enough");
        eventually("it can be terminated", || {
            (client.post(&path, &Value::Null).status == 202).then_some(())
        });
        waiting.join().unwrap()
    });
    assert_eq!(
        (ended.status, &ended.body["runtimeStatus"], &ended.body["output"]),
        (200, &json!("Terminated"), &json!("enough"))
    );
}

#[test]
fn a_start_belongs_to_the_trace_of_its_request() {
    let (_site, server) = server();
    let client = server.client();
    let body = json!({ "activity": "TestContext" }).to_string();
    let path = format!("{BASE}/orchestrators/TestCallOne?timeout=60&pollingInterval=1");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let told = |parent: &str| {
        let headers = [("traceparent", parent), ("tracestate", "shop=1")];
        let answer = client.try_send("POST", &path, &headers, Some(body.as_bytes())).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["traceParent"].as_str().unwrap_or_default().to_owned()
    };
    let parent = told(&format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(parent.split('-').nth(1), Some(trace), "{parent}");
    let parent = told(&format!("00-{trace}-0000000000000000-01"));
    assert!(!parent.contains(trace), "what is no trace context is ignored: {parent}");
}

#[test]
fn the_code_of_a_status_says_whether_it_has_ended() {
    let (_site, server) = server();
    let client = server.client();
    let waiting = json!({ "names": ["Go"] });
    for id in ["running", "suspended", "terminated", "canceled", "completed"] {
        client.start_as("TestWaitEvents", id, &waiting);
    }
    client.start_as("TestOrchTrap", "failed", &Value::Null);
    let post = |rest: &str| client.post(&format!("{BASE}/instances/{rest}"), &Value::Null).status;
    assert_eq!(post("suspended/suspend"), 202);
    assert_eq!(post("terminated/terminate"), 202);
    assert_eq!(client.cancel("canceled").status, 202);
    assert_eq!(client.raise("completed", "Go", &json!(1)).status, 202);
    for id in ["terminated", "canceled", "completed", "failed"] {
        client.ended(id);
    }
    for (id, code, name, loud) in [
        ("running", 202, "Running", 202),
        ("suspended", 202, "Suspended", 202),
        ("terminated", 200, "Terminated", 200),
        ("canceled", 200, "Canceled", 200),
        ("completed", 200, "Completed", 200),
        ("failed", 200, "Failed", 500),
    ] {
        let query = "showInput=true&code=secret&taskHub=x";
        let answer = client.get(&format!("{BASE}/instances/{id}?{query}"));
        assert_eq!((answer.status, &answer.body["runtimeStatus"]), (code, &json!(name)));
        let (location, after) = (answer.header("location"), answer.header("retry-after"));
        if code == 202 {
            let this = format!("{}{BASE}/instances/{id}?showInput=true&taskHub=x", server.url);
            assert_eq!((location, after), (Some(&*this), Some("5")));
        } else {
            assert_eq!((location, after), (None, None), "{id}");
        }
        for flag in ["True", "TRUE", "true", "1"] {
            let query = format!("returnInternalServerErrorOnFailure={flag}");
            let answer = client.get(&format!("{BASE}/instances/{id}?{query}"));
            assert_eq!((answer.status, &answer.body["instanceId"]), (loud, &json!(id)), "{flag}");
        }
        let quiet = "RETURNINTERNALSERVERERRORONFAILURE=False";
        assert_eq!(client.get(&format!("{BASE}/instances/{id}?{quiet}")).status, code);
    }
    for id in ["none", "Running", "@entity@key", &"x".repeat(300), "%20"] {
        refused(&client.get(&format!("{BASE}/instances/{id}")), 404);
    }
    for flag in
        ["showInput", "showHistory", "showHistoryOutput", "returnInternalServerErrorOnFailure"]
    {
        let answer = client.get(&format!("{BASE}/instances/running?{flag}=yes"));
        assert!(refused(&answer, 400).contains(flag));
    }
}

/// Whether this is `yyyy-MM-ddTHH:mm:ss`, so many fractional digits, and `Z`.
fn is_time(value: &Value, digits: usize) -> bool {
    let shape: String = value
        .as_str()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let fraction = if digits == 0 { String::new() } else { format!(".{}", "0".repeat(digits)) };
    shape == format!("0000-00-00T00:00:00{fraction}Z")
}

#[test]
fn a_history_has_the_events_of_the_reference() {
    let (_site, server) = server();
    let client = server.client();
    let history = |id: &str, query: &str| {
        let answer = client.get(&format!("{BASE}/instances/{id}?showHistory=true{query}"));
        assert_eq!(answer.body["history"], answer.body["historyEvents"], "under both names");
        assert!(is_time(&answer.body["createdTime"], 0), "{answer:?}");
        assert!(is_time(&answer.body["lastUpdatedTime"], 0), "{answer:?}");
        answer.body["historyEvents"].as_array().expect("a history").clone()
    };
    let types = |events: &[Value]| -> Vec<String> {
        events
            .iter()
            .map(|event| event["EventType"].as_str().unwrap_or_default().to_owned())
            .collect()
    };

    client.start_as("FanOut", "done", &json!([5]));
    client.ended("done");
    let plain = client.get(&format!("{BASE}/instances/done"));
    assert!(plain.body.get("historyEvents").is_none() && plain.body.get("history").is_none());
    let events = history("done", "&showHistoryOutput=true");
    assert_eq!(types(&events), ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"]);
    assert_eq!(keys(&events[0]), ["EventType", "FunctionName", "Input", "Timestamp"]);
    assert_eq!((&events[0]["FunctionName"], &events[0]["Input"]), (&json!("FanOut"), &json!([5])));
    for key in ["EventType", "FunctionName", "Result", "ScheduledTime", "Timestamp"] {
        assert!(keys(&events[1]).contains(&key), "{key}: {events:?}");
    }
    assert_eq!((&events[1]["FunctionName"], &events[1]["Result"]), (&json!("Square"), &json!(25)));
    assert_eq!(keys(&events[2]), ["EventType", "OrchestrationStatus", "Result", "Timestamp"]);
    assert_eq!(
        (&events[2]["OrchestrationStatus"], &events[2]["Result"]),
        (&json!("Completed"), &json!(25))
    );
    for event in &events {
        assert!(is_time(&event["Timestamp"], 7), "{event}");
        assert!(event.get("EventId").is_none() && event.get("TaskScheduledId").is_none());
    }
    assert!(is_time(&events[1]["ScheduledTime"], 7), "{events:?}");
    let silent = history("done", "&showInput=False");
    assert!(silent.iter().all(|event| event.get("Input").is_none()), "{silent:?}");
    assert!(silent.iter().all(|event| event.get("Result").is_none()), "{silent:?}");

    let call = json!({ "activity": "TestFail", "retry": { "maxAttempts": 1 },
                       "input": { "code": "no-luck", "message": "not today" } });
    client.start_as("TestCatch", "caught", &call);
    client.ended("caught");
    let events = history("caught", "&showHistoryOutput=true");
    assert_eq!(types(&events), ["ExecutionStarted", "TaskFailed", "ExecutionCompleted"]);
    let failed = &events[1];
    assert_eq!(failed["FunctionName"], "TestFail");
    assert!(failed["Reason"].as_str().is_some_and(|words| words.contains("not today")), "{failed}");
    assert!(is_time(&failed["ScheduledTime"], 7), "{failed}");

    client.start_as("TestTimers", "timers", &json!({ "ms": [1] }));
    client.ended("timers");
    let events = history("timers", "");
    assert_eq!(
        types(&events),
        ["ExecutionStarted", "TimerCreated", "TimerFired", "ExecutionCompleted"]
    );
    assert!(events[1..3].iter().all(|event| is_time(&event["FireAt"], 7)), "{events:?}");

    client.start_as("TestWaitEvents", "events", &json!({ "names": ["Go", "On"] }));
    client.raise("events", "Go", &json!({ "n": 1 }));
    let events = eventually("the event is in the history", || {
        let events = history("events", "");
        (events.len() > 1).then_some(events)
    });
    assert_eq!(types(&events), ["ExecutionStarted", "EventRaised"]);
    assert_eq!((&events[1]["Name"], &events[1]["Input"]), (&json!("Go"), &json!({ "n": 1 })));

    client.start_as("TestCallOne", "open", &json!({ "activity": "TestHang" }));
    let events = history("open", "");
    assert_eq!(types(&events), ["ExecutionStarted", "TaskScheduled"]);
    assert_eq!(events[1]["Name"], "TestHang");

    client.start_as("ParentSaga", "parent", &json!({ "children": [{ "steps": [] }] }));
    client.ended("parent");
    let events = history("parent", "&showHistoryOutput=True");
    assert_eq!(
        types(&events),
        ["ExecutionStarted", "SubOrchestrationInstanceCompleted", "ExecutionCompleted"]
    );
    assert_eq!(
        (&events[1]["FunctionName"], &events[1]["Result"]),
        (&json!("StepsSaga"), &json!("ok"))
    );
    client.post(&format!("{BASE}/instances/open/terminate?reason=enough"), &Value::Null);
    let events = eventually("it is terminated", || {
        let events = history("open", "");
        types(&events).contains(&"ExecutionCompleted".to_owned()).then_some(events)
    });
    assert_eq!(events.last().map(|last| &last["OrchestrationStatus"]), Some(&json!("Terminated")));
}

#[test]
fn urls_are_made_from_what_a_proxy_says_only_where_it_is_trusted() {
    let forwarded = [
        ("host", "inner.example:1"),
        ("x-forwarded-host", "shop.example, inner.example:1"),
        ("x-forwarded-proto", "https, http"),
    ];
    for (manifest, expected) in
        [("", "http://inner.example:1"), ("[host]\ntrust-forwarded = true", "https://shop.example")]
    {
        let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
        site.manifest(manifest);
        let server = site.serve();
        let client = server.client();
        let path = format!("{BASE}/orchestrators/TestWaitEvents/w");
        let body = json!({ "names": ["Go"] }).to_string();
        let start = client.try_send("POST", &path, &forwarded, Some(body.as_bytes())).unwrap();
        assert_eq!(check_status(&start, expected), "w");
        let path = format!("{BASE}/instances/w");
        let status = client.try_send("GET", &path, &forwarded, None).unwrap();
        let this = format!("{expected}{path}");
        assert_eq!((status.status, status.header("location")), (202, Some(&*this)));
        // What is no host's name is not copied into a URL.
        let odd = [("host", "inner.example:1"), ("x-forwarded-host", "evil/\"path")];
        let status = client.try_send("GET", &path, &odd, None).unwrap();
        let this = format!("http://inner.example:1{path}");
        assert_eq!(status.header("location"), Some(&*this));
    }
}
