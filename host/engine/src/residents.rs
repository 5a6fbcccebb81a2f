//! Which orchestrators stay in memory while they wait: the most recently
//! used, as many as the memory budget allows.
//!
//! What one of them takes differs by its language and by what it holds, so it
//! is measured: what the process has grown by, shared among those that are in
//! memory. That counts other things in, and so errs on the safe side.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::cell::{Cell, Cells};
use crate::config::EngineConfig;
use crate::guest;
use crate::metrics::Counters;

/// The reckoning of an orchestrator's memory is not made with fewer than these
/// in memory: then everything else outweighs them.
const FEWEST_TO_MEASURE: usize = 128;
/// After how many that begin to wait it is made again.
const MEASURE_EVERY: usize = 128;
/// The least an orchestrator is taken to need, in bytes.
const LEAST_BYTES: u64 = 16 * 1024;

pub(crate) struct Residents {
    places: Arc<Semaphore>,
    /// The most there may be: what the runtime has room for.
    size: usize,
    budget: u64,
    /// How many of them fit into the budget, by what was measured last.
    fit: AtomicUsize,
    parks: AtomicUsize,
    /// The most that there ever were.
    most: AtomicUsize,
    /// The process's private memory at the start, in bytes.
    base: u64,
    /// Those that wait, least recently used first. An entry whose stamp is
    /// not the cell's any more is an old one, and means nothing.
    order: Mutex<VecDeque<(Arc<Cell>, u64)>>,
    parked: Notify,
}

impl Residents {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        let size = config.max_orchestrators.max(1) as usize;
        Residents {
            places: Arc::new(Semaphore::new(size)),
            size,
            budget: config.memory_budget,
            fit: AtomicUsize::new(config.residents()),
            parks: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            base: private_bytes().unwrap_or(0),
            order: Mutex::default(),
            parked: Notify::new(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.size.saturating_sub(self.places.available_permits())
    }

    /// How many fit into the budget.
    fn fit(&self) -> usize {
        self.fit.load(Ordering::Relaxed).clamp(1, self.size)
    }

    fn measure(&self) {
        let count = self.count();
        // Those that have left keep some of their memory for the next ones.
        let count = self.most.fetch_max(count, Ordering::Relaxed).max(count);
        if count < FEWEST_TO_MEASURE {
            return;
        }
        let Some(private) = private_bytes() else { return };
        let each = (private.saturating_sub(self.base) / count as u64).max(LEAST_BYTES);
        let fit = usize::try_from(self.budget / each).unwrap_or(usize::MAX);
        self.fit.store(fit, Ordering::Relaxed);
    }

    /// A place for one more orchestrator, made by dropping others where there
    /// is none.
    pub(crate) async fn place(&self, cells: &Cells, counters: &Counters) -> OwnedSemaphorePermit {
        loop {
            let room = self.count() < self.fit();
            if room && let Ok(place) = self.places.clone().try_acquire_owned() {
                return place;
            }
            // Registered before the look, so that one that parks right after
            // it is not missed.
            let parked = self.parked.notified();
            if self.evict(cells) {
                counters.evictions.add(1);
                continue;
            }
            // All of them are at work. The budget is for those that wait, so
            // that is no reason to keep one from its work.
            if let Ok(place) = self.places.clone().try_acquire_owned() {
                return place;
            }
            tokio::select! {
                place = self.places.clone().acquire_owned() => {
                    if let Ok(place) = place {
                        return place;
                    }
                }
                () = parked => {}
            }
        }
    }

    /// An orchestrator waits from now on.
    pub(crate) fn park(&self, cell: Arc<Cell>) {
        let stamp = cell.stamp();
        if self.parks.fetch_add(1, Ordering::Relaxed) % MEASURE_EVERY == MEASURE_EVERY - 1 {
            self.measure();
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if order.len() > 2 * self.size + 1024 {
            order.retain(|(cell, stamp)| cell.stamp() == *stamp);
        }
        order.push_back((cell, stamp));
        drop(order);
        self.parked.notify_one();
    }

    fn evict(&self, cells: &Cells) -> bool {
        loop {
            let oldest = self.order.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((cell, stamp)) = oldest else {
                return false;
            };
            let mut state = cell.lock();
            if state.gone || state.working || cell.stamp() != stamp {
                continue;
            }
            let keep = !state.attempts.is_empty();
            let Some(body) = &mut state.body else {
                continue;
            };
            if body.resident.is_none() {
                continue;
            }
            if keep || !body.held.is_empty() {
                // Results of its activities are on their way: only the code
                // leaves, what the journal says of it stays.
                let resident = body.resident.take();
                guest::lock(&body.guest).orchestration.start_over();
                drop(state);
                drop(resident);
            } else {
                let body = state.body.take();
                cells.remove(&cell, &mut state);
                drop(state);
                drop(body);
            }
            return true;
        }
    }
}

/// The memory that only this process has, in bytes.
fn private_bytes() -> Option<u64> {
    memory("RssAnon:")
}

/// Memory of this process, in bytes. `None` where the system does not say.
pub(crate) fn memory(word: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(word))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
