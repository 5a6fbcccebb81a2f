//! How calls are retried and how steps are undone, with everything filled in
//! that the call leaves open.

use sagahost_core::{
    CallOptions, CallPolicy, Compensation, CompensationCall, RetryPolicy, UndoChoice,
};

use crate::config::HTTP_TIMEOUT_MS;
use crate::function::FunctionKind;
use crate::runtime::Runtime;

impl Runtime {
    /// The options of a call with everything filled in: from the call, else
    /// from the function's own description, else from the rules, else
    /// [`CallPolicy::default`].
    pub fn call_policy(&self, name: &str, options: CallOptions) -> CallPolicy {
        self.policy(name, options, RetryPolicy::default)
    }

    /// The same for the call of an undo, which is retried by
    /// [`Compensation::default_retry`] where nobody says how.
    pub fn undo_policy(&self, name: &str, options: CallOptions) -> CallPolicy {
        self.policy(name, options, Compensation::default_retry)
    }

    /// How an operation of this entity is retried, and how long an attempt may
    /// take: as its description says, else the rules, else
    /// [`CallPolicy::default`].
    pub fn entity_policy(&self, name: &str) -> CallPolicy {
        self.call_policy(name, CallOptions::default())
    }

    /// The options of an HTTP step with everything filled in: one attempt of
    /// at most 100 seconds where the call says nothing.
    pub fn http_policy(&self, options: CallOptions) -> CallPolicy {
        CallPolicy {
            retry: options.retry.unwrap_or_default(),
            timeout_ms: options.timeout_ms.unwrap_or(HTTP_TIMEOUT_MS),
        }
    }

    fn policy(
        &self,
        name: &str,
        options: CallOptions,
        default_retry: fn() -> RetryPolicy,
    ) -> CallPolicy {
        let described = self.function(name);
        let described = described.as_ref();
        let settings = self.settings(name);
        CallPolicy {
            retry: options
                .retry
                .or_else(|| described.and_then(|function| function.retry.clone()))
                .or_else(|| settings.retry.clone())
                .unwrap_or_else(default_retry),
            timeout_ms: options
                .timeout_ms
                .or_else(|| described.and_then(|function| function.timeout_ms))
                .or_else(|| {
                    let timeout = settings.timeout?;
                    u64::try_from(timeout.as_millis()).ok()
                })
                .unwrap_or_else(|| CallPolicy::default().timeout_ms),
        }
    }

    /// How a step of this function is undone, on what is deployed now; `None`
    /// where the host does not undo it. Where no activity of the
    /// compensation's name is deployed it has no digest: then the step is not
    /// to begin.
    pub fn compensation(&self, forward: &str, choice: UndoChoice) -> Option<Compensation> {
        let table = self.table();
        let activity = |name: &str| {
            let entry = table.functions.get(name)?;
            (entry.function.kind == FunctionKind::Activity).then_some(&entry.function)
        };
        let call = match choice {
            UndoChoice::ByHand => return None,
            UndoChoice::With(call) => call,
            UndoChoice::Declared => {
                let function = activity(forward)?.undo.clone()?;
                CompensationCall { function, ..CompensationCall::default() }
            }
        };
        Some(Compensation {
            digest: activity(&call.function).map(|undo| undo.digest.clone()),
            policy: self.undo_policy(&call.function, call.options),
            function: call.function,
            input: call.input,
            when: call.when,
        })
    }
}
