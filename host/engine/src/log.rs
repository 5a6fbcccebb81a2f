//! Lines of the host's log about one instance: what its guests wrote, and how
//! attempts ended. Each has the field `instance`, and `step` where it is about
//! a step. Guests' lines have the target `guest`, so that how much of them is
//! logged is set apart from the rest.

use sagahost_core::{Failure, LogLevel, Logs};
use tracing::Level;

/// The target of what guests wrote.
const GUEST: &str = "guest";

/// Whose lines they are.
pub(crate) struct Source<'a> {
    pub(crate) instance: &'a str,
    /// The function that wrote.
    pub(crate) function: &'a str,
    /// The step, and which attempt of it; of an orchestrator there are none.
    pub(crate) step: Option<u64>,
    pub(crate) attempt: Option<u32>,
}

impl Source<'_> {
    /// A line that a guest logged.
    pub(crate) fn line(&self, level: LogLevel, message: &str) {
        let Source { instance, function, step, attempt } = self;
        macro_rules! write {
            ($level:expr) => {
                tracing::event!(target: GUEST, $level, instance, step, attempt, function, "{message}")
            };
        }
        match level {
            LogLevel::Debug => write!(Level::DEBUG),
            LogLevel::Info => write!(Level::INFO),
            LogLevel::Warn => write!(Level::WARN),
            LogLevel::Error => write!(Level::ERROR),
        }
    }

    /// How an attempt ended, and what was written while it ran.
    pub(crate) fn ended(&self, failure: Option<&Failure>, logs: &Logs) {
        // The least of them: where not even that is wanted, nothing is read.
        if !logs.is_empty() && tracing::enabled!(target: GUEST, Level::ERROR) {
            for line in logs.stdout.lines() {
                self.line(LogLevel::Info, line);
            }
            for line in logs.stderr.lines() {
                let (level, line) = read(line);
                self.line(level, line);
            }
            if logs.truncated {
                self.line(LogLevel::Warn, "more was written than is kept");
            }
        }
        if let Some(failure) = failure {
            let Source { instance, function, step, attempt } = self;
            let code = failure.code.as_str();
            tracing::info!(instance, step, attempt, function, code, "an attempt gave no result");
        }
    }
}

/// A line of stderr: what was logged through the contract has its level in
/// front.
fn read(line: &str) -> (LogLevel, &str) {
    match line.split_once(": ") {
        Some(("debug", rest)) => (LogLevel::Debug, rest),
        Some(("info", rest)) => (LogLevel::Info, rest),
        Some(("warn", rest)) => (LogLevel::Warn, rest),
        Some(("error", rest)) => (LogLevel::Error, rest),
        _ => (LogLevel::Warn, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_level_that_it_was_logged_at() {
        for (line, level, rest) in [
            ("info: a: b", LogLevel::Info, "a: b"),
            ("error: ", LogLevel::Error, ""),
            ("debug: x", LogLevel::Debug, "x"),
            ("thread panicked: no", LogLevel::Warn, "thread panicked: no"),
            ("", LogLevel::Warn, ""),
        ] {
            assert_eq!(read(line), (level, rest), "{line:?}");
        }
    }
}
