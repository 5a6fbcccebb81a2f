//! Goes through everything that can happen to a saga, in every order.
//!
//! Two stories that lead to the same state are one from there on: the state
//! is known by the model, whose order-free parts make it so. Where a state is
//! reached a second time, what can be seen of the core has to be the same.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use sagahost_core::*;

use super::check::{check_attempt, check_end, check_state};
use super::model::{Effect, Model};
use super::{Op, World, json, returned, started, trap};

/// How an attempt, or a child, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Ok,
    /// It says that it did nothing, and that another attempt is of no use.
    Refused,
    /// It says that it did nothing, this time.
    Busy,
    /// Nobody knows what it did; another attempt may tell.
    Trap,
    /// Nobody knows what it did, and another attempt is of no use.
    BadOutput,
    /// It was told to end.
    Cancelled,
}

impl How {
    fn outcome(self) -> Result<Json, Failure> {
        match self {
            How::Ok => Ok(json("done")),
            How::Refused => Err(returned(false)),
            How::Busy => Err(returned(true)),
            How::Trap => Err(trap()),
            How::BadOutput => Err(Failure::host(FailureKind::BadOutput, "no JSON")),
            How::Cancelled => Err(Failure::host(FailureKind::Cancelled, "told to end")),
        }
    }

    /// What is true of the world after it.
    fn effect(self) -> Effect {
        match self {
            How::Ok => Effect::Applied,
            How::Refused | How::Busy => Effect::None,
            How::Trap | How::BadOutput | How::Cancelled => Effect::Maybe,
        }
    }
}

/// Somebody who wants an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    Cancel,
    TerminateAndUndo,
    Terminate,
    HandOver,
    Deadline,
}

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    End(Work, How),
    /// A child ends, and hands over undos with these stages.
    Child(TaskId, How, &'static [u32]),
    Repair(UndoId, u8),
    Pass,
    Crash,
    Outside(Outside),
    Raise,
}

/// A saga, and what is tried with it.
#[derive(Clone, Debug)]
pub struct Saga {
    pub script: Vec<Op>,
    pub attempts: u32,
    pub undo_attempts: u32,
    pub outside: Vec<Outside>,
    /// How often the host may crash, and undos may fail, in one story.
    pub crashes: u8,
    pub undo_failures: u8,
    /// The last attempt of a step that may fail.
    pub failing: u32,
    pub events: u8,
    pub handed: Vec<&'static [u32]>,
}

pub const DEADLINE: Millis = 10_000_000;

impl Saga {
    pub fn new(script: Vec<Op>) -> Self {
        Saga {
            script,
            attempts: 1,
            undo_attempts: 0,
            outside: vec![Outside::Cancel],
            crashes: 1,
            undo_failures: 1,
            failing: 1,
            events: 0,
            handed: vec![&[]],
        }
    }

    /// In its first turn.
    pub fn start(&self) -> Node {
        let policy = |attempts, first: CallPolicy| CallPolicy {
            retry: RetryPolicy { max_attempts: attempts, ..first.retry },
            ..first
        };
        let mut started = started();
        let is_child = self.outside.contains(&Outside::HandOver);
        if is_child {
            let execution = "f".repeat(32);
            started.parent = Some(Parent { id: "parent".into(), execution, task: 0, attempt: 1 });
        }
        if self.outside.contains(&Outside::Deadline) {
            started.deadline = Some(DEADLINE);
        }
        let forward = policy(self.attempts, CallPolicy::default());
        let mut world = World::idle(self.script.clone(), forward, started);
        world.undo_policy = policy(self.undo_attempts, super::for_ever());
        let mut node = Node {
            world,
            model: Model::new(is_child),
            crashes: self.crashes,
            undo_failures: self.undo_failures,
            events: self.events,
            asked: false,
        };
        node.world.turn(None).expect("a start is not rejected");
        node.settle();
        node
    }
}

#[derive(Clone)]
pub struct Node {
    pub world: World,
    pub model: Model,
    crashes: u8,
    undo_failures: u8,
    events: u8,
    /// Whether somebody outside has asked for an end.
    asked: bool,
}

/// What was seen on the way.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub sagas: usize,
    pub states: usize,
    pub steps: usize,
    pub ends: BTreeMap<(String, String), usize>,
}

impl Seen {
    pub fn ended(&self) -> usize {
        self.ends.values().sum()
    }

    pub fn add(&mut self, other: Seen) {
        self.sagas += other.sagas;
        self.states += other.states;
        self.steps += other.steps;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
    }
}

/// Shows how a state was reached, when something is wrong there.
struct Shown<'a>(&'a Saga, &'a [Choice]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in {:#?}\nafter {:#?}", self.0.script, self.1);
        }
    }
}

