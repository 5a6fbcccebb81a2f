//! Which open instances have something under way, so that it is known how many
//! wait.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sagahost_core::{Instance, SagaState};
use sagahost_store::InstanceRef;

/// The open instances that do not wait: steps, children or undos of theirs run
/// or are to be attempted again, or letters are on their way. And those that
/// need a person, which are counted as such.
#[derive(Debug, Default)]
pub(crate) struct Going(Mutex<State>);

#[derive(Debug)]
struct State {
    going: HashSet<Box<str>>,
    /// Those that have changed since the start, as long as it is not known how
    /// all others stand.
    changed: Option<HashSet<Box<str>>>,
}

impl Default for State {
    fn default() -> Self {
        State { going: HashSet::new(), changed: Some(HashSet::new()) }
    }
}

impl Going {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance has changed.
    pub(crate) fn note(&self, id: &str, instance: &Instance) {
        let open = instance.end().is_none();
        let going = open && (instance.is_busy() || instance.saga_state() == SagaState::Stuck);
        let mut state = self.lock();
        if let Some(changed) = &mut state.changed {
            changed.insert(id.into());
        }
        match going {
            false => drop(state.going.remove(id)),
            true if state.going.contains(id) => {}
            true => drop(state.going.insert(id.into())),
        }
    }

    /// The store says that this one does not wait. What has changed since may
    /// stand otherwise by now, and is known.
    pub(crate) fn found(&self, id: &str) {
        let mut state = self.lock();
        if state.changed.as_ref().is_some_and(|changed| !changed.contains(id)) {
            state.going.insert(id.into());
        }
    }

    /// The store says that these are busy.
    pub(crate) fn busy(&self, page: &[InstanceRef]) {
        page.iter().filter(|instance| instance.open).for_each(|instance| self.found(&instance.id));
    }

    /// All that were open when the host started have been looked at.
    pub(crate) fn complete(&self) {
        self.lock().changed = None;
    }

    /// How many there are; nothing as long as that is not known.
    pub(crate) fn count(&self) -> Option<u64> {
        let state = self.lock();
        state.changed.is_none().then_some(state.going.len() as u64)
    }
}
