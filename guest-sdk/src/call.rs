//! Calls: steps that are not scheduled yet.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::FusedFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::sagahost::saga::types::{CallOptions, ChildOptions, StepOptions, UndoChoice};
use crate::executor::{Outcome, Tasks};
use crate::time::millis;
use crate::{Compensation, Failure, RetryPolicy, RetryWith, Task, host, json};

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
///     .compensate_with("RollbackPaymentActivity")
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// What is not given is taken from the activity's own description, else from
/// the manifest, else from the host. Once the call is scheduled, options have
/// no effect.
#[must_use = "an activity call does nothing until it is awaited or started"]
pub struct ActivityCall<T> {
    call: Lazy<Step, T>,
}

impl<T> ActivityCall<T> {
    pub(crate) fn new(tasks: &Rc<Tasks>, name: &str, input: &(impl Serialize + ?Sized)) -> Self {
        Self { call: Lazy::new(Step::new(tasks, name, input, Step::call_activity)) }
    }

    /// The call as a step of a scope.
    pub(crate) fn in_scope(mut self, scope: u32) -> Self {
        self.call.change(|step| step.more_by(Step::call_step).scope = scope);
        self
    }

    /// How often, and when, the activity is attempted again if it fails.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.call.change(|step| step.options.retry = Some((&policy).into()));
        self
    }

    /// The wall time one attempt may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.change(|step| step.options.timeout_ms = Some(millis(timeout)));
        self
    }

    /// The activity that undoes this step, whatever the called activity says
    /// of its undo. A name is enough where it takes the same input as the
    /// called one; a [`Compensation`] can say more.
    pub fn compensate_with(mut self, compensation: impl Into<Compensation>) -> Self {
        let undo = compensation.into().choice();
        self.call.change(|step| step.more_by(Step::call_step).undo = undo);
        self
    }

    /// Leaves the undo of this step to the orchestrator: the host does not
    /// undo it, even if the activity's description names its undo.
    pub fn undo_by_hand(mut self) -> Self {
        self.call.change(|step| step.more_by(Step::call_step).undo = Ok(UndoChoice::ByHand));
        self
    }

    /// Lets the saga only go forward once this step is complete: what was done
    /// before is not undone any more, and each later step is retried until it
    /// completes, or until a person sees to it.
    pub fn pivot(mut self) -> Self {
        self.call.change(|step| step.more_by(Step::call_step).pivot = true);
        self
    }

    /// Lets the orchestrator's own code say whether, and after how long, the
    /// activity is tried again. See [`RetryWith`]; this comes after all other
    /// options.
    ///
    /// ```
    /// # use sagahost::{Failure, OrchestratorContext};
    /// # use std::time::Duration;
    /// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
    /// let weather: String = ctx
    ///     .activity("FetchWeather", &"Oslo")
    ///     .retry_with(|failure, attempt| match &*failure.code {
    ///         "busy" => Some(Duration::from_secs(60)),
    ///         "offline" if attempt < 5 => Some(Duration::from_secs(5) * attempt),
    ///         _ => None,
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry_with<F>(self, again: F) -> RetryWith<T, F>
    where
        F: FnMut(&Failure, u32) -> Option<Duration>,
    {
        RetryWith::new(self.call, again)
    }

    /// Schedules the activity now: it runs while the orchestrator goes on,
    /// whether the task is awaited or dropped.
    pub fn start(self) -> Task<T> {
        self.call.start()
    }
}

/// What is prepared, and scheduled when it is first polled.
pub(crate) enum Lazy<P, T> {
    Prepared(Box<P>),
    Started(Task<T>),
}

/// What can be scheduled.
pub(crate) trait Prepared {
    fn start<T>(self) -> Task<T>;
    fn name(&self) -> &str;
}

impl<P: Prepared, T> Lazy<P, T> {
    pub(crate) fn new(prepared: P) -> Self {
        Self::Prepared(Box::new(prepared))
    }

    /// Changes what is not scheduled yet.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut P)) {
        if let Self::Prepared(prepared) = self {
            change(prepared);
        }
    }

    pub(crate) fn start(self) -> Task<T> {
        match self {
            Self::Prepared(prepared) => prepared.start(),
            Self::Started(task) => task,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Failure>>
    where
        T: DeserializeOwned,
    {
        if let Self::Prepared(_) = self {
            *self = Self::Started(std::mem::replace(self, Self::Started(Task::gone())).start());
        }
        match self {
            Self::Started(task) => Pin::new(task).poll(cx),
            Self::Prepared(_) => Poll::Pending,
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self, Self::Started(task) if task.is_done())
    }

    pub(crate) fn debug(&self, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepared(prepared) => f.debug_tuple(what).field(&prepared.name()).finish(),
            Self::Started(task) => fmt::Debug::fmt(task, f),
        }
    }
}

