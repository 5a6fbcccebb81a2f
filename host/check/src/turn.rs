//! Something happens to a saga: the pure core decides what follows, and the
//! orchestrator's code goes on as far as it can.

mod child;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use sagahost_core::{
    BlockedReason, Command, End, Event, Failure, FailureKind, Instance, Json, Logs, Record, Repair,
    Started, Turn, Work,
};

use crate::bounds::Bounds;
use crate::choice::{Choice, How};
use crate::code::{Broken, Code, Ran};
use crate::effects::Role;
use crate::error::CheckError;
use crate::fault::{Fault, Rule};
use crate::mail::Passed;
use crate::model::Model;
use crate::program::Program;
use crate::world::{BEGINNING, Presence, Spent, World};

/// As many orchestrations as one saga may be.
const MOST_MACHINES: usize = 32;

/// What a choice led to.
pub(crate) struct Stepped {
    pub(crate) world: World,
    pub(crate) faults: Vec<Fault>,
    /// Whether another choice says the same.
    pub(crate) same: bool,
    /// Whether a function was asked for too often.
    pub(crate) looped: Option<String>,
    /// What was journaled, and by which orchestration.
    pub(crate) records: Vec<(usize, Record)>,
}

/// Makes things happen.
pub(crate) struct Stepper<'a> {
    pub(crate) program: &'a Program,
    pub(crate) model: &'a Model,
    pub(crate) bounds: &'a Bounds,
    pub(crate) codes: Vec<Code>,
    replayed: HashSet<u64>,
    /// Whether any step had an undo, or was a pivot.
    pub(crate) uses_undo: bool,
    /// The activities that were called.
    pub(crate) called: BTreeSet<String>,
    /// What was come to and is not looked into.
    pub(crate) passed: Passed,
    /// Something of the host's that went wrong, and is nobody's fault.
    pub(crate) error: Option<CheckError>,
}

impl<'a> Stepper<'a> {
    pub(crate) fn new(program: &'a Program, model: &'a Model, bounds: &'a Bounds) -> Self {
        Stepper {
            program,
            model,
            bounds,
            codes: Vec::new(),
            replayed: HashSet::new(),
            uses_undo: false,
            called: BTreeSet::new(),
            passed: Passed::default(),
            error: None,
        }
    }

    /// The saga begins.
    pub(crate) fn begin(&mut self, name: &str, input: &Json) -> Result<Stepped, CheckError> {
        let function = self.program.orchestrator(name)?;
        let started = Started {
            name: name.to_owned(),
            input: input.clone(),
            execution: "0".repeat(32),
            digest: function.digest.clone(),
            deadline: function.timeout_ms.map(|ms| BEGINNING.saturating_add(ms)),
            ..Started::default()
        };
        let spent = Spent::default();
        let world = World { now: BEGINNING, machines: Vec::new(), effects: Vec::new(), spent };
        let mut stepped = Stepped::new(world);
        let mut queue = VecDeque::new();
        self.start(&mut stepped, started, "check".into(), None, &mut queue);
        self.work(&mut stepped, queue);
        self.error.take().map_or(Ok(stepped), Err)
    }

    /// Something happens.
    pub(crate) fn step(&mut self, world: &World, choice: &Choice) -> Stepped {
        let mut stepped = Stepped::new(world.clone());
        let (faults, crashes, cancels) = choice.cost();
        let spent = &mut stepped.world.spent;
        spent.faults += faults;
        spent.crashes += crashes;
        spent.cancels += cancels;
        if self.bounds.orders.is_some() {
            stepped.world.spent.orders += world.passes(choice);
        }
        let queue = self.commands(&mut stepped, choice);
        self.work(&mut stepped, queue.into());
        for (machine, it) in stepped.world.machines.iter().enumerate() {
            let before = world.machines.get(machine).map(|it| it.orchestration.instance());
            let was = before.is_some_and(|instance| instance.blocked().is_some());
            if let Some(BlockedReason::PastPivot { failure }) =
                it.orchestration.instance().blocked()
                && failure.kind == FailureKind::Returned
                && !was
            {
                let name = &it.name;
                let detail =
                    format!("{name} fails where it can only go forward: {}", failure.message);
                stepped.faults.push(Fault::of(Rule::PastPivot, name, detail));
            }
        }
        let again =
            matches!(choice, Choice::Ends { how: How::Again | How::AgainUnknown { .. }, .. });
        stepped.same = again
            && stepped.records.iter().any(|(_, Record(_, event))| match event {
                Event::AttemptFailed { retry_at, .. }
                | Event::UndoAttemptFailed { retry_at, .. } => retry_at.is_none(),
                _ => false,
            });
        stepped
    }

