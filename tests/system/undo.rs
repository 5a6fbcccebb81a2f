//! What sets off the undo of a saga, what is undone then, and what is not.

use serde_json::{Value, json};

use crate::steps::*;
use crate::support::*;

const BASE: &str = "/runtime/webhooks/durabletask";

fn waits(client: &Client, id: &str) {
    eventually(&format!("{id} waits"), || {
        (client.status(id)["customStatus"] == "waiting").then_some(())
    });
}

fn terminate(client: &Client, id: &str, query: &str) -> Answer {
    let path = format!("{BASE}/instances/{id}/terminate?reason=enough{query}");
    client.try_send("POST", &path, &[], None).unwrap()
}

fn all(steps: usize) -> Vec<(usize, &'static str)> {
    (0..steps).rev().map(|step| (step, "completed")).collect()
}

#[test]
fn a_saga_whose_code_breaks_is_undone() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let cases = [
        ("fail", "ended"),
        ("trap", "host.trap"),
        ("loop", "host.cpu-limit"),
        ("memory", "host.memory-limit"),
    ];
    let sagas: Vec<_> = cases
        .iter()
        .map(|(end, code)| (Saga::new(&site, end, 3).with("end", *end).start(&client), end, code))
        .collect();
    for (saga, end, code) in sagas {
        let status = client.ended(&saga.id);
        assert_eq!(&status["output"]["code"], *code, "{status}");
        saga.is_undone(&client, "Failed", &all(3));
        // A replay of this one takes as long as it took.
        if *end != "loop" {
            saga.replays(&client);
        }
    }
}

#[test]
fn a_saga_whose_code_is_lost_is_undone_without_it() {
    let site = Site::new(&[]);
    let sagas = site.path("functions/sagas.wasm");
    std::fs::copy(guest_with("only-sagas"), &sagas).unwrap();
    std::fs::copy(guest_with("without-sagas"), site.path("functions/steps.wasm")).unwrap();
    let server = site.serve();
    let client = server.client();
    let [event, cancelled] =
        ["event", "cancelled"].map(|id| Saga::new(&site, id, 3).with("end", "wait").start(&client));
    let step = Saga::new(&site, "step", 3).step(2, &json!({ "fault": "hang-once" })).start(&client);
    let failing = json!({ "fault": "hang-once", "attempts": 1 });
    let failed = Saga::new(&site, "failed", 2).step(1, &failing).start(&client);
    let family = Saga::new(&site, "family", 0);
    let child = |name: &str, end: &str| json!({ "steps": [step_of("family", name)], "end": end });
    let input = json!({
        "before": step_of("family", "p"),
        "children": [child("c0", "ok"), child("c1", "wait")],
    });
    client.start_as("ParentSaga", "family", &input);
    for id in ["event", "cancelled"] {
        waits(&client, id);
    }
    step.only_runs(&client, 2, 3);
    failed.only_runs(&client, 1, 2);
    eventually("the first child is done, and the second one waits", || {
        let children = client.undo("family")["children"].as_array()?.clone();
        let effects = family.effects();
        let one = effects.len() == 3 && children.len() == 1;
        (one && client.status(children[0].as_str()?)["customStatus"] == "waiting").then_some(())
    });
    let digest = {
        let components = client.get("/admin/components").body;
        let mut components = components.as_array().unwrap().iter();
        let found = components.find(|there| there["component"] == "sagas").unwrap();
        found["digest"].as_str().unwrap().to_owned()
    };
    server.kill();

    std::fs::remove_file(sagas).unwrap();
    let mut removed = 0;
    for entry in std::fs::read_dir(site.path("data/components")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with(&digest) {
            std::fs::remove_file(entry.path()).unwrap();
            removed += 1;
        }
    }
    assert!(removed >= 2, "the component and its machine code: {removed}");
    let server = site.serve();
    let client = server.client();
    let start = client.post("/api/orchestrators/StepsSaga", &json!({ "steps": [] }));
    assert_eq!(start.status, 400, "there is no such code any more: {start:?}");
    assert_eq!(client.raise("event", "Go", &Value::Null).status, 202);
    for id in ["cancelled", "family"] {
        assert_eq!(client.cancel(id).status, 202);
    }
    cancelled.is_undone(&client, "Canceled", &all(3));
    event.is_undone(&client, "Failed", &all(3));
    step.is_undone(&client, "Failed", &all(3));
    failed.is_undone(&client, "Failed", &all(2));
    for id in ["event", "step", "failed"] {
        assert_eq!(client.status(id)["output"]["code"], "host.code-lost");
    }
    assert_eq!(client.ended("family")["sagaState"], "compensated");
    assert_eq!((family.undone().join(" "), family.effects()), ("c1 c0 p".to_owned(), vec![]));
}

