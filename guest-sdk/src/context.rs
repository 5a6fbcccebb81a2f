//! What an orchestrator may do.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::executor::Tasks;
use crate::{
    ActivityCall, Compensate, EntityHandle, EntityId, EventTask, Failure, HttpCall, HttpRequest,
    Lock, LogLevel, OrchestratorCall, OrchestratorStart, Scope, Timer, Timestamp, host, json,
};

/// What an orchestrator does, it does through this: call activities and other
/// orchestrators, set timers, wait for events, ask entities, undo what it did. Cheap to clone, so that parts of an orchestrator
/// can be functions and `async` blocks of their own.
///
/// The host journals each of these requests. When an orchestration is rebuilt
/// (after a crash, or because it waited for long) the orchestrator runs again
/// from its beginning and gets the journaled answers, so it must ask for the
/// same things in the same order. The sandbox sees to that: clock and random
/// numbers are the same each time, and there are no files, no network and no
/// environment. What is left to care for is a changed orchestrator, and the
/// host keeps running instances on the code they began with.
#[derive(Clone)]
pub struct OrchestratorContext {
    tasks: Rc<Tasks>,
}

impl OrchestratorContext {
    pub(crate) fn new() -> Self {
        Self { tasks: Rc::default() }
    }

    pub(crate) fn tasks(&self) -> &Rc<Tasks> {
        &self.tasks
    }