/// Everything that can happen to a saga.
pub fn explore(saga: &Saga) -> Seen {
    let mut seen = Seen { sagas: 1, ..Seen::default() };
    let mut known: HashMap<u64, u64> = HashMap::new();
    let mut open = vec![{
        let _shown = Shown(saga, &[]);
        (saga.start(), Vec::new())
    }];
    while let Some((mut node, path)) = open.pop() {
        let _shown = Shown(saga, &path);
        let key = node.key();
        if let Some(before) = known.insert(key, node.observed()) {
            assert_eq!(before, node.observed(), "two ways to one state that is not the same");
            continue;
        }
        seen.states += 1;
        let reloaded = check_state(&node);
        if let Some(end) = node.model.ended {
            check_end(&node);
            let state = node.world.state().to_string();
            *seen.ends.entry((end.to_owned(), state)).or_default() += 1;
            continue;
        }
        // Every other state goes on from its journal.
        if key.is_multiple_of(2) {
            node.world = reloaded;
        }
        let choices = node.choices(saga);
        assert!(!choices.is_empty() || node.is_stuck_for_good(), "it hangs");
        for choice in choices {
            let mut path = path.clone();
            path.push(choice.clone());
            let mut next = node.clone();
            {
                let _shown = Shown(saga, &path);
                next.choose(&choice);
            }
            seen.steps += 1;
            open.push((next, path));
        }
    }
    seen
}

