//! Decides: what the orchestrator's code asks for becomes events; what the
//! events call for becomes effects. What comes in from outside is in
//! `handle.rs`, undo in `unwind.rs`.

use std::collections::HashSet;

use crate::command::{Completion, LoadError, Mismatch, Turn};
use crate::instance::{Asked, End, Instance, TaskState};
use crate::replay::Cursor;
use crate::request::Request;
use crate::{
    BadInstanceId, BlockedReason, Cause, Compensation, Event, Failure, FailureKind, Json, LogLevel,
    Logs, Millis, Record, Started, TaskId, Work, check_instance_id, decode_chunk,
};

/// An orchestration at work: its state, how far its code has come, and the
/// turn being made.
#[derive(Clone, Debug)]
pub struct Orchestration {
    pub(crate) instance: Instance,
    pub(crate) cursor: Cursor,
    pub(crate) turn: Turn,
    pub(crate) now: Millis,
    /// Steps that were told to end, so that they are told once.
    pub(crate) told: HashSet<TaskId>,
}

impl Orchestration {
    /// A new orchestration, in its first turn.
    pub fn start(now: Millis, started: Started) -> Self {
        let instance = Instance::new(now, started.clone());
        let cursor = Cursor::new(&instance, false);
        let turn = Turn { records: vec![Record(now, Event::Started(started))], ..Turn::default() };
        Orchestration { instance, cursor, turn, now, told: HashSet::new() }
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
                    (Some(instance), record) => instance.take(&record)?,
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
        let mut instance = instance.ok_or(LoadError::NoStart)?;
        // All that was sent has left; `HostLost` sends it again.
        instance.outbox.take_fresh();
        let cursor = Cursor::new(&instance, true);
        let now = instance.updated;
        Ok(Orchestration { instance, cursor, turn: Turn::default(), now, told: HashSet::new() })
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
    pub fn start_over(&mut self) {
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
        self.may_run() && self.cursor.wants_to_run(&self.instance)
    }

    /// Whether the code has not run since the beginning, or since it was last
    /// rewound.
    pub fn is_at_its_beginning(&self) -> bool {
        !self.cursor.has_begun()
    }

    /// Whether the code has a say in what comes next: the orchestration has
    /// not ended, is not suspended or undone as a whole, and the code has not
    /// failed past the pivot.
    pub fn may_run(&self) -> bool {
        self.instance.end.is_none()
            && !self.instance.suspended
            && !self.instance.pending
            && self.instance.unwinding.is_none()
            && !matches!(self.instance.blocked, Some(BlockedReason::PastPivot { .. }))
    }

    pub(crate) fn attempt(&mut self, work: Work) {
        if let Work::Step(task) = work {
            self.start_child(task, false);
        }
        self.turn.attempts.extend(self.instance.attempt_of(work));
    }

    pub(crate) fn record(&mut self, event: Event) {
        let record = Record(self.now, event);
        let before = self.instance.needs();
        self.instance.apply(&record);
        self.turn.stuck |= self.instance.needs() > before;
        self.turn.letters.extend(self.instance.outbox.take_fresh());
        self.turn.records.push(record);
    }

    pub(crate) fn finish(&mut self, event: Event) {
        self.record(event);
        self.turn.ended = true;
        // What is scheduled in the very turn that ends the orchestration is
        // not begun.
        self.turn.attempts.clear();
        self.turn.children.clear();
    }

    // What follows is for the orchestrator's code.

    /// The code asks for something. Returns the number of the task that it
    /// asked for, or that it cancelled.
    ///
    /// # Errors
    /// When it asked for something else when it first ran.
    pub fn request(&mut self, mut request: Request) -> Result<TaskId, Mismatch> {
        if let Request::Lock { entities } = &mut request {
            // Everybody locks in the same order.
            entities.sort_unstable();
            entities.dedup();
        }
        if let Some(asked) = self.cursor.check(&self.instance, &request)? {
            return Ok(match asked {
                Asked::Task(number)
                | Asked::Cancel(number)
                | Asked::Scope(number)
                | Asked::Parallel(number)
                | Asked::Sent(number) => number,
                Asked::Unlock => 0,
            });
        }
        self.cursor.possible(&self.instance, &request)?;
        let task = self.instance.tasks.len() as TaskId;
        self.cursor.asked(&request);
        match request {
            Request::Activity { function, input, policy, undo, scope, pivot } => {
                // Past the pivot nothing is undone, and nothing is needed for it.
                let undo = undo.filter(|_| !self.instance.past_pivot);
                let impossible = undo.as_ref().and_then(not_deployed);
                self.record(Event::Scheduled { task, function, input, policy, undo, scope, pivot });
                match impossible.filter(|_| !self.instance.is_kept(task)) {
                    None => self.attempt(Work::Step(task)),
                    Some(failure) => self.record(Event::AttemptFailed {
                        task,
                        attempt: 1,
                        started_at: self.now,
                        failure,
                        retry_at: None,
                        logs: Logs::default(),
                    }),
                }
            }
            Request::Child { function, input, undo, id, policy, by_hand, scope, pivot } => {
                let undo = undo.filter(|_| !self.instance.past_pivot);
                let id = id.unwrap_or_else(|| {
                    let own = undo.as_ref().is_some_and(|undo| undo.digest.is_some());
                    self.instance.derived_child_id(task, &function, &input, (by_hand, own))
                });
                let bad_id = check_instance_id(&id).err().map(bad_child_id);
                let locks = || self.instance.locks_held("a child orchestration");
                let impossible = undo.as_ref().and_then(not_deployed).or(bad_id).or_else(locks);
                let event = Event::ChildScheduled {
                    task,
                    function,
                    input,
                    id,
                    undo,
                    by_hand,
                    scope,
                    pivot,
                    policy,
                };
                self.record(event);
                match impossible.filter(|_| !self.instance.is_kept(task)) {
                    None => self.start_child(task, false),
                    Some(failure) => {
                        let (retry_at, handed) = (None, Vec::new());
                        self.record(Event::ChildFailed { task, failure, retry_at, handed });
                    }
                }
            }
            Request::Timer { fire_at } => {
                self.record(Event::TimerCreated { task, fire_at });
                // One that is already due fires in this turn. Whatever else is
                // due waits for its tick: a deadline that passed here would
                // end the saga while its code goes on asking. After a rewind,
                // what was completed before it comes first.
                if fire_at <= self.now && self.instance.memo.is_empty() {
                    self.record(Event::TimerFired { task });
                }
            }
            Request::Event { name } => self.record(Event::EventAwaited { task, name }),
            Request::Cancel { task } => {
                let requeued = self.instance.has_event(task) && !self.cursor.was_given(task);
                self.record(Event::TaskCancelled { task, requeued });
                return Ok(task);
            }
            Request::OpenScope { parent } => {
                let scope = self.instance.scopes.next();
                self.record(Event::ScopeOpened { scope, parent });
                return Ok(scope);
            }
            Request::UndoInParallel { scope } => {
                self.record(Event::ParallelUndo { scope });
                return Ok(scope);
            }
            Request::Send { to, parcel } => return Ok(self.send(to, parcel)),
            Request::CallEntity { entity, operation, input } => {
                self.call_entity(task, entity, operation, input);
            }
            Request::Lock { entities } => self.lock(task, entities),
            Request::Unlock => self.record(Event::LocksReleased),
            Request::Compensate { scope } => {
                self.recall_all();
                self.record(Event::CompensationRequested { task, scope });
                self.advance();
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
        self.cursor.parked(&self.instance)?;
        if self.may_run() && !self.cursor.wants_to_run(&self.instance) {
            self.recall_next();
        }
        Ok(())
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
        self.recall_all();
        match result {
            Ok(output) => match self.left_open() {
                None if self.cursor.again.is_some() => {}
                None => self.finish(Event::Completed { output }),
                Some(failure) => self.code_failed(failure),
            },
            Err(failure) => self.code_failed(failure),
        }
        Ok(())
    }

    /// The code is lost for good: nobody can run it again. Where there is
    /// something to undo, that is undone now; it needs no code. Says whether
    /// there was.
    pub fn code_lost(&mut self, failure: Failure) -> bool {
        let instance = &self.instance;
        let something = instance.tally.armed > 0
            || !instance.unwinds.is_empty()
            || !instance.open_children().is_empty();
        let undoes = self.may_run() && !instance.past_pivot && something;
        if undoes {
            self.unwind(Cause::Failed(failure));
        }
        undoes
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
            End::Canceled(reason) | End::Terminated(reason) => Json::of(reason).ok(),
        }
    }
}

/// Why a step cannot be begun: it could not be undone.
fn not_deployed(undo: &Compensation) -> Option<Failure> {
    if undo.digest.is_some() {
        return None;
    }
    let message = format!(
        "the activity `{}` that would undo it is not deployed, so it was not begun: deploy that first",
        undo.function
    );
    Some(Failure { retryable: false, ..Failure::host(FailureKind::NotStarted, message) })
}

fn bad_child_id(error: BadInstanceId) -> Failure {
    let message = format!("the id that it was to have is not allowed: {error}");
    Failure { retryable: false, ..Failure::host(FailureKind::NotStarted, message) }
}
