//! The task of an entity that is in memory: it takes what has arrived, lets
//! the core decide, stores the events, and then does what they call for.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sagahost_core::{
    Entity, EntityCommand, EntityId, EntityRecord, Failure, Json, Logs, Millis, OperationResult,
    Parcel, Post, RuntimeStatus, SagaState, Tags, encode_entity_chunk,
};
use sagahost_core::{EntityEvent, EntityState, EntityTurn};
use sagahost_store::{InstanceKey, NewInstance, Summary, Write, Written};
use tokio::sync::mpsc;

use crate::api::new_id;
use crate::cell::Ack;
use crate::error::CommandError;
use crate::lifecycle::Inner;
use crate::load::NotLoaded;
use crate::writer::WriteFailure;

/// How long an entity stays in memory after the last that was heard of it.
const IDLE: Duration = Duration::from_secs(10);

/// How long a turn that the store did not take waits before it is made again;
/// doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The most messages that one turn takes.
const LARGEST_BATCH: usize = 256;

/// How many events are held back at most.
const MOST_HELD: usize = 64;

/// What arrives for an entity.
pub(crate) enum EntityMessage {
    /// An instance or another entity sent something. It is told when that is
    /// durable.
    Letter { post: Post, from: String, parcel: Parcel },
    /// What this one sent was taken in, or never will be.
    Posted { post: Post, problem: Option<String> },
    /// A client wants an operation, and waits until that is durable.
    Asked { operation: String, input: Json, at: Option<Millis>, ack: Ack<CommandError> },
    /// An attempt of an operation ended.
    Ended {
        number: u64,
        attempt: u32,
        started_at: Millis,
        outcome: Result<OperationResult, Failure>,
        logs: Logs,
    },
    /// A signal or a retry is due, or the entity is to be looked at after a
    /// start of the host.
    Wake,
}

impl EntityMessage {
    /// The same once more, for when it could not be stored. A client has been
    /// told, and asks again itself.
    fn again(&self) -> Option<Self> {
        Some(match self {
            EntityMessage::Asked { .. } => return None,
            EntityMessage::Letter { post, from, parcel } => EntityMessage::Letter {
                post: post.clone(),
                from: from.clone(),
                parcel: parcel.clone(),
            },
            EntityMessage::Posted { post, problem } => {
                EntityMessage::Posted { post: post.clone(), problem: problem.clone() }
            }
            EntityMessage::Ended { number, attempt, started_at, outcome, logs } => {
                EntityMessage::Ended {
                    number: *number,
                    attempt: *attempt,
                    started_at: *started_at,
                    outcome: outcome.clone(),
                    logs: logs.clone(),
                }
            }
            EntityMessage::Wake => return None,
        })
    }
}

/// The entities that are in memory, by instance id.
#[derive(Default)]
pub(crate) struct Entities(Mutex<HashMap<Arc<str>, mpsc::UnboundedSender<EntityMessage>>>);

impl Inner {
    /// Puts a message into an entity's inbox, and sees to it that somebody
    /// works it off.
    pub(crate) fn deliver_to_entity(self: &Arc<Self>, id: &str, message: EntityMessage) {
        let Some(entity) = EntityId::from_instance_id(id) else {
            return self.no_such_entity(id, message);
        };
        // Counted before it is taken, so that a shutdown waits for it.
        self.working.fetch_add(1, Ordering::SeqCst);
        let mut entities = self.entities.0.lock().unwrap_or_else(PoisonError::into_inner);
        let message = match entities.get(id) {
            None => message,
            Some(inbox) => match inbox.send(message) {
                Ok(()) => return,
                Err(mpsc::error::SendError(message)) => message,
            },
        };
        let (inbox, arrived) = mpsc::unbounded_channel();
        // The receiver is right here.
        let _ = inbox.send(message);
        let id: Arc<str> = id.into();
        entities.insert(id.clone(), inbox);
        drop(entities);
        let inner = self.clone();
        let actor =
            Actor { inner, id, entity, arrived, body: None, out: None, unstored: Vec::new() };
        tokio::spawn(actor.run());
    }

