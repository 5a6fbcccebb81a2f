//! A running orchestrator, which can be left and gone on with.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use sagahost_core::{Failure, FailureKind, Json};
use tokio::sync::OwnedSemaphorePermit;

use crate::capture::{LogBudget, lock};
use crate::meter::{Meter, Metered};

/// How a turn of an orchestrator ended.
#[derive(Clone, Debug, PartialEq)]
pub enum FiberEnd {
    /// It waits for a task that is not complete. It goes on with the next
    /// [`Fiber::resume`].
    Parked,
    /// It returned.
    Returned(Result<Json, Failure>),
    /// It died of itself: a trap, a limit, an output that is not JSON.
    Trapped(Failure),
    /// The [`OrchestrationHost`](crate::OrchestrationHost) ended it.
    Stopped(String),
}

/// What the guest's side and the host's side of a fiber share.
pub(crate) struct Waiting {
    /// Set by `await-any` when it found nothing.
    parked: AtomicBool,
    pub(crate) meter: Arc<Meter>,
    pub(crate) logs: Arc<Mutex<LogBudget>>,
    /// How long the guest has slept on WASI's clock, in nanoseconds.
    pub(crate) slept: AtomicU64,
}

impl Waiting {
    pub(crate) fn new(turn_cpu: Duration) -> Self {
        Waiting {
            parked: AtomicBool::new(false),
            meter: Arc::new(Meter::new(turn_cpu)),
            logs: Arc::new(Mutex::new(LogBudget::new())),
            slept: AtomicU64::new(0),
        }
    }

    pub(crate) fn turn_over(&self) {
        self.meter.reset();
        lock(&self.logs).refill();
    }

    /// Leaves the guest. There is no waker to keep: who resumes the fiber
    /// knows why.
    pub(crate) async fn park(&self) {
        self.parked.store(true, Ordering::Relaxed);
        poll_fn(|_| match self.parked.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }
}

/// An orchestrator in memory: a store, an instance and a stack, suspended in
/// `await-any`. Dropping it frees all of them, wherever it is.
pub struct Fiber {
    // The guest goes before its permit: the slot has to be free when somebody
    // else is told that it is.
    guest: Option<Pin<Box<dyn Future<Output = FiberEnd> + Send>>>,
    permit: Option<OwnedSemaphorePermit>,
    waiting: Arc<Waiting>,
    longest_wait: Duration,
}

impl Fiber {
    pub(crate) fn new(
        guest: Pin<Box<dyn Future<Output = FiberEnd> + Send>>,
        permit: OwnedSemaphorePermit,
        waiting: Arc<Waiting>,
        longest_wait: Duration,
    ) -> Self {
        Fiber { guest: Some(guest), permit: Some(permit), waiting, longest_wait }
    }

    /// Runs the orchestrator until it waits for something that is not there,
    /// or ends. Other tasks of the same thread go on every few milliseconds
    /// meanwhile.
    ///
    /// A call that is dropped half-way does no harm: the next one goes on
    /// from there. After the end it answers [`FiberEnd::Stopped`].
    pub async fn resume(&mut self) -> FiberEnd {
        let Some(guest) = self.guest.as_mut() else {
            return FiberEnd::Stopped("the orchestrator has ended already".to_owned());
        };
        let waiting = self.waiting.clone();
        waiting.parked.store(false, Ordering::Relaxed);
        let mut metered = Metered { meter: &waiting.meter, inner: guest };
        // What keeps a guest waiting outside `await-any`: WASI, of which
        // nothing an orchestrator has ever waits. Should something do so all
        // the same, it is not for ever.
        let mut stuck = None;
        let longest_wait = self.longest_wait;
        let end = poll_fn(|cx| {
            if let Poll::Ready(end) = Pin::new(&mut metered).poll(cx) {
                return Poll::Ready(end);
            }
            if waiting.parked.load(Ordering::Relaxed) {
                return Poll::Ready(FiberEnd::Parked);
            }
            if waiting.meter.yielded() {
                stuck = None;
                return Poll::Pending;
            }
            let sleep = stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest_wait)));
            sleep.as_mut().poll(cx).map(|()| {
                FiberEnd::Trapped(Failure::host(
                    FailureKind::Timeout,
                    format!(
                        "it waited for more than {longest_wait:?} outside `await-any`: \
                         an orchestrator waits for tasks, and for nothing else"
                    ),
                ))
            })
        })
        .await;
        if end != FiberEnd::Parked {
            self.guest = None;
            self.permit = None;
        }
        end
    }

    /// Whether it has ended, so that there is nothing to resume.
    pub fn has_ended(&self) -> bool {
        self.guest.is_none()
    }

    /// How long it has computed since it last waited.
    pub fn turn_cpu(&self) -> Duration {
        self.waiting.meter.spent()
    }
}

impl std::fmt::Debug for Fiber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fiber").field("ended", &self.has_ended()).finish_non_exhaustive()
    }
}
