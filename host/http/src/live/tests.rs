use std::collections::BTreeMap;

use sagahost_core::{Event, Json, Record, SagaState};
use sagahost_engine::{Change, Observer};
use serde_json::Value;

use super::hub::Limits;
use super::*;

fn hub(changes: usize) -> Arc<Hub> {
    Arc::new(Hub::new(Limits { changes, bytes: 1 << 20, batch: 1 << 10 }))
}

fn change(hub: &Hub, id: &str, name: &str, status: RuntimeStatus) {
    let records = [
        Record(1, Event::Begun),
        Record(1, Event::Begun),
        Record(2, Event::Completed { output: Json::null() }),
    ];
    hub.changed(Change {
        id,
        name,
        status,
        saga: SagaState::None,
        created: Some(1),
        updated: 2,
        records: &records,
        ended: status.is_terminal(),
    });
}

fn changes(hub: &Hub, ids: std::ops::Range<u32>) {
    for n in ids {
        change(hub, &format!("i{n}"), "Saga", RuntimeStatus::Running);
    }
}

fn wake(hub: &Hub) {
    hub.wake(Duration::from_secs(3600));
}

fn follower(hub: &Arc<Hub>, filter: Filter, seen: Option<&str>) -> Follower {
    Follower::new(hub.clone(), filter, seen)
}

/// What there is for a follower: the ids of instances, `reset`, and the last
/// id that it was told.
fn seen(follower: &mut Follower) -> (Vec<String>, String) {
    let (mut seen, mut last) = (Vec::new(), String::new());
    while let Some(chunk) = follower.ready() {
        let text = String::from_utf8(chunk.to_vec()).expect("text");
        for block in text.split("\n\n") {
            let fields: BTreeMap<&str, &str> =
                block.lines().filter_map(|line| line.split_once(": ")).collect();
            if let Some(id) = fields.get("id") {
                last = (*id).to_owned();
            }
            let Some(data) = fields.get("data") else { continue };
            let data: Value = serde_json::from_str(data).expect("JSON");
            seen.push(match fields["event"] {
                "change" => data["id"].as_str().expect("an id").to_owned(),
                other => other.to_owned(),
            });
        }
    }
    (seen, last)
}

#[test]
fn nothing_is_kept_where_nobody_follows() {
    let hub = hub(100);
    assert!(!hub.wants());
    changes(&hub, 0..10);
    assert_eq!(hub.held(), (0, 0));
    let one = follower(&hub, Filter::default(), None);
    assert!(hub.wants());
    changes(&hub, 0..10);
    assert_eq!(hub.held().0, 10);
    drop(one);
    // It may only have lost its connection.
    changes(&hub, 10..20);
    assert_eq!(hub.held().0, 20);
    hub.wake(Duration::ZERO);
    assert!(!hub.wants());
    assert_eq!(hub.held(), (0, 0));
}

#[test]
fn a_change_is_told_whole() {
    let hub = hub(100);
    let mut one = follower(&hub, Filter::default(), None);
    change(&hub, "a\"\n", "Saga", RuntimeStatus::Completed);
    wake(&hub);
    let begin = one.ready().expect("where it begins");
    assert!(begin.starts_with(b"retry: 1000\nid: "));
    let text = one.ready().expect("the change");
    let text = std::str::from_utf8(&text).expect("text");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let data: Value = serde_json::from_str(data).expect("JSON");
    let expected = serde_json::json!({
        "id": "a\"\n", "name": "Saga", "runtimeStatus": "Completed", "sagaState": "none",
        "updated": 2, "created": 1, "kinds": ["Begun", "Completed"], "ended": true,
    });
    assert_eq!(data, expected);
    assert!(one.ready().is_none());
}

#[test]
fn a_reader_goes_on_where_it_was_and_sees_each_change_once() {
    let hub = hub(1000);
    let mut one = follower(&hub, Filter::default(), None);
    let (none, mut last) = seen(&mut one);
    assert!(none.is_empty());
    let mut all = Vec::new();
    for round in 0..20 {
        changes(&hub, round * 7..round * 7 + 7);
        wake(&hub);
        // Cut off, with more to come.
        drop(one);
        one = follower(&hub, Filter::default(), Some(&last));
        let (ids, id) = seen(&mut one);
        all.extend(ids);
        last = id;
    }
    assert_eq!(all, (0..140).map(|n| format!("i{n}")).collect::<Vec<_>>());
}

#[test]
fn one_that_begins_in_the_middle_of_a_batch_sees_what_comes_after_only() {
    let hub = hub(100);
    let mut one = follower(&hub, Filter::default(), None);
    changes(&hub, 0..2);
    let mut two = follower(&hub, Filter::default(), None);
    let odd = Filter { prefix: "i3".to_owned(), ..Filter::default() };
    let mut three = follower(&hub, odd, None);
    changes(&hub, 2..4);
    wake(&hub);
    assert_eq!(seen(&mut one).0, ["i0", "i1", "i2", "i3"]);
    assert_eq!(seen(&mut two).0, ["i2", "i3"]);
    assert_eq!(seen(&mut three).0, ["i3"]);
}

