//! What happened to an orchestration, as lines for a person: for `dev` and
//! `events`.

mod mail;
mod undo;

use std::collections::{HashMap, HashSet};

use jiff::tz::TimeZone;
use sagahost_core::{
    BlockedReason, Event, Failure, Json, LogLevel, Logs, Millis, Record, TaskId, Work,
};

use crate::output::{Paint, shorten};
use crate::units::took_millis;

/// The longest value that is shown, in characters.
const VALUE: usize = 160;

/// How many lines of an attempt's log are shown.
const LOG_LINES: usize = 20;

/// Makes lines of the events of one orchestration, in order.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    names: HashMap<Work, String>,
    /// Pivots that are not complete.
    pivots: HashSet<TaskId>,
    past_pivot: bool,
    started: Option<Millis>,
}

impl Steps {
    /// The lines for one event: what happened, and below it what was logged.
    pub(crate) fn lines(&mut self, record: &Record, paint: Paint) -> Vec<String> {
        let Record(at, event) = record;
        // Known by then: who it is, and whether it was the pivot.
        self.note(record);
        let mut lines = Vec::new();
        let head = match event {
            Event::Started(started) => {
                format!(
                    "{} {} {}",
                    paint.bold("started"),
                    started.name,
                    value(&started.input, paint)
                )
            }
            Event::Scheduled { function, input, pivot, .. } => {
                let pivot = if *pivot { paint.dim(" (pivot)") } else { String::new() };
                format!("{} {function} {}{pivot}", paint.cyan("→"), value(input, paint))
            }
            Event::ChildScheduled { function, input, id, .. } => format!(
                "{} {function} {} {}",
                paint.cyan("→"),
                paint.by_hash(&shorten(id, 60)),
                value(input, paint)
            ),
            Event::ChildCompleted { task, output, .. } => {
                format!("{} {} {}", paint.green("✓"), self.task(*task), value(output, paint))
            }
            Event::ChildFailed { task, failure, .. } => {
                let why = shorten(&failure.to_string(), VALUE);
                format!("{} {}: {why}", paint.red("✗"), self.task(*task))
            }
            Event::TimerCreated { fire_at, .. } => {
                let wait = took_millis(fire_at.saturating_sub(*at));
                format!("{} timer, in {wait}", paint.cyan("→"))
            }
            Event::EventAwaited { name, .. } => {
                format!("{} waits for event {}", paint.cyan("→"), paint.bold(name))
            }
            Event::TaskCancelled { task, .. } => {
                format!("{} {} given up", paint.dim("·"), self.task(*task))
            }
            Event::TaskCompleted { task, attempt, started_at, output, logs } => {
                lines = log_lines(logs, paint);
                let took = took(*attempt, *started_at, *at, paint);
                format!("{} {} {} {took}", paint.green("✓"), self.task(*task), value(output, paint))
            }
            Event::AttemptFailed { task, attempt, failure, retry_at, logs, .. } => {
                lines = log_lines(logs, paint);
                let stuck = self.past_pivot
                    || (self.pivots.contains(task) && failure.kind.outcome_unknown());
                let last = if stuck { STUCK } else { "no further attempt" };
                let why = failed(*attempt, failure, *retry_at, *at, last, paint);
                format!("{} {} {why}", paint.red("✗"), self.task(*task))
            }
            Event::AttemptLost { task, attempt } => format!(
                "{} {} attempt {attempt} was cut off with the host; again",
                paint.yellow("!"),
                self.task(*task)
            ),
            Event::TimerFired { .. } => format!("{} timer", paint.green("✓")),
            Event::EventRaised { name, input, .. } => {
                format!("{} event {} {}", paint.green("⚑"), paint.bold(name), value(input, paint))
            }
            Event::Begun => paint.green("begins"),
            Event::ContinuedAsNew { input } => {
                format!("{} {}", paint.green("continues as new"), value(input, paint))
            }
            Event::Suspended { reason } => {
                format!("{} {}", paint.yellow("suspended"), shorten(reason, 1_000))
            }
            Event::Resumed { reason } => {
                format!("{} {}", paint.green("resumed"), shorten(reason, 1_000))
            }
            Event::Rewound { reason, .. } => {
                format!("{} {}", paint.yellow("rewound"), shorten(reason, 1_000))
            }
            Event::Recalled { task, .. } => {
                let done = paint.dim("(kept from before)");
                format!("{} {} {done}", paint.green("✓"), self.task(*task))
            }
            Event::StatusSet { status } => {
                format!("{} {}", paint.dim("status"), value(status, paint))
            }
            Event::Logged { level, message } => {
                format!("{} {}", level_mark(*level, paint), shorten(message, 1_000))
            }
            Event::Blocked(reason) => format!("{} {}", paint.red("blocked"), blocked(reason)),
            Event::Unblocked => paint.green("goes on"),
            Event::Completed { output } => {
                format!(
                    "{} {} {}",
                    paint.green("completed"),
                    value(output, paint),
                    self.age(*at, paint)
                )
            }
            Event::Failed { failure } => {
                let why = shorten(&failure.to_string(), 1_000);
                format!("{} {why} {}", paint.red("failed"), self.age(*at, paint))
            }
            Event::Canceled { reason } => {
                let why = shorten(reason, VALUE);
                format!("{} {why} {}", paint.red("canceled"), self.age(*at, paint))
            }
            Event::Terminated { reason } => {
                format!("{} {}", paint.red("terminated"), shorten(reason, VALUE))
            }
            Event::Sent(_)
            | Event::EntityCalled { .. }
            | Event::EntityAnswered { .. }
            | Event::LocksRequested { .. }
            | Event::LockGranted { .. }
            | Event::LocksReleased
            | Event::Delivered { .. } => match self.mail(event, paint) {
                Some(line) => line,
                None => return lines,
            },
            Event::ScopeOpened { .. }
            | Event::ParallelUndo { .. }
            | Event::CompensationRequested { .. }
            | Event::CompensationDone { .. }
            | Event::Unwinding { .. }
            | Event::RetriesEnded { .. }
            | Event::UndoScheduled { .. }
            | Event::UndoCompleted { .. }
            | Event::UndoAttemptFailed { .. }
            | Event::UndoAttemptLost { .. }
            | Event::Repaired { .. }
            | Event::LateResult { .. } => {
                let (head, below) = self.undo(*at, event, paint);
                lines = below;
                head
            }
        };
        lines.insert(0, head);
        lines
    }

