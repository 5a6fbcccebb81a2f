//! More than can be done: who waits, who is refused, and what goes on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::*;

const ENDED: [&str; 4] = ["Completed", "Failed", "Canceled", "Terminated"];

/// Whether this is an answer to a start for which there is no room.
fn is_refusal(answer: &Answer) -> bool {
    if answer.status != 503 {
        return false;
    }
    assert_eq!(answer.body["ExceptionType"], "Overloaded", "{answer:?}");
    let message = answer.body["Message"].as_str().unwrap();
    assert!(message.contains("nothing was started"), "{message}");
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&after), "{after}");
    true
}

/// So many clients start so many orchestrations each, as fast as they are
/// answered; the ids of those that were accepted, and how many were refused.
fn storm(
    server: &Server,
    clients: usize,
    each: usize,
    path: &str,
    input: &Value,
) -> (Vec<String>, usize) {
    let (accepted, refused) = (Mutex::new(Vec::new()), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let client = server.client();
                for _ in 0..each {
                    let answer = client.post(path, input);
                    if is_refusal(&answer) {
                        *refused.lock().unwrap() += 1;
                        continue;
                    }
                    assert_eq!(answer.status, 202, "{answer:?}");
                    let id = answer.body["id"].as_str().unwrap().to_owned();
                    accepted.lock().unwrap().push(id);
                }
            });
        }
    });
    (accepted.into_inner().unwrap(), refused.into_inner().unwrap())
}

fn all_complete(client: &Client, ids: &[String]) {
    for id in ids {
        let status = client.ended(id);
        assert_eq!(status["runtimeStatus"], "Completed", "{status}");
    }
}

#[test]
fn what_waits_too_long_is_refused_and_what_was_accepted_completes() {
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    site.manifest(
        r#"
[host]
max-queue = "20ms"
max-delay = "0s"

[[functions]]
names = ["TestEcho"]
concurrency = 1
rate = "20/s"

[[routes]]
path = "/echo"
start = "TestCallOne"
"#,
    );
    let server = site.serve();
    let call = json!({ "activity": "TestEcho", "input": 1 });
    let over = AtomicBool::new(false);
    let mut refused = 0;
    let accepted = std::thread::scope(|scope| {
        let (server, over) = (&server, &over);
        let watching = scope.spawn(move || {
            let client = server.client();
            while !over.load(Ordering::SeqCst) {
                for path in ["/api/overview", "/api/functions", "/admin/stats"] {
                    let answer = client.get(path);
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
                // Who does not need that function is not refused.
                client.start("TestOrchEcho", &json!("free"));
            }
        });
        let (mut accepted, there) = storm(server, 16, 20, "/api/orchestrators/TestCallOne", &call);
        let (more, routes) = storm(server, 4, 10, "/echo", &call);
        let managed = "/runtime/webhooks/durabletask/orchestrators/TestCallOne";
        let (others, at_managed) = storm(server, 4, 10, managed, &call);
        accepted.extend(more.into_iter().chain(others));
        assert!(there > 0 && routes > 0 && at_managed > 0, "{there}, {routes}, {at_managed}");
        refused += there + routes + at_managed;
        for id in &accepted {
            let status = server.client().status(id);
            assert!(status["runtimeStatus"].is_string(), "{status}");
        }
        over.store(true, Ordering::SeqCst);
        watching.join().unwrap();
        accepted
    });
    let client = server.client();
    assert!(!accepted.is_empty());
    all_complete(&client, &accepted);
    let stats = client.stats();
    assert_eq!(stats["startsRefused"], refused, "{stats}");
    assert_eq!(stats["attemptsWaiting"], 0, "{stats}");
    let metrics = client.get_text("/metrics", &[]).2;
    let counted = format!("sagahost_starts_refused_total {refused}");
    assert!(metrics.contains(&counted), "{counted} is not in {metrics}");
    // What was refused can be started now.
    let status = client.run("TestCallOne", &call);
    assert_eq!(status["output"], 1, "{status}");
    let shown = client.get("/api/functions").body;
    let echo = shown.as_array().unwrap().iter().find(|it| it["name"] == "TestEcho").unwrap();
    assert_eq!(echo["capabilities"]["limits"]["rate"], "20/s", "{echo}");
}

#[test]
fn who_comes_back_too_early_is_refused_once_a_second() {
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    let rules = |rate: &str| {
        let echo = format!("[[functions]]\nnames = [\"TestEcho\"]\nrate = \"{rate}\"\n");
        site.manifest(&format!("[host]\nmax-queue = \"20ms\"\n\n{echo}"));
    };
    rules("1/h");
    let server = site.serve();
    let path = "/api/orchestrators/TestCallOne";
    let call = json!({ "activity": "TestEcho", "input": 1 });
    let client = server.client();
    let mut accepted = Vec::new();
    let began = Instant::now();
    let mut refused = 0;
    while refused < 4 {
        let answer = client.post(path, &call);
        match is_refusal(&answer) {
            true => refused += 1,
            false => accepted.push(answer.body["id"].as_str().unwrap().to_owned()),
        }
        // There is room for others, at once and on the same connection.
        assert_eq!(client.run("TestOrchEcho", &json!("free"))["output"], "free");
    }
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(client.stats()["startsRefused"], refused);
    // Who waits for being answered is let in once there is room.
    rules("1000/s");
    let last = eventually("it is let in", || {
        let answer = client.post(path, &call);
        (!is_refusal(&answer)).then_some(answer)
    });
    accepted.push(last.body["id"].as_str().unwrap().to_owned());
    all_complete(&client, &accepted);
}

#[test]
fn hundreds_of_clients_are_answered_and_all_that_is_accepted_completes() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    site.manifest("[host]\nmax-delay = \"5ms\"\n");
    let server = site.serve();
    let path = "/api/orchestrators/FanOut";
    let (accepted, refused) = storm(&server, 300, 6, path, &json!({ "count": 3 }));
    println!("{} accepted, {refused} refused", accepted.len());
    assert_eq!(accepted.len() + refused, 300 * 6);
    assert!(!accepted.is_empty());
    let client = server.client();
    all_complete(&client, &accepted);
    assert_eq!(client.stats()["completed"], accepted.len());
    eventually("starts are accepted again", || {
        let answer = client.post(path, &json!({ "count": 2 }));
        (!is_refusal(&answer)).then(|| assert_eq!(answer.status, 202, "{answer:?}"))
    });
}

