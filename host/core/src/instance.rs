//! The state of an orchestration, derived from its journal.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::scopes::Scopes;
use crate::undos::{Undo, UndoState};
use crate::{
    BlockedReason, CallPolicy, Cause, Event, Failure, Json, Millis, Record, Repair, RuntimeStatus,
    ScopeId, Started, TaskId, UndoId, UndoneStep, Work,
};

/// What the orchestrator asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TaskKind {
    Activity { function: String, input: Json, policy: CallPolicy },
    Child { function: String, input: Json, id: String, by_hand: bool },
    Timer { fire_at: Millis },
    Event { name: String },
    Compensation { scope: ScopeId },
}

/// How far a task has come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TaskState {
    /// An activity's attempt is out, or a child orchestration is open.
    Running {
        attempt: u32,
    },
    /// An activity waits for its next attempt, `attempt`.
    Retrying {
        attempt: u32,
        at: Millis,
    },
    /// An activity that has to be done and cannot, after this attempt.
    Stuck {
        attempt: u32,
        failure: Failure,
    },
    /// A timer that has not fired, a wait that nothing came for, an undo that
    /// goes on.
    Waiting,
    Done(Result<Json, Failure>),
    Cancelled,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    pub(crate) kind: TaskKind,
    pub(crate) state: TaskState,
    /// When it was scheduled, or was last mended.
    pub(crate) scheduled_at: Millis,
    /// Attempts that no retry policy counts: those that ended with the host,
    /// and all before a repair.
    pub(crate) uncounted: u32,
    /// Attempts that ended with the host.
    pub(crate) lost: u32,
    pub(crate) scope: ScopeId,
    pub(crate) pivot: bool,
    /// Whether of some attempt nobody knows what it did.
    pub(crate) unknown: bool,
    /// The input that a repair gave it.
    pub(crate) mended: Option<Json>,
    /// The last attempt that the host gave up: its result would be late.
    pub(crate) given_up: Option<u32>,
}

/// One thing that the orchestrator asked for, in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Task(TaskId),
    Cancel(TaskId),
    Scope(ScopeId),
    Parallel(ScopeId),
}

/// What time brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    Deadline,
    Task(TaskId),
    Undo(UndoId),
}

/// How an orchestration ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With an output.
    Completed(Json),
    /// With a failure.
    Failed(Failure),
    /// It was cancelled, for this reason.
    Canceled(String),
    /// By an operator, who gave this reason.
    Terminated(String),
}

/// An attempt of an activity that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The step or undo.
    pub work: Work,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The activity.
    pub function: String,
    /// The component it has to run on; the one that is deployed, where there
    /// is none.
    pub digest: Option<String>,
    /// Its input.
    pub input: Json,
    /// The wall time it may take, in milliseconds.
    pub timeout_ms: u64,
    /// The same for every attempt, and for no other step or undo.
    pub key: String,
    /// What it undoes.
    pub undone: Option<UndoneStep>,
}

/// A part of the saga that the orchestrator wants undone, and then goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwind {
    /// The task that is complete then, and before which what is undone was
    /// scheduled.
    pub(crate) task: TaskId,
    pub(crate) scope: ScopeId,
}

/// The state of one orchestration: a pure function of its journal.
///
/// [`Instance::apply`] is the only way it changes; deciding which event comes
/// next is the business of [`crate::Orchestration`].
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub(crate) started: Started,
    pub(crate) started_at: Millis,
    pub(crate) updated: Millis,
    pub(crate) custom_status: Option<Json>,
    pub(crate) end: Option<End>,
    pub(crate) blocked: Option<BlockedReason>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) asked: Vec<Asked>,
    /// Tasks in the order in which they were completed, with the time.
    pub(crate) completions: Vec<(TaskId, Millis)>,
    /// How many of the completions the code had been given when it last ran.
    pub(crate) delivered: usize,
    /// Waits that nothing came for, by the event's name.
    pub(crate) waits: HashMap<String, VecDeque<TaskId>>,
    /// Events that nobody waits for yet, by name.
    pub(crate) raised: HashMap<String, VecDeque<Json>>,
    /// When timers fire and retries begin.
    pub(crate) wakes: BTreeSet<(Millis, Wake)>,
    pub(crate) scopes: Scopes,
    pub(crate) undos: BTreeMap<UndoId, Undo>,
    pub(crate) tally: crate::undos::Tally,
    /// What the orchestrator wants undone, and is not yet.
    pub(crate) unwinds: Vec<Unwind>,
    /// Why it is, or was, undone as a whole.
    pub(crate) unwinding: Option<Cause>,
    /// How its code ended, where it did not end with it.
    pub(crate) code_failed: Option<Failure>,
    pub(crate) past_pivot: bool,
    /// Pivots that are not complete.
    pub(crate) open_pivots: u32,
    /// Steps that run or wait for their next attempt.
    pub(crate) open_steps: u32,
    /// Steps and undos that need a person, and since when.
    pub(crate) stuck: BTreeMap<Work, Millis>,
    events: u64,
}