    /// Takes notice of an event, shown or not.
    pub(crate) fn note(&mut self, Record(at, event): &Record) {
        match event {
            Event::Started(_) => self.started = Some(*at),
            Event::Scheduled { task, function, pivot, .. }
            | Event::ChildScheduled { task, function, pivot, .. } => {
                self.names.insert(Work::Step(*task), function.clone());
                if *pivot {
                    self.pivots.insert(*task);
                }
            }
            Event::TimerCreated { task, .. } => {
                self.names.insert(Work::Step(*task), "timer".to_owned());
            }
            Event::EntityCalled { task, operation, .. } => {
                self.names.insert(Work::Step(*task), operation.clone());
            }
            Event::EventAwaited { task, name } => {
                self.names.insert(Work::Step(*task), format!("event {name}"));
            }
            Event::UndoScheduled { undo, function, .. } => {
                self.names.insert(Work::Undo(*undo), function.clone());
            }
            Event::Rewound { .. } => {
                self.names.clear();
                self.pivots.clear();
            }
            Event::TaskCompleted { task, .. }
            | Event::ChildCompleted { task, .. }
            | Event::Recalled { task, .. } => {
                self.past_pivot |= self.pivots.remove(task);
            }
            _ => {}
        }
    }

    fn task(&self, task: TaskId) -> String {
        self.name(Work::Step(task))
    }

    /// What it is called, or by its number, where it was scheduled before we
    /// began to listen.
    fn name(&self, work: Work) -> String {
        self.names.get(&work).cloned().unwrap_or_else(|| match work {
            Work::Step(task) => format!("step {task}"),
            Work::Undo(undo) => format!("undo of step {undo}"),
        })
    }

    fn age(&self, now: Millis, paint: Paint) -> String {
        self.started.map_or_else(String::new, |started| {
            paint.dim(&format!("({} in all)", took_millis(now.saturating_sub(started))))
        })
    }
}

/// What is said where a step or an undo needs a person.
const STUCK: &str = "stuck: it needs a person (sagahost repair)";

