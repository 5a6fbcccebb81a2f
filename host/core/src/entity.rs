//! Entities: what comes in becomes events, and what the events call for
//! becomes attempts and letters. As with orchestrations, the state is a pure
//! function of the journal.

mod event;
mod state;

use sha2::{Digest, Sha256};

use crate::handle::MAX_LOST_ATTEMPTS;
use crate::retry::{Attempted, next_attempt};
use crate::{
    EntityId, Failure, FailureKind, Json, Letter, LoadError, Logs, Millis, Parcel, Post,
    RetryPolicy, Tags,
};

pub use event::{
    EntityEvent, EntityRecord, Outgoing, Snapshot, decode_entity_chunk, encode_entity_chunk,
};
pub use state::EntityState;

/// A journal with more events than this is replaced by a shorter one.
const LONG_JOURNAL: u64 = 200;

/// What comes in from outside an entity.
#[derive(Clone, Debug, PartialEq)]
pub enum EntityCommand {
    /// Somebody wants something of it. What is not for entities changes
    /// nothing; see [`Entity::takes`].
    Receive {
        /// The letter that brought it; nothing where a client did.
        post: Option<Post>,
        /// The instance id of the sender; empty for a client.
        from: String,
        /// What came.
        parcel: Parcel,
    },
    /// An attempt of an operation ended.
    OperationEnded {
        /// Which operation.
        number: u64,
        /// Which attempt.
        attempt: u32,
        /// When it began.
        started_at: Millis,
        /// How it ended.
        outcome: Result<OperationResult, Failure>,
        /// How operations of this entity are retried.
        retry: RetryPolicy,
        /// What it wrote.
        logs: Logs,
    },
    /// A letter of the entity was taken in, or never will be.
    Delivered {
        /// Which.
        letter: u64,
        /// Why it never will be.
        problem: Option<String>,
    },
    /// Time has passed: signals may come and retries begin.
    Tick,
    /// The host that ran the attempt that is out is gone.
    HostLost {
        /// Operation and attempt that are out in this host, and so not lost.
        alive: Option<(u64, u32)>,
        /// When this host took over. An attempt that was to begin before that
        /// may have, without a word in the journal.
        since: Millis,
    },
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationResult {
    /// Its result.
    pub result: Json,
    /// The new state, `null` for none any more; nothing where it stays as it
    /// was.
    pub state: Option<Json>,
    /// What it sends, in order.
    pub sends: Vec<Sending>,
}

/// Something that an operation sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Sending {
    /// An operation that it asks of an entity.
    Signal {
        /// The entity.
        entity: EntityId,
        /// What that is to do.
        operation: String,
        /// The input of that.
        input: Json,
        /// Not before this time.
        at: Option<Millis>,
    },
    /// An event that it raises.
    Event {
        /// The orchestration it is for.
        instance: String,
        /// Its name.
        name: String,
        /// What comes with it.
        input: Json,
    },
    /// An orchestration that it starts.
    Start {
        /// The orchestrator.
        name: String,
        /// Its input.
        input: Json,
        /// Its instance id; derived from the entity and the operation where
        /// none is given.
        id: Option<String>,
    },
}

/// An attempt of an operation that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationAttempt {
    /// Which operation of the entity, from 1.
    pub number: u64,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What it is to do.
    pub operation: String,
    /// The input of that.
    pub input: Json,
    /// The entity's state, if it has one.
    pub state: Option<Json>,
    /// The idempotency key: the same for every attempt of the operation.
    pub key: String,
}

/// What one turn made: the events to store, and what is to be done once they
/// are stored, and not before.
#[derive(Clone, Debug, Default)]
pub struct EntityTurn {
    /// The events, in order.
    pub records: Vec<EntityRecord>,
    /// Where the journal is replaced, the place among the events with which
    /// the new one begins; what is before belongs to no journal any more.
    pub fresh: Option<usize>,
    /// The attempt to make.
    pub attempt: Option<OperationAttempt>,
    /// What is to be sent.
    pub letters: Vec<Letter>,
}

/// An entity at work: its state, and the turn being made.
#[derive(Clone, Debug)]
pub struct Entity {
    state: EntityState,
    turn: EntityTurn,
    now: Millis,
    /// The operation and attempt that are out.
    out: Option<(u64, u32)>,
}

