//! What the code sees of the host: it does one thing after the other, and is
//! told an answer to each.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sagahost_core::{
    ChildOptions, ChildPolicy, Completion, EntityId, Failure, HTTP_FUNCTION, Json, LogLevel,
    Millis, Orchestration, Parcel, Request, ScopeId, StartOptions, Started, StepOptions, Tags,
    TaskId, UndoChoice,
};
use sagahost_wasm::{OrchestrationHost, Runtime, Stop};

/// One thing that the code does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Request(Box<Request>),
    Next(Vec<TaskId>),
    Now,
    Uuid,
    Random,
    InstanceId,
    Replaying,
    Status(Json),
    /// It starts an orchestration that nobody waits for.
    Start(String, Json, Box<StartOptions>),
    /// It wants to begin anew when it returns.
    Again(Json),
    Log(LogLevel, String),
    Ended(Result<Json, Failure>),
}

/// What it is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Done,
    Number(u32),
    Completion(Completion),
    Time(Millis),
    Text(String),
    Bits(u64),
    Flag(bool),
    Refused(String),
}

/// Does what the code asks for; `None` where it has to wait.
pub(super) fn perform(op: &Op, orchestration: &mut Orchestration, id: &str) -> Option<Answer> {
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
        Op::Start(name, input, options) => {
            let StartOptions { id, version, tags, start_at } = StartOptions::clone(options);
            let place = orchestration.sent();
            let execution = &orchestration.instance().started().execution;
            let to = id.unwrap_or_else(|| format!("{execution}:s{place:04x}"));
            let (name, input, trace_parent) = (name.clone(), input.clone(), None);
            let parcel = Parcel::Start { name, input, version, tags, start_at, trace_parent };
            match orchestration.request(Request::Send { to: to.clone(), parcel }) {
                Ok(_) => Answer::Text(to),
                Err(mismatch) => Answer::Refused(mismatch.to_string()),
            }
        }
        // The core is not told: what is looked at ends with the round.
        Op::Again(_) | Op::Ended(_) => Answer::Done,
    })
}

pub(super) fn describe(op: &Op) -> String {
    match op {
        Op::Request(request) => format!("{request:?}"),
        Op::Next(_) => "it waited".to_owned(),
        op => format!("{op:?}"),
    }
}

pub(super) type Shared = Arc<Mutex<Guest>>;

/// The host that the code sees.
pub(super) struct Guest(pub(super) RefCell<State>, pub(super) Runtime);

pub(super) struct State {
    /// What it did before, and was told.
    pub(super) script: VecDeque<(Op, Answer)>,
    pub(super) live: Option<Orchestration>,
    /// What it did beyond that.
    pub(super) seen: Vec<(Op, Answer)>,
    /// What it waits for.
    pub(super) waits: Option<Op>,
    /// What it did before and does now, where that is not the same.
    pub(super) differs: Option<(String, String)>,
    /// Whether it is told that it is replayed.
    pub(super) truthful: bool,
    pub(super) id: String,
    pub(super) started: Started,
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

    fn start_orchestrator(
        &mut self,
        name: String,
        input: Json,
        options: StartOptions,
    ) -> Result<String, Stop> {
        match self.0.borrow_mut().ask(Op::Start(name, input, Box::new(options)))? {
            Some(Answer::Text(id)) => Ok(id),
            _ => Err(Stop("its host answers something else".to_owned())),
        }
    }

    fn send_event(&mut self, instance: String, name: String, input: Json) -> Result<(), Stop> {
        let parcel = Parcel::Event { name, input };
        self.number(Request::Send { to: instance, parcel }).map(drop)
    }

    fn call_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Json,
    ) -> Result<TaskId, Stop> {
        self.number(Request::CallEntity { entity, operation, input })
    }

    fn signal_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Json,
        at: Option<Millis>,
    ) -> Result<(), Stop> {
        let execution = Some(self.0.borrow().started.execution.clone());
        let parcel = Parcel::Signal { operation, input, at, execution };
        self.number(Request::Send { to: entity.instance_id(), parcel }).map(drop)
    }

    fn lock_entities(&mut self, entities: Vec<EntityId>) -> Result<TaskId, Stop> {
        self.number(Request::Lock { entities })
    }

    fn unlock_entities(&mut self) -> Result<(), Stop> {
        self.number(Request::Unlock).map(drop)
    }

    /// Events that are kept make no difference: the next round is not looked
    /// at.
    fn continue_as_new(&mut self, input: Json, _keep_events: bool) -> Result<(), Stop> {
        self.0.borrow_mut().ask(Op::Again(input)).map(drop)
    }

    fn call_http(&mut self, request: Json, options: StepOptions) -> Result<TaskId, Stop> {
        let StepOptions { call, undo, scope, pivot } = options;
        let policy = self.1.http_policy(call);
        let undo = self.1.compensation(HTTP_FUNCTION, undo);
        let function = HTTP_FUNCTION.to_owned();
        self.number(Request::Activity { function, input: request, policy, undo, scope, pivot })
    }

    fn version(&self) -> Option<String> {
        self.0.borrow().started.version.clone()
    }

    fn tags(&self) -> Tags {
        self.0.borrow().started.tags.clone()
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
