//! Decides: what comes in from outside, and what the orchestrator's code asks
//! for, becomes events; what the events call for becomes effects.

use crate::instance::{Asked, Attempt, End, Instance, TaskKind, TaskState};
use crate::replay::{Cursor, Request};
use crate::retry::{Attempted, next_attempt};
use crate::{
    BlockedReason, Event, Failure, FailureKind, JournalError, Json, LogLevel, Logs, Millis, Record,
    RuntimeStatus, Started, TaskId, decode_chunk,
};

/// A step whose attempts were lost this often with their host is taken to be
/// what brings the host down, and fails with [`FailureKind::HostLost`].
pub const MAX_LOST_ATTEMPTS: u32 = 100;

/// What comes in from outside the orchestration.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A client raised an event.
    RaiseEvent {
        /// Its name.
        name: String,
        /// What comes with it.
        input: Json,
    },
    /// An operator ends the orchestration.
    Terminate {
        /// Why.
        reason: String,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The step.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
        /// When it began.
        started_at: Millis,
        /// How it ended.
        outcome: Result<Json, Failure>,
        /// What it wrote.
        logs: Logs,
    },
    /// Time has passed: timers may fire and retries begin.
    Tick,
    /// The host that ran the attempts that are out is gone.
    HostLost {
        /// Steps whose attempts are out in this host, and so are not lost.
        alive: Vec<TaskId>,
    },
}

/// Why a command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The orchestration has ended.
    #[error("the instance has already ended ({0})")]
    Ended(RuntimeStatus),
}

/// What one turn made: the events to store, and what is to be done once they
/// are stored, and not before.
#[derive(Debug, Default)]
pub struct Turn {
    /// The events, in order.
    pub records: Vec<Record>,
    /// Attempts to make.
    pub attempts: Vec<Attempt>,
    /// Whether the orchestration ended in this turn.
    pub ended: bool,
}

/// A completed task, as it is given to the orchestrator's code.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The task.
    pub task: TaskId,
    /// How it ended.
    pub outcome: Result<Json, Failure>,
}

/// The code and the journal do not agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at step {position} the journal has {journal}, but the code asked for {code}")]
pub struct Mismatch {
    /// The place among the requests, from 0.
    pub position: usize,
    /// What the journal has there.
    pub journal: String,
    /// What the code asked for.
    pub code: String,
}

/// Why a journal cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A chunk cannot be read.
    #[error(transparent)]
    Chunk(#[from] JournalError),
    /// It does not begin with the start of an orchestration.
    #[error("the journal does not begin with the start of an orchestration")]
    NoStart,
}

/// An orchestration at work: its state, how far its code has come, and the
/// turn being made.
#[derive(Debug)]
pub struct Orchestration {
    instance: Instance,
    cursor: Cursor,
    turn: Turn,
    now: Millis,
}

impl Orchestration {
    /// A new orchestration, in its first turn.
    pub fn start(now: Millis, started: Started) -> Self {
        let instance = Instance::new(now, started.clone());
        let cursor = Cursor::new(&instance, false);
        let turn = Turn { records: vec![Record(now, Event::Started(started))], ..Turn::default() };
        Orchestration { instance, cursor, turn, now }
    }

    /// One that is loaded from its journal. Its code has not run yet: run it
    /// from the beginning, and the requests it makes are checked.
    ///
    /// # Errors
    /// When the journal is damaged.
    pub fn load<C: AsRef<[u8]>>(chunks: &[C]) -> Result<Self, LoadError> {
        let mut instance: Option<Instance> = None;
        for (number, chunk) in chunks.iter().enumerate() {
            for record in decode_chunk(number, chunk.as_ref())? {
                match (&mut instance, record) {
                    (Some(instance), record) => instance.apply(&record),
                    (none, Record(at, Event::Started(started))) => {
                        *none = Some(Instance::new(at, started));
                    }
                    (None, _) => return Err(LoadError::NoStart),
                }
            }
            if let Some(instance) = &mut instance {
                instance.end_chunk();
            }
        }
        let instance = instance.ok_or(LoadError::NoStart)?;
        let cursor = Cursor::new(&instance, true);
        let now = instance.updated;
        Ok(Orchestration { instance, cursor, turn: Turn::default(), now })
    }

    /// Its state.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Begins a turn, or goes on with one, at this time. A clock that went
    /// back is not followed.
    pub fn at(&mut self, now: Millis) {
        self.now = now.max(self.instance.updated);
    }

    /// Forgets how far the code had come: it is not in memory any more, and
    /// has to be run again from its beginning.
    pub fn rewind(&mut self) {
        self.cursor = Cursor::new(&self.instance, true);
    }

