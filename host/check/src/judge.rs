//! What is looked at when a saga has ended.

use sagahost_core::{End, Instance, StepOutcome};
use serde_json::Value;

use crate::checkfile::When;
use crate::effects::Role;
use crate::expr::Facts;
use crate::fault::{Fault, Rule};
use crate::model::Model;
use crate::world::{Effect, Presence, Undoer, World};

/// How an end is spoken of.
fn ending(instance: &Instance) -> &'static str {
    match instance.end() {
        None => "running",
        Some(End::Completed(_)) => "completed",
        Some(End::Failed(_)) => "failed",
        Some(End::Canceled(_)) => "canceled",
        Some(End::Terminated(_)) => "terminated",
    }
}

/// The facts that invariants are about.
struct State<'a>(&'a World);

impl Facts for State<'_> {
    fn effects(&self, activity: &str) -> u64 {
        let effects = self.0.effects.iter();
        let found = effects
            .filter(|effect| &*effect.function == activity && effect.presence == Presence::InPlace);
        found.count() as u64
    }

    fn output(&self) -> Value {
        match self.0.instance(0).end() {
            Some(End::Completed(output)) => output.to_value(),
            _ => Value::Null,
        }
    }

    fn status(&self) -> &'static str {
        ending(self.0.instance(0))
    }
}

