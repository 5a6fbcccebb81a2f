//! Orchestrations with children, as a host runs them: each in a world of its
//! own, with what they tell each other carried between them.

use std::collections::{BTreeMap, BTreeSet};

use sagahost_core::*;

use super::{Op, World, json, started};

/// Which orchestrator runs which script.
pub type Scripts = BTreeMap<String, Vec<Op>>;

pub struct Tree {
    scripts: Scripts,
    pub worlds: BTreeMap<String, World>,
    /// Effects that are in place, by the idempotency key of their step.
    pub effects: BTreeSet<String>,
    /// The functions of undos, in the order in which they were done.
    pub undone: Vec<String>,
    /// Forward functions that fail.
    pub failing: BTreeSet<String>,
}

pub const ROOT: &str = "root";

impl Tree {
    /// Starts the orchestrator `O0`.
    pub fn start(scripts: &[(&str, &[Op])]) -> Self {
        let scripts = scripts.iter().map(|(name, ops)| ((*name).to_owned(), ops.to_vec()));
        let mut tree = Tree {
            scripts: scripts.collect(),
            worlds: BTreeMap::new(),
            effects: BTreeSet::new(),
            undone: Vec::new(),
            failing: BTreeSet::new(),
        };
        tree.begin(ROOT.into(), Started { name: "O0".into(), ..started() });
        tree
    }

    fn begin(&mut self, id: String, started: Started) {
        let script = self.scripts[&started.name].clone();
        self.worlds.insert(id.clone(), World::start_with(script, CallPolicy::default(), started));
        self.carry(&id);
    }

    pub fn root(&self) -> &World {
        &self.worlds[ROOT]
    }

    pub fn world(&mut self, id: &str) -> &mut World {
        self.worlds.get_mut(id).expect("it was started")
    }

    /// The id of the one instance of this orchestrator.
    pub fn id_of(&self, name: &str) -> String {
        let found = self.worlds.iter().find(|(_, world)| world.instance().started().name == name);
        found.map(|(id, _)| id.clone()).expect("it was started")
    }

    /// Does something with one instance, and carries what comes of it.
    pub fn tell<R>(&mut self, id: &str, what: impl FnOnce(&mut World) -> R) -> R {
        let result = what(self.world(id));
        self.carry(id);
        result
    }

    /// Carries what the last turn of an instance made to those it concerns.
    fn carry(&mut self, id: &str) {
        let turn = std::mem::take(&mut self.world(id).last);
        let parent = self.world(id).instance().started().clone();
        for start in turn.children {
            if self.worlds.contains_key(&start.id) {
                self.report(&start.id);
                continue;
            }
            let started = Started {
                name: start.function,
                input: start.input,
                // Another one for each, and the same whenever it is asked for.
                execution: start.id.replace(':', "-"),
                parent: Some(Parent {
                    id: id.to_owned(),
                    execution: parent.execution.clone(),
                    task: start.task,
                    attempt: 1,
                }),
                ..started()
            };
            self.begin(start.id, started);
        }
        for stop in turn.child_stops {
            if self.worlds.get(&stop.id).is_some_and(|child| !child.ended()) {
                let reason = stop.reason;
                let command = match stop.terminate {
                    true => Command::Terminate { reason, compensate: false },
                    false => Command::HandOver { reason },
                };
                self.tell(&stop.id, |child| child.turn(Some(command))).expect("it has not ended");
            }
        }
        if turn.ended {
            self.report(id);
        }
    }

    /// Tells a parent how its child ended, if it did.
    fn report(&mut self, id: &str) {
        let child = self.worlds[id].instance();
        let (Some(end), Some(parent)) = (child.end(), child.started().parent.clone()) else {
            return;
        };
        let outcome = match end {
            End::Completed(output) => Ok(output.clone()),
            End::Failed(failure) => Err(failure.clone()),
            End::Canceled(reason) => Err(Failure::host(FailureKind::Cancelled, reason.as_str())),
            End::Terminated(reason) => Err(Failure::host(FailureKind::Terminated, reason.as_str())),
        };
        let handed = child.handed_over();
        let out = self.worlds[&parent.id].children.iter().any(|open| open.task == parent.task);
        if out && !self.worlds[&parent.id].ended() {
            self.tell(&parent.id, |world| world.end_child(parent.task, outcome, handed));
        }
    }

    /// Ends one attempt that is out somewhere, the oldest first; false where
    /// none is.
    pub fn go_on(&mut self) -> bool {
        let found = self.worlds.iter().find_map(|(id, world)| {
            let out = world.out.first().filter(|_| !world.ended())?;
            Some((id.clone(), *out))
        });
        let Some((id, out)) = found else { return false };
        let instance = self.worlds[&id].instance();
        let attempt = instance.attempt_of(out.work).expect("it is out");
        let outcome = match (&attempt.undone, self.failing.contains(&attempt.function)) {
            (Some(undone), _) => {
                assert!(self.effects.remove(&undone.key), "{} is undone twice", undone.key);
                self.undone.push(attempt.function.clone());
                Ok(Json::null())
            }
            (None, _) if out.stopping => {
                self.effects.insert(attempt.key);
                Err(Failure::host(FailureKind::Cancelled, "told to end"))
            }
            (None, true) => Err(super::returned(false)),
            (None, false) => {
                // Done twice under the same key, it is done once.
                self.effects.insert(attempt.key);
                Ok(json(&attempt.function))
            }
        };
        self.tell(&id, |world| world.end_attempt(0, outcome));
        true
    }

    pub fn finish(&mut self) {
        while self.go_on() {}
    }

    /// The host ends, after all attempts that were out did their work, and
    /// each instance goes on from its journal.
    pub fn crash(&mut self) {
        for world in self.worlds.values().filter(|world| !world.ended()) {
            let out = world.out.iter().filter_map(|out| world.instance().attempt_of(out.work));
            let forward = out.filter(|attempt| attempt.undone.is_none());
            self.effects.extend(forward.map(|attempt| attempt.key));
        }
        let open = self.worlds.iter().filter(|(_, world)| !world.ended());
        for id in open.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            if !self.worlds[&id].ended() {
                self.tell(&id, World::crash);
            }
        }
    }
}
