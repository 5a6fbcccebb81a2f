//! The words everything else is said in: failures, retry policies, statuses,
//! instance ids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Json;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// The number of a task within its orchestration, counted from 0 in the order
/// in which the orchestrator asked for them.
pub type TaskId = u32;

/// The longest instance id, in characters. From the Durable Functions HTTP
/// API.
pub const MAX_INSTANCE_ID: usize = 256;

/// What happened to an attempt that gave no result. These stay apart all the
/// way to what a person sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// The function returned a failure: it says that it did nothing.
    #[default]
    Returned,
    /// The guest trapped: a panic, an uncaught exception, a stack overflow.
    Trap,
    /// The attempt took longer than its wall time.
    Timeout,
    /// The guest wanted more memory than its limit.
    MemoryLimit,
    /// The guest computed for longer than its CPU limit.
    CpuLimit,
    /// The result was larger than the output limit.
    OutputLimit,
    /// The result is not what the contract asks for (not JSON).
    BadOutput,
    /// The host ended while the attempt ran.
    HostLost,
    /// The attempt could not start: no such function, or its component cannot
    /// be loaded.
    NotStarted,
    /// The host ended the attempt, because the step is to be undone or its
    /// orchestration has ended.
    Cancelled,
    /// The deadline of the saga passed.
    Deadline,
    /// The orchestrator's component is gone or damaged.
    CodeLost,
    /// The orchestrator returned while a step that would have to be undone
    /// was still running.
    StepsOpen,
    /// An operator ended the child orchestration.
    Terminated,
}

impl FailureKind {
    /// Whether the effect of the step may have been applied all the same.
    /// Only a returned failure, or one before the start, says that it was not.
    pub fn outcome_unknown(self) -> bool {
        !matches!(self, FailureKind::Returned | FailureKind::NotStarted)
    }
}

/// Why a function gave no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What kind of end it was.
    #[serde(default)]
    pub kind: FailureKind,
    /// A word for programs. The host's own begin with `host.`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Anything more.
    #[serde(
        default,
        deserialize_with = "crate::json::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub details: Option<Json>,
    /// Whether another attempt may go better.
    #[serde(default)]
    pub retryable: bool,
    /// No other attempt may begin before so many milliseconds have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure that the host itself found. Its code is `host.` and the
    /// kind's name (`host.timeout`, `host.memory-limit`, ...). What went wrong
    /// in an attempt may be retried, but for [`FailureKind::BadOutput`] and
    /// [`FailureKind::HostLost`]: the one would be as bad again, and the other
    /// is what is left when many attempts came to nothing.
    pub fn host(kind: FailureKind, message: impl Into<String>) -> Self {
        let code = match kind {
            FailureKind::Returned => "host.failure",
            FailureKind::Trap => "host.trap",
            FailureKind::Timeout => "host.timeout",
            FailureKind::MemoryLimit => "host.memory-limit",
            FailureKind::CpuLimit => "host.cpu-limit",
            FailureKind::OutputLimit => "host.output-limit",
            FailureKind::BadOutput => "host.bad-output",
            FailureKind::HostLost => "host.lost",
            FailureKind::NotStarted => "host.not-started",
            FailureKind::Cancelled => "host.cancelled",
            FailureKind::Deadline => "host.deadline",
            FailureKind::CodeLost => "host.code-lost",
            FailureKind::StepsOpen => "host.steps-open",
            FailureKind::Terminated => "host.terminated",
        };
        Failure {
            kind,
            code: code.to_owned(),
            message: message.into(),
            details: None,
            retry_after_ms: None,
            retryable: matches!(
                kind,
                FailureKind::Returned
                    | FailureKind::Trap
                    | FailureKind::Timeout
                    | FailureKind::MemoryLimit
                    | FailureKind::CpuLimit
                    | FailureKind::OutputLimit
                    | FailureKind::NotStarted
            ),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// How often, and when, a failed activity is attempted again. The fields are
/// those of Durable Functions' retry options, with jitter and final codes
/// beside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. 0 means without limit.
    pub max_attempts: u32,
    /// Milliseconds before the second attempt.
    pub first_interval_ms: u64,
    /// What each interval is multiplied by to get the next. Less than 1, or
    /// not a number, counts as 1.
    pub backoff: f64,
    /// The longest interval, in milliseconds.
    pub max_interval_ms: u64,
    /// No attempt starts later than this after the step was scheduled, in
    /// milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_time_ms: Option<u64>,
    /// By which part an interval may be shortened or lengthened at random,
    /// 0.0 to 1.0.
    pub jitter: f64,
    /// Failure codes that are final at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub do_not_retry: Vec<String>,
}

impl Default for RetryPolicy {
    /// One attempt, as in Durable Functions where no retry options are given.
    fn default() -> Self {
        RetryPolicy {
            max_attempts: 1,
            first_interval_ms: 1_000,
            backoff: 2.0,
            max_interval_ms: 60_000,
            total_time_ms: None,
            jitter: 0.0,
            do_not_retry: Vec::new(),
        }
    }
}

/// What a call asked for; what is `None` is filled in from the function's own
/// description, else from the manifest, else from [`CallPolicy::default`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    /// How to retry.
    pub retry: Option<RetryPolicy>,
    /// The wall time of one attempt, in milliseconds.
    pub timeout_ms: Option<u64>,
}

