//! The state of an orchestration, derived from its journal.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::{
    BlockedReason, CallPolicy, Event, Failure, Json, Millis, Record, RuntimeStatus, Started, TaskId,
};

/// What the orchestrator asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TaskKind {
    Activity { function: String, input: Json, policy: CallPolicy },
    Timer { fire_at: Millis },
    Event { name: String },
}

/// How far a task has come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TaskState {
    /// An activity's attempt is out.
    Running {
        attempt: u32,
    },
    /// An activity waits for its next attempt, `attempt`.
    Retrying {
        attempt: u32,
        at: Millis,
    },
    /// A timer that has not fired, or a wait that nothing came for.
    Waiting,
    Done(Result<Json, Failure>),
    Cancelled,
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) kind: TaskKind,
    pub(crate) state: TaskState,
    pub(crate) scheduled_at: Millis,
    /// Attempts that ended with the host, which no retry policy counts.
    pub(crate) lost: u32,
}

/// One thing that the orchestrator asked for, in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Task(TaskId),
    Cancel(TaskId),
}

/// How an orchestration ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With an output.
    Completed(Json),
    /// With a failure.
    Failed(Failure),
    /// By an operator, who gave this reason.
    Terminated(String),
}

/// An attempt of an activity that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The step.
    pub task: TaskId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The activity.
    pub function: String,
    /// Its input.
    pub input: Json,
    /// The wall time it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// The state of one orchestration: a pure function of its journal.
///
/// [`Instance::apply`] is the only way it changes; deciding which event comes
/// next is the business of [`crate::Orchestration`].
#[derive(Clone, Debug)]
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
    waits: HashMap<String, VecDeque<TaskId>>,
    /// Events that nobody waits for yet, by name.
    raised: HashMap<String, VecDeque<Json>>,
    /// When timers fire and retries begin.
    pub(crate) wakes: BTreeSet<(Millis, TaskId)>,
    open_activities: u32,
    events: u64,
}

impl Instance {
    /// The state right after the first event.
    pub fn new(at: Millis, started: Started) -> Self {
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
            wakes: BTreeSet::new(),
            open_activities: 0,
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
            Some(End::Terminated(_)) => RuntimeStatus::Terminated,
        }
    }

    /// Whether activities are open: running, or to be attempted again.
    pub fn is_busy(&self) -> bool {
        self.end.is_none() && self.open_activities > 0
    }

    /// When it next has to be woken for a timer or a retry.
    pub fn wake_at(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The attempts that are out, as far as the journal says.
    pub fn running(&self) -> Vec<Attempt> {
        if !self.is_busy() {
            return Vec::new();
        }
        (0..self.tasks.len() as TaskId).filter_map(|task| self.attempt_of(task)).collect()
    }

    /// The attempt of this task that is out, if one is.
    pub fn attempt_of(&self, task: TaskId) -> Option<Attempt> {
        let found = self.tasks.get(task as usize)?;
        match (&found.kind, &found.state) {
            (TaskKind::Activity { function, input, policy }, TaskState::Running { attempt }) => {
                Some(Attempt {
                    task,
                    attempt: *attempt,
                    function: function.clone(),
                    input: input.clone(),
                    timeout_ms: policy.timeout_ms,
                })
            }
            _ => None,
        }
    }

    /// The key that every attempt of this step is given, and no other step.
    pub fn idempotency_key(&self, task: TaskId) -> String {
        format!("{}-{task}", self.started.execution)
    }

    /// Ends a chunk: whatever is complete by now the code was given, unless
    /// it could not run.
    pub(crate) fn end_chunk(&mut self) {
        if self.blocked.is_none() {
            self.delivered = self.completions.len();
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
            Event::Scheduled { task, function, input, policy } => {
                self.open_activities += 1;
                let kind = TaskKind::Activity {
                    function: function.clone(),
                    input: input.clone(),
                    policy: policy.clone(),
                };
                self.add_task(*task, at, kind, TaskState::Running { attempt: 1 });
            }
            Event::TimerCreated { task, fire_at } => {
                self.wakes.insert((*fire_at, *task));
                self.add_task(*task, at, TaskKind::Timer { fire_at: *fire_at }, TaskState::Waiting);
            }
            Event::EventAwaited { task, name } => {
                self.add_task(
                    *task,
                    at,
                    TaskKind::Event { name: name.clone() },
                    TaskState::Waiting,
                );
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
            Event::AttemptFailed { task, attempt, failure, retry_at, .. } => match retry_at {
                None => self.complete(*task, at, Err(failure.clone())),
                Some(retry_at) => {
                    self.wakes.insert((*retry_at, *task));
                    self.set_state(
                        *task,
                        TaskState::Retrying { attempt: attempt + 1, at: *retry_at },
                    );
                }
            },
            Event::AttemptLost { task, attempt } => {
                self.set_state(*task, TaskState::Running { attempt: attempt + 1 });
                if let Some(task) = self.tasks.get_mut(*task as usize) {
                    task.lost += 1;
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
            Event::Blocked(reason) => self.blocked = Some(reason.clone()),
            Event::Unblocked => self.blocked = None,
            Event::Completed { output } => self.finish(End::Completed(output.clone())),
            Event::Failed { failure } => self.finish(End::Failed(failure.clone())),
            Event::Terminated { reason } => self.finish(End::Terminated(reason.clone())),
        }
    }

    fn add_task(&mut self, task: TaskId, scheduled_at: Millis, kind: TaskKind, state: TaskState) {
        debug_assert_eq!(task as usize, self.tasks.len(), "tasks are numbered in order");
        self.asked.push(Asked::Task(task));
        self.tasks.push(Task { kind, state, scheduled_at, lost: 0 });
    }

    pub(crate) fn set_state(&mut self, task: TaskId, state: TaskState) {
        if let Some(task) = self.tasks.get_mut(task as usize) {
            task.state = state;
        }
    }

    fn complete(&mut self, task: TaskId, at: Millis, outcome: Result<Json, Failure>) {
        let Some(found) = self.tasks.get_mut(task as usize) else {
            return;
        };
        if matches!(found.state, TaskState::Done(_) | TaskState::Cancelled) {
            return;
        }
        match (&found.kind, &found.state) {
            (TaskKind::Activity { .. }, TaskState::Retrying { at, .. }) => {
                self.wakes.remove(&(*at, task));
                self.open_activities -= 1;
            }
            (TaskKind::Activity { .. }, _) => self.open_activities -= 1,
            (TaskKind::Timer { fire_at }, _) => {
                self.wakes.remove(&(*fire_at, task));
            }
            (TaskKind::Event { .. }, _) => {}
        }
        found.state = TaskState::Done(outcome);
        self.completions.push((task, at));
    }

    fn cancel(&mut self, task: TaskId) {
        let Some(found) = self.tasks.get_mut(task as usize) else {
            return;
        };
        if found.state != TaskState::Waiting {
            return;
        }
        found.state = TaskState::Cancelled;
        match &found.kind {
            TaskKind::Timer { fire_at } => {
                self.wakes.remove(&(*fire_at, task));
            }
            TaskKind::Event { name } => {
                if let Some(waits) = self.waits.get_mut(name) {
                    waits.retain(|waiting| *waiting != task);
                }
            }
            TaskKind::Activity { .. } => {}
        }
    }

    fn finish(&mut self, end: End) {
        self.end = Some(end);
        self.blocked = None;
        self.wakes.clear();
        self.waits.clear();
        self.raised.clear();
    }
}
