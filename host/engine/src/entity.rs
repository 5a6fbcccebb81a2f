//! Entities: what clients ask of them.

mod actor;
mod attempt;
mod error;

use std::sync::atomic::Ordering;

use sagahost_core::{EntityId, Json, Millis};
use sagahost_store::InstanceRow;
use sagahost_wasm::FunctionKind;
use tokio::sync::oneshot;

use crate::api::Engine;
use crate::error::CommandError;

pub(crate) use actor::{Entities, EntityMessage};
pub use error::SignalError;

/// Whether this is the id that an entity has among the instances.
pub(crate) fn is_entity(id: &str) -> bool {
    id.starts_with('@')
}

impl Engine {
    /// Lets an entity run an operation, now or at a later time. When this
    /// returns, that is durable. An entity that was never spoken of begins
    /// with it.
    ///
    /// # Errors
    /// When the entity or its operation is not deployed, the input does not
    /// fit, or the store failed; see [`SignalError`].
    pub async fn signal_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Json,
        at: Option<Millis>,
    ) -> Result<(), SignalError> {
        if self.inner.stopping.load(Ordering::SeqCst) {
            return Err(SignalError::ShuttingDown);
        }
        let name = entity.name.clone();
        let function = match self.inner.runtime.function(&name) {
            Some(function) if function.kind == FunctionKind::Entity => function,
            _ => {
                let functions = self.inner.runtime.functions();
                let entities = functions.iter().filter(|f| f.kind == FunctionKind::Entity);
                let mut known: Vec<_> = entities.map(|function| function.name.clone()).collect();
                known.sort_unstable();
                return Err(SignalError::UnknownEntity { name, known });
            }
        };
        function.check_operation(operation, &input).map_err(|problem| {
            let (operation, problem) = (operation.to_owned(), problem.to_string());
            SignalError::BadOperation { name, operation, problem }
        })?;
        let (ack, outcome) = oneshot::channel();
        let operation = operation.to_owned();
        let message = EntityMessage::Asked { operation, input, at, ack };
        self.inner.deliver_to_entity(&entity.instance_id(), message);
        Ok(outcome.await.unwrap_or(Err(CommandError::ShuttingDown))?)
    }

    /// An entity's row: its state is the output, and its custom status says
    /// how many operations wait and who has locked it, where there is one of
    /// these.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn entity(&self, entity: &EntityId) -> Result<Option<InstanceRow>, CommandError> {
        self.status(&entity.instance_id()).await
    }
}
