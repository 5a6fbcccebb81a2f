//! Write [Sagahost](https://github.com/sagahost/sagahost) activities and
//! orchestrators in Rust.
//!
//! An **activity** does one thing in the world: it takes money, writes a
//! file, calls another service. It may fail, and it may run more than once.
//! An **orchestrator** says which activities run, when, and what happens with
//! their results. It only decides; everything it does goes through its
//! [`OrchestratorContext`], so the host can rebuild it from its journal at any
//! time. Each takes one attribute and a plain `async fn`:
//!
//! ```
//! use sagahost::{ActivityContext, Failure, OrchestratorContext};
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Order {
//!     id: String,
//!     amount_cents: u64,
//! }
//!
//! /// Takes an order's items out of stock.
//! #[sagahost::activity]
//! async fn order_activity(ctx: ActivityContext, order: Order) -> Result<bool, Failure> {
//!     sagahost::info!(ctx, "order {}, attempt {}", order.id, ctx.attempt());
//!     Ok(true)
//! }
//!
//! /// Charges the customer's card.
//! #[sagahost::activity(timeout = "5s", retry(max_attempts = 3, do_not_retry = ["card-declined"]))]
//! async fn payment_activity(order: Order) -> Result<bool, Failure> {
//!     match order.amount_cents {
//!         0..100_000 => Ok(true),
//!         _ => Err(Failure::permanent("card-declined", "over the limit of the card")),
//!     }
//! }
//!
//! /// Places an order and charges for it.
//! #[sagahost::orchestrator]
//! async fn order_saga(ctx: OrchestratorContext, order: Order) -> Result<bool, Failure> {
//!     let (placed, charged) = sagahost::join!(
//!         ctx.activity::<bool>("OrderActivity", &order),
//!         ctx.activity::<bool>("PaymentActivity", &order),
//!     );
//!     Ok(placed? && charged?)
//! }
//! ```
//!
//! The crate is a library with `crate-type = ["cdylib"]`, built for
//! `wasm32-wasip2`, with `sagahost-sdk`, `serde` (with `derive`) and
//! `schemars` as its dependencies. The `.wasm` file describes itself: names,
//! JSON schemas of inputs and outputs, retries and timeouts come from the
//! attributes ([`macro@activity`], [`macro@orchestrator`], [`macro@entity`]) and
//! the types.
//!
//! # Calls, tasks, and when they start
//!
//! As always in Rust, a future does nothing until it is polled:
//! [`OrchestratorContext::activity`] gives an [`ActivityCall`] which is
//! scheduled **when it is first awaited**, or earlier by
//! [`ActivityCall::start`], which gives a [`Task`] that runs from then on.
//!
//! ```
//! # use sagahost::{Failure, OrchestratorContext};
//! # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
//! // One after the other: the second is scheduled when the first is done.
//! let a = ctx.activity::<u32>("Square", &1);
//! let b = ctx.activity::<u32>("Square", &2);
//! let sum = a.await? + b.await?;
//!
//! // At the same time: both are scheduled at once.
//! let a = ctx.activity::<u32>("Square", &1).start();
//! let b = ctx.activity::<u32>("Square", &2).start();
//! let sum = a.await? + b.await?;
//!
//! // At the same time too: `join!` polls both before it waits.
//! let (a, b) = sagahost::join!(
//!     ctx.activity::<u32>("Square", &1),
//!     ctx.activity::<u32>("Square", &2),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! Calls, tasks and timers are plain futures, all of them `Unpin` and fused:
//! [`join!`], [`try_join!`], [`select!`], [`future::join_all`],
//! [`stream::FuturesUnordered`] and whatever else is made of futures work
//! with them, for ten thousand tasks as for two. A future of something else
//! (another thread, a socket) can never be ready in an orchestrator, and to
//! wait for one panics and says so.
//!
//! A timer or a wait for an event that is **dropped** before it is complete
//! is cancelled: the event goes to the next one who waits for it. An activity
//! that was scheduled runs on whether somebody waits for it or not; but an
//! orchestrator that returns while one runs that would have to be undone fails.
//!
//! # Undo
//!
//! An activity names the one that undoes it: `undo = "RollbackOrderActivity"`.
//! From then on each call of it is undone if the orchestration fails, traps,
//! runs out of time or is cancelled: by the host, in reverse order, without
//! the orchestrator's code, and for as long as it takes. A call can say
//! otherwise:
//!
//! ```
//! # use sagahost::{Compensation, Failure, OrchestratorContext};
//! # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
//! # let (order, seats) = (7, 2);
//! ctx.activity::<bool>("OrderActivity", &order).await?;
//! ctx.activity::<u32>("ReserveSeats", &seats)
//!     .compensate_with(Compensation::new("FreeSeats").input(&(order, seats)))
//!     .await?;
//! ctx.activity::<()>("WriteAudit", &order).undo_by_hand().await?;
//! // From here on there is no way back: what comes is retried until it is done.
//! ctx.activity::<bool>("PaymentActivity", &order).pivot().await?;
//! ctx.activity::<()>("SendTicket", &order).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Scope`] is a part of a saga that is undone by itself, when the
//! orchestrator asks for it. An undo is an activity, and learns from
//! [`ActivityContext::undone`] what it undoes and what became of it.
//!
//! # Entities
//!
//! An **entity** is a small durable object: a state under a key, whose
//! operations run one at a time. [`macro@entity`] makes one of the methods of a
//! type; orchestrators reach it by [`OrchestratorContext::entity`], and are
//! alone with several by [`OrchestratorContext::lock`]:
//!
//! ```
//! # use sagahost::{Failure, OrchestratorContext};
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! struct Counter {
//!     count: u64,
//! }
//!
//! #[sagahost::entity]
//! impl Counter {
//!     /// Counts on. Answers with the new count.
//!     fn add(&mut self, count: u64) -> u64 {
//!         self.count += count;
//!         self.count
//!     }
//! }
//!
//! #[sagahost::orchestrator]
//! async fn visit(ctx: OrchestratorContext, page: String) -> Result<u64, Failure> {
//!     ctx.entity("Counter", page).call("add", &1).await
//! }
//! ```
//!
//! # Other instances, and the web
//!
//! [`OrchestratorContext::start_orchestrator`] starts an orchestration that
//! nobody waits for, and [`OrchestratorContext::send_event`] tells one
//! something. [`OrchestratorContext::http`] makes an HTTP request as a step.
//! [`OrchestratorContext::continue_as_new`] begins anew with an empty journal,
//! for those that never end.
//!
//! # Failures
//!
//! What goes wrong is a [`Failure`]: a code for programs, a message for
//! people, and whether another attempt may go better. `?` turns the usual
//! errors into one; [`OrFail`] gives any error a code.
//!
//! # Tests
//!
//! Activities and orchestrators stay plain functions. On the native target
//! the module `testing` has a host that lives in memory, in which an
//! orchestrator runs in a unit test with its activities replaced.

extern crate self as sagahost;

mod activity;
mod again;
mod bindings;
mod call;
mod child;
mod context;
mod entity;
mod entity_call;
mod event;
mod executor;
#[cfg(target_arch = "wasm32")]
mod exports;
mod failure;
mod host;
#[cfg(all(feature = "http", target_arch = "wasm32"))]
pub mod http;
mod json;
mod log;
mod registry;
mod retry;
mod scope;
mod task;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod time;
mod undo;
mod web;

pub use activity::ActivityContext;
pub use again::RetryWith;
pub use call::ActivityCall;
pub use child::{OrchestratorCall, OrchestratorStart};
pub use context::OrchestratorContext;
pub use entity::{Entity, EntityContext};
pub use entity_call::{EntityCall, EntityHandle, EntityId, Lock, LockGuard};
pub use event::{EventTask, EventTimeout};
pub use failure::{Failure, OrFail};
pub use log::LogLevel;
pub use retry::RetryPolicy;
pub use sagahost_macros::{activity, entity, orchestrator};
pub use scope::{Compensate, Scope};
pub use task::{Task, Timer};
pub use time::Timestamp;
pub use undo::{Compensation, StepOutcome, UndoWhen, UndoneStep};
pub use web::{HttpCall, HttpRequest, HttpResponse};

/// Waits for the first of several futures: `select!` of the crate `futures`
/// in its form that tries the branches from top to bottom
/// (`select_biased!`), because an orchestrator draws no lots.
///
/// ```
/// # use sagahost::{Failure, OrchestratorContext};
/// # use std::time::Duration;
/// # async fn f(ctx: OrchestratorContext) -> Result<&'static str, Failure> {
/// let mut approved = ctx.event::<bool>("Approved");
/// let mut too_late = ctx.timer(Duration::from_secs(3600));
/// sagahost::select! {
///     answer = approved => Ok(if answer? { "approved" } else { "rejected" }),
///     () = too_late => Ok("timed out"),
/// }
/// # }
/// ```
pub use futures_util::select_biased as select;
pub use futures_util::{future, join, stream, try_join};
pub use {serde_json, uuid};

/// What the attributes' expansions name. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::entity::{EntityKind, OperationFuture, unknown_operation};
    pub use crate::registry::{
        Function, Kind, Operation, Output, OutputType, PlainOutput, PlainOutputType, RetryDefaults,
        RunFuture, decode_input, describe, input_schema,
    };
    pub use inventory;
    pub use schemars::Schema;
}
