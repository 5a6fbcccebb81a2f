//! Bringing an instance back from its journal.

use sagahost_core::{Command, Orchestration, SagaState};
use sagahost_store::{InstanceRow, StoreError};

use crate::cell::{Body, Cell};
use crate::error::CommandError;
use crate::guest::Guest;
use crate::lifecycle::Inner;

/// Why an instance is not in memory now.
pub(crate) enum NotLoaded {
    NotFound,
    Ended(sagahost_core::RuntimeStatus),
    Damaged(String),
    Unavailable(String),
}

impl NotLoaded {
    pub(crate) fn error(&self, id: &str) -> CommandError {
        let id = id.to_owned();
        match self {
            NotLoaded::NotFound => CommandError::NotFound { id },
            NotLoaded::Ended(status) => CommandError::Terminal { id, status: *status },
            NotLoaded::Damaged(error) | NotLoaded::Unavailable(error) => {
                CommandError::Store(error.clone())
            }
        }
    }
}

impl Inner {
    /// An instance that has not ended, or still has something to send; any, if
    /// `ended`. Where nobody asked for it, but its time has come (`woken`), it
    /// waits for others of that kind.
    pub(crate) async fn load(
        &self,
        cell: &Cell,
        ended: bool,
        woken: bool,
    ) -> Result<Box<Body>, NotLoaded> {
        let place = match woken {
            true => self.loading.acquire().await.ok(),
            false => None,
        };
        let (store, id) = (self.store.clone(), cell.id.clone());
        // A long journal takes its time to decode as well.
        let read = move || {
            let Some(row) = store.find(&id)? else { return Ok(Err(NotLoaded::NotFound)) };
            let status = row.summary.status;
            if status.is_terminal() && !row.summary.busy && !ended {
                return Ok(Err(NotLoaded::Ended(status)));
            }
            let chunks = store.journal(row.key, 0)?;
            Ok(match Orchestration::load(&chunks) {
                Ok(orchestration) => Ok((row, orchestration)),
                Err(error) => Err(NotLoaded::Damaged(error.to_string())),
            })
        };
        let (row, mut orchestration) = blocking(read).await??;
        drop(place);
        orchestration.at(self.clock().now());
        let alive = cell.lock().attempts.keys().copied().collect();
        // Only what somebody asked for is ever rejected.
        let events = orchestration.instance().events();
        let _ = orchestration.handle(Command::HostLost { alive, since: self.since });
        let cautious = orchestration.instance().events() > events;
        let _ = orchestration.handle(Command::Tick);
        let execution = orchestration.instance().started().execution.as_str().into();
        Ok(Box::new(Body {
            key: Some(row.key),
            new: None,
            guest: Guest::new(cell.id.clone(), self.runtime.clone(), orchestration),
            resident: None,
            chunks: row.chunks,
            stored: row.summary.events,
            held: Vec::new(),
            held_bytes: 0,
            runs_ahead: false,
            unshown: Vec::new(),
            begun: None,
            cautious,
            execution,
            armed: None,
            stuck: row.summary.saga == SagaState::Stuck,
            has_mail: false,
            young: None,
        }))
    }

    /// An instance's row.
    pub(crate) async fn read_row(&self, id: &str) -> Result<Option<InstanceRow>, String> {
        let (store, id) = (self.store.clone(), id.to_owned());
        match tokio::task::spawn_blocking(move || store.find(&id)).await {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// An instance's row and its whole journal.
    pub(crate) async fn read_instance(
        &self,
        id: &str,
    ) -> Result<(InstanceRow, Vec<Vec<u8>>), NotLoaded> {
        let (store, id) = (self.store.clone(), id.to_owned());
        let read = move || {
            let Some(row) = store.find(&id)? else {
                return Ok(None);
            };
            let chunks = store.journal(row.key, 0)?;
            Ok(Some((row, chunks)))
        };
        blocking(read).await?.ok_or(NotLoaded::NotFound)
    }
}

/// Reads on a thread that may block.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, NotLoaded> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(NotLoaded::Unavailable(error.to_string())),
        Err(error) => Err(NotLoaded::Unavailable(error.to_string())),
    }
}