/// The options of a call after all defaults were filled in; journaled with
/// the step, so that a later change of a default changes nothing that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallPolicy {
    /// How to retry.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// The wall time of one attempt, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for CallPolicy {
    /// One attempt of at most 30 seconds.
    fn default() -> Self {
        CallPolicy { retry: RetryPolicy::default(), timeout_ms: 30_000 }
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

/// Words by which an instance can be found, each with a value.
pub type Tags = BTreeMap<String, String>;

/// The activity that makes an HTTP request. It is the host's own: no function
/// of a component can have this name.
pub const HTTP_FUNCTION: &str = "host:http";

/// The code of the failure of an HTTP attempt that was answered 202: its
/// details are the request that asks for the answer, its
/// [`Failure::retry_after_ms`] says when to make it.
pub const HTTP_ACCEPTED: &str = "host.http-accepted";

/// The longest name of an entity and the longest key, in characters.
pub const MAX_ENTITY_KEY: usize = 200;

/// An entity: a small durable object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntityId {
    /// The function of kind `entity` that it is one of.
    pub name: String,
    /// Which one.
    pub key: String,
}

/// Why something is not the id of an entity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEntityId {
    /// The name or the key is empty.
    #[error("an entity has a name and a key, and neither is empty")]
    Empty,
    /// One of them is too long.
    #[error("the name and the key of an entity have at most 200 characters each")]
    TooLong,
    /// A character that cannot stand in a URL's path.
    #[error(
        "the name and the key of an entity must not contain '/', '\\', '#', '?' or control \
         characters, and the name no '@': this one contains {0:?}"
    )]
    Character(char),
}

impl EntityId {
    /// The id of this name and key.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn new(name: impl Into<String>, key: impl Into<String>) -> Result<Self, BadEntityId> {
        let id = EntityId { name: name.into(), key: key.into() };
        for text in [&id.name, &id.key] {
            match text.chars().count() {
                0 => return Err(BadEntityId::Empty),
                1..=MAX_ENTITY_KEY => {}
                _ => return Err(BadEntityId::TooLong),
            }
        }
        let wrong = |c: &char| matches!(c, '/' | '\\' | '#' | '?') || c.is_control();
        let mut chars = id.name.chars().filter(|c| *c == '@').chain(id.key.chars().filter(wrong));
        match id.name.chars().find(wrong).or_else(|| chars.next()) {
            Some(c) => Err(BadEntityId::Character(c)),
            None => Ok(id),
        }
    }

    /// The id that it has among the instances: `@name@key`, as in Durable
    /// Functions.
    pub fn instance_id(&self) -> String {
        format!("@{}@{}", self.name, self.key)
    }

    /// The entity that has this id among the instances.
    pub fn from_instance_id(id: &str) -> Option<Self> {
        let (name, key) = id.strip_prefix('@')?.split_once('@')?;
        EntityId::new(name, key).ok()
    }
}

impl std::fmt::Display for EntityId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{}@{}", self.name, self.key)
    }
}

/// The runtime status of an instance, named as in the Durable Functions HTTP
/// API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RuntimeStatus {
    /// Accepted, has not run yet.
    Pending,
    /// Runs or waits.
    Running,
    /// Ended with an output.
    Completed,
    /// Started anew under the same id.
    ContinuedAsNew,
    /// Ended with a failure.
    Failed,
    /// Ended by a cancellation.
    Canceled,
    /// Ended by an operator.
    Terminated,
    /// Stopped by an operator until it is resumed.
    Suspended,
}

impl RuntimeStatus {
    /// All of them, in the order of their codes in the store.
    pub const ALL: [RuntimeStatus; 8] = [
        RuntimeStatus::Pending,
        RuntimeStatus::Running,
        RuntimeStatus::Completed,
        RuntimeStatus::ContinuedAsNew,
        RuntimeStatus::Failed,
        RuntimeStatus::Canceled,
        RuntimeStatus::Terminated,
        RuntimeStatus::Suspended,
    ];

    /// Whether nothing more will happen to the instance.
    pub fn is_terminal(self) -> bool {
        use RuntimeStatus::*;
        matches!(self, Completed | Failed | Canceled | Terminated)
    }

    /// The name as the API spells it.
    pub fn as_str(self) -> &'static str {
        use RuntimeStatus::*;
        match self {
            Pending => "Pending",
            Running => "Running",
            Completed => "Completed",
            ContinuedAsNew => "ContinuedAsNew",
            Failed => "Failed",
            Canceled => "Canceled",
            Terminated => "Terminated",
            Suspended => "Suspended",
        }
    }

    /// The status of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(name))
    }

    /// The number the store keeps for it: its place in [`Self::ALL`].
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The status with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl std::fmt::Display for RuntimeStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an instance id is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInstanceId {
    /// It is empty.
    #[error("an instance id must not be empty")]
    Empty,
    /// It has more than [`MAX_INSTANCE_ID`] characters.
    #[error("an instance id has at most 256 characters, this one has {0}")]
    TooLong(usize),
    /// It begins with `@`, which is kept for entities.
    #[error("an instance id must not begin with '@'")]
    Reserved,
    /// It has a character that cannot stand in a URL's path.
    #[error(
        "an instance id must not contain '/', '\\', '#', '?' or control characters, this one contains {0:?}"
    )]
    Character(char),
}

/// Checks an instance id by the rules of the Durable Functions HTTP API.
///
/// # Errors
/// The first rule it breaks.
pub fn check_instance_id(id: &str) -> Result<(), BadInstanceId> {
    let length = id.chars().count();
    if length == 0 {
        return Err(BadInstanceId::Empty);
    }
    if length > MAX_INSTANCE_ID {
        return Err(BadInstanceId::TooLong(length));
    }
    if id.starts_with('@') {
        return Err(BadInstanceId::Reserved);
    }
    match id.chars().find(|c| matches!(c, '/' | '\\' | '#' | '?') || c.is_control()) {
        Some(c) => Err(BadInstanceId::Character(c)),
        None => Ok(()),
    }
}