    /// Takes what the turn made, and begins the next one.
    pub fn end_turn(&mut self) -> Turn {
        self.instance.end_chunk();
        std::mem::take(&mut self.turn)
    }

    /// Whether the code has something new to work on: it has not run yet, or
    /// something completed that it was not given.
    pub fn wants_to_run(&self) -> bool {
        self.instance.end.is_none() && self.cursor.wants_to_run(&self.instance)
    }

    /// Whether the turn has made anything.
    pub fn has_news(&self) -> bool {
        !self.turn.records.is_empty() || !self.turn.attempts.is_empty()
    }

    /// Takes in what came from outside. What is late or already known changes
    /// nothing, and is no error.
    ///
    /// # Errors
    /// When somebody asked for something that cannot be done any more.
    pub fn handle(&mut self, command: Command) -> Result<(), Rejected> {
        let ended = self.instance.end.is_some().then(|| self.instance.status());
        match (command, ended) {
            (Command::RaiseEvent { .. } | Command::Terminate { .. }, Some(status)) => {
                return Err(Rejected::Ended(status));
            }
            (_, Some(_)) => {}
            (Command::RaiseEvent { name, input }, None) => {
                self.record(Event::EventRaised { name, input });
            }
            (Command::Terminate { reason }, None) => self.finish(Event::Terminated { reason }),
            (Command::AttemptEnded { task, attempt, started_at, outcome, logs }, None) => {
                self.attempt_ended(task, attempt, started_at, outcome, logs);
            }
            (Command::Tick, None) => self.tick(),
            (Command::HostLost { alive }, None) => self.host_lost(&alive),
        }
        Ok(())
    }

    fn attempt_ended(
        &mut self,
        task: TaskId,
        attempt: u32,
        started_at: Millis,
        outcome: Result<Json, Failure>,
        logs: Logs,
    ) {
        let Some(found) = self.instance.tasks.get(task as usize) else {
            return;
        };
        if found.state != (TaskState::Running { attempt }) {
            return;
        }
        let TaskKind::Activity { policy, .. } = &found.kind else {
            return;
        };
        match outcome {
            Ok(output) => {
                self.record(Event::TaskCompleted { task, attempt, started_at, output, logs });
            }
            Err(failure) => {
                let attempted = Attempted {
                    counted: attempt - found.lost.min(attempt - 1),
                    scheduled_at: found.scheduled_at,
                    ended_at: self.now,
                    chance: self.cursor.chance(task, attempt),
                };
                let retry_at = next_attempt(&policy.retry, &failure, attempted);
                self.record(Event::AttemptFailed {
                    task,
                    attempt,
                    started_at,
                    failure,
                    retry_at,
                    logs,
                });
            }
        }
    }

    fn tick(&mut self) {
        while let Some(&(at, task)) = self.instance.wakes.first() {
            if at > self.now {
                break;
            }
            match self.instance.tasks.get(task as usize).map(|task| &task.state) {
                Some(TaskState::Retrying { attempt, .. }) => {
                    // Nothing to journal: that the attempt begins follows
                    // from the failure that was journaled with its time.
                    let attempt = *attempt;
                    self.instance.wakes.remove(&(at, task));
                    self.instance.set_state(task, TaskState::Running { attempt });
                    self.attempt(task);
                }
                Some(TaskState::Waiting) => self.record(Event::TimerFired { task }),
                _ => {
                    self.instance.wakes.remove(&(at, task));
                }
            }
        }
    }

    fn host_lost(&mut self, alive: &[TaskId]) {
        for attempt in self.instance.running() {
            let Attempt { task, attempt, .. } = attempt;
            if alive.contains(&task) {
                continue;
            }
            let lost = self.instance.tasks[task as usize].lost;
            if lost >= MAX_LOST_ATTEMPTS {
                let message = format!(
                    "the host ended {lost} times while this step ran; it is not attempted again"
                );
                self.record(Event::AttemptFailed {
                    task,
                    attempt,
                    started_at: self.now,
                    failure: Failure::host(FailureKind::HostLost, message),
                    retry_at: None,
                    logs: Logs::default(),
                });
            } else {
                self.record(Event::AttemptLost { task, attempt });
                self.attempt(task);
            }
        }
    }

    fn attempt(&mut self, task: TaskId) {
        self.turn.attempts.extend(self.instance.attempt_of(task));
    }

    fn record(&mut self, event: Event) {
        let record = Record(self.now, event);
        self.instance.apply(&record);
        self.turn.records.push(record);
    }

    fn finish(&mut self, event: Event) {
        self.record(event);
        self.turn.ended = true;
        // What is scheduled in the very turn that ends the orchestration is
        // not begun.
        self.turn.attempts.clear();
    }

