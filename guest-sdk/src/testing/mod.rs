//! A host in memory, for unit tests on the native target.
//!
//! ```
//! use sagahost::testing::{Request, TestHost};
//! use sagahost::{Failure, OrchestratorContext};
//!
//! #[sagahost::orchestrator]
//! async fn greet_twice(ctx: OrchestratorContext, name: String) -> Result<String, Failure> {
//!     let hello: String = ctx.activity("Greet", &name).await?;
//!     ctx.activity("Greet", &hello).await
//! }
//!
//! let host = TestHost::new();
//! host.activity("Greet", |name: String| Ok(format!("Hello, {name}!")));
//! let greeting = host.run(|ctx| greet_twice(ctx, "Ada".into()));
//! assert_eq!(greeting.unwrap(), "Hello, Hello, Ada!!");
//! assert!(matches!(&host.requests()[0], Request::Activity { name, .. } if name == "Greet"));
//! ```
//!
//! Activities and children complete in the order in which they were scheduled;
//! when there is none left, time jumps to the next timer. An activity and a
//! child are attempted once, whatever the retry policy says. Entities are those
//! of the crate, or what [`TestHost::entity`] puts in their place.
//!
//! An orchestrator that fails is undone as a host does it: the activities that
//! undo its steps run in reverse order, and [`TestHost::undone`] tells which
//! ones did.
//!
//! ```
//! use sagahost::testing::TestHost;
//! use sagahost::{Failure, OrchestratorContext};
//!
//! #[sagahost::orchestrator]
//! async fn trip(ctx: OrchestratorContext) -> Result<(), Failure> {
//!     ctx.activity::<()>("Book", "train").compensate_with("Cancel").await?;
//!     ctx.activity::<()>("Book", "yacht").compensate_with("Cancel").await
//! }
//!
//! let host = TestHost::new();
//! host.activity("Book", |part: String| match part.as_str() {
//!     "yacht" => Err(Failure::permanent("sold-out", "there is no yacht left")),
//!     _ => Ok(()),
//! });
//! host.activity("Cancel", |_: String| Ok(()));
//! assert_eq!(host.run(trip).unwrap_err().code, "sold-out");
//! // The yacht was not booked: the failure says so.
//! assert_eq!(host.undone().len(), 1);
//! assert_eq!(host.undone()[0].input, "train");
//! ```

mod answers;
mod entities;
mod request;
mod saga;
mod state;
mod world;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::entities::{Operation, TestEntity};
pub use self::request::{Request, Sent, Undo, UndoRequest};
use self::state::Instance;
use self::world::{Fake, HTTP, Invocation};
use crate::executor;
use crate::host::Host;
use crate::{
    ActivityContext, Failure, HttpRequest, HttpResponse, LogLevel, OrchestratorContext,
    StepOutcome, UndoneStep, activity, json, registry,
};

/// A host in memory. A clone is the same host, so that an activity that a test
/// puts in can hold it: to [`raise`](Self::raise) an event, or to
/// [`run_activity`](Self::run_activity) a real one.
#[derive(Clone)]
pub struct TestHost {
    first: Rc<Instance>,
}

