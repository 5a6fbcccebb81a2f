//! Entities on the host in memory, and one of them by itself.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::request::{Sent, value};
use super::world::{Invocation, Message, World};
use super::{Instance, TestHost, enter};
use crate::bindings::sagahost::saga::types;
use crate::entity::{Answer, Envelope};
use crate::executor::Outcome;
use crate::{Entity, EntityId, Failure, json, registry};

impl Message {
    pub(super) fn new(entity: &types::EntityId, operation: &str, input: &str) -> Self {
        Self {
            entity: EntityId::new(&*entity.name, &*entity.key),
            operation: operation.to_owned(),
            input: input.to_owned(),
        }
    }
}

impl World {
    /// Raises an event, if it is for the orchestration of the test.
    pub(super) fn raise(&self, instance: &str, name: &str, input: &str) {
        if instance == "test" {
            let mut events = self.events.borrow_mut();
            events.entry(name.to_owned()).or_default().push_back(input.to_owned());
        }
    }

    /// Lets an entity do something at this time.
    pub(super) fn later(&self, at_ms: u64, message: Message) {
        let order = self.draw();
        self.delayed.borrow_mut().insert((at_ms, order), message);
    }

    /// Does the first of what entities are to do at or before this time. Says
    /// whether there was something.
    pub(super) fn operate_later(&self, until_ms: u64) -> bool {
        let first = self.delayed.borrow().first_key_value().map(|(key, _)| *key);
        let Some(key) = first.filter(|(at_ms, _)| *at_ms <= until_ms) else { return false };
        let Some(message) = self.delayed.borrow_mut().remove(&key) else { return false };
        self.now_ms.set(self.now_ms.get().max(key.0));
        // Nobody waits for a signal: what became of it is for the log of a host.
        let _ = self.operate(message);
        true
    }

    /// Runs an operation, and those that it and they signal.
    pub(super) fn operate(&self, message: Message) -> Outcome {
        let mut mail = VecDeque::new();
        let outcome = self.run_operation(message, &mut mail);
        while let Some(message) = mail.pop_front() {
            let _ = self.run_operation(message, &mut mail);
        }
        outcome
    }

    fn run_operation(&self, message: Message, mail: &mut VecDeque<Message>) -> Outcome {
        let Message { entity, operation, input } = message;
        let number = self.operations.replace(self.operations.get() + 1);
        let instance = entity.to_string();
        let invocation = Invocation {
            key: format!("{instance}/{number}"),
            instance,
            step: number,
            attempt: 1,
            undone: None,
        };
        let before = self.invocation.replace(invocation);
        let outcome = self.run_entity(&entity, &operation, input, mail);
        self.invocation.replace(before);
        outcome
    }

    fn run_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: String,
        mail: &mut VecDeque<Message>,
    ) -> Outcome {
        let mut state = self.entities.borrow().get(entity).cloned();
        let fake = self.entity_fakes.borrow_mut().remove(&entity.name);
        if let Some(mut fake) = fake {
            let outcome = fake(&entity.key, operation, &input, &mut state);
            self.entity_fakes.borrow_mut().entry(entity.name.clone()).or_insert(fake);
            if outcome.is_ok() {
                self.keep(entity, state);
            }
            return outcome;
        }
        if !registry::has("entity", &entity.name) {
            let message =
                format!("neither the test nor this crate has an entity named {:?}", entity.name);
            return Err(Failure::permanent("host.not-found", message));
        }
        let envelope = Envelope {
            key: entity.key.clone(),
            operation: operation.to_owned(),
            input: Some(RawValue::from_string(input)?),
            state: state.map(RawValue::from_string).transpose()?,
        };
        let envelope = serde_json::to_string(&envelope)?;
        let answer = registry::run_activity(&entity.name, envelope)?;
        let answer: Answer = serde_json::from_str(&answer)?;
        match answer.state.as_deref().map(RawValue::get) {
            None => {}
            Some("null") => self.keep(entity, None),
            Some(state) => self.keep(entity, Some(state.to_owned())),
        }
        let result = answer.result.get().to_owned();
        self.send(answer, mail);
        Ok(result)
    }

    fn keep(&self, entity: &EntityId, state: Option<String>) {
        let mut entities = self.entities.borrow_mut();
        match state {
            Some(state) => entities.insert(entity.clone(), state),
            None => entities.remove(entity),
        };
    }

    /// Sends what an operation did.
    fn send(&self, answer: Answer, mail: &mut VecDeque<Message>) {
        for signal in answer.signals {
            let entity = EntityId::new(signal.name, signal.key);
            let (operation, input) = (signal.operation, signal.input.get().to_owned());
            self.sent.borrow_mut().push(Sent::Signal {
                entity: entity.clone(),
                operation: operation.clone(),
                input: value(&input),
                at_ms: signal.at_ms,
            });
            let message = Message { entity, operation, input };
            match signal.at_ms.filter(|at_ms| *at_ms > self.now_ms.get()) {
                Some(at_ms) => self.later(at_ms, message),
                None => mail.push_back(message),
            }
        }
        for event in answer.events {
            self.raise(&event.instance, &event.name, event.input.get());
            let (instance, name) = (event.instance, event.name);
            let input = value(event.input.get());
            self.sent.borrow_mut().push(Sent::Event { instance, name, input });
        }
        for start in answer.starts {
            let input = value(start.input.get());
            self.sent.borrow_mut().push(Sent::Start { name: start.name, input, id: start.id });
        }
    }
}

