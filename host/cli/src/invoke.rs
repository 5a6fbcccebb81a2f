//! `sagahost invoke`: one activity, with no server.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use sagahost_core::{CallOptions, Logs};
use sagahost_wasm::{ActivityCall, ActivityReport, FunctionKind, HumanDuration};
use serde_json::json;
use uuid::Uuid;

use crate::exit::{Exit, fail, silently};
use crate::input;
use crate::local::{self, Local};
use crate::manifest::Loaded;
use crate::output;
use crate::units::{size, took};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs one attempt in a fresh sandbox in this process, with what the manifest
grants the activity and within its limits. Its effects are real. Prints the
output on standard output and the activity's own output on standard error.

Examples:
  sagahost invoke Greet --input '\"Ada\"'
  sagahost invoke OrderActivity --input @order.json --functions build

Exit codes: 0 it gave an output, 1 it failed, 2 the input does not fit, 4 there
is no such activity.")]
pub(crate) struct InvokeArgs {
    /// The activity
    name: String,
    /// The input: JSON, @FILE, or - for standard input
    #[arg(long, short, value_name = "JSON")]
    input: Option<String>,
    /// The folder of components [default: the manifest's]
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// The manifest [default: ./sagahost.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long it may take [default: as in a saga]
    #[arg(long, value_name = "TIME")]
    timeout: Option<HumanDuration>,
    /// The idempotency key it gets [default: another each time]
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: InvokeArgs) -> Result<()> {
    let loaded = Loaded::find(args.config.as_deref())?;
    let input = input::read_or_null(args.input.as_deref())?;
    let Local { runtime, refused } = local::open(&loaded, args.functions.as_deref()).await?;
    for (path, reason) in &refused {
        eprintln!("sagahost: {} was refused: {reason}", path.display());
    }
    let functions = runtime.functions();
    let activities = || functions.iter().filter(|function| function.kind == FunctionKind::Activity);
    let Some(function) = activities().find(|function| function.name == args.name) else {
        let known: Vec<&str> = activities().map(|function| function.name.as_str()).collect();
        let known = if known.is_empty() { "none are there".to_owned() } else { known.join(", ") };
        return Err(fail(
            Exit::NotFound,
            format!("there is no activity '{}'; activities: {known}", args.name),
        ));
    };
    function.check_input(&input).map_err(|problem| {
        fail(Exit::Usage, format!("the input does not fit activity '{}': {problem}", function.name))
    })?;
    let options = CallOptions {
        timeout_ms: args.timeout.map(HumanDuration::millis),
        ..CallOptions::default()
    };
    let id = Uuid::new_v4().simple().to_string();
    let begun = Instant::now();
    let report = runtime
        .run_activity(ActivityCall {
            function: args.name.clone(),
            input,
            instance_id: format!("invoke-{id}"),
            step: 0,
            attempt: 1,
            idempotency_key: args.idempotency_key.clone().unwrap_or(id),
            timeout_ms: runtime.call_policy(&args.name, options).timeout_ms,
            trace_parent: None,
            undone: None,
            digest: None,
        })
        .await;
    show(&args, &report, begun.elapsed())?;
    if report.outcome.is_ok() { Ok(()) } else { Err(silently(Exit::Failed)) }
}

fn show(args: &InvokeArgs, report: &ActivityReport, elapsed: Duration) -> Result<()> {
    if args.json {
        let value = json!({
            "output": report.outcome.as_ref().ok(),
            "failure": report.outcome.as_ref().err(),
            "logs": report.logs,
            "elapsedMs": elapsed.as_secs_f64() * 1e3,
            "cpuMs": report.cpu.as_secs_f64() * 1e3,
            "peakMemoryBytes": report.peak_memory,
        });
        return Ok(output::json(&value)?);
    }
    let Logs { stdout, stderr, truncated } = &report.logs;
    for line in stdout.lines().chain(stderr.lines()) {
        eprintln!("| {line}");
    }
    if *truncated {
        eprintln!("| … more was written than is kept");
    }
    match &report.outcome {
        Ok(output) => output::line(output.as_str())?,
        Err(failure) => {
            eprintln!("{} failed: {failure}", args.name);
            if let Some(details) = &failure.details {
                eprintln!("  details: {}", details.as_str());
            }
            if failure.retryable {
                eprintln!("  in a saga it would be tried again, as its retry policy says");
            }
        }
    }
    eprintln!(
        "({}, of it {} CPU; {} of memory)",
        took(elapsed),
        took(report.cpu),
        size(report.peak_memory)
    );
    Ok(())
}
