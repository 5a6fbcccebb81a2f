//! The words in which undo is spoken of.
//!
//! The model is that of sagas (Garcia-Molina and Salem, "Sagas", 1987) with
//! pivots (Mehrotra et al., 1992): every step before the pivot can be undone,
//! every step after it is retried until it is done.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CallOptions, CallPolicy, Json, Millis, RetryPolicy, Tags, TaskId};

/// The number of a part of a saga that can be undone by itself. 0 is the
/// whole saga; the others count from 1 in the order in which they were opened.
pub type ScopeId = u32;

/// Which ends of a step are undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UndoWhen {
    /// It completed, or nobody knows whether it did.
    #[default]
    CompletedOrUnknown,
    /// Whatever became of it.
    Always,
    /// Only where it completed.
    Completed,
}

impl UndoWhen {
    /// Whether a step with this outcome is undone.
    pub fn includes(self, outcome: StepOutcome) -> bool {
        match self {
            UndoWhen::Always => true,
            UndoWhen::Completed => outcome == StepOutcome::Completed,
            UndoWhen::CompletedOrUnknown => outcome != StepOutcome::Failed,
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == UndoWhen::default()
    }
}

/// What became of a step, for its undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepOutcome {
    /// It gave a result.
    Completed,
    /// Each of its attempts returned a failure or did not begin: it says that
    /// it did nothing.
    Failed,
    /// It gave no result, and of one attempt at least nobody knows what it
    /// did (see [`FailureKind::outcome_unknown`](crate::FailureKind)).
    Unknown,
}

/// How a step is undone: journaled with the step, so that neither the
/// orchestrator nor what is deployed by then is needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compensation {
    /// The activity that undoes it.
    pub function: String,
    /// The component it runs on, the one deployed when the step was
    /// scheduled. `None` where none was: then the step was not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What it is given; the step's own input where there is nothing.
    #[serde(
        default,
        deserialize_with = "crate::json::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub input: Option<Json>,
    /// How it is retried.
    pub policy: CallPolicy,
    /// Which ends of the step are undone.
    #[serde(default, skip_serializing_if = "UndoWhen::is_default")]
    pub when: UndoWhen,
}

impl Compensation {
    /// How an undo is retried where nobody says it: without limit, after
    /// 1 second, then twice as long each time, up to 1 minute.
    pub fn default_retry() -> RetryPolicy {
        RetryPolicy { max_attempts: 0, jitter: 0.1, ..RetryPolicy::default() }
    }
}

/// What a call says about how its step is undone.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum UndoChoice {
    /// As the function's description says.
    #[default]
    Declared,
    /// Not by the host.
    ByHand,
    /// Like this.
    With(CompensationCall),
}

/// A compensation as a call asks for it; see [`Compensation`].
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct CompensationCall {
    pub function: String,
    pub input: Option<Json>,
    pub options: CallOptions,
    pub when: UndoWhen,
}

/// The options of a step as its call gives them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOptions {
    /// Retry and timeout.
    pub call: CallOptions,
    /// How it is undone.
    pub undo: UndoChoice,
    /// The scope it belongs to.
    pub scope: ScopeId,
    /// Whether the saga can only go forward once it is complete.
    pub pivot: bool,
}

/// The options of a child orchestration as its call gives them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChildOptions {
    /// Its place in the saga. The call's retry policy says how often a child
    /// that failed is started again, its timeout is the child's deadline.
    pub step: StepOptions,
    /// Its instance id; derived where there is none.
    pub id: Option<String>,
    /// The version it is told; the parent's where there is none.
    pub version: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// The options of an orchestration that another one starts and does not wait
/// for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartOptions {
    /// Its instance id; derived where there is none.
    pub id: Option<String>,
    /// The version it is told.
    pub version: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it begins; at once where there is nothing.
    pub start_at: Option<Millis>,
}

/// The step that an undo undoes, as the undo is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoneStep {
    /// The instance that scheduled it, where it is not the one that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its task id there.
    pub task: TaskId,
    /// Its function.
    pub function: String,
    /// Its input.
    pub input: Json,
    /// Its result, where it completed.
    #[serde(
        default,
        deserialize_with = "crate::json::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub output: Option<Json>,
    /// What became of it.
    pub outcome: StepOutcome,
    /// The key its attempts were given.
    pub key: String,
}

/// An undo that an orchestration which ended hands to its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedUndo {
    /// How.
    pub compensation: Compensation,
    /// What.
    pub undone: UndoneStep,
    /// When among those handed over with it: the lowest stage first, and all
    /// of one stage at the same time.
    pub stage: u32,
}

/// Names one undo of an orchestration: the task, and for what a child handed
/// over its part, counted from 1 in the order of the list. Written `3` and
/// `3.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UndoId {
    /// The step.
    pub task: TaskId,
    /// 0 for the step's own compensation.
    pub part: u32,
}

impl From<TaskId> for UndoId {
    fn from(task: TaskId) -> Self {
        UndoId { task, part: 0 }
    }
}

impl std::fmt::Display for UndoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.part {
            0 => self.task.fmt(f),
            part => write!(f, "{}.{part}", self.task),
        }
    }
}

/// A text that names no undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a step is written as its number, such as 3, or 3.1 for a step of a child")]
pub struct BadUndoId;

impl FromStr for UndoId {
    type Err = BadUndoId;

