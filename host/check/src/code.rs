//! The orchestrator's code as a tree: what it asks for, and what it does then,
//! for each answer that it was ever given.
//!
//! An orchestrator sees nothing but its host's answers, so what it does next
//! is a function of those. Each answer is tried on the real code once; the many
//! states of a saga in which the code was told the same are then a walk along
//! the tree, and cost no WebAssembly at all.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sagahost_core::{
    ChildOptions, ChildPolicy, Completion, Failure, FailureKind, Json, LogLevel, Millis,
    Orchestration, Request, ScopeId, Started, StepOptions, TaskId, UndoChoice,
};
use sagahost_wasm::{Fiber, FiberEnd, OrchestrationHost, Runtime, Stop, WasmError};

use crate::program::Program;

/// A place in the tree.
pub(crate) type Place = u32;

/// One thing that the code does.
#[derive(Clone, Debug, PartialEq)]
enum Op {
    Request(Box<Request>),
    Next(Vec<TaskId>),
    Now,
    Uuid,
    Random,
    InstanceId,
    Replaying,
    Status(Json),
    Log(LogLevel, String),
    Ended(Result<Json, Failure>),
}

/// What it is told.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Done,
    Number(u32),
    Completion(Completion),
    Time(Millis),
    Text(String),
    Bits(u64),
    Flag(bool),
    Refused(String),
}

struct Node {
    op: Op,
    from: Option<(Place, Answer)>,
    next: Vec<(Answer, Place)>,
}

/// Where the code is when it lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It waits there.
    Parked(Place),
    Ended,
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
    nodes: Vec<Node>,
    /// Fibers that wait, the newest first.
    parked: VecDeque<(Place, Fiber, Shared)>,
    /// How often WebAssembly ran.
    pub(crate) runs: u64,
}

impl Code {
    pub(crate) fn new(started: Started, id: String) -> Self {
        Code { started, id, nodes: Vec::new(), parked: VecDeque::new(), runs: 0 }
    }

    pub(crate) fn is(&self, started: &Started, id: &str) -> bool {
        (&self.started.name, &self.started.input) == (&started.name, &started.input)
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
                let _ = orchestration.returned(result.clone());
                return Ok(Ran::Ended);
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
                self.grow(from, Op::Ended(result.clone()));
                let _ = orchestration.returned(result);
                Ran::Ended
            }
        })
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

/// Does what the code asks for; `None` where it has to wait.
fn perform(op: &Op, orchestration: &mut Orchestration, id: &str) -> Option<Answer> {
    Some(match op {
        Op::Request(request) => match orchestration.request(Request::clone(request)) {
            Ok(number) => Answer::Number(number),
            Err(mismatch) => Answer::Refused(mismatch.to_string()),
        },
        Op::Next(tasks) => match orchestration.next(tasks) {
            Ok(completion) => Answer::Completion(completion?),
            Err(mismatch) => Answer::Refused(mismatch.to_string()),
        },
        Op::Now => Answer::Time(orchestration.now()),
        Op::Uuid => Answer::Text(orchestration.new_uuid()),
        Op::Random => Answer::Bits(orchestration.random_u64()),
        Op::InstanceId => Answer::Text(id.to_owned()),
        // What is told here is what the first run is told; a replay is told
        // the truth, and has to do the same all the same.
        Op::Replaying => Answer::Flag(false),
        Op::Status(status) => {
            orchestration.set_custom_status(status.clone());
            Answer::Done
        }
        Op::Log(level, message) => {
            orchestration.log(*level, message.clone());
            Answer::Done
        }
        Op::Ended(_) => Answer::Done,
    })
}

fn describe(op: &Op) -> String {
    match op {
        Op::Request(request) => format!("{request:?}"),
        Op::Next(_) => "it waited".to_owned(),
        op => format!("{op:?}"),
    }
}

type Shared = Arc<Mutex<Guest>>;

/// The host that the code sees.
struct Guest(RefCell<State>, Runtime);

struct State {
    /// What it did before, and was told.
    script: VecDeque<(Op, Answer)>,
    live: Option<Orchestration>,
    /// What it did beyond that.
    seen: Vec<(Op, Answer)>,
    /// What it waits for.
    waits: Option<Op>,
    /// What it did before and does now, where that is not the same.
    differs: Option<(String, String)>,
    /// Whether it is told that it is replayed.
    truthful: bool,
    id: String,
}

