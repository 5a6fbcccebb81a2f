//! Those who wait for an instance's end.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::api::Ended;

type ById = HashMap<Arc<str>, Vec<oneshot::Sender<Ended>>>;

#[derive(Default)]
pub(crate) struct Waiters(Mutex<ById>);

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, ById> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits from now on for the end of this instance.
    pub(crate) fn wait(&self, id: &str) -> Waiter<'_> {
        let (sender, ended) = oneshot::channel();
        let id: Arc<str> = id.into();
        self.lock().entry(id.clone()).or_default().push(sender);
        Waiter { waiters: self, id, ended }
    }

    /// Tells all who wait for it.
    pub(crate) fn ended(&self, id: &str, ended: &Ended) {
        let waiting = self.lock().remove(id);
        for sender in waiting.into_iter().flatten() {
            // Whoever waited may have gone away.
            let _ = sender.send(ended.clone());
        }
    }
}

/// Somebody who waits. Forgotten when it is dropped, so that waiting for what
/// never ends leaves nothing behind.
pub(crate) struct Waiter<'a> {
    waiters: &'a Waiters,
    id: Arc<str>,
    ended: oneshot::Receiver<Ended>,
}

impl Future for Waiter<'_> {
    type Output = Result<Ended, oneshot::error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.ended).poll(cx)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.ended.close();
        let mut waiters = self.waiters.lock();
        if let Some(waiting) = waiters.get_mut(&self.id) {
            waiting.retain(|sender| !sender.is_closed());
            if waiting.is_empty() {
                waiters.remove(&self.id);
            }
        }
    }
}
