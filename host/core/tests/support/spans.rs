//! What the trace of any journal has to be like.

use std::collections::{HashMap, HashSet};

use sagahost_core::*;

use super::World;

/// One trace, with a span for everything the journal tells of, each below what
/// it is a part of.
pub fn check_spans(world: &World) {
    let records = world.records();
    let (trace, spans) = spans("it", &records).expect("it begins with its start");
    let ids: HashMap<SpanId, &Span> = spans.iter().map(|span| (span.id, span)).collect();
    assert_eq!(ids.len(), spans.len(), "each span has an id of its own");
    assert_eq!((trace.parent, spans[0].parent), (None, None));
    let last = records.iter().map(|Record(at, _)| *at).max();
    for span in &spans[1..] {
        let parent = span.parent.and_then(|parent| ids.get(&parent)).expect("it is below another");
        assert!(parent.start <= span.start, "{span:?} begins before {parent:?}");
        assert!(span.start <= span.end && Some(span.end) <= last, "{span:?}");
    }
    let (mut wanted, mut attempts) = (1, HashSet::new());
    for Record(_, event) in &records {
        match event {
            Event::Scheduled { .. }
            | Event::ChildScheduled { .. }
            | Event::EntityCalled { .. }
            | Event::LocksRequested { .. }
            | Event::TimerCreated { .. }
            | Event::EventAwaited { .. }
            | Event::CompensationRequested { .. }
            | Event::UndoScheduled { .. }
            | Event::Rewound { .. } => wanted += 1,
            Event::TaskCompleted { task, attempt, .. }
            | Event::AttemptFailed { task, attempt, .. }
            | Event::LateResult { task, attempt, .. }
            | Event::AttemptLost { task, attempt } => {
                attempts.insert((Work::Step(*task), *attempt, wanted));
            }
            Event::UndoCompleted { undo, attempt, .. }
            | Event::UndoAttemptFailed { undo, attempt, .. }
            | Event::UndoAttemptLost { undo, attempt } => {
                attempts.insert((Work::Undo(*undo), *attempt, wanted));
            }
            _ => {}
        }
    }
    assert_eq!(spans.len(), wanted + attempts.len(), "{spans:#?}");
    if let Some(end) = world.instance().end() {
        let saga = spans
            .iter()
            .rev()
            .find(|span| span.attributes.iter().any(|(name, _)| *name == "sagahost.status"));
        let failed = matches!(saga.map(|saga| &saga.status), Some(SpanStatus::Error(_)));
        assert_eq!(failed, !matches!(end, End::Completed(_)), "{saga:?}");
    }
}
