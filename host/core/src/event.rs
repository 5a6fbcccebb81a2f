//! The journal: what is kept of an orchestration, and all that is kept.

use serde::{Deserialize, Serialize};

use crate::{
    CallPolicy, ChildPolicy, Compensation, EntityId, Failure, HandedUndo, Json, Letter, LogLevel,
    Millis, Post, Repair, ScopeId, Started, StepOutcome, TaskId, UndoId,
};

/// What was written to stdout and stderr during an attempt, up to a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// Standard output; bytes that are not UTF-8 are replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Standard error, and what the guest logged through the contract.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// Whether more was written than is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Logs {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty() && !self.truncated
    }
}

/// Why a saga is undone as a whole. The orchestrator's code does not run any
/// more from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// The code ended with a failure, or cannot be run at all.
    Failed(Failure),
    /// Its deadline passed.
    Deadline(Failure),
    /// Somebody cancelled it, for this reason.
    Canceled(String),
    /// An operator terminated it, for this reason, and wanted it undone.
    Terminated(String),
    /// Its parent is undone, for this reason. What this one did is undone by
    /// the parent, in its turn.
    Parent(String),
}

impl Cause {
    /// Whether it came from outside, and the code could go on without it.
    pub fn is_external(&self) -> bool {
        !matches!(self, Cause::Failed(_))
    }
}

/// Why an orchestration cannot go on for now. Nothing of it is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "reason")]
pub enum BlockedReason {
    /// The code does not ask for what the journal says it asked for.
    #[serde(rename_all = "camelCase")]
    Mismatch {
        /// The place among the requests, from 0.
        position: usize,
        /// What the journal has there.
        journal: String,
        /// What the code asked for.
        code: String,
    },
    /// The component it runs on cannot be loaded.
    #[serde(rename_all = "camelCase")]
    Unavailable {
        /// Why, and what to do.
        message: String,
    },
    /// The code failed when the saga could only go forward. Nothing can be
    /// undone any more: a person has to look at it, and then terminate it.
    #[serde(rename_all = "camelCase")]
    PastPivot {
        /// How it failed.
        failure: Failure,
    },
}