#[test]
fn a_saga_whose_code_does_not_match_its_journal_is_undone_by_a_cancel() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let saga = Saga::new(&site, "other", 2).with("end", "wait").start(&server.client());
    waits(&server.client(), &saga.id);
    assert_eq!(server.terminate(), Some(0));
    site.rewrite_journals("StepDo", "StepWas");

    let server = site.serve();
    let client = server.client();
    assert_eq!(client.raise(&saga.id, "Go", &Value::Null).status, 202);
    let status = eventually("it is blocked", || {
        let status = client.status(&saga.id);
        (!status["blocked"].is_null()).then_some(status)
    });
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"]),
        (&json!("Running"), &json!("armed"))
    );
    assert_eq!(saga.effects().len(), 2, "nothing is undone before somebody says so");

    assert_eq!(client.cancel(&saga.id).status, 202);
    let status = client.ended(&saga.id);
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"]),
        (&json!("Canceled"), &json!("compensated"))
    );
    assert!(saga.effects().is_empty(), "{:?}", saga.effects());
    let undone = saga.undone();
    assert_eq!((undone.len(), undone[0] > undone[1]), (2, true), "{undone:?}");
}

#[test]
fn a_tree_is_undone_as_the_plan_said() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let family = Saga::new(&site, "family", 0);
    let child = |steps: [&str; 2]| json!({ "steps": steps.map(|step| step_of("family", step)) });
    let input = json!({
        "before": step_of("family", "p0"),
        "children": [child(["a0", "a1"]), child(["b0", "b1"])],
        "after": step_of("family", "p1"),
        "end": "wait-fail",
    });
    client.start_as("ParentSaga", "family", &input);
    waits(&client, "family");

    let plan = client.undo("family");
    assert_eq!(plan["sagaState"], "armed");
    let planned = plan["undo"].as_array().unwrap();
    let of = |key: &str| planned.iter().map(|undo| undo[key].clone()).collect::<Vec<_>>();
    let names: Vec<_> = planned.iter().map(|undo| undo["input"]["id"].clone()).collect();
    let reverse = ["p1", "b1", "b0", "a1", "a0", "p0"];
    assert_eq!(
        (names, of("stage")),
        (reverse.map(Value::from).into(), (0..6).map(Value::from).collect())
    );
    assert!(planned.iter().all(|undo| undo["state"] == "armed"), "{plan}");
    let children: Vec<_> =
        planned[1..5].iter().map(|undo| undo["of"]["instanceId"].clone()).collect();
    assert!(children[0] == children[1] && children[1] != children[2], "{children:?}");
    for child in &children {
        let status = client.status(child.as_str().unwrap());
        assert_eq!(
            (&status["runtimeStatus"], &status["sagaState"]),
            (&json!("Completed"), &json!("armed")),
            "{status}"
        );
    }
    assert_eq!(family.effects(), ["a0", "a1", "b0", "b1", "p0", "p1"]);

    assert_eq!(client.raise("family", "Go", &Value::Null).status, 202);
    let status = client.ended("family");
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"]),
        (&json!("Failed"), &json!("compensated"))
    );
    assert_eq!(family.undone(), reverse);
    assert!(family.effects().is_empty());
    let history = client.history("family");
    let done: Vec<_> = history
        .iter()
        .filter(|event| event["EventType"] == "UndoCompleted")
        .map(|event| event["Step"].clone())
        .collect();
    assert_eq!(done, of("step"), "they were named alike before");
    family.replays(&client);
}

