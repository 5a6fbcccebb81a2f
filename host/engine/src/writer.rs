//! The one writer: commits whatever has queued in one transaction.
//!
//! A lone write is committed at once: where the disk is quick by the task that
//! wants it, else by the writer's thread. Whoever makes them, commits are one
//! after the other. While the flush of one is under way the next writes queue
//! and share the one after; and where there are several, they wait a moment for
//! the turns that are being made, which will want to be stored next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sagahost_store::{Owner, Store, StoreError, Write, WriteError, Written};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::load_gate::LoadGate;
use crate::metrics::Counters;

/// The most writes in one transaction, so that the first of a long queue is
/// not kept waiting for the last.
const LARGEST_BATCH: usize = 1024;

/// The longest that writes wait for others: never longer than half of what the
/// last commit took, and not at all after one of fewer writes than this.
const LONGEST_WAIT: Duration = Duration::from_micros(400);
const FEWEST_TO_WAIT: usize = 3;

/// A disk is quick whose last commit took no longer. A task that commits keeps a
/// thread from other tasks meanwhile, and the next commit may take longer.
const QUICK: Duration = Duration::from_millis(2);

/// Why a write was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WriteFailure {
    /// This write does not fit what is stored.
    #[error(transparent)]
    Write(WriteError),
    /// The store failed, for all that was in the transaction.
    #[error("{0}")]
    Store(Arc<str>),
}

/// Who waits for a write.
type Done = oneshot::Sender<Result<Written, WriteFailure>>;

struct Queued {
    write: Write,
    /// When it came, as the gate says it.
    at: Duration,
    done: Done,
}

pub(crate) struct Writer {
    queue: mpsc::Sender<Queued>,
    commits: Arc<Commits>,
}

/// What makes the commits, one at a time.
struct Commits {
    store: Arc<dyn Store>,
    owner: Owner,
    counters: Arc<Counters>,
    gate: Arc<LoadGate>,
    proof: Proof,
    /// The instances of which a turn is being made, or stored.
    working: Arc<AtomicUsize>,
    /// How long the last commit took; locked while there is one.
    last: Mutex<Duration>,
    /// Whether a task may make one.
    inline: bool,
}

/// How long a commit says that there can be others.
const PROOF_HOLDS: Duration = Duration::from_secs(1);

/// When something was made durable last; nothing once that failed. Whoever asks
/// whether the host is ready need not make it write for that.
#[derive(Default)]
struct Proof(Mutex<Option<Instant>>);

impl Proof {
    fn note(&self, written: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = written.then(Instant::now);
    }

    fn holds(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < PROOF_HOLDS)
    }
}

impl Writer {
    /// Starts the writer's thread. It ends when the writer is dropped and all
    /// that was queued is committed.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        owner: Owner,
        (counters, gate): (Arc<Counters>, Arc<LoadGate>),
        working: Arc<AtomicUsize>,
    ) -> std::io::Result<Self> {
        let (queue, queued) = mpsc::channel();
        let tasks = Handle::current();
        let commits = Arc::new(Commits {
            store,
            owner,
            counters,
            gate,
            proof: Proof::default(),
            working,
            // Nothing is known of the disk yet.
            last: Mutex::new(Duration::MAX),
            inline: tasks.metrics().num_workers() > 1,
        });
        let made = commits.clone();
        let name = "writer".to_owned();
        std::thread::Builder::new().name(name).spawn(move || run(&made, &queued, &tasks))?;
        Ok(Writer { queue, commits })
    }

    /// Tries whether something can be made durable, unless that is known. It
    /// blocks.
    pub(crate) fn check(&self, store: &dyn Store) -> Result<(), StoreError> {
        let proof = &self.commits.proof;
        if proof.holds() {
            return Ok(());
        }
        let checked = store.check_writable();
        proof.note(checked.is_ok());
        checked
    }

    /// Makes a write, and waits until it is durable.
    pub(crate) async fn write(&self, write: Write) -> Result<Written, WriteFailure> {
        let gone = || WriteFailure::Store("the writer thread has ended".into());
        let Commits { counters, gate, .. } = &*self.commits;
        if let Some(written) = self.commits.alone(&write) {
            return written;
        }
        let (done, outcome) = oneshot::channel();
        // Before it can be taken out again.
        counters.queued.add(1);
        let at = gate.write_queued();
        if self.queue.send(Queued { write, at, done }).is_err() {
            counters.queued.take(1);
            return Err(gone());
        }
        outcome.await.map_err(|_| gone())?
    }
}

impl Commits {
    /// Commits this write in the task that wants it, where that is all there is
    /// to do, and the disk is quick: to wake the writer, and then this task
    /// again, takes as long as such a commit. Nothing otherwise.
    fn alone(&self, write: &Write) -> Option<Result<Written, WriteFailure>> {
        let busy = self.working.load(Ordering::Relaxed) > 1 || self.counters.queued.get() > 0;
        if busy || !self.inline {
            return None;
        }
        let last = self.last.try_lock().ok().filter(|last| **last <= QUICK)?;
        let outcomes = self.make(last, std::slice::from_ref(write)).map_err(WriteFailure::Store);
        Some(outcomes.and_then(|mut outcomes| match outcomes.pop() {
            Some(outcome) => outcome.map_err(WriteFailure::Write),
            None => Err(WriteFailure::Store("the store says nothing of a write".into())),
        }))
    }

