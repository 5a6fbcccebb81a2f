//! The futures an orchestrator waits for, once they are scheduled.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::FusedFuture;
use serde::de::DeserializeOwned;

use crate::executor::{Outcome, Tasks};
use crate::{Failure, host, json};

/// What was [started](crate::ActivityCall::start) and runs: an activity, a
/// child orchestration, an HTTP request, an operation of an entity.
///
/// Awaited, it gives the value or the [`Failure`]. If it is dropped, what it
/// stands for runs on.
pub struct Task<T> {
    inner: Inner,
    output: PhantomData<fn() -> T>,
}

impl<T> Task<T> {
    pub(crate) fn event(tasks: &Rc<Tasks>, name: &str) -> Self {
        let id = host::wait_event(name);
        let inner = Inner::Scheduled { tasks: Rc::clone(tasks), id, cancel: true };
        Self { inner, output: PhantomData }
    }

    /// A task that was scheduled, and is not cancelled when it is dropped.
    pub(crate) fn scheduled(tasks: Rc<Tasks>, id: u32) -> Self {
        Self { inner: Inner::Scheduled { tasks, id, cancel: false }, output: PhantomData }
    }

    /// One that was not scheduled, and fails.
    pub(crate) fn failed(failure: Failure) -> Self {
        Self { inner: Inner::Failed(failure), output: PhantomData }
    }

    /// One that there is nothing left of.
    pub(crate) fn gone() -> Self {
        Self { inner: Inner::Done, output: PhantomData }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.inner.is_done()
    }
}

impl<T: DeserializeOwned> Future for Task<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.poll(cx).map(|outcome| {
            let text = outcome?;
            json::decode(&text).map_err(|error| {
                let wanted = std::any::type_name::<T>();
                Failure::permanent(
                    "bad-output",
                    format!("what came back is not a {wanted}: {error}"),
                )
            })
        })
    }
}

impl<T: DeserializeOwned> FusedFuture for Task<T> {
    fn is_terminated(&self) -> bool {
        self.inner.is_done()
    }
}

impl<T> Unpin for Task<T> {}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.debug("Task", f)
    }
}

/// A durable timer, from [`OrchestratorContext::timer`] and
/// [`OrchestratorContext::timer_until`]. It runs from the moment it is made,
/// and is cancelled if it is dropped before it fires.
///
/// [`OrchestratorContext::timer`]: crate::OrchestratorContext::timer
/// [`OrchestratorContext::timer_until`]: crate::OrchestratorContext::timer_until
#[must_use = "a timer that is dropped is cancelled"]
pub struct Timer {
    inner: Inner,
}

impl Timer {
    pub(crate) fn new(tasks: &Rc<Tasks>, fire_at_ms: u64) -> Self {
        let id = host::start_timer(fire_at_ms);
        Self { inner: Inner::Scheduled { tasks: Rc::clone(tasks), id, cancel: true } }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll(cx).map(|_| ())
    }
}

impl FusedFuture for Timer {
    fn is_terminated(&self) -> bool {
        self.inner.is_done()
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.debug("Timer", f)
    }
}

/// A task of the host's, whatever it is.
enum Inner {
    Scheduled {
        tasks: Rc<Tasks>,
        id: u32,
        cancel: bool,
    },
    /// Never scheduled, because its input cannot be written as JSON.
    Failed(Failure),
    /// Its outcome was taken.
    Done,
}

impl Inner {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Outcome> {
        let outcome = match self {
            Self::Scheduled { tasks, id, .. } => match tasks.poll(*id, cx) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => return Poll::Pending,
            },
            Self::Failed(failure) => Err(failure.clone()),
            Self::Done => panic!("a Sagahost task was polled after it gave its result"),
        };
        *self = Self::Done;
        Poll::Ready(outcome)
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple(name);
        match self {
            Self::Scheduled { id, .. } => tuple.field(id).finish(),
            Self::Failed(failure) => tuple.field(failure).finish(),
            Self::Done => tuple.finish_non_exhaustive(),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Self::Scheduled { tasks, id, cancel } = self {
            let incomplete = tasks.forget(*id);
            if incomplete && *cancel {
                host::cancel(*id);
            }
        }
    }
}
