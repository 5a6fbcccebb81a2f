//! Telling what became durable to whoever watches all instances at once.

use sagahost_core::{Millis, Record, RuntimeStatus, SagaState};

use crate::api::Engine;
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
}

impl Engine {
    /// Tells this one of all that becomes durable from now on, as long as the
    /// engine lives.
    pub fn observe(&self, observer: std::sync::Arc<dyn Observer>) {
        let observers = self.inner.observers.write();
        observers.unwrap_or_else(std::sync::PoisonError::into_inner).push(observer);
    }
}

impl Inner {
    /// Tells who wants to know. What is told is only put together for them.
    pub(crate) fn tell<'a>(&self, change: impl FnOnce() -> Change<'a>) {
        let observers = self.observers.read();
        let observers = observers.unwrap_or_else(std::sync::PoisonError::into_inner);
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
