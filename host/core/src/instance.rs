//! The state of an orchestration, derived from its journal.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::letters::Locks;
use crate::post::{Inbox, Outbox, Parcel};
use crate::scopes::Scopes;
use crate::undos::Undo;
use crate::{
    BlockedReason, CallPolicy, Cause, ChildPolicy, EntityId, Failure, Json, Millis, RuntimeStatus,
    ScopeId, Started, TaskId, UndoId, UndoneStep, Work,
};

/// What the orchestrator asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TaskKind {
    Activity {
        function: String,
        input: Json,
        policy: CallPolicy,
    },
    Child {
        function: String,
        input: Json,
        id: String,
        by_hand: bool,
        policy: Box<ChildPolicy>,
    },
    Timer {
        fire_at: Millis,
    },
    Event {
        name: String,
    },
    Compensation {
        scope: ScopeId,
    },
    /// An operation of an entity.
    Call {
        entity: EntityId,
        operation: String,
        input: Json,
    },
    Lock {
        entities: Vec<EntityId>,
    },
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
    /// It was completed before the instance was rewound, and the code is told
    /// so when its turn comes.
    Kept,
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
    /// The key of its attempts, where it is not made of its number.
    pub(crate) key: Option<String>,
    /// The attempts there were when it was complete.
    pub(crate) attempts: u32,
}

/// One thing that the orchestrator asked for, in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Task(TaskId),
    Cancel(TaskId),
    Scope(ScopeId),
    Parallel(ScopeId),
    /// The place among what was sent.
    Sent(u32),
    Unlock,
}

/// What time brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    Begin,
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
/// `apply` (in `apply.rs`) is the only way it changes; deciding which event
/// comes next is the business of [`crate::Orchestration`].
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub(crate) started: Started,
    pub(crate) started_at: Millis,
    /// When its code began, or was to.
    pub(crate) begun_at: Millis,
    /// Whether the time at which it is to begin has not come.
    pub(crate) pending: bool,
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
    /// Whether an operator has stopped the code.
    pub(crate) suspended: bool,
    /// Pivots that are not complete.
    pub(crate) open_pivots: u32,
    /// Steps that run or wait for their next attempt.
    pub(crate) open_steps: u32,
    /// Steps and undos that need a person, and since when.
    pub(crate) stuck: BTreeMap<Work, Millis>,
    pub(crate) events: u64,
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    /// What the code sent, and to whom.
    pub(crate) sent: Vec<(String, Parcel)>,
    /// The entities it has locked, or wants to.
    pub(crate) locks: Option<Locks>,
    /// What is left of the runs before it was rewound.
    pub(crate) memo: crate::rewound::Memo,
}

impl Instance {
    /// The state right after the first event.
    pub fn new(at: Millis, started: Started) -> Self {
        let begins = started.start_at.filter(|begins| *begins > at);
        let deadline = started.deadline.map(|at| (at, Wake::Deadline));
        let wakes = deadline.into_iter().chain(begins.map(|at| (at, Wake::Begin))).collect();
        let carried = started.carried.as_deref();
        let mut raised: HashMap<String, VecDeque<Json>> = HashMap::new();
        for (name, input) in carried.iter().flat_map(|carried| &carried.events) {
            raised.entry(name.clone()).or_default().push_back(input.clone());
        }
        let custom_status = carried.and_then(|carried| carried.custom_status.clone());
        let outbox = carried.map(|carried| Outbox::carried(carried.sent, &carried.letters));
        let inbox = carried.map(|carried| carried.inbox.clone());
        Instance {
            outbox: outbox.unwrap_or_default(),
            inbox: inbox.unwrap_or_default(),
            sent: Vec::new(),
            locks: None,
            started,
            started_at: at,
            begun_at: begins.unwrap_or(at),
            pending: begins.is_some(),
            updated: at,
            custom_status,
            end: None,
            blocked: None,
            tasks: Vec::new(),
            asked: Vec::new(),
            completions: Vec::new(),
            delivered: 0,
            waits: HashMap::new(),
            raised,
            wakes,
            scopes: Scopes::new(),
            undos: BTreeMap::new(),
            tally: Default::default(),
            unwinds: Vec::new(),
            unwinding: None,
            code_failed: None,
            past_pivot: false,
            suspended: false,
            open_pivots: 0,
            open_steps: 0,
            stuck: BTreeMap::new(),
            events: 1,
            memo: Default::default(),
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
            // An undo needs no code, and goes on all the same.
            None if self.suspended && self.unwinding.is_none() => RuntimeStatus::Suspended,
            None if self.pending && self.unwinding.is_none() => RuntimeStatus::Pending,
            None => RuntimeStatus::Running,
            Some(End::Completed(_)) => RuntimeStatus::Completed,
            Some(End::Failed(_)) => RuntimeStatus::Failed,
            Some(End::Canceled(_)) => RuntimeStatus::Canceled,
            Some(End::Terminated(_)) => RuntimeStatus::Terminated,
        }
    }

    /// Whether something is under way that has to go on after a restart:
    /// steps or undos that run or are to be attempted again, code that is to
    /// begin anew, letters that nobody has taken in.
    pub fn is_busy(&self) -> bool {
        // One that continued as new may have been stored before its code ran.
        let is_to_run = self.started.carried.is_some() && self.asked.is_empty();
        let goes_on = self.open_steps > 0 || !self.tally.active.is_empty() || is_to_run;
        self.has_mail() || self.end.is_none() && goes_on
    }

    /// Whether something that it sent was not taken in yet, as far as is known.
    /// Where it has ended, it is kept for that long.
    pub fn has_mail(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// When it next has to be woken for a timer, a retry or its deadline.
    pub fn wake_at(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The attempts that are out, as far as the journal says.
    pub fn running(&self) -> Vec<Attempt> {
        if !self.is_busy() || self.end.is_some() {
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

    /// What does this step or undo.
    pub fn function_of(&self, work: Work) -> Option<&str> {
        match work {
            Work::Step(task) => match &self.tasks.get(task as usize)?.kind {
                TaskKind::Activity { function, .. } | TaskKind::Child { function, .. } => {
                    Some(function)
                }
                _ => None,
            },
            Work::Undo(undo) => Some(&self.undos.get(&undo)?.compensation.function),
        }
    }

    /// The key that every attempt of this step is given, and no other step.
    pub fn idempotency_key(&self, task: TaskId) -> String {
        let own = self.tasks.get(task as usize).and_then(|found| found.key.clone());
        own.unwrap_or_else(|| format!("{}-{task}", self.started.execution))
    }

    /// The instance id of a child, in its present attempt.
    pub(crate) fn child_id(&self, task: TaskId) -> String {
        let Some(found) = self.tasks.get(task as usize) else { return String::new() };
        let attempt = match found.state {
            TaskState::Running { attempt } | TaskState::Retrying { attempt, .. } => attempt,
            _ => 1,
        };
        match &found.kind {
            TaskKind::Child { id, .. } if attempt > 1 => format!("{id}:{attempt}"),
            TaskKind::Child { id, .. } => id.clone(),
            _ => String::new(),
        }
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
    pub fn open_children(&self) -> Vec<String> {
        let open = self.tasks.iter().enumerate().filter_map(|(task, found)| {
            match (&found.kind, &found.state) {
                (TaskKind::Child { .. }, TaskState::Running { .. }) => {
                    Some(self.child_id(task as TaskId))
                }
                _ => None,
            }
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
        let ran = self.blocked.is_none() && self.unwinding.is_none() && !self.suspended;
        if ran && !self.was_cut_off() {
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
}
