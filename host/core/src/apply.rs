//! What each event changes.

use std::collections::VecDeque;

use crate::instance::{Asked, End, Instance, Task, TaskKind, TaskState, Unwind, Wake};
use crate::undos::UndoState;
use crate::{
    BlockedReason, Cause, Event, Failure, HTTP_ACCEPTED, HTTP_FUNCTION, Json, Millis, Record,
    Repair, ScopeId, TaskId, UndoId, Work,
};

impl Instance {
    /// Applies one event of the journal. An event that does not fit the state
    /// (which no journal that this crate wrote has) changes nothing.
    pub(crate) fn apply(&mut self, record: &Record) {
        let Record(at, event) = record;
        let at = *at;
        self.events += 1;
        // That its mail was taken in is no change of what has ended.
        if self.end.is_none() || !matches!(event, Event::Delivered { .. }) {
            self.updated = self.updated.max(at);
        }
        match event {
            Event::Started(_) => {}
            Event::Scheduled { task, function, input, policy, undo, scope, pivot } => {
                let kind = TaskKind::Activity {
                    function: function.clone(),
                    input: input.clone(),
                    policy: policy.clone(),
                };
                self.add_step(*task, at, kind, *scope, *pivot);
                self.arm(*task, undo.as_ref(), at);
                self.ask_again(*task);
            }
            Event::Begun => {
                self.pending = false;
                self.begun_at = at;
                self.wakes.retain(|(_, wake)| *wake != Wake::Begin);
            }
            Event::ContinuedAsNew { .. } => drop(self.release_locks()),
            Event::Sent(_)
            | Event::EntityCalled { .. }
            | Event::EntityAnswered { .. }
            | Event::LocksRequested { .. }
            | Event::LockGranted { .. }
            | Event::LocksReleased
            | Event::Delivered { .. } => self.apply_mail(at, event),
            Event::ChildScheduled {
                task,
                function,
                input,
                id,
                undo,
                by_hand,
                scope,
                pivot,
                policy,
            } => {
                let kind = TaskKind::Child {
                    function: function.clone(),
                    input: input.clone(),
                    id: id.clone(),
                    by_hand: *by_hand,
                    policy: Box::new(policy.clone()),
                };
                self.add_step(*task, at, kind, *scope, *pivot);
                self.arm(*task, undo.as_ref(), at);
                self.ask_again(*task);
            }
            Event::ChildCompleted { task, output, handed } => {
                self.take_over(*task, handed, true, at);
                self.complete(*task, at, Ok(output.clone()));
            }
            Event::ChildFailed { task, retry_at: Some(retry_at), .. } => {
                // That an attempt begins is not journaled, only how it ends.
                if let Some(TaskState::Running { attempt } | TaskState::Retrying { attempt, .. }) =
                    self.tasks.get(*task as usize).map(|task| &task.state)
                {
                    let attempt = attempt + 1;
                    self.set_state(*task, TaskState::Retrying { attempt, at: *retry_at });
                    self.wakes.insert((*retry_at, Wake::Task(*task)));
                }
            }
            Event::ChildFailed { task, failure, handed, .. } => {
                self.take_over(*task, handed, false, at);
                self.complete(*task, at, Err(failure.clone()));
            }
            Event::ScopeOpened { scope, parent } => {
                debug_assert_eq!(*scope, self.scopes.next(), "scopes are numbered in order");
                self.ask(Asked::Scope(*scope));
                self.scopes.open(*parent);
            }
            Event::ParallelUndo { scope } => {
                self.ask(Asked::Parallel(*scope));
                self.scopes.set_parallel(*scope);
            }
            Event::CompensationRequested { task, scope } => {
                let kind = TaskKind::Compensation { scope: *scope };
                self.add_task(*task, at, kind, TaskState::Waiting, (0, false));
                self.unwinds.push(Unwind { task: *task, scope: *scope });
            }
            Event::CompensationDone { task } => {
                self.unwinds.retain(|unwind| unwind.task != *task);
                self.complete(*task, at, Ok(Json::null()));
            }
            Event::Unwinding { cause } => {
                if let Cause::Failed(failure) = cause {
                    self.code_failed(failure);
                }
                self.blocked = None;
                self.unwinding = Some(cause.clone());
                self.wakes.retain(|(_, wake)| *wake != Wake::Deadline);
                self.stop_waiting();
            }
            Event::RetriesEnded { task } => {
                let last = Failure::host(
                    crate::FailureKind::Cancelled,
                    "it is not attempted again, because it is to be undone",
                );
                self.complete(*task, at, Err(last));
            }
            Event::UndoScheduled { undo, .. } => {
                self.set_undo(*undo, UndoState::Running { attempt: 1 }, at);
            }
            Event::UndoCompleted { undo, .. } => self.set_undo(*undo, UndoState::Done, at),
            Event::UndoAttemptFailed { undo, attempt, failure, retry_at, .. } => {
                let attempt = *attempt;
                let state = match retry_at {
                    Some(at) => UndoState::Retrying { attempt: attempt + 1, at: *at },
                    None => UndoState::Stuck { attempt, failure: failure.clone() },
                };
                self.set_undo(*undo, state, at);
            }
            Event::UndoAttemptLost { undo, attempt } => {
                if let Some(undo) = self.undos.get_mut(undo) {
                    undo.lost += 1;
                    undo.uncounted += 1;
                }
                self.set_undo(*undo, UndoState::Running { attempt: attempt + 1 }, at);
            }
            Event::Repaired { step, repair, .. } => self.repair(*step, repair, at),
            Event::LateResult { task, .. } => {
                if let Some(task) = self.tasks.get_mut(*task as usize) {
                    task.given_up = None;
                }
            }
            Event::TimerCreated { task, fire_at } => {
                let kind = TaskKind::Timer { fire_at: *fire_at };
                self.add_task(*task, at, kind, TaskState::Waiting, (0, false));
                if !self.ask_again(*task) {
                    self.wakes.insert((*fire_at, Wake::Task(*task)));
                }
            }
            Event::EventAwaited { task, name } => {
                let kind = TaskKind::Event { name: name.clone() };
                self.add_task(*task, at, kind, TaskState::Waiting, (0, false));
                if self.ask_again(*task) {
                    return;
                }
                match self.raised.get_mut(name).and_then(VecDeque::pop_front) {
                    Some(input) => self.complete(*task, at, Ok(input)),
                    None => self.waits.entry(name.clone()).or_default().push_back(*task),
                }
            }
            Event::TaskCancelled { task, requeued } => {
                self.ask(Asked::Cancel(*task));
                match requeued {
                    true => self.requeue(*task, at),
                    false => self.cancel(*task),
                }
            }
            Event::TaskCompleted { task, output, .. } => {
                self.complete(*task, at, Ok(output.clone()));
            }
            Event::AttemptFailed { task, attempt, failure, retry_at, .. } => {
                self.attempt_failed(*task, *attempt, failure, *retry_at, at);
            }
            Event::AttemptLost { task, attempt } => {
                self.set_state(*task, TaskState::Running { attempt: attempt + 1 });
                if let Some(task) = self.tasks.get_mut(*task as usize) {
                    task.lost += 1;
                    task.uncounted += 1;
                    task.unknown = true;
                    task.given_up = Some(*attempt);
                }
            }
            Event::TimerFired { task } => self.complete(*task, at, Ok(Json::null())),
            Event::EventRaised { name, input, from } => {
                if let Some(post) = from {
                    self.inbox.note(post, at);
                }
                match self.waits.get_mut(name).and_then(VecDeque::pop_front) {
                    Some(task) => self.complete(task, at, Ok(input.clone())),
                    None => self.raised.entry(name.clone()).or_default().push_back(input.clone()),
                }
            }
            Event::Suspended { .. } => self.suspended = true,
            Event::Resumed { .. } => self.suspended = false,
            Event::StatusSet { status } => self.custom_status = Some(status.clone()),
            Event::Logged { .. } => {}
            Event::Rewound { digest, by_parent, .. } => self.rewind(at, digest, *by_parent),
            Event::Recalled { task, at } => self.recall(*task, *at),
            Event::Blocked(reason) => {
                if let BlockedReason::PastPivot { failure } = reason {
                    self.code_failed(failure);
                }
                self.blocked = Some(reason.clone());
            }
            Event::Unblocked => self.blocked = None,
            Event::Completed { output } => self.finish(End::Completed(output.clone())),
            Event::Failed { failure } => self.finish(End::Failed(failure.clone())),
            Event::Canceled { reason } => self.finish(End::Canceled(reason.clone())),
            Event::Terminated { reason } => self.finish(End::Terminated(reason.clone())),
        }
    }

