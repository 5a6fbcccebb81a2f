//! A journal as Durable Functions shows a history.
//!
//! What there is in both is shown as it is there: a task that is complete
//! swallows its scheduling, event ids are dropped, and what only we journal
//! (log lines, custom statuses, waits) is left out. What is ours is added
//! under keys of its own: `Attempts` on a task whose story is longer than
//! "scheduled, done", and `Failure` where a whole failure is known.
//!
//! A pure function of the journal, linear in its length.

use std::collections::HashMap;

use sagahost_core::{BlockedReason, Event, Failure, Json, Logs, Millis, Record, TaskId};
use serde::Serialize;

use crate::time::to_ticks;

/// What of a history is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    pub(crate) inputs: bool,
    pub(crate) outputs: bool,
}

/// One event of a history. Which keys it has is decided by its type.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HistoryEvent<'a> {
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orchestration_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fire_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_time: Option<String>,
    timestamp: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt<'a>>,
}

/// A value that is in the journal, as JSON.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Json(&'a Json),
    Text(&'a str),
    Failure(&'a Failure),
}

/// One attempt of a task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attempt<'a> {
    attempt: u32,
    outcome: Outcome,
    /// Unknown of an attempt that was lost with its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    ended: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<&'a Logs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Outcome {
    Completed,
    Failed,
    Lost,
}

impl<'a> HistoryEvent<'a> {
    fn new(event_type: &'static str, at: Millis) -> Self {
        HistoryEvent {
            event_type,
            function_name: None,
            name: None,
            orchestration_status: None,
            input: None,
            result: None,
            reason: None,
            details: None,
            failure: None,
            fire_at: None,
            scheduled_time: None,
            timestamp: to_ticks(at),
            attempts: Vec::new(),
        }
    }

    fn ended(status: &'static str, at: Millis, result: Shown<'a>, show: Show) -> Self {
        HistoryEvent {
            orchestration_status: Some(status),
            result: show.outputs.then_some(result),
            ..Self::new("ExecutionCompleted", at)
        }
    }
}

/// The history that this journal tells.
pub(crate) fn history(records: &[Record], show: Show) -> Vec<HistoryEvent<'_>> {
    let mut history = Builder {
        show,
        events: Vec::with_capacity(records.len()),
        open: HashMap::new(),
        timers: HashMap::new(),
    };
    for Record(at, event) in records {
        history.add(*at, event);
    }
    history.events.into_iter().flatten().collect()
}

/// What a blocked instance stumbled over last.
pub(crate) fn blocked(records: &[Record]) -> Option<&BlockedReason> {
    records.iter().rev().find_map(|Record(_, event)| match event {
        Event::Blocked(reason) => Some(reason),
        _ => None,
    })
}

struct Builder<'a> {
    show: Show,
    /// `None` where a task stood that was folded into its end.
    events: Vec<Option<HistoryEvent<'a>>>,
    /// Where the tasks stand that have not ended.
    open: HashMap<TaskId, usize>,
    timers: HashMap<TaskId, Millis>,
}

impl<'a> Builder<'a> {
    fn push(&mut self, event: HistoryEvent<'a>) {
        self.events.push(Some(event));
    }

