//! The futures an orchestrator waits for.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::FusedFuture;
use serde::de::DeserializeOwned;

use crate::bindings::sagahost::saga::types::CallOptions;
use crate::executor::{Outcome, Tasks};
use crate::time::millis;
use crate::{Failure, RetryPolicy, host, json};

/// A call of an activity, from
/// [`OrchestratorContext::activity`](crate::OrchestratorContext::activity).
///
/// It is **not scheduled yet**: it is when it is first awaited (or polled by
/// [`join!`](crate::join), [`select!`](crate::select) and the like), or by
/// [`start`](Self::start). Until then, options can be given:
///
/// ```
/// # use sagahost::{Failure, OrchestratorContext, RetryPolicy};
/// # use std::time::Duration;
/// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
/// let charged = ctx
///     .activity::<bool>("PaymentActivity", &"order 7")
///     .retry(RetryPolicy::attempts(5))
///     .timeout(Duration::from_secs(10))
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// What is not given is taken from the activity's own description, else from
/// the manifest, else from the host.
#[must_use = "an activity call does nothing until it is awaited or started"]
pub struct ActivityCall<T> {
    state: CallState<T>,
}

enum CallState<T> {
    Prepared(Box<Prepared>),
    Started(Task<T>),
}

struct Prepared {
    tasks: Rc<Tasks>,
    name: String,
    input: Outcome,
    options: CallOptions,
}

impl<T> ActivityCall<T> {
    pub(crate) fn new(tasks: &Rc<Tasks>, name: &str, input: Outcome) -> Self {
        let options = CallOptions { retry: None, timeout_ms: None };
        let prepared = Prepared { tasks: Rc::clone(tasks), name: name.to_owned(), input, options };
        Self { state: CallState::Prepared(Box::new(prepared)) }
    }

    /// How often, and when, the activity is attempted again if it fails. Has
    /// no effect once the call is scheduled.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        if let CallState::Prepared(prepared) = &mut self.state {
            prepared.options.retry = Some((&policy).into());
        }
        self
    }

    /// The wall time one attempt may take. Has no effect once the call is
    /// scheduled.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let CallState::Prepared(prepared) = &mut self.state {
            prepared.options.timeout_ms = Some(millis(timeout));
        }
        self
    }

    /// Schedules the activity now: it runs while the orchestrator goes on,
    /// whether the task is awaited or dropped.
    pub fn start(self) -> Task<T> {
        match self.state {
            CallState::Prepared(prepared) => prepared.start(),
            CallState::Started(task) => task,
        }
    }
}

impl Prepared {
    fn start<T>(self) -> Task<T> {
        let inner = match self.input {
            Ok(input) => {
                let id = host::call_activity(&self.name, &input, &self.options);
                Inner::Scheduled { tasks: self.tasks, id, cancel: false }
            }
            Err(failure) => Inner::Failed(failure),
        };
        Task { inner, output: PhantomData }
    }
}

impl<T: DeserializeOwned> Future for ActivityCall<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let CallState::Prepared(_) = self.state {
            let started = CallState::Started(Task { inner: Inner::Done, output: PhantomData });
            if let CallState::Prepared(prepared) = std::mem::replace(&mut self.state, started) {
                self.state = CallState::Started(prepared.start());
            }
        }
        match &mut self.state {
            CallState::Started(task) => Pin::new(task).poll(cx),
            CallState::Prepared(_) => Poll::Pending,
        }
    }
}

impl<T: DeserializeOwned> FusedFuture for ActivityCall<T> {
    fn is_terminated(&self) -> bool {
        matches!(&self.state, CallState::Started(task) if task.inner.is_done())
    }
}

impl<T> Unpin for ActivityCall<T> {}

impl<T> fmt::Debug for ActivityCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            CallState::Prepared(prepared) => {
                f.debug_tuple("ActivityCall").field(&prepared.name).finish()
            }
            CallState::Started(task) => task.fmt(f),
        }
    }
}

/// A step that runs: an activity that was [started](ActivityCall::start), or
/// a wait for an [event](crate::OrchestratorContext::event).
///
/// Awaited, it gives the value or the [`Failure`]. A wait for an event that is
/// dropped before the event came is cancelled, and the event goes to the next
/// who waits; an activity runs on.
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
