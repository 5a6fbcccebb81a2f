//! How a step is undone, and what its undo is told.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::sagahost::saga::types;
use crate::time::millis;
use crate::{Failure, RetryPolicy, json};

/// How a step is undone: by which activity, with which input, how often it is
/// tried.
///
/// It is data that the host keeps with the step, so that it can undo the step
/// without the orchestrator.
///
/// ```
/// use sagahost::{Compensation, RetryPolicy};
/// use std::time::Duration;
///
/// let free = Compensation::new("FreeSeats")
///     .input(&("train 7", 2))
///     .retry(RetryPolicy::unlimited().max_interval(Duration::from_secs(10)))
///     .timeout(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a compensation is given to a call: `.compensate_with(...)`"]
pub struct Compensation {
    function: String,
    input: Option<Result<String, Failure>>,
    options: types::CallOptions,
    when: UndoWhen,
}

/// Which ends of a step are undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UndoWhen {
    /// It completed, or nobody knows whether it did: it trapped, ran out of
    /// time, or the host was lost.
    #[default]
    CompletedOrUnknown,
    /// Whatever became of it, also where it says that it did nothing.
    Always,
    /// Only where it completed.
    Completed,
}

impl Compensation {
    /// The activity that undoes the step. Where nothing else is said it gets
    /// the step's input, is retried as its own description says, else without
    /// limit, and undoes what completed and what may have.
    pub fn new(activity: impl Into<String>) -> Self {
        Self {
            function: activity.into(),
            input: None,
            options: types::CallOptions { retry: None, timeout_ms: None },
            when: UndoWhen::default(),
        }
    }

    /// What it is given, in the place of the step's input. If this cannot be
    /// written as JSON, the call fails with the code `bad-input` and is not
    /// scheduled.
    pub fn input(self, input: &(impl Serialize + ?Sized)) -> Self {
        let input = json::encode(input, "bad-input", "the input of the compensation");
        Self { input: Some(input), ..self }
    }

    /// How often, and when, the undo is attempted again if it fails. Once the
    /// policy is used up, the saga is stuck until a person sees to it.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.retry = Some((&policy).into());
        self
    }

    /// The wall time one attempt of the undo may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout_ms = Some(millis(timeout));
        self
    }

    /// Undoes the step whatever became of it, also where it failed and so says
    /// that it did nothing.
    pub fn always(self) -> Self {
        Self { when: UndoWhen::Always, ..self }
    }

    /// Undoes the step only where it completed, and not where nobody knows.
    pub fn only_completed(self) -> Self {
        Self { when: UndoWhen::Completed, ..self }
    }

    /// As the host gets it.
    pub(crate) fn choice(self) -> Result<types::UndoChoice, Failure> {
        Ok(types::UndoChoice::CompensateWith(types::Compensation {
            function: self.function,
            input: self.input.transpose()?,
            options: self.options,
            when: match self.when {
                UndoWhen::CompletedOrUnknown => types::UndoWhen::CompletedOrUnknown,
                UndoWhen::Always => types::UndoWhen::Always,
                UndoWhen::Completed => types::UndoWhen::Completed,
            },
        }))
    }
}

impl From<&str> for Compensation {
    fn from(activity: &str) -> Self {
        Self::new(activity)
    }
}

impl From<String> for Compensation {
    fn from(activity: String) -> Self {
        Self::new(activity)
    }
}

/// What became of a step, as its undo is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepOutcome {
    /// It gave a result.
    Completed,
    /// It returned a failure: it says that it did nothing.
    Failed,
    /// Nobody knows: it trapped, ran out of time, or the host was lost. It may
    /// have done all of its work, or none.
    Unknown,
}

impl fmt::Display for StepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

/// The step that an undo undoes, from
/// [`ActivityContext::undone`](crate::ActivityContext::undone).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndoneStep {
    /// Its number in its orchestration.
    pub step: u32,
    /// Its function.
    pub function: String,
    /// What became of it.
    pub outcome: StepOutcome,
    /// The idempotency key that its attempts were given: what they wrote or
    /// sent under it is what is to be undone.
    pub idempotency_key: String,
    pub(crate) input: String,
    pub(crate) output: Option<String>,
}

impl UndoneStep {
    /// What it was given.
    ///
    /// # Errors
    ///
    /// `bad-input`, if that is not a `T`.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        json::decode(&self.input).map_err(|error| self.not_a::<T>("bad-input", "input", error))
    }

    /// Its result; `None` where it did not complete.
    ///
    /// # Errors
    ///
    /// `bad-output`, if the result is not a `T`.
    pub fn output<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let Some(output) = &self.output else { return Ok(None) };
        let output =
            json::decode(output).map_err(|error| self.not_a::<T>("bad-output", "output", error))?;
        Ok(Some(output))
    }

    fn not_a<T>(&self, code: &str, what: &str, error: String) -> Failure {
        let wanted = std::any::type_name::<T>();
        Failure::permanent(
            code,
            format!("the {what} of {} is not a {wanted}: {error}", self.function),
        )
    }
}

impl From<types::StepOutcome> for StepOutcome {
    fn from(outcome: types::StepOutcome) -> Self {
        match outcome {
            types::StepOutcome::Completed => Self::Completed,
            types::StepOutcome::Failed => Self::Failed,
            types::StepOutcome::Unknown => Self::Unknown,
        }
    }
}

impl From<types::UndoneStep> for UndoneStep {
    fn from(undone: types::UndoneStep) -> Self {
        Self {
            step: undone.step,
            function: undone.function,
            outcome: undone.outcome.into(),
            idempotency_key: undone.idempotency_key,
            input: undone.input,
            output: undone.output,
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl From<UndoneStep> for types::UndoneStep {
    fn from(undone: UndoneStep) -> Self {
        Self {
            step: undone.step,
            function: undone.function,
            input: undone.input,
            output: undone.output,
            outcome: match undone.outcome {
                StepOutcome::Completed => types::StepOutcome::Completed,
                StepOutcome::Failed => types::StepOutcome::Failed,
                StepOutcome::Unknown => types::StepOutcome::Unknown,
            },
            idempotency_key: undone.idempotency_key,
        }
    }
}
