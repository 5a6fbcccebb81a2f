//! The orchestrator's code as a tree: what it asks for, and what it does then,
//! for each answer that it was ever given.
//!
//! An orchestrator sees nothing but its host's answers, so what it does next
//! is a function of those. Each answer is tried on the real code once; the many
//! states of a saga in which the code was told the same are then a walk along
//! the tree, and cost no WebAssembly at all.

mod guest;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sagahost_core::{Failure, FailureKind, Json, Orchestration, Started};
use sagahost_wasm::{Fiber, FiberEnd, WasmError};

use self::guest::{Answer, Guest, Op, Shared, State, describe, perform};
use crate::program::Program;

/// A place in the tree.
pub(crate) type Place = u32;

struct Node {
    op: Op,
    from: Option<(Place, Answer)>,
    next: Vec<(Answer, Place)>,
}

/// Where the code is when it lets go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ran {
    /// It waits there.
    Parked(Place),
    Ended,
    /// It has returned, and begins anew with this input.
    Again(Json),
}

/// Why the code cannot be gone on with.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It was told the same as before, and did something else.
    Differs {
        before: String,
        now: String,
    },
    Wasm(WasmError),
}

/// The code of one orchestrator with one input.
pub(crate) struct Code {
    started: Started,
    id: String,
    /// The output that it is taken to end with where it continues as new.
    last_output: Json,
    nodes: Vec<Node>,
    /// Fibers that wait, the newest first.
    parked: VecDeque<(Place, Fiber, Shared)>,
    /// How often WebAssembly ran.
    pub(crate) runs: u64,
}

impl Code {
    pub(crate) fn new(started: Started, id: String, last_output: Json) -> Self {
        Code { started, id, last_output, nodes: Vec::new(), parked: VecDeque::new(), runs: 0 }
    }

    pub(crate) fn is(&self, started: &Started, id: &str) -> bool {
        let Started { name, input, version, tags, .. } = &self.started;
        (name, input) == (&started.name, &started.input)
            && (version, tags) == (&started.version, &started.tags)
            && self.id == id
    }

    /// Runs the code from a place on, as far as it goes.
    pub(crate) fn run(
        &mut self,
        program: &Program,
        orchestration: &mut Orchestration,
        from: Option<Place>,
    ) -> Result<Ran, Broken> {
        let mut at = match from {
            Some(place) => place,
            None if self.nodes.is_empty() => {
                return self.extend(program, orchestration, None);
            }
            None => 0,
        };
        loop {
            let node = &self.nodes[at as usize];
            if let Op::Ended(result) = &node.op {
                let (result, from) = (result.clone(), node.from.clone());
                return Ok(self.ended(orchestration, result, from.as_ref()));
            }
            let Some(answer) = perform(&node.op, orchestration, &self.id) else {
                let _ = orchestration.parked();
                return Ok(Ran::Parked(at));
            };
            match node.next.iter().find(|(known, _)| *known == answer) {
                Some((_, next)) => at = *next,
                None => return self.extend(program, orchestration, Some((at, answer))),
            }
        }
    }

    /// Runs the real code where it was never run: after this answer.
    fn extend(
        &mut self,
        program: &Program,
        orchestration: &mut Orchestration,
        from: Option<(Place, Answer)>,
    ) -> Result<Ran, Broken> {
        let waiting = from.as_ref().and_then(|(place, answer)| {
            let kept = self.parked.iter().position(|(parked, _, _)| parked == place)?;
            let (_, fiber, guest) = self.parked.remove(kept)?;
            let script = VecDeque::from([(self.nodes[*place as usize].op.clone(), answer.clone())]);
            guest.lock().unwrap_or_else(PoisonError::into_inner).0.borrow_mut().script = script;
            Some((fiber, guest))
        });
        let (mut fiber, guest) = match waiting {
            Some(waiting) => waiting,
            None => {
                self.runs += 1;
                self.start(program, self.script(from.as_ref()), false)?
            }
        };
        let end = resume(program, &mut fiber, &guest, orchestration);
        let mut seen = {
            let guest = guest.lock().unwrap_or_else(PoisonError::into_inner);
            let mut guest = guest.0.borrow_mut();
            if let Some((before, now)) = guest.differs.take() {
                return Err(Broken::Differs { before, now });
            }
            if let Some((op, _)) = guest.script.front() {
                let before = describe(op);
                return Err(Broken::Differs { before, now: "nothing more".to_owned() });
            }
            std::mem::take(&mut guest.seen)
        };
        let mut from = from;
        for (op, answer) in seen.drain(..) {
            let place = self.grow(from, op);
            from = Some((place, answer));
        }
        let last = {
            let mut guest = guest.lock().unwrap_or_else(PoisonError::into_inner);
            guest.0.get_mut().waits.take()
        };
        Ok(match (end, last) {
            (FiberEnd::Parked, Some(op)) => {
                let place = self.grow(from, op);
                self.parked.push_front((place, fiber, guest));
                self.parked.truncate(Program::fibers() / 4);
                let _ = orchestration.parked();
                Ran::Parked(place)
            }
            (end, _) => {
                let result = match end {
                    FiberEnd::Returned(result) => result,
                    FiberEnd::Trapped(failure) => Err(failure),
                    FiberEnd::Stopped(message) => Err(Failure::host(FailureKind::Trap, message)),
                    FiberEnd::Parked => Err(Failure::host(
                        FailureKind::Trap,
                        "it waited for something that is no task",
                    )),
                };
                self.grow(from.clone(), Op::Ended(result.clone()));
                self.ended(orchestration, result, from.as_ref())
            }
        })
    }

