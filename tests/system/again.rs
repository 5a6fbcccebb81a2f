//! Orchestrators that begin anew, children that are started again, tags and a
//! later beginning, on a real host.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn a_loop_without_end_keeps_its_journal_short() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    for input in [json!({ "left": 300 }), json!({ "left": 30, "timerMs": 1 })] {
        let id = client.start("Eternal", &input);
        let status = client.ended(&id);
        assert_eq!(status["output"], json!("done"), "{status}");
        assert_eq!(status["input"]["left"], json!(0), "the input of its last round");
        let history = client.history(&id);
        assert!(history.len() <= 2, "{history:?}");
    }
}

#[test]
fn a_loop_that_never_waits_goes_on_after_a_crash() {
    let site = Site::new(&["test_guests"]);
    let mut server = site.serve();
    server.client().start_as("Eternal", "e", &json!({ "left": 3000 }));
    for _ in 0..3 {
        let left = |client: &Client| client.status("e")["input"]["left"].as_u64();
        let before = left(&server.client());
        eventually("it goes on", || (left(&server.client()) != before).then_some(()));
        server.kill();
        server = site.serve();
    }
    assert_eq!(server.client().ended("e")["output"], json!("done"));
}

/// Raises an event until a host says that it has it. One that went away
/// without an answer may have it as well: the key tells the next one.
fn raise_until_taken(url: &RwLock<String>, id: &str, number: u32) {
    let path = format!("/runtime/webhooks/durabletask/instances/{id}/raiseEvent/E");
    let key = number.to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
    eventually("the event is taken", || {
        let client = Client::new(&url.read().unwrap());
        match client.try_send("POST", &path, &headers, Some(key.as_bytes())) {
            Ok(answer) if answer.status == 202 => Some(()),
            // A host that has just started may not have read its store yet.
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => None,
        }
    });
}

#[test]
fn every_event_is_processed_once_and_in_order_over_rounds_and_crashes() {
    let site = Site::new(&["test_guests"]);
    let mut server = Some(site.serve());
    let (instances, rounds, each) = (100u32, 10u32, 10u32);
    let id = |n: u32| format!("collect-{n}");
    let file = |n: u32| format!("/files/collected-{n}.txt");
    for n in 0..instances {
        let input = json!({ "rounds": rounds, "perRound": each, "file": file(n) });
        server.as_ref().unwrap().client().start_as("CollectEvents", &id(n), &input);
    }
    let (url, raised) = (RwLock::new(server.as_ref().unwrap().url.clone()), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..rounds * each {
                for n in 0..instances {
                    raise_until_taken(&url, &id(n), number);
                    raised.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        // Whatever is on its way then: whether it was taken nobody knows.
        for kill in 1..=5 {
            eventually("more are raised", || {
                (raised.load(Ordering::SeqCst) >= kill * 1_700).then_some(())
            });
            server.take().unwrap().kill();
            let again = site.serve();
            url.write().unwrap().clone_from(&again.url);
            server = Some(again);
        }
    });
    for n in 0..instances {
        let status = server.as_ref().unwrap().client().ended(&id(n));
        let all = rounds * each;
        let expected = json!({ "count": all, "last": all - 1, "inOrder": true });
        assert_eq!(status["output"], expected, "{status}");
        let lines = std::fs::read_to_string(site.path(&file(n)[1..])).expect("its file");
        let numbers: Vec<u32> = lines
            .lines()
            .map(|line| line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
            .collect();
        assert_eq!(numbers, (0..all).collect::<Vec<_>>());
    }
}

#[test]
fn a_child_that_fails_is_started_again_and_its_parent_hears_of_the_last() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let file = "/files/attempts";
    let input = json!({ "file": file, "failures": 2, "id": "kid" });
    let status = client.run("RetryChild", &input);
    assert_eq!(status["runtimeStatus"], "Completed", "{status}");
    assert_eq!(client.status("kid")["runtimeStatus"], "Failed");
    assert_eq!(client.status("kid:3")["runtimeStatus"], "Completed");
    // An id that somebody else has is not taken for the child's.
    client.start_as("Leaf", "mine", &json!({ "wait": true }));
    let input = json!({ "file": file, "failures": 0, "id": "mine", "maxAttempts": 1 });
    let status = client.run("RetryChild", &input);
    assert_eq!(status["runtimeStatus"], "Failed", "{status}");
    assert!(status["output"].to_string().contains("is taken by another instance"), "{status}");
}

#[test]
fn trees_are_deep_and_wide_and_end_with_their_root() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    assert_eq!(client.run("Chain", &json!({ "depth": 100 }))["output"], json!(100));
    assert_eq!(client.run("Parent", &json!({ "children": 1000 }))["output"], json!(1000));
    let waiting = json!({ "children": 1000, "wait": true, "ids": "leaf" });
    client.start_as("Parent", "wide", &waiting);
    let path = "/runtime/webhooks/durabletask/instances?instanceIdPrefix=leaf-&top=2000";
    let statuses = |status: &str| {
        let url = format!("{path}&runtimeStatus={status}");
        let mut token = String::new();
        let mut found = 0;
        loop {
            let headers = [("x-ms-continuation-token", token.as_str())];
            let answer = client.try_send("GET", &url, &headers, None).expect("an answer");
            found += answer.body.as_array().map_or(0, Vec::len);
            token = answer.header("x-ms-continuation-token").unwrap_or_default().to_owned();
            if token.is_empty() {
                return found;
            }
        }
    };
    eventually("all children wait", || (statuses("Running") == 1000).then_some(()));
    let answer = client
        .post("/runtime/webhooks/durabletask/instances/wide/terminate?reason=enough", &Value::Null);
    assert_eq!(answer.status, 202);
    eventually("all children have ended", || (statuses("Terminated") == 1000).then_some(()));
}