    fn make(
        &self,
        mut last: MutexGuard<'_, Duration>,
        writes: &[Write],
    ) -> Result<Vec<Result<Written, WriteError>>, Arc<str>> {
        let Commits { counters, proof, .. } = self;
        let begun = Instant::now();
        let outcomes = self.store.commit(self.owner, writes).map_err(|error| {
            report(&error);
            proof.note(false);
            counters.store_failures.add(1);
            Arc::from(error.to_string())
        })?;
        let took = begun.elapsed();
        *last = took;
        drop(last);
        // Where all was refused, nothing was written.
        if outcomes.iter().any(Result::is_ok) {
            proof.note(true);
        }
        counters.commits.add(1);
        counters.commit_time.observe_time(took);
        counters.recent.commit.record(took);
        counters.commit_writes.observe(writes.len() as u64);
        counters.appends.add(outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64);
        for outcome in &outcomes {
            counters.removed.add(match outcome {
                Ok(Written::Purged(purged)) => *purged,
                Ok(Written::PurgedWhere { purged, .. }) => purged.len() as u64,
                _ => 0,
            });
        }
        Ok(outcomes)
    }
}

fn run(commits: &Commits, queued: &mpsc::Receiver<Queued>, tasks: &Handle) {
    let Commits { counters, gate, working, .. } = commits;
    let mut writes = Vec::new();
    let mut waiting = Vec::new();
    // How long the next ones may wait.
    let mut patience = Duration::ZERO;
    while let Ok(first) = queued.recv() {
        let mut latest = first.at;
        let until = Instant::now() + patience;
        let more = std::iter::from_fn(|| queued.try_recv().ok());
        for Queued { write, at, done } in std::iter::once(first).chain(more).take(LARGEST_BATCH) {
            latest = latest.max(at);
            writes.push(write);
            waiting.push(done);
        }
        while writes.len() < LARGEST_BATCH && working.load(Ordering::Relaxed) > writes.len() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let Ok(Queued { write, at, done }) = queued.recv_timeout(left) else { break };
            latest = latest.max(at);
            writes.push(write);
            waiting.push(done);
        }
        let last = commits.last.lock().unwrap_or_else(PoisonError::into_inner);
        counters.queued.take(writes.len() as u64);
        gate.writes_begin(writes.len() as u64, latest);
        let begun = Instant::now();
        match commits.make(last, &writes) {
            Ok(outcomes) => {
                patience = match writes.len() < FEWEST_TO_WAIT {
                    true => Duration::ZERO,
                    false => (begun.elapsed() / 2).min(LONGEST_WAIT),
                };
                tell(std::mem::take(&mut waiting), outcomes, tasks);
            }
            Err(message) => {
                for done in waiting.drain(..) {
                    let _ = done.send(Err(WriteFailure::Store(message.clone())));
                }
            }
        }
        writes.clear();
    }
}

/// Tells those who wait. Where they are several, a task does it: to wake each
/// from this thread would take a switch of threads for each.
fn tell(waiting: Vec<Done>, outcomes: Vec<Result<Written, WriteError>>, tasks: &Handle) {
    let each = waiting.into_iter().zip(outcomes);
    let tell = |(done, outcome): (Done, Result<Written, WriteError>)| {
        // Whoever asked may have gone away; it is durable all the same.
        let _ = done.send(outcome.map_err(WriteFailure::Write));
    };
    match each.len() {
        0 | 1 => each.for_each(tell),
        _ => drop(tasks.spawn(async move { each.for_each(tell) })),
    }
}

fn report(error: &StoreError) {
    tracing::error!(%error, "the store did not take a commit; nothing of it is acknowledged");
}

#[cfg(test)]
mod tests {
    use sagahost_store::memory::MemoryStore;

    use super::*;
    use crate::load_gate::Bounds;

    fn commits() -> Commits {
        let store = Arc::new(MemoryStore::default());
        let owner = store.claim().expect("it is there");
        let bounds = Bounds { delay: Duration::ZERO, queue: Duration::ZERO };
        Commits {
            store,
            owner,
            counters: Arc::default(),
            gate: Arc::new(LoadGate::new(bounds)),
            proof: Proof::default(),
            working: Arc::new(AtomicUsize::new(1)),
            last: Mutex::new(QUICK),
            inline: true,
        }
    }

    fn write() -> Write {
        Write::Purge { key: sagahost_store::InstanceKey(7) }
    }

    #[test]
    fn a_task_makes_a_lone_write_itself() {
        let commits = commits();
        let outcome = commits.alone(&write()).expect("it was made");
        assert!(outcome.is_err_and(|failure| failure.to_string().contains('7')));
        assert_eq!(commits.counters.commits.get(), 1);
        assert!(*commits.last.lock().expect("it is there") < QUICK);
    }

    #[test]
    fn the_writer_makes_it_where_there_are_others_or_the_disk_is_slow_or_unknown() {
        let lone = commits();
        lone.counters.queued.add(1);
        assert!(lone.alone(&write()).is_none(), "one is queued");
        let lone = commits();
        lone.working.store(2, Ordering::Relaxed);
        assert!(lone.alone(&write()).is_none(), "another turn is being made");
        let lone = commits();
        for took in [QUICK + Duration::from_micros(1), Duration::MAX] {
            *lone.last.lock().expect("it is there") = took;
            assert!(lone.alone(&write()).is_none(), "{took:?}");
        }
        let lone = commits();
        let _commit = lone.last.lock().expect("it is there");
        assert!(lone.alone(&write()).is_none(), "the writer commits");
        let lone = Commits { inline: false, ..commits() };
        assert!(lone.alone(&write()).is_none(), "there is one thread");
        assert_eq!(lone.counters.commits.get(), 0);
    }
}
