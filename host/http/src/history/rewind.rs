//! What of a history is about a rewind.

use sagahost_core::{Event, Millis, Work};

use super::{Builder, HistoryEvent};
use crate::time::to_ticks;

impl<'a> Builder<'a> {
    pub(super) fn add_rewind(&mut self, at: Millis, event: &'a Event) {
        match event {
            Event::Rewound { reason, .. } => {
                // Everything has come to its end, and numbers begin anew.
                self.open.clear();
                self.timers.clear();
                self.waits.clear();
                self.names.clear();
                self.pivots.clear();
                self.stuck.clear();
                self.push(HistoryEvent {
                    reason: Some(reason),
                    ..HistoryEvent::new("ExecutionRewound", at)
                });
            }
            Event::Recalled { task, at: then } => {
                let output = self.recalled.next();
                let recalled = Some(to_ticks(*then));
                let result = output.and_then(|output| self.output(output));
                let again =
                    |event_type| HistoryEvent { recalled, ..HistoryEvent::new(event_type, at) };
                if let Some(fire_at) = self.timers.remove(task) {
                    let fire_at = Some(to_ticks(fire_at));
                    return self.push(HistoryEvent { fire_at, ..again("TimerFired") });
                }
                if let Some(name) = self.waits.remove(task) {
                    let input = output.and_then(|output| self.input(output));
                    let name = Some(name);
                    return self.push(HistoryEvent { name, input, ..again("EventRaised") });
                }
                let place = self.open.get(&Work::Step(*task));
                let scheduled = place.and_then(|place| self.events.get(*place)?.as_ref());
                let event_type = match scheduled {
                    Some(scheduled) if scheduled.entity.is_some() => "EntityOperationCompleted",
                    Some(scheduled) if scheduled.instance_id.is_some() => {
                        "SubOrchestrationInstanceCompleted"
                    }
                    _ => "TaskCompleted",
                };
                self.completed(*task, HistoryEvent { result, ..again(event_type) });
            }
            _ => {}
        }
    }
}
