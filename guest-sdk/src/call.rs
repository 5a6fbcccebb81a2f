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

use crate::bindings::sagahost::saga::types::{CallOptions, StepOptions, UndoChoice};
use crate::executor::{Outcome, Tasks};
use crate::time::millis;
use crate::{Compensation, Failure, RetryPolicy, Task, host, json};

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
        self.call.change(|step| step.more(Step::call_step).scope = scope);
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
        self.call.change(|step| step.more(Step::call_step).undo = undo);
        self
    }

    /// Leaves the undo of this step to the orchestrator: the host does not
    /// undo it, even if the activity's description names its undo.
    pub fn undo_by_hand(mut self) -> Self {
        self.call.change(|step| step.more(Step::call_step).undo = Ok(UndoChoice::ByHand));
        self
    }

    /// Lets the saga only go forward once this step is complete: what was done
    /// before is not undone any more, and each later step is retried until it
    /// completes, or until a person sees to it.
    pub fn pivot(mut self) -> Self {
        self.call.change(|step| step.more(Step::call_step).pivot = true);
        self
    }

    /// Schedules the activity now: it runs while the orchestrator goes on,
    /// whether the task is awaited or dropped.
    pub fn start(self) -> Task<T> {
        self.call.start()
    }
}

/// A call of another orchestrator, from
/// [`OrchestratorContext::orchestrator`](crate::OrchestratorContext::orchestrator).
///
/// Like an [`ActivityCall`] it is scheduled when it is first awaited, or by
/// [`start`](Self::start). A child is not retried; how long it may take is
/// what its own description says (`timeout`).
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
        self.call.change(|step| step.more(Step::call_orchestrator).scope = scope);
        self
    }

    /// The activity that undoes a completed child, in the place of the undos
    /// of its own steps. Without an input of its own it gets the child's.
    pub fn compensate_with(mut self, compensation: impl Into<Compensation>) -> Self {
        let undo = compensation.into().choice();
        self.call.change(|step| step.more(Step::call_orchestrator).undo = undo);
        self
    }

    /// Drops what a completed child hands over to be undone: what it did
    /// stays, whatever becomes of this saga.
    pub fn undo_by_hand(mut self) -> Self {
        let undo = Ok(UndoChoice::ByHand);
        self.call.change(|step| step.more(Step::call_orchestrator).undo = undo);
        self
    }

    /// Lets the saga only go forward once the child is complete; see
    /// [`ActivityCall::pivot`].
    pub fn pivot(mut self) -> Self {
        self.call.change(|step| step.more(Step::call_orchestrator).pivot = true);
        self
    }

    /// Starts the child now: it runs while the orchestrator goes on, whether
    /// the task is awaited or dropped.
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
    fn change(&mut self, change: impl FnOnce(&mut P)) {
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
    OrchestratorCall<T> => T;
}

/// A step that is not scheduled yet.
pub(crate) struct Step {
    tasks: Rc<Tasks>,
    name: String,
    input: Outcome,
    options: CallOptions,
    more: Option<Box<More>>,
    /// Asks the host for it. A pointer, and set by those options that need
    /// more than the plain call, so that a component without them does not
    /// import what it takes to do them.
    schedule: fn(&Step, &str) -> u32,
}

/// What most calls say nothing about.
struct More {
    undo: Result<UndoChoice, Failure>,
    scope: u32,
    pivot: bool,
}

impl Step {
    fn new(
        tasks: &Rc<Tasks>,
        name: &str,
        input: &(impl Serialize + ?Sized),
        schedule: fn(&Step, &str) -> u32,
    ) -> Self {
        Self {
            tasks: Rc::clone(tasks),
            name: name.to_owned(),
            input: json::encode(input, "bad-input", "the input of the call"),
            options: CallOptions { retry: None, timeout_ms: None },
            more: None,
            schedule,
        }
    }

    fn more(&mut self, schedule: fn(&Step, &str) -> u32) -> &mut More {
        self.schedule = schedule;
        let none = || Box::new(More { undo: Ok(UndoChoice::Declared), scope: 0, pivot: false });
        self.more.get_or_insert_with(none)
    }

    fn step_options(&self) -> StepOptions {
        let call = self.options.clone();
        match self.more.as_deref() {
            Some(More { undo: Ok(undo), scope, pivot }) => {
                StepOptions { call, undo: undo.clone(), scope: *scope, pivot: *pivot }
            }
            _ => StepOptions { call, undo: UndoChoice::Declared, scope: 0, pivot: false },
        }
    }

    fn call_activity(&self, input: &str) -> u32 {
        host::call_activity(&self.name, input, &self.options)
    }

    fn call_step(&self, input: &str) -> u32 {
        host::call_step(&self.name, input, &self.step_options())
    }

    fn call_orchestrator(&self, input: &str) -> u32 {
        host::call_orchestrator(&self.name, input, &self.step_options())
    }
}

impl Prepared for Step {
    fn start<T>(self) -> Task<T> {
        match (&self.input, self.more.as_deref()) {
            (Err(failure), _) | (_, Some(More { undo: Err(failure), .. })) => {
                Task::failed(failure.clone())
            }
            (Ok(input), _) => {
                let id = (self.schedule)(&self, input);
                Task::scheduled(self.tasks, id)
            }
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}
