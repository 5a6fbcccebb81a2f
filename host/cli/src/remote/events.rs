//! `sagahost events`: one instance, live, or all of them.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use sagahost_core::Record;
use sagahost_http::JournalLine;

use super::changes::{self, Wanted};
use super::instances::{ended_well, status_of};
use super::start::is_terminal;
use crate::client::{Remote, RemoteArgs, encode, refusal, with_query};
use crate::exit::{Exit, silently};
use crate::output::{self, Paint};
use crate::sse::{self, Parser};
use crate::steps::{Steps, clock};

/// How often in a row it is tried to reach a host that is gone.
pub(super) const TRIES: u32 = 30;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints what happened so far, then what happens, until the instance ends. Goes
on by itself where it was when the host is restarted meanwhile. With --json,
each line is one event.

What is undone is marked with ↶.

Without an id it prints what changes from now on of all instances, one line for
each turn, until it is ended with Ctrl-C.

Examples:
  sagahost events order-7
  sagahost events --name OrderSaga --prefix shop-

Exit codes: 0 it completed, 1 it failed, was cancelled or terminated, 3 no host,
4 there is no such instance.")]
pub(crate) struct EventsArgs {
    /// The instance's id; all instances where it is left out
    id: Option<String>,
    /// Leave out the first N events
    #[arg(long, value_name = "N", requires = "id")]
    after: Option<u64>,
    /// Only instances of this orchestrator
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    name: Option<String>,
    /// Only instances whose ids begin so
    #[arg(long, value_name = "PREFIX", conflicts_with = "id")]
    prefix: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Where the reader is.
struct Follower {
    id: String,
    after: Option<u64>,
    json: bool,
    remote: Remote,
    paint: Paint,
    steps: Steps,
    /// The id of the event that was shown last.
    last: Option<String>,
}

pub(crate) async fn run(args: EventsArgs) -> Result<()> {
    let EventsArgs { id, after, name, prefix, remote } = args;
    let (json, remote) = (remote.json, remote.remote()?);
    let Some(id) = id else {
        return changes::run(&remote, &Wanted { name, prefix, json }).await;
    };
    let mut follower = Follower {
        id,
        after,
        json,
        remote,
        paint: Paint::stdout(),
        steps: Steps::default(),
        last: None,
    };
    let mut tries = 0;
    loop {
        let seen = follower.last.clone();
        let lost = follower.follow().await.err();
        if let Some(error) = lost {
            tries = if follower.last == seen { tries + 1 } else { 1 };
            // The first failure is most likely a wrong URL.
            if follower.last.is_none() || tries > TRIES || !is_lost(&error) {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let status = status_of(&follower.remote, &follower.id, false).await;
        match status {
            Ok(status) if is_terminal(&status) => {
                return if ended_well(&status) { Ok(()) } else { Err(silently(Exit::Failed)) };
            }
            // The host closed the stream for a reason of its own.
            Ok(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) if is_lost(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the host may be back in a moment.
pub(super) fn is_lost(error: &anyhow::Error) -> bool {
    crate::exit::exit_of(error) == Exit::Unreachable
        || error.chain().any(|cause| cause.downcast_ref::<hyper::Error>().is_some())
}

impl Follower {
    /// Reads the stream to its end.
    async fn follow(&mut self) -> Result<()> {
        let path = with_query(
            &format!("/api/instances/{}/events", encode(&self.id)),
            &[("after", self.after.map(|after| after.to_string()))],
        );
        let mut request = self.remote.request(Method::GET, &path, Bytes::new())?;
        if let Some(last) = self.last.as_deref().and_then(|last| last.parse().ok()) {
            request.headers_mut().insert("last-event-id", last);
        }
        let response = self.remote.open(request).await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        if status != 200 {
            return Err(refusal(status, &body.collect().await?.to_bytes()));
        }
        let mut parser = Parser::default();
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            for event in parser.push(&bytes) {
                self.show(event)?;
            }
        }
        Ok(())
    }

    fn show(&mut self, event: sse::Event) -> Result<()> {
        self.last = event.id.or(self.last.take());
        if self.json {
            if event.kind == "end" {
                return Ok(());
            }
            return Ok(output::line(&event.data)?);
        }
        // Anything else is of a later host, or says that it ends.
        let Ok(JournalLine { time, event, .. }) = serde_json::from_str(&event.data) else {
            return Ok(());
        };
        let record = Record(time, event);
        let at = self.paint.dim(&clock(record.0));
        for (number, text) in self.steps.lines(&record, self.paint).iter().enumerate() {
            // What belongs to the line before stands below it.
            let margin = if number == 0 { at.clone() } else { " ".repeat(12) };
            output::line(&format!("{margin}  {text}"))?;
        }
        Ok(())
    }
}
