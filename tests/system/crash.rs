//! The host is killed at random moments, over and over. Nothing that was
//! acknowledged is lost, and nothing is done twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

const KILLS: usize = 20;
const SAGAS: usize = 260;
const CLIENTS: usize = 8;

/// What a saga must end with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Placed,
    NotPlaced,
    /// There may be too little in stock for all of them.
    Either,
    /// Its one effect.
    Effect,
}

fn saga(n: usize) -> (&'static str, Value, Expected) {
    let id = format!("saga-{n}");
    let mut order = order(&id, "print", 1, 2_500);
    match n % 8 {
        0 => {
            order["card"] = json!("declined-1");
            ("OrderSaga", order, Expected::NotPlaced)
        }
        1 => {
            order["items"][0]["sku"] = json!("book");
            order["items"][0]["quantity"] = json!(5);
            ("OrderSaga", order, Expected::Either)
        }
        2 => {
            order["fault"] = json!({ "order": "fail" });
            ("OrderSaga", order, Expected::NotPlaced)
        }
        3 => {
            order["fault"] = json!({ "payment": "trap" });
            ("OrderSaga", order, Expected::NotPlaced)
        }
        4 | 5 => {
            let effect = json!({ "dir": "/files", "id": id, "sleepMs": (n % 5) * 20 });
            (
                "TestCallOne",
                json!({ "activity": "TestUniqueEffect", "input": effect }),
                Expected::Effect,
            )
        }
        _ => ("OrderSaga", order, Expected::Placed),
    }
}

#[test]
fn a_host_that_is_killed_twenty_times_loses_nothing_and_repeats_nothing() {
    let mut random = Random(seed());
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    let url = Arc::new(RwLock::new(String::new()));
    let next = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut server = site.serve();
    *url.write().unwrap() = server.url.clone();

    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (url, next, over) = (url.clone(), next.clone(), over.clone());
            let acknowledged = acknowledged.clone();
            std::thread::spawn(move || {
                // Goes on for as long as the host is killed, so that every
                // kill hits work.
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= SAGAS && over.load(Ordering::SeqCst) {
                        return;
                    }
                    let (name, input, expected) = saga(n);
                    let path = format!("/api/orchestrators/{name}/saga-{n}");
                    let status = format!("/runtime/webhooks/durabletask/instances/saga-{n}");
                    let mut tried = false;
                    eventually("a start is acknowledged", || {
                        let client = Client::new(&url.read().unwrap());
                        if tried {
                            // The acknowledgement of the earlier try may have
                            // been lost with the host. One that has ended
                            // would be started anew.
                            let known = client.try_send("GET", &status, &[], None).ok()?;
                            if known.status != 404 {
                                return Some(());
                            }
                        }
                        tried = true;
                        match client.try_post(&path, &input) {
                            Ok(answer) if answer.status == 202 => Some(()),
                            Ok(answer) if answer.status == 503 => None,
                            Ok(answer) => panic!("{answer:?}"),
                            Err(_) => None,
                        }
                    });
                    acknowledged.lock().unwrap().push((n, expected));
                    std::thread::sleep(Duration::from_millis(15));
                }
            })
        })
        .collect();

    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(20 + random.below(400)));
        server.kill();
        server = site.serve();
        *url.write().unwrap() = server.url.clone();
    }
    over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }

    let client = server.client();
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() >= SAGAS, "{} sagas", acknowledged.len());
    let (mut lost_attempts, mut books) = (0, 0);
    for (n, expected) in &acknowledged {
        let id = format!("saga-{n}");
        let status = client.ended(&id);
        assert_eq!(status["runtimeStatus"], "Completed", "{status}");
        let history = client.history(&id);
        let count = |kind: &str| history.iter().filter(|event| event["EventType"] == kind).count();
        assert_eq!((count("ExecutionStarted"), count("ExecutionCompleted")), (1, 1), "{id}");
        if history.iter().any(|event| event.to_string().contains("Lost")) {
            lost_attempts += 1;
        }
        let placed = status["output"] == true;
        match expected {
            Expected::Placed => assert!(placed, "{id}: {status}"),
            Expected::NotPlaced => assert!(!placed, "{id}: {status}"),
            Expected::Either | Expected::Effect => {}
        }
        if *expected == Expected::Effect {
            check_effect(&site, &id);
        } else {
            check_shop(&site, &id, placed);
            if *expected == Expected::Either && placed {
                books += 5;
            }
        }
        let replay = client.get(&format!("/api/instances/{id}/replay"));
        assert_eq!((replay.status, &replay.body["ended"]), (200, &json!(true)), "{id}: {replay:?}");
    }
    assert!(books <= 100, "{books} books were sold, and there were 100");
    assert_eq!(reserved(&site, "book"), books, "what is reserved is what was sold");
    eprintln!(
        "{} sagas, {KILLS} kills, {lost_attempts} sagas with an attempt that was lost",
        acknowledged.len()
    );
    assert_eq!(server.terminate(), Some(0));
}

/// The shop has all of an order, or nothing.
fn check_shop(site: &Site, id: &str, placed: bool) {
    let state = |file: Option<Value>| match file {
        Some(file) => file["status"].as_str().unwrap_or_default().to_owned(),
        None => "absent".to_owned(),
    };
    let order = state(shop_file(site, &format!("orders/{id}.json")));
    let payment = state(shop_file(site, &format!("payments/{id}.json")));
    if placed {
        assert_eq!((order.as_str(), payment.as_str()), ("placed", "charged"), "{id}");
    } else {
        assert!(order != "placed" && payment != "charged", "{id}: {order}, {payment}");
    }
}

/// The step was done under one key, however often it was attempted.
fn check_effect(site: &Site, id: &str) {
    let prefix = format!("{id}.");
    let files: Vec<_> = std::fs::read_dir(site.path("files"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    assert_eq!(files.len(), 1, "{id}: {files:?}");
}

/// How many of an article are reserved.
fn reserved(site: &Site, sku: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(site.path("shop/reserved").join(sku)) else { return 0 };
    let mut orders = HashMap::new();
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (quantity, order) = name.split_once('-').expect("<quantity>-<order>");
        let quantity: u64 = quantity.parse().expect("a quantity");
        assert!(orders.insert(order.to_owned(), quantity).is_none(), "{order} is reserved twice");
    }
    orders.values().sum()
}
