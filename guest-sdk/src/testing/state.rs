//! An orchestration of the host in memory: what it has asked for, what is
//! under way, and what comes next.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use serde_json::Value;

use super::request::{Request, value};
use super::saga::{Ready, Saga, became};
use super::world::{Invocation, PATIENCE, World};
use super::{Restore, enter};
use crate::bindings::sagahost::saga::types::{
    CallOptions, StepOptions, StepOutcome, UndoChoice, UndoneStep,
};
use crate::executor::Outcome;
use crate::host::Host;
use crate::{Failure, LogLevel, registry};

/// An orchestration.
pub(super) struct Instance {
    pub(super) world: Rc<World>,
    pub(super) id: String,
    pub(super) requests: RefCell<Vec<Request>>,
    pub(super) status: RefCell<Option<Value>>,
    pub(super) saga: RefCell<Saga>,
    next_task: Cell<u32>,
    /// Counts the waits: what was scheduled since the last one has not begun.
    turn: Cell<u32>,
    /// What is complete, and nobody was told.
    complete: RefCell<VecDeque<(u32, Outcome)>>,
    scheduled: RefCell<VecDeque<Scheduled>>,
    timers: RefCell<BTreeSet<(u64, u32)>>,
    waits: RefCell<VecDeque<(u32, String)>>,
}

/// What is to run.
struct Scheduled {
    task: u32,
    scope: u32,
    turn: u32,
    work: Work,
}

enum Work {
    Activity {
        name: String,
        input: String,
        pivot: bool,
    },
    Child {
        name: String,
        input: String,
        pivot: bool,
        by_hand: bool,
    },
    /// The undo of the scope.
    Undo,
}

impl Work {
    fn is_pivot(&self) -> bool {
        matches!(self, Work::Activity { pivot: true, .. } | Work::Child { pivot: true, .. })
    }
}

impl Instance {
    /// The first orchestration of a world of its own.
    pub(super) fn first() -> Self {
        Self::new(Rc::new(World::new()), "test".to_owned())
    }

    fn new(world: Rc<World>, id: String) -> Self {
        Self {
            world,
            id,
            requests: RefCell::default(),
            status: RefCell::default(),
            saga: RefCell::default(),
            next_task: Cell::new(0),
            turn: Cell::new(0),
            complete: RefCell::default(),
            scheduled: RefCell::default(),
            timers: RefCell::default(),
            waits: RefCell::default(),
        }
    }

    /// The idempotency key of a step.
    pub(super) fn key(&self, task: u32) -> String {
        format!("{}/{task}", self.id)
    }

    /// Drops all that is open.
    pub(super) fn clear(&self) {
        self.complete.take();
        self.scheduled.take();
        self.timers.take();
        self.waits.take();
    }

    fn request(&self, request: Request) -> u32 {
        self.requests.borrow_mut().push(request);
        self.next_task.replace(self.next_task.get() + 1)
    }

    /// Schedules a step, if its undo lets it begin.
    fn schedule(&self, task: u32, name: &str, input: &str, options: &StepOptions, child: bool) {
        if let Err(failure) = self.arm(task, child, name, input, options) {
            self.complete.borrow_mut().push_back((task, Err(failure)));
            return;
        }
        let (name, input, pivot) = (name.to_owned(), input.to_owned(), options.pivot);
        let by_hand = matches!(options.undo, UndoChoice::ByHand);
        let work = match child {
            true => Work::Child { name, input, pivot, by_hand },
            false => Work::Activity { name, input, pivot },
        };
        self.push(task, options.scope, work);
    }

    fn push(&self, task: u32, scope: u32, work: Work) {
        let turn = self.turn.get();
        self.scheduled.borrow_mut().push_back(Scheduled { task, scope, turn, work });
    }

    /// What must not be under way when the orchestrator returns, and is: in
    /// words.
    pub(super) fn left_open(&self) -> Option<String> {
        let past_pivot = self.saga.borrow().past_pivot();
        let scheduled = self.scheduled.borrow();
        let open = scheduled.iter().find(|scheduled| match &scheduled.work {
            Work::Activity { pivot, .. } => past_pivot || *pivot || self.is_armed(scheduled.task),
            Work::Child { by_hand, .. } => !by_hand,
            Work::Undo => true,
        })?;
        let what = match &open.work {
            Work::Activity { name, .. } | Work::Child { name, .. } => {
                format!("step {} ({name})", open.task)
            }
            Work::Undo => format!("the undo that it asked for (task {})", open.task),
        };
        Some(format!("returned while {what} was not complete"))
    }

