//! `sagahost undo`, `cancel`, `repair`.

use anyhow::Result;
use hyper::Method;
use sagahost_core::{Json, UndoId};
use serde_json::{Value, json};

use super::instances::said;
use crate::client::{RemoteArgs, encode};
use crate::exit::{Exit, fail};
use crate::input;
use crate::output::{self, Paint, shorten};

/// The longest value that is shown, in characters.
const VALUE: usize = 120;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints what a cancel would undo now, in the order in which it would; where the
saga is being undone already, what is left of that. Undos with the same number
are done at the same time. The word in front names the step, for
`sagahost repair`.

Exit codes: 0 shown, 3 no host, 4 there is no such instance.")]
pub(crate) struct UndoArgs {
    /// The instance's id
    id: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What runs is ended, what was done is undone, and then the instance is Canceled.
The orchestrator's code does not run any more. `sagahost undo ID` shows what
this does before you do it, and what is left of it.

Exit codes: 0 taken, 3 no host, 4 there is no such instance, 6 it has ended, or
is past its pivot and can only go forward.")]
pub(crate) struct CancelArgs {
    /// The instance's id
    id: String,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("how").required(true),
    after_help = "\
`sagahost status ID` and `sagahost list --saga stuck` show what is stuck, and
why. What you do and say is kept in the journal of the instance.

Examples:
  sagahost repair order-7 1 --retry --note 'the bank is back'
  sagahost repair order-7 1 --input '{\"account\": 8}' --note 'wrong account'
  sagahost repair order-7 1 --done --note 'paid back by hand' --by Ada

Exit codes: 0 taken, 2 the arguments are wrong, 3 no host, 4 there is no such
instance or step, 6 it is not stuck, or the instance has ended."
)]
pub(crate) struct RepairArgs {
    /// The instance's id
    id: String,
    /// The step that is stuck, or whose undo is: 3, or 3.1 for a part of a
    /// child
    step: UndoId,
    /// Try it again
    #[arg(long, group = "how")]
    retry: bool,
    /// Try it again with this input from now on: JSON, @FILE, or - for
    /// standard input
    #[arg(long, short, value_name = "JSON", group = "how")]
    input: Option<String>,
    /// Take it as done: somebody did it by hand
    #[arg(long, group = "how")]
    done: bool,
    /// Take it as failed: somebody found that it did nothing. Not for an undo
    #[arg(long, group = "how")]
    failed: bool,
    /// Its result, as JSON, @FILE or -, where it is done [default: null]
    #[arg(long, value_name = "JSON", requires = "done")]
    output: Option<String>,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Who you are [default: the user's name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

fn path(id: &str, rest: &str) -> String {
    format!("/api/instances/{}/{rest}", encode(id))
}

pub(crate) async fn undo(args: UndoArgs) -> Result<()> {
    let undo = args.remote.remote()?.get(&path(&args.id, "undo")).await?.ok()?.value()?;
    if args.remote.json {
        return Ok(output::json(&undo)?);
    }
    lines(&undo, Paint::stdout()).iter().try_for_each(|line| Ok(output::line(line)?))
}

pub(crate) async fn cancel(args: CancelArgs) -> Result<()> {
    let remote = args.remote.remote()?;
    let body = json!({ "reason": args.reason.unwrap_or_default() }).to_string();
    let request = remote.request(Method::POST, &path(&args.id, "cancel"), body.into())?;
    remote.send(request).await?.ok()?;
    said(&args.remote, &args.id, "canceling")?;
    if args.remote.json {
        return Ok(());
    }
    Ok(output::line(&format!("  sagahost undo {}    what is left to undo", args.id))?)
}

pub(crate) async fn repair(args: RepairArgs) -> Result<()> {
    let by = args.by.clone().or_else(user).ok_or_else(|| {
        fail(Exit::Usage, "nothing says who you are: give --by NAME, which is kept in the journal")
    })?;
    let (operation, key, value, what) = if args.done {
        ("done", "output", &args.output, "took step {} as done of")
    } else if args.failed {
        ("failed", "", &None, "took step {} as failed of")
    } else {
        ("retry", "input", &args.input, "trying step {} again of")
    };
    let value = value.as_deref().map(input::read).transpose()?;
    let body = body(&args.note, &by, key, value.as_ref());
    let path = path(&args.id, &format!("undo/{}/{operation}", args.step));
    args.remote.remote()?.post(&path, body).await?.ok()?;
    said(&args.remote, &args.id, &what.replace("{}", &args.step.to_string()))
}

/// Who is logged in here.
fn user() -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.trim().is_empty()))
}