    /// The code asked for something, after it was offered all that was
    /// complete: also where that is in the middle of a chunk, of several turns.
    pub(crate) fn ask(&mut self, asked: Asked) {
        self.delivered = self.completions.len();
        self.asked.push(asked);
    }

    /// The code ended, after it was given all that was complete.
    fn code_failed(&mut self, failure: &Failure) {
        self.delivered = self.completions.len();
        self.code_failed = Some(failure.clone());
    }

    fn add_step(&mut self, task: TaskId, at: Millis, kind: TaskKind, scope: ScopeId, pivot: bool) {
        self.open_steps += 1;
        self.open_pivots += u32::from(pivot);
        self.scopes.add_step(scope, task);
        self.add_task(task, at, kind, TaskState::Running { attempt: 1 }, (scope, pivot));
    }

    pub(crate) fn add_task(
        &mut self,
        task: TaskId,
        scheduled_at: Millis,
        kind: TaskKind,
        state: TaskState,
        (scope, pivot): (ScopeId, bool),
    ) {
        debug_assert_eq!(task as usize, self.tasks.len(), "tasks are numbered in order");
        self.ask(Asked::Task(task));
        self.tasks.push(Task {
            kind,
            state,
            scheduled_at,
            uncounted: 0,
            lost: 0,
            scope,
            pivot,
            unknown: false,
            mended: None,
            given_up: None,
            key: None,
            attempts: 0,
        });
    }

