//! What a component says about one of its functions.

use std::collections::BTreeMap;

use jsonschema::Validator;
use sagahost_core::{Json, RetryPolicy};
use serde::Serialize;
use serde_json::Value;

use crate::mistakes;

/// Activity, orchestrator or entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FunctionKind {
    /// Does something in the world.
    Activity,
    /// Decides what is done.
    Orchestrator,
    /// Keeps a state, and changes it one operation at a time.
    Entity,
}

impl FunctionKind {
    /// As `describe` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            FunctionKind::Activity => "activity",
            FunctionKind::Orchestrator => "orchestrator",
            FunctionKind::Entity => "entity",
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
    /// What an entity can do, by name; nothing where it does not say it, and
    /// then every operation may be asked of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub operations: BTreeMap<String, Operation>,
    /// The JSON schema of an entity's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_schema: Option<Value>,
    /// How it is retried, where the call does not say it. Of an entity, how
    /// each operation is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Of an activity, the wall time of an attempt, where the call does not
    /// say it; of an entity, that of an operation. Of an orchestrator, the deadline of its saga, counted from its
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

/// Something that an entity can do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema of its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// The JSON schema of its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    #[serde(skip)]
    pub(crate) input: Option<Validator>,
}

impl Function {
    /// Checks an input against the function's schema.
    ///
    /// # Errors
    /// Where it does not fit, and what would do. The function is not named.
    pub fn check_input(&self, input: &Json) -> Result<(), String> {
        fits(self.input_schema.as_ref(), self.input.as_ref(), input)
    }

    /// Checks that an entity has this operation, and the operation's input
    /// against its schema. An entity that names no operations may have any.
    ///
    /// # Errors
    /// Which operations there are; or where the input does not fit, and what
    /// would do. Neither the entity nor the operation is named.
    pub fn check_operation(&self, operation: &str, input: &Json) -> Result<(), BadOperation> {
        if self.operations.is_empty() {
            return Ok(());
        }
        let Some(known) = self.operations.get(operation) else {
            let known = self.operations.keys().cloned().collect();
            return Err(BadOperation::Unknown { known });
        };
        fits(known.input_schema.as_ref(), known.input.as_ref(), input).map_err(BadOperation::Input)
    }
}

/// Why an operation cannot be asked of an entity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOperation {
    /// The entity has none of this name.
    #[error("the entity has no such operation; it has: {}", known.join(", "))]
    Unknown {
        /// Those it has.
        known: Vec<String>,
    },
    /// Where the input does not fit, and what would do.
    #[error("{0}")]
    Input(String),
}

fn fits(schema: Option<&Value>, validator: Option<&Validator>, input: &Json) -> Result<(), String> {
    let (Some(schema), Some(validator)) = (schema, validator) else {
        return Ok(());
    };
    let value: Value = serde_json::from_str(input.as_str())
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if validator.is_valid(&value) {
        return Ok(());
    }
    mistakes::find(schema, validator, &value).map_or(Ok(()), Err)
}
