//! The end of a turn: store what it made, and only then do what that calls
//! for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sagahost_core::{Attempt, Command, End, Event, Record, TaskId, encode_chunk};
use sagahost_store::{Summary, Write, WriteError, Written};
use sagahost_wasm::ActivityCall;

use crate::api::{Committed, Ended};
use crate::cell::{Ack, Body, Cell, Message};
use crate::error::CommandError;
use crate::guest;
use crate::lifecycle::Inner;
use crate::turn::After;
use crate::writer::WriteFailure;

/// What the messages of a turn want when it is stored.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) acks: Vec<Ack<CommandError>>,
    pub(crate) finished: Vec<TaskId>,
    /// What has to be done again if it cannot be stored.
    pub(crate) again: Vec<Message>,
    pub(crate) flush: bool,
}

impl Inner {
    /// Stores what the turn made, or holds it back, and then does what it
    /// calls for.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        mut body: Box<Body>,
        asked: Asked,
    ) -> After {
        let Asked { acks, finished, again, flush } = asked;
        let (turn, hold) = {
            let mut guest = guest::lock(&body.guest);
            let turn = guest.orchestration.end_turn();
            let instance = guest.orchestration.instance();
            let wakes_earlier = match (instance.wake_at(), body.armed) {
                (Some(at), Some(armed)) => at < armed,
                (wake_at, None) => wake_at.is_some(),
                (None, Some(_)) => false,
            };
            let hold = body.key.is_some()
                && acks.is_empty()
                && !flush
                && !turn.ended
                && turn.attempts.is_empty()
                && !wakes_earlier
                && instance.is_busy()
                && turn.records.iter().all(|Record(_, event)| can_wait(event));
            (turn, hold)
        };
        let nothing_held = body.held.is_empty();
        body.held.extend(turn.records);
        if hold && !body.held.is_empty() {
            self.out(cell, &finished, &[]);
            if nothing_held {
                self.held.add(cell.clone());
            }
            return After::Keep(body);
        }
        if !body.held.is_empty()
            && let Err(failure) = self.store(&mut body, turn.ended).await
        {
            return match failure {
                WriteFailure::Write(WriteError::InstanceExists { .. }) => {
                    let id = cell.id.to_string();
                    acks.into_iter().for_each(|ack| {
                        let _ = ack.send(Err(CommandError::NotTerminal { id: id.clone() }));
                    });
                    After::Drop
                }
                failure => {
                    acks.into_iter().for_each(|ack| {
                        let _ = ack.send(Err(CommandError::Store(failure.to_string())));
                    });
                    tracing::error!(instance = %cell.id, error = %failure, "a turn was not stored; it is made again");
                    if body.key.is_none() { After::Drop } else { After::Again(again) }
                }
            };
        }
        for ack in acks {
            let _ = ack.send(Ok(()));
        }
        if turn.ended {
            self.ended(cell, &body);
            return After::Drop;
        }
        self.out(cell, &finished, &turn.attempts);
        for attempt in turn.attempts {
            self.dispatch(cell, &body, attempt);
        }
        let wake_at = guest::lock(&body.guest).orchestration.instance().wake_at();
        if let Some(at) = wake_at
            && body.armed.is_none_or(|armed| at < armed)
        {
            body.armed = Some(at);
            self.timers.set(at, cell.id.clone());
        }
        After::Keep(body)
    }

    fn out(&self, cell: &Cell, finished: &[TaskId], begun: &[Attempt]) {
        if finished.is_empty() && begun.is_empty() {
            return;
        }
        let mut state = cell.lock();
        for task in finished {
            state.attempts.remove(task);
        }
        state.attempts.extend(begun.iter().map(|attempt| attempt.task));
    }

    async fn store(&self, body: &mut Body, ended: bool) -> Result<(), WriteFailure> {
        let unwritable = |error: serde_json::Error| WriteFailure::Store(error.to_string().into());
        let chunk = encode_chunk(&body.held).map_err(unwritable)?;
        let summary = {
            let guest = guest::lock(&body.guest);
            let instance = guest.orchestration.instance();
            Summary {
                status: instance.status(),
                custom_status: instance.custom_status().cloned(),
                output: guest.orchestration.shown_output(),
                updated: instance.updated(),
                wake_at: instance.wake_at(),
                busy: instance.is_busy(),
                blocked: instance.blocked().is_some(),
                events: instance.events(),
            }
        };
        let events = summary.events;
        let write = match (body.key, body.new.take()) {
            (Some(key), _) => Write::Append { key, expect_chunks: body.chunks, chunk, summary },
            (None, Some(new)) => Write::Create { new: *new, chunk, summary },
            (None, None) => return Err(WriteFailure::Store("the instance was not created".into())),
        };
        if let Written::Created(key) = self.writer.write(write).await? {
            body.key = Some(key);
        }
        body.chunks += 1;
        let records = std::mem::take(&mut body.held);
        if self.committed.receiver_count() > 0 {
            let (id, name) = {
                let guest = guest::lock(&body.guest);
                (guest.id().to_owned(), guest.orchestration.instance().started().name.clone())
            };
            let committed = Committed { id, name, first: body.stored, records, ended };
            // Nobody listening any more is fine.
            let _ = self.committed.send(Arc::new(committed));
        }
        body.stored = events;
        Ok(())
    }

    fn ended(&self, cell: &Cell, body: &Body) {
        let guest = guest::lock(&body.guest);
        let counter = match guest.orchestration.instance().end() {
            Some(End::Completed(_)) => &self.counters.completed,
            Some(End::Terminated(_)) => &self.counters.terminated,
            _ => &self.counters.failed,
        };
        counter.add(1);
        self.waiters.ended(
            &cell.id,
            &Ended {
                status: guest.orchestration.instance().status(),
                output: guest.orchestration.shown_output(),
            },
        );
        cell.lock().attempts.clear();
    }

    fn dispatch(self: &Arc<Self>, cell: &Cell, body: &Body, attempt: Attempt) {
        if self.stopping.load(Ordering::SeqCst) {
            // It is journaled, and begins when the host starts again.
            return;
        }
        let (idempotency_key, trace_parent) = {
            let guest = guest::lock(&body.guest);
            let instance = guest.orchestration.instance();
            (instance.idempotency_key(attempt.task), instance.started().trace_parent.clone())
        };
        let Attempt { task, attempt, function, input, timeout_ms } = attempt;
        let call = ActivityCall {
            function,
            input,
            instance_id: cell.id.to_string(),
            step: task,
            attempt,
            idempotency_key,
            timeout_ms,
            trace_parent,
            is_undo: false,
        };
        let (inner, id, execution) = (self.clone(), cell.id.clone(), body.execution.clone());
        self.counters.attempts.add(1);
        self.counters.attempts_open.add(1);
        tokio::spawn(async move {
            let report = inner.runtime.run_activity(call).await;
            let command = Command::AttemptEnded {
                task,
                attempt,
                started_at: report.started_at,
                outcome: report.outcome,
                logs: report.logs,
            };
            inner.deliver(&id, Message::Attempt { execution, command });
            inner.counters.attempts_open.take(1);
            inner.quiet.notify_waiters();
        });
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
    )
}
