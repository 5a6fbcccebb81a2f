//! `sagahost status`, `raise`, `terminate`, `purge`.

use std::io;

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;
use sagahost_core::{Failure, Logs};
use serde::Deserialize;
use serde_json::{Value, json};

use super::undo::stuck_line;
use crate::client::{BASE, Remote, RemoteArgs, encode, with_query};
use crate::exit::{Exit, silently};
use crate::input;
use crate::output::{self, Paint, shorten};
use crate::steps::log_lines;

/// How much of a value a line of the history shows, in characters.
const VALUE: usize = 80;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sagahost status order-7
  sagahost status order-7 --history
  sagahost status order-7 --json | jq .output

Exit codes: 0 it runs or completed, 1 it failed, was cancelled or terminated, 3
no host, 4 there is no such instance.")]
pub(crate) struct StatusArgs {
    /// The instance's id
    id: String,
    /// Show what happened so far: steps, their attempts, and what these wrote
    #[arg(long)]
    history: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sagahost raise order-7 Approved --input '{\"approved\": true, \"by\": \"Ada\"}'

Exit codes: 0 taken, 2 the input is wrong, 3 no host, 4 there is no such
instance, 6 it has ended.")]
pub(crate) struct RaiseArgs {
    /// The instance's id
    id: String,
    /// The event's name
    event: String,
    /// What comes with it: JSON, @FILE, or - for standard input
    #[arg(long, short, value_name = "JSON")]
    input: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The instance ends at once, and what it did is not undone; with --compensate it
is undone first. `sagahost undo ID` shows what that would do.

Exit codes: 0 taken, 3 no host, 4 there is no such instance, 6 it has ended, or
is being undone; with --compensate: it is past its pivot.")]
pub(crate) struct TerminateArgs {
    /// The instance's id
    id: String,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Undo what it did, and then end it
    #[arg(long)]
    compensate: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 done, 3 no host, 4 there is no such instance, 6 it has not ended.")]
pub(crate) struct PurgeArgs {
    /// The instance's id
    id: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(crate) fn instance_path(id: &str) -> String {
    format!("{BASE}/instances/{}", encode(id))
}

/// The status payload of an instance.
pub(crate) async fn status_of(remote: &Remote, id: &str, history: bool) -> Result<Value> {
    let yes = history.then(|| "true".to_owned());
    let path =
        with_query(&instance_path(id), &[("showHistory", yes.clone()), ("showHistoryOutput", yes)]);
    remote.get(&path).await?.ok()?.value()
}

/// Whether it did not end in any other way than by completing.
pub(crate) fn ended_well(status: &Value) -> bool {
    !matches!(status["runtimeStatus"].as_str(), Some("Failed" | "Terminated" | "Canceled"))
}

pub(crate) async fn status(args: StatusArgs) -> Result<()> {
    let status = status_of(&args.remote.remote()?, &args.id, args.history).await?;
    match args.remote.json {
        true => output::json(&status)?,
        false => show(&status, Paint::stdout())?,
    }
    if ended_well(&status) { Ok(()) } else { Err(silently(Exit::Failed)) }
}

/// Prints a status payload for a person.
pub(crate) fn show(status: &Value, paint: Paint) -> io::Result<()> {
    let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
    output::line(&format!(
        "{}  {}  {}",
        paint.bold(&text("instanceId")),
        text("name"),
        paint.status(&text("runtimeStatus")),
    ))?;
    // A host of an earlier version does not say it.
    match text("sagaState").as_str() {
        "" | "none" => {}
        state => output::line(&format!("  saga     {}", paint.saga(state)))?,
    }
    for stuck in status["stuck"].as_array().into_iter().flatten() {
        output::line(&format!(
            "  {}    {}",
            paint.red("stuck"),
            shorten(&stuck_line(stuck), 2_000)
        ))?;
    }
    output::line(&format!(
        "  created  {}    last updated {}",
        text("createdTime"),
        text("lastUpdatedTime")
    ))?;
    for (key, label) in [("input", "input"), ("customStatus", "status"), ("output", "output")] {
        if !status[key].is_null() {
            output::line(&format!("  {label:8} {}", shorten(&status[key].to_string(), 2_000)))?;
        }
    }
    let Some(history) = status["historyEvents"].as_array() else { return Ok(()) };
    output::line("  history")?;
    for text in history.iter().flat_map(|event| history_lines(event, paint)) {
        output::line(&format!("    {text}"))?;
    }
    Ok(())
}

/// An event, and below it the attempts that were made and what they wrote.
fn history_lines(event: &Value, paint: Paint) -> Vec<String> {
    let text = |key: &str| event[key].as_str();
    let kind = text("EventType").unwrap_or("?");
    // What is undone is told apart from what is done.
    let undoes = ["Undo", "Compensation", "ExecutionUnwinding"];
    let mark = if undoes.iter().any(|word| kind.starts_with(word)) { "↶ " } else { "" };
    let mut line = format!("{}  {}{kind}", paint.dim(clock(text("Timestamp"))), paint.yellow(mark));
    if let Some(name) = text("FunctionName").or_else(|| text("Name")) {
        line.push_str(&format!("  {}", paint.bold(name)));
    }
    for key in ["InstanceId", "Step", "Outcome", "Cause", "Repair"] {
        if let Some(word) = text(key) {
            let label = key.to_ascii_lowercase();
            line.push_str(&format!("  {} {word}", paint.dim(&label)));
        }
    }
    // `Details` has the whole failure in it; what it says is in `Reason`.
    for key in ["Input", "Result", "Reason", "By", "FireAt"] {
        let value = &event[key];
        if !value.is_null() {
            let shown = shorten(&value.to_string(), VALUE);
            let label = key.to_ascii_lowercase();
            line.push_str(&format!("  {} {shown}", paint.dim(&label)));
        }
    }
    let mut lines = vec![line];
    for attempt in event["Attempts"].as_array().into_iter().flatten() {
        lines.extend(attempt_lines(attempt, paint));
    }
    lines
}

fn attempt_lines(attempt: &Value, paint: Paint) -> Vec<String> {
    let outcome = attempt["Outcome"].as_str().unwrap_or("?");
    let outcome = match outcome {
        "Completed" => paint.green("completed"),
        "Failed" => paint.red("failed"),
        "Lost" => paint.yellow("was cut off with the host"),
        other => other.to_owned(),
    };
    let mut line = format!(
        "  {}  attempt {} {outcome}",
        paint.dim(clock(attempt["Ended"].as_str())),
        attempt["Attempt"]
    );
    if let Ok(failure) = Failure::deserialize(&attempt["Failure"]) {
        line.push_str(&format!(": {}", shorten(&failure.to_string(), 2 * VALUE)));
    }
    if let Some(again) = attempt["RetryAt"].as_str() {
        line.push_str(&format!("; again at {}", clock(Some(again))));
    }
    let mut lines = vec![line];
    if let Ok(logs) = Logs::deserialize(&attempt["Logs"]) {
        lines.extend(log_lines(&logs, paint).into_iter().map(|line| format!("  {line}")));
    }
    lines
}

/// The time of day of a timestamp.
fn clock(at: Option<&str>) -> &str {
    let at = at.unwrap_or_default();
    at.get(11..23).unwrap_or(at)
}

pub(crate) async fn raise(args: RaiseArgs) -> Result<()> {
    let body = input::read_or_null(args.input.as_deref())?;
    let path = format!("{}/raiseEvent/{}", instance_path(&args.id), encode(&args.event));
    args.remote.remote()?.post(&path, body.as_str().to_owned()).await?.ok()?;
    said(&args.remote, &args.id, &format!("raised {} to", args.event))
}

pub(crate) async fn terminate(args: TerminateArgs) -> Result<()> {
    let path = with_query(
        &format!("{}/terminate", instance_path(&args.id)),
        &[
            ("reason", args.reason.clone()),
            ("compensate", args.compensate.then(|| "true".to_owned())),
        ],
    );
    args.remote.remote()?.post(&path, Bytes::new()).await?.ok()?;
    let done = if args.compensate { "undoing and terminating" } else { "terminated" };
    said(&args.remote, &args.id, done)
}

pub(crate) async fn purge(args: PurgeArgs) -> Result<()> {
    let remote = args.remote.remote()?;
    let request = remote.request(Method::DELETE, &instance_path(&args.id), Bytes::new())?;
    remote.send(request).await?.ok()?;
    said(&args.remote, &args.id, "purged")
}

pub(crate) fn said(args: &RemoteArgs, id: &str, done: &str) -> Result<()> {
    match args.json {
        true => output::json(&json!({ "id": id }))?,
        false => output::line(&format!("{done} {id}"))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_history() {
        let event = json!({
            "EventType": "TaskCompleted", "FunctionName": "OrderActivity",
            "Timestamp": "2026-01-02T03:04:05.6789012Z", "Result": true,
        });
        assert_eq!(
            history_lines(&event, Paint::plain()),
            ["03:04:05.678  TaskCompleted  OrderActivity  result true"]
        );
    }

    #[test]
    fn an_undo_is_marked_and_names_its_step() {
        let event = json!({
            "EventType": "UndoStuck", "FunctionName": "Refund", "Step": "3.1",
            "Outcome": "unknown", "Reason": "closed", "Timestamp": "2026-01-02T03:04:05.6789012Z",
        });
        assert_eq!(
            history_lines(&event, Paint::plain()),
            ["03:04:05.678  ↶ UndoStuck  Refund  step 3.1  outcome unknown  reason \"closed\""]
        );
    }

    #[test]
    fn the_attempts_stand_below_their_task() {
        let event = json!({
            "EventType": "TaskCompleted", "FunctionName": "PaymentActivity",
            "Timestamp": "2026-01-02T03:04:06.5Z", "Input": "x".repeat(500), "Result": true,
            "Attempts": [
                {"Attempt": 1, "Outcome": "Failed", "Started": "2026-01-02T03:04:05.0000000Z",
                 "Ended": "2026-01-02T03:04:05.1230000Z", "RetryAt": "2026-01-02T03:04:06.1230000Z",
                 "Failure": {"kind": "trap", "code": "host.trap", "message": "it panicked", "retryable": true}},
                {"Attempt": 2, "Outcome": "Lost", "Ended": "2026-01-02T03:04:06.2000000Z"},
                {"Attempt": 2, "Outcome": "Completed", "Started": "2026-01-02T03:04:06.2000000Z",
                 "Ended": "2026-01-02T03:04:06.4000000Z", "Logs": {"stdout": "paid\n"}},
            ],
        });
        let lines = history_lines(&event, Paint::plain());
        assert!(lines[0].contains("xxx…  result true"), "{}", lines[0]);
        assert!(lines[0].chars().count() < 160, "{}", lines[0]);
        assert_eq!(
            lines[1..],
            [
                "  03:04:05.123  attempt 1 failed: host.trap: it panicked; again at 03:04:06.123",
                "  03:04:06.200  attempt 2 was cut off with the host",
                "  03:04:06.400  attempt 2 completed",
                "    │ paid",
            ]
        );
    }
}
