//! A world to try the core in: an orchestrator that is a list of operations,
//! and a host that keeps its journal in a vector.

#![allow(missing_docs, dead_code, unreachable_pub, unused_imports)]

pub mod check;
pub mod code;
pub mod explore;
pub mod model;
pub mod order;
pub mod spans;
pub mod tree;

use std::sync::Arc;

pub use code::{Code, Op, Step, Trace, step};
use sagahost_core::*;

/// An attempt that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Out {
    pub work: Work,
    pub attempt: u32,
    /// Whether it was told to end.
    pub stopping: bool,
}

/// A child orchestration that was started and has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutChild {
    pub task: TaskId,
    pub id: String,
    pub stopping: bool,
}

#[derive(Clone)]
pub struct World {
    pub script: Arc<[Op]>,
    pub chunks: Vec<Arc<[u8]>>,
    pub orchestration: Orchestration,
    pub code: Option<Code>,
    pub now: Millis,
    pub policy: CallPolicy,
    pub undo_policy: CallPolicy,
    pub out: Vec<Out>,
    pub children: Vec<OutChild>,
    pub blocked: Option<Mismatch>,
    /// What the last turn made.
    pub last: Turn,
}

/// Whether a turn of only such events may be stored with the next one.
fn can_wait(event: &Event) -> bool {
    matches!(
        event,
        Event::Started(_)
            | Event::Scheduled { .. }
            | Event::ScopeOpened { .. }
            | Event::ParallelUndo { .. }
            | Event::TimerCreated { .. }
            | Event::EventAwaited { .. }
            | Event::TaskCancelled { .. }
            | Event::TaskCompleted { .. }
            | Event::AttemptFailed { retry_at: None, .. }
            | Event::StatusSet { .. }
            | Event::Logged { .. }
    )
}

pub const START: Millis = 1_000;

pub fn started() -> Started {
    Started {
        name: "Modelled".into(),
        input: Json::null(),
        execution: "0123456789abcdef0123456789abcdef".into(),
        digest: "d".into(),
        ..Started::default()
    }
}

pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Json {
    Json::of(value).expect("it can be written as JSON")
}

/// An undo is attempted until it is done.
pub fn for_ever() -> CallPolicy {
    CallPolicy {
        retry: RetryPolicy { jitter: 0.0, ..Compensation::default_retry() },
        timeout_ms: 1_000,
    }
}

/// A failure with which a function says that it did nothing.
pub fn returned(retryable: bool) -> Failure {
    Failure { retryable, ..Failure::host(FailureKind::Returned, "no") }
}

pub fn trap() -> Failure {
    Failure::host(FailureKind::Trap, "trapped")
}

impl World {
    pub fn start(script: Vec<Op>, policy: CallPolicy) -> Self {
        Self::start_with(script, policy, started())
    }

    pub fn start_with(script: Vec<Op>, policy: CallPolicy, started: Started) -> Self {
        let mut world = Self::idle(script, policy, started);
        world.turn(None).expect("a start is not rejected");
        world
    }

    /// One that has not made its first turn.
    pub fn idle(script: Vec<Op>, policy: CallPolicy, started: Started) -> Self {
        World {
            script: script.into(),
            chunks: Vec::new(),
            orchestration: Orchestration::start(START, started),
            code: None,
            now: START,
            policy,
            undo_policy: for_ever(),
            out: Vec::new(),
            children: Vec::new(),
            blocked: None,
            last: Turn::default(),
        }
    }

    pub fn instance(&self) -> &Instance {
        self.orchestration.instance()
    }

    pub fn state(&self) -> SagaState {
        self.instance().saga_state()
    }

    /// Makes a turn of one command, or of none.
    pub fn turn(&mut self, command: Option<Command>) -> Result<(), Rejected> {
        self.turn_of(command.into_iter().collect())
    }

    /// Makes one turn of several commands.
    pub fn turn_of(&mut self, commands: Vec<Command>) -> Result<(), Rejected> {
        self.now += 1;
        self.orchestration.at(self.now);
        for command in commands {
            if let Err(rejected) = self.orchestration.handle(command) {
                let turn = self.orchestration.end_turn();
                assert!(turn.records.is_empty(), "rejected, but it wrote {:?}", turn.records);
                return Err(rejected);
            }
        }
        self.run_code();
        self.end_turn();
        Ok(())
    }

