//! What somebody needs to see of an orchestration who tries out all that can
//! happen to it: which of its states are equal, what is under way, and how its
//! steps stand to each other.

use std::hash::{Hash, Hasher};

use crate::instance::{Attempt, End, Instance, TaskKind, TaskState, Wake};
use crate::orchestration::Orchestration;
use crate::undos::UndoState;
use crate::{
    BlockedReason, Cause, EntityId, Failure, Json, Millis, RetryPolicy, ScopeId, StepOutcome,
    TaskId, UndoId, Work,
};

/// An operation of an entity that the code has called, and that has not
/// answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenCall<'a> {
    /// The task that waits.
    pub task: TaskId,
    /// The entity.
    pub entity: &'a EntityId,
    /// The operation.
    pub operation: &'a str,
    /// Its input.
    pub input: &'a Json,
}

/// A step as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepView<'a> {
    /// The activity or orchestrator.
    pub function: &'a str,
    /// Its input.
    pub input: &'a Json,
    /// Whether it is a child orchestration; its instance id.
    pub child: Option<&'a str>,
    /// The scope it belongs to.
    pub scope: ScopeId,
    /// Whether it is a pivot.
    pub pivot: bool,
    /// What became of it; `None` while it is not complete.
    pub outcome: Option<StepOutcome>,
}

impl Orchestration {
    /// Whether the code may still get to run: now, or because a pivot that is
    /// under way makes the undo void.
    pub fn code_may_go_on(&self) -> bool {
        let held = self.instance.is_held()
            && self.instance.unwinding.as_ref().is_some_and(Cause::is_external);
        self.may_run() || (held && self.instance.end.is_none())
    }
}

