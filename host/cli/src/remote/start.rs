//! `sagahost start`.

use std::time::{Duration, Instant};

use anyhow::Result;
use sagahost_wasm::HumanDuration;
use serde_json::Value;

use super::instances::{ended_well, show, status_of};
use crate::client::{BASE, Remote, RemoteArgs, encode, with_query};
use crate::exit::{Exit, fail, silently};
use crate::input;
use crate::output::{self, Paint};
use crate::units::took;

/// The longest one request waits; a longer wait is several requests.
const LONG_POLL: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sagahost start GreetingChain --input '[\"Berlin\",\"Lima\"]' --wait
  sagahost start OrderSaga --id order-7 --input @order.json --deadline 1h
  echo 3 | sagahost start FanOut --input - --json

Exit codes: 0 started (with --wait: completed), 1 with --wait: it failed, was
cancelled or terminated, 2 the name or the input is wrong, 3 no host, 6 an instance of this
id has not ended, 7 with --wait: the time is up (the instance goes on).")]
pub(crate) struct StartArgs {
    /// The orchestrator
    name: String,
    /// The instance's id [default: the host makes one]
    #[arg(long)]
    id: Option<String>,
    /// The input: JSON, @FILE, or - for standard input
    #[arg(long, short, value_name = "JSON")]
    input: Option<String>,
    /// When it is undone if it has not ended by then, and can still be undone
    /// [default: as the orchestrator says]
    #[arg(long, value_name = "TIME")]
    deadline: Option<HumanDuration>,
    /// Wait until it ends, and print the output
    #[arg(long, short)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "30s", requires = "wait")]
    timeout: HumanDuration,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(crate) async fn run(args: StartArgs) -> Result<()> {
    let remote = args.remote.remote()?;
    let body = match &args.input {
        Some(argument) => input::read(argument)?.as_str().to_owned(),
        None => String::new(),
    };
    let mut path = format!("{BASE}/orchestrators/{}", encode(&args.name));
    if let Some(id) = &args.id {
        sagahost_core::check_instance_id(id)
            .map_err(|error| fail(Exit::Usage, error.to_string()))?;
        path.push('/');
        path.push_str(&encode(id));
    }
    let deadline = args.deadline.map(|time| time.get().as_secs_f64().to_string());
    let path = with_query(&path, &[("deadline", deadline)]);
    let begun = Instant::now();
    let started = remote.post(&path, body).await?.ok()?.value()?;
    let id = started["id"].as_str().unwrap_or_default().to_owned();
    if args.wait {
        return wait(&remote, &args, &id, begun).await;
    }
    if args.remote.json {
        return Ok(output::json(&started)?);
    }
    output::line(&format!("started {} {}", args.name, Paint::stdout().bold(&id)))?;
    output::line(&format!("  sagahost status {id}    how it stands"))?;
    Ok(output::line(&format!("  sagahost events {id}    what happens, as it happens"))?)
}

async fn wait(remote: &Remote, args: &StartArgs, id: &str, begun: Instant) -> Result<()> {
    let Some(status) = until_ended(remote, id, begun, args.timeout.get()).await? else {
        return Err(fail(
            Exit::TimeUp,
            format!(
                "instance '{id}' has not ended after {}; it goes on. `sagahost status {id}` shows how it stands",
                took(args.timeout.get())
            ),
        ));
    };
    let well = ended_well(&status);
    if args.remote.json {
        output::json(&status)?;
    } else if well {
        output::line(&status["output"].to_string())?;
    } else {
        show(&status, Paint::stdout())?;
    }
    if well { Ok(()) } else { Err(silently(Exit::Failed)) }
}

/// The status of an instance once it has ended; `None` when the time is up.
///
/// A host that keeps the request until there is an end answers at once when
/// it comes; from any other, the status is asked for again and again.
async fn until_ended(
    remote: &Remote,
    id: &str,
    begun: Instant,
    most: Duration,
) -> Result<Option<Value>> {
    let mut pause = Duration::from_millis(10);
    loop {
        let status = status_of(remote, id, false).await?;
        if is_terminal(&status) {
            return Ok(Some(status));
        }
        let left = most.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        if followed_to_its_end(remote, id, left.min(LONG_POLL)).await {
            continue;
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Reads the instance's events until the stream ends, and leaves out all but
/// the end; whether it came.
async fn followed_to_its_end(remote: &Remote, id: &str, most: Duration) -> bool {
    let path = with_query(
        &format!("/api/instances/{}/events", encode(id)),
        &[("after", Some(u64::MAX.to_string()))],
    );
    let follow = async {
        let request = remote.request(hyper::Method::GET, &path, bytes::Bytes::new()).ok()?;
        let response =
            remote.open(request).await.ok().filter(|response| response.status() == 200)?;
        http_body_util::BodyExt::collect(response.into_body()).await.ok()
    };
    matches!(tokio::time::timeout(most, follow).await, Ok(Some(_)))
}

/// Whether a status payload says that nothing more will happen.
pub(crate) fn is_terminal(status: &Value) -> bool {
    status["runtimeStatus"]
        .as_str()
        .and_then(sagahost_core::RuntimeStatus::from_name)
        .is_some_and(|status| status.is_terminal())
}
