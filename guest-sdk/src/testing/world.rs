//! What all orchestrations of a test share: its activities, its clock, and
//! what was undone.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};

use super::request::{Sent, Undo, max_attempts, value};
use super::saga::Ready;
use crate::bindings::sagahost::saga::types::{Compensation, UndoneStep};
use crate::executor::Outcome;
use crate::{EntityId, Failure, LogLevel, registry};

/// How often something is done again that fails and may go better, before a
/// test gives up on it.
pub(super) const PATIENCE: u32 = 1_000;

/// The function that HTTP requests are steps of.
pub(super) const HTTP: &str = "host:http";

/// What takes the place of a function.
pub(super) type Fake = Box<dyn FnMut(&str) -> Outcome>;

/// What takes the place of an entity: it is given the key, the operation, the
/// input and the state, all but the first two as JSON.
pub(super) type EntityFake = Box<dyn FnMut(&str, &str, &str, &mut Option<String>) -> Outcome>;

/// What an entity is to do.
pub(super) struct Message {
    pub(super) entity: EntityId,
    pub(super) operation: String,
    pub(super) input: String,
}

/// What all orchestrations of a test share.
pub(super) struct World {
    pub(super) activities: RefCell<HashMap<String, Fake>>,
    pub(super) orchestrators: RefCell<HashMap<String, Fake>>,
    /// The activities' undos, as the test declared them.
    pub(super) declared: RefCell<HashMap<String, String>>,
    pub(super) events: RefCell<HashMap<String, VecDeque<String>>>,
    /// The states of the entities, as JSON.
    pub(super) entities: RefCell<BTreeMap<EntityId, String>>,
    /// What takes the place of entities, by name.
    pub(super) entity_fakes: RefCell<HashMap<String, EntityFake>>,
    /// What entities sent.
    pub(super) sent: RefCell<Vec<Sent>>,
    /// What entities are to do later: by time, and then in order.
    pub(super) delayed: RefCell<BTreeMap<(u64, u64), Message>>,
    pub(super) log: RefCell<Vec<(LogLevel, String)>>,
    pub(super) undone: RefCell<Vec<Undo>>,
    /// What an activity is told about the attempt it is.
    pub(super) invocation: RefCell<Invocation>,
    pub(super) now_ms: Cell<u64>,
    drawn: Cell<u64>,
    pub(super) operations: Cell<u32>,
}

/// See [`World::invocation`].
#[derive(Clone)]
pub(super) struct Invocation {
    pub(super) instance: String,
    pub(super) step: u32,
    pub(super) attempt: u32,
    pub(super) key: String,
    pub(super) undone: Option<UndoneStep>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            activities: RefCell::default(),
            orchestrators: RefCell::default(),
            declared: RefCell::default(),
            events: RefCell::default(),
            entities: RefCell::default(),
            entity_fakes: RefCell::default(),
            sent: RefCell::default(),
            delayed: RefCell::default(),
            operations: Cell::new(0),
            log: RefCell::default(),
            undone: RefCell::default(),
            invocation: RefCell::new(Invocation {
                instance: "test".to_owned(),
                step: 0,
                attempt: 1,
                key: "test/0".to_owned(),
                undone: None,
            }),
            now_ms: Cell::new(1_700_000_000_000),
            drawn: Cell::new(0),
        }
    }

    pub(super) fn draw(&self) -> u64 {
        self.drawn.set(self.drawn.get() + 1);
        self.drawn.get()
    }

    /// Runs an attempt of an activity.
    pub(super) fn attempt(&self, name: &str, input: &str, invocation: Invocation) -> Outcome {
        let fake = self.activities.borrow_mut().remove(name);
        let Some(mut fake) = fake else {
            let message = match name {
                HTTP => "the test does not say what answers an HTTP request: `host.http(...)`"
                    .to_owned(),
                name => format!("the test has no activity {name:?}"),
            };
            return Err(Failure::permanent("host.not-found", message));
        };
        let before = self.invocation.replace(invocation);
        let outcome = fake(input);
        self.invocation.replace(before);
        self.activities.borrow_mut().entry(name.to_owned()).or_insert(fake);
        outcome
    }

    fn run_undo(
        &self,
        instance: &str,
        attempt: u32,
        undone: &UndoneStep,
        name: &str,
        input: &str,
    ) -> Outcome {
        let invocation = Invocation {
            instance: instance.to_owned(),
            step: undone.step,
            attempt,
            key: format!("{}-undo", undone.idempotency_key),
            undone: Some(undone.clone()),
        };
        self.attempt(name, input, invocation)
    }

    /// The activity that undoes another one, where its call does not say it.
    pub(super) fn declared_undo(&self, name: &str) -> Option<String> {
        let declared = self.declared.borrow().get(name).cloned();
        declared.or_else(|| registry::undo_of(name).map(str::to_owned))
    }

    /// Undoes, one after the other.
    ///
    /// # Panics
    ///
    /// If one cannot be done.
    pub(super) fn undo(&self, undos: Vec<Ready>) {
        for Ready { compensation, undone, instance } in undos {
            let Compensation { function, input, options, .. } = compensation;
            let input = input.unwrap_or_else(|| undone.input.clone());
            let limit = max_attempts(&options).filter(|max| *max > 0).unwrap_or(PATIENCE);
            for attempt in 1.. {
                let outcome = self.run_undo(&instance, attempt, &undone, &function, &input);
                let Err(failure) = outcome else { break };
                assert!(
                    failure.retryable && attempt < limit,
                    "the saga is stuck: {function}, which is to undo step {} ({}), failed in attempt {attempt}: \
                     {failure}; a host waits here until a person sees to it",
                    undone.step,
                    undone.function,
                );
            }
            self.undone.borrow_mut().push(Undo {
                name: function,
                input: value(&input),
                of: undone.function,
                outcome: undone.outcome.into(),
                instance,
                step: undone.step,
            });
        }
    }
}