impl World {
    /// How it ended, in a word.
    pub(crate) fn ending(&self) -> &'static str {
        ending(self.instance(0))
    }

    /// What is wrong with a saga that has ended, in any of the ways in which
    /// what it left running may still end.
    pub(crate) fn judge(&self, model: &Model) -> Vec<Fault> {
        let mut faults = self.judge_as_it_is(model);
        let stray: Vec<usize> = (0..self.effects.len())
            .filter(|at| {
                let effect = &self.effects[*at];
                let left = self.instance(effect.machine).left_running();
                effect.presence == Presence::Absent && left.contains(&effect.task)
            })
            .collect();
        if !stray.is_empty() {
            let mut later = self.clone();
            for at in stray {
                later.effects[at].presence = Presence::InPlace;
            }
            for fault in later.judge_as_it_is(model) {
                if !faults.iter().any(|known| known.rule == fault.rule) {
                    let detail = format!("{}, if what still runs comes to its end", fault.detail);
                    faults.push(Fault { detail, ..fault });
                }
            }
        }
        faults
    }

    fn judge_as_it_is(&self, model: &Model) -> Vec<Fault> {
        let mut faults = Vec::new();
        let in_place: Vec<&Effect> =
            self.effects.iter().filter(|it| it.presence == Presence::InPlace).collect();
        match self.ending() {
            "completed" => faults.extend(self.judge_committed(model, &in_place)),
            _ if in_place.is_empty() => {}
            ending => faults.push(self.left_in_place(model, &in_place, ending)),
        }
        faults.extend(self.invariants(model, true));
        faults
    }

    /// The saga committed: all that it did is in place.
    fn judge_committed(&self, model: &Model, in_place: &[&Effect]) -> Option<Fault> {
        let wanted = |effect: &&&Effect| !model.of(&effect.function).optional;
        if in_place.is_empty() {
            return None;
        }
        let group = "completed".to_owned();
        let rule = Rule::AllOrNothing;
        let leftover = in_place.iter().filter(wanted).find(|effect| {
            matches!(self.outcome(effect), Some(StepOutcome::Unknown | StepOutcome::Failed))
        });
        if let Some(effect) = leftover {
            let function = effect.function.to_string();
            let detail = format!(
                "the saga goes on without {function}, of which it does not know that it was \
                 done, and its effect stays in place"
            );
            return Some(Fault { rule, group, functions: vec![function], detail });
        }
        let missing: Vec<&Effect> = self
            .effects
            .iter()
            .filter(|effect| effect.presence != Presence::InPlace)
            .filter(|effect| !model.of(&effect.function).optional)
            .filter(|effect| !self.is_excused(effect, in_place))
            .collect();
        if missing.is_empty() {
            return None;
        }
        let functions: Vec<String> = missing.iter().map(|it| it.function.to_string()).collect();
        let ends = match self.root().again {
            Some(_) => "continues as new",
            None => "ends Completed",
        };
        let detail =
            format!("the saga {ends}, {} in place, and {} not", are(in_place), are(&missing));
        Some(Fault { rule, group, functions, detail })
    }

    /// Whether a step without effect does not speak against a commit: what the
    /// saga had the host undo, and what it did once more.
    fn is_excused(&self, missing: &Effect, in_place: &[&Effect]) -> bool {
        let by_host =
            matches!(missing.presence, Presence::Undone(Undoer::Host(..) | Undoer::Person));
        by_host
            || self.instance(missing.machine).part_was_undone(missing.task)
            || self.child_was_undone(missing.machine)
            || (matches!(self.outcome(missing), Some(StepOutcome::Failed | StepOutcome::Unknown))
                && in_place.iter().any(|other| other.about == missing.about))
    }

    /// Whether a machine is a child that is of no more account: it failed, and
    /// has undone itself, or the part of the saga that it is was undone.
    fn child_was_undone(&self, machine: usize) -> bool {
        let mut at = machine;
        while let Some((parent, task)) = self.machines[at].parent {
            let instance = self.instance(parent);
            if instance.part_was_undone(task) {
                return true;
            }
            at = parent;
        }
        false
    }

    /// The saga did not commit, and something is in place.
    fn left_in_place(&self, model: &Model, in_place: &[&Effect], ending: &str) -> Fault {
        let done_and_forgotten = |effect: &&Effect| {
            !effect.asked && self.outcome(effect) == Some(StepOutcome::Completed)
        };
        let undone = self.effects.iter().any(|effect| {
            matches!(effect.presence, Presence::Undone(_))
                && self.outcome(effect) == Some(StepOutcome::Completed)
        });
        let can_be_undone =
            |effect: &&Effect| model.of(&effect.function).has_undo || effect.undo.is_some();
        let skipped = ending == "failed"
            && undone
            && !self.an_undo_failed(model)
            && in_place.iter().all(|it| done_and_forgotten(it) && can_be_undone(it));
        let functions: Vec<String> = in_place.iter().map(|it| it.function.to_string()).collect();
        let status = self.instance(0).status();
        let mut detail = format!("the saga ends {status}, and {} still in place", are(in_place));
        if let Some(effect) = in_place.iter().find(|it| !can_be_undone(it)) {
            detail.push_str(&format!("; nothing undoes {}", effect.function));
        } else if skipped {
            detail.push_str(", though others were undone");
        }
        let rule = if skipped { Rule::UndoSkipped } else { Rule::AllOrNothing };
        Fault { rule, group: ending.to_owned(), functions, detail }
    }

    /// Whether an undo that was called by hand did not go well: then what came
    /// after it was not left out, but not come to.
    fn an_undo_failed(&self, model: &Model) -> bool {
        self.machines.iter().enumerate().any(|(machine, it)| {
            let instance = it.orchestration.instance();
            (0..instance.task_count()).any(|task| {
                let outcome = instance.step(task).and_then(|step| step.outcome);
                matches!(outcome, Some(StepOutcome::Failed | StepOutcome::Unknown))
                    && self.role(model, machine, task) == Role::Undoes
            })
        })
    }

    /// The author's invariants that do not hold.
    pub(crate) fn invariants(&self, model: &Model, ended: bool) -> Vec<Fault> {
        let ending = self.ending();
        let broken = model.invariants.iter().filter(|invariant| {
            let looked_at = match invariant.when {
                When::Always => true,
                When::Ended => ended,
                When::Completed => ended && ending == "completed",
                When::Failed => ended && ending == "failed",
                When::Canceled => ended && ending == "canceled",
            };
            looked_at && !invariant.holds.holds(&State(self))
        });
        let faults = broken.map(|invariant| {
            let mut functions = Vec::new();
            invariant.holds.activities(&mut functions);
            let in_place: Vec<&Effect> =
                self.effects.iter().filter(|it| it.presence == Presence::InPlace).collect();
            let what = match in_place.is_empty() {
                true => "nothing is in place".to_owned(),
                false => format!("{} in place", are(&in_place)),
            };
            Fault {
                rule: Rule::Invariant(invariant.name.clone()),
                group: ending.to_owned(),
                functions: functions.into_iter().map(str::to_owned).collect(),
                detail: format!("`{}` does not hold: {what}", invariant.text),
            }
        });
        faults.collect()
    }
}

/// `A's effect is`, `the effects of A and B are`.
fn are(effects: &[&Effect]) -> String {
    let mut names: Vec<String> = Vec::new();
    for effect in effects {
        let name = effect.function.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [one] if effects.len() == 1 => format!("{one}'s effect is"),
        [one] => format!("{} effects of {one} are", effects.len()),
        [first @ .., last] => format!("the effects of {} and {last} are", first.join(", ")),
        [] => "nothing is".to_owned(),
    }
}
