//! Undo, as lines for a person: marked so that nobody takes it for forward
//! work.

use sagahost_core::{Cause, Event, Millis, Repair, StepOutcome, UndoId, Work};

use super::{STUCK, Steps, VALUE, failed, log_lines, took, value};
use crate::output::{Paint, shorten};

/// Stands before everything that is undone.
const MARK: &str = "↶";

impl Steps {
    /// The line for one event that is about undo, and those below it.
    pub(super) fn undo(&self, at: Millis, event: &Event, paint: Paint) -> (String, Vec<String>) {
        let mark = paint.yellow(MARK);
        let mut below = Vec::new();
        let head = match event {
            Event::ScopeOpened { scope, .. } => paint.dim(&format!("· scope {scope}")),
            Event::ParallelUndo { scope } => {
                paint.dim(&format!("· what is in scope {scope} is undone all at once"))
            }
            Event::CompensationRequested { scope: 0, .. } => {
                format!("{mark} undoing what was done so far")
            }
            Event::CompensationRequested { scope, .. } => {
                format!("{mark} undoing what was done in scope {scope}")
            }
            Event::CompensationDone { .. } => format!("{} {mark} undone", paint.green("✓")),
            Event::Unwinding { cause } => format!("{mark} undoing everything: {}", why(cause)),
            Event::RetriesEnded { task } => {
                format!("{} {} is not attempted again", paint.dim("·"), self.task(*task))
            }
            Event::UndoScheduled { undo, function, outcome } => {
                format!("{mark} {function} undoes {}", self.undone(*undo, *outcome))
            }
            Event::UndoCompleted { undo, attempt, started_at, output, logs } => {
                below = log_lines(logs, paint);
                let took = took(*attempt, *started_at, at, paint);
                let name = self.name(Work::Undo(*undo));
                format!("{} {mark} {name} {} {took}", paint.green("✓"), value(output, paint))
            }
            Event::UndoAttemptFailed { undo, attempt, failure, retry_at, logs, .. } => {
                below = log_lines(logs, paint);
                let why = failed(*attempt, failure, *retry_at, at, STUCK, paint);
                format!("{} {mark} {} {why}", paint.red("✗"), self.name(Work::Undo(*undo)))
            }
            Event::UndoAttemptLost { undo, attempt } => format!(
                "{} {mark} {} attempt {attempt} was cut off with the host; again",
                paint.yellow("!"),
                self.name(Work::Undo(*undo))
            ),
            Event::Repaired { step, repair, note, by } => {
                let what = match repair {
                    Repair::Retry => "again".to_owned(),
                    Repair::RetryWith(input) => format!("again with {}", value(input, paint)),
                    Repair::Failed => "failed, it did nothing".to_owned(),
                    Repair::Done(output) => format!("done by hand, {}", value(output, paint)),
                };
                let (note, by) = (shorten(note, VALUE), shorten(by, VALUE));
                format!("{} step {step}: {what} ({by}: {note})", paint.bold("repaired"))
            }
            Event::LateResult { task, attempt, output, failure, logs } => {
                below = log_lines(logs, paint);
                let result = match (output, failure) {
                    (Some(output), _) => value(output, paint),
                    (None, Some(failure)) => shorten(&failure.to_string(), VALUE),
                    (None, None) => String::new(),
                };
                format!(
                    "{} {} attempt {attempt} ended too late and counts for nothing: {result}",
                    paint.dim("·"),
                    self.task(*task)
                )
            }
            _ => String::new(),
        };
        (head, below)
    }

    /// The step that is undone, and what became of it.
    fn undone(&self, undo: UndoId, outcome: StepOutcome) -> String {
        let outcome = match outcome {
            StepOutcome::Completed => "which completed",
            StepOutcome::Failed => "which failed",
            StepOutcome::Unknown => "of which nobody knows what it did",
        };
        let name = self.task(undo.task);
        match undo.part {
            0 => format!("{name}, {outcome}"),
            part => format!("part {part} of {name}, {outcome}"),
        }
    }
}

