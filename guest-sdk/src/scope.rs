//! Parts of a saga that are undone by themselves.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::FusedFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Lazy, Prepared, lazy_future};
use crate::executor::Tasks;
use crate::{ActivityCall, Failure, HttpCall, HttpRequest, OrchestratorCall, Task, host};

/// A part of a saga that can be undone by itself, from
/// [`OrchestratorContext::scope`](crate::OrchestratorContext::scope). Cheap to
/// clone.
///
/// What is called through it belongs to it. If the whole saga is undone, its
/// scopes are too; a scope is for an orchestrator that goes another way:
///
/// ```
/// # use sagahost::{Failure, OrchestratorContext};
/// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
/// let night = ctx.scope();
/// let room = night.activity::<String>("BookRoom", &"Hotel Paris");
/// let dinner = night.activity::<String>("BookTable", &"Chez Ada");
/// if let (Err(_), _) | (_, Err(_)) = sagahost::join!(room, dinner) {
///     // One without the other is of no use. What was booked before stays.
///     night.compensate().await?;
///     ctx.activity::<String>("BookSleeper", &"Paris").await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Scope {
    tasks: Rc<Tasks>,
    id: u32,
}

impl Scope {
    pub(crate) fn open(tasks: &Rc<Tasks>, parent: u32) -> Self {
        Self { tasks: Rc::clone(tasks), id: host::open_scope(parent) }
    }

    /// Calls an activity as
    /// [`OrchestratorContext::activity`](crate::OrchestratorContext::activity)
    /// does, as a step of this scope.
    pub fn activity<T: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) -> ActivityCall<T> {
        ActivityCall::new(&self.tasks, name, input).in_scope(self.id)
    }

    /// Starts a child as
    /// [`OrchestratorContext::orchestrator`](crate::OrchestratorContext::orchestrator)
    /// does, as a step of this scope.
    pub fn orchestrator<T: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) -> OrchestratorCall<T> {
        OrchestratorCall::new(&self.tasks, name, input).in_scope(self.id)
    }

    /// Makes an HTTP request as
    /// [`OrchestratorContext::http`](crate::OrchestratorContext::http) does, as
    /// a step of this scope.
    pub fn http(&self, request: impl Into<HttpRequest>) -> HttpCall {
        HttpCall::new(&self.tasks, request.into()).in_scope(self.id)
    }

    /// Opens a scope within this one.
    #[must_use]
    pub fn scope(&self) -> Self {
        Self::open(&self.tasks, self.id)
    }

    /// Lets what is in this scope be undone all at the same time, and not one
    /// after the other in the reverse order of scheduling. A scope within it
    /// counts as one, and has an order of its own.
    pub fn undo_in_parallel(&self) {
        host::undo_in_parallel(self.id);
    }

    /// Undoes what this scope and those within it have done so far: what runs
    /// is ended, and what was done is undone. It begins when it is first
    /// awaited, and takes as long as it takes; then the orchestrator goes on.
    pub fn compensate(&self) -> Compensate {
        Compensate::new(&self.tasks, self.id)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.id).finish()
    }
}

/// The undo of a scope, from [`Scope::compensate`], or of the whole saga, from
/// [`OrchestratorContext::compensate`](crate::OrchestratorContext::compensate).
///
/// It begins when it is first awaited, or by [`start`](Self::start). It does
/// not fail: an undo that cannot be done waits for a person, and this waits
/// with it.
#[must_use = "nothing is undone until this is awaited or started"]
pub struct Compensate {
    call: Lazy<Undoing, ()>,
}

impl Compensate {
    pub(crate) fn new(tasks: &Rc<Tasks>, scope: u32) -> Self {
        Self { call: Lazy::new(Undoing { tasks: Rc::clone(tasks), scope }) }
    }

    /// Begins now, while the orchestrator goes on.
    pub fn start(self) -> Task<()> {
        self.call.start()
    }
}

lazy_future! {
    Compensate<> => ();
}

struct Undoing {
    tasks: Rc<Tasks>,
    scope: u32,
}

impl Prepared for Undoing {
    fn start<T>(self) -> Task<T> {
        let id = host::compensate(self.scope);
        Task::scheduled(self.tasks, id)
    }

    fn name(&self) -> &str {
        "not begun"
    }
}
