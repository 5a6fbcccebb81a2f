//! What changes, for all who follow it at once.
//!
//! A change is written down once, as the text that followers are sent, and is
//! kept in batches for a while. A follower has a place, and takes the batches
//! from there when its connection has room: it costs the sagas nothing, and
//! holds nothing but its place. Whoever is too far behind has missed
//! something, and is told so. Followers are woken some times a second at most,
//! however much happens.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use sagahost_core::{Millis, Record, RuntimeStatus, SagaState};
use sagahost_engine::{Change, Gone, Observer};
use serde::Serialize;
use tokio::sync::{Notify, watch};

/// Between two times that followers are woken.
const PACE: Duration = Duration::from_millis(50);

/// For how long changes are kept when the last follower has gone: it may only
/// have lost its connection.
const LINGER: Duration = Duration::from_secs(60);

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Changes, at most.
    pub(super) changes: usize,
    /// Bytes of their texts, at most.
    pub(super) bytes: usize,
    /// A batch is closed when its text has so many bytes.
    pub(super) batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { changes: 20_000, bytes: 8 << 20, batch: 16 << 10 }
    }
}

/// The kind of a change that no journal has: the instance is there no more.
const PURGED: &str = "Purged";

/// The data of a server-sent event of `GET /api/events`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeLine<'a> {
    id: &'a str,
    name: &'a str,
    runtime_status: RuntimeStatus,
    saga_state: SagaState,
    updated: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Millis>,
    kinds: Vec<&'static str>,
    ended: bool,
}

/// What the filters of followers go by.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) status: RuntimeStatus,
    /// Where its text ends in that of its batch.
    end: usize,
}

/// Changes that followed one another.
#[derive(Debug)]
pub(super) struct Batch {
    /// The number of the first.
    first: u64,
    text: Bytes,
    entries: Vec<Entry>,
}

impl Batch {
    /// The number of the change after the last.
    pub(super) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The text of those from this number on that are wanted. Where all are,
    /// nothing is copied.
    pub(super) fn text(&self, from: u64, wanted: Option<&dyn Fn(&Entry) -> bool>) -> Bytes {
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let skipped = skipped.min(self.entries.len());
        let begin = skipped.checked_sub(1).map_or(0, |last| self.entries[last].end);
        let Some(wanted) = wanted else { return self.text.slice(begin..) };
        let (mut text, mut begin) = (Vec::new(), begin);
        for entry in &self.entries[skipped..] {
            if wanted(entry) {
                text.extend_from_slice(&self.text[begin..entry.end]);
            }
            begin = entry.end;
        }
        text.into()
    }
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Arc<Batch>>,
    /// The changes in them.
    changes: usize,
    /// The bytes of their texts.
    bytes: usize,
    /// Of the batch that is being put together.
    text: String,
    entries: Vec<Entry>,
    /// The number of the next change.
    next: u64,
    /// The first change that is kept, or will be.
    oldest: u64,
    awake: bool,
    followers: usize,
    /// When the last one went.
    left: Option<Instant>,
}

impl State {
    fn close(&mut self, limits: &Limits) {
        if self.entries.is_empty() {
            return;
        }
        let text = Bytes::from(std::mem::take(&mut self.text));
        let entries = std::mem::take(&mut self.entries);
        let first = self.next - entries.len() as u64;
        self.changes += entries.len();
        self.bytes += text.len();
        self.batches.push_back(Arc::new(Batch { first, text, entries }));
        while self.changes > limits.changes || self.bytes > limits.bytes {
            let Some(gone) = self.batches.pop_front() else { break };
            self.changes -= gone.entries.len();
            self.bytes -= gone.text.len();
            self.oldest = gone.next();
        }
    }

    /// Forgets everything. What follows is not told of, until somebody comes:
    /// one number stands for all of it.
    fn rest(&mut self) {
        self.batches.clear();
        self.entries.clear();
        self.text = String::new();
        (self.changes, self.bytes, self.awake) = (0, 0, false);
        self.next += 1;
        self.oldest = self.next;
    }
}

/// What a follower finds at its place.
pub(super) enum Found {
    Batch(Arc<Batch>),
    /// Nothing yet.
    Nothing,
    /// What was there is gone; it goes on here.
    Gone(u64),
}

/// Keeps what changes for those who follow.
#[derive(Debug)]
pub(crate) struct Hub {
    /// Of this run of the host: numbers mean nothing to another.
    epoch: String,
    limits: Limits,
    awake: AtomicBool,
    state: Mutex<State>,
    /// There is something to wake followers for.
    work: Notify,
    /// The number of the first change that cannot be read yet.
    closed: watch::Sender<u64>,
}

