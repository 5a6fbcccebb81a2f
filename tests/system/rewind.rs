//! Rewinding what failed, on a real host, also one that is killed.

use serde_json::{Value, json};

use crate::reference::BASE;
use crate::support::*;

fn rewind(client: &Client, id: &str) -> Answer {
    client.post(&format!("{BASE}/instances/{id}/rewind?reason=the+file+is+there"), &Value::Null)
}

/// A folder of its own, as a guest sees it.
fn folder(site: &Site, name: &str) -> String {
    std::fs::create_dir(site.path(&format!("files/{name}"))).expect("a folder");
    format!("/files/{name}")
}

fn write(site: &Site, path: &str) {
    std::fs::write(site.path(&path[1..]), "").expect("written");
}

/// The lines of a file that the guest wrote.
fn lines(site: &Site, path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(site.path(&path[1..])).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn count(history: &[Value], event_type: &str, recalled: bool) -> usize {
    let named = history.iter().filter(|event| event["EventType"] == event_type);
    named.filter(|event| event.get("Recalled").is_some() == recalled).count()
}

#[test]
fn a_step_that_failed_is_done_again_and_those_before_it_are_kept() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let dir = folder(&site, "kept");
    client.start_as("Rewindable", "r", &json!({ "dir": dir }));
    assert_eq!(client.ended("r")["runtimeStatus"], "Failed");
    // Still without the file it fails once more, and runs nothing else.
    assert_eq!(rewind(&client, "r").status, 202);
    let status = client.ended("r");
    assert_eq!(status["runtimeStatus"], "Failed", "{status}");
    write(&site, &format!("{dir}/b"));
    assert_eq!(rewind(&client, "r").status, 202);
    let status = client.ended("r");
    assert_eq!(status["output"], json!({ "a": 1, "c": 1 }), "{status}");
    assert_eq!(lines(&site, &format!("{dir}/a")).len(), 1, "it ran once");
    let history = client.history("r");
    assert_eq!(count(&history, "ExecutionRewound", false), 2, "{history:?}");
    assert_eq!(count(&history, "TaskCompleted", true), 2, "{history:?}");
    assert_eq!(count(&history, "TaskCompleted", false), 3, "{history:?}");
    assert_eq!(rewind(&client, "r").status, 412);
    let replay = client.get("/api/instances/r/replay");
    assert_eq!((replay.status, &replay.body["ended"]), (200, &json!(true)), "{replay:?}");
}

#[test]
fn what_was_undone_is_done_again_under_another_key() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let dir = folder(&site, "undone");
    client.start_as("Rewindable", "u", &json!({ "dir": dir, "undo": true }));
    let status = client.ended("u");
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"]),
        (&json!("Failed"), &json!("compensated"))
    );
    assert_eq!(rewind(&client, "u").status, 202);
    client.ended("u");
    write(&site, &format!("{dir}/b"));
    assert_eq!(rewind(&client, "u").status, 202);
    let status = client.ended("u");
    assert_eq!(status["output"], json!({ "a": 3, "c": 1 }), "{status}");
    assert_eq!(status["sagaState"], "committed");
    let mut runs = lines(&site, &format!("{dir}/a"));
    assert_eq!(runs.len(), 3);
    runs.dedup();
    assert_eq!(runs.len(), 3, "each run has a key of its own: {runs:?}");
    let undos = lines(&site, &format!("{dir}/log"));
    let keys: Vec<_> = undos.iter().filter_map(|line| line.split(' ').next()).collect();
    let expected: Vec<_> = runs
        .iter()
        .take(2)
        .filter_map(|run| run.split(' ').next())
        .map(|key| format!("{key}-undo"))
        .collect();
    assert_eq!(keys, expected);
}

#[test]
fn a_parent_is_rewound_with_the_child_that_failed() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    for undo in [false, true] {
        let (id, dir) = (format!("p-{undo}"), folder(&site, &format!("tree-{undo}")));
        client.start_as("RewindableParent", &id, &json!({ "dir": dir, "undo": undo }));
        assert_eq!(client.ended(&id)["runtimeStatus"], "Failed");
        write(&site, &format!("{dir}/b"));
        assert_eq!(rewind(&client, &id).status, 202);
        let status = client.ended(&id);
        let a = if undo { 2 } else { 1 };
        let expected = json!({ "p": 1, "child": { "a": a, "c": 1 } });
        assert_eq!(status["output"], expected, "{status}");
        let history = client.history(&id);
        let child = history.iter().rev().find_map(|event| event["InstanceId"].as_str());
        let child = child.expect("it has a child");
        assert_eq!(client.status(child)["runtimeStatus"], "Completed");
        let history = client.history(child);
        assert_eq!(count(&history, "ExecutionRewound", false), 1, "{history:?}");
    }
}

