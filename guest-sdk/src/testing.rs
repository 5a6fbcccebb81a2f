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
//! Activities complete in the order in which they were scheduled; when there
//! is none left, time jumps to the next timer.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::sagahost::saga::types::CallOptions;
use crate::executor::{self, Outcome};
use crate::host::Host;
use crate::{ActivityContext, Failure, LogLevel, OrchestratorContext, activity, json, registry};

/// A host in memory.
#[derive(Default)]
pub struct TestHost {
    state: Rc<State>,
}

/// What an orchestrator asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// A call of an activity.
    #[non_exhaustive]
    Activity {
        /// The activity.
        name: String,
        /// Its input.
        input: Value,
        /// The attempts the call's retry policy allows, if it has one.
        max_attempts: Option<u32>,
        /// The call's timeout in milliseconds, if it has one.
        timeout_ms: Option<u64>,
    },
    /// A timer.
    Timer {
        /// When it fires, in milliseconds since 1970.
        fire_at_ms: u64,
    },
    /// A wait for an event.
    Event {
        /// The event.
        name: String,
    },
    /// A timer, or a wait for an event, was given up.
    Cancel {
        /// The number of the task, counted from 0 over all requests but
        /// these.
        task: u32,
    },
}

type Fake = Box<dyn FnMut(&str) -> Outcome>;

struct State {
    activities: RefCell<HashMap<String, Fake>>,
    events: RefCell<HashMap<String, VecDeque<String>>>,
    requests: RefCell<Vec<Request>>,
    log: RefCell<Vec<(LogLevel, String)>>,
    status: RefCell<Option<Value>>,
    next_task: Cell<u32>,
    scheduled: RefCell<VecDeque<(u32, String, String)>>,
    timers: RefCell<BTreeSet<(u64, u32)>>,
    waits: RefCell<VecDeque<(u32, String)>>,
    now_ms: Cell<u64>,
    drawn: Cell<u64>,
    attempt: Cell<u32>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            activities: RefCell::default(),
            events: RefCell::default(),
            requests: RefCell::default(),
            log: RefCell::default(),
            status: RefCell::default(),
            next_task: Cell::new(0),
            scheduled: RefCell::default(),
            timers: RefCell::default(),
            waits: RefCell::default(),
            now_ms: Cell::new(1_700_000_000_000),
            drawn: Cell::new(0),
            attempt: Cell::new(1),
        }
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

impl TestHost {
    /// A host without any activities or events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What an activity is to do. It takes the place of the one of this name
    /// that was there.
    pub fn activity<I: DeserializeOwned, O: Serialize>(
        &self,
        name: &str,
        mut fake: impl FnMut(I) -> Result<O, Failure> + 'static,
    ) {
        let fake = move |input: &str| {
            let input =
                json::decode(input).map_err(|error| Failure::permanent("bad-input", error))?;
            json::encode(&fake(input)?, "bad-output", "the output")
        };
        self.state.activities.borrow_mut().insert(name.to_owned(), Box::new(fake));
    }

    /// Raises an event, before the orchestrator or from within an activity.
    ///
    /// # Panics
    ///
    /// If the payload cannot be written as JSON.
    pub fn raise(&self, name: &str, payload: &(impl Serialize + ?Sized)) {
        let payload = json::encode(payload, "bad-event", "the payload")
            .expect("the payload of an event is JSON");
        self.state.events.borrow_mut().entry(name.to_owned()).or_default().push_back(payload);
    }

    /// Runs an orchestrator.
    ///
    /// # Panics
    ///
    /// If the orchestrator does, or if it waits for something that does not
    /// come.
    pub fn run<F: Future>(&self, orchestrator: impl FnOnce(OrchestratorContext) -> F) -> F::Output {
        let _restore = self.enter();
        let context = OrchestratorContext::new();
        let tasks = context.tasks().clone();
        executor::run(&tasks, orchestrator(context))
    }

    /// Runs an activity: its first attempt.
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
        let _restore = self.enter();
        self.state.attempt.set(attempt);
        activity::block_on(activity(ActivityContext::new()))
    }

    /// Runs a function of this crate by its name, as the host does: with JSON
    /// in and out.
    ///
    /// # Errors
    ///
    /// The function's failure; `bad-input` if the input does not fit;
    /// `host.not-found` if there is no such function.
    pub fn run_by_name(&self, name: &str, input: &str) -> Result<String, Failure> {
        let _restore = self.enter();
        match registry::is_activity(name) {
            Some(false) => registry::run_orchestrator(name, input.to_owned()),
            _ => registry::run_activity(name, input.to_owned()),
        }
    }

    /// What the orchestrator asked for, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.borrow().clone()
    }

    /// What was logged.
    #[must_use]
    pub fn log(&self) -> Vec<(LogLevel, String)> {
        self.state.log.borrow().clone()
    }

    /// The last custom status.
    #[must_use]
    pub fn custom_status(&self) -> Option<Value> {
        self.state.status.borrow().clone()
    }

    fn enter(&self) -> Restore {
        let state: Rc<dyn Host> = self.state.clone();
        Restore(CURRENT.replace(Some(state)))
    }
}

