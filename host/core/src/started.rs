//! How an orchestration began.

use serde::{Deserialize, Serialize};

use crate::post::Inbox;
use crate::{HandedUndo, Json, Letter, Millis, Post, RetryPolicy, Tags, TaskId};

/// How an orchestration began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The orchestrator's name.
    pub name: String,
    /// Its input.
    pub input: Json,
    /// 32 hex digits, another for each execution, also of the same instance
    /// id. Idempotency keys, UUIDs and random numbers derive from it.
    pub execution: String,
    /// The digest of the component it runs on, to its end.
    pub digest: String,
    /// The version that was asked for at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Words by which it can be found, each with a value.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// The W3C `traceparent` that came with the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    /// The orchestration whose step this one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The letter that started it, where an instance did that did not wait for
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Post>,
    /// When its code first runs, where that is later than its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Millis>,
    /// When the saga is undone, if it has not ended or passed its pivot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// What an earlier execution of the same instance left, where this one
    /// continues it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Box<Carried>>,
}

/// What an execution that continues as new leaves to the next one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Carried {
    /// How often the instance has continued as new.
    pub rounds: u64,
    /// Events that the code was not given, oldest first: name and input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<(String, Json)>,
    /// The custom status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_status: Option<Json>,
    /// Of a child: what would undo the earlier executions, to be handed to
    /// the parent at the end, in the order of undoing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handed: Vec<HandedUndo>,
    /// The first execution, which names the instance as a sender of letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How many letters it has sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sent: u64,
    /// Those of which nobody has said that they were taken in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub letters: Vec<Letter>,
    /// Which letters it has had.
    #[serde(default, skip_serializing_if = "Inbox::is_empty")]
    pub(crate) inbox: Inbox,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Eq for Carried {}

/// The step of another orchestration that a child orchestration is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// The parent's instance id.
    pub id: String,
    /// The parent's execution.
    pub execution: String,
    /// The step.
    pub task: TaskId,
    /// Which attempt of the step, from 1.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub attempt: u32,
}

fn first() -> u32 {
    1
}

fn is_first(attempt: &u32) -> bool {
    *attempt == 1
}

/// What a call says about a child orchestration beside its place in the saga.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildPolicy {
    /// How often a child that failed is started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Its deadline, in milliseconds from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The version it is told; its parent's where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

impl ChildPolicy {
    pub(crate) fn is_default(&self) -> bool {
        *self == ChildPolicy::default()
    }
}
