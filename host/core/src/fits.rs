//! Whether an event can come next in a journal. What a host writes always can;
//! a journal that was damaged, or written by another program, is refused here,
//! before it makes a state that there cannot be.

use crate::command::LoadError;
use crate::instance::{End, Instance, TaskState};
use crate::{Event, Record, TaskId, UndoId};

/// Why an event cannot come next.
type Misfit = &'static str;

impl Instance {
    /// Applies an event that was read from a journal.
    pub(crate) fn take(&mut self, record: &Record) -> Result<(), LoadError> {
        if let Some(reason) = self.misfit(record) {
            let Record(_, event) = record;
            return Err(LoadError::Misfit { record: self.events, kind: event.kind(), reason });
        }
        self.apply(record);
        Ok(())
    }

    /// Why this event cannot come next, where it cannot.
    fn misfit(&self, Record(_, event): &Record) -> Option<Misfit> {
        match event {
            Event::Started(_) => Some("it has begun already"),
            Event::Scheduled { task, .. }
            | Event::ChildScheduled { task, .. }
            | Event::TimerCreated { task, .. }
            | Event::EventAwaited { task, .. }
            | Event::EntityCalled { task, .. }
            | Event::LocksRequested { task, .. }
            | Event::CompensationRequested { task, .. } => {
                (*task as usize != self.tasks.len()).then_some("another task comes next")
            }
            Event::ScopeOpened { scope, .. } if *scope != self.scopes.next() => {
                Some("another scope comes next")
            }
            Event::ScopeOpened { parent, .. } if !self.scopes.exists(*parent) => {
                Some("there is no scope around it")
            }
            Event::TaskCompleted { task, .. }
            | Event::RetriesEnded { task }
            | Event::ChildCompleted { task, .. }
            | Event::ChildFailed { task, .. } => self.does_not_run(*task),
            Event::AttemptFailed { task, attempt, .. } | Event::AttemptLost { task, attempt } => {
                self.does_not_run(*task).or_else(|| last(*attempt))
            }
            Event::UndoScheduled { undo, .. } | Event::UndoCompleted { undo, .. } => {
                self.is_no_undo(*undo)
            }
            Event::UndoAttemptFailed { undo, attempt, .. }
            | Event::UndoAttemptLost { undo, attempt } => {
                self.is_no_undo(*undo).or_else(|| last(*attempt))
            }
            Event::TimerFired { task }
            | Event::CompensationDone { task }
            | Event::EntityAnswered { task, .. }
            | Event::LockGranted { task, .. }
            | Event::TaskCancelled { task, .. }
            | Event::LateResult { task, .. } => {
                (*task as usize >= self.tasks.len()).then_some("there is no such task")
            }
            Event::Rewound { .. } if !matches!(self.end, Some(End::Failed(_))) => {
                Some("it has not failed")
            }
            Event::Recalled { task, .. } if !self.is_kept(*task) => {
                Some("that was not complete before the rewind")
            }
            _ => None,
        }
    }

    fn does_not_run(&self, task: TaskId) -> Option<Misfit> {
        match self.tasks.get(task as usize).map(|task| &task.state) {
            None => Some("there is no such task"),
            // That a retry begins is not journaled.
            Some(TaskState::Running { .. } | TaskState::Retrying { .. }) => None,
            Some(_) => Some("no attempt of the task runs"),
        }
    }

    fn is_no_undo(&self, undo: UndoId) -> Option<Misfit> {
        (!self.undos.contains_key(&undo)).then_some("there is no such undo")
    }
}

/// There cannot be another attempt after the last one that has a number.
fn last(attempt: u32) -> Option<Misfit> {
    (attempt == u32::MAX).then_some("there cannot be so many attempts")
}