impl Entity {
    /// A new entity, in its first turn. `origin` names it as a sender of
    /// letters: 32 hex digits that are no one else's.
    pub fn create(now: Millis, id: &EntityId, origin: &str) -> Self {
        let (name, key, origin) = (id.name.clone(), id.key.clone(), origin.to_owned());
        let state = EntityState::new(now, name.clone(), key.clone(), origin.clone());
        let created = EntityRecord(now, EntityEvent::Created { name, key, origin });
        let turn = EntityTurn { records: vec![created], ..EntityTurn::default() };
        Entity { state, turn, now, out: None }
    }

    /// One that is loaded from its journal.
    ///
    /// # Errors
    /// When the journal is damaged.
    pub fn load<C: AsRef<[u8]>>(chunks: &[C]) -> Result<Self, LoadError> {
        let mut state: Option<EntityState> = None;
        for (number, chunk) in chunks.iter().enumerate() {
            for record in decode_entity_chunk(number, chunk.as_ref())? {
                match &mut state {
                    Some(state) => state.apply(&record),
                    none => *none = Some(EntityState::begin(&record).ok_or(LoadError::NoStart)?),
                }
            }
        }
        let mut state = state.ok_or(LoadError::NoStart)?;
        // What could leave then did, or is sent again where it may not have.
        state.outbox.take_fresh();
        let now = state.updated;
        Ok(Entity { state, turn: EntityTurn::default(), now, out: None })
    }

    /// Its state.
    pub fn state(&self) -> &EntityState {
        &self.state
    }

    /// Begins a turn, or goes on with one, at this time. A clock that went
    /// back is not followed.
    pub fn at(&mut self, now: Millis) {
        self.now = now.max(self.state.updated);
    }

    /// Whether this is something that one can send to an entity.
    pub fn takes(parcel: &Parcel) -> bool {
        matches!(
            parcel,
            Parcel::Signal { .. }
                | Parcel::Call { .. }
                | Parcel::Lock { .. }
                | Parcel::Unlock { .. }
        )
    }

    /// Takes in what came from outside. What is late or already known changes
    /// nothing, and is no error.
    pub fn handle(&mut self, command: EntityCommand) {
        match command {
            EntityCommand::Receive { post, from, parcel } => {
                // What was to come by now came before this.
                self.tick();
                let is_new = post.as_ref().is_none_or(|post| self.state.inbox.is_new(post));
                if is_new && Self::takes(&parcel) {
                    self.record(EntityEvent::Received { post, from, parcel });
                }
            }
            EntityCommand::OperationEnded { number, attempt, started_at, outcome, retry, logs } => {
                if self.is_out(number, attempt) {
                    self.operation_ended(number, attempt, started_at, outcome, &retry, logs);
                }
            }
            EntityCommand::Delivered { letter, problem } => {
                if self.state.outbox.has(letter) {
                    self.record(EntityEvent::Delivered { letter, problem });
                }
            }
            EntityCommand::Tick => self.tick(),
            EntityCommand::HostLost { alive, since } => self.host_lost(alive, since),
        }
    }

    /// Whether the journal has become so long that it should be
    /// [replaced](Self::compact): longer than what would be kept of it is
    /// worth.
    pub fn is_long(&self) -> bool {
        self.state.events > LONG_JOURNAL
            && self.state.events > LONG_JOURNAL + 2 * self.state.entries()
    }

    /// Begins the journal anew with all there is to know. Forgets which
    /// letters it has had of senders that were last heard of before this time:
    /// what they sent then must not be sent again.
    pub fn compact(&mut self, forget_before: Millis) {
        self.turn.letters.extend(self.state.outbox.take_fresh());
        self.turn.fresh = Some(self.turn.records.len());
        let snapshot = Box::new(self.state.snapshot(forget_before));
        self.record(EntityEvent::Snapshot(snapshot));
    }

    /// Takes what the turn made, and begins the next one.
    pub fn end_turn(&mut self) -> EntityTurn {
        self.turn.letters.extend(self.state.outbox.take_fresh());
        if let Some(running) = &self.state.running
            && self.out.is_none()
            && running.retry_at.is_none_or(|at| at <= self.now)
        {
            // Nothing to journal where an attempt begins: that follows from
            // what was journaled.
            let number = running.operation.number;
            self.out = Some((number, running.attempt));
            self.turn.attempt = Some(OperationAttempt {
                number,
                attempt: running.attempt,
                operation: running.operation.operation.clone(),
                input: running.operation.input.clone(),
                state: self.state.state.clone(),
                key: format!("{}-{number}", self.state.origin),
            });
        }
        std::mem::take(&mut self.turn)
    }

