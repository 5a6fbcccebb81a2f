//! The HTTP API, with what it has to refuse.

use serde_json::{Value, json};

use crate::support::*;

const BASE: &str = "/runtime/webhooks/durabletask";

fn server() -> (Site, Server) {
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    let server = site.serve();
    (site, server)
}

fn message(answer: &Answer) -> String {
    for key in ["Message", "ExceptionMessage"] {
        assert!(answer.body[key].is_string(), "{key} is missing: {answer:?}");
    }
    answer.body["Message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_start_that_cannot_be_says_why_and_what_would_do() {
    let (_site, server) = server();
    let client = server.client();
    let unknown = client.post("/api/orchestrators/OrderSage", &Value::Null);
    assert_eq!(unknown.status, 400);
    assert!(
        message(&unknown).contains("OrderSage") && message(&unknown).contains("OrderSaga"),
        "{unknown:?}"
    );
    let activity = client.post("/api/orchestrators/OrderActivity", &Value::Null);
    assert_eq!(activity.status, 400, "an activity is no orchestrator: {activity:?}");

    let long = "x".repeat(257);
    for id in ["@counter", "a%2Fb", "a%5Cb", "a%23b", "a%3Fb", "a%0Ab", long.as_str()] {
        let answer = client.post(&format!("/api/orchestrators/FanOut/{id}"), &json!([1]));
        assert_eq!(answer.status, 400, "{id}: {answer:?}");
        assert!(message(&answer).contains("instance id"), "{answer:?}");
    }
    let fine = client.post("/api/orchestrators/FanOut/%C3%A4%20b", &json!([1]));
    assert_eq!((fine.status, &fine.body["id"]), (202, &json!("ä b")));

    for body in ["{", "{\"a\":}", "[1,]", "nope", "\u{0}"] {
        let answer = client
            .try_send(
                "POST",
                "/api/orchestrators/FanOut",
                &[("content-type", "application/json")],
                Some(body.as_bytes()),
            )
            .unwrap();
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(message(&answer).contains("JSON"), "{answer:?}");
    }
    let answer =
        client.try_send("POST", "/api/orchestrators/FanOut", &[], Some(&[0xff, 0xfe])).unwrap();
    assert_eq!(answer.status, 400, "{answer:?}");

    let with = |key: &str, value: Value| {
        let mut order = order("o", "book", 1, 100);
        order[key] = value;
        order
    };
    let answer = client.post("/api/orchestrators/OrderSaga", &with("id", json!(7)));
    assert_eq!(answer.status, 400);
    assert!(
        message(&answer).contains("OrderSaga") && message(&answer).contains("id"),
        "{answer:?}"
    );

    // Nothing is begun for an order that no activity could read.
    for (order, wrong) in [
        (json!({ "id": "o" }), r#""items" is a required property"#),
        (with("id", json!("../o")), "/id: "),
        (with("fault", json!({ "payment": "flakey" })), r#"/fault/payment: "flakey", where"#),
    ] {
        let answer = client.post("/api/orchestrators/OrderSaga", &order);
        assert_eq!(answer.status, 400, "{order}");
        assert!(message(&answer).contains(wrong), "{answer:?}");
    }
    let answer = client.post("/api/orchestrators/FanOut", &json!(7));
    assert_eq!(
        message(&answer),
        "The input does not fit orchestrator 'FanOut': 7, where [integer, …] or {\"count\": integer} would do."
    );

    let large = json!({ "names": ["x".repeat(40 << 20)] });
    let answer = client.try_post("/api/orchestrators/TestWaitEvents", &large).unwrap();
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(client.stats()["started"], 1, "nothing of all this was started");
}

#[test]
fn one_id_is_one_instance_however_many_start_it_at_once() {
    let (_site, server) = server();
    let input = json!({ "names": ["Go"] });
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let (client, input) = (server.client(), &input);
                scope.spawn(move || {
                    client.post("/api/orchestrators/TestWaitEvents/one", input).status
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((count(202), count(409)), (1, 15), "{answers:?}");
    let client = server.client();
    client.raise("one", "Go", &json!(1));
    client.ended("one");
    // One that has ended may be started again, and is a new one.
    client.start_as("TestWaitEvents", "one", &input);
    let status = client.status("one");
    assert_eq!((&status["runtimeStatus"], &status["output"]), (&json!("Running"), &Value::Null));
}

#[test]
fn a_status_is_what_the_reference_says() {
    let (_site, server) = server();
    let client = server.client();
    client.start_as("TestWaitEvents", "s1", &json!({ "names": ["Go"] }));
    let path = format!("{BASE}/instances/s1");
    let waiting = client.get(&path);
    assert_eq!(waiting.status, 202);
    assert_eq!(waiting.header("retry-after"), Some("5"));
    assert!(waiting.header("location").is_some_and(|location| location.contains("/instances/s1")));
    let mut keys: Vec<_> = waiting.body.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "createdTime",
            "customStatus",
            "input",
            "instanceId",
            "lastUpdatedTime",
            "name",
            "output",
            "runtimeStatus",
            // Ours.
            "sagaState"
        ]
    );
    assert!(
        waiting.body["createdTime"]
            .as_str()
            .is_some_and(|time| time.len() == 20 && time.ends_with('Z'))
    );
    let hidden =
        client.get(&format!("{BASE}/instances/s1?showInput=False&taskHub=x&connection=y&code=z"));
    assert_eq!((hidden.status, &hidden.body["input"]), (202, &Value::Null));
    client.raise("s1", "Go", &json!({ "a": 1 }));
    client.ended("s1");
    let mixed_case = client.get("/Runtime/WebHooks/durableTask/Instances/s1");
    assert_eq!((mixed_case.status, &mixed_case.body["output"]), (200, &json!([{ "a": 1 }])));

    client.start_as("TestOrchTrap", "s2", &Value::Null);
    assert_eq!(client.ended("s2")["runtimeStatus"], "Failed");
    assert_eq!(client.get(&format!("{BASE}/instances/s2")).status, 200);
    let flagged = format!("{BASE}/instances/s2?returnInternalServerErrorOnFailure=True");
    assert_eq!(client.get(&flagged).status, 500);
    assert_eq!(client.get(&format!("{BASE}/instances/none")).status, 404);
    let verb = client.try_send("PATCH", &path, &[], None).unwrap();
    assert_eq!(verb.status, 404);
}

#[test]
fn a_list_is_filtered_and_goes_on_where_its_page_ended() {
    let (_site, server) = server();
    let client = server.client();
    for n in 0..25 {
        client.start_as("TestWaitEvents", &format!("a-{n:02}"), &json!({ "names": ["Go"] }));
    }
    for n in 0..5 {
        let id = format!("b-{n}");
        client.start_as("FanOut", &id, &json!([n]));
        client.ended(&id);
    }
    let list = |query: &str, token: Option<&str>| {
        let headers: Vec<_> =
            token.map(|token| ("x-ms-continuation-token", token)).into_iter().collect();
        let answer =
            client.try_send("GET", &format!("{BASE}/instances?{query}"), &headers, None).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let token =
            answer.header("x-ms-continuation-token").expect("it is always there").to_owned();
        let ids: Vec<_> = answer
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|status| status["instanceId"].as_str().unwrap().to_owned())
            .collect();
        (ids, token)
    };
    assert_eq!(list("", None).0.len(), 30);
    assert_eq!(list("runtimeStatus=Completed", None).0.len(), 5);
    assert_eq!(list("runtimeStatus=Completed,Running", None).0.len(), 30);
    assert_eq!(list("runtimeStatus=completed&runtimeStatus=Failed", None).0.len(), 5);
    assert_eq!(list("instanceIdPrefix=a-1", None).0.len(), 10);
    assert_eq!(list("createdTimeFrom=2999-01-01T00:00:00Z", None).0.len(), 0);
    assert_eq!(
        list("createdTimeFrom=2000-01-01T00:00:00.000Z&createdTimeTo=2999-01-01", None).0.len(),
        30
    );

    let (mut all, mut token) = list("top=7", None);
    let mut pages = 1;
    while !token.is_empty() {
        let (more, next) = list("top=7", Some(&token));
        all.extend(more);
        token = next;
        pages += 1;
    }
    assert_eq!((all.len(), pages), (30, 5));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 30, "each is on one page");

    for query in [
        "runtimeStatus=Sleeping",
        "createdTimeFrom=yesterday",
        "top=-1",
        "top=x",
        "showInput=maybe",
    ] {
        let answer = client.get(&format!("{BASE}/instances?{query}"));
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
    }
    for token in ["garbage", "AAAA", "🦀"] {
        let headers = [("x-ms-continuation-token", token)];
        let sent = client.try_send("GET", &format!("{BASE}/instances"), &headers, None);
        // A header that HTTP does not allow is refused before it is read.
        if let Ok(answer) = sent {
            assert_eq!(answer.status, 400, "{token}: {answer:?}");
        }
    }
}

#[test]
fn events_are_raised_and_refused() {
    let (_site, server) = server();
    let client = server.client();
    client.start_as("TestWaitEvents", "e", &json!({ "names": ["First", "Zwäi te", "First"] }));
    assert_eq!(client.raise("e", "First", &json!(1)).status, 202);
    assert_eq!(client.raise("e", "First", &json!(3)).status, 202);
    assert_eq!(client.raise("e", "Zw%C3%A4i%20te", &json!(2)).status, 202);
    assert_eq!(client.ended("e")["output"], json!([1, 2, 3]));
    assert_eq!(client.raise("e", "First", &json!(4)).status, 410);
    assert_eq!(client.raise("none", "First", &json!(4)).status, 404);

    client.start_as("TestWaitEvents", "f", &json!({ "names": ["Go"] }));
    let path = format!("{BASE}/instances/f/raiseEvent/Go");
    let plain =
        client.try_send("POST", &path, &[("content-type", "text/plain")], Some(b"1")).unwrap();
    assert_eq!(plain.status, 400, "{plain:?}");
    let broken = client
        .try_send("POST", &path, &[("content-type", "application/json")], Some(b"{"))
        .unwrap();
    assert_eq!(broken.status, 400, "{broken:?}");
    assert_eq!(client.status("f")["runtimeStatus"], "Running");
}

#[test]
fn instances_are_terminated_and_purged() {
    let (_site, server) = server();
    let client = server.client();
    for id in ["t1", "t2", "t3"] {
        client.start_as("TestWaitEvents", id, &json!({ "names": ["Go"] }));
    }
    let terminate = |id: &str| {
        client.post(&format!("{BASE}/instances/{id}/terminate?reason=no%20more"), &Value::Null)
    };
    assert_eq!(client.delete(&format!("{BASE}/instances/t1")).status, 412);
    assert_eq!(terminate("t1").status, 202);
    let status = client.ended("t1");
    assert_eq!(
        (&status["runtimeStatus"], &status["output"]),
        (&json!("Terminated"), &json!("no more"))
    );
    assert_eq!(terminate("t1").status, 410);
    assert_eq!(terminate("none").status, 404);

    let purged = client.delete(&format!("{BASE}/instances/t1"));
    assert_eq!((purged.status, &purged.body), (200, &json!({ "instancesDeleted": 1 })));
    assert_eq!(client.delete(&format!("{BASE}/instances/t1")).status, 404);
    assert_eq!(client.get(&format!("{BASE}/instances/t1")).status, 404);

    let unsaid = client.delete(&format!("{BASE}/instances"));
    assert_eq!(unsaid.status, 400);
    assert_eq!(message(&unsaid), "Please provide value for 'createdTimeFrom' parameter.");
    let all = format!("{BASE}/instances?createdTimeFrom=2000-01-01T00:00:00Z");
    assert_eq!(client.delete(&all).status, 404, "none has ended");
    terminate("t2");
    let purged = client.delete(&format!("{all}&runtimeStatus=Terminated"));
    assert_eq!((purged.status, &purged.body), (200, &json!({ "instancesDeleted": 1 })));
    assert_eq!(client.status("t3")["runtimeStatus"], "Running");
}

#[test]
fn a_start_waits_for_the_result_if_it_is_asked_to() {
    let (_site, server) = server();
    let client = server.client();
    let start = |name: &str, input: &Value, query: &str| {
        client.post(&format!("{BASE}/orchestrators/{name}?{query}"), input)
    };
    let quick = start("FanOut", &json!([2, 3]), "timeout=60&pollingInterval=1");
    assert_eq!((quick.status, &quick.body), (200, &json!(13)));
    let failed = start("TestOrchTrap", &Value::Null, "timeout=60&pollingInterval=1");
    assert_eq!(
        (failed.status, &failed.body["runtimeStatus"]),
        (200, &json!("Failed")),
        "{failed:?}"
    );
    let slow =
        start("TestWaitEvents", &json!({ "names": ["Go"] }), "timeout=0.2&pollingInterval=0.1");
    assert_eq!(slow.status, 202, "{slow:?}");
    assert!(slow.body["statusQueryGetUri"].is_string());
    for query in ["timeout=-1&pollingInterval=1", "timeout=x&pollingInterval=1"] {
        assert_eq!(start("FanOut", &json!([1]), query).status, 400, "{query}");
    }
}

#[test]
fn one_activity_is_run_by_itself() {
    let (_site, server) = server();
    let client = server.client();
    let squared = client.post("/admin/functions/Square", &json!(7));
    assert_eq!((squared.status, &squared.body["output"]), (200, &json!(49)), "{squared:?}");
    let printed = client
        .post("/admin/functions/TestPrint", &json!({ "stdout": "to out", "stderr": "to err" }));
    assert!(printed.body["logs"].to_string().contains("to out"), "{printed:?}");
    let failed =
        client.post("/admin/functions/TestFail", &json!({ "code": "no-luck", "retryable": false }));
    assert!(failed.status >= 400 && failed.body.to_string().contains("no-luck"), "{failed:?}");
    let unknown = client.post("/admin/functions/Sqare", &json!(7));
    assert!(
        matches!(unknown.status, 400 | 404) && message(&unknown).contains("Square"),
        "{unknown:?}"
    );
    let wrong = client.post("/admin/functions/Square", &json!("seven"));
    assert_eq!(wrong.status, 400, "{wrong:?}");
}

#[test]
fn an_instance_is_followed_live() {
    use std::io::{BufRead, BufReader, Write};

    let (_site, server) = server();
    let client = server.client();
    client.start_as("TestWaitEvents", "live", &json!({ "names": ["Go"] }));
    let address = server.url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(
            b"GET /api/instances/live/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut until = |text: &str| {
        lines.by_ref().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text}"))
    };
    until("text/event-stream");
    until("EventAwaited");
    client.raise("live", "Go", &json!("now"));
    until("EventRaised");
    until("Completed");
    let rest = lines.count();
    assert!(rest < 20, "it ends when the instance ends");
}

