//! Attempts: making them, and ending them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sagahost_core::{
    Attempt, Command, Failure, FailureKind, HTTP_FUNCTION, Logs, SpanOf, TaskId, Work,
};
use sagahost_wasm::{ActivityCall, ActivityReport, Ahead, HttpStep};
use tokio::sync::oneshot;

use crate::cell::{Body, Cell, Message, Out, Stop, Stopped, Token};
use crate::entry::{Young, while_young};
use crate::fair::Asker;
use crate::guest;
use crate::lifecycle::Inner;
use crate::log::Source;
use crate::metrics::{FunctionMetrics, Outcome};
use crate::places::{Kind, Place, Waiting};

/// An attempt that has yet to begin.
pub(crate) struct Prepared {
    id: Arc<str>,
    execution: Arc<str>,
    work: Work,
    token: Token,
    orchestrator: String,
    call: ActivityCall,
    ahead: Option<Ahead>,
    stopped: oneshot::Receiver<Stopped>,
    metrics: Arc<FunctionMetrics>,
    /// Since when it waits for its place.
    since: Instant,
    young: Option<Arc<Young>>,
}

/// A number that no other attempt of this process has.
pub(crate) fn new_token() -> u64 {
    static TOKENS: AtomicU64 = AtomicU64::new(0);
    TOKENS.fetch_add(1, Ordering::Relaxed)
}

impl Inner {
    /// Takes out the attempts that may begin before what the turn made is
    /// stored.
    pub(crate) fn ahead(&self, body: &Body, attempts: &mut Vec<Attempt>) -> Vec<(Attempt, Ahead)> {
        let stopping = self.stopping.load(Ordering::SeqCst);
        if attempts.is_empty() || !self.config.run_ahead || body.cautious || stopping {
            return Vec::new();
        }
        let mut ahead = Vec::new();
        for attempt in std::mem::take(attempts) {
            // A retry follows a failure that is stored; what names a component
            // is an undo.
            let first = matches!(attempt.work, Work::Step(_)) && attempt.attempt == 1;
            let free = first && attempt.undone.is_none() && attempt.digest.is_none();
            match free.then(|| self.runtime.may_run_ahead(&attempt.function)).flatten() {
                Some(may) => ahead.push((attempt, may)),
                None => attempts.push(attempt),
            }
        }
        ahead
    }

    /// Makes an attempt, and hands in what it came to. One that runs ahead is
    /// not shown before its step is stored.
    pub(crate) fn dispatch(
        self: &Arc<Self>,
        cell: &Cell,
        body: &Body,
        attempt: Attempt,
        ahead: Option<Ahead>,
    ) {
        if self.stopping.load(Ordering::SeqCst) {
            // It is journaled, and begins when the host starts again.
            return;
        }
        let (trace_parent, orchestrator) = {
            let guest = guest::lock(&body.guest);
            let instance = guest.orchestration.instance();
            let span = SpanOf::Attempt(attempt.work, attempt.attempt);
            (Some(instance.trace_parent(span)), instance.started().name.clone())
        };
        let Attempt { work, attempt, function, digest, input, timeout_ms, key, undone } = attempt;
        let step = match work {
            Work::Step(task) => task,
            Work::Undo(undo) => undone.as_ref().map_or(undo.task, |undone| undone.task),
        };
        // An undo is told the instance whose step it undoes: a child's, where
        // the child handed it over.
        let scheduled_by = undone.as_ref().and_then(|undone| undone.instance.clone());
        let call = ActivityCall {
            function,
            digest,
            input,
            instance_id: scheduled_by.unwrap_or_else(|| cell.id.to_string()),
            step,
            attempt,
            idempotency_key: key,
            timeout_ms,
            trace_parent,
            undone,
        };
        let number = new_token();
        let (stop, stopped) = oneshot::channel();
        let is_ahead = ahead.is_some();
        cell.lock().attempts.insert(work, Out { token: number, stop: Some(stop), ahead: is_ahead });
        self.counters.attempts.add(1);
        self.counters.attempts_open.add(1);
        let metrics = self.function_metrics(&call.function);
        metrics.running.add(1);
        let (kind, function) = match call.function == HTTP_FUNCTION {
            true => (Kind::Request, orchestrator.clone()),
            false => (Kind::Guest, call.function.clone()),
        };
        let asker = || Asker {
            token: number,
            instance: cell.id.clone(),
            code: orchestrator.as_str().into(),
            is_undo: matches!(work, Work::Undo(_)),
        };
        let prepared = Prepared {
            id: cell.id.clone(),
            execution: body.execution.clone(),
            work,
            token: Token { number, is_ahead },
            orchestrator: orchestrator.clone(),
            call,
            ahead,
            stopped,
            metrics,
            since: Instant::now(),
            young: body.young.clone(),
        };
        let begins = self.queue(kind, &function, asker, Waiting::Attempt(Box::new(prepared)));
        if let (false, Some(young)) = (begins, &body.young) {
            young.leave();
        }
    }

