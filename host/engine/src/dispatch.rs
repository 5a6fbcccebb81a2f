//! Attempts: making them, and ending them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use sagahost_core::{
    Attempt, Command, Failure, FailureKind, HTTP_FUNCTION, Logs, SpanOf, TaskId, Work,
};
use sagahost_wasm::{ActivityCall, ActivityReport, HttpStep};
use tokio::sync::oneshot;

use crate::cell::{Body, Cell, Message, Stopped};
use crate::guest;
use crate::lifecycle::Inner;
use crate::log::Source;
use crate::metrics::{FunctionMetrics, Outcome};

impl Inner {
    /// Makes an attempt, and hands in what it came to.
    pub(crate) fn dispatch(self: &Arc<Self>, cell: &Cell, body: &Body, attempt: Attempt) {
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
        let function = call.function.clone();
        let (stop, stopped) = oneshot::channel();
        cell.lock().attempts.insert(work, Some(stop));
        let (inner, id, execution) = (self.clone(), cell.id.clone(), body.execution.clone());
        self.counters.attempts.add(1);
        self.counters.attempts_open.add(1);
        let metrics = self.function_metrics(&call.function);
        metrics.running.add(1);
        tokio::spawn(async move {
            let begun = inner.clock().now();
            let clock = Instant::now();
            let run = inner.attempt(orchestrator, call);
            let stopped = async {
                match stopped.await {
                    Ok(why) => why,
                    // Nobody can stop it any more; it comes to its end.
                    Err(_) => std::future::pending().await,
                }
            };
            // Whichever is first: to drop the run ends its sandbox, before
            // anybody is told that it has ended.
            let (started_at, outcome, logs) = tokio::select! {
                biased;
                report = run => (inner.clock().at(report.started_at), report.outcome, report.logs),
                why = stopped => match why {
                    Stopped::Over => {
                        metrics.of(work).ended(Outcome::Canceled);
                        return inner.attempt_over(&metrics, clock);
                    }
                    Stopped::Unwound => {
                        let message = "the host ended this attempt, because its step is to be undone";
                        let failure = Failure::host(FailureKind::Cancelled, message);
                        (begun, Err(failure), Logs::default())
                    }
                },
            };
            inner.attempt_ended(metrics.of(work), &outcome);
            let source = Source {
                instance: &id,
                function: &function,
                step: Some(step.into()),
                attempt: Some(attempt),
            };
            source.ended(outcome.as_ref().err(), &logs);
            let command = Command::AttemptEnded { work, attempt, started_at, outcome, logs };
            inner.deliver(&id, Message::Ended { execution, command });
            inner.attempt_over(&metrics, clock);
        });
    }

    async fn attempt(&self, orchestrator: String, call: ActivityCall) -> ActivityReport {
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

    fn attempt_over(&self, metrics: &FunctionMetrics, begun: Instant) {
        metrics.running.take(1);
        metrics.took(begun.elapsed());
        self.counters.attempts_open.take(1);
        self.quiet.notify_waiters();
    }

    /// Ends attempts whose steps are to be undone.
    pub(crate) fn stop(&self, cell: &Cell, tasks: &[TaskId]) {
        if tasks.is_empty() {
            return;
        }
        let mut state = cell.lock();
        for task in tasks {
            if let Some(stop) = state.attempts.get_mut(&Work::Step(*task)).and_then(Option::take) {
                // One that has just ended needs no stop.
                let _ = stop.send(Stopped::Unwound);
            }
        }
    }
}
