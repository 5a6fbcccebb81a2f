//! A journal as Durable Functions shows a history.
//!
//! What there is in both is shown as it is there: a task that is complete
//! swallows its scheduling, event ids are dropped, and what only we journal
//! (log lines, custom statuses, waits) is left out. What is ours is added
//! under keys of its own: `Attempts` on a task whose story is longer than
//! "scheduled, done", and `Failure` where a whole failure is known.
//!
//! Undo is not known there, and has events of its own:
//!
//! | `EventType` | |
//! |---|---|
//! | `CompensationScheduled`, `CompensationCompleted` | what the orchestrator asked to have undone |
//! | `ExecutionUnwinding` | the whole saga is undone from here on |
//! | `UndoScheduled`, `UndoCompleted` | the undo of a step; as with tasks, the end swallows the scheduling |
//! | `UndoStuck`, `TaskStuck` | no further attempt: a person is needed |
//! | `UndoRepaired`, `TaskRepaired` | what that person did |
//! | `TaskEndedLate` | an attempt that was given up ended after all |
//! | `DeliveryFailed` | what was sent to another instance will never arrive |
//!
//! So has a rewind: `ExecutionRewound`. What the code is told again after it
//! is shown as completed once more, with `Recalled`, the time of before.
//!
//! A pure function of the journal, linear in its length.

mod event;
mod mail;
mod rewind;
mod undo;

use std::collections::{HashMap, HashSet};

use sagahost_core::{BlockedReason, Event, Json, Millis, Record, TaskId, Work};

use self::event::{Attempt, Outcome, Shown, kept};
pub(crate) use self::event::{HistoryEvent, Show};
use crate::time::to_ticks;

/// The history that this journal tells.
///
/// `recalled` is what [`sagahost_core::recalled`] says of it.
pub(crate) fn history<'a>(
    records: &'a [Record],
    recalled: &'a [Json],
    show: Show,
) -> Vec<HistoryEvent<'a>> {
    let mut history = Builder {
        show,
        recalled: recalled.iter(),
        waits: HashMap::new(),
        events: Vec::with_capacity(records.len()),
        open: HashMap::new(),
        timers: HashMap::new(),
        names: HashMap::new(),
        pivots: HashSet::new(),
        past_pivot: false,
        stuck: HashSet::new(),
        sent: HashMap::new(),
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
    recalled: std::slice::Iter<'a, Json>,
    /// The names of the events that are waited for.
    waits: HashMap<TaskId, &'a str>,
    /// `None` where something stood that was folded into its end.
    events: Vec<Option<HistoryEvent<'a>>>,
    /// Where that stands which has not ended.
    open: HashMap<Work, usize>,
    timers: HashMap<TaskId, Millis>,
    /// The functions of the steps and undos.
    names: HashMap<Work, &'a str>,
    /// Pivots that are not complete.
    pivots: HashSet<TaskId>,
    past_pivot: bool,
    /// Steps that need a person.
    stuck: HashSet<TaskId>,
    /// To whom the letters went that were not taken in yet.
    sent: HashMap<u64, &'a str>,
}

impl<'a> Builder<'a> {
    fn push(&mut self, event: HistoryEvent<'a>) {
        self.events.push(Some(event));
    }