    fn no_such_entity(self: &Arc<Self>, id: &str, message: EntityMessage) {
        match message {
            EntityMessage::Letter { post, from, .. } => {
                self.posted(&from, post, Some(format!("`{id}` is no id of an entity")));
            }
            EntityMessage::Asked { ack, .. } => {
                let _ = ack.send(Err(CommandError::NotFound { id: id.to_owned() }));
            }
            EntityMessage::Posted { .. } | EntityMessage::Ended { .. } | EntityMessage::Wake => {}
        }
    }
}

/// An entity that was loaded, or is new.
struct Body {
    entity: Entity,
    /// `None` until it is stored for the first time.
    key: Option<InstanceKey>,
    /// Chunks stored.
    chunks: u32,
    /// The earliest time for which a timer is set.
    armed: Option<Millis>,
    /// Events that nothing depends on, stored with the next.
    held: Vec<EntityRecord>,
}

/// Whom to tell when a turn is stored.
#[derive(Default)]
struct Told {
    acks: Vec<Ack<CommandError>>,
    letters: Vec<(String, Post)>,
    /// The attempt that ended.
    ended: Option<(u64, u32)>,
}

pub(super) struct Actor {
    pub(super) inner: Arc<Inner>,
    pub(super) id: Arc<str>,
    pub(super) entity: EntityId,
    arrived: mpsc::UnboundedReceiver<EntityMessage>,
    body: Option<Body>,
    /// The attempt that is out in this host, or whose result is not stored.
    pub(super) out: Option<(u64, u32)>,
    /// What was taken in and is not stored yet.
    unstored: Vec<EntityMessage>,
}