/// Makes a future of what holds a [`Lazy`].
macro_rules! lazy_future {
    ($($name:ident < $($t:ident)? > => $output:ty;)*) => {$(
        impl<$($t: DeserializeOwned)?> Future for $name<$($t)?> {
            type Output = Result<$output, Failure>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.call.poll(cx)
            }
        }

        impl<$($t: DeserializeOwned)?> FusedFuture for $name<$($t)?> {
            fn is_terminated(&self) -> bool {
                self.call.is_terminated()
            }
        }

        impl<$($t)?> Unpin for $name<$($t)?> {}

        impl<$($t)?> fmt::Debug for $name<$($t)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.call.debug(stringify!($name), f)
            }
        }
    )*};
}
pub(crate) use lazy_future;

lazy_future! {
    ActivityCall<T> => T;
}

/// A step that is not scheduled yet.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) tasks: Rc<Tasks>,
    name: String,
    input: Outcome,
    pub(crate) options: CallOptions,
    more: Option<Box<More>>,
    /// Asks the host for it. A pointer, and set by those options that need
    /// more than the plain call, so that a component without them does not
    /// import what it takes to do them.
    pub(crate) schedule: fn(&Step, &str) -> u32,
}

/// What most calls say nothing about.
#[derive(Clone)]
pub(crate) struct More {
    pub(crate) undo: Result<UndoChoice, Failure>,
    pub(crate) scope: u32,
    pub(crate) pivot: bool,
    /// Of a child: its id, its version and its tags.
    pub(crate) id: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
}

impl Step {
    pub(crate) fn new(
        tasks: &Rc<Tasks>,
        name: &str,
        input: &(impl Serialize + ?Sized),
        schedule: fn(&Step, &str) -> u32,
    ) -> Self {
        let input = json::encode(input, "bad-input", "the input of the call");
        Self::with_json(tasks, name, input, schedule)
    }

    /// One whose input is JSON already, or why it is not.
    pub(crate) fn with_json(
        tasks: &Rc<Tasks>,
        name: &str,
        input: Outcome,
        schedule: fn(&Step, &str) -> u32,
    ) -> Self {
        Self {
            tasks: Rc::clone(tasks),
            name: name.to_owned(),
            input,
            options: CallOptions { retry: None, timeout_ms: None },
            more: None,
            schedule,
        }
    }

    pub(crate) fn more(&mut self) -> &mut More {
        let none = || {
            Box::new(More {
                undo: Ok(UndoChoice::Declared),
                scope: 0,
                pivot: false,
                id: None,
                version: None,
                tags: Vec::new(),
            })
        };
        self.more.get_or_insert_with(none)
    }

    /// The same, for options that need another call of the host's.
    pub(crate) fn more_by(&mut self, schedule: fn(&Step, &str) -> u32) -> &mut More {
        self.schedule = schedule;
        self.more()
    }

    /// Why it cannot be scheduled.
    pub(crate) fn refusal(&self) -> Option<&Failure> {
        let undo = self.more.as_deref().and_then(|more| more.undo.as_ref().err());
        self.input.as_ref().err().or(undo)
    }

    fn step_options(&self) -> StepOptions {
        let call = self.options.clone();
        match self.more.as_deref() {
            Some(More { undo: Ok(undo), scope, pivot, .. }) => {
                StepOptions { call, undo: undo.clone(), scope: *scope, pivot: *pivot }
            }
            _ => StepOptions { call, undo: UndoChoice::Declared, scope: 0, pivot: false },
        }
    }

    pub(crate) fn call_activity(&self, input: &str) -> u32 {
        host::call_activity(&self.name, input, &self.options)
    }

    pub(crate) fn call_step(&self, input: &str) -> u32 {
        host::call_step(&self.name, input, &self.step_options())
    }

    pub(crate) fn call_orchestrator(&self, input: &str) -> u32 {
        host::call_orchestrator(&self.name, input, &self.step_options())
    }

    pub(crate) fn call_child(&self, input: &str) -> u32 {
        let mut options =
            ChildOptions { step: self.step_options(), id: None, version: None, tags: Vec::new() };
        if let Some(more) = self.more.as_deref() {
            options.id.clone_from(&more.id);
            options.version.clone_from(&more.version);
            options.tags.clone_from(&more.tags);
        }
        host::call_child(&self.name, input, &options)
    }

    pub(crate) fn call_http(&self, request: &str) -> u32 {
        host::call_http(request, &self.step_options())
    }
}

impl Prepared for Step {
    fn start<T>(self) -> Task<T> {
        match (self.refusal(), &self.input) {
            (Some(failure), _) | (None, Err(failure)) => Task::failed(failure.clone()),
            (None, Ok(input)) => {
                let id = (self.schedule)(&self, input);
                Task::scheduled(self.tasks, id)
            }
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}
