//! Results that nothing depends on yet are held back for a moment, so that
//! they share one append with what comes next. This stores those for which
//! nothing came.
//!
//! A crash in that moment loses such a result; its step is then attempted
//! again, with the same idempotency key, as if the crash had come before it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::cell::Cell;

#[derive(Default)]
pub(crate) struct HeldBack {
    cells: Mutex<Vec<Arc<Cell>>>,
    first: Notify,
}

impl HeldBack {
    pub(crate) fn add(&self, cell: Arc<Cell>) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.push(cell);
        if cells.len() == 1 {
            self.first.notify_one();
        }
    }

    pub(crate) fn take(&self) -> Vec<Arc<Cell>> {
        std::mem::take(&mut *self.cells.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls `flush` for each cell some time after it was added: at least
    /// `hold`, at most twice that.
    pub(crate) async fn run(&self, hold: Duration, flush: impl Fn(Arc<Cell>)) {
        loop {
            self.first.notified().await;
            tokio::time::sleep(hold).await;
            self.take().into_iter().for_each(&flush);
        }
    }
}