    /// Does in the world what a choice says, and tells the core of it.
    fn commands(&mut self, stepped: &mut Stepped, choice: &Choice) -> Vec<(usize, Command)> {
        match choice {
            Choice::Ends { machine, work, how } => {
                self.attempt_ends(stepped, *machine, *work, *how).into_iter().collect()
            }
            Choice::Reply { machine, task, reply } => {
                stepped.world.reply(self.model, *machine, *task, *reply).into_iter().collect()
            }
            Choice::Event { machine, name, value } => {
                let input = self.model.event(name).values.get(*value).cloned();
                let input = input.unwrap_or_else(Json::null);
                vec![(*machine, Command::RaiseEvent { name: name.clone(), input, from: None })]
            }
            Choice::Time => {
                let wakes = stepped.world.machines.iter();
                let first = wakes.filter_map(|it| it.orchestration.instance().wake_at()).min();
                let world = &mut stepped.world;
                world.now = world.now.max(first.unwrap_or(0));
                (0..world.machines.len()).map(|machine| (machine, Command::Tick)).collect()
            }
            Choice::Cancel => vec![(0, Command::Cancel { reason: "somebody cancelled it".into() })],
            Choice::Crash { applied } => {
                for (machine, work) in applied {
                    self.acts(stepped, *machine, *work, false);
                }
                let (machines, since) = (0..stepped.world.machines.len(), stepped.world.now);
                let lost = |machine| (machine, Command::HostLost { alive: Vec::new(), since });
                machines.map(lost).collect()
            }
            Choice::Mend { machine, step, .. } => {
                vec![(*machine, repair(*step, Repair::Retry))]
            }
            Choice::Done { machine, step, forward: true } => {
                let instance = stepped.world.instance(*machine);
                let function = instance.step(step.task).map(|step| step.function.to_owned());
                let outputs = function.map(|function| self.model.of(&function).outputs.clone());
                let output = outputs.and_then(|outputs| outputs.into_iter().next());
                self.acts(stepped, *machine, Work::Step(step.task), true);
                let output = output.map_or_else(Json::null, |output| output.value);
                vec![(*machine, repair(*step, Repair::Done(output)))]
            }
            Choice::Done { machine, step, forward: false } => {
                self.acts(stepped, *machine, Work::Undo(*step), true);
                vec![(*machine, repair(*step, Repair::Done(Json::null())))]
            }
        }
    }

    fn attempt_ends(
        &mut self,
        stepped: &mut Stepped,
        machine: usize,
        work: Work,
        how: How,
    ) -> Option<(usize, Command)> {
        let attempt = stepped.world.instance(machine).attempt_of(work)?;
        let activity = self.model.of(&attempt.function);
        let sample = |number: usize| activity.outputs.get(number).cloned();
        let failed = |code: &str, retryable| Failure {
            kind: FailureKind::Returned,
            code: code.to_owned(),
            message: "it did nothing".to_owned(),
            details: None,
            retryable,
            retry_after_ms: None,
        };
        let lost = |retryable| {
            let message = "it did not answer in time";
            Failure { retryable, ..Failure::host(FailureKind::Timeout, message) }
        };
        let (acts, outcome) = match how {
            How::Ok(number) => match (work, sample(number)) {
                (Work::Step(_), Some(sample)) => (sample.applied, Ok(sample.value)),
                (_, sample) => (true, Ok(sample.map_or_else(Json::null, |it| it.value))),
            },
            How::Fail(number) => {
                let code = activity.failures.get(number).map_or("failed", String::as_str);
                (false, Err(failed(code, false)))
            }
            How::Again => (false, Err(failed("busy", true))),
            How::Unknown { applied } => (applied, Err(lost(false))),
            How::AgainUnknown { applied } => (applied, Err(lost(true))),
            How::Stopped { applied } => {
                let message = "the host ended the attempt";
                (applied, Err(Failure::host(FailureKind::Cancelled, message)))
            }
        };
        if acts {
            self.acts(stepped, machine, work, false);
        }
        let (attempt, started_at) = (attempt.attempt, stepped.world.now);
        let logs = Logs::default();
        Some((machine, Command::AttemptEnded { work, attempt, started_at, outcome, logs }))
    }