impl Instance {
    /// A step of the saga; `None` where the task is no step.
    pub fn step(&self, task: TaskId) -> Option<StepView<'_>> {
        let found = self.tasks.get(task as usize)?;
        let (function, input, child) = match &found.kind {
            TaskKind::Activity { function, input, .. } => (function, input, None),
            TaskKind::Child { function, input, id, .. } => (function, input, Some(id.as_str())),
            _ => return None,
        };
        let complete = matches!(found.state, TaskState::Done(_));
        Some(StepView {
            function,
            input: found.mended.as_ref().unwrap_or(input),
            child,
            scope: found.scope,
            pivot: found.pivot,
            outcome: complete.then(|| self.outcome(task)),
        })
    }

    /// How many tasks there are.
    pub fn task_count(&self) -> TaskId {
        self.tasks.len() as TaskId
    }

    /// How a task is spoken of that the code asks for again and again: the
    /// name of its function or event, or what else it is.
    pub fn task_name(&self, task: TaskId) -> &str {
        match self.tasks.get(task as usize).map(|task| &task.kind) {
            Some(TaskKind::Activity { function, .. } | TaskKind::Child { function, .. }) => {
                function
            }
            Some(TaskKind::Event { name }) => name,
            Some(TaskKind::Timer { .. }) => "timer",
            Some(TaskKind::Compensation { .. }) => "compensate",
            Some(TaskKind::Call { operation, .. }) => operation,
            Some(TaskKind::Lock { .. }) => "lock",
            None => "",
        }
    }

    /// The calls of entities that wait for an answer, in order.
    pub fn open_calls(&self) -> Vec<OpenCall<'_>> {
        let open = self.tasks.iter().enumerate().filter_map(|(task, found)| match &found.kind {
            TaskKind::Call { entity, operation, input } if found.state == TaskState::Waiting => {
                Some(OpenCall { task: task as TaskId, entity, operation, input })
            }
            _ => None,
        });
        open.collect()
    }

    /// How an attempt that is out, or waits for its turn, is retried.
    pub fn retry_policy(&self, work: Work) -> Option<&RetryPolicy> {
        match work {
            Work::Step(task) => match &self.tasks.get(task as usize)?.kind {
                TaskKind::Activity { policy, .. } => Some(&policy.retry),
                _ => None,
            },
            Work::Undo(undo) => Some(&self.undos.get(&undo)?.compensation.policy.retry),
        }
    }

    /// Whether something of this step is still to be undone, and has not
    /// begun.
    pub fn has_undo_left(&self, task: TaskId) -> bool {
        let mut left = self.left_of(task).into_iter();
        left.any(|(_, undo)| self.undos.get(&undo).is_some_and(|it| it.state == UndoState::Armed))
    }

    /// What an attempt of an undo is told, whether or not one is out.
    pub fn undo_as_attempt(&self, undo: UndoId) -> Option<Attempt> {
        let found = self.undos.get(&undo)?;
        let undone = self.undone(undo, found)?;
        Some(Attempt {
            work: Work::Undo(undo),
            attempt: 0,
            function: found.compensation.function.clone(),
            digest: found.compensation.digest.clone(),
            input: undone.input.clone(),
            timeout_ms: found.compensation.policy.timeout_ms,
            key: format!("{}-undo", undone.key),
            undone: Some(undone),
        })
    }

    /// The tasks that are complete, in the order in which they were completed.
    pub fn completion_order(&self) -> Vec<TaskId> {
        self.completions.iter().map(|(task, _)| *task).collect()
    }

    /// Whether a step runs that was told to end.
    pub fn is_stopping(&self, task: TaskId) -> bool {
        let running = |task: &crate::instance::Task| {
            !task.pivot && matches!(task.state, TaskState::Running { .. })
        };
        self.tasks.get(task as usize).is_some_and(running) && self.is_unwound(task)
    }

    /// Activities whose attempts were out when the orchestration ended.
    pub fn left_running(&self) -> Vec<TaskId> {
        let left = self.tasks.iter().enumerate().filter(|(_, task)| {
            matches!(task.kind, TaskKind::Activity { .. })
                && matches!(task.state, TaskState::Running { .. })
        });
        left.map(|(task, _)| task as TaskId).collect()
    }

    /// The names of the events that the code waits for, in order.
    pub fn awaited_events(&self) -> Vec<&str> {
        let waiting = self.waits.iter().filter(|(_, waits)| !waits.is_empty());
        let mut names: Vec<&str> = waiting.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Whether the step `later` has to be undone before the step `earlier`.
    pub fn is_undone_before(&self, later: TaskId, earlier: TaskId) -> bool {
        let scope = |task: TaskId| self.tasks.get(task as usize).map(|task| task.scope);
        match (scope(later), scope(earlier)) {
            (Some(a), Some(b)) => self.scopes.is_undone_before((a, later), (b, earlier)),
            _ => false,
        }
    }

    /// Whether the code had the part of the saga undone to which this step
    /// belongs, after it had scheduled it.
    pub fn part_was_undone(&self, step: TaskId) -> bool {
        let Some(scope) = self.tasks.get(step as usize).map(|task| task.scope) else {
            return false;
        };
        let later = self.tasks.iter().skip(step as usize + 1);
        later.into_iter().any(|task| match task.kind {
            TaskKind::Compensation { scope: outer } => {
                matches!(task.state, TaskState::Done(_)) && self.scopes.contains(outer, scope)
            }
            _ => false,
        })
    }

    /// Writes down all of the state that makes a difference to what can still
    /// happen. Times count only as far as something waits for them, and what
    /// the code was told only while `code` can still go on: then whoever
    /// compares has to compare, too, how far the code has come.
    pub fn write_state(&self, now: Millis, code: bool, state: &mut impl Hasher) {
        (self.past_pivot, self.open_pivots).hash(state);
        self.memo.write_state(code, state);
        match &self.end {
            None => 0u8.hash(state),
            Some(End::Completed(output)) => (1u8, output.as_str()).hash(state),
            Some(End::Failed(failure)) => (2u8, failure.kind, &failure.code).hash(state),
            Some(End::Canceled(_)) => 3u8.hash(state),
            Some(End::Terminated(_)) => 4u8.hash(state),
        }
        match &self.blocked {
            None => 0u8.hash(state),
            Some(BlockedReason::PastPivot { failure }) => (1u8, &failure.code).hash(state),
            Some(_) => 2u8.hash(state),
        }
        match &self.unwinding {
            None => 0u8.hash(state),
            Some(Cause::Failed(failure)) => (1u8, failure.kind, &failure.code).hash(state),
            Some(Cause::Deadline(_)) => 2u8.hash(state),
            Some(Cause::Canceled(_)) => 3u8.hash(state),
            Some(Cause::Terminated(_)) => 4u8.hash(state),
            Some(Cause::Parent(_)) => 5u8.hash(state),
        }
        for (task, found) in self.tasks.iter().enumerate() {
            let task = task as TaskId;
            let matters = !matches!(found.state, TaskState::Done(_) | TaskState::Cancelled)
                || self.left_of(task).iter().any(|(_, undo)| undo.task == task);
            if code || matters {
                task.hash(state);
                self.write_task(task, now, code, state);
            }
        }
        self.write_undos(now, state);
        self.locked().len().hash(state);
        for unwind in &self.unwinds {
            (unwind.task, unwind.scope).hash(state);
        }
        self.scopes.write_state(state);
        if code {
            self.completions.iter().for_each(|(task, _)| task.hash(state));
            let mut raised: Vec<_> = self.raised.iter().collect();
            raised.sort_unstable_by_key(|(name, _)| *name);
            for (name, inputs) in raised {
                name.hash(state);
                inputs.iter().for_each(|input| input.as_str().hash(state));
            }
        }
        for (at, wake) in &self.wakes {
            match wake {
                Wake::Begin => 3u8.hash(state),
                Wake::Deadline => 0u8.hash(state),
                Wake::Task(task) => (1u8, task).hash(state),
                Wake::Undo(undo) => (2u8, undo).hash(state),
            }
            if code {
                at.saturating_sub(now).hash(state);
            }
        }
    }

    fn write_task(&self, task: TaskId, now: Millis, code: bool, state: &mut impl Hasher) {
        let found = &self.tasks[task as usize];
        if !code {
            (self.task_name(task), found.scope, found.pivot).hash(state);
            if let Some(step) = self.step(task) {
                step.input.as_str().hash(state);
            }
        }
        let counted = |attempt: u32, state: &mut _| {
            if let Some(policy) = self.retry_policy(Work::Step(task)) {
                write_attempt(policy, attempt - found.uncounted.min(attempt - 1), state);
                if policy.total_time_ms.is_some() {
                    now.saturating_sub(found.scheduled_at).hash(state);
                }
            }
            found.unknown.hash(state);
        };
        match &found.state {
            TaskState::Running { attempt } => {
                0u8.hash(state);
                counted(*attempt, state);
            }
            TaskState::Retrying { attempt, .. } => {
                1u8.hash(state);
                counted(*attempt, state);
            }
            TaskState::Stuck { .. } => 2u8.hash(state),
            TaskState::Waiting => 3u8.hash(state),
            TaskState::Done(outcome) if code => {
                4u8.hash(state);
                write_outcome(outcome, state);
                self.outcome(task).hash(state);
            }
            TaskState::Done(_) => (5u8, self.outcome(task)).hash(state),
            TaskState::Cancelled => 6u8.hash(state),
            TaskState::Kept => 7u8.hash(state),
        }
    }

    fn write_undos(&self, now: Millis, state: &mut impl Hasher) {
        for (id, undo) in &self.undos {
            let attempt = match &undo.state {
                UndoState::Armed => 0,
                UndoState::Running { attempt } | UndoState::Retrying { attempt, .. } => *attempt,
                UndoState::Stuck { .. } => 0,
                UndoState::Done | UndoState::Dropped => continue,
            };
            (id, std::mem::discriminant(&undo.state), undo.compensation.when).hash(state);
            undo.compensation.function.hash(state);
            undo.compensation.input.as_ref().map(Json::as_str).hash(state);
            undo.handed_as().hash(state);
            let policy = &undo.compensation.policy.retry;
            write_attempt(policy, attempt.saturating_sub(undo.uncounted), state);
            if policy.total_time_ms.is_some() {
                now.saturating_sub(undo.since).hash(state);
            }
        }
    }
}

