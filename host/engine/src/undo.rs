//! What would be undone now.

use sagahost_core::{Cause, Orchestration, PlannedUndo, Stuck};
use sagahost_store::InstanceRow;

use crate::api::Engine;
use crate::error::CommandError;

/// The undo of one instance, as it is stored now.
#[derive(Clone, Debug)]
pub struct UndoView {
    /// Its row.
    pub row: InstanceRow,
    /// Why it is undone as a whole, or was.
    pub unwinding: Option<Cause>,
    /// What would be undone now, or is still to be undone, in order.
    pub plan: Vec<PlannedUndo>,
    /// What is undone.
    pub undone: Vec<PlannedUndo>,
    /// What needs a person.
    pub stuck: Vec<Stuck>,
    /// Child orchestrations that have not ended: what they have done would be
    /// undone too.
    pub open_children: Vec<String>,
}

impl Engine {
    /// What would be undone of an instance now, in order.
    ///
    /// # Errors
    /// When there is no such instance, or the store failed, or the journal is
    /// damaged.
    pub async fn undo(&self, id: &str) -> Result<UndoView, CommandError> {
        let asked = id.to_owned();
        let view = self.read(move |store| {
            let Some(row) = store.find(&asked)? else { return Ok(None) };
            let chunks = store.journal(row.key, 0)?;
            // Here, on a thread that may block: a journal may be long.
            let view = Orchestration::load(&chunks).map(|orchestration| {
                let instance = orchestration.instance();
                UndoView {
                    row,
                    unwinding: instance.unwinding().cloned(),
                    plan: instance.undo_plan(),
                    undone: instance.undone_steps(),
                    stuck: instance.stuck(),
                    open_children: instance.open_children(),
                }
            });
            Ok(Some(view))
        });
        match view.await? {
            None => Err(CommandError::NotFound { id: id.to_owned() }),
            Some(Ok(view)) => Ok(view),
            Some(Err(damaged)) => Err(CommandError::Store(damaged.to_string())),
        }
    }
}
