//! The end of a turn: store what it made, and only then do what that calls
//! for.

use std::sync::Arc;
use std::time::Duration;

use sagahost_core::{
    End, Letter, Millis, Parcel, Post, Record, SagaState, SpanOf, Work, decode_chunk, encode_chunk,
};
use sagahost_store::{InstanceKey, Summary, Write, Written};

use crate::api::{Committed, Ended};
use crate::cell::{Ack, Body, Cell, Message, Out, Stopped, Token, Unshown};
use crate::error::CommandError;
use crate::guest;
use crate::hold::weight;
use crate::lifecycle::Inner;
use crate::log::Source;
use crate::observe::Change;
use crate::stuck;
use crate::turn::After;
use crate::writer::WriteFailure;

/// Turns of about so many bytes are encoded beside the tasks: those that others
/// wait for would wait for that.
const LARGE_TURN: usize = 256 << 10;

/// How many attempts are begun in one go. After each so many, other tasks have
/// their turn.
const BEGUN_AT_ONCE: usize = 64;

async fn stand_back(number: usize) {
    if number % BEGUN_AT_ONCE == BEGUN_AT_ONCE - 1 {
        tokio::task::yield_now().await;
    }
}

/// What the messages of a turn want when it is stored.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) acks: Vec<Ack<CommandError>>,
    /// Letters that were taken in, each with its sender.
    pub(crate) letters: Vec<(String, Post)>,
    /// Attempts that ended.
    pub(crate) finished: Vec<(Work, Token)>,
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
        let Asked { acks, letters, finished, again, flush } = asked;
        let mut turn = guest::lock(&body.guest).orchestration.end_turn();
        // What an execution before this one left running is forgotten below.
        let ahead = match turn.fresh {
            None => self.ahead(&body, &mut turn.attempts),
            Some(_) => Vec::new(),
        };
        let quiet = acks.is_empty() && letters.is_empty() && !flush;
        let hold = quiet && self.can_hold(&body, &turn);
        let nothing_held = body.held.is_empty();
        let fresh = turn.fresh.map(|place| body.held.len() + place);
        body.held_bytes += turn.records.iter().map(weight).sum::<usize>();
        body.held.extend(turn.records);
        body.runs_ahead |= !ahead.is_empty();
        for (number, (attempt, ahead)) in ahead.into_iter().enumerate() {
            stand_back(number).await;
            self.dispatch(cell, &body, attempt, Some(ahead));
        }
        if hold && !body.held.is_empty() {
            self.finished(cell, &finished);
            let wake_at = guest::lock(&body.guest).orchestration.instance().wake_at();
            self.arm(cell, &mut body, wake_at);
            if nothing_held {
                self.held.add(cell.clone());
            }
            return After::Keep(body);
        }
        if !body.held.is_empty() {
            if let Err(failure) = self.store(&mut body, turn.ended, fresh).await {
                self.roll_back(cell);
                return self.not_stored(cell, body, failure, acks, again);
            }
            self.stored(cell, &mut body);
        }
        for ack in acks {
            let _ = ack.send(Ok(()));
        }
        for (sender, post) in letters {
            self.posted(&sender, post, None);
        }
        if turn.stuck {
            self.tell_stuck(&body);
        }
        let over = self.send(cell, &mut body, std::mem::take(&mut turn.letters));
        if turn.ended {
            self.stop_children(std::mem::take(&mut turn.child_stops));
            self.ended(cell, &body);
        }
        if over {
            return if body.has_mail { After::Keep(body) } else { After::Drop };
        }
        self.finished(cell, &finished);
        if fresh.is_some() {
            // What the execution before left running comes to its end by
            // itself; nobody waits for it.
            cell.lock().attempts.clear();
        }
        for (number, attempt) in turn.attempts.into_iter().enumerate() {
            stand_back(number).await;
            self.dispatch(cell, &body, attempt, None);
        }
        self.stop(cell, &turn.stops);
        for child in turn.children {
            self.start_child(cell, &body, child);
        }
        self.stop_children(turn.child_stops);
        let (wake_at, goes_on) = {
            let guest = guest::lock(&body.guest);
            let blocked = guest.orchestration.instance().blocked().is_some();
            let goes_on = fresh.is_some() && !blocked && guest.orchestration.wants_to_run();
            (guest.orchestration.instance().wake_at(), goes_on)
        };
        if goes_on {
            self.deliver(&cell.id, Message::Wake);
        }
        self.arm(cell, &mut body, wake_at);
        After::Keep(body)
    }

    /// Sees to it that it is woken at this time.
    fn arm(&self, cell: &Cell, body: &mut Body, wake_at: Option<Millis>) {
        if let Some(at) = wake_at
            && body.armed.is_none_or(|armed| at < armed)
        {
            body.armed = Some(at);
            self.timers.set(at, cell.id.clone());
        }
    }

    /// What is held is stored: what waited for that happens.
    fn stored(&self, cell: &Cell, body: &mut Body) {
        body.held_bytes = 0;
        body.cautious = false;
        if std::mem::take(&mut body.runs_ahead) {
            cell.lock().attempts.values_mut().for_each(|out| out.ahead = false);
        }
        for Unshown { function, step, attempt, failure, logs } in body.unshown.drain(..) {
            let source = Source {
                instance: &cell.id,
                function: &function,
                step: Some(step.into()),
                attempt: Some(attempt),
            };
            source.ended(failure.as_ref(), &logs);
        }
        if let Some(begun) = body.begun.take() {
            let name = guest::lock(&body.guest).orchestration.instance().started().name.clone();
            self.saga_metrics(&name).started.add(1);
            let _ = begun.ack.send(Ok(()));
        }
    }

    /// The results of these attempts are stored, or held back.
    fn finished(&self, cell: &Cell, finished: &[(Work, Token)]) {
        if !finished.is_empty() {
            let mut state = cell.lock();
            for (work, token) in finished {
                if state.attempts.get(work).is_some_and(|out| out.token == token.number) {
                    state.attempts.remove(work);
                }
            }
        }
    }

    /// Sends what the turn has to send; whether the orchestration has ended.
    fn send(self: &Arc<Self>, cell: &Cell, body: &mut Body, letters: Vec<Letter>) -> bool {
        let ((origin, span), over) = {
            let guest = guest::lock(&body.guest);
            let instance = guest.orchestration.instance();
            body.has_mail = instance.has_mail();
            let sender = (!letters.is_empty())
                .then(|| (instance.origin().to_owned(), instance.trace_parent(SpanOf::Saga)));
            (sender.unwrap_or_default(), instance.end().is_some())
        };
        for mut letter in letters {
            if let Parcel::Start { trace_parent, .. } = &mut letter.parcel {
                *trace_parent = Some(span.clone());
            }
            self.post(&cell.id, &origin, letter);
        }
        over
    }

    /// Stores what is held. From `fresh` on it is a new journal, which takes
    /// the place of the one before.
    async fn store(
        &self,
        body: &mut Body,
        ended: bool,
        fresh: Option<usize>,
    ) -> Result<(), WriteFailure> {
        let unwritable = |error: serde_json::Error| WriteFailure::Store(error.to_string().into());
        let first = fresh.unwrap_or(0);
        let chunk = if body.held_bytes < LARGE_TURN {
            encode_chunk(&body.held[first..])
        } else {
            let held = std::mem::take(&mut body.held);
            let encode = move || (encode_chunk(&held[first..]), held);
            let encoded = tokio::task::spawn_blocking(encode).await;
            let (chunk, held) =
                encoded.map_err(|error| WriteFailure::Store(error.to_string().into()))?;
            body.held = held;
            chunk
        };
        let chunk = chunk.map_err(unwritable)?;
        let started = fresh.map(|_| {
            let guest = guest::lock(&body.guest);
            guest.orchestration.instance().started().clone()
        });
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
                saga: instance.saga_state(),
                stuck: stuck::listed(instance),
            }
        };
        let before = match fresh {
            Some(fresh) if self.wants_rounds() => {
                self.round_before(body.key, body.held[..fresh].to_vec()).await
            }
            _ => None,
        };
        let (events, status) = (summary.events, summary.status);
        let created = body.new.as_ref().map(|new| new.created);
        let stuck = summary.saga == SagaState::Stuck;
        let (expect_chunks, input) =
            (body.chunks, started.as_ref().map(|started| started.input.clone()));
        let write = match (body.key, body.new.take(), input) {
            (Some(key), _, None) => Write::Append { key, expect_chunks, chunk, summary },
            (Some(key), _, Some(input)) => {
                Write::Replace { key, expect_chunks, input, chunk, summary }
            }
            (None, Some(mut new), input) => {
                new.input = input.unwrap_or(new.input);
                Write::Create { new: *new, chunk, summary }
            }
            (None, None, _) => {
                return Err(WriteFailure::Store("the instance was not created".into()));
            }
        };
        let aside = body.young.as_ref().map(|young| young.aside());
        let written = self.writer.write(write).await?;
        drop(aside);
        if let Written::Created(key) = written {
            body.key = Some(key);
        }
        body.chunks = if fresh.is_some() { 1 } else { body.chunks + 1 };
        if let Some(started) = started {
            body.execution = started.execution.into();
        }
        {
            let guest = guest::lock(&body.guest);
            let instance = guest.orchestration.instance();
            self.note_events(guest.id(), instance, &body.held);
            if let Some(before) = before {
                self.tell_round(guest.id(), &before);
            }
            self.tell(|| Change {
                id: guest.id(),
                name: &instance.started().name,
                status,
                saga: instance.saga_state(),
                created,
                updated: instance.updated(),
                records: &body.held,
                ended,
            });
            match (std::mem::replace(&mut body.stuck, stuck), stuck) {
                (false, true) => self.counters.stuck(&instance.started().name),
                (true, false) => self.counters.mended(&instance.started().name),
                _ => {}
            }
        }
        let mut records = std::mem::take(&mut body.held);
        if self.committed.receiver_count() > 0 {
            let (id, name) = {
                let guest = guest::lock(&body.guest);
                (guest.id().to_owned(), guest.orchestration.instance().started().name.clone())
            };
            let mut first = body.stored;
            if let Some(fresh) = fresh {
                let rest = records.split_off(fresh);
                let (id, name) = (id.clone(), name.clone());
                let before = Committed { id, name, first, records, ended: false };
                let _ = self.committed.send(Arc::new(before));
                (first, records) = (0, rest);
            }
            let committed = Committed { id, name, first, records, ended };
            // Nobody listening any more is fine.
            let _ = self.committed.send(Arc::new(committed));
        }
        body.stored = events;
        Ok(())
    }

    /// The journal of the execution that another one is about to follow, in
    /// place of it: what is stored of it, and what is held.
    async fn round_before(
        &self,
        key: Option<InstanceKey>,
        held: Vec<Record>,
    ) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        if let Some(key) = key {
            let store = self.store.clone();
            let read = tokio::task::spawn_blocking(move || store.journal(key, 0)).await;
            for (number, chunk) in read.ok()?.ok()?.iter().enumerate() {
                records.extend(decode_chunk(number, chunk).ok()?);
            }
        }
        records.extend(held);
        Some(records)
    }

    fn ended(self: &Arc<Self>, cell: &Cell, body: &Body) {
        let guest = guest::lock(&body.guest);
        let instance = guest.orchestration.instance();
        self.saga_metrics(&instance.started().name).ended(instance);
        let millis = instance.updated().saturating_sub(instance.started_at());
        self.counters.recent.saga.record(Duration::from_millis(millis));
        self.waiters.ended(
            &cell.id,
            &Ended {
                status: guest.orchestration.instance().status(),
                output: guest.orchestration.shown_output(),
            },
        );
        // What a completed orchestration left running is left to end; what
        // ended otherwise wants nothing more done.
        let completed = matches!(guest.orchestration.instance().end(), Some(End::Completed(_)));
        let attempts = std::mem::take(&mut cell.lock().attempts);
        if !completed {
            for Out { token, stop, .. } in attempts.into_values() {
                if let Some(stop) = stop {
                    self.end_attempt(token, stop, Stopped::Over);
                }
            }
        }
        self.tell_parent(&cell.id, &guest.orchestration);
    }
}
