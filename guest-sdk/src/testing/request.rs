//! What an orchestrator asked for, for a test to look at.

use serde_json::Value;

use crate::bindings::sagahost::saga::types::{self, CallOptions, StepOptions, UndoChoice};
use crate::{StepOutcome, UndoWhen};

/// What an orchestrator asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// A call of an activity.
    #[non_exhaustive]
    Activity {
        /// The activity.
        name: String,
        /// Its input.
        input: Value,
        /// The attempts the call's retry policy allows, if it has one.
        max_attempts: Option<u32>,
        /// The call's timeout in milliseconds, if it has one.
        timeout_ms: Option<u64>,
        /// What the call says about its undo.
        undo: UndoRequest,
        /// The scope it belongs to; 0 is the whole saga.
        scope: u32,
        /// Whether there is no way back once it is complete.
        pivot: bool,
    },
    /// A call of another orchestrator.
    #[non_exhaustive]
    Orchestrator {
        /// The orchestrator.
        name: String,
        /// Its input.
        input: Value,
        /// What the call says about its undo.
        undo: UndoRequest,
        /// The scope it belongs to; 0 is the whole saga.
        scope: u32,
        /// Whether there is no way back once it is complete.
        pivot: bool,
    },
    /// A scope was opened. They count from 1.
    Scope {
        /// The scope it is within; 0 is the whole saga.
        parent: u32,
    },
    /// A scope may be undone all at the same time.
    UndoInParallel {
        /// The scope; 0 is the whole saga.
        scope: u32,
    },
    /// A scope is to be undone.
    Compensate {
        /// The scope; 0 is the whole saga.
        scope: u32,
    },
    /// A timer.
    Timer {
        /// When it fires, in milliseconds since 1970.
        fire_at_ms: u64,
    },
    /// A wait for an event.
    Event {
        /// The event.
        name: String,
    },
    /// A timer, or a wait for an event, was given up.
    Cancel {
        /// The number of the task, counted from 0 over all requests but
        /// these, `Scope` and `UndoInParallel`.
        task: u32,
    },
}

/// What a call said about its undo.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum UndoRequest {
    /// Nothing: it is undone as its function's description says.
    #[default]
    Declared,
    /// `undo_by_hand`.
    ByHand,
    /// `compensate_with`.
    #[non_exhaustive]
    With {
        /// The activity that undoes it.
        name: String,
        /// What that one is given, where it is not the step's input.
        input: Option<Value>,
        /// The attempts its retry policy allows, if it has one.
        max_attempts: Option<u32>,
        /// Its timeout in milliseconds, if it has one.
        timeout_ms: Option<u64>,
        /// Which ends of the step are undone.
        when: UndoWhen,
    },
}

/// An undo that was done, from [`TestHost::undone`](super::TestHost::undone).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Undo {
    /// The activity that undid it.
    pub name: String,
    /// What it was given.
    pub input: Value,
    /// The function that was undone.
    pub of: String,
    /// What had become of it.
    pub outcome: StepOutcome,
    /// The orchestration that had called it: `test`, or a child of it.
    pub instance: String,
    /// Its number there.
    pub step: u32,
}

impl Request {
    pub(super) fn activity(name: &str, input: &str, options: &StepOptions) -> Self {
        Self::Activity {
            name: name.to_owned(),
            input: value(input),
            max_attempts: max_attempts(&options.call),
            timeout_ms: options.call.timeout_ms,
            undo: UndoRequest::from(&options.undo),
            scope: options.scope,
            pivot: options.pivot,
        }
    }

    pub(super) fn orchestrator(name: &str, input: &str, options: &StepOptions) -> Self {
        Self::Orchestrator {
            name: name.to_owned(),
            input: value(input),
            undo: UndoRequest::from(&options.undo),
            scope: options.scope,
            pivot: options.pivot,
        }
    }
}

impl From<&UndoChoice> for UndoRequest {
    fn from(choice: &UndoChoice) -> Self {
        match choice {
            UndoChoice::Declared => Self::Declared,
            UndoChoice::ByHand => Self::ByHand,
            UndoChoice::CompensateWith(compensation) => Self::With {
                name: compensation.function.clone(),
                input: compensation.input.as_deref().map(value),
                max_attempts: max_attempts(&compensation.options),
                timeout_ms: compensation.options.timeout_ms,
                when: match compensation.when {
                    types::UndoWhen::CompletedOrUnknown => UndoWhen::CompletedOrUnknown,
                    types::UndoWhen::Always => UndoWhen::Always,
                    types::UndoWhen::Completed => UndoWhen::Completed,
                },
            },
        }
    }
}

pub(super) fn max_attempts(options: &CallOptions) -> Option<u32> {
    options.retry.as_ref().map(|retry| retry.max_attempts)
}

pub(super) fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
