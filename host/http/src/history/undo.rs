//! Undo in a history: what the reference has no word for.

use sagahost_core::{Cause, Event, Millis, Repair, UndoId, Work};

use super::Builder;
use super::event::{Attempt, HistoryEvent};
use crate::saga::{cause_word, outcome_word};

impl<'a> Builder<'a> {
    pub(super) fn add_undo(&mut self, at: Millis, event: &'a Event) {
        match event {
            Event::CompensationRequested { task, scope } => self.begin(
                Work::Step(*task),
                HistoryEvent {
                    scope: Some(*scope),
                    ..HistoryEvent::new("CompensationScheduled", at)
                },
            ),
            Event::CompensationDone { task } => {
                self.fold(Work::Step(*task), HistoryEvent::new("CompensationCompleted", at));
            }
            Event::Unwinding { cause } => {
                let event_type = "ExecutionUnwinding";
                let event = match cause {
                    Cause::Failed(failure) | Cause::Deadline(failure) => {
                        HistoryEvent::failed(event_type, at, failure)
                    }
                    Cause::Canceled(reason) | Cause::Terminated(reason) | Cause::Parent(reason) => {
                        HistoryEvent { reason: Some(reason), ..HistoryEvent::new(event_type, at) }
                    }
                };
                self.push(HistoryEvent { cause: Some(cause_word(cause)), ..event });
            }
            Event::UndoScheduled { undo, function, outcome } => self.begin(
                Work::Undo(*undo),
                HistoryEvent {
                    name: Some(function),
                    step: Some(*undo),
                    outcome: Some(outcome_word(*outcome)),
                    ..HistoryEvent::new("UndoScheduled", at)
                },
            ),
            Event::UndoCompleted { undo, attempt, started_at, output, logs } => {
                let work = Work::Undo(*undo);
                self.attempted(work, Attempt::completed(*attempt, *started_at, at, logs));
                let result = self.output(output);
                self.fold(
                    work,
                    HistoryEvent {
                        result,
                        step: Some(*undo),
                        ..HistoryEvent::new("UndoCompleted", at)
                    },
                );
            }
            Event::UndoAttemptFailed { undo, attempt, started_at, failure, retry_at, logs } => {
                let work = Work::Undo(*undo);
                let attempt = Attempt::failed(*attempt, *started_at, at, failure, *retry_at, logs);
                self.attempted(work, attempt);
                if retry_at.is_none() {
                    let end = HistoryEvent::failed("UndoStuck", at, failure);
                    self.fold(work, HistoryEvent { step: Some(*undo), ..end });
                }
            }
            Event::UndoAttemptLost { undo, attempt } => {
                self.attempted(Work::Undo(*undo), Attempt::lost(*attempt, at));
            }
            Event::Repaired { step, repair, note, by } => {
                self.repaired(at, *step, repair, note, by)
            }
            _ => {}
        }
    }

    /// A repair, and what it does: the work begins again, or is done.
    fn repaired(
        &mut self,
        at: Millis,
        step: UndoId,
        repair: &'a Repair,
        note: &'a str,
        by: &'a str,
    ) {
        let forward = step.part == 0 && self.stuck.remove(&step.task);
        let (work, repaired, scheduled, completed) = match forward {
            true => (Work::Step(step.task), "TaskRepaired", "TaskScheduled", "TaskCompleted"),
            false => (Work::Undo(step), "UndoRepaired", "UndoScheduled", "UndoCompleted"),
        };
        let name = self.names.get(&work).copied();
        let (word, input) = match repair {
            Repair::Retry => ("retry", None),
            Repair::RetryWith(input) => ("retry", self.input(input)),
            Repair::Done(_) => ("done", None),
            Repair::Failed => ("failed", None),
        };
        self.push(HistoryEvent {
            name,
            step: Some(step),
            repair: Some(word),
            reason: Some(note),
            by: Some(by),
            ..HistoryEvent::new(repaired, at)
        });
        match repair {
            Repair::Done(output) => {
                let result = self.output(output);
                let end = HistoryEvent {
                    function_name: name,
                    step: Some(step),
                    result,
                    ..HistoryEvent::new(completed, at)
                };
                match forward {
                    true => self.completed(step.task, end),
                    false => self.push(end),
                }
            }
            Repair::Failed => {
                let end = HistoryEvent {
                    function_name: name,
                    step: Some(step),
                    reason: Some(note),
                    ..HistoryEvent::new("TaskFailed", at)
                };
                self.completed(step.task, end);
            }
            Repair::Retry | Repair::RetryWith(_) => {
                let again = HistoryEvent {
                    name,
                    step: Some(step),
                    input,
                    pivot: forward && self.pivots.contains(&step.task),
                    ..HistoryEvent::new(scheduled, at)
                };
                self.begin(work, again);
            }
        }
    }
}