    /// Runs an attempt that has its place.
    pub(crate) fn run_attempt(self: &Arc<Self>, prepared: Box<Prepared>, place: Place) {
        let inner = self.clone();
        tokio::spawn(async move {
            let Prepared { id, execution, work, token, .. } = *prepared;
            let Prepared { orchestrator, call, ahead, stopped, metrics, since, young, .. } =
                *prepared;
            let (function, step, attempt) = (call.function.clone(), call.step, call.attempt);
            let begun = inner.clock().now();
            // In a place of its own: tokio moves a task several times while it
            // is made and ends, and a sandbox is large.
            let run = Box::pin(while_young(young, inner.attempt(orchestrator, call, ahead)));
            let stopped = async {
                match stopped.await {
                    Ok(why) => why,
                    // Nobody can stop it any more; it comes to its end.
                    Err(_) => std::future::pending().await,
                }
            };
            // Whichever is first: to drop the run ends its sandbox, before
            // anybody is told that it has ended.
            let ended = tokio::select! {
                biased;
                report = run => {
                    Ok((inner.clock().at(report.started_at), report.outcome, report.logs))
                }
                why = stopped => Err(why),
            };
            place.leave();
            let (started_at, outcome, logs) = match ended {
                Ok(report) => report,
                Err(Stopped::Unwound) => (begun, Err(unwound()), Logs::default()),
                Err(Stopped::Over) => {
                    metrics.of(work).ended(Outcome::Canceled);
                    return inner.attempt_over(&metrics, since);
                }
            };
            inner.attempt_ended(metrics.of(work), &outcome);
            if !token.is_ahead {
                let (step, attempt) = (Some(step.into()), Some(attempt));
                let source = Source { instance: &id, function: &function, step, attempt };
                source.ended(outcome.as_ref().err(), &logs);
            }
            let command = Command::AttemptEnded { work, attempt, started_at, outcome, logs };
            inner.deliver(&id, Message::Ended { execution, token: Some(token), command });
            inner.attempt_over(&metrics, since);
        });
    }

    async fn attempt(
        &self,
        orchestrator: String,
        call: ActivityCall,
        ahead: Option<Ahead>,
    ) -> ActivityReport {
        if let Some(ahead) = ahead {
            self.counters.ahead.add(1);
            return self.runtime.run_ahead(ahead, call).await;
        }
        if call.function != HTTP_FUNCTION {
            return self.runtime.run_activity(call).await;
        }
        let step = HttpStep {
            orchestrator,
            request: call.input,
            idempotency_key: call.idempotency_key,
            attempt: call.attempt,
            timeout_ms: call.timeout_ms,
            trace_parent: call.trace_parent,
        };
        self.runtime.call_http(step).await
    }

    /// One that waits does not begin, because its host goes down.
    pub(crate) fn never_began(&self, prepared: &Prepared) {
        prepared.metrics.running.take(1);
        self.counters.attempts_open.take(1);
        self.quiet.notify_waiters();
    }

    fn attempt_over(&self, metrics: &FunctionMetrics, begun: Instant) {
        metrics.running.take(1);
        metrics.took(begun.elapsed());
        self.counters.attempts_open.take(1);
        self.quiet.notify_waiters();
    }

    /// Ends attempts whose steps are to be undone.
    pub(crate) fn stop(self: &Arc<Self>, cell: &Cell, tasks: &[TaskId]) {
        if tasks.is_empty() {
            return;
        }
        let stops: Vec<_> = {
            let mut state = cell.lock();
            let outs = tasks.iter().filter_map(|task| {
                let out = state.attempts.get_mut(&Work::Step(*task))?;
                Some((out.token, out.stop.take()?))
            });
            outs.collect()
        };
        for (token, stop) in stops {
            self.end_attempt(token, stop, Stopped::Unwound);
        }
    }

    /// Ends an attempt that is out. The caller holds no cell's lock.
    pub(crate) fn end_attempt(self: &Arc<Self>, token: u64, stop: Stop, why: Stopped) {
        let Some(prepared) = self.take_waiting(token) else {
            // One that has just ended needs no stop.
            let _ = stop.send(why);
            return;
        };
        let Prepared { id, execution, work, token, call, metrics, since, .. } = *prepared;
        metrics.of(work).ended(Outcome::Canceled);
        if why == Stopped::Unwound {
            let command = Command::AttemptEnded {
                work,
                attempt: call.attempt,
                started_at: self.clock().now(),
                outcome: Err(unwound()),
                logs: Logs::default(),
            };
            self.deliver(&id, Message::Ended { execution, token: Some(token), command });
        }
        self.attempt_over(&metrics, since);
    }
}

/// What an attempt comes to whose step is to be undone.
fn unwound() -> Failure {
    let message = "the host ended this attempt, because its step is to be undone";
    Failure::host(FailureKind::Cancelled, message)
}
