//! The one writer: commits whatever has queued in one transaction.
//!
//! A lone write is committed at once. While its flush is under way the next
//! ones queue and share the one after; and where there are several, they wait a
//! moment for the turns that are being made, which will want to be stored next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
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
    shared: Shared,
    proof: Arc<Proof>,
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

/// What counts the writes, and what minds how long they wait.
type Shared = (Arc<Counters>, Arc<LoadGate>);

impl Writer {
    /// Starts the writer's thread. It ends when the writer is dropped and all
    /// that was queued is committed.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        owner: Owner,
        shared: Shared,
        working: Arc<AtomicUsize>,
    ) -> std::io::Result<Self> {
        let (queue, queued) = mpsc::channel();
        let (counters, gate) = shared.clone();
        let proof = Arc::new(Proof::default());
        let noted = proof.clone();
        std::thread::Builder::new().name("writer".into()).spawn({
            let tasks = Handle::current();
            move || run(&*store, owner, (&counters, &gate, &noted), &working, &queued, &tasks)
        })?;
        Ok(Writer { queue, shared, proof })
    }

    /// Tries whether something can be made durable, unless that is known. It
    /// blocks.
    pub(crate) fn check(&self, store: &dyn Store) -> Result<(), StoreError> {
        if self.proof.holds() {
            return Ok(());
        }
        let checked = store.check_writable();
        self.proof.note(checked.is_ok());
        checked
    }

    /// Queues a write and waits until it is durable.
    pub(crate) async fn write(&self, write: Write) -> Result<Written, WriteFailure> {
        let gone = || WriteFailure::Store("the writer thread has ended".into());
        let (done, outcome) = oneshot::channel();
        // Before it can be taken out again.
        let (counters, gate) = &self.shared;
        counters.queued.add(1);
        let at = gate.write_queued();
        if self.queue.send(Queued { write, at, done }).is_err() {
            counters.queued.take(1);
            return Err(gone());
        }
        outcome.await.map_err(|_| gone())?
    }
}

/// `working` are the instances of which a turn is being made, or stored.
fn run(
    store: &dyn Store,
    owner: Owner,
    (counters, gate, proof): (&Counters, &LoadGate, &Proof),
    working: &AtomicUsize,
    queued: &mpsc::Receiver<Queued>,
    tasks: &Handle,
) {
    let mut writes = Vec::new();
    let mut waiting = Vec::new();
    // How long the next ones may wait.
    let mut patience = Duration::ZERO;
    while let Ok(first) = queued.recv() {
        let mut last = first.at;
        let until = Instant::now() + patience;
        let more = std::iter::from_fn(|| queued.try_recv().ok());
        for Queued { write, at, done } in std::iter::once(first).chain(more).take(LARGEST_BATCH) {
            last = last.max(at);
            writes.push(write);
            waiting.push(done);
        }
        while writes.len() < LARGEST_BATCH && working.load(Ordering::Relaxed) > writes.len() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let Ok(Queued { write, at, done }) = queued.recv_timeout(left) else { break };
            last = last.max(at);
            writes.push(write);
            waiting.push(done);
        }
        counters.queued.take(writes.len() as u64);
        gate.writes_begin(writes.len() as u64, last);
        let begun = Instant::now();
        match store.commit(owner, &writes) {
            Ok(outcomes) => {
                counters.commits.add(1);
                let took = begun.elapsed();
                // Where all was refused, nothing was written.
                if outcomes.iter().any(Result::is_ok) {
                    proof.note(true);
                }
                patience = match writes.len() < FEWEST_TO_WAIT {
                    true => Duration::ZERO,
                    false => (took / 2).min(LONGEST_WAIT),
                };
                counters.commit_time.observe_time(took);
                counters.recent.commit.record(took);
                counters.commit_writes.observe(writes.len() as u64);
                counters
                    .appends
                    .add(outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64);
                for outcome in &outcomes {
                    counters.removed.add(match outcome {
                        Ok(Written::Purged(purged)) => *purged,
                        Ok(Written::PurgedWhere { purged, .. }) => purged.len() as u64,
                        _ => 0,
                    });
                }
                tell(std::mem::take(&mut waiting), outcomes, tasks);
            }
            Err(error) => {
                report(&error);
                proof.note(false);
                counters.store_failures.add(1);
                let message: Arc<str> = error.to_string().into();
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