    /// A step or an undo does its work in the world.
    fn acts(&mut self, stepped: &mut Stepped, machine: usize, work: Work, by_person: bool) {
        let world = &mut stepped.world;
        match work {
            Work::Step(task) => match world.role(self.model, machine, task) {
                Role::Does(effect) => world.effects[effect].presence = Presence::InPlace,
                Role::Undoes => {
                    let fault = world.step_undoes(self.model, machine, task);
                    stepped.faults.extend(fault.filter(|_| !by_person));
                }
                Role::Nothing => {}
            },
            Work::Undo(undo) => {
                let instance = world.instance(machine);
                let Some(attempt) = instance.undo_as_attempt(undo) else { return };
                let faults = world.host_undoes(self.model, machine, undo, &attempt, by_person);
                stepped.faults.extend(faults);
            }
        }
    }

    /// Works off commands, and what follows from them in other orchestrations.
    fn work(&mut self, stepped: &mut Stepped, mut queue: VecDeque<(usize, Command)>) {
        while let Some((machine, command)) = queue.pop_front() {
            let now = stepped.world.now;
            let it = Rc::make_mut(&mut stepped.world.machines[machine]);
            it.orchestration.at(now);
            // What comes too late changes nothing.
            let _ = it.orchestration.handle(command);
            self.go_on(stepped, machine, &mut queue);
        }
    }

    /// The code of an orchestration goes on, and the turn ends.
    fn go_on(
        &mut self,
        stepped: &mut Stepped,
        machine: usize,
        queue: &mut VecDeque<(usize, Command)>,
    ) {
        let it = Rc::make_mut(&mut stepped.world.machines[machine]);
        if it.orchestration.wants_to_run() {
            match self.codes[it.code].run(self.program, &mut it.orchestration, it.at) {
                Ok(Ran::Parked(place)) => it.at = Some(place),
                Ok(Ran::Ended) => {}
                Ok(Ran::Again(input)) => {
                    let completed =
                        matches!(it.orchestration.instance().end(), Some(End::Completed(_)));
                    it.again = completed.then_some(input);
                }
                Err(broken) => self.broken(broken, &it.name.clone(), &mut stepped.faults),
            }
        }
        let turn = Rc::make_mut(&mut stepped.world.machines[machine]).orchestration.end_turn();
        self.after(stepped, machine, turn, queue);
    }

    fn broken(&mut self, broken: Broken, name: &str, faults: &mut Vec<Fault>) {
        match broken {
            Broken::Wasm(error) => self.error = Some(error.into()),
            Broken::Differs { before, now } => {
                let detail = format!(
                    "run again from its beginning, {name} does something else: {now}, and not {before}"
                );
                faults.push(Fault::of(Rule::Replay, name, detail));
            }
        }
    }

    /// Sees to what a turn calls for.
    fn after(
        &mut self,
        stepped: &mut Stepped,
        machine: usize,
        turn: Turn,
        queue: &mut VecDeque<(usize, Command)>,
    ) {
        for record in turn.records {
            self.journaled(stepped, machine, &record.1);
            if let Record(at, Event::Completed { .. }) = record
                && let Some(input) = stepped.world.machines[machine].again.clone()
            {
                let round = Record(at, Event::ContinuedAsNew { input });
                stepped.records.push((machine, round));
                self.passed.round(&stepped.world, machine);
                // Only its parent is told of an end.
                if machine == 0 {
                    continue;
                }
            }
            stepped.records.push((machine, record));
        }
        for letter in turn.letters {
            self.letter(&stepped.world, machine, letter, queue);
        }
        for child in turn.children {
            self.start_child(stepped, machine, child, queue);
        }
        for stop in turn.child_stops {
            let parent = Some((machine, stop.task));
            let child = stepped.world.machines.iter().position(|it| it.parent == parent);
            let command = match stop.terminate {
                true => Command::Terminate { reason: stop.reason, compensate: false },
                false => Command::HandOver { reason: stop.reason },
            };
            queue.extend(child.map(|child| (child, command)));
        }
        if turn.ended {
            queue.extend(stepped.world.report(machine));
        }
    }

