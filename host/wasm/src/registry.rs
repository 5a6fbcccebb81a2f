//! Which components are deployed, and which function is in which.
//!
//! Readers get the table as it is at one moment and keep it as long as they
//! like; a change makes a new table and puts it in the place of the old one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use crate::capture::lock;
use crate::error::Refusal;
use crate::function::Function;
use crate::load::Loaded;

/// A component that was checked and could take effect.
#[derive(Clone)]
pub struct Candidate {
    pub(crate) deployment: Deployment,
    pub(crate) loaded: Arc<Loaded>,
}

impl Candidate {
    /// What would be deployed.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Candidate").field(&self.deployment).finish()
    }
}

/// A component that is deployed.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Its name.
    pub component: String,
    /// The SHA-256 of its file, in hex.
    pub digest: String,
    /// Its functions, in the order in which it describes them.
    pub functions: Vec<Arc<Function>>,
    /// What it imports.
    pub imports: Vec<String>,
}

/// A function, and the component it runs in.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) function: Arc<Function>,
    pub(crate) loaded: Arc<Loaded>,
}

/// How many components that are not deployed stay in memory for the undos
/// which run on them: a saga undoes one step after the other, and each would
/// load its component anew.
const RECENT: usize = 8;

#[derive(Default)]
pub(crate) struct Table {
    pub(crate) components: BTreeMap<String, Candidate>,
    pub(crate) functions: HashMap<String, Entry>,
}

#[derive(Default)]
pub(crate) struct Registry {
    table: RwLock<Arc<Table>>,
    /// One change at a time: each begins with the table the last one made.
    changing: Mutex<()>,
    /// Everything in memory by digest, deployed or only pinned.
    loaded: Mutex<HashMap<String, Weak<Loaded>>>,
    /// Kept in memory for a while, the last one used first.
    recent: Mutex<VecDeque<Arc<Loaded>>>,
}

impl Registry {
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, components: BTreeMap<String, Candidate>) {
        let functions = components
            .values()
            .flat_map(|candidate| {
                let functions = candidate.deployment.functions.iter();
                functions.map(|function| {
                    let entry =
                        Entry { function: function.clone(), loaded: candidate.loaded.clone() };
                    (function.name.clone(), entry)
                })
            })
            .collect();
        let table = Arc::new(Table { components, functions });
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// Whether another component has one of these functions.
    pub(crate) fn check_clash(&self, deployment: &Deployment) -> Result<(), Refusal> {
        let table = self.table();
        for function in &deployment.functions {
            if let Some(entry) = table.functions.get(&function.name)
                && entry.function.component != deployment.component
            {
                return Err(Refusal::Clash {
                    function: function.name.clone(),
                    other: entry.function.component.clone(),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn activate(&self, candidate: Candidate) -> Result<Deployment, Refusal> {
        let _changing = lock(&self.changing);
        self.check_clash(&candidate.deployment)?;
        let deployment = candidate.deployment.clone();
        let mut components = self.table().components.clone();
        components.insert(deployment.component.clone(), candidate);
        self.replace(components);
        Ok(deployment)
    }

    pub(crate) fn remove(&self, component: &str) -> bool {
        let _changing = lock(&self.changing);
        let mut components = self.table().components.clone();
        let removed = components.remove(component).is_some();
        if removed {
            self.replace(components);
        }
        removed
    }

    /// Keeps a component in memory until [`RECENT`] others were used.
    pub(crate) fn used(&self, loaded: &Arc<Loaded>) {
        let mut recent = lock(&self.recent);
        recent.retain(|other| !Arc::ptr_eq(other, loaded));
        recent.push_front(loaded.clone());
        recent.truncate(RECENT);
    }

    /// The component in memory, if it is.
    pub(crate) fn in_memory(&self, digest: &str) -> Option<Arc<Loaded>> {
        lock(&self.loaded).get(digest).and_then(Weak::upgrade)
    }

    /// The component in memory, or a place for it.
    pub(crate) fn place(&self, digest: &str) -> Arc<Loaded> {
        let mut loaded = lock(&self.loaded);
        if let Some(found) = loaded.get(digest).and_then(Weak::upgrade) {
            return found;
        }
        loaded.retain(|_, weak| weak.strong_count() > 0);
        let place = Arc::new(Loaded::new(digest));
        loaded.insert(digest.to_owned(), Arc::downgrade(&place));
        place
    }
}
