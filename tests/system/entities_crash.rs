//! Entities on a host that is killed: what was acknowledged is done, and once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use serde_json::json;

use crate::entities::{ENTITIES, signal, state};
use crate::support::*;

const KILLS: usize = 6;
const ACCOUNTS: u64 = 4;
const CLIENTS: usize = 6;

/// Each client sends other numbers, so that the log of an account tells which
/// of them were added, and how often.
#[test]
fn a_host_that_is_killed_does_what_it_was_told_once() {
    let mut random = Random(seed());
    let site = Site::new(&["test_guests"]);
    let url = Arc::new(RwLock::new(String::new()));
    let (next, over) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let (taken, unknown) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let mut server = site.serve();
    *url.write().unwrap() = server.url.clone();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (url, next, over) = (url.clone(), next.clone(), over.clone());
            let (taken, unknown) = (taken.clone(), unknown.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let client = Client::new(&url.read().unwrap());
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let path = format!("{ENTITIES}/Account/{}?op=add", n % ACCOUNTS);
                    match client.try_post(&path, &json!(n)) {
                        Ok(answer) if answer.status == 202 => taken.lock().unwrap().push(n),
                        Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
                        // It may have been taken, and the answer was lost.
                        Err(_) => unknown.lock().unwrap().push(n),
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            })
        })
        .collect();
    for kill in 0..KILLS {
        std::thread::sleep(Duration::from_millis(50 + random.below(400)));
        if kill % 3 == 2 {
            assert_eq!(server.terminate(), Some(0));
        } else {
            server.kill();
        }
        server = site.serve();
        *url.write().unwrap() = server.url.clone();
    }
    over.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());

    let client = server.client();
    let (taken, unknown) = (taken.lock().unwrap().clone(), unknown.lock().unwrap().clone());
    assert!(taken.len() > 20, "only {} were taken", taken.len());
    for account in 0..ACCOUNTS {
        let of = |all: &[u64]| all.iter().copied().filter(|n| n % ACCOUNTS == account).collect();
        let (taken, unknown): (Vec<u64>, Vec<u64>) = (of(&taken), of(&unknown));
        // What comes last is done last.
        let name = format!("Account/{account}");
        signal(&client, &name, "add", &json!(0));
        let state = eventually("all is done", || {
            let state = state(&client, &name)?;
            let log = state["log"].as_array().unwrap();
            (log.last() == Some(&json!("add 0"))).then(|| state.clone())
        });
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        let (mut sum, log) = (0, state["log"].as_array().unwrap());
        for line in log {
            let n: u64 = line.as_str().unwrap().strip_prefix("add ").unwrap().parse().unwrap();
            *times.entry(n).or_default() += 1;
            sum += n;
        }
        assert!(log.len() < 1_000, "an account remembers no more");
        assert_eq!(state["balance"], sum, "{name}");
        assert!(times.values().all(|times| *times == 1), "{name}: {times:?}");
        for n in &taken {
            assert!(times.contains_key(n), "{name} was told {n} and did not do it: {times:?}");
        }
        for n in times.keys().filter(|n| **n > 0) {
            assert!(taken.contains(n) || unknown.contains(n), "{name}: nobody said {n}");
        }
    }
    eprintln!("{} signals, {} without an answer, {KILLS} ends", taken.len(), unknown.len());
}