#[test]
fn a_fan_out_of_thousands_does_not_hold_up_a_small_saga() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    // All of the fan-out takes minutes by that.
    site.manifest("[[functions]]\nnames = [\"Square\"]\nconcurrency = 1\nrate = \"20/s\"\n");
    let server = site.serve();
    let client = server.client();
    let big = client.start("FanOut", &json!({ "count": 10_000 }));
    eventually("its steps wait", || {
        (client.stats()["attemptsWaiting"].as_u64() > Some(9_000)).then_some(())
    });
    for _ in 0..3 {
        let status = client.run("FanOut", &json!({ "count": 2 }));
        assert_eq!(status["output"], 5, "{status}");
    }
    let status = client.status(&big);
    assert!(!ENDED.iter().any(|end| status["runtimeStatus"] == *end), "{status}");
    assert!(client.stats()["attemptsWaiting"].as_u64() > Some(5_000), "{}", client.stats());
    // Those that wait end with their saga, and the host ends without them.
    let path = format!("/runtime/webhooks/durabletask/instances/{big}/terminate?reason=enough");
    assert_eq!(client.post(&path, &Value::Null).status, 202);
    eventually("none of its steps waits", || {
        (client.stats()["attemptsWaiting"] == 0).then_some(())
    });
    let status = client.run("FanOut", &json!({ "count": 1 }));
    assert_eq!(status["output"], 1, "{status}");
    // So do those of one that is to be undone: it waits for nothing that never
    // began.
    let other = client.start("FanOut", &json!({ "count": 5_000 }));
    eventually("its steps wait", || {
        (client.stats()["attemptsWaiting"].as_u64() > Some(4_000)).then_some(())
    });
    assert_eq!(client.cancel(&other).status, 202);
    assert_eq!(client.ended(&other)["runtimeStatus"], "Canceled");
    assert_eq!(client.stats()["attemptsWaiting"], 0, "{}", client.stats());
    client.start("FanOut", &json!({ "count": 5_000 }));
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn other_rules_hold_at_once_for_what_waits() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let rule =
        |more: &str| site.manifest(&format!("[[functions]]\nnames = [\"Square\"]\n{more}\n"));
    rule("rate = \"1/h\"");
    let server = site.serve();
    let client = server.client();
    let id = client.start("FanOut", &json!({ "count": 40 }));
    eventually("all but one wait", || (client.stats()["attemptsWaiting"] == 39).then_some(()));
    rule("concurrency = 2");
    let status = client.ended(&id);
    assert_eq!(status["output"], (1..=40).map(|n| n * n).sum::<i64>(), "{status}");
}