    fn set_state(&mut self, task: TaskId, state: TaskState) {
        let Some(found) = self.tasks.get_mut(task as usize) else { return };
        if let TaskState::Retrying { at, .. } = &found.state {
            self.wakes.remove(&(*at, Wake::Task(task)));
        }
        found.state = state;
    }

    /// What waits for its next attempt is attempted; whether it waited.
    pub(crate) fn begin_retry(&mut self, work: Work) -> bool {
        match work {
            Work::Step(task) => {
                let state = self.tasks.get(task as usize).map(|task| &task.state);
                let Some(&TaskState::Retrying { attempt, .. }) = state else { return false };
                self.set_state(task, TaskState::Running { attempt });
            }
            Work::Undo(undo) => {
                let state = self.undos.get(&undo).map(|undo| &undo.state);
                let Some(&UndoState::Retrying { attempt, .. }) = state else { return false };
                self.set_undo(undo, UndoState::Running { attempt }, self.updated);
            }
        }
        true
    }

    fn attempt_failed(
        &mut self,
        task: TaskId,
        attempt: u32,
        failure: &Failure,
        retry_at: Option<Millis>,
        at: Millis,
    ) {
        let past_pivot = self.past_pivot;
        let Some(found) = self.tasks.get_mut(task as usize) else { return };
        found.unknown |= failure.kind.outcome_unknown();
        if let TaskKind::Activity { function, .. } = &found.kind
            && function == HTTP_FUNCTION
            && failure.code == HTTP_ACCEPTED
        {
            // The other side took it. From now on it is asked for its answer.
            found.unknown = true;
            found.uncounted += 1;
            found.mended = failure.details.clone();
        }
        let maybe_passed = found.pivot && found.unknown;
        if matches!(failure.kind, crate::FailureKind::HostLost | crate::FailureKind::Cancelled) {
            found.given_up = Some(attempt);
        }
        match retry_at {
            Some(retry_at) => {
                self.set_state(task, TaskState::Retrying { attempt: attempt + 1, at: retry_at });
                self.wakes.insert((retry_at, Wake::Task(task)));
            }
            // What has to be done waits for a person, and so does a pivot of
            // which nobody knows whether it is passed.
            None if past_pivot || maybe_passed => {
                self.set_state(task, TaskState::Stuck { attempt, failure: failure.clone() });
                self.open_steps -= 1;
                self.stuck.insert(Work::Step(task), at);
            }
            None => self.complete(task, at, Err(failure.clone())),
        }
    }

    pub(crate) fn complete(&mut self, task: TaskId, at: Millis, outcome: Result<Json, Failure>) {
        let Some(found) = self.tasks.get_mut(task as usize) else {
            return;
        };
        if matches!(found.state, TaskState::Done(_) | TaskState::Cancelled) {
            return;
        }
        found.attempts = match found.state {
            // That a retry began is not journaled.
            TaskState::Running { attempt }
            | TaskState::Retrying { attempt, .. }
            | TaskState::Stuck { attempt, .. } => attempt,
            _ => 0,
        };
        match (&found.kind, &found.state) {
            (TaskKind::Activity { .. } | TaskKind::Child { .. }, state) => {
                match state {
                    TaskState::Retrying { at, .. } => {
                        self.wakes.remove(&(*at, Wake::Task(task)));
                        self.open_steps -= 1;
                    }
                    TaskState::Stuck { .. } => {
                        self.stuck.remove(&Work::Step(task));
                    }
                    _ => self.open_steps -= 1,
                }
                self.open_pivots -= u32::from(found.pivot);
            }
            (TaskKind::Timer { fire_at }, _) => {
                self.wakes.remove(&(*fire_at, Wake::Task(task)));
            }
            _ => {}
        }
        let passed = found.pivot && outcome.is_ok();
        found.state = TaskState::Done(outcome);
        self.completions.push((task, at));
        if passed {
            self.pass_pivot();
        } else {
            self.settle_undo(task, at);
            self.stop_waiting();
        }
    }

