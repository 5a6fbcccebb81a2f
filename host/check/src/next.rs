//! What can happen next.

use sagahost_core::{Attempt, Instance, Work};

use crate::bounds::Bounds;
use crate::checkfile::Raised;
use crate::choice::{Choice, How};
use crate::effects::Role;
use crate::model::Model;
use crate::world::{Presence, World};

impl World {
    /// All that can happen next, and whether it is bound to go on: whether
    /// something comes without anybody's doing.
    pub(crate) fn choices(&self, model: &Model, bounds: &Bounds) -> (Vec<Choice>, bool) {
        let mut choices = Vec::new();
        let mut goes_on = false;
        let faulty = self.spent.faults < bounds.faults;
        for (machine, it) in self.machines.iter().enumerate() {
            let instance = it.orchestration.instance();
            if instance.end().is_some() {
                continue;
            }
            for attempt in instance.running() {
                goes_on = true;
                self.endings(model, machine, &attempt, faulty, &mut choices);
            }
            let replies = self.replies(model, machine, faulty);
            goes_on |= !replies.is_empty();
            choices.extend(replies);
            for name in instance.awaited_events() {
                let event = model.event(name);
                if event.raised == Raised::Never {
                    continue;
                }
                goes_on |= event.raised == Raised::Always;
                choices.extend((0..event.values.len()).map(|value| Choice::Event {
                    machine,
                    name: name.to_owned(),
                    value,
                }));
            }
            for stuck in instance.stuck() {
                // Where the code failed past the pivot, only a person can say
                // what is to become of the saga.
                goes_on = true;
                if let Some(step) = stuck.step {
                    let forward = stuck.forward;
                    choices.push(Choice::Mend { machine, step, forward });
                    choices.push(Choice::Done { machine, step, forward });
                }
            }
        }
        let wakes = self.machines.iter().any(|it| it.orchestration.instance().wake_at().is_some());
        if wakes {
            goes_on = true;
            choices.push(Choice::Time);
        }
        if self.spent.cancels < bounds.cancels && can_be_cancelled(self.root_instance()) {
            choices.push(Choice::Cancel);
        }
        if self.spent.crashes < bounds.crashes {
            self.crashes(model, &mut choices);
        }
        if let Some(most) = bounds.orders {
            choices.retain(|choice| self.spent.orders + self.passes(choice) <= most);
        }
        (choices, goes_on)
    }

    /// Before how many steps that were scheduled earlier, and still run, one
    /// ends.
    pub(crate) fn passes(&self, choice: &Choice) -> u32 {
        let Choice::Ends { machine, work: Work::Step(task), .. } = choice else { return 0 };
        let instance = self.machines[*machine].orchestration.instance();
        let earlier = instance.running().into_iter().filter(|attempt| match attempt.work {
            Work::Step(other) => other < *task,
            Work::Undo(_) => false,
        });
        earlier.count() as u32
    }

    fn root_instance(&self) -> &Instance {
        self.root().orchestration.instance()
    }

    /// How an attempt can end.
    fn endings(
        &self,
        model: &Model,
        machine: usize,
        attempt: &Attempt,
        faulty: bool,
        choices: &mut Vec<Choice>,
    ) {
        let work = attempt.work;
        let instance = self.machines[machine].orchestration.instance();
        let activity = model.of(&attempt.function);
        let acts = self.acts(model, machine, attempt);
        let mut ends = |how| choices.push(Choice::Ends { machine, work, how });
        let done_before = match work {
            Work::Step(task) => match self.role(model, machine, task) {
                Role::Does(effect) => self.effects[effect].presence == Presence::InPlace,
                _ => false,
            },
            Work::Undo(_) => false,
        };
        match work {
            Work::Undo(_) => ends(How::Ok(0)),
            Work::Step(_) => {
                // One that knows its key answers for what it has done.
                let applied = activity.outputs.iter().any(|output| output.applied);
                for (number, output) in activity.outputs.iter().enumerate() {
                    if output.applied || !done_before || !applied {
                        ends(How::Ok(number));
                    }
                }
            }
        }
        let stopping = matches!(work, Work::Step(task) if instance.is_stopping(task));
        if stopping {
            ends(How::Stopped { applied: false });
            if acts {
                ends(How::Stopped { applied: true });
            }
        }
        if !faulty {
            return;
        }
        (0..activity.failures.len()).for_each(|number| ends(How::Fail(number)));
        if activity.unknown {
            ends(How::Unknown { applied: false });
            if acts {
                ends(How::Unknown { applied: true });
            }
        }
        let once = instance.retry_policy(work).is_some_and(|policy| policy.max_attempts == 1);
        let for_ever = instance.is_past_pivot() || is_pivot(instance, work);
        if stopping || (once && !for_ever) {
            return;
        }
        if !activity.failures.is_empty() {
            ends(How::Again);
        }
        if activity.unknown {
            ends(How::AgainUnknown { applied: false });
            if acts {
                ends(How::AgainUnknown { applied: true });
            }
        }
    }

    /// Whether it makes a difference to the world if an attempt does its work.
    pub(crate) fn acts(&self, model: &Model, machine: usize, attempt: &Attempt) -> bool {
        match attempt.work {
            Work::Step(task) => match self.role(model, machine, task) {
                Role::Does(effect) => self.effects[effect].presence != Presence::InPlace,
                Role::Undoes => self.step_undo_acts(model, machine, task),
                Role::Nothing => false,
            },
            Work::Undo(undo) => self.host_undo_acts(model, machine, undo, attempt),
        }
    }

    /// The host is lost while attempts are out: any of them may have done its
    /// work.
    fn crashes(&self, model: &Model, choices: &mut Vec<Choice>) {
        let running = self.running();
        if running.is_empty() {
            return;
        }
        let acting: Vec<_> = running
            .into_iter()
            .filter(|(machine, work)| {
                let instance = self.machines[*machine].orchestration.instance();
                let attempt = instance.attempt_of(*work);
                attempt.is_some_and(|attempt| self.acts(model, *machine, &attempt))
            })
            .collect();
        // Of many attempts not each combination, but none, each one, and all.
        let several = acting.len() > 4;
        let combinations = if several { 0 } else { 1u32 << acting.len() };
        for combination in 0..combinations {
            let which = acting.iter().enumerate().filter(|(at, _)| combination & (1 << at) != 0);
            choices.push(Choice::Crash { applied: which.map(|(_, it)| *it).collect() });
        }
        if several {
            choices.push(Choice::Crash { applied: Vec::new() });
            choices.extend(acting.iter().map(|it| Choice::Crash { applied: vec![*it] }));
            choices.push(Choice::Crash { applied: acting });
        }
    }
}

fn is_pivot(instance: &Instance, work: Work) -> bool {
    matches!(work, Work::Step(task) if instance.step(task).is_some_and(|step| step.pivot))
}

fn can_be_cancelled(root: &Instance) -> bool {
    root.end().is_none() && root.unwinding().is_none() && !root.is_past_pivot()
}
