//! Telling what became durable to whoever watches all instances at once.

use std::sync::{Arc, PoisonError, RwLockReadGuard};

use sagahost_core::{Millis, Record, RuntimeStatus, SagaState};

use sagahost_store::{Gone, Write};

use crate::api::Engine;
use crate::error::CommandError;
use crate::lifecycle::Inner;

/// An instance after a turn that has just become durable.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The instance. Entities are not told of.
    pub id: &'a str,
    /// Its orchestrator.
    pub name: &'a str,
    /// Its runtime status from now on.
    pub status: RuntimeStatus,
    /// How far its saga has come.
    pub saga: SagaState,
    /// When it was accepted, where it begins with this turn.
    pub created: Option<Millis>,
    /// When it changed.
    pub updated: Millis,
    /// What happened to it.
    pub records: &'a [Record],
    /// Whether it ended.
    pub ended: bool,
}

/// Watches every instance. It is called in the middle of the work: it must be
/// quick, and never wait.
pub trait Observer: Send + Sync {
    /// Whether it wants to be told now. Where nobody does, nothing is put
    /// together.
    fn wants(&self) -> bool;

    /// A turn has become durable. Those of one instance come in their order.
    fn changed(&self, change: Change<'_>);

    /// Instances that had ended were purged at this time. They are not told of
    /// in one order with the changes of others that take their ids.
    fn purged(&self, _gone: &[Gone], _at: Millis) {}

    /// Whether it wants the journals of executions that end because their
    /// instance continues as new. They are read for it.
    fn wants_rounds(&self) -> bool {
        false
    }

    /// An execution ended because its instance continues as new. Nothing else
    /// has its journal any more.
    fn round_ended(&self, _id: &str, _journal: &[Record]) {}
}

impl Engine {
    /// A text that the host keeps for itself under this name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn note(&self, name: &str) -> Result<Option<String>, CommandError> {
        let name = name.to_owned();
        self.read(move |store| store.note(&name)).await
    }

    /// Keeps a text under this name, in the place of the one there is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn set_note(&self, name: &str, text: String) -> Result<(), CommandError> {
        let write = Write::SetNote { name: name.to_owned(), value: Some(text) };
        let written = self.inner.writer.write(write).await;
        written.map(drop).map_err(|error| CommandError::Store(error.to_string()))
    }

    /// Tells this one of all that becomes durable from now on, as long as the
    /// engine lives.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        let observers = self.inner.observers.write();
        observers.unwrap_or_else(PoisonError::into_inner).push(observer);
    }
}

impl Inner {
    fn observers(&self) -> RwLockReadGuard<'_, Vec<Arc<dyn Observer>>> {
        self.observers.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wants_rounds(&self) -> bool {
        let observers = self.observers();
        observers.iter().any(|observer| observer.wants_rounds())
    }

    pub(crate) fn tell_round(&self, id: &str, journal: &[Record]) {
        let observers = self.observers();
        for observer in observers.iter().filter(|observer| observer.wants_rounds()) {
            observer.round_ended(id, journal);
        }
    }

    /// Tells that these instances are gone.
    pub(crate) fn tell_purged(&self, gone: &[Gone]) {
        let observers = self.observers();
        for observer in observers.iter().filter(|observer| observer.wants()) {
            observer.purged(gone, self.clock().now());
        }
    }

    /// Tells who wants to know. What is told is only put together for them.
    pub(crate) fn tell<'a>(&self, change: impl FnOnce() -> Change<'a>) {
        let observers = self.observers();
        let mut wanting = observers.iter().filter(|observer| observer.wants()).peekable();
        if wanting.peek().is_none() {
            return;
        }
        let change = change();
        for observer in wanting {
            observer.changed(change);
        }
    }
}
