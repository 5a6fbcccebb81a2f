//! Reads for those who ask: on threads that may block, so many at once and no
//! more.
//!
//! Each of them is a thread, and a connection to the store. With no limit a
//! crowd that asks for histories would have them all, and with them the
//! machine; and whoever only wants to know how an instance is would wait behind
//! it.

use std::sync::Arc;

use sagahost_store::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::api::Engine;
use crate::error::CommandError;

/// Reads of one row.
const LOOK_UPS: usize = 8;

/// Reads of any other size.
const OTHERS: usize = 4;

/// The places of those reads.
pub(crate) struct Reads {
    look_ups: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Default for Reads {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Reads { look_ups: places(LOOK_UPS), others: places(OTHERS) }
    }
}

impl Engine {
    /// Reads one row: never behind those that read more.
    pub(crate) async fn look_up<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CommandError> {
        self.read_by(&self.inner.reads.look_ups, read).await
    }

    /// Reads what may be long.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CommandError> {
        self.read_by(&self.inner.reads.others, read).await
    }

    async fn read_by<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CommandError> {
        // It is never closed.
        let place = places.clone().acquire_owned().await.ok();
        let store = self.inner.store.clone();
        let read = move || {
            // Until the thread is free, whoever asked may be gone.
            let _place = place;
            read(&*store)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(found) => Ok(found?),
            Err(error) => Err(CommandError::Store(error.to_string())),
        }
    }
}