impl Default for TestHost {
    fn default() -> Self {
        Self { first: Rc::new(Instance::first()) }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
}

/// The host of this thread.
pub(crate) fn current() -> Rc<dyn Host> {
    let current = CURRENT.with_borrow(Clone::clone);
    current.expect("there is no host here: outside wasm, run this in `sagahost::testing::TestHost`")
}

/// Puts the host of before back, also when a test panics.
struct Restore(Option<Rc<dyn Host>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Makes this the host of this thread, until what it gives is dropped.
fn enter(host: Rc<dyn Host>) -> Restore {
    Restore(CURRENT.replace(Some(host)))
}

fn fake<I: DeserializeOwned, O: Serialize>(
    mut fake: impl FnMut(I) -> Result<O, Failure> + 'static,
) -> Fake {
    Box::new(move |input| {
        let input = json::decode(input).map_err(|error| Failure::permanent("bad-input", error))?;
        json::encode(&fake(input)?, "bad-output", "the output")
    })
}

impl TestHost {
    /// A host without any activities or events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What an activity is to do. It takes the place of the one of this name
    /// that was there.
    ///
    /// A failure says that the activity did nothing, and so the step is not
    /// undone. One of the host's own (`host.timeout`, `host.trap`) leaves open
    /// what it did, and the step is.
    pub fn activity<I: DeserializeOwned, O: Serialize>(
        &self,
        name: &str,
        activity: impl FnMut(I) -> Result<O, Failure> + 'static,
    ) {
        self.first.world.activities.borrow_mut().insert(name.to_owned(), fake(activity));
    }

    /// What an orchestrator is to do that is called as a child. Without it, a
    /// child runs if this crate has an orchestrator of its name.
    pub fn orchestrator<I: DeserializeOwned, O: Serialize>(
        &self,
        name: &str,
        orchestrator: impl FnMut(I) -> Result<O, Failure> + 'static,
    ) {
        self.first.world.orchestrators.borrow_mut().insert(name.to_owned(), fake(orchestrator));
    }

    /// What answers the orchestrator's HTTP requests. A status that the
    /// request wants retried becomes the failure it would be; a 202 is not
    /// followed.
    ///
    /// ```
    /// use sagahost::testing::TestHost;
    /// use sagahost::{Failure, HttpResponse};
    ///
    /// let host = TestHost::new();
    /// host.http(|request| match request.url() {
    ///     "https://stock.example/book" => Ok(HttpResponse::new(200, 7)),
    ///     _ => Ok(HttpResponse::new(404, "no such article")),
    /// });
    /// let left = host.run(async |ctx| {
    ///     ctx.http("https://stock.example/book").await?.error_for_status()?.json::<u32>()
    /// });
    /// assert_eq!(left, Ok(7));
    /// ```
    pub fn http(
        &self,
        mut http: impl FnMut(HttpRequest) -> Result<HttpResponse, Failure> + 'static,
    ) {
        self.activity(HTTP, move |request: HttpRequest| {
            let retried = request.clone();
            let answer = http(request)?;
            let status = answer.status;
            match retried.is_retried(status) {
                true => Err(Failure::transient(
                    format!("http.{status}"),
                    format_args!("the answer was {status}"),
                )),
                false => Ok(answer),
            }
        });
    }

    /// The version that the orchestrator is told.
    pub fn set_version(&self, version: &str) {
        self.first.version.replace(Some(version.to_owned()));
    }

    /// A tag that the orchestrator is told.
    pub fn set_tag(&self, word: &str, value: &str) {
        self.first.tags.borrow_mut().insert(word.to_owned(), value.to_owned());
    }

    /// Names the activity that undoes another one, as that one's attribute
    /// does: `undo = "..."`. Of the activities of this crate it is known.
    pub fn declare_undo(&self, activity: &str, undo: &str) {
        self.first.world.declared.borrow_mut().insert(activity.to_owned(), undo.to_owned());
    }

    /// Raises an event, before the orchestrator or from within an activity.
    ///
    /// # Panics
    ///
    /// If the payload cannot be written as JSON.
    pub fn raise(&self, name: &str, payload: &(impl Serialize + ?Sized)) {
        let payload = json::encode(payload, "bad-event", "the payload")
            .expect("the payload of an event is JSON");
        self.first.world.events.borrow_mut().entry(name.to_owned()).or_default().push_back(payload);
    }

    /// Runs an orchestrator, and undoes what it did if it fails. One that
    /// returns while a step with a compensation still runs fails with
    /// `host.steps-open`, as on any host. One that continues as new ends here,
    /// with a failure that no host sees, and undoes nothing; what it asked for
    /// is the last of the [`requests`](Self::requests).
    /// [`run_by_name`](Self::run_by_name) goes on with it.
    ///
    /// # Panics
    ///
    /// If the orchestrator does, if it waits for something that does not
    /// come, or if something is stuck: an undo, or a step after the pivot,
    /// that fails for good.
    pub fn run<T, E: From<Failure>, F: Future<Output = Result<T, E>>>(
        &self,
        orchestrator: impl FnOnce(OrchestratorContext) -> F,
    ) -> Result<T, E> {
        let _restore = self.enter();
        let result = self.run_alone(orchestrator);
        let continued = self.first.continued.take().is_some();
        match self.first.end(result.is_ok() || continued) {
            (_, Some(failure)) => Err(failure.into()),
            (_, None) => result,
        }
    }

    /// Runs an orchestrator that returns no `Result`, or a part of one: nothing
    /// is undone at its end.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_plain<F: Future>(
        &self,
        orchestrator: impl FnOnce(OrchestratorContext) -> F,
    ) -> F::Output {
        let _restore = self.enter();
        let output = self.run_alone(orchestrator);
        self.first.deliver();
        output
    }

    fn run_alone<F: Future>(
        &self,
        orchestrator: impl FnOnce(OrchestratorContext) -> F,
    ) -> F::Output {
        let context = OrchestratorContext::new();
        let tasks = context.tasks().clone();
        executor::run(&tasks, orchestrator(context))
    }

    /// Runs an activity: its first attempt. Within an activity of the test, it
    /// is told what that one would be: its step, its key, what it undoes.
    pub fn run_activity<F: Future>(
        &self,
        activity: impl FnOnce(ActivityContext) -> F,
    ) -> F::Output {
        self.run_attempt(1, activity)
    }

    /// Runs an attempt of an activity, counted from 1.
    pub fn run_attempt<F: Future>(
        &self,
        attempt: u32,
        activity: impl FnOnce(ActivityContext) -> F,
    ) -> F::Output {
        let invocation = self.first.world.invocation.borrow().clone();
        self.run_as(Invocation { attempt, ..invocation }, activity)
    }

    /// Runs an activity as the undo of this step.
    ///
    /// ```
    /// use sagahost::testing::{TestHost, completed};
    /// use sagahost::{ActivityContext, Failure};
    ///
    /// #[sagahost::activity(undoes = "Book")]
    /// async fn cancel(ctx: ActivityContext, part: String) -> Result<bool, Failure> {
    ///     let booking = ctx.undone().map(|undone| undone.output::<String>()).transpose()?;
    ///     Ok(booking.flatten().is_some())
    /// }
    ///
    /// let undone = completed("Book", "train", "booking 7");
    /// let cancelled = TestHost::new().run_undo(undone, |ctx| cancel(ctx, "train".into()));
    /// assert_eq!(cancelled, Ok(true));
    /// ```
    pub fn run_undo<F: Future>(
        &self,
        undone: UndoneStep,
        activity: impl FnOnce(ActivityContext) -> F,
    ) -> F::Output {
        let invocation = Invocation {
            instance: self.first.id.clone(),
            step: undone.step,
            attempt: 1,
            key: format!("{}-undo", undone.idempotency_key),
            undone: Some(undone.into()),
        };
        self.run_as(invocation, activity)
    }

    fn run_as<F: Future>(
        &self,
        invocation: Invocation,
        activity: impl FnOnce(ActivityContext) -> F,
    ) -> F::Output {
        let _restore = self.enter();
        let before = self.first.world.invocation.replace(invocation);
        let output = activity::block_on(activity(ActivityContext::new()));
        self.first.world.invocation.replace(before);
        output
    }

    /// Runs a function of this crate by its name, as the host does: with JSON
    /// in and out. An orchestrator that fails is undone, and one that continues
    /// as new is run again, until it ends.
    ///
    /// # Errors
    ///
    /// The function's failure; `bad-input` if the input does not fit;
    /// `host.not-found` if there is no such function.
    pub fn run_by_name(&self, name: &str, input: &str) -> Result<String, Failure> {
        let _restore = self.enter();
        match registry::has("orchestrator", name) {
            true => self.first.run_to_its_end(name, input).0,
            false => registry::run_activity(name, input.to_owned()),
        }
    }

    /// What the orchestrator asked for, in order; not what its children did.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.first.requests.borrow().clone()
    }

