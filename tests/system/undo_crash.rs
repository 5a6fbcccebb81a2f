//! Sagas with faults in their steps and undos are cancelled and the host is
//! killed at random moments. Each of them is done as a whole or gone as a
//! whole.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use serde_json::{Value, json};

use crate::steps::*;
use crate::support::*;

const KILLS: usize = 8;
const SAGAS: usize = 80;
const CLIENTS: usize = 6;

/// A saga of some steps, perhaps with faults.
fn saga(site: &Site, n: usize, random: &mut Random) -> Saga {
    let steps = 2 + random.below(4) as usize;
    let mut saga = Saga::new(site, &format!("saga-{n}"), steps);
    for step in 0..steps {
        saga = saga.step(step, &json!({ "holdMs": random.below(60) }));
    }
    let faults = [
        json!({ "fault": "fail" }),
        json!({ "fault": "trap" }),
        json!({ "fault": "trap-after" }),
        json!({ "fault": "hang-after", "timeoutMs": 200 }),
        json!({ "fault": "hang-once", "timeoutMs": 200, "attempts": 3 }),
        json!({ "fault": "flaky", "attempts": 3 }),
    ];
    if random.below(2) == 0 {
        let fault = &faults[random.below(faults.len() as u64) as usize];
        saga = saga.step(random.below(steps as u64) as usize, fault);
    }
    let faults = ["fail-once", "trap-once", "hang-once", "hang-after-once"];
    for step in 0..steps {
        if random.below(3) == 0 {
            let fault = faults[random.below(faults.len() as u64) as usize];
            saga = saga.step(step, &json!({ "undoFault": fault }));
        }
    }
    let end = ["ok", "ok", "fail", "trap", "wait"][random.below(5) as usize];
    saga.with("end", end)
        .with("parallel", random.below(2) == 0)
        .with("undoInParallel", random.below(4) == 0)
}

/// Sends until it is answered, by whichever host is up.
fn answered(
    url: &RwLock<String>,
    what: &str,
    mut send: impl FnMut(&Client) -> Option<Answer>,
) -> Answer {
    eventually(what, || {
        let client = Client::new(&url.read().unwrap());
        send(&client).filter(|answer| answer.status != 503)
    })
}

/// Starts it, as it is or as the child of another one; both may have happened
/// without our knowing.
fn start(url: &RwLock<String>, saga: &Saga, as_child: bool) {
    let (name, input) = match as_child {
        true => ("ParentSaga", json!({ "children": [saga.input()] })),
        false => ("StepsSaga", saga.input()),
    };
    let path = format!("/api/orchestrators/{name}/{}", saga.id);
    let status = format!("/api/instances/{}/undo", saga.id);
    let mut tried = false;
    answered(url, "a start is acknowledged", |client| {
        if tried {
            // One that has ended would be started anew.
            let known = client.try_send("GET", &status, &[], None).ok()?;
            if known.status != 404 {
                return Some(known);
            }
        }
        tried = true;
        client.try_post(&path, &input).ok()
    });
}

#[test]
fn sagas_of_a_host_that_is_killed_are_done_as_a_whole_or_gone_as_a_whole() {
    let seed = seed();
    let mut random = Random(seed);
    let site = Arc::new(Site::new(&["test_guests"]));
    // So that an undo that hangs is tried again soon.
    site.manifest("[[functions]]\nnames = [\"StepUndo\"]\ntimeout = \"1s\"\n");
    let mut server = site.serve();
    let url = Arc::new(RwLock::new(server.url.clone()));
    let (next, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let started = Arc::new(Mutex::new(Vec::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (site, url, next) = (site.clone(), url.clone(), next.clone());
            let (over, started) = (over.clone(), started.clone());
            std::thread::spawn(move || {
                // Goes on for as long as the host is killed, so that every
                // kill hits work.
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= SAGAS && over.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut random = Random(seed ^ (n as u64).wrapping_mul(0x1_0001));
                    let saga = saga(&site, n, &mut random);
                    start(&url, &saga, n % 5 == 0);
                    // Those that wait have to be cancelled, and some others are.
                    let waits = saga.input()["end"] == "wait";
                    if waits || random.below(3) == 0 {
                        std::thread::sleep(Duration::from_millis(random.below(150)));
                        let path = format!("/api/instances/{}/cancel", saga.id);
                        let answer = answered(&url, "a cancel is acknowledged", |client| {
                            client.try_post(&path, &json!({})).ok()
                        });
                        assert!(matches!(answer.status, 202 | 410), "{answer:?}");
                    }
                    started.lock().unwrap().push(saga);
                }
            })
        })
        .collect();
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(50 + random.below(500)));
        server.kill();
        server = site.serve();
        *url.write().unwrap() = server.url.clone();
    }
    over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }

    let client = server.client();
    let sagas = started.lock().unwrap();
    assert!(sagas.len() >= SAGAS, "{} sagas", sagas.len());
    let (mut committed, mut lost, mut lost_undos) = (0, 0, 0);
    for saga in sagas.iter() {
        let status = client.ended(&saga.id);
        let history = histories(&client, saga);
        if status["runtimeStatus"] == "Completed" {
            saga.is_committed(&client);
            committed += 1;
        } else {
            is_gone(saga, &status, &history);
            saga.undo_is_a_fence();
            saga.replays(&client);
        }
        let count = |kind: &str| {
            let of_kind =
                |(of, event): &&(String, Value)| *of == saga.id && event["EventType"] == kind;
            history.iter().filter(of_kind).count()
        };
        assert_eq!((count("ExecutionStarted"), count("ExecutionCompleted")), (1, 1), "{}", saga.id);
        for (_, event) in &history {
            let was_lost = event["Attempts"].to_string().contains("\"Lost\"");
            let undo = event["EventType"] == "UndoCompleted";
            lost_undos += usize::from(was_lost && undo);
            lost += usize::from(was_lost && !undo);
        }
    }
    eprintln!(
        "{} sagas, {committed} of them committed; {KILLS} kills, {lost} steps and {lost_undos} undos cut off",
        sagas.len()
    );
    assert!(committed > 0 && committed < sagas.len(), "both ends are seen");
    attempts_open(&client, 0);
    assert_eq!(server.terminate(), Some(0));
}

