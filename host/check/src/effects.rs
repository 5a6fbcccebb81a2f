//! What steps and undos do in the world.

use std::rc::Rc;

use sagahost_core::{Attempt, Json, StepOutcome, TaskId, UndoId};

use crate::checkfile::{Absent, Matches};
use crate::fault::{Fault, Rule};
use crate::model::Model;
use crate::world::{Effect, Presence, Undoer, World, number};

/// What a step is to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It has this effect.
    Does(usize),
    /// It undoes others.
    Undoes,
    /// It changes nothing.
    Nothing,
}

/// Which effect an undo that is called by hand is for.
enum Target {
    /// None that was ever there.
    None,
    One(usize),
}

impl World {
    pub(crate) fn role(&self, model: &Model, machine: usize, task: TaskId) -> Role {
        if let Some(effect) = self.effect_of(machine, task) {
            return Role::Does(effect);
        }
        let step = self.machines[machine].orchestration.instance().step(task);
        match step {
            Some(step) if step.child.is_none() && self.is_undo(model, step.function) => {
                Role::Undoes
            }
            _ => Role::Nothing,
        }
    }

    fn is_undo(&self, model: &Model, function: &str) -> bool {
        !model.of(function).undoes.is_empty()
            || self.effects.iter().any(|effect| effect.undo.as_deref() == Some(function))
    }

    fn undoes(model: &Model, undo: &str, effect: &Effect) -> bool {
        model.of(undo).undoes.contains(&*effect.function) || effect.undo.as_deref() == Some(undo)
    }

    /// A step was scheduled: what it may do is noted, as not done.
    pub(crate) fn scheduled(
        &mut self,
        model: &Model,
        machine: usize,
        task: TaskId,
        (function, input): (&str, &Json),
        undo: Option<&str>,
    ) {
        if self.is_undo(model, function) {
            if let Target::One(target) = self.target(model, (machine, task), function, input) {
                self.effects[target].asked = true;
            }
            return;
        }
        if !model.has_effect(function, input) {
            return;
        }
        let mut after = 0;
        for (at, effect) in self.effects.iter().enumerate().take(64) {
            if effect.machine == machine && self.outcome(effect).is_some() {
                after |= 1 << at;
            }
        }
        let instance = self.machines[machine].orchestration.instance();
        let key: Rc<str> = instance.idempotency_key(task).into();
        let about = number((function, input.as_str()));
        self.effects.push(Effect {
            machine,
            task,
            function: function.into(),
            input: input.clone(),
            key,
            undo: undo.map(Rc::from),
            presence: Presence::Absent,
            asked: false,
            overtaken: false,
            after,
            about,
        });
    }

    /// The host begins to undo a step. Where the saga is undone as a whole,
    /// what was scheduled after it has to be undone by now.
    pub(crate) fn undo_asked(&mut self, machine: usize, undo: UndoId) -> Option<Fault> {
        let it = self.machines[machine].clone();
        let instance = it.orchestration.instance();
        let attempt = instance.undo_as_attempt(undo)?;
        let targets = self.targets_of_host(machine, undo, &attempt);
        for target in &targets {
            self.effects[*target].asked = true;
        }
        instance.unwinding()?;
        let later = self.effects.iter().any(|effect| {
            effect.machine == machine
                && effect.presence == Presence::InPlace
                && instance.has_undo_left(effect.task)
                && instance.is_undone_before(effect.task, undo.task)
        });
        later.then(|| out_of_order(&attempt.undone.map_or_else(String::new, |it| it.function)))
    }

    /// What an undo that the host makes is for: the step's effect, or all that
    /// a child did.
    fn targets_of_host(&self, machine: usize, undo: UndoId, attempt: &Attempt) -> Vec<usize> {
        let Some(undone) = &attempt.undone else { return Vec::new() };
        let child = undo.part == 0
            && self.machines[machine]
                .orchestration
                .instance()
                .step(undo.task)
                .is_some_and(|step| step.child.is_some());
        let effects = self.effects.iter().enumerate();
        let found = effects.filter(|(_, effect)| match child {
            true => self.descends(effect.machine, (machine, undo.task)),
            false => *effect.key == *undone.key,
        });
        found.map(|(at, _)| at).collect()
    }

    /// Whether an attempt of the host's undo would change anything.
    pub(crate) fn host_undo_acts(
        &self,
        model: &Model,
        machine: usize,
        undo: UndoId,
        attempt: &Attempt,
    ) -> bool {
        let targets = self.targets_of_host(machine, undo, attempt).into_iter();
        targets.map(|target| &self.effects[target]).any(|effect| {
            effect.presence == Presence::InPlace
                && model.removes(&attempt.function, &effect.function)
        })
    }

