//! What comes in from outside, and what a turn makes of it.

use crate::instance::Attempt;
use crate::{
    ChildPolicy, Failure, HandedUndo, JournalError, Json, Letter, Logs, Millis, Parcel, Parent,
    Post, Record, Repair, RuntimeStatus, TaskId, UndoId, Work,
};

/// What comes in from outside the orchestration.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A client raised an event.
    RaiseEvent {
        /// Its name.
        name: String,
        /// What comes with it.
        input: Json,
        /// What it is known by: one that is known already changes nothing.
        from: Option<Post>,
    },
    /// Another instance, or an entity, sent something.
    Letter {
        /// What it is known by.
        post: Post,
        /// The sender's instance id.
        from: String,
        /// What it brings.
        parcel: Parcel,
    },
    /// A letter of this orchestration was taken in, or never will be.
    Delivered {
        /// Which.
        post: Post,
        /// Why it never will be.
        problem: Option<String>,
    },
    /// An operator ends the orchestration.
    Terminate {
        /// Why.
        reason: String,
        /// Whether it is undone first.
        compensate: bool,
    },
    /// An operator stops the code until it is resumed.
    Suspend {
        /// Why.
        reason: String,
    },
    /// An operator lets the code go on.
    Resume {
        /// Why.
        reason: String,
    },
    /// Somebody wants the saga undone, and then ended.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Somebody wants it to begin again, after it failed.
    Rewind {
        /// Why.
        reason: String,
        /// The component that it is to run on; the one it had, where there is
        /// none.
        digest: Option<String>,
        /// Where its parent was rewound and wants this: the step that it is,
        /// and which rewind of the parent, from 1. What the parent has said
        /// before, or says to the wrong one, changes nothing.
        parent: Option<(Parent, u32)>,
    },
    /// The parent is undone: what runs is ended, and what was done is handed
    /// over.
    HandOver {
        /// Why.
        reason: String,
    },
    /// A person mends what is stuck.
    Repair {
        /// The step.
        step: UndoId,
        /// How.
        repair: Repair,
        /// What the person has to say about it.
        note: String,
        /// Who it is.
        by: String,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The step or undo.
        work: Work,
        /// Which attempt.
        attempt: u32,
        /// When it began.
        started_at: Millis,
        /// How it ended.
        outcome: Result<Json, Failure>,
        /// What it wrote.
        logs: Logs,
    },
    /// A child orchestration ended.
    ChildEnded {
        /// The step it is.
        task: TaskId,
        /// How it ended.
        outcome: Result<Json, Failure>,
        /// What would undo it.
        handed: Vec<HandedUndo>,
    },
    /// Time has passed: timers may fire and retries begin.
    Tick,
    /// The host that ran the attempts that are out is gone.
    HostLost {
        /// Work whose attempts are out in this host, and so are not lost.
        alive: Vec<Work>,
        /// When this host took over. What was to be attempted again before
        /// that may have begun without a word in the journal.
        since: Millis,
    },
}

/// Why a command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The orchestration has ended.
    #[error("the instance has already ended ({0})")]
    Ended(RuntimeStatus),
    /// It has not failed, and so cannot be rewound.
    #[error("only an instance that failed can be rewound; this one is {0}")]
    NotFailed(RuntimeStatus),
    /// It can only go forward.
    #[error("the saga is past its pivot: it can only go forward, and cannot be undone")]
    PastPivot,
    /// It is being undone, and to end it now would leave a part of it done.
    #[error(
        "the saga is being undone: wait for it, or repair what is stuck (`retry` or `done` for that step)"
    )]
    Undoing,
    /// It has no such step, or one that nothing undoes.
    #[error("there is no step {0} that could be repaired")]
    NoSuchStep(UndoId),
    /// An undo has to be done.
    #[error(
        "what is stuck of step {0} is its undo, which has to be done: retry it, or do it by hand"
    )]
    UndoFailed(UndoId),
    /// That step is not stuck.
    #[error("step {0} is not stuck")]
    NotStuck(UndoId),
}

/// A child orchestration that is to be started, unless it was already.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildStart {
    /// The step it is.
    pub task: TaskId,
    /// Which attempt of the step, from 1.
    pub attempt: u32,
    /// Its instance id.
    pub id: String,
    /// Its orchestrator.
    pub function: String,
    /// Its input.
    pub input: Json,
    /// Its version, tags and deadline.
    pub policy: ChildPolicy,
    /// Whether it may have been started before.
    pub again: bool,
    /// Where this orchestration was rewound, and the child had failed before
    /// that: which rewind it was, from 1. The child is rewound, too, if it
    /// has not been by then.
    pub rewind: Option<u32>,
}

/// A child orchestration that is to end.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildStop {
    /// The step it is.
    pub task: TaskId,
    /// Its instance id.
    pub id: String,
    /// Why.
    pub reason: String,
    /// Whether it ends at once, with nothing undone, instead of handing over
    /// what would undo it.
    pub terminate: bool,
}

/// What one turn made: the events to store, and what is to be done once they
/// are stored, and not before.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// The events, in order.
    pub records: Vec<Record>,
    /// Attempts to make.
    pub attempts: Vec<Attempt>,
    /// Attempts to end. Each of them ends with
    /// [`FailureKind::Cancelled`](crate::FailureKind::Cancelled), or with what
    /// it still came to.
    pub stops: Vec<TaskId>,
    /// Child orchestrations to start.
    pub children: Vec<ChildStart>,
    /// Child orchestrations to end.
    pub child_stops: Vec<ChildStop>,
    /// Letters to send.
    pub letters: Vec<Letter>,
    /// Whether something became stuck in this turn.
    pub stuck: bool,
    /// Whether the orchestration ended in this turn.
    pub ended: bool,
    /// Where it continued as new, the place among the events with which its
    /// new journal begins; what is before belongs to no journal any more.
    pub fresh: Option<usize>,
}

impl Turn {
    /// Whether nothing is to be done but to store its events.
    pub fn has_no_effects(&self) -> bool {
        self.attempts.is_empty()
            && self.stops.is_empty()
            && self.children.is_empty()
            && self.child_stops.is_empty()
            && self.letters.is_empty()
            && !self.stuck
    }
}

/// A completed task, as it is given to the orchestrator's code.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The task.
    pub task: TaskId,
    /// How it ended.
    pub outcome: Result<Json, Failure>,
}

/// The code and the journal do not agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at step {position} the journal has {journal}, but the code asked for {code}")]
pub struct Mismatch {
    /// The place among the requests, from 0.
    pub position: usize,
    /// What the journal has there.
    pub journal: String,
    /// What the code asked for.
    pub code: String,
}

/// Why a journal cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A chunk cannot be read.
    #[error(transparent)]
    Chunk(#[from] JournalError),
    /// It does not begin with the start of an orchestration.
    #[error("the journal does not begin with the start of an orchestration")]
    NoStart,
    /// What it says cannot have happened.
    #[error("event {record} of the journal ({kind}) cannot come there: {reason}")]
    Misfit {
        /// Which event, from 0.
        record: u64,
        /// Its kind.
        kind: &'static str,
        /// Why it cannot.
        reason: &'static str,
    },
}