impl Instance {
    /// The state right after the first event.
    pub fn new(at: Millis, started: Started) -> Self {
        let wakes = started.deadline.map(|at| (at, Wake::Deadline)).into_iter().collect();
        Instance {
            started,
            started_at: at,
            updated: at,
            custom_status: None,
            end: None,
            blocked: None,
            tasks: Vec::new(),
            asked: Vec::new(),
            completions: Vec::new(),
            delivered: 0,
            waits: HashMap::new(),
            raised: HashMap::new(),
            wakes,
            scopes: Scopes::new(),
            undos: BTreeMap::new(),
            tally: Default::default(),
            unwinds: Vec::new(),
            unwinding: None,
            code_failed: None,
            past_pivot: false,
            open_pivots: 0,
            open_steps: 0,
            stuck: BTreeMap::new(),
            events: 1,
        }
    }

    /// How it began.
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// When it began.
    pub fn started_at(&self) -> Millis {
        self.started_at
    }

    /// When something last happened to it.
    pub fn updated(&self) -> Millis {
        self.updated
    }

    /// The events in its journal, with those not yet stored.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What the orchestrator last set as its status.
    pub fn custom_status(&self) -> Option<&Json> {
        self.custom_status.as_ref()
    }

    /// How it ended, if it did.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Why it cannot go on, if it cannot.
    pub fn blocked(&self) -> Option<&BlockedReason> {
        self.blocked.as_ref()
    }

    /// Its runtime status.
    pub fn status(&self) -> RuntimeStatus {
        match &self.end {
            None => RuntimeStatus::Running,
            Some(End::Completed(_)) => RuntimeStatus::Completed,
            Some(End::Failed(_)) => RuntimeStatus::Failed,
            Some(End::Canceled(_)) => RuntimeStatus::Canceled,
            Some(End::Terminated(_)) => RuntimeStatus::Terminated,
        }
    }

    /// Whether something is under way that has to go on after a restart:
    /// steps or undos that run or are to be attempted again.
    pub fn is_busy(&self) -> bool {
        self.end.is_none() && (self.open_steps > 0 || !self.tally.active.is_empty())
    }

