//! Continuing as new: the same instance, with an empty journal.

use sha2::{Digest, Sha256};

use crate::instance::{Instance, TaskKind, TaskState};
use crate::orchestration::Orchestration;
use crate::{Carried, Event, Json, Millis, Started, TaskId};

impl Instance {
    /// Whether this is a wait that an event has come for.
    pub(crate) fn has_event(&self, task: TaskId) -> bool {
        self.tasks.get(task as usize).is_some_and(|task| {
            matches!((&task.kind, &task.state), (TaskKind::Event { .. }, TaskState::Done(Ok(_))))
        })
    }
}

impl Orchestration {
    /// The code wants to begin anew when it returns a result. A second wish
    /// takes the place of the first.
    pub fn continue_as_new(&mut self, input: Json, keep_events: bool) {
        self.cursor.again = Some((input, keep_events));
    }

    /// Whether the code has returned, and is to begin anew: see
    /// [`begin_anew`](Self::begin_anew).
    pub fn is_to_begin_anew(&self) -> bool {
        self.cursor.again.is_some() && self.instance.end.is_none() && self.may_run()
    }

    /// Begins anew, on this component. What was done so far counts as
    /// completed; what would undo it is handed to the parent, at the end,
    /// where there is one. The turn goes on: its events from
    /// [`Turn::fresh`](crate::Turn::fresh) on are those of the new journal.
    ///
    /// Senders that were last heard of before `forget_before` are forgotten:
    /// they will not send again what has come.
    pub fn begin_anew(&mut self, digest: String, forget_before: Millis) {
        let Some((input, keep_events)) = self.cursor.again.take() else { return };
        self.record(Event::ContinuedAsNew { input: input.clone() });
        let carried = self.carried(keep_events, forget_before);
        let instance = &self.instance;
        let old = instance.started.clone();
        let allowed = instance.allowed();
        let started = Started {
            input,
            execution: next_execution(&old.execution),
            digest,
            start_at: None,
            deadline: allowed.map(|allowed| self.now.saturating_add(allowed)),
            carried: Some(Box::new(carried)),
            ..old
        };
        // What was scheduled in the very turn that ends an execution is not
        // begun.
        self.turn.attempts.clear();
        self.turn.children.clear();
        let mut next = Orchestration::start(self.now, started);
        let mut turn = std::mem::take(&mut self.turn);
        turn.fresh = Some(turn.records.len());
        turn.records.append(&mut next.turn.records);
        next.turn = turn;
        *self = next;
    }

    fn carried(&self, keep_events: bool, forget_before: Millis) -> Carried {
        let instance = &self.instance;
        let mut events = Vec::new();
        if keep_events {
            // First those that a wait had taken and the code was not given.
            for (task, _) in &instance.completions {
                let found = &instance.tasks[*task as usize];
                if let (TaskKind::Event { name }, TaskState::Done(Ok(input))) =
                    (&found.kind, &found.state)
                    && !self.cursor.was_given(*task)
                {
                    events.push((name.clone(), input.clone()));
                }
            }
            // Those of before a rewind that nobody asked for again.
            events.extend(instance.memo.events());
            let mut raised: Vec<_> = instance.raised.iter().collect();
            raised.sort_unstable_by_key(|(name, _)| *name);
            for (name, inputs) in raised {
                events.extend(inputs.iter().map(|input| (name.clone(), input.clone())));
            }
        }
        let before = instance.started.carried.as_ref().map_or(0, |carried| carried.rounds);
        let has_parent = instance.started.parent.is_some();
        Carried {
            rounds: before + 1,
            events,
            custom_status: instance.custom_status.clone(),
            handed: if has_parent { instance.handed_over() } else { Vec::new() },
            origin: Some(instance.origin().to_owned()),
            sent: instance.outbox.count(),
            letters: instance.outbox.letters().cloned().collect(),
            inbox: instance.inbox.since(forget_before),
        }
    }
}

/// The execution that follows this one: the same whenever it is asked for, so
/// that a turn which is made again makes the same.
fn next_execution(execution: &str) -> String {
    let digest = Sha256::digest([execution.as_bytes(), b"-again"].concat());
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