    /// When it has to be looked at next, for what is not under way already.
    pub fn wake_at(&self) -> Option<Millis> {
        match self.out {
            Some(_) => self.state.delayed.keys().next().map(|(at, _)| *at),
            None => self.state.wake_at(),
        }
    }

    fn record(&mut self, event: EntityEvent) {
        let record = EntityRecord(self.now, event);
        self.state.apply(&record);
        self.turn.records.push(record);
    }

    fn is_out(&self, number: u64, attempt: u32) -> bool {
        let running = self.state.running.as_ref();
        running.is_some_and(|r| (r.operation.number, r.attempt) == (number, attempt))
    }

    fn operation_ended(
        &mut self,
        number: u64,
        attempt: u32,
        started_at: Millis,
        outcome: Result<OperationResult, Failure>,
        retry: &RetryPolicy,
        logs: Logs,
    ) {
        let Some(running) = &self.state.running else { return };
        let event = match outcome {
            Ok(OperationResult { result, state, sends }) => {
                let sends = self.letters(number, sends);
                EntityEvent::OperationDone {
                    number,
                    attempt,
                    started_at,
                    result,
                    state,
                    sends,
                    logs,
                }
            }
            Err(failure) => {
                let attempted = Attempted {
                    counted: attempt - running.lost.min(attempt - 1),
                    scheduled_at: running.since,
                    ended_at: self.now,
                    chance: self.chance(number, attempt),
                };
                let retry_at = next_attempt(retry, &failure, attempted);
                EntityEvent::OperationFailed {
                    number,
                    attempt,
                    started_at,
                    failure,
                    retry_at,
                    logs,
                }
            }
        };
        self.out = None;
        self.record(event);
    }

    fn letters(&self, number: u64, sends: Vec<Sending>) -> Vec<Outgoing> {
        let letter = |(index, sending)| match sending {
            Sending::Signal { entity, operation, input, at } => {
                let parcel = Parcel::Signal { operation, input, at, execution: None };
                Outgoing { to: entity.instance_id(), parcel }
            }
            Sending::Event { instance, name, input } => {
                Outgoing { to: instance, parcel: Parcel::Event { name, input } }
            }
            Sending::Start { name, input, id } => {
                let to = id.unwrap_or_else(|| format!("{}:{number}:{index}", self.state.origin));
                let (version, tags, start_at, trace_parent) = (None, Tags::new(), None, None);
                let parcel = Parcel::Start { name, input, version, tags, start_at, trace_parent };
                Outgoing { to, parcel }
            }
        };
        sends.into_iter().enumerate().map(letter).collect()
    }

    /// A number in `0.0..1.0` that belongs to this attempt, and is the same
    /// whenever it is asked for.
    fn chance(&self, number: u64, attempt: u32) -> f64 {
        let digest = Sha256::digest(format!("{}-{number}-{attempt}", self.state.origin));
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn tick(&mut self) {
        if self.state.delayed.keys().next().is_some_and(|(at, _)| *at <= self.now) {
            self.record(EntityEvent::Due);
        }
    }

    fn host_lost(&mut self, alive: Option<(u64, u32)>, since: Millis) {
        self.turn.letters = self.state.outbox.again();
        self.state.outbox.take_fresh();
        self.out = None;
        let Some(running) = &self.state.running else { return };
        let (number, attempt, lost) = (running.operation.number, running.attempt, running.lost);
        if alive == Some((number, attempt)) {
            self.out = alive;
            return;
        }
        if running.retry_at.is_some_and(|at| at >= since) {
            return;
        }
        if lost < MAX_LOST_ATTEMPTS {
            return self.record(EntityEvent::AttemptLost { number, attempt });
        }
        let message = format!(
            "the host ended {lost} times while this operation ran; it is not attempted again"
        );
        self.record(EntityEvent::OperationFailed {
            number,
            attempt,
            started_at: self.now,
            failure: Failure::host(FailureKind::HostLost, message),
            retry_at: None,
            logs: Logs::default(),
        });
    }
}