    /// Ends the steps of a scope that are under way. A pivot is not ended.
    pub(super) fn stop(&self, scope: u32) {
        let (ended, left) = {
            let saga = self.saga.borrow();
            self.scheduled.take().into_iter().partition::<VecDeque<_>, _>(|scheduled| {
                let stops = !matches!(scheduled.work, Work::Undo) && !scheduled.work.is_pivot();
                stops && saga.within(scheduled.scope, scope)
            })
        };
        self.scheduled.replace(left);
        for Scheduled { task, turn, work, .. } in ended {
            let outcome = Err(match turn == self.turn.get() {
                true => {
                    Failure::permanent("host.not-started", "it was to be undone before it began")
                }
                false => Failure::permanent("host.cancelled", "it was to be undone while it ran"),
            });
            // A child that is ended undoes what it did.
            let became = match work {
                Work::Child { .. } => StepOutcome::Failed,
                _ => became(&outcome),
            };
            self.ended(task, &outcome, became, Vec::new());
            self.complete.borrow_mut().push_back((task, outcome));
        }
    }

    /// The first wait whose event is there.
    fn take_event(&self) -> Option<(u32, Outcome)> {
        let mut events = self.world.events.borrow_mut();
        let mut waits = self.waits.borrow_mut();
        let there =
            |(_, name): &(u32, String)| events.get(name).is_some_and(|queue| !queue.is_empty());
        let (task, name) = waits.iter().position(there).and_then(|index| waits.remove(index))?;
        let payload = events.get_mut(&name).and_then(VecDeque::pop_front)?;
        Some((task, Ok(payload)))
    }

    pub(super) fn run_next(&self) -> Option<(u32, Outcome)> {
        let Scheduled { task, scope, work, .. } = self.scheduled.borrow_mut().pop_front()?;
        let outcome = match work {
            Work::Undo => {
                self.world.undo(self.take_undos(scope, task));
                Ok("null".to_owned())
            }
            Work::Activity { name, input, pivot } => {
                let outcome = self.run_activity(task, &name, &input, pivot);
                self.ended(task, &outcome, became(&outcome), Vec::new());
                self.pass(pivot, outcome)
            }
            Work::Child { name, input, pivot, .. } => {
                let (outcome, handed) = self.run_child(task, &name, &input);
                // One that failed has undone what it did.
                let became = match &outcome {
                    Ok(_) => StepOutcome::Completed,
                    Err(_) => StepOutcome::Failed,
                };
                self.ended(task, &outcome, became, handed);
                self.pass(pivot, outcome)
            }
        };
        Some((task, outcome))
    }

    fn pass(&self, pivot: bool, outcome: Outcome) -> Outcome {
        if pivot && outcome.is_ok() {
            self.pass_pivot();
        }
        outcome
    }

    /// Runs an activity: one attempt, but past the pivot as many as it takes,
    /// and so of a pivot of which nobody knows whether it is passed.
    fn run_activity(&self, task: u32, name: &str, input: &str, pivot: bool) -> Outcome {
        for attempt in 1.. {
            let invocation = Invocation {
                instance: self.id.clone(),
                step: task,
                attempt,
                key: self.key(task),
                undone: None,
            };
            let outcome = self.world.attempt(name, input, invocation);
            let Err(failure) = &outcome else { return outcome };
            let may_be_passed = pivot && became(&outcome) == StepOutcome::Unknown;
            if !self.saga.borrow().past_pivot() && !may_be_passed {
                return outcome;
            }
            assert!(
                failure.retryable && attempt < PATIENCE,
                "the saga is stuck: step {task} ({name}), with which it can only go forward, failed in attempt \
                 {attempt}: {failure}; a host waits here until a person sees to it"
            );
        }
        unreachable!("the loop returns")
    }

