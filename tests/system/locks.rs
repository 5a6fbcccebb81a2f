//! Orchestrations that lock entities, on a real host.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::*;

const ENTITIES: &str = "/runtime/webhooks/durabletask/entities";
const INSTANCES: &str = "/runtime/webhooks/durabletask/instances";
const OPENING: i64 = 1_000;

fn account(client: &Client, key: &str) -> Value {
    let answer = client.get(&format!("{ENTITIES}/Account/{key}"));
    assert_eq!(answer.status, 200, "{key}: {answer:?}");
    answer.body
}

/// Accounts with something in them.
fn open(client: &Client, keys: &[String]) {
    for key in keys {
        let answer = client.post(&format!("{ENTITIES}/Account/{key}?op=add"), &json!(OPENING));
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    for key in keys {
        eventually("it is open", || {
            let answer = client.get(&format!("{ENTITIES}/Account/{key}"));
            (answer.body["balance"] == OPENING).then_some(())
        });
    }
}

fn balance(client: &Client, key: &str) -> i64 {
    account(client, key)["balance"].as_i64().expect("a number")
}

#[test]
fn a_hundred_sagas_that_lock_two_of_ten_entities_each_lose_no_update() {
    let seed = seed();
    let mut random = Random(seed);
    let site = Site::new(&["test_guests"]);
    let mut server = site.serve();
    let keys: Vec<_> = (0..10).map(|n| format!("a{n}")).collect();
    open(&server.client(), &keys);
    let mut expected: BTreeMap<String, i64> = keys.iter().map(|k| (k.clone(), OPENING)).collect();
    let mut ids = Vec::new();
    for n in 0..100 {
        let from = random.below(10) as usize;
        let to = (from + 1 + random.below(9) as usize) % 10;
        let amount = 1 + random.below(50) as i64;
        let fail = n % 10 == 9;
        let (from, to) = (&keys[from], &keys[to]);
        let input = json!({ "from": from, "to": to, "amount": amount, "ms": random.below(40), "fail": fail });
        let id = format!("transfer-{n}");
        server.client().start_as("Transfer", &id, &input);
        if !fail {
            *expected.entry(from.clone()).or_default() -= amount;
            *expected.entry(to.clone()).or_default() += amount;
        }
        ids.push((id, fail));
        if n == 40 || n == 80 {
            server.kill();
            server = site.serve();
        }
    }
    let client = server.client();
    for (id, fail) in &ids {
        let status = client.ended(id);
        let ended = if *fail { "Failed" } else { "Completed" };
        assert_eq!(status["runtimeStatus"], ended, "{status}");
    }
    for (key, expected) in expected {
        assert_eq!(balance(&client, &key), expected, "{key}, seed {seed}");
    }
}

#[test]
fn who_asks_first_is_served_first() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let keys: Vec<_> = ["hot", "cold"].map(str::to_owned).into();
    open(&client, &keys);
    // All want the same two; the first keeps the others waiting.
    let transfer = |n: u32, ms: u32| {
        let input = json!({ "from": "hot", "to": "cold", "amount": 1 << n, "ms": ms });
        client.start_as("Transfer", &format!("fair-{n}"), &input);
    };
    transfer(0, 1_500);
    (1..=8).for_each(|n| transfer(n, 5));
    (0..=8).for_each(|n| drop(client.ended(&format!("fair-{n}"))));
    let log = account(&client, "hot")["log"].clone();
    let balances: Vec<i64> = log
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(|line| line.as_str()?.strip_prefix("set ")?.parse().ok())
        .collect();
    let expected: Vec<_> = (0..=8).map(|n| OPENING - ((1 << (n + 1)) - 1)).collect();
    assert_eq!(balances, expected);
}

#[test]
fn a_saga_that_has_locked_one_entity_cannot_call_another() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let status = client.run("CallsUnlocked", &json!({ "held": "a", "other": "b" }));
    assert_eq!(status["output"], json!("host.locks-held"), "{status}");
    // It has let go of what it had.
    let input = json!({ "from": "a", "to": "b", "amount": 5 });
    let status = client.run("Transfer", &input);
    assert_eq!(status["output"], json!([-5, 5]), "{status}");
}

#[test]
fn who_is_terminated_or_cancelled_lets_go() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let input = json!({ "from": "a", "to": "b", "amount": 5, "ms": 3_600_000 });
    for end in ["terminate", "cancel"] {
        client.start_as("Transfer", "holds", &input);
        client.start_as("Transfer", "waits", &json!({ "from": "b", "to": "a", "amount": 1 }));
        eventually("it has both", || {
            let granted = |event: &&Value| event["EventType"] == "EntityLockGranted";
            (client.history("holds").iter().filter(granted).count() == 2).then_some(())
        });
        assert_eq!(client.status("waits")["runtimeStatus"], "Running");
        match end {
            "cancel" => assert_eq!(client.cancel("holds").status, 202),
            end => {
                let answer =
                    client.post(&format!("{INSTANCES}/holds/{end}?reason=x"), &Value::Null);
                assert_eq!(answer.status, 202, "{answer:?}");
            }
        }
        assert_eq!(client.ended("waits")["runtimeStatus"], "Completed");
    }
}