    fn journaled(&mut self, stepped: &mut Stepped, machine: usize, event: &Event) {
        let asked = match event {
            Event::Scheduled { task, function, input, undo, pivot, .. } => {
                if !self.called.contains(function) {
                    self.called.insert(function.clone());
                }
                let known = self.model.of(function);
                self.uses_undo |= undo.is_some() || *pivot;
                self.uses_undo |= known.has_undo || !known.undoes.is_empty();
                let undo = undo.as_ref().map(|undo| undo.function.as_str());
                stepped.world.scheduled(self.model, machine, *task, (function, input), undo);
                Some(*task)
            }
            Event::ChildScheduled { task, undo, pivot, .. } => {
                self.uses_undo |= undo.is_some() || *pivot;
                Some(*task)
            }
            Event::EntityCalled { task, entity, operation, .. } => {
                self.passed.operation(entity, operation);
                Some(*task)
            }
            Event::TimerCreated { task, .. }
            | Event::LocksRequested { task, .. }
            | Event::EventAwaited { task, .. }
            | Event::CompensationRequested { task, .. } => Some(*task),
            Event::UndoScheduled { undo, .. } => {
                let fault = stepped.world.undo_asked(machine, *undo);
                stepped.faults.extend(fault);
                None
            }
            _ => None,
        };
        if let Some(task) = asked {
            let instance = stepped.world.instance(machine);
            let name = instance.task_name(task);
            let alike = (0..=task).filter(|other| instance.task_name(*other) == name).count();
            if alike > self.bounds.loops as usize {
                stepped.looped = Some(name.to_owned());
            }
        }
        let instance = stepped.world.instance(machine);
        let failure = match event {
            Event::Unwinding { cause: sagahost_core::Cause::Failed(failure) } => failure,
            Event::Failed { failure } if instance.unwinding().is_none() => failure,
            Event::Blocked(BlockedReason::PastPivot { failure }) => failure,
            _ => return,
        };
        let name = &stepped.world.machines[machine].name;
        let rule = match failure.kind {
            FailureKind::StepsOpen => Rule::StepsOpen,
            FailureKind::Returned | FailureKind::Deadline | FailureKind::NotStarted => return,
            _ => Rule::Trap,
        };
        let detail = format!("{name}: {}", failure.message);
        stepped.faults.push(Fault::of(rule, name, detail));
    }

    /// Runs the codes that wait over their journals, as a host does that lost
    /// them, and compares what they ask for. Each journal once.
    pub(crate) fn replays(&mut self, world: &World) -> Vec<Fault> {
        let mut faults = Vec::new();
        for machine in &world.machines {
            let Some(place) = machine.at.filter(|_| machine.orchestration.may_run()) else {
                continue;
            };
            let mut hasher = DefaultHasher::new();
            (machine.code, place).hash(&mut hasher);
            let instance = machine.orchestration.instance();
            (instance.task_count(), instance.completion_order()).hash(&mut hasher);
            if self.replayed.insert(hasher.finish())
                && let Err(broken) =
                    self.codes[machine.code].replay(self.program, &machine.orchestration)
            {
                self.broken(broken, &machine.name, &mut faults);
            }
        }
        faults
    }
}

impl Stepped {
    fn new(world: World) -> Self {
        Stepped { world, faults: Vec::new(), same: false, looped: None, records: Vec::new() }
    }
}

impl World {
    pub(crate) fn instance(&self, machine: usize) -> &Instance {
        self.machines[machine].orchestration.instance()
    }
}

fn repair(step: sagahost_core::UndoId, repair: Repair) -> Command {
    Command::Repair { step, repair, note: "mended".to_owned(), by: "a person".to_owned() }
}