impl Actor {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut batch = Vec::new();
        // How many messages of the batch a shutdown waits for.
        let mut counted = 0;
        loop {
            let holds = self.body.as_ref().is_some_and(|body| !body.held.is_empty());
            if batch.is_empty() {
                let longest = if holds { self.inner.config.hold } else { IDLE };
                let arrive = self.arrived.recv_many(&mut batch, LARGEST_BATCH);
                match tokio::time::timeout(longest, arrive).await {
                    Ok(count) => counted += count,
                    Err(_) if holds => {}
                    Err(_) if self.may_leave() && self.leave() => return,
                    Err(_) => continue,
                }
            }
            match self.turn(std::mem::take(&mut batch)).await {
                Ok(()) => pause = FIRST_PAUSE,
                Err(again) => {
                    batch = again;
                    // What the turn was to do beside that is found again when
                    // the entity is loaded.
                    batch.push(EntityMessage::Wake);
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                    continue;
                }
            }
            let before = self.inner.working.fetch_sub(counted, Ordering::SeqCst);
            if counted > 0 && before == counted {
                self.inner.quiet.notify_waiters();
            }
            counted = 0;
        }
    }

    fn may_leave(&self) -> bool {
        let busy = self.body.as_ref().is_some_and(|body| body.entity.state().is_busy());
        self.out.is_none() && !busy
    }

    /// Leaves memory, unless something has arrived just now.
    fn leave(&self) -> bool {
        let mut entities = self.inner.entities.0.lock().unwrap_or_else(PoisonError::into_inner);
        let leaves = self.arrived.is_empty();
        if leaves {
            entities.remove(&self.id);
        }
        leaves
    }

    /// Makes a turn of what has arrived; stores what is held back where that
    /// is nothing. Returns what has to be done again, on what is stored.
    async fn turn(&mut self, batch: Vec<EntityMessage>) -> Result<(), Vec<EntityMessage>> {
        self.inner.counters.turns.add(1);
        let flush = batch.is_empty();
        let mut body = match self.body.take() {
            Some(body) => body,
            None => match self.load().await {
                Ok(Some(body)) => body,
                Ok(None) => match self.create(&batch) {
                    Some(body) => body,
                    None => {
                        self.out = None;
                        return Ok(());
                    }
                },
                Err(not) => return self.not_loaded(batch, &not),
            },
        };
        body.entity.at(self.inner.clock().now());
        body.entity.handle(EntityCommand::Tick);
        self.unstored.extend(batch.iter().filter_map(EntityMessage::again));
        let mut told = Told::default();
        for message in batch {
            self.take(&mut body, message, &mut told);
        }
        if body.entity.is_long() {
            body.entity.compact(self.inner.forget_before());
        }
        let EntityTurn { records, fresh, attempt, letters } = body.entity.end_turn();
        let can_wait = |EntityRecord(_, event): &EntityRecord| {
            matches!(event, EntityEvent::Delivered { problem: None, .. })
        };
        let hold = !flush
            && body.held.len() < MOST_HELD
            && told.ended.is_none()
            && body.key.is_some()
            && fresh.is_none()
            && attempt.is_none()
            && letters.is_empty()
            && told.acks.is_empty()
            && told.letters.is_empty()
            && records.iter().all(can_wait);
        let fresh = fresh.map(|place| body.held.len() + place);
        body.held.extend(records);
        if !body.held.is_empty() {
            if hold {
                self.body = Some(body);
                return Ok(());
            }
            if let Err(failure) = self.store(&mut body, fresh).await {
                let message = failure.to_string();
                tracing::error!(instance = %self.id, error = %message, "a turn was not stored; it is made again");
                for ack in told.acks {
                    let _ = ack.send(Err(CommandError::Store(message.clone())));
                }
                return Err(std::mem::take(&mut self.unstored));
            }
        }
        self.unstored.clear();
        if told.ended == self.out {
            self.out = None;
        }
        for ack in told.acks {
            let _ = ack.send(Ok(()));
        }
        for (from, post) in told.letters {
            self.inner.posted(&from, post, None);
        }
        let origin = body.entity.state().origin();
        for letter in letters {
            self.inner.post(&self.id, origin, letter);
        }
        if let Some(attempt) = attempt {
            self.dispatch(attempt);
        }
        if let Some(at) = body.entity.wake_at()
            && body.armed.is_none_or(|armed| at < armed)
        {
            body.armed = Some(at);
            self.inner.timers.set(at, self.id.clone());
        }
        self.body = Some(body);
        Ok(())
    }

    fn take(&self, body: &mut Body, message: EntityMessage, told: &mut Told) {
        let command = match message {
            EntityMessage::Letter { post, from, parcel } => {
                if !Entity::takes(&parcel) {
                    let problem = format!("`{}` is an entity, which does not take this", self.id);
                    return self.inner.posted(&from, post, Some(problem));
                }
                told.letters.push((from.clone(), post.clone()));
                EntityCommand::Receive { post: Some(post), from, parcel }
            }
            EntityMessage::Asked { operation, input, at, ack } => {
                told.acks.push(ack);
                let parcel = Parcel::Signal { operation, input, at, execution: None };
                EntityCommand::Receive { post: None, from: String::new(), parcel }
            }
            EntityMessage::Posted { post, problem } => {
                if post.origin != body.entity.state().origin() {
                    return;
                }
                EntityCommand::Delivered { letter: post.number, problem }
            }
            EntityMessage::Ended { number, attempt, started_at, outcome, logs } => {
                told.ended = Some((number, attempt));
                let retry = self.inner.runtime.entity_policy(&self.entity.name).retry;
                EntityCommand::OperationEnded { number, attempt, started_at, outcome, retry, logs }
            }
            EntityMessage::Wake => {
                body.armed = None;
                return;
            }
        };
        body.entity.handle(command);
    }

    /// The entity, where something is for it that makes it begin.
    fn create(&self, batch: &[EntityMessage]) -> Option<Body> {
        let begins = batch.iter().any(|message| match message {
            EntityMessage::Asked { .. } => true,
            EntityMessage::Letter { parcel, .. } => Entity::takes(parcel),
            _ => false,
        });
        let now = self.inner.clock().now();
        begins.then(|| Body {
            entity: Entity::create(now, &self.entity, &new_id()),
            key: None,
            chunks: 0,
            armed: None,
            held: Vec::new(),
        })
    }

    async fn load(&self) -> Result<Option<Body>, NotLoaded> {
        let (row, chunks) = match self.inner.read_instance(&self.id).await {
            Ok(found) => found,
            Err(NotLoaded::NotFound) => return Ok(None),
            Err(not) => return Err(not),
        };
        let mut entity =
            Entity::load(&chunks).map_err(|error| NotLoaded::Damaged(error.to_string()))?;
        entity.at(self.inner.clock().now());
        entity.handle(EntityCommand::HostLost { alive: self.out, since: self.inner.since });
        let (key, chunks) = (Some(row.key), row.chunks);
        Ok(Some(Body { entity, key, chunks, armed: None, held: Vec::new() }))
    }

    fn not_loaded(
        &mut self,
        batch: Vec<EntityMessage>,
        not: &NotLoaded,
    ) -> Result<(), Vec<EntityMessage>> {
        let again = batch.iter().filter_map(EntityMessage::again).collect();
        for message in batch {
            if let EntityMessage::Asked { ack, .. } = message {
                let _ = ack.send(Err(not.error(&self.id)));
            }
        }
        match not {
            NotLoaded::Damaged(error) => {
                // Who sent a letter keeps it.
                tracing::error!(instance = %self.id, error, "an entity's journal cannot be read");
                self.out = None;
                Ok(())
            }
            not => {
                let error = not.error(&self.id);
                tracing::error!(instance = %self.id, %error, "an entity could not be read from the store; it is tried again");
                Err(again)
            }
        }
    }

    /// Stores what is held. From `fresh` on it is a new journal, which takes
    /// the place of the one before.
    async fn store(&self, body: &mut Body, fresh: Option<usize>) -> Result<(), WriteFailure> {
        let unwritable = |error: serde_json::Error| WriteFailure::Store(error.to_string().into());
        let chunk = encode_entity_chunk(&body.held[fresh.unwrap_or(0)..]).map_err(unwritable)?;
        let state = body.entity.state();
        let summary = summary(state);
        let (input, expect_chunks) = (Json::null(), body.chunks);
        let write = match (body.key, fresh) {
            (Some(key), None) => Write::Append { key, expect_chunks, chunk, summary },
            (Some(key), Some(_)) => Write::Replace { key, expect_chunks, input, chunk, summary },
            (None, _) => {
                let (id, name) = (self.id.to_string(), self.entity.name.clone());
                let (created, tags) = (state.created(), Tags::new());
                Write::Create {
                    new: NewInstance { id, name, input, created, tags },
                    chunk,
                    summary,
                }
            }
        };
        if let Written::Created(key) = self.inner.writer.write(write).await? {
            body.key = Some(key);
        }
        body.chunks = if fresh.is_some() { 1 } else { body.chunks + 1 };
        body.held.clear();
        Ok(())
    }
}

/// An entity's row.
fn summary(state: &EntityState) -> Summary {
    Summary {
        status: RuntimeStatus::Completed,
        custom_status: custom_status(state),
        output: state.state().cloned(),
        updated: state.last_operation().unwrap_or_else(|| state.created()),
        wake_at: state.wake_at(),
        busy: state.is_busy(),
        blocked: false,
        events: state.events(),
        saga: SagaState::None,
        stuck: None,
    }
}

/// Who has locked it and how much waits; nothing where there is neither.
fn custom_status(state: &EntityState) -> Option<Json> {
    let mut shown = serde_json::Map::new();
    if state.queued() > 0 {
        shown.insert("queued".to_owned(), state.queued().into());
    }
    if let Some(holder) = state.holder() {
        shown.insert("lockedBy".to_owned(), holder.into());
    }
    // A map of texts and numbers is JSON.
    if shown.is_empty() { None } else { Json::of(&shown).ok() }
}
