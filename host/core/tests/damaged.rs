//! Journals that no host has written are refused, with the event that cannot
//! have happened and why; none of them makes a panic.

mod support;

use proptest::prelude::*;
use sagahost_core::*;
use support::*;

fn scheduled(task: TaskId) -> Event {
    let policy = CallPolicy { retry: RetryPolicy::default(), timeout_ms: 1_000 };
    let (function, input) = ("Pay".to_owned(), Json::null());
    Event::Scheduled { task, function, input, policy, undo: None, scope: 0, pivot: false }
}

fn completed(task: TaskId) -> Event {
    let (output, logs) = (Json::null(), Logs::default());
    Event::TaskCompleted { task, attempt: 1, started_at: START, output, logs }
}

fn lost(task: TaskId, attempt: u32) -> Event {
    Event::AttemptLost { task, attempt }
}

fn attempt_failed(task: TaskId, attempt: u32, retry: bool) -> Event {
    let (failure, logs) = (returned(false), Logs::default());
    let retry_at = retry.then_some(START);
    Event::AttemptFailed { task, attempt, started_at: START, failure, retry_at, logs }
}

fn failed() -> Event {
    Event::Failed { failure: returned(false) }
}

fn rewound() -> Event {
    Event::Rewound { reason: String::new(), digest: "d".into(), by_parent: None }
}

fn recalled_now(task: TaskId) -> Event {
    Event::Recalled { task, at: START }
}

fn records(events: Vec<Event>) -> Vec<Record> {
    let all = std::iter::once(Event::Started(started())).chain(events);
    all.map(|event| Record(START, event)).collect()
}

/// A chunk for each event, as where each came in a turn of its own.
fn load(events: Vec<Event>) -> Result<Orchestration, LoadError> {
    let chunks = records(events).into_iter().map(|record| encode_chunk(&[record]));
    Orchestration::load(&chunks.collect::<Result<Vec<_>, _>>().expect("JSON"))
}

#[test]
fn an_event_that_cannot_have_happened_is_named() {
    let timer = |task| Event::TimerCreated { task, fire_at: START };
    let scope = |scope, parent| Event::ScopeOpened { scope, parent };
    for (events, record, kind, reason) in [
        (vec![Event::Started(started())], 1, "Started", "begun"),
        (vec![scheduled(0), scheduled(0)], 2, "Scheduled", "another task"),
        (vec![timer(3)], 1, "TimerCreated", "another task"),
        (vec![scope(2, 0)], 1, "ScopeOpened", "another scope"),
        (vec![scope(1, 1)], 1, "ScopeOpened", "around"),
        (vec![completed(0)], 1, "TaskCompleted", "no such task"),
        (vec![timer(0), completed(0)], 2, "TaskCompleted", "runs"),
        (vec![scheduled(0), completed(0), lost(0, 1)], 3, "AttemptLost", "runs"),
        (vec![scheduled(0), lost(0, u32::MAX)], 2, "AttemptLost", "so many"),
        (vec![scheduled(0), attempt_failed(0, u32::MAX, true)], 2, "AttemptFailed", "so many"),
        (vec![Event::TimerFired { task: 7 }], 1, "TimerFired", "no such task"),
        (vec![rewound()], 1, "Rewound", "not failed"),
        (vec![recalled_now(0)], 1, "Recalled", "not complete"),
        (
            vec![scheduled(0), failed(), rewound(), scheduled(0), recalled_now(0)],
            5,
            "Recalled",
            "not complete",
        ),
    ] {
        let shown = format!("{events:?}");
        let error = load(events.clone()).err().unwrap_or_else(|| panic!("it is taken: {shown}"));
        let LoadError::Misfit { record: found, kind: named, reason: why } = &error else {
            panic!("{error}: {shown}")
        };
        assert_eq!((*found, *named), (record, kind), "{shown}");
        assert!(why.contains(reason), "{why}: {shown}");
        let said = error.to_string();
        assert!(said.contains(&format!("event {record} ")) && said.contains(kind), "{said}");
        // A history needs that only where something is recalled.
        let history = recalled(&records(events));
        assert_eq!(history.is_err(), kind == "Recalled", "{shown}");
    }
}

#[test]
fn what_was_recalled_is_told_of_a_journal_that_is_whole() {
    let run = [scheduled(0), completed(0)];
    let again = [failed(), rewound(), scheduled(0), recalled_now(0)];
    let events: Vec<Event> = run.into_iter().chain(again).collect();
    assert!(load(events.clone()).is_ok());
    assert_eq!(recalled(&records(events)).expect("it is whole"), [Json::null()]);
}

fn any_event() -> impl Strategy<Value = Event> {
    let attempt = prop_oneof![1..3u32, Just(u32::MAX)];
    (0..19u8, 0..3u32, attempt, any::<bool>()).prop_map(|(what, task, attempt, flag)| match what {
        0 | 1 => scheduled(task),
        2 => completed(task),
        3 => attempt_failed(task, attempt, flag),
        4 => lost(task, attempt),
        5 => Event::RetriesEnded { task },
        6 => Event::TimerCreated { task, fire_at: START },
        7 => Event::TimerFired { task },
        8 => Event::TaskCancelled { task, requeued: flag },
        9 => Event::EventAwaited { task, name: "Go".into() },
        10 => Event::EventRaised { name: "Go".into(), input: Json::null(), from: None },
        11 => Event::ScopeOpened { scope: task, parent: attempt.min(3) },
        12 => Event::CompensationRequested { task, scope: 0 },
        13 => Event::CompensationDone { task },
        14 => failed(),
        15 | 16 => rewound(),
        _ => recalled_now(task),
    })
}

/// Of those that may come next, the first; so that journals come to be that are
/// right for a while.
fn fitting(events: &[Event]) -> Vec<Event> {
    let mut kept: Vec<Event> = Vec::new();
    for event in events {
        kept.push(event.clone());
        if load(kept.clone()).is_err() {
            kept.pop();
        }
    }
    kept
}

proptest! {
    #[test]
    fn any_journal_is_loaded_or_refused(events in proptest::collection::vec(any_event(), 0..40)) {
        let _ = load(events.clone());
        let fitting = fitting(&events);
        prop_assert!(load(fitting.clone()).is_ok());
        let recalls = fitting.iter().filter(|event| matches!(event, Event::Recalled { .. }));
        let count = recalls.count();
        let told = recalled(&records(fitting));
        prop_assert_eq!(told.map(|told| told.len()).ok(), Some(count));
    }
}