/// An attempt's number, as far as it decides whether there is another one.
fn write_attempt(policy: &RetryPolicy, counted: u32, state: &mut impl Hasher) {
    match policy.max_attempts {
        0 => {}
        max => counted.min(max).hash(state),
    }
}

fn write_outcome(outcome: &Result<Json, Failure>, state: &mut impl Hasher) {
    match outcome {
        Ok(output) => output.as_str().hash(state),
        Err(failure) => {
            (failure.kind, &failure.code, &failure.message, failure.retryable).hash(state);
            failure.details.as_ref().map(Json::as_str).hash(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;
    use crate::{CallPolicy, Command, Logs, Request, Started};

    fn saga() -> Orchestration {
        let started = Started {
            name: "Saga".into(),
            input: Json::null(),
            execution: "e".into(),
            digest: "d".into(),
            ..Started::default()
        };
        Orchestration::start(0, started)
    }

    fn ask(saga: &mut Orchestration, function: &str, scope: ScopeId) -> TaskId {
        let request = Request::Activity {
            function: function.into(),
            input: Json::null(),
            policy: CallPolicy::default(),
            undo: None,
            scope,
            pivot: false,
        };
        saga.request(request).expect("a new request")
    }

    fn done(saga: &mut Orchestration, task: TaskId) {
        let ended = Command::AttemptEnded {
            work: Work::Step(task),
            attempt: 1,
            started_at: 0,
            outcome: Ok(Json::null()),
            logs: Logs::default(),
        };
        saga.handle(ended).expect("it runs");
    }

    fn number(saga: &Orchestration, now: Millis, code: bool) -> u64 {
        let mut hasher = DefaultHasher::new();
        saga.instance().write_state(now, code, &mut hasher);
        hasher.finish()
    }

    #[test]
    fn equal_states_are_written_alike() {
        let two = |first: TaskId, second: TaskId| {
            let mut saga = saga();
            let tasks = [ask(&mut saga, "A", 0), ask(&mut saga, "B", 0)];
            saga.parked().expect("nothing is replayed");
            done(&mut saga, tasks[first as usize]);
            let one = number(&saga, 0, true);
            done(&mut saga, tasks[second as usize]);
            (one, saga)
        };
        let ((a, ab), (b, ba)) = (two(0, 1), two(1, 0));
        assert_ne!(a, b, "another step is done");
        assert_ne!(number(&ab, 0, true), number(&ba, 0, true), "the code may see the order");
        assert_eq!(number(&ab, 0, false), number(&ba, 0, false), "without code it is the same");
        assert_eq!(number(&ab, 0, true), number(&ab, 9, true), "nothing waits for a time");
    }

    #[test]
    fn a_time_counts_where_something_waits_for_it() {
        let mut saga = saga();
        saga.request(Request::Timer { fire_at: 50 }).expect("a new request");
        assert_ne!(number(&saga, 0, true), number(&saga, 10, true));
        assert_eq!(number(&saga, 0, false), number(&saga, 10, false));
    }

    #[test]
    fn steps_are_undone_in_the_order_of_their_scopes() {
        let mut saga = saga();
        let a = ask(&mut saga, "A", 0);
        let part = saga.request(Request::OpenScope { parent: 0 }).expect("a scope");
        saga.request(Request::UndoInParallel { scope: part }).expect("a new request");
        let (b, c) = (ask(&mut saga, "B", part), ask(&mut saga, "C", part));
        let d = ask(&mut saga, "D", 0);
        let before = |later, earlier| saga.instance().is_undone_before(later, earlier);
        assert!(before(d, c) && before(d, a) && before(c, a) && before(b, a));
        assert!(!before(c, b) && !before(b, c), "what is parallel has no order");
        assert!(!before(a, d) && !before(b, d));
        assert!(!saga.instance().part_was_undone(b));
    }

    #[test]
    fn a_step_knows_whether_its_part_was_undone() {
        let mut saga = saga();
        let part = saga.request(Request::OpenScope { parent: 0 }).expect("a scope");
        let (inside, outside) = (ask(&mut saga, "A", part), ask(&mut saga, "B", 0));
        saga.parked().expect("nothing is replayed");
        done(&mut saga, inside);
        saga.request(Request::Compensate { scope: part }).expect("a new request");
        let later = ask(&mut saga, "C", part);
        let undone = |task| saga.instance().part_was_undone(task);
        assert!(undone(inside) && !undone(outside) && !undone(later));
    }
}