    /// Runs a child, and gives what it hands over to be undone.
    fn run_child(&self, task: u32, name: &str, input: &str) -> (Outcome, Vec<Ready>) {
        let fake = self.world.orchestrators.borrow_mut().remove(name);
        if let Some(mut fake) = fake {
            let outcome = fake(input);
            self.world.orchestrators.borrow_mut().entry(name.to_owned()).or_insert(fake);
            return (outcome, Vec::new());
        }
        if registry::is_activity(name) != Some(false) {
            let message =
                format!("neither the test nor this crate has an orchestrator named {name:?}");
            return (Err(Failure::permanent("host.not-found", message)), Vec::new());
        }
        let child = Rc::new(Self::new(self.world.clone(), format!("{}:{task:04x}", self.id)));
        let _restore: Restore = enter(child.clone());
        let outcome = registry::run_orchestrator(name, input.to_owned());
        match child.end(outcome.is_ok()) {
            (_, Some(failure)) => (Err(failure), Vec::new()),
            (handed, None) => (outcome, handed),
        }
    }

    fn fire(&self) -> Option<(u32, Outcome)> {
        let (time, task) = self.timers.borrow_mut().pop_first()?;
        self.world.now_ms.set(self.world.now_ms.get().max(time));
        Some((task, Ok("null".to_owned())))
    }
}

impl Host for Instance {
    fn call_activity(&self, name: &str, input: &str, options: &CallOptions) -> u32 {
        let call = options.clone();
        let options = StepOptions { call, undo: UndoChoice::Declared, scope: 0, pivot: false };
        self.call_step(name, input, &options)
    }

    fn call_step(&self, name: &str, input: &str, options: &StepOptions) -> u32 {
        let task = self.request(Request::activity(name, input, options));
        self.schedule(task, name, input, options, false);
        task
    }

    fn call_orchestrator(&self, name: &str, input: &str, options: &StepOptions) -> u32 {
        let task = self.request(Request::orchestrator(name, input, options));
        self.schedule(task, name, input, options, true);
        task
    }

    fn open_scope(&self, parent: u32) -> u32 {
        self.requests.borrow_mut().push(Request::Scope { parent });
        self.saga.borrow_mut().open(parent)
    }

    fn undo_in_parallel(&self, scope: u32) {
        self.requests.borrow_mut().push(Request::UndoInParallel { scope });
    }

    fn compensate(&self, scope: u32) -> u32 {
        let task = self.request(Request::Compensate { scope });
        if !self.saga.borrow().past_pivot() {
            self.stop(scope);
        }
        self.push(task, scope, Work::Undo);
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
        self.turn.set(self.turn.get() + 1);
        let complete = self.complete.borrow_mut().pop_front();
        let next = complete.or_else(|| self.take_event()).or_else(|| self.run_next());
        next.or_else(|| self.fire()).unwrap_or_else(|| {
            panic!("the orchestrator waits for what does not come: {:?}", self.waits.borrow())
        })
    }

    fn now_ms(&self) -> u64 {
        self.world.now_ms.get()
    }

    fn new_uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.world.draw())
    }

    fn random_u64(&self) -> u64 {
        self.world.draw().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn instance_id(&self) -> String {
        self.id.clone()
    }

    fn is_replaying(&self) -> bool {
        false
    }

    fn set_custom_status(&self, status: &str) {
        self.status.replace(Some(value(status)));
    }

    fn log(&self, level: LogLevel, line: &str) {
        self.world.log.borrow_mut().push((level, line.to_owned()));
    }

    fn activity_instance_id(&self) -> String {
        self.world.invocation.borrow().instance.clone()
    }

    fn step(&self) -> u32 {
        self.world.invocation.borrow().step
    }

    fn attempt(&self) -> u32 {
        self.world.invocation.borrow().attempt
    }

    fn idempotency_key(&self) -> String {
        self.world.invocation.borrow().key.clone()
    }

    fn deadline_ms(&self) -> u64 {
        self.now_ms() + 60_000
    }

    fn trace_parent(&self) -> String {
        String::new()
    }

    fn is_undo(&self) -> bool {
        self.world.invocation.borrow().undone.is_some()
    }

    fn undone(&self) -> Option<UndoneStep> {
        self.world.invocation.borrow().undone.clone()
    }

    fn activity_log(&self, level: LogLevel, line: &str) {
        self.log(level, line);
    }
}
