//! A saga in the middle of something: its orchestrations as the host sees
//! them, and what its steps have done in the world.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use sagahost_core::{Json, Millis, Orchestration, StepOutcome, TaskId, Work};
use sha2::{Digest, Sha256};

use crate::code::Place;

/// When all sagas begin: 2030-01-01T00:00:00Z.
pub(crate) const BEGINNING: Millis = 1_893_456_000_000;

/// One orchestration. The first one is the saga; the others are its children.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) orchestration: Orchestration,
    pub(crate) name: Rc<str>,
    pub(crate) id: Rc<str>,
    /// Which code it runs, and where that waits.
    pub(crate) code: usize,
    pub(crate) at: Option<Place>,
    pub(crate) parent: Option<(usize, TaskId)>,
    /// With which input it goes on anew, where it ended so.
    pub(crate) again: Option<Json>,
}

/// Who removed an effect: whoever has the same name has the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Undoer {
    /// A step, called by the orchestrator.
    Step(usize, TaskId),
    /// The host, with the key that it makes of this one, which is a step's.
    Host(u64),
    Person,
}

/// Whether an effect is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Presence {
    Absent,
    InPlace,
    Undone(Undoer),
}

/// What a step does in the world, if it does.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    pub(crate) machine: usize,
    pub(crate) task: TaskId,
    pub(crate) function: Rc<str>,
    pub(crate) input: Json,
    /// The idempotency key of the step.
    pub(crate) key: Rc<str>,
    /// The undo that the call named, or the function itself.
    pub(crate) undo: Option<Rc<str>>,
    pub(crate) presence: Presence,
    /// Whether an undo of it was called, whatever became of that.
    pub(crate) asked: bool,
    /// Whether an earlier effect was removed by hand while this one was in
    /// place.
    pub(crate) overtaken: bool,
    /// The effects, as bits, whose steps were complete when this one's was
    /// scheduled.
    pub(crate) after: u64,
    /// What it is about, as a number.
    pub(crate) about: u64,
}

/// What has been spent of what can happen on one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spent {
    pub(crate) faults: u32,
    pub(crate) crashes: u32,
    pub(crate) cancels: u32,
    /// Counted only where there is a bound.
    pub(crate) orders: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) machines: Vec<Rc<Machine>>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) spent: Spent,
}

/// Collects what is hashed, so that one pass of a strong hash does.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

/// A number for something, always the same.
pub(crate) fn number(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl World {
    pub(crate) fn root(&self) -> &Machine {
        &self.machines[0]
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.root().orchestration.instance().end().is_some()
    }

    /// The effect of a step.
    pub(crate) fn effect_of(&self, machine: usize, task: TaskId) -> Option<usize> {
        let mut effects = self.effects.iter();
        effects.position(|effect| (effect.machine, effect.task) == (machine, task))
    }

    /// What became of the step that made an effect.
    pub(crate) fn outcome(&self, effect: &Effect) -> Option<StepOutcome> {
        let machine = self.machines.get(effect.machine)?;
        machine.orchestration.instance().step(effect.task)?.outcome
    }

    /// Whether a machine is this one, or descends from it.
    pub(crate) fn descends(&self, machine: usize, from: (usize, TaskId)) -> bool {
        let mut at = Some(machine);
        while let Some(machine) = at {
            let parent = self.machines[machine].parent;
            if parent == Some(from) {
                return true;
            }
            at = parent.map(|(parent, _)| parent);
        }
        false
    }

    /// All that makes a difference to what can still happen, as a number.
    pub(crate) fn fingerprint(&self) -> u128 {
        let mut bytes = Bytes(Vec::with_capacity(1024));
        self.spent.hash(&mut bytes);
        let mut codes_go_on = false;
        for machine in &self.machines {
            let code = machine.orchestration.code_may_go_on();
            codes_go_on |= code;
            (machine.parent, machine.code, machine.again.is_some()).hash(&mut bytes);
            code.then_some(machine.at).hash(&mut bytes);
            machine.orchestration.instance().write_state(self.now, code, &mut bytes);
        }
        for (at, effect) in self.effects.iter().enumerate() {
            let over = !codes_go_on
                && effect.presence == Presence::Absent
                && self.outcome(effect).is_some();
            if !over {
                let Effect { presence, asked, overtaken, after, about, .. } = effect;
                (at, presence, asked, overtaken, after, about).hash(&mut bytes);
            }
        }
        let digest = Sha256::digest(&bytes.0);
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        u128::from_le_bytes(first)
    }

    /// The attempts that are out, with where.
    pub(crate) fn running(&self) -> Vec<(usize, Work)> {
        let machines = self.machines.iter().enumerate();
        let running = machines.flat_map(|(at, machine)| {
            let running = machine.orchestration.instance().running().into_iter();
            running.map(move |attempt| (at, attempt.work))
        });
        running.collect()
    }
}