    /// Nothing before it is undone any more. What wanted the saga undone from
    /// outside came too late; where the code has ended with a failure, a
    /// person has to see what is left to do.
    fn pass_pivot(&mut self) {
        self.past_pivot = true;
        self.drop_armed();
        self.wakes.retain(|(_, wake)| *wake != Wake::Deadline);
        if let Some(Cause::Failed(failure)) = self.unwinding.take() {
            self.blocked = Some(BlockedReason::PastPivot { failure });
        }
    }

    /// Where the saga is undone, the code waits for nothing any more.
    fn stop_waiting(&mut self) {
        if self.unwinding.is_none()
            || self.open_pivots > 0
            || self.waits.is_empty() && self.wakes.is_empty()
        {
            return;
        }
        self.waits.clear();
        let tasks = &self.tasks;
        self.wakes.retain(|(_, wake)| match wake {
            Wake::Begin | Wake::Deadline => false,
            Wake::Undo(_) => true,
            Wake::Task(task) => !matches!(
                tasks.get(*task as usize).map(|task| &task.kind),
                Some(TaskKind::Timer { .. })
            ),
        });
    }

    fn repair(&mut self, step: UndoId, repair: &Repair, at: Millis) {
        let work = Work::Step(step.task);
        if step.part > 0 || !self.stuck.contains_key(&work) {
            return self.repair_undo(step, repair, at);
        }
        let Some(task) = self.tasks.get_mut(step.task as usize) else { return };
        let TaskState::Stuck { attempt, failure } = task.state.clone() else { return };
        match repair {
            Repair::Done(output) => return self.complete(step.task, at, Ok(output.clone())),
            Repair::Failed => {
                task.unknown = false;
                return self.complete(step.task, at, Err(failure));
            }
            Repair::Retry => {}
            Repair::RetryWith(input) => task.mended = Some(input.clone()),
        }
        task.state = TaskState::Running { attempt: attempt + 1 };
        task.uncounted = attempt;
        task.lost = 0;
        task.scheduled_at = at;
        self.open_steps += 1;
        self.stuck.remove(&work);
    }

    /// A wait is given up for which an event had come that the code was not
    /// given: it goes to the next wait, or before all that came later.
    fn requeue(&mut self, task: TaskId, at: Millis) {
        let Some(found) = self.tasks.get_mut(task as usize) else { return };
        let (TaskKind::Event { name }, TaskState::Done(Ok(input))) = (&found.kind, &found.state)
        else {
            return;
        };
        let (name, input) = (name.clone(), input.clone());
        found.state = TaskState::Cancelled;
        match self.waits.get_mut(&name).and_then(VecDeque::pop_front) {
            Some(next) => self.complete(next, at, Ok(input)),
            None => self.raised.entry(name).or_default().push_front(input),
        }
    }

    fn cancel(&mut self, task: TaskId) {
        self.give_back(task);
        let Some(found) = self.tasks.get_mut(task as usize) else {
            return;
        };
        let waits = matches!(found.kind, TaskKind::Timer { .. } | TaskKind::Event { .. });
        if found.state != TaskState::Waiting || !waits {
            return;
        }
        found.state = TaskState::Cancelled;
        match &found.kind {
            TaskKind::Timer { fire_at } => {
                self.wakes.remove(&(*fire_at, Wake::Task(task)));
            }
            TaskKind::Event { name } => {
                if let Some(waits) = self.waits.get_mut(name) {
                    waits.retain(|waiting| *waiting != task);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: End) {
        self.release_locks();
        // One that failed may be rewound, and then waits for them again.
        if !matches!(end, End::Failed(_)) {
            self.raised.clear();
        }
        self.end = Some(end);
        self.blocked = None;
        self.unwinds.clear();
        self.stuck.clear();
        self.wakes.clear();
        self.waits.clear();
    }
}
