//! Runs an orchestrator: polls its future, and while that is pending asks the
//! host for the next completion and hands it to the task that waits for it.
//!
//! Nothing here grows with the number of tasks: a completion is one call to
//! the host, one slot, one wake-up. How much is polled then is up to the
//! future, and `FuturesUnordered` polls one.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::{Failure, host};

/// How a task ended: JSON, or a failure.
pub(crate) type Outcome = Result<String, Failure>;

/// The tasks of one orchestration, by their ids, which count up from 0.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: RefCell<Vec<Slot>>,
    /// How many slots hold a waker.
    waiting: Cell<usize>,
    /// Whether the orchestrator is to begin anew when it returns.
    pub(crate) continued: Cell<bool>,
}

#[derive(Default)]
enum Slot {
    /// Scheduled; nobody has waited for it yet.
    #[default]
    Open,
    /// Scheduled, and somebody waits.
    Waiting(Waker),
    /// Complete, and not yet taken.
    Complete(Outcome),
    /// Taken, or nobody will.
    Gone,
}

impl Tasks {
    /// The outcome of a task, once; until it is there, the waker is kept.
    pub(crate) fn poll(&self, id: u32, cx: &Context<'_>) -> Poll<Outcome> {
        let mut slots = self.slots.borrow_mut();
        let slot = slot(&mut slots, id);
        match slot {
            Slot::Complete(_) => match std::mem::replace(slot, Slot::Gone) {
                Slot::Complete(outcome) => Poll::Ready(outcome),
                _ => Poll::Pending,
            },
            Slot::Waiting(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            Slot::Open | Slot::Gone => {
                *slot = Slot::Waiting(cx.waker().clone());
                self.waiting.set(self.waiting.get() + 1);
                Poll::Pending
            }
        }
    }

    /// Nobody waits for this task any more. Says whether it was incomplete.
    pub(crate) fn forget(&self, id: u32) -> bool {
        let old = self.replace(id, Slot::Gone);
        matches!(old, Slot::Open | Slot::Waiting(_))
    }

    fn complete(&self, id: u32, outcome: Outcome) {
        let mut slots = self.slots.borrow_mut();
        let slot = slot(&mut slots, id);
        match slot {
            Slot::Open => *slot = Slot::Complete(outcome),
            Slot::Waiting(_) => {
                let old = std::mem::replace(slot, Slot::Complete(outcome));
                self.waiting.set(self.waiting.get() - 1);
                drop(slots);
                if let Slot::Waiting(waker) = old {
                    waker.wake();
                }
            }
            // Cancelled, or an activity nobody waits for.
            Slot::Complete(_) | Slot::Gone => {}
        }
    }

    fn replace(&self, id: u32, new: Slot) -> Slot {
        let mut slots = self.slots.borrow_mut();
        let old = std::mem::replace(slot(&mut slots, id), new);
        if matches!(old, Slot::Waiting(_)) {
            self.waiting.set(self.waiting.get() - 1);
        }
        old
    }
}

fn slot(slots: &mut Vec<Slot>, id: u32) -> &mut Slot {
    let index = id as usize;
    if index >= slots.len() {
        slots.resize_with(index + 1, Slot::default);
    }
    &mut slots[index]
}

/// Runs a future to its end; the host is asked for completions while it is
/// pending.
pub(crate) fn run<F: Future>(tasks: &Tasks, future: F) -> F::Output {
    let mut future = pin!(future);
    let (woken, waker) = flag_waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !woken.take() {
            assert!(
                tasks.waiting.get() > 0,
                "the orchestrator waits for something that is not a Sagahost task (and for nothing else), so it \
                 would wait for ever: an orchestrator can await activities, timers and events of its context, and \
                 futures made of these; anything else (I/O, other threads, std or async-runtime timers) belongs \
                 in an activity"
            );
            let (id, outcome) = host::await_any();
            tasks.complete(id, outcome);
        }
    }
}

/// A waker that sets a flag.
pub(crate) fn flag_waker() -> (Arc<Flag>, Waker) {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    (flag, waker)
}

/// Whether its waker was woken.
pub(crate) struct Flag(AtomicBool);

impl Flag {
    /// Whether the waker was woken since the last time.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