/// Its history, and its child's where it has one: the events, each with the
/// instance they are of.
fn histories(client: &Client, saga: &Saga) -> Vec<(String, Value)> {
    let own = client.history(&saga.id);
    let mut children = own.iter().filter_map(|event| event["InstanceId"].as_str());
    let child = children.next().map(|child| {
        let replay = client.get(&format!("/api/instances/{child}/replay"));
        assert_eq!(replay.status, 200, "{child}: {replay:?}");
        (child.to_owned(), client.history(child))
    });
    let all = [(saga.id.clone(), own.clone())].into_iter().chain(child);
    all.flat_map(|(id, history)| history.into_iter().map(move |event| (id.clone(), event)))
        .collect()
}

/// Nothing of it is left, and what was undone was undone once.
fn is_gone(saga: &Saga, status: &Value, history: &[(String, Value)]) {
    let (id, log) = (&saga.id, saga.log());
    assert!(matches!(status["runtimeStatus"].as_str(), Some("Failed" | "Canceled")), "{status}");
    // A child that failed has undone all there was, and left nothing to its
    // parent.
    assert!(matches!(status["sagaState"].as_str(), Some("compensated" | "none")), "{status}");
    assert!(saga.effects().is_empty(), "{id}: {:?}: {log:?}", saga.effects());
    let undone: Vec<_> =
        history.iter().filter(|(_, event)| event["EventType"] == "UndoCompleted").collect();
    let names: BTreeSet<_> =
        undone.iter().map(|(instance, event)| (instance, event["Step"].to_string())).collect();
    assert_eq!(names.len(), undone.len(), "{id}: no undo is done twice: {history:?}");

    let words: Vec<Vec<&str>> = log.iter().map(|line| line.split(' ').collect()).collect();
    let finished: Vec<_> = words.iter().filter(|line| line[0] == "undone").collect();
    let steps: BTreeSet<_> = finished.iter().map(|line| line[1]).collect();
    assert_eq!(steps.len(), undone.len(), "{id}: {log:?}: {history:?}");
    // An attempt that was cut off after its last word says it again.
    let again: usize = undone
        .iter()
        .filter_map(|(_, event)| event["Attempts"].as_array())
        .map(|attempts| attempts.len() - 1)
        .sum();
    assert!(finished.len() <= steps.len() + again, "{id}: {log:?}: {history:?}");

    // Whatever was cut off, and even before its first word: a step has one
    // key, and its undo that of the step.
    let begun: Vec<_> = words.iter().filter(|line| line[0] == "undo").collect();
    for step in &saga.steps {
        let of_step = |line: &&Vec<&str>| step["id"] == line[1];
        let done = words.iter().filter(|line| line[0] == "do").filter(of_step);
        let mut keys: BTreeSet<_> = done.map(|line| line[2].to_owned()).collect();
        for line in words.iter().filter(|line| line[0] == "undo").filter(of_step) {
            let key = line[4].trim_start_matches("forward=");
            assert_eq!(line[3], format!("key={key}-undo"), "{id}: {log:?}");
            keys.insert(key.to_owned());
        }
        assert!(keys.len() <= 1, "{id}: {log:?}");
    }
    if saga.input()["undoInParallel"] == false {
        let order: Vec<_> = begun.iter().map(|line| line[1]).collect();
        assert!(order.is_sorted_by(|a, b| a >= b), "{id}: {log:?}");
    }
}