    /// Calls the activity of this name, of whichever component has it.
    ///
    /// The call is scheduled **when it is first awaited**, or at once by
    /// [`ActivityCall::start`]. `T` is what the activity returns:
    ///
    /// ```
    /// # use sagahost::{Failure, OrchestratorContext};
    /// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
    /// let greeting: String = ctx.activity("Greet", &"Ada").await?;
    /// let squares = (1..=100).map(|n| ctx.activity::<u64>("Square", &n));
    /// let squares: Result<Vec<u64>, Failure> = sagahost::future::join_all(squares).await.into_iter().collect();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If the input cannot be written as JSON, the call fails with the code
    /// `bad-input` and is not scheduled; if the output is not a `T`, it fails
    /// with `bad-output`.
    pub fn activity<T: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) -> ActivityCall<T> {
        ActivityCall::new(&self.tasks, name, input)
    }

    /// Starts the orchestrator of this name as a child of this orchestration:
    /// an instance of its own, whose result is that of the call. Like an
    /// activity it is scheduled when it is first awaited, or by
    /// [`OrchestratorCall::start`].
    ///
    /// What the child did stays undoable after it ended: its undos become this
    /// orchestration's, and both unwind as one. A child that fails has undone
    /// its own before.
    ///
    /// ```
    /// # use sagahost::{Failure, OrchestratorContext};
    /// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
    /// let placed: bool = ctx.orchestrator("OrderSaga", &"order 7").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn orchestrator<T: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) -> OrchestratorCall<T> {
        OrchestratorCall::new(&self.tasks, name, input)
    }

    /// Starts an orchestration that nobody waits for: it is begun by
    /// [`OrchestratorStart::start`], which gives its instance id. It is no part
    /// of this saga, and nothing of it is undone with it.
    pub fn start_orchestrator(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) -> OrchestratorStart {
        OrchestratorStart::new(name, input)
    }

    /// Raises an event for another orchestration. It is delivered once, and in
    /// order with the others that this instance sends there. One for an
    /// instance that does not exist or has ended is dropped, and this
    /// instance's history says so.
    ///
    /// # Panics
    ///
    /// If the value cannot be written as JSON.
    pub fn send_event(&self, instance: &str, name: &str, value: &(impl Serialize + ?Sized)) {
        match json::encode(value, "bad-event", "the event") {
            Ok(value) => host::send_event(instance, name, &value),
            Err(failure) => panic!("{}", failure.message),
        }
    }

    /// Lets the orchestration begin anew with this input when the orchestrator
    /// returns, under the same id and with an empty journal: so one that goes
    /// on for ever does not grow for ever. Return what this gives, whatever
    /// the type of the result is:
    ///
    /// ```
    /// # use sagahost::{Failure, OrchestratorContext};
    /// # use std::time::Duration;
    /// /// Looks once an hour, for ever.
    /// #[sagahost::orchestrator]
    /// async fn watch(ctx: OrchestratorContext, seen: u64) -> Result<String, Failure> {
    ///     let now: u64 = ctx.activity("Look", &()).await?;
    ///     if now > 100 {
    ///         return Ok(format!("from {seen} to {now}"));
    ///     }
    ///     ctx.timer(Duration::from_secs(3600)).await;
    ///     ctx.continue_as_new(&now)
    /// }
    /// ```
    ///
    /// What was done so far counts as completed, and is not undone any more.
    /// Events that came and that nobody waited for are kept. An orchestrator
    /// that does not return a `Result` calls this, drops what it gives, and
    /// returns anything. The last call before it returns is the one that
    /// counts.
    ///
    /// # Errors
    ///
    /// What it gives is always an `Err`, so that it fits any result: for the
    /// host it is none. An error type of your own has to keep it as it is on
    /// its way back to a [`Failure`], as `Box<dyn Error>` does. Only if the input cannot be written as JSON, it is the
    /// failure `bad-input`, and the orchestration fails with it.
    pub fn continue_as_new<T>(&self, input: &(impl Serialize + ?Sized)) -> Result<T, Failure> {
        self.again(input, true)
    }

    /// As [`continue_as_new`](Self::continue_as_new), but drops the events that
    /// came and that nobody waited for.
    ///
    /// # Errors
    ///
    /// As [`continue_as_new`](Self::continue_as_new).
    pub fn continue_as_new_dropping_events<T>(
        &self,
        input: &(impl Serialize + ?Sized),
    ) -> Result<T, Failure> {
        self.again(input, false)
    }

    fn again<T>(&self, input: &(impl Serialize + ?Sized), keep_events: bool) -> Result<T, Failure> {
        let input = json::encode(input, "bad-input", "the input to begin anew with")?;
        host::continue_as_new(&input, keep_events);
        self.tasks.continued.set(true);
        Err(Failure::continued())
    }

    /// Makes an HTTP request as a step of this saga: journaled, retried, and
    /// undone if the call says how. It may go where the manifest lets this
    /// orchestrator's requests go. A URL alone is a GET.
    ///
    /// ```
    /// # use sagahost::{Failure, HttpRequest, OrchestratorContext, RetryPolicy};
    /// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
    /// let answer = ctx
    ///     .http(HttpRequest::post("https://stock.example/reserve").json(&("book", 2)))
    ///     .retry(RetryPolicy::attempts(5))
    ///     .compensate_with("FreeStock")
    ///     .await?
    ///     .error_for_status()?;
    /// let number: u64 = answer.json()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Each attempt carries the step's idempotency key in the header
    /// `idempotency-key`. An answer of 202 with a `location` is followed there
    /// until there is another one; [`HttpRequest::poll`] turns that off.
    pub fn http(&self, request: impl Into<HttpRequest>) -> HttpCall {
        HttpCall::new(&self.tasks, request.into())
    }

    /// An entity: the one of this name with this key.
    #[must_use]
    pub fn entity(&self, name: impl Into<String>, key: impl Into<String>) -> EntityHandle {
        EntityHandle::new(&self.tasks, EntityId::new(name, key))
    }

    /// Locks entities, all of them together: from then on only the calls and
    /// signals of this orchestration run there. Who asked first is served
    /// first.
    ///
    /// ```
    /// # use sagahost::{Failure, OrchestratorContext};
    /// # async fn f(ctx: OrchestratorContext) -> Result<(), Failure> {
    /// let (from, to) = (ctx.entity("Account", "ada"), ctx.entity("Account", "bob"));
    /// let guard = ctx.lock([&from, &to]).await?;
    /// if from.call::<u64>("get", &()).await? >= 5 {
    ///     from.call::<()>("take", &5).await?;
    ///     to.call::<()>("put", &5).await?;
    /// }
    /// guard.unlock();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// While it holds locks, an orchestrator cannot ask for more, call an
    /// entity it has not locked or wait for a child: such a call fails with
    /// `host.locks-held`, because it could wait for ever. To drop the guard
    /// does not unlock; see [`LockGuard`](crate::LockGuard).
    pub fn lock<E: Into<EntityId>>(&self, entities: impl IntoIterator<Item = E>) -> Lock {
        Lock::new(&self.tasks, entities.into_iter().map(Into::into))
    }

    /// Opens a part of this saga that can be undone by itself.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::open(&self.tasks, 0)
    }

    /// Undoes all that this saga has done so far; see [`Scope::compensate`].
    pub fn compensate(&self) -> Compensate {
        Compensate::new(&self.tasks, 0)
    }

    /// Lets the saga be undone all at the same time; see
    /// [`Scope::undo_in_parallel`].
    pub fn undo_in_parallel(&self) {
        host::undo_in_parallel(0);
    }

    /// Starts a durable timer that fires after this time, counted from
    /// [`now`](Self::now). It fires even if the host was down when it was due.
    pub fn timer(&self, duration: Duration) -> Timer {
        self.timer_until(self.now() + duration)
    }

    /// Starts a durable timer that fires at this time; one in the past fires
    /// at once.
    pub fn timer_until(&self, time: Timestamp) -> Timer {
        Timer::new(&self.tasks, time.as_millis())
    }

    /// Waits, from now on, for an external event of this name. Events are kept
    /// in order until somebody waits for them, and each is delivered once. To
    /// drop the task before the event came cancels the wait, and
    /// [`EventTask::timeout`] sets it a limit.
    pub fn event<T: DeserializeOwned>(&self, name: &str) -> EventTask<T> {
        EventTask::new(&self.tasks, name)
    }

    /// The orchestration's time: the same on every replay. It goes on when
    /// something that was awaited completes.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(host::now_ms())
    }

    /// A UUID that is the same on every replay and in no other instance.
    #[must_use]
    pub fn new_uuid(&self) -> Uuid {
        let text = host::new_uuid();
        match Uuid::parse_str(&text) {
            Ok(uuid) => uuid,
            Err(error) => panic!("the host made a UUID that is none, {text:?}: {error}"),
        }
    }

    /// Random bits that are the same on every replay.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        host::random_u64()
    }

    /// The id of this instance.
    #[must_use]
    pub fn instance_id(&self) -> String {
        host::instance_id()
    }

    /// The version that was asked for at the start.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        host::version()
    }

    /// The tags that were given at the start.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        host::tags().into_iter().collect()
    }

    /// Whether what runs now ran before, and is only being rebuilt. Logs are
    /// silent then by themselves; nothing else should depend on it.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        host::is_replaying()
    }

    /// Sets the status that people and programs see beside the runtime status.
    ///
    /// # Panics
    ///
    /// If the status cannot be written as JSON.
    pub fn set_custom_status(&self, status: &(impl Serialize + ?Sized)) {
        match json::encode(status, "bad-status", "the custom status") {
            Ok(status) => host::set_custom_status(&status),
            Err(failure) => panic!("{}", failure.message),
        }
    }

    /// Writes a line to the instance's log; silent while replaying.
    /// [`info!`](crate::info) and its siblings format one.
    pub fn log(&self, level: LogLevel, line: impl fmt::Display) {
        host::log(level, &line.to_string());
    }

    /// Writes a debug line to the instance's log.
    pub fn log_debug(&self, line: impl fmt::Display) {
        self.log(LogLevel::Debug, line);
    }

    /// Writes a line to the instance's log.
    pub fn log_info(&self, line: impl fmt::Display) {
        self.log(LogLevel::Info, line);
    }

    /// Writes a warning to the instance's log.
    pub fn log_warn(&self, line: impl fmt::Display) {
        self.log(LogLevel::Warn, line);
    }

    /// Writes an error to the instance's log.
    pub fn log_error(&self, line: impl fmt::Display) {
        self.log(LogLevel::Error, line);
    }
}

impl fmt::Debug for OrchestratorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrchestratorContext")
    }
}
