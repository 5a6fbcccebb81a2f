//! An undo that cannot be done: everybody is told, nothing is lost, and a
//! person mends it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::steps::*;
use crate::support::*;

const BASE: &str = "/runtime/webhooks/durabletask";

/// Something that webhooks are posted to. Its first answer is 500.
struct Listener {
    url: String,
    /// What it answered to whom, in order.
    heard: Arc<Mutex<Vec<(u16, Value)>>>,
}

impl Listener {
    fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?secret=s3cr3t", socket.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let answers = heard.clone();
        // It ends with the test.
        std::thread::spawn(move || {
            for stream in socket.incoming() {
                // A host that was killed leaves half a request.
                let Ok(mut stream) = stream else { continue };
                let Some(body) = posted(&mut stream) else { continue };
                let mut heard = answers.lock().unwrap();
                let status = if heard.is_empty() { 500 } else { 200 };
                heard.push((status, body));
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Listener { url, heard }
    }

    fn heard(&self) -> Vec<(u16, Value)> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until it was told of all these, not counting what it had heard
    /// before and what it did not take.
    fn hears_of(&self, before: usize, ids: &[&str]) {
        eventually(&format!("the webhook tells of {ids:?}"), || {
            let heard = self.heard();
            let told = |id: &&str| {
                heard[before..]
                    .iter()
                    .any(|(status, body)| *status == 200 && body["instanceId"] == **id)
            };
            ids.iter().all(told).then_some(())
        });
    }
}

/// The body of a POST of JSON.
fn posted(stream: &mut std::net::TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    assert!(line.starts_with("POST /hook?secret=s3cr3t "), "{line}");
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// Runs the program against a host.
fn sagahost(server: &Server, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sagahost"))
        .args(arguments)
        .args(["--url", &server.url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The ids of the sagas that the listing says are stuck.
fn listed(client: &Client) -> Vec<String> {
    let rows = client.get(&format!("{BASE}/instances?sagaState=stuck")).body;
    let rows = rows.as_array().unwrap();
    assert!(rows.iter().all(|row| row["sagaState"] == "stuck"), "{rows:?}");
    let mut ids: Vec<_> =
        rows.iter().map(|row| row["instanceId"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn stuck(client: &Client, id: &str) -> Value {
    eventually(&format!("{id} is stuck"), || {
        let status = client.status(id);
        (status["sagaState"] == "stuck").then_some(status)
    })
}

fn repair(client: &Client, id: &str, step: &str, how: &str, body: &Value) -> u16 {
    client.post(&format!("/api/instances/{id}/undo/{step}/{how}"), body).status
}

/// What the history says of repairs: how, why and by whom.
fn repairs(client: &Client, id: &str, event_type: &str) -> Vec<(Value, Value, Value)> {
    let history = client.history(id);
    let repaired = history.iter().filter(|event| event["EventType"] == event_type);
    let told = |event: &Value| {
        assert_eq!(event["Step"], "1", "{event}");
        (event["Repair"].clone(), event["Reason"].clone(), event["By"].clone())
    };
    repaired.map(told).collect()
}

fn said(repair: &str, note: &str, by: &str) -> (Value, Value, Value) {
    (json!(repair), json!(note), json!(by))
}

#[test]
fn an_undo_that_cannot_be_done_is_told_of_and_mended() {
    let listener = Listener::start();
    let site = Site::new(&["test_guests"]);
    site.manifest(&format!("[host]\nstuck-webhook = \"{}\"\n", listener.url));
    let server = site.serve();
    let client = server.client();
    let start = |id: &str, fault: &str| {
        let saga = Saga::new(&site, id, 3).step(1, &json!({ "undoFault": fault }));
        if fault == "barred" {
            std::fs::write(saga.path("s1.barred"), "").unwrap();
        }
        saga.with("end", "fail").start(&client)
    };
    let ids = ["barred", "by-hand", "edited"];
    let [barred, by_hand, edited] = [("barred", "barred"), ("by-hand", "fail"), ("edited", "fail")]
        .map(|(id, fault)| start(id, fault));
    for (id, code) in [("barred", "barred"), ("by-hand", "injected"), ("edited", "injected")] {
        let status = stuck(&client, id);
        assert_eq!(status["runtimeStatus"], "Running", "it has not failed: {status}");
        assert_eq!(
            (&status["stuck"][0]["step"], &status["stuck"][0]["failure"]["code"]),
            (&json!("1"), &json!(code)),
            "{status}"
        );
    }
    for saga in [&barred, &by_hand, &edited] {
        assert_eq!(saga.undone(), ["s2"], "it goes no further than that");
    }
    assert_eq!(listed(&client), ids);
    assert_eq!(client.stats()["stuck"], 3);
    let table = sagahost(&server, &["list", "--saga", "stuck"]);
    assert!(ids.iter().all(|id| table.contains(id)) && table.contains("is barred"), "{table}");
    let state = |id: &str| {
        let undo = client.undo(id)["undo"].clone();
        undo.as_array().unwrap().iter().map(|undo| undo["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(state("barred"), ["stuck", "armed"]);

    // The first answer was no good, so that one was told again.
    listener.hears_of(0, &ids);
    let heard = listener.heard();
    assert_eq!(heard[0].0, 500);
    let again = heard[1..].iter().any(|(_, body)| body["instanceId"] == heard[0].1["instanceId"]);
    assert!(again, "{heard:?}");
    assert!(
        heard.iter().all(|(_, body)| body["event"] == "saga.stuck"
            && body["name"] == "StepsSaga"
            && body["stuck"][0]["step"] == "1"),
        "{heard:?}"
    );
    assert!(!server.output().contains("s3cr3t"), "a webhook's query may be a secret");

    // It is all known to the next host, which tells it anew.
    server.kill();
    let before = listener.heard().len();
    let server = site.serve();
    let client = server.client();
    listener.hears_of(before, &ids);
    assert_eq!(listed(&client), ids);
    assert_eq!(client.stats()["stuck"], 3);

    let why = |note: &str| json!({ "note": note, "by": "Ada" });
    for (step, how, body, status) in [
        ("0", "retry", why("not yet"), 409),
        ("2", "done", why("it is done"), 409),
        ("9", "retry", why("no such step"), 404),
        ("one", "retry", why("no step"), 400),
        ("1", "retry", json!({ "by": "Ada" }), 400),
        ("1", "done", json!({ "note": "nobody" }), 400),
    ] {
        assert_eq!(repair(&client, "barred", step, how, &body), status, "{step} {how} {body}");
    }

    // As long as the cause is there, it is stuck again, which is told again.
    let before = listener.heard().len();
    assert_eq!(repair(&client, "barred", "1", "retry", &why("perhaps now")), 202);
    eventually("it was tried again", || {
        (client.status("barred")["stuck"][0]["attempts"] == 2).then_some(())
    });
    listener.hears_of(before, &["barred"]);
    std::fs::remove_file(barred.path("s1.barred")).unwrap();
    assert_eq!(repair(&client, "barred", "1", "retry", &why("the bar is gone")), 202);
    barred.is_gone(&client, "Failed", &[(2, "completed"), (1, "completed"), (0, "completed")]);
    assert_eq!(
        repairs(&client, "barred", "UndoRepaired"),
        [said("retry", "perhaps now", "Ada"), said("retry", "the bar is gone", "Ada")]
    );

    let input = step_of("edited", "s1").to_string();
    let arguments =
        ["repair", "edited", "1", "--input", &input, "--note", "wrong input", "--by", "Grace"];
    sagahost(&server, &arguments);
    edited.is_gone(&client, "Failed", &[(2, "completed"), (1, "completed"), (0, "completed")]);
    assert_eq!(repairs(&client, "edited", "UndoRepaired"), [said("retry", "wrong input", "Grace")]);

    assert_eq!(repair(&client, "by-hand", "1", "done", &why("removed it myself")), 202);
    let status = client.ended("by-hand");
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"]),
        (&json!("Failed"), &json!("compensated"))
    );
    // It is taken at its word: the host did not touch it.
    assert_eq!(
        (by_hand.undone().join(" "), by_hand.effects()),
        ("s2 s0".to_owned(), vec!["s1".to_owned()])
    );
    assert_eq!(
        repairs(&client, "by-hand", "UndoRepaired"),
        [said("done", "removed it myself", "Ada")]
    );
    by_hand.replays(&client);

    assert_eq!(listed(&client), Vec::<String>::new());
    assert_eq!(client.stats()["stuck"], 0);
    assert_eq!(repair(&client, "barred", "1", "retry", &why("too late")), 410);
}

#[test]
fn a_step_past_the_pivot_that_cannot_be_done_is_mended_too() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let start = |id: &str| {
        let saga = Saga::new(&site, id, 3).step(1, &json!({ "fault": "fail" })).with("pivot", 0);
        saga.start(&client)
    };
    let (edited, done) = (start("edited"), start("done"));
    for id in ["done", "edited"] {
        let status = stuck(&client, id);
        assert_eq!(
            (&status["stuck"][0]["step"], &status["stuck"][0]["forward"]),
            (&json!("1"), &json!(true)),
            "{status}"
        );
    }
    assert_eq!(listed(&client), ["done", "edited"]);
    // It needs to be asked for only once, and holds over a kill.
    let input = step_of("edited", "s1");
    let body = json!({ "note": "wrong input", "by": "Ada", "input": input });
    assert_eq!(repair(&client, "edited", "1", "retry", &body), 202);
    server.kill();
    let server = site.serve();
    let client = server.client();
    edited.is_committed(&client);
    assert_eq!(repairs(&client, "edited", "TaskRepaired"), [said("retry", "wrong input", "Ada")]);

    let result = json!({ "id": "s1", "attempt": 0 }).to_string();
    let arguments =
        ["repair", "done", "1", "--done", "--output", &result, "--note", "by hand", "--by", "Ada"];
    sagahost(&server, &arguments);
    let status = client.ended("done");
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"]),
        (&json!("Completed"), &json!("committed"))
    );
    assert_eq!(done.effects(), ["s0", "s2"]);
    assert_eq!(repairs(&client, "done", "TaskRepaired"), [said("done", "by hand", "Ada")]);
    done.replays(&client);
}
