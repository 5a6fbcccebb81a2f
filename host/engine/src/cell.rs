//! The place of one instance in memory: its inbox, and its body while it is
//! here.
//!
//! Turns of one instance never overlap: whoever puts a message into an idle
//! cell's inbox starts the one task that works it off. While that task has
//! the body, everybody else only adds to the inbox.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sagahost_core::{Command, Failure, Logs, Millis, Parcel, Post, Record, Started, TaskId, Work};
use sagahost_store::{InstanceKey, NewInstance};
use sagahost_wasm::{Fiber, Pinned};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::entry::Young;
use crate::error::{CommandError, StartError};
use crate::guest::{self, SharedGuest};

pub(crate) type Ack<E> = oneshot::Sender<Result<(), E>>;

/// Ends an attempt that is out.
pub(crate) type Stop = oneshot::Sender<Stopped>;

/// Why an attempt is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Its step is to be undone; the orchestration waits for its end.
    Unwound,
    /// Its orchestration has ended, and waits for nothing.
    Over,
}

/// What a start does with an instance of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replace {
    /// Takes the place of one that has ended.
    Ended,
    /// Nothing: it does not begin.
    Nothing,
}

/// What tells an attempt from another one of the same work, which a turn began
/// that was never stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) number: u64,
    /// Whether it began before its step was stored.
    pub(crate) is_ahead: bool,
}

/// An attempt that is out, or whose result is not stored yet.
pub(crate) struct Out {
    /// The number of its [`Token`].
    pub(crate) token: u64,
    /// Ends it; `None` where it was told to.
    pub(crate) stop: Option<Stop>,
    /// Whether its step is not stored yet.
    pub(crate) ahead: bool,
}

/// Whoever started it, until that is stored.
pub(crate) struct Begun {
    pub(crate) replace: Replace,
    /// Until when it is tried again.
    pub(crate) until: Instant,
    /// Whether nobody is told before it has ended, if that comes soon.
    pub(crate) waits: bool,
    pub(crate) ack: Ack<StartError>,
}

/// How an attempt ended whose step is not stored yet: nobody is shown that.
pub(crate) struct Unshown {
    pub(crate) function: String,
    pub(crate) step: TaskId,
    pub(crate) attempt: u32,
    pub(crate) failure: Option<Failure>,
    pub(crate) logs: Logs,
}

/// What arrives for an instance.
pub(crate) enum Message {
    /// It begins.
    Start {
        new: Box<NewInstance>,
        started: Box<Started>,
        replace: Replace,
        /// Until when it is tried again, where an instance of this id has ended
        /// and its letters are not taken in yet.
        until: Instant,
        /// Whether whoever starts it waits for its end.
        waits: bool,
        /// Where it was let in.
        young: Option<Arc<Young>>,
        ack: Ack<StartError>,
    },
    /// A client wants something, and waits until it is durable.
    Asked { command: Command, ack: Ack<CommandError> },
    /// An attempt or a child of this execution ended. (Of an earlier execution
    /// under the same id, it means nothing.)
    ///
    /// An attempt has the token that it was given as it began.
    Ended { execution: Arc<str>, token: Option<Token>, command: Command },
    /// The parent has something to say.
    Told { command: Command },
    /// Another instance, or an entity, sent something. It is told when that is
    /// durable.
    Letter { post: Post, from: String, parcel: Parcel },
    /// What this one sent was taken in, or never will be.
    Posted { post: Post, problem: Option<String> },
    /// A timer fires or a retry begins, or the instance is to be looked at
    /// after a start of the host.
    Wake,
    /// Store what is held back.
    Flush,
}

/// An orchestrator's code in memory, and its place among the residents.
pub(crate) struct Resident {
    pub(crate) fiber: Fiber,
    /// Keeps its component loaded.
    pub(crate) _pinned: Pinned,
    pub(crate) _place: OwnedSemaphorePermit,
}

