//! What orchestrations send to each other: starts that nobody waits for, and
//! events.

use serde_json::{Value, json};

use crate::support::*;

const INSTANCES: &str = "/runtime/webhooks/durabletask/instances";

/// The reasons why something that an instance sent never arrives.
fn undelivered(client: &Client, id: &str) -> Vec<String> {
    let failed = |event: &Value| event["EventType"] == "DeliveryFailed";
    let reason = |event: Value| event["Reason"].as_str().unwrap().to_owned();
    client.history(id).into_iter().filter(failed).map(reason).collect()
}

/// The status of an instance at its end. Who sent its start did not wait for
/// it to begin.
fn ended(client: &Client, id: &str) -> Value {
    eventually("it has begun", || {
        (client.get(&format!("{INSTANCES}/{id}")).status != 404).then_some(())
    });
    client.ended(id)
}

#[test]
fn an_orchestration_that_nobody_waits_for_begins_as_its_start_says() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let input = json!({
        "name": "Versioned", "input": null, "id": "told", "version": "2.1",
        "tags": { "region": "north" },
    });
    let status = client.run("Detacher", &input);
    assert_eq!(status["output"], json!("told"), "{status}");
    let told = ended(&client, "told");
    assert_eq!(told["output"], json!({ "version": "2.1", "tags": { "region": "north" } }));
    assert_eq!(told["tags"], json!({ "region": "north" }));

    // Without an id one is derived, and is the same in each replay.
    let status = client.run("Detacher", &json!({ "input": { "number": 7 } }));
    let derived = status["output"].as_str().expect("an id");
    assert_eq!(ended(&client, derived)["output"], json!(7));

    let status =
        client.run("Detacher", &json!({ "input": {}, "id": "later", "startAfterMs": 700 }));
    assert_eq!(status["runtimeStatus"], "Completed");
    assert_eq!(ended(&client, "later")["runtimeStatus"], "Completed");
}

#[test]
fn what_can_never_arrive_is_said_in_the_history() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    client.start_as("Leaf", "taken", &json!({ "wait": true }));
    for (input, reason) in [
        (json!({ "input": {}, "id": "taken" }), "taken by another instance"),
        (json!({ "name": "Nobody", "input": {} }), "no orchestrator 'Nobody' is deployed"),
        (json!({ "input": {}, "id": "a/b" }), "is not allowed"),
        (json!({ "input": { "number": "x" } }), "number"),
    ] {
        let id = client.start("Detacher", &input);
        assert_eq!(client.ended(&id)["runtimeStatus"], "Completed");
        let reasons = eventually("it is said", || {
            let reasons = undelivered(&client, &id);
            (!reasons.is_empty()).then_some(reasons)
        });
        assert!(reasons.len() == 1 && reasons[0].contains(reason), "{input}: {reasons:?}");
    }
    let ended = client.start("Leaf", &json!({}));
    client.ended(&ended);
    for (to, reason) in [(ended.as_str(), "has already ended"), ("nobody", "no instance")] {
        let event = json!({ "instance": to, "name": "E", "value": 1 });
        let id = client.start("Detacher", &json!({ "input": {}, "event": event }));
        client.ended(&id);
        let reasons = eventually("it is said", || {
            let reasons = undelivered(&client, &id);
            (!reasons.is_empty()).then_some(reasons)
        });
        assert!(reasons.len() == 1 && reasons[0].contains(reason), "{to}: {reasons:?}");
        // Once that is known there is nothing that keeps it.
        assert_eq!(client.delete(&format!("{INSTANCES}/{id}")).status, 200);
    }
}

#[test]
fn an_event_reaches_the_orchestration_that_was_started_right_before() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    for n in 0..30 {
        let id = format!("new-{n}");
        let collect = json!({ "rounds": 1, "perRound": 1 });
        let event = json!({ "instance": id, "name": "E", "value": n });
        let input = json!({ "name": "CollectEvents", "input": collect, "id": id, "event": event });
        client.run("Detacher", &input);
        assert_eq!(ended(&client, &id)["output"]["last"], json!(n));
    }
}

#[test]
fn events_between_instances_arrive_once_and_in_order_over_crashes() {
    let site = Site::new(&["test_guests"]);
    let mut server = site.serve();
    let client = server.client();
    let (collectors, rounds, each) = (10u32, 20u32, 5u32);
    let ids: Vec<_> = (0..collectors).map(|n| format!("collector-{n}")).collect();
    for id in &ids {
        let input = json!({ "rounds": rounds, "perRound": each });
        client.start_as("CollectEvents", id, &input);
    }
    let input = json!({ "to": ids, "rounds": rounds, "perRound": each, "ms": 20 });
    client.start_as("Teller", "teller", &input);
    for kill in 1..=4 {
        let client = server.client();
        eventually("it sends some more", || {
            let left = client.status("teller")["input"]["rounds"].as_u64()?;
            (left <= u64::from(rounds - kill * 3)).then_some(())
        });
        server.kill();
        server = site.serve();
    }
    let client = server.client();
    assert_eq!(client.ended("teller")["output"], json!(rounds * each));
    for id in &ids {
        let all = rounds * each;
        let expected = json!({ "count": all, "last": all - 1, "inOrder": true });
        assert_eq!(client.ended(id)["output"], expected, "{id}");
    }
}
