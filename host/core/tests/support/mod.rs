//! A world to try the core in: an orchestrator that is a list of operations,
//! and a host that keeps its journal in a vector.

#![allow(missing_docs, dead_code, unreachable_pub)]

use sagahost_core::*;

/// One thing that a modelled orchestrator does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Activity(u8),
    /// A timer that fires so many milliseconds from its now.
    Timer(u64),
    Event(u8),
    Cancel(u32),
    /// Waits for any completion.
    AwaitAny,
    /// Waits for this task.
    Await(u32),
    /// Waits for whichever of these completes first.
    AwaitOneOf(Vec<u32>),
    Uuid,
    Random,
    Status(u8),
    Log,
}

/// What the code has seen; the same on every replay.
pub type Trace = Vec<String>;

/// How far the code has come, and what it saw.
#[derive(Default)]
pub struct Code {
    at: usize,
    asked: u32,
    done: bool,
    pub trace: Trace,
}

pub struct World {
    pub script: Vec<Op>,
    pub chunks: Vec<Vec<u8>>,
    pub orchestration: Orchestration,
    pub code: Option<Code>,
    pub now: Millis,
    pub policy: CallPolicy,
    /// Attempts that are out.
    pub out: Vec<(TaskId, u32)>,
    pub blocked: Option<Mismatch>,
}

pub fn started() -> Started {
    Started {
        name: "Modelled".into(),
        input: Json::null(),
        execution: "0123456789abcdef0123456789abcdef".into(),
        digest: "d".into(),
        version: None,
        trace_parent: None,
    }
}

impl World {
    pub fn start(script: Vec<Op>, policy: CallPolicy) -> Self {
        let now = 1_000;
        let mut world = World {
            script,
            chunks: Vec::new(),
            orchestration: Orchestration::start(now, started()),
            code: None,
            now,
            policy,
            out: Vec::new(),
            blocked: None,
        };
        world.turn(None).expect("a start is not rejected");
        world
    }

    /// Makes a turn of one command, or of none.
    pub fn turn(&mut self, command: Option<Command>) -> Result<(), Rejected> {
        self.now += 1;
        self.orchestration.at(self.now);
        if let Some(command) = command {
            self.orchestration.handle(command)?;
        }
        while self.blocked.is_none() && self.orchestration.wants_to_run() {
            let replaying = self.orchestration.is_replaying();
            match self.run() {
                Ok(true) => self.orchestration.parked().unwrap_or_else(|m| self.blocked = Some(m)),
                Ok(false) => break,
                Err(mismatch) => self.blocked = Some(mismatch),
            }
            assert!(!replaying || self.blocked.is_some() || !self.orchestration.is_replaying());
        }
        self.end_turn();
        Ok(())
    }

    fn end_turn(&mut self) {
        let turn = self.orchestration.end_turn();
        if !turn.records.is_empty() {
            self.chunks.push(encode_chunk(&turn.records).expect("events are JSON"));
        }
        for attempt in turn.attempts {
            assert!(
                !self.out.contains(&(attempt.task, attempt.attempt)),
                "attempt {} of task {} is made twice",
                attempt.attempt,
                attempt.task
            );
            self.out.push((attempt.task, attempt.attempt));
        }
    }

    /// Runs the code until it waits (true) or ends (false).
    fn run(&mut self) -> Result<bool, Mismatch> {
        let mut code = self.code.take().unwrap_or_default();
        let waits = self.step(&mut code);
        self.code = Some(code);
        waits
    }

    fn step(&mut self, code: &mut Code) -> Result<bool, Mismatch> {
        let o = &mut self.orchestration;
        while let Some(op) = self.script.get(code.at) {
            let wanted: Vec<u32> = match op {
                Op::AwaitOneOf(tasks) => {
                    tasks.iter().copied().filter(|t| *t < code.asked).collect()
                }
                Op::Await(task) if *task < code.asked => vec![*task],
                _ => vec![],
            };
            match op {
                Op::Activity(n) => {
                    let input = Json::of(n).expect("a number is JSON");
                    let function = format!("A{n}");
                    let policy = self.policy.clone();
                    let task = o.request(Request::Activity { function, input, policy })?;
                    assert_eq!(task, code.asked);
                    code.asked += 1;
                }
                Op::Timer(after) => {
                    o.request(Request::Timer { fire_at: o.now() + after })?;
                    code.asked += 1;
                }
                Op::Event(n) => {
                    o.request(Request::Event { name: format!("E{n}") })?;
                    code.asked += 1;
                }
                Op::Cancel(task) if *task < code.asked => {
                    o.request(Request::Cancel { task: *task })?;
                }
                Op::AwaitAny if code.asked > 0 => match o.next(&[])? {
                    Some(completion) => code.trace.push(format!("{completion:?} at {}", o.now())),
                    None => return Ok(true),
                },
                Op::Await(_) | Op::AwaitOneOf(_) if !wanted.is_empty() => match o.next(&wanted)? {
                    Some(completion) => code.trace.push(format!("{completion:?} at {}", o.now())),
                    None => return Ok(true),
                },
                Op::Uuid => code.trace.push(o.new_uuid()),
                Op::Random => code.trace.push(o.random_u64().to_string()),
                Op::Status(n) => o.set_custom_status(Json::of(n).expect("a number is JSON")),
                Op::Log => o.log(LogLevel::Info, "line".into()),
                // It means nothing here.
                _ => {}
            }
            code.at += 1;
        }
        if !code.done {
            code.done = true;
            o.returned(Ok(Json::of(&code.trace).expect("texts are JSON")))?;
        }
        Ok(false)
    }

    /// An attempt that is out ends.
    pub fn end_attempt(&mut self, which: usize, outcome: Result<Json, Failure>) {
        let (task, attempt) = self.out.remove(which);
        let command = Command::AttemptEnded {
            task,
            attempt,
            started_at: self.now,
            outcome,
            logs: Logs::default(),
        };
        self.turn(Some(command)).expect("an attempt's end is never rejected");
    }

    /// The host ends and another one goes on from the journal.
    pub fn crash(&mut self) {
        self.orchestration = Orchestration::load(&self.chunks).expect("the journal is whole");
        self.code = None;
        self.out.clear();
        self.orchestration.at(self.now);
        self.orchestration.handle(Command::HostLost { alive: Vec::new() }).expect("never rejected");
        self.turn(Some(Command::Tick)).expect("never rejected");
    }

    /// The code leaves memory, and is replayed when something arrives.
    pub fn evict(&mut self) {
        if self.orchestration.instance().end().is_none() {
            self.code = None;
            self.orchestration.rewind();
        }
    }

    /// What the code sees when it is run over the journal from the beginning.
    pub fn replay(&self) -> Result<Trace, Mismatch> {
        let mut world = World {
            script: self.script.clone(),
            chunks: self.chunks.clone(),
            orchestration: Orchestration::load(&self.chunks).expect("the journal is whole"),
            code: None,
            now: self.now,
            policy: self.policy.clone(),
            out: Vec::new(),
            blocked: None,
        };
        if world.run()? {
            world.orchestration.parked()?;
        }
        assert!(world.orchestration.end_turn().records.is_empty(), "a replay writes nothing");
        Ok(world.code.unwrap_or_default().trace)
    }

    pub fn ended(&self) -> bool {
        self.orchestration.instance().end().is_some()
    }
}
