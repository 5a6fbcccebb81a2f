//! Which orchestrators stay in memory while they wait: the most recently
//! used, as many as the memory budget allows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::cell::{Cell, Cells};
use crate::guest;
use crate::stats::Counters;

pub(crate) struct Residents {
    places: Arc<Semaphore>,
    size: usize,
    /// Those that wait, least recently used first. An entry whose stamp is
    /// not the cell's any more is an old one, and means nothing.
    order: Mutex<VecDeque<(Arc<Cell>, u64)>>,
    parked: Notify,
}

impl Residents {
    pub(crate) fn new(size: usize) -> Self {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        Residents {
            places: Arc::new(Semaphore::new(size)),
            size,
            order: Mutex::default(),
            parked: Notify::new(),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.size.saturating_sub(self.places.available_permits()) as u64
    }

    /// A place for one more orchestrator, made by dropping others where there
    /// is none.
    pub(crate) async fn place(&self, cells: &Cells, counters: &Counters) -> OwnedSemaphorePermit {
        loop {
            if let Ok(place) = self.places.clone().try_acquire_owned() {
                return place;
            }
            // Registered before the look, so that one that parks right after
            // it is not missed.
            let parked = self.parked.notified();
            if self.evict(cells) {
                counters.evictions.add(1);
                continue;
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
    pub(crate) fn park(&self, cell: Arc<Cell>, stamp: u64) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if order.len() > 2 * self.size + 1024 {
            order.retain(|(cell, stamp)| cell.lock().stamp == *stamp);
        }
        order.push_back((cell, stamp));
        drop(order);
        self.parked.notify_one();
    }

    fn evict(&self, cells: &Cells) -> bool {
        loop {
            let oldest = self
                .order
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some((cell, stamp)) = oldest else {
                return false;
            };
            let mut state = cell.lock();
            if state.gone || state.working || state.stamp != stamp {
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
                guest::lock(&body.guest).orchestration.rewind();
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