impl Default for Hub {
    fn default() -> Self {
        Hub::new(Limits::default())
    }
}

impl Hub {
    pub(super) fn new(limits: Limits) -> Self {
        let mut epoch = uuid::Uuid::new_v4().simple().to_string();
        epoch.truncate(16);
        Hub {
            epoch,
            limits,
            awake: AtomicBool::new(false),
            state: Mutex::new(State { next: 1, oldest: 1, ..State::default() }),
            work: Notify::new(),
            closed: watch::Sender::new(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes followers when there is something for them, for as long as it is
    /// not dropped.
    pub(crate) async fn pace(&self) {
        loop {
            self.work.notified().await;
            self.wake(LINGER);
            tokio::time::sleep(PACE).await;
        }
    }

    /// Hands out what there is; forgets it where nobody has followed for so
    /// long.
    pub(super) fn wake(&self, linger: Duration) {
        let next = {
            let mut state = self.lock();
            let left = state.left.filter(|_| state.followers == 0);
            if left.is_some_and(|left| left.elapsed() >= linger) {
                self.awake.store(false, Ordering::SeqCst);
                state.rest();
                return;
            }
            state.close(&self.limits);
            state.next
        };
        self.closed.send_replace(next);
    }

    /// Somebody follows from now on. Gives the place: after what was seen last,
    /// or here; and whether something is missing before it.
    pub(super) fn enter(&self, seen: Option<&str>) -> (u64, bool) {
        let mut state = self.lock();
        state.followers += 1;
        state.left = None;
        state.awake = true;
        self.awake.store(true, Ordering::SeqCst);
        let Some(seen) = seen else { return (state.next, false) };
        let number = seen.strip_prefix(self.epoch.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let next = number.and_then(|number| number.parse::<u64>().ok()?.checked_add(1));
        match next.filter(|next| (state.oldest..=state.next).contains(next)) {
            Some(next) => (next, false),
            None => (state.next, true),
        }
    }

    /// Somebody follows no more.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.followers = state.followers.saturating_sub(1);
        if state.followers == 0 {
            state.left = Some(Instant::now());
        }
    }

    /// The id of the last change before this place.
    pub(super) fn id_before(&self, next: u64) -> String {
        format!("{}-{}", self.epoch, next.saturating_sub(1))
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.closed.subscribe()
    }

    /// What is at this place.
    pub(super) fn at(&self, next: u64) -> Found {
        let state = self.lock();
        if next < state.oldest {
            return Found::Gone(state.next);
        }
        let place = state.batches.partition_point(|batch| batch.next() <= next);
        match state.batches.get(place) {
            Some(batch) => Found::Batch(batch.clone()),
            None => Found::Nothing,
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let state = self.lock();
        (state.changes + state.entries.len(), state.bytes + state.text.len())
    }
}

impl Observer for Hub {
    fn wants(&self) -> bool {
        self.awake.load(Ordering::SeqCst)
    }

    fn changed(&self, change: Change<'_>) {
        let Change { id, name, status, saga, created, updated, records, ended } = change;
        let mut kinds: Vec<&'static str> = Vec::new();
        for Record(_, event) in records {
            let kind = event.kind();
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        self.add(&ChangeLine {
            id,
            name,
            runtime_status: status,
            saga_state: saga,
            updated,
            created,
            kinds,
            ended,
        });
    }

    fn purged(&self, gone: &[Gone], at: Millis) {
        for Gone { id, name, created, status, saga } in gone {
            self.add(&ChangeLine {
                id,
                name,
                runtime_status: *status,
                saga_state: *saga,
                updated: at,
                created: Some(*created),
                kinds: vec![PURGED],
                ended: false,
            });
        }
    }
}

impl Hub {
    fn add(&self, line: &ChangeLine<'_>) {
        let (id, name, status) = (line.id, line.name, line.runtime_status);
        // It has strings and numbers only: it is always JSON, on one line.
        let Ok(line) = serde_json::to_string(line) else { return };
        let mut guard = self.lock();
        let state = &mut *guard;
        if !state.awake {
            return;
        }
        // Writing to a string cannot fail.
        let _ = write!(
            state.text,
            "id: {}-{}\nevent: change\ndata: {line}\n\n",
            self.epoch, state.next
        );
        state.next += 1;
        let end = state.text.len();
        state.entries.push(Entry { id: id.into(), name: name.into(), status, end });
        let first = state.entries.len() == 1;
        if end >= self.limits.batch {
            state.close(&self.limits);
        }
        drop(guard);
        if first {
            self.work.notify_one();
        }
    }
}
