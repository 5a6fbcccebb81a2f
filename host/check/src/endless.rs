//! Sagas that go round and round.
//!
//! A search that comes up against the bound on loops cannot know what lies
//! beyond. So one path is followed for much longer: the one on which nothing
//! more goes wrong, or on which one activity fails for good.

use std::collections::{BTreeSet, HashMap};

use sagahost_core::{Json, Work};

use crate::bounds::{Bounds, Cut, GivenBounds};
use crate::choice::{Choice, How, Reply};
use crate::error::CheckError;
use crate::explore::{Explorer, State};
use crate::fault::{Fault, Rule};
use crate::world::World;

/// A path that goes on for so many tasks more than the bound on loops is taken
/// to go on for ever, as is one that comes to so many of each loop.
const TASKS: u32 = 200;
const ROUNDS: u32 = 20;

/// How far one path was followed.
struct Probe {
    /// What happened until the bound on loops was reached.
    way: Vec<Choice>,
    /// What is asked for again and again, without end.
    endless: Option<String>,
}

impl Explorer<'_> {
    /// Finds states from which the saga never ends even if nothing more goes
    /// wrong.
    pub(crate) fn no_way_out(&mut self, name: &str, input: &Json) -> Result<(), CheckError> {
        if self.looped.is_empty() || self.cut.iter().any(|cut| *cut != Cut::Loops) {
            return Ok(());
        }
        let mut before: HashMap<State, Vec<State>> = HashMap::new();
        for (from, to) in &self.benign {
            before.entry(*to).or_default().push(*from);
        }
        let mut fine: Vec<bool> = vec![false; self.arrivals.len()];
        let mut queue: Vec<State> = self.ends.iter().chain(&self.unknown).copied().collect();
        while let Some(state) = queue.pop() {
            if !std::mem::replace(&mut fine[state as usize], true) {
                queue.extend(before.get(&state).into_iter().flatten());
            }
        }
        let Some(state) = fine.iter().position(|fine| !fine) else { return Ok(()) };
        let mut way = self.way_to(state as State);
        let mut world = self.stepper.begin(name, input)?.world;
        for choice in &way {
            world = self.stepper.step(&world, choice).world;
        }
        let probe = self.probe(world, None, &mut BTreeSet::new());
        if let Some(function) = probe.endless {
            way.extend(probe.way);
            let detail = format!(
                "the saga never ends, though nothing more goes wrong: it asks for {function} \
                 again and again"
            );
            self.report_way(Fault::of(Rule::NoEnd, &function, detail), way);
        }
        Ok(())
    }

    /// What if one activity fails for good? Whatever asks for it then has to
    /// come to an end: looks at one path for each activity that is called.
    pub(crate) fn outages(&mut self, name: &str, input: &Json) -> Result<(), CheckError> {
        if self.cut.contains(&Cut::Seconds) {
            return Ok(());
        }
        let mut called = BTreeSet::new();
        let world = self.stepper.begin(name, input)?.world;
        self.probe(world.clone(), None, &mut called);
        let mut looked_at = BTreeSet::new();
        while let Some(failing) = called.difference(&looked_at).next().cloned() {
            looked_at.insert(failing.clone());
            let probe = self.probe(world.clone(), Some(&failing), &mut called);
            if let Some(function) = probe.endless {
                let detail = format!(
                    "the saga never ends while {failing} fails: it asks for {function} again and \
                     again"
                );
                self.report_way(Fault::of(Rule::NoEnd, &failing, detail), probe.way);
            }
        }
        Ok(())
    }

    /// Follows one path until it ends, or is sure not to.
    fn probe(
        &mut self,
        mut world: World,
        failing: Option<&str>,
        called: &mut BTreeSet<String>,
    ) -> Probe {
        let bounds = &self.stepper.bounds;
        let most = TASKS + ROUNDS * bounds.loops;
        let mut probe = Probe { way: Vec::new(), endless: None };
        let mut looped = None;
        for _ in 0..bounds.depth.max(4 * most) {
            let Some(choice) = self.likely(&world, failing, called) else { break };
            let stepped = self.stepper.step(&world, &choice);
            if looped.is_none() {
                probe.way.push(choice);
                looped = stepped.looped;
            }
            world = stepped.world;
            let tasks = world.machines.iter().map(|it| it.orchestration.instance().task_count());
            if tasks.max() > Some(most) || world.machines.len() > most as usize {
                probe.endless = looped;
                break;
            }
        }
        probe
    }

    /// What happens next where one activity fails for good, and nothing else
    /// goes wrong.
    fn likely(
        &self,
        world: &World,
        failing: Option<&str>,
        called: &mut BTreeSet<String>,
    ) -> Option<Choice> {
        if world.has_ended() {
            return None;
        }
        let only_faults = GivenBounds {
            faults: Some(u32::MAX),
            cancels: Some(0),
            crashes: Some(0),
            ..GivenBounds::default()
        };
        let (choices, _) = world.choices(self.stepper.model, &Bounds::new(only_faults));
        for choice in &choices {
            if let Choice::Reply { machine, task, reply } = choice {
                let operation = world.operation(*machine, *task);
                let fails = failing.is_some() && failing == operation.as_deref();
                called.extend(operation);
                match reply {
                    Reply::Refused(0) if fails => return Some(choice.clone()),
                    Reply::Answer(0) | Reply::Locked if !fails => return Some(choice.clone()),
                    _ => {}
                }
            }
            let Choice::Ends { machine, work, how } = choice else { continue };
            let Some(attempt) = world.instance(*machine).attempt_of(*work) else { continue };
            let forward = matches!(work, Work::Step(_));
            if forward {
                called.insert(attempt.function.clone());
            }
            let fails = forward && failing == Some(&attempt.function);
            match how {
                How::Fail(0) if fails => return Some(choice.clone()),
                How::Ok(0) if !fails => return Some(choice.clone()),
                _ => {}
            }
        }
        let other =
            |choice: &&Choice| !matches!(choice, Choice::Ends { .. } | Choice::Reply { .. });
        let event = choices.iter().find(|choice| matches!(choice, Choice::Event { .. }));
        event.or_else(|| choices.iter().find(other)).cloned()
    }
}
