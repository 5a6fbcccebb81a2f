//! Undoing: what sets it off, what it waits for, and what comes next.

use std::collections::HashSet;

use crate::command::{ChildStop, Rejected};
use crate::instance::{TaskKind, TaskState};
use crate::orchestration::Orchestration;
use crate::undos::UndoState;
use crate::{
    BlockedReason, Cause, Event, Failure, FailureKind, Logs, ScopeId, TaskId, UndoId, Work,
};

impl Orchestration {
    /// The code ended with a failure.
    pub(crate) fn code_failed(&mut self, failure: Failure) {
        if self.instance.past_pivot {
            self.record(Event::Blocked(BlockedReason::PastPivot { failure }));
        } else {
            self.unwind(Cause::Failed(failure));
        }
    }

    /// Why the orchestrator must not return yet: something is under way of
    /// which nobody would know how it ends.
    pub(crate) fn left_open(&self) -> Option<Failure> {
        let instance = &self.instance;
        if instance.open_steps == 0 && instance.stuck.is_empty() && instance.unwinds.is_empty() {
            return None;
        }
        let open = instance.tasks.iter().enumerate().find_map(|(task, found)| {
            let undo = instance.undos.get(&UndoId::from(task as TaskId));
            let matters = match &found.kind {
                TaskKind::Activity { .. } => {
                    instance.past_pivot
                        || found.pivot
                        || undo.is_some_and(|undo| undo.state == UndoState::Armed)
                }
                TaskKind::Child { by_hand, .. } => !by_hand,
                TaskKind::Compensation { .. } => true,
                _ => false,
            };
            let open = !matches!(found.state, TaskState::Done(_) | TaskState::Cancelled);
            (matters && open).then_some((task, &found.kind))
        });
        let (task, kind) = open?;
        let what = match kind {
            TaskKind::Activity { function, .. } | TaskKind::Child { function, .. } => {
                format!("step {task} ({function})")
            }
            _ => format!("the undo that it asked for (task {task})"),
        };
        let message = format!(
            "the orchestrator returned while {what} was not complete: wait for it before you return"
        );
        Some(Failure::host(FailureKind::StepsOpen, message))
    }

    pub(crate) fn unwind_from_outside(&mut self, cause: Cause) -> Result<(), Rejected> {
        if self.instance.past_pivot {
            return Err(Rejected::PastPivot);
        }
        // What is being undone already needs no second reason.
        if self.instance.unwinding.is_none() {
            self.unwind(cause);
        }
        Ok(())
    }

    pub(crate) fn unwind(&mut self, cause: Cause) {
        self.recall_all();
        let instance = &self.instance;
        let nothing_to_do = instance.open_steps == 0
            && instance.stuck.is_empty()
            && instance.unwinds.is_empty()
            && (instance.tally.armed == 0 || matches!(cause, Cause::Parent(_)));
        if nothing_to_do {
            return self.finish(end(cause));
        }
        self.record(Event::Unwinding { cause });
        self.advance();
    }

    pub(crate) fn terminate(&mut self, reason: String) -> Result<(), Rejected> {
        let instance = &self.instance;
        let undoing = instance.unwinding.is_some()
            || !instance.unwinds.is_empty()
            || !instance.tally.active.is_empty();
        if undoing && !instance.past_pivot {
            return Err(Rejected::Undoing);
        }
        for task in 0..self.instance.tasks.len() as TaskId {
            self.tell(task, &reason, true);
        }
        self.finish(Event::Terminated { reason });
        Ok(())
    }

    /// Goes on with what is being undone, as far as that is possible now.
    pub(crate) fn advance(&mut self) {
        if self.instance.end.is_some() {
            return;
        }
        for unwind in self.instance.unwinds.clone() {
            if self.instance.unwinding.is_some() && !self.instance.is_held() {
                break;
            }
            if self.progress(unwind.scope, unwind.task, true) {
                self.record(Event::CompensationDone { task: unwind.task });
            }
        }
        if self.instance.unwinding.is_some()
            && !self.instance.is_held()
            && self.progress(0, TaskId::MAX, !self.instance.hands_over())
            && let Some(cause) = self.instance.unwinding.clone()
        {
            self.finish(end(cause));
        }
    }

    /// Goes on with undoing a scope; whether it is undone. Without `undo` it
    /// only sees to it that nothing goes on in it.
    fn progress(&mut self, scope: ScopeId, below: TaskId, undo: bool) -> bool {
        let past_pivot = self.instance.past_pivot;
        if !past_pivot && !self.settle(scope, below) {
            return false;
        }
        let is_part = |undo: &UndoId| {
            let inner = self.instance.tasks.get(undo.task as usize).map(|task| task.scope);
            undo.task < below
                && inner.is_some_and(|inner| self.instance.scopes.contains(scope, inner))
        };
        let tally = &self.instance.tally;
        if past_pivot || !undo || tally.armed == 0 {
            // Nothing more begins; what has begun comes to its end.
            let hands_over = !undo && !past_pivot;
            let stuck = self.instance.stuck.keys().any(|work| match work {
                Work::Undo(undo) => !hands_over && is_part(undo),
                Work::Step(_) => false,
            });
            return !stuck && !tally.active.iter().any(is_part);
        }
        // Steps of which nothing is left are passed over unseen: there may be
        // thousands.
        let Some(last) = self.instance.last_left() else { return true };
        let below = below.min(last.saturating_add(1));
        let left = |task| self.instance.left_of(task);
        let frontier = self.instance.scopes.frontier(scope, below, &left);
        if frontier.is_empty() {
            return true;
        }
        // An undo that another scope began, and that is not at its turn here,
        // is waited for.
        let begun: HashSet<UndoId> = frontier.iter().copied().collect();
        let in_turn = tally.active.iter().filter(|undo| is_part(undo)).all(|u| begun.contains(u));
        if in_turn {
            for undo in frontier {
                self.begin_undo(undo);
            }
        }
        false
    }