impl State {
    fn ask(&mut self, op: Op) -> Result<Option<Answer>, Stop> {
        let answer = match self.script.pop_front() {
            Some((before, answer)) => {
                if before != op {
                    self.differs = Some((describe(&before), describe(&op)));
                    return Err(Stop("it does something else than before".to_owned()));
                }
                answer
            }
            None => {
                let Some(live) = self.live.as_mut() else {
                    return Err(Stop("its host is gone".to_owned()));
                };
                let performed = match op {
                    Op::Replaying if self.truthful => Some(Answer::Flag(live.is_replaying())),
                    _ => perform(&op, live, &self.id),
                };
                let Some(answer) = performed else {
                    self.waits = Some(op);
                    return Ok(None);
                };
                if !self.truthful {
                    self.seen.push((op, answer.clone()));
                }
                answer
            }
        };
        match answer {
            Answer::Refused(reason) => Err(Stop(reason)),
            answer => Ok(Some(answer)),
        }
    }

    fn number(&mut self, request: Request) -> Result<u32, Stop> {
        match self.ask(Op::Request(Box::new(request)))? {
            Some(Answer::Number(number)) => Ok(number),
            _ => Err(Stop("its host answers something else".to_owned())),
        }
    }
}

impl Guest {
    fn number(&self, request: Request) -> Result<u32, Stop> {
        self.0.borrow_mut().number(request)
    }

    fn tell(&self, op: Op) -> Option<Answer> {
        self.0.borrow_mut().ask(op).ok().flatten()
    }
}

impl OrchestrationHost for Guest {
    fn call_activity(
        &mut self,
        function: String,
        input: Json,
        options: StepOptions,
    ) -> Result<TaskId, Stop> {
        let StepOptions { call, undo, scope, pivot } = options;
        let policy = self.1.call_policy(&function, call);
        let undo = self.1.compensation(&function, undo);
        self.number(Request::Activity { function, input, policy, undo, scope, pivot })
    }

    /// A child is started once, whatever is said of its retries.
    fn call_child(
        &mut self,
        function: String,
        input: Json,
        options: ChildOptions,
    ) -> Result<TaskId, Stop> {
        let ChildOptions { step: StepOptions { call, undo, scope, pivot }, .. } = options;
        let by_hand = undo == UndoChoice::ByHand;
        let undo = self.1.compensation(&function, undo);
        let ChildOptions { id, version, tags, .. } = options;
        let policy = ChildPolicy { retry: None, timeout_ms: call.timeout_ms, version, tags };
        self.number(Request::Child { function, input, undo, id, policy, by_hand, scope, pivot })
    }

    fn open_scope(&mut self, parent: ScopeId) -> Result<ScopeId, Stop> {
        self.number(Request::OpenScope { parent })
    }

    fn undo_in_parallel(&mut self, scope: ScopeId) -> Result<(), Stop> {
        self.number(Request::UndoInParallel { scope }).map(drop)
    }

    fn compensate(&mut self, scope: ScopeId) -> Result<TaskId, Stop> {
        self.number(Request::Compensate { scope })
    }

    fn start_timer(&mut self, fire_at: Millis) -> Result<TaskId, Stop> {
        self.number(Request::Timer { fire_at })
    }

    fn wait_event(&mut self, name: String) -> Result<TaskId, Stop> {
        self.number(Request::Event { name })
    }

    fn cancel(&mut self, task: TaskId) -> Result<(), Stop> {
        self.number(Request::Cancel { task }).map(drop)
    }

    fn next(&mut self, tasks: &[TaskId]) -> Result<Option<sagahost_wasm::Completion>, Stop> {
        match self.0.borrow_mut().ask(Op::Next(tasks.to_vec()))? {
            None => Ok(None),
            Some(Answer::Completion(Completion { task, outcome })) => {
                Ok(Some(sagahost_wasm::Completion { task, outcome }))
            }
            Some(_) => Err(Stop("its host answers something else".to_owned())),
        }
    }

    fn now_ms(&self) -> Millis {
        match self.tell(Op::Now) {
            Some(Answer::Time(now)) => now,
            _ => 0,
        }
    }

    fn new_uuid(&mut self) -> String {
        match self.tell(Op::Uuid) {
            Some(Answer::Text(uuid)) => uuid,
            _ => String::new(),
        }
    }

    fn random_u64(&mut self) -> u64 {
        match self.tell(Op::Random) {
            Some(Answer::Bits(bits)) => bits,
            _ => 0,
        }
    }

    fn instance_id(&self) -> String {
        match self.tell(Op::InstanceId) {
            Some(Answer::Text(id)) => id,
            _ => String::new(),
        }
    }

    fn is_replaying(&self) -> bool {
        matches!(self.tell(Op::Replaying), Some(Answer::Flag(true)))
    }

    fn set_custom_status(&mut self, status: Json) {
        self.tell(Op::Status(status));
    }

    fn log(&mut self, level: LogLevel, message: String) {
        self.tell(Op::Log(level, message));
    }
}
