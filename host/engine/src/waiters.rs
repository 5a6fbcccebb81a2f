//! Those who wait for an instance's end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::api::Ended;

#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<Arc<str>, Vec<oneshot::Sender<Ended>>>>);

impl Waiters {
    pub(crate) fn wait(&self, id: &str) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_id = waiters.entry(id.into()).or_default();
        of_id.retain(|sender| !sender.is_closed());
        of_id.push(sender);
        receiver
    }

    /// Forgets those who have gone away.
    pub(crate) fn forget(&self, id: &str) {
        let mut waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_id) = waiters.get_mut(id) {
            of_id.retain(|sender| !sender.is_closed());
            if of_id.is_empty() {
                waiters.remove(id);
            }
        }
    }

    pub(crate) fn ended(&self, id: &str, ended: &Ended) {
        let waiting = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        for sender in waiting.into_iter().flatten() {
            // Whoever waited may have gone away.
            let _ = sender.send(ended.clone());
        }
    }
}

