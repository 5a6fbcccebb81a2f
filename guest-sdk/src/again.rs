//! Retries that the orchestrator's own code decides about.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::FusedFuture;
use serde::de::DeserializeOwned;

use crate::call::{Lazy, Prepared, Step};
use crate::{Failure, RetryPolicy, Task, Timer, Timestamp, host};

/// A call that is tried again as the orchestrator's own code says, from
/// [`ActivityCall::retry_with`](crate::ActivityCall::retry_with) and
/// [`HttpCall::retry_with`](crate::HttpCall::retry_with).
///
/// The code is given each failure, whether it is retryable or not, and the
/// number of the try that failed, counted from 1. It answers how long to wait
/// before the next one; `None` gives up, and the failure is the result.
///
/// Each try is a step of its own: it has its own idempotency key, and between
/// two of them there is a durable timer. A try is one attempt, unless the call
/// has a [`retry`](crate::ActivityCall::retry) policy as well. **Its undo is
/// each try's own**: a try that returned a failure did nothing, and is not
/// undone; one of which nobody knows what it did (it trapped or ran out of
/// time) is undone like any step, although a later one went well.
///
/// The first try is scheduled when this is first awaited. To drop it between
/// two tries gives up.
#[must_use = "a call does nothing until it is awaited"]
pub struct RetryWith<T, F> {
    /// What each try is made of; none if the call was scheduled before.
    step: Option<Box<Step>>,
    again: F,
    tries: u32,
    state: State<T>,
}

enum State<T> {
    Prepared,
    Trying(Task<T>),
    Pausing(Timer),
    Done,
}

impl<T, F> RetryWith<T, F> {
    pub(crate) fn new(call: Lazy<Step, T>, again: F) -> Self {
        match call {
            Lazy::Prepared(mut step) => {
                step.options.retry.get_or_insert_with(|| (&RetryPolicy::never()).into());
                Self { step: Some(step), again, tries: 0, state: State::Prepared }
            }
            // As with all options: too late.
            Lazy::Started(task) => Self { step: None, again, tries: 1, state: State::Trying(task) },
        }
    }

    /// The next try.
    fn next(&mut self) -> State<T> {
        self.tries += 1;
        match self.step.clone() {
            Some(step) => State::Trying(step.start()),
            None => State::Done,
        }
    }
}

impl<T, F: FnMut(&Failure, u32) -> Option<Duration>> RetryWith<T, F> {
    /// The pause after this failure; none if it is the last.
    fn pause(&mut self, failure: &Failure) -> Option<Timer> {
        let step = self.step.as_ref()?;
        if step.refusal().is_some() {
            return None;
        }
        let pause = (self.again)(failure, self.tries)?;
        let until = Timestamp::from_millis(host::now_ms()) + pause;
        Some(Timer::new(&step.tasks, until.as_millis()))
    }
}

impl<T, F> Future for RetryWith<T, F>
where
    T: DeserializeOwned,
    F: FnMut(&Failure, u32) -> Option<Duration>,
{
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            this.state = match &mut this.state {
                State::Prepared => this.next(),
                State::Trying(task) => match Pin::new(task).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(output)) => {
                        this.state = State::Done;
                        return Poll::Ready(Ok(output));
                    }
                    Poll::Ready(Err(failure)) => match this.pause(&failure) {
                        Some(timer) => State::Pausing(timer),
                        None => {
                            this.state = State::Done;
                            return Poll::Ready(Err(failure));
                        }
                    },
                },
                State::Pausing(timer) => match Pin::new(timer).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => this.next(),
                },
                State::Done => panic!("a Sagahost call was polled after it gave its result"),
            };
        }
    }
}

impl<T, F> FusedFuture for RetryWith<T, F>
where
    T: DeserializeOwned,
    F: FnMut(&Failure, u32) -> Option<Duration>,
{
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

// Nothing of it is ever pinned.
impl<T, F> Unpin for RetryWith<T, F> {}

impl<T, F> fmt::Debug for RetryWith<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.step.as_ref().map(|step| step.name());
        f.debug_struct("RetryWith").field("name", &name).field("tries", &self.tries).finish()
    }
}