    fn run_code(&mut self) {
        while self.blocked.is_none() && self.orchestration.wants_to_run() {
            let replaying = self.orchestration.is_replaying();
            match self.run() {
                Ok(true) => self.orchestration.parked().unwrap_or_else(|m| self.blocked = Some(m)),
                Ok(false) => break,
                Err(mismatch) => self.blocked = Some(mismatch),
            }
            assert!(!replaying || self.blocked.is_some() || !self.orchestration.is_replaying());
        }
    }

    fn end_turn(&mut self) {
        let turn = self.orchestration.end_turn();
        if !turn.records.is_empty() {
            self.chunks.push(encode_chunk(&turn.records).expect("events are JSON").into());
        }
        for attempt in &turn.attempts {
            let (work, attempt) = (attempt.work, attempt.attempt);
            let out = self.out.iter().find(|out| out.work == work);
            assert_eq!(out, None, "attempt {attempt} begins, and another one is out");
            self.out.push(Out { work, attempt, stopping: false });
        }
        for task in &turn.stops {
            for out in self.out.iter_mut().filter(|out| out.work == Work::Step(*task)) {
                out.stopping = true;
            }
        }
        for child in &turn.children {
            let known = self.children.iter().any(|known| known.task == child.task);
            assert_eq!(known, child.again, "{child:?}");
            if !known {
                let (task, id) = (child.task, child.id.clone());
                self.children.push(OutChild { task, id, stopping: false });
            }
        }
        for stop in &turn.child_stops {
            for child in self.children.iter_mut().filter(|child| child.task == stop.task) {
                child.stopping = true;
            }
        }
        self.last = turn;
    }

