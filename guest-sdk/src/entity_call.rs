//! Entities, as orchestrators use them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::FusedFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::sagahost::saga::types;
use crate::call::{Lazy, Prepared, lazy_future};
use crate::executor::{Outcome, Tasks};
use crate::{Failure, Task, Timestamp, host, json};

/// Which entity: the function of which it is one, and its key.
///
/// ```
/// use sagahost::EntityId;
///
/// assert_eq!(EntityId::new("Stock", "book").to_string(), "@Stock@book");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId {
    /// The function of kind `entity`.
    pub name: String,
    /// Which one: 1 to 200 characters, without `/`, `\`, `#`, `?` and control
    /// characters.
    pub key: String,
}

impl EntityId {
    /// The entity of this name and key. It is there once it has a state.
    pub fn new(name: impl Into<String>, key: impl Into<String>) -> Self {
        Self { name: name.into(), key: key.into() }
    }

    fn to_host(&self) -> types::EntityId {
        types::EntityId { name: self.name.clone(), key: self.key.clone() }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}@{}", self.name, self.key)
    }
}

impl From<&EntityId> for EntityId {
    fn from(id: &EntityId) -> Self {
        id.clone()
    }
}

/// An entity, from
/// [`OrchestratorContext::entity`](crate::OrchestratorContext::entity). Cheap
/// to clone.
///
/// ```
/// # use sagahost::{Failure, OrchestratorContext};
/// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
/// let counter = ctx.entity("Counter", "visits");
/// counter.signal("add", &1);
/// let visits: u64 = counter.call("get", &()).await?;
/// # Ok(())
/// # }
/// ```
///
/// A call and a signal are no steps of the saga: nothing undoes them. What an
/// operation did is taken back by another operation, called by the
/// orchestrator.
#[derive(Clone)]
pub struct EntityHandle {
    tasks: Rc<Tasks>,
    id: EntityId,
}

impl EntityHandle {
    pub(crate) fn new(tasks: &Rc<Tasks>, id: EntityId) -> Self {
        Self { tasks: Rc::clone(tasks), id }
    }

    /// Which entity it is.
    #[must_use]
    pub fn id(&self) -> &EntityId {
        &self.id
    }

    /// Calls an operation; its result is that of the call. It is scheduled
    /// when it is first awaited, or by [`EntityCall::start`]. The operations of
    /// an entity run one at a time, in the order in which they arrive.
    pub fn call<T: DeserializeOwned>(
        &self,
        operation: &str,
        input: &(impl Serialize + ?Sized),
    ) -> EntityCall<T> {
        EntityCall {
            call: Lazy::new(Operation {
                tasks: Rc::clone(&self.tasks),
                entity: self.id.to_host(),
                operation: operation.to_owned(),
                input: json::encode(input, "bad-input", "the input of the operation"),
            }),
        }
    }

    /// Lets the entity run an operation, and does not wait for it.
    ///
    /// # Panics
    ///
    /// If the input cannot be written as JSON.
    pub fn signal(&self, operation: &str, input: &(impl Serialize + ?Sized)) {
        self.send(operation, input, None);
    }

    /// Lets the entity run an operation at this time, or at once if it is past.
    ///
    /// # Panics
    ///
    /// If the input cannot be written as JSON.
    pub fn signal_at(&self, operation: &str, input: &(impl Serialize + ?Sized), time: Timestamp) {
        self.send(operation, input, Some(time.as_millis()));
    }

    fn send(&self, operation: &str, input: &(impl Serialize + ?Sized), at_ms: Option<u64>) {
        match json::encode(input, "bad-input", "the input of the signal") {
            Ok(input) => host::signal_entity(&self.id.to_host(), operation, &input, at_ms),
            Err(failure) => panic!("{}", failure.message),
        }
    }
}

impl fmt::Debug for EntityHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EntityHandle").field(&self.id.to_string()).finish()
    }
}

impl From<EntityHandle> for EntityId {
    fn from(handle: EntityHandle) -> Self {
        handle.id
    }
}

impl From<&EntityHandle> for EntityId {
    fn from(handle: &EntityHandle) -> Self {
        handle.id.clone()
    }
}

/// A call of an entity's operation, from [`EntityHandle::call`].
#[must_use = "a call does nothing until it is awaited or started"]
pub struct EntityCall<T> {
    call: Lazy<Operation, T>,
}

impl<T> EntityCall<T> {
    /// Schedules the operation now: it runs whether the task is awaited or
    /// dropped.
    pub fn start(self) -> Task<T> {
        self.call.start()
    }
}

lazy_future! {
    EntityCall<T> => T;
}

struct Operation {
    tasks: Rc<Tasks>,
    entity: types::EntityId,
    operation: String,
    input: Outcome,
}

impl Prepared for Operation {
    fn start<T>(self) -> Task<T> {
        match &self.input {
            Err(failure) => Task::failed(failure.clone()),
            Ok(input) => {
                let id = host::call_entity(&self.entity, &self.operation, input);
                Task::scheduled(self.tasks, id)
            }
        }
    }

    fn name(&self) -> &str {
        &self.operation
    }
}

/// A request for the locks of entities, from
/// [`OrchestratorContext::lock`](crate::OrchestratorContext::lock): made when
/// it is first awaited, and complete once this orchestration has all of them.
#[must_use = "nothing is locked until this is awaited"]
pub struct Lock {
    call: Lazy<Locking, ()>,
}

impl Lock {
    pub(crate) fn new(tasks: &Rc<Tasks>, entities: impl Iterator<Item = EntityId>) -> Self {
        let entities = entities.map(|entity| entity.to_host()).collect();
        Self { call: Lazy::new(Locking { tasks: Rc::clone(tasks), entities }) }
    }
}

impl Future for Lock {
    type Output = Result<LockGuard, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.poll(cx).map(|locked| locked.map(|()| LockGuard { _private: () }))
    }
}

impl FusedFuture for Lock {
    fn is_terminated(&self) -> bool {
        self.call.is_terminated()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.debug("Lock", f)
    }
}

struct Locking {
    tasks: Rc<Tasks>,
    entities: Vec<types::EntityId>,
}

impl Prepared for Locking {
    fn start<T>(self) -> Task<T> {
        let id = host::lock_entities(&self.entities);
        Task::scheduled(self.tasks, id)
    }

    fn name(&self) -> &str {
        "not asked for"
    }
}

/// Locks that this orchestration has, from
/// [`OrchestratorContext::lock`](crate::OrchestratorContext::lock).
///
/// They are held until [`unlock`](Self::unlock), or until the orchestration has
/// ended with all of its undo. **To drop the guard does not unlock**: a `?`
/// that leaves the orchestrator drops it too, and what is undone then must
/// still be alone with the entities.
#[derive(Debug)]
pub struct LockGuard {
    _private: (),
}

impl LockGuard {
    /// Lets go of all locks.
    pub fn unlock(self) {
        host::unlock_entities();
    }
}