    fn from_str(text: &str) -> Result<Self, BadUndoId> {
        let number = |text: &str| text.parse().map_err(|_| BadUndoId);
        match text.split_once('.') {
            None => Ok(UndoId { task: number(text)?, part: 0 }),
            Some((task, part)) => match (number(task)?, number(part)?) {
                (_, 0) => Err(BadUndoId),
                (task, part) => Ok(UndoId { task, part }),
            },
        }
    }
}

impl Serialize for UndoId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UndoId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Something that is attempted until it is done: a step or an undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// A step, forward.
    Step(TaskId),
    /// An undo.
    Undo(UndoId),
}

/// How a person mends something that is stuck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Repair {
    /// Attempted again, as it is.
    Retry,
    /// Attempted again, with this input from now on.
    RetryWith(Json),
    /// Taken as done: somebody did it by hand. For a step, this is its result.
    Done(Json),
    /// Taken as failed: somebody found that the step did nothing. For a step
    /// only; an undo has to be done.
    Failed,
}

/// How far a saga has come with what it did, beside its runtime status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SagaState {
    /// No step with a compensation was scheduled, and no pivot.
    #[default]
    None,
    /// There are steps that would be undone if it failed. An orchestration
    /// that ended so was terminated without undo, or is a child whose undos
    /// its parent holds.
    Armed,
    /// It can only go forward.
    PastPivot,
    /// It is being undone, or a part of it is.
    Compensating,
    /// What was to be undone is undone.
    Compensated,
    /// A person is needed.
    Stuck,
    /// It ended with all that it did in place.
    Committed,
}

impl SagaState {
    /// All of them, in the order of their codes in the store.
    pub const ALL: [SagaState; 7] = [
        SagaState::None,
        SagaState::Armed,
        SagaState::PastPivot,
        SagaState::Compensating,
        SagaState::Compensated,
        SagaState::Stuck,
        SagaState::Committed,
    ];

    /// The name as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            SagaState::None => "none",
            SagaState::Armed => "armed",
            SagaState::PastPivot => "past-pivot",
            SagaState::Compensating => "compensating",
            SagaState::Compensated => "compensated",
            SagaState::Stuck => "stuck",
            SagaState::Committed => "committed",
        }
    }

    /// The state of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(name))
    }

    /// The number the store keeps for it: its place in [`Self::ALL`].
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The state with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl std::fmt::Display for SagaState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_undo_is_named_by_its_task_and_its_part() {
        let names = [
            ("0", 0, 0),
            ("3", 3, 0),
            ("3.1", 3, 1),
            ("4294967295.4294967295", u32::MAX, u32::MAX),
        ];
        for (name, task, part) in names {
            let id = UndoId { task, part };
            assert_eq!(id.to_string(), name);
            assert_eq!(name.parse(), Ok(id));
            assert_eq!(serde_json::to_value(id).unwrap(), name);
            assert_eq!(serde_json::from_value::<UndoId>(name.into()).unwrap(), id);
        }
        assert_eq!(UndoId::from(7), "7".parse().unwrap());
        // Also where the text had to be unescaped.
        assert_eq!(serde_json::from_str::<UndoId>(r#""\u0033.1""#).unwrap().task, 3);
    }

    #[test]
    fn what_names_no_undo_is_an_error() {
        for text in ["", "x", "-1", "3.", ".1", "3.0", "3.1.1", "3,1", " 3", "4294967296", "3.x"] {
            assert_eq!(text.parse::<UndoId>(), Err(BadUndoId), "{text:?}");
            assert!(serde_json::from_value::<UndoId>(text.into()).is_err(), "{text:?}");
        }
        assert!(serde_json::from_str::<UndoId>("3").is_err(), "a number is no text");
    }

    #[test]
    fn undos_are_ordered_by_task_and_part() {
        let mut ids: Vec<UndoId> = ["10", "2.2", "2", "2.1"].map(|id| id.parse().unwrap()).into();
        ids.sort();
        let names: Vec<_> = ids.iter().map(UndoId::to_string).collect();
        assert_eq!(names, ["2", "2.1", "2.2", "10"]);
    }

    #[test]
    fn each_saga_state_has_a_name_and_a_code() {
        for (code, state) in SagaState::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(state.code()), code);
            assert_eq!(SagaState::from_code(state.code()), Some(state));
            let name = state.as_str();
            assert_eq!(SagaState::from_name(&name.to_uppercase()), Some(state));
            assert_eq!(state.to_string(), name);
            assert_eq!(serde_json::to_value(state).unwrap(), name);
        }
        assert_eq!(SagaState::from_code(7), None);
        assert_eq!(SagaState::from_name("undone"), None);
    }

    #[test]
    fn when_says_which_outcomes_are_undone() {
        use StepOutcome::{Completed, Failed, Unknown};
        let included = |when: UndoWhen| [Completed, Unknown, Failed].map(|it| when.includes(it));
        assert_eq!(included(UndoWhen::CompletedOrUnknown), [true, true, false]);
        assert_eq!(included(UndoWhen::Always), [true, true, true]);
        assert_eq!(included(UndoWhen::Completed), [true, false, false]);
    }

    #[test]
    fn a_compensation_that_says_little_is_short() {
        let compensation = Compensation {
            function: "Undo".into(),
            digest: None,
            input: None,
            policy: CallPolicy::default(),
            when: UndoWhen::default(),
        };
        let written = serde_json::to_value(&compensation).unwrap();
        assert_eq!(written.as_object().unwrap().len(), 2, "{written}");
        assert_eq!(serde_json::from_value::<Compensation>(written).unwrap(), compensation);
    }
}
