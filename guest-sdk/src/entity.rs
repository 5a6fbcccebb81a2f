//! Entities, as they are written: a state, and the operations on it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::registry::{Operation, RetryDefaults, RunFuture, input_schema};
use crate::{EntityId, Failure, LogLevel, Timestamp, host, json};

/// A type that is the state of entities: what
/// [`#[sagahost::entity]`](macro@crate::entity) makes of it.
pub trait Entity: Default + Serialize + DeserializeOwned + JsonSchema + 'static {
    /// What callers name the function.
    const NAME: &'static str;

    /// The operations there are.
    #[doc(hidden)]
    fn operations() -> Vec<Operation>;

    /// Runs one.
    #[doc(hidden)]
    fn operate<'a>(
        &'a mut self,
        ctx: &'a mut EntityContext,
        operation: &'a str,
        input: &'a str,
    ) -> OperationFuture<'a>;
}

/// An operation while it runs; its result is JSON.
pub type OperationFuture<'a> = Pin<Box<dyn Future<Output = Result<String, Failure>> + 'a>>;

/// What the registry knows of an entity.
pub struct EntityKind {
    pub(crate) run: fn(String) -> RunFuture,
    pub(crate) operations: fn() -> Vec<Operation>,
    pub(crate) state: fn() -> Schema,
    pub(crate) retry: Option<RetryDefaults>,
}

impl EntityKind {
    /// That of a type.
    #[must_use]
    pub const fn of<E: Entity>(retry: Option<RetryDefaults>) -> Self {
        Self { run: run::<E>, operations: E::operations, state: input_schema::<E>, retry }
    }
}

/// What an operation of an entity may ask and do, beside changing the state.
///
/// What it sends is sent once the new state is journaled, and not at all if
/// the operation fails. What cannot be written as JSON makes the operation
/// fail with the code `bad-input`.
#[derive(Debug)]
pub struct EntityContext {
    id: EntityId,
    operation: String,
    deleted: bool,
    changed: bool,
    signals: Vec<Signal>,
    events: Vec<Event>,
    starts: Vec<Start>,
    /// Why the operation fails, whatever it returns.
    refusal: Option<Failure>,
}

impl EntityContext {
    pub(crate) fn new(id: EntityId, operation: String) -> Self {
        Self {
            id,
            operation,
            deleted: false,
            changed: false,
            signals: Vec::new(),
            events: Vec::new(),
            starts: Vec::new(),
            refusal: None,
        }
    }

    /// Which entity this is.
    #[must_use]
    pub fn id(&self) -> &EntityId {
        &self.id
    }

