//! One event of a history.

use sagahost_core::{EntityId, Failure, Json, Logs, Millis, UndoId};
use serde::Serialize;

use crate::time::to_ticks;

/// What of a history is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    pub(crate) inputs: bool,
    pub(crate) outputs: bool,
}

/// One event of a history. Which keys it has is decided by its type.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HistoryEvent<'a> {
    pub(super) event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    /// Of a child orchestration, or of a receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entity: Option<&'a EntityId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lock_set: Option<&'a [EntityId]>,
    /// The step an undo undoes, and any step that has an undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<UndoId>,
    /// The activity that undoes the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) undo: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) pivot: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<u32>,
    /// What became of the step that is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repair: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) orchestration_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fire_at: Option<String>,
    /// When it was completed that is told again after a rewind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recalled: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheduled_time: Option<String>,
    pub(super) timestamp: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) attempts: Vec<Attempt<'a>>,
}

/// A value that is in the journal, as JSON.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Shown<'a> {
    Json(&'a Json),
    Text(&'a str),
    Failure(&'a Failure),
}

/// One attempt of a task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attempt<'a> {
    pub(super) attempt: u32,
    pub(super) outcome: Outcome,
    /// Unknown of an attempt that was lost with its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started: Option<String>,
    pub(super) ended: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logs: Option<&'a Logs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Outcome {
    Completed,
    Failed,
    Lost,
}

impl<'a> Attempt<'a> {
    pub(super) fn lost(attempt: u32, at: Millis) -> Self {
        Attempt {
            attempt,
            outcome: Outcome::Lost,
            started: None,
            ended: to_ticks(at),
            failure: None,
            retry_at: None,
            logs: None,
        }
    }

    pub(super) fn completed(attempt: u32, started_at: Millis, at: Millis, logs: &'a Logs) -> Self {
        Attempt {
            outcome: Outcome::Completed,
            started: Some(to_ticks(started_at)),
            logs: kept(logs),
            ..Self::lost(attempt, at)
        }
    }

    pub(super) fn failed(
        attempt: u32,
        started_at: Millis,
        at: Millis,
        failure: &'a Failure,
        retry_at: Option<Millis>,
        logs: &'a Logs,
    ) -> Self {
        Attempt {
            outcome: Outcome::Failed,
            failure: Some(failure),
            retry_at: retry_at.map(to_ticks),
            ..Self::completed(attempt, started_at, at, logs)
        }
    }
}

impl<'a> HistoryEvent<'a> {
    pub(super) fn new(event_type: &'static str, at: Millis) -> Self {
        HistoryEvent {
            event_type,
            function_name: None,
            name: None,
            instance_id: None,
            entity: None,
            lock_set: None,
            step: None,
            undo: None,
            pivot: false,
            scope: None,
            outcome: None,
            cause: None,
            repair: None,
            by: None,
            orchestration_status: None,
            input: None,
            result: None,
            reason: None,
            details: None,
            failure: None,
            fire_at: None,
            recalled: None,
            scheduled_time: None,
            timestamp: to_ticks(at),
            attempts: Vec::new(),
        }
    }

    pub(super) fn failed(event_type: &'static str, at: Millis, failure: &'a Failure) -> Self {
        HistoryEvent {
            reason: Some(&failure.message),
            details: Some(details(failure)),
            failure: Some(failure),
            ..Self::new(event_type, at)
        }
    }

    pub(super) fn ended(status: &'static str, at: Millis, result: Shown<'a>, show: Show) -> Self {
        HistoryEvent {
            orchestration_status: Some(status),
            result: show.outputs.then_some(result),
            ..Self::new("ExecutionCompleted", at)
        }
    }
}

pub(super) fn kept(logs: &Logs) -> Option<&Logs> {
    Some(logs).filter(|logs| !logs.is_empty())
}

/// In the reference this is a text: the exception with its stack.
fn details(failure: &Failure) -> String {
    match &failure.details {
        Some(details) => format!("{failure}\n{}", details.as_str()),
        None => failure.to_string(),
    }
}
