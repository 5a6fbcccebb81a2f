//! An orchestration of the host in memory: what it has asked for, what is
//! under way, and what comes next.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use serde_json::Value;

use super::request::Request;
use super::saga::{Ready, Saga, became};
use super::world::{Invocation, Message, PATIENCE, World};
use super::{Restore, enter};
use crate::bindings::sagahost::saga::types::{ChildOptions, StepOptions, StepOutcome, UndoChoice};
use crate::executor::Outcome;
use crate::{EntityId, Failure, registry};

/// How often an orchestrator may continue as new, before a test gives up on it.
const ROUNDS: u32 = 100_000;

/// An orchestration.
pub(super) struct Instance {
    pub(super) world: Rc<World>,
    pub(super) id: String,
    pub(super) requests: RefCell<Vec<Request>>,
    pub(super) status: RefCell<Option<Value>>,
    pub(super) saga: RefCell<Saga>,
    next_task: Cell<u32>,
    /// Counts the waits: what was scheduled since the last one has not begun.
    pub(super) turn: Cell<u32>,
    /// What is complete, and nobody was told.
    pub(super) complete: RefCell<VecDeque<(u32, Outcome)>>,
    scheduled: RefCell<VecDeque<Scheduled>>,
    pub(super) timers: RefCell<BTreeSet<(u64, u32)>>,
    pub(super) waits: RefCell<VecDeque<(u32, String)>>,
    pub(super) version: RefCell<Option<String>>,
    pub(super) tags: RefCell<BTreeMap<String, String>>,
    /// What its children were given beside their input, by task.
    pub(super) children: RefCell<BTreeMap<u32, ChildOptions>>,
    /// The entities that it has locked.
    pub(super) locked: RefCell<Option<BTreeSet<EntityId>>>,
    /// What it is to begin anew with, and whether events are kept.
    pub(super) continued: RefCell<Option<(String, bool)>>,
    /// Counts the orchestrations that it started and left alone.
    pub(super) started: Cell<u32>,
}

/// What is to run.
struct Scheduled {
    task: u32,
    scope: u32,
    turn: u32,
    work: Work,
}

pub(super) enum Work {
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
    /// An operation of an entity. A signal is no task.
    Operation {
        message: Message,
        signal: bool,
    },
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
            version: RefCell::default(),
            tags: RefCell::default(),
            children: RefCell::default(),
            locked: RefCell::default(),
            continued: RefCell::default(),
            started: Cell::new(0),
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

    pub(super) fn request(&self, request: Request) -> u32 {
        self.requests.borrow_mut().push(request);
        self.next_task.replace(self.next_task.get() + 1)
    }

    /// Ends a task at once with this.
    pub(super) fn refuse(&self, task: u32, code: &str, message: &str) {
        let failure = Failure::permanent(code, message);
        self.complete.borrow_mut().push_back((task, Err(failure)));
    }