#[test]
fn to_terminate_leaves_what_was_done_unless_it_is_to_be_undone() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let waiting = |id: &str| {
        let saga = Saga::new(&site, id, 3).with("end", "wait").start(&client);
        waits(&client, id);
        saga
    };
    let left = waiting("left");
    assert_eq!(terminate(&client, "left", "").status, 202);
    let status = client.ended("left");
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"], &status["output"]),
        (&json!("Terminated"), &json!("armed"), &json!("enough"))
    );
    assert_eq!((left.effects().len(), left.undone().len()), (3, 0));
    assert_eq!(client.undo("left")["undo"].as_array().unwrap().len(), 3, "it says what it left");

    let undone = waiting("undone");
    assert_eq!(terminate(&client, "undone", "&compensate=true").status, 202);
    undone.is_gone(&client, "Terminated", &all(3));

    for id in ["left", "undone"] {
        assert_eq!(client.cancel(id).status, 410);
        assert_eq!(terminate(&client, id, "&compensate=true").status, 410);
    }
    assert_eq!(client.cancel("nobody").status, 404);

    // One that is being undone is not left half undone.
    let held =
        Saga::new(&site, "held", 3).step(1, &json!({ "undoFault": "hang" })).with("end", "fail");
    let held = held.start(&client);
    eventually("its undo hangs", || (held.logged("undo s1 ") > 0).then_some(()));
    assert_eq!(terminate(&client, "held", "").status, 409);
    assert_eq!(client.cancel("held").status, 202, "that it is already");
    assert_eq!(client.status("held")["sagaState"], "compensating");
    assert_eq!(held.effects(), ["s0", "s1"]);
}

#[test]
fn past_its_pivot_a_saga_is_not_undone() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let past =
        Saga::new(&site, "past", 3).step(2, &json!({ "fault": "hang-once", "timeoutMs": 60_000 }));
    let past = past.with("pivot", 1).start(&client);
    eventually("it is past its pivot", || (past.logged("do s2 ") > 0).then_some(()));
    assert_eq!(client.status("past")["sagaState"], "past-pivot");
    assert_eq!(client.undo("past")["undo"], json!([]));
    for refused in [client.cancel("past"), terminate(&client, "past", "&compensate=true")] {
        assert_eq!(refused.status, 409, "{refused:?}");
    }
    assert_eq!(terminate(&client, "past", "").status, 202);
    let status = client.ended("past");
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"]),
        (&json!("Terminated"), &json!("past-pivot"))
    );
    assert_eq!((past.effects(), past.undone().len()), (vec!["s0".to_owned(), "s1".into()], 0));
    attempts_open(&client, 0);

    // What runs is the pivot: it comes to its end first, and that counts.
    let during = |id: &str, more: Value| {
        let saga = Saga::new(&site, id, 3).step(1, &more).with("pivot", 1).start(&client);
        eventually(&format!("the pivot of {id} runs"), || {
            (saga.logged("do s1 ") > 0).then_some(())
        });
        assert_eq!(client.cancel(id).status, 202);
        saga
    };
    let passed = during("passed", json!({ "holdMs": 2_000 }));
    // Where nobody knows whether it is passed, that is found out.
    let unknown = during("unknown", json!({ "fault": "hang-once", "timeoutMs": 2_000 }));
    passed.is_committed(&client);
    unknown.is_committed(&client);
    assert_eq!(
        attempts(&client.history("unknown"), "Task", 1),
        ["Failed: timeout", "Completed"],
        "its call allows one attempt only"
    );
}