    fn begin_undo(&mut self, undo: UndoId) {
        let Some(found) = self.instance.undos.get(&undo) else { return };
        if found.state != UndoState::Armed {
            return;
        }
        let function = found.compensation.function.clone();
        let Some(outcome) = self.instance.undone(undo, found).map(|undone| undone.outcome) else {
            return;
        };
        self.record(Event::UndoScheduled { undo, function, outcome });
        self.attempt(Work::Undo(undo));
    }

    /// Sees to it that nothing in a scope runs any more; whether that is so.
    fn settle(&mut self, scope: ScopeId, below: TaskId) -> bool {
        // A pivot that is stuck is open, and no step that runs.
        if self.instance.open_steps == 0 && self.instance.open_pivots == 0 {
            return true;
        }
        let mut settled = true;
        for task in self.instance.scopes.steps(scope, below) {
            let Some(found) = self.instance.tasks.get(task as usize) else { continue };
            let open = match &found.state {
                TaskState::Running { .. } | TaskState::Retrying { .. } => true,
                TaskState::Stuck { .. } => found.pivot,
                _ => false,
            };
            if !open {
                continue;
            }
            // A pivot is never interrupted: nobody could undo half a pivot.
            if found.pivot || !self.end_step(task) {
                settled = false;
            }
        }
        settled
    }

    /// Ends a step that runs; whether it has ended.
    fn end_step(&mut self, task: TaskId) -> bool {
        let found = &self.instance.tasks[task as usize];
        match (&found.kind, &found.state) {
            (_, TaskState::Retrying { .. }) => self.record(Event::RetriesEnded { task }),
            (TaskKind::Activity { .. }, TaskState::Running { attempt }) => {
                let attempt = *attempt;
                let work = Work::Step(task);
                if !self.turn.attempts.iter().any(|begun| begun.work == work) {
                    self.tell(task, "", false);
                    return false;
                }
                // It has not left the host yet, and does not begin.
                self.turn.attempts.retain(|begun| begun.work != work);
                self.record(Event::AttemptFailed {
                    task,
                    attempt,
                    started_at: self.now,
                    failure: not_begun(),
                    retry_at: None,
                    logs: Logs::default(),
                });
            }
            (TaskKind::Child { .. }, _) => {
                let fresh = |start: &crate::ChildStart| start.task == task && !start.again;
                if !self.turn.children.iter().any(fresh) {
                    self.tell(task, &self.reason(), false);
                    return false;
                }
                self.turn.children.retain(|start| !fresh(start));
                let (failure, handed) = (not_begun(), Vec::new());
                self.record(Event::ChildFailed { task, failure, retry_at: None, handed });
            }
            _ => {}
        }
        true
    }

    /// Tells a step that runs to end, once.
    fn tell(&mut self, task: TaskId, reason: &str, terminate: bool) {
        let Some(found) = self.instance.tasks.get(task as usize) else { return };
        if !matches!(found.state, TaskState::Running { .. }) || !self.told.insert(task) {
            return;
        }
        match &found.kind {
            TaskKind::Child { .. } => self.turn.child_stops.push(ChildStop {
                task,
                id: self.instance.child_id(task),
                reason: reason.to_owned(),
                terminate,
            }),
            TaskKind::Activity { .. } => self.turn.stops.push(task),
            _ => {}
        }
    }

    /// Why a child is to hand over, in words.
    fn reason(&self) -> String {
        match &self.instance.unwinding {
            None => "the parent undoes this part of its work".to_owned(),
            Some(Cause::Failed(failure) | Cause::Deadline(failure)) => {
                format!("the parent failed: {failure}")
            }
            Some(Cause::Canceled(reason)) => format!("the parent was cancelled: {reason}"),
            Some(Cause::Terminated(reason)) => format!("the parent was terminated: {reason}"),
            Some(Cause::Parent(reason)) => reason.clone(),
        }
    }
}

/// The event with which a saga that was undone ends.
fn end(cause: Cause) -> Event {
    match cause {
        Cause::Failed(failure) | Cause::Deadline(failure) => Event::Failed { failure },
        Cause::Canceled(reason) | Cause::Parent(reason) => Event::Canceled { reason },
        Cause::Terminated(reason) => Event::Terminated { reason },
    }
}

fn not_begun() -> Failure {
    let message = "it was not begun, because it is to be undone";
    Failure { retryable: false, ..Failure::host(FailureKind::NotStarted, message) }
}