impl State {
    fn request(&self, request: Request) -> u32 {
        self.requests.borrow_mut().push(request);
        self.next_task.replace(self.next_task.get() + 1)
    }

    fn draw(&self) -> u64 {
        self.drawn.set(self.drawn.get() + 1);
        self.drawn.get()
    }

    /// The first wait whose event is there.
    fn take_event(&self) -> Option<(u32, Outcome)> {
        let mut events = self.events.borrow_mut();
        let mut waits = self.waits.borrow_mut();
        let there =
            |(_, name): &(u32, String)| events.get(name).is_some_and(|queue| !queue.is_empty());
        let (task, name) = waits.iter().position(there).and_then(|index| waits.remove(index))?;
        let payload = events.get_mut(&name).and_then(VecDeque::pop_front)?;
        Some((task, Ok(payload)))
    }

    fn run_activity(&self) -> Option<(u32, Outcome)> {
        let (task, name, input) = self.scheduled.borrow_mut().pop_front()?;
        let fake = self.activities.borrow_mut().remove(&name);
        let Some(mut fake) = fake else {
            let failure =
                Failure::permanent("host.not-found", format!("the test has no activity {name:?}"));
            return Some((task, Err(failure)));
        };
        let outcome = fake(&input);
        self.activities.borrow_mut().entry(name).or_insert(fake);
        Some((task, outcome))
    }

    fn fire(&self) -> Option<(u32, Outcome)> {
        let (time, task) = self.timers.borrow_mut().pop_first()?;
        self.now_ms.set(self.now_ms.get().max(time));
        Some((task, Ok("null".to_owned())))
    }
}

impl Host for State {
    fn call_activity(&self, name: &str, input: &str, options: &CallOptions) -> u32 {
        let task = self.request(Request::Activity {
            name: name.to_owned(),
            input: serde_json::from_str(input).unwrap_or_default(),
            max_attempts: options.retry.as_ref().map(|retry| retry.max_attempts),
            timeout_ms: options.timeout_ms,
        });
        self.scheduled.borrow_mut().push_back((task, name.to_owned(), input.to_owned()));
        task
    }

    fn start_timer(&self, fire_at_ms: u64) -> u32 {
        let task = self.request(Request::Timer { fire_at_ms });
        self.timers.borrow_mut().insert((fire_at_ms, task));
        task
    }

    fn wait_event(&self, name: &str) -> u32 {
        let task = self.request(Request::Event { name: name.to_owned() });
        self.waits.borrow_mut().push_back((task, name.to_owned()));
        task
    }

    fn cancel(&self, task: u32) {
        self.requests.borrow_mut().push(Request::Cancel { task });
        self.timers.borrow_mut().retain(|(_, timer)| *timer != task);
        self.waits.borrow_mut().retain(|(wait, _)| *wait != task);
    }

    fn await_any(&self) -> (u32, Outcome) {
        self.take_event().or_else(|| self.run_activity()).or_else(|| self.fire()).unwrap_or_else(
            || panic!("the orchestrator waits for what does not come: {:?}", self.waits.borrow()),
        )
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn new_uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.draw())
    }

    fn random_u64(&self) -> u64 {
        self.draw().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn instance_id(&self) -> String {
        "test".to_owned()
    }

    fn is_replaying(&self) -> bool {
        false
    }

    fn set_custom_status(&self, status: &str) {
        self.status.replace(serde_json::from_str(status).ok());
    }

    fn log(&self, level: LogLevel, line: &str) {
        self.log.borrow_mut().push((level, line.to_owned()));
    }

    fn activity_instance_id(&self) -> String {
        self.instance_id()
    }

    fn step(&self) -> u32 {
        0
    }

    fn attempt(&self) -> u32 {
        self.attempt.get()
    }

    fn idempotency_key(&self) -> String {
        "test/0".to_owned()
    }

    fn deadline_ms(&self) -> u64 {
        self.now_ms.get() + 60_000
    }

    fn trace_parent(&self) -> String {
        String::new()
    }

    fn is_undo(&self) -> bool {
        false
    }

    fn activity_log(&self, level: LogLevel, line: &str) {
        self.log(level, line);
    }
}
