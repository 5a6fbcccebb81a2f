//! Steps that run before they are stored, on a host that is killed: nobody can
//! tell.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

const KILLS: usize = 8;
const CHAINS: usize = 12;
const STEPS: usize = 25;

const MANAGED: &str = "/runtime/webhooks/durabletask";

#[test]
fn chains_that_run_ahead_of_their_journal_survive_any_crash() {
    let mut random = Random(seed());
    let site = Site::new(&["test_guests"]);
    let mut server = site.serve();
    // Each with whether its start was acknowledged.
    let mut chains = Vec::new();
    for kill in 0..KILLS {
        let input =
            json!({ "activity": "TestSleep", "count": STEPS, "input": { "ms": random.below(6) } });
        let asked: Vec<_> = (0..CHAINS)
            .map(|n| {
                let (client, input) = (server.client(), input.clone());
                let id = format!("chain-{kill}-{n}");
                // Half of them wait for the end, and may be stored at their end only.
                let wait = if n % 2 == 0 { "?timeout=30&pollingInterval=1" } else { "" };
                let path = format!("{MANAGED}/orchestrators/TestSequence/{id}{wait}");
                std::thread::spawn(move || {
                    let answer = client.try_post(&path, &input);
                    (id, answer.is_ok_and(|answer| matches!(answer.status, 200 | 202)))
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(random.below(250)));
        server.kill();
        chains.extend(asked.into_iter().map(|asked| asked.join().expect("it was asked")));
        server = site.serve();
    }
    let client = server.client();
    let (mut acknowledged, mut all) = (0, 0);
    for (id, was_acknowledged) in &chains {
        let known = client.get(&format!("{MANAGED}/instances/{id}")).status != 404;
        assert!(known || !was_acknowledged, "{id} is lost");
        acknowledged += usize::from(*was_acknowledged);
        if !known {
            continue;
        }
        all += 1;
        let status = client.ended(id);
        assert_eq!(status["runtimeStatus"], "Completed", "{status}");
        let replay = client.get(&format!("/api/instances/{id}/replay"));
        assert_eq!((replay.status, &replay.body["ended"]), (200, &json!(true)), "{replay:?}");
        let history = client.history(id);
        let completed = history.iter().filter(|event| event["EventType"] == "TaskCompleted");
        assert_eq!(completed.count(), STEPS, "{id}: {history:?}");
    }
    println!("{} chains, {all} are there, {acknowledged} were acknowledged", chains.len());
    assert!(acknowledged > 0);
}

#[test]
fn what_runs_ahead_is_shown_once_it_is_stored_and_is_said_of_each_function() {
    let site = Site::new(&["guest_activities", "test_guests"]);
    let server = site.serve();
    let client = server.client();
    let call = json!({ "activity": "TestPrint", "input": { "stderr": "seen-in-the-log\n" } });
    for _ in 0..3 {
        assert_eq!(client.run("TestCallOne", &call)["runtimeStatus"], "Completed");
    }
    eventually("it is in the log", || {
        (server.output().matches("seen-in-the-log").count() == 3).then_some(())
    });
    assert_eq!(client.stats()["ahead"], 3, "{}", client.stats());
    let functions = client.get("/api/functions").body;
    let runs_ahead = |name: &str| {
        let all = functions.as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap()["runsAhead"].clone()
    };
    assert_eq!(runs_ahead("TestPrint"), true);
    assert_eq!(runs_ahead("OrderActivity"), false);
    assert_eq!(runs_ahead("TestCallOne"), Value::Null);
    drop(server);

    site.manifest("[host]\nrun-ahead = false\n");
    let server = site.serve();
    let client = server.client();
    assert_eq!(client.run("TestCallOne", &call)["runtimeStatus"], "Completed");
    assert_eq!(client.stats()["ahead"], 0, "{}", client.stats());
}