/// One thing that happened to an orchestration.
///
/// Names and fields are written into journals and read back for as long as
/// those are kept: change them only by adding optional fields and new events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Event {
    /// The orchestration was accepted.
    Started(Started),
    /// The orchestrator asked for an activity.
    Scheduled {
        /// The task.
        task: TaskId,
        /// The activity's name.
        function: String,
        /// Its input.
        input: Json,
        /// How to retry, and how long an attempt may take.
        policy: CallPolicy,
        /// How it is undone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<Compensation>,
        /// The scope it belongs to.
        #[serde(default, skip_serializing_if = "is_zero")]
        scope: ScopeId,
        /// Whether the saga can only go forward once it is complete.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pivot: bool,
    },
    /// The orchestrator asked for a child orchestration.
    ChildScheduled {
        /// The task.
        task: TaskId,
        /// The orchestrator's name.
        function: String,
        /// Its input.
        input: Json,
        /// The child's instance id.
        id: String,
        /// How it is undone once it is complete, instead of by what it hands
        /// over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<Compensation>,
        /// Whether nothing that it did is undone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_hand: bool,
        /// The scope it belongs to.
        #[serde(default, skip_serializing_if = "is_zero")]
        scope: ScopeId,
        /// Whether the saga can only go forward once it is complete.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pivot: bool,
        /// What else was said about it.
        #[serde(default, skip_serializing_if = "ChildPolicy::is_default")]
        policy: ChildPolicy,
    },
    /// A child orchestration completed.
    ChildCompleted {
        /// The task.
        task: TaskId,
        /// Its output.
        output: Json,
        /// What would undo it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        handed: Vec<HandedUndo>,
    },
    /// A child orchestration ended otherwise. It undid what it had done, or
    /// hands over what would undo it.
    ChildFailed {
        /// The task.
        task: TaskId,
        /// Why.
        failure: Failure,
        /// When it is started again, as another orchestration in its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Millis>,
        /// What would undo the rest of it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        handed: Vec<HandedUndo>,
    },
    /// The orchestrator opened a scope.
    ScopeOpened {
        /// Its number.
        scope: ScopeId,
        /// The scope around it.
        parent: ScopeId,
    },
    /// What is in this scope is undone all at the same time.
    ParallelUndo {
        /// The scope.
        scope: ScopeId,
    },
    /// The orchestrator wants a scope undone.
    CompensationRequested {
        /// The task that is complete when that is done.
        task: TaskId,
        /// The scope.
        scope: ScopeId,
    },
    /// What the orchestrator wanted undone is undone.
    CompensationDone {
        /// The task.
        task: TaskId,
    },
    /// The saga is undone as a whole.
    Unwinding {
        /// Why.
        cause: Cause,
    },
    /// A step that waited for its next attempt is not attempted again,
    /// because it is to be undone.
    RetriesEnded {
        /// The task.
        task: TaskId,
    },
    /// The undo of a step begins. From here on no attempt of the step does.
    UndoScheduled {
        /// Which.
        undo: UndoId,
        /// The activity that undoes it.
        function: String,
        /// What became of the step.
        outcome: StepOutcome,
    },
    /// A step is undone.
    UndoCompleted {
        /// Which.
        undo: UndoId,
        /// Which attempt, from 1.
        attempt: u32,
        /// When the attempt began.
        started_at: Millis,
        /// What the undo answered.
        output: Json,
        /// What the attempt wrote.
        #[serde(default, skip_serializing_if = "Logs::is_empty")]
        logs: Logs,
    },
    /// An attempt of an undo ended without a result. Where there is no
    /// `retry_at`, the saga is stuck until a person mends it.
    UndoAttemptFailed {
        /// Which.
        undo: UndoId,
        /// Which attempt, from 1.
        attempt: u32,
        /// When the attempt began.
        started_at: Millis,
        /// Why.
        failure: Failure,
        /// When the next attempt begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Millis>,
        /// What the attempt wrote.
        #[serde(default, skip_serializing_if = "Logs::is_empty")]
        logs: Logs,
    },
    /// The host ended while this attempt of an undo may have run; see
    /// [`Event::AttemptLost`].
    UndoAttemptLost {
        /// Which.
        undo: UndoId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// A person mended a step or an undo that was stuck.
    Repaired {
        /// The step.
        step: UndoId,
        /// How.
        repair: Repair,
        /// What the person has to say about it.
        note: String,
        /// Who it was.
        by: String,
    },
    /// An attempt that was given up ended after all; it changes nothing.
    LateResult {
        /// The task.
        task: TaskId,
        /// Which attempt, from 1.
        attempt: u32,
        /// Its result, if it had one.
        #[serde(
            default,
            deserialize_with = "crate::json::given",
            skip_serializing_if = "Option::is_none"
        )]
        output: Option<Json>,
        /// Its failure, if it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// What it wrote.
        #[serde(default, skip_serializing_if = "Logs::is_empty")]
        logs: Logs,
    },
    /// The orchestrator asked for a timer.
    TimerCreated {
        /// The task.
        task: TaskId,
        /// When it fires.
        fire_at: Millis,
    },
    /// The orchestrator waits for an event.
    EventAwaited {
        /// The task.
        task: TaskId,
        /// The event's name.
        name: String,
    },
    /// The orchestrator gave up a timer or a wait.
    TaskCancelled {
        /// The task.
        task: TaskId,
        /// Whether an event had come for it that the code was not given: it
        /// goes to the next wait.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        requeued: bool,
    },
    /// An attempt gave a result, and the task is complete.
    TaskCompleted {
        /// The task.
        task: TaskId,
        /// Which attempt, from 1.
        attempt: u32,
        /// When the attempt began.
        started_at: Millis,
        /// The result.
        output: Json,
        /// What the attempt wrote.
        #[serde(default, skip_serializing_if = "Logs::is_empty")]
        logs: Logs,
    },
    /// An attempt ended without a result. Where there is no `retry_at`, it
    /// was the last one, and the task has failed.
    AttemptFailed {
        /// The task.
        task: TaskId,
        /// Which attempt, from 1.
        attempt: u32,
        /// When the attempt began.
        started_at: Millis,
        /// Why.
        failure: Failure,
        /// When the next attempt begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Millis>,
        /// What the attempt wrote.
        #[serde(default, skip_serializing_if = "Logs::is_empty")]
        logs: Logs,
    },
    /// The host ended while this attempt may have run; the next one begins at
    /// once, with the same idempotency key, and does not count as a retry.
    AttemptLost {
        /// The task.
        task: TaskId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// A timer fired.
    TimerFired {
        /// The task.
        task: TaskId,
    },
    /// An event came in.
    EventRaised {
        /// Its name.
        name: String,
        /// What came with it.
        input: Json,
        /// The letter that brought it, where another instance raised it; or what
        /// the client calls it, where it may ask again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Post>,
    },
    /// The orchestrator sent something to another instance or to an entity. A
    /// letter of number 0 was sent before a rewind, and is not sent again.
    Sent(Letter),
    /// The orchestrator called an operation of an entity.
    EntityCalled {
        /// The task.
        task: TaskId,
        /// The entity.
        entity: EntityId,
        /// What it is to do.
        operation: String,
        /// The input of that.
        input: Json,
        /// Why it was not called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<Failure>,
    },
    /// The entity has answered.
    EntityAnswered {
        /// The task.
        task: TaskId,
        /// What came of it.
        outcome: Result<Json, Failure>,
    },
    /// The orchestrator wants entities for itself.
    LocksRequested {
        /// The task.
        task: TaskId,
        /// The entities, in the order in which they are locked.
        entities: Vec<EntityId>,
        /// Why they were not asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<Failure>,
    },
    /// It has one of them; when it has the last one, the task is complete.
    LockGranted {
        /// The task.
        task: TaskId,
        /// The entity.
        entity: EntityId,
    },
    /// The orchestrator let go of all locks.
    LocksReleased,
    /// What was sent was taken in, or never will be.
    Delivered {
        /// Which of the letters.
        letter: u64,
        /// Why it never will be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// An operator stopped the code until it is resumed. What runs goes on, and
    /// what comes in is kept.
    Suspended {
        /// What the operator said.
        reason: String,
    },
    /// The code may go on.
    Resumed {
        /// What the operator said.
        reason: String,
    },
    /// The orchestrator set its custom status.
    StatusSet {
        /// The status.
        status: Json,
    },
    /// The orchestrator logged a line.
    Logged {
        /// How important it is.
        level: LogLevel,
        /// The line.
        message: String,
    },
    /// The time has come at which the orchestration was to begin.
    Begun,
    /// The orchestrator returned, and begins anew with this input. The last
    /// event of its journal: the next one begins with [`Event::Started`].
    ContinuedAsNew {
        /// The input.
        input: Json,
    },
    /// It had failed, and its code begins again: what was completed and not
    /// undone is kept, the rest is done again. What comes after this event is
    /// all that the code did from then on.
    Rewound {
        /// What the one said who wanted it.
        reason: String,
        /// The digest of the component it runs on from here.
        digest: String,
        /// Where its parent was rewound, and this is a part of that: which
        /// rewind of the parent, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_parent: Option<u32>,
    },
    /// The code asked again for what was completed before it was rewound, and
    /// is told so.
    Recalled {
        /// The task.
        task: TaskId,
        /// When it was completed.
        at: Millis,
    },
    /// The orchestration cannot go on for now.
    Blocked(BlockedReason),
    /// What blocked it is gone.
    Unblocked,
    /// The orchestration ended with an output.
    Completed {
        /// The output.
        output: Json,
    },
    /// The orchestration ended with a failure.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// The orchestration was cancelled, and is undone.
    Canceled {
        /// What the one who cancelled it said.
        reason: String,
    },
    /// An operator ended the orchestration.
    Terminated {
        /// What the operator said.
        reason: String,
    },
}

fn is_zero(scope: &ScopeId) -> bool {
    *scope == 0
}
