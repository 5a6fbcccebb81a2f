//! Which turns are held back, to be stored with what comes next.
//!
//! A crash loses them, so nothing outside may depend on them, and the instance
//! must go on without them. It does: what is stored of it waits for the attempt
//! whose result began the first of the turns that are held, which is made
//! again; or nothing is stored, and nobody was told of its start.

use std::sync::atomic::Ordering;

use sagahost_core::{Event, Record, Turn};

use crate::cell::Body;
use crate::guest;
use crate::lifecycle::Inner;

/// How many events are held back at most, and about how many bytes.
const MOST_HELD: usize = 512;
const MOST_HELD_BYTES: usize = 1 << 20;

impl Inner {
    /// Whether what the turn made may wait to be stored with what comes next.
    pub(crate) fn can_hold(&self, body: &Body, turn: &Turn) -> bool {
        let more = turn.records.iter().map(weight).sum::<usize>();
        let fits = body.held.len() + turn.records.len() <= MOST_HELD
            && body.held_bytes + more <= MOST_HELD_BYTES;
        if turn.ended || turn.fresh.is_some() || !turn.has_no_effects() || !fits {
            return false;
        }
        let ahead = self.config.run_ahead && !body.cautious;
        let begins = match &body.begun {
            Some(begun) => ahead && begun.waits && !self.stopping.load(Ordering::SeqCst),
            None => body.key.is_some(),
        };
        let guest = guest::lock(&body.guest);
        let instance = guest.orchestration.instance();
        let wakes_earlier = match (instance.wake_at(), body.armed) {
            (Some(at), Some(armed)) => at < armed,
            (wake_at, None) => wake_at.is_some(),
            (None, Some(_)) => false,
        };
        let mut events = turn.records.iter().map(|Record(_, event)| event);
        // What is stored says that it waits for that, and it would be told
        // again after a crash.
        let only_delivered = events.clone().all(is_delivered);
        let goes_on = instance.is_busy() && (ahead || !wakes_earlier);
        begins
            && (goes_on || only_delivered && !wakes_earlier)
            && events.all(|event| can_wait(event) || ahead && can_wait_ahead(event))
    }
}

/// Whether an event may be held back while others of its instance are on
/// their way: nothing that leaves the host depends on it.
fn can_wait(event: &Event) -> bool {
    matches!(
        event,
        Event::TaskCompleted { .. }
            | Event::AttemptFailed { retry_at: None, .. }
            | Event::StatusSet { .. }
            | Event::Logged { .. }
    ) || is_delivered(event)
}

/// The same, where what it calls for begins before it is stored.
fn can_wait_ahead(event: &Event) -> bool {
    matches!(
        event,
        Event::Started(_)
            | Event::Scheduled { .. }
            | Event::ScopeOpened { .. }
            | Event::ParallelUndo { .. }
            | Event::TimerCreated { .. }
            | Event::EventAwaited { .. }
            | Event::TaskCancelled { .. }
    )
}

/// About how many bytes an event has that may be held.
pub(crate) fn weight(Record(_, event): &Record) -> usize {
    let more = match event {
        Event::Started(started) => started.input.as_str().len(),
        Event::Scheduled { input, .. } => input.as_str().len(),
        Event::TaskCompleted { output, logs, .. } => {
            output.as_str().len() + logs.stdout.len() + logs.stderr.len()
        }
        Event::AttemptFailed { logs, .. } => logs.stdout.len() + logs.stderr.len(),
        Event::StatusSet { status } => status.as_str().len(),
        Event::Logged { message, .. } => message.len(),
        _ => 0,
    };
    200 + more
}

fn is_delivered(event: &Event) -> bool {
    matches!(event, Event::Delivered { problem: None, .. })
}