/// The value stays the text that it is.
fn body(note: &str, by: &str, key: &str, value: Option<&Json>) -> String {
    let (note, by) = (Value::from(note), Value::from(by));
    let value = value.map_or_else(String::new, |value| format!(",\"{key}\":{}", value.as_str()));
    format!("{{\"note\":{note},\"by\":{by}{value}}}")
}

/// A thing that is stuck, in a line: `undo of step 3, Refund, ...`.
pub(crate) fn stuck_line(stuck: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (function, failure) = (text(&stuck["function"]), &stuck["failure"]);
    let what = match (stuck["step"].as_str(), stuck["forward"].as_bool()) {
        (None, _) => format!("{function} failed past its pivot"),
        (Some(step), Some(true)) => format!("step {step}, {function}"),
        (Some(step), _) => format!("undo of step {step}, {function}"),
    };
    let attempts = match stuck["attempts"].as_u64() {
        Some(attempts) if attempts > 1 => format!(" after {attempts} attempts"),
        _ => String::new(),
    };
    format!("{what}{attempts}: {}: {}", text(&failure["code"]), text(&failure["message"]))
}

/// What there is to undo, for a person.
fn lines(undo: &Value, paint: Paint) -> Vec<String> {
    let text = |key: &str| undo[key].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| undo[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let saga = text("sagaState");
    let mut lines = vec![format!(
        "{}  {}  saga {}",
        paint.bold(&text("instanceId")),
        paint.status(&text("runtimeStatus")),
        paint.saga(&saga)
    )];
    if let Some(cause) = undo["cause"].as_object() {
        let word = |key: &str| cause.get(key).and_then(Value::as_str);
        let said = cause.get("failure").and_then(|failure| failure["message"].as_str());
        let said = word("reason").or(said).filter(|said| !said.is_empty());
        let said = said.map_or_else(String::new, |said| format!(", {}", shorten(said, VALUE)));
        lines.push(format!("  because  {}{said}", word("kind").unwrap_or("?")));
    }
    let left = list("undo");
    match (left.is_empty(), undo["cause"].is_null()) {
        (true, _) if saga == "past-pivot" => {
            lines.push("  past its pivot: nothing would be undone".to_owned());
        }
        (true, true) => lines.push("  nothing would be undone".to_owned()),
        (true, false) => lines.push("  nothing is left to undo".to_owned()),
        (false, true) => lines.push(format!("  {}", paint.dim("would be undone, in this order"))),
        (false, false) => lines.push(format!("  {}", paint.dim("to be undone, in this order"))),
    }
    let (mut number, mut stage) = (0, &Value::Null);
    for step in left {
        if number == 0 || &step["stage"] != stage {
            (number, stage) = (number + 1, &step["stage"]);
        }
        lines.extend(step_lines(step, &format!("{number}."), paint));
    }
    if !list("undone").is_empty() {
        lines.push(format!("  {}", paint.dim("undone")));
        lines.extend(list("undone").iter().flat_map(|step| step_lines(step, "✓", paint)));
    }
    for stuck in list("stuck") {
        lines.push(format!("  {}  {}", paint.red("stuck"), shorten(&stuck_line(stuck), 2_000)));
        let id = text("instanceId");
        lines.push(match stuck["step"].as_str() {
            Some(step) => {
                format!(
                    "    sagahost repair {id} {step} --retry --note TEXT    or --input, or --done"
                )
            }
            None => format!("    sagahost terminate {id}    once what is left was done by hand"),
        });
    }
    for child in list("children").iter().filter_map(Value::as_str) {
        lines.push(format!("  {} sagahost undo {child}", paint.dim("and what a child has done:")));
    }
    lines
}

fn step_lines(step: &Value, mark: &str, paint: Paint) -> [String; 2] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attempt = step["attempt"].as_u64().unwrap_or(1);
    let state = match text(&step["state"]).as_str() {
        "running" => paint.cyan(&format!("  runs, attempt {attempt}")),
        "retrying" => {
            let again = text(&step["retryAt"]);
            paint.yellow(&format!("  attempt {attempt} at {}", again.get(11..19).unwrap_or(&again)))
        }
        "stuck" => paint.red("  stuck"),
        _ => String::new(),
    };
    let of = &step["of"];
    let outcome = match text(&of["outcome"]).as_str() {
        "completed" => "completed".to_owned(),
        "failed" => "failed".to_owned(),
        "running" => "still runs".to_owned(),
        _ => "outcome unknown".to_owned(),
    };
    let child = of["instanceId"].as_str().map_or_else(String::new, |id| format!(" of child {id}"));
    [
        format!(
            "  {mark:>4} {} {}{state}",
            paint.bold(&text(&step["function"])),
            paint.dim(&shorten(&step["input"].to_string(), VALUE))
        ),
        format!("       step {}: {}{child}, {outcome}", text(&step["step"]), text(&of["function"])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: &str, stage: u32, state: &str, outcome: &str) -> Value {
        json!({"step": step, "stage": stage, "function": "Refund", "input": [1], "state": state,
               "attempt": 2, "retryAt": "2026-01-02T03:04:05.0000000Z",
               "of": {"step": 0, "function": "Pay", "outcome": outcome}})
    }

    #[test]
    fn the_order_is_shown_and_what_is_done_at_once() {
        let undo = json!({
            "instanceId": "o", "runtimeStatus": "Running", "sagaState": "armed",
            "undo": [step("4", 0, "armed", "running"), step("3", 2, "armed", "completed"),
                     step("2", 2, "retrying", "unknown")],
            "undone": [], "stuck": [], "children": ["o:0005"],
        });
        assert_eq!(
            lines(&undo, Paint::plain()),
            [
                "o  Running  saga armed",
                "  would be undone, in this order",
                "    1. Refund [1]",
                "       step 4: Pay, still runs",
                "    2. Refund [1]",
                "       step 3: Pay, completed",
                "    2. Refund [1]  attempt 2 at 03:04:05",
                "       step 2: Pay, outcome unknown",
                "  and what a child has done: sagahost undo o:0005",
            ]
        );
    }

    #[test]
    fn what_is_stuck_says_what_to_do() {
        let mut left = step("3.1", 0, "stuck", "completed");
        left["of"]["instanceId"] = json!("o:0003");
        let undo = json!({
            "instanceId": "o", "runtimeStatus": "Running", "sagaState": "stuck",
            "cause": {"kind": "canceled", "reason": "no more"},
            "undo": [left], "undone": [step("5", 0, "done", "completed")],
            "stuck": [{"step": "3.1", "forward": false, "function": "Refund", "attempts": 4,
                       "failure": {"code": "closed", "message": "The account is closed."}}],
            "children": [],
        });
        assert_eq!(
            lines(&undo, Paint::plain()),
            [
                "o  Running  saga stuck",
                "  because  canceled, no more",
                "  to be undone, in this order",
                "    1. Refund [1]  stuck",
                "       step 3.1: Pay of child o:0003, completed",
                "  undone",
                "     ✓ Refund [1]",
                "       step 5: Pay, completed",
                "  stuck  undo of step 3.1, Refund after 4 attempts: closed: The account is closed.",
                "    sagahost repair o 3.1 --retry --note TEXT    or --input, or --done",
            ]
        );
    }

    #[test]
    fn nothing_to_undo_is_said() {
        let undo = |saga: &str, cause: Value| {
            let undo = json!({"instanceId": "o", "sagaState": saga, "cause": cause, "undo": []});
            lines(&undo, Paint::plain()).pop()
        };
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(undo("none", Value::Null), said("  nothing would be undone"));
        assert_eq!(
            undo("past-pivot", Value::Null),
            said("  past its pivot: nothing would be undone")
        );
        let cause = json!({"kind": "deadline", "failure": {"message": "late"}});
        assert_eq!(undo("compensated", cause), said("  nothing is left to undo"));
    }

    #[test]
    fn a_step_past_the_pivot_and_code_that_failed_are_told_apart() {
        let failure = json!({"code": "host.trap", "message": "it panicked"});
        let line = |step: Value| {
            stuck_line(&json!({"step": step, "forward": true, "function": "Ship", "attempts": 1,
                               "failure": failure}))
        };
        assert_eq!(line(json!("3")), "step 3, Ship: host.trap: it panicked");
        assert_eq!(line(Value::Null), "Ship failed past its pivot: host.trap: it panicked");
    }

    #[test]
    fn a_repair_keeps_its_values_as_they_are() {
        let value = Json::parse("{\"a\": 1.0}").expect("JSON");
        assert_eq!(
            body("it's \"so\"", "Ada", "input", Some(&value)),
            r#"{"note":"it's \"so\"","by":"Ada","input":{"a": 1.0}}"#
        );
        assert_eq!(body("n", "b", "output", None), r#"{"note":"n","by":"b"}"#);
    }
}
