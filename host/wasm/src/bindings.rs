//! The contract as Rust, generated from `wit/`, and the way between its types
//! and the host's.

use sagahost_core as core;
use sagahost_core::Json;

mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "component",
        imports: {
            "sagahost:saga/orchestration.await-any": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

pub(crate) use generated::sagahost::saga::{invocation, orchestration, types};

/// The package, and the version of it that this host speaks.
pub(crate) const PACKAGE: &str = "sagahost:saga";
pub(crate) const VERSION: &str = "0.1.0";

/// The type of `run-activity` and `run-orchestrator`.
pub(crate) type RunParams<'a> = (&'a str, &'a str);
pub(crate) type RunResult = (Result<String, types::Failure>,);

pub(crate) fn level(level: types::LogLevel) -> core::LogLevel {
    match level {
        types::LogLevel::Debug => core::LogLevel::Debug,
        types::LogLevel::Info => core::LogLevel::Info,
        types::LogLevel::Warn => core::LogLevel::Warn,
        types::LogLevel::Error => core::LogLevel::Error,
    }
}

pub(crate) fn options(options: types::CallOptions) -> core::CallOptions {
    core::CallOptions {
        retry: options.retry.map(|retry| core::RetryPolicy {
            max_attempts: retry.max_attempts,
            first_interval_ms: retry.first_interval_ms,
            backoff: retry.backoff,
            max_interval_ms: retry.max_interval_ms,
            total_time_ms: retry.total_time_ms,
            jitter: retry.jitter,
            do_not_retry: retry.do_not_retry,
        }),
        timeout_ms: options.timeout_ms,
    }
}

/// The options of a step; or the input that is not JSON, and whose it is.
pub(crate) fn step_options(
    options: types::StepOptions,
) -> Result<core::StepOptions, (String, serde_json::Error)> {
    Ok(core::StepOptions {
        call: self::options(options.call),
        undo: match options.undo {
            types::UndoChoice::Declared => core::UndoChoice::Declared,
            types::UndoChoice::ByHand => core::UndoChoice::ByHand,
            types::UndoChoice::CompensateWith(call) => core::UndoChoice::With(compensation(call)?),
        },
        scope: options.scope,
        pivot: options.pivot,
    })
}

fn compensation(
    call: types::Compensation,
) -> Result<core::CompensationCall, (String, serde_json::Error)> {
    let input = match call.input.map(Json::parse).transpose() {
        Ok(input) => input,
        Err(error) => return Err((call.function, error)),
    };
    Ok(core::CompensationCall {
        function: call.function,
        input,
        options: options(call.options),
        when: match call.when {
            types::UndoWhen::CompletedOrUnknown => core::UndoWhen::CompletedOrUnknown,
            types::UndoWhen::Always => core::UndoWhen::Always,
            types::UndoWhen::Completed => core::UndoWhen::Completed,
        },
    })
}

/// The step that an undo undoes, for the guest that undoes it.
pub(crate) fn undone_to_guest(undone: &core::UndoneStep) -> types::UndoneStep {
    types::UndoneStep {
        step: undone.task,
        function: undone.function.clone(),
        input: undone.input.as_str().to_owned(),
        output: undone.output.as_ref().map(|output| output.as_str().to_owned()),
        outcome: match undone.outcome {
            core::StepOutcome::Completed => types::StepOutcome::Completed,
            core::StepOutcome::Failed => types::StepOutcome::Failed,
            core::StepOutcome::Unknown => types::StepOutcome::Unknown,
        },
        idempotency_key: undone.key.clone(),
    }
}

/// A failure for a guest.
pub(crate) fn failure_to_guest(failure: core::Failure) -> types::Failure {
    types::Failure {
        code: failure.code,
        message: failure.message,
        details: failure.details.map(|details| details.as_str().to_owned()),
        retryable: failure.retryable,
    }
}

/// A failure that a guest returned. It stays what it is called, also where
/// the code begins with `host.`: an orchestrator that passes on the failure of
/// an activity is no reason to think that the host found it here.
pub(crate) fn failure_from_guest(failure: types::Failure) -> core::Failure {
    let details = failure.details.and_then(|text| {
        // What is not JSON is kept as text: the failure it belongs to is
        // worth more than its form.
        Json::parse(text.clone()).or_else(|_| Json::of(&text)).ok()
    });
    core::Failure {
        kind: core::FailureKind::Returned,
        code: failure.code,
        message: failure.message,
        details,
        retryable: failure.retryable,
        retry_after_ms: None,
    }
}
