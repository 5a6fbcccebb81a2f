//! The journal: what is kept of an orchestration, and all that is kept.

use serde::{Deserialize, Serialize};

use crate::{CallPolicy, Failure, Json, Millis, TaskId};

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

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// How an orchestration began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The W3C `traceparent` that came with the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
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
    /// An operator ended the orchestration.
    Terminated {
        /// What the operator said.
        reason: String,
    },
}

/// An event and when it was journaled. Written as `[time, event]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record(pub Millis, pub Event);

/// Why a chunk of a journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("chunk {chunk} of the journal cannot be read: {source}")]
pub struct JournalError {
    /// Which chunk, from 0.
    pub chunk: usize,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}

/// The chunk that is stored for the events of one turn: a JSON array.
///
/// # Errors
/// When an event cannot be written as JSON, which no event the host makes
/// does.
pub fn encode_chunk(records: &[Record]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(64 + 192 * records.len());
    serde_json::to_writer(&mut bytes, records)?;
    Ok(bytes)
}

/// The events of one stored chunk; `chunk` is its number, for the error.
///
/// # Errors
/// Where the chunk is damaged, or was written by a later version.
pub fn decode_chunk(chunk: usize, bytes: &[u8]) -> Result<Vec<Record>, JournalError> {
    serde_json::from_slice(bytes).map_err(|source| JournalError { chunk, source })
}
