//! Retention: what has ended is purged when it is old enough, and only then.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::*;

fn ids(client: &Client) -> Vec<String> {
    let rows = client.get("/runtime/webhooks/durabletask/instances").body;
    let id = |row: &Value| row["instanceId"].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(id).collect()
}

#[test]
fn what_has_ended_is_purged_after_its_time_and_nothing_else_is() {
    let site = Site::new(&["test_guests", "guest_orchestrator"]);
    site.manifest("[retention]\ncompleted = \"1s\"\n");
    let server = site.serve();
    let client = server.client();
    client.start_as("Reminder", "waits", &json!({ "seconds": 1000, "message": "" }));
    let fails = json!({ "activity": "TestFlaky", "input": { "failures": 9 } });
    client.start_as("TestCallOne", "fails", &fails);
    // More than one batch.
    for n in 0..250 {
        client.start("TestOrchEcho", &json!(n));
    }
    eventually("all that completed are purged", || (ids(&client).len() == 2).then_some(()));
    assert_eq!(client.ended("fails")["runtimeStatus"], "Failed");
    let mut left = ids(&client);
    left.sort();
    assert_eq!(left, ["fails", "waits"]);
    assert_eq!(client.stats()["purged"], 250);
    assert!(server.output().contains("are purged"), "{}", server.output());
    let database = rusqlite::Connection::open(site.path("data/sagahost.db")).unwrap();
    let chunks = "SELECT count(DISTINCT key >> 24) FROM journal";
    let journals: i64 = database.query_row(chunks, [], |row| row.get(0)).unwrap();
    assert_eq!(journals, 2, "their journals are gone, too");
}

#[test]
fn each_way_to_end_has_a_time_of_its_own() {
    let site = Site::new(&["test_guests", "guest_orchestrator"]);
    site.manifest("[retention]\ncompleted = \"7d\"\nfailed = \"30d\"\nterminated = \"1d\"\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
    command.args(["dev", "--no-build", "--listen", "127.0.0.1:0", "--data"]).arg(site.path("data"));
    command.arg("--functions").arg(site.path("functions"));
    command.arg("--config").arg(site.path("sagahost.toml"));
    let server = Server::start(command);
    let client = server.client();
    client.start_as("TestOrchEcho", "completes", &json!(1));
    let fails = json!({ "activity": "TestFlaky", "input": { "failures": 9 } });
    client.start_as("TestCallOne", "fails", &fails);
    for id in ["ended", "cancelled"] {
        client.start_as("Reminder", id, &json!({ "seconds": 100_000_000, "message": "" }));
    }
    let path = "/runtime/webhooks/durabletask/instances/ended/terminate?reason=no";
    assert_eq!(client.try_send("POST", path, &[], None).unwrap().status, 202);
    assert_eq!(client.cancel("cancelled").status, 202);
    for id in ["completes", "fails", "ended", "cancelled"] {
        client.ended(id);
    }
    let all = ["cancelled", "completes", "ended", "fails"];
    let mut left: Vec<String> = ids(&client);
    left.sort();
    assert_eq!(left, all);
    for (days, gone) in [(2, "ended"), (6, "completes"), (23, "fails")] {
        let by = format!("/admin/clock/skip?by={}", days * 86_400);
        assert_eq!(client.try_send("POST", &by, &[], None).unwrap().status, 200);
        let before = ids(&client).len();
        eventually(gone, || (!ids(&client).contains(&gone.to_owned())).then_some(()));
        assert!(before - ids(&client).len() <= 1, "{gone} goes alone");
    }
    assert_eq!(ids(&client), ["cancelled"], "what is not named is kept");
    assert_eq!(client.stats()["purged"], 3);
}