#[test]
fn a_start_has_a_version_tags_and_a_later_beginning() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let path = "/api/orchestrators/Versioned/v?version=2.1&tag=team:blue&tag=tier:gold";
    assert_eq!(client.post(path, &Value::Null).status, 202);
    let status = client.ended("v");
    let tags = json!({ "team": "blue", "tier": "gold" });
    assert_eq!(status["output"], json!({ "version": "2.1", "tags": tags }), "{status}");
    assert_eq!(status["tags"], tags);
    let listed = |tag: &str| {
        let path = format!("/runtime/webhooks/durabletask/instances?tag={tag}");
        client.get(&path).body.as_array().map_or(0, Vec::len)
    };
    assert_eq!((listed("team:blue"), listed("team:red")), (1, 0));
    let path = "/api/orchestrators/Versioned/later?startAt=2999-01-01T00:00:00Z";
    assert_eq!(client.post(path, &Value::Null).status, 202);
    assert_eq!(client.status("later")["runtimeStatus"], "Pending");
    assert_eq!(client.cancel("later").status, 202);
    assert_eq!(client.ended("later")["runtimeStatus"], "Canceled");
    for (query, words) in [("startAt=soon", "startAt"), ("tag=blue", "word and a value")] {
        let answer = client.post(&format!("/api/orchestrators/Versioned?{query}"), &Value::Null);
        assert_eq!(answer.status, 400);
        assert!(answer.body.to_string().contains(words), "{answer:?}");
    }
}

/// A server that gives these answers, one for each connection, and then says
/// what it was asked.
fn answers(answers: Vec<String>) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = std::thread::spawn(move || {
        let answer = |answer: String| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            let head: Vec<String> =
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            stream.write_all(answer.as_bytes()).expect("it is answered");
            head.join("\n").to_ascii_lowercase()
        };
        answers.into_iter().map(answer).collect()
    });
    (port, asked)
}

#[test]
fn an_http_step_is_retried_and_its_answer_is_waited_for() {
    let site = Site::new(&["test_guests"]);
    let answer = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        )
    };
    let (port, asked) = answers(vec![
        answer("503 Service Unavailable", "", ""),
        answer("202 Accepted", "location: /job/1\r\nretry-after: 1\r\n", ""),
        answer("200 OK", "content-type: application/json\r\n", "{\"ready\":true}"),
    ]);
    site.manifest(&format!(
        "[[functions]]\nnames = [\"HttpCaller\"]\nhttp = [\"http://127.0.0.1:{port}\"]"
    ));
    let server = site.serve();
    let request = json!({ "url": format!("http://127.0.0.1:{port}/job"), "retryStatus": [503] });
    let retry = json!({ "maxAttempts": 3, "firstIntervalMs": 10 });
    let status = server.client().run("HttpCaller", &json!({ "request": request, "retry": retry }));
    assert_eq!(status["output"]["status"], json!(200), "{status}");
    assert_eq!(status["output"]["body"], json!({ "ready": true }), "{status}");
    let asked = asked.join().expect("it was asked three times");
    assert!(asked[0].starts_with("get /job http") && asked[1].starts_with("get /job http"));
    assert!(asked[2].starts_with("get /job/1 http"), "{}", asked[2]);
    let key = |head: &str| {
        let line = head.lines().find(|line| line.starts_with("idempotency-key: "));
        line.map(str::to_owned)
    };
    assert!(key(&asked[0]).is_some() && key(&asked[0]) == key(&asked[1]), "{asked:?}");
    // Elsewhere it may not go.
    let request = json!({ "url": "http://127.0.0.1:9/" });
    let status = server.client().run("HttpCaller", &json!({ "request": request }));
    assert_eq!(status["output"]["code"], "host.http-denied", "{status}");
}
