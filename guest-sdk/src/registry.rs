//! The functions of this component: what the attributes put together at link
//! time, what `describe` tells of them, and how one is run by its name.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::entity::EntityKind;
use crate::{ActivityContext, Failure, OrchestratorContext, activity, executor, json};

/// A function while it runs; its result is JSON.
pub type RunFuture = Pin<Box<dyn Future<Output = Result<String, Failure>>>>;

/// What an attribute knows of the function under it.
pub struct Function {
    /// The name callers use.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
    /// The schema of the input, if there is one.
    pub input: Option<fn() -> Schema>,
    /// The schema of the output; an entity's operations have their own.
    pub output: Option<fn() -> Schema>,
    /// The timeout of an activity's calls that have none, or of an entity's
    /// operations; the deadline of an orchestrator's sagas.
    pub timeout_ms: Option<u64>,
    /// What it is, and how it is run.
    pub kind: Kind,
}

inventory::collect!(Function);

/// What a function is, and how it is run.
pub enum Kind {
    /// An activity.
    Activity {
        /// Runs it, given its name, the context and the input.
        run: fn(&'static str, ActivityContext, String) -> RunFuture,
        /// The retry policy of calls that have none.
        retry: Option<RetryDefaults>,
        /// The activity that undoes it.
        undo: Option<&'static str>,
        /// The activity it undoes.
        undoes: Option<&'static str>,
    },
    /// An orchestrator.
    Orchestrator {
        /// Runs it, given its name, the context and the input.
        run: fn(&'static str, OrchestratorContext, String) -> RunFuture,
    },
    /// An entity.
    Entity(EntityKind),
}

/// An operation of an entity.
pub struct Operation {
    /// The name callers use.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
    /// The schema of the input, if there is one.
    pub input: Option<fn() -> Schema>,
    /// The schema of the output.
    pub output: fn() -> Schema,
}

impl Operation {
    fn describe(&self) -> Value {
        let mut map = Map::new();
        if !self.description.is_empty() {
            map.insert("description".to_owned(), self.description.into());
        }
        if let Some(input) = self.input {
            map.insert("input".to_owned(), input().into());
        }
        map.insert("output".to_owned(), (self.output)().into());
        Value::Object(map)
    }
}

/// `retry(...)` of an attribute.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryDefaults {
    /// Attempts in all.
    pub max_attempts: u32,
    /// Before the second attempt.
    pub first_interval_ms: u64,
    /// What each interval is multiplied by.
    pub backoff: f64,
    /// The longest interval.
    pub max_interval_ms: u64,
    /// No attempt starts later.
    pub total_time_ms: Option<u64>,
    /// How much is left to chance.
    pub jitter: f64,
    /// Codes that are final.
    pub do_not_retry: &'static [&'static str],
}

/// The functions in the order of their names: the linker's is nobody's.
fn functions() -> Vec<&'static Function> {
    let mut functions: Vec<_> = inventory::iter::<Function>.into_iter().collect();
    functions.sort_by_key(|function| function.name);
    functions
}

/// What the export `describe` tells. Two functions of one name are both in it,
/// so that the host can refuse them.
pub fn describe() -> String {
    let functions: Vec<Value> = functions().into_iter().map(Function::describe).collect();
    json!({ "functions": functions }).to_string()
}

impl Function {
    fn describe(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
        put("name", self.name.into());
        put("kind", self.kind.name().into());
        if !self.description.is_empty() {
            put("description", self.description.into());
        }
        if let Some(input) = self.input {
            put("input", input().into());
        }
        if let Some(output) = self.output {
            put("output", output().into());
        }
        if let Some(timeout_ms) = self.timeout_ms {
            put("timeoutMs", timeout_ms.into());
        }
        if let Kind::Activity { retry: Some(retry), .. }
        | Kind::Entity(EntityKind { retry: Some(retry), .. }) = &self.kind
            && let Ok(retry) = serde_json::to_value(retry)
        {
            put("retry", retry);
        }
        if let Kind::Activity { undo, undoes, .. } = &self.kind {
            if let Some(undo) = *undo {
                put("undo", undo.into());
            }
            if let Some(undoes) = *undoes {
                put("undoes", undoes.into());
            }
        }
        if let Kind::Entity(entity) = &self.kind {
            let operations: Map<_, _> = (entity.operations)()
                .iter()
                .map(|operation| (operation.name.to_owned(), operation.describe()))
                .collect();
            put("operations", operations.into());
            put("state", (entity.state)().into());
        }
        Value::Object(map)
    }
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Activity { .. } => "activity",
            Self::Orchestrator { .. } => "orchestrator",
            Self::Entity(_) => "entity",
        }
    }
}