    fn input(&self, input: &'a Json) -> Option<Shown<'a>> {
        self.show.inputs.then_some(Shown::Json(input))
    }

    fn output(&self, output: &'a Json) -> Option<Shown<'a>> {
        self.show.outputs.then_some(Shown::Json(output))
    }

    fn add(&mut self, at: Millis, event: &'a Event) {
        match event {
            Event::Started(started) => self.push(HistoryEvent {
                function_name: Some(&started.name),
                input: self.input(&started.input),
                ..HistoryEvent::new("ExecutionStarted", at)
            }),
            Event::Scheduled { task, function, input, undo, pivot, .. } => self.begin(
                Work::Step(*task),
                HistoryEvent {
                    name: Some(function),
                    input: self.input(input),
                    step: (undo.is_some() || *pivot).then(|| (*task).into()),
                    undo: undo.as_ref().map(|undo| &*undo.function),
                    pivot: *pivot,
                    ..HistoryEvent::new("TaskScheduled", at)
                },
            ),
            Event::ChildScheduled { task, function, input, id, undo, pivot, .. } => self.begin(
                Work::Step(*task),
                HistoryEvent {
                    name: Some(function),
                    instance_id: Some(id),
                    input: self.input(input),
                    step: Some((*task).into()),
                    undo: undo.as_ref().map(|undo| &*undo.function),
                    pivot: *pivot,
                    ..HistoryEvent::new("SubOrchestrationInstanceCreated", at)
                },
            ),
            Event::ChildCompleted { task, output, handed: _ } => {
                let result = self.output(output);
                let event_type = "SubOrchestrationInstanceCompleted";
                self.completed(*task, HistoryEvent { result, ..HistoryEvent::new(event_type, at) });
            }
            Event::Begun | Event::ContinuedAsNew { .. } => {}
            // It is started again, and ends later.
            Event::ChildFailed { retry_at: Some(_), .. } => {}
            Event::ChildFailed { task, failure, .. } => {
                let end = HistoryEvent::failed("SubOrchestrationInstanceFailed", at, failure);
                self.fold(Work::Step(*task), end);
            }
            Event::TaskCompleted { task, attempt, started_at, output, logs } => {
                let attempt = Attempt::completed(*attempt, *started_at, at, logs);
                self.attempted(Work::Step(*task), attempt);
                let result = self.output(output);
                self.completed(
                    *task,
                    HistoryEvent { result, ..HistoryEvent::new("TaskCompleted", at) },
                );
            }
            Event::AttemptFailed { task, attempt, started_at, failure, retry_at, logs } => {
                let attempt = Attempt::failed(*attempt, *started_at, at, failure, *retry_at, logs);
                let work = Work::Step(*task);
                self.attempted(work, attempt);
                if retry_at.is_none() {
                    // As the core decides it: what has to be done is not
                    // given up.
                    let unknown = failure.kind.outcome_unknown();
                    let stuck = self.past_pivot || (unknown && self.pivots.contains(task));
                    let event_type = if stuck { "TaskStuck" } else { "TaskFailed" };
                    if stuck {
                        self.stuck.insert(*task);
                    }
                    self.fold(work, HistoryEvent::failed(event_type, at, failure));
                }
            }
            Event::AttemptLost { task, attempt } => {
                self.attempted(Work::Step(*task), Attempt::lost(*attempt, at));
            }
            Event::RetriesEnded { task } => {
                let end = HistoryEvent {
                    reason: Some("it is not attempted again, because it is to be undone"),
                    ..HistoryEvent::new("TaskFailed", at)
                };
                self.fold(Work::Step(*task), end);
            }
            Event::LateResult { task, attempt, output, failure, logs } => {
                let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Completed };
                self.push(HistoryEvent {
                    function_name: self.names.get(&Work::Step(*task)).copied(),
                    step: Some((*task).into()),
                    result: output.as_ref().and_then(|output| self.output(output)),
                    failure: failure.as_ref(),
                    attempts: vec![Attempt {
                        outcome,
                        logs: kept(logs),
                        ..Attempt::lost(*attempt, at)
                    }],
                    ..HistoryEvent::new("TaskEndedLate", at)
                });
            }
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
            Event::EventRaised { name, input, .. } => self.push(HistoryEvent {
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
            Event::Suspended { reason } => self.push(HistoryEvent {
                reason: Some(reason),
                ..HistoryEvent::new("ExecutionSuspended", at)
            }),
            Event::Resumed { reason } => self.push(HistoryEvent {
                reason: Some(reason),
                ..HistoryEvent::new("ExecutionResumed", at)
            }),
            Event::Canceled { reason } => {
                self.push(HistoryEvent::ended("Canceled", at, Shown::Text(reason), self.show));
            }
            Event::Terminated { reason } => {
                self.push(HistoryEvent {
                    input: self.show.inputs.then_some(Shown::Text(reason)),
                    ..HistoryEvent::new("ExecutionTerminated", at)
                });
                self.push(HistoryEvent::ended("Terminated", at, Shown::Text(reason), self.show));
            }
            Event::CompensationRequested { .. }
            | Event::CompensationDone { .. }
            | Event::Unwinding { .. }
            | Event::UndoScheduled { .. }
            | Event::UndoCompleted { .. }
            | Event::UndoAttemptFailed { .. }
            | Event::UndoAttemptLost { .. }
            | Event::Repaired { .. } => self.add_undo(at, event),
            Event::Sent(_)
            | Event::EntityCalled { .. }
            | Event::EntityAnswered { .. }
            | Event::LocksRequested { .. }
            | Event::LockGranted { .. }
            | Event::LocksReleased
            | Event::Delivered { .. } => self.add_mail(at, event),
            Event::Rewound { .. } | Event::Recalled { .. } => self.add_rewind(at, event),
            Event::EventAwaited { task, name } => {
                self.waits.insert(*task, name);
            }
            Event::ScopeOpened { .. }
            | Event::ParallelUndo { .. }
            | Event::TaskCancelled { .. }
            | Event::StatusSet { .. }
            | Event::Logged { .. }
            | Event::Blocked(_)
            | Event::Unblocked => {}
        }
    }

    /// Something that will have an end.
    fn begin(&mut self, work: Work, event: HistoryEvent<'a>) {
        if let Some(name) = event.name {
            self.names.insert(work, name);
        }
        if let (Work::Step(task), true) = (work, event.pivot) {
            self.pivots.insert(task);
        }
        self.open.insert(work, self.events.len());
        self.push(event);
    }

    fn attempted(&mut self, work: Work, attempt: Attempt<'a>) {
        if let Some(Some(scheduled)) = self.open.get(&work).and_then(|at| self.events.get_mut(*at))
        {
            scheduled.attempts.push(attempt);
        }
    }

    /// A step is complete.
    fn completed(&mut self, task: TaskId, end: HistoryEvent<'a>) {
        self.past_pivot |= self.pivots.remove(&task);
        self.fold(Work::Step(task), end);
    }

    /// Ends something: takes what is known of it from where it was scheduled.
    fn fold(&mut self, work: Work, mut end: HistoryEvent<'a>) {
        let place = self.open.remove(&work);
        let scheduled = place.and_then(|at| self.events.get_mut(at)?.take());
        if let Some(scheduled) = scheduled {
            end.function_name = scheduled.name;
            end.instance_id = scheduled.instance_id;
            end.entity = scheduled.entity;
            end.step = scheduled.step;
            end.undo = scheduled.undo;
            end.pivot = scheduled.pivot;
            end.scope = scheduled.scope;
            end.outcome = scheduled.outcome;
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

#[cfg(test)]
mod tests;
