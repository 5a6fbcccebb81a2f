//! Removing instances that have ended.

use std::time::{Duration, Instant};

use sagahost_core::{EntityId, Millis, RuntimeStatus};
use sagahost_store::{Gone, InstanceKey, MAX_PURGE, Write, WriteError, Written};

use crate::api::Engine;
use crate::cell::Message;
use crate::children::UNDELIVERED;
use crate::error::CommandError;
use crate::writer::WriteFailure;

/// Between two tries to purge an instance whose letters are on their way.
const PAUSE: Duration = Duration::from_millis(20);

/// Which ended instances to purge.
#[derive(Clone, Debug)]
pub struct PurgeFilter {
    /// Those created at this time or later.
    pub created_from: Millis,
    /// Those created at this time or earlier.
    pub created_to: Option<Millis>,
    /// Those of these statuses; of any, where there are none.
    pub statuses: Vec<RuntimeStatus>,
}

impl Engine {
    /// Removes an instance that has ended, and its journal.
    ///
    /// # Errors
    /// When there is no such instance, it has not ended, or the store failed.
    pub async fn purge(&self, id: &str) -> Result<(), CommandError> {
        self.open(CommandError::ShuttingDown)?;
        let id = id.to_owned();
        let Some(row) = self.status(&id).await? else {
            return Err(CommandError::NotFound { id });
        };
        let gone = Gone {
            id: id.clone(),
            name: row.name,
            created: row.created,
            status: row.summary.status,
            saga: row.summary.saga,
        };
        let until = Instant::now() + UNDELIVERED;
        loop {
            return match self.inner.writer.write(Write::Purge { key: row.key }).await {
                Ok(_) => {
                    if EntityId::from_instance_id(&id).is_none() {
                        self.inner.tell_purged(&[gone]);
                    }
                    Ok(())
                }
                Err(WriteFailure::Write(WriteError::NotTerminal { .. })) => {
                    Err(CommandError::NotTerminal { id })
                }
                Err(WriteFailure::Write(WriteError::NoSuchInstance { .. })) => {
                    Err(CommandError::NotFound { id })
                }
                Err(WriteFailure::Write(WriteError::InstanceBusy { .. })) => {
                    if Instant::now() > until {
                        return Err(CommandError::Undelivered { id });
                    }
                    // Whoever has it sends what is left.
                    self.inner.deliver(&id, Message::Wake);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(failure) => Err(CommandError::Store(failure.to_string())),
            };
        }
    }

    /// Removes the ended instances that the filter names, and says how many.
    /// They are removed some at a time, so that other work goes on.
    ///
    /// # Errors
    /// When the store failed; what was removed by then is removed.
    pub async fn purge_where(&self, filter: PurgeFilter) -> Result<u64, CommandError> {
        self.open(CommandError::ShuttingDown)?;
        let mut purged_all = 0;
        let mut after = InstanceKey::default();
        loop {
            let write = Write::PurgeWhere {
                created_from: Some(filter.created_from),
                created_to: filter.created_to,
                updated_to: None,
                statuses: filter.statuses.clone(),
                after,
                limit: MAX_PURGE,
            };
            match self.inner.writer.write(write).await {
                Ok(Written::PurgedWhere { purged, next }) => {
                    purged_all += purged.len() as u64;
                    self.inner.tell_purged(&purged);
                    match next {
                        Some(next) => after = next,
                        None => return Ok(purged_all),
                    }
                }
                Ok(_) => return Ok(purged_all),
                Err(failure) => return Err(CommandError::Store(failure.to_string())),
            }
        }
    }
}