/// Whether this component has a function of this kind and name.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn has(kind: &str, name: &str) -> bool {
    let mut functions = inventory::iter::<Function>.into_iter();
    functions.any(|function| function.name == name && function.kind.name() == kind)
}

/// The activity that undoes the activity of this name, as its description says.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn undo_of(name: &str) -> Option<&'static str> {
    inventory::iter::<Function>.into_iter().find_map(|function| match function.kind {
        Kind::Activity { undo, .. } if function.name == name => undo,
        _ => None,
    })
}

/// What the export `run-activity` does: an attempt of an activity, or an
/// operation of an entity.
pub(crate) fn run_activity(name: &str, input: String) -> Result<String, Failure> {
    for function in inventory::iter::<Function>.into_iter().filter(|it| it.name == name) {
        match &function.kind {
            Kind::Activity { run, .. } => {
                return activity::block_on(run(function.name, ActivityContext::new(), input));
            }
            Kind::Entity(entity) => return activity::block_on((entity.run)(input)),
            Kind::Orchestrator { .. } => {}
        }
    }
    Err(not_found("activity", name))
}

/// What the export `run-orchestrator` does.
pub(crate) fn run_orchestrator(name: &str, input: String) -> Result<String, Failure> {
    for function in inventory::iter::<Function> {
        if let Kind::Orchestrator { run } = function.kind
            && function.name == name
        {
            let context = OrchestratorContext::new();
            let tasks = context.tasks().clone();
            let result = executor::run(&tasks, run(function.name, context, input));
            return match result {
                Err(failure) if failure.is_continued() && tasks.continued.get() => {
                    Ok("null".to_owned())
                }
                result => result,
            };
        }
    }
    Err(not_found("orchestrator", name))
}

fn not_found(kind: &str, name: &str) -> Failure {
    let names: Vec<_> = functions()
        .iter()
        .filter(|function| function.kind.name() == kind)
        .map(|function| function.name)
        .collect();
    let message = match names.is_empty() {
        true => format!("this component has no {kind} {name:?}, nor any other"),
        false => format!("this component has no {kind} {name:?}; it has {}", names.join(", ")),
    };
    Failure::permanent("host.not-found", message)
}

/// Reads a function's input. An empty text counts as `null`.
pub fn decode_input<T: DeserializeOwned>(name: &str, input: &str) -> Result<T, Failure> {
    let input = if input.is_empty() { "null" } else { input };
    json::decode(input).map_err(|error| {
        Failure::permanent("bad-input", format!("the input does not fit {name}: {error}"))
    })
}

/// The schema of what a function takes.
pub fn input_schema<T: JsonSchema>() -> Schema {
    generator(SchemaSettings::for_deserialize).into_root_schema_for::<T>()
}

fn output_schema<T: JsonSchema>() -> Schema {
    generator(SchemaSettings::for_serialize).into_root_schema_for::<T>()
}

fn generator(contract: fn(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    contract(SchemaSettings::draft2020_12()).into_generator()
}

fn encode<T: Serialize>(output: &T) -> Result<String, Failure> {
    json::encode(output, "bad-output", "the output")
}

/// What a function returned. `finish` is found on `Output<Result<T, E>>`
/// itself before it is found, for any other `T`, in [`PlainOutput`].
pub struct Output<T>(pub T);

impl<T, E> Output<Result<T, E>> {
    /// The result as JSON.
    pub fn finish(self) -> Result<String, Failure>
    where
        T: Serialize,
        E: Into<Failure>,
    {
        match self.0 {
            Ok(output) => encode(&output),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// See [`Output`].
pub trait PlainOutput {
    /// The result as JSON.
    fn finish(self) -> Result<String, Failure>;
}

impl<T: Serialize> PlainOutput for Output<T> {
    fn finish(self) -> Result<String, Failure> {
        encode(&self.0)
    }
}

/// The type of what a function returns, in the manner of [`Output`].
pub struct OutputType<T>(PhantomData<fn() -> T>);

impl<T> OutputType<T> {
    /// The type.
    pub const NEW: Self = Self(PhantomData);
}

impl<T, E> OutputType<Result<T, E>> {
    /// The schema of the success.
    pub fn schema(&self) -> Schema
    where
        T: JsonSchema,
    {
        output_schema::<T>()
    }
}

/// See [`OutputType`].
pub trait PlainOutputType {
    /// The schema of the type.
    fn schema(&self) -> Schema;
}

impl<T: JsonSchema> PlainOutputType for OutputType<T> {
    fn schema(&self) -> Schema {
        output_schema::<T>()
    }
}
