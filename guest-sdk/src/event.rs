//! Waiting for events.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::FusedFuture;
use serde::de::DeserializeOwned;

use crate::executor::Tasks;
use crate::{Failure, Task, Timer, Timestamp, host};

/// A wait for an event, from
/// [`OrchestratorContext::event`](crate::OrchestratorContext::event).
///
/// Awaited, it gives what was raised. If it is dropped before the event came
/// it is cancelled, and the event goes to the next who waits.
#[must_use = "a wait for an event that is dropped is cancelled"]
pub struct EventTask<T> {
    tasks: Rc<Tasks>,
    name: String,
    task: Task<T>,
}

impl<T> EventTask<T> {
    pub(crate) fn new(tasks: &Rc<Tasks>, name: &str) -> Self {
        Self { tasks: Rc::clone(tasks), name: name.to_owned(), task: Task::event(tasks, name) }
    }

    /// Waits no longer than this, from now on: then it fails with the code
    /// `timeout`, and the wait is cancelled.
    ///
    /// ```
    /// # use sagahost::{Failure, OrchestratorContext};
    /// # use std::time::Duration;
    /// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
    /// match ctx.event::<bool>("Approved").timeout(Duration::from_secs(3600)).await {
    ///     Err(failure) if failure.is("timeout") => ctx.activity::<()>("Escalate", &()).await?,
    ///     approved => ctx.set_custom_status(&approved?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(self, wait: Duration) -> EventTimeout<T> {
        self.limited(wait, None)
    }

    /// Waits no longer than this, from now on: then it gives this value, and
    /// the wait is cancelled.
    pub fn timeout_or(self, wait: Duration, default: T) -> EventTimeout<T> {
        self.limited(wait, Some(default))
    }

    fn limited(self, wait: Duration, default: Option<T>) -> EventTimeout<T> {
        let until = Timestamp::from_millis(host::now_ms()) + wait;
        let timer = Timer::new(&self.tasks, until.as_millis());
        EventTimeout { running: Some((self, timer)), default }
    }
}

impl<T: DeserializeOwned> Future for EventTask<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx)
    }
}

impl<T: DeserializeOwned> FusedFuture for EventTask<T> {
    fn is_terminated(&self) -> bool {
        self.task.is_done()
    }
}

impl<T> Unpin for EventTask<T> {}

impl<T> fmt::Debug for EventTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventTask").field(&self.name).field(&self.task).finish()
    }
}

/// A wait for an event that does not last for ever, from
/// [`EventTask::timeout`] and [`EventTask::timeout_or`]. Whichever comes first,
/// the other is cancelled; both are if this is dropped.
#[must_use = "a wait for an event that is dropped is cancelled"]
pub struct EventTimeout<T> {
    /// Dropped together, which cancels what did not come.
    running: Option<(EventTask<T>, Timer)>,
    default: Option<T>,
}

impl<T: DeserializeOwned> Future for EventTimeout<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some((event, timer)) = &mut this.running else {
            panic!("a wait for an event was polled after it gave its result");
        };
        let result = match Pin::new(&mut *event).poll(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => match (Pin::new(timer).poll(cx), this.default.take()) {
                (Poll::Pending, default) => {
                    this.default = default;
                    return Poll::Pending;
                }
                (Poll::Ready(()), Some(default)) => Ok(default),
                (Poll::Ready(()), None) => {
                    let message = format!("the event {:?} did not come in time", event.name);
                    Err(Failure::permanent("timeout", message))
                }
            },
        };
        this.running = None;
        Poll::Ready(result)
    }
}

impl<T: DeserializeOwned> FusedFuture for EventTimeout<T> {
    fn is_terminated(&self) -> bool {
        self.running.is_none()
    }
}

impl<T> Unpin for EventTimeout<T> {}

impl<T> fmt::Debug for EventTimeout<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventTimeout").field(&self.running).finish()
    }
}