#[test]
fn filters_let_through_what_fits_all_of_them() {
    let hub = hub(100);
    let filter = |name: Option<&str>, prefix: &str, statuses: &[RuntimeStatus]| Filter {
        name: name.map(str::to_owned),
        prefix: prefix.to_owned(),
        statuses: statuses.to_vec(),
    };
    let mut by_name = follower(&hub, filter(Some("A"), "", &[]), None);
    let mut by_prefix = follower(&hub, filter(None, "x-", &[]), None);
    let ends = [RuntimeStatus::Completed, RuntimeStatus::Failed];
    let mut by_status = follower(&hub, filter(None, "", &ends), None);
    let mut by_all = follower(&hub, filter(Some("A"), "x-", &ends), None);
    for (id, name, status) in [
        ("x-1", "A", RuntimeStatus::Running),
        ("x-2", "B", RuntimeStatus::Failed),
        ("y-3", "A", RuntimeStatus::Completed),
        ("x-4", "A", RuntimeStatus::Completed),
    ] {
        change(&hub, id, name, status);
    }
    wake(&hub);
    assert_eq!(seen(&mut by_name).0, ["x-1", "y-3", "x-4"]);
    assert_eq!(seen(&mut by_prefix).0, ["x-1", "x-2", "x-4"]);
    assert_eq!(seen(&mut by_status).0, ["x-2", "y-3", "x-4"]);
    assert_eq!(seen(&mut by_all).0, ["x-4"]);
}

#[test]
fn one_that_falls_behind_is_told_and_holds_nothing() {
    let hub = hub(50);
    let mut slow = follower(&hub, Filter::default(), None);
    let (_, first) = seen(&mut slow);
    changes(&hub, 0..5000);
    wake(&hub);
    let (kept, bytes) = hub.held();
    assert!((1..=50).contains(&kept) && bytes < 50 * 300, "{kept} {bytes}");
    let (ids, last) = seen(&mut slow);
    assert_eq!(ids, ["reset"]);
    changes(&hub, 5000..5002);
    wake(&hub);
    assert_eq!(seen(&mut slow).0, ["i5000", "i5001"]);
    // One that comes back from too long ago is told so, too.
    let mut back = follower(&hub, Filter::default(), Some(&first));
    assert_eq!(seen(&mut back).0, ["reset"]);
    let mut back = follower(&hub, Filter::default(), Some(&last));
    assert_eq!(seen(&mut back).0, ["i5000", "i5001"]);
}

#[test]
fn bytes_are_limited_too() {
    let hub = Arc::new(Hub::new(Limits { changes: usize::MAX, bytes: 10_000, batch: 1000 }));
    let _one = follower(&hub, Filter::default(), None);
    for n in 0..1000 {
        change(&hub, &format!("{n:0200}"), "Saga", RuntimeStatus::Running);
        assert!(hub.held().1 <= 10_000 + 2 * 1000 + 500, "{:?}", hub.held());
    }
}

#[test]
fn places_of_another_host_and_places_that_are_none_are_not_gone_on_from() {
    let (hub, other) = (hub(100), hub(100));
    let mut one = follower(&hub, Filter::default(), None);
    changes(&hub, 0..3);
    wake(&hub);
    let (_, last) = seen(&mut one);
    let ahead = format!("{last}9");
    let mut elsewhere = follower(&other, Filter::default(), Some(&last));
    assert_eq!(seen(&mut elsewhere).0, ["reset"]);
    for wrong in [ahead.as_str(), "", "7", "x-1", &last[..16], &format!("{}--1", &last[..16])] {
        let mut follower = follower(&hub, Filter::default(), Some(wrong));
        assert_eq!(seen(&mut follower).0, ["reset"], "{wrong}");
    }
}

#[test]
fn what_happened_while_nobody_followed_is_missed() {
    let hub = hub(100);
    let mut one = follower(&hub, Filter::default(), None);
    changes(&hub, 0..3);
    wake(&hub);
    let (_, last) = seen(&mut one);
    drop(one);
    hub.wake(Duration::ZERO);
    changes(&hub, 3..5);
    let mut back = follower(&hub, Filter::default(), Some(&last));
    changes(&hub, 5..6);
    wake(&hub);
    assert_eq!(seen(&mut back).0, ["reset", "i5"]);
}

#[tokio::test]
async fn followers_are_woken_by_the_pacer() {
    let hub = hub(100);
    let pacing = tokio::spawn({
        let hub = hub.clone();
        async move { hub.pace().await }
    });
    let mut followers: Vec<_> = (0..50).map(|_| follower(&hub, Filter::default(), None)).collect();
    for follower in &mut followers {
        follower.chunk().await;
    }
    for n in 0..3 {
        changes(&hub, n..n + 1);
        for follower in &mut followers {
            let chunk = follower.chunk().await;
            let wanted = format!("\"id\":\"i{n}\"");
            assert!(String::from_utf8_lossy(&chunk).contains(&wanted));
        }
    }
    pacing.abort();
}
