//! What an orchestration sends, and its entities, as lines.

use sagahost_core::{EntityId, Event, Parcel};

use super::{Steps, value};
use crate::output::{Paint, shorten};

/// The longest name of a receiver that is shown, in characters.
const RECEIVER: usize = 60;

impl Steps {
    /// The line for an event of the mail; nothing where a person need not know.
    pub(super) fn mail(&self, event: &Event, paint: Paint) -> Option<String> {
        let sends = paint.cyan("→");
        Some(match event {
            // It was sent before a rewind.
            Event::Sent(letter) if letter.number == 0 => return None,
            Event::Sent(letter) => {
                let to = shorten(&letter.to, RECEIVER);
                match &letter.parcel {
                    Parcel::Event { name, input } => {
                        format!(
                            "{sends} event {} to {to} {}",
                            paint.bold(name),
                            value(input, paint)
                        )
                    }
                    Parcel::Start { name, input, .. } => {
                        format!("{sends} starts {name} as {to} {}", value(input, paint))
                    }
                    Parcel::Signal { operation, input, .. } => {
                        format!("{sends} signals {operation} to {to} {}", value(input, paint))
                    }
                    _ => return None,
                }
            }
            Event::EntityCalled { entity, operation, input, .. } => {
                let entity = shorten(&entity.to_string(), RECEIVER);
                format!("{sends} {operation} of {entity} {}", value(input, paint))
            }
            Event::EntityAnswered { task, outcome: Ok(output) } => {
                format!("{} {} {}", paint.green("✓"), self.task(*task), value(output, paint))
            }
            Event::EntityAnswered { task, outcome: Err(failure) } => {
                let why = shorten(&failure.to_string(), super::VALUE);
                format!("{} {}: {why}", paint.red("✗"), self.task(*task))
            }
            Event::LocksRequested { entities, refused: None, .. } => {
                format!("{sends} locks {}", names(entities))
            }
            Event::LocksRequested { refused: Some(failure), .. } => {
                format!("{} locks: {}", paint.red("✗"), shorten(&failure.to_string(), super::VALUE))
            }
            Event::LockGranted { entity, .. } => {
                let entity = shorten(&entity.to_string(), RECEIVER);
                format!("{} has {entity}", paint.green("✓"))
            }
            Event::LocksReleased => format!("{} unlocks", paint.dim("·")),
            Event::Delivered { problem: Some(problem), .. } => {
                format!("{} not delivered: {}", paint.red("✗"), shorten(problem, super::VALUE))
            }
            _ => return None,
        })
    }
}

fn names(entities: &[EntityId]) -> String {
    let names: Vec<_> = entities.iter().map(EntityId::to_string).collect();
    shorten(&names.join(", "), super::VALUE)
}