#[test]
fn an_instance_that_is_suspended_waits_for_its_resumption() {
    let (_site, server) = server();
    let client = server.client();
    let post = |path: &str| {
        let path = format!("{BASE}/instances/{path}");
        client.try_send("POST", &path, &[], None).unwrap()
    };
    client.start_as("TestWaitEvents", "s", &json!({ "names": ["Go"] }));
    assert_eq!(post("s/suspend?reason=lunch").status, 202);
    assert_eq!(post("s/suspend").status, 202, "it is so already");
    let status = client.get(&format!("{BASE}/instances/s"));
    assert_eq!((status.status, &status.body["runtimeStatus"]), (202, &json!("Suspended")));
    assert_eq!(client.raise("s", "Go", &json!("kept")).status, 202);
    assert_eq!(client.status("s")["runtimeStatus"], "Suspended");
    assert_eq!(post("s/resume?reason=back").status, 202);
    assert_eq!(client.ended("s")["runtimeStatus"], "Completed");
    let history = client.history("s");
    let said: Vec<_> = history
        .iter()
        .map(|event| (event["EventType"].as_str().unwrap_or_default(), &event["Reason"]))
        .filter(|(name, _)| matches!(*name, "ExecutionSuspended" | "ExecutionResumed"))
        .collect();
    assert_eq!(
        said,
        [("ExecutionSuspended", &json!("lunch")), ("ExecutionResumed", &json!("back"))]
    );
    for (path, code) in
        [("s/suspend", 410), ("s/resume", 410), ("none/suspend", 404), ("none/resume", 404)]
    {
        assert_eq!(post(path).status, code, "{path}");
    }
}