/// How long an attempt took that worked, and which one it was.
fn took(attempt: u32, started_at: Millis, at: Millis, paint: Paint) -> String {
    let which = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
    let time = took_millis(at.saturating_sub(started_at));
    paint.dim(&format!("({time}{which})"))
}

/// Why an attempt failed, and what comes next.
fn failed(
    attempt: u32,
    failure: &Failure,
    retry_at: Option<Millis>,
    at: Millis,
    last: &str,
    paint: Paint,
) -> String {
    let next = match retry_at {
        Some(retry) => {
            let wait = took_millis(retry.saturating_sub(at));
            paint.yellow(&format!("again in {wait}"))
        }
        None => paint.red(last),
    };
    let why = shorten(&failure.to_string(), VALUE);
    format!("attempt {attempt}: {why}; {next}")
}

/// The time of day in this place.
pub(crate) fn clock(at: Millis) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or_else(String::new, |at| {
        at.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
    })
}

fn value(value: &Json, paint: Paint) -> String {
    paint.dim(&shorten(value.as_str(), VALUE))
}

fn blocked(reason: &BlockedReason) -> String {
    match reason {
        BlockedReason::Mismatch { position, journal, code } => format!(
            "request {position}: its journal has {journal}, its code asks for {code}; deploy code that asks as before"
        ),
        BlockedReason::Unavailable { message } => message.clone(),
        BlockedReason::PastPivot { failure } => format!(
            "its code failed past the pivot ({failure}): nothing is undone any more; do by hand what is left, and terminate it"
        ),
    }
}

fn level_mark(level: LogLevel, paint: Paint) -> String {
    match level {
        LogLevel::Debug => paint.dim("debug"),
        LogLevel::Info => paint.dim("log"),
        LogLevel::Warn => paint.yellow("warn"),
        LogLevel::Error => paint.red("error"),
    }
}

/// What an attempt wrote, to stand below its line.
pub(crate) fn log_lines(logs: &Logs, paint: Paint) -> Vec<String> {
    let all = logs.stdout.lines().chain(logs.stderr.lines());
    let mut lines: Vec<String> = all
        .clone()
        .take(LOG_LINES)
        .map(|line| format!("  {} {}", paint.dim("│"), shorten(line, 400)))
        .collect();
    let more = all.count().saturating_sub(LOG_LINES);
    if more > 0 || logs.truncated {
        let what = if logs.truncated {
            "the rest was cut off".to_owned()
        } else {
            format!("{more} more lines")
        };
        lines.push(format!("  {} {}", paint.dim("│"), paint.dim(&format!("… {what}"))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use sagahost_core::{CallPolicy, FailureKind};

    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("JSON")
    }

    #[test]
    fn steps_are_told_by_their_names() {
        let mut steps = Steps::default();
        let mut line = |event| steps.lines(&Record(2_000, event), Paint::plain()).join("\n");
        let scheduled = Event::Scheduled {
            task: 3,
            function: "Pay".into(),
            input: json("{\"id\":1}"),
            policy: CallPolicy::default(),
            undo: None,
            scope: 0,
            pivot: false,
        };
        assert_eq!(line(scheduled), "→ Pay {\"id\":1}");
        let failed = Event::AttemptFailed {
            task: 3,
            attempt: 1,
            started_at: 1_000,
            failure: Failure::host(FailureKind::Timeout, "took too long"),
            retry_at: Some(2_200),
            logs: Logs { stdout: "one\ntwo".into(), ..Logs::default() },
        };
        assert_eq!(
            line(failed),
            "✗ Pay attempt 1: host.timeout: took too long; again in 200 ms\n  │ one\n  │ two"
        );
        let completed = Event::TaskCompleted {
            task: 3,
            attempt: 2,
            started_at: 1_995,
            output: json("true"),
            logs: Logs::default(),
        };
        assert_eq!(line(completed), "✓ Pay true (5 ms, attempt 2)");
        assert_eq!(line(Event::TimerFired { task: 9 }), "✓ timer");
    }

    #[test]
    fn an_endless_log_is_cut() {
        let logs = Logs { stdout: "x\n".repeat(50), ..Logs::default() };
        let lines = log_lines(&logs, Paint::plain());
        assert_eq!(lines.len(), LOG_LINES + 1);
        assert_eq!(lines[LOG_LINES], "  │ … 30 more lines");
    }
}
