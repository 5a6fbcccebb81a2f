//! Runs an orchestrator again over its journal, changing nothing: does the
//! code still ask for the same steps?

use sagahost_core::{Failure, FailureKind, Json, Mismatch, Orchestration};
use sagahost_wasm::FiberEnd;
use serde::Serialize;

use crate::api::Engine;
use crate::error::CommandError;
use crate::guest::{self, Guest};

/// A replay that asked for the same steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// The events in the journal.
    pub events: u64,
    /// Whether the code came to its end; otherwise it waits where the journal
    /// says.
    pub ended: bool,
}

/// A replay that did not.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such instance, or it cannot be read.
    #[error(transparent)]
    Instance(#[from] CommandError),
    /// Its component cannot be loaded.
    #[error("the component cannot be loaded: {0}")]
    Unavailable(String),
    /// The code asked for something else.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The code trapped where it did not trap before.
    #[error("the code trapped, where its journal says that it did not: {0}")]
    Trapped(Failure),
}

impl Engine {
    /// Replays an instance from its journal, beside whatever it is doing.
    ///
    /// # Errors
    /// Where code and journal part.
    pub async fn replay(&self, id: &str) -> Result<Replayed, ReplayError> {
        let inner = &self.inner;
        let (row, chunks) = inner.read_instance(id).await.map_err(|not| not.error(id))?;
        let orchestration =
            Orchestration::load(&chunks).map_err(|error| CommandError::Store(error.to_string()))?;
        let started = orchestration.instance().started().clone();
        let guest = Guest::new(id.into(), inner.runtime.clone(), orchestration);
        let mut resident = inner
            .resident(started, guest.clone())
            .await
            .map_err(|error| ReplayError::Unavailable(error.to_string()))?;
        let end = resident.fiber.resume().await;
        let mut guest = guest::lock(&guest);
        let ended = match end {
            FiberEnd::Parked => {
                guest.orchestration.parked()?;
                false
            }
            FiberEnd::Returned(result) => returned(&mut guest, result)?,
            // A trap that is journaled as the end of the code.
            FiberEnd::Trapped(failure)
                if guest.orchestration.instance().code_failure().map(|journal| journal.kind)
                    == Some(failure.kind) =>
            {
                returned(&mut guest, Err(failure))?
            }
            FiberEnd::Trapped(failure) => return Err(ReplayError::Trapped(failure)),
            FiberEnd::Stopped(message) => match guest.mismatch.take() {
                Some(mismatch) => return Err(mismatch.into()),
                None => {
                    return Err(ReplayError::Trapped(Failure::host(FailureKind::Trap, message)));
                }
            },
        };
        Ok(Replayed { events: row.summary.events, ended })
    }
}

fn returned(guest: &mut Guest, result: Result<Json, Failure>) -> Result<bool, Mismatch> {
    guest.orchestration.returned(result).map(|()| true)
}
