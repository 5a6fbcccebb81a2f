//! Attempts of an entity's operations.

use std::sync::atomic::Ordering;
use std::time::Instant;

use sagahost_core::{
    Failure, FailureKind, Json, Logs, Millis, OperationAttempt, OperationResult, Sending,
};
use sagahost_wasm::{FunctionKind, OperationCall, OperationDone, StateChange};

use crate::dispatch::new_token;
use crate::entity::actor::{Actor, EntityMessage};
use crate::fair::Asker;
use crate::lifecycle::Inner;
use crate::log::Source;
use crate::places::Kind;

/// When an attempt began, what it came to, and what it wrote.
type Report = (Millis, Result<OperationResult, Failure>, Logs);

impl Actor {
    /// Makes an attempt, and hands in what it came to.
    pub(super) fn dispatch(&mut self, attempt: OperationAttempt) {
        if self.inner.stopping.load(Ordering::SeqCst) {
            // It is journaled, and begins when the host starts again.
            return;
        }
        let OperationAttempt { number, attempt, operation, input, state, key } = attempt;
        let call = OperationCall {
            entity: self.entity.clone(),
            operation,
            input,
            state,
            number,
            attempt,
            idempotency_key: key,
            timeout_ms: self.inner.runtime.entity_policy(&self.entity.name).timeout_ms,
            trace_parent: None,
        };
        self.out = Some((number, attempt));
        let (inner, id) = (self.inner.clone(), self.id.clone());
        let function = self.entity.name.clone();
        inner.counters.attempts.add(1);
        inner.counters.attempts_open.add(1);
        let (metrics, begun) = (inner.entity_metrics(&self.entity.name), Instant::now());
        metrics.running.add(1);
        tokio::spawn(async move {
            let asker = || Asker {
                token: new_token(),
                instance: id.clone(),
                code: function.as_str().into(),
                is_undo: false,
            };
            let Some(place) = inner.place(Kind::Guest, &function, asker).await else {
                // The host goes down; it is journaled, and begins when it starts
                // again.
                metrics.running.take(1);
                inner.counters.attempts_open.take(1);
                return inner.quiet.notify_waiters();
            };
            let (started_at, outcome, logs) = inner.operate(call).await;
            place.leave();
            inner.attempt_ended(&metrics.steps, &outcome);
            let source = Source {
                instance: &id,
                function: &function,
                step: Some(number),
                attempt: Some(attempt),
            };
            source.ended(outcome.as_ref().err(), &logs);
            let ended = EntityMessage::Ended { number, attempt, started_at, outcome, logs };
            inner.deliver_to_entity(&id, ended);
            metrics.running.take(1);
            metrics.took(begun.elapsed());
            inner.counters.attempts_open.take(1);
            inner.quiet.notify_waiters();
        });
    }
}

impl Inner {
    async fn operate(&self, call: OperationCall) -> Report {
        if let Some(failure) = self.bad_operation(&call) {
            return (self.clock().now(), Err(failure), Logs::default());
        }
        let report = self.runtime.run_operation(call).await;
        (self.clock().at(report.started_at), report.outcome.map(result), report.logs)
    }

    /// Why this is nothing that can be asked of the entity that is deployed.
    fn bad_operation(&self, call: &OperationCall) -> Option<Failure> {
        let function = self.runtime.function(&call.entity.name)?;
        if function.kind != FunctionKind::Entity {
            return None;
        }
        let problem = function.check_operation(&call.operation, &call.input).err()?;
        let message = format!(
            "the operation `{}` cannot be asked of entity `{}`: {problem}",
            call.operation, call.entity.name
        );
        Some(Failure { retryable: false, ..Failure::host(FailureKind::NotStarted, message) })
    }
}

fn result(done: OperationDone) -> OperationResult {
    let OperationDone { result, state, signals, events, starts } = done;
    let signals = signals.into_iter().map(|signal| Sending::Signal {
        entity: signal.entity,
        operation: signal.operation,
        input: signal.input,
        at: signal.at,
    });
    let events = events.into_iter().map(|event| Sending::Event {
        instance: event.instance,
        name: event.name,
        input: event.input,
    });
    let starts = starts.into_iter().map(|start| Sending::Start {
        name: start.name,
        input: start.input,
        id: start.id,
    });
    OperationResult {
        result,
        state: match state {
            StateChange::Keep => None,
            StateChange::Set(state) => Some(state),
            StateChange::Remove => Some(Json::null()),
        },
        sends: signals.chain(events).chain(starts).collect(),
    }
}
