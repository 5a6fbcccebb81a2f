//! Wakes instances when their next timer fires or retry begins.
//!
//! One task and one heap for all of them. An entry is never removed: one that
//! has become pointless wakes its instance for nothing, which is harmless.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};

use sagahost_core::Millis;
use tokio::sync::Notify;

use crate::clock::Clock;

/// The earliest first.
type Heap = BinaryHeap<Reverse<(Millis, Arc<str>)>>;

#[derive(Default)]
pub(crate) struct Timers {
    heap: Mutex<Heap>,
    earlier: Notify,
}

impl Timers {
    /// Wakes instance `id` at this time.
    pub(crate) fn set(&self, at: Millis, id: Arc<str>) {
        let mut heap = self.heap.lock().unwrap_or_else(PoisonError::into_inner);
        let first = heap.peek().is_none_or(|Reverse((first, _))| at < *first);
        heap.push(Reverse((at, id)));
        drop(heap);
        if first {
            self.earlier.notify_one();
        }
    }

    /// The first whose time has come, or when that of the next one is.
    fn due(&self, now: Millis) -> Result<Arc<str>, Option<Millis>> {
        let mut heap = self.heap.lock().unwrap_or_else(PoisonError::into_inner);
        match heap.peek() {
            Some(Reverse((at, _))) if *at <= now => {
                heap.pop().map(|Reverse((_, id))| id).ok_or(None)
            }
            next => Err(next.map(|Reverse((at, _))| *at)),
        }
    }

    /// Waits until the next instance is due.
    pub(crate) async fn next(&self, clock: &Clock) -> Arc<str> {
        loop {
            let next = match self.due(clock.now()) {
                Ok(id) => return id,
                Err(next) => next,
            };
            let reached = async {
                match next {
                    Some(at) => clock.reached(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = reached => {}
                () = self.earlier.notified() => {}
            }
        }
    }
}
