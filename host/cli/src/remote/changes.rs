//! `sagahost events` without an id: all instances, live.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use serde::Deserialize;

use super::events::{TRIES, is_lost};
use crate::client::{Remote, refusal, with_query};
use crate::output::{self, Paint};
use crate::sse::{self, Parser};
use crate::steps::clock;

/// Which instances are followed.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) json: bool,
}

/// A change, as far as it is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    id: String,
    name: String,
    runtime_status: String,
    saga_state: String,
    updated: u64,
    kinds: Vec<String>,
}

/// Follows until it is told to stop.
pub(super) async fn run(remote: &Remote, wanted: &Wanted) -> Result<()> {
    let mut last = None;
    let mut tries = 0;
    loop {
        let seen = last.clone();
        let lost = follow(remote, wanted, &mut last).await.err();
        tries = if last == seen { tries + 1 } else { 1 };
        if let Some(error) = lost
            // The first failure is most likely a wrong URL.
            && (last.is_none() || tries > TRIES || !is_lost(&error))
        {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Reads the stream to its end, and notes where it was.
async fn follow(remote: &Remote, wanted: &Wanted, last: &mut Option<String>) -> Result<()> {
    let path = with_query(
        "/api/events",
        &[("name", wanted.name.clone()), ("idPrefix", wanted.prefix.clone())],
    );
    let mut request = remote.request(Method::GET, &path, Bytes::new())?;
    if let Some(last) = last.as_deref().and_then(|last| last.parse().ok()) {
        request.headers_mut().insert("last-event-id", last);
    }
    let response = remote.open(request).await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    if status != 200 {
        return Err(refusal(status, &body.collect().await?.to_bytes()));
    }
    let paint = Paint::stdout();
    let mut parser = Parser::default();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        for event in parser.push(&bytes) {
            show(&event, wanted.json, paint)?;
        }
        if let Some(id) = parser.last_id() {
            *last = Some(id.to_owned());
        }
    }
    Ok(())
}

fn show(event: &sse::Event, json: bool, paint: Paint) -> Result<()> {
    if event.kind == "reset" {
        eprintln!("some changes were missed; `sagahost list` shows how everything stands");
        return Ok(());
    }
    if event.kind != "change" {
        return Ok(());
    }
    if json {
        return Ok(output::line(&event.data)?);
    }
    // Anything else is of a later host.
    let Ok(change) = serde_json::from_str::<Change>(&event.data) else { return Ok(()) };
    let Change { id, name, runtime_status, saga_state, updated, kinds } = change;
    let saga = match saga_state.as_str() {
        "none" => String::new(),
        state => format!(" ({state})"),
    };
    let (at, kinds) = (paint.dim(&clock(updated)), paint.dim(&kinds.join(", ")));
    Ok(output::line(&format!(
        "{at}  {}  {name}  {runtime_status}{saga}  {kinds}",
        paint.bold(&id)
    ))?)
}