    /// The key of this entity.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.id.key
    }

    /// The name of the operation that runs.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The same for every attempt of this operation, and for no other one.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        host::idempotency_key()
    }

    /// Lets an entity run an operation, and does not wait for it. It may be
    /// this entity: the operation runs after this one.
    pub fn signal(
        &mut self,
        entity: impl Into<EntityId>,
        operation: &str,
        input: &(impl Serialize + ?Sized),
    ) {
        self.send_signal(entity.into(), operation, input, None);
    }

    /// Lets an entity run an operation at this time, or at once if it is past.
    pub fn signal_at(
        &mut self,
        entity: impl Into<EntityId>,
        operation: &str,
        input: &(impl Serialize + ?Sized),
        time: Timestamp,
    ) {
        self.send_signal(entity.into(), operation, input, Some(time.as_millis()));
    }

    fn send_signal(
        &mut self,
        EntityId { name, key }: EntityId,
        operation: &str,
        input: &(impl Serialize + ?Sized),
        at_ms: Option<u64>,
    ) {
        if let Some(input) = self.write(input, "the input of the signal") {
            let operation = operation.to_owned();
            self.signals.push(Signal { name, key, operation, input, at_ms });
        }
    }

    /// Raises an event for an orchestration.
    pub fn send_event(&mut self, instance: &str, name: &str, value: &(impl Serialize + ?Sized)) {
        if let Some(input) = self.write(value, "the event") {
            let (instance, name) = (instance.to_owned(), name.to_owned());
            self.events.push(Event { instance, name, input });
        }
    }

    /// Starts an orchestration, under an id that the host derives.
    pub fn start_orchestrator(&mut self, name: &str, input: &(impl Serialize + ?Sized)) {
        self.start(name, None, input);
    }

    /// Starts an orchestration under this id.
    pub fn start_orchestrator_as(
        &mut self,
        id: impl Into<String>,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) {
        self.start(name, Some(id.into()), input);
    }

    fn start(&mut self, name: &str, id: Option<String>, input: &(impl Serialize + ?Sized)) {
        if let Some(input) = self.write(input, "the input of the orchestration") {
            self.starts.push(Start { name: name.to_owned(), input, id });
        }
    }

    /// Removes the state once this operation is done, whatever else it does to
    /// it. The next operation begins with the default.
    pub fn delete(&mut self) {
        self.deleted = true;
    }

    /// Writes a line to the log. [`info!`](crate::info) and its siblings
    /// format one.
    pub fn log(&self, level: LogLevel, line: impl fmt::Display) {
        host::activity_log(level, &line.to_string());
    }

    /// Notes that the operation may change the state. No part of the
    /// interface.
    #[doc(hidden)]
    pub fn touch(&mut self) {
        self.changed = true;
    }

    fn write(&mut self, value: &(impl Serialize + ?Sized), what: &str) -> Option<Box<RawValue>> {
        match serde_json::value::to_raw_value(value) {
            Ok(json) => Some(json),
            Err(error) => {
                let message = format!("{what} cannot be written as JSON: {error}");
                self.refusal.get_or_insert(Failure::permanent("bad-input", message));
                None
            }
        }
    }

    /// What the host gets of an operation that went well.
    pub(crate) fn answer(self, result: String, state: &impl Serialize) -> Result<Answer, Failure> {
        if let Some(failure) = self.refusal {
            return Err(failure);
        }
        let bad = |error: serde_json::Error| {
            let message = format!("the state of {} cannot be written as JSON: {error}", self.id);
            Failure::permanent("bad-state", message)
        };
        let state = match (self.deleted, self.changed) {
            (true, _) => Some(RawValue::NULL.to_owned()),
            (false, true) => Some(serde_json::value::to_raw_value(state).map_err(bad)?),
            (false, false) => None,
        };
        Ok(Answer {
            result: RawValue::from_string(result)?,
            state,
            signals: self.signals,
            events: self.events,
            starts: self.starts,
        })
    }
}

/// What `run-activity` is given for an operation.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) key: String,
    pub(crate) operation: String,
    #[serde(default)]
    pub(crate) input: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) state: Option<Box<RawValue>>,
}

/// What `run-activity` gives back for an operation.
#[derive(Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) result: Box<RawValue>,
    /// What the state is from now on; `null` removes it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signals: Vec<Signal>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<Event>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) starts: Vec<Start>,
}

/// A key that is there, also where it is `null`.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(value).map(Some)
}

/// What an operation sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signal {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) operation: String,
    pub(crate) input: Box<RawValue>,
    pub(crate) at_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) instance: String,
    pub(crate) name: String,
    pub(crate) input: Box<RawValue>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) name: String,
    pub(crate) input: Box<RawValue>,
    pub(crate) id: Option<String>,
}

/// Runs one operation, from its envelope.
fn run<E: Entity>(envelope: String) -> RunFuture {
    Box::pin(async move {
        let Envelope { key, operation, input, state } =
            json::decode(&envelope).map_err(|error| {
                let message = format!("this is no operation of {}: {error}", E::NAME);
                Failure::permanent("bad-input", message)
            })?;
        let id = EntityId::new(E::NAME, key);
        let mut state: E = match state {
            Some(state) => json::decode(state.get()).map_err(|error| {
                let message = format!("the state of {id} is none of this version's: {error}");
                Failure::permanent("bad-state", message)
            })?,
            None => E::default(),
        };
        let mut ctx = EntityContext::new(id, operation.clone());
        let input = input.as_deref().map_or("null", RawValue::get);
        let result = state.operate(&mut ctx, &operation, input).await?;
        let answer = ctx.answer(result, &state)?;
        json::encode(&answer, "bad-output", "the answer")
    })
}

/// The failure for an operation that there is not.
#[must_use]
pub fn unknown_operation<E: Entity>(operation: &str) -> Failure {
    let names: Vec<_> = E::operations().iter().map(|operation| operation.name).collect();
    let has = match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    let message = format!("{} has no operation {operation:?}; it has {has}", E::NAME);
    Failure::permanent("unknown-operation", message)
}
