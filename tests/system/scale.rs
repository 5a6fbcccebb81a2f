//! Many of everything.

use serde_json::{Value, json};

use crate::support::*;

/// The most memory the process ever had, in MiB.
fn peak_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn ten_thousand_activities_of_one_orchestration_complete_and_replay() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    let client = server.client();
    let id = client.start("FanOut", &json!({ "count": 10_000 }));
    let status = client.ended(&id);
    assert_eq!(status["output"], (1..=10_000_i64).map(|n| n * n).sum::<i64>(), "{status}");
    assert_eq!(server.terminate(), Some(0));
    let server = site.serve();
    let replay = server.client().get(&format!("/api/instances/{id}/replay"));
    assert_eq!((replay.status, &replay.body["ended"]), (200, &json!(true)), "{replay:?}");
}

#[test]
fn a_fan_out_that_is_killed_half_way_goes_on() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    let client = server.client();
    let id = client.start("FanOut", &json!({ "count": 3_000 }));
    eventually("some activities are done", || {
        (client.stats()["attempts"].as_u64() > Some(500)).then_some(())
    });
    server.kill();
    let server = site.serve();
    let status = server.client().ended(&id);
    assert_eq!(status["output"], (1..=3_000_i64).map(|n| n * n).sum::<i64>(), "{status}");
}

#[test]
fn ten_thousand_that_wait_stay_within_their_memory_and_all_complete() {
    const WAITING: usize = 10_000;
    const CLIENTS: usize = 8;
    let mut site = Site::new(&["test_guests"]);
    site.arguments = vec!["--memory-budget".into(), "256MiB".into()];
    let server = site.serve();
    let input = json!({ "names": ["Go"] });
    let each = |work: &(dyn Fn(&Client, usize) + Sync)| {
        std::thread::scope(|scope| {
            for thread in 0..CLIENTS {
                let client = server.client();
                scope.spawn(move || {
                    (thread..WAITING).step_by(CLIENTS).for_each(|n| work(&client, n))
                });
            }
        });
    };
    each(&|client, n| client.start_as("TestWaitEvents", &format!("waiting-{n}"), &input));
    let stats = server.client().stats();
    assert!(stats["evictions"].as_u64() > Some(0), "more than fit: {stats}");
    each(&|client, n| {
        assert_eq!(client.raise(&format!("waiting-{n}"), "Go", &json!(n)).status, 202);
    });
    eventually("all complete", || (server.client().stats()["completed"] == WAITING).then_some(()));
    for n in (0..WAITING).step_by(997) {
        let status = server.client().status(&format!("waiting-{n}"));
        assert_eq!(status["output"], json!([n]), "{status}");
    }
    let peak = peak_memory(&server);
    eprintln!("{WAITING} waiting orchestrations: at most {peak} MiB, {}", server.client().stats());
    assert!(peak <= 512, "{peak} MiB");
}

#[test]
fn a_saga_of_two_activities_takes_two_appends() {
    const SAGAS: u64 = 200;
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = server.client();
            scope.spawn(move || {
                for n in 0..SAGAS / 8 {
                    let id = format!("s{thread}-{n}");
                    let path = "/runtime/webhooks/durabletask/orchestrators/OrderSaga?timeout=60&pollingInterval=1";
                    let answer = client.post(path, &order(&id, "print", 1, 100));
                    assert_eq!((answer.status, &answer.body), (200, &Value::Bool(true)), "{answer:?}");
                }
            });
        }
    });
    let stats = server.client().stats();
    assert_eq!(stats["completed"], SAGAS);
    let (appends, commits) =
        (stats["appends"].as_u64().unwrap(), stats["commits"].as_u64().unwrap());
    // Two, but where the machine took a rest between the ends of a saga's two
    // activities: then the first was stored by itself.
    assert!((2 * SAGAS..=2 * SAGAS + SAGAS / 5).contains(&appends), "{stats}");
    assert!(commits <= appends, "{stats}");
}