/// What set it off.
fn why(cause: &Cause) -> String {
    match cause {
        Cause::Failed(failure) | Cause::Deadline(failure) => shorten(&failure.to_string(), 1_000),
        Cause::Canceled(reason) => said("canceled", reason),
        Cause::Terminated(reason) => said("terminated", reason),
        Cause::Parent(reason) => said("its parent is undone", reason),
    }
}

fn said(what: &str, reason: &str) -> String {
    match reason {
        "" => what.to_owned(),
        reason => format!("{what}, {}", shorten(reason, VALUE)),
    }
}

#[cfg(test)]
mod tests {
    use sagahost_core::{CallPolicy, Failure, FailureKind, Json, Logs, Record};

    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("JSON")
    }

    /// The lines of these events, one after the other.
    fn lines(events: Vec<Event>) -> Vec<String> {
        let mut steps = Steps::default();
        let mut lines = Vec::new();
        for event in events {
            lines.extend(steps.lines(&Record(2_000, event), Paint::plain()));
        }
        lines
    }

    fn scheduled(task: u32, pivot: bool) -> Event {
        Event::Scheduled {
            task,
            function: "Pay".into(),
            input: json("1"),
            policy: CallPolicy::default(),
            undo: None,
            scope: 0,
            pivot,
        }
    }

    fn attempt_failed(task: u32) -> Event {
        Event::AttemptFailed {
            task,
            attempt: 1,
            started_at: 1_000,
            failure: Failure::host(FailureKind::Timeout, "took too long"),
            retry_at: None,
            logs: Logs::default(),
        }
    }

    #[test]
    fn what_is_undone_is_marked() {
        let undo = UndoId::from(3);
        let shown = lines(vec![
            scheduled(3, false),
            Event::Unwinding { cause: Cause::Canceled("no more".into()) },
            Event::UndoScheduled { undo, function: "Refund".into(), outcome: StepOutcome::Unknown },
            Event::UndoAttemptFailed {
                undo,
                attempt: 1,
                started_at: 1_000,
                failure: Failure::host(FailureKind::Timeout, "took too long"),
                retry_at: None,
                logs: Logs { stdout: "hm".into(), ..Logs::default() },
            },
            Event::Repaired {
                step: undo,
                repair: Repair::RetryWith(json("2")),
                note: "the account was closed".into(),
                by: "Ada".into(),
            },
            Event::UndoCompleted {
                undo,
                attempt: 2,
                started_at: 1_995,
                output: json("true"),
                logs: Logs::default(),
            },
            Event::Canceled { reason: "no more".into() },
        ]);
        assert_eq!(
            shown,
            [
                "→ Pay 1",
                "↶ undoing everything: canceled, no more",
                "↶ Refund undoes Pay, of which nobody knows what it did",
                "✗ ↶ Refund attempt 1: host.timeout: took too long; stuck: it needs a person (sagahost repair)",
                "  │ hm",
                "repaired step 3: again with 2 (Ada: the account was closed)",
                "✓ ↶ Refund true (5 ms, attempt 2)",
                "canceled no more ",
            ]
        );
    }

    #[test]
    fn past_the_pivot_a_step_is_stuck() {
        let completed = Event::TaskCompleted {
            task: 0,
            attempt: 1,
            started_at: 1_995,
            output: json("true"),
            logs: Logs::default(),
        };
        let shown = lines(vec![
            scheduled(5, false),
            attempt_failed(5),
            scheduled(0, true),
            completed,
            scheduled(1, false),
            attempt_failed(1),
        ]);
        assert!(shown[1].ends_with("; no further attempt"), "{shown:?}");
        assert_eq!(shown[2], "→ Pay 1 (pivot)");
        assert!(shown[5].ends_with("; stuck: it needs a person (sagahost repair)"), "{shown:?}");
    }
}