    /// When it next has to be woken for a timer, a retry or its deadline.
    pub fn wake_at(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The attempts that are out, as far as the journal says.
    pub fn running(&self) -> Vec<Attempt> {
        if !self.is_busy() {
            return Vec::new();
        }
        let steps = (0..self.tasks.len() as TaskId).map(Work::Step);
        let undos = self.tally.active.iter().copied().map(Work::Undo);
        steps.chain(undos).filter_map(|work| self.attempt_of(work)).collect()
    }

    /// The attempt that is out, if one is.
    pub fn attempt_of(&self, work: Work) -> Option<Attempt> {
        match work {
            Work::Step(task) => self.attempt_of_step(task),
            Work::Undo(undo) => self.attempt_of_undo(undo),
        }
    }

    fn attempt_of_step(&self, task: TaskId) -> Option<Attempt> {
        let found = self.tasks.get(task as usize)?;
        match (&found.kind, &found.state) {
            (TaskKind::Activity { function, input, policy }, TaskState::Running { attempt }) => {
                Some(Attempt {
                    work: Work::Step(task),
                    attempt: *attempt,
                    function: function.clone(),
                    digest: None,
                    input: found.mended.as_ref().unwrap_or(input).clone(),
                    timeout_ms: policy.timeout_ms,
                    key: self.idempotency_key(task),
                    undone: None,
                })
            }
            _ => None,
        }
    }

    /// The key that every attempt of this step is given, and no other step.
    pub fn idempotency_key(&self, task: TaskId) -> String {
        format!("{}-{task}", self.started.execution)
    }

    /// Why it is being undone as a whole, or was.
    pub fn unwinding(&self) -> Option<&Cause> {
        self.unwinding.as_ref()
    }

    /// Whether it can only go forward.
    pub fn is_past_pivot(&self) -> bool {
        self.past_pivot
    }

    /// The instance ids of the child orchestrations that have not ended.
    pub fn open_children(&self) -> Vec<&str> {
        let open = self.tasks.iter().filter_map(|task| match (&task.kind, &task.state) {
            (TaskKind::Child { id, .. }, TaskState::Running { .. }) => Some(id.as_str()),
            _ => None,
        });
        open.collect()
    }

    /// Whether its undo waits for a pivot that may still complete.
    pub(crate) fn is_held(&self) -> bool {
        self.unwinding.is_some() && self.open_pivots > 0
    }

    /// Whether this step is to be undone: nothing of it is to begin any more.
    pub(crate) fn is_unwound(&self, task: TaskId) -> bool {
        if self.past_pivot {
            return false;
        }
        let Some(scope) = self.tasks.get(task as usize).map(|task| task.scope) else {
            return false;
        };
        (self.unwinding.is_some() && self.open_pivots == 0)
            || self.unwinds.iter().any(|unwind| self.is_part_of(unwind, task, scope))
    }

    pub(crate) fn is_part_of(&self, unwind: &Unwind, task: TaskId, scope: ScopeId) -> bool {
        task < unwind.task && self.scopes.contains(unwind.scope, scope)
    }

    /// Ends a chunk: whatever is complete by now the code was given, unless
    /// it could not run.
    pub(crate) fn end_chunk(&mut self) {
        if self.blocked.is_none() && self.unwinding.is_none() && !self.was_cut_off() {
            self.delivered = self.completions.len();
        }
    }

    /// Whether it was ended while its code could have gone on.
    pub(crate) fn was_cut_off(&self) -> bool {
        match &self.end {
            Some(End::Canceled(_) | End::Terminated(_)) => true,
            Some(End::Failed(failure)) => failure.kind == crate::FailureKind::Deadline,
            Some(End::Completed(_)) | None => false,
        }
    }

    /// Applies one event of the journal. An event that does not fit the state
    /// (which no journal that this crate wrote has) changes nothing.
    pub(crate) fn apply(&mut self, record: &Record) {
        let Record(at, event) = record;
        let at = *at;
        self.events += 1;
        self.updated = self.updated.max(at);
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
            }
            Event::ChildScheduled { task, function, input, id, undo, by_hand, scope, pivot } => {
                let kind = TaskKind::Child {
                    function: function.clone(),
                    input: input.clone(),
                    id: id.clone(),
                    by_hand: *by_hand,
                };
                self.add_step(*task, at, kind, *scope, *pivot);
                self.arm(*task, undo.as_ref(), at);
            }
            Event::ChildCompleted { task, output, handed } => {
                self.take_over(*task, handed, true, at);
                self.complete(*task, at, Ok(output.clone()));
            }
            Event::ChildFailed { task, failure, handed } => {
                self.take_over(*task, handed, false, at);
                self.complete(*task, at, Err(failure.clone()));
            }
            Event::ScopeOpened { scope, parent } => {
                debug_assert_eq!(*scope, self.scopes.next(), "scopes are numbered in order");
                self.asked.push(Asked::Scope(*scope));
                self.scopes.open(*parent);
            }
            Event::ParallelUndo { scope } => {
                self.asked.push(Asked::Parallel(*scope));
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
                self.wakes.insert((*fire_at, Wake::Task(*task)));
                let kind = TaskKind::Timer { fire_at: *fire_at };
                self.add_task(*task, at, kind, TaskState::Waiting, (0, false));
            }
            Event::EventAwaited { task, name } => {
                let kind = TaskKind::Event { name: name.clone() };
                self.add_task(*task, at, kind, TaskState::Waiting, (0, false));
                match self.raised.get_mut(name).and_then(VecDeque::pop_front) {
                    Some(input) => self.complete(*task, at, Ok(input)),
                    None => self.waits.entry(name.clone()).or_default().push_back(*task),
                }
            }
            Event::TaskCancelled { task } => {
                self.asked.push(Asked::Cancel(*task));
                self.cancel(*task);
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
            Event::EventRaised { name, input } => {
                match self.waits.get_mut(name).and_then(VecDeque::pop_front) {
                    Some(task) => self.complete(task, at, Ok(input.clone())),
                    None => self.raised.entry(name.clone()).or_default().push_back(input.clone()),
                }
            }
            Event::StatusSet { status } => self.custom_status = Some(status.clone()),
            Event::Logged { .. } => {}
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

    fn add_task(
        &mut self,
        task: TaskId,
        scheduled_at: Millis,
        kind: TaskKind,
        state: TaskState,
        (scope, pivot): (ScopeId, bool),
    ) {
        debug_assert_eq!(task as usize, self.tasks.len(), "tasks are numbered in order");
        self.asked.push(Asked::Task(task));
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
        });
    }

    fn set_state(&mut self, task: TaskId, state: TaskState) {
        let Some(found) = self.tasks.get_mut(task as usize) else { return };
        if let (TaskState::Retrying { at, .. }, TaskKind::Activity { .. }) =
            (&found.state, &found.kind)
        {
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
        let unknown = failure.kind.outcome_unknown();
        found.unknown |= unknown;
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
            None if past_pivot || (found.pivot && unknown) => {
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
            (TaskKind::Event { .. } | TaskKind::Compensation { .. }, _) => {}
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
            Wake::Deadline => false,
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
        let TaskState::Stuck { attempt, .. } = task.state else { return };
        match repair {
            Repair::Done(output) => return self.complete(step.task, at, Ok(output.clone())),
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

    fn cancel(&mut self, task: TaskId) {
        let Some(found) = self.tasks.get_mut(task as usize) else {
            return;
        };
        if found.state != TaskState::Waiting || matches!(found.kind, TaskKind::Compensation { .. })
        {
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
            TaskKind::Activity { .. } | TaskKind::Child { .. } | TaskKind::Compensation { .. } => {}
        }
    }

    fn finish(&mut self, end: End) {
        self.end = Some(end);
        self.blocked = None;
        self.unwinds.clear();
        self.stuck.clear();
        self.wakes.clear();
        self.waits.clear();
        self.raised.clear();
    }
}