    /// The host's undo does its work.
    pub(crate) fn host_undoes(
        &mut self,
        model: &Model,
        machine: usize,
        undo: UndoId,
        attempt: &Attempt,
        by_person: bool,
    ) -> Vec<Fault> {
        let mut faults = Vec::new();
        let told = attempt.undone.as_ref().map(|undone| undone.outcome);
        let absent = model.of(&attempt.function).absent;
        let key = attempt.undone.as_ref().map_or("", |undone| &undone.key);
        let by = if by_person { Undoer::Person } else { Undoer::Host(number(key)) };
        for target in self.targets_of_host(machine, undo, attempt) {
            let effect = &self.effects[target];
            let function = effect.function.clone();
            let child = effect.machine != machine && undo.part == 0;
            if !by_person && !child && !model.removes(&attempt.function, &function) {
                continue;
            }
            let undo_function = &attempt.function;
            match effect.presence {
                Presence::InPlace => self.effects[target].presence = Presence::Undone(by),
                Presence::Absent if absent == Some(Absent::Refused) && !by_person => {
                    faults.push(never_done(undo_function, &function, "did nothing"));
                }
                Presence::Undone(other)
                    if other != by
                        && !by_person
                        && told == Some(StepOutcome::Completed)
                        && absent != Some(Absent::Allowed) =>
                {
                    faults.push(twice(undo_function, &function));
                }
                _ => {}
            }
        }
        faults
    }

    /// Which effect a step undoes that an orchestrator calls for it.
    fn target(&self, model: &Model, by: (usize, TaskId), undo: &str, input: &Json) -> Target {
        let activity = model.of(undo);
        let effects = self.effects.iter().enumerate();
        let known: Vec<usize> = effects
            .filter(|(_, effect)| Self::undoes(model, undo, effect))
            .map(|(at, _)| at)
            .collect();
        let alike = |at: &&usize| same(&self.effects[**at].input, input);
        let mut fitting: Vec<usize> = match activity.matches {
            Some(Matches::Any) => known.clone(),
            _ => known.iter().filter(alike).copied().collect(),
        };
        if fitting.is_empty() && known.len() == 1 && activity.matches.is_none() {
            fitting = known;
        }
        let own = Presence::Undone(Undoer::Step(by.0, by.1));
        let rank = |at: &usize| match self.effects[*at].presence {
            Presence::InPlace => 3,
            presence if presence == own => 2,
            Presence::Undone(_) => 1,
            Presence::Absent => 0,
        };
        match fitting.into_iter().max_by_key(|at| (rank(at), *at)) {
            Some(at) => Target::One(at),
            None => Target::None,
        }
    }

    /// Whether a step that undoes others by hand would remove something.
    pub(crate) fn step_undo_acts(&self, model: &Model, machine: usize, task: TaskId) -> bool {
        let Some(step) = self.machines[machine].orchestration.instance().step(task) else {
            return false;
        };
        match self.target(model, (machine, task), step.function, step.input) {
            Target::One(at) => self.effects[at].presence == Presence::InPlace,
            Target::None => false,
        }
    }

    /// A step that undoes others by hand does its work.
    pub(crate) fn step_undoes(
        &mut self,
        model: &Model,
        machine: usize,
        task: TaskId,
    ) -> Option<Fault> {
        let instance = self.machines[machine].orchestration.instance();
        let step = instance.step(task)?;
        let (undo, input) = (step.function.to_owned(), step.input.clone());
        let activity = model.of(&undo);
        let bears = activity.absent == Some(Absent::Allowed);
        let by = Undoer::Step(machine, task);
        let target = match self.target(model, (machine, task), &undo, &input) {
            Target::One(target) => target,
            Target::None if bears => return None,
            Target::None => {
                let undone = activity.undoes.iter().cloned().collect::<Vec<_>>().join(" or ");
                return Some(never_done(&undo, &undone, "was never called for this"));
            }
        };
        let effect = &self.effects[target];
        let function = effect.function.clone();
        match effect.presence {
            Presence::InPlace => {
                let any = activity.any_order || model.of(&function).any_order;
                let fault = (effect.overtaken && !any).then(|| out_of_order(&function));
                self.effects[target].presence = Presence::Undone(by);
                self.overtake(target);
                fault
            }
            Presence::Absent if !bears => Some(never_done(&undo, &function, "did nothing")),
            Presence::Undone(other) if other != by && !bears => Some(twice(&undo, &function)),
            _ => None,
        }
    }

    /// Notes of all that depends on this one that it was not removed before.
    fn overtake(&mut self, removed: usize) {
        let (machine, task) = (self.effects[removed].machine, self.effects[removed].task);
        let bit = if removed < 64 { 1u64 << removed } else { 0 };
        let it = self.machines[machine].clone();
        for effect in &mut self.effects {
            effect.overtaken |= effect.machine == machine
                && effect.presence == Presence::InPlace
                && effect.after & bit != 0
                && it.orchestration.instance().is_undone_before(effect.task, task);
        }
    }
}

/// Whether two inputs say the same.
fn same(a: &Json, b: &Json) -> bool {
    a == b || a.to_value() == b.to_value()
}

fn out_of_order(function: &str) -> Fault {
    let detail = format!("{function} is undone after something that was done before it");
    Fault::of(Rule::UndoOrder, function, detail)
}

fn never_done(undo: &str, function: &str, why: &str) -> Fault {
    let detail = format!("{undo} is called to undo {function}, which {why}");
    Fault::of(Rule::AbsentUndone, undo, detail)
}

fn twice(undo: &str, function: &str) -> Fault {
    let detail =
        format!("{undo} undoes {function} again, under another key: it cannot know that it did");
    Fault::of(Rule::UndoneTwice, undo, detail)
}
