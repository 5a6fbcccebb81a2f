//! A journal and the history it tells.

mod undo;

use proptest::prelude::*;
use sagahost_core::{
    CallPolicy, Cause, Compensation, Failure, FailureKind, LogLevel, Logs, Repair, Started,
    StepOutcome, UndoId, UndoWhen,
};
use serde_json::{Value, json};

use super::*;

const T0: Millis = 1_519_795_129_000;
const ALL: Show = Show { inputs: true, outputs: true };
const NONE: Show = Show { inputs: false, outputs: false };

fn text(json: &str) -> Json {
    Json::parse(json).expect("JSON")
}

fn started() -> Event {
    Event::Started(Started {
        name: "OrderSaga".into(),
        input: text(r#"{"order":7}"#),
        execution: "0".repeat(32),
        digest: "d".into(),
        ..Started::default()
    })
}

fn scheduled(task: TaskId) -> Event {
    Event::Scheduled {
        task,
        function: "Pay".into(),
        input: text("[1]"),
        policy: CallPolicy::default(),
        undo: None,
        scope: 0,
        pivot: false,
    }
}

/// A step that RefundActivity undoes.
fn armed(task: TaskId) -> Event {
    let compensation = Compensation {
        function: "Refund".into(),
        digest: None,
        input: None,
        policy: CallPolicy::default(),
        when: UndoWhen::default(),
    };
    match scheduled(task) {
        Event::Scheduled { task, function, input, policy, scope, pivot, .. } => Event::Scheduled {
            task,
            function,
            input,
            policy,
            undo: Some(compensation),
            scope,
            pivot,
        },
        other => other,
    }
}

fn pivot(task: TaskId) -> Event {
    match scheduled(task) {
        Event::Scheduled { task, function, input, policy, undo, scope, .. } => {
            Event::Scheduled { task, function, input, policy, undo, scope, pivot: true }
        }
        other => other,
    }
}

fn undo_scheduled(undo: UndoId) -> Event {
    Event::UndoScheduled { undo, function: "Refund".into(), outcome: StepOutcome::Completed }
}

fn undo_completed(undo: UndoId, attempt: u32) -> Event {
    let (output, logs) = (text("true"), Logs::default());
    Event::UndoCompleted { undo, attempt, started_at: T0, output, logs }
}

fn undo_failed(undo: UndoId, attempt: u32, retry_at: Option<Millis>) -> Event {
    let failure = Failure::host(FailureKind::Timeout, "took too long");
    let logs = Logs::default();
    Event::UndoAttemptFailed { undo, attempt, started_at: T0, failure, retry_at, logs }
}

fn repaired(step: UndoId, repair: Repair) -> Event {
    Event::Repaired { step, repair, note: "by hand".into(), by: "Ada".into() }
}

/// The types of the events, in order.
fn types(history: &Value) -> Vec<&str> {
    let events = history.as_array().expect("an array").iter();
    events.filter_map(|event| event["EventType"].as_str()).collect()
}

fn completed(task: TaskId, attempt: u32, logs: Logs) -> Event {
    Event::TaskCompleted { task, attempt, started_at: T0, output: text("true"), logs }
}

fn failed(task: TaskId, attempt: u32, retry_at: Option<Millis>) -> Event {
    Event::AttemptFailed {
        task,
        attempt,
        started_at: T0,
        failure: Failure {
            kind: FailureKind::Returned,
            code: "card-declined".into(),
            message: "The card was declined.".into(),
            details: Some(text(r#"{"limit":5}"#)),
            retryable: true,
            retry_after_ms: None,
        },
        retry_at,
        logs: Logs::default(),
    }
}

/// The history of events that happen a second apart.
fn shown(events: Vec<Event>, show: Show) -> Value {
    let records: Vec<Record> =
        (0..).zip(events).map(|(second, event)| Record(T0 + second * 1000, event)).collect();
    // What a damaged one recalls is not known.
    let recalled = sagahost_core::recalled(&records).unwrap_or_default();
    serde_json::to_value(history(&records, &recalled, show)).expect("JSON")
}

#[test]
fn a_plain_history_is_the_references_to_the_letter() {
    let events = || {
        let end = Event::Completed { output: text("[true]") };
        vec![started(), scheduled(0), completed(0, 1, Logs::default()), end]
    };
    assert_eq!(
        shown(events(), ALL),
        json!([
            {"EventType": "ExecutionStarted", "FunctionName": "OrderSaga",
             "Input": {"order": 7}, "Timestamp": "2018-02-28T05:18:49.0000000Z"},
            {"EventType": "TaskCompleted", "FunctionName": "Pay", "Input": [1], "Result": true,
             "ScheduledTime": "2018-02-28T05:18:50.0000000Z",
             "Timestamp": "2018-02-28T05:18:51.0000000Z"},
            {"EventType": "ExecutionCompleted", "OrchestrationStatus": "Completed",
             "Result": [true], "Timestamp": "2018-02-28T05:18:52.0000000Z"},
        ])
    );
    assert_eq!(
        shown(events(), NONE),
        json!([
            {"EventType": "ExecutionStarted", "FunctionName": "OrderSaga",
             "Timestamp": "2018-02-28T05:18:49.0000000Z"},
            {"EventType": "TaskCompleted", "FunctionName": "Pay",
             "ScheduledTime": "2018-02-28T05:18:50.0000000Z",
             "Timestamp": "2018-02-28T05:18:51.0000000Z"},
            {"EventType": "ExecutionCompleted", "OrchestrationStatus": "Completed",
             "Timestamp": "2018-02-28T05:18:52.0000000Z"},
        ])
    );
}

#[test]
fn parallel_tasks_stand_where_they_end_and_open_ones_where_they_began() {
    let events = vec![
        started(),
        scheduled(0),
        scheduled(1),
        scheduled(2),
        completed(2, 1, Logs::default()),
        completed(0, 1, Logs::default()),
    ];
    let history = shown(events, ALL);
    let types: Vec<_> = history
        .as_array()
        .expect("an array")
        .iter()
        .map(|event| (event["EventType"].as_str(), event["ScheduledTime"].as_str()))
        .collect();
    assert_eq!(
        types,
        [
            (Some("ExecutionStarted"), None),
            (Some("TaskScheduled"), None),
            (Some("TaskCompleted"), Some("2018-02-28T05:18:52.0000000Z")),
            (Some("TaskCompleted"), Some("2018-02-28T05:18:50.0000000Z")),
        ]
    );
    assert_eq!(
        history[1],
        json!({"EventType": "TaskScheduled", "Name": "Pay", "Input": [1],
               "Timestamp": "2018-02-28T05:18:51.0000000Z"})
    );
}

#[test]
fn a_failed_task_says_why_and_how_often_it_was_tried() {
    let events = vec![
        started(),
        scheduled(0),
        failed(0, 1, Some(T0 + 10_000)),
        Event::AttemptLost { task: 0, attempt: 2 },
        failed(0, 3, None),
    ];
    let history = shown(events, NONE);
    let task = &history[1];
    assert_eq!(task["EventType"], "TaskFailed");
    assert_eq!(task["FunctionName"], "Pay");
    assert_eq!(task["Reason"], "The card was declined.");
    assert_eq!(task["Details"], "card-declined: The card was declined.\n{\"limit\":5}");
    assert_eq!(task["Failure"]["code"], "card-declined");
    assert_eq!(task["ScheduledTime"], "2018-02-28T05:18:50.0000000Z");
    let attempts = task["Attempts"].as_array().expect("attempts");
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt["Attempt"].as_u64(), attempt["Outcome"].as_str()))
        .collect();
    assert_eq!(
        outcomes,
        [(Some(1), Some("Failed")), (Some(2), Some("Lost")), (Some(3), Some("Failed")),]
    );
    assert_eq!(attempts[0]["Started"], "2018-02-28T05:18:49.0000000Z");
    assert_eq!(attempts[0]["Ended"], "2018-02-28T05:18:51.0000000Z");
    assert_eq!(attempts[0]["RetryAt"], "2018-02-28T05:18:59.0000000Z");
    assert_eq!(attempts[0]["Failure"]["message"], "The card was declined.");
    assert_eq!(attempts[2].get("RetryAt"), None);
    assert!(history[2].is_null(), "nothing else: {history}");
}

#[test]
fn a_task_that_waits_for_its_next_attempt_is_open_and_shows_the_last() {
    let history = shown(vec![started(), scheduled(0), failed(0, 1, Some(T0))], ALL);
    assert_eq!(history[1]["EventType"], "TaskScheduled");
    assert_eq!(history[1]["Name"], "Pay");
    assert_eq!(history[1]["Attempts"][0]["Outcome"], "Failed");
}

#[test]
fn what_an_attempt_wrote_is_shown_with_it() {
    let logs = Logs { stdout: "paying\n".into(), ..Logs::default() };
    let history = shown(vec![started(), scheduled(0), completed(0, 1, logs)], ALL);
    assert_eq!(history[1]["Attempts"][0]["Logs"], json!({"stdout": "paying\n"}));
    assert_eq!(history[1]["Attempts"][0]["Outcome"], "Completed");
}

#[test]
fn timers_and_events() {
    let events = vec![
        started(),
        Event::TimerCreated { task: 0, fire_at: T0 + 500 },
        Event::EventAwaited { task: 1, name: "Approval".into() },
        Event::EventRaised { name: "Approval".into(), input: text("{}"), from: None },
        Event::TaskCancelled { task: 5, requeued: false },
        Event::TimerFired { task: 0 },
    ];
    let fire_at = "2018-02-28T05:18:49.5000000Z";
    assert_eq!(
        shown(events, ALL).as_array().expect("an array")[1..],
        [
            json!({"EventType": "TimerCreated", "FireAt": fire_at,
                   "Timestamp": "2018-02-28T05:18:50.0000000Z"}),
            json!({"EventType": "EventRaised", "Name": "Approval", "Input": {},
                   "Timestamp": "2018-02-28T05:18:52.0000000Z"}),
            json!({"EventType": "TimerFired", "FireAt": fire_at,
                   "Timestamp": "2018-02-28T05:18:54.0000000Z"}),
        ]
    );
}

#[test]
fn the_other_ends() {
    let failure = Failure::host(FailureKind::Trap, "unreachable");
    let history = shown(vec![started(), Event::Failed { failure }], ALL);
    assert_eq!(history[1]["OrchestrationStatus"], "Failed");
    assert_eq!(history[1]["Result"]["code"], "host.trap");

    let reason = "too late".to_owned();
    let history = shown(vec![started(), Event::Terminated { reason }], ALL);
    assert_eq!(history[1]["EventType"], "ExecutionTerminated");
    assert_eq!(history[1]["Input"], "too late");
    assert_eq!(history[2]["OrchestrationStatus"], "Terminated");
    assert_eq!(history[2]["Result"], "too late");
}

#[test]
fn what_only_we_journal_is_left_out() {
    let mismatch = |code: &str| BlockedReason::Mismatch {
        position: 1,
        journal: "timer".into(),
        code: code.into(),
    };
    let records: Vec<Record> = [
        started(),
        Event::StatusSet { status: text("1") },
        Event::Logged { level: LogLevel::Info, message: "hello".into() },
        Event::Blocked(mismatch("activity A")),
        Event::Unblocked,
        Event::Blocked(mismatch("activity B")),
    ]
    .into_iter()
    .map(|event| Record(T0, event))
    .collect();
    assert_eq!(history(&records, &[], ALL).len(), 1);
    assert_eq!(blocked(&records), Some(&mismatch("activity B")));
    assert_eq!(blocked(&records[..3]), None);
}

fn rewound() -> Event {
    Event::Rewound { reason: "mended".into(), digest: "d".into(), by_parent: None }
}

#[test]
fn what_is_kept_in_a_rewind_is_shown_once_more() {
    let awaited = |task| Event::EventAwaited { task, name: "Go".into() };
    let run = [scheduled(0), Event::TimerCreated { task: 1, fire_at: T0 }, awaited(2)];
    let end = Event::Failed { failure: Failure::host(FailureKind::Returned, "no") };
    let mut events = vec![started()];
    events.extend(run.clone());
    events.push(completed(0, 1, Logs::default()));
    events.push(Event::TimerFired { task: 1 });
    events.push(Event::EventRaised { name: "Go".into(), input: text("7"), from: None });
    events.extend([end, rewound()]);
    events.extend(run);
    events.extend((0..3).map(|task| Event::Recalled { task, at: T0 + 4_000 + u64::from(task) }));
    let shown = shown(events, ALL);
    let after: Vec<_> = types(&shown)
        .into_iter()
        .skip_while(|kind| *kind != "ExecutionRewound")
        .filter(|kind| *kind != "TimerCreated")
        .collect();
    assert_eq!(after, ["ExecutionRewound", "TaskCompleted", "TimerFired", "EventRaised"]);
    let of = |kind: &str| {
        let all = shown.as_array().expect("a list");
        let mut named: Vec<_> = all.iter().filter(|event| event["EventType"] == kind).collect();
        assert_eq!(named.len(), if kind == "ExecutionRewound" { 1 } else { 2 }, "{kind}");
        named.pop().cloned().expect("it is there")
    };
    assert_eq!(of("ExecutionRewound")["Reason"], "mended");
    let task = of("TaskCompleted");
    assert_eq!(
        (&task["FunctionName"], &task["Recalled"]),
        (&json!("Pay"), &json!("2018-02-28T05:18:53.0000000Z"))
    );
    assert!(task["Result"].is_boolean() || task["Result"].is_array(), "{task}");
    let event = of("EventRaised");
    assert_eq!((&event["Name"], &event["Input"]), (&json!("Go"), &json!(7)));
}

fn any_event() -> impl Strategy<Value = Event> {
    let task = 0..4u32;
    (0..19u8, task, 1..3u32, any::<bool>()).prop_map(|(what, task, attempt, last)| match what {
        0 => started(),
        1 => scheduled(task),
        2 => completed(task, attempt, Logs::default()),
        3 => failed(task, attempt, (!last).then_some(T0)),
        4 => Event::AttemptLost { task, attempt },
        5 => Event::TimerCreated { task, fire_at: T0 },
        6 => Event::TimerFired { task },
        7 => Event::TaskCancelled { task, requeued: false },
        8 => armed(task),
        9 => pivot(task),
        10 => undo_scheduled(task.into()),
        11 => undo_completed(task.into(), attempt),
        12 => undo_failed(task.into(), attempt, (!last).then_some(T0)),
        13 => repaired(task.into(), if last { Repair::Retry } else { Repair::Done(text("1")) }),
        14 => Event::RetriesEnded { task },
        15 => Event::CompensationDone { task },
        16 => rewound(),
        17 => Event::Recalled { task, at: T0 },
        _ => Event::Terminated { reason: String::new() },
    })
}

proptest! {
    /// Also from a journal that no host would write: a damaged or a later one
    /// must not take the status page down.
    #[test]
    fn any_journal_has_a_history(events in proptest::collection::vec(any_event(), 0..40)) {
        let ends = events.iter().filter(|event| matches!(
            event,
            Event::TaskCompleted { .. }
                | Event::AttemptFailed { retry_at: None, .. }
                | Event::RetriesEnded { .. }
        )).count();
        let history = shown(events, ALL);
        let shown_ends = types(&history)
            .into_iter()
            .filter(|shown| ["TaskCompleted", "TaskFailed", "TaskStuck"].contains(shown))
            .count();
        // A repair may end a task, too.
        prop_assert!(ends <= shown_ends);
    }
}