    /// Schedules a step, if its undo lets it begin.
    pub(super) fn schedule(
        &self,
        task: u32,
        name: &str,
        input: &str,
        options: &StepOptions,
        child: bool,
    ) {
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

    pub(super) fn push(&self, task: u32, scope: u32, work: Work) {
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
            Work::Operation { .. } => false,
        })?;
        let what = match &open.work {
            Work::Activity { name, .. } | Work::Child { name, .. } => {
                format!("step {} ({name})", open.task)
            }
            Work::Undo | Work::Operation { .. } => {
                format!("the undo that it asked for (task {})", open.task)
            }
        };
        Some(format!("returned while {what} was not complete"))
    }

    /// Ends the steps of a scope that are under way. A pivot is not ended.
    pub(super) fn stop(&self, scope: u32) {
        let (ended, left) = {
            let saga = self.saga.borrow();
            self.scheduled.take().into_iter().partition::<VecDeque<_>, _>(|scheduled| {
                let step = matches!(scheduled.work, Work::Activity { .. } | Work::Child { .. });
                let stops = step && !scheduled.work.is_pivot();
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
    pub(super) fn take_event(&self) -> Option<(u32, Outcome)> {
        let mut events = self.world.events.borrow_mut();
        let mut waits = self.waits.borrow_mut();
        let there =
            |(_, name): &(u32, String)| events.get(name).is_some_and(|queue| !queue.is_empty());
        let (task, name) = waits.iter().position(there).and_then(|index| waits.remove(index))?;
        let payload = events.get_mut(&name).and_then(VecDeque::pop_front)?;
        Some((task, Ok(payload)))
    }

    /// Runs what was scheduled first, if anything is. What is no task gives
    /// nothing to tell.
    pub(super) fn run_next(&self) -> Option<Option<(u32, Outcome)>> {
        let Scheduled { task, scope, work, .. } = self.scheduled.borrow_mut().pop_front()?;
        let outcome = match work {
            Work::Undo => {
                self.world.undo(self.take_undos(scope, task));
                Ok("null".to_owned())
            }
            Work::Operation { message, signal } => {
                let outcome = self.world.operate(message);
                if signal {
                    return Some(None);
                }
                outcome
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
        Some(Some((task, outcome)))
    }

    /// Lets the entities do what they were asked to, although nobody waits any
    /// more: what is sent is delivered.
    pub(super) fn deliver(&self) {
        let (operations, left) = self
            .scheduled
            .take()
            .into_iter()
            .partition::<VecDeque<_>, _>(|it| matches!(it.work, Work::Operation { .. }));
        self.scheduled.replace(operations);
        while self.run_next().is_some() {}
        self.scheduled.replace(left);
        while self.world.operate_later(u64::MAX) {}
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
        if !registry::has("orchestrator", name) {
            let message =
                format!("neither the test nor this crate has an orchestrator named {name:?}");
            return (Err(Failure::permanent("host.not-found", message)), Vec::new());
        }
        let options = self.children.borrow_mut().remove(&task);
        let options = options.map(|options| (options.id, options.version, options.tags));
        let (id, version, tags) = options.unwrap_or_default();
        let id = id.unwrap_or_else(|| format!("{}:{task:04x}", self.id));
        let child = Rc::new(Self::new(self.world.clone(), id));
        child.version.replace(version.or_else(|| self.version.borrow().clone()));
        child.tags.replace(tags.into_iter().collect());
        let _restore: Restore = enter(child.clone());
        child.run_to_its_end(name, input)
    }

    /// Runs an orchestrator of this crate, and again each time it continues as
    /// new. Gives what it hands over to be undone.
    pub(super) fn run_to_its_end(&self, name: &str, input: &str) -> (Outcome, Vec<Ready>) {
        let mut input = input.to_owned();
        for _ in 0..ROUNDS {
            let outcome = registry::run_orchestrator(name, input);
            let continued = self.continued.take().filter(|_| outcome.is_ok());
            match (self.end(outcome.is_ok()), continued) {
                ((_, Some(failure)), _) => return (Err(failure), Vec::new()),
                ((handed, None), None) => return (outcome, handed),
                ((_, None), Some((again, keep_events))) => {
                    if !keep_events {
                        self.world.events.take();
                    }
                    self.next_task.set(0);
                    self.turn.set(0);
                    input = again;
                }
            }
        }
        panic!("{name} continued as new {ROUNDS} times; an orchestrator of a test has to end");
    }

    /// Lets time go on to what is due first. What is no task gives nothing to
    /// tell.
    pub(super) fn fire(&self) -> Option<Option<(u32, Outcome)>> {
        let next = self.timers.borrow().first().copied();
        if self.world.operate_later(next.map_or(u64::MAX, |(time, _)| time)) {
            return Some(None);
        }
        let (time, task) = self.timers.borrow_mut().pop_first()?;
        self.world.now_ms.set(self.world.now_ms.get().max(time));
        Some(Some((task, Ok("null".to_owned()))))
    }
}
