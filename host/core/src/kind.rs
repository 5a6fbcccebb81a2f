//! What kinds of events there are.

use crate::Event;

impl Event {
    /// What kind of event this is, by the name that it has in the journal.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Started(_) => "Started",
            Event::Scheduled { .. } => "Scheduled",
            Event::ChildScheduled { .. } => "ChildScheduled",
            Event::ChildCompleted { .. } => "ChildCompleted",
            Event::ChildFailed { .. } => "ChildFailed",
            Event::ScopeOpened { .. } => "ScopeOpened",
            Event::ParallelUndo { .. } => "ParallelUndo",
            Event::CompensationRequested { .. } => "CompensationRequested",
            Event::CompensationDone { .. } => "CompensationDone",
            Event::Unwinding { .. } => "Unwinding",
            Event::RetriesEnded { .. } => "RetriesEnded",
            Event::UndoScheduled { .. } => "UndoScheduled",
            Event::UndoCompleted { .. } => "UndoCompleted",
            Event::UndoAttemptFailed { .. } => "UndoAttemptFailed",
            Event::UndoAttemptLost { .. } => "UndoAttemptLost",
            Event::Repaired { .. } => "Repaired",
            Event::LateResult { .. } => "LateResult",
            Event::TimerCreated { .. } => "TimerCreated",
            Event::EventAwaited { .. } => "EventAwaited",
            Event::TaskCancelled { .. } => "TaskCancelled",
            Event::TaskCompleted { .. } => "TaskCompleted",
            Event::AttemptFailed { .. } => "AttemptFailed",
            Event::AttemptLost { .. } => "AttemptLost",
            Event::TimerFired { .. } => "TimerFired",
            Event::EventRaised { .. } => "EventRaised",
            Event::Sent(_) => "Sent",
            Event::EntityCalled { .. } => "EntityCalled",
            Event::EntityAnswered { .. } => "EntityAnswered",
            Event::LocksRequested { .. } => "LocksRequested",
            Event::LockGranted { .. } => "LockGranted",
            Event::LocksReleased => "LocksReleased",
            Event::Delivered { .. } => "Delivered",
            Event::Suspended { .. } => "Suspended",
            Event::Resumed { .. } => "Resumed",
            Event::Rewound { .. } => "Rewound",
            Event::Recalled { .. } => "Recalled",
            Event::StatusSet { .. } => "StatusSet",
            Event::Logged { .. } => "Logged",
            Event::Begun => "Begun",
            Event::ContinuedAsNew { .. } => "ContinuedAsNew",
            Event::Blocked(_) => "Blocked",
            Event::Unblocked => "Unblocked",
            Event::Completed { .. } => "Completed",
            Event::Failed { .. } => "Failed",
            Event::Canceled { .. } => "Canceled",
            Event::Terminated { .. } => "Terminated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;

    #[test]
    fn a_kind_is_what_the_journal_calls_it() {
        for event in [
            Event::Begun,
            Event::LocksReleased,
            Event::Completed { output: Json::null() },
            Event::Canceled { reason: "why".to_owned() },
        ] {
            let json = serde_json::to_value(&event).expect("JSON");
            let name = match &json {
                serde_json::Value::String(name) => name.as_str(),
                object => {
                    object.as_object().and_then(|object| object.keys().next()).expect("one key")
                }
            };
            assert_eq!(event.kind(), name);
        }
    }
}