    /// The events of the last turn.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.last.records.iter().map(|Record(_, event)| event)
    }

    /// The journal.
    pub fn records(&self) -> Vec<Record> {
        let chunks = self.chunks.iter().enumerate();
        chunks
            .flat_map(|(number, chunk)| decode_chunk(number, chunk).expect("it was just encoded"))
            .collect()
    }

    /// All events of the journal.
    pub fn journal(&self) -> Vec<Event> {
        self.records().into_iter().map(|Record(_, event)| event).collect()
    }

    /// The attempt that is out of this work.
    pub fn find(&self, work: Work) -> Option<usize> {
        self.out.iter().position(|out| out.work == work)
    }

    pub fn outs(&self) -> Vec<(Work, u32)> {
        self.out.iter().map(|out| (out.work, out.attempt)).collect()
    }

    /// An attempt that is out ends.
    pub fn end_attempt(&mut self, which: usize, outcome: Result<Json, Failure>) {
        let Out { work, attempt, .. } = self.out.remove(which);
        self.deliver(work, attempt, outcome);
    }

    /// News of an attempt, whether it is still out or not.
    pub fn deliver(&mut self, work: Work, attempt: u32, outcome: Result<Json, Failure>) {
        let command = self.attempt_ended(work, attempt, outcome);
        self.turn(Some(command)).expect("an attempt's end is never rejected");
    }

    pub fn attempt_ended(
        &self,
        work: Work,
        attempt: u32,
        outcome: Result<Json, Failure>,
    ) -> Command {
        let (started_at, logs) = (self.now, Logs::default());
        Command::AttemptEnded { work, attempt, started_at, outcome, logs }
    }

    /// The attempt of this step that is out ends.
    pub fn end_step(&mut self, task: TaskId, outcome: Result<Json, Failure>) {
        let which = self.find(Work::Step(task)).expect("an attempt of that step is out");
        self.end_attempt(which, outcome);
    }

    /// The attempt of this undo that is out ends.
    pub fn end_undo(&mut self, undo: impl Into<UndoId>, outcome: Result<Json, Failure>) {
        let which = self.find(Work::Undo(undo.into())).expect("an attempt of that undo is out");
        self.end_attempt(which, outcome);
    }

    pub fn end_child(
        &mut self,
        task: TaskId,
        outcome: Result<Json, Failure>,
        handed: Vec<HandedUndo>,
    ) {
        self.children.retain(|child| child.task != task);
        let command = Command::ChildEnded { task, outcome, handed };
        self.turn(Some(command)).expect("a child's end is never rejected");
    }

    pub fn repair(&mut self, step: impl Into<UndoId>, repair: Repair) -> Result<(), Rejected> {
        let (note, by) = ("looked at it".to_owned(), "ann".to_owned());
        self.turn(Some(Command::Repair { step: step.into(), repair, note, by }))
    }

    pub fn cancel(&mut self) -> Result<(), Rejected> {
        self.turn(Some(Command::Cancel { reason: "not wanted".into() }))
    }

    pub fn terminate(&mut self, compensate: bool) -> Result<(), Rejected> {
        self.turn(Some(Command::Terminate { reason: "enough".into(), compensate }))
    }

    pub fn hand_over(&mut self) -> Result<(), Rejected> {
        self.turn(Some(Command::HandOver { reason: "the parent failed".into() }))
    }

    /// It failed, and begins again.
    pub fn rewind(&mut self) -> Result<(), Rejected> {
        if self.instance().status() == RuntimeStatus::Failed {
            self.code = None;
        }
        self.turn(Some(Command::Rewind { reason: "mended".into(), digest: None, parent: None }))
    }

    /// Time passes until something wakes it.
    pub fn wake(&mut self) {
        let at = self.instance().wake_at().expect("it waits for a time");
        self.now = self.now.max(at);
        self.turn(Some(Command::Tick)).expect("a tick is never rejected");
    }

    /// The host ends and another one goes on from the journal.
    pub fn crash(&mut self) {
        self.load();
        self.out.clear();
        for child in &mut self.children {
            child.stopping = false;
        }
        self.orchestration
            .handle(Command::HostLost { alive: Vec::new(), since: self.now + 1 })
            .expect("never rejected");
        self.turn(Some(Command::Tick)).expect("never rejected");
    }

    /// It leaves memory as a whole and comes back, in a host that goes on.
    pub fn reload(&mut self) {
        self.load();
        let alive = self.out.iter().map(|out| out.work).collect();
        for command in [Command::HostLost { alive, since: 0 }, Command::Tick] {
            self.orchestration.handle(command).expect("never rejected");
        }
        let turn = self.orchestration.end_turn();
        assert_eq!(turn.records, [], "nothing has happened");
        assert_eq!(turn.attempts, [], "nothing was lost");
        let mut again: Vec<_> = turn.children.iter().map(|child| child.task).collect();
        again.sort_unstable();
        let mut open: Vec<_> = self.children.iter().map(|child| child.task).collect();
        open.sort_unstable();
        assert!(self.ended() || again == open, "children {open:?}, and again {again:?}");
    }

    fn load(&mut self) {
        self.orchestration = Orchestration::load(&self.chunks).expect("the journal is whole");
        self.code = None;
        self.orchestration.at(self.now);
    }

    /// The code leaves memory, and is replayed when something arrives.
    pub fn evict(&mut self) {
        if self.orchestration.instance().end().is_none() {
            self.code = None;
            self.orchestration.start_over();
        }
    }

    /// What the code sees when it is run over the journal from the beginning.
    pub fn replay(&self) -> Result<Trace, Mismatch> {
        let mut world = self.clone();
        world.load();
        world.replay_on()
    }

    /// The same, where the journal has just been loaded.
    pub fn replay_on(&mut self) -> Result<Trace, Mismatch> {
        if self.run()? {
            self.orchestration.parked()?;
        }
        assert_eq!(self.orchestration.end_turn().records, [], "a replay writes nothing");
        Ok(self.code.take().unwrap_or_default().trace)
    }

    /// The same, where turns that nothing outside depends on were stored
    /// together with the next one.
    pub fn replay_merged(&self) -> Result<Trace, Mismatch> {
        let mut merged: Vec<Vec<Record>> = Vec::new();
        let mut open = false;
        for (number, chunk) in self.chunks.iter().enumerate() {
            let records = decode_chunk(number, chunk).expect("it was just encoded");
            let can_wait = records.iter().all(|Record(_, event)| can_wait(event));
            match merged.last_mut().filter(|_| open) {
                Some(last) => last.extend(records),
                None => merged.push(records),
            }
            open = can_wait;
        }
        let mut world = self.clone();
        let chunks = merged.iter().map(|records| encode_chunk(records).expect("JSON").into());
        world.chunks = chunks.collect();
        world.load();
        assert_eq!(world.instance().events(), self.instance().events());
        world.replay_on()
    }

    pub fn ended(&self) -> bool {
        self.orchestration.instance().end().is_some()
    }
}