    fn input(&self, input: &'a Json) -> Option<Shown<'a>> {
        self.show.inputs.then_some(Shown::Json(input))
    }

    fn add(&mut self, at: Millis, event: &'a Event) {
        match event {
            Event::Started(started) => self.push(HistoryEvent {
                function_name: Some(&started.name),
                input: self.input(&started.input),
                ..HistoryEvent::new("ExecutionStarted", at)
            }),
            Event::Scheduled { task, function, input, policy: _ } => {
                self.open.insert(*task, self.events.len());
                self.push(HistoryEvent {
                    name: Some(function),
                    input: self.input(input),
                    ..HistoryEvent::new("TaskScheduled", at)
                });
            }
            Event::TaskCompleted { task, attempt, started_at, output, logs } => {
                self.attempted(
                    *task,
                    Attempt {
                        attempt: *attempt,
                        outcome: Outcome::Completed,
                        started: Some(to_ticks(*started_at)),
                        ended: to_ticks(at),
                        failure: None,
                        retry_at: None,
                        logs: kept(logs),
                    },
                );
                let end = HistoryEvent {
                    result: self.show.outputs.then_some(Shown::Json(output)),
                    ..HistoryEvent::new("TaskCompleted", at)
                };
                self.fold(*task, end);
            }
            Event::AttemptFailed { task, attempt, started_at, failure, retry_at, logs } => {
                self.attempted(
                    *task,
                    Attempt {
                        attempt: *attempt,
                        outcome: Outcome::Failed,
                        started: Some(to_ticks(*started_at)),
                        ended: to_ticks(at),
                        failure: Some(failure),
                        retry_at: retry_at.map(to_ticks),
                        logs: kept(logs),
                    },
                );
                if retry_at.is_none() {
                    let end = HistoryEvent {
                        reason: Some(&failure.message),
                        details: Some(details(failure)),
                        failure: Some(failure),
                        ..HistoryEvent::new("TaskFailed", at)
                    };
                    self.fold(*task, end);
                }
            }
            Event::AttemptLost { task, attempt } => self.attempted(
                *task,
                Attempt {
                    attempt: *attempt,
                    outcome: Outcome::Lost,
                    started: None,
                    ended: to_ticks(at),
                    failure: None,
                    retry_at: None,
                    logs: None,
                },
            ),
            Event::TimerCreated { task, fire_at } => {
                self.timers.insert(*task, *fire_at);
                self.push(HistoryEvent {
                    fire_at: Some(to_ticks(*fire_at)),
                    ..HistoryEvent::new("TimerCreated", at)
                });
            }
            Event::TimerFired { task } => {
                let fire_at = self.timers.remove(task).map(to_ticks);
                self.push(HistoryEvent { fire_at, ..HistoryEvent::new("TimerFired", at) });
            }
            Event::EventRaised { name, input } => self.push(HistoryEvent {
                name: Some(name),
                input: self.input(input),
                ..HistoryEvent::new("EventRaised", at)
            }),
            Event::Completed { output } => {
                self.push(HistoryEvent::ended("Completed", at, Shown::Json(output), self.show));
            }
            Event::Failed { failure } => self.push(HistoryEvent {
                failure: Some(failure),
                ..HistoryEvent::ended("Failed", at, Shown::Failure(failure), self.show)
            }),
            Event::Terminated { reason } => {
                self.push(HistoryEvent {
                    input: self.show.inputs.then_some(Shown::Text(reason)),
                    ..HistoryEvent::new("ExecutionTerminated", at)
                });
                self.push(HistoryEvent::ended("Terminated", at, Shown::Text(reason), self.show));
            }
            Event::EventAwaited { .. }
            | Event::TaskCancelled { .. }
            | Event::StatusSet { .. }
            | Event::Logged { .. }
            | Event::Blocked(_)
            | Event::Unblocked => {}
        }
    }

    fn attempted(&mut self, task: TaskId, attempt: Attempt<'a>) {
        if let Some(Some(scheduled)) = self.open.get(&task).and_then(|at| self.events.get_mut(*at))
        {
            scheduled.attempts.push(attempt);
        }
    }

    /// Ends a task: takes what is known of it from where it was scheduled.
    fn fold(&mut self, task: TaskId, mut end: HistoryEvent<'a>) {
        let place = self.open.remove(&task);
        let scheduled = place.and_then(|at| self.events.get_mut(at)?.take());
        if let Some(scheduled) = scheduled {
            end.function_name = scheduled.name;
            end.input = scheduled.input;
            end.scheduled_time = Some(scheduled.timestamp);
            // One attempt that just worked is what the reference's event says
            // already.
            let telling = |attempts: &[Attempt<'_>]| match attempts {
                [only] => only.outcome != Outcome::Completed || only.logs.is_some(),
                _ => true,
            };
            if telling(&scheduled.attempts) {
                end.attempts = scheduled.attempts;
            }
        }
        self.push(end);
    }
}

fn kept(logs: &Logs) -> Option<&Logs> {
    Some(logs).filter(|logs| !logs.is_empty())
}

/// In the reference this is a text: the exception with its stack.
fn details(failure: &Failure) -> String {
    match &failure.details {
        Some(details) => format!("{failure}\n{}", details.as_str()),
        None => failure.to_string(),
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