    // What follows is for the orchestrator's code.

    /// The code asks for something. Returns the number of the task that it
    /// asked for, or that it cancelled.
    ///
    /// # Errors
    /// When it asked for something else when it first ran.
    pub fn request(&mut self, request: Request) -> Result<TaskId, Mismatch> {
        if let Some(asked) = self.cursor.check(&self.instance, &request)? {
            return Ok(match asked {
                Asked::Task(task) | Asked::Cancel(task) => task,
            });
        }
        let task = self.instance.tasks.len() as TaskId;
        self.cursor.asked(&request);
        match request {
            Request::Activity { function, input, policy } => {
                self.record(Event::Scheduled { task, function, input, policy });
                self.attempt(task);
            }
            Request::Timer { fire_at } => {
                self.record(Event::TimerCreated { task, fire_at });
                // One that is already due fires in this turn.
                self.tick();
            }
            Request::Event { name } => self.record(Event::EventAwaited { task, name }),
            Request::Cancel { task } => {
                self.record(Event::TaskCancelled { task });
                return Ok(task);
            }
        }
        Ok(task)
    }

    /// The first completion the code has not been given, of these tasks or,
    /// with none named, of any; `None` where it has to wait.
    ///
    /// # Errors
    /// When the journal has completed a task that the code did not ask for,
    /// or the code asks for a task that does not exist.
    pub fn next(&mut self, tasks: &[TaskId]) -> Result<Option<Completion>, Mismatch> {
        let Some(task) = self.cursor.next(&self.instance, tasks)? else {
            return Ok(None);
        };
        match &self.instance.tasks[task as usize].state {
            TaskState::Done(outcome) => Ok(Some(Completion { task, outcome: outcome.clone() })),
            state => Err(Mismatch {
                position: task as usize,
                journal: format!("task {task} in state {state:?}"),
                code: "its completion".into(),
            }),
        }
    }

    /// The code waits. When it is being replayed, it has now caught up with
    /// its journal.
    ///
    /// # Errors
    /// When the journal has requests that the code did not make.
    pub fn parked(&mut self) -> Result<(), Mismatch> {
        self.cursor.parked(&self.instance)
    }

    /// The code has ended. While replaying an orchestration that ended so, it
    /// only confirms the journal.
    ///
    /// # Errors
    /// When the journal says that the code went on, or ended otherwise.
    pub fn returned(&mut self, result: Result<Json, Failure>) -> Result<(), Mismatch> {
        if self.cursor.is_replaying() {
            return self.cursor.returned(&self.instance, &result);
        }
        match result {
            Ok(output) => self.finish(Event::Completed { output }),
            Err(failure) => self.finish(Event::Failed { failure }),
        }
        Ok(())
    }

    /// The code cannot go on for now. A reason that is already journaled is
    /// not journaled again.
    pub fn block(&mut self, reason: BlockedReason) {
        if self.instance.end.is_none() && self.instance.blocked.as_ref() != Some(&reason) {
            self.record(Event::Blocked(reason));
        }
    }

    /// What blocked it is gone: the code was replayed up to where it was.
    pub fn unblock(&mut self) {
        if self.instance.blocked.is_some() {
            self.record(Event::Unblocked);
        }
    }

    /// The orchestration's time: when it started, and after each completion
    /// the code was given, when that was journaled.
    pub fn now(&self) -> Millis {
        self.cursor.now()
    }

    /// A UUID that is the same on every replay.
    pub fn new_uuid(&mut self) -> String {
        self.cursor.new_uuid()
    }

    /// Random bits that are the same on every replay.
    pub fn random_u64(&mut self) -> u64 {
        self.cursor.random_u64()
    }

    /// Whether the code runs again over what it did before.
    pub fn is_replaying(&self) -> bool {
        self.cursor.is_replaying()
    }

    /// The code sets its custom status.
    pub fn set_custom_status(&mut self, status: Json) {
        if !self.is_replaying() && self.instance.custom_status.as_ref() != Some(&status) {
            self.record(Event::StatusSet { status });
        }
    }

    /// The code logs a line.
    pub fn log(&mut self, level: LogLevel, message: String) {
        if !self.is_replaying() {
            self.record(Event::Logged { level, message });
        }
    }

    /// The result that is shown as output: the output itself, or the failure.
    pub fn shown_output(&self) -> Option<Json> {
        match self.instance.end.as_ref()? {
            End::Completed(output) => Some(output.clone()),
            End::Failed(failure) => Json::of(failure).ok(),
            End::Terminated(reason) => Json::of(reason).ok(),
        }
    }
}
