//! The input of a step that can be undone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What StepDo and StepUndo are given.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step {
    /// The directory of the effect and the log.
    pub(crate) dir: String,
    /// The name of the effect's file.
    pub(crate) id: String,
    /// What is to go wrong when it is done.
    #[serde(default)]
    pub(crate) fault: Option<Fault>,
    /// How long it goes on after its effect.
    #[serde(default)]
    pub(crate) hold_ms: u64,
    /// What is to go wrong when it is undone.
    #[serde(default)]
    pub(crate) undo_fault: Option<UndoFault>,
    /// The attempts its call allows; 1 if not given.
    #[serde(default)]
    pub(crate) attempts: Option<u32>,
    /// The timeout its call gives it, if any.
    #[serde(default)]
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// Fails for good, before the effect.
    Fail,
    /// Panics before the effect.
    Trap,
    /// Panics after the effect.
    TrapAfter,
    /// Sleeps for ever before the effect.
    Hang,
    /// Sleeps for ever after the effect.
    HangAfter,
    /// Sleeps for ever before the effect, on the first attempt.
    HangOnce,
    /// Sleeps for ever after the effect, on the first attempt.
    HangAfterOnce,
    /// Computes for ever before the effect.
    Spin,
    /// Fails before the effect, on the first attempt.
    Flaky,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UndoFault {
    /// Fails on the first attempt.
    FailOnce,
    /// Fails for good.
    Fail,
    /// Panics on the first attempt.
    TrapOnce,
    /// Sleeps for ever.
    Hang,
    /// Sleeps for ever, on the first attempt.
    HangOnce,
    /// Sleeps for ever when the file is removed, on the first attempt.
    HangAfterOnce,
    /// Fails for good for as long as there is a file `{dir}/{id}.barred`.
    Barred,
}
