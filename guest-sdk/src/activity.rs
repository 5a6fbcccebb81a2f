//! What an activity knows about the attempt it is, and what it runs on.

use std::fmt;
use std::future::Future;

use crate::{LogLevel, Timestamp, UndoneStep, host};

/// What an activity may ask about the attempt it is.
///
/// An activity runs **at least once**: if the host dies while it runs, or
/// cannot tell how it ended, it runs again. What it does in the world must
/// therefore be the same if done twice, and
/// [`idempotency_key`](Self::idempotency_key) is how to get there: it is the
/// same for every attempt of a step, so hand it to whatever the activity
/// calls, or name what it writes by it.
#[derive(Clone, Debug)]
pub struct ActivityContext {
    _private: (),
}

impl ActivityContext {
    pub(crate) fn new() -> Self {
        Self { _private: () }
    }

    /// The id of the orchestration that called this activity; in an undo, of
    /// the one that called the activity that is undone.
    #[must_use]
    pub fn instance_id(&self) -> String {
        host::activity_instance_id()
    }

    /// The number of the step in that orchestration.
    #[must_use]
    pub fn step(&self) -> u32 {
        host::step()
    }

    /// Which attempt this is, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        host::attempt()
    }

    /// The same for every attempt of this step, and for no other step.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        host::idempotency_key()
    }

    /// When the host ends this attempt.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        Timestamp::from_millis(host::deadline_ms())
    }

    /// The [W3C trace context](https://www.w3.org/TR/trace-context/) of this
    /// attempt, if it is traced: the value of a `traceparent` header.
    #[must_use]
    pub fn trace_parent(&self) -> Option<String> {
        Some(host::trace_parent()).filter(|parent| !parent.is_empty())
    }

    /// Whether the host calls this to undo a step. It is false where an
    /// orchestrator calls the same activity itself.
    #[must_use]
    pub fn is_undo(&self) -> bool {
        host::is_undo()
    }

    /// The step that this call undoes, if it undoes one.
    #[must_use]
    pub fn undone(&self) -> Option<UndoneStep> {
        host::undone().map(Into::into)
    }

    /// Writes a line to the attempt's log. [`info!`](crate::info) and its
    /// siblings format one. What goes to stdout and stderr is kept as well.
    pub fn log(&self, level: LogLevel, line: impl fmt::Display) {
        host::activity_log(level, &line.to_string());
    }

    /// Writes a debug line to the attempt's log.
    pub fn log_debug(&self, line: impl fmt::Display) {
        self.log(LogLevel::Debug, line);
    }

    /// Writes a line to the attempt's log.
    pub fn log_info(&self, line: impl fmt::Display) {
        self.log(LogLevel::Info, line);
    }

    /// Writes a warning to the attempt's log.
    pub fn log_warn(&self, line: impl fmt::Display) {
        self.log(LogLevel::Warn, line);
    }

    /// Writes an error to the attempt's log.
    pub fn log_error(&self, line: impl fmt::Display) {
        self.log(LogLevel::Error, line);
    }
}

/// Runs an activity's future to its end.
#[cfg(all(feature = "http", target_arch = "wasm32"))]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    wstd::runtime::block_on(future)
}

/// Runs an activity's future to its end. There is no event loop: an activity
/// blocks, and what it awaits is ready or makes itself ready.
#[cfg(not(all(feature = "http", target_arch = "wasm32")))]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let (flag, waker) = crate::executor::flag_waker();
    let mut cx = std::task::Context::from_waker(&waker);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        assert!(
            flag.take(),
            "the activity waits for something that can never be ready: outside the feature `http` of \
             sagahost-sdk an activity has no event loop; use blocking calls (std::fs, std::thread::sleep), \
             and await only what is ready"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::block_on;
    use futures_util::future::{join, pending};

    #[test]
    fn what_is_ready_runs_through() {
        let mut polled = false;
        let yields_once = std::future::poll_fn(move |cx| {
            if std::mem::replace(&mut polled, true) {
                return std::task::Poll::Ready(2);
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        });
        assert_eq!(block_on(join(async { 1 }, yields_once)), (1, 2));
    }

    #[test]
    #[should_panic(expected = "can never be ready")]
    fn what_is_never_ready_panics() {
        block_on(pending::<()>());
    }
}
