//! The one writer: commits whatever has queued in one transaction.
//!
//! A lone write is committed at once. While its flush is under way the next
//! ones queue and share the one after; and where there are several, they wait a
//! moment for the turns that are being made, which will want to be stored next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sagahost_store::{Owner, Store, StoreError, Write, WriteError, Written};
use tokio::sync::oneshot;

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

struct Queued {
    write: Write,
    done: oneshot::Sender<Result<Written, WriteFailure>>,
}

pub(crate) struct Writer {
    queue: mpsc::Sender<Queued>,
    counters: Arc<Counters>,
}

impl Writer {
    /// Starts the writer's thread. It ends when the writer is dropped and all
    /// that was queued is committed.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        owner: Owner,
        counters: Arc<Counters>,
        working: Arc<AtomicUsize>,
    ) -> std::io::Result<Self> {
        let (queue, queued) = mpsc::channel();
        let shared = counters.clone();
        std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || run(&*store, owner, &counters, &working, &queued))?;
        Ok(Writer { queue, counters: shared })
    }

    /// Queues a write and waits until it is durable.
    pub(crate) async fn write(&self, write: Write) -> Result<Written, WriteFailure> {
        let gone = || WriteFailure::Store("the writer thread has ended".into());
        let (done, outcome) = oneshot::channel();
        // Before it can be taken out again.
        self.counters.queued.add(1);
        if self.queue.send(Queued { write, done }).is_err() {
            self.counters.queued.take(1);
            return Err(gone());
        }
        outcome.await.map_err(|_| gone())?
    }
}

/// `working` are the instances of which a turn is being made, or stored.
fn run(
    store: &dyn Store,
    owner: Owner,
    counters: &Counters,
    working: &AtomicUsize,
    queued: &mpsc::Receiver<Queued>,
) {
    let mut writes = Vec::new();
    let mut waiting = Vec::new();
    // How long the next ones may wait.
    let mut patience = Duration::ZERO;
    while let Ok(first) = queued.recv() {
        let until = Instant::now() + patience;
        let more = std::iter::from_fn(|| queued.try_recv().ok());
        for Queued { write, done } in std::iter::once(first).chain(more).take(LARGEST_BATCH) {
            writes.push(write);
            waiting.push(done);
        }
        while writes.len() < LARGEST_BATCH && working.load(Ordering::Relaxed) > writes.len() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let Ok(Queued { write, done }) = queued.recv_timeout(left) else { break };
            writes.push(write);
            waiting.push(done);
        }
        counters.queued.take(writes.len() as u64);
        let begun = Instant::now();
        match store.commit(owner, &writes) {
            Ok(outcomes) => {
                counters.commits.add(1);
                let took = begun.elapsed();
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
                for (done, outcome) in waiting.drain(..).zip(outcomes) {
                    counters.removed.add(match &outcome {
                        Ok(Written::Purged(purged)) => *purged,
                        Ok(Written::PurgedWhere { purged, .. }) => purged.len() as u64,
                        _ => 0,
                    });
                    // Whoever asked may have gone away; it is durable all
                    // the same.
                    let _ = done.send(outcome.map_err(WriteFailure::Write));
                }
            }
            Err(error) => {
                report(&error);
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

fn report(error: &StoreError) {
    tracing::error!(%error, "the store did not take a commit; nothing of it is acknowledged");
}
