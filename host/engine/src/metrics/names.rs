//! Metrics by name. A name is one of a function that is, or was, deployed in
//! this process; whatever else is asked for is one, `other`. So nobody makes
//! series by making up names.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What stands for all names that have no metrics of their own.
pub(crate) const OTHER: &str = "other";

/// How many names have metrics of their own.
pub(crate) const MOST: usize = 500;

#[derive(Debug, Default)]
pub(crate) struct Names<T> {
    known: RwLock<HashMap<Arc<str>, Arc<T>>>,
    other: Arc<T>,
}

impl<T: Default> Names<T> {
    /// The metrics of this name. `is_function` is asked where it has none yet.
    pub(crate) fn of(&self, name: &str, is_function: impl FnOnce() -> bool) -> Arc<T> {
        if let Some(found) = self.get(name) {
            return found;
        }
        // A function may be called `other`, too.
        if name == OTHER || !is_function() {
            return self.other.clone();
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(name) {
            return self.other.clone();
        }
        known.entry(name.into()).or_default().clone()
    }

    /// The metrics of this name, where it has some of its own.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<T>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All of them, by name; `other` at the end.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<T>)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.iter().map(|(name, it)| (name.clone(), it.clone())).collect();
        drop(known);
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.push((OTHER.into(), self.other.clone()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counter;

    #[test]
    fn what_is_no_function_is_other_and_there_are_so_many_names_and_no_more() {
        let names = Names::<Counter>::default();
        for n in 0..2 * MOST {
            names.of(&format!("odd-{n}"), || false).add(1);
        }
        assert_eq!(names.all().len(), 1);
        for n in 0..2 * MOST {
            names.of(&format!("f-{n}"), || true).add(1);
        }
        let all = names.all();
        assert_eq!(all.len(), MOST + 1);
        assert_eq!(all.iter().map(|(_, counter)| counter.get()).sum::<u64>(), 4 * MOST as u64);
        let (last, other) = &all[MOST];
        assert_eq!((&**last, other.get()), (OTHER, 3 * MOST as u64));
        assert_eq!(names.get("f-0").map(|counter| counter.get()), Some(1));
        assert!(names.get("odd-0").is_none());
    }
}