#[test]
fn a_host_that_is_killed_goes_on_with_what_was_rewound() {
    let site = Site::new(&["test_guests"]);
    let mut server = site.serve();
    let ids: Vec<String> = (0..6).map(|n| format!("k-{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        let dir = folder(&site, id);
        let name = if n % 2 == 0 { "Rewindable" } else { "RewindableParent" };
        server.client().start_as(name, id, &json!({ "dir": dir, "undo": n % 3 == 0 }));
    }
    for round in 0..3 {
        for id in &ids {
            assert_eq!(server.client().ended(id)["runtimeStatus"], "Failed");
            if round == 2 {
                write(&site, &format!("/files/{id}/b"));
            }
        }
        for id in &ids {
            assert_eq!(rewind(&server.client(), id).status, 202, "{id}");
        }
        server.kill();
        server = site.serve();
    }
    for (n, id) in ids.iter().enumerate() {
        let status = server.client().ended(id);
        assert_eq!(status["runtimeStatus"], "Completed", "{status}");
        let keys = |file: &str| {
            let mut keys = lines(&site, &format!("/files/{id}/{file}"));
            keys.sort();
            keys.dedup();
            keys.len()
        };
        // One key for each time that it was to run: an attempt that was lost
        // with its host and the next one have the same.
        let runs = if n % 3 == 0 { 4 } else { 1 };
        assert_eq!((keys("a"), keys("c")), (runs, 1), "{id}");
        assert_eq!(keys("log"), runs - 1, "{id}");
        let replay = server.client().get(&format!("/api/instances/{id}/replay"));
        assert_eq!(replay.status, 200, "{replay:?}");
    }
}

#[test]
fn one_that_failed_goes_on_with_the_code_that_is_deployed_by_then() {
    let site = Site::new(&[]);
    site.copy_component("test_guests", "tests");
    let server = site.serve();
    let client = server.client();
    let start = client.post("/api/orchestrators/TestVersioned/v?deadline=1", &Value::Null);
    assert_eq!(start.status, 202, "{start:?}");
    assert_eq!(client.ended("v")["runtimeStatus"], "Failed", "nobody raised its event");
    let components = || client.get("/admin/components").body.to_string();
    let before = components();
    std::fs::copy(guest_with("changed"), site.path("functions/tests.wasm")).expect("copied");
    eventually("the replaced file is deployed", || (components() != before).then_some(()));
    // Its deadline begins anew each time; on a slow machine it may pass again.
    let status = eventually("it completes", || {
        let status = client.status("v");
        if status["runtimeStatus"] == "Failed" {
            assert_eq!(rewind(&client, "v").status, 202);
            client.raise("v", "Go", &Value::Null);
        }
        (status["runtimeStatus"] == "Completed").then_some(status)
    });
    assert_eq!(status["output"], "changed", "{status}");
    assert_eq!(client.get("/api/instances/v/replay").status, 200);
}

#[test]
fn an_event_that_came_before_the_failure_is_kept_and_an_instance_that_is_gone_is_not_rewound() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    client.start_as("StepsSaga", "s", &json!({ "steps": [], "end": "wait-fail" }));
    assert_eq!(client.raise("s", "Go", &json!(7)).status, 202);
    assert_eq!(client.ended("s")["runtimeStatus"], "Failed");
    assert_eq!(client.raise("s", "Go", &Value::Null).status, 410);
    // It is told of the event again, and fails again.
    assert_eq!(rewind(&client, "s").status, 202);
    assert_eq!(client.ended("s")["runtimeStatus"], "Failed");
    let history = client.history("s");
    assert_eq!(count(&history, "EventRaised", true), 1, "{history:?}");
    assert_eq!(client.delete(&format!("{BASE}/instances/s")).status, 200);
    assert_eq!(rewind(&client, "s").status, 404);
}
