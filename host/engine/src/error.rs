//! What can go wrong, said for the person who asked.

use std::time::Duration;

use sagahost_core::{BadInstanceId, Rejected, RuntimeStatus, UndoId};

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] sagahost_store::StoreError),
    /// The writer's thread cannot be started.
    #[error("cannot start the writer thread: {0}")]
    Thread(std::io::Error),
}

/// An orchestration cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no orchestrator of this name.
    #[error("there is no orchestrator '{name}'; {}", known_orchestrators(.known))]
    UnknownOrchestrator {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The instance id is not allowed.
    #[error(transparent)]
    BadId(#[from] BadInstanceId),
    /// The input does not fit the orchestrator's schema.
    #[error("the input does not fit orchestrator '{name}': {problem}")]
    BadInput {
        /// The orchestrator.
        name: String,
        /// Where it does not fit, and what would.
        problem: String,
    },
    /// An instance of this id has not ended.
    #[error(
        "an instance with id '{id}' exists and has not ended; choose another id, or terminate and purge that one"
    )]
    Exists {
        /// The id.
        id: String,
    },
    /// More is asked of the host than it can do.
    #[error(
        "the host has more to do than it can: {}; nothing was started. Try again in {} s", .what.because(*.delay), seconds(*.retry_after)
    )]
    Overloaded {
        /// What makes starts wait.
        what: Overload,
        /// How long.
        delay: Duration,
        /// When to try again; between 1 and 30 seconds from now.
        retry_after: Duration,
    },
    /// It could not be stored, and was not started.
    #[error("the orchestration could not be stored and was not started: {0}")]
    Store(String),
    /// The host is going down.
    #[error("the host is shutting down and takes no new work")]
    ShuttingDown,
}

/// What there is too much of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Starts that wait for their first turn.
    Turns,
    /// Writes that wait for the store.
    Writes,
    /// Starts that are under way at the same time.
    Starts,
    /// Attempts of this function, which wait for their place.
    Function(String),
}

impl Overload {
    fn because(&self, delay: Duration) -> String {
        let delay = delay.as_secs_f64();
        match self {
            Overload::Turns => format!("a start waits {delay:.1} s until its code first runs"),
            Overload::Writes => format!("what is to be stored waits {delay:.1} s for the disk"),
            Overload::Starts => "too many starts are under way at the same time".to_owned(),
            Overload::Function(name) => format!(
                "attempts of '{name}', which this orchestrator needs, wait {delay:.1} s for their turn"
            ),
        }
    }
}

/// Rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn known_orchestrators(known: &[String]) -> String {
    if known.is_empty() {
        "no orchestrator is deployed".to_owned()
    } else {
        format!("deployed are: {}", known.join(", "))
    }
}

fn known_activities(known: &[String]) -> String {
    if known.is_empty() {
        "no activity is deployed".to_owned()
    } else {
        format!("deployed are: {}", known.join(", "))
    }
}

/// Something cannot be done to an instance.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such instance.
    #[error("there is no instance with id '{id}'")]
    NotFound {
        /// The id.
        id: String,
    },
    /// It has ended.
    #[error("instance '{id}' has already ended ({status})")]
    Terminal {
        /// The id.
        id: String,
        /// How it ended.
        status: RuntimeStatus,
    },
    /// It has not failed, and so cannot be rewound.
    #[error("instance '{id}' cannot be rewound: it has not failed, it is {status}")]
    NotFailed {
        /// The id.
        id: String,
        /// Its status.
        status: RuntimeStatus,
    },
    /// It can only go forward.
    #[error("instance '{id}' is past its pivot: it can only go forward, and cannot be undone")]
    PastPivot {
        /// The id.
        id: String,
    },
    /// It is being undone.
    #[error(
        "instance '{id}' is being undone: wait for it, or repair the step that is stuck; to end it now would leave a part of it done"
    )]
    Undoing {
        /// The id.
        id: String,
    },
    /// It has no such step.
    #[error("instance '{id}' has no step {step} that could be repaired")]
    NoSuchStep {
        /// The id.
        id: String,
        /// The step.
        step: UndoId,
    },
    /// It is the undo of that step that is stuck, and an undo has to be done.
    #[error(
        "what is stuck of step {step} of instance '{id}' is its undo, which has to be done: retry it, or do it by hand"
    )]
    UndoFailed {
        /// The id.
        id: String,
        /// The step.
        step: UndoId,
    },
    /// That step needs no repair.
    #[error("step {step} of instance '{id}' is not stuck")]
    NotStuck {
        /// The id.
        id: String,
        /// The step.
        step: UndoId,
    },
    /// It has not ended.
    #[error("instance '{id}' has not ended; terminate it first")]
    NotTerminal {
        /// The id.
        id: String,
    },
    /// It has ended, but what it sent was not taken in yet.
    #[error(
        "instance '{id}' has ended, and what it sent to other instances is still on its way: try again in a moment"
    )]
    Undelivered {
        /// The id.
        id: String,
    },
    /// The store did not take it, or did not answer; nothing was changed.
    #[error("the store failed, nothing was changed: {0}")]
    Store(String),
    /// The host is going down.
    #[error("the host is shutting down and takes no new work")]
    ShuttingDown,
}

impl CommandError {
    pub(crate) fn rejected(id: &str, rejected: Rejected) -> Self {
        let id = id.to_owned();
        match rejected {
            Rejected::Ended(status) => CommandError::Terminal { id, status },
            Rejected::NotFailed(status) => CommandError::NotFailed { id, status },
            Rejected::PastPivot => CommandError::PastPivot { id },
            Rejected::Undoing => CommandError::Undoing { id },
            Rejected::NoSuchStep(step) => CommandError::NoSuchStep { id, step },
            Rejected::UndoFailed(step) => CommandError::UndoFailed { id, step },
            Rejected::NotStuck(step) => CommandError::NotStuck { id, step },
        }
    }
}

impl From<sagahost_store::StoreError> for CommandError {
    fn from(error: sagahost_store::StoreError) -> Self {
        CommandError::Store(error.to_string())
    }
}

/// An activity cannot be run by itself.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// There is no activity of this name.
    #[error("there is no activity '{name}'; {}", known_activities(.known))]
    UnknownActivity {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The input does not fit the activity's schema.
    #[error("the input does not fit activity '{name}': {problem}")]
    BadInput {
        /// The activity.
        name: String,
        /// Where it does not fit, and what would.
        problem: String,
    },
    /// The host is going down.
    #[error("the host is shutting down and takes no new work")]
    ShuttingDown,
}

/// A component was not deployed; what was there before is still there.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] sagahost_wasm::Refusal),
    /// Its file cannot be read or written.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The check did not come to its end.
    #[error("the check of the component was interrupted; try again")]
    Interrupted,
}