    /// The undos that were done, in the order in which they were: also those
    /// of children. What may be undone in parallel is undone one after the
    /// other here.
    #[must_use]
    pub fn undone(&self) -> Vec<Undo> {
        self.first.world.undone.borrow().clone()
    }

    /// What was logged.
    #[must_use]
    pub fn log(&self) -> Vec<(LogLevel, String)> {
        self.first.world.log.borrow().clone()
    }

    /// The last custom status.
    #[must_use]
    pub fn custom_status(&self) -> Option<Value> {
        self.first.status.borrow().clone()
    }

    fn enter(&self) -> Restore {
        enter(self.first.clone())
    }
}

/// A step that completed, for [`TestHost::run_undo`].
#[must_use]
pub fn completed(
    function: &str,
    input: &(impl Serialize + ?Sized),
    output: &(impl Serialize + ?Sized),
) -> UndoneStep {
    let output = Some(serde_json::json!(output).to_string());
    UndoneStep { output, ..undone(function, input, StepOutcome::Completed) }
}

/// A step that failed, and says that it did nothing, for
/// [`TestHost::run_undo`].
#[must_use]
pub fn failed(function: &str, input: &(impl Serialize + ?Sized)) -> UndoneStep {
    undone(function, input, StepOutcome::Failed)
}

/// A step of which nobody knows what it did, for [`TestHost::run_undo`].
#[must_use]
pub fn unknown(function: &str, input: &(impl Serialize + ?Sized)) -> UndoneStep {
    undone(function, input, StepOutcome::Unknown)
}

fn undone(function: &str, input: &(impl Serialize + ?Sized), outcome: StepOutcome) -> UndoneStep {
    UndoneStep {
        step: 0,
        function: function.to_owned(),
        outcome,
        idempotency_key: "test/0".to_owned(),
        input: serde_json::json!(input).to_string(),
        output: None,
    }
}