#[test]
fn an_instance_is_restarted_with_its_input() {
    let (_site, server) = server();
    let client = server.client();
    let post = |path: &str| {
        let path = format!("{BASE}/instances/{path}");
        client.try_send("POST", &path, &[], None).unwrap()
    };
    let input = json!({ "names": ["Go"] });
    client.start_as("TestWaitEvents", "r", &input);
    assert_eq!(post("r/restart?restartWithNewInstanceId=false").status, 409, "it has not ended");
    let other = post("r/restart");
    assert_eq!(other.status, 202, "{other:?}");
    let other = other.body["id"].as_str().expect("a new id").to_owned();
    assert_ne!(other, "r");
    for id in ["r", &other] {
        assert_eq!(client.raise(id, "Go", &json!(id)).status, 202);
        let ended = client.ended(id);
        assert_eq!((&ended["runtimeStatus"], &ended["input"]), (&json!("Completed"), &input));
    }
    let again = post("r/restart?restartWithNewInstanceId=false");
    assert_eq!((again.status, &again.body["id"]), (202, &json!("r")));
    assert_eq!(client.raise("r", "Go", &json!("once more")).status, 202);
    assert_eq!(client.ended("r")["output"], json!(["once more"]));
    assert_eq!(post("none/restart").status, 400);
    assert_eq!(post("r/restart?restartWithNewInstanceId=maybe").status, 400);
}
