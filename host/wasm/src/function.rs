//! What a component says about one of its functions.

use jsonschema::Validator;
use sagahost_core::{Json, RetryPolicy};
use serde::Serialize;
use serde_json::Value;

use crate::mistakes;

/// Activity or orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FunctionKind {
    /// Does something in the world.
    Activity,
    /// Decides what is done.
    Orchestrator,
}

impl FunctionKind {
    /// As `describe` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            FunctionKind::Activity => "activity",
            FunctionKind::Orchestrator => "orchestrator",
        }
    }
}

impl std::fmt::Display for FunctionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A function of a deployed component.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Function {
    /// Its name, the only one in this host.
    pub name: String,
    /// What it is.
    pub kind: FunctionKind,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema of its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// The JSON schema of its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// How it is retried, where the call does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Of an activity, the wall time of an attempt, where the call does not
    /// say it. Of an orchestrator, the deadline of its saga, counted from its
    /// start: what has not ended by then is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The activity that undoes this one, where the call does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// The activity that this one undoes. The host makes nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The component it is in.
    pub component: String,
    /// That component's digest.
    pub digest: String,
    #[serde(skip)]
    pub(crate) input: Option<Validator>,
}

impl Function {
    /// Checks an input against the function's schema.
    ///
    /// # Errors
    /// Where it does not fit, and what would do. The function is not named.
    pub fn check_input(&self, input: &Json) -> Result<(), String> {
        let (Some(schema), Some(validator)) = (&self.input_schema, &self.input) else {
            return Ok(());
        };
        let value: Value = serde_json::from_str(input.as_str())
            .map_err(|error| format!("it cannot be read: {error}"))?;
        mistakes::find(schema, validator, &value).map_or(Ok(()), Err)
    }
}
