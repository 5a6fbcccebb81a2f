//! Other orchestrations: children, whose results are waited for, and those
//! that are started and left alone.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::FusedFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::sagahost::saga::types::{StartOptions, UndoChoice};
use crate::call::{Lazy, Step, lazy_future};
use crate::executor::Tasks;
use crate::time::millis;
use crate::{Compensation, Failure, RetryPolicy, Task, Timestamp, host, json};

/// A call of another orchestrator, from
/// [`OrchestratorContext::orchestrator`](crate::OrchestratorContext::orchestrator).
///
/// Like an [`ActivityCall`](crate::ActivityCall) it is scheduled when it is
/// first awaited, or by [`start`](Self::start). Until then, options can be
/// given:
///
/// ```
/// # use sagahost::{Failure, OrchestratorContext, RetryPolicy};
/// # use std::time::Duration;
/// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
/// let placed = ctx
///     .orchestrator::<bool>("OrderSaga", &"order 7")
///     .id("order-7")
///     .tag("customer", "ada")
///     .retry(RetryPolicy::attempts(3))
///     .timeout(Duration::from_secs(3600))
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "an orchestrator call does nothing until it is awaited or started"]
pub struct OrchestratorCall<T> {
    call: Lazy<Step, T>,
}

impl<T> OrchestratorCall<T> {
    pub(crate) fn new(tasks: &Rc<Tasks>, name: &str, input: &(impl Serialize + ?Sized)) -> Self {
        Self { call: Lazy::new(Step::new(tasks, name, input, Step::call_orchestrator)) }
    }

    /// The call as a step of a scope.
    pub(crate) fn in_scope(mut self, scope: u32) -> Self {
        self.call.change(|step| step.more().scope = scope);
        self
    }

    /// The child's instance id, by which clients and other orchestrations find
    /// it. Without one the host derives it from this instance's. The child
    /// fails to start if an orchestration of this id is there already.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.call.change(|step| step.more_by(Step::call_child).id = Some(id.into()));
        self
    }

    /// The version that the child is told; without one, this instance's.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.call.change(|step| step.more_by(Step::call_child).version = Some(version.into()));
        self
    }

    /// A tag, by which the child can be found. Can be called several times.
    pub fn tag(mut self, word: impl Into<String>, value: impl Into<String>) -> Self {
        self.call.change(|step| {
            step.more_by(Step::call_child).tags.push((word.into(), value.into()));
        });
        self
    }

    /// How often, and when, a child that failed is started again. Each attempt
    /// is a new orchestration in the place of the one that failed, which has
    /// undone what it did. Without a policy a child is not retried.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.call.change(|step| step.options.retry = Some((&policy).into()));
        self
    }

    /// The deadline of the child: what is not complete then is undone, and the
    /// child fails with `host.deadline`. Without one, that of its own
    /// description.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.change(|step| step.options.timeout_ms = Some(millis(timeout)));
        self
    }

    /// The activity that undoes a completed child, in the place of the undos
    /// of its own steps. Without an input of its own it gets the child's.
    pub fn compensate_with(mut self, compensation: impl Into<Compensation>) -> Self {
        let undo = compensation.into().choice();
        self.call.change(|step| step.more().undo = undo);
        self
    }

    /// Drops what a completed child hands over to be undone: what it did
    /// stays, whatever becomes of this saga.
    pub fn undo_by_hand(mut self) -> Self {
        self.call.change(|step| step.more().undo = Ok(UndoChoice::ByHand));
        self
    }

    /// Lets the saga only go forward once the child is complete; see
    /// [`ActivityCall::pivot`](crate::ActivityCall::pivot).
    pub fn pivot(mut self) -> Self {
        self.call.change(|step| step.more().pivot = true);
        self
    }

    /// Starts the child now: it runs while the orchestrator goes on, whether
    /// the task is awaited or dropped.
    pub fn start(self) -> Task<T> {
        self.call.start()
    }
}

lazy_future! {
    OrchestratorCall<T> => T;
}

/// The start of an orchestration that nobody waits for, from
/// [`OrchestratorContext::start_orchestrator`](crate::OrchestratorContext::start_orchestrator).
///
/// ```
/// # use sagahost::{Failure, OrchestratorContext};
/// # use std::time::Duration;
/// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
/// let id = ctx
///     .start_orchestrator("Reminder", &"call Ada")
///     .tag("customer", "ada")
///     .start_after(Duration::from_secs(24 * 3600))
///     .start();
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is started until `start` is called"]
pub struct OrchestratorStart {
    name: String,
    input: Result<String, Failure>,
    options: StartOptions,
}

impl OrchestratorStart {
    pub(crate) fn new(name: &str, input: &(impl Serialize + ?Sized)) -> Self {
        Self {
            name: name.to_owned(),
            input: json::encode(input, "bad-input", "the input of the orchestration"),
            options: StartOptions { id: None, version: None, tags: Vec::new(), start_at_ms: None },
        }
    }

    /// Its instance id. Without one the host derives it from this instance's.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.options.id = Some(id.into());
        self
    }

    /// The version that it is told.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    /// A tag, by which it can be found. Can be called several times.
    pub fn tag(mut self, word: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.tags.push((word.into(), value.into()));
        self
    }

    /// When it begins; without this, at once.
    pub fn start_at(mut self, time: Timestamp) -> Self {
        self.options.start_at_ms = Some(time.as_millis());
        self
    }

    /// How long after [`now`](crate::OrchestratorContext::now) it begins.
    pub fn start_after(self, wait: Duration) -> Self {
        self.start_at(Timestamp::from_millis(host::now_ms()) + wait)
    }

    /// Starts it, and gives its instance id. Whether it could begin (its id
    /// was free, there is an orchestrator of its name) stands in this
    /// instance's history.
    ///
    /// # Panics
    ///
    /// If the input cannot be written as JSON.
    #[allow(clippy::must_use_candidate)] // Many do not care for the id.
    pub fn start(self) -> String {
        match self.input {
            Ok(input) => host::start_orchestrator(&self.name, &input, &self.options),
            Err(failure) => panic!("{}", failure.message),
        }
    }
}

impl fmt::Debug for OrchestratorStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OrchestratorStart").field(&self.name).finish()
    }
}