/// An instance that is in memory.
pub(crate) struct Body {
    /// `None` until it is stored for the first time.
    pub(crate) key: Option<InstanceKey>,
    pub(crate) new: Option<Box<NewInstance>>,
    pub(crate) guest: SharedGuest,
    pub(crate) resident: Option<Resident>,
    /// Chunks stored.
    pub(crate) chunks: u32,
    /// Events stored.
    pub(crate) stored: u64,
    /// Events of turns that nothing depends on yet, stored with the next.
    pub(crate) held: Vec<Record>,
    /// Its execution, for the results of attempts.
    pub(crate) execution: Arc<str>,
    /// About how many bytes those are.
    pub(crate) held_bytes: usize,
    /// Whether attempts are out whose steps are among them.
    pub(crate) runs_ahead: bool,
    /// What is shown once they are stored.
    pub(crate) unshown: Vec<Unshown>,
    /// Who is told once it is stored for the first time.
    pub(crate) begun: Option<Begun>,
    /// Attempts were lost with a host: until something is stored, none begins
    /// that a crash would forget again.
    pub(crate) cautious: bool,
    /// The earliest time for which a timer is set.
    pub(crate) armed: Option<Millis>,
    /// Whether it is stored as stuck.
    pub(crate) stuck: bool,
    /// Whether it waits for somebody to take in what it sent.
    pub(crate) has_mail: bool,
    /// Where it was let in, and has not had to wait since.
    pub(crate) young: Option<Arc<Young>>,
}

impl Body {
    /// The instance's id.
    pub(crate) fn id(&self) -> String {
        guest::lock(&self.guest).id().to_owned()
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) inbox: Vec<Message>,
    /// Whether a task works off the inbox, and has the body.
    pub(crate) working: bool,
    pub(crate) body: Option<Box<Body>>,
    /// Attempts that are out in this host, or whose result is not stored yet.
    pub(crate) attempts: HashMap<Work, Out>,
    /// It is not in the map any more: look it up again.
    pub(crate) gone: bool,
}

pub(crate) struct Cell {
    pub(crate) id: Arc<str>,
    /// Counts its turns, so that an old entry among the residents is known.
    /// Beside the lock, because it is looked at with the residents' lock
    /// held, which is taken after this one.
    stamp: AtomicU64,
    state: Mutex<State>,
}

impl Cell {
    fn new(id: Arc<str>) -> Arc<Self> {
        Arc::new(Cell { id, stamp: AtomicU64::new(0), state: Mutex::default() })
    }

    pub(crate) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::SeqCst)
    }

    /// A turn begins: what was said of its waiting does not hold any more.
    pub(crate) fn new_stamp(&self) {
        self.stamp.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the result of this attempt is waited for.
    pub(crate) fn awaits(&self, work: Work, token: Token) -> bool {
        self.lock().attempts.get(&work).is_some_and(|out| out.token == token.number)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SHARDS: usize = 64;

type Shard = Mutex<HashMap<Arc<str>, Arc<Cell>>>;

/// All cells, by instance id.
pub(crate) struct Cells {
    shards: Vec<Shard>,
    hasher: RandomState,
}

impl Default for Cells {
    fn default() -> Self {
        Cells {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Cells {
    fn shard(&self, id: &str) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Cell>>> {
        let shard = self.hasher.hash_one(id) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message into the instance's inbox. Returns the cell if nobody
    /// works it off yet: whoever gets it has to.
    pub(crate) fn deliver(&self, id: &str, message: Message) -> Option<Arc<Cell>> {
        loop {
            let cell = {
                let mut shard = self.shard(id);
                match shard.get(id) {
                    Some(cell) => cell.clone(),
                    None => {
                        let id: Arc<str> = id.into();
                        let cell = Cell::new(id.clone());
                        shard.insert(id, cell.clone());
                        cell
                    }
                }
            };
            let mut state = cell.lock();
            if state.gone {
                continue;
            }
            state.inbox.push(message);
            if state.working {
                return None;
            }
            state.working = true;
            drop(state);
            return Some(cell);
        }
    }

    /// Takes a cell out of the map. The caller holds its lock, has seen that
    /// nothing is in it, and drops the lock only after this.
    pub(crate) fn remove(&self, cell: &Cell, state: &mut State) {
        state.gone = true;
        self.shard(&cell.id).remove(&cell.id);
    }
}