#[test]
fn a_deadline_undoes_what_was_done_and_ends_what_runs() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let start = |saga: Saga, seconds: u32| {
        let path = format!("/api/orchestrators/StepsSaga/{}?deadline={seconds}", saga.id);
        assert_eq!(client.post(&path, &saga.input()).status, 202);
        saga
    };
    let waiting = start(Saga::new(&site, "waiting", 2).with("end", "wait"), 4);
    let hanging = Saga::new(&site, "hanging", 2).step(1, &json!({ "fault": "hang-after" }));
    let hanging = start(hanging, 4);
    let quick = start(Saga::new(&site, "quick", 2), 60);
    waiting.is_gone(&client, "Failed", &all(2));
    hanging.is_gone(&client, "Failed", &[(1, "unknown"), (0, "completed")]);
    for id in ["waiting", "hanging"] {
        assert_eq!(client.status(id)["output"]["code"], "host.deadline");
    }
    quick.is_committed(&client);
    attempts_open(&client, 0);
}

#[test]
fn to_cancel_a_parent_cancels_its_children() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let family = Saga::new(&site, "family", 0);
    let step = |name: &str| step_of("family", name);
    let mut hanging = step("b1");
    merge(&mut hanging, &json!({ "fault": "hang-after" }));
    let input = json!({
        "before": step("p"),
        "children": [
            { "steps": [step("a0")], "end": "wait" },
            { "steps": [step("b0"), hanging] },
            { "steps": [step("c0")] },
        ],
        "parallel": true,
    });
    client.start_as("ParentSaga", "family", &input);
    let children = eventually("two of the children are at work", || {
        let undo = client.undo("family");
        let children = undo["children"].as_array()?.clone();
        (family.effects().len() == 5 && children.len() == 2).then_some(children)
    });
    assert_eq!(client.cancel("family").status, 202);
    let status = client.ended("family");
    assert_eq!(
        (&status["runtimeStatus"], &status["sagaState"], &status["output"]),
        (&json!("Canceled"), &json!("compensated"), &json!("no more"))
    );
    assert!(family.effects().is_empty());
    assert_eq!(family.undone(), ["c0", "b1", "b0", "a0", "p"]);
    for child in children {
        assert_eq!(client.ended(child.as_str().unwrap())["runtimeStatus"], "Canceled");
    }
    attempts_open(&client, 0);
}

#[test]
fn a_cancel_that_was_acknowledged_holds_whatever_becomes_of_the_host() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let waiting = Saga::new(&site, "waiting", 6).with("end", "wait").start(&client);
    let hanging = Saga::new(&site, "hanging", 3).step(2, &json!({ "fault": "hang-after" }));
    let hanging = hanging.start(&client);
    waits(&client, "waiting");
    eventually("it hangs", || (hanging.effects().len() == 3).then_some(()));
    for id in ["waiting", "hanging"] {
        assert_eq!(client.cancel(id).status, 202);
    }
    server.kill();
    let server = site.serve();
    let client = server.client();
    for (saga, steps) in [(waiting, 6), (hanging, 3)] {
        let status = client.ended(&saga.id);
        assert_eq!(
            (&status["runtimeStatus"], &status["sagaState"]),
            (&json!("Canceled"), &json!("compensated"))
        );
        assert!(saga.effects().is_empty());
        // The kill may have hit an undo after its last word.
        let mut undone = saga.undone();
        undone.dedup();
        let names: Vec<_> = (0..steps).rev().map(|step| format!("s{step}")).collect();
        assert_eq!(undone, names);
        saga.undo_is_a_fence();
        saga.replays(&client);
    }
}

#[test]
fn a_suspended_saga_is_undone_all_the_same() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let saga = Saga::new(&site, "lunch", 2).with("end", "wait").start(&client);
    waits(&client, &saga.id);
    let instance = format!("{BASE}/instances/{}", saga.id);
    let suspend = format!("{instance}/suspend?reason=lunch");
    assert_eq!(client.try_send("POST", &suspend, &[], None).unwrap().status, 202);
    assert_eq!(client.status(&saga.id)["runtimeStatus"], "Suspended");
    assert_eq!(client.raise(&saga.id, "Go", &Value::Null).status, 202);
    server.kill();

    let server = site.serve();
    let client = server.client();
    assert_eq!(client.status(&saga.id)["runtimeStatus"], "Suspended");
    assert_eq!(client.cancel(&saga.id).status, 202);
    client.ended(&saga.id);
    saga.is_undone(&client, "Canceled", &all(2));
}
