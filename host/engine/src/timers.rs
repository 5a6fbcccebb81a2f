//! Wakes instances when their next timer fires or retry begins.
//!
//! One task and one heap for all of them. An entry is never removed: one that
//! has become pointless wakes its instance for nothing, which is harmless.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sagahost_core::Millis;
use tokio::sync::Notify;

/// Sleep no longer than this, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

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

    fn due(&self, now: Millis) -> Result<Arc<str>, Duration> {
        let mut heap = self.heap.lock().unwrap_or_else(PoisonError::into_inner);
        match heap.peek() {
            Some(Reverse((at, _))) if *at <= now => {
                heap.pop().map(|Reverse((_, id))| id).ok_or(LONGEST_SLEEP)
            }
            Some(Reverse((at, _))) => Err(Duration::from_millis(at - now).min(LONGEST_SLEEP)),
            None => Err(LONGEST_SLEEP),
        }
    }

    /// Calls `wake` for each instance when it is due, for ever.
    pub(crate) async fn run(&self, wake: impl Fn(Arc<str>)) {
        loop {
            match self.due(crate::now()) {
                Ok(id) => wake(id),
                Err(sleep) => {
                    tokio::select! {
                        () = tokio::time::sleep(sleep) => {}
                        () = self.earlier.notified() => {}
                    }
                }
            }
        }
    }
}
