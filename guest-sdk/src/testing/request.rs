//! What an orchestrator asked for, for a test to look at.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bindings::sagahost::saga::types::{
    self, CallOptions, ChildOptions, StepOptions, UndoChoice,
};
use crate::{EntityId, HttpRequest, StepOutcome, UndoWhen};

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
        /// The instance id the call gives it, if it gives one.
        id: Option<String>,
        /// The version the call gives it, if it gives one.
        version: Option<String>,
        /// The tags the call gives it.
        tags: BTreeMap<String, String>,
        /// The attempts the call's retry policy allows, if it has one.
        max_attempts: Option<u32>,
        /// The deadline the call gives it, in milliseconds.
        timeout_ms: Option<u64>,
        /// What the call says about its undo.
        undo: UndoRequest,
        /// The scope it belongs to; 0 is the whole saga.
        scope: u32,
        /// Whether there is no way back once it is complete.
        pivot: bool,
    },
    /// An HTTP request.
    #[non_exhaustive]
    Http {
        /// The request.
        request: HttpRequest,
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
    /// The start of an orchestration that nobody waits for. In a test it does
    /// not run.
    #[non_exhaustive]
    Start {
        /// The orchestrator.
        name: String,
        /// Its input.
        input: Value,
        /// Its instance id.
        id: String,
        /// The version it is given, if it is given one.
        version: Option<String>,
        /// The tags it is given.
        tags: BTreeMap<String, String>,
        /// When it begins, in milliseconds since 1970; at once without.
        start_at_ms: Option<u64>,
    },
    /// An event for another orchestration.
    SendEvent {
        /// That orchestration.
        instance: String,
        /// The event.
        name: String,
        /// What is raised.
        input: Value,
    },
    /// The orchestration is to begin anew.
    ContinueAsNew {
        /// With this.
        input: Value,
        /// Whether it keeps the events that nobody waited for.
        keep_events: bool,
    },
    /// A call of an entity.
    CallEntity {
        /// The entity.
        entity: EntityId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Value,
    },
    /// A signal to an entity.
    SignalEntity {
        /// The entity.
        entity: EntityId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Value,
        /// When it is to run, in milliseconds since 1970; at once without.
        at_ms: Option<u64>,
    },
    /// Entities are to be locked.
    Lock {
        /// These.
        entities: Vec<EntityId>,
    },
    /// All locks are let go.
    Unlock,
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
        /// The number of the task, counted from 0 over all requests that
        /// something can be waited for: calls, timers, events, locks, undos.
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

/// What an operation of an entity sent, from
/// [`TestHost::sent`](super::TestHost::sent) and
/// [`TestEntity::sent`](super::TestEntity::sent).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sent {
    /// A signal to an entity.
    Signal {
        /// The entity.
        entity: EntityId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Value,
        /// When it is to run, in milliseconds since 1970; at once without.
        at_ms: Option<u64>,
    },
    /// An event for an orchestration.
    Event {
        /// The orchestration.
        instance: String,
        /// The event.
        name: String,
        /// What is raised.
        input: Value,
    },
    /// The start of an orchestration.
    Start {
        /// The orchestrator.
        name: String,
        /// Its input.
        input: Value,
        /// Its instance id, if the entity gave it one.
        id: Option<String>,
    },
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

    pub(super) fn http(request: &str, options: &StepOptions) -> Self {
        let unread = |_| HttpRequest::get("");
        Self::Http {
            request: serde_json::from_str(request).unwrap_or_else(unread),
            max_attempts: max_attempts(&options.call),
            timeout_ms: options.call.timeout_ms,
            undo: UndoRequest::from(&options.undo),
            scope: options.scope,
            pivot: options.pivot,
        }
    }

    pub(super) fn orchestrator(name: &str, input: &str, child: &ChildOptions) -> Self {
        let options = &child.step;
        Self::Orchestrator {
            name: name.to_owned(),
            input: value(input),
            id: child.id.clone(),
            version: child.version.clone(),
            tags: child.tags.iter().cloned().collect(),
            max_attempts: max_attempts(&options.call),
            timeout_ms: options.call.timeout_ms,
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
