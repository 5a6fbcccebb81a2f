//! `sagahost suspend`, `resume`, `rewind`, `restart`.

use anyhow::Result;
use bytes::Bytes;
use serde_json::json;

use super::instances::{instance_path, said};
use crate::client::{RemoteArgs, with_query};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The orchestrator's code stops until `sagahost resume`. Activities that run go on,
and events that come in are kept. It can be cancelled meanwhile.

Exit codes: 0 taken, 3 no host, 4 there is no such instance, 6 it has ended.")]
pub(crate) struct SuspendArgs {
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
One that is not suspended goes on as it did.

Exit codes: 0 taken, 3 no host, 4 there is no such instance, 6 it has ended.")]
pub(crate) struct ResumeArgs {
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
Its code runs again from its beginning, on what is deployed now and under the same
id. Steps that completed and were not undone are kept; those that failed or were
undone are done again.

Exit codes: 0 taken, 3 no host, 4 there is no such instance, 6 it has not failed.")]
pub(crate) struct RewindArgs {
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
Starts the same orchestrator with the same input, on what is deployed now, and
under a new id. With --same-id the old instance, which must have ended, is
replaced.

Exit codes: 0 started, 2 there is no such instance, 3 no host, 6 with --same-id: it
has not ended.")]
pub(crate) struct RestartArgs {
    /// The instance's id
    id: String,
    /// Take the same id, and replace the instance that has it
    #[arg(long)]
    same_id: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

async fn tell(remote: &RemoteArgs, id: &str, verb: &str, reason: Option<String>) -> Result<()> {
    let path = with_query(&format!("{}/{verb}", instance_path(id)), &[("reason", reason)]);
    remote.remote()?.post(&path, Bytes::new()).await?.ok()?;
    Ok(())
}

pub(crate) async fn suspend(args: SuspendArgs) -> Result<()> {
    tell(&args.remote, &args.id, "suspend", args.reason).await?;
    said(&args.remote, &args.id, "suspended")
}

pub(crate) async fn resume(args: ResumeArgs) -> Result<()> {
    tell(&args.remote, &args.id, "resume", args.reason).await?;
    said(&args.remote, &args.id, "resumed")
}

pub(crate) async fn rewind(args: RewindArgs) -> Result<()> {
    tell(&args.remote, &args.id, "rewind", args.reason).await?;
    said(&args.remote, &args.id, "rewound")
}

pub(crate) async fn restart(args: RestartArgs) -> Result<()> {
    let anew = (!args.same_id).to_string();
    let path = with_query(
        &format!("{}/restart", instance_path(&args.id)),
        &[("restartWithNewInstanceId", Some(anew))],
    );
    let started = args.remote.remote()?.post(&path, Bytes::new()).await?.ok()?.value()?;
    let id = started["id"].as_str().unwrap_or_default();
    match args.remote.json {
        true => output::json(&json!({ "id": id }))?,
        false => output::line(&format!("restarted {} as {id}", args.id))?,
    }
    Ok(())
}
