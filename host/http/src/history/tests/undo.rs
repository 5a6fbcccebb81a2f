//! Children, undo and repairs in a history.

use super::*;

#[test]
fn children_are_sub_orchestrations() {
    let created = |task| Event::ChildScheduled {
        task,
        function: "OrderSaga".into(),
        input: text("7"),
        id: format!("parent:{task:04x}"),
        undo: None,
        by_hand: false,
        scope: 0,
        pivot: false,
        policy: Default::default(),
    };
    let failure = Failure::host(FailureKind::Terminated, "no more");
    let events = vec![
        started(),
        created(0),
        created(1),
        created(2),
        Event::ChildCompleted { task: 1, output: text("true"), handed: Vec::new() },
        Event::ChildFailed { task: 0, failure, retry_at: None, handed: Vec::new() },
    ];
    let history = shown(events, ALL);
    assert_eq!(
        history[1],
        json!({"EventType": "SubOrchestrationInstanceCreated", "Name": "OrderSaga",
               "InstanceId": "parent:0002", "Step": "2", "Input": 7,
               "Timestamp": "2018-02-28T05:18:52.0000000Z"})
    );
    assert_eq!(
        history[2],
        json!({"EventType": "SubOrchestrationInstanceCompleted", "FunctionName": "OrderSaga",
               "InstanceId": "parent:0001", "Step": "1", "Input": 7, "Result": true,
               "ScheduledTime": "2018-02-28T05:18:51.0000000Z",
               "Timestamp": "2018-02-28T05:18:53.0000000Z"})
    );
    assert_eq!(history[3]["EventType"], "SubOrchestrationInstanceFailed");
    assert_eq!(history[3]["Reason"], "no more");
    assert_eq!(history[3]["Failure"]["kind"], "terminated");
}

#[test]
fn an_undo_is_told_apart_from_the_step() {
    let step = UndoId::from(0);
    let reason = "changed my mind".to_owned();
    let events = vec![
        started(),
        armed(0),
        completed(0, 1, Logs::default()),
        Event::Unwinding { cause: Cause::Canceled(reason.clone()) },
        undo_scheduled(step),
        undo_failed(step, 1, Some(T0 + 5_000)),
        Event::UndoAttemptLost { undo: step, attempt: 2 },
        undo_completed(step, 3),
        Event::Canceled { reason },
    ];
    let history = shown(events, ALL);
    assert_eq!(
        types(&history),
        [
            "ExecutionStarted",
            "TaskCompleted",
            "ExecutionUnwinding",
            "UndoCompleted",
            "ExecutionCompleted"
        ]
    );
    assert_eq!((&history[1]["Undo"], &history[1]["Step"]), (&json!("Refund"), &json!("0")));
    assert_eq!(
        (&history[2]["Cause"], &history[2]["Reason"]),
        (&json!("canceled"), &json!("changed my mind"))
    );
    let undo = &history[3];
    assert_eq!((&undo["FunctionName"], &undo["Step"]), (&json!("Refund"), &json!("0")));
    assert_eq!((&undo["Outcome"], &undo["Result"]), (&json!("completed"), &json!(true)));
    assert_eq!(undo["Attempts"].as_array().map(Vec::len), Some(3));
    assert_eq!(undo["ScheduledTime"], "2018-02-28T05:18:53.0000000Z");
    assert_eq!(
        (&history[4]["OrchestrationStatus"], &history[4]["Result"]),
        (&json!("Canceled"), &json!("changed my mind"))
    );
}

#[test]
fn a_stuck_undo_shows_who_mended_it_and_how() {
    let step = UndoId { task: 3, part: 1 };
    let failure = Failure::host(FailureKind::Deadline, "the hour is over");
    let events = vec![
        Event::Unwinding { cause: Cause::Deadline(failure) },
        undo_scheduled(step),
        undo_failed(step, 1, None),
        repaired(step, Repair::RetryWith(text("8"))),
        undo_failed(step, 2, None),
        repaired(step, Repair::Done(text("9"))),
    ];
    let history = shown(events, ALL);
    assert_eq!(
        types(&history),
        [
            "ExecutionUnwinding",
            "UndoStuck",
            "UndoRepaired",
            "UndoStuck",
            "UndoRepaired",
            "UndoCompleted"
        ]
    );
    assert_eq!(
        (&history[0]["Cause"], &history[0]["Reason"]),
        (&json!("deadline"), &json!("the hour is over"))
    );
    assert_eq!(
        history[2],
        json!({"EventType": "UndoRepaired", "Name": "Refund", "Step": "3.1", "Repair": "retry",
               "Reason": "by hand", "By": "Ada", "Timestamp": "2018-02-28T05:18:52.0000000Z"})
    );
    assert_eq!((&history[3]["FunctionName"], &history[3]["Input"]), (&json!("Refund"), &json!(8)));
    assert_eq!((&history[4]["Repair"], &history[5]["Result"]), (&json!("done"), &json!(9)));
}

#[test]
fn past_the_pivot_a_step_is_stuck_and_not_failed() {
    let events = vec![
        pivot(0),
        completed(0, 1, Logs::default()),
        armed(1),
        failed(1, 1, None),
        repaired(1.into(), Repair::Retry),
        completed(1, 2, Logs::default()),
        Event::CompensationRequested { task: 2, scope: 4 },
        Event::CompensationDone { task: 2 },
    ];
    let history = shown(events, ALL);
    assert_eq!(
        types(&history),
        ["TaskCompleted", "TaskStuck", "TaskRepaired", "TaskCompleted", "CompensationCompleted"]
    );
    assert_eq!((&history[0]["Pivot"], &history[0]["Step"]), (&json!(true), &json!("0")));
    assert_eq!(
        (&history[1]["Failure"]["code"], &history[2]["By"]),
        (&json!("card-declined"), &json!("Ada"))
    );
    assert_eq!(history[3]["FunctionName"], "Pay");
    assert_eq!(history[4]["Scope"], 4);

    // Before it, a failure is a failure, unless nobody knows whether the pivot
    // itself is passed.
    assert_eq!(types(&shown(vec![pivot(0), failed(0, 1, None)], ALL)), ["TaskFailed"]);
    let unknown = match failed(0, 1, None) {
        Event::AttemptFailed { task, attempt, started_at, retry_at, logs, .. } => {
            let failure = Failure::host(FailureKind::Timeout, "took too long");
            Event::AttemptFailed { task, attempt, started_at, failure, retry_at, logs }
        }
        other => other,
    };
    let done = repaired(0.into(), Repair::Done(text("true")));
    let history = shown(vec![pivot(0), unknown, done, armed(1), failed(1, 1, None)], ALL);
    assert_eq!(types(&history), ["TaskStuck", "TaskRepaired", "TaskCompleted", "TaskStuck"]);
}

#[test]
fn what_is_called_off_or_late_is_shown() {
    let late = Event::LateResult {
        task: 0,
        attempt: 1,
        output: Some(text("true")),
        failure: None,
        logs: Logs::default(),
    };
    let retry = failed(0, 1, Some(T0 + 60_000));
    let history = shown(vec![armed(0), retry, Event::RetriesEnded { task: 0 }, late], ALL);
    assert_eq!(types(&history), ["TaskFailed", "TaskEndedLate"]);
    assert_eq!(history[0]["Attempts"][0]["Failure"]["code"], "card-declined");
    assert_eq!((&history[1]["FunctionName"], &history[1]["Result"]), (&json!("Pay"), &json!(true)));
}