impl Node {
    /// All there is to know of the state, but for times.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.model.hash(&mut hasher);
        let mut out = self.world.out.clone();
        out.sort_unstable();
        out.hash(&mut hasher);
        self.world.children.hash(&mut hasher);
        (self.crashes, self.undo_failures, self.events, self.asked).hash(&mut hasher);
        hasher.finish()
    }

    /// What can be seen of the core, but for times.
    fn observed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let instance = self.world.instance();
        let state = |state: &UndoState| match state {
            UndoState::Retrying { attempt, .. } => format!("retrying {attempt}"),
            UndoState::Stuck { attempt, .. } => format!("stuck {attempt}"),
            other => format!("{other:?}"),
        };
        for undo in instance.undo_plan().into_iter().chain(instance.undone_steps()) {
            (undo.id, undo.stage, undo.runs, undo.undone.outcome, state(&undo.state))
                .hash(&mut hasher);
            (undo.function, undo.input.as_str(), undo.undone.key).hash(&mut hasher);
        }
        let mut running: Vec<_> =
            instance.running().into_iter().map(|out| (out.work, out.attempt)).collect();
        running.sort_unstable();
        let stuck: Vec<_> =
            instance.stuck().into_iter().map(|stuck| (stuck.step, stuck.attempts)).collect();
        (instance.status(), instance.saga_state(), running, stuck).hash(&mut hasher);
        (instance.wake_at().is_some(), instance.is_busy(), self.world.orchestration.may_run())
            .hash(&mut hasher);
        hasher.finish()
    }

    /// All that can happen next.
    pub fn choices(&self, saga: &Saga) -> Vec<Choice> {
        let mut choices = Vec::new();
        for out in &self.world.out {
            let ways: &[How] = match out.work {
                Work::Step(task) => {
                    let must = self.model.past_pivot || self.model.steps[&task].pivot;
                    match (out.stopping, out.attempt <= saga.failing) {
                        (true, _) => &[How::Ok, How::Refused, How::Cancelled],
                        (false, false) => &[How::Ok],
                        (false, true) if must => {
                            &[How::Ok, How::Refused, How::Trap, How::BadOutput]
                        }
                        (false, true) if saga.attempts > 1 => {
                            &[How::Ok, How::Refused, How::Busy, How::Trap]
                        }
                        (false, true) => &[How::Ok, How::Refused, How::Trap],
                    }
                }
                Work::Undo(_) if self.undo_failures > 0 => &[How::Ok, How::Refused, How::Trap],
                Work::Undo(_) => &[How::Ok],
            };
            choices.extend(ways.iter().map(|how| Choice::End(out.work, *how)));
        }
        for child in &self.world.children {
            for handed in &saga.handed {
                choices.push(Choice::Child(child.task, How::Ok, handed));
                choices.push(Choice::Child(child.task, How::Refused, handed));
            }
        }
        for step in self.world.instance().stuck().into_iter().filter_map(|stuck| stuck.step) {
            choices.extend((0..3).map(|way| Choice::Repair(step, way)));
        }
        if self.world.instance().wake_at().is_some_and(|at| at != DEADLINE) {
            choices.push(Choice::Pass);
        }
        if self.crashes > 0 && !(self.world.out.is_empty() && self.world.children.is_empty()) {
            choices.push(Choice::Crash);
        }
        if !self.asked {
            choices.extend(saga.outside.iter().copied().map(Choice::Outside));
        }
        if self.events > 0 {
            choices.push(Choice::Raise);
        }
        choices
    }

    /// The code failed past the pivot, and nothing else is left to do.
    fn is_stuck_for_good(&self) -> bool {
        self.model.blocked
    }

    pub fn choose(&mut self, choice: &Choice) {
        match *choice {
            Choice::End(work, how) => {
                match work {
                    Work::Step(task) => self.model.affect(task.into(), how.effect()),
                    Work::Undo(undo) if how == How::Ok => {
                        self.model.effects.insert(undo, Effect::None);
                    }
                    Work::Undo(_) => self.undo_failures -= 1,
                }
                let which = self.world.find(work).expect("it is out");
                self.world.end_attempt(which, how.outcome());
            }
            Choice::Child(task, how, stages) => self.end_child(task, how, stages),
            Choice::Repair(step, way) => {
                let repair = match way {
                    0 => Repair::Retry,
                    1 => Repair::RetryWith(json("mended")),
                    _ => Repair::Done(json("by hand")),
                };
                self.world.repair(step, repair).expect("it is stuck");
            }
            Choice::Pass => self.world.wake(),
            Choice::Crash => {
                self.crashes -= 1;
                for out in self.world.out.clone() {
                    if let Work::Step(task) = out.work {
                        self.model.affect(task.into(), Effect::Maybe);
                    }
                }
                self.world.crash();
            }
            Choice::Outside(who) => self.ask(who),
            Choice::Raise => {
                self.events -= 1;
                let command =
                    Command::RaiseEvent { name: "E0".into(), input: Json::null(), from: None };
                self.world.turn(Some(command)).expect("it has not ended");
            }
        }
        self.settle();
    }

    /// Takes in a turn, and those of what has become due by its end.
    fn settle(&mut self) {
        self.take_in();
        while self.world.instance().wake_at().is_some_and(|at| at <= self.world.now) {
            self.world.wake();
            self.take_in();
        }
    }

    fn ask(&mut self, who: Outside) {
        self.asked = true;
        let past_pivot = self.model.past_pivot;
        let undoing = self.model.unwinding.is_some()
            || !self.model.open.is_empty()
            || self.model.undos.keys().any(|id| {
                self.model.saga_state() == SagaState::Compensating && self.model.is_left(*id)
            });
        let result = match who {
            Outside::Cancel => self.world.cancel(),
            Outside::TerminateAndUndo => self.world.terminate(true),
            Outside::Terminate => {
                let result = self.world.terminate(false);
                let expected = if undoing && !past_pivot { Err(Rejected::Undoing) } else { Ok(()) };
                assert_eq!(result, expected);
                if result.is_err() {
                    self.world.last = Turn::default();
                }
                return;
            }
            Outside::HandOver => self.world.hand_over(),
            Outside::Deadline => {
                self.world.now = DEADLINE;
                self.world.turn(Some(Command::Tick))
            }
        };
        let rejects = matches!(who, Outside::Cancel | Outside::TerminateAndUndo);
        if past_pivot && rejects {
            assert_eq!(result, Err(Rejected::PastPivot));
            self.world.last = Turn::default();
        } else {
            assert_eq!(result, Ok(()));
        }
    }

    fn end_child(&mut self, task: TaskId, how: How, stages: &[u32]) {
        let step = &self.model.steps[&task];
        let own = self.model.undos.contains_key(&task.into());
        let handed: Vec<_> = stages.iter().enumerate().map(handed_undo).collect();
        if how == How::Ok && own {
            self.model.affect(task.into(), Effect::Applied);
        } else if !step.by_hand {
            for part in 1..=handed.len() as u32 {
                self.model.affect(UndoId { task, part }, Effect::Applied);
            }
        }
        self.world.end_child(task, how.outcome(), handed);
    }

    /// Tells the model what the last turn made.
    fn take_in(&mut self) {
        let turn = std::mem::take(&mut self.world.last);
        for Record(_, event) in &turn.records {
            self.model.apply(event);
        }
        for attempt in &turn.attempts {
            self.model.begin(attempt);
            check_attempt(self, attempt);
        }
        let stops = turn.child_stops.iter().map(|stop| stop.task);
        for task in turn.stops.iter().copied().chain(stops) {
            assert!(self.model.may_be_stopped(task), "step {task} is told to end");
        }
        let told = |task| {
            let attempt =
                self.world.out.iter().any(|out| out.work == Work::Step(task) && out.stopping);
            attempt || self.world.children.iter().any(|child| child.task == task && child.stopping)
        };
        self.model.check_progress(&told);
    }
}

/// An undo as a child hands it over.
pub fn handed_undo((place, stage): (usize, &u32)) -> HandedUndo {
    HandedUndo {
        compensation: Compensation {
            function: format!("V{place}"),
            digest: Some("e".into()),
            input: Some(json(&place)),
            policy: super::for_ever(),
            when: UndoWhen::default(),
        },
        undone: UndoneStep {
            instance: None,
            task: place as TaskId,
            function: format!("B{place}"),
            input: Json::null(),
            output: Some(Json::null()),
            outcome: StepOutcome::Completed,
            key: format!("child-{place}"),
        },
        stage: *stage,
    }
}