/// What takes the place of an entity's operations is given; see
/// [`TestHost::entity`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Operation<S> {
    /// The entity's key.
    pub key: String,
    /// The operation.
    pub name: String,
    /// Its input.
    pub input: serde_json::Value,
    /// The entity's state, to be changed.
    pub state: S,
}

impl TestHost {
    /// What the entities of this name are to do, in the place of those of this
    /// crate. The state is kept unless it fails.
    ///
    /// ```
    /// use sagahost::Failure;
    /// use sagahost::testing::TestHost;
    ///
    /// let host = TestHost::new();
    /// host.entity("Counter", |operation| {
    ///     operation.state += operation.input.as_u64().unwrap_or(0);
    ///     Ok::<u64, Failure>(operation.state)
    /// });
    /// let count = host.run(async |ctx| {
    ///     let counter = ctx.entity("Counter", "visits");
    ///     counter.signal("add", &2);
    ///     counter.call::<u64>("add", &3).await
    /// });
    /// assert_eq!(count, Ok(5));
    /// assert_eq!(host.entity_state("Counter", "visits"), Some(5));
    /// ```
    pub fn entity<S: Serialize + DeserializeOwned + Default, O: Serialize>(
        &self,
        name: &str,
        mut entity: impl FnMut(&mut Operation<S>) -> Result<O, Failure> + 'static,
    ) {
        let fake = move |key: &str, name: &str, input: &str, state: &mut Option<String>| {
            let before = match state.as_deref() {
                Some(state) => {
                    json::decode(state).map_err(|error| Failure::permanent("bad-state", error))?
                }
                None => S::default(),
            };
            let (key, name) = (key.to_owned(), name.to_owned());
            let mut operation = Operation { key, name, input: value(input), state: before };
            let result = entity(&mut operation)?;
            *state = Some(json::encode(&operation.state, "bad-state", "the state")?);
            json::encode(&result, "bad-output", "the output")
        };
        self.first.world.entity_fakes.borrow_mut().insert(name.to_owned(), Box::new(fake));
    }

    /// The state of an entity; `None` where there is none, or it is no `T`.
    #[must_use]
    pub fn entity_state<T: DeserializeOwned>(&self, name: &str, key: &str) -> Option<T> {
        let entities = self.first.world.entities.borrow();
        let state = entities.get(&EntityId::new(name, key))?;
        serde_json::from_str(state).ok()
    }

    /// Gives an entity a state.
    ///
    /// # Panics
    ///
    /// If the state cannot be written as JSON.
    pub fn set_entity_state(&self, name: &str, key: &str, state: &(impl Serialize + ?Sized)) {
        let state = json::encode(state, "bad-state", "the state").expect("a state is JSON");
        self.first.world.keep(&EntityId::new(name, key), Some(state));
    }

    /// What entities of this crate sent, in order. Signals are delivered, and
    /// events for the orchestration of the test; nothing else is.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.first.world.sent.borrow().clone()
    }
}

/// An entity by itself, to test its operations without an orchestrator. What
/// it sends is collected, and not delivered.
///
/// ```
/// use sagahost::testing::TestEntity;
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Default, Serialize, Deserialize, JsonSchema)]
/// struct Stock {
///     left: u32,
/// }
///
/// #[sagahost::entity]
/// impl Stock {
///     fn put(&mut self, count: u32) -> u32 {
///         self.left += count;
///         self.left
///     }
/// }
///
/// let mut book = TestEntity::<Stock>::new("book");
/// assert_eq!(book.run("put", &2), Ok(2));
/// assert_eq!(book.run("put", &3), Ok(5));
/// assert_eq!(book.state().map(|stock| stock.left), Some(5));
/// assert_eq!(book.run::<u32>("take", &1).unwrap_err().code, "unknown-operation");
/// ```
pub struct TestEntity<E> {
    host: TestHost,
    key: String,
    _entity: std::marker::PhantomData<E>,
}

impl<E: Entity> TestEntity<E> {
    /// One without a state.
    #[must_use]
    pub fn new(key: &str) -> Self {
        let host = TestHost::new();
        Self { host, key: key.to_owned(), _entity: std::marker::PhantomData }
    }

    /// The same with this state.
    ///
    /// # Panics
    ///
    /// If the state cannot be written as JSON.
    #[must_use]
    pub fn with_state(self, state: &E) -> Self {
        self.host.set_entity_state(E::NAME, &self.key, state);
        self
    }

    /// Runs an operation, as the host does.
    ///
    /// # Errors
    ///
    /// What the operation fails with; `unknown-operation`, `bad-input`; and
    /// `bad-output` if the result is not a `T`.
    pub fn run<T: DeserializeOwned>(
        &mut self,
        operation: &str,
        input: &(impl Serialize + ?Sized),
    ) -> Result<T, Failure> {
        let message = Message {
            entity: EntityId::new(E::NAME, &*self.key),
            operation: operation.to_owned(),
            input: json::encode(input, "bad-input", "the input of the operation")?,
        };
        let instance: &std::rc::Rc<Instance> = &self.host.first;
        let _restore = enter(instance.clone());
        // Those it signals are not run: this is about one entity.
        let result = instance.world.run_operation(message, &mut VecDeque::new())?;
        json::decode(&result).map_err(|error| Failure::permanent("bad-output", error))
    }

    /// Its state; `None` where it has none, or was deleted.
    #[must_use]
    pub fn state(&self) -> Option<E> {
        self.host.entity_state(E::NAME, &self.key)
    }

    /// What its operations sent, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.host.sent()
    }
}

impl<E: Entity> std::fmt::Debug for TestEntity<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TestEntity").field(&EntityId::new(E::NAME, &*self.key).to_string()).finish()
    }
}
