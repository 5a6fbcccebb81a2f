//! `sagahost status`, `raise`, `terminate`, `purge`.

use std::io;

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{BASE, Remote, RemoteArgs, encode, with_query};
use crate::exit::{Exit, silently};
use crate::input;
use crate::output::{self, Paint, shorten};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sagahost status order-7
  sagahost status order-7 --history
  sagahost status order-7 --json | jq .output

Exit codes: 0 it runs or completed, 1 it failed or was terminated, 3 no host,
4 there is no such instance.")]
pub(crate) struct StatusArgs {
    /// The instance's id
    id: String,
    /// Show what happened so far, with inputs and outputs
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
The instance ends at once, and what it did is not undone.

Exit codes: 0 taken, 3 no host, 4 there is no such instance, 6 it has ended.")]
pub(crate) struct TerminateArgs {
    /// The instance's id
    id: String,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
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

fn instance_path(id: &str) -> String {
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
    for event in history {
        output::line(&format!("    {}", history_line(event, paint)))?;
    }
    Ok(())
}

fn history_line(event: &Value, paint: Paint) -> String {
    let kind = event["EventType"].as_str().unwrap_or("?");
    let name =
        ["FunctionName", "Name"].iter().find_map(|key| event[key].as_str()).unwrap_or_default();
    let at = event["Timestamp"].as_str().unwrap_or_default();
    let mut line = format!("{}  {kind}", paint.dim(at.get(11..23).unwrap_or(at)));
    if !name.is_empty() {
        line.push_str(&format!("  {}", paint.bold(name)));
    }
    for key in ["Input", "Result", "Reason", "Details", "FireAt"] {
        let value = &event[key];
        if !value.is_null() {
            let shown = shorten(&value.to_string(), 300);
            let label = key.to_ascii_lowercase();
            line.push_str(&format!("  {} {shown}", paint.dim(&label)));
        }
    }
    line
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
        &[("reason", args.reason.clone())],
    );
    args.remote.remote()?.post(&path, Bytes::new()).await?.ok()?;
    said(&args.remote, &args.id, "terminated")
}

pub(crate) async fn purge(args: PurgeArgs) -> Result<()> {
    let remote = args.remote.remote()?;
    let request = remote.request(Method::DELETE, &instance_path(&args.id), Bytes::new())?;
    remote.send(request).await?.ok()?;
    said(&args.remote, &args.id, "purged")
}

fn said(args: &RemoteArgs, id: &str, done: &str) -> Result<()> {
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
            history_line(&event, Paint::plain()),
            "03:04:05.678  TaskCompleted  OrderActivity  result true"
        );
    }
}
