//! What an orchestration sends, and its entities, in a history. The names of
//! the events are those of Durable Functions' protocol, where it has one.

use sagahost_core::{Event, Millis, Parcel, Work};

use super::Builder;
use super::event::HistoryEvent;
use crate::time::to_ticks;

impl<'a> Builder<'a> {
    pub(super) fn add_mail(&mut self, at: Millis, event: &'a Event) {
        match event {
            // It was sent before a rewind.
            Event::Sent(letter) if letter.number == 0 => {}
            Event::Sent(letter) => {
                self.sent.insert(letter.number, &letter.to);
                let (event_type, name, input, fire_at) = match &letter.parcel {
                    Parcel::Event { name, input } => ("EventSent", name, input, None),
                    Parcel::Start { name, input, start_at, .. } => {
                        ("OrchestrationStartSent", name, input, *start_at)
                    }
                    Parcel::Signal { operation, input, at, .. } => {
                        ("EntityOperationSignaled", operation, input, *at)
                    }
                    _ => return,
                };
                self.push(HistoryEvent {
                    name: Some(name),
                    instance_id: Some(&letter.to),
                    input: self.input(input),
                    fire_at: fire_at.map(to_ticks),
                    ..HistoryEvent::new(event_type, at)
                });
            }
            Event::EntityCalled { task, entity, operation, input, refused } => {
                let work = Work::Step(*task);
                self.begin(
                    work,
                    HistoryEvent {
                        name: Some(operation),
                        entity: Some(entity),
                        input: self.input(input),
                        ..HistoryEvent::new("EntityOperationCalled", at)
                    },
                );
                if let Some(failure) = refused {
                    self.fold(work, HistoryEvent::failed("EntityOperationFailed", at, failure));
                }
            }
            Event::EntityAnswered { task, outcome } => {
                let end = match outcome {
                    Ok(output) => HistoryEvent {
                        result: self.output(output),
                        ..HistoryEvent::new("EntityOperationCompleted", at)
                    },
                    Err(failure) => HistoryEvent::failed("EntityOperationFailed", at, failure),
                };
                self.fold(Work::Step(*task), end);
            }
            Event::LocksRequested { entities, refused, .. } => self.push(HistoryEvent {
                lock_set: Some(entities),
                failure: refused.as_ref(),
                reason: refused.as_ref().map(|failure| failure.message.as_str()),
                ..HistoryEvent::new("EntityLockRequested", at)
            }),
            Event::LockGranted { entity, .. } => self.push(HistoryEvent {
                entity: Some(entity),
                ..HistoryEvent::new("EntityLockGranted", at)
            }),
            Event::LocksReleased => self.push(HistoryEvent::new("EntityUnlockSent", at)),
            Event::Delivered { letter, problem } => {
                let instance_id = self.sent.remove(letter);
                if let Some(problem) = problem {
                    self.push(HistoryEvent {
                        instance_id,
                        reason: Some(problem),
                        ..HistoryEvent::new("DeliveryFailed", at)
                    });
                }
            }
            _ => {}
        }
    }
}