    /// The code has returned. Where it wants to begin anew the round counts as
    /// completed; what it returned is dropped.
    fn ended(
        &self,
        orchestration: &mut Orchestration,
        result: Result<Json, Failure>,
        from: Option<&(Place, Answer)>,
    ) -> Ran {
        let again = result.is_ok().then(|| self.again(from)).flatten();
        let result = result.map(|output| match again {
            Some(_) => self.last_output.clone(),
            None => output,
        });
        let _ = orchestration.returned(result);
        again.map_or(Ran::Ended, Ran::Again)
    }

    /// With which input the code wanted last to begin anew, on the way there.
    fn again<'a>(&'a self, mut from: Option<&'a (Place, Answer)>) -> Option<Json> {
        while let Some((place, _)) = from {
            let node = &self.nodes[*place as usize];
            if let Op::Again(input) = &node.op {
                return Some(input.clone());
            }
            from = node.from.as_ref();
        }
        None
    }

    fn grow(&mut self, from: Option<(Place, Answer)>, op: Op) -> Place {
        let place = self.nodes.len() as Place;
        if let Some((before, answer)) = &from {
            self.nodes[*before as usize].next.push((answer.clone(), place));
        }
        self.nodes.push(Node { op, from, next: Vec::new() });
        place
    }

    /// All that led to an answer.
    fn script(&self, to: Option<&(Place, Answer)>) -> VecDeque<(Op, Answer)> {
        let mut script = VecDeque::new();
        let mut at = to;
        while let Some((place, answer)) = at {
            let node = &self.nodes[*place as usize];
            script.push_front((node.op.clone(), answer.clone()));
            at = node.from.as_ref();
        }
        script
    }

    fn start(
        &self,
        program: &Program,
        script: VecDeque<(Op, Answer)>,
        truthful: bool,
    ) -> Result<(Fiber, Shared), Broken> {
        let runtime = program.runtime.clone();
        let state = State {
            script,
            live: None,
            seen: Vec::new(),
            waits: None,
            differs: None,
            truthful,
            id: self.id.clone(),
            started: self.started.clone(),
        };
        let guest = Arc::new(Mutex::new(Guest(RefCell::new(state), runtime)));
        let Started { digest, name, input, .. } = &self.started;
        let fiber = program.runtime.start_orchestrator(digest, name, input.clone(), guest.clone());
        Ok((fiber.map_err(Broken::Wasm)?, guest))
    }

    /// Runs the code over its journal from its beginning, as a host does that
    /// has lost it; what it did otherwise, if it did.
    pub(crate) fn replay(
        &mut self,
        program: &Program,
        orchestration: &Orchestration,
    ) -> Result<(), Broken> {
        self.runs += 1;
        let mut orchestration = orchestration.clone();
        orchestration.start_over();
        let (mut fiber, guest) = self.start(program, VecDeque::new(), true)?;
        let end = resume(program, &mut fiber, &guest, &mut orchestration);
        let differs = |now: String| Broken::Differs { before: "what it had done".into(), now };
        let outcome = match end {
            FiberEnd::Parked => orchestration.parked(),
            FiberEnd::Returned(result) => orchestration.returned(result),
            FiberEnd::Trapped(failure) => orchestration.returned(Err(failure)),
            FiberEnd::Stopped(message) => return Err(differs(message)),
        };
        outcome.map_err(|mismatch| differs(mismatch.to_string()))
    }
}

fn resume(
    program: &Program,
    fiber: &mut Fiber,
    guest: &Shared,
    orchestration: &mut Orchestration,
) -> FiberEnd {
    let state = |guest: &Shared, swap: &mut Option<Orchestration>| {
        let mut guest = guest.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut guest.0.get_mut().live, swap);
    };
    let mut lent = Some(orchestration.clone());
    state(guest, &mut lent);
    let end = program.executor.block_on(fiber.resume());
    state(guest, &mut lent);
    if let Some(back) = lent {
        *orchestration = back;
    }
    end
}
